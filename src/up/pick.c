/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pick.c: one request's choice of peers. Eligibility is written here once (wr_peer_ok); a balancer
 * walks its own structure and asks. Primaries first; once they cannot be chosen the request goes
 * over to the backups for good (U2.4). Nothing is allocated but the tried set of groups above 64
 * members, once per request.
 */
#include "up/pick.h"

#include "base/mem.h"
#include "base/slab.h"

#define PICK_RACES_MAX                                                                             \
    8 /* times another thread may take the chosen slot before we call it full                      \
       */

bool wr_peer_ok(const struct wr_lb_ctx *ctx, uint32_t i)
{
    const struct wr_member *m = &ctx->members->at[i];

    if (m->is_down || m->is_backup != (ctx->tier != 0)) {
        return false;
    }
    if (ctx->tried != NULL && (ctx->tried[i / 64] & (UINT64_C(1) << (i % 64))) != 0) {
        return false;
    }
    if (m->max_conns != 0 && wr_load_seq(&m->peer->active) >= m->max_conns) {
        return false;
    }
    return !ctx->members->has_accounting || wr_peer_is_healthy(m, ctx->now_ms);
}

void *wr_members_thread_state(const struct wr_members *m, uint32_t thread_no, size_t size)
{
    void *p;

    if (thread_no >= WR_THREADS_MAX) {
        thread_no = WR_THREADS_MAX - 1;
    }
    /* The slot is this thread's alone; the generation's end frees it from whatever thread is last.
     */
    p = wr_load_acq(&m->thread_state[thread_no]);
    if (p == NULL) {
        p = wr_run_zalloc(size);
        if (p != NULL) {
            wr_store_rel(&m->thread_state[thread_no], p);
        }
    }
    return p;
}

enum wr_status wr_picker_init(struct wr_picker *p, const struct wr_members *m, struct wr_arena *a,
                              struct wr_req *r)
{
    p->members = m;
    p->req = r;
    p->tier = m->primary_cnt == 0 ? 1 : 0;
    p->inline_tried = 0;
    p->tried = &p->inline_tried;
    if (m->cnt > 64) {
        p->tried = wr_arena_zalloc(a, ((size_t)m->cnt + 63) / 64 * 8);
        if (p->tried == NULL) {
            return WR_ENOMEM;
        }
    }
    return WR_OK;
}

static enum wr_status ask_balancer(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    enum wr_status st;

    if (!m->has_zone) {
        return m->lb->pick(ctx, ret_i);
    }
    wr_mutex_lock(&m->group->lock);
    ctx->is_exact = true;
    st = m->lb->pick(ctx, ret_i);
    wr_mutex_unlock(&m->group->lock);
    return st;
}

static enum wr_status pick_in_tier(struct wr_picker *p, struct wr_lb_ctx *ctx,
                                   struct wr_peer_slot *ret)
{
    const struct wr_members *m = p->members;
    enum wr_status st;
    uint32_t i;
    int races;

    for (races = 0; races < PICK_RACES_MAX; races++) {
        st = ask_balancer(ctx, &i);
        if (st != WR_OK) {
            return st;
        }
        if (wr_peer_acquire(&m->at[i], ctx->now_ms, m->has_accounting, &ret->is_probe)) {
            p->tried[i / 64] |= UINT64_C(1) << (i % 64);
            ret->members = m;
            ret->member = &m->at[i];
            ret->began_ms = ctx->now_ms;
            return WR_OK;
        }
    }
    return WR_EOF;
}

enum wr_status wr_pick(struct wr_picker *p, uint64_t now_ms, uint32_t thread_no,
                       struct wr_peer_slot *ret)
{
    struct wr_lb_ctx ctx = {.members = p->members,
                            .req = p->req,
                            .thread_no = thread_no,
                            .tier = p->tier,
                            .now_ms = now_ms,
                            .tried = p->tried};
    enum wr_status st = pick_in_tier(p, &ctx, ret);

    if (st != WR_EOF || p->tier != 0 || p->members->backup_cnt == 0) {
        return st;
    }
    p->tier = 1;
    ctx.tier = 1;
    ctx.is_exact = false;
    return pick_in_tier(p, &ctx, ret);
}

bool wr_pick_again(const struct wr_peer_slot *old, uint64_t now_ms, struct wr_peer_slot *ret)
{
    struct wr_peer_slot s = *old;

    if (!wr_peer_acquire(old->member, now_ms, old->members->has_accounting, &s.is_probe)) {
        return false;
    }
    s.began_ms = now_ms;
    *ret = s;
    return true;
}

void wr_peer_slot_release(struct wr_peer_slot *s, enum wr_outcome how, uint64_t now_ms)
{
    const struct wr_member *m = s->member;

    if (m == NULL) {
        return;
    }
    s->member = NULL;
    wr_peer_release(m, how, s->began_ms, now_ms, s->members->has_accounting, s->is_probe);
}
