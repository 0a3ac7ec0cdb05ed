/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry.h: what to do after an attempt: a pure function of its result and the policy (U2.2, U2.6,
 * U7).
 */
#ifndef WR_UP_RETRY_H
#define WR_UP_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "up/peer.h"

enum wr_cause {
    WR_CAUSE_NONE,
    WR_CAUSE_OK,
    WR_CAUSE_REFUSED, /* refused, reset while connecting, unreachable */
    WR_CAUSE_CONNECT_TIMEOUT,
    WR_CAUSE_TLS,
    WR_CAUSE_READ_TIMEOUT,
    WR_CAUSE_SEND_TIMEOUT,
    WR_CAUSE_CLOSED, /* closed or reset before a whole head */
    WR_CAUSE_BAD_HEAD,
    WR_CAUSE_BIG_HEAD,
    WR_CAUSE_STATUS,      /* a status that *_next_upstream names */
    WR_CAUSE_TRUNCATED,   /* broke off after its head was accepted */
    WR_CAUSE_CANCELED,    /* the client's end */
    WR_CAUSE_OURS,        /* memory, socket, bind, building the request */
    WR_CAUSE_CLIENT_BODY, /* the client's body was bad: 400, 408, 413 */
    WR_CAUSE_DENIED,      /* *_allow_upstream does not allow the peer */
};

struct wr_retry_in {
    enum wr_cause cause;
    uint16_t status; /* for STATUS */
    uint32_t policy; /* enum wr_up_next */
    bool sent;       /* sending of the request began */
    bool body_lost;  /* a byte of a streamed body went out: it cannot be sent again */
    bool is_reused, got_bytes;
    bool is_unseen; /* nobody at the peer can have read a byte of it (http/stream.h) */
    bool is_idempotent;
    bool client_gone;
    uint32_t tries_left; /* further tries that peers and *_tries allow */
    bool time_left;      /* *_next_upstream_timeout allows */
};

enum wr_retry_action {
    WR_RETRY_NEXT,
    WR_RETRY_SAME,
    WR_RETRY_GIVE_UP
};

/* Why there is no further try. */
enum wr_retry_stop {
    WR_STOP_NONE,
    WR_STOP_FINAL,  /* what happened is never a reason for another try */
    WR_STOP_CLIENT, /* it is gone */
    WR_STOP_BODY,   /* a part of it is gone */
    WR_STOP_METHOD, /* not idempotent, and it may have had effects */
    WR_STOP_POLICY, /* *_next_upstream does not name it */
    WR_STOP_TRIES,
    WR_STOP_TIME,
};

struct wr_retry_out {
    enum wr_retry_action action;
    enum wr_retry_stop stop; /* with GIVE_UP */
    uint16_t status;         /* GIVE_UP: what the client gets; 0: the peer's own response */
    enum wr_outcome outcome; /* for the peer's account */
};

struct wr_retry_out wr_retry_decide(const struct wr_retry_in *in);
/* The *_next_upstream bit of a status, 0 when there is none. */
uint32_t wr_retry_status_bit(unsigned status);
/* The status that $upstream_status shows for an attempt without a valid head: 502 or 504. */
unsigned wr_retry_log_status(enum wr_cause cause);

#endif
