/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_ocsp.c: see ssl_ocsp.h. Words are nginx's. A responder's name is looked up when the
 * configuration is read, as nginx does it; with a `resolver` again each time it is asked. Control
 * thread or supervisor.
 */
#include "http/ssl_ocsp.h"

#include "base/num.h"
#include "http/core_conf.h"
#include "http/ocsp.h"
#include "http/resolver.h"
#include "http/stapling.h"

#define CACHE_MIN (32u << 10)
#define CACHE_MAX ((uint64_t)4 << 30)
#define URL_ROOM  2048u

/* off | shared:NAME:SIZE */
enum wr_status wr_ssl_set_ocsp_cache(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct wr_ssl_sessions *ss = (struct wr_ssl_sessions *)(void *)((char *)conf + dir->offset);
    struct wr_str s = wr_node_arg(node, 0), rest;
    uint64_t size = 0;
    size_t colon;

    *ss = (struct wr_ssl_sessions){.node = node};
    if (wr_str_eq_z(s, "off")) {
        return WR_OK;
    }
    rest = wr_str_has_prefix(s, WR_STR("shared:")) ? wr_str_sub(s, 7, s.len) : WR_STR_NULL;
    colon = wr_str_find(rest, ':');
    if (colon == 0 || colon >= rest.len ||
        wr_num_parse_size(wr_str_sub(rest, colon + 1, rest.len), CACHE_MAX, &size) != WR_OK) {
        return wr_conf_err_arg(cf, node, 0, "invalid OCSP cache \"%.*s\"", WR_STR_ARG(s));
    }
    if (size < CACHE_MIN) {
        return wr_conf_err_arg(cf, node, 0, "OCSP cache \"%.*s\" is too small", WR_STR_ARG(s));
    }
    ss->zone = wr_str_sub(rest, 0, colon);
    ss->zone_size = size;
    return WR_OK;
}

/* Addresses of the responder's name. False: it has none. */
static bool find_addrs(struct wr_conf *cf, struct wr_ocsp_to *to)
{
    const struct wr_conf_source *src = cf->opts->source;
    struct wr_addr *one = wr_arena_zalloc(cf->arena, sizeof(*one));

    if (!one) {
        return false;
    }
    if (wr_addr_parse_ip(to->host, to->port, one) == WR_OK) {
        to->addrs = one;
        to->addr_cnt = 1;
        return true;
    }
    return src->resolve != NULL &&
           src->resolve(src, cf->arena, to->host, &to->addrs, &to->addr_cnt) == WR_OK;
}

enum wr_status wr_ssl_prepare_ocsp(struct wr_conf *cf, struct wr_ssl_srv *s)
{
    struct wr_ocsp_to *to;
    struct wr_str what;
    const char *err = "";

    if (s->ocsp == WR_SSL_OCSP_OFF) {
        return WR_OK;
    }
    if (s->verify == WR_TLS_VERIFY_OPTIONAL_NO_CA) {
        return wr_conf_err(cf, s->ocsp_node,
                           "\"ssl_ocsp\" is incompatible with \"ssl_verify_client "
                           "optional_no_ca\"");
    }
    if (s->ocsp_responder.text.len == 0) {
        return WR_OK;
    }
    to = wr_arena_zalloc(cf->arena, sizeof(*to));
    if (!to) {
        return wr_conf_nomem(cf);
    }
    if (wr_ocsp_to_parse(s->ocsp_responder.text, to, &err, &what) != WR_OK) {
        return wr_conf_err(cf, s->ocsp_responder.node,
                           "%s in OCSP responder \"%.*s\" in \"ssl_ocsp_responder\"", err,
                           WR_STR_ARG(what));
    }
    if (!find_addrs(cf, to)) {
        return wr_conf_err(cf, s->ocsp_responder.node,
                           "host not found in OCSP responder \"%.*s\" in \"ssl_ocsp_responder\"",
                           WR_STR_ARG(what));
    }
    s->ocsp_to = to;
    return WR_OK;
}

/* ---- stapling -------------------------------------------------------------------------------- */

/* Name of the file of the context's certificate `no`, those by name left out. */
static struct wr_str name_of(const struct wr_ssl_srv *s, uint32_t no)
{
    for (uint32_t i = 0; i < s->certs.cnt; i++) {
        bool is_lazy = s->certs.at[i].tmpl || (i < s->keys.cnt && s->keys.at[i].tmpl);

        if (!is_lazy && no-- == 0) {
            return s->certs.at[i].path;
        }
    }
    return WR_STR_NULL;
}

static void ignore(struct wr_conf *cf, const struct wr_ssl_srv *s, const char *text,
                   struct wr_str what, struct wr_str name)
{
    if (what.len > 0) {
        wr_conf_warn(cf, s->stapling_node,
                     "\"ssl_stapling\" ignored, %s in OCSP responder \"%.*s\" in the certificate "
                     "\"%.*s\"",
                     text, WR_STR_ARG(what), WR_STR_ARG(name));
    } else {
        wr_conf_warn(cf, s->stapling_node, "\"ssl_stapling\" ignored, %s certificate \"%.*s\"",
                     text, WR_STR_ARG(name));
    }
}

/* False: it cannot be used, which is told. */
static bool find_responder(struct wr_conf *cf, const struct wr_ssl_srv *s, const struct wr_ocsp *q,
                           struct wr_str name, struct wr_ocsp_to *ret)
{
    char room[URL_ROOM];
    struct wr_strbuf b;
    struct wr_str url = s->stapling_responder.text, what;
    const char *err = "";

    if (url.len == 0) {
        wr_strbuf_init_fixed(&b, room, sizeof(room));
        if (wr_ocsp_write_url(q, &b) != WR_OK ||
            wr_arena_dup(cf->arena, wr_strbuf_str(&b), &url) != WR_OK) {
            ignore(cf, s, "no OCSP responder URL in the", WR_STR_NULL, name);
            return false;
        }
    }
    if (wr_ocsp_to_parse(url, ret, &err, &what) != WR_OK) {
        ignore(cf, s, err, what, name);
        return false;
    }
    if (!find_addrs(cf, ret) && !s->stapling_resolver) {
        ignore(cf, s, "host not found", what, name);
        return false;
    }
    return true;
}

static enum wr_status staple_one(struct wr_conf *cf, struct wr_ssl_srv *s, uint32_t no,
                                 uint64_t trust)
{
    struct wr_str name = name_of(s, no);
    struct wr_ocsp_to to = {.port = 0};
    struct wr_stapling_opts o = {.to = &to,
                                 .resolver = s->stapling_resolver,
                                 .name = name,
                                 .trust = s->stapling_verify ? trust | 1 : 0};
    enum wr_status st = wr_tls_ctx_ocsp(s->ctx, no, s->stapling_verify, &o.q);

    if (st == WR_EOF) {
        ignore(cf, s, "issuer certificate not found for", WR_STR_NULL, name);
        return WR_OK;
    }
    if (st != WR_OK) {
        return wr_conf_nomem(cf);
    }
    if (!find_responder(cf, s, o.q, name, &to)) {
        wr_ocsp_free(o.q);
        return WR_OK;
    }
    return wr_stapling_use(cf, s->ctx, no, &o) == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

enum wr_status wr_ssl_start_stapling(struct wr_conf *cf, struct wr_ssl_srv *s,
                                     const struct wr_scope *scope, uint64_t trust)
{
    const struct wr_core_loc *lc = wr_scope_get(scope, &wr_core_conf, WR_KIND_LOC);
    uint32_t cnt = wr_tls_ctx_pair_cnt(s->ctx);
    enum wr_status st = WR_OK;

    s->stapling_resolver = lc->resolver;
    for (uint32_t i = 0; i < cnt && st == WR_OK; i++) {
        st = staple_one(cf, s, i, trust);
    }
    return st;
}
