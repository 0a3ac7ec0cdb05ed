/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rr.c: smooth weighted round robin (U2.1). Each eligible member's current weight grows by its
 * effective weight, the largest is chosen (the first of equals) and loses the sum: weights 5,1,1
 * give a a b a c a a.
 *
 * Members of the same tier and weight grow alike, so they form a class with one sum `add`, and each
 * only has an offset to it:  current = class.add + off.  A class is a heap by offset, its first one
 * is the candidate; a pick costs O(classes + log members).
 *
 *   classes   [w=5 add]        [w=1 add]
 *   heap      (off i)(off i)   (off i)(off i)(off i)   one array, a class owns a range of it
 *   pos[i]    where member i sits in the heap, or ALONE + its index in solo
 *   solo      members that do not grow with their class: tried, out, full, or with less than their
 *             weight. They are asked one by one, as the plain method would, until they are whole.
 *
 * A member that is out or full is noticed when it becomes the first of its class; a failure that
 * costs weight is noticed at once (members->changes). The state is the thread's own, or, with a
 * zone, one for all under the group lock (slot 0); nothing is allocated after the first pick.
 */
#include "lb/rr.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "up/group.h"

#define ALONE      0x80000000u /* in pos */
#define NOWHERE    UINT32_MAX  /* in pos: down for good */
#define START_MAX  16384u      /* steps of a cycle that a thread may begin behind the first one */
#define REBASE_ADD (INT64_C(1) << 60)

struct rr_entry {
    int64_t off;
    uint32_t i;
};

struct rr_class {
    int64_t add;
    uint32_t weight, first, cnt; /* heap[first .. first + cnt) */
    uint8_t tier;
};

struct rr_state {
    uint32_t class_cnt, solo_cnt;
    uint32_t seen; /* of members->changes */
    uint8_t shift;
    struct rr_class *classes; /* tier by tier */
    struct rr_entry *heap;
    int64_t *value; /* current weight of solo members, by member */
    uint32_t *pos, *solo, *class_of;
};

struct rr_best {
    uint32_t i; /* UINT32_MAX: none */
    int64_t value, total;
};

/* --- heaps --- */

static bool is_before(const struct rr_entry *a, const struct rr_entry *b)
{
    return a->off > b->off || (a->off == b->off && a->i < b->i);
}

static void place(struct rr_state *s, const struct rr_class *c, uint32_t at, struct rr_entry e)
{
    s->heap[c->first + at] = e;
    s->pos[e.i] = c->first + at;
}

static void sift_down(struct rr_state *s, const struct rr_class *c, uint32_t at)
{
    const struct rr_entry *h = s->heap + c->first;
    struct rr_entry e = h[at];
    uint32_t kid;

    while ((kid = 2 * at + 1) < c->cnt) {
        kid += kid + 1 < c->cnt && is_before(&h[kid + 1], &h[kid]);
        if (!is_before(&h[kid], &e)) {
            break;
        }
        place(s, c, at, h[kid]);
        at = kid;
    }
    place(s, c, at, e);
}

static void sift_up(struct rr_state *s, const struct rr_class *c, uint32_t at)
{
    const struct rr_entry *h = s->heap + c->first;
    struct rr_entry e = h[at];

    while (at > 0 && is_before(&e, &h[(at - 1) / 2])) {
        place(s, c, at, h[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(s, c, at, e);
}

/* Out of its class; from now on it is asked by itself. */
static void leave_class(struct rr_state *s, uint32_t i)
{
    struct rr_class *c = &s->classes[s->class_of[i]];
    uint32_t at = s->pos[i] - c->first;

    s->value[i] = s->heap[c->first + at].off + c->add;
    c->cnt--;
    if (at != c->cnt) {
        place(s, c, at, s->heap[c->first + c->cnt]);
        sift_down(s, c, at);
        sift_up(s, c, s->pos[s->heap[c->first + at].i] - c->first);
    }
    s->pos[i] = ALONE + s->solo_cnt;
    s->solo[s->solo_cnt++] = i;
}

static void join_class(struct rr_state *s, uint32_t i)
{
    struct rr_class *c = &s->classes[s->class_of[i]];
    uint32_t k = s->pos[i] - ALONE, last = s->solo[--s->solo_cnt];

    s->solo[k] = last;
    s->pos[last] = ALONE + k;
    place(s, c, c->cnt, (struct rr_entry){s->value[i] - c->add, i});
    c->cnt++;
    sift_up(s, c, c->cnt - 1);
}

/* --- one pick --- */

static void rebase(struct rr_state *s, struct rr_class *c)
{
    uint32_t k;

    for (k = 0; k < c->cnt; k++) {
        s->heap[c->first + k].off += c->add;
    }
    c->add = 0;
}

static void consider(struct rr_best *b, uint32_t i, int64_t value)
{
    if (b->i == UINT32_MAX || value > b->value || (value == b->value && i < b->i)) {
        b->i = i;
        b->value = value;
    }
}

/* All classes of the tier grow; their first ones are candidates. */
static void ask_classes(struct rr_state *s, uint8_t tier, struct rr_best *b)
{
    struct rr_class *c;
    int64_t w;

    for (c = s->classes; c < s->classes + s->class_cnt; c++) {
        if (c->tier != tier || c->cnt == 0) {
            continue;
        }
        if (c->add >= REBASE_ADD) {
            rebase(s, c);
        }
        w = (int64_t)c->weight << s->shift;
        c->add += w;
        b->total += w * c->cnt;
        consider(b, s->heap[c->first].i, s->heap[c->first].off + c->add);
    }
}

static void ask_solos(struct rr_state *s, const struct wr_lb_ctx *ctx, struct rr_best *b)
{
    uint32_t k, i;
    int64_t w;

    for (k = 0; k < s->solo_cnt; k++) {
        i = s->solo[k];
        if (!wr_peer_ok(ctx, i)) {
            continue;
        }
        w = (int64_t)wr_peer_weight(ctx, i);
        s->value[i] += w;
        b->total += w;
        wr_peer_raise(ctx, i);
        consider(b, i, s->value[i]);
    }
}

static void pay(struct rr_state *s, const struct rr_best *b)
{
    struct rr_class *c;

    if ((s->pos[b->i] & ALONE) != 0) {
        s->value[b->i] -= b->total;
        return;
    }
    c = &s->classes[s->class_of[b->i]];
    s->heap[s->pos[b->i]].off -= b->total;
    sift_down(s, c, s->pos[b->i] - c->first);
}

/* Who failed since the last look, or came back slowly, is asked by itself. */
static void note_changes(struct rr_state *s, const struct wr_lb_ctx *ctx)
{
    const struct wr_members *m = ctx->members;
    uint32_t now = m->changes == NULL ? s->seen : wr_load_acq(m->changes), i;

    if (now == s->seen) {
        return;
    }
    s->seen = now;
    for (i = 0; i < m->cnt; i++) {
        if ((s->pos[i] & ALONE) == 0 &&
            (!wr_peer_is_whole(ctx, i) ||
             (m->has_accounting && !wr_peer_is_healthy(&m->at[i], ctx->now_ms)))) {
            leave_class(s, i);
        }
    }
}

static void note_tried(struct rr_state *s, const struct wr_lb_ctx *ctx)
{
    uint32_t words = (ctx->members->cnt + 63) / 64, k, i;
    uint64_t w;

    for (k = 0; ctx->tried != NULL && k < words; k++) {
        for (w = ctx->tried[k]; w != 0; w &= w - 1) {
            i = k * 64 + (uint32_t)__builtin_ctzll(w);
            if ((s->pos[i] & ALONE) == 0) {
                leave_class(s, i);
            }
        }
    }
}

static void rejoin(struct rr_state *s, const struct wr_lb_ctx *ctx)
{
    uint32_t k = s->solo_cnt, i;

    while (k-- > 0) {
        i = s->solo[k];
        if (wr_peer_ok(ctx, i) && wr_peer_is_whole(ctx, i)) {
            join_class(s, i);
        }
    }
}

/* The first of each class is eligible, or the class is empty. */
static void settle_heads(struct rr_state *s, const struct wr_lb_ctx *ctx)
{
    struct rr_class *c;

    for (c = s->classes; c < s->classes + s->class_cnt; c++) {
        while (c->tier == ctx->tier && c->cnt != 0 && !wr_peer_ok(ctx, s->heap[c->first].i)) {
            leave_class(s, s->heap[c->first].i);
        }
    }
}

/* --- the state --- */

/* tier 1 bit | weight 31 | index 32: in this order the members of a class lie side by side. */
static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint32_t sort_members(const struct wr_members *m, uint64_t *keys)
{
    uint32_t i, n = 0;

    for (i = 0; i < m->cnt; i++) {
        if (!m->at[i].is_down) {
            keys[n++] =
                ((uint64_t)m->at[i].is_backup << 63) | ((uint64_t)m->at[i].weight << 32) | i;
        }
    }
    qsort(keys, n, sizeof(*keys), compare_keys);
    return n;
}

static void fill_classes(struct rr_state *s, const uint64_t *keys, uint32_t n)
{
    struct rr_class *c = NULL;
    uint32_t k, i;

    for (k = 0; k < n; k++) {
        if (k == 0 || keys[k] >> 32 != keys[k - 1] >> 32) {
            c = &s->classes[s->class_cnt++];
            *c = (struct rr_class){.weight = (uint32_t)(keys[k] >> 32) & 0x7fffffffu,
                                   .first = k,
                                   .tier = (uint8_t)(keys[k] >> 63)};
        }
        i = (uint32_t)keys[k];
        s->heap[k] = (struct rr_entry){0, i};
        s->pos[i] = k;
        s->class_of[i] = s->class_cnt - 1;
        c->cnt++;
    }
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
    uint32_t t;

    while (b != 0) {
        t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* U2.8: not all threads begin with the first member. */
static void turn_to_start(struct rr_state *s, uint32_t thread_no, uint8_t tier)
{
    uint64_t total = 0;
    uint32_t common = 0, k, n;

    for (k = 0; k < s->class_cnt; k++) {
        if (s->classes[k].tier == tier) {
            total += (uint64_t)s->classes[k].weight * s->classes[k].cnt;
            common = gcd(s->classes[k].weight, common);
        }
    }
    if (total == 0) {
        return;
    }
    total /= common;
    n = wr_lb_start_point(thread_no, (uint32_t)WR_MIN(total, START_MAX));
    for (k = 0; k < n; k++) {
        struct rr_best b = {.i = UINT32_MAX};

        ask_classes(s, tier, &b);
        pay(s, &b);
    }
}

static struct rr_state *make_state(const struct wr_lb_ctx *ctx, uint32_t slot)
{
    const struct wr_members *m = ctx->members;
    uint64_t *keys = wr_run_alloc(m->cnt * sizeof(*keys));
    uint32_t classes = 0, k, n;
    struct rr_state *s;
    char *p;

    if (keys == NULL) {
        return NULL;
    }
    n = sort_members(m, keys);
    for (k = 0; k < n; k++) {
        classes += k == 0 || keys[k] >> 32 != keys[k - 1] >> 32;
    }
    s = wr_members_thread_state(m, slot,
                                sizeof(*s) + classes * sizeof(*s->classes) +
                                    m->cnt *
                                        (sizeof(*s->heap) + sizeof(*s->value) + sizeof(*s->pos) +
                                         sizeof(*s->solo) + sizeof(*s->class_of)));
    if (s != NULL) {
        p = (char *)(s + 1);
        s->classes = (void *)p;
        s->heap = (void *)(p += classes * sizeof(*s->classes));
        s->value = (void *)(p += m->cnt * sizeof(*s->heap));
        s->pos = (void *)(p += m->cnt * sizeof(*s->value));
        s->solo = (void *)(p += m->cnt * sizeof(*s->pos));
        s->class_of = (void *)(p + m->cnt * sizeof(*s->solo));
        s->shift = m->weight_shift;
        memset(s->pos, 0xff, m->cnt * sizeof(*s->pos)); /* NOWHERE */
        fill_classes(s, keys, n);
        turn_to_start(s, slot, 0);
        turn_to_start(s, slot, 1);
    }
    wr_mem_free(keys);
    return s;
}

static struct rr_state *get_state(const struct wr_lb_ctx *ctx)
{
    uint32_t slot = ctx->is_exact ? 0 : ctx->thread_no;
    struct rr_state *s = wr_members_thread_peek(ctx->members, slot);

    return s != NULL ? s : make_state(ctx, slot);
}

/* All grow, and this one pays. */
static void charge_smooth(struct wr_lb_ctx *ctx, uint32_t i)
{
    struct rr_state *s = get_state(ctx);
    struct rr_best b = {.i = UINT32_MAX};

    if (s == NULL || s->pos[i] == NOWHERE) {
        return;
    }
    note_changes(s, ctx);
    ask_solos(s, ctx, &b);
    ask_classes(s, ctx->tier, &b);
    b.i = i;
    pay(s, &b);
}

static enum wr_status pick_smooth(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    struct rr_state *s = get_state(ctx);
    struct rr_best b = {.i = UINT32_MAX};

    if (s == NULL) {
        return WR_ENOMEM;
    }
    note_changes(s, ctx);
    rejoin(s, ctx);
    note_tried(s, ctx);
    settle_heads(s, ctx);
    ask_solos(s, ctx, &b);
    ask_classes(s, ctx->tier, &b);
    if (b.i == UINT32_MAX) {
        return WR_EOF;
    }
    pay(s, &b);
    *ret_i = b.i;
    return WR_OK;
}

const struct wr_lb wr_lb_rr = {.name = "round_robin",
                               .params = WR_LB_ALL,
                               .is_moot_alone = true,
                               .pick = pick_smooth,
                               .charge = charge_smooth};
