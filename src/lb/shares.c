/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shares.c: what several methods need: a member from a number, each with as many numbers as it has
 * weight; and how busy a member is. No state but the immutable table of a members list.
 */
#include "base/arena.h"
#include "base/sync.h"
#include "lb/lb_int.h"

enum wr_status wr_lb_shares_init(struct wr_members *m, void **ret_state)
{
    uint32_t i, same = m->at[0].weight;
    struct wr_lb_shares *s;
    uint64_t total = 0;

    for (i = 1; i < m->cnt; i++) {
        same = m->at[i].weight == same ? same : 0;
    }
    s = wr_arena_zalloc(m->arena, sizeof(*s) + (same != 0 ? 0 : m->cnt * sizeof(s->upto[0])));
    if (s == NULL) {
        return WR_ENOMEM;
    }
    for (i = 0; i < m->cnt; i++) {
        total += m->at[i].weight;
        if (same == 0) {
            s->upto[i] = total;
        }
    }
    s->total = total;
    s->same = same;
    *ret_state = s;
    return WR_OK;
}

uint32_t wr_lb_shares_get(const struct wr_lb_shares *s, uint32_t cnt, uint64_t number)
{
    uint32_t lo = 0, hi = cnt - 1, mid;

    if (s->same != 0) {
        return (uint32_t)(number / s->same);
    }
    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        if (number < s->upto[mid]) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

uint64_t wr_lb_load_of(const struct wr_member *m, const struct wr_lb_least_conf *c, uint64_t now_ms)
{
    const struct wr_peer *p = m->peer;
    /* Of this method's requests: those of a configuration with another one end. */
    uint64_t active = wr_load_seq(&p->active), mean = 0, began, lasted;

    if (c->load == WR_LOAD_CONNS) {
        return active;
    }
    mean = wr_peer_mean_time(p, c->load == WR_LOAD_HEADER ? WR_TIME_HEADER : WR_TIME_LAST_BYTE,
                             now_ms);
    if (c->inflight && active != 0) {
        /* Sum of (now - began) over them; a measure: the two numbers are read one by one. */
        began = wr_load_rlx(&p->began_sum);
        lasted = active * now_ms > began ? (active * now_ms - began) * 256 / active : 0;
        mean = WR_MAX(mean, lasted);
    }
    /* A millisecond on top: peers that answer faster than the clock ticks differ by their load. */
    return (mean + 256) * (active + 1);
}

bool wr_lb_is_less(uint64_t load_a, uint64_t weight_a, uint64_t load_b, uint64_t weight_b)
{
    /* Loads stay below 2^53 or so, weights below 2^24: scaled down only when they do not fit. */
    while ((load_a | load_b) >> 39 != 0) {
        load_a >>= 1;
        load_b >>= 1;
    }
    return load_a * weight_b < load_b * weight_a;
}
