/* SPDX-License-Identifier: Apache-2.0 */
/*
 * literal.c: a group for one request (U1.5): proxy_pass with variables named an address, or a name
 * whose addresses were asked for; requests begin at different ones. All of it lies in the request's
 * arena and failures are not kept. What stays of such peers are at most WR_NAMED_EACH idle
 * connections to each, among at most WR_NAMED_MAX to all of them: who asks for ever new addresses
 * fills no table. A peer's number is a keyed hash of its address.
 */
#include "base/hash.h"
#include "base/rng.h"
#include "up/group.h"

/* The first that may be chosen, from where this request begins. */
static enum wr_status pick_next(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    const uint32_t *first = m->lb_state;
    uint32_t n, i;

    for (n = 0; n < m->cnt; n++) {
        i = (*first + n) % m->cnt;
        if (wr_peer_ok(ctx, i)) {
            *ret_i = i;
            return WR_OK;
        }
    }
    return WR_EOF;
}

static const struct wr_lb in_turn = {.name = "in_turn", .params = 0, .pick = pick_next};

static void fill_peer(struct wr_peer *p, const struct wr_addr *addr, uint16_t port)
{
    p->addr = *addr;
    if (port != 0) {
        wr_addr_set_port(&p->addr, port);
    }
    p->text_len = (uint16_t)wr_addr_write(&p->addr, p->text);
    p->id = wr_hash_sip(p->text, p->text_len);
}

static void set_keepalive(const struct wr_gen *g, struct wr_members *m)
{
    m->group = wr_group_named(g);
    m->keepalive = WR_NAMED_MAX;
    m->keepalive_each = WR_NAMED_EACH;
    m->keepalive_local = true;
    m->keepalive_requests = 1000;
    m->keepalive_time_ms = 3600000;
    m->keepalive_timeout_ms = 60000;
}

enum wr_status wr_group_of_addrs(const struct wr_gen *g, struct wr_arena *a, struct wr_str name,
                                 const struct wr_named_addrs *addrs, const struct wr_members **ret)
{
    uint32_t cnt = addrs->cnt, i;
    struct wr_members *m = wr_arena_zalloc(a, sizeof(*m));
    struct wr_member *e = wr_arena_zalloc(a, cnt * sizeof(*e));
    struct wr_peer *p = wr_arena_zalloc(a, cnt * sizeof(*p));
    wr_atomic_u32 *effective = wr_arena_zalloc(a, cnt * sizeof(*effective));
    uint32_t *first = wr_arena_zalloc(a, sizeof(*first));

    if (m == NULL || e == NULL || p == NULL || effective == NULL || first == NULL) {
        return WR_ENOMEM;
    }
    for (i = 0; i < cnt; i++) {
        wr_store_rlx(&effective[i], 1);
        fill_peer(&p[i], &addrs->at[i], addrs->port);
        e[i].peer = &p[i];
        e[i].server = name;
        e[i].weight = 1;
        e[i].effective = &effective[i];
    }
    *first = cnt > 1 ? (uint32_t)wr_rng_below(cnt) : 0;
    m->name = name;
    m->at = e;
    m->cnt = m->primary_cnt = m->up_cnt = cnt;
    m->is_implicit = true;
    m->lb = &in_turn;
    m->lb_state = first;
    set_keepalive(g, m);
    *ret = m;
    return WR_OK;
}

enum wr_status wr_group_literal(const struct wr_gen *g, struct wr_arena *a, struct wr_str name,
                                const struct wr_addr *addr, const struct wr_members **ret)
{
    struct wr_named_addrs addrs = {.at = addr, .cnt = 1};

    return wr_group_of_addrs(g, a, name, &addrs, ret);
}
