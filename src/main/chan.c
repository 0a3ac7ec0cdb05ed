/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chan.c: see chan.h. One sendmsg a message; the descriptor travels as SCM_RIGHTS. A worker that
 * does not read for ten seconds is as good as dead: the sender learns it and the supervisor goes
 * on.
 */
#include "main/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHAN_MAGIC   0x7772636du
#define SEND_WAIT_MS 10000

struct head {
    uint32_t magic;
    uint32_t type;
    uint64_t no;
};

union control {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

enum wr_status wr_chan_open(int *ret_here, int *ret_there)
{
    int p[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) == -1) {
        return WR_ESYS;
    }
    if (fcntl(p[0], F_SETFL, O_NONBLOCK) == -1 || fcntl(p[1], F_SETFL, O_NONBLOCK) == -1) {
        (void)close(p[0]);
        (void)close(p[1]);
        return WR_ESYS;
    }
    *ret_here = p[0];
    *ret_there = p[1];
    return WR_OK;
}

static void attach_fd(struct msghdr *m, union control *c, int fd)
{
    struct cmsghdr *cm;

    memset(c, 0, sizeof(*c));
    m->msg_control = c->room;
    m->msg_controllen = sizeof(c->room);
    cm = CMSG_FIRSTHDR(m);
    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
}

static enum wr_status wait_room(int chan)
{
    struct pollfd p = {.fd = chan, .events = POLLOUT};
    int rc = poll(&p, 1, SEND_WAIT_MS);

    if (rc == 0) {
        return WR_ETIMEDOUT;
    }
    return rc > 0 || errno == EINTR ? WR_OK : WR_ESYS;
}

enum wr_status wr_chan_try(int chan, enum wr_chan_type type, uint64_t no, struct wr_str text,
                           int fd)
{
    struct head h = {CHAN_MAGIC, (uint32_t)type, no};
    char room[sizeof(h) + WR_CHAN_TEXT_MAX];
    struct iovec iov = {.iov_base = room, .iov_len = sizeof(h) + text.len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    union control c;

    if (text.len > WR_CHAN_TEXT_MAX) {
        return WR_ELIMIT;
    }
    memcpy(room, &h, sizeof(h));
    if (text.len > 0) {
        memcpy(room + sizeof(h), text.ptr, text.len);
    }
    if (fd != -1) {
        attach_fd(&m, &c, fd);
    }
    while (sendmsg(chan, &m, MSG_NOSIGNAL) == -1) {
        if (errno == EAGAIN) {
            return WR_AGAIN;
        }
        if (errno != EINTR) {
            return errno == EPIPE || errno == ECONNRESET ? WR_EPEERGONE : WR_ESYS;
        }
    }
    return WR_OK;
}

enum wr_status wr_chan_send(int chan, enum wr_chan_type type, uint64_t no, struct wr_str text,
                            int fd)
{
    enum wr_status st;

    while ((st = wr_chan_try(chan, type, no, text, fd)) == WR_AGAIN) {
        st = wait_room(chan);
        if (st != WR_OK) {
            return st;
        }
    }
    return st;
}

/* The descriptor in a message, or -1; there is at most one. */
static int take_fd(struct msghdr *m)
{
    struct cmsghdr *cm = CMSG_FIRSTHDR(m);
    int fd = -1;

    if (cm != NULL && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS &&
        cm->cmsg_len == CMSG_LEN(sizeof(fd))) {
        memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
    }
    return fd;
}

enum wr_status wr_chan_recv(int chan, struct wr_chan_msg *ret)
{
    struct head h;
    struct iovec iov[2] = {
        {.iov_base = &h,        .iov_len = sizeof(h)        },
        {.iov_base = ret->room, .iov_len = sizeof(ret->room)}
    };
    union control c;
    struct msghdr m = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = c.room, .msg_controllen = sizeof(c.room)};
    ssize_t n;
    int fd;

    /*
     * ECONNRESET, once: the other end has closed without reading all that it was sent. What it said
     * before that comes behind.
     */
    do {
        n = recvmsg(chan, &m, MSG_CMSG_CLOEXEC);
    } while (n == -1 && (errno == EINTR || errno == ECONNRESET));
    if (n == -1) {
        return errno == EAGAIN ? WR_AGAIN : WR_EPEERGONE;
    }
    if (n == 0) {
        return WR_EPEERGONE;
    }
    fd = take_fd(&m);
    if ((size_t)n < sizeof(h) || h.magic != CHAN_MAGIC || (m.msg_flags & MSG_TRUNC) != 0 ||
        h.type < WR_CHAN_LOG || h.type > WR_CHAN_ANSWER) {
        if (fd != -1) {
            (void)close(fd);
        }
        return WR_EPROTO;
    }
    ret->type = (enum wr_chan_type)h.type;
    ret->no = h.no;
    ret->fd = fd;
    ret->text = wr_str(ret->room, (size_t)n - sizeof(h));
    return WR_OK;
}
