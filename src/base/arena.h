/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: bump allocation that is freed whole, with a hard cap and clean-ups in reverse order.
 * One thread at a time. Blocks of 6 KiB come from the thread's cache (free lists), larger ones from
 * the heap, those of 256 KiB and above from the system. Configuration generations are built by one
 * thread and may be freed by another.
 */
#ifndef WR_BASE_ARENA_H
#define WR_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

#define WR_ARENA_ZERO_HERE 256u

struct wr_arena_block;
struct wr_arena_cleanup;

typedef void wr_arena_cleanup_fn(void *data);

/*
 *   _blocks -> [next|size| used ... _cur   free ... _end]   newest small block first
 *                |
 *                v older blocks and large ones
 * _end is a multiple of 16, or NULL as _cur is.
 */
struct wr_arena {
    uint32_t magic;
    struct wr_arena_block *_blocks;
    struct wr_arena_cleanup *_cleanups;
    char *_cur, *_end;
    size_t used; /* bytes of blocks taken */
    size_t cap;  /* most bytes of blocks; allocation beyond gives NULL */
};

/* Caller's storage; takes no memory before the first allocation. */
void wr_arena_init(struct wr_arena *a, size_t cap);
/* Runs the clean-ups, newest first, then frees all. The arena may be used again after init. */
void wr_arena_fini(struct wr_arena *a);

/* 16-byte aligned, not zeroed; NULL at the cap, or when memory is out. size 0 gives a valid
 * pointer. */
void *wr_arena_alloc_slow(struct wr_arena *a, size_t size) WR_MUST_CHECK; /* for wr_arena_alloc */

WR_MUST_CHECK static inline void *wr_arena_alloc(struct wr_arena *a, size_t size)
{
    size_t pad = -(uintptr_t)a->_cur & 15; /* never more than the room: _end is aligned */

    if (WR_UNLIKELY(wr_mem_fault_hit())) {
        return NULL;
    }
    if (WR_LIKELY(size != 0 && size <= (size_t)(a->_end - a->_cur) - pad)) {
        char *p = a->_cur + pad;

        a->_cur = p + size;
        return p;
    }
    return wr_arena_alloc_slow(a, size);
}

/* For wr_arena_zalloc. */
void *wr_arena_zalloc_any(struct wr_arena *a, size_t size) WR_MUST_CHECK;
void *wr_arena_alloc_called(struct wr_arena *a, size_t size) WR_MUST_CHECK;

/* Zeroed. A small struct is so by a few stores where it is asked for. */
WR_MUST_CHECK static inline void *wr_arena_zalloc(struct wr_arena *a, size_t size)
{
    void *p;

    if (!__builtin_constant_p(size) || size == 0 || size > WR_ARENA_ZERO_HERE) {
        return wr_arena_zalloc_any(a, size);
    }
    p = wr_arena_alloc_called(a, size);
    return p == NULL ? NULL : wr_mem_zero(p, size);
}

/* Unaligned bytes. */
char *wr_arena_bytes(struct wr_arena *a, size_t size) WR_MUST_CHECK;
/* Copy of s with a '\0' behind it that is not counted in len. */
enum wr_status wr_arena_dup(struct wr_arena *a, struct wr_str s,
                            struct wr_str *ret_s) WR_MUST_CHECK;
/* printf into the arena, '\0' behind it not counted. */
enum wr_status wr_arena_printf(struct wr_arena *a, struct wr_str *ret_s, const char *fmt, ...)
    WR_PRINTF(3, 4) WR_MUST_CHECK;
/* fn(data) at fini. */
enum wr_status wr_arena_on_fini(struct wr_arena *a, wr_arena_cleanup_fn *fn,
                                void *data) WR_MUST_CHECK;

/* For boot and configuration: as above but aborts when memory is out (never at a cap). */
void *wr_arena_must(struct wr_arena *a, size_t size); /* zeroed */
struct wr_str wr_arena_must_dup(struct wr_arena *a, struct wr_str s);

#endif
