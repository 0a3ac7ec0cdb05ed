/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock.h: making and tuning listening sockets; the few calls on sockets that are not reads and
 * writes. Used by the supervisor (listeners) and by conn.c.
 */
#ifndef WR_NET_SOCK_H
#define WR_NET_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"

struct wr_listen_opts {
    struct wr_addr addr;
    int backlog;             /* 511 by default, as nginx on Linux */
    uint32_t rcvbuf, sndbuf; /* 0: the system's */
    int fastopen;            /* -1: off */
    bool ipv6only;           /* default on */
    bool reuseport;
    bool deferred;
    bool nodelay_inherit; /* TCP_NODELAY set on the listener, accepted sockets inherit it */
    int8_t keepalive;     /* -1 unset, 0 off, 1 on */
    uint32_t keepidle, keepintvl, keepcnt; /* 0: the system's */
};

/*
 * socket, options, bind, listen; non-blocking, close-on-exec. A stale unix socket file is removed
 * only when nobody listens on it. WR_ESYS: *ret_errno and *ret_call ("bind()", "listen()",
 * "socket()").
 */
enum wr_status wr_sock_listen(const struct wr_listen_opts *o, int *ret_fd, int *ret_errno,
                              const char **ret_call) WR_MUST_CHECK;
/*
 * For a new address with reuseport: SO_REUSEPORT hides "Address already in use", so it is bound
 * once without it and closed again. IP addresses only; results as wr_sock_listen.
 */
enum wr_status wr_sock_probe(const struct wr_listen_opts *o, int *ret_errno,
                             const char **ret_call) WR_MUST_CHECK;
/* Options that may change on a socket that is already listening (backlog, buffers, deferred). */
enum wr_status wr_sock_retune(int fd, const struct wr_listen_opts *o) WR_MUST_CHECK;
enum wr_status wr_sock_local(int fd, struct wr_addr *ret) WR_MUST_CHECK;
/*
 * Who asks for a new connection gets no answer from now on, as if the packet were lost, so that a
 * queue that is emptied stays empty; handshakes that began are completed. It holds for the socket,
 * that is for all who share it, until welcome_new. TCP only; best effort.
 */
void wr_sock_ignore_new(int fd);
void wr_sock_welcome_new(int fd);
void wr_sock_set_nodelay(int fd, bool on);
/* TCP_CORK: only full packets leave until it is off again. */
void wr_sock_set_cork(int fd, bool on);
void wr_sock_set_keepalive(int fd, bool on);

/* For $tcpinfo_*: microseconds, or 0. */
struct wr_sock_tcpinfo {
    uint32_t rtt, rttvar, snd_cwnd, rcv_space;
};
enum wr_status wr_sock_tcpinfo(int fd, struct wr_sock_tcpinfo *ret) WR_MUST_CHECK;
/* Close-on-exec; -1 with errno. */
/* Accepts -1. */
void wr_sock_close(int fd);

#endif
