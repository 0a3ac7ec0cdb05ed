/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c: an epoll instance apart from those of the loops. Events are one-shot: an end cannot be
 * switched off otherwise, and whoever asked has the number. Any thread, under the caller's lock.
 */
#include "event/watch.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"

#define WATCH_BATCH 64

enum wr_status wr_watch_open(struct wr_watch *w)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd == -1) {
        return WR_ESYS;
    }
    w->fd = fd;
    return WR_OK;
}

void wr_watch_close(struct wr_watch *w)
{
    if (w->fd != -1) {
        (void)close(w->fd); /* an epoll instance has nothing to lose */
        w->fd = -1;
    }
}

enum wr_status wr_watch_attach(struct wr_watch *w, int fd, uint64_t no)
{
    struct epoll_event ev = {.events =
                                 (uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLONESHOT,
                             .data = {.u64 = no}};

    return epoll_ctl(w->fd, EPOLL_CTL_ADD, fd, &ev) == -1 ? WR_ESYS : WR_OK;
}

void wr_watch_detach(struct wr_watch *w, int fd)
{
    (void)WR_WARN_ON(epoll_ctl(w->fd, EPOLL_CTL_DEL, fd, NULL) == -1);
}

enum wr_status wr_watch_want(struct wr_watch *w, int fd, uint64_t no, unsigned want)
{
    struct epoll_event ev = {.data = {.u64 = no}};

    ev.events |= (want & WR_WATCH_IN) != 0 ? (uint32_t)EPOLLIN : 0;
    ev.events |= (want & WR_WATCH_OUT) != 0 ? (uint32_t)EPOLLOUT : 0;
    if (want == WR_WATCH_NOTHING) {
        (void)epoll_ctl(w->fd, EPOLL_CTL_DEL, fd, NULL); /* it may never have been there */
        return WR_OK;
    }
    if (epoll_ctl(w->fd, EPOLL_CTL_MOD, fd, &ev) == 0) {
        return WR_OK;
    }
    return epoll_ctl(w->fd, EPOLL_CTL_ADD, fd, &ev) == -1 ? WR_ESYS : WR_OK;
}

size_t wr_watch_get(struct wr_watch *w, uint64_t *ret_no, size_t max)
{
    struct epoll_event ev[WATCH_BATCH];
    int n;

    do {
        n = epoll_wait(w->fd, ev, (int)WR_MIN(max, (size_t)WATCH_BATCH), 0);
    } while (n == -1 && errno == EINTR);
    if (WR_WARN_ON(n == -1)) {
        return 0;
    }
    for (int i = 0; i < n; i++) {
        ret_no[i] = ev[i].data.u64;
    }
    return (size_t)n;
}
