/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grave.h: memory of closed objects, freed at one point of the loop turn when no code of theirs is
 * on the stack. Owner thread only.
 */
#ifndef WR_EVENT_GRAVE_H
#define WR_EVENT_GRAVE_H

#include "base/list.h"

/* Embedded in the object. fn(owner memory) runs at the grave point. */
struct wr_grave {
    struct wr_list _node;
    void (*free_fn)(struct wr_grave *g);
};

/* Once per object; its tasks and timers must have been cancelled. */
void wr_grave_bury(struct wr_grave *g, void (*free_fn)(struct wr_grave *g));

/* Before that point: it was buried, and is not any more. */
static inline void wr_grave_leave(struct wr_grave *g)
{
    wr_list_remove(&g->_node);
}

#endif
