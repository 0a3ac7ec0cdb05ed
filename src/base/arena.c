/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c: blocks behind the bump pointer of arena.h, and the clean-up list.
 *
 * A block of WR_ARENA_BLOCK bytes comes from and goes to the free list of the thread that runs, at
 * most BLOCKS_MAX of them; so an arena may be freed on another thread than it was made on. What
 * does not fit well into a block gets one of its own behind the newest, whose rest stays in use.
 * When memory passes through (mem.h), each allocation is a block, exactly as long as was asked.
 *
 * An arena that has MAP_FROM gets blocks of MAP_SIZE. Blocks of that size and above come from the
 * system and go back to it at once: large configurations that come and go leave no holes in the
 * heap. They are populated when they are made, which is cheaper than a fault for each page.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/local_int.h"
#include "base/num.h"
#include "base/obj.h"

#define ARENA_MAGIC 0x4172656eu
#define BLOCK_SIZE  6144u /* what a plain proxied request needs, in one piece */
#define BLOCKS_MAX  1024u /* in a thread's free list, 6 MiB: as many requests at once */
#define LARGE_PART  4u    /* what is larger than this part of a block gets one of its own */
#define MAP_FROM    ((size_t)1 << 20)
#define MAP_SIZE    ((size_t)256 << 10)

struct wr_arena_block {
    struct wr_arena_block *next;
    size_t size; /* with this header, as counted in `used` */
};

_Static_assert(sizeof(struct wr_arena_block) == 16, "keeps the first byte of a block aligned");

struct wr_arena_cleanup {
    struct wr_arena_cleanup *next;
    wr_arena_cleanup_fn *fn;
    void *data;
};

struct wr_block_cache {
    struct wr_arena_block *first;
    uint32_t cnt, max; /* max 0: memory passes through */
};

void wr_arena_local_init(struct wr_local *l)
{
    l->blocks = wr_mem_alloc(sizeof(*l->blocks));
    l->blocks->max = wr_mem_pass_through() ? 0 : BLOCKS_MAX;
}

void wr_arena_local_fini(struct wr_local *l)
{
    while (l->blocks->first != NULL) {
        struct wr_arena_block *b = l->blocks->first;

        l->blocks->first = b->next;
        free(b);
    }
    wr_mem_free(l->blocks);
    l->blocks = NULL;
}

static void *map_block(size_t size)
{
    void *p =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static bool is_mapped(size_t size)
{
    return size >= MAP_SIZE && !wr_mem_pass_through();
}

static struct wr_arena_block *take_block(size_t size)
{
    struct wr_block_cache *c = wr_local_get()->blocks;
    struct wr_arena_block *b;

    WR_ASSERT(size > sizeof(*b));
    if (WR_LIKELY(size == BLOCK_SIZE && c->first != NULL)) {
        b = c->first;
        c->first = b->next;
        c->cnt--;
        wr_prefetch(c->first); /* the next one's turn comes soon */
        wr_mem_account_cached((int64_t)size);
        return b; /* its size is what it was */
    }
    b = is_mapped(size) ? map_block(size) : malloc(size);
    if (b == NULL) {
        return NULL;
    }
    b->size = size;
    wr_mem_account((int64_t)size);
    return b;
}

/* To the heap or the system. */
static void drop_block(struct wr_arena_block *b)
{
    wr_mem_account(-(int64_t)b->size);
    if (is_mapped(b->size)) {
        int rc = munmap(b, b->size);

        WR_ASSERT(rc == 0);
        return;
    }
    free(b);
}

static void give_block(struct wr_arena_block *b)
{
    struct wr_block_cache *c = wr_local_get()->blocks;

    if (WR_UNLIKELY(b->size != BLOCK_SIZE || c->cnt >= c->max)) {
        drop_block(b);
        return;
    }
    wr_mem_account_cached(-(int64_t)BLOCK_SIZE);
#ifdef WR_DEBUG
    memset(b + 1, 0xdb, BLOCK_SIZE - sizeof(*b));
#endif
    b->next = c->first;
    c->first = b;
    c->cnt++;
}

void wr_arena_init(struct wr_arena *a, size_t cap)
{
    *a = (struct wr_arena){.cap = cap};
    wr_obj_init(a, ARENA_MAGIC);
}

void wr_arena_fini(struct wr_arena *a)
{
    wr_obj_check(a, ARENA_MAGIC);
    while (a->_cleanups != NULL) {
        struct wr_arena_cleanup *c = a->_cleanups;

        a->_cleanups = c->next;
        c->fn(c->data);
    }
    while (a->_blocks != NULL) {
        struct wr_arena_block *b = a->_blocks;

        a->_blocks = b->next;
        give_block(b);
    }
    a->_cur = a->_end = NULL;
    a->used = 0;
    wr_obj_kill(a);
}

/* A block for one allocation. It goes behind the newest, whose rest stays the bump area. */
static void *take_own(struct wr_arena *a, size_t size, size_t room)
{
    struct wr_arena_block *b;
    size_t total;

    if (!wr_add_ok(size, sizeof(*b), &total) || total > room) {
        return NULL;
    }
    b = take_block(total);
    if (b == NULL) {
        return NULL;
    }
    a->used += total;
    if (a->_blocks == NULL) {
        b->next = NULL;
        a->_blocks = b;
    } else {
        b->next = a->_blocks->next;
        a->_blocks->next = b;
    }
    return b + 1;
}

/* How long the next block is that allocations share. */
static size_t next_size(const struct wr_arena *a)
{
    return a->used < MAP_FROM ? BLOCK_SIZE : MAP_SIZE;
}

/* A new newest block, shorter when the cap is near; the old rest is lost. */
static void *take_shared(struct wr_arena *a, size_t size, size_t room)
{
    size_t total = WR_MIN(room & ~(size_t)15, next_size(a));
    struct wr_arena_block *b;
    char *p;

    if (total < sizeof(*b) + size) {
        return NULL;
    }
    b = take_block(total);
    if (b == NULL) {
        return NULL;
    }
    a->used += total;
    b->next = a->_blocks;
    a->_blocks = b;
    p = (char *)(b + 1);
    a->_cur = p + size;
    a->_end = (char *)b + total;
    return p;
}

/* room: bytes of blocks that may still be taken. */
static void *alloc_within(struct wr_arena *a, size_t size, size_t room)
{
    size_t pad;

    wr_obj_check(a, ARENA_MAGIC);
    pad = -(uintptr_t)a->_cur & 15;
    size += size == 0;
    if (size <= (size_t)(a->_end - a->_cur) - pad) {
        char *p = a->_cur + pad;

        a->_cur = p + size;
        return p;
    }
    if (size >= next_size(a) / LARGE_PART || wr_local_get()->blocks->max == 0) {
        return take_own(a, size, room);
    }
    return take_shared(a, size, room);
}

static size_t room_of(const struct wr_arena *a)
{
    return a->used < a->cap ? a->cap - a->used : 0;
}

void *wr_arena_alloc_slow(struct wr_arena *a, size_t size)
{
    return alloc_within(a, size, room_of(a));
}

void *wr_arena_alloc_called(struct wr_arena *a, size_t size)
{
    return wr_arena_alloc(a, size);
}

void *wr_arena_zalloc_any(struct wr_arena *a, size_t size)
{
    void *p = wr_arena_alloc(a, size);

    return p == NULL ? NULL : memset(p, 0, size);
}

char *wr_arena_bytes(struct wr_arena *a, size_t size)
{
    if (size != 0 && size <= (size_t)(a->_end - a->_cur)) {
        char *p = a->_cur;

        if (wr_mem_fault_hit()) {
            return NULL;
        }
        a->_cur += size;
        return p;
    }
    return wr_arena_alloc(a, size);
}

enum wr_status wr_arena_dup(struct wr_arena *a, struct wr_str s, struct wr_str *ret_s)
{
    char *p = s.len == SIZE_MAX ? NULL : wr_arena_bytes(a, s.len + 1);

    if (p == NULL) {
        return WR_ENOMEM;
    }
    if (s.len != 0) {
        memcpy(p, s.ptr, s.len);
    }
    p[s.len] = '\0';
    *ret_s = wr_str(p, s.len);
    return WR_OK;
}

enum wr_status wr_arena_printf(struct wr_arena *a, struct wr_str *ret_s, const char *fmt, ...)
{
    size_t room = (size_t)(a->_end - a->_cur);
    enum wr_status status = WR_ENOMEM;
    char *p = a->_cur;
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(p, room, fmt, ap);
    if (n < 0) {
        goto out;
    }
    /* When the text fits into the rest of the block it is in its place already. */
    p = wr_arena_bytes(a, (size_t)n + 1);
    if (p == NULL) {
        goto out;
    }
    if ((size_t)n >= room) {
        (void)vsnprintf(p, (size_t)n + 1, fmt, again); /* length known from the first time */
    }
    *ret_s = wr_str(p, (size_t)n);
    status = WR_OK;
out:
    va_end(again);
    va_end(ap);
    return status;
}

enum wr_status wr_arena_on_fini(struct wr_arena *a, wr_arena_cleanup_fn *fn, void *data)
{
    struct wr_arena_cleanup *c = wr_arena_alloc(a, sizeof(*c));

    if (c == NULL) {
        return WR_ENOMEM;
    }
    *c = (struct wr_arena_cleanup){a->_cleanups, fn, data};
    a->_cleanups = c;
    return WR_OK;
}

void *wr_arena_must(struct wr_arena *a, size_t size)
{
    void *p = alloc_within(a, size, SIZE_MAX);

    if (p == NULL) {
        wr_mem_die(size);
    }
    return memset(p, 0, size);
}

struct wr_str wr_arena_must_dup(struct wr_arena *a, struct wr_str s)
{
    char *p = wr_arena_must(a, s.len + 1);

    if (s.len != 0) {
        memcpy(p, s.ptr, s.len);
    }
    return wr_str(p, s.len);
}
