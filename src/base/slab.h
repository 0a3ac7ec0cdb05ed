/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab.h: caches of fixed-size structs, one free list a thread and size class (multiples of 64 up
 * to 2048 bytes); what all lists of a thread hold is bounded. Freed memory is poisoned in debug
 * builds; passes through to malloc under ASan. Memory must be freed on a thread, any, that has a
 * wr_local; it then belongs to that cache.
 */
#ifndef WR_BASE_SLAB_H
#define WR_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/mem.h"

#define WR_SLAB_UNIT 64u
#define WR_SLAB_MAX  2048u

/* A free object: the list goes through its first word. */
struct wr_slab_item {
    struct wr_slab_item *_next;
};

struct wr_slab_cache {
    uint32_t _held, _max; /* bytes in all lists; most of them, 0: memory passes through */
    struct wr_slab_item *_first[WR_SLAB_MAX / WR_SLAB_UNIT];
};

/* Out-of-line halves. */
void *wr_slab_alloc_slow(size_t size) WR_MUST_CHECK;
void wr_slab_free_slow(void *p, size_t size);

/* The class of a size: 0 for 0 .. 64, 1 for 65 .. 128, ... */
static inline size_t wr_slab_class(size_t size)
{
    return size == 0 ? 0 : (size - 1) / WR_SLAB_UNIT;
}

/* What an object of a class takes. */
static inline uint32_t wr_slab_bytes(size_t cls)
{
    return (uint32_t)(cls + 1) * WR_SLAB_UNIT;
}

/* Not zeroed; NULL when memory is out. size <= 2048. */
WR_MUST_CHECK static inline void *wr_slab_take(size_t size)
{
    struct wr_slab_cache *s = wr_local_get()->slabs;
    size_t i = wr_slab_class(size);
    uint32_t bytes = wr_slab_bytes(i);
    struct wr_slab_item *p;

#ifndef WR_DEBUG
    if (WR_LIKELY(size <= WR_SLAB_MAX && s->_first[i] != NULL)) {
        if (WR_UNLIKELY(wr_mem_fault_hit())) {
            return NULL;
        }
        p = s->_first[i];
        s->_first[i] = p->_next;
        wr_prefetch(p->_next); /* the next one's turn comes soon */
        s->_held -= bytes;
        wr_mem_account_cached((int64_t)bytes);
        return p;
    }
#else
    (void)s;
    (void)bytes;
    (void)p;
#endif
    return wr_slab_alloc_slow(size);
}

/* The same, zeroed. */
WR_MUST_CHECK static inline void *wr_slab_alloc(size_t size)
{
    void *p = wr_slab_take(size);

    return p == NULL ? NULL : wr_mem_zero(p, size);
}

/* Accepts NULL. `size` as given to alloc. */
static inline void wr_slab_free(void *p, size_t size)
{
#ifndef WR_DEBUG
    struct wr_slab_cache *s = wr_local_get()->slabs;
    size_t i = wr_slab_class(size);
    uint32_t bytes = wr_slab_bytes(i);

    if (WR_LIKELY(p != NULL && size <= WR_SLAB_MAX && s->_held + bytes <= s->_max)) {
        struct wr_slab_item *o = p;

        o->_next = s->_first[i];
        s->_first[i] = o;
        s->_held += bytes;
        wr_mem_account_cached(-(int64_t)bytes);
        return;
    }
#endif
    wr_slab_free_slow(p, size);
}

#endif
