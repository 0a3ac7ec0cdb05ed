/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_int.h: what the files of event/ show to each other: the parts that a loop is made of.
 * Owner thread only.
 */
#ifndef WR_EVENT_EVENT_INT_H
#define WR_EVENT_EVENT_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "event/poll.h"

struct wr_loop;
struct wr_wheel;
struct wr_handles;
struct wr_mailbox;

/* grave.c: frees all that is buried. */
void wr_graves_empty(struct wr_loop *l);

/* timer.c: the wheel. NULL when memory is out. */
struct wr_wheel *wr_wheel_new(uint64_t now_ms) WR_MUST_CHECK;
void wr_wheel_free(struct wr_wheel *w);
/* Disarms what is due at now_ms and wakes its tasks, in the order of time. */
void wr_wheel_advance(struct wr_wheel *w, uint64_t now_ms);
/*
 * Absolute time of the next look at the wheel: never later than the first armed timer, earlier only
 * where an entry has to move down a level; 0 when no timer is armed.
 */
uint64_t wr_wheel_next(struct wr_wheel *w);

/* handle.c: the table of a loop. NULL when memory is out. */
struct wr_handles *wr_handles_new(void) WR_MUST_CHECK;
void wr_handles_free(struct wr_handles *hs);
/* As wr_handle_get, for those to whom a stale handle is nothing worth counting. */
void *wr_handle_find(wr_handle h);
/* A find of it comes soon. */
void wr_handle_prefetch(wr_handle h);

/* mailbox.c: needs the loop's poll and handles. NULL when memory or descriptors are out. */
struct wr_mailbox *wr_mailbox_new(void) WR_MUST_CHECK;
void wr_mailbox_free(struct wr_mailbox *mb);
/* Runs what has come. Owner thread, clean stack. */
void wr_mailbox_drain(struct wr_mailbox *mb);
bool wr_mailbox_has_mail(struct wr_mailbox *mb);

#endif
