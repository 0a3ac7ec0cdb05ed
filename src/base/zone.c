/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone.c: see zone.h. One piece of memory:
 *
 *   struct wr_zone | shards[] | buckets of shard 0, 1 ... | items of shard 0, 1 ...
 *
 *   buckets[key] -> number -> number -> 0      numbers begin at 1; 0 is none
 *   oldest <-> ... <-> newest                  by last use
 *   free -> number -> ... -> 0                 dropped ones, by _next
 *
 * Items 1 .. made of a shard were in use once; those behind are untouched memory.
 */
#include "base/zone.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/stat.h"
#include "base/sync.h"

#define SHARDS_MAX  64u
#define SHARD_ITEMS 256u                /* a shard has at least so many, if there are two */
#define ITEMS_MAX   (UINT32_C(1) << 30) /* of a shard */

struct zone_shard {
    struct wr_mutex lock;
    uint32_t *buckets;
    struct wr_zone_item *items; /* number n is items[n - 1] */
    uint32_t made, cnt;
    uint32_t oldest, newest, free;
    uint32_t serial; /* the last one given */
    uint64_t evicted;
    uint64_t _pad[4]; /* two shards share no cache line but by chance */
};

struct wr_zone {
    uint32_t shard_bits; /* the highest bits of a key are its shard's number */
    uint32_t cap;        /* items of a shard */
    uint32_t mask;       /* of the buckets of a shard */
    struct zone_shard shards[];
};

struct wr_zone *wr_zone_new(uint64_t size)
{
    uint64_t cap;
    uint32_t bits = 0, buckets = 1, cnt;
    struct wr_zone *z;
    char *p;

    WR_ASSERT(size >= WR_ZONE_SIZE_MIN);
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    cap = size / (sizeof(struct wr_zone_item) + sizeof(uint32_t));
    while ((2u << bits) <= SHARDS_MAX && cap / (2u << bits) >= SHARD_ITEMS) {
        bits++;
    }
    cnt = 1u << bits;
    /* What is left beside the head, for items and at most one bucket for each. */
    cap = (size - sizeof(*z) - cnt * sizeof(struct zone_shard)) /
          (sizeof(struct wr_zone_item) + sizeof(uint32_t)) / cnt;
    cap = WR_MIN(cap, (uint64_t)ITEMS_MAX);
    while (buckets * (uint64_t)2 <= cap) {
        buckets *= 2;
    }
    z = wr_run_zalloc((size_t)size);
    if (!z) {
        return NULL;
    }
    z->shard_bits = bits;
    z->cap = (uint32_t)cap;
    z->mask = buckets - 1;
    p = (char *)&z->shards[cnt];
    for (uint32_t i = 0; i < cnt; i++) {
        struct zone_shard *s = &z->shards[i];

        wr_mutex_init(&s->lock, WR_RANK_SHARD);
        s->buckets = (uint32_t *)(void *)(p + (size_t)i * buckets * sizeof(uint32_t));
    }
    p += WR_MAX((size_t)cnt * buckets, (size_t)2) * sizeof(uint32_t); /* stays a multiple of 8 */
    for (uint32_t i = 0; i < cnt; i++) {
        z->shards[i].items =
            (struct wr_zone_item *)(void *)(p + (size_t)i * cap * sizeof(struct wr_zone_item));
    }
    return z;
}

void wr_zone_free(struct wr_zone *z)
{
    if (!z) {
        return;
    }
    for (uint32_t i = 0; i < 1u << z->shard_bits; i++) {
        wr_mutex_fini(&z->shards[i].lock);
    }
    wr_mem_free(z);
}

uint64_t wr_zone_key(struct wr_str text)
{
    return wr_hash_sip(text.ptr, text.len);
}

static struct zone_shard *shard_of(struct wr_zone *z, uint64_t key)
{
    return &z->shards[z->shard_bits == 0 ? 0 : key >> (64 - z->shard_bits)];
}

/* ---- shard locked --------------------------------------------------------------------------- */

static struct wr_zone_item *item_at(const struct zone_shard *s, uint32_t no)
{
    return &s->items[no - 1];
}

static uint32_t number_of(const struct zone_shard *s, const struct wr_zone_item *item)
{
    return (uint32_t)(item - s->items) + 1;
}

static uint32_t look_up(const struct wr_zone *z, const struct zone_shard *s, uint64_t key)
{
    uint32_t no = s->buckets[key & z->mask];

    while (no != 0 && item_at(s, no)->key != key) {
        no = item_at(s, no)->_next;
    }
    return no;
}

static void leave_order(struct zone_shard *s, const struct wr_zone_item *e)
{
    *(e->_older == 0 ? &s->oldest : &item_at(s, e->_older)->_newer) = e->_newer;
    *(e->_newer == 0 ? &s->newest : &item_at(s, e->_newer)->_older) = e->_older;
}

static void become_newest(struct zone_shard *s, uint32_t no)
{
    struct wr_zone_item *e = item_at(s, no);

    e->_older = s->newest;
    e->_newer = 0;
    *(s->newest == 0 ? &s->oldest : &item_at(s, s->newest)->_newer) = no;
    s->newest = no;
}

static void leave_bucket(const struct wr_zone *z, struct zone_shard *s, uint32_t no)
{
    uint32_t *link = &s->buckets[item_at(s, no)->key & z->mask];

    while (*link != no) {
        link = &item_at(s, *link)->_next;
    }
    *link = item_at(s, no)->_next;
}

/* A number for a new key: a dropped one, a fresh one, or that of the oldest. */
static uint32_t get_number(const struct wr_zone *z, struct zone_shard *s)
{
    uint32_t no = s->free;

    if (no != 0) {
        s->free = item_at(s, no)->_next;
        s->cnt++;
        return no;
    }
    if (s->made < z->cap) {
        s->cnt++;
        return ++s->made;
    }
    no = s->oldest;
    leave_order(s, item_at(s, no));
    leave_bucket(z, s, no);
    s->evicted++;
    wr_stat_inc(WR_CNT_ZONE_EVICTED);
    return no;
}

/* ---- for all -------------------------------------------------------------------------------- */

struct wr_zone_item *wr_zone_lock(struct wr_zone *z, uint64_t key)
{
    struct zone_shard *s = shard_of(z, key);
    struct wr_zone_item *e;
    uint32_t no;

    wr_mutex_lock(&s->lock);
    no = look_up(z, s, key);
    if (no != 0) {
        e = item_at(s, no);
        if (s->newest != no) {
            leave_order(s, e);
            become_newest(s, no);
        }
        return e;
    }
    no = get_number(z, s);
    e = item_at(s, no);
    *e = (struct wr_zone_item){
        .key = key, .serial = ++s->serial, ._next = s->buckets[key & z->mask]};
    s->buckets[key & z->mask] = no;
    become_newest(s, no);
    return e;
}

struct wr_zone_item *wr_zone_lock_ref(struct wr_zone *z, struct wr_zone_ref ref)
{
    struct zone_shard *s = shard_of(z, ref.key);
    uint32_t no;

    wr_mutex_lock(&s->lock);
    no = look_up(z, s, ref.key);
    if (no != 0 && item_at(s, no)->serial == ref.serial) {
        return item_at(s, no);
    }
    wr_mutex_unlock(&s->lock);
    return NULL;
}

void wr_zone_unlock(struct wr_zone *z, uint64_t key)
{
    wr_mutex_unlock(&shard_of(z, key)->lock);
}

void wr_zone_drop(struct wr_zone *z, struct wr_zone_item *item)
{
    struct zone_shard *s = shard_of(z, item->key);
    uint32_t no = number_of(s, item);

    leave_order(s, item);
    leave_bucket(z, s, no);
    item->_next = s->free;
    s->free = no;
    s->cnt--;
    wr_mutex_unlock(&s->lock);
}

uint64_t wr_zone_room(const struct wr_zone *z)
{
    return (uint64_t)z->cap << z->shard_bits;
}

uint64_t wr_zone_cnt(struct wr_zone *z)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < 1u << z->shard_bits; i++) {
        wr_mutex_lock(&z->shards[i].lock);
        sum += z->shards[i].cnt;
        wr_mutex_unlock(&z->shards[i].lock);
    }
    return sum;
}

uint64_t wr_zone_evicted(struct wr_zone *z)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < 1u << z->shard_bits; i++) {
        wr_mutex_lock(&z->shards[i].lock);
        sum += z->shards[i].evicted;
        wr_mutex_unlock(&z->shards[i].lock);
    }
    return sum;
}
