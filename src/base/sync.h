/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.h: atomics with the ordering in the name, and ranked mutexes. stdatomic.h is used here only.
 * A thread may lock a mutex only if its rank is higher than all it holds.
 */
#ifndef WR_BASE_SYNC_H
#define WR_BASE_SYNC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

typedef _Atomic(uint32_t) wr_atomic_u32; /* the only typedefs of atomics */
typedef _Atomic(uint64_t) wr_atomic_u64;
typedef _Atomic(void *) wr_atomic_ptr;

#define wr_load_rlx(p)       atomic_load_explicit((p), memory_order_relaxed)
#define wr_load_acq(p)       atomic_load_explicit((p), memory_order_acquire)
#define wr_load_seq(p)       atomic_load_explicit((p), memory_order_seq_cst)
#define wr_store_rlx(p, v)   atomic_store_explicit((p), (v), memory_order_relaxed)
#define wr_store_rel(p, v)   atomic_store_explicit((p), (v), memory_order_release)
#define wr_store_seq(p, v)   atomic_store_explicit((p), (v), memory_order_seq_cst)
/* Value before. */
#define wr_add_rlx(p, v)     atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define wr_sub_rlx(p, v)     atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define wr_add_acqrel(p, v)  atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define wr_sub_acqrel(p, v)  atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define wr_add_seq(p, v)     atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define wr_sub_seq(p, v)     atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define wr_swap_acqrel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
/* *old is updated when it fails. */
#define wr_cas_acqrel(p, old, v)                                                                   \
    atomic_compare_exchange_weak_explicit((p), (old), (v), memory_order_acq_rel,                   \
                                          memory_order_acquire)
#define wr_cas_seq(p, old, v)                                                                      \
    atomic_compare_exchange_weak_explicit((p), (old), (v), memory_order_seq_cst,                   \
                                          memory_order_seq_cst)

enum wr_lock_rank {
    WR_RANK_CONTROL = 10, /* control thread's registry */
    WR_RANK_GROUP = 20,
    WR_RANK_SHELF = 30,
    WR_RANK_SHARD = 40,
    WR_RANK_MAILBOX = 50,
    WR_RANK_LOG = 60,
    WR_RANK_LEAF = 70 /* holds nothing further */
};

struct wr_mutex {
    pthread_mutex_t _m;
    enum wr_lock_rank rank;
};

/* For a mutex with static life. */
#define WR_MUTEX_INIT(r)                                                                           \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, (r)                                                             \
    }

void wr_mutex_init(struct wr_mutex *m, enum wr_lock_rank rank);
void wr_mutex_fini(struct wr_mutex *m);
/* Asserts the rank order. */
void wr_mutex_lock(struct wr_mutex *m);
/* Asserts that this thread holds it. */
void wr_mutex_unlock(struct wr_mutex *m);
/* Asserts that this thread holds no lock (the loop asks after each task). */
void wr_mutex_assert_none(void);

#endif
