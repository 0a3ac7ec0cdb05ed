/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_conf.c: directives of the core HTTP module (core_conf.h): http, server, location and what is
 * set in them. `listen` and `server_name` are in listen_conf.c, `location` in location.c.
 * When the file is whole (done_core) servers, locations and ports are made ready for use.
 * Control thread; nothing here runs for a request but wr_core_rate.
 */
#include "http/core_conf.h"

#include <string.h>

#include "base/num.h"
#include "conf/gen.h"
#include "http/error_log.h"
#include "http/files_conf.h"
#include "http/filter.h"
#include "http/location.h"
#include "http/phase.h"
#include "http/resolver.h"
#include "http/server.h"
#include "http/var.h"

#define KEEPALIVE_MAX_MS   0x7fffffffu
#define BODY_BUFFER_MAX    (256u << 20) /* client_body_buffer_size: memory of one request */
#define BODY_SPILL_WRITE   65536u
#define WORKER_CONNECTIONS 512u

static struct wr_core_main *main_of(struct wr_conf *cf)
{
    return wr_scope_get(cf->gen->root, &wr_core_conf, WR_KIND_MAIN);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static enum wr_status set_http(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_core_main *m = conf;
    struct wr_scope *s = NULL;
    enum wr_status st = wr_scope_new(cf, WR_CTX_HTTP, node, &s);

    (void)dir;
    if (st != WR_OK) {
        return st;
    }
    m->http->scope = s;
    cf->gen->data = m->http;
    return wr_conf_apply(cf, node, s);
}

static enum wr_status set_server(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_scope *s = NULL;
    void *srv = NULL;
    enum wr_status st = wr_scope_new(cf, WR_CTX_SERVER, node, &s);

    (void)dir;
    (void)conf;
    if (st == WR_OK) {
        /* Each server has a struct of its own: it points to the server's object. */
        st = wr_scope_own(cf, s, &wr_core_conf, WR_KIND_SRV, &srv);
    }
    return st == WR_OK ? wr_conf_apply(cf, node, s) : st;
}

/* ---- root, alias ---------------------------------------------------------------------------- */

static enum wr_status check_root_text(struct wr_conf *cf, const struct wr_node *n)
{
    static const char *const names[] = {"document_root", "realpath_root"};
    struct wr_str text = wr_node_arg(n, 0);
    char word[32];

    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        for (int braced = 0; braced < 2; braced++) {
            struct wr_strbuf b;

            wr_strbuf_init_fixed(&b, word, sizeof(word));
            wr_strbuf_add_z(&b, braced ? "${" : "$");
            wr_strbuf_add_z(&b, names[i]);
            if (wr_str_find_str(text, wr_strbuf_str(&b)) < text.len) {
                return wr_conf_err_arg(cf, n, 0,
                                       "the $%s variable cannot be used in the \"%.*s\" directive",
                                       names[i], WR_STR_ARG(n->name));
            }
        }
    }
    return WR_OK;
}

/* Only the other one or the same of this level; what is inherited is not asked. */
static enum wr_status check_root_once(struct wr_conf *cf, const struct wr_node *n,
                                      const struct wr_core_loc *lc, bool is_alias)
{
    if (!lc->root_node) {
        return WR_OK;
    }
    if (lc->is_alias == is_alias) {
        return wr_conf_err_dir(cf, n, "is duplicate");
    }
    return wr_conf_err_dir(cf, n, "is duplicate, \"%s\" directive was specified earlier",
                           lc->is_alias ? "alias" : "root");
}

static enum wr_status compile_root(struct wr_conf *cf, const struct wr_node *n, bool is_alias,
                                   struct wr_template **ret)
{
    struct wr_str text = wr_node_arg(n, 0);
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    enum wr_status st;

    if (!t) {
        return wr_conf_nomem(cf);
    }
    if (!is_alias && text.len > 1 && text.ptr[text.len - 1] == '/') {
        text.len--;
    }
    if (text.len == 0 || text.ptr[0] != '$') {
        st = wr_conf_path(cf, text, WR_PATH_PREFIX, &text);
        if (st != WR_OK) {
            return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
        }
    }
    *ret = t;
    return wr_arg_template(cf, n, 0, text, t);
}

static enum wr_status set_root(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    bool is_alias = wr_str_eq_z(wr_str_z(dir->name), "alias");
    struct wr_core_loc *lc = conf;
    struct wr_template *t = NULL;
    struct wr_location *here = NULL;
    enum wr_status st = check_root_once(cf, node, lc, is_alias);

    if (st == WR_OK && is_alias) {
        st = wr_location_here(cf, &here);
    }
    if (st == WR_OK && here && here->kind == WR_LOC_NAMED) {
        return wr_conf_err(cf, node,
                           "the \"alias\" directive cannot be used inside the named location");
    }
    if (st == WR_OK) {
        st = check_root_text(cf, node);
    }
    if (st == WR_OK) {
        st = compile_root(cf, node, is_alias, &t);
    }
    if (st != WR_OK) {
        return st;
    }
    lc->root = t;
    lc->is_alias = is_alias;
    lc->alias_len = 0;
    if (here) {
        lc->alias_len = here->kind == WR_LOC_REGEX ? SIZE_MAX : here->name.len;
    }
    lc->root_node = node;
    return WR_OK;
}

/* ---- types ---------------------------------------------------------------------------------- */

static void end_map(void *map)
{
    wr_map_fini(map);
}

static struct wr_map *new_types(struct wr_conf *cf)
{
    struct wr_map *m = wr_arena_zalloc(cf->arena, sizeof(*m));

    if (!m) {
        return NULL;
    }
    wr_map_init(m, WR_MAP_ICASE);
    return wr_arena_on_fini(cf->arena, end_map, m) == WR_OK ? m : NULL;
}

static enum wr_status set_types(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct wr_core_loc *lc = conf;

    (void)dir;
    (void)node;
    if (!lc->types) {
        lc->types = new_types(cf);
    }
    return lc->types ? WR_OK : wr_conf_nomem(cf);
}

static enum wr_status set_type(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_core_loc *lc = conf;
    struct wr_mime_type *t = wr_arena_zalloc(cf->arena, sizeof(*t));

    (void)dir;
    if (!t) {
        return wr_conf_nomem(cf);
    }
    t->type = node->name;
    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_str ext = wr_node_arg(node, i);
        const struct wr_mime_type *old = wr_map_put(lc->types, ext, t);

        if (old) {
            wr_conf_warn(cf, node,
                         "duplicate extension \"%.*s\", content type: \"%.*s\", previous content "
                         "type: \"%.*s\"",
                         WR_STR_ARG(ext), WR_STR_ARG(t->type), WR_STR_ARG(old->type));
        }
    }
    return WR_OK;
}

static enum wr_status make_default_types(struct wr_conf *cf, struct wr_map **ret)
{
    static const char *const pairs[][2] = {
        {"html", "text/html" },
        {"gif",  "image/gif" },
        {"jpg",  "image/jpeg"},
    };
    struct wr_core_main *m = main_of(cf);

    if (!m->default_types) {
        struct wr_map *types = new_types(cf);

        for (size_t i = 0; types && i < WR_ARRAY_LEN(pairs); i++) {
            struct wr_mime_type *t = wr_arena_zalloc(cf->arena, sizeof(*t));

            if (!t) {
                return wr_conf_nomem(cf);
            }
            t->type = wr_str_z(pairs[i][1]);
            (void)wr_map_put(types, wr_str_z(pairs[i][0]), t); /* all differ */
        }
        m->default_types = types;
    }
    *ret = m->default_types;
    return *ret ? WR_OK : wr_conf_nomem(cf);
}

/* ---- error_page ----------------------------------------------------------------------------- */

/* "=", "=200": *ret_over is 0 or the code. */
static enum wr_status read_overwrite(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                     int16_t *ret_over)
{
    struct wr_str s = wr_str_sub(wr_node_arg(n, i), 1, SIZE_MAX);
    uint64_t v = 0;

    if (s.len > 0 && wr_num_parse_u64(s, 999, &v) != WR_OK) {
        return wr_conf_err_arg(cf, n, i, "invalid value \"%.*s\"", WR_STR_ARG(wr_node_arg(n, i)));
    }
    *ret_over = (int16_t)v;
    return WR_OK;
}

static enum wr_status read_code(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                uint64_t *ret_code)
{
    struct wr_str s = wr_node_arg(n, i);
    uint64_t v = 0;

    /* 499 is for the log: there is no client left to see a page. */
    if (wr_num_parse_u64(s, 1u << 20, &v) != WR_OK || v == 499) {
        return wr_conf_err_arg(cf, n, i, "invalid value \"%.*s\"", WR_STR_ARG(s));
    }
    if (v < 300 || v > 599) {
        return wr_conf_err_arg(cf, n, i, "value \"%.*s\" must be between 300 and 599",
                               WR_STR_ARG(s));
    }
    *ret_code = v;
    return WR_OK;
}

static enum wr_status set_error_page(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct wr_error_pages *pages = &((struct wr_core_loc *)conf)->error_pages;
    uint32_t uri_i = node->arg_cnt - 1, code_cnt = uri_i;
    struct wr_str uri = wr_node_arg(node, uri_i), mod = wr_node_arg(node, uri_i - 1);
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    enum wr_status st = t ? WR_OK : wr_conf_nomem(cf);
    int16_t over = -1;

    (void)dir;
    if (st == WR_OK && uri_i > 1 && mod.len > 0 && mod.ptr[0] == '=') {
        st = read_overwrite(cf, node, uri_i - 1, &over);
        code_cnt--;
    }
    if (st == WR_OK) {
        st = wr_arg_template(cf, node, uri_i, uri, t);
    }
    for (uint32_t i = 0; i < code_cnt && st == WR_OK; i++) {
        struct wr_error_page *p;
        uint64_t code = 0;

        st = read_code(cf, node, i, &code);
        if (st != WR_OK) {
            break;
        }
        p = wr_array_push(cf->arena, pages);
        if (!p) {
            return wr_conf_nomem(cf);
        }
        *p = (struct wr_error_page){.status = (uint16_t)code, .overwrite = over, .uri = t};
        p->is_named = uri.len > 0 && uri.ptr[0] == '@';
    }
    return st;
}

/* ---- temporary folders ---------------------------------------------------------------------- */

static enum wr_status read_levels(struct wr_conf *cf, const struct wr_node *n, uint8_t *levels)
{
    for (uint32_t i = 1; i < n->arg_cnt; i++) {
        uint64_t v = 0;

        if (wr_num_parse_u64(wr_node_arg(n, i), 3, &v) != WR_OK || v == 0) {
            return wr_conf_err_arg(cf, n, i, "\"%.*s\" directive invalid value",
                                   WR_STR_ARG(n->name));
        }
        levels[i - 1] = (uint8_t)v;
    }
    return WR_OK;
}

static enum wr_status enter_temp_dir(struct wr_conf *cf, const struct wr_node *node,
                                     const struct wr_temp_path *path, struct wr_temp_dir **ret)
{
    struct wr_core_main *m = main_of(cf);
    struct wr_temp_dir *d;

    for (d = m->temp_dirs; d; d = d->next) {
        if (!wr_str_eq(d->path.dir, path->dir)) {
            continue;
        }
        if (memcmp(d->path.levels, path->levels, sizeof(path->levels)) != 0) {
            return wr_conf_err(cf, node,
                               "the same path name \"%.*s\" has different levels than before",
                               WR_STR_ARG(path->dir));
        }
        *ret = d;
        return WR_OK;
    }
    d = wr_arena_zalloc(cf->arena, sizeof(*d));
    if (!d) {
        return wr_conf_nomem(cf);
    }
    d->path = *path;
    d->node = node;
    d->next = m->temp_dirs;
    m->temp_dirs = d;
    *ret = d;
    return WR_OK;
}

enum wr_status wr_core_set_temp_path(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    const struct wr_temp_path **field =
        (const struct wr_temp_path **)(void *)((char *)conf + dir->offset);
    struct wr_temp_path path = {
        .levels = {0, 0, 0}
    };
    struct wr_temp_dir *d = NULL;
    struct wr_str name = wr_node_arg(node, 0);
    enum wr_status st = read_levels(cf, node, path.levels);

    if (st != WR_OK) {
        return st;
    }
    while (name.len > 1 && name.ptr[name.len - 1] == '/') {
        name.len--;
    }
    st = wr_conf_path(cf, name, WR_PATH_PREFIX, &path.dir);
    if (st != WR_OK) {
        return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
    }
    st = enter_temp_dir(cf, node, &path, &d);
    if (st == WR_OK) {
        *field = &d->path;
    }
    return st;
}

/* ---- other setters -------------------------------------------------------------------------- */

enum wr_status wr_core_set_rate(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct wr_rate *rate = (struct wr_rate *)(void *)((char *)conf + dir->offset);
    struct wr_template *t;
    uint64_t v = 0;
    enum wr_status st;

    if (!wr_template_has_vars(wr_node_arg(node, 0))) {
        st = wr_arg_size(cf, node, 0, NULL, &v);
        if (st == WR_OK) {
            *rate = (struct wr_rate){NULL, v};
        }
        return st;
    }
    t = wr_arena_zalloc(cf->arena, sizeof(*t));
    if (!t) {
        return wr_conf_nomem(cf);
    }
    st = wr_arg_template(cf, node, 0, wr_node_arg(node, 0), t);
    if (st == WR_OK) {
        *rate = (struct wr_rate){t, 0};
    }
    return st;
}

enum wr_status wr_core_wants_hints(struct wr_req *r, bool *ret)
{
    const struct wr_templates *t = &wr_core_loc_of(r)->early_hints;
    struct wr_str v;
    bool wants = false;

    for (uint32_t i = 0; i < t->cnt && !wants; i++) {
        if (wr_template_eval(r, &t->at[i], &v) != WR_OK) {
            return WR_ENOMEM;
        }
        wants = v.len > 0 && !wr_str_eq(v, WR_STR("0"));
    }
    *ret = wants;
    return WR_OK;
}

enum wr_status wr_core_rate(struct wr_req *r, const struct wr_rate *rate, uint64_t *ret_v)
{
    struct wr_str s = WR_STR_NULL;
    enum wr_status st;
    uint64_t v = 0;

    if (!rate->t) {
        *ret_v = rate->value;
        return WR_OK;
    }
    st = wr_template_eval(r, rate->t, &s);
    if (st != WR_OK) {
        return st;
    }
    /* What is no size limits nothing; an empty text is not meant to. */
    if (s.len > 0 && wr_num_parse_size(s, UINT64_MAX / 2, &v) != WR_OK) {
        wr_log(&r->log, WR_LOG_ERROR, "invalid size \"%.*s\" while sending response to client",
               WR_STR_ARG(s));
    }
    *ret_v = v;
    return WR_OK;
}

static enum wr_status set_keepalive(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    struct wr_core_loc *lc = conf;
    uint64_t ms = 0, sec = 0;
    enum wr_status st = wr_arg_msec(cf, node, 0, NULL, &ms);

    (void)dir;
    if (st == WR_OK && node->arg_cnt > 1) {
        st = wr_arg_sec(cf, node, 1, NULL, &sec);
    }
    if (st == WR_OK) {
        lc->keepalive = (struct wr_keepalive){(uint32_t)WR_MIN(ms, (uint64_t)KEEPALIVE_MAX_MS),
                                              (uint32_t)WR_MIN(sec, (uint64_t)KEEPALIVE_MAX_MS)};
    }
    return st;
}

static enum wr_status set_internal(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    struct wr_location *l = NULL;
    enum wr_status st = wr_location_here(cf, &l);

    (void)dir;
    (void)node;
    (void)conf;
    if (st == WR_OK && l) {
        l->is_internal = true;
    }
    return st;
}

/* As long as we count: whoever writes 30d means "for ever". */
static enum wr_status set_long_msec(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    uint32_t *field = (uint32_t *)(void *)((char *)conf + dir->offset);
    uint64_t ms = 0;
    enum wr_status st = wr_arg_msec(cf, node, 0, NULL, &ms);

    if (st == WR_OK) {
        *field = (uint32_t)WR_MIN(ms, (uint64_t)KEEPALIVE_MAX_MS);
    }
    return st;
}

static enum wr_status set_large_num(struct wr_conf *cf, const struct wr_dir *dir,
                                    const struct wr_node *node, void *conf)
{
    uint32_t *field = (uint32_t *)(void *)((char *)conf + dir->offset);
    uint64_t v = 0;
    enum wr_status st = wr_arg_num(cf, node, 0, NULL, &v);

    if (st == WR_OK) {
        *field = (uint32_t)WR_MIN(v, (uint64_t)INT32_MAX);
    }
    return st;
}

/* On or off, and no meaning here. */
static enum wr_status check_flag(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_str s = wr_node_arg(node, 0);

    (void)dir;
    (void)conf;
    if (wr_str_ieq(s, WR_STR("on")) || wr_str_ieq(s, WR_STR("off"))) {
        return WR_OK;
    }
    return wr_conf_err_arg(
        cf, node, 0, "invalid value \"%.*s\" in \"%.*s\" directive, it must be \"on\" or \"off\"",
        WR_STR_ARG(s), WR_STR_ARG(node->name));
}

/* A number that has no meaning here. */
static enum wr_status check_num(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    uint64_t v;

    (void)conf;
    return wr_arg_num(cf, node, 0, dir->data, &v);
}

static enum wr_status set_send_lowat(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    uint64_t v;
    enum wr_status st = wr_arg_size(cf, node, 0, NULL, &v);

    (void)dir;
    (void)conf;
    if (st == WR_OK) {
        wr_conf_warn(cf, node, "\"send_lowat\" is not supported, ignored");
    }
    return st;
}

/* A size that has no meaning here: it must be one all the same. */
static enum wr_status check_size(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    uint64_t v;

    (void)conf;
    return wr_arg_size(cf, node, 0, dir->data, &v);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static const struct wr_word satisfy_words[] = {
    {"all", WR_SATISFY_ALL},
    {"any", WR_SATISFY_ANY},
    WR_WORDS_END
};

static const struct wr_word lingering_words[] = {
    {"off",    WR_LINGERING_OFF   },
    {"on",     WR_LINGERING_ON    },
    {"always", WR_LINGERING_ALWAYS},
    WR_WORDS_END
};

static const struct wr_word body_file_words[] = {
    {"off",   WR_BODY_FILE_OFF  },
    {"on",    WR_BODY_FILE_ON   },
    {"clean", WR_BODY_FILE_CLEAN},
    WR_WORDS_END
};

static const struct wr_word tokens_words[] = {
    {"off",   WR_TOKENS_OFF  },
    {"on",    WR_TOKENS_ON   },
    {"build", WR_TOKENS_BUILD},
    WR_WORDS_END
};

static const struct wr_word ims_words[] = {
    {"off",    WR_IMS_OFF   },
    {"exact",  WR_IMS_EXACT },
    {"before", WR_IMS_BEFORE},
    WR_WORDS_END
};

static const struct wr_word keepalive_words[] = {
    {"none",   WR_KEEPALIVE_NO_NONE  },
    {"msie6",  WR_KEEPALIVE_NO_MSIE6 },
    {"safari", WR_KEEPALIVE_NO_SAFARI},
    WR_WORDS_END
};

static const struct wr_bounds at_least_1 = {.min = 1};
static const struct wr_bounds body_buffer_bounds = {.max = BODY_BUFFER_MAX};
static const struct wr_bounds directio_bounds = {.allow_off = true, .off = UINT64_MAX};
static const struct wr_buffers_bounds buffers_1 = {.num_min = 1};

#define ALL    WR_CTX_HTTP_ALL
#define ALL_IF WR_CTX_HTTP_ALL_IF
#define SRV_   (WR_CTX_HTTP | WR_CTX_SERVER)
/* Rows with one argument and a field. */
#define LOC_ROW(n, field_, set_, data_, def_, doc_)                                                \
    {                                                                                              \
        .name = n, .contexts = ALL, .min = 1, .max = 1, .set = set_, .data = data_,                \
        WR_DIR_FIELD(LOC, struct wr_core_loc, field_), .def = def_, .doc = doc_                    \
    }
#define SRV_ROW(n, field_, set_, data_, def_, doc_)                                                \
    {                                                                                              \
        .name = n, .contexts = SRV_, .min = 1, .max = 1, .set = set_, .data = data_,               \
        WR_DIR_FIELD(SRV, struct wr_core_srv, field_), .def = def_, .doc = doc_                    \
    }
/* Accepted, the value is checked, no meaning here. */
#define SIZE_ROW(n, ctx, kind_, def_, doc_)                                                        \
    {                                                                                              \
        .name = n, .contexts = ctx, .min = 1, .max = 1, .set = check_size, WR_DIR_CONF(kind_),     \
        .flags = WR_DIR_DEF_DOC, .def = def_, .doc = doc_                                          \
    }
#define NUM_ROW(n, ctx, kind_, def_, doc_)                                                         \
    {                                                                                              \
        .name = n, .contexts = ctx, .min = 1, .max = 1, .set = check_num, WR_DIR_CONF(kind_),      \
        .flags = WR_DIR_DEF_DOC, .def = def_, .doc = doc_                                          \
    }

/* clang-format off */
static const struct wr_dir core_dirs[] = {
    {.name = "http", .contexts = WR_CTX_MAIN, .flags = WR_DIR_BLOCK, .set = set_http,
     WR_DIR_CONF(MAIN), .doc = "The HTTP server."},
    {.name = "server", .contexts = WR_CTX_HTTP, .flags = WR_DIR_BLOCK | WR_DIR_REPEAT,
     .set = set_server, WR_DIR_CONF(NONE), .doc = "A virtual server."},
    {.name = "location", .contexts = WR_CTX_SERVER | WR_CTX_LOCATION, .min = 1, .max = 2,
     .flags = WR_DIR_BLOCK | WR_DIR_REPEAT, .set = wr_location_set, WR_DIR_CONF(NONE),
     .doc = "Settings for paths: = exact, ^~ prefix before regexes, ~ and ~* regex, @name, else prefix."},
    {.name = "listen", .contexts = WR_CTX_SERVER, .min = 1, .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT | WR_DIR_DEF_DOC, .set = wr_core_set_listen,
     WR_DIR_FIELD(SRV, struct wr_core_srv, listens), .inherit = WR_NONE, .def = "*:80",
     .doc = "An address that the server takes connections on."},
    {.name = "server_name", .contexts = WR_CTX_SERVER, .min = 1, .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT, .set = wr_core_set_server_name,
     WR_DIR_FIELD(SRV, struct wr_core_srv, names), .inherit = WR_NONE, .def = "\"\"",
     .doc = "Names of the server: exact, *.name, name.*, .name, ~regex."},

    {.name = "root", .contexts = ALL_IF, .min = 1, .max = 1, .flags = WR_DIR_REPEAT, .set = set_root,
     WR_DIR_FIELD(LOC, struct wr_core_loc, root), .def = "html",
     .doc = "Folder that the request's path is appended to."},
    {.name = "alias", .contexts = WR_CTX_LOCATION, .min = 1, .max = 1, .flags = WR_DIR_REPEAT,
     .set = set_root, WR_DIR_FIELD(LOC, struct wr_core_loc, root),
     .doc = "Path that takes the place of the location's name."},
    {.name = "types", .contexts = ALL, .flags = WR_DIR_BLOCK | WR_DIR_FREE | WR_DIR_REPEAT,
     .set = set_types, .child = set_type, WR_DIR_FIELD(LOC, struct wr_core_loc, types),
     .doc = "Media types by extension of the file name."},
    LOC_ROW("default_type", default_type, wr_set_str, NULL, "text/plain", "Media type of all other files."),
    {.name = "internal", .contexts = WR_CTX_LOCATION, .set = set_internal, WR_DIR_CONF(LOC),
     .doc = "Only internal redirects may come here; others get 404."},
    {.name = "error_page", .contexts = ALL_IF, .min = 2, .max = WR_ARGS_ANY, .flags = WR_DIR_REPEAT,
     .set = set_error_page, WR_DIR_FIELD(LOC, struct wr_core_loc, error_pages),
     .doc = "Where a response with one of these codes comes from."},
    LOC_ROW("satisfy", satisfy, wr_set_enum, satisfy_words, "all", "Must all of the access rules, passwords and the like be content, or is any enough?"),
    LOC_ROW("auth_delay", auth_delay_ms, set_long_msec, NULL, "0s", "How long a client waits for its 401."),
    {.name = "limit_except", .contexts = WR_CTX_LOCATION, .min = 1, .max = WR_ARGS_ANY,
     .flags = WR_DIR_BLOCK, .set = wr_location_set_limit, WR_DIR_CONF(LOC),
     .doc = "Settings for all methods but these; GET names HEAD, too."},
    LOC_ROW("recursive_error_pages", recursive_error_pages, wr_set_flag, NULL, "off", "May an error page lead to another?"),

    {.name = "error_log", .contexts = WR_CTX_MAIN, .min = 1, .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT | WR_DIR_DEF_DOC, .set = wr_error_log_set_main,
     WR_DIR_FIELD(MAIN, struct wr_core_main, sinks), .def = "logs/error.log error",
     .doc = "File, stderr, syslog: or memory: for messages, the most verbose level that goes there, format=text|json."},
    {.name = "error_log", .contexts = ALL, .min = 1, .max = WR_ARGS_ANY, .flags = WR_DIR_REPEAT,
     .set = wr_error_log_set_loc, WR_DIR_FIELD(LOC, struct wr_core_loc, sinks),
     .doc = "File, stderr, syslog: or memory: for messages, the most verbose level that goes there, format=text|json."},
    {.name = "error_log_tag", .contexts = ALL, .min = 2, .max = 2, .flags = WR_DIR_REPEAT,
     .set = wr_error_log_set_tag, WR_DIR_FIELD(LOC, struct wr_core_loc, log_tags),
     .doc = "A field of the request's lines in error logs with format=json: its name, and a text with variables."},
    LOC_ROW("log_not_found", log_not_found, wr_set_flag, NULL, "on", "Log files that are not found?"),
    LOC_ROW("log_subrequest", log_subrequest, wr_set_flag, NULL, "off", "Do subrequests have a line in the access log?"),

    SRV_ROW("client_header_timeout", header_timeout_ms, set_long_msec, NULL, "60s", "Time for a request head."),
    SRV_ROW("client_header_buffer_size", header_buffer_size, wr_set_size, NULL, "1k", "Memory for most request heads."),
    {.name = "large_client_header_buffers", .contexts = SRV_, .min = 2, .max = 2, .set = wr_set_buffers,
     .data = &buffers_1, WR_DIR_FIELD(SRV, struct wr_core_srv, large_header_buffers), .def = "4 8k",
     .doc = "Further memory for a request head; no line may be longer than one of them."},
    SRV_ROW("max_headers", max_headers, wr_set_num, &at_least_1, "1000", "Most fields of a request head."),
    SRV_ROW("ignore_invalid_headers", ignore_invalid_headers, wr_set_flag, NULL, "on", "Drop fields with invalid names?"),
    SRV_ROW("underscores_in_headers", underscores_in_headers, wr_set_flag, NULL, "off", "Are underscores valid in names of fields?"),
    SRV_ROW("merge_slashes", merge_slashes, wr_set_flag, NULL, "on", "Are adjacent slashes of a path one?"),
    SRV_ROW("connection_pool_size", connection_pool_size, wr_set_size, NULL, "512", "Accepted, not needed; large_client_header_buffers may not be smaller."),
    SIZE_ROW("request_pool_size", SRV_, SRV, "4k", "Accepted, not needed."),

    LOC_ROW("client_max_body_size", body_max, wr_set_offset, NULL, "1m", "Most bytes of a request body; 0: no limit."),
    LOC_ROW("client_body_buffer_size", body_buffer_size, wr_set_size, &body_buffer_bounds, "16k", "Bytes of a request body in memory."),
    LOC_ROW("client_body_timeout", body_timeout_ms, set_long_msec, NULL, "60s", "Time between two reads of a request body."),
    LOC_ROW("client_body_in_file_only", body_in_file, wr_set_enum, body_file_words, "off", "Keep request bodies in files?"),
    LOC_ROW("client_body_in_single_buffer", body_in_single_buffer, wr_set_flag, NULL, "off", "Accepted: bodies are read in one go."),
    {.name = "client_body_temp_path", .contexts = ALL, .min = 1, .max = 4, .set = wr_core_set_temp_path,
     WR_DIR_FIELD(LOC, struct wr_core_loc, body_temp), .def = "client_body_temp",
     .doc = "Folder for request bodies that do not fit in memory."},

    LOC_ROW("keepalive_requests", keepalive_requests, set_large_num, NULL, "1000", "Requests of one connection."),
    LOC_ROW("keepalive_time", keepalive_time_ms, set_long_msec, NULL, "1h", "Life of a connection; it ends after the request then."),
    {.name = "keepalive_timeout", .contexts = ALL, .min = 1, .max = 2, .set = set_keepalive,
     WR_DIR_FIELD(LOC, struct wr_core_loc, keepalive), .def = "75s",
     .doc = "Time that an idle connection stays open; second: what the client is told."},
    LOC_ROW("keepalive_min_timeout", keepalive_min_ms, set_long_msec, NULL, "0", "Time that idle connections stay on shutdown at least."),
    {.name = "keepalive_disable", .contexts = ALL, .min = 1, .max = 2, .flags = WR_DIR_REPEAT, .set = wr_set_mask,
     .data = keepalive_words, WR_DIR_FIELD(LOC, struct wr_core_loc, keepalive_disable), .def = "msie6",
     .doc = "Browsers whose connections are closed after POST (msie6) or always (safari)."},
    LOC_ROW("lingering_close", lingering, wr_set_enum, lingering_words, "on", "Read on before a connection is closed?"),
    LOC_ROW("lingering_time", lingering_time_ms, set_long_msec, NULL, "30s", "How long in all."),
    LOC_ROW("lingering_timeout", lingering_timeout_ms, set_long_msec, NULL, "5s", "How long between two reads."),
    LOC_ROW("send_timeout", send_timeout_ms, set_long_msec, NULL, "60s", "Time between two writes to the client."),
    {.name = "send_lowat", .contexts = ALL, .min = 1, .max = 1, .flags = WR_DIR_DEF_DOC, .set = set_send_lowat,
     WR_DIR_CONF(LOC), .def = "0", .doc = "Accepted with a warning: Linux has no such setting."},
    LOC_ROW("reset_timedout_connection", reset_timedout, wr_set_flag, NULL, "off", "End timed out connections by a reset?"),
    LOC_ROW("tcp_nodelay", tcp_nodelay, wr_set_flag, NULL, "on", "Send small packets at once? off: TCP_NODELAY is off for the client's connection."),
    LOC_ROW("tcp_nopush", tcp_nopush, wr_set_flag, NULL, "off", "Send a file by sendfile in full packets, its head with it (TCP_CORK)?"),

    {.name = "limit_rate", .contexts = ALL_IF, .min = 1, .max = 1, .set = wr_core_set_rate,
     WR_DIR_FIELD(LOC, struct wr_core_loc, limit_rate), .def = "0", .doc = "Bytes a second to the client; 0: no limit."},
    {.name = "limit_rate_after", .contexts = ALL_IF, .min = 1, .max = 1, .set = wr_core_set_rate,
     WR_DIR_FIELD(LOC, struct wr_core_loc, limit_rate_after), .def = "0", .doc = "Bytes that go before limit_rate acts."},
    {.name = "early_hints", .contexts = ALL, .min = 1, .max = WR_ARGS_ANY, .set = wr_set_templates,
     WR_DIR_FIELD(LOC, struct wr_core_loc, early_hints),
     .doc = "Passes 103 (Early Hints) of peers on if one of the texts is neither empty nor 0."},
    LOC_ROW("server_tokens", server_tokens, wr_set_enum, tokens_words, "on", "Show the version in Server and on error pages?"),
    LOC_ROW("etag", etag, wr_set_flag, NULL, "on", "Send ETag for files?"),
    LOC_ROW("if_modified_since", if_modified_since, wr_set_enum, ims_words, "exact", "How If-Modified-Since is compared."),
    {.name = "max_ranges", .contexts = ALL, .min = 1, .max = 1, .set = set_large_num,
     WR_DIR_FIELD(LOC, struct wr_core_loc, max_ranges), .doc = "Most ranges of a request; 0: none. Without it: no limit."},
    {.name = "sendfile", .contexts = ALL_IF, .min = 1, .max = 1, .set = wr_set_flag,
     WR_DIR_FIELD(LOC, struct wr_core_loc, sendfile), .def = "on", .doc = "Send files, and big bodies of peers, without copying them?"},
    LOC_ROW("sendfile_max_chunk", sendfile_max_chunk, wr_set_size, NULL, "2m", "Most bytes of a file that one connection sends before others have their turn; 0: no limit."),
    LOC_ROW("directio", directio, wr_set_offset, &directio_bounds, "off", "Files of at least this size are read past the page cache (O_DIRECT)."),
    LOC_ROW("directio_alignment", directio_alignment, wr_set_offset, NULL, "512", "Alignment of such reads."),
    LOC_ROW("read_ahead", read_ahead, wr_set_size, NULL, "0", "Files larger than this are read ahead as for sequential reading; 0: the system decides."),
    {.name = "aio", .contexts = ALL, .min = 1, .max = 1, .set = wr_files_set_aio,
     WR_DIR_FIELD(LOC, struct wr_core_loc, aio), .def = "off", .doc = "threads, threads=POOL: files are opened and read by a pool of threads, so that a slow disk holds up nobody else."},
    {.name = "thread_pool", .contexts = WR_CTX_MAIN, .min = 2, .max = 3, .flags = WR_DIR_REPEAT,
     .set = wr_files_set_pool, WR_DIR_CONF(NONE), .doc = "Threads (at most 64) for calls that block, and how many may wait for one."},
    {.name = "disable_symlinks", .contexts = ALL, .min = 1, .max = 2, .set = wr_files_set_symlinks,
     WR_DIR_FIELD(LOC, struct wr_core_loc, symlinks), .def = "off", .doc = "Refuse symbolic links in names of files; from=PART: but in that part."},
    {.name = "aio_write", .contexts = ALL, .min = 1, .max = 1, .flags = WR_DIR_DEF_DOC,
     .set = check_flag, WR_DIR_CONF(LOC), .def = "off", .doc = "Accepted without effect."},
    {.name = "output_buffers", .contexts = ALL, .min = 2, .max = 2, .set = wr_set_buffers, .data = &buffers_1,
     WR_DIR_FIELD(LOC, struct wr_core_loc, output_buffers), .def = "2 32k", .doc = "A file that sendfile does not send is read in pieces of number times size, at most 256k."},
    LOC_ROW("postpone_output", postpone_output, wr_set_size, NULL, "1460", "Accepted without effect: what is here goes out at once."),
    LOC_ROW("chunked_transfer_encoding", chunked, wr_set_flag, NULL, "on", "Use chunked coding towards HTTP/1.1 clients?"),
    LOC_ROW("absolute_redirect", absolute_redirect, wr_set_flag, NULL, "on", "Complete our own redirects with scheme and host?"),
    LOC_ROW("port_in_redirect", port_in_redirect, wr_set_flag, NULL, "on", "Name the port in them?"),
    LOC_ROW("server_name_in_redirect", server_name_in_redirect, wr_set_flag, NULL, "off", "Name server_name instead of Host in them?"),
    LOC_ROW("msie_padding", msie_padding, wr_set_flag, NULL, "on", "Accepted without effect."),
    LOC_ROW("msie_refresh", msie_refresh, wr_set_flag, NULL, "off", "Accepted without effect."),
    LOC_ROW("subrequest_output_buffer_size", subrequest_buffer_size, wr_set_size, NULL, "8k", "Most bytes of a subrequest's answer that is kept in memory."),

    {.name = "open_file_cache", .contexts = ALL, .min = 1, .max = 2, .set = wr_files_set_cache,
     WR_DIR_FIELD(LOC, struct wr_core_loc, open_cache), .def = "off", .doc = "Keep files open, and what is known of names: most of them a thread, and how long one that is not asked for stays."},
    LOC_ROW("open_file_cache_valid", open_file_cache_valid, wr_set_sec, NULL, "60s", "After this what is kept is looked at again."),
    LOC_ROW("open_file_cache_min_uses", open_file_cache_min_uses, wr_set_num, NULL, "1", "Requests within `inactive` before a file is kept open."),
    LOC_ROW("open_file_cache_errors", open_file_cache_errors, wr_set_flag, NULL, "off", "Keep also that a file is not there, or may not be opened?"),
    {.name = "resolver", .contexts = ALL, .min = 1, .max = WR_ARGS_ANY, .set = wr_set_resolver,
     WR_DIR_FIELD(LOC, struct wr_core_loc, resolver), .doc = "Name servers for names known only at run time."},
    LOC_ROW("resolver_timeout", resolver_timeout_ms, set_long_msec, NULL, "30s", "Time for an answer of a name server."),

    NUM_ROW("variables_hash_max_size", WR_CTX_HTTP, LOC, "1024", "Accepted, not needed."),
    NUM_ROW("variables_hash_bucket_size", WR_CTX_HTTP, LOC, "64", "Accepted, not needed."),
    NUM_ROW("server_names_hash_max_size", WR_CTX_HTTP, LOC, "512", "Accepted, not needed."),
    NUM_ROW("server_names_hash_bucket_size", WR_CTX_HTTP, LOC, "64", "Accepted, not needed."),
    NUM_ROW("types_hash_max_size", ALL, LOC, "1024", "Accepted, not needed."),
    NUM_ROW("types_hash_bucket_size", ALL, LOC, "64", "Accepted, not needed."),
    WR_DIR_END
};

/* clang-format on */

/* ---- hooks ---------------------------------------------------------------------------------- */

static enum wr_status lookup_var(const struct wr_template_env *env, struct wr_str name,
                                 const struct wr_pos *pos, uint32_t *ret_index)
{
    return wr_vars_use(env->data, name, pos, ret_index);
}

static enum wr_status init_core(struct wr_conf *cf)
{
    struct wr_core_main *m = main_of(cf);
    struct wr_http *h = wr_arena_zalloc(cf->arena, sizeof(*h));

    if (!h) {
        return wr_conf_nomem(cf);
    }
    h->vars = wr_vars_new(cf->arena);
    if (!h->vars) {
        return wr_conf_nomem(cf);
    }
    h->worker_connections = WORKER_CONNECTIONS;
    h->threads = 1;
    m->http = h;
    cf->vars = (struct wr_template_env){lookup_var, h->vars};
    return WR_OK;
}

struct wr_http *wr_http_building(struct wr_conf *cf)
{
    return main_of(cf)->http;
}

enum wr_status wr_http_define_var(struct wr_conf *cf, struct wr_str name, uint32_t *ret_no)
{
    return wr_vars_number(main_of(cf)->http->vars, name, ret_no);
}

static enum wr_status merge_loc(struct wr_conf *cf, struct wr_scope *s,
                                const struct wr_core_loc *parent, struct wr_core_loc *lc)
{
    enum wr_status st;

    if (!lc->types) {
        st = make_default_types(cf, &lc->types);
        if (st != WR_OK) {
            return st;
        }
    }
    if (!wr_conf_is_given(&wr_core_conf, WR_KIND_LOC, cf->registry, lc,
                          offsetof(struct wr_core_loc, max_ranges))) {
        lc->max_ranges = UINT32_MAX;
    }
    if (parent && !wr_conf_is_set(&wr_core_conf, WR_KIND_LOC, cf->registry, lc,
                                  offsetof(struct wr_core_loc, root))) {
        lc->is_alias = parent->is_alias;
        lc->alias_len = parent->alias_len;
        lc->root_node = parent->root_node;
    }
    if (parent) {
        lc->prefix = parent->prefix;
    } else {
        st = wr_conf_path(cf, WR_STR(""), WR_PATH_PREFIX, &lc->prefix);
        if (st != WR_OK) {
            return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
        }
    }
    lc->body_spill = (struct wr_spill_conf){lc->body_temp, UINT64_MAX / 2, BODY_SPILL_WRITE};
    (void)s;
    return WR_OK;
}

static enum wr_status merge_srv(struct wr_conf *cf, struct wr_scope *s, struct wr_core_srv *srv)
{
    /* 0: the value was refused and told already. */
    if (srv->large_header_buffers.size > 0 &&
        srv->large_header_buffers.size < srv->connection_pool_size) {
        return wr_conf_err(cf, s->node,
                           "the \"large_client_header_buffers\" size must be equal to or greater "
                           "than \"connection_pool_size\"");
    }
    return WR_OK;
}

static enum wr_status merge_core(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                                 const void *parent, void *conf)
{
    switch (kind) {
    case WR_KIND_LOC:
        return merge_loc(cf, s, parent, conf);
    case WR_KIND_SRV:
        return merge_srv(cf, s, conf);
    case WR_KIND_MAIN:
    case WR_KIND_GROUP:
    case WR_KIND_NONE:
        return WR_OK;
    }
    WR_UNREACHABLE();
}

static enum wr_status build_servers(struct wr_conf *cf, struct wr_http *h)
{
    enum wr_status st = WR_OK;
    uint32_t no = 0;

    for (struct wr_scope *s = h->scope->first; s; s = s->next) {
        h->server_cnt += s->ctx == WR_CTX_SERVER;
    }
    h->servers = wr_arena_zalloc(cf->arena, (h->server_cnt + 1) * sizeof(*h->servers));
    if (!h->servers) {
        return wr_conf_nomem(cf);
    }
    for (struct wr_scope *s = h->scope->first; s && st == WR_OK; s = s->next) {
        struct wr_server *v = &h->servers[no];
        struct wr_core_srv *srv;

        if (s->ctx != WR_CTX_SERVER) {
            continue;
        }
        srv = wr_scope_get(s, &wr_core_conf, WR_KIND_SRV);
        srv->server = v;
        v->scope = s;
        v->node = s->node;
        v->no = no++;
        v->name = srv->names.at[0].text;
        if (v->name.len > 0 && v->name.ptr[0] == '.') {
            v->name = wr_str_sub(v->name, 1, v->name.len);
        }
        st = wr_locations_build(cf, srv->first_location, &v->locations);
    }
    return st;
}

static enum wr_status done_core(struct wr_conf *cf)
{
    struct wr_http *h = cf->gen->data;
    enum wr_status st = wr_files_done(cf);

    if (!h || st != WR_OK) {
        return st;
    }
    st = wr_phases_plan(cf->gen, &h->phases);
    if (st == WR_OK) {
        st = wr_filters_plan(cf->gen, &h->filters);
    }
    if (st == WR_OK) {
        st = build_servers(cf, h);
    }
    return st == WR_OK ? wr_core_build_ports(cf, h) : st;
}

struct wr_conf_module wr_core_conf = {
    .name = "core",
    .dirs = core_dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct wr_core_main),
             [WR_KIND_SRV] = sizeof(struct wr_core_srv),
             [WR_KIND_LOC] = sizeof(struct wr_core_loc)},
    .init = init_core,
    .merged = merge_core,
    .done = done_core,
};
