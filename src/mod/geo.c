/* SPDX-License-Identifier: Apache-2.0 */
/*
 * geo.c: `geo [$ADDRESS] $VARIABLE { ... }`. The table has one of two forms:
 *
 *   networks  "10.0.0.0/8 v;"            base/iptrie.h: the longest network holds
 *   ranges    "10.0.0.0-10.0.3.7 v;"     mod/geo_range.h, after the word `ranges`; IPv4 only
 *
 * The address is that of the client, or the text of $ADDRESS; a text that is no address counts as
 * 255.255.255.255. When it is one of `proxy`, the address that X-Forwarded-For tells is taken; with
 * `proxy_recursive` the last one there that is no proxy. Values are plain texts. The table is
 * immutable and lives as long as the generation.
 */
#include "mod/geo.h"

#include "base/iptrie.h"
#include "conf/types.h"
#include "http/forwarded.h"
#include "http/module.h"
#include "http/var_conf.h"
#include "http/vars_core.h"
#include "mod/geo_range.h"

struct geo_value {
    struct wr_str text;
};

struct geo_table {
    struct wr_var row;
    const struct wr_template *text; /* of the address; NULL: the client's */
    const struct geo_value *v4_default, *v6_default;
    bool is_ranges, is_recursive, has_proxies, has_entries;
    struct wr_iptrie networks, proxies;
    struct wr_geo_ranges ranges;
};

/* ---- run ------------------------------------------------------------------------------------- */

/* The address that is looked up. */
static enum wr_status read_address(struct wr_req *r, const struct geo_table *t, struct wr_addr *ret)
{
    struct wr_str s = WR_STR_NULL;
    enum wr_status st;

    if (!t->text) {
        *ret = r->peer;
        return WR_OK;
    }
    st = wr_template_eval(r, t->text, &s);
    if (st != WR_OK) {
        return st;
    }
    if ((s.len > 0 && s.ptr[0] == '[') || wr_addr_parse_ip(s, 0, ret) != WR_OK) {
        ret->len = 0;
    }
    return WR_OK;
}

static bool is_proxy(const struct wr_addr *a, const void *data)
{
    return wr_iptrie_find(data, a) != NULL;
}

static enum wr_status get_geo(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                              struct wr_str *ret)
{
    const struct geo_table *t = (const struct geo_table *)v->data;
    const struct geo_value *value;
    struct wr_str list = WR_STR_NULL;
    struct wr_addr a = {.len = 0};
    enum wr_status st = read_address(r, t, &a);
    bool is_v6;

    (void)rest;
    if (st != WR_OK) {
        return st;
    }
    if (a.len == 0 || a.u.sa.sa_family == AF_UNIX) {
        a = (struct wr_addr){.len = sizeof(a.u.in)};
        a.u.in.sin_family = AF_INET;
        a.u.in.sin_addr.s_addr = INADDR_BROADCAST;
    }
    if (t->has_proxies && is_proxy(&a, &t->proxies)) {
        st = wr_req_field(r, WR_STR("x_forwarded_for"), &list);
        if (st == WR_ENOMEM) {
            return st;
        }
        wr_forwarded_client(list, t->is_recursive, is_proxy, &t->proxies, &a);
    }
    value = t->is_ranges ? wr_geo_ranges_find(&t->ranges, &a) : wr_iptrie_find(&t->networks, &a);
    is_v6 = a.u.sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a.u.in6.sin6_addr);
    if (!value) {
        value = is_v6 ? t->v6_default : t->v4_default;
    }
    *ret = value ? value->text : WR_STR("");
    return WR_OK;
}

/* ---- entries --------------------------------------------------------------------------------- */

static struct geo_value *new_value(struct wr_conf *cf, const struct wr_node *n)
{
    struct geo_value *v = wr_arena_alloc(cf->arena, sizeof(*v));

    if (v) {
        v->text = wr_node_arg(n, 0);
    }
    return v;
}

static void warn_duplicate(struct wr_conf *cf, const struct wr_node *n, const char *what,
                           struct wr_str value, struct wr_str old)
{
    wr_conf_warn(cf, n, "duplicate %s \"%.*s\", value: \"%.*s\", old value: \"%.*s\"", what,
                 WR_STR_ARG(n->name), WR_STR_ARG(value), WR_STR_ARG(old));
}

static enum wr_status read_net(struct wr_conf *cf, const struct wr_node *n, struct wr_str s,
                               struct wr_cidr *ret)
{
    bool is_trimmed = false;

    if (wr_cidr_parse(s, ret, &is_trimmed) != WR_OK ||
        (ret->family != AF_INET && ret->family != AF_INET6)) {
        return wr_conf_err(cf, n, "invalid network \"%.*s\"", WR_STR_ARG(s));
    }
    if (is_trimmed) {
        wr_conf_warn(cf, n, "low address bits of %.*s are meaningless", WR_STR_ARG(s));
    }
    return WR_OK;
}

/* "default", and "0.0.0.0/0", "::/0" for one family. */
static enum wr_status set_default(struct wr_conf *cf, const struct wr_node *n, struct geo_table *t,
                                  bool is_v4, bool is_v6)
{
    const struct geo_value *v = new_value(cf, n), *old = is_v4 ? t->v4_default : t->v6_default;

    if (!v) {
        return wr_conf_nomem(cf);
    }
    if (old) {
        warn_duplicate(cf, n, "network", v->text, old->text);
    }
    t->v4_default = is_v4 ? v : t->v4_default;
    t->v6_default = is_v6 ? v : t->v6_default;
    return WR_OK;
}

static enum wr_status add_network(struct wr_conf *cf, const struct wr_node *n, struct geo_table *t)
{
    struct geo_value *v;
    struct wr_cidr net;
    void *old = NULL;
    enum wr_status st = read_net(cf, n, n->name, &net);

    if (st != WR_OK) {
        return st;
    }
    if (net.mask[0] == 0) {
        return set_default(cf, n, t, net.family == AF_INET, net.family == AF_INET6);
    }
    v = new_value(cf, n);
    if (!v || wr_iptrie_put(&t->networks, &net, v, &old) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    if (old) {
        warn_duplicate(cf, n, "network", v->text, ((const struct geo_value *)old)->text);
    }
    return WR_OK;
}

static enum wr_status delete_network(struct wr_conf *cf, const struct wr_node *n,
                                     struct geo_table *t)
{
    struct wr_str s = wr_node_arg(n, 0);
    struct wr_cidr net;
    void *old = NULL;
    enum wr_status st = read_net(cf, n, s, &net);

    if (st == WR_OK && wr_iptrie_put(&t->networks, &net, NULL, &old) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    if (st == WR_OK && !old) {
        wr_conf_warn(cf, n, "no network \"%.*s\" to delete", WR_STR_ARG(s));
    }
    return st;
}

static enum wr_status add_proxy(struct wr_conf *cf, const struct wr_node *n, struct geo_table *t)
{
    struct wr_cidr net;
    void *old;
    enum wr_status st = read_net(cf, n, wr_node_arg(n, 0), &net);

    if (st == WR_OK && wr_iptrie_put(&t->proxies, &net, t, &old) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    t->has_proxies = true;
    return st;
}

static enum wr_status add_range(struct wr_conf *cf, const struct wr_node *n, struct geo_table *t,
                                bool is_delete)
{
    struct wr_str s = is_delete ? wr_node_arg(n, 0) : n->name;
    struct geo_value *v = new_value(cf, n);
    enum wr_status st;

    if (!v) {
        return wr_conf_nomem(cf);
    }
    st = wr_geo_ranges_add(&t->ranges, s, is_delete ? NULL : v, n);
    if (st == WR_EPROTO) {
        return wr_conf_err(cf, n, "invalid range \"%.*s\"", WR_STR_ARG(s));
    }
    return st == WR_OK ? st : wr_conf_nomem(cf);
}

/* "ranges;", "proxy_recursive;", "volatile;". WR_EOF: it is none of them. */
static enum wr_status take_switch(struct wr_conf *cf, const struct wr_node *n, struct geo_table *t)
{
    if (wr_str_eq_z(n->name, "ranges")) {
        if (t->has_entries) {
            return wr_conf_err(cf, n,
                               "the \"ranges\" directive must be the first directive inside "
                               "\"geo\" block");
        }
        t->is_ranges = true;
        return WR_OK;
    }
    if (wr_str_eq_z(n->name, "proxy_recursive")) {
        t->is_recursive = true;
        return WR_OK;
    }
    if (wr_str_eq_z(n->name, "volatile")) {
        t->row.flags |= WR_VAR_NOCACHE;
        return WR_OK;
    }
    return WR_EOF;
}

static enum wr_status add_entry(struct wr_conf *cf, const struct wr_node *node, struct geo_table *t)
{
    if (node->arg_cnt == 0) {
        enum wr_status st = take_switch(cf, node, t);

        if (st != WR_EOF) {
            return st;
        }
    }
    if (node->arg_cnt != 1) {
        return wr_conf_err(cf, node, "invalid number of the geo parameters");
    }
    if (wr_str_eq_z(node->name, "default")) {
        return set_default(cf, node, t, true, true);
    }
    if (wr_str_eq_z(node->name, "proxy")) {
        return add_proxy(cf, node, t);
    }
    t->has_entries = true;
    if (wr_str_eq_z(node->name, "delete")) {
        return t->is_ranges ? add_range(cf, node, t, true) : delete_network(cf, node, t);
    }
    return t->is_ranges ? add_range(cf, node, t, false) : add_network(cf, node, t);
}

/* ---- the directive --------------------------------------------------------------------------- */

static void say_range(void *data, const struct wr_geo_range *r, enum wr_geo_fault fault,
                      const struct wr_geo_range *other)
{
    struct wr_conf *cf = data;

    switch (fault) {
    case WR_GEO_OVERLAPS:
        (void)wr_conf_err(cf, r->node, "range \"%.*s\" overlaps \"%.*s\"", WR_STR_ARG(r->text),
                          WR_STR_ARG(other->text));
        return;
    case WR_GEO_DUPLICATE:
        warn_duplicate(cf, r->node, "range", ((const struct geo_value *)r->value)->text,
                       ((const struct geo_value *)other->value)->text);
        return;
    case WR_GEO_NOT_THERE:
        wr_conf_warn(cf, r->node, "no address range \"%.*s\" to delete", WR_STR_ARG(r->text));
        return;
    }
    WR_UNREACHABLE();
}

static enum wr_status add_entries(struct wr_conf *cf, const struct wr_node *node,
                                  struct geo_table *t)
{
    const struct wr_node *c;

    WR_NODE_FOREACH(c, node)
    {
        if (add_entry(cf, c, t) == WR_ENOMEM) { /* others are told already */
            return WR_ENOMEM;
        }
    }
    return wr_geo_ranges_build(&t->ranges, say_range, cf) == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

/* $ADDRESS of the directive. */
static enum wr_status set_text(struct wr_conf *cf, const struct wr_node *node, struct geo_table *t)
{
    struct wr_str name = WR_STR_NULL;
    enum wr_status st = wr_var_conf_name(cf, node, 0, &name);

    return st == WR_OK ? wr_var_conf_value(cf, node, 0, &t->text) : st;
}

static enum wr_status set_geo(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct geo_table *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    uint32_t no, name_i = node->arg_cnt - 1;
    enum wr_status st;

    (void)dir, (void)conf;
    if (!t) {
        return wr_conf_nomem(cf);
    }
    wr_iptrie_init(&t->networks, cf->arena);
    wr_iptrie_init(&t->proxies, cf->arena);
    wr_geo_ranges_init(&t->ranges, cf->arena);
    t->row = (struct wr_var){.get = get_geo, .data = (uintptr_t)t};
    st = name_i == 1 ? set_text(cf, node, t) : WR_OK;
    if (st == WR_OK) {
        st = wr_var_conf_define(cf, node, name_i, &t->row, &no);
    }
    return st == WR_OK ? add_entries(cf, node, t) : st;
}

static const struct wr_dir dirs[] = {
    {.name = "geo",
     .contexts = WR_CTX_HTTP,
     .min = 1,
     .max = 2,
     .flags = WR_DIR_BLOCK | WR_DIR_FREE | WR_DIR_REPEAT,
     .set = set_geo,
     WR_DIR_CONF(NONE),
     .doc = "A variable whose value is found by an address, in networks or ranges."},
    WR_DIR_END
};

static struct wr_conf_module geo_conf = {.name = "geo", .dirs = dirs};

const struct wr_module wr_geo_module = {.conf = &geo_conf};
