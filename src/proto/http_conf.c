/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_conf.c: the proxy_* directives. The family of timeouts, buffers and retries comes from
 * up/conf.h; here stand proxy_pass, the fields sent to the peer, and what is special to HTTP.
 * Control thread, while a generation is built.
 */
#include "base/addr.h"
#include "base/chars.h"
#include "conf/gen.h"
#include "conf/scope.h"
#include "http/core_conf.h"
#include "http/h1_write.h"
#include "proto/http_int.h"

const struct proxy_scheme *wr_proxy_scheme_of(struct wr_str url)
{
    static const struct proxy_scheme known[] = {
        {WR_STR_INIT("http://"),  WR_STR_INIT("http"),  WR_STR_INIT("80"),  80,  false},
        {WR_STR_INIT("https://"), WR_STR_INIT("https"), WR_STR_INIT("443"), 443, true },
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(known); i++) {
        if (wr_str_has_iprefix(url, known[i].prefix)) {
            return &known[i];
        }
    }
    return NULL;
}

/* A field of constant text; a whole line if it may stand in a head, which is then not checked. */
static enum wr_status make_ready(struct wr_conf *cf, struct wr_str name, struct wr_str value,
                                 struct wr_hdr *ret)
{
    struct wr_str line;

    *ret = (struct wr_hdr){.name = name, .value = value, .id = (uint8_t)wr_hdr_id_of(name)};
    if (!wr_h1_name_is_safe(name) || !wr_h1_value_is_safe(value)) {
        return WR_OK; /* who writes it will refuse it */
    }
    if (wr_arena_printf(cf->arena, &line, "%.*s: %.*s", WR_STR_ARG(name), WR_STR_ARG(value)) !=
        WR_OK) {
        return wr_conf_nomem(cf);
    }
    ret->name = wr_str_sub(line, 0, name.len);
    ret->value = wr_str_sub(line, name.len + 2, value.len);
    ret->is_line = true;
    return WR_OK;
}

/* "http://HOST[:PORT][/uri]" or "http://unix:/path[:/uri]" into its parts. */
static enum wr_status split_url(struct wr_conf *cf, const struct wr_node *node,
                                struct proxy_pass *p)
{
    struct wr_str rest = wr_str_sub(p->url, p->scheme->prefix.len, p->url.len), host;
    struct wr_str usual = p->scheme->port_text;
    size_t n;

    if (wr_str_has_prefix(rest, WR_STR("unix:"))) {
        n = 5 + wr_str_find(wr_str_sub(rest, 5, rest.len), ':');
        host = wr_str_sub(rest, 0, n);
        p->uri = wr_str_sub(rest, n + 1, rest.len);
        p->host = WR_STR("localhost");
        p->port = WR_STR("");
    } else {
        for (n = 0; n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?'; n++) {
        }
        host = wr_str_sub(rest, 0, n);
        p->uri = wr_str_sub(rest, n, rest.len);
        p->host = host;
        n = wr_str_rfind(host, ':');
        p->port = n < host.len && host.ptr[host.len - 1] != ']' ? wr_str_sub(host, n + 1, host.len)
                                                                : usual;
        if (wr_str_eq(p->port, usual) && n < host.len && host.ptr[host.len - 1] != ']') {
            p->host = wr_str_sub(host, 0, n);
        }
    }
    if (host.len == 0) {
        return wr_conf_err(cf, node, "no host in upstream \"%.*s\"", WR_STR_ARG(rest));
    }
    p->has_uri = p->uri.len != 0;
    if (p->has_uri && p->uri.ptr[0] == '?') {
        /* "http://host?args": the path is "/" */
        if (wr_arena_printf(cf->arena, &p->uri, "/%.*s", WR_STR_ARG(p->uri)) != WR_OK) {
            return wr_conf_nomem(cf);
        }
    }
    if (make_ready(cf, wr_hdr_name(WR_HDR_HOST), p->host, &p->host_field) != WR_OK) {
        return WR_ENOMEM;
    }
    return wr_group_refer(cf, node, host, p->scheme->port, &p->members);
}

static enum wr_status check_place(struct wr_conf *cf, const struct wr_node *node,
                                  struct proxy_pass *p)
{
    struct wr_loc_facts f;

    wr_core_loc_facts(cf, &f);
    if (p->has_uri && (f.is_regex || f.is_named || f.is_noname)) {
        return wr_conf_err(
            cf, node,
            "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside "
            "named location, or inside \"if\" statement, or inside \"limit_except\" block");
    }
    p->location_len = f.name.len;
    if (!f.is_regex && !f.is_named && !f.is_exact && !f.is_noname && f.name.len > 1 &&
        f.name.ptr[f.name.len - 1] == '/') {
        wr_core_set_auto_redirect(cf);
    }
    return WR_OK;
}

static enum wr_status set_pass(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_proxy_loc *lc = conf;
    struct proxy_pass *p = wr_arena_zalloc(cf->arena, sizeof(*p));

    (void)dir; /* no field */
    if (p == NULL) {
        return wr_conf_nomem(cf);
    }
    p->url = wr_node_arg(node, 0);
    p->scheme = wr_proxy_scheme_of(p->url);
    if (wr_template_has_vars(p->url)) {
        p->t = wr_arena_zalloc(cf->arena, sizeof(*p->t));
        if (p->t == NULL) {
            return wr_conf_nomem(cf);
        }
        if (wr_arg_template(cf, node, 0, p->url, p->t) != WR_OK ||
            check_place(cf, node, p) != WR_OK) {
            return WR_ECONFIG;
        }
    } else if (!p->scheme) {
        return wr_conf_err(cf, node, "invalid URL prefix");
    } else if (split_url(cf, node, p) != WR_OK || check_place(cf, node, p) != WR_OK) {
        return WR_ECONFIG;
    }
    lc->pass = p;
    return wr_core_set_content(cf, node, wr_proxy_start, p);
}

static enum wr_status set_version(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct wr_proxy_loc *lc = conf;
    struct wr_str v = wr_node_arg(node, 0);

    (void)dir; /* the field is known */
    if (wr_str_eq(v, WR_STR("1.0"))) {
        lc->http_version = 10;
    } else if (wr_str_eq(v, WR_STR("1.1"))) {
        lc->http_version = 11;
    } else if (wr_str_eq(v, WR_STR("2"))) {
        return wr_conf_err(cf, node, "\"proxy_http_version 2\" is not supported yet");
    } else {
        return wr_conf_err(cf, node, "invalid value \"%.*s\"", WR_STR_ARG(v));
    }
    return WR_OK;
}

/* --- derived: the fields of every request --- */

static bool is_set_by_user(const struct wr_proxy_loc *lc, struct wr_str name)
{
    uint32_t i;

    for (i = 0; i < lc->set_headers.cnt; i++) {
        if (wr_str_ieq(lc->set_headers.at[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void own_name(struct wr_proxy_loc *lc, struct wr_str name, enum wr_hdr_id id)
{
    static const char yes[] = "own"; /* the map is asked for presence only */

    if (id != WR_HDR_OTHER) {
        lc->own_ids |= UINT64_C(1) << id;
    } else {
        wr_map_put(&lc->own_names, name, (void *)(uintptr_t)yes);
    }
}

/* Those whose value is constant and empty are not sent, and framing is the codec's. */
static enum wr_status add_user_field(struct wr_conf *cf, struct wr_proxy_loc *lc,
                                     const struct wr_kv *kv)
{
    struct proxy_field *f = &lc->fields[lc->field_cnt];
    enum wr_hdr_id id = wr_hdr_id_of(kv->name);
    bool is_const = wr_template_is_const(&kv->value);

    own_name(lc, kv->name, id);
    if ((is_const && kv->value.source.len == 0) || id == WR_HDR_CONTENT_LENGTH ||
        id == WR_HDR_TRANSFER_ENCODING) {
        return WR_OK;
    }
    lc->field_cnt++;
    if (is_const) {
        return make_ready(cf, kv->name, kv->value.source, &f->ready);
    }
    f->kind = FIELD_VALUE;
    f->value = kv->value;
    f->ready = (struct wr_hdr){.name = kv->name, .id = (uint8_t)id};
    return WR_OK;
}

static enum wr_status add_defaults(struct wr_conf *cf, struct wr_proxy_loc *lc)
{
    const struct wr_str host = wr_hdr_name(WR_HDR_HOST),
                        connection = wr_hdr_name(WR_HDR_CONNECTION);

    if (!is_set_by_user(lc, host)) {
        lc->fields[lc->field_cnt++] = (struct proxy_field){
            .kind = FIELD_HOST, .ready = {.name = host, .id = WR_HDR_HOST}
        };
    }
    if (lc->http_version == 10 && !is_set_by_user(lc, connection)) {
        return make_ready(cf, connection, WR_STR("close"), &lc->fields[lc->field_cnt++].ready);
    }
    return WR_OK;
}

static void end_map(void *data)
{
    wr_map_fini(data);
}

static enum wr_status make_fields(struct wr_conf *cf, struct wr_proxy_loc *lc)
{
    /* Never passed from the client: the connection's own, and what is made anew (U4.2). */
    static const enum wr_hdr_id own[] = {
        WR_HDR_HOST,   WR_HDR_CONNECTION,        WR_HDR_CONTENT_LENGTH,
        WR_HDR_TE,     WR_HDR_TRANSFER_ENCODING, WR_HDR_KEEP_ALIVE,
        WR_HDR_EXPECT, WR_HDR_UPGRADE,           WR_HDR_PROXY_CONNECTION};

    uint32_t i;

    lc->fields =
        wr_arena_zalloc(cf->arena, ((size_t)lc->set_headers.cnt + 2) * sizeof(*lc->fields));
    wr_map_init(&lc->own_names, WR_MAP_ICASE);
    if (lc->fields == NULL || wr_arena_on_fini(cf->arena, end_map, &lc->own_names) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    for (i = 0; i < WR_ARRAY_LEN(own); i++) {
        own_name(lc, WR_STR_NULL, own[i]);
    }
    if (add_defaults(cf, lc) != WR_OK) {
        return WR_ENOMEM;
    }
    for (i = 0; i < lc->set_headers.cnt; i++) {
        if (add_user_field(cf, lc, &lc->set_headers.at[i]) != WR_OK) {
            return WR_ENOMEM;
        }
    }
    return WR_OK;
}

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    static const struct wr_str hidden[] = {WR_STR_INIT("Date"),
                                           WR_STR_INIT("Server"),
                                           WR_STR_INIT("X-Pad"),
                                           WR_STR_INIT("X-Accel-Expires"),
                                           WR_STR_INIT("X-Accel-Redirect"),
                                           WR_STR_INIT("X-Accel-Limit-Rate"),
                                           WR_STR_INIT("X-Accel-Buffering"),
                                           WR_STR_INIT("X-Accel-Charset")};
    struct wr_proxy_loc *lc = conf;
    const struct wr_proxy_loc *pl = parent;

    if (kind != WR_KIND_LOC) {
        return WR_OK;
    }
    if (pl != NULL && lc->pass == NULL &&
        (s->ctx == WR_CTX_IF_LOCATION || s->ctx == WR_CTX_LIMIT_EXCEPT)) {
        lc->pass = pl->pass;
    }
    if (lc->redirects.cnt == 0 && !lc->redirects.is_off &&
        wr_proxy_redirect_default(cf, lc) != WR_OK) {
        return WR_ENOMEM;
    }
    if (wr_up_conf_merged(cf, s, &lc->up, "proxy",
                          wr_up_given_of(cf, &wr_proxy_conf, lc, offsetof(struct wr_proxy_loc, up)),
                          (struct wr_up_hidden){hidden, WR_ARRAY_LEN(hidden)}) != WR_OK) {
        return WR_ECONFIG;
    }
    if (lc->pass != NULL && (lc->pass->t != NULL || lc->pass->scheme->is_tls)) {
        struct wr_proxy_main *pm = wr_scope_get(cf->gen->root, &wr_proxy_conf, WR_KIND_MAIN);
        enum wr_status st = wr_up_tls_make(cf, &lc->tls, &pm->made, "proxy", &lc->made_tls);

        if (st != WR_OK) {
            return st;
        }
    }
    return make_fields(cf, lc);
}

#define PROXY_ROW(nm, lo, hi, how, field, setter, dflt, text)                                      \
    {                                                                                              \
        .name = nm, .contexts = WR_CTX_HTTP_ALL, .min = lo, .max = hi, .flags = how,               \
        WR_DIR_FIELD(LOC, struct wr_proxy_loc, field), .set = setter, .def = dflt, .doc = text     \
    }

static const struct wr_dir proxy_dirs[] = {
    {.name = "proxy_pass",
     .contexts = WR_CTX_LOCATION | WR_CTX_IF_LOCATION | WR_CTX_LIMIT_EXCEPT,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_REPEAT, /* wr_core_set_content finds a second one, of any *_pass */
     WR_DIR_CONF(LOC),
     .set = set_pass,
     .doc = "Passes requests to a group or an address: http[s]://NAME[:PORT][/uri]."},
    WR_UP_DIRS("proxy", struct wr_proxy_loc, up),
    WR_UP_TLS_DIRS("proxy", struct wr_proxy_loc, tls),
 /* clang-format off */
    PROXY_ROW("proxy_set_header", 2, 2, WR_DIR_REPEAT, set_headers, wr_set_kv, NULL,
              "A field of requests to peers; an empty value removes it."),
    PROXY_ROW("proxy_http_version", 1, 1, 0, http_version, set_version, "1.1",
              "HTTP version of requests to peers: 1.0 or 1.1."),
    PROXY_ROW("proxy_method", 1, 1, 0, method, wr_set_template, NULL,
              "Method of requests to peers in place of the client's."),
    PROXY_ROW("proxy_set_body", 1, 1, 0, set_body, wr_set_template, NULL,
              "Body of requests to peers in place of the client's."),
    PROXY_ROW("proxy_redirect", 1, 2, WR_DIR_REPEAT, redirects, wr_proxy_set_redirect, NULL,
              "Rewrites Location and Refresh: default, off, or FROM TO; ~ and ~* are regular expressions."),
    PROXY_ROW("proxy_cookie_domain", 1, 2, WR_DIR_REPEAT, cookie_domains, wr_proxy_set_cookie_domain,
              NULL, "Rewrites Domain of Set-Cookie: off, or DOMAIN REPLACEMENT; ~ is a regular expression."),
    PROXY_ROW("proxy_cookie_path", 1, 2, WR_DIR_REPEAT, cookie_paths, wr_proxy_set_cookie_path, NULL,
              "Rewrites Path of Set-Cookie: off, or PATH REPLACEMENT; ~ and ~* are regular expressions."),
    PROXY_ROW("proxy_cookie_flags", 1, 4, WR_DIR_REPEAT, cookie_flags, wr_proxy_set_cookie_flags, NULL,
              "Sets or removes Secure, HttpOnly and SameSite of Set-Cookie: off, or COOKIE FLAG ..."),
    PROXY_ROW("proxy_pass_trailers", 1, 1, 0, up.pass_trailers, wr_set_flag, "off",
              "Passes trailers of a chunked response to a client that speaks HTTP/1.1."),
    PROXY_ROW("proxy_headers_hash_max_size", 1, 1, 0, hash_max, wr_set_num, "512",
              "Checked; has no effect: tables grow as needed."),
    PROXY_ROW("proxy_headers_hash_bucket_size", 1, 1, 0, hash_bucket, wr_set_num, "64",
              "Checked; has no effect: tables grow as needed."),
  /* clang-format on */
    WR_DIR_END
};

struct wr_conf_module wr_proxy_conf = {
    .name = "proxy",
    .dirs = proxy_dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct wr_proxy_main),
             [WR_KIND_LOC] = sizeof(struct wr_proxy_loc)},
    .merged = merged
};
