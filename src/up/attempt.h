/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attempt.h: one try on one peer: an idle or a new connection, one stream on it, and what became of
 * it. Embedded in struct wr_up, runs in the request's task.
 *
 *   NONE -> CONNECT -> ACTIVE -> RESULT
 *
 *   CONNECT  dialing; deadline connect_timeout (the engine's timer)
 *   ACTIVE   a stream is open; its halves and deadlines are the codec's
 *   RESULT   over: cause says why; the connection was parked or closed
 */
#ifndef WR_UP_ATTEMPT_H
#define WR_UP_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "http/codec.h"
#include "http/stream.h"
#include "up/retry.h"

struct wr_up;

enum wr_attempt_state {
    WR_ATTEMPT_NONE,
    WR_ATTEMPT_CONNECT,
    WR_ATTEMPT_ACTIVE,
    WR_ATTEMPT_RESULT
};

struct wr_attempt {
    uint8_t state;      /* enum wr_attempt_state */
    uint8_t cause;      /* enum wr_cause, with RESULT */
    bool is_reused;     /* on an idle connection */
    bool sent;          /* sending of the request began */
    bool is_sent_whole; /* and ended, with RESULT */
    bool got_bytes;
    bool is_send_error; /* err is of a send */
    bool is_unseen;     /* nobody can have read a byte of it: http/stream.h */
    bool is_accepted;   /* its head was accepted */
    bool is_shaking;    /* a deadline met it in the TLS handshake */
    bool is_local;      /* our own side of the connection could not be made: socket, bind */
    uint8_t reason;     /* enum wr_reason of the stream, with RESULT: for the log */
    int err;
    uint32_t idle_ms; /* is_reused: how long it had been idle */
    uint64_t began_ms;
    struct wr_pconn *pc;      /* NULL: none */
    struct wr_stream *stream; /* NULL: none */
    struct wr_str tls_error;  /* of the stream, with RESULT: for the log */
    struct wr_str bad_text;   /* likewise */
};

/* Takes an idle connection or dials. flags: skip idle ones (a stale one was just met). */
enum wr_attempt_flags {
    WR_ATTEMPT_IDLE_OK = 0,
    WR_ATTEMPT_FRESH = 1
};

void wr_attempt_begin(struct wr_up *u, enum wr_attempt_flags how);
/* Looks at the facts; moves CONNECT -> ACTIVE, and to RESULT on failure. */
void wr_attempt_step(struct wr_up *u);
/*
 * Ends it from any state, idempotent: the stream is released, the connection parked when it is
 * clean and OK, else closed.
 */
void wr_attempt_end(struct wr_up *u, enum wr_cause cause, int err);

#endif
