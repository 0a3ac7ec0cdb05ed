/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h: a connection to a peer that speaks some protocol, as the upstream engine sees it.
 * HTTP/1, later HTTP/2, and proto/simple.c (FastCGI and kin) each are one struct wr_codec.
 * Thread-bound.
 *
 *   dial -> CONNECTING -> READY <-> BUSY -> CLOSED      (READY: a stream can be opened)
 *
 * CONNECTING has the TLS handshake in it (wr_pconn_shake, the same for all codecs).
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
#include "base/compiler.h"
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
struct wr_conn;
struct wr_stash;
struct wr_strbuf;
struct wr_tls;
struct wr_tls_target;

/* All of it stays until the pconn left CONNECTING. */
struct wr_dial {
    const struct wr_addr *to;
    const struct wr_connect_opts *opts;
    const struct wr_tls_target *tls; /* NULL: no TLS */
    struct wr_strbuf *why;           /* with tls: gets the reason of a handshake that failed */
};

/* A connection between two threads: what is left of a pconn that was detached. */
struct wr_pconn_seed {
    int fd;
    struct wr_tls *tls; /* NULL: no TLS */
    uint32_t served;
    uint32_t idle_said_ms;
    uint64_t since_ms;
    uint64_t idle_ms;
    uint64_t tx_total; /* bytes that were sent on it */
};

/* What up/idle.c has of a connection that is parked; all of it is its. */
struct wr_idle_entry {
    struct wr_list lru, bucket;
    struct wr_task task; /* the codec's wake: the connection ended */
    struct wr_stash *stash;
    uint64_t peer_id, identity, expires_ms;
};

/* First member of a codec's client-role connection object. */
struct wr_pconn {
    const struct wr_codec *codec;
    struct wr_conn *conn;       /* NULL when CLOSED */
    struct wr_task *user;       /* NULL: nobody */
    uint8_t state;              /* enum wr_pconn_state; written by the codec only */
    uint8_t reason;             /* enum wr_reason behind CLOSED */
    int err;                    /* errno behind CLOSED while connecting */
    const struct wr_dial *dial; /* CONNECTING, until the handshake is over; then NULL */
    uint32_t served;            /* exchanges ended well */
    uint32_t idle_said_ms;      /* how long the peer said that it keeps it idle; 0: it did not */
    uint64_t since_ms;          /* connected at */
    uint64_t idle_ms;           /* parked at; the stash writes it */
    struct wr_idle_entry idle;
};

struct wr_codec {
    const char *name;
    /* As wr_conn_dial; a pconn in CONNECTING (or READY at once) whose user is `user`. */
    enum wr_status (*dial)(const struct wr_codec *codec, const struct wr_dial *d,
                           struct wr_task *user, struct wr_pconn **ret, int *ret_errno);
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

/* For a codec's dial and adopt: a pconn that is CONNECTING. */
void wr_pconn_init(struct wr_pconn *pc, const struct wr_codec *codec, struct wr_conn *conn,
                   struct wr_task *user);
/*
 * For a codec's dial, last: st is what wr_conn_dial gave, WR_OK or WR_AGAIN. WR_OK: it can be READY
 * at once; WR_AGAIN: its task will run.
 */
enum wr_status wr_pconn_begin(struct wr_pconn *pc, const struct wr_dial *d,
                              enum wr_status st) WR_MUST_CHECK;
/*
 * For codecs, on a pconn that is CONNECTING: looks where it is. WR_OK: connected, and the handshake
 * is over, it can be READY; WR_AGAIN: its task will run; else over: WR_ESYS the connection failed
 * (conn->io.err), WR_EPROTO the handshake did, whose reason is told.
 */
enum wr_status wr_pconn_shake(struct wr_pconn *pc) WR_MUST_CHECK;
/* Why it is closed when wr_pconn_shake said so. */
enum wr_reason wr_pconn_shake_reason(enum wr_status st);
/*
 * For a codec's detach, last: what is above the socket goes into the seed. WR_AGAIN: it cannot
 * leave, nothing has changed.
 */
enum wr_status wr_pconn_take_tls(struct wr_pconn *pc, struct wr_pconn_seed *seed) WR_MUST_CHECK;
/* For a codec's adopt, on the connection of the seed's descriptor. */
void wr_pconn_give_tls(struct wr_conn *c, const struct wr_pconn_seed *seed);
/* A connection that nobody has ends. Any thread. */
void wr_pconn_drop_seed(struct wr_pconn_seed *seed);
/* Connected, but not through with the handshake. */
bool wr_pconn_is_shaking(const struct wr_pconn *pc);

#endif
