/* SPDX-License-Identifier: Apache-2.0 */
/*
 * press_pool.c: memory of compressors that this thread keeps, see press.h. Large blocks of a size
 * that was freed before are handed out again, so that no response maps and touches fresh pages:
 *
 *   struct block {size, next} | bytes
 *
 * Whole states (a deflate stream, a zstd context) are kept by kind and reset by their owner. What
 * is kept is bounded: WR_PRESS_POOL_MAX bytes of blocks, STATES_MAX states of a kind. Nothing is
 * kept while no generation is served.
 */
#include <string.h>

#include "base/mem.h"
#include "base/obj.h"
#include "mod/press.h"

#define STATES_MAX 4u
#define BLOCK_MIN  4096u /* smaller ones are the heap's business */

struct block {
    size_t size;
    struct block *next; /* while it is kept */
} __attribute__((aligned(16)));

struct pool {
    struct block *free;
    size_t free_bytes;
    void *states[WR_PRESS_KINDS][STATES_MAX];
    unsigned state_cnt[WR_PRESS_KINDS];
    unsigned users; /* generations */
};

/* Rule zero: one a thread, as a compressor has no other way from one response to the next. */
static _Thread_local struct pool pool;

static void drop_blocks(void)
{
    while (pool.free) {
        struct block *b = pool.free;

        pool.free = b->next;
        wr_mem_free(b);
    }
    pool.free_bytes = 0;
}

void *wr_press_alloc(size_t n)
{
    struct block **at = &pool.free, *b;

    if (n > SIZE_MAX / 2) {
        return NULL;
    }
    for (b = n >= BLOCK_MIN ? pool.free : NULL; b; at = &b->next, b = b->next) {
        if (b->size >= n && b->size / 2 <= n) {
            *at = b->next;
            pool.free_bytes -= b->size;
            return b + 1;
        }
    }
    b = wr_run_alloc(sizeof(*b) + n);
    if (!b) {
        return NULL;
    }
    b->size = n;
    return b + 1;
}

void *wr_press_alloc_must(size_t n)
{
    void *p = wr_press_alloc(n);
    struct block *b;

    if (p) {
        return p;
    }
    drop_blocks();
    b = wr_mem_alloc(sizeof(*b) + n);
    b->size = n;
    return b + 1;
}

void wr_press_free(void *p)
{
    struct block *b = p;

    if (!p) {
        return;
    }
    b--;
    if (pool.users == 0 || b->size < BLOCK_MIN || WR_MEM_SANITIZED ||
        b->size > WR_PRESS_POOL_MAX - pool.free_bytes) {
        wr_mem_free(b);
        return;
    }
    b->next = pool.free;
    pool.free = b;
    pool.free_bytes += b->size;
}

void *wr_press_take_state(unsigned kind)
{
    return pool.state_cnt[kind] > 0 ? pool.states[kind][--pool.state_cnt[kind]] : NULL;
}

bool wr_press_keep_state(unsigned kind, void *state)
{
    if (pool.users == 0 || pool.state_cnt[kind] == STATES_MAX) {
        return false;
    }
    pool.states[kind][pool.state_cnt[kind]++] = state;
    return true;
}

void wr_press_pool_enter(void)
{
    pool.users++;
}

void wr_press_pool_leave(void (*const *end)(void *state))
{
    if (--pool.users > 0) {
        return;
    }
    for (unsigned k = 0; k < WR_PRESS_KINDS; k++) {
        while (pool.state_cnt[k] > 0) {
            end[k](pool.states[k][--pool.state_cnt[k]]);
        }
    }
    drop_blocks();
}
