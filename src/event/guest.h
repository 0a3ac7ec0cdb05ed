/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.h: a loop that seldom has work, and a thread only while it has. Meanwhile another loop, its
 * host, watches the guest's poll descriptor and its first timer. When there is work a thread is
 * started that takes the guest's wr_local and turns the loop until nothing has come for
 * WR_GUEST_STAY_MS, then says so and ends.
 *
 *   asleep --event, mail, timer--> awake: a thread of its own --nothing to do--> asleep
 *
 * Why: two threads share the table of descriptors, and every send and receive of the host pays for
 * that as long as both exist (docs/performance.md). Everything here is called on the host's thread.
 */
#ifndef WR_EVENT_GUEST_H
#define WR_EVENT_GUEST_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "event/mailbox.h"
#include "event/poll.h"
#include "event/task.h"
#include "event/thread.h"
#include "event/timer.h"

#define WR_GUEST_STAY_MS 200

struct wr_local;
struct wr_loop;

struct wr_guest {
    const char *name;       /* of its thread */
    struct wr_local *local; /* the guest's; NULL while its thread has it */
    struct wr_loop *loop;
    cpu_set_t cpus; /* of the guest's thread, whatever the host's is bound to */
    struct wr_thread thread;
    struct wr_mailbox *host;
    int poll_fd;     /* a duplicate of the guest's poll descriptor; -1: none was to be had */
    struct wr_io io; /* asleep: poll_fd, NOTIFY */
    struct wr_task task;
    struct wr_timer timer;
    struct wr_mail asleep; /* from the guest's thread, its last act */
    uint64_t next_ms;      /* with that mail: the guest's first timer; 0: none */
    bool is_awake, has_left;
    bool has_failed; /* the last thread could not be started */
};

/* The calling thread's loop, made by wr_poll_epoll_new, becomes a guest; the thread has no wr_local
 * then. */
void wr_guest_init(struct wr_guest *g, const char *name);
/* The calling thread's loop is the host from now on. */
void wr_guest_enter(struct wr_guest *g);
/* No longer. When the guest is awake, waits until it has nothing to do or its loop was told to
 * stop.
 */
void wr_guest_leave(struct wr_guest *g);
/* The guest's loop is the calling thread's again, which has no wr_local. */
void wr_guest_fini(struct wr_guest *g);

#endif
