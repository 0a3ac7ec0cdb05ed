/* SPDX-License-Identifier: Apache-2.0 */
/*
 * balancer.c: a balancing method by what the peers say of themselves.
 *
 *   upstream app { told; server 10.0.0.11; server 10.0.0.12; }
 *
 * Each answer may carry "X-Load: 0" (idle) to "X-Load: 100" (no more, please); a peer gets requests
 * in proportion to 101 - load and its weight. The field itself is passed on; proxy_hide_header
 * takes it away.
 */
#include <base/num.h>
#include <base/rng.h>
#include <base/sync.h>
#include <http/loadable.h>
#include <up/group.h>
#include <up/lb.h>

#define LOAD_MAX 100

/* One number a member, written by whichever thread has an answer: the latest counts. */
static enum wr_status told_init(struct wr_members *m, void **ret_state)
{
    wr_atomic_u32 *loads = wr_arena_zalloc(m->arena, (m->cnt + 1) * sizeof(*loads));

    *ret_state = loads;
    return loads != NULL ? WR_OK : WR_ENOMEM;
}

static uint64_t share_of(const struct wr_lb_ctx *ctx, uint32_t i)
{
    const wr_atomic_u32 *loads = ctx->members->lb_state;

    if (!wr_peer_ok(ctx, i)) {
        return 0; /* failed, full, tried, a backup ... */
    }
    return wr_peer_weight(ctx, i) * (LOAD_MAX + 1 - wr_load_rlx(&loads[i]));
}

static enum wr_status told_pick(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    uint64_t total = 0, point;
    uint32_t i;

    for (i = 0; i < ctx->members->cnt; i++) {
        total += share_of(ctx, i);
    }
    if (total == 0) {
        return WR_EOF;
    }
    point = wr_rng_below(total);
    for (i = 0; i < ctx->members->cnt; i++) {
        uint64_t share = share_of(ctx, i);

        if (point < share) {
            *ret_i = i;
            return WR_OK;
        }
        point -= share;
    }
    return WR_EOF; /* a peer became busy between the two walks: the engine asks no more */
}

static void told_answered(const struct wr_members *m, uint32_t i, const struct wr_msg *head)
{
    wr_atomic_u32 *loads = m->lb_state;
    const struct wr_hdr *h = wr_hdrs_find(&head->hdrs, WR_STR("X-Load"), NULL);
    uint64_t load;

    if (h != NULL && wr_num_parse_u64(h->value, LOAD_MAX, &load) == WR_OK) {
        wr_store_rlx(&loads[i], (uint32_t)load);
    }
}

static const struct wr_lb told = {.name = "told",
                                  .params = WR_LB_ALL,
                                  .group_init = told_init,
                                  .pick = told_pick,
                                  .answered = told_answered};

static enum wr_status set_told(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    (void)dir, (void)conf;
    return wr_group_set_lb(cf, node, &told, NULL);
}

static const struct wr_dir dirs[] = {
    {.name = "told",
     .contexts = WR_CTX_UPSTREAM,
     .kind = WR_KIND_NONE,
     .set = set_told,
     .doc = "Requests by the load that peers tell in X-Load."},
    WR_DIR_END
};
static struct wr_conf_module conf_module = {.name = "told", .dirs = dirs};
static const struct wr_lb *const methods[] = {&told};
static const struct wr_module module = {
    .conf = &conf_module, .balancers = methods, .balancer_cnt = 1};
WR_MODULE_FILE(module);
