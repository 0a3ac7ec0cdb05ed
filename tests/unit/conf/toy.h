/* SPDX-License-Identifier: Apache-2.0 */
/*
 * toy.h: a small world for tests of conf/: a core module with the blocks of nginx and a module that
 * has a directive of each type, an in-memory source, and a load that gives its messages as text.
 * The fuzz target of conf includes it, too, so it uses no test framework.
 */
#ifndef WR_TESTS_UNIT_CONF_TOY_H
#define WR_TESTS_UNIT_CONF_TOY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/compiler.h"
#include "base/strbuf.h"
#include "conf/dirs.h"
#include "conf/gen.h"
#include "conf/scope.h"
#include "conf/types.h"

struct toy_main {
    struct wr_conf_head head;
    uint64_t processes;
    struct wr_str pid;
    bool daemon;
    uint32_t map_children; /* rows seen in free blocks */
    uint32_t servers;
};

struct toy_srv {
    struct wr_conf_head head;
    struct wr_strs names;
    uint32_t header_size;
};

struct toy_loc {
    struct wr_conf_head head;
    bool sendfile;
    uint64_t timeout_ms, expire_sec, max_body, temp_max, requests;
    uint32_t level, method, mask, small;
    struct wr_str root, store, label;
    struct wr_template *pass, *realm;
    struct wr_templates items;
    struct wr_kvs headers;
    struct wr_buffers buffers;
    struct wr_cidrs allow;
    struct wr_addr bind;
    bool internal;
    uint32_t merged_cnt;
};

struct toy_group {
    struct wr_conf_head head;
    struct wr_strs servers;
    uint64_t keepalive;
};

extern struct wr_conf_module toy_core, toy_module;

static enum wr_status toy_block(struct wr_conf *cf, const struct wr_dir *d, const struct wr_node *n,
                                void *conf)
{
    struct wr_scope *s;
    uint32_t ctx = *(const uint32_t *)d->data;
    enum wr_status st;

    if (ctx == WR_CTX_IF_LOCATION && cf->scope->ctx == WR_CTX_SERVER) {
        ctx = WR_CTX_IF_SERVER;
    }
    if (ctx == WR_CTX_SERVER) {
        void *m;

        st = wr_scope_own(cf, cf->scope, &toy_core, WR_KIND_MAIN, &m);
        if (st != WR_OK) {
            return st;
        }
        ((struct toy_main *)m)->servers++;
    }
    (void)conf;
    st = wr_scope_new(cf, (enum wr_ctx)ctx, n, &s);
    return st != WR_OK ? st : wr_conf_apply(cf, n, s);
}

static enum wr_status toy_map(struct wr_conf *cf, const struct wr_dir *d, const struct wr_node *n,
                              void *conf)
{
    (void)d;
    (void)n;
    cf->block = &((struct toy_main *)conf)->map_children;
    return WR_OK;
}

static enum wr_status toy_map_child(struct wr_conf *cf, const struct wr_dir *d,
                                    const struct wr_node *n, void *conf)
{
    (void)d;
    (void)conf;
    if (n->arg_cnt != 1) {
        return wr_conf_err(cf, n, "invalid number of the map parameters");
    }
    ++*(uint32_t *)cf->block;
    return WR_OK;
}

static enum wr_status toy_internal(struct wr_conf *cf, const struct wr_dir *d,
                                   const struct wr_node *n, void *conf)
{
    (void)cf;
    (void)d;
    (void)n;
    ((struct toy_loc *)conf)->internal = true;
    return WR_OK;
}

static enum wr_status toy_group_server(struct wr_conf *cf, const struct wr_dir *d,
                                       const struct wr_node *n, void *conf)
{
    struct toy_group *g = conf;
    struct wr_str *s, v;
    uint64_t num;

    (void)d;
    for (uint32_t i = 1; i < n->arg_cnt; i++) {
        if (!wr_arg_has_key(n, i, "weight", &v)) {
            return wr_arg_invalid(cf, n, i);
        }
        if (wr_arg_part_num(cf, n, i, v, &num) != WR_OK) {
            return WR_ECONFIG;
        }
    }
    s = wr_array_push(cf->arena, &g->servers);
    if (!s) {
        return WR_ENOMEM;
    }
    *s = wr_node_arg(n, 0);
    return WR_OK;
}

static enum wr_status toy_silent(struct wr_conf *cf, const struct wr_dir *d,
                                 const struct wr_node *n, void *conf)
{
    (void)cf;
    (void)d;
    (void)n;
    (void)conf;
    return WR_ECONFIG;
}

static enum wr_status toy_merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                                 const void *parent, void *conf)
{
    (void)cf;
    (void)s;
    if (kind == WR_KIND_LOC) {
        struct toy_loc *l = conf;

        l->merged_cnt = parent == NULL ? 1 : ((const struct toy_loc *)parent)->merged_cnt + 1;
    }
    return WR_OK;
}

static const uint32_t toy_ctx_events = WR_CTX_EVENTS, toy_ctx_http = WR_CTX_HTTP,
                      toy_ctx_server = WR_CTX_SERVER, toy_ctx_location = WR_CTX_LOCATION,
                      toy_ctx_if = WR_CTX_IF_LOCATION, toy_ctx_limit = WR_CTX_LIMIT_EXCEPT,
                      toy_ctx_upstream = WR_CTX_UPSTREAM;

/* clang-format off */
static const struct wr_dir toy_core_dirs[] = {
    {.name = "events", .contexts = WR_CTX_MAIN, .flags = WR_DIR_BLOCK, WR_DIR_CONF(MAIN),
     .set = toy_block, .data = &toy_ctx_events, .doc = "Holds settings of the event loop."},
    {.name = "http", .contexts = WR_CTX_MAIN, .flags = WR_DIR_BLOCK, WR_DIR_CONF(MAIN),
     .set = toy_block, .data = &toy_ctx_http, .doc = "Holds the HTTP servers."},
    {.name = "server", .contexts = WR_CTX_HTTP, .flags = WR_DIR_BLOCK, .kind = WR_KIND_NONE,
     .set = toy_block, .data = &toy_ctx_server, .doc = "A virtual server."},
    {.name = "location", .contexts = WR_CTX_SERVER | WR_CTX_LOCATION, .min = 1, .max = 2,
     .flags = WR_DIR_BLOCK, .kind = WR_KIND_NONE, .set = toy_block, .data = &toy_ctx_location,
     .doc = "Settings for a part of the URIs."},
    {.name = "if", .contexts = WR_CTX_SERVER | WR_CTX_LOCATION, .min = 1, .max = WR_ARGS_ANY,
     .flags = WR_DIR_BLOCK, .kind = WR_KIND_NONE, .set = toy_block, .data = &toy_ctx_if,
     .doc = "Settings under a condition."},
    {.name = "limit_except", .contexts = WR_CTX_LOCATION, .min = 1, .max = WR_ARGS_ANY,
     .flags = WR_DIR_BLOCK, .kind = WR_KIND_NONE, .set = toy_block, .data = &toy_ctx_limit,
     .doc = "Settings for other methods."},
    {.name = "upstream", .contexts = WR_CTX_HTTP, .min = 1, .max = 1, .flags = WR_DIR_BLOCK,
     .kind = WR_KIND_NONE, .set = toy_block, .data = &toy_ctx_upstream, .doc = "A group."},
    {.name = "worker_processes", .contexts = WR_CTX_MAIN, .min = 1, .max = 1, .set = wr_set_num,
     WR_DIR_FIELD(MAIN, struct toy_main, processes), .def = "1", .doc = "Threads."},
    {.name = "pid", .contexts = WR_CTX_MAIN, .min = 1, .max = 1, .set = wr_set_path,
     WR_DIR_FIELD(MAIN, struct toy_main, pid), .def = "logs/toy.pid", .doc = "Pid file."},
    {.name = "daemon", .contexts = WR_CTX_MAIN, .min = 1, .max = 1, .set = wr_set_flag,
     WR_DIR_FIELD(MAIN, struct toy_main, daemon), .def = "on", .doc = "Detach."},
    {.name = "map", .contexts = WR_CTX_HTTP, .min = 2, .max = 2,
     .flags = WR_DIR_BLOCK | WR_DIR_FREE | WR_DIR_REPEAT, WR_DIR_CONF(MAIN), .set = toy_map,
     .child = toy_map_child, .doc = "A table | of values."},
    {.name = "silent", .contexts = WR_CTX_MAIN, .flags = WR_DIR_HIDDEN, .kind = WR_KIND_NONE,
     .set = toy_silent},
    {.name = "use", .contexts = WR_CTX_EVENTS, .min = 1, .max = 1, .flags = WR_DIR_IGNORED,
     .kind = WR_KIND_NONE, .doc = "Ignored."},
    {.name = "old_thing", .contexts = WR_CTX_MAIN, .min = 1, .max = 1,
     .flags = WR_DIR_IGNORED | WR_DIR_DEPRECATED, .kind = WR_KIND_NONE, .doc = "Old."},
    WR_DIR_END};

struct wr_conf_module toy_core = {
    .name = "core", .dirs = toy_core_dirs, .size = {[WR_KIND_MAIN] = sizeof(struct toy_main)}};

static const struct wr_word toy_methods[] = {{"get", 1}, {"put", 2}, WR_WORDS_END};
static const struct wr_word toy_causes[] = {{"error", 1}, {"timeout", 2}, {"off", 4}, WR_WORDS_END};
static const struct wr_bounds toy_level = {.min = 1, .max = 9};
static const struct wr_bounds toy_least = {.min = 2};
static const struct wr_bounds toy_most = {.max = 5};
static const struct wr_bounds toy_off = {.allow_off = true, .off = 77};
static const struct wr_path_opts toy_conf_path = {WR_PATH_CONF};
static const struct wr_buffers_bounds toy_buffers = {2};
static const struct wr_template_set toy_nonempty = {.flags = WR_TSET_NONEMPTY};

#define TOY_LOC(n, lo, hi, setter, field)                                                          \
    .name = (n), .contexts = WR_CTX_HTTP_ALL_IF, .min = (lo), .max = (hi), .set = (setter),        \
    WR_DIR_FIELD(LOC, struct toy_loc, field), .doc = "A toy."

static const struct wr_dir toy_dirs[] = {
    {.name = "server_name", .contexts = WR_CTX_SERVER, .min = 1, .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT, .set = wr_set_strs, WR_DIR_FIELD(SRV, struct toy_srv, names),
     .def = "\"\"", .doc = "Names."},
    {.name = "client_header_buffer_size", .contexts = WR_CTX_HTTP | WR_CTX_SERVER, .min = 1,
     .max = 1, .set = wr_set_size, WR_DIR_FIELD(SRV, struct toy_srv, header_size), .def = "1k",
     .doc = "Size."},
    {TOY_LOC("sendfile", 1, 1, wr_set_flag, sendfile), .def = "off"},
    {TOY_LOC("proxy_read_timeout", 1, 1, wr_set_msec, timeout_ms), .def = "60s"},
    {TOY_LOC("cache_time", 1, 1, wr_set_sec, expire_sec), .def = "1h"},
    {TOY_LOC("client_max_body_size", 1, 1, wr_set_offset, max_body), .def = "1m"},
    {TOY_LOC("temp_max", 1, 1, wr_set_size, temp_max), .data = &toy_off, .def = "off"},
    {TOY_LOC("keepalive_requests", 1, 1, wr_set_num, requests), .def = "1000"},
    {TOY_LOC("comp_level", 1, 1, wr_set_num, level), .data = &toy_level, .def = "1"},
    {TOY_LOC("least", 1, 1, wr_set_num, small), .data = &toy_least},
    {.name = "most", .contexts = WR_CTX_IF_SERVER, .min = 1, .max = 1, .set = wr_set_num,
     WR_DIR_FIELD(LOC, struct toy_loc, small), .data = &toy_most, .doc = "Another name of least."},
    {TOY_LOC("method", 1, 1, wr_set_enum, method), .data = toy_methods},
    {TOY_LOC("next", 1, WR_ARGS_ANY, wr_set_mask, mask), .data = toy_causes,
     .flags = WR_DIR_REPEAT, .def = "error timeout"},
    {TOY_LOC("root", 1, 1, wr_set_path, root), .def = "html"},
    {TOY_LOC("store", 1, 1, wr_set_path_or_off, store), .data = &toy_conf_path},
    {TOY_LOC("label", 1, 1, wr_set_str_or_off, label), .def = "plain", .inherit = WR_NONE},
    {TOY_LOC("pass", 1, 1, wr_set_template, pass), .data = &toy_nonempty},
    {TOY_LOC("realm", 1, 1, wr_set_template_or_off, realm), .def = "off"},
    {TOY_LOC("items", 1, WR_ARGS_ANY, wr_set_templates, items), .flags = WR_DIR_REPEAT},
    {TOY_LOC("proxy_set_header", 2, 2, wr_set_kv, headers), .flags = WR_DIR_REPEAT,
     .def = "Host $host"},
    {TOY_LOC("proxy_buffers", 2, 2, wr_set_buffers, buffers), .data = &toy_buffers, .def = "8 4k"},
    {TOY_LOC("allow", 1, WR_ARGS_ANY, wr_set_cidr, allow), .flags = WR_DIR_REPEAT},
    {TOY_LOC("bind", 1, 1, wr_set_addr, bind)},
    {.name = "internal", .contexts = WR_CTX_LOCATION, WR_DIR_CONF(LOC), .set = toy_internal,
     .doc = "Internal."},
    {.name = "server", .contexts = WR_CTX_UPSTREAM, .min = 1, .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT, WR_DIR_CONF(GROUP), .set = toy_group_server, .doc = "A member."},
    {.name = "keepalive", .contexts = WR_CTX_UPSTREAM, .min = 1, .max = 1, .set = wr_set_num,
     WR_DIR_FIELD(GROUP, struct toy_group, keepalive), .def = "32", .doc = "Idle ones."},
    WR_DIR_END};

struct wr_conf_module toy_module = {.name = "toy",
                                    .dirs = toy_dirs,
                                    .size = {[WR_KIND_SRV] = sizeof(struct toy_srv),
                                             [WR_KIND_LOC] = sizeof(struct toy_loc),
                                             [WR_KIND_GROUP] = sizeof(struct toy_group)},
                                    .merged = toy_merged};

/* clang-format on */

static struct wr_conf_module *const toy_modules[] = {&toy_core, &toy_module};

/* Knows the variables host, uri and every name that begins with arg_. */
static enum wr_status toy_lookup(const struct wr_template_env *env, struct wr_str name,
                                 const struct wr_pos *pos, uint32_t *ret_index)
{
    (void)env;
    (void)pos;
    if (wr_str_eq(name, WR_STR("host"))) {
        *ret_index = 1;
    } else if (wr_str_eq(name, WR_STR("uri"))) {
        *ret_index = 2;
    } else if (wr_str_has_prefix(name, WR_STR("arg_"))) {
        *ret_index = 3;
    } else {
        return WR_ECONFIG;
    }
    return WR_OK;
}

static enum wr_status toy_init(struct wr_conf *cf)
{
    cf->vars.lookup = toy_lookup;
    return WR_OK;
}

/* One load: opened with files, closed when the generation is no longer looked at. */
struct toy {
    struct wr_registry registry;
    struct wr_conf_source source;
    struct wr_conf_opts opts;
    struct wr_arena diag_arena;
    struct wr_diags diags;
    struct wr_gen *gen, *failed;
    struct wr_strbuf out; /* messages */
    enum wr_status status;
};

static inline void toy_open(struct toy *t, const struct wr_conf_texts *texts)
{
    static char err[256];
    struct wr_strbuf b;

    memset(t, 0, sizeof(*t));
    toy_core.init = toy_init;
    wr_strbuf_init_fixed(&b, err, sizeof(err));
    t->status = wr_registry_init(&t->registry, toy_modules, WR_ARRAY_LEN(toy_modules), &b);
    WR_ASSERT(t->status == WR_OK);
    wr_conf_source_texts(&t->source, texts);
    wr_arena_init(&t->diag_arena, 1 << 20);
    wr_diags_init(&t->diags, &t->diag_arena);
    wr_strbuf_init(&t->out, 1 << 20);
    t->opts = (struct wr_conf_opts){.registry = &t->registry,
                                    .source = &t->source,
                                    .path = WR_STR("/c/x.conf"),
                                    .prefix = WR_STR("/p"),
                                    .gen_no = 1,
                                    .arena_cap = 64 << 20};
}

static inline void toy_load(struct toy *t, enum wr_diag_style style)
{
    t->status = wr_conf_load(&t->opts, &t->diags, &t->gen, &t->failed);
    wr_diags_write(&t->diags, style, &t->out);
}

static inline void toy_close(struct toy *t)
{
    wr_gen_unref(t->gen);
    wr_gen_unref(t->failed);
    wr_strbuf_fini(&t->out);
    wr_arena_fini(&t->diag_arena);
    wr_registry_fini(&t->registry);
}

#endif
