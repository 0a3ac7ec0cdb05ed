/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h: what both ends of the traffic program stand on: one epoll loop a process, a body that both
 * ends can compute, a reader of HTTP/1.1 messages that is strict, and a connection with an outgoing
 * queue. Nothing here knows weir: it shares no code with what it tests.
 */
#ifndef WR_SOAK_IO_H
#define WR_SOAK_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIECE_MAX ((size_t)64 << 10)
#define HEAD_MAX  ((size_t)8 << 10)

/* --- loop --- */

struct io {
    int fd; /* -1: closed */
    uint32_t watched;
    bool is_added;
    void (*run)(struct io *io, uint32_t events);
    struct io *next_dead;
    void (*free)(struct io *io); /* behind the turn in which it was closed; NULL: not freed */
};

void loop_open(void);
/* Watch for these events from now on (0: errors only). */
void loop_watch(struct io *io, uint32_t events);
/* Idempotent. */
void loop_close(struct io *io);
/* tick runs once a millisecond at most, and at least every `idle_ms`. */
void loop_run(void (*tick)(void), int idle_ms);
void loop_end(void);
uint64_t loop_now_ms(void); /* of this turn */
uint64_t clock_us(void);

/* --- the known body --- */

void pattern_init(void);
/* Bytes of body `seed` at off, in one piece; *n in: wanted, out: what is there (>= 1). */
const char *pattern_at(uint64_t seed, uint64_t off, size_t *n);
bool pattern_is(uint64_t seed, uint64_t off, const char *p, size_t n);

/* --- reading messages --- */

enum reader_state {
    READ_HEAD,
    READ_LENGTH,
    READ_CHUNK_SIZE,
    READ_CHUNK_DATA,
    READ_CHUNK_END,
    READ_TRAILER,
    READ_TO_EOF,
    READ_TUNNEL
};

enum reader_got {
    GOT_NOTHING,
    GOT_HEAD,
    GOT_DATA,
    GOT_END,
    GOT_BAD
};

struct reader {
    enum reader_state state;
    bool is_request;
    bool has_no_body; /* set by the owner before the head: the answer to HEAD */
    char *buf;
    size_t start, len;
    uint64_t left;
    /* of the head */
    int status;
    char method[16], target[256];
    bool is_chunked, is_close, is_upgrade;
    int64_t length; /* -1: not said */
    char key[64];   /* Sec-WebSocket-Key of a request, -Accept of an answer */
    /* GOT_DATA */
    const char *data;
    size_t data_len;
    const char *fault; /* GOT_BAD */
};

void reader_init(struct reader *r, bool is_request);
void reader_fini(struct reader *r);
enum reader_got reader_next(struct reader *r);
/* Tunnel: what is there; take says how much of it was used. */
void reader_take(struct reader *r, size_t n);

/* --- a connection --- */

enum fill {
    FILL_OK,
    FILL_AGAIN,
    FILL_EOF,
    FILL_ERROR
};

struct conn {
    struct io io;
    struct reader in;
    char *out;
    size_t out_len, out_off, out_cap;
    /* a body of the pattern behind the text */
    uint64_t seed, off, end;
    bool is_body_chunked, has_body;
    int error;        /* of the last FILL_ERROR, or of a failed write */
    size_t last_fill; /* bytes of the last conn_fill */
};

void conn_init(struct conn *c, int fd, bool is_request, void (*run)(struct io *, uint32_t));
void conn_fini(struct conn *c);
void conn_add(struct conn *c, const void *p, size_t n);
void conn_addf(struct conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void conn_add_body(struct conn *c, uint64_t seed, uint64_t size, bool is_chunked);
bool conn_has_out(const struct conn *c);
/* False: the connection is broken (error). Otherwise the loop watches for what is left. */
bool conn_flush(struct conn *c, uint32_t more_events);
/* Receives up to max bytes. */
enum fill conn_fill(struct conn *c, size_t max);

int listen_on_loopback(uint16_t *port);
/* Nonblocking; -1: errno. rcvbuf 0: the kernel's. */
int connect_to(uint16_t port, int rcvbuf);
uint64_t next_random(void);
uint64_t random_below(uint64_t n);
void seed_random(uint64_t seed);
void die(const char *what);

#endif
