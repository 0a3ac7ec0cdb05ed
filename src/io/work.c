/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.c: see work.h. Every work that was started comes home as a mail, also one that its owner
 * left: so this thread must not end before (wr_work_thread_end), and counts them.
 */
#include "io/work.h"

#include "base/assert.h"
#include "base/clock.h"
#include "event/loop.h"

#define END_LOOK_MS 20

/* Rule zero: works of this thread that are under way; nobody else sees it. */
static _Thread_local unsigned under_way;

static struct wr_work *work_of(struct wr_job *j)
{
    return wr_container_of(j, struct wr_work, _job);
}

static void run_work(struct wr_job *j)
{
    struct wr_work *w = work_of(j);

    w->work(w);
}

static void come_home(struct wr_job *j)
{
    struct wr_work *w = work_of(j);

    under_way--;
    w->is_home = true;
    wr_task_wake(w->_task);
}

static void come_home_alone(struct wr_job *j)
{
    struct wr_work *w = work_of(j);

    under_way--;
    w->free(w);
}

enum wr_status wr_work_start(struct wr_offload *pool, struct wr_work *w, struct wr_task *task)
{
    enum wr_status st;

    WR_ASSERT(w->work && w->free && task);
    w->is_home = false;
    w->_task = task;
    w->_job = (struct wr_job){.work = run_work, .done = come_home, .drop = come_home_alone};
    st = wr_offload_submit(pool, &w->_job);
    if (st == WR_OK) {
        under_way++;
    }
    return st;
}

void wr_work_leave(struct wr_work *w)
{
    if (!w) {
        return;
    }
    if (w->is_home) {
        w->free(w);
    } else {
        wr_offload_drop(&w->_job);
    }
}

bool wr_work_thread_end(uint32_t limit_ms)
{
    uint64_t until_ms = wr_clock_update() + limit_ms;

    while (under_way > 0 && wr_clock_update() < until_ms) {
        wr_loop_turn(wr_loop_get(), END_LOOK_MS);
    }
    return under_way == 0;
}
