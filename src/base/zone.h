/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone.h: a table of facts about keys (clients, users ...) that all threads share: what limit_req
 * and limit_conn know. Its memory is fixed by its size and is taken from the system as it is
 * touched. Keys fall into shards by their hash; each shard has a lock of its own and an order of
 * use. A shard that is full gives the item that was not used for longest to the new key, so there
 * is always room.
 *
 * A key is a hash of 64 bits, keyed by the process (base/hash.h): two texts share an item with a
 * probability of 2^-64.
 *
 * Thread: any. An item is looked at and written between lock and unlock, and nowhere else.
 */
#ifndef WR_BASE_ZONE_H
#define WR_BASE_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

#define WR_ZONE_SIZE_MIN 32768

struct wr_zone;

/* num and at_ms are the user's; 0 in an item that is new. */
struct wr_zone_item {
    uint64_t key;
    uint64_t at_ms;
    int64_t num;
    uint32_t serial; /* another one for each key that the item was given to */
    uint32_t _next, _older, _newer;
};

/* An item across an unlock: it may be another key's by then. */
struct wr_zone_ref {
    uint64_t key;
    uint32_t serial;
};

/* size in bytes, at least WR_ZONE_SIZE_MIN. NULL: no memory. */
struct wr_zone *wr_zone_new(uint64_t size) WR_MUST_CHECK;
/* Nobody holds a lock of it. Accepts NULL. */
void wr_zone_free(struct wr_zone *z);
uint64_t wr_zone_key(struct wr_str text);
/*
 * The item of a key, made when there is none, and the one that was used last from now on. Its shard
 * is locked until wr_zone_unlock.
 */
struct wr_zone_item *wr_zone_lock(struct wr_zone *z, uint64_t key);
/* Likewise, the item that ref tells of; NULL, and nothing is locked: it was given to another. */
struct wr_zone_item *wr_zone_lock_ref(struct wr_zone *z, struct wr_zone_ref ref);
void wr_zone_unlock(struct wr_zone *z, uint64_t key);
/* The item, which is locked, is not needed any more: unlocks. */
void wr_zone_drop(struct wr_zone *z, struct wr_zone_item *item);

static inline struct wr_zone_ref wr_zone_ref_of(const struct wr_zone_item *item)
{
    return (struct wr_zone_ref){.key = item->key, .serial = item->serial};
}

/* How many it can hold; how many it holds; how many were given to other keys. */
uint64_t wr_zone_room(const struct wr_zone *z);
uint64_t wr_zone_cnt(struct wr_zone *z);
uint64_t wr_zone_evicted(struct wr_zone *z);

#endif
