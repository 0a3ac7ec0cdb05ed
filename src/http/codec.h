/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h: a connection to a peer that speaks some protocol, as the upstream engine sees it.
 * HTTP/1, later HTTP/2, and proto/simple.c (FastCGI and kin) each are one struct wr_codec.
 * Thread-bound.
 *
 *   dial -> CONNECTING -> READY <-> BUSY -> CLOSED      (READY: a stream can be opened)
 *
 * `user` is woken when the state changes: the attempt that dials, or the idle entry of a parked
 * one.
 */
#ifndef WR_HTTP_CODEC_H
#define WR_HTTP_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/list.h"
#include "base/reason.h"
#include "base/status.h"
#include "event/poll.h"
#include "event/task.h"
#include "http/stream.h"

enum wr_pconn_state {
    WR_PCONN_CONNECTING,
    WR_PCONN_READY,
    WR_PCONN_BUSY,
    WR_PCONN_CLOSED
};

struct wr_codec;

/* A connection between two threads: what is left of a pconn that was detached. */
struct wr_pconn_seed {
    int fd;
    uint32_t served;
    uint32_t idle_said_ms;
    uint64_t since_ms;
    uint64_t idle_ms;
    uint64_t tx_total; /* bytes that were sent on it */
};

/* First member of a codec's client-role connection object. */
struct wr_pconn {
    const struct wr_codec *codec;
    struct wr_conn *conn;  /* NULL when CLOSED */
    struct wr_task *user;  /* NULL: nobody */
    uint8_t state;         /* enum wr_pconn_state; written by the codec only */
    uint8_t reason;        /* enum wr_reason behind CLOSED */
    int err;               /* errno behind CLOSED while connecting */
    uint32_t served;       /* exchanges ended well */
    uint32_t idle_said_ms; /* how long the peer said that it keeps it idle; 0: it did not */
    uint64_t since_ms;     /* connected at */
    uint64_t idle_ms;      /* parked at; the stash writes it */
};

struct wr_codec {
    const char *name;
    /* As wr_conn_dial; a pconn in CONNECTING (or READY at once) whose user is `user`. */
    enum wr_status (*dial)(const struct wr_codec *codec, const struct wr_addr *to,
                           const struct wr_connect_opts *opts, struct wr_task *user,
                           struct wr_pconn **ret, int *ret_errno);
    /* READY only: a stream whose heads live in `a`; the pconn is BUSY until it ended. */
    enum wr_status (*open)(struct wr_pconn *pc, struct wr_arena *a, struct wr_task *user,
                           struct wr_stream **ret);
    /* Closes (idempotent); memory at the grave. An open stream is reset with `why`. */
    void (*close)(struct wr_pconn *pc, enum wr_reason why);
    /*
     * Both or none (NULL: connections stay on the thread that dialed). detach: READY only; WR_OK:
     * the descriptor is the caller's and in no loop, the pconn is gone as after close. WR_AGAIN: it
     * cannot leave; nothing has changed (it is no good any more and its task will say so, or
     * something above the socket belongs to the thread).
     */
    enum wr_status (*detach)(struct wr_pconn *pc, struct wr_pconn_seed *ret);
    /* The seed as a READY pconn of this thread. Takes the descriptor in every case. */
    enum wr_status (*adopt)(const struct wr_codec *codec, const struct wr_pconn_seed *seed,
                            const struct wr_addr *to, struct wr_task *user, struct wr_pconn **ret);
};

#endif
