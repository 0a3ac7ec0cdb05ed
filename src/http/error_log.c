/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error_log.c: see error_log.h. The setters run on the control thread; wr_error_log_context on the
 * request's.
 *
 * Tags are evaluated while a line is written, into a buffer on the stack. What a getter logs
 * meanwhile is a line without tags.
 */
#include "http/error_log.h"

#include "base/log.h"
#include "base/log_memory.h"
#include "base/num.h"
#include "conf/gen.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/req_int.h"
#include "http/server.h"
#include "http/syslog_conf.h"
#include "http/var.h"

#define TAGS_MAX      32u
#define TAG_NAME_MAX  64u
#define TAG_VALUE_MAX 1024u /* bytes; what does not fit is left out */

/* ---- error_log ------------------------------------------------------------------------------ */

static enum wr_status read_level(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                 struct wr_log_sink *sink, bool *has_level)
{
    struct wr_str s = wr_node_arg(n, i);
    enum wr_log_level level = WR_LOG_ERROR;

    if (wr_log_level_parse(s, &level) != WR_OK) {
        return wr_conf_err_arg(cf, n, i, "invalid log level \"%.*s\"", WR_STR_ARG(s));
    }
    if (*has_level) {
        return wr_conf_err_arg(cf, n, i, "duplicate log level \"%.*s\"", WR_STR_ARG(s));
    }
    *has_level = true;
    sink->level = level;
    return WR_OK;
}

/* "json" alone is how nginx's commercial version says it. */
static enum wr_status read_params(struct wr_conf *cf, const struct wr_node *n,
                                  struct wr_log_sink *sink)
{
    bool has_level = false;
    enum wr_status st = WR_OK;

    for (uint32_t i = 1; i < n->arg_cnt && st == WR_OK; i++) {
        struct wr_str s = wr_node_arg(n, i), v = WR_STR_NULL;

        if (wr_str_eq_z(s, "json")) {
            sink->form = WR_LOG_JSON;
        } else if (!wr_arg_has_key(n, i, "format", &v)) {
            st = read_level(cf, n, i, sink, &has_level);
        } else if (wr_str_eq_z(v, "json") || wr_str_eq_z(v, "text")) {
            sink->form = wr_str_eq_z(v, "json") ? WR_LOG_JSON : WR_LOG_TEXT;
        } else {
            st = wr_conf_err_arg(cf, n, i, "invalid log format \"%.*s\"", WR_STR_ARG(v));
        }
    }
    return st;
}

static bool put_syslog(const struct wr_log_sink *s, enum wr_log_level level, struct wr_str line)
{
    /* Levels are severities but for "stderr", which is above all. */
    return wr_syslog_send(s->data, level > WR_LOG_STDERR ? (unsigned)level - 1 : 0, line);
}

static enum wr_status use_syslog(struct wr_conf *cf, const struct wr_node *n,
                                 struct wr_log_sink *sink)
{
    struct wr_syslog d;
    enum wr_status st = wr_syslog_conf_read(cf, n, 0, &d);

    if (st != WR_OK) {
        return st;
    }
    sink->data = wr_syslog_keep(&d);
    if (!sink->data) {
        return wr_conf_nomem(cf);
    }
    sink->put = put_syslog;
    return WR_OK;
}

static enum wr_status use_memory(struct wr_conf *cf, const struct wr_node *n,
                                 struct wr_log_sink *sink)
{
    struct wr_str s = wr_node_arg(n, 0);
    uint64_t size = 0;

    s = wr_str_sub(s, sizeof("memory:") - 1, s.len);
    if (wr_num_parse_size(s, WR_LOG_MEMORY_MAX, &size) != WR_OK || size < WR_LOG_MEMORY_MIN) {
        return wr_conf_err_arg(cf, n, 0, "invalid buffer size \"%.*s\"", WR_STR_ARG(s));
    }
    if (sink->form != WR_LOG_TEXT) {
        return wr_conf_err(cf, n, "memory logs are text"); /* longer lines might not fit */
    }
    if (wr_log_memory_want((size_t)size) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    sink->put = wr_log_memory_put;
    return WR_OK;
}

static enum wr_status add_error_log(struct wr_conf *cf, const struct wr_node *node,
                                    const struct wr_error_log **list)
{
    struct wr_core_main *m = wr_scope_get(cf->gen->root, &wr_core_conf, WR_KIND_MAIN);
    struct wr_log_sink sink = {.fd = 2, .level = WR_LOG_ERROR};
    struct wr_str file = wr_node_arg(node, 0);
    struct wr_error_log *l;
    enum wr_status st = read_params(cf, node, &sink);

    if (st != WR_OK) {
        return st;
    }
    l = wr_arena_zalloc(cf->arena, sizeof(*l));
    if (!l) {
        return wr_conf_nomem(cf);
    }
    l->sink = sink;
    l->node = node;
    if (wr_str_has_prefix(file, WR_STR("syslog:"))) {
        st = use_syslog(cf, node, &l->sink);
    } else if (wr_str_has_prefix(file, WR_STR("memory:"))) {
        st = use_memory(cf, node, &l->sink);
    } else if (!wr_str_eq_z(file, "stderr")) {
        st = wr_conf_path(cf, file, WR_PATH_PREFIX, &l->path);
        st = st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
    }
    if (st != WR_OK) {
        return st;
    }
    if (sink.level == WR_LOG_DEBUG) {
        wr_log_want_debug();
    }
    l->sink.next = *list ? &(*list)->sink : NULL;
    *list = l;
    l->next = m->sinks_all;
    m->sinks_all = l;
    return WR_OK;
}

enum wr_status wr_error_log_set_main(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    (void)dir;
    return add_error_log(cf, node, &((struct wr_core_main *)conf)->sinks);
}

enum wr_status wr_error_log_set_loc(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    (void)dir;
    return add_error_log(cf, node, &((struct wr_core_loc *)conf)->sinks);
}

/* ---- error_log_tag -------------------------------------------------------------------------- */

/* Names that a record has anyway. */
static bool is_ours(struct wr_str name)
{
    static const char *const names[] = {
        "time", "level",   "pid",      "tid",      "connection", "message",   "client",    "server",
        "host", "request", "upstream", "referrer", "why",        "truncated", "subrequest"};

    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        if (wr_str_eq_z(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool is_tag_name(struct wr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~') {
            return false;
        }
    }
    return s.len > 0 && s.len <= TAG_NAME_MAX;
}

enum wr_status wr_error_log_set_tag(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    struct wr_error_log_tags *tags = &((struct wr_core_loc *)conf)->log_tags;
    struct wr_str name = wr_node_arg(node, 0);
    struct wr_error_log_tag *tag;
    struct wr_template *t;

    (void)dir;
    if (!is_tag_name(name) || is_ours(name)) {
        return wr_conf_err_arg(cf, node, 0, "invalid tag name \"%.*s\"", WR_STR_ARG(name));
    }
    for (uint32_t i = 0; i < tags->cnt; i++) {
        if (wr_str_eq_z(name, tags->at[i].name)) {
            return wr_conf_err_arg(cf, node, 0, "duplicate tag \"%.*s\"", WR_STR_ARG(name));
        }
    }
    if (tags->cnt >= TAGS_MAX) {
        return wr_conf_err(cf, node, "more than %u tags", TAGS_MAX);
    }
    t = wr_arena_zalloc(cf->arena, sizeof(*t));
    tag = t ? wr_array_push(cf->arena, tags) : NULL;
    if (!tag) {
        return wr_conf_nomem(cf);
    }
    if (wr_arena_dup(cf->arena, name, &name) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    *tag = (struct wr_error_log_tag){.name = name.ptr, .value = t};
    return wr_arg_template(cf, node, 1, wr_node_arg(node, 1), t);
}

/* ---- a request's lines ---------------------------------------------------------------------- */

static void add_field(struct wr_log_fields *f, const char *name, struct wr_str value)
{
    if (value.len > 0) {
        wr_log_field(f, name, value, WR_LOG_QUOTED);
    }
}

static void add_tags(struct wr_req *r, struct wr_log_fields *f)
{
    struct wr_reqx *x = wr_reqx_of(r);
    const struct wr_error_log_tags *tags = &wr_core_loc_of(r)->log_tags;

    if (x->is_in_tags) {
        return;
    }
    x->is_in_tags = true;
    for (uint32_t i = 0; i < tags->cnt; i++) {
        char text[TAG_VALUE_MAX];
        struct wr_strbuf b;

        wr_strbuf_init_fixed(&b, text, sizeof(text));
        if (wr_template_append(r, tags->at[i].value, &b) != WR_ENOMEM) {
            wr_log_field(f, tags->at[i].name, wr_strbuf_str(&b), WR_LOG_QUOTED);
        }
    }
    x->is_in_tags = false;
}

void wr_error_log_context(const struct wr_log *log, struct wr_log_fields *f)
{
    struct wr_req *r = log->data;
    const struct wr_hdr *host, *referer;
    char text[WR_ADDR_TEXT_MAX];

    wr_log_field(f, "client", wr_str(text, wr_addr_write_host(&r->peer, text)), WR_LOG_BARE);
    wr_log_field(f, "server", r->server ? r->server->name : WR_STR_NULL, WR_LOG_BARE);
    add_field(f, "request", r->head->request_line);
    add_field(f, "subrequest", r->parent ? r->uri.path : WR_STR_NULL);
    if (r->up_url.len > 0) {
        const struct wr_str parts[] = {r->up_scheme, r->up_url, r->up_uri};

        wr_log_field_parts(f, "upstream", parts, WR_ARRAY_LEN(parts));
    }
    host = wr_hdrs_get(&r->head->hdrs, WR_HDR_HOST);
    referer = wr_hdrs_get(&r->head->hdrs, WR_HDR_REFERER);
    add_field(f, "host", host ? host->value : WR_STR_NULL);
    add_field(f, "referrer", referer ? referer->value : WR_STR_NULL);
    add_field(f, "why", r->up_why);
    if (wr_log_fields_are_json(f) && r->scope) {
        add_tags(r, f);
    }
}
