/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.h: one call that blocks (a disk that is cold, a folder on the network, a costly hash), made
 * by a thread of a pool for a task of this thread. The work is heap memory; while it is under way
 * only work() touches it. Afterwards the task is woken and finds is_home. Owner thread only, but
 * work().
 */
#ifndef WR_IO_WORK_H
#define WR_IO_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "event/offload.h"
#include "event/task.h"

/* Embedded; work and free are set by the caller. */
struct wr_work {
    void (*work)(struct wr_work *w); /* on a thread of the pool */
    void (*free)(struct wr_work *w); /* owner thread: the end of it */
    bool is_home;                    /* done, and the owner's again */
    struct wr_task *_task;
    struct wr_job _job;
};

/* WR_ELIMIT: the pool's queue is full, WR_ESYS: it has no thread; the work stays the caller's. */
enum wr_status wr_work_start(struct wr_offload *pool, struct wr_work *w,
                             struct wr_task *task) WR_MUST_CHECK;
/* The owner goes, or is done with it: freed now, or as soon as it comes home. Accepts NULL. */
void wr_work_leave(struct wr_work *w);
/*
 * This thread's loop ends: waits for what is under way, at most limit_ms. False: something still
 * is, and comes home to this loop, which must not be freed.
 */
bool wr_work_thread_end(uint32_t limit_ms) WR_MUST_CHECK;

#endif
