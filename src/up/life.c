/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.c: learned idle lives, see life.h. The table is direct-mapped by the peer's number, which is
 * random: two peers of one slot forget each other, which costs a stale connection now and then. A
 * slot's two words are not read as one; who reads between them gets another peer's life for one
 * question. Any thread; nothing waits or locks.
 */
#include "up/life.h"

#include <stddef.h>

#include "base/mem.h"

#define AGE_MAX      ((UINT64_C(1) << 20) - 1)
#define LIFE_SHIFT   44
#define AGE_SHIFT    24
#define AGREED_SHIFT 22
#define AGREED_MAX   2
#define WHEN_MASK    ((UINT64_C(1) << AGREED_SHIFT) - 1)
#define WHEN_UNIT    128
#define SLOTS_MIN    64u
#define SLOTS_MAX    65536u
#define USABLE_MIN   20u
#define MARGIN_MAX   1000u

struct life_slot {
    wr_atomic_u64 peer_id, word;
};

struct life_table {
    uint32_t mask;
    struct life_slot slots[];
};

static uint64_t life_of(uint64_t w)
{
    return w >> LIFE_SHIFT;
}

static uint64_t age_of(uint64_t w)
{
    return (w >> AGE_SHIFT) & AGE_MAX;
}

/* Closes that agreed with the one before. */
static unsigned agreed_of(uint64_t w)
{
    return (w >> AGREED_SHIFT) & 3;
}

static uint64_t make_word(uint64_t life, uint64_t age, unsigned agreed, uint64_t now_ms)
{
    return life << LIFE_SHIFT | age << AGE_SHIFT | (uint64_t)agreed << AGREED_SHIFT |
           (now_ms / WHEN_UNIT & WHEN_MASK);
}

/* Since the last close, in units. */
static uint64_t units_since(uint64_t w, uint64_t now_ms)
{
    return (now_ms / WHEN_UNIT - w) & WHEN_MASK;
}

static bool is_known(uint64_t w, uint64_t now_ms)
{
    return life_of(w) != 0 && units_since(w, now_ms) <= WR_LIFE_FORGET_MS / WHEN_UNIT;
}

uint64_t wr_life_see(uint64_t word, uint64_t age_ms, uint64_t now_ms)
{
    uint64_t life = is_known(word, now_ms) ? life_of(word) : 0, last = age_of(word);
    uint64_t low = WR_MIN(age_ms, last), high = WR_MAX(age_ms, last);
    unsigned agreed = agreed_of(word);

    /* Under load all are young when their peer restarts; and nobody waits longer than the most. */
    if (age_ms < WR_LIFE_LEAST_MS || age_ms > AGE_MAX) {
        return word;
    }
    if (last == 0 || high - low > low / 4) {
        return make_word(0, age_ms, 0, now_ms);
    }
    if (units_since(word, now_ms) >= 2) { /* else they are of one event */
        agreed = WR_MIN(agreed + 1, AGREED_MAX);
    }
    if (agreed == AGREED_MAX) {
        life = low;
    }
    return make_word(life, low, agreed, now_ms);
}

uint32_t wr_life_get(uint64_t word, uint64_t now_ms)
{
    return is_known(word, now_ms) ? (uint32_t)life_of(word) : 0;
}

uint32_t wr_life_usable(uint32_t life_ms)
{
    return life_ms < USABLE_MIN ? 0 : life_ms - WR_MIN(life_ms / 4, MARGIN_MAX);
}

/* NULL without memory. */
static struct life_table *make_table(struct wr_lives *l, uint32_t peers)
{
    void *old = NULL;
    uint32_t n = SLOTS_MIN;
    struct life_table *t;

    while (n < SLOTS_MAX && n / 2 < peers) {
        n *= 2;
    }
    t = wr_run_zalloc(sizeof(*t) + n * sizeof(t->slots[0]));
    if (t == NULL) {
        return NULL;
    }
    t->mask = n - 1;
    while (!wr_cas_acqrel(&l->table, &old, t)) {
        if (old != NULL) {
            wr_mem_free(t); /* another thread was faster */
            return old;
        }
    }
    return t;
}

void wr_lives_see(struct wr_lives *l, uint32_t peers, uint64_t peer_id, uint64_t age_ms,
                  uint64_t now_ms)
{
    struct life_table *t = wr_load_acq(&l->table);
    struct life_slot *s;
    uint64_t w;

    if (t == NULL) {
        t = make_table(l, peers);
    }
    if (t == NULL) {
        return;
    }
    s = &t->slots[peer_id & t->mask];
    if (wr_load_acq(&s->peer_id) != peer_id) {
        wr_store_rel(&s->word, 0);
        wr_store_rel(&s->peer_id, peer_id);
    }
    w = wr_load_acq(&s->word);
    while (!wr_cas_acqrel(&s->word, &w, wr_life_see(w, age_ms, now_ms))) {
    }
}

uint32_t wr_lives_find(void *table, uint64_t peer_id, uint64_t now_ms)
{
    struct life_table *t = table;
    struct life_slot *s;

    s = &t->slots[peer_id & t->mask];
    return wr_load_acq(&s->peer_id) != peer_id ? 0 : wr_life_get(wr_load_acq(&s->word), now_ms);
}

void wr_lives_fini(struct wr_lives *l)
{
    void *t = wr_load_acq(&l->table);

    wr_store_rel(&l->table, NULL);
    wr_mem_free(t);
}
