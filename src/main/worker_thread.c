/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_thread.c: a thread that serves: its loop, and the mails it gets. A mail's memory is the
 * receiver's: the thread sends the same one back as its answer, and the control thread frees it.
 *
 * The end: http is told to quit (or stop), then the thread looks every few milliseconds whether its
 * last connection is gone. It says so (down), and leaves its loop when the control thread answers
 * (leave): then no mail for it can be on its way.
 */
#include "main/worker_int.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/loop.h"
#include "http/server.h"
#include "io/kpipe.h"
#include "io/work.h"
#include "observe/access_log.h"
#include "up/idle.h"

#define END_LOOK_MS  20
#define WORKS_END_MS 1000u /* a worker that does not end is killed after five seconds */

struct adopt_mail {
    struct wr_mail mail; /* first */
    struct wr_worker_thread *thread;
    struct wr_gen *gen; /* one reference until it was adopted */
    enum wr_status status;
};

struct end_mail {
    struct wr_mail mail; /* first */
    struct wr_worker_thread *thread;
    enum wr_worker_end how;
    uint64_t no;
};

static void run_up(struct wr_mail *m)
{
    struct wr_worker_thread *t = wr_container_of(m, struct wr_worker_thread, up);

    t->is_up = true;
    wr_worker_note_up(t->worker);
}

/* On the thread. */
static void run_leave(struct wr_mail *m)
{
    (void)m; /* part of the thread's struct */
    wr_loop_stop(wr_loop_get());
}

static void run_down(struct wr_mail *m)
{
    struct wr_worker_thread *t = wr_container_of(m, struct wr_worker_thread, down);

    t->is_down = true;
    if (t->is_up) {
        t->leave.run = run_leave;
        wr_mailbox_post(t->mailbox, &t->leave);
    }
    wr_worker_note_down(t->worker);
}

/* On the thread: the last connection may be gone. */
static void look_for_end(struct wr_task *task)
{
    struct wr_worker_thread *t = wr_container_of(task, struct wr_worker_thread, _task);

    if (wr_http_conn_cnt() == 0 && wr_http_req_cnt() == 0) {
        if (!t->_is_told) {
            t->_is_told = true;
            wr_mailbox_post(t->worker->mailbox, &t->down);
        }
        return;
    }
    wr_timer_arm(&t->_timer, wr_now_ms() + END_LOOK_MS);
}

static void pin(const struct wr_worker_thread *t)
{
    const struct wr_main_affinity *a = &wr_main_conf_of(t->worker->coming)->affinity;
    cpu_set_t set;
    int cpu = -1;

    if (a->cnt == 0 && !a->is_auto) {
        return;
    }
    if (!a->is_auto) {
        set = a->at[t->no < a->cnt ? t->no : a->cnt - 1];
    } else {
        cpu_set_t from;
        unsigned want;

        if (a->cnt > 0) {
            from = a->at[0];
        } else if (sched_getaffinity(0, sizeof(from), &from) != 0) {
            return;
        }
        if (CPU_COUNT(&from) == 0) {
            return;
        }
        want = t->no % (unsigned)CPU_COUNT(&from);
        do {
            cpu++;
            want -= CPU_ISSET(cpu, &from) ? 1 : 0;
        } while (want != UINT32_MAX);
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
    }
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0) {
        wr_log(NULL, WR_LOG_ALERT, "thread %u: its CPUs could not be set", t->no);
    }
}

static void run_thread(void *data)
{
    struct wr_worker_thread *t = data;
    struct wr_poll *poll;
    struct wr_loop *loop = NULL;

    pin(t);
    poll = wr_poll_epoll_new();
    if (poll != NULL) {
        loop = wr_loop_new(poll);
    }
    if (loop == NULL) {
        wr_log_errno(NULL, WR_LOG_EMERG, errno, "thread %u: no event loop", t->no);
        wr_mailbox_post(t->worker->mailbox, &t->down);
        return;
    }
    wr_task_init(&t->_task, look_for_end, "end of thread");
    wr_timer_init(&t->_timer, &t->_task);
    t->mailbox = wr_mailbox_of_loop();
    wr_mailbox_post(t->worker->mailbox, &t->up);
    if (t->guest != NULL) {
        wr_guest_enter(t->guest);
    }
    wr_loop_run(loop);
    if (t->guest != NULL) {
        wr_guest_leave(t->guest);
    }
    wr_http_stop(); /* lets the generation go */
    wr_idle_thread_end();
    /* What closed in the last turn is freed; nothing new can come. */
    for (int i = 0; i < 4; i++) {
        wr_loop_turn(loop, 0);
    }
    t->has_works = !wr_work_thread_end(WORKS_END_MS);
    wr_access_log_flush();
    wr_kpipe_thread_end();
    wr_timer_fini(&t->_timer);
    wr_task_cancel(&t->_task);
    if (!t->has_works) {
        wr_loop_free(loop);
    }
}

enum wr_status wr_worker_start_threads(struct wr_worker *w, const struct wr_main_conf *mc)
{
    struct rlimit fds;

    wr_idle_set_threads(mc->threads);
    if (getrlimit(RLIMIT_NOFILE, &fds) == 0) {
        wr_kpipe_limit_fds(fds.rlim_cur);
    }
    w->threads = wr_mem_alloc(mc->threads * sizeof(*w->threads));
    w->serves_here = mc->threads == 1 && w->has_signals;
    for (unsigned i = 0; i < mc->threads; i++) {
        struct wr_worker_thread *t = &w->threads[i];
        enum wr_status st;

        *t = (struct wr_worker_thread){
            .worker = w, .no = i, .up = {.run = run_up}, .down = {.run = run_down}};
        if (w->serves_here) {
            w->thread_cnt = 1;
            wr_loop_stop(wr_loop_get());
            return WR_OK;
        }
        st = wr_thread_start(&t->thread, i, "weir worker", run_thread, t);
        if (st != WR_OK) {
            wr_log(NULL, WR_LOG_EMERG, "thread %u could not be started: %s", i, wr_status_name(st));
            return st;
        }
        w->thread_cnt++;
    }
    wr_thread_step_aside(); /* what this thread builds from now on, it builds beside traffic */
    return WR_OK;
}

void wr_worker_serve_here(struct wr_worker *w)
{
    struct wr_worker_thread *t = &w->threads[0];
    struct wr_guest guest;

    wr_loop_get()->want_stop = false; /* the stop was for us */
    wr_guest_init(&guest, "weir control");
    t->guest = &guest;
    wr_thread_here(&t->thread, t->no, run_thread, t);
    wr_guest_fini(&guest);
    t->guest = NULL;
}

/* On the control thread: the answer. */
static void run_adopted(struct wr_mail *m)
{
    struct adopt_mail *a = wr_container_of(m, struct adopt_mail, mail);
    struct wr_worker *w = a->thread->worker;
    enum wr_status st = a->status;

    wr_gen_unref(a->gen);
    wr_mem_free(a);
    wr_worker_note_adopted(w, st);
}

/* On the thread, at the mail point. */
static void run_adopt(struct wr_mail *m)
{
    struct adopt_mail *a = wr_container_of(m, struct adopt_mail, mail);

    a->status = wr_http_adopt(a->gen, a->thread->no);
    wr_loop_get()->watchdog.limit_ms = wr_main_conf_of(a->gen)->stall_threshold_ms;
    a->mail.run = run_adopted;
    wr_mailbox_post(a->thread->worker->mailbox, &a->mail);
}

void wr_worker_post_adopt(struct wr_worker *w, struct wr_gen *g)
{
    for (unsigned i = 0; i < w->thread_cnt; i++) {
        struct adopt_mail *a = wr_mem_alloc(sizeof(*a));

        a->mail.run = run_adopt;
        a->thread = &w->threads[i];
        a->gen = wr_gen_ref(g);
        wr_mailbox_post(a->thread->mailbox, &a->mail);
    }
}

/* A copy of `what` to each thread that runs. */
static unsigned post_each(struct wr_worker *w, void (*run)(struct wr_mail *m), struct end_mail what)
{
    unsigned cnt = 0;

    for (unsigned i = 0; i < w->thread_cnt; i++) {
        struct wr_worker_thread *t = &w->threads[i];
        struct end_mail *e;

        /* A mailbox lives as long as its loop: one that is down gets no mail. */
        if (!t->is_up || t->is_down) {
            continue;
        }
        e = wr_mem_alloc(sizeof(*e));
        *e = what;
        e->mail.run = run;
        e->thread = t;
        wr_mailbox_post(t->mailbox, &e->mail);
        cnt++;
    }
    return cnt;
}

/* On the control thread: the answer. */
static void run_removed(struct wr_mail *m)
{
    struct end_mail *e = wr_container_of(m, struct end_mail, mail);
    struct wr_worker *w = e->thread->worker;
    uint64_t no = e->no;

    wr_mem_free(e);
    wr_worker_note_removed(w, no);
}

/* On the thread. */
static void run_close_removed(struct wr_mail *m)
{
    struct end_mail *e = wr_container_of(m, struct end_mail, mail);

    wr_http_close_removed();
    if (e->no == 0) {
        wr_mem_free(e);
        return;
    }
    m->run = run_removed;
    wr_mailbox_post(e->thread->worker->mailbox, m);
}

unsigned wr_worker_post_close_removed(struct wr_worker *w, uint64_t no)
{
    return post_each(w, run_close_removed, (struct end_mail){.no = no});
}

static void run_end_old(struct wr_mail *m)
{
    struct end_mail *e = wr_container_of(m, struct end_mail, mail);
    unsigned cnt = wr_http_end_old(e->no);

    if (cnt > 0) {
        wr_log(NULL, WR_LOG_WARN,
               "thread %u: %u requests of configuration %llu and before were ended", e->thread->no,
               cnt, (unsigned long long)e->no);
    }
    wr_mem_free(e);
}

void wr_worker_post_end_old(struct wr_worker *w, uint64_t no)
{
    (void)post_each(w, run_end_old, (struct end_mail){.no = no});
}

/* On the control thread: the answer. */
static void run_closed(struct wr_mail *m)
{
    struct end_mail *e = wr_container_of(m, struct end_mail, mail);
    struct wr_worker_thread *t = e->thread;

    wr_mem_free(e);
    t->has_closed = true;
    wr_worker_note_closed(t->worker);
}

/* On the thread. */
static void run_end(struct wr_mail *m)
{
    struct end_mail *e = wr_container_of(m, struct end_mail, mail);
    struct wr_worker_thread *t = e->thread;

    if (e->how == WR_WORKER_STOP) {
        wr_http_stop();
    } else if (!t->_is_ending) {
        wr_http_quit(WR_QUIT_GRACE_MS);
    }
    t->_is_ending = true;
    m->run = run_closed;
    wr_mailbox_post(t->worker->mailbox, m);
    wr_task_wake(&t->_task);
}

void wr_worker_post_end(struct wr_worker *w, enum wr_worker_end how)
{
    (void)post_each(w, run_end, (struct end_mail){.how = how});
}
