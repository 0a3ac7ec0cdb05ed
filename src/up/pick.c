/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pick.c: one request's choice of peers. Eligibility is written here once (wr_peer_ok); a balancer
 * walks its own structure and asks. Primaries first; once they cannot be chosen the request goes
 * over to the backups for good (U2.4). The first pick of a request allocates nothing; the set of
 * tried peers comes with the second, and only in groups of more than 64.
 */
#include "up/pick.h"

#include "base/local.h"
#include "base/mem.h"
#include "base/slab.h"
#include "up/queue.h"

#define PICK_RACES_MAX                                                                             \
    8 /* times another thread may take the chosen slot before we call it full                      \
       */

bool wr_peer_ok(const struct wr_lb_ctx *ctx, uint32_t i)
{
    const struct wr_member *m = &ctx->members->at[i];

    if (m->is_down || m->is_backup != (ctx->tier != 0) || (m->is_draining && !ctx->is_bound)) {
        return false;
    }
    if (ctx->tried != NULL && (ctx->tried[i / 64] & (UINT64_C(1) << (i % 64))) != 0) {
        return false;
    }
    if (wr_peer_is_full(m)) {
        return false;
    }
    return !ctx->members->has_accounting || wr_peer_is_healthy(m, ctx->now_ms);
}

uint64_t wr_peer_weight(const struct wr_lb_ctx *ctx, uint32_t i)
{
    const struct wr_member *m = &ctx->members->at[i];
    /* Lost races cost or give a pick's worth. */
    uint64_t w = (uint64_t)wr_load_rlx(m->effective) << ctx->members->weight_shift;

    if (m->slow_start_ms != 0 && ctx->members->has_accounting) {
        w = w * wr_peer_ramp(m, ctx->now_ms) / 256;
    }
    return w;
}

bool wr_peer_is_whole(const struct wr_lb_ctx *ctx, uint32_t i)
{
    const struct wr_member *m = &ctx->members->at[i];

    return wr_load_rlx(m->effective) >= m->weight &&
           (m->slow_start_ms == 0 || !ctx->members->has_accounting ||
            wr_peer_ramp(m, ctx->now_ms) == 256);
}

void wr_peer_raise(const struct wr_lb_ctx *ctx, uint32_t i)
{
    const struct wr_member *m = &ctx->members->at[i];
    uint32_t e = wr_load_rlx(m->effective);

    if (e < m->weight) {
        /* Lost races only delay the return to full weight by a pick. */
        (void)wr_cas_acqrel(m->effective, &e, e + 1);
    }
}

uint32_t wr_lb_start_point(uint32_t thread_no, uint32_t cnt)
{
    /* Multiples of the golden ratio lie far from each other. */
    uint32_t part = thread_no * 2654435769u;

    return (uint32_t)(((uint64_t)part * cnt) >> 32);
}

void *wr_members_thread_peek(const struct wr_members *m, uint32_t thread_no)
{
    return wr_load_acq(&m->thread_state[WR_MIN(thread_no, WR_THREADS_MAX - 1u)]);
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
    *p = (struct wr_picker){.members = m,
                            .req = r,
                            .arena = a,
                            .tier = m->primary_cnt == 0 ? 1 : 0,
                            .first = UINT32_MAX};
    return WR_OK;
}

static void mark_tried(struct wr_picker *p, uint32_t i)
{
    if (p->tried != NULL) {
        p->tried[i / 64] |= UINT64_C(1) << (i % 64);
    } else {
        p->first = i;
    }
}

/* A second pick: from now on there is a set. */
static enum wr_status make_tried(struct wr_picker *p)
{
    if (p->first == UINT32_MAX || p->tried != NULL) {
        return WR_OK;
    }
    p->tried = p->members->cnt <= 64
                   ? &p->inline_tried
                   : wr_arena_zalloc(p->arena, ((size_t)p->members->cnt + 63) / 64 * 8);
    if (p->tried == NULL) {
        return WR_ENOMEM;
    }
    mark_tried(p, p->first);
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

static void hold(struct wr_peer_slot *s, const struct wr_members *m, const struct wr_member *e,
                 uint64_t now_ms)
{
    s->members = m;
    s->member = e;
    s->began_ms = now_ms;
    s->is_timed = m->lb->wants_times;
    if (s->is_timed) {
        wr_add_rlx(&e->peer->began_sum, now_ms); /* a measure, as the means are */
    }
}

bool wr_pick_member_locked(const struct wr_members *m, uint32_t i, uint64_t now_ms,
                           struct wr_peer_slot *ret)
{
    if (!wr_peer_acquire(&m->at[i], now_ms, m->has_accounting, &ret->is_probe)) {
        return false;
    }
    hold(ret, m, &m->at[i], now_ms);
    return true;
}

bool wr_pick_member(const struct wr_members *m, uint32_t i, uint64_t now_ms,
                    struct wr_peer_slot *ret)
{
    if (wr_pick_member_locked(m, i, now_ms, ret)) {
        return true;
    }
    if (m->has_accounting && m->at[i].max_conns != 0) {
        /* It may have had the slot, and not the right to probe: who looked just then saw it full.
         */
        wr_queue_hand(m, i, WR_HEALTH_SAME, now_ms);
    }
    return false;
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
        if (wr_pick_member(m, i, ctx->now_ms, ret)) {
            mark_tried(p, i);
            return WR_OK;
        }
    }
    return WR_EOF;
}

static void charge(struct wr_lb_ctx *ctx, uint32_t i)
{
    const struct wr_members *m = ctx->members;

    if (m->lb->charge == NULL) {
        return;
    }
    if (!m->has_zone) {
        m->lb->charge(ctx, i);
        return;
    }
    wr_mutex_lock(&m->group->lock);
    ctx->is_exact = true;
    m->lb->charge(ctx, i);
    wr_mutex_unlock(&m->group->lock);
}

/* The member that a session binds the request to; WR_EOF: none, or it cannot be had. */
static enum wr_status pick_bound(struct wr_picker *p, struct wr_lb_ctx ctx,
                                 struct wr_peer_slot *ret)
{
    const struct wr_members *m = p->members;
    enum wr_status st;
    uint32_t i;

    ctx.is_bound = true;
    st = m->sticky->find(&ctx, &i);
    if (st != WR_OK) {
        return st;
    }
    if (!wr_pick_member(m, i, ctx.now_ms, ret)) {
        return WR_EOF;
    }
    mark_tried(p, i);
    ctx.tier = m->at[i].is_backup;
    charge(&ctx, i);
    return WR_OK;
}

/* The first pick where the method would only say "that one". False: it has to be asked. */
static bool pick_alone(struct wr_picker *p, uint64_t now_ms, struct wr_peer_slot *ret)
{
    const struct wr_members *m = p->members;
    const struct wr_member *e = m->at;

    if (!m->is_alone || p->first != UINT32_MAX || p->tried != NULL || e->is_down ||
        e->is_draining || wr_load_rlx(e->effective) < e->weight) {
        return false;
    }
    if (!wr_pick_member_locked(m, 0, now_ms, ret)) {
        return false;
    }
    p->first = 0;
    return true;
}

/* The method, and the sessions before it. */
static enum wr_status pick_any(struct wr_picker *p, uint64_t now_ms, uint32_t thread_no,
                               struct wr_peer_slot *ret)
{
    struct wr_lb_ctx ctx = {.members = p->members,
                            .req = p->req,
                            .thread_no = thread_no,
                            .tier = p->tier,
                            .now_ms = now_ms};
    enum wr_status st = make_tried(p);

    if (st != WR_OK) {
        return st;
    }
    if (p->members->cnt == 0) {
        return WR_EOF; /* its `state` file is not there yet */
    }
    ctx.tried = p->tried;
    if (p->members->sticky != NULL && p->first == UINT32_MAX) {
        st = pick_bound(p, ctx, ret);
        if (st != WR_EOF) {
            return st;
        }
    }
    st = pick_in_tier(p, &ctx, ret);
    if (st != WR_EOF || p->tier != 0 || p->members->backup_cnt == 0) {
        return st;
    }
    ctx.tier = 1;
    ctx.is_exact = false;
    st = pick_in_tier(p, &ctx, ret);
    if (st == WR_OK) {
        p->tier = 1; /* for good; who waits for a slot has not gone over yet */
    }
    return st;
}

enum wr_status wr_pick(struct wr_picker *p, uint64_t now_ms, uint32_t thread_no,
                       struct wr_peer_slot *ret)
{
    return pick_alone(p, now_ms, ret) ? WR_OK : pick_any(p, now_ms, thread_no, ret);
}

static bool is_tried(const struct wr_picker *p, uint32_t i)
{
    return p->tried != NULL ? (p->tried[i / 64] & (UINT64_C(1) << (i % 64))) != 0 : p->first == i;
}

bool wr_picker_accepts(const struct wr_picker *p, uint32_t i)
{
    const struct wr_member *m = &p->members->at[i];

    return !m->is_down && !m->is_draining && (p->tier == 0 || m->is_backup) && !is_tried(p, i);
}

bool wr_picker_can_wait(const struct wr_picker *p, uint64_t now_ms, uint64_t *ret_due_ms)
{
    const struct wr_members *m = p->members;
    uint64_t due = 0, at;
    bool can = false;
    uint32_t i;

    for (i = 0; i < m->cnt; i++) {
        if (!wr_picker_accepts(p, i)) {
            continue;
        }
        can = true;
        at = m->has_accounting ? wr_peer_due_ms(&m->at[i]) : 0;
        /* One that is due and not taken is full; its slots tell when they are free. */
        if (at > now_ms && (due == 0 || at < due)) {
            due = at;
        }
    }
    *ret_due_ms = due;
    return can;
}

/* UINT32_MAX: it is not in the list. */
static uint32_t index_of_peer(const struct wr_members *m, const struct wr_peer *peer)
{
    uint32_t i;

    for (i = 0; i < m->cnt; i++) {
        if (m->at[i].peer == peer) {
            return i;
        }
    }
    return UINT32_MAX;
}

enum wr_status wr_picker_follow(struct wr_picker *p, const struct wr_members *m)
{
    struct wr_picker next;
    uint32_t i, k;
    enum wr_status st = wr_picker_init(&next, m, p->arena, p->req);

    for (i = 0; i < p->members->cnt && st == WR_OK; i++) {
        k = is_tried(p, i) ? index_of_peer(m, p->members->at[i].peer) : UINT32_MAX;
        if (k != UINT32_MAX) {
            mark_tried(&next, k);
            st = make_tried(&next);
        }
    }
    if (st == WR_OK) {
        *p = next;
        if (next.tried == &next.inline_tried) {
            p->tried = &p->inline_tried;
        }
    }
    return st;
}

void wr_picker_adopt(struct wr_picker *p, const struct wr_peer_slot *s)
{
    uint32_t i = s->members == p->members ? (uint32_t)(s->member - p->members->at)
                                          : index_of_peer(p->members, s->member->peer);

    if (i != UINT32_MAX) {
        mark_tried(p, i);
    }
    p->tier = p->tier != 0 || s->member->is_backup;
}

bool wr_pick_again(struct wr_peer_slot *s, uint64_t now_ms)
{
    if (s->is_probe) {
        return true;
    }
    if (s->members->has_accounting && !wr_peer_claim(s->member, now_ms, &s->is_probe)) {
        return false;
    }
    if (s->is_timed) {
        wr_add_rlx(&s->member->peer->began_sum, now_ms - s->began_ms);
    }
    s->began_ms = now_ms;
    return true;
}

void wr_peer_slot_note_head(const struct wr_peer_slot *s, uint64_t now_ms)
{
    if (s->member != NULL && s->is_timed) {
        wr_peer_note_time(s->member->peer, WR_TIME_HEADER, now_ms - s->began_ms, now_ms);
    }
}

/* The method looks at this member again; after the slot was given back. */
static void tell_balancer(const struct wr_members *m, uint32_t i, uint64_t now_ms)
{
    if (!m->has_zone) {
        m->lb->release(m, wr_local_get()->thread_no, i, now_ms);
        return;
    }
    wr_mutex_lock(&m->group->lock);
    m->lb->release(m, 0, i, now_ms);
    wr_mutex_unlock(&m->group->lock);
}

void wr_peer_slot_release(struct wr_peer_slot *s, enum wr_outcome how, uint64_t now_ms)
{
    const struct wr_member *m = s->member;
    enum wr_health_change change = WR_HEALTH_SAME;

    if (m == NULL) {
        return;
    }
    s->member = NULL;
    if (s->is_timed) {
        wr_sub_rlx(&m->peer->began_sum, s->began_ms);
        if (how == WR_OUTCOME_OK) {
            wr_peer_note_time(m->peer, WR_TIME_LAST_BYTE, now_ms - s->began_ms, now_ms);
        }
    }
    if (s->members->has_accounting) {
        change = wr_peer_account(m, how, s->began_ms, now_ms, s->is_probe);
    }
    wr_peer_leave(m);
    if (s->members->changes != NULL &&
        (change == WR_HEALTH_WORSE || (change == WR_HEALTH_BACK && m->slow_start_ms != 0))) {
        /* Behind the change itself: who reads the count sees it. */
        wr_add_acqrel(s->members->changes, 1);
    }
    if (s->members->lb->release != NULL) {
        tell_balancer(s->members, (uint32_t)(m - s->members->at), now_ms);
    }
    wr_queue_hand(s->members, (uint32_t)(m - s->members->at), change, now_ms);
}
