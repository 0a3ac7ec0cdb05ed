/* SPDX-License-Identifier: Apache-2.0 */
/*
 * literal.c: a group for one request (U1.5): proxy_pass with variables named an address, or a name
 * whose addresses were asked for. All of it lies in the request's arena, nothing is shared, nothing
 * is kept: no failures, no idle connections. Requests begin at different addresses of a name.
 */
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

enum wr_status wr_group_of_addrs(struct wr_arena *a, struct wr_str name,
                                 const struct wr_addr *addrs, uint32_t cnt, uint16_t port,
                                 const struct wr_members **ret)
{
    struct wr_members *m = wr_arena_zalloc(a, sizeof(*m));
    struct wr_member *e = wr_arena_zalloc(a, cnt * sizeof(*e));
    struct wr_peer *p = wr_arena_zalloc(a, cnt * sizeof(*p));
    wr_atomic_u32 *effective = wr_arena_zalloc(a, cnt * sizeof(*effective));
    uint32_t *first = wr_arena_zalloc(a, sizeof(*first)), i;

    if (m == NULL || e == NULL || p == NULL || effective == NULL || first == NULL) {
        return WR_ENOMEM;
    }
    for (i = 0; i < cnt; i++) {
        wr_store_rlx(&effective[i], 1);
        p[i].addr = addrs[i];
        if (port != 0) {
            wr_addr_set_port(&p[i].addr, port);
        }
        p[i].text_len = (uint16_t)wr_addr_write(&p[i].addr, p[i].text);
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
    *ret = m;
    return WR_OK;
}

enum wr_status wr_group_literal(struct wr_arena *a, struct wr_str name, const struct wr_addr *addr,
                                const struct wr_members **ret)
{
    return wr_group_of_addrs(a, name, addr, 1, 0, ret);
}
