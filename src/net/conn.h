/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h: a connection: a stack of links on one io, one task, one timer, one reason to end. Made by
 * a listener (client side) or a dial (peer side), owned by the codec connection attached to it.
 * Ends by wr_conn_close, memory at the grave. Thread-bound.
 *
 * An idle client connection is struct wr_conn + struct wr_h1_conn and nothing else (sum <= 640 B).
 */
#ifndef WR_NET_CONN_H
#define WR_NET_CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/status.h"
#include "event/grave.h"
#include "event/poll.h"
#include "event/task.h"
#include "event/timer.h"
#include "net/link.h"

#define WR_CONN_MAGIC 0x636f6e6eu

struct wr_proxied;

/* An address in few bytes; unix clients have no name worth keeping. */
union wr_addr46 {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct wr_conn {
    uint32_t magic;
    uint32_t _size; /* of the whole allocation */
    bool is_closed;
    bool is_failed; /* its end is none that the other side is told of by links */
    bool is_tls;    /* accepted where TLS is spoken, whether the client does or not */
    bool is_debug;  /* of a client that debug_connection names; set by who accepts */
    uint64_t no;    /* serial number in the process: $connection, "*17" in logs */
    struct wr_io io;
    struct wr_link sock_link; /* bottom */
    struct wr_link *link;     /* top */
    struct wr_task task;      /* run by whoever is attached (the codec) */
    struct wr_timer timer;
    struct wr_grave grave;
    union wr_addr46 peer;       /* client's address, or the peer's */
    union wr_addr46 local;      /* family 0 until asked for */
    uint64_t since_ms;          /* accepted or connected at */
    struct wr_proxied *proxied; /* one reference; NULL: no header of the PROXY protocol */
};

/*
 * For an accepted descriptor (taken in every case). run/name: the attached owner's task.
 * The owner embeds what it needs beside the conn: `size` bytes are allocated in one piece, the conn
 * first, the rest zeroed. WR_ENOMEM, WR_ESYS: nothing was made.
 */
enum wr_status wr_conn_open(int fd, const struct wr_addr *peer, size_t size, wr_task_fn *run,
                            const char *name, struct wr_conn **ret) WR_MUST_CHECK;

/* Who a dialed connection is for: as size, run, name of wr_conn_open. */
struct wr_conn_owner {
    size_t size;
    wr_task_fn *run;
    const char *name;
};

/*
 * Starts a connection to a peer. WR_OK or WR_AGAIN: *ret is set (look at wr_conn_is_connected when
 * the task runs). WR_ESYS: *ret_errno says why, nothing was made; WR_ECONFIG: likewise, and it was
 * our own side (socket, its options, bind). WR_ENOMEM.
 */
enum wr_status wr_conn_dial(const struct wr_addr *to, const struct wr_connect_opts *opts,
                            const struct wr_conn_owner *owner, struct wr_conn **ret,
                            int *ret_errno) WR_MUST_CHECK;
/* Still connecting: false. Refused and so on: facts ERR with io.err. */
bool wr_conn_is_connected(const struct wr_conn *c);
/* Another owner's task (a parked connection that is taken again). */
void wr_conn_set_run(struct wr_conn *c, wr_task_fn *run, const char *name);
/*
 * Closes links and io, stops task and timer, buries the whole allocation. Idempotent. The task
 * does not run any more, also when somebody wakes it later in the turn.
 */
void wr_conn_close(struct wr_conn *c, enum wr_io_close_how how);
/*
 * The descriptor out of this thread's set, for a wr_conn_open on another thread; the rest ends as
 * by wr_conn_close. Connected, nothing received and no fact pending, nothing above the socket's
 * link.
 */
int wr_conn_detach(struct wr_conn *c);
/* l, whose next is the top, is the top from now on; the connection closes it. */
void wr_conn_push(struct wr_conn *c, struct wr_link *l);
/* The top, not the socket's, is the caller's from now on. */
void wr_conn_pop(struct wr_conn *c);
/* Are bytes here that were not taken? */
bool wr_conn_has_bytes(const struct wr_conn *c);
/* Are they, or will some come: would closing now destroy what is on its way to the other side? */
bool wr_conn_is_sent_to(const struct wr_conn *c);

/*
 * Between two exchanges: has the other side said what nobody asked for, or ended? What it said to a
 * link (TLS has messages of its own) is taken.
 */
enum wr_conn_quiet {
    WR_CONN_QUIET,
    WR_CONN_SPOKE,
    WR_CONN_OVER
};

/* For wr_conn_look. */
enum wr_conn_quiet wr_conn_look_close(struct wr_conn *c);

static inline enum wr_conn_quiet wr_conn_look(struct wr_conn *c)
{
    bool is_plain = c->link == &c->sock_link && c->io.rx == NULL &&
                    (c->io.facts & (WR_IO_EOF | WR_IO_ERR | WR_IO_RDHUP | WR_IO_HUP)) == 0;

    return WR_LIKELY(is_plain) ? WR_CONN_QUIET : wr_conn_look_close(c);
}

/* wr_io_want_in, which knows of the io only. */
void wr_conn_want_in(struct wr_conn *c, bool on);
/* Full addresses; the local one costs one getsockname the first time. family 0 for unix. */
void wr_conn_peer_addr(const struct wr_conn *c, struct wr_addr *ret);
void wr_conn_local_addr(struct wr_conn *c, struct wr_addr *ret);

WR_MUST_CHECK static inline enum wr_status wr_conn_recv(struct wr_conn *c, size_t max,
                                                        struct wr_chunk **ret_c, uint32_t *ret_off,
                                                        uint32_t *ret_len)
{
    /* The socket's own, most often in vain, need not go by the link. */
    return c->link == &c->sock_link ? wr_io_take(&c->io, max, ret_c, ret_off, ret_len)
                                    : c->link->ops->recv(c->link, max, ret_c, ret_off, ret_len);
}

WR_MUST_CHECK static inline enum wr_status wr_conn_send(struct wr_conn *c, const struct iovec *iov,
                                                        int cnt, size_t *ret_n)
{
    return c->link == &c->sock_link ? wr_io_send(&c->io, iov, cnt, ret_n)
                                    : c->link->ops->send(c->link, iov, cnt, ret_n);
}

#endif
