/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.c: see guest.h. The descriptor is watched only while the guest sleeps: the host's poll is
 * level-triggered and would tell of each event that the guest's thread is about to take. What came
 * between the guest's last look and the host's first one is there for that first one to see.
 */
#include "event/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/local.h"
#include "base/log.h"
#include "event/loop.h"

#define AGAIN_MS 100u /* after a thread that could not be started */

static void run_asleep(struct wr_mail *m);

/* On the guest's thread. */
static void run_thread(void *data)
{
    struct wr_guest *g = data;
    uint64_t next_ms;

    wr_local_fini(); /* the thread's own, which nobody used */
    wr_local_put_on(wr_take(&g->local));
    (void)pthread_setaffinity_np(pthread_self(), sizeof(g->cpus), &g->cpus);
    wr_thread_step_aside();
    do {
        wr_loop_turn(g->loop, WR_GUEST_STAY_MS);
    } while (!g->loop->want_stop && (g->loop->runs > 0 || !wr_loop_is_idle(g->loop)));
    next_ms = wr_loop_next_timer(g->loop);
    g->local = wr_local_take_off();
    if (!g->loop->want_stop) {
        g->next_ms = next_ms;
        g->asleep.run = run_asleep;
        wr_mailbox_post(g->host, &g->asleep);
    }
}

/* Not wr_io_close: a descriptor of an open file that has others stays in the host's set. */
static void stop_watching(struct wr_guest *g)
{
    if (g->io.fd != -1) {
        (void)wr_io_detach(&g->io); /* poll_fd */
    }
}

static void wake(struct wr_guest *g)
{
    enum wr_status st;

    wr_timer_disarm(&g->timer);
    stop_watching(g);
    st = wr_thread_start(&g->thread, UINT32_MAX, g->name, run_thread, g);
    if (st != WR_OK) {
        if (!g->has_failed) {
            wr_log(NULL, WR_LOG_ALERT, "thread \"%s\" could not be started: %s", g->name,
                   wr_status_name(st));
        }
        g->has_failed = true;
        wr_timer_arm(&g->timer, wr_now_ms() + AGAIN_MS);
        return;
    }
    g->has_failed = false;
    g->is_awake = true;
}

static void run_host(struct wr_task *t)
{
    struct wr_guest *g = wr_container_of(t, struct wr_guest, task);

    if (!g->is_awake) {
        wake(g);
    }
}

static enum wr_status watch(struct wr_guest *g)
{
    if (g->poll_fd == -1) {
        g->poll_fd = fcntl(wr_poll_epoll_fd(g->loop->poll), F_DUPFD_CLOEXEC, 0);
    }
    if (g->poll_fd == -1) {
        return WR_ESYS;
    }
    wr_io_init(&g->io, WR_IO_NOTIFY, &g->task);
    if (wr_io_adopt(&g->io, g->poll_fd) != WR_OK) {
        wr_io_close(&g->io, WR_IO_CLOSE_FIN);
        g->poll_fd = -1;
        return WR_ESYS;
    }
    return WR_OK;
}

/* On the host's thread. */
static void run_asleep(struct wr_mail *m)
{
    struct wr_guest *g = wr_container_of(m, struct wr_guest, asleep);
    uint64_t next_ms = g->next_ms;

    if (g->has_left) {
        return;
    }
    wr_thread_join(&g->thread); /* it has nothing left to do */
    g->is_awake = false;
    if (watch(g) != WR_OK) {
        next_ms = wr_now_ms() + AGAIN_MS; /* out of descriptors: looks now and then */
    }
    if (next_ms != 0) {
        wr_timer_arm(&g->timer, next_ms);
    }
}

void wr_guest_init(struct wr_guest *g, const char *name)
{
    *g = (struct wr_guest){.name = name, .loop = wr_loop_get(), .poll_fd = -1};
    WR_ASSERT(g->loop != NULL);
    g->poll_fd = fcntl(wr_poll_epoll_fd(g->loop->poll), F_DUPFD_CLOEXEC, 0);
    if (sched_getaffinity(0, sizeof(g->cpus), &g->cpus) != 0) {
        CPU_ZERO(&g->cpus); /* refused later, and so without effect */
    }
    g->local = wr_local_take_off();
}

void wr_guest_enter(struct wr_guest *g)
{
    g->host = wr_mailbox_of_loop();
    wr_task_init(&g->task, run_host, "guest");
    wr_timer_init(&g->timer, &g->task);
    wr_io_init(&g->io, WR_IO_NOTIFY, &g->task);
    wake(g); /* it may have work left from before */
}

void wr_guest_leave(struct wr_guest *g)
{
    if (g->is_awake) {
        wr_thread_join(&g->thread);
        g->is_awake = false;
    }
    g->has_left = true;
    stop_watching(g);
    wr_timer_fini(&g->timer);
    wr_task_cancel(&g->task);
}

void wr_guest_fini(struct wr_guest *g)
{
    if (g->poll_fd != -1) {
        (void)close(g->poll_fd);
    }
    wr_local_put_on(wr_take(&g->local));
}
