/* SPDX-License-Identifier: Apache-2.0 */
/*
 * least.c: least_conn and least_time (U2.7): the member with the least to do for its weight; among
 * equals it goes round by weight.
 *
 * Up to SCAN_MAX members are all looked at, and equals take turns by smooth weighted round robin,
 * as in nginx. More members are kept in a heap of each thread, by
 *
 *   key   what it has to do / weight, when we last looked
 *   turn  grows by 1 / weight with each choice: equals take turns by weight
 *
 * Keys change behind our back, so they are corrected: a member's when this thread gives it a slot
 * back, that of the first one before it is chosen (down the heap if it has more to do by now), and
 * LOOKS others in turn with each pick, for what other threads did. Nothing is locked for that.
 * With a zone there is one heap, under the group lock, and nothing is missed.
 *
 * Members that cannot be chosen when they are first are parked and asked at each pick.
 */
#include <string.h>

#include "base/assert.h"
#include "lb/lb_int.h"

#define SCAN_MAX  32
#define LOOKS     4
#define FIXES_MAX 16          /* corrections of the first one in a pick, while other threads run */
#define PARKED    0x80000000u /* in pos */
#define NOWHERE   UINT32_MAX
#define TURN_ONE  (UINT64_C(1) << 32)

struct least_scan {
    int64_t current[SCAN_MAX];
};

struct least_entry {
    uint64_t key, turn;
    uint32_t i, rank;
};

struct least_heap {
    uint32_t cnt, parked_cnt, start, cursor;
    uint64_t last_turn[2]; /* of the latest choice in a tier */
    uint32_t tier_cnt[2];
    struct least_entry *at; /* primaries from 0, backups from primary_cnt */
    uint32_t *pos, *parked;
    uint64_t *turn; /* of parked members */
};

static const struct wr_lb_least_conf conns = {.load = WR_LOAD_CONNS};

static const struct wr_lb_least_conf *conf_of(const struct wr_members *m)
{
    return m->lb_conf != NULL ? m->lb_conf : &conns;
}

/* A weight of 0, right after a failure, counts as a sliver. */
static uint64_t weight_of(const struct wr_lb_ctx *ctx, uint32_t i)
{
    uint64_t w = wr_peer_weight(ctx, i);

    return w == 0 ? 1 : w;
}

/* --- few members --- */

/* Equals of `best` in the set take a step of round robin. */
static uint32_t turn_of_equals(struct least_scan *s, const struct wr_lb_ctx *ctx, uint32_t set)
{
    uint32_t best = UINT32_MAX, i;
    int64_t total = 0, w;

    for (; set != 0; set &= set - 1) {
        i = (uint32_t)__builtin_ctz(set);
        w = (int64_t)wr_peer_weight(ctx, i);
        s->current[i] += w;
        total += w;
        wr_peer_raise(ctx, i);
        if (best == UINT32_MAX || s->current[i] > s->current[best]) {
            best = i;
        }
    }
    s->current[best] -= total;
    return best;
}

static struct least_scan *make_scan(const struct wr_lb_ctx *ctx, uint32_t slot)
{
    struct least_scan *s = wr_members_thread_state(ctx->members, slot, sizeof(*s));
    const struct wr_members *m = ctx->members;
    uint32_t n = wr_lb_start_point(slot, m->cnt), all = 0, k;

    for (k = 0; k < m->cnt; k++) {
        all |= m->at[k].is_down || m->at[k].is_backup ? 0 : 1u << k;
    }
    n = all == 0 ? 0 : n;
    /* U2.8: not all threads begin with the first member. */
    for (k = 0; s != NULL && k < n; k++) {
        (void)turn_of_equals(s, ctx, all);
    }
    return s;
}

static enum wr_status pick_scan(struct wr_lb_ctx *ctx, uint32_t slot, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    const struct wr_lb_least_conf *c = conf_of(m);
    struct least_scan *s = wr_members_thread_peek(m, slot);
    uint64_t load, weight, best_load = 0, best_weight = 1;
    uint32_t set = 0, i;

    if (s == NULL) {
        s = make_scan(ctx, slot);
    }
    if (s == NULL) {
        return WR_ENOMEM;
    }
    for (i = 0; i < m->cnt; i++) {
        if (!wr_peer_ok(ctx, i)) {
            continue;
        }
        load = wr_lb_load_of(&m->at[i], c, ctx->now_ms);
        /* A failure shifts turns, not what a member can carry; slow_start does both. */
        weight = (uint64_t)m->at[i].weight << m->weight_shift;
        weight = m->at[i].slow_start_ms != 0 ? weight_of(ctx, i) : weight;
        if (set == 0 || wr_lb_is_less(load, weight, best_load, best_weight)) {
            set = 1u << i;
            best_load = load;
            best_weight = weight;
        } else if (!wr_lb_is_less(best_load, best_weight, load, weight)) {
            set |= 1u << i;
        }
    }
    if (set == 0) {
        return WR_EOF;
    }
    *ret_i = turn_of_equals(s, ctx, set);
    return WR_OK;
}

/* --- many members: the heap --- */

static struct least_entry *tier_at(const struct least_heap *h, const struct wr_members *m,
                                   bool is_backup)
{
    return h->at + (is_backup ? m->primary_cnt : 0);
}

static bool is_before(const struct least_entry *a, const struct least_entry *b)
{
    if (a->key != b->key) {
        return a->key < b->key;
    }
    return a->turn != b->turn ? a->turn < b->turn : a->rank < b->rank;
}

static void place(struct least_heap *h, struct least_entry *t, uint32_t at, struct least_entry e)
{
    t[at] = e;
    h->pos[e.i] = at;
}

static void sift(struct least_heap *h, struct least_entry *t, uint32_t cnt, uint32_t at)
{
    struct least_entry e = t[at];
    uint32_t kid;

    while (at > 0 && is_before(&e, &t[(at - 1) / 2])) {
        place(h, t, at, t[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    while ((kid = 2 * at + 1) < cnt) {
        kid += kid + 1 < cnt && is_before(&t[kid + 1], &t[kid]);
        if (!is_before(&t[kid], &e)) {
            break;
        }
        place(h, t, at, t[kid]);
        at = kid;
    }
    place(h, t, at, e);
}

static uint64_t key_of(const struct wr_members *m, uint32_t i, uint64_t now_ms)
{
    uint64_t load = wr_lb_load_of(&m->at[i], conf_of(m), now_ms);
    unsigned ramp = m->has_accounting ? wr_peer_ramp(&m->at[i], now_ms) : 256;

    load = WR_MIN(load, UINT64_C(1) << 36);
    return (load << 16) / m->at[i].weight * 256 / (ramp + (ramp == 0));
}

/* Looks at a member of a heap again. */
static void correct(struct least_heap *h, const struct wr_members *m, uint32_t i, uint64_t now_ms)
{
    struct least_entry *t = tier_at(h, m, m->at[i].is_backup);
    uint64_t key;

    if ((h->pos[i] & PARKED) != 0) {
        return;
    }
    key = key_of(m, i, now_ms);
    if (t[h->pos[i]].key != key) {
        t[h->pos[i]].key = key;
        sift(h, t, h->tier_cnt[m->at[i].is_backup], h->pos[i]);
    }
}

static uint32_t rank_of(const struct least_heap *h, const struct wr_members *m, uint32_t i)
{
    return i >= h->start ? i - h->start : i + m->cnt - h->start;
}

static void insert(struct least_heap *h, const struct wr_lb_ctx *ctx, uint32_t i)
{
    const struct wr_members *m = ctx->members;
    bool is_backup = m->at[i].is_backup;
    struct least_entry *t = tier_at(h, m, is_backup);
    uint32_t at = h->tier_cnt[is_backup]++;

    place(h, t, at,
          (struct least_entry){key_of(m, i, ctx->now_ms), h->turn[i], i, rank_of(h, m, i)});
    sift(h, t, h->tier_cnt[is_backup], at);
}

static void park_first(struct least_heap *h, const struct wr_lb_ctx *ctx)
{
    struct least_entry *t = tier_at(h, ctx->members, ctx->tier != 0);
    uint32_t i = t[0].i, last = --h->tier_cnt[ctx->tier != 0];

    h->turn[i] = t[0].turn;
    h->pos[i] = PARKED;
    h->parked[h->parked_cnt++] = i;
    if (last != 0) {
        place(h, t, 0, t[last]);
        sift(h, t, last, 0);
    }
}

static void unpark(struct least_heap *h, const struct wr_lb_ctx *ctx)
{
    uint32_t k = h->parked_cnt, i;

    while (k-- > 0) {
        i = h->parked[k];
        if (wr_peer_ok(ctx, i)) {
            h->parked[k] = h->parked[--h->parked_cnt];
            /* What it missed is not made up for. */
            h->turn[i] = WR_MAX(h->turn[i], h->last_turn[ctx->tier != 0]);
            insert(h, ctx, i);
        }
    }
}

static struct least_heap *make_heap(const struct wr_lb_ctx *ctx, uint32_t slot)
{
    const struct wr_members *m = ctx->members;
    struct least_heap *h;
    uint32_t i;
    char *p;

    h = wr_members_thread_state(m, slot,
                                sizeof(*h) + m->cnt * (sizeof(*h->at) + sizeof(*h->turn) +
                                                       sizeof(*h->pos) + sizeof(*h->parked)));
    if (h == NULL) {
        return NULL;
    }
    p = (char *)(h + 1);
    h->at = (void *)p;
    h->turn = (void *)(p += m->cnt * sizeof(*h->at));
    h->pos = (void *)(p += m->cnt * sizeof(*h->turn));
    h->parked = (void *)(p + m->cnt * sizeof(*h->pos));
    h->start = wr_lb_start_point(slot, m->cnt);
    for (i = 0; i < m->cnt; i++) {
        h->turn[i] = TURN_ONE / m->at[i].weight;
        if (m->at[i].is_down) {
            h->pos[i] = NOWHERE;
        } else {
            insert(h, ctx, i);
        }
    }
    return h;
}

static enum wr_status pick_first(struct least_heap *h, struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    uint32_t tier = ctx->tier != 0, fixes = 0, i;
    struct least_entry *t = tier_at(h, m, tier != 0);
    uint64_t key;

    while (h->tier_cnt[tier] != 0) {
        i = t[0].i;
        if (!wr_peer_ok(ctx, i)) {
            park_first(h, ctx);
            continue;
        }
        key = key_of(m, i, ctx->now_ms);
        if (key > t[0].key && fixes++ < FIXES_MAX) {
            t[0].key = key;
            sift(h, t, h->tier_cnt[tier], 0);
            continue;
        }
        h->last_turn[tier] = t[0].turn;
        t[0].key = key;
        t[0].turn += TURN_ONE / m->at[i].weight;
        sift(h, t, h->tier_cnt[tier], 0);
        wr_peer_raise(ctx, i);
        *ret_i = i;
        return WR_OK;
    }
    return WR_EOF;
}

static enum wr_status pick_least(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    uint32_t slot = ctx->is_exact ? 0 : ctx->thread_no, k;
    struct least_heap *h;

    if (m->cnt <= SCAN_MAX) {
        return pick_scan(ctx, slot, ret_i);
    }
    h = wr_members_thread_peek(m, slot);
    if (h == NULL) {
        h = make_heap(ctx, slot);
    }
    if (h == NULL) {
        return WR_ENOMEM;
    }
    unpark(h, ctx);
    for (k = 0; k < LOOKS; k++) {
        h->cursor = h->cursor + 1 < m->cnt ? h->cursor + 1 : 0;
        correct(h, m, h->cursor, ctx->now_ms);
    }
    return pick_first(h, ctx, ret_i);
}

static void release_least(const struct wr_members *m, uint32_t thread_no, uint32_t i,
                          uint64_t now_ms)
{
    struct least_heap *h = m->cnt <= SCAN_MAX ? NULL : wr_members_thread_peek(m, thread_no);

    if (h != NULL) {
        correct(h, m, i, now_ms);
    }
}

const struct wr_lb wr_lb_least_conn = {.name = "least_conn",
                                       .params = WR_LB_ALL,
                                       .wants_load = true,
                                       .pick = pick_least,
                                       .release = release_least};
const struct wr_lb wr_lb_least_time = {.name = "least_time",
                                       .params = WR_LB_ALL,
                                       .wants_times = true,
                                       .wants_load = true,
                                       .pick = pick_least,
                                       .release = release_least};
