/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h: what one thread has for itself on floor 0: caches of chunks, slabs and arena blocks,
 * counters, cached clock, random state, log scope, flight recorder. The one thread-local pointer
 * of the program is here. The main thread has one before main begins, event/thread.h makes one for
 * each other; whoever starts threads without it (tests) begins them with wr_local_start. So nobody
 * asks whether there is one, but for what may run outside that time: signal handlers, and mem.c.
 * All parts exist as soon as the pointer is set. A thread that ends without wr_local_fini gets it
 * from the thread library.
 */
#ifndef WR_BASE_LOCAL_H
#define WR_BASE_LOCAL_H

#include <stdint.h>

#include "base/compiler.h"

struct wr_chunk_cache;
struct wr_slab_cache;
struct wr_block_cache;
struct wr_recorder;
struct wr_stats;
struct wr_clock_cache;
struct wr_log_cache;
struct wr_panic_list;
struct wr_mutex;

#define WR_LOCAL_MAGIC 0x4c6f6361u
#define WR_LOCAL_HELD  8 /* mutexes held at once; there are fewer ranks */

struct wr_local {
    uint32_t magic;
    uint32_t thread_no;            /* 0 .. n-1 for workers' loops; UINT32_MAX elsewhere */
    uint64_t now_ms;               /* cached monotonic clock of this loop turn */
    struct wr_chunk_cache *chunks; /* base/chunk.c */
    struct wr_slab_cache *slabs;   /* base/slab.c */
    struct wr_block_cache *blocks; /* base/arena.c */
    struct wr_recorder *recorder;  /* base/recorder.c */
    struct wr_stats *stats;        /* base/stat.c */
    uint64_t rng[4];               /* base/rng.c */
    uint64_t fault_at, fault_left; /* base/mem.c: counts down from fault_at */
    void *loop;                    /* struct wr_loop of event/loop.h, or NULL */
    int64_t _mem_delta;            /* base/mem.c: bytes not yet added to the process's sum */
    struct wr_clock_cache *_clock; /* base/clock.c */
    struct wr_log_cache *_log;     /* base/log.c */
    struct wr_panic_list *_panic;  /* base/assert.c */
    struct wr_mutex *_held[WR_LOCAL_HELD]; /* base/sync.c, lowest rank first */
    uint32_t _held_cnt;
};

/*
 * local-exec: read by one instruction, some hundred times a request. For that the reader must be
 * part of the program; a module in a file of its own (http/loadable.h) takes two.
 */
#if defined(__PIC__) && !defined(__PIE__)
#    define WR_LOCAL_TLS "initial-exec"
#else
#    define WR_LOCAL_TLS "local-exec"
#endif
extern _Thread_local __attribute__((tls_model(WR_LOCAL_TLS))) struct wr_local *wr_local_ptr;

/* Makes this thread's, unless it has one; aborts when memory is out. */
void wr_local_start(void);

/* This thread's. */
static inline struct wr_local *wr_local_get(void)
{
    return wr_local_ptr;
}

/* Frees this thread's caches; for the end of a thread. Idempotent. */
void wr_local_fini(void);

/*
 * Takes it off the calling thread, which then has none; the thread that puts it on (it has none) is
 * from then on what the first one was: same loop, number, caches. What is between the two calls
 * must order them (a mail, the start or end of a thread).
 */
struct wr_local *wr_local_take_off(void) WR_MUST_CHECK;
void wr_local_put_on(struct wr_local *l);

#endif
