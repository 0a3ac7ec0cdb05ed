/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h: the allocator's door. Boot-time calls (wr_mem_*) abort when memory is out; run-time calls
 * (wr_run_*) may return NULL and can be made to fail one by one for tests.
 *
 * Only base/{mem,arena,slab,chunk}.c call malloc; all others call this or something above it.
 * Thread: any. Memory of wr_mem_ and wr_run_ is freed by wr_mem_free, from any thread.
 */
#ifndef WR_BASE_MEM_H
#define WR_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/local.h"

/* 1 when the build has a sanitizer that must see each object; thread sanitizers keep the caches. */
#if defined(__SANITIZE_ADDRESS__)
#    define WR_MEM_SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#        define WR_MEM_SANITIZED 1
#    endif
#endif
#ifndef WR_MEM_SANITIZED
#    define WR_MEM_SANITIZED 0
#endif

/* Zeroed memory; never NULL (aborts with a message). For start, configuration, tests. */
void *wr_mem_alloc(size_t size);
void *wr_mem_realloc(void *p, size_t size);
char *wr_mem_strdup(const char *s);
/* Accepts NULL. */
void wr_mem_free(void *p);

/* Not zeroed; NULL when out of memory or when fault injection says so. */
void *wr_run_alloc(size_t size) WR_MUST_CHECK;
void *wr_run_zalloc(size_t size) WR_MUST_CHECK;
void *wr_run_realloc(void *p, size_t size) WR_MUST_CHECK;

/*
 * Bytes asked for and not freed yet, of the whole process (approximate across threads): wr_mem_,
 * wr_run_, arenas and slabs, without what their caches hold; chunks apart (wr_chunk_in_use).
 */
size_t wr_mem_in_use(void);

/*
 * Fault injection for tests, per thread: the run-time allocation number `n` from now (1 = next)
 * fails, once; 0 switches it off. wr_mem_fault_count: run-time allocations since the last set.
 * Arenas, slabs and chunks take part through the same counter.
 */
void wr_mem_fault_set(uint64_t n);
uint64_t wr_mem_fault_count(void);

/* For the allocator files: true when this run-time allocation must fail. */
static inline bool wr_mem_fault_hit(void)
{
    return WR_UNLIKELY(--wr_local_get()->fault_left == 0);
}

void wr_mem_settle(void);

/* For the allocator files: n bytes more (less when negative) are in use. */
static inline void wr_mem_account(int64_t n)
{
    struct wr_local *l = wr_local_get();

    l->_mem_delta += n;
    if (WR_UNLIKELY(l->_mem_delta > 65536 || l->_mem_delta < -65536)) {
        wr_mem_settle();
    }
}

/* The same for what comes from a cache of the thread or goes to it: the sum may wait. */
static inline void wr_mem_account_cached(int64_t n)
{
    wr_local_get()->_mem_delta += n;
}

/*
 * n bytes become 0, in steps that compilers make large stores of: of a memset whose size they know
 * they make a slow loop. Returns p.
 */
static inline void *wr_mem_zero(void *p, size_t n)
{
    char *at = p;

    while (n >= 64) {
        memset(at, 0, 64);
        at += 64;
        n -= 64;
    }
    memset(at, 0, n);
    return p;
}

/* Says so and aborts; for boot-time allocation. */
WR_NORETURN WR_COLD void wr_mem_die(size_t size);

/* True when WEIR_MEM=malloc was set at start or the build is sanitized: caches pass through. */
bool wr_mem_pass_through(void);

#endif
