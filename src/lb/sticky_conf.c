/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sticky_conf.c: the directive `sticky`, its three forms and their parameters. Control thread.
 */
#include "base/num.h"
#include "conf/types.h"
#include "http/var.h"
#include "lb/balance.h"
#include "lb/lb_int.h"
#include "lb/sessions.h"

#define ZONE_MIN 32768

static enum wr_status read_template(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                    struct wr_str text, const struct wr_template **ret)
{
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));

    if (t == NULL) {
        return wr_conf_nomem(cf);
    }
    *ret = t;
    return wr_arg_template(cf, node, i, text, t);
}

static enum wr_status add_value(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                struct wr_str text, struct wr_lb_values *v)
{
    if (v->cnt == WR_LB_VALUES_MAX || text.len == 0 || text.ptr[0] != '$') {
        return wr_arg_invalid(cf, node, i);
    }
    return read_template(cf, node, i, text, &v->at[v->cnt++]);
}

/* --- cookie --- */

static enum wr_status read_expires(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                   struct wr_str v, struct wr_lb_sticky_conf *c)
{
    uint64_t n = 0;

    c->has_expires = true;
    if (wr_str_eq(v, WR_STR("max"))) {
        c->expires_s = WR_LB_EXPIRES_MAX;
        return WR_OK;
    }
    if (wr_arg_part_sec(cf, node, i, v, &n) != WR_OK) {
        return WR_ECONFIG;
    }
    if (n > UINT32_MAX) {
        return wr_arg_invalid(cf, node, i);
    }
    c->expires_s = (int64_t)n;
    return WR_OK;
}

static enum wr_status read_same_site(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                     struct wr_str v, struct wr_lb_sticky_conf *c)
{
    static const char *const words[] = {"strict", "lax", "none"};
    size_t k;

    for (k = 0; k < WR_ARRAY_LEN(words); k++) {
        if (wr_str_ieq(v, wr_str_z(words[k]))) {
            return read_template(cf, node, i, v, &c->same_site);
        }
    }
    if (v.len == 0 || v.ptr[0] != '$') {
        return wr_arg_invalid(cf, node, i);
    }
    return read_template(cf, node, i, v, &c->same_site);
}

static enum wr_status read_cookie_param(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                        struct wr_lb_sticky_conf *c)
{
    struct wr_str a = wr_node_arg(node, i), v;

    if (wr_arg_has_key(node, i, "expires", &v)) {
        return read_expires(cf, node, i, v, c);
    }
    if (wr_arg_has_key(node, i, "domain", &v)) {
        return read_template(cf, node, i, v, &c->domain);
    }
    if (wr_arg_has_key(node, i, "path", &v)) {
        return read_template(cf, node, i, v, &c->path);
    }
    if (wr_arg_has_key(node, i, "samesite", &v)) {
        return read_same_site(cf, node, i, v, c);
    }
    if (wr_str_eq(a, WR_STR("httponly"))) {
        c->is_http_only = true;
    } else if (wr_str_eq(a, WR_STR("secure"))) {
        c->is_secure = true;
    } else {
        return wr_arg_invalid(cf, node, i);
    }
    return WR_OK;
}

/* RFC 6265 4.1.1: a token, else the cookie would end early. */
static bool is_cookie_name(struct wr_str s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    size_t k;

    for (k = 0; k < s.len; k++) {
        char ch = s.ptr[k];
        bool is_alnum =
            (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');

        if (!is_alnum && wr_str_find(wr_str_z(others), ch) == sizeof(others) - 1) {
            return false;
        }
    }
    return s.len != 0;
}

static enum wr_status read_cookie(struct wr_conf *cf, const struct wr_node *node,
                                  struct wr_lb_sticky_conf *c)
{
    uint32_t i;

    if (node->arg_cnt < 2) {
        return wr_conf_err(cf, node, "invalid number of arguments in \"sticky\" directive");
    }
    c->name = wr_node_arg(node, 1);
    if (!is_cookie_name(c->name)) {
        return wr_arg_invalid(cf, node, 1);
    }
    for (i = 2; i < node->arg_cnt; i++) {
        if (read_cookie_param(cf, node, i, c) != WR_OK) {
            return WR_ECONFIG;
        }
    }
    wr_group_set_sticky(cf, &wr_lb_sticky_cookie, c);
    return WR_OK;
}

/* --- route --- */

static enum wr_status read_route(struct wr_conf *cf, const struct wr_node *node,
                                 struct wr_lb_sticky_conf *c)
{
    uint32_t i;

    if (node->arg_cnt < 2) {
        return wr_conf_err(cf, node, "invalid number of arguments in \"sticky\" directive");
    }
    for (i = 1; i < node->arg_cnt; i++) {
        if (add_value(cf, node, i, wr_node_arg(node, i), &c->lookup) != WR_OK) {
            return WR_ECONFIG;
        }
    }
    wr_group_set_sticky(cf, &wr_lb_sticky_route, c);
    return WR_OK;
}

/* --- learn --- */

static enum wr_status read_zone(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                struct wr_str v, struct wr_lb_sticky_conf *c)
{
    size_t colon = wr_str_find(v, ':');
    uint64_t size = 0;

    if (colon == 0 || colon >= v.len) {
        return wr_arg_invalid(cf, node, i);
    }
    if (wr_arg_part_size(cf, node, i, wr_str_sub(v, colon + 1, v.len), &size) != WR_OK) {
        return WR_ECONFIG;
    }
    if (size < ZONE_MIN) {
        return wr_conf_err(cf, node, "zone \"%.*s\" is too small", WR_STR_ARG(v));
    }
    if (wr_sessions_get(cf->opts->fixtures, cf->gen, wr_str_sub(v, 0, colon), size, &c->sessions) !=
        WR_OK) {
        return wr_conf_nomem(cf);
    }
    c->has_zone = true;
    return WR_OK;
}

static enum wr_status read_learn_param(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                       struct wr_lb_sticky_conf *c)
{
    struct wr_str a = wr_node_arg(node, i), v;

    if (wr_arg_has_key(node, i, "create", &v)) {
        return add_value(cf, node, i, v, &c->create);
    }
    if (wr_arg_has_key(node, i, "lookup", &v)) {
        return add_value(cf, node, i, v, &c->lookup);
    }
    if (wr_arg_has_key(node, i, "zone", &v)) {
        return read_zone(cf, node, i, v, c);
    }
    if (wr_arg_has_key(node, i, "timeout", &v)) {
        return wr_arg_part_msec(cf, node, i, v, &c->timeout_ms);
    }
    if (wr_str_eq(a, WR_STR("header"))) {
        c->at_header = true;
        return WR_OK;
    }
    if (wr_str_eq(a, WR_STR("sync"))) {
        wr_conf_warn(cf, node, "\"sync\" has no effect: sessions are not sent to other machines");
        return WR_OK;
    }
    return wr_arg_invalid(cf, node, i);
}

static enum wr_status read_learn(struct wr_conf *cf, const struct wr_node *node,
                                 struct wr_lb_sticky_conf *c)
{
    uint32_t i;

    c->timeout_ms = 600000;
    for (i = 1; i < node->arg_cnt; i++) {
        if (read_learn_param(cf, node, i, c) != WR_OK) {
            return WR_ECONFIG;
        }
    }
    if (c->create.cnt == 0 || c->lookup.cnt == 0 || !c->has_zone) {
        return wr_conf_err(cf, node, "\"sticky learn\" must have \"%s\" parameter",
                           c->create.cnt == 0   ? "create"
                           : c->lookup.cnt == 0 ? "lookup"
                                                : "zone");
    }
    wr_group_set_sticky(cf, &wr_lb_sticky_learn, c);
    return WR_OK;
}

enum wr_status wr_lb_set_sticky(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct wr_lb_sticky_conf *c = wr_arena_zalloc(cf->arena, sizeof(*c));
    struct wr_str form = wr_node_arg(node, 0);

    (void)dir, (void)conf;
    if (c == NULL) {
        return wr_conf_nomem(cf);
    }
    if (((const struct wr_members *)cf->scope->data)->sticky != NULL) {
        return wr_conf_err_dir(cf, node, "is duplicate");
    }
    if (wr_str_eq(form, WR_STR("cookie"))) {
        return read_cookie(cf, node, c);
    }
    if (wr_str_eq(form, WR_STR("route"))) {
        return read_route(cf, node, c);
    }
    return wr_str_eq(form, WR_STR("learn")) ? read_learn(cf, node, c) : wr_arg_invalid(cf, node, 0);
}
