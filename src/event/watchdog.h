/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchdog.h: two checks of a loop that cost next to nothing and need no thread.
 *
 * Stalls: the time of each emptying of the run queue is looked at (coarse clock, one vDSO read a
 * batch). When it was longer than the limit, that is logged with the task's name if only one ran,
 * and the next WR_WATCHDOG_CLOSE_LOOKS batches are timed task by task, so that one that stalls
 * again is named. Spins: a task that ran WR_WATCHDOG_SPIN_RUNS times within one turn goes round in
 * circles: counted (TASK_SPINS) and logged once a turn. Owner thread only.
 */
#ifndef WR_EVENT_WATCHDOG_H
#define WR_EVENT_WATCHDOG_H

#include <stdint.h>

#include "base/compiler.h"
#include "event/task.h"

#define WR_WATCHDOG_STALL_MS    250
#define WR_WATCHDOG_BUILD_MS    5000 /* of a loop without traffic that builds configurations */
#define WR_WATCHDOG_SPIN_RUNS   100
#define WR_WATCHDOG_CLOSE_LOOKS 10000

struct wr_watchdog {
    uint32_t limit_ms;      /* WR_WATCHDOG_STALL_MS unless the owner sets it; 0: not looked for */
    uint32_t close_looks;   /* batches still to be timed task by task */
    uint64_t began_ms;      /* of the batch, or of the task when looking closely */
    uint32_t runs;          /* tasks run in the batch */
    const char *last_name;  /* of the task that ran last */
    uint64_t stalls, spins; /* reported so far */
    const char *stall_name; /* of the last report; NULL: one of several */
};

void wr_watchdog_init(struct wr_watchdog *w);
/* Before the first task of a batch. */
void wr_watchdog_begin(struct wr_watchdog *w);
/* For wr_watchdog_note_run and _note_end. */
WR_COLD void wr_watchdog_report_spin(struct wr_watchdog *w, const struct wr_task *t);
WR_COLD void wr_watchdog_look(struct wr_watchdog *w);

/* Before t runs; counts its runs of this turn. */
static inline void wr_watchdog_note_run(struct wr_watchdog *w, struct wr_task *t, uint32_t turn)
{
    w->runs++;
    w->last_name = t->name;
    if (t->_turn != turn) {
        t->_turn = turn;
        t->_runs = 1;
    } else if (WR_UNLIKELY(++t->_runs == WR_WATCHDOG_SPIN_RUNS)) {
        wr_watchdog_report_spin(w, t);
    }
}

/* After a task has run; it may be gone. */
static inline void wr_watchdog_note_end(struct wr_watchdog *w)
{
    if (WR_UNLIKELY(w->close_looks != 0)) {
        wr_watchdog_look(w);
    }
}

/* After the last task of a batch. */
void wr_watchdog_end(struct wr_watchdog *w);

#endif
