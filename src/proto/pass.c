/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass.c: the address of a `*_pass` while a configuration is read, and one out of variables while a
 * request runs. An address has no default port and no URI.
 */
#include "proto/pass.h"

#include "base/addr.h"
#include "conf/types.h"

/* The scheme that text begins with, which is cut off; else the first, nothing is cut. */
static const struct wr_pass_scheme *take_scheme(const struct wr_pass_schemes *schemes,
                                                struct wr_str *text)
{
    const struct wr_pass_scheme *at = schemes->at;
    size_t i;

    /* A single one is not written: what looks like it is a host that does not exist. */
    for (i = 0; schemes->cnt > 1 && i < schemes->cnt; i++) {
        if (wr_str_has_iprefix(*text, at[i].prefix)) {
            *text = wr_str_sub(*text, at[i].prefix.len, text->len);
            return &at[i];
        }
    }
    return &at[0];
}

enum wr_status wr_pass_set(struct wr_conf *cf, const struct wr_node *node,
                           const struct wr_pass_schemes *schemes, struct wr_pass *p)
{
    struct wr_str text = wr_node_arg(node, 0);
    struct wr_loc_facts f;

    p->schemes = schemes;
    wr_core_loc_facts(cf, &f);
    if (!f.is_regex && !f.is_named && !f.is_exact && !f.is_noname && f.name.len > 1 &&
        f.name.ptr[f.name.len - 1] == '/') {
        wr_core_set_auto_redirect(cf);
    }
    if (wr_template_has_vars(text)) {
        p->t = wr_arena_zalloc(cf->arena, sizeof(*p->t));
        return p->t == NULL ? wr_conf_nomem(cf) : wr_arg_template(cf, node, 0, text, p->t);
    }
    p->scheme = take_scheme(schemes, &text);
    p->host = text;
    if (text.len == 0) {
        return wr_conf_err(cf, node, "no host in upstream \"\"");
    }
    return wr_group_refer(cf, node, text, 0, &p->members);
}

/* WR_EOF: a name that only a resolver could tell. */
static enum wr_status find_members(struct wr_req *r, const struct wr_hostport *hp,
                                   struct wr_str text, const struct wr_members **ret)
{
    const struct wr_members *m =
        wr_group_find(r->gen, hp->is_unix ? text : hp->host, hp->port, hp->has_port);
    struct wr_addr addr;

    if (m != NULL) {
        *ret = m;
        return WR_OK;
    }
    if (!hp->is_unix && !hp->has_port) {
        return WR_EOF;
    }
    if (hp->is_unix ? wr_addr_parse_unix(text, &addr) != WR_OK
                    : wr_addr_parse_ip(hp->host, hp->port, &addr) != WR_OK) {
        return hp->is_unix ? WR_EPROTO : WR_EOF;
    }
    return wr_group_literal(r->gen, r->arena, text, &addr, ret);
}

static enum wr_status refuse(struct wr_req *r, const char *why, struct wr_str text)
{
    wr_log(&r->log, WR_LOG_ERROR, "%s in upstream \"%.*s\"", why, WR_STR_ARG(text));
    return WR_EPROTO;
}

enum wr_status wr_pass_find(struct wr_req *r, const struct wr_pass *p, struct wr_up_start *start,
                            const struct wr_pass_scheme **ret_scheme, struct wr_str *ret_host)
{
    const struct wr_pass_scheme *sc = p->scheme;
    struct wr_hostport hp;
    const char *err = NULL;
    struct wr_str text;
    enum wr_status st;

    if (p->t == NULL) {
        start->members = p->members;
        start->url_prefix = sc->prefix;
        *ret_scheme = sc;
        *ret_host = p->host;
        return WR_OK;
    }
    if (wr_template_eval(r, p->t, &text) != WR_OK) {
        return WR_ENOMEM;
    }
    sc = take_scheme(p->schemes, &text);
    if (wr_hostport_parse(text, &hp, &err) != WR_OK || hp.rest.len != 0) {
        return refuse(r, err != NULL ? err : "invalid host", text);
    }
    st = find_members(r, &hp, text, &start->members);
    if (st == WR_EOF && !hp.has_port) {
        return refuse(r, "no port", text);
    }
    if (st == WR_EPROTO) {
        return refuse(r, "invalid socket", text);
    }
    if (st != WR_OK && st != WR_EOF) {
        return st;
    }
    if (st == WR_EOF) {
        start->host = hp.host;
        start->host_text = text;
        start->port = hp.port;
    }
    start->url_prefix = sc->prefix;
    *ret_scheme = sc;
    *ret_host = text;
    return WR_OK;
}
