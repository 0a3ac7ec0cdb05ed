/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock.c: listening sockets, and the few calls on sockets that are neither reads nor writes.
 * Nothing here belongs to a loop: any thread.
 */
#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

static bool set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

static bool is_inet(const struct wr_addr *a)
{
    return a->u.sa.sa_family == AF_INET || a->u.sa.sa_family == AF_INET6;
}

static bool set_keepalive_times(int fd, const struct wr_listen_opts *o)
{
    return (o->keepidle == 0 || set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)o->keepidle)) &&
           (o->keepintvl == 0 || set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)o->keepintvl)) &&
           (o->keepcnt == 0 || set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)o->keepcnt));
}

static bool set_buffers(int fd, const struct wr_listen_opts *o)
{
    return (o->rcvbuf == 0 || set_int(fd, SOL_SOCKET, SO_RCVBUF, (int)o->rcvbuf)) &&
           (o->sndbuf == 0 || set_int(fd, SOL_SOCKET, SO_SNDBUF, (int)o->sndbuf));
}

static bool prepare_inet(int fd, const struct wr_listen_opts *o)
{
    if (!set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1)) {
        return false;
    }
    if (o->addr.u.sa.sa_family == AF_INET6 &&
        !set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6only ? 1 : 0)) {
        return false;
    }
    if (o->reuseport && !set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1)) {
        return false;
    }
    if (o->keepalive >= 0 && !set_int(fd, SOL_SOCKET, SO_KEEPALIVE, o->keepalive)) {
        return false;
    }
    if (o->keepalive > 0 && !set_keepalive_times(fd, o)) {
        return false;
    }
    /* Accepted sockets inherit it: one call less for each. */
    if (o->nodelay_inherit && !set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1)) {
        return false;
    }
    /* A kernel without fast open serves all the same. */
    if (o->fastopen >= 0) {
        (void)set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, o->fastopen);
    }
    return true;
}

/* Options that must be there before bind and listen. */
static bool prepare(int fd, const struct wr_listen_opts *o)
{
    return set_buffers(fd, o) && (!is_inet(&o->addr) || prepare_inet(fd, o));
}

/* A socket file that nobody listens on: left behind by a process that died. */
static bool is_stale_unix(const struct wr_addr *a)
{
    struct stat st;
    int fd, rc, err;

    if (a->u.un.sun_path[0] == '\0' || lstat(a->u.un.sun_path, &st) == -1 ||
        !S_ISSOCK(st.st_mode)) {
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return false;
    }
    rc = connect(fd, &a->u.sa, a->len);
    err = errno;
    (void)close(fd);
    return rc == -1 && err == ECONNREFUSED;
}

static int bind_addr(int fd, const struct wr_addr *a)
{
    if (bind(fd, &a->u.sa, a->len) == 0) {
        return 0;
    }
    if (errno != EADDRINUSE || a->u.sa.sa_family != AF_UNIX) {
        return errno;
    }
    if (!is_stale_unix(a) || unlink(a->u.un.sun_path) == -1) {
        return EADDRINUSE;
    }
    return bind(fd, &a->u.sa, a->len) == 0 ? 0 : errno;
}

static bool set_deferred(int fd, bool on)
{
    return set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, on ? 1 : 0);
}

/* A bound socket in *ret_fd, or an errno with the name of the call. */
static int open_bound(const struct wr_listen_opts *o, int *ret_fd, const char **ret_call)
{
    int err = 0;
    int fd = socket(o->addr.u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        *ret_call = "socket()";
        return errno;
    }
    if (!prepare(fd, o)) {
        *ret_call = "setsockopt()";
        err = errno;
    } else {
        *ret_call = "bind()";
        err = bind_addr(fd, &o->addr);
    }
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

enum wr_status wr_sock_listen(const struct wr_listen_opts *o, int *ret_fd, int *ret_errno,
                              const char **ret_call)
{
    const char *call;
    int fd = -1;
    int err = open_bound(o, &fd, &call);

    if (err == 0 && listen(fd, o->backlog) == -1) {
        call = "listen()";
        err = errno;
        (void)close(fd);
    }
    if (err != 0) {
        *ret_errno = err;
        *ret_call = call;
        return WR_ESYS;
    }
    if (o->deferred && is_inet(&o->addr)) {
        /* Only saves a wake; a kernel that refuses serves all the same. */
        (void)set_deferred(fd, true);
    }
    *ret_fd = fd;
    return WR_OK;
}

enum wr_status wr_sock_probe(const struct wr_listen_opts *o, int *ret_errno, const char **ret_call)
{
    struct wr_listen_opts plain = *o;
    const char *call;
    int fd = -1, err;

    WR_ASSERT(is_inet(&o->addr));
    plain.reuseport = false;
    err = open_bound(&plain, &fd, &call);
    if (err != 0) {
        *ret_errno = err;
        *ret_call = call;
        return WR_ESYS;
    }
    /* It never listened: no client can have been caught by it. */
    (void)close(fd);
    return WR_OK;
}

enum wr_status wr_sock_retune(int fd, const struct wr_listen_opts *o)
{
    if (listen(fd, o->backlog) == -1 || !set_buffers(fd, o)) {
        return WR_ESYS;
    }
    if (!is_inet(&o->addr)) {
        return WR_OK;
    }
    return set_deferred(fd, o->deferred) ? WR_OK : WR_ESYS;
}

enum wr_status wr_sock_local(int fd, struct wr_addr *ret)
{
    struct wr_addr a = {.len = sizeof(a.u)};

    if (getsockname(fd, &a.u.sa, &a.len) == -1) {
        return WR_ESYS;
    }
    *ret = a;
    return WR_OK;
}

void wr_sock_ignore_new(int fd)
{
    /* The filter of a TCP socket sees the segment from its header on; byte 13 has the flags. */
    enum {
        FLAGS_AT = 13,
        SYN = 0x02
    };
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {.len = WR_ARRAY_LEN(code), .filter = code};

    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)); /* best effort */
}

void wr_sock_welcome_new(int fd)
{
    (void)set_int(fd, SOL_SOCKET, SO_DETACH_FILTER, 0); /* fails where there is no filter */
}

void wr_sock_set_nodelay(int fd, bool on)
{
    /* Fails on sockets that are not TCP; they need it not. */
    (void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}

void wr_sock_set_cork(int fd, bool on)
{
    /* As above. */
    (void)set_int(fd, IPPROTO_TCP, TCP_CORK, on ? 1 : 0);
}

void wr_sock_set_keepalive(int fd, bool on)
{
    /* A connection without keep-alive probes still works. */
    (void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0);
}

enum wr_status wr_sock_tcpinfo(int fd, struct wr_sock_tcpinfo *ret)
{
    struct tcp_info ti;
    socklen_t len = sizeof(ti);

    memset(&ti, 0, sizeof(ti));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == -1) {
        return WR_ESYS;
    }
    *ret = (struct wr_sock_tcpinfo){.rtt = ti.tcpi_rtt,
                                    .rttvar = ti.tcpi_rttvar,
                                    .snd_cwnd = ti.tcpi_snd_cwnd,
                                    .rcv_space = ti.tcpi_rcv_space};
    return WR_OK;
}

void wr_sock_close(int fd)
{
    if (fd != -1) {
        /* The descriptor is gone in every case. */
        (void)close(fd);
    }
}
