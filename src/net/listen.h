/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.h: one thread's side of a listening socket. The descriptor belongs to the listener fixture
 * (main); each thread has a wr_listener on it, or on its own SO_REUSEPORT socket. The task is woken
 * when connections wait; the owner pulls them, at most 64 a run. When descriptors run out accepting
 * pauses (U14.6), says so once, and resumes 500 ms later or as soon as the owner, who closed one,
 * calls resume.
 */
#ifndef WR_NET_LISTEN_H
#define WR_NET_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "event/poll.h"
#include "event/task.h"
#include "event/timer.h"

#define WR_LISTEN_PULL_MAX 64

struct wr_listener {
    struct wr_io io;
    struct wr_timer pause;
    bool is_paused;
    bool was_starved;       /* EMFILE was logged and accepting has not worked since */
    uint64_t _resume_at_ms; /* end of a pause for want of descriptors; 0: none */
};

/* fd is a duplicate that the listener closes (also when this fails, by wr_listener_close). */
enum wr_status wr_listener_open(struct wr_listener *l, int fd, struct wr_task *task) WR_MUST_CHECK;
/*
 * The address goes away for good: new connections get no answer, not even while other holders of
 * the socket have not closed it yet. Whoever opens a listener on the socket again undoes it.
 */
void wr_listener_ignore_new(struct wr_listener *l);
/* Idempotent. Connections in the queue stay for other holders of the socket. */
void wr_listener_close(struct wr_listener *l);
/*
 * Next connection. WR_AGAIN: none, or paused. WR_ELIMIT: paused just now for the first time since
 * accepting last worked (log it: *ret_errno); later pauses of the same dearth are silent.
 */
enum wr_status wr_listener_pull(struct wr_listener *l, int *ret_fd, struct wr_addr *ret_peer,
                                int *ret_errno) WR_MUST_CHECK;
/* worker_connections reached: no accepting until resume. */
void wr_listener_pause(struct wr_listener *l);
/* Also ends a pause for want of descriptors: call it when one was closed. */
void wr_listener_resume(struct wr_listener *l);

#endif
