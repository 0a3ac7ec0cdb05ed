/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offload.h: a small pool for calls that block (a cold disk, a costly hash). The job is heap
 * memory; work() runs on a pool thread, then done() on the thread that submitted, unless it was
 * dropped: the owner's link is cut by wr_offload_drop, and the orphan frees itself. At most
 * `queue_max` waiting.
 */
#ifndef WR_EVENT_OFFLOAD_H
#define WR_EVENT_OFFLOAD_H

#include "base/compiler.h"
#include "base/status.h"
#include "base/sync.h"
#include "event/mailbox.h"

struct wr_offload;

struct wr_job {
    struct wr_mail _mail; /* back to the owner */
    struct wr_job *_next;
    struct wr_mailbox *_home;
    wr_atomic_u32 _state;
    void (*work)(struct wr_job *j); /* pool thread; touches only the job */
    void (*done)(struct wr_job *j); /* owner thread; frees the job */
    void (*drop)(struct wr_job *j); /* frees the job when its owner left; owner thread */
};

/* threads 1..64; started at the first job (no thread before it is needed). */
struct wr_offload *wr_offload_new(unsigned threads, unsigned queue_max);
/* Waits for all jobs that were submitted; they come home as mails. No submits meanwhile. Accepts
 * NULL. */
void wr_offload_free(struct wr_offload *o);
/* WR_ELIMIT when the queue is full, WR_ESYS when no thread could be started: the job stays the
 * caller's. */
enum wr_status wr_offload_submit(struct wr_offload *o, struct wr_job *j) WR_MUST_CHECK;
/* Owner thread: done() will not be called, drop() will. */
void wr_offload_drop(struct wr_job *j);

#endif
