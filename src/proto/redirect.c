/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.c: proxy_redirect: a peer's Location, and the URL of its Refresh, become what the client
 * can use (U5.7). `default` maps the URL of proxy_pass to the prefix of the location. Rules are
 * tried in order, the first that fits wins.
 */
#include "conf/scope.h"
#include "http/core_conf.h"
#include "proto/http_int.h"

enum wr_status wr_proxy_set_redirect(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct wr_proxy_loc *lc = conf;

    (void)dir; /* the field is known */
    if (node->arg_cnt == 1 && wr_str_eq(wr_node_arg(node, 0), WR_STR("default"))) {
        return wr_proxy_rules_check(cf, node, &lc->redirects, false) == WR_OK
                   ? wr_proxy_redirect_default(cf, lc)
                   : WR_ECONFIG;
    }
    return wr_proxy_rule_add(cf, node, &lc->redirects, PROXY_RULE_STAR);
}

enum wr_status wr_proxy_redirect_default(struct wr_conf *cf, struct wr_proxy_loc *lc)
{
    struct proxy_rule *d = wr_array_push(cf->arena, &lc->redirects);

    if (d == NULL) {
        return wr_conf_nomem(cf);
    }
    *d = (struct proxy_rule){.is_default = true};
    return WR_OK;
}

static enum wr_status replace(struct wr_up *u, struct wr_str value, struct wr_str from,
                              struct wr_str to, struct wr_str *ret)
{
    struct wr_str rest = wr_str_sub(value, from.len, value.len);

    return wr_arena_printf(u->req->arena, ret, "%.*s%.*s", WR_STR_ARG(to), WR_STR_ARG(rest));
}

/* The location's prefix stands for the URL of proxy_pass, if that has no variables. */
static enum wr_status try_default(struct wr_up *u, const struct proxy_ctx *px, struct wr_str value,
                                  struct wr_str *ret)
{
    const struct proxy_pass *p = px->pass;
    struct wr_str location;

    if (p->t != NULL || !wr_str_has_prefix(value, p->url)) {
        return WR_EOF;
    }
    if (!p->has_uri) {
        /* "http://backend" -> "": what is left begins with '/', and is not empty */
        if (value.len == p->url.len || value.ptr[p->url.len] != '/') {
            return WR_EOF;
        }
        return replace(u, value, p->url, WR_STR(""), ret);
    }
    location = wr_str_sub(u->req->uri.path, 0, p->location_len);
    return replace(u, value, p->url, location, ret);
}

enum wr_status wr_proxy_rewrite_redirect(struct wr_up *u, struct wr_str value, struct wr_str *ret)
{
    const struct wr_proxy_loc *lc = u->start.proto_conf;
    const struct proxy_rule *rule = lc->redirects.at;
    uint32_t i;
    enum wr_status st;

    for (i = 0; i < lc->redirects.cnt; i++, rule++) {
        st = rule->is_default ? try_default(u, u->ctx, value, ret)
                              : wr_proxy_rule_apply(u->req, rule, PROXY_RULE_PREFIX, value, ret);
        if (st != WR_EOF) {
            return st;
        }
    }
    return WR_EOF;
}
