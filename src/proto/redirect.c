/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.c: proxy_redirect: the beginning of a peer's Location is replaced by what the client can
 * use (U5.7). `default` maps the URL of proxy_pass to the prefix of the location. Rules are tried
 * in order, the first that fits wins.
 */
#include "conf/scope.h"
#include "http/core_conf.h"
#include "proto/http_int.h"

enum wr_status wr_proxy_set_redirect(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct wr_proxy_loc *lc = conf;
    struct wr_str a = wr_node_arg(node, 0);
    struct proxy_redirect *d;

    (void)dir; /* the field is known */
    if (node->arg_cnt == 1) {
        if (wr_str_eq(a, WR_STR("off"))) {
            lc->redirect_off = true;
            return WR_OK;
        }
        if (wr_str_eq(a, WR_STR("default"))) {
            lc->redirect_default = true;
            return WR_OK;
        }
        return wr_arg_invalid(cf, node, 0);
    }
    if (a.len != 0 && a.ptr[0] == '~') {
        return wr_conf_err(cf, node,
                           "regular expressions in \"proxy_redirect\" are not supported yet");
    }
    d = wr_array_push(cf->arena, &lc->redirects);
    if (d == NULL) {
        return wr_conf_nomem(cf);
    }
    if (wr_arg_template(cf, node, 0, a, &d->from) != WR_OK ||
        wr_arg_template(cf, node, 1, wr_node_arg(node, 1), &d->to) != WR_OK) {
        return WR_ECONFIG;
    }
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
    const struct wr_proxy_loc *lc = wr_req_conf(u->req, &wr_proxy_conf, WR_KIND_LOC);
    const struct proxy_ctx *px = u->ctx;
    struct wr_str from, to;
    enum wr_status st;
    uint32_t i;

    if (lc->redirect_off) {
        return WR_EOF;
    }
    for (i = 0; i < lc->redirects.cnt; i++) {
        st = wr_template_eval(u->req, &lc->redirects.at[i].from, &from);
        if (st != WR_OK) {
            return st;
        }
        if (wr_str_has_prefix(value, from)) {
            st = wr_template_eval(u->req, &lc->redirects.at[i].to, &to);
            return st != WR_OK ? st : replace(u, value, from, to, ret);
        }
    }
    return lc->redirect_default ? try_default(u, px, value, ret) : WR_EOF;
}
