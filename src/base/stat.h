/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat.h: counters (tbl/counters.h), one set a thread, written only by its thread (relaxed stores),
 * summed by whoever reads.
 */
#ifndef WR_BASE_STAT_H
#define WR_BASE_STAT_H

#include <stdint.h>

#include "base/local.h"
#include "base/sync.h"

enum wr_counter {
#define X(name, help) WR_CNT_##name,
#include "base/tbl/counters.h"
#undef X
    WR_CNT_COUNT
};

struct wr_stats {
    wr_atomic_u64 v[WR_CNT_COUNT]; /* gauges are pairs of counters: opened, closed */
    struct wr_stats *_next;        /* all threads' sets, for the sum */
};

/* Adds to this thread's set. */
static inline void wr_stat_add(enum wr_counter c, uint64_t n)
{
    wr_atomic_u64 *p = &wr_local_get()->stats->v[c];

    wr_store_rlx(p, wr_load_rlx(p) + n); /* one writer, so no read-modify-write is needed */
}

static inline void wr_stat_inc(enum wr_counter c)
{
    wr_stat_add(c, 1);
}

/* Over all threads, ended ones included. */
uint64_t wr_stat_sum(enum wr_counter c);
const char *wr_stat_name(enum wr_counter c);
const char *wr_stat_help(enum wr_counter c);

#endif
