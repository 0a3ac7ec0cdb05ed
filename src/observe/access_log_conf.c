/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access_log_conf.c: what log_format, access_log and open_log_file_cache say, made into the structs
 * of access_log_int.h. Errors are worded as nginx words them.
 */
#include "base/num.h"
#include "conf/dirs.h"
#include "conf/gen.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/syslog_conf.h"
#include "observe/access_log.h"
#include "observe/access_log_int.h"
#include "observe/log_gzip.h"

#define BUFFER_MAX   (64u << 20) /* buffer= */
#define GZIP_BUFFER  (64u << 10) /* of gzip without buffer= */
#define GZIP_LEVEL   1
#define CACHE_MAX    (1u << 20) /* open_log_file_cache max= */
#define DEFAULT_PATH "logs/access.log"

struct wr_access_file *wr_access_log_files(const struct wr_gen *g)
{
    return wr_access_log_main_of(g)->files;
}

/* Zeroed memory becomes an empty map of the generation at the first key. */
static void put(struct wr_conf *cf, struct wr_map *m, struct wr_str key, void *value)
{
    if (m->cnt == 0) {
        wr_map_init_arena(m, WR_MAP_CASE, cf->arena);
    }
    (void)wr_map_put(m, key, value); /* is new */
}

/* ---- log_format ----------------------------------------------------------------------------- */

static enum wr_status read_escape(struct wr_conf *cf, const struct wr_node *node,
                                  struct wr_str word, uint8_t *ret)
{
    static const struct wr_word words[] = {
        {"default", WR_LOG_ESCAPE_DEFAULT},
        {"json",    WR_LOG_ESCAPE_JSON   },
        {"none",    WR_LOG_ESCAPE_NONE   },
        WR_WORDS_END
    };

    for (const struct wr_word *w = words; w->name; w++) {
        if (wr_str_eq_z(word, w->name)) {
            *ret = (uint8_t)w->value;
            return WR_OK;
        }
    }
    return wr_conf_err_arg(cf, node, 1, "unknown log format escaping \"%.*s\"", WR_STR_ARG(word));
}

static enum wr_status set_format(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_access_log_main *m = wr_access_log_main_of(cf->gen);
    struct wr_str name = wr_node_arg(node, 0), word;
    struct wr_log_format *f;
    enum wr_status st = WR_OK;
    uint32_t i = 1;

    (void)dir, (void)conf;
    if (wr_map_get(&m->formats, name) || wr_str_eq(name, WR_STR("combined"))) {
        return wr_conf_err_arg(cf, node, 0, "duplicate \"log_format\" name \"%.*s\"",
                               WR_STR_ARG(name));
    }
    f = wr_arena_zalloc(cf->arena, sizeof(*f));
    if (!f) {
        return wr_conf_nomem(cf);
    }
    f->name = name;
    if (wr_arg_has_key(node, 1, "escape", &word)) {
        st = read_escape(cf, node, word, &f->escape);
        i = 2;
    }
    for (; i < node->arg_cnt && st == WR_OK; i++) {
        st = wr_log_format_add(cf, node, i, wr_node_arg(node, i), f);
    }
    if (st == WR_OK) {
        put(cf, &m->formats, name, f);
    }
    return st;
}

/* ---- access_log ----------------------------------------------------------------------------- */

static enum wr_status get_combined(struct wr_conf *cf, struct wr_access_log_main *m,
                                   const struct wr_log_format **ret)
{
    enum wr_status st = WR_OK;

    if (!m->combined) {
        struct wr_log_format *f = wr_arena_zalloc(cf->arena, sizeof(*f));

        if (!f) {
            return wr_conf_nomem(cf);
        }
        f->name = WR_STR("combined");
        st = wr_log_format_add(cf, NULL, 0, WR_STR(WR_LOG_COMBINED), f);
        m->combined = f;
    }
    *ret = m->combined;
    return st;
}

struct log_params {
    uint64_t buffer_size, flush_ms;
    uint32_t gzip;
    bool has_flush;
};

static enum wr_status read_condition(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                     struct wr_str text, struct wr_access_log *l)
{
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));

    if (!t) {
        return wr_conf_nomem(cf);
    }
    l->cond = t;
    return wr_arg_template(cf, n, i, text, t);
}

static enum wr_status read_level(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                 struct wr_str v, struct log_params *p)
{
    uint64_t level;

    if (wr_num_parse_u64(v, WR_LOG_GZIP_LEVEL_MAX, &level) != WR_OK ||
        level < WR_LOG_GZIP_LEVEL_MIN) {
        return wr_conf_err_arg(cf, n, i, "invalid compression level \"%.*s\"", WR_STR_ARG(v));
    }
    p->gzip = (uint32_t)level;
    return WR_OK;
}

static enum wr_status read_param(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                 struct wr_access_log *l, struct log_params *p)
{
    struct wr_str v;

    if (wr_arg_has_key(n, i, "if", &v)) {
        return read_condition(cf, n, i, v, l);
    }
    if (wr_arg_has_key(n, i, "buffer", &v)) {
        if (wr_num_parse_size(v, BUFFER_MAX, &p->buffer_size) != WR_OK || p->buffer_size == 0) {
            return wr_conf_err_arg(cf, n, i, "invalid buffer size \"%.*s\"", WR_STR_ARG(v));
        }
        return WR_OK;
    }
    if (wr_arg_has_key(n, i, "flush", &v)) {
        if (wr_num_parse_ms(v, &p->flush_ms) != WR_OK || p->flush_ms == 0) {
            return wr_conf_err_arg(cf, n, i, "invalid flush time \"%.*s\"", WR_STR_ARG(v));
        }
        p->has_flush = true;
        return WR_OK;
    }
    if (wr_arg_has_key(n, i, "gzip", &v)) {
        return read_level(cf, n, i, v, p);
    }
    if (wr_str_eq(wr_node_arg(n, i), WR_STR("gzip"))) {
        p->gzip = GZIP_LEVEL;
        return WR_OK;
    }
    return wr_arg_invalid(cf, n, i);
}

/* The entry of this path, made when it is new. */
static enum wr_status enter_file(struct wr_conf *cf, struct wr_access_log_main *m,
                                 const struct wr_node *node, struct wr_str name,
                                 struct wr_access_file **ret)
{
    struct wr_access_file *f;
    struct wr_str path;
    enum wr_status st = wr_conf_path(cf, name, WR_PATH_PREFIX, &path);

    if (st != WR_OK) {
        return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
    }
    f = wr_map_get(&m->by_path, path);
    if (f) {
        *ret = f;
        return WR_OK;
    }
    f = wr_arena_zalloc(cf->arena, sizeof(*f));
    if (!f) {
        return wr_conf_nomem(cf);
    }
    *f = (struct wr_access_file){
        .path = path, .fd = -1, .node = node, .next = m->files, .no = m->file_cnt++};
    m->files = f;
    put(cf, &m->by_path, f->path, f);
    *ret = f;
    return WR_OK;
}

static enum wr_status set_buffer(struct wr_conf *cf, const struct wr_node *n,
                                 const struct wr_access_log *l, struct log_params *p)
{
    struct wr_access_file *f = l->file;
    struct wr_str name = wr_node_arg(n, 0);

    if (p->gzip != 0 && p->buffer_size == 0) {
        p->buffer_size = GZIP_BUFFER;
    }
    if (p->buffer_size == 0) {
        return p->has_flush ? wr_conf_err(cf, n, "no buffer is defined for access_log \"%.*s\"",
                                          WR_STR_ARG(name))
                            : WR_OK;
    }
    if (!f) {
        return wr_conf_err(cf, n,
                           l->syslog ? "logs to syslog cannot be buffered"
                                     : "buffered logs cannot have variables in name");
    }
    if (f->buffer_size != 0 &&
        (f->buffer_size != p->buffer_size || f->flush_ms != p->flush_ms || f->gzip != p->gzip)) {
        return wr_conf_err(cf, n, "access_log \"%.*s\" already defined with conflicting parameters",
                           WR_STR_ARG(name));
    }
    f->buffer_size = p->buffer_size;
    f->flush_ms = p->flush_ms;
    f->gzip = p->gzip;
    return WR_OK;
}

static enum wr_status set_syslog(struct wr_conf *cf, const struct wr_node *n,
                                 struct wr_access_log *l)
{
    struct wr_syslog *s = wr_arena_zalloc(cf->arena, sizeof(*s));

    if (!s) {
        return wr_conf_nomem(cf);
    }
    l->syslog = s;
    return wr_syslog_conf_read(cf, n, 0, s);
}

static enum wr_status set_path(struct wr_conf *cf, const struct wr_node *n, struct wr_access_log *l)
{
    struct wr_str name = wr_node_arg(n, 0);
    struct wr_template *t;
    enum wr_status st;

    if (wr_str_has_prefix(name, WR_STR("syslog:"))) {
        return set_syslog(cf, n, l);
    }
    if (!wr_template_has_vars(name)) {
        return enter_file(cf, wr_access_log_main_of(cf->gen), n, name, &l->file);
    }
    t = wr_arena_zalloc(cf->arena, sizeof(*t));
    if (!t) {
        return wr_conf_nomem(cf);
    }
    /* As nginx: a name that begins with a variable is below the prefix, whatever the variable is.
     */
    st = wr_conf_path(cf, name, WR_PATH_PREFIX, &name);
    if (st != WR_OK) {
        return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
    }
    l->path = t;
    return wr_arg_template(cf, n, 0, name, t);
}

static enum wr_status find_named_format(struct wr_conf *cf, const struct wr_node *n,
                                        struct wr_access_log *l)
{
    struct wr_access_log_main *m = wr_access_log_main_of(cf->gen);
    struct wr_str name = wr_node_arg(n, 1);

    if (n->arg_cnt < 2 || wr_str_eq(name, WR_STR("combined"))) {
        return get_combined(cf, m, &l->format);
    }
    l->format = wr_map_get(&m->formats, name);
    if (!l->format) {
        return wr_conf_err_arg(cf, n, 1, "unknown log format \"%.*s\"", WR_STR_ARG(name));
    }
    return WR_OK;
}

static enum wr_status add_log(struct wr_conf *cf, struct wr_access_logs *logs,
                              const struct wr_access_log *l)
{
    struct wr_access_log *to = wr_array_push(cf->arena, logs);

    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = *l;
    return WR_OK;
}

static enum wr_status set_access_log(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct wr_access_logs *logs = &((struct wr_access_log_loc *)conf)->logs;
    struct wr_access_log l = {.file = NULL};
    struct log_params p = {.has_flush = false};
    enum wr_status st;

    (void)dir;
    if (wr_str_eq(wr_node_arg(node, 0), WR_STR("off"))) {
        logs->is_off = true;
        return node->arg_cnt == 1 ? WR_OK : wr_arg_invalid(cf, node, 1);
    }
    st = set_path(cf, node, &l);
    if (st == WR_OK) {
        st = find_named_format(cf, node, &l);
    }
    for (uint32_t i = 2; i < node->arg_cnt && st == WR_OK; i++) {
        st = read_param(cf, node, i, &l, &p);
    }
    if (st == WR_OK) {
        st = set_buffer(cf, node, &l, &p);
    }
    return st == WR_OK ? add_log(cf, logs, &l) : st;
}

/* ---- open_log_file_cache -------------------------------------------------------------------- */

static enum wr_status read_cache_param(const struct wr_node *n, uint32_t i,
                                       struct wr_log_path_cache *c)
{
    struct wr_str v;
    uint64_t num = 0;
    enum wr_status st = WR_ECONFIG;

    if (wr_arg_has_key(n, i, "max", &v)) {
        st = wr_num_parse_u64(v, INT32_MAX, &num);
        c->max = (uint32_t)WR_MIN(num, (uint64_t)CACHE_MAX);
    } else if (wr_arg_has_key(n, i, "min_uses", &v)) {
        st = wr_num_parse_u64(v, INT32_MAX, &num);
        c->min_uses = (uint32_t)num;
    } else if (wr_arg_has_key(n, i, "inactive", &v)) {
        st = wr_num_parse_sec(v, &num);
        c->inactive_ms = num * 1000;
    } else if (wr_arg_has_key(n, i, "valid", &v)) {
        st = wr_num_parse_sec(v, &num);
        c->valid_ms = num * 1000;
    } else if (wr_str_eq(wr_node_arg(n, i), WR_STR("off"))) {
        c->max = 0;
        st = WR_OK;
    }
    return st;
}

static enum wr_status set_cache(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct wr_log_path_cache c = {.min_uses = 1, .inactive_ms = 10000, .valid_ms = 60000};
    bool is_off = false;

    (void)dir;
    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_str word = wr_node_arg(node, i);

        if (read_cache_param(node, i, &c) != WR_OK) {
            return wr_conf_err_arg(cf, node, i,
                                   "invalid \"open_log_file_cache\" parameter \"%.*s\"",
                                   WR_STR_ARG(word));
        }
        is_off = is_off || wr_str_eq(word, WR_STR("off"));
    }
    if (c.max == 0 && !is_off) {
        return wr_conf_err(cf, node, "\"open_log_file_cache\" must have \"max\" parameter");
    }
    ((struct wr_access_log_loc *)conf)->cache = is_off ? (struct wr_log_path_cache){.max = 0} : c;
    return WR_OK;
}

/* http{} without access_log has the default one. */
static enum wr_status merge_log(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                                const void *parent, void *conf)
{
    struct wr_access_logs *logs = &((struct wr_access_log_loc *)conf)->logs;
    struct wr_access_log l = {.file = NULL};
    enum wr_status st;

    (void)s;
    if (kind != WR_KIND_LOC || parent || logs->cnt > 0 || logs->is_off) {
        return WR_OK;
    }
    st = enter_file(cf, wr_access_log_main_of(cf->gen), NULL, WR_STR(DEFAULT_PATH), &l.file);
    if (st == WR_OK) {
        st = get_combined(cf, wr_access_log_main_of(cf->gen), &l.format);
    }
    return st == WR_OK ? add_log(cf, logs, &l) : st;
}

/* clang-format off */
static const struct wr_dir dirs[] = {
    {.name = "log_format",
     .contexts = WR_CTX_HTTP,
     .min = 2,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT,
     .set = set_format,
     WR_DIR_CONF(MAIN),
     .doc = "A named format of log lines: escape=default|json|none, then texts that are joined."},
    {.name = "access_log",
     .contexts = WR_CTX_HTTP_ALL_IF | WR_CTX_LIMIT_EXCEPT,
     .min = 1,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT | WR_DIR_DEF_DOC,
     .set = set_access_log,
     WR_DIR_FIELD(LOC, struct wr_access_log_loc, logs),
     .def = "logs/access.log combined",
     .doc = "File or syslog: for a line a request, its format, buffer=, flush=, gzip=, if=; or off."},
    {.name = "open_log_file_cache",
     .contexts = WR_CTX_HTTP | WR_CTX_SERVER | WR_CTX_LOCATION,
     .min = 1,
     .max = 4,
     .set = set_cache,
     WR_DIR_FIELD(LOC, struct wr_access_log_loc, cache),
     .def = "off",
     .doc = "Log files with variables in their names that stay open: max=, inactive=, min_uses=, valid=."},
    WR_DIR_END
};
/* clang-format on */

struct wr_conf_module wr_access_log_conf = {
    .name = "access_log",
    .dirs = dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct wr_access_log_main),
             [WR_KIND_LOC] = sizeof(struct wr_access_log_loc)},
    .merged = merge_log,
};
