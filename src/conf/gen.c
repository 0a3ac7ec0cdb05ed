/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen.c: reference counts of generations and the registry of fixtures. The count of a fixture
 * includes the registry's own reference, so 1 means "nobody else"; only the control thread makes
 * new references out of the registry, hence a 1 that it sees stays a 1 until it acts.
 */
#include "conf/gen.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/obj.h"

#define GEN_MAGIC     0x67656e31u
#define FIXTURE_MAGIC 0x66697831u

struct wr_gen *wr_gen_new(uint64_t no, size_t cap)
{
    struct wr_gen *g = wr_run_zalloc(sizeof(*g));

    if (!g) {
        return NULL;
    }
    wr_obj_init(g, GEN_MAGIC);
    wr_store_rlx(&g->_refcnt, 1);
    g->no = no;
    wr_arena_init(&g->arena, cap == 0 ? WR_GEN_CAP : cap);
    return g;
}

struct wr_gen *wr_gen_ref(struct wr_gen *g)
{
    wr_obj_check(g, GEN_MAGIC);
    WR_ASSERT(wr_add_rlx(&g->_refcnt, 1) > 0);
    return g;
}

void wr_gen_free(struct wr_gen *g)
{
    struct wr_fixture_ref *r, *next;

    /* The references live in the arena; clean-ups of the arena may still look at the fixtures. */
    struct wr_fixture_ref *refs = g->_fixtures;

    wr_obj_check(g, GEN_MAGIC);
    WR_ASSERT(wr_load_acq(&g->_refcnt) == 0);
    for (r = refs; r != NULL; r = r->next) {
        WR_ASSERT(r->fixture->magic == FIXTURE_MAGIC);
    }
    wr_obj_kill(g);
    for (r = refs; r != NULL; r = next) {
        next = r->next;
        wr_fixture_unref(r->fixture);
    }
    wr_arena_fini(&g->arena);
    wr_mem_free(g);
}

void wr_gen_unref(struct wr_gen *g)
{
    if (!g) {
        return;
    }
    wr_obj_check(g, GEN_MAGIC);
    /* acq_rel: whoever frees sees what all others did before they let go. */
    if (wr_sub_acqrel(&g->_refcnt, 1) != 1) {
        return;
    }
    if (g->_on_last) {
        g->_on_last(g->_last_data);
    } else {
        wr_gen_free(g);
    }
}

void wr_gen_on_last(struct wr_gen *g, wr_gen_last_fn *fn, void *data)
{
    wr_obj_check(g, GEN_MAGIC);
    g->_on_last = fn;
    g->_last_data = data;
}

enum wr_status wr_gen_use(struct wr_gen *g, struct wr_fixture *f)
{
    struct wr_fixture_ref *r;

    wr_obj_check(g, GEN_MAGIC);
    wr_obj_check(f, FIXTURE_MAGIC);
    r = wr_arena_alloc(&g->arena, sizeof(*r));
    if (!r) {
        return WR_ENOMEM;
    }
    wr_fixture_ref(f);
    r->fixture = f;
    r->next = g->_fixtures;
    g->_fixtures = r;
    return WR_OK;
}

void wr_fixtures_init(struct wr_fixtures *r)
{
    wr_list_init(&r->_all);
    wr_map_init(&r->_by_name, WR_MAP_CASE);
    r->cnt = 0;
}

static void remove_fixture(struct wr_fixtures *r, struct wr_fixture *f)
{
    struct wr_fixture *head = wr_map_remove(&r->_by_name, f->_key), **at = &head;

    while (*at != NULL && *at != f) {
        at = &(*at)->_same;
    }
    WR_ASSERT(*at == f);
    *at = f->_same;
    if (head != NULL) {
        (void)wr_map_put(&r->_by_name, head->_key, head); /* was removed just now */
    }
    wr_list_remove(&f->_link);
    r->cnt--;
}

static void free_fixture(struct wr_fixtures *r, struct wr_fixture *f)
{
    const char *key = f->_key.ptr;

    union {
        const char *in;
        char *out;
    } u = {.in = key};

    remove_fixture(r, f);
    wr_obj_kill(f);
    f->ops->free(f);
    wr_mem_free(u.out);
}

void wr_fixtures_fini(struct wr_fixtures *r)
{
    while (!wr_list_is_empty(&r->_all)) {
        struct wr_fixture *f = wr_container_of(r->_all.next, struct wr_fixture, _link);

        WR_ASSERT(wr_load_acq(&f->_refcnt) == 1);
        free_fixture(r, f);
    }
    wr_map_fini(&r->_by_name);
}

/* "kind\0name" in memory of its own. */
static enum wr_status make_key(const struct wr_fixture_ops *ops, struct wr_str name,
                               struct wr_str *ret_key)
{
    size_t kind_len = strlen(ops->kind) + 1;
    char *p = wr_run_alloc(kind_len + name.len + 1);

    if (!p) {
        return WR_ENOMEM;
    }
    memcpy(p, ops->kind, kind_len);
    if (name.len > 0) {
        memcpy(p + kind_len, name.ptr, name.len);
    }
    p[kind_len + name.len] = '\0';
    *ret_key = wr_str(p, kind_len + name.len);
    return WR_OK;
}

static struct wr_fixture *find_shape(struct wr_fixture *f, uint64_t shape)
{
    while (f != NULL && f->shape != shape) {
        f = f->_same;
    }
    return f;
}

struct wr_fixture *wr_fixtures_get(struct wr_fixtures *r, const struct wr_fixture_ops *ops,
                                   struct wr_str name, uint64_t shape)
{
    char small[256];
    size_t kind_len = strlen(ops->kind) + 1;
    struct wr_str key;
    struct wr_fixture *f;

    if (kind_len + name.len <= sizeof(small)) {
        memcpy(small, ops->kind, kind_len);
        if (name.len > 0) {
            memcpy(small + kind_len, name.ptr, name.len);
        }
        return find_shape(wr_map_get(&r->_by_name, wr_str(small, kind_len + name.len)), shape);
    }
    if (make_key(ops, name, &key) != WR_OK) {
        return NULL; /* add fails the same way, with a status */
    }
    f = find_shape(wr_map_get(&r->_by_name, key), shape);
    {
        union {
            const char *in;
            char *out;
        } u = {.in = key.ptr};

        wr_mem_free(u.out);
    }
    return f;
}

enum wr_status wr_fixtures_add(struct wr_fixtures *r, struct wr_fixture *f,
                               const struct wr_fixture_ops *ops, struct wr_str name, uint64_t shape)
{
    struct wr_fixture *first;
    struct wr_str key;
    enum wr_status st = make_key(ops, name, &key);

    if (st != WR_OK) {
        return st;
    }
    first = wr_map_get(&r->_by_name, key);
    WR_ASSERT(find_shape(first, shape) == NULL);
    wr_obj_init(f, FIXTURE_MAGIC);
    wr_store_rlx(&f->_refcnt, 1);
    f->ops = ops;
    f->shape = shape;
    f->_key = key;
    f->name = wr_str(key.ptr + (key.len - name.len), name.len);
    f->_same = first;
    if (first != NULL) {
        (void)wr_map_remove(&r->_by_name, key); /* the key's bytes move to the new head */
    }
    (void)wr_map_put(&r->_by_name, key, f); /* nothing was there any more */
    wr_list_push(&r->_all, &f->_link);
    r->cnt++;
    return WR_OK;
}

static size_t sweep_once(struct wr_fixtures *r)
{
    struct wr_list *n, *t;
    size_t freed = 0;

    WR_LIST_FOREACH_SAFE (n, t, &r->_all) {
        struct wr_fixture *f = wr_container_of(n, struct wr_fixture, _link);

        /* acquire pairs with the release of the last outside reference. */
        if (wr_load_acq(&f->_refcnt) == 1) {
            free_fixture(r, f);
            freed++;
        }
    }
    return freed;
}

size_t wr_fixtures_sweep(struct wr_fixtures *r)
{
    size_t freed = 0, n;

    /* One that went may have named others. */
    do {
        n = sweep_once(r);
        freed += n;
    } while (n > 0);
    return freed;
}

void wr_fixture_ref(struct wr_fixture *f)
{
    wr_obj_check(f, FIXTURE_MAGIC);
    WR_ASSERT(wr_add_rlx(&f->_refcnt, 1) > 0);
}

void wr_fixture_unref(struct wr_fixture *f)
{
    if (!f) {
        return;
    }
    wr_obj_check(f, FIXTURE_MAGIC);
    WR_ASSERT(wr_sub_acqrel(&f->_refcnt, 1) > 1);
}
