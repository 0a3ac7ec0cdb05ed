/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.h: what each thread counts of a peer for itself, so that a request writes to no cache line
 * that other threads write to. Read by summing.
 *
 *   thread 0: pages -> |cell of 1|cell of 2|...    one thread writes there, anyone reads
 *   thread 1: pages -> |cell of 1|cell of 2|...
 *
 * A peer has a number as long as it lives. A cell of one thread alone says nothing: a slot may be
 * given back on another thread than it was taken on, so that `active` of a cell can be below zero;
 * sums are right modulo 2^32. Pages are made by their thread at the first use and stay as long as
 * the process: who reads need not ask whether the thread ended.
 */
#ifndef WR_UP_TALLY_H
#define WR_UP_TALLY_H

#include <stdint.h>

#include "base/sync.h"

struct wr_tally_cell {
    wr_atomic_u32 active;
    wr_atomic_u64 requests;
};

/* A number for a peer, its cells are 0. 0: none is left, it counts without cells. Any thread. */
uint32_t wr_tally_take(void);
/* Nobody counts for it any more. Accepts 0. Any thread. */
void wr_tally_drop(uint32_t no);
/*
 * This thread's cell, written by no other; NULL: it has none (it runs no loop, or there was no
 * memory), now and later.
 */
struct wr_tally_cell *wr_tally_own(uint32_t no);
/* Sums over all threads. `active` in one order with wr_sub_seq on a cell. Any thread. */
uint32_t wr_tally_active(uint32_t no);
uint64_t wr_tally_requests(uint32_t no);

#endif
