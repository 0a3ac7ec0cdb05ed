/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files_conf.c: see files_conf.h. Pools of a generation are a list in struct wr_core_main; `aio`
 * may name one before `thread_pool` defines it, so names are looked at when the file is whole.
 * Control thread, but wr_files_pool (the request's).
 */
#include "http/files_conf.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/types.h"
#include "event/offload.h"
#include "http/core_conf.h"
#include "http/server.h"
#include "http/var.h"
#include "io/file.h"

#define DEFAULT_POOL        "default"
#define DEFAULT_THREADS     32u
#define DEFAULT_QUEUE       65536u
#define THREADS_MAX         64u
#define DEFAULT_INACTIVE_MS 60000u

static struct wr_core_main *main_of(struct wr_conf *cf)
{
    return wr_scope_get(cf->gen->root, &wr_core_conf, WR_KIND_MAIN);
}

/* ---- pools ---------------------------------------------------------------------------------- */

static struct wr_pool *find_pool(struct wr_pool *p, struct wr_str name)
{
    while (p && !wr_str_eq(p->name, name)) {
        p = p->next;
    }
    return p;
}

/* Made when there is none of this name. NULL: memory. */
static struct wr_pool *get_pool(struct wr_conf *cf, struct wr_str name)
{
    struct wr_core_main *m = main_of(cf);
    struct wr_pool *p = find_pool(m->pools, name);

    if (p) {
        return p;
    }
    p = wr_arena_zalloc(cf->arena, sizeof(*p));
    if (p) {
        p->name = name;
        p->threads = DEFAULT_THREADS;
        p->queue_max = DEFAULT_QUEUE;
        p->next = m->pools;
        m->pools = p;
    }
    return p;
}

static enum wr_status read_pool_arg(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                    struct wr_pool *p, bool *has_threads)
{
    struct wr_str v;
    uint64_t n = 0;

    if (wr_arg_has_key(node, i, "threads", &v)) {
        if (wr_num_parse_u64(v, INT32_MAX, &n) != WR_OK || n == 0) {
            return wr_conf_err_arg(cf, node, i, "invalid threads value \"%.*s\"",
                                   WR_STR_ARG(wr_node_arg(node, i)));
        }
        p->threads = (uint32_t)WR_MIN(n, (uint64_t)THREADS_MAX);
        *has_threads = true;
        return WR_OK;
    }
    if (wr_arg_has_key(node, i, "max_queue", &v)) {
        if (wr_num_parse_u64(v, INT32_MAX, &n) != WR_OK) {
            return wr_conf_err_arg(cf, node, i, "invalid max_queue value \"%.*s\"",
                                   WR_STR_ARG(wr_node_arg(node, i)));
        }
        p->queue_max = (uint32_t)n;
        return WR_OK;
    }
    return wr_arg_invalid(cf, node, i);
}

enum wr_status wr_files_set_pool(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_pool *p = get_pool(cf, wr_node_arg(node, 0));
    bool has_threads = false;

    (void)dir, (void)conf; /* pools are a list of the generation */
    if (!p) {
        return wr_conf_nomem(cf);
    }
    if (p->node) {
        return wr_conf_err(cf, node, "duplicate thread pool \"%.*s\"", WR_STR_ARG(p->name));
    }
    p->node = node;
    for (uint32_t i = 1; i < node->arg_cnt; i++) {
        enum wr_status st = read_pool_arg(cf, node, i, p, &has_threads);

        if (st != WR_OK) {
            return st;
        }
    }
    if (!has_threads) {
        return wr_conf_err(cf, node, "\"thread_pool\" must have \"threads\" parameter");
    }
    return WR_OK;
}

/* What outlives generations. */
struct pool_fixture {
    struct wr_fixture fixture;
    struct wr_offload *offload;
};

/* Control thread; waits for what is under way, of requests that are gone. */
static void free_pool(struct wr_fixture *f)
{
    struct pool_fixture *pf = wr_container_of(f, struct pool_fixture, fixture);

    wr_offload_free(pf->offload);
    wr_mem_free(pf);
}

static const struct wr_fixture_ops pool_ops = {.kind = "thread_pool", .free = free_pool};

static enum wr_status prepare_pool(struct wr_conf *cf, struct wr_pool *p)
{
    uint64_t shape = (uint64_t)p->threads << 32 | p->queue_max;
    struct pool_fixture *pf;
    struct wr_fixture *f;

    if (!cf->opts->fixtures) {
        return WR_OK;
    }
    f = wr_fixtures_get(cf->opts->fixtures, &pool_ops, p->name, shape);
    if (!f) {
        pf = wr_mem_alloc(sizeof(*pf));
        pf->offload = wr_offload_new(p->threads, p->queue_max);
        f = &pf->fixture;
        if (wr_fixtures_add(cf->opts->fixtures, f, &pool_ops, p->name, shape) != WR_OK) {
            free_pool(f);
            return WR_ENOMEM;
        }
    }
    p->offload = wr_container_of(f, struct pool_fixture, fixture)->offload;
    return wr_gen_use(cf->gen, f);
}

enum wr_status wr_files_done(struct wr_conf *cf)
{
    for (struct wr_pool *p = main_of(cf)->pools; p; p = p->next) {
        enum wr_status st;

        if (!p->node && !wr_str_eq(p->name, WR_STR(DEFAULT_POOL))) {
            return wr_conf_err(cf, p->user, "unknown thread pool \"%.*s\"", WR_STR_ARG(p->name));
        }
        st = prepare_pool(cf, p);
        if (st != WR_OK) {
            return wr_conf_nomem(cf);
        }
    }
    return WR_OK;
}

/* ---- aio ------------------------------------------------------------------------------------ */

static enum wr_status set_aio_pool(struct wr_conf *cf, const struct wr_node *node,
                                   struct wr_str name, struct wr_aio *aio)
{
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    enum wr_status st;

    if (!t) {
        return wr_conf_nomem(cf);
    }
    st = wr_arg_template(cf, node, 0, name, t);
    if (st != WR_OK) {
        return st;
    }
    aio->name = t;
    if (!wr_template_is_const(t)) {
        return WR_OK;
    }
    aio->pool = get_pool(cf, t->source);
    if (!aio->pool) {
        return wr_conf_nomem(cf);
    }
    if (!aio->pool->user) {
        aio->pool->user = node;
    }
    return WR_OK;
}

enum wr_status wr_files_set_aio(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct wr_str s = wr_node_arg(node, 0), name = WR_STR(DEFAULT_POOL);
    const struct wr_aio **field = (const struct wr_aio **)(void *)((char *)conf + dir->offset);
    struct wr_aio *aio;

    if (wr_str_eq_z(s, "off")) {
        *field = NULL;
        return WR_OK;
    }
    if (wr_str_eq_z(s, "on")) {
        return wr_conf_err_arg(cf, node, 0, "\"aio on\" is unsupported on this platform");
    }
    if (!wr_str_eq_z(s, "threads") && !wr_arg_has_key(node, 0, "threads", &name)) {
        return wr_conf_err_arg(cf, node, 0, "\"aio\" directive invalid value");
    }
    aio = wr_arena_zalloc(cf->arena, sizeof(*aio));
    if (!aio) {
        return wr_conf_nomem(cf);
    }
    *field = aio;
    return set_aio_pool(cf, node, name, aio);
}

enum wr_status wr_files_pool(struct wr_req *r, struct wr_offload **ret)
{
    const struct wr_aio *aio = wr_core_loc_of(r)->aio;
    const struct wr_core_main *m;
    const struct wr_pool *p;
    struct wr_str name;
    enum wr_status st;

    if (!aio) {
        *ret = NULL;
        return WR_OK;
    }
    if (aio->pool) {
        *ret = aio->pool->offload;
        return WR_OK;
    }
    st = wr_template_eval(r, aio->name, &name);
    if (st != WR_OK) {
        return st;
    }
    m = wr_scope_get(r->gen->root, &wr_core_conf, WR_KIND_MAIN);
    p = find_pool(m->pools, name);
    if (!p) {
        wr_log(&r->log, WR_LOG_ERROR, "thread pool \"%.*s\" not found", WR_STR_ARG(name));
        return WR_ECONFIG;
    }
    *ret = p->offload;
    return WR_OK;
}

struct wr_offload *wr_files_default_pool(const struct wr_req *r)
{
    const struct wr_core_main *m = wr_scope_get(r->gen->root, &wr_core_conf, WR_KIND_MAIN);
    const struct wr_pool *p = find_pool(m->pools, WR_STR(DEFAULT_POOL));

    WR_ASSERT(p && p->offload);
    return p->offload;
}

enum wr_status wr_files_need_default(struct wr_conf *cf)
{
    return get_pool(cf, WR_STR(DEFAULT_POOL)) ? WR_OK : wr_conf_nomem(cf);
}

/* ---- open_file_cache ------------------------------------------------------------------------ */

static bool read_cache_arg(const struct wr_node *node, uint32_t i, struct wr_open_cache_conf *c)
{
    struct wr_str v;
    uint64_t n = 0;

    if (wr_arg_has_key(node, i, "max", &v)) {
        if (wr_num_parse_u64(v, INT32_MAX, &n) != WR_OK || n == 0) {
            return false;
        }
        c->max = (uint32_t)n;
        return true;
    }
    if (!wr_arg_has_key(node, i, "inactive", &v) || v.len == 0 ||
        wr_num_parse_sec(v, &n) != WR_OK) {
        return false;
    }
    c->inactive_ms = n * 1000;
    return true;
}

enum wr_status wr_files_set_cache(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    const struct wr_open_cache_conf **field =
        (const struct wr_open_cache_conf **)(void *)((char *)conf + dir->offset);
    struct wr_open_cache_conf *c = wr_arena_zalloc(cf->arena, sizeof(*c));
    bool is_off = false;

    if (!c) {
        return wr_conf_nomem(cf);
    }
    c->inactive_ms = DEFAULT_INACTIVE_MS;
    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        if (wr_str_eq_z(wr_node_arg(node, i), "off")) {
            is_off = true;
        } else if (!read_cache_arg(node, i, c)) {
            return wr_conf_err_arg(cf, node, i, "invalid \"open_file_cache\" parameter \"%.*s\"",
                                   WR_STR_ARG(wr_node_arg(node, i)));
        }
    }
    if (is_off) {
        *field = NULL;
        return WR_OK;
    }
    if (c->max == 0) {
        return wr_conf_err(cf, node, "\"open_file_cache\" must have the \"max\" parameter");
    }
    c->no = main_of(cf)->open_cache_cnt++;
    *field = c;
    return WR_OK;
}

/* ---- disable_symlinks ----------------------------------------------------------------------- */

static enum wr_status set_from(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                               struct wr_symlinks_conf *sc)
{
    struct wr_template *t;
    struct wr_str v;

    if (!wr_arg_has_key(node, i, "from", &v)) {
        return wr_arg_invalid(cf, node, i);
    }
    t = wr_arena_zalloc(cf->arena, sizeof(*t));
    if (!t) {
        return wr_conf_nomem(cf);
    }
    sc->from = t;
    return wr_arg_template(cf, node, i, v, t);
}

enum wr_status wr_files_set_symlinks(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    static const struct wr_word words[] = {
        {"off",          WR_SYMLINKS_FOLLOW    },
        {"on",           WR_SYMLINKS_REFUSE    },
        {"if_not_owner", WR_SYMLINKS_SAME_OWNER},
        WR_WORDS_END
    };
    struct wr_symlinks_conf *sc = (struct wr_symlinks_conf *)(void *)((char *)conf + dir->offset);
    uint32_t words_cnt = 0;

    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        const struct wr_word *w = words;
        enum wr_status st;

        while (w->name && !wr_str_eq_z(wr_node_arg(node, i), w->name)) {
            w++;
        }
        if (w->name && words_cnt++ > 0) {
            return wr_conf_err(cf, node, "duplicate parameters \"%.*s %.*s\"",
                               WR_STR_ARG(wr_node_arg(node, 0)), WR_STR_ARG(wr_node_arg(node, 1)));
        }
        if (w->name) {
            sc->how = w->value;
            continue;
        }
        st = set_from(cf, node, i, sc);
        if (st != WR_OK) {
            return st;
        }
    }
    if (words_cnt == 0) {
        return wr_conf_err(
            cf, node,
            "\"disable_symlinks\" must have \"off\", \"on\" or \"if_not_owner\" parameter");
    }
    if (sc->how == WR_SYMLINKS_FOLLOW && sc->from) {
        return wr_conf_err(cf, node, "\"from=\" cannot be used with \"off\" parameter");
    }
    return WR_OK;
}

static enum wr_status add_from(struct wr_req *r, const struct wr_template *t, struct wr_str path,
                               struct wr_file_how *how)
{
    struct wr_str from;
    enum wr_status st = wr_template_eval(r, t, &from);

    if (st != WR_OK) {
        return st;
    }
    if (wr_str_eq(from, path)) {
        how->symlinks = WR_SYMLINKS_FOLLOW;
        return WR_OK;
    }
    if (from.len > 0 && from.ptr[from.len - 1] == '/') {
        from.len--;
    }
    if (from.len > 0 && wr_str_has_prefix(path, from) && path.ptr[from.len] == '/') {
        how->from_len = (uint32_t)from.len;
    }
    return WR_OK;
}

enum wr_status wr_files_how(struct wr_req *r, struct wr_str path, struct wr_file_how *ret)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);

    *ret = (struct wr_file_how){
        .symlinks = (uint8_t)lc->symlinks.how,
        .direct_min = lc->directio,
        .ahead_min = lc->read_ahead,
    };
    if (ret->symlinks == WR_SYMLINKS_FOLLOW || !lc->symlinks.from) {
        return WR_OK;
    }
    return add_from(r, lc->symlinks.from, path, ret);
}
