/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grave.c: the list of closed objects of a loop, emptied once a turn. A function that frees may
 * bury others (a connection its codec): those are freed at the same point. Owner thread only.
 */
#include "event/grave.h"

#include "base/local.h"
#include "event/event_int.h"
#include "event/loop.h"

void wr_grave_bury(struct wr_grave *g, void (*free_fn)(struct wr_grave *g))
{
    struct wr_loop *l = wr_local_get()->loop;

    g->free_fn = free_fn;
    wr_list_push(&l->graves, &g->_node);
}

void wr_graves_empty(struct wr_loop *l)
{
    struct wr_list *n;

    while ((n = wr_list_pop(&l->graves)) != NULL) {
        struct wr_grave *g = wr_container_of(n, struct wr_grave, _node);

        g->free_fn(g);
    }
}
