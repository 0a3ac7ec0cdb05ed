/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module.c: the list of all modules, set once at boot before threads exist: variables registered,
 * phases and filters made into arrays; and the contexts that modules keep in a request.
 */
#include "http/module.h"

#include "base/assert.h"
#include "http/filter.h"
#include "http/phase.h"

/* Rule zero: the registry of the program, written once at boot by wr_modules_set, then only read.
 */
static const struct wr_module *const *all;
static size_t all_cnt;

enum wr_status wr_modules_set(const struct wr_module *const *modules, size_t cnt,
                              const char **ret_err)
{
    enum wr_status st;

    for (size_t i = 0; i < cnt; i++) {
        st = wr_vars_register(modules[i]->vars, modules[i]->var_cnt, ret_err);
        if (st != WR_OK) {
            return st;
        }
    }
    st = wr_phases_build(modules, cnt, ret_err);
    if (st == WR_OK) {
        st = wr_filters_build(modules, cnt, ret_err);
    }
    if (st == WR_OK) {
        all = modules;
        all_cnt = cnt;
    }
    return st;
}

const struct wr_module *const *wr_modules_get(size_t *ret_cnt)
{
    *ret_cnt = all_cnt;
    return all;
}

struct wr_mod_ctx {
    const struct wr_module *module;
    struct wr_mod_ctx *next;
};

_Static_assert(sizeof(struct wr_mod_ctx) == 16, "what follows is as aligned as the arena gives it");

static void *find_ctx(struct wr_mod_ctx *c, const struct wr_module *m)
{
    while (c && c->module != m) {
        c = c->next;
    }
    return c ? c + 1 : NULL;
}

/* The module's context in one of the two lists of a request: few modules have one. */
static void *make_ctx(struct wr_req *r, struct wr_mod_ctx **at, const struct wr_module *m,
                      size_t size)
{
    void *found = find_ctx(*at, m);
    struct wr_mod_ctx *c;

    if (found) {
        return found;
    }
    c = wr_arena_zalloc(r->arena, sizeof(*c) + size);
    if (!c) {
        return NULL;
    }
    c->module = m;
    c->next = *at;
    *at = c;
    return c + 1;
}

void *wr_req_ctx(struct wr_req *r, const struct wr_module *m, size_t size)
{
    return make_ctx(r, &r->ctx, m, size);
}

void *wr_req_keep(struct wr_req *r, const struct wr_module *m, size_t size)
{
    return make_ctx(r->main, &r->main->kept, m, size);
}

void *wr_req_kept(const struct wr_req *r, const struct wr_module *m)
{
    return find_ctx(r->main->kept, m);
}
