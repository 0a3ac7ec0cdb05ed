/* SPDX-License-Identifier: Apache-2.0 */
/*
 * balance.c: the directives of the balancing methods: hash, ip_hash, least_conn, least_time,
 * random, sticky. Each makes its small conf and names its table to the upstream{} that is being
 * read. Control thread.
 */
#include "lb/balance.h"

#include "conf/dirs.h"
#include "conf/types.h"
#include "http/module.h"
#include "lb/lb_int.h"

static enum wr_status set_plain(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    (void)conf;
    return wr_group_set_lb(cf, node, dir->data, NULL);
}

static enum wr_status set_hash(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_lb_hash_conf *c = wr_arena_zalloc(cf->arena, sizeof(*c));
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));

    (void)dir, (void)conf;
    if (c == NULL || t == NULL) {
        return wr_conf_nomem(cf);
    }
    if (wr_arg_template(cf, node, 0, wr_node_arg(node, 0), t) != WR_OK) {
        return WR_ECONFIG;
    }
    c->key = t;
    if (node->arg_cnt == 2 && !wr_str_eq(wr_node_arg(node, 1), WR_STR("consistent"))) {
        return wr_arg_invalid(cf, node, 1);
    }
    return wr_group_set_lb(cf, node, node->arg_cnt == 2 ? &wr_lb_ketama : &wr_lb_hash, c);
}

static bool read_time(struct wr_str word, enum wr_lb_load *ret)
{
    if (wr_str_eq(word, WR_STR("header"))) {
        *ret = WR_LOAD_HEADER;
        return true;
    }
    if (wr_str_eq(word, WR_STR("last_byte"))) {
        *ret = WR_LOAD_LAST_BYTE;
        return true;
    }
    return false;
}

static enum wr_status set_least_time(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct wr_lb_least_conf *c = wr_arena_zalloc(cf->arena, sizeof(*c));

    (void)dir, (void)conf;
    if (c == NULL) {
        return wr_conf_nomem(cf);
    }
    if (!read_time(wr_node_arg(node, 0), &c->load)) {
        return wr_arg_invalid(cf, node, 0);
    }
    if (node->arg_cnt == 2) {
        if (!wr_str_eq(wr_node_arg(node, 1), WR_STR("inflight"))) {
            return wr_arg_invalid(cf, node, 1);
        }
        c->inflight = true;
    }
    return wr_group_set_lb(cf, node, &wr_lb_least_time, c);
}

static enum wr_status set_random(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_lb_random_conf *c = wr_arena_zalloc(cf->arena, sizeof(*c));
    struct wr_str method, which;

    (void)dir, (void)conf;
    if (c == NULL) {
        return wr_conf_nomem(cf);
    }
    if (node->arg_cnt > 0) {
        if (!wr_str_eq(wr_node_arg(node, 0), WR_STR("two"))) {
            return wr_arg_invalid(cf, node, 0);
        }
        c->is_two = true;
    }
    if (node->arg_cnt == 2) {
        method = wr_node_arg(node, 1);
        if (wr_str_eq(method, WR_STR("least_time"))) {
            c->least.load = WR_LOAD_HEADER;
        } else if (wr_arg_has_key(node, 1, "least_time", &which)) {
            if (!read_time(which, &c->least.load)) {
                return wr_arg_invalid(cf, node, 1);
            }
        } else if (!wr_str_eq(method, WR_STR("least_conn"))) {
            return wr_arg_invalid(cf, node, 1);
        }
    }
    return wr_group_set_lb(cf, node, &wr_lb_random, c);
}

/* clang-format off */
#define METHOD_ROW(nm, lo, hi, setter, table, text)                                                \
    {.name = nm,                                                                                   \
     .contexts = WR_CTX_UPSTREAM,                                                                  \
     .min = lo,                                                                                    \
     .max = hi,                                                                                    \
     .flags = WR_DIR_REPEAT,                                                                       \
     .kind = WR_KIND_NONE,                                                                         \
     .set = setter,                                                                                \
     .data = table,                                                                                \
     .doc = text}

static const struct wr_dir balance_dirs[] = {
    METHOD_ROW("hash", 1, 2, set_hash, NULL,
               "The peer that a text falls to; with consistent: by a ketama ring."),
    METHOD_ROW("ip_hash", 0, 0, set_plain, &wr_lb_ip_hash,
               "The peer that the client's address falls to."),
    METHOD_ROW("least_conn", 0, 0, set_plain, &wr_lb_least_conn,
               "The peer with the fewest requests under way, by weight."),
    METHOD_ROW("least_time", 1, 2, set_least_time, NULL,
               "The peer with the least mean time (header, last_byte) and requests under way."),
    METHOD_ROW("random", 0, 2, set_random, NULL,
               "A random peer by weight; with two: the less busy one of two."),
    {.name = "sticky",
     .contexts = WR_CTX_UPSTREAM,
     .min = 1,
     .max = WR_ARGS_ANY,
     .kind = WR_KIND_NONE,
     .set = wr_lb_set_sticky,
     .doc = "Requests of a session go to one peer: by a cookie of ours, a route, or what the peers hand out."},
    WR_DIR_END};
/* clang-format on */

static struct wr_conf_module balance_conf = {.name = "balance", .dirs = balance_dirs};

static const struct wr_lb *const methods[] = {&wr_lb_hash, &wr_lb_ip_hash, &wr_lb_least_conn,
                                              &wr_lb_least_time, &wr_lb_random};

const struct wr_module wr_balance_module = {
    .conf = &balance_conf, .balancers = methods, .balancer_cnt = WR_ARRAY_LEN(methods)};
