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

/*
 * Likewise: where a module stands in `all`, by its address; open addressing, SLOT_NONE is free. A
 * request asks for contexts several times.
 */
enum {
    SLOT_CNT = 256, /* a power of 2, more than twice the modules */
    SLOT_NONE = 0xff
};

static uint8_t slots[SLOT_CNT];

static size_t slot_of(const struct wr_module *m)
{
    uintptr_t a = (uintptr_t)m;
    size_t i = (size_t)(a >> 4 ^ a >> 12) % SLOT_CNT;

    while (slots[i] != SLOT_NONE && all[slots[i]] != m) {
        i = (i + 1) % SLOT_CNT;
    }
    return i;
}

static void index_modules(void)
{
    WR_ASSERT(all_cnt < SLOT_CNT / 2);
    memset(slots, SLOT_NONE, sizeof(slots));
    for (size_t i = 0; i < all_cnt; i++) {
        slots[slot_of(all[i])] = (uint8_t)i;
    }
}

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
        index_modules();
    }
    return st;
}

const struct wr_module *const *wr_modules_get(size_t *ret_cnt)
{
    *ret_cnt = all_cnt;
    return all;
}

/* The module's context in one of the two arrays of a request. */
static void *make_ctx(struct wr_req *r, void ***at, const struct wr_module *m, size_t size)
{
    size_t no = slots[slot_of(m)];

    if (!WR_ASSERT_REQ(no < all_cnt)) {
        return NULL;
    }
    if (!*at) {
        *at = wr_arena_zalloc(r->arena, all_cnt * sizeof(void *));
    }
    if (*at && !(*at)[no]) {
        (*at)[no] = wr_arena_zalloc(r->arena, size);
    }
    return *at ? (*at)[no] : NULL;
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
    void *const *kept = r->main->kept;
    size_t no;

    if (!kept) {
        return NULL; /* nearly all requests */
    }
    no = slots[slot_of(m)];
    return no < all_cnt ? kept[no] : NULL;
}
