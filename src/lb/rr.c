/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rr.c: smooth weighted round robin (U2.1). Each eligible member's current weight grows by its
 * effective weight, the largest is chosen and loses the sum: weights 5,1,1 give a a b a c a a. A
 * member whose effective weight was lowered by a failure wins one back at each pick. Current
 * weights are the thread's own, or, for a group with a zone, one set for all threads under the
 * group lock (thread slot 0).
 */
#include "lb/rr.h"

#include "up/group.h"

static enum wr_status pick_smooth(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    int64_t *current = wr_members_thread_state(m, ctx->is_exact ? 0 : ctx->thread_no,
                                               (size_t)m->cnt * sizeof(*current));
    int64_t total = 0;
    uint32_t i, best = UINT32_MAX, e;

    if (current == NULL) {
        return WR_ENOMEM;
    }
    for (i = 0; i < m->cnt; i++) {
        if (!wr_peer_ok(ctx, i)) {
            continue;
        }
        e = wr_load_rlx(m->at[i].effective);
        current[i] += e;
        total += e;
        if (e < m->at[i].weight) {
            /* Lost races only delay the return to full weight by a pick. */
            wr_cas_acqrel(m->at[i].effective, &e, e + 1);
        }
        if (best == UINT32_MAX || current[i] > current[best]) {
            best = i;
        }
    }
    if (best == UINT32_MAX) {
        return WR_EOF;
    }
    current[best] -= total;
    *ret_i = best;
    return WR_OK;
}

const struct wr_lb wr_lb_rr = {.name = "round_robin", .params = WR_LB_ALL, .pick = pick_smooth};
