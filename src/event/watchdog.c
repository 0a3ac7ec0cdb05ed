/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchdog.c: see watchdog.h. Time here is the machine's, not the loop's: a simulated clock that
 * jumps is no stall. The coarse clock (a few ms exact) does for limits of hundreds.
 */
#include "event/watchdog.h"

#include <stddef.h>
#include <time.h>

#include "base/log.h"
#include "base/stat.h"

static uint64_t coarse_ms(void)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &ts) != 0) {
        return 0;
    }
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void wr_watchdog_init(struct wr_watchdog *w)
{
    *w = (struct wr_watchdog){.limit_ms = WR_WATCHDOG_STALL_MS};
}

static void report_stall(struct wr_watchdog *w, const char *name, uint64_t took_ms)
{
    w->stalls++;
    w->stall_name = name;
    w->close_looks = WR_WATCHDOG_CLOSE_LOOKS;
    if (name) {
        wr_log(NULL, WR_LOG_WARN, "loop was held up for %lu ms by task \"%s\"",
               (unsigned long)took_ms, name);
    } else {
        wr_log(NULL, WR_LOG_WARN,
               "loop was held up for %lu ms by one of %u tasks, the last was \"%s\"",
               (unsigned long)took_ms, w->runs, w->last_name);
    }
}

void wr_watchdog_begin(struct wr_watchdog *w)
{
    w->runs = 0;
    w->last_name = NULL;
    if (w->limit_ms != 0) {
        w->began_ms = coarse_ms();
    }
}

void wr_watchdog_report_spin(struct wr_watchdog *w, const struct wr_task *t)
{
    w->spins++;
    wr_stat_inc(WR_CNT_TASK_SPINS);
    wr_log(NULL, WR_LOG_WARN, "task \"%s\" ran %d times in one turn of the loop", t->name,
           WR_WATCHDOG_SPIN_RUNS);
}

void wr_watchdog_look(struct wr_watchdog *w)
{
    uint64_t now_ms;

    if (w->limit_ms == 0) {
        return;
    }
    now_ms = coarse_ms();
    if (now_ms - w->began_ms > w->limit_ms) {
        report_stall(w, w->last_name, now_ms - w->began_ms);
    }
    w->began_ms = now_ms;
}

void wr_watchdog_end(struct wr_watchdog *w)
{
    uint64_t now_ms;

    if (w->limit_ms == 0 || w->runs == 0) {
        return;
    }
    if (w->close_looks != 0) {
        w->close_looks--;
        return;
    }
    now_ms = coarse_ms();
    if (now_ms - w->began_ms > w->limit_ms) {
        report_stall(w, w->runs == 1 ? w->last_name : NULL, now_ms - w->began_ms);
    }
}
