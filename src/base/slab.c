/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab.c: the slow halves of slab.h: an object from the heap when the thread's free list is empty,
 * back to the heap when its lists hold HELD_MAX bytes (what thousands of requests need at once).
 * Debug builds always come here: they fill freed objects with POISON and check on reuse that nobody
 * wrote to them.
 */
#include "base/slab.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/local_int.h"

#define HELD_MAX (4u * 1024u * 1024u)
#define CLASSES  (WR_SLAB_MAX / WR_SLAB_UNIT)
#define POISON   0xdd

void wr_slab_local_init(struct wr_local *l)
{
    l->slabs = wr_mem_alloc(sizeof(*l->slabs));
    l->slabs->_max = wr_mem_pass_through() ? 0 : HELD_MAX;
}

void wr_slab_local_fini(struct wr_local *l)
{
    for (size_t i = 0; i < CLASSES; i++) {
        while (l->slabs->_first[i] != NULL) {
            struct wr_slab_item *p = l->slabs->_first[i];

            l->slabs->_first[i] = p->_next;
            free(p);
        }
    }
    wr_mem_free(l->slabs);
    l->slabs = NULL;
}

#ifdef WR_DEBUG
static void poison(struct wr_slab_item *p, size_t bytes)
{
    memset(p, POISON, bytes);
}

static void check_poison(const struct wr_slab_item *p, size_t bytes)
{
    const unsigned char *b = (const unsigned char *)p;

    for (size_t i = sizeof(*p); i < bytes; i++) {
        WR_ASSERT(b[i] == POISON);
    }
}
#else
static void poison(struct wr_slab_item *p, size_t bytes)
{
    (void)p;
    (void)bytes;
}

static void check_poison(const struct wr_slab_item *p, size_t bytes)
{
    (void)p;
    (void)bytes;
}
#endif

void *wr_slab_alloc_slow(size_t size)
{
    struct wr_slab_cache *s = wr_local_get()->slabs;
    size_t i = wr_slab_class(size);
    uint32_t bytes = wr_slab_bytes(i);
    struct wr_slab_item *p;

    WR_ASSERT(size <= WR_SLAB_MAX);
    if (wr_mem_fault_hit()) {
        return NULL;
    }
    p = s->_first[i];
    if (p != NULL) {
        s->_first[i] = p->_next;
        s->_held -= bytes;
        check_poison(p, bytes);
        memset(p, 0, bytes);
    } else if (s->_max == 0) {
        /* Passing through: the exact size, so that a sanitizer sees the end. */
        p = calloc(1, size + (size == 0));
    } else {
        p = calloc(1, bytes);
    }
    if (p != NULL) {
        wr_mem_account((int64_t)bytes);
    }
    return p;
}

void wr_slab_free_slow(void *p, size_t size)
{
    struct wr_slab_cache *s = wr_local_get()->slabs;
    size_t i = wr_slab_class(size);
    uint32_t bytes = wr_slab_bytes(i);
    struct wr_slab_item *o = p;

    if (p == NULL) {
        return;
    }
    WR_ASSERT(size <= WR_SLAB_MAX);
    wr_mem_account(-(int64_t)bytes);
    if (s->_held + bytes > s->_max) {
        free(o);
        return;
    }
    poison(o, bytes);
    o->_next = s->_first[i];
    s->_first[i] = o;
    s->_held += bytes;
}
