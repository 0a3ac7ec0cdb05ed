/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_module.c: see load_module.h. A table tells of each module file that Debian's packages, those
 * of nginx.org and well-known third parties install, whose it is and by which directive it can be
 * told whether weir has what it brings. That question goes to the registry, so a row needs no
 * change when weir learns the directive. Such a file is never opened: a configuration that was
 * moved here works also when nginx is gone. Control thread or supervisor.
 */
#include "main/load_module.h"

#include "base/assert.h"
#include "base/compiler.h"
#include "conf/tree.h"

/* Sorted by file. Directive and its place, nginx's own or not, Debian's libnginx-mod-... */
/* clang-format off */
static const struct wr_foreign_module modules[] = {
    {"ndk_http_module", NULL, 0, false, "http-ndk"},
    {"ngx_http_acme_module", "acme_issuer", WR_CTX_HTTP, true, NULL},
    {"ngx_http_auth_pam_module", "auth_pam", WR_CTX_LOCATION, false, "http-auth-pam"},
    {"ngx_http_auth_spnego_module", "auth_gss", WR_CTX_LOCATION, false, NULL},
    {"ngx_http_brotli_filter_module", "brotli", WR_CTX_HTTP, false, "http-brotli-filter"},
    {"ngx_http_brotli_static_module", "brotli_static", WR_CTX_HTTP, false, "http-brotli-static"},
    {"ngx_http_cache_purge_module", NULL, 0, false, "http-cache-purge"},
    {"ngx_http_cookie_flag_filter_module", "set_cookie_flag", WR_CTX_LOCATION, false, NULL},
    {"ngx_http_dav_ext_module", "dav_ext_methods", WR_CTX_LOCATION, false, "http-dav-ext"},
    {"ngx_http_echo_module", "echo", WR_CTX_LOCATION, false, "http-echo"},
    {"ngx_http_encrypted_session_module", "encrypted_session_key", WR_CTX_HTTP, false, NULL},
    {"ngx_http_fancyindex_module", "fancyindex", WR_CTX_LOCATION, false, "http-fancyindex"},
    {"ngx_http_geoip2_module", "geoip2", WR_CTX_HTTP, false, "http-geoip2"},
    {"ngx_http_geoip_module", "geoip_country", WR_CTX_HTTP, true, "http-geoip"},
    {"ngx_http_headers_more_filter_module", "more_set_headers", WR_CTX_LOCATION, false, "http-headers-more-filter"},
    {"ngx_http_image_filter_module", "image_filter", WR_CTX_LOCATION, true, "http-image-filter"},
    {"ngx_http_js_module", "js_content", WR_CTX_LOCATION, true, "http-js"},
    {"ngx_http_lua_module", "content_by_lua_block", WR_CTX_LOCATION, false, "http-lua"},
    {"ngx_http_lua_upstream_module", NULL, 0, false, NULL},
    {"ngx_http_memc_module", "memc_pass", WR_CTX_LOCATION, false, "http-memc"},
    {"ngx_http_modsecurity_module", "modsecurity", WR_CTX_LOCATION, false, "http-modsecurity"},
    {"ngx_http_naxsi_module", "SecRulesEnabled", WR_CTX_LOCATION, false, NULL},
    {"ngx_http_opentracing_module", "opentracing", WR_CTX_LOCATION, false, NULL},
    {"ngx_http_perl_module", "perl", WR_CTX_LOCATION, true, "http-perl"},
    {"ngx_http_set_misc_module", "set_escape_uri", WR_CTX_LOCATION, false, "http-set-misc"},
    {"ngx_http_srcache_filter_module", "srcache_fetch", WR_CTX_LOCATION, false, "http-srcache-filter"},
    {"ngx_http_subs_filter_module", "subs_filter", WR_CTX_LOCATION, false, "http-subs-filter"},
    {"ngx_http_uploadprogress_module", "upload_progress", WR_CTX_HTTP, false, "http-uploadprogress"},
    {"ngx_http_upstream_fair_module", "fair", WR_CTX_UPSTREAM, false, "http-upstream-fair"},
    {"ngx_http_vhost_traffic_status_module", "vhost_traffic_status_zone", WR_CTX_HTTP, false, NULL},
    {"ngx_http_xslt_filter_module", "xslt_stylesheet", WR_CTX_LOCATION, true, "http-xslt-filter"},
    {"ngx_http_zstd_filter_module", "zstd", WR_CTX_HTTP, false, NULL},
    {"ngx_http_zstd_static_module", "zstd_static", WR_CTX_HTTP, false, NULL},
    {"ngx_mail_module", "mail", WR_CTX_MAIN, true, "mail"},
    {"ngx_nchan_module", "nchan_subscriber", WR_CTX_LOCATION, false, "nchan"},
    {"ngx_otel_module", "otel_exporter", WR_CTX_HTTP, true, NULL},
    {"ngx_rtmp_module", "rtmp", WR_CTX_MAIN, false, "rtmp"},
    {"ngx_ssl_ct_module", NULL, 0, false, NULL},
    {"ngx_stream_geoip2_module", "geoip2", WR_CTX_STREAM, false, "stream-geoip2"},
    {"ngx_stream_geoip_module", "geoip_country", WR_CTX_STREAM, true, "stream-geoip"},
    {"ngx_stream_js_module", "js_preread", WR_CTX_STREAM, true, "stream-js"},
    {"ngx_stream_module", "stream", WR_CTX_MAIN, true, "stream"},
};

/* clang-format on */

const struct wr_foreign_module *wr_foreign_module_at(size_t i)
{
    return i < WR_ARRAY_LEN(modules) ? &modules[i] : NULL;
}

/* "modules/ngx_mail_module.so": the part between '/' and ".so"; empty: not such a name. */
static struct wr_str file_of(struct wr_str path)
{
    size_t slash = wr_str_rfind(path, '/');

    if (slash < path.len) {
        path = wr_str_sub(path, slash + 1, path.len);
    }
    return wr_str_has_suffix(path, WR_STR(".so")) ? wr_str_sub(path, 0, path.len - 3) : WR_STR_NULL;
}

const struct wr_foreign_module *wr_foreign_module_find(struct wr_str path)
{
    struct wr_str file = file_of(path);

    for (size_t i = 0; i < WR_ARRAY_LEN(modules); i++) {
        if (wr_str_eq_z(file, modules[i].file)) {
            return &modules[i];
        }
    }
    return NULL;
}

bool wr_load_module_is_ours(struct wr_str path)
{
    return wr_foreign_module_find(path) == NULL;
}

bool wr_foreign_module_is_built_in(const struct wr_foreign_module *m, const struct wr_registry *r)
{
    const struct wr_dir_entry *e = NULL;

    if (m->dir != NULL) {
        e = wr_registry_find(r, wr_str_z(m->dir));
    }
    while (e != NULL && (e->dir->contexts & m->ctx) == 0) {
        e = e->next;
    }
    return e != NULL;
}

static bool is_same(const struct wr_node *a, const struct wr_node *b,
                    const struct wr_foreign_module *m)
{
    return m != NULL ? wr_foreign_module_find(wr_node_arg(a, 0)) == m
                     : wr_str_eq(wr_node_arg(a, 0), wr_node_arg(b, 0));
}

/* What nginx refuses before it opens the file. The directives in front of node are its siblings. */
static enum wr_status check_order(struct wr_conf *cf, const struct wr_node *node,
                                  const struct wr_foreign_module *m)
{
    const struct wr_node *n;

    WR_NODE_FOREACH(n, node->parent)
    {
        if (n == node) {
            return WR_OK;
        }
        if (n->has_block) {
            return wr_conf_err(cf, node, "\"load_module\" directive is specified too late");
        }
        if (n->arg_cnt > 0 && wr_str_eq(n->name, node->name) && is_same(n, node, m)) {
            return wr_conf_err(cf, node, "module \"%.*s\" is already loaded",
                               WR_STR_ARG(m != NULL ? wr_str_z(m->file) : wr_node_arg(node, 0)));
        }
    }
    WR_UNREACHABLE(); /* a node is a child of its parent */
}

static enum wr_status refuse(struct wr_conf *cf, const struct wr_node *node,
                             const struct wr_foreign_module *m)
{
    struct wr_str hint = WR_STR("if none of its directives is used, take this line away");

    return wr_conf_err_hint(cf, node, hint,
                            "cannot load \"%.*s\": it is the file of %s, a module %s%s%s, whose "
                            "directives are not supported yet",
                            WR_STR_ARG(wr_node_arg(node, 0)), m->file,
                            m->is_nginx ? "of nginx" : "for nginx by a third party",
                            m->package != NULL ? " in Debian's package libnginx-mod-" : "",
                            m->package != NULL ? m->package : "");
}

enum wr_status wr_load_module_set(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct wr_str path = wr_node_arg(node, 0);
    const struct wr_foreign_module *m = wr_foreign_module_find(path);
    enum wr_status st = check_order(cf, node, m);

    (void)dir, (void)conf; /* one row, without a field */
    if (st != WR_OK) {
        return st;
    }
    if (m == NULL) {
        return WR_OK; /* it is loaded, or an error was told */
    }
    if (!wr_foreign_module_is_built_in(m, cf->registry)) {
        return refuse(cf, node, m);
    }
    wr_conf_notice(cf, node, "\"%.*s\" is not loaded: weir itself has the directives of %s",
                   WR_STR_ARG(path), m->file);
    return WR_OK;
}
