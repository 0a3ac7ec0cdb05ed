/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.h: the only way from a lower layer to an upper one. A task is embedded in its owner; a wake
 * means "look again", carries no data and is idempotent. The loop runs woken tasks first in, first
 * out, from a clean stack. Owner thread only.
 */
#ifndef WR_EVENT_TASK_H
#define WR_EVENT_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"

#define WR_TASK_NEAR 4u
#define WR_TASK_FAR  8u

struct wr_task;

/* The owner is found by wr_container_of. May wake any task, itself included; may bury the owner. */
typedef void wr_task_fn(struct wr_task *t);

struct wr_task {
    struct wr_list _node; /* in the loop's run queue, or alone */
    wr_task_fn *run;
    /*
     * Where the memory begins that a run looks at first, besides the task itself: WR_TASK_NEAR and
     * WR_TASK_FAR lines of it are fetched ahead. Never read, so it may be gone. From init: the
     * task.
     */
    const void *near, *far;
    const char *name; /* constant text, for the watchdog and the spin report */
    uint32_t _turn;   /* loop turn of the last run */
    uint16_t _runs;   /* runs within that turn: spin detection */
    bool _is_queued;
};

void wr_task_init(struct wr_task *t, wr_task_fn *run, const char *name);
/* To the tail of this thread's queue; nothing when it is there already. */
void wr_task_wake(struct wr_task *t);

/* It runs soon. */
static inline void wr_task_prefetch(const struct wr_task *t)
{
    for (size_t i = 0; i < WR_TASK_NEAR; i++) {
        wr_prefetch((const char *)t->near + i * WR_CACHE_LINE);
    }
    for (size_t i = 0; i < WR_TASK_FAR; i++) {
        wr_prefetch((const char *)t->far + i * WR_CACHE_LINE);
    }
}

/* Accepts NULL. For facts whose user may have left. */
static inline void wr_task_wake_opt(struct wr_task *t)
{
    if (t != NULL) {
        wr_task_wake(t);
    }
}

/* Out of the queue; idempotent. Before the owner is buried. */
void wr_task_cancel(struct wr_task *t);

#endif
