/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h: deadlines. A hashed wheel with 1 ms ticks and several levels: arm and disarm are O(1),
 * and arming to a later time only writes a number (the entry moves when its old time comes). When
 * the time has come the timer is disarmed and its task woken; the task compares the time itself.
 * Embedded in the owner; owner thread only. Resolution 1 ms, never early, late by at most the turn.
 */
#ifndef WR_EVENT_TIMER_H
#define WR_EVENT_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "event/task.h"

struct wr_timer {
    struct wr_list _node;
    uint64_t at_ms;    /* absolute, monotonic; 0: not armed */
    uint64_t _slot_ms; /* where the entry sits in the wheel; 0: nowhere */
    struct wr_task *task;
};

void wr_timer_init(struct wr_timer *t, struct wr_task *task);
void wr_timer_arm(struct wr_timer *t, uint64_t at_ms);
/* Idempotent. The entry may stay in the wheel until its time; `fini` takes it out. */
void wr_timer_disarm(struct wr_timer *t);
void wr_timer_leave(struct wr_timer *t); /* for wr_timer_fini */

/* Out of the wheel; before the owner is buried. Idempotent. */
static inline void wr_timer_fini(struct wr_timer *t)
{
    if ((t->at_ms | t->_slot_ms) != 0) {
        wr_timer_leave(t);
    }
}

static inline bool wr_timer_is_armed(const struct wr_timer *t)
{
    return t->at_ms != 0;
}

/* Armed, and its time has come (or it has just fired: at_ms stays readable through `deadline`). */
static inline bool wr_deadline_is_due(uint64_t deadline_ms, uint64_t now_ms)
{
    return deadline_ms != 0 && now_ms >= deadline_ms;
}

#endif
