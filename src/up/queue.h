/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h: requests that found no peer wait for one (`queue`, U2.3): one queue a group, over all
 * threads and over a reload. A slot that becomes free is handed to the first who can use it; it is
 * held for him from that moment. Joined, asked and left on the request's thread.
 *
 *   join -> { take | wr_pick (what became free before) | leave } at once and at each wake
 */
#ifndef WR_UP_QUEUE_H
#define WR_UP_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "event/task.h"
#include "up/pick.h"

struct wr_wait;

/*
 * To the end of the queue; `user` is woken when it shall look again. The picker stays as it is
 * until it left. WR_ELIMIT: the queue is full. WR_ENOMEM.
 */
enum wr_status wr_queue_join(const struct wr_picker *p, struct wr_task *user,
                             struct wr_wait **ret) WR_MUST_CHECK;
/* p looks in another list of the group now (wr_picker_follow); its place stays. WR_ENOMEM. */
enum wr_status wr_queue_follow(struct wr_wait *w, const struct wr_picker *p) WR_MUST_CHECK;
/*
 * Was a slot handed to it? Then it has left: *w is NULL. Else it looks for itself by now_ms, and
 * waits for the time when the first peer that is out is due (wr_picker_can_wait), or for a wake.
 */
bool wr_queue_take(struct wr_wait **w, uint64_t now_ms, struct wr_peer_slot *ret);
/* Accepts *w NULL, and clears it. A slot handed over meanwhile goes to the next. */
void wr_queue_leave(struct wr_wait **w, uint64_t now_ms);

/* --- from whoever changes what waiters look at; any thread, no lock held --- */

/* For wr_queue_hand: somebody waits. */
void wr_queue_hand_on(const struct wr_members *m, uint32_t i, enum wr_health_change change,
                      uint64_t now_ms);

/*
 * A slot of member i is free: to the first who can use it. With a change of its health, all to whom
 * that matters look again: it is back, or it is out, and has a time when it is due. Behind both.
 */
static inline void wr_queue_hand(const struct wr_members *m, uint32_t i,
                                 enum wr_health_change change, uint64_t now_ms)
{
    if (m->group != NULL && wr_load_seq(&m->group->queue.cnt) != 0) {
        wr_queue_hand_on(m, i, change, now_ms);
    }
}

/* All shall look again: peers have come or gone. Accepts NULL. Behind that change. */
void wr_queue_wake(struct wr_group *g);

#endif
