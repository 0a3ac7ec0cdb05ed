/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c: the turn of a loop, see loop.h.
 *
 *   wait -> clock -> due timers, mail -> [batch of events -> run queue until empty]* -> graves
 *
 * Timers and mail only wake tasks; the first batch performs its receives before those tasks run, so
 * a deadline that came due while bytes were waiting finds the bytes. A spent budget leaves events
 * in the poll and tasks in the queue; the next turn does not wait. Owner thread only.
 */
#include "event/loop.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/local.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/recorder.h"
#include "base/stat.h"
#include "base/sync.h"
#include "event/event_int.h"
#include "event/task.h"

#define LOOP_MAGIC       0x6c6f6f70u
#define LOOP_BUDGET_RUNS 256u
#define LOOP_BUDGET_US   2000u

struct wr_loop *wr_loop_get(void)
{
    return wr_local_get()->loop;
}

struct wr_loop *wr_loop_new(struct wr_poll *poll)
{
    struct wr_local *local = wr_local_get();
    struct wr_loop *l;

    WR_ASSERT(local->loop == NULL && poll != NULL);
    l = wr_run_zalloc(sizeof(*l));
    if (!l) {
        poll->ops->free(poll);
        return NULL;
    }
    wr_obj_init(l, LOOP_MAGIC);
    l->poll = poll;
    wr_list_init(&l->runq);
    wr_list_init(&l->graves);
    wr_watchdog_init(&l->watchdog);
    wr_clock_update();
    local->loop = l;
    l->wheel = wr_wheel_new(wr_now_ms());
    l->handles = wr_handles_new();
    if (l->wheel && l->handles) {
        l->mailbox = wr_mailbox_new();
    }
    if (!l->mailbox) {
        wr_loop_free(l);
        return NULL;
    }
    return l;
}

void wr_loop_free(struct wr_loop *l)
{
    struct wr_list *n;

    if (!l) {
        return;
    }
    wr_obj_check(l, LOOP_MAGIC);
    WR_ASSERT(l == wr_loop_get());
    if (l->mailbox) {
        wr_mailbox_drain(l->mailbox);
    }
    while ((n = wr_list_pop(&l->runq)) != NULL) {
        wr_container_of(n, struct wr_task, _node)->_is_queued = false;
    }
    wr_graves_empty(l);
    wr_mailbox_free(wr_take(&l->mailbox));
    l->poll->ops->free(l->poll);
    wr_handles_free(wr_take(&l->handles));
    wr_wheel_free(wr_take(&l->wheel));
    wr_local_get()->loop = NULL;
    wr_obj_kill(l);
    wr_mem_free(l);
}

static bool is_budget_spent(const struct wr_loop *l)
{
    return l->runs >= LOOP_BUDGET_RUNS || wr_clock_mono_us() - l->turn_began_us >= LOOP_BUDGET_US;
}

/* Runs tasks until none is left, or the budget of runs was used up in this one go. */
static void run_queue(struct wr_loop *l)
{
    struct wr_recorder *rec = wr_local_get()->recorder;
    struct wr_list *n;
    uint32_t runs = 0;

    if (wr_list_is_empty(&l->runq)) {
        return;
    }
    wr_watchdog_begin(&l->watchdog);
    while (runs < LOOP_BUDGET_RUNS && (n = wr_list_pop(&l->runq)) != NULL) {
        struct wr_task *t = wr_container_of(n, struct wr_task, _node);

        t->_is_queued = false;
        if (!wr_list_is_empty(&l->runq)) {
            wr_task_prefetch(wr_container_of(l->runq.next, struct wr_task, _node));
        }
        wr_watchdog_note_run(&l->watchdog, t, l->turn);
        wr_recorder_begin_task(rec, t->name);
        t->run(t);
        /* t may be gone. */
        wr_recorder_end_task(rec);
        wr_watchdog_note_end(&l->watchdog);
        runs++;
#ifdef WR_DEBUG
        wr_mutex_assert_none();
#endif
    }
    wr_watchdog_end(&l->watchdog);
    l->runs += runs;
    wr_stat_add(WR_CNT_TASK_RUNS, runs);
}

static int compute_timeout(const struct wr_loop *l, int max_wait_ms)
{
    uint64_t next_ms, now_ms, left_ms;

    if (l->want_stop || !wr_list_is_empty(&l->runq) || !wr_list_is_empty(&l->graves) ||
        wr_mailbox_has_mail(l->mailbox)) {
        return 0;
    }
    next_ms = wr_wheel_next(l->wheel);
    if (next_ms == 0) {
        return max_wait_ms;
    }
    now_ms = wr_now_ms();
    left_ms = next_ms > now_ms ? next_ms - now_ms : 0;
    if (max_wait_ms >= 0 && left_ms > (uint64_t)max_wait_ms) {
        return max_wait_ms;
    }
    return (int)WR_MIN(left_ms, UINT64_C(3600) * 1000);
}

void wr_loop_turn(struct wr_loop *l, int max_wait_ms)
{
    bool has_more;

    wr_obj_check(l, LOOP_MAGIC);
    l->poll->ops->wait(l->poll, compute_timeout(l, max_wait_ms));
    /* 0 is what a task that never ran has. */
    l->turn = l->turn == UINT32_MAX ? 1 : l->turn + 1;
    l->runs = 0;
    wr_clock_update();
    l->turn_began_us = wr_now_ms() * 1000;
    wr_load_turn(&l->load, wr_now_ms());
    wr_wheel_advance(l->wheel, wr_now_ms());
    wr_mailbox_drain(l->mailbox);
    do {
        has_more = l->poll->ops->batch(l->poll);
        run_queue(l);
    } while (has_more && !is_budget_spent(l));
    wr_graves_empty(l);
}

bool wr_loop_is_idle(const struct wr_loop *l)
{
    return compute_timeout(l, -1) != 0;
}

void wr_loop_run(struct wr_loop *l)
{
    while (!l->want_stop) {
        wr_loop_turn(l, -1);
    }
}

void wr_loop_stop(struct wr_loop *l)
{
    l->want_stop = true;
}

uint64_t wr_loop_next_timer(const struct wr_loop *l)
{
    return wr_wheel_next(l->wheel);
}
