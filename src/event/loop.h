/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h: one event loop a thread. A turn: wait -> due timers and mail wake tasks -> batches of
 * events, the run queue emptied after each (budget: 256 runs or 2 ms, asked between batches) ->
 * graves -> next timeout. FIFO, breadth first (docs/architecture.md, "The loop and the task").
 * Owner thread only; another thread posts a mail.
 */
#ifndef WR_EVENT_LOOP_H
#define WR_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "event/load.h"
#include "event/watchdog.h"

struct wr_poll;
struct wr_mailbox;
struct wr_wheel;
struct wr_handles;
struct wr_task;

struct wr_loop {
    uint32_t magic;
    struct wr_poll *poll;
    struct wr_list runq;
    struct wr_list graves;
    struct wr_wheel *wheel;
    struct wr_handles *handles;
    struct wr_mailbox *mailbox;
    uint32_t turn;
    uint32_t runs; /* tasks run in this turn */
    bool want_stop;
    uint64_t turn_began_us;
    struct wr_watchdog watchdog;
    struct wr_load load;
};

/* Takes the poll (in every case); becomes this thread's loop (wr_local). NULL when memory is out.
 */
struct wr_loop *wr_loop_new(struct wr_poll *poll) WR_MUST_CHECK;
/* Runs mail that has come, frees graves and all parts; tasks that are still queued are dropped. */
void wr_loop_free(struct wr_loop *l);
/* This thread's, or NULL. */
struct wr_loop *wr_loop_get(void);
/* Turns until wr_loop_stop. */
void wr_loop_run(struct wr_loop *l);
/* One turn; waits at most max_wait_ms. For tests and the simulator. */
void wr_loop_turn(struct wr_loop *l, int max_wait_ms);
void wr_loop_stop(struct wr_loop *l);
/* Nothing to do before an event, a mail or the next timer comes. */
bool wr_loop_is_idle(const struct wr_loop *l);
/*
 * When the loop must look at its timers next, absolute ms: never later than the first of them,
 * seldom earlier; 0 when none is armed. For the simulator.
 */
uint64_t wr_loop_next_timer(const struct wr_loop *l);

#endif
