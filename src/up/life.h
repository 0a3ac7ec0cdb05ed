/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.h: how long a peer lets a connection idle before it closes it, learned from what it does
 * (U10). One word a peer, changed by a pure function; a table of them a group, made at the first
 * close that is seen, so that a group whose peers close nothing has none and asks for nothing.
 *
 *   word:  life_ms 20 bits | age in ms 20 bits | agreed 2 bits | when, in 128 ms, 22 bits    0:
 * nothing
 *
 * Three closes in a row, at three times and about the same age, are an idle limit: the peer's life
 * is the shortest of them. A close at another age takes it back, so that a peer that closes when it
 * likes has no life for long. A restart closes many at one time: it teaches nothing. What was
 * learned is forgotten ten minutes after the last close: the peer may have another limit by then.
 */
#ifndef WR_UP_LIFE_H
#define WR_UP_LIFE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/sync.h"

#define WR_LIFE_FORGET_MS (10u * 60 * 1000)
#define WR_LIFE_LEAST_MS  100 /* closes at a younger age teach nothing */

/* The word after a close at this age. */
uint64_t wr_life_see(uint64_t word, uint64_t age_ms, uint64_t now_ms);
/* The peer's life; 0: not known (any more). */
uint32_t wr_life_get(uint64_t word, uint64_t now_ms);
/*
 * How long a connection may be idle and still be used, when its peer closes it at life_ms: our
 * clock began later than the peer's, and the request takes its time to get there. 0: never.
 */
uint32_t wr_life_usable(uint32_t life_ms);

/* Embedded in a group; zeroed is empty. */
struct wr_lives {
    wr_atomic_ptr table; /* set once */
};

/* peers: how many the group has, for the size of the table. Any thread. */
void wr_lives_see(struct wr_lives *l, uint32_t peers, uint64_t peer_id, uint64_t age_ms,
                  uint64_t now_ms);
/* For wr_lives_get. */
uint32_t wr_lives_find(void *table, uint64_t peer_id, uint64_t now_ms);

/* As wr_life_get. Any thread. */
static inline uint32_t wr_lives_get(struct wr_lives *l, uint64_t peer_id, uint64_t now_ms)
{
    void *t = wr_load_acq(&l->table);

    return t == NULL ? 0 : wr_lives_find(t, peer_id, now_ms);
}

/* The group ends. */
void wr_lives_fini(struct wr_lives *l);

#endif
