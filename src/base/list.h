/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h: intrusive doubly linked ring. A node that is in no list points to itself (after init).
 */
#ifndef WR_BASE_LIST_H
#define WR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct wr_list {
    struct wr_list *next, *prev;
};

#define WR_LIST_INIT(l)                                                                            \
    {                                                                                              \
        &(l), &(l)                                                                                 \
    }

static inline void wr_list_init(struct wr_list *l)
{
    l->next = l->prev = l;
}

static inline bool wr_list_is_empty(const struct wr_list *l)
{
    return l->next == l;
}

/* n becomes the last of l. n must be in no list. */
static inline void wr_list_push(struct wr_list *l, struct wr_list *n)
{
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}

static inline void wr_list_push_front(struct wr_list *l, struct wr_list *n)
{
    n->next = l->next;
    n->prev = l;
    l->next->prev = n;
    l->next = n;
}

/* Idempotent: the node is in no list afterwards. */
static inline void wr_list_remove(struct wr_list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = n;
}

/* Takes the first node out; NULL when empty. */
static inline struct wr_list *wr_list_pop(struct wr_list *l)
{
    struct wr_list *n = l->next;

    if (n == l) {
        return NULL;
    }
    wr_list_remove(n);
    return n;
}

/* All nodes of src move to the end of dst; src is empty afterwards. */
static inline void wr_list_splice(struct wr_list *dst, struct wr_list *src)
{
    if (src->next == src) {
        return;
    }
    src->next->prev = dst->prev;
    dst->prev->next = src->next;
    src->prev->next = dst;
    dst->prev = src->prev;
    wr_list_init(src);
}

#define WR_LIST_FOREACH(n, l)         for ((n) = (l)->next; (n) != (l); (n) = (n)->next)
#define WR_LIST_FOREACH_SAFE(n, t, l) for ((n) = (l)->next; (t) = (n)->next, (n) != (l); (n) = (t))

#endif
