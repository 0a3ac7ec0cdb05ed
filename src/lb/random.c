/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.c: random, and random two (U2.7): a member by weight from a random number; of two
 * different ones the one with less to do. When WR_LB_TRIES draws give none that can be had, peers
 * are taken in turn. The table of weights is immutable, random numbers are the thread's own.
 */
#include "base/rng.h"
#include "lb/lb_int.h"
#include "lb/rr.h"

/* An eligible member but `not`; UINT32_MAX: the draws gave none. */
static uint32_t draw(const struct wr_lb_ctx *ctx, uint32_t not )
{
    const struct wr_lb_shares *s = ctx->members->lb_state;
    unsigned tries;
    uint32_t i;

    for (tries = 0; tries < WR_LB_TRIES; tries++) {
        i = wr_lb_shares_get(s, ctx->members->cnt, wr_rng_below(s->total));
        if (i != not &&wr_peer_ok(ctx, i)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static enum wr_status pick_random(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    const struct wr_lb_random_conf *c = m->lb_conf;
    uint32_t a = draw(ctx, UINT32_MAX), b;

    if (a == UINT32_MAX) {
        return wr_lb_rr.pick(ctx, ret_i);
    }
    if (c != NULL && c->is_two) {
        b = draw(ctx, a);
        if (b != UINT32_MAX &&
            wr_lb_is_less(wr_lb_load_of(&m->at[b], &c->least, ctx->now_ms), m->at[b].weight,
                          wr_lb_load_of(&m->at[a], &c->least, ctx->now_ms), m->at[a].weight)) {
            a = b;
        }
    }
    *ret_i = a;
    return WR_OK;
}

const struct wr_lb wr_lb_random = {.name = "random",
                                   .params = WR_LB_ALL & ~(WR_LB_BACKUP | WR_LB_SLOW_START),
                                   .wants_times = true,
                                   .wants_load = true,
                                   .group_init = wr_lb_shares_init,
                                   .pick = pick_random};
