/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.c: a thread's side of a listening socket, see listen.h. Two kinds of pause: by the owner
 * (until resume), and for want of descriptors (until the time, or resume). A paused listener is out
 * of the poll's set, so a waiting connection wakes nobody. Owner thread only.
 */
#include "net/listen.h"

#include <errno.h>

#include "base/clock.h"
#include "base/stat.h"
#include "net/sock.h"

#define LISTEN_PAUSE_MS 500

enum wr_status wr_listener_open(struct wr_listener *l, int fd, struct wr_task *task)
{
    *l = (struct wr_listener){.is_paused = false};
    wr_sock_welcome_new(fd); /* an older process may have given it up */
    wr_io_init(&l->io, WR_IO_LISTEN, task);
    wr_timer_init(&l->pause, task);
    return wr_io_adopt(&l->io, fd);
}

void wr_listener_ignore_new(struct wr_listener *l)
{
    wr_sock_ignore_new(l->io.fd);
}

void wr_listener_close(struct wr_listener *l)
{
    wr_timer_fini(&l->pause);
    wr_io_close(&l->io, WR_IO_CLOSE_FIN);
}

void wr_listener_pause(struct wr_listener *l)
{
    l->is_paused = true;
    l->_resume_at_ms = 0;
    wr_timer_disarm(&l->pause);
    wr_io_want_in(&l->io, false);
}

void wr_listener_resume(struct wr_listener *l)
{
    if (!l->is_paused) {
        return;
    }
    l->is_paused = false;
    l->_resume_at_ms = 0;
    wr_timer_disarm(&l->pause);
    wr_io_want_in(&l->io, true);
}

enum wr_status wr_listener_pull(struct wr_listener *l, int *ret_fd, struct wr_addr *ret_peer,
                                int *ret_errno)
{
    enum wr_status st;

    if (l->io.fd == -1) {
        return WR_AGAIN;
    }
    if (l->is_paused && wr_deadline_is_due(l->_resume_at_ms, wr_now_ms())) {
        wr_listener_resume(l);
    }
    if (l->is_paused) {
        return WR_AGAIN;
    }
    st = wr_io_accept(&l->io, ret_fd, ret_peer);
    if (st == WR_OK) {
        l->was_starved = false;
        return WR_OK;
    }
    if (st == WR_AGAIN) {
        return WR_AGAIN;
    }
    *ret_errno = l->io.err;
    /* Any other failure would come at once again too. */
    wr_listener_pause(l);
    l->_resume_at_ms = wr_now_ms() + LISTEN_PAUSE_MS;
    wr_timer_arm(&l->pause, l->_resume_at_ms);
    if (l->was_starved) {
        return WR_AGAIN;
    }
    wr_stat_inc(WR_CNT_ACCEPT_PAUSED);
    l->was_starved = true;
    return WR_ELIMIT;
}
