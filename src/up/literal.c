/* SPDX-License-Identifier: Apache-2.0 */
/*
 * literal.c: a group of one address for one request (U1.5): proxy_pass with variables named an
 * address. All of it lies in the request's arena and failures are not kept. What stays of such a
 * peer are at most WR_NAMED_EACH idle connections among at most WR_NAMED_MAX to all of them: who
 * asks for ever new addresses fills no table. The peer's number is a keyed hash of its address.
 */
#include "base/hash.h"
#include "up/group.h"

static enum wr_status pick_only(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    if (!wr_peer_ok(ctx, 0)) {
        return WR_EOF;
    }
    *ret_i = 0;
    return WR_OK;
}

static const struct wr_lb only = {.name = "only", .params = 0, .pick = pick_only};

enum wr_status wr_group_literal(const struct wr_gen *g, struct wr_arena *a, struct wr_str name,
                                const struct wr_addr *addr, const struct wr_members **ret)
{
    struct wr_members *m = wr_arena_zalloc(a, sizeof(*m));
    struct wr_member *e = wr_arena_zalloc(a, sizeof(*e));
    struct wr_peer *p = wr_arena_zalloc(a, sizeof(*p));

    if (m == NULL || e == NULL || p == NULL) {
        return WR_ENOMEM;
    }
    e->effective = wr_arena_zalloc(a, sizeof(*e->effective));
    if (e->effective == NULL) {
        return WR_ENOMEM;
    }
    wr_store_rlx(e->effective, 1);
    p->addr = *addr;
    p->text_len = (uint16_t)wr_addr_write(addr, p->text);
    p->id = wr_hash_sip(p->text, p->text_len);
    e->peer = p;
    e->server = name;
    e->weight = 1;
    m->name = name;
    m->at = e;
    m->cnt = m->primary_cnt = m->up_cnt = 1;
    m->is_implicit = true;
    m->group = wr_group_named(g);
    m->keepalive = WR_NAMED_MAX;
    m->keepalive_each = WR_NAMED_EACH;
    m->keepalive_local = true;
    m->keepalive_requests = 1000;
    m->keepalive_time_ms = 3600000;
    m->keepalive_timeout_ms = 60000;
    m->lb = &only;
    *ret = m;
    return WR_OK;
}
