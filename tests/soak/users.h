/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.h: the clients of the traffic program and what was counted. Each user owns one connection
 * at a time and checks every byte that it receives.
 *
 *   KEEP    keep-alive: one request, a pause, the next; every kind of request of `kinds` in keep.c
 *   VISIT   the listener that comes and goes: a connection that was made must be served
 *   DOWN    a body that is read slowly
 *   EVENTS  server-sent events, whose numbers must follow each other
 *   SOCKET  WebSocket, whose echoes must be whole and in order
 *   ONCE    one large transfer, then gone
 *
 * A request on a connection that was closed without a byte of an answer is `raced` (the connection
 * had served one before) or `dropped` (it was new). What happens to a connection older than the
 * last kill of the worker is `lost`, no failure.
 *
 * A server that ends leaves an idle connection a grace (`grace` ms) from the last byte of the
 * response on. Closed earlier: `early`, a failure. A client looks before it sends (RFC 9112 9.5),
 * and goes on with a new connection when the old one was closed meanwhile (`idle_closed`). Where it
 * was idle for longer than the grace, the close and the request may cross (`late`): it asks again.
 * How long it was idle is what the kernel says: a program on a busy machine reads late.
 */
#ifndef WR_SOAK_USERS_H
#define WR_SOAK_USERS_H

#include <stdbool.h>
#include <stdint.h>

#include "io.h"

#define WANTS_MAX 4
#define TEXT_MAX  64

enum kind {
    KEEP,
    VISIT,
    DOWN,
    EVENTS,
    SOCKET,
    ONCE,
    KIND_CNT
};

enum fault {
    FAULT_CONNECT,
    FAULT_RACED,
    FAULT_DROPPED,
    FAULT_CUT,
    FAULT_STATUS,
    FAULT_BODY,
    FAULT_PROTOCOL,
    FAULT_STUCK,
    FAULT_EARLY,
    FAULT_CNT
};

enum body {
    BODY_PATTERN,
    BODY_TEXT,
    BODY_NUMBER,
    BODY_ANY
};

struct want {
    int status;
    enum body body;
    bool is_head, ends_conn; /* ends_conn: the server closes behind it */
    bool is_timed;           /* counts for the latency */
    uint64_t seed, size;
    char text[TEXT_MAX];
};

enum state {
    IDLE,
    BUSY,
    ENDING,
    GONE
};

struct user {
    struct conn c; /* first */
    enum kind kind;
    unsigned no;
    enum state state;
    uint64_t at_ms;       /* IDLE: when to go on; SOCKET: the next frame */
    uint64_t progress_ms; /* of the last byte */
    uint64_t sent_us;
    uint64_t idle_ms;       /* when the request was sent: since the last byte of the one before */
    uint64_t epoch, served; /* of the connection */
    struct want wants[WANTS_MAX];
    unsigned want_cnt, want_at;
    bool has_head, is_cancel;
    uint64_t got;
    char text[TEXT_MAX];
    size_t text_len;
    char target[96]; /* of the last request, for reports */
    /* streams */
    uint64_t begun_ms, rate, said, heard;
    uint64_t generation;
};

struct stats {
    uint64_t requests, connects, closes, idle_closed, late, downloads, down_bytes, up_bytes, events,
        frames, visits, refused, cancelled, longest_gap_ms, generation;
    uint64_t faults[FAULT_CNT];
    uint64_t lost[KIND_CNT];
    uint32_t latency[160]; /* 8 a power of two, of microseconds */
    uint64_t latency_max_us;
};

struct options {
    unsigned counts[KIND_CNT];
    uint64_t pause_ms; /* at most, between two requests of a user */
    uint64_t rate;     /* of slow downloads, bytes a second */
    uint64_t long_s;   /* what the longest slow downloads take */
    uint64_t stuck_ms;
    uint64_t grace_ms; /* of idle connections of a server that ends */
    uint64_t event_ms, frame_ms;
    bool is_rough;
};

extern struct options options;
extern struct stats stats;
extern uint16_t main_port, extra_port;
extern uint64_t epoch; /* kills so far */
extern bool is_stopping, is_held;

/* users.c */
void users_start(void);
void users_tick(void);
/* All KEEP users that wait send within a few milliseconds. */
void users_burst(void);
/* The worker is dead: counts what was in flight, and reports it. */
void users_note_kill(void);
void users_transfer(bool is_up, uint64_t seed, uint64_t size, bool is_chunked);
bool users_are_gone(void);
bool users_are_quiet(void);
void note_fault(struct user *u, enum fault f, const char *detail);
/* Connects when there is no connection. False: impossible now (said, or no failure). */
bool user_connect(struct user *u, uint16_t port, int rcvbuf);
/* Sends what is queued. */
void user_send(struct user *u);
void user_close(struct user *u);
void user_rest(struct user *u, uint64_t ms);

/* keep.c: chooses a request, queues it and what is wanted. */
void keep_ask(struct user *u);
/* An answer was whole and right. */
void keep_note_answer(struct user *u);

/* streams.c: bytes of a stream; false: broken (said). */
bool events_take(struct user *u, const char *p, size_t n);
bool socket_take(struct user *u);
void socket_tick(struct user *u);
void stream_ask(struct user *u);
/* What a slow reader may read now. */
size_t down_budget(const struct user *u);

#endif
