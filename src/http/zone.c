/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone.c: the list of a generation's zones and their tables as fixtures, see zone.h. Few names: the
 * list is searched from end to end.
 */
#include "http/zone.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/gen.h"
#include "http/module.h"

struct zone_main {
    struct wr_conf_head head;
    struct wr_zone_name *names;
};

struct zone_fixture {
    struct wr_fixture fixture;
    struct wr_zone *table;
};

static void free_fixture(struct wr_fixture *f)
{
    struct zone_fixture *z = wr_container_of(f, struct zone_fixture, fixture);

    wr_zone_free(z->table);
    wr_mem_free(z);
}

static const struct wr_fixture_ops fixture_ops = {.kind = "zone", .free = free_fixture};

/* ---- names ---------------------------------------------------------------------------------- */

enum wr_status wr_zone_use(struct wr_conf *cf, const struct wr_node *node, struct wr_str name,
                           const char *kind, struct wr_zone_name **ret)
{
    struct zone_main *m = wr_scope_get(cf->gen->root, &wr_zone_conf, WR_KIND_MAIN);
    struct wr_zone_name **at = &m->names;

    while (*at && !wr_str_eq((*at)->name, name)) {
        at = &(*at)->next;
    }
    if (!*at) {
        *at = wr_arena_zalloc(cf->arena, sizeof(**at));
        if (!*at) {
            return wr_conf_nomem(cf);
        }
        **at = (struct wr_zone_name){.name = name, .kind = kind, .node = node};
    } else if ((*at)->kind != kind) {
        return wr_conf_err(
            cf, node, "the shared memory zone \"%.*s\" is already declared for a different use",
            WR_STR_ARG(name));
    }
    *ret = *at;
    return WR_OK;
}

enum wr_status wr_zone_declare(struct wr_conf *cf, const struct wr_node *node, struct wr_str name,
                               uint64_t size, const char *kind, struct wr_zone_name **ret)
{
    struct wr_zone_name *z = NULL;
    enum wr_status st = wr_zone_use(cf, node, name, kind, &z);

    if (st != WR_OK) {
        return st;
    }
    if (z->size != 0 && z->size != size) {
        return wr_conf_err(cf, node,
                           "the size %llu of shared memory zone \"%.*s\" conflicts with already "
                           "declared size %llu",
                           (unsigned long long)size, WR_STR_ARG(name), (unsigned long long)z->size);
    }
    z->size = size;
    *ret = z;
    return WR_OK;
}

enum wr_status wr_zone_claim(struct wr_conf *cf, const struct wr_node *node, struct wr_str name,
                             const char *kind)
{
    struct wr_zone_name *z = NULL;
    enum wr_status st = wr_zone_use(cf, node, name, kind, &z);

    if (st == WR_OK) {
        z->is_claimed = true;
    }
    return st;
}

enum wr_status wr_zone_parse(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                             struct wr_str text, struct wr_str *ret_name, uint64_t *ret_size)
{
    size_t colon = wr_str_find(text, ':');
    struct wr_str size = wr_str_sub(text, colon + 1, text.len);
    uint64_t v = 0;

    if (colon == text.len || size.len == 0 || wr_num_parse_size(size, INT64_MAX, &v) != WR_OK) {
        return wr_conf_err_arg(cf, node, i, "invalid zone size \"%.*s\"",
                               WR_STR_ARG(wr_node_arg(node, i)));
    }
    if (v < WR_ZONE_SIZE_MIN) {
        return wr_conf_err_arg(cf, node, i, "zone \"%.*s\" is too small",
                               WR_STR_ARG(wr_node_arg(node, i)));
    }
    *ret_name = wr_str_sub(text, 0, colon);
    *ret_size = v;
    return WR_OK;
}

/* ---- tables --------------------------------------------------------------------------------- */

static struct wr_fixture *make_table(struct wr_conf *cf, const struct wr_zone_name *z,
                                     uint64_t shape)
{
    struct zone_fixture *f = wr_run_zalloc(sizeof(*f));

    if (!f) {
        return NULL;
    }
    f->table = wr_zone_new(z->size);
    if (!f->table ||
        wr_fixtures_add(cf->opts->fixtures, &f->fixture, &fixture_ops, z->name, shape) != WR_OK) {
        free_fixture(&f->fixture);
        return NULL;
    }
    return &f->fixture;
}

enum wr_status wr_zone_open(struct wr_conf *cf, struct wr_zone_name *z, struct wr_str key)
{
    uint64_t shape = wr_hash_fnv(WR_HASH_FNV_INIT, z->kind, wr_str_z(z->kind).len + 1);
    struct wr_fixture *f;

    if (!cf->opts->fixtures) {
        return WR_OK;
    }
    shape = wr_hash_fnv(shape, &z->size, sizeof(z->size));
    shape = wr_hash_fnv(shape, key.ptr, key.len);
    f = wr_fixtures_get(cf->opts->fixtures, &fixture_ops, z->name, shape);
    if (!f) {
        f = make_table(cf, z, shape);
    }
    if (!f) {
        return wr_conf_err(cf, z->node, "no memory for the %llu bytes of zone \"%.*s\"",
                           (unsigned long long)z->size, WR_STR_ARG(z->name));
    }
    z->table = wr_container_of(f, struct zone_fixture, fixture)->table;
    return wr_gen_use(cf->gen, f) == WR_OK ? WR_OK : wr_conf_nomem(cf);
}

/* Does the generation know of zones? Not in tests that leave the module out. */
static bool has_names(const struct wr_gen *g)
{
    for (size_t i = 0; i < g->registry->module_cnt; i++) {
        if (g->registry->modules[i] == &wr_zone_conf) {
            return true;
        }
    }
    return false;
}

void wr_zone_each(const struct wr_gen *g, wr_zone_each_fn *fn, void *data)
{
    const struct zone_main *m;

    if (!has_names(g)) {
        return;
    }
    m = wr_scope_get(g->root, &wr_zone_conf, WR_KIND_MAIN);
    for (const struct wr_zone_name *z = m->names; z; z = z->next) {
        if (z->table) {
            fn(data, z);
        }
    }
}

/* ---- the file is whole ---------------------------------------------------------------------- */

/* Each that is used was declared. */
static enum wr_status done_zones(struct wr_conf *cf)
{
    const struct zone_main *m = wr_scope_get(cf->gen->root, &wr_zone_conf, WR_KIND_MAIN);
    enum wr_status st = WR_OK;

    for (const struct wr_zone_name *z = m->names; z; z = z->next) {
        if (z->size == 0 && !z->is_claimed) {
            st = wr_conf_err(cf, z->node, "zero size shared memory zone \"%.*s\"",
                             WR_STR_ARG(z->name));
        }
    }
    return st;
}

struct wr_conf_module wr_zone_conf = {
    .name = "zone", .size = {[WR_KIND_MAIN] = sizeof(struct zone_main)}, .done = done_zones};

const struct wr_module wr_zone_module = {.conf = &wr_zone_conf};
