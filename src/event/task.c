/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.c: waking and cancelling tasks. The run queue is a list in the thread's loop; loop.c runs
 * it. A task is in the queue at most once, and always at the place of its first wake: first in,
 * first out, breadth first. Owner thread only.
 */
#include "event/task.h"

#include "base/local.h"
#include "event/loop.h"

void wr_task_init(struct wr_task *t, wr_task_fn *run, const char *name)
{
    wr_list_init(&t->_node);
    t->run = run;
    t->near = t->far = t;
    t->name = name;
    t->_turn = 0;
    t->_runs = 0;
    t->_is_queued = false;
}

void wr_task_wake(struct wr_task *t)
{
    struct wr_loop *l = wr_local_get()->loop;

    if (!t->_is_queued) {
        t->_is_queued = true;
        wr_list_push(&l->runq, &t->_node);
    }
}

void wr_task_cancel(struct wr_task *t)
{
    if (t->_is_queued) {
        t->_is_queued = false;
        wr_list_remove(&t->_node);
    }
}
