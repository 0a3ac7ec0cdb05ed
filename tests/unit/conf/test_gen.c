/* SPDX-License-Identifier: Apache-2.0 */
/* test_gen.c: generations, fixtures and their counts. */
#include "conf/gen.h"

#include <pthread.h>

#include "base/local.h"
#include "base/mem.h"

#include "t.h"

struct thing {
    struct wr_fixture fixture;
    unsigned *freed;
};

static void free_thing(struct wr_fixture *f)
{
    struct thing *t = wr_container_of(f, struct thing, fixture);

    ++*t->freed;
    wr_mem_free(t);
}

static const struct wr_fixture_ops peer_ops = {"peer", free_thing};
static const struct wr_fixture_ops zone_ops = {"zone", free_thing};

static struct wr_fixture *add(struct wr_fixtures *r, const struct wr_fixture_ops *ops,
                              struct wr_str name, uint64_t shape, unsigned *freed)
{
    struct thing *t = wr_mem_alloc(sizeof(*t));

    t->freed = freed;
    assert_int_equal(wr_fixtures_add(r, &t->fixture, ops, name, shape), WR_OK);
    return &t->fixture;
}

static void count(void *data)
{
    ++*(unsigned *)data;
}

static void test_gen(void **state)
{
    unsigned ended = 0;
    struct wr_gen *g = wr_gen_new(7, 0);

    (void)state;
    assert_non_null(g);
    assert_int_equal(g->no, 7);
    assert_int_equal(g->arena.cap, WR_GEN_CAP);
    assert_int_equal(wr_arena_on_fini(&g->arena, count, &ended), WR_OK);
    assert_ptr_equal(wr_gen_ref(g), g);
    wr_gen_unref(g);
    assert_int_equal(ended, 0);
    wr_gen_unref(g);
    assert_int_equal(ended, 1);
    wr_gen_unref(NULL);
    wr_mem_fault_set(1);
    assert_null(wr_gen_new(1, 0));
    wr_mem_fault_set(0);
}

struct last {
    struct wr_gen *gen;
    unsigned calls;
};

static void note_last(void *data)
{
    ((struct last *)data)->calls++;
}

static void *unref_there(void *data)
{
    wr_local_start();
    wr_gen_unref(data);
    return NULL;
}

/* Whoever has the last reference hands the generation over; nothing is freed there. */
static void test_handed_over(void **state)
{
    struct wr_fixtures r;
    unsigned freed = 0, ended = 0;
    struct last last = {.gen = wr_gen_new(1, 0)};
    pthread_t t;

    (void)state;
    wr_fixtures_init(&r);
    assert_int_equal(wr_gen_use(last.gen, add(&r, &peer_ops, WR_STR("x"), 1, &freed)), WR_OK);
    assert_int_equal(wr_arena_on_fini(&last.gen->arena, count, &ended), WR_OK);
    wr_gen_on_last(last.gen, note_last, &last);
    assert_ptr_equal(wr_gen_ref(last.gen), last.gen);
    wr_gen_unref(last.gen);
    assert_int_equal(last.calls, 0);
    assert_int_equal(pthread_create(&t, NULL, unref_there, last.gen), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(last.calls, 1);
    assert_int_equal(ended, 0);
    assert_int_equal(wr_fixtures_sweep(&r), 0);
    wr_gen_free(last.gen);
    assert_int_equal(ended, 1);
    assert_int_equal(wr_fixtures_sweep(&r), 1);
    assert_int_equal(freed, 1);
    wr_fixtures_fini(&r);
}

static void test_fixtures(void **state)
{
    static char long_name[400];
    struct wr_str name = wr_str(long_name, sizeof(long_name));
    struct wr_fixtures r;
    unsigned freed = 0;
    struct wr_fixture *a, *b, *c, *d;
    struct wr_gen *g1 = wr_gen_new(1, 0), *g2 = wr_gen_new(2, 0);

    (void)state;
    memset(long_name, 'n', sizeof(long_name));
    wr_fixtures_init(&r);
    a = add(&r, &peer_ops, WR_STR("x"), 1, &freed);
    b = add(&r, &peer_ops, WR_STR("x"), 2, &freed);
    c = add(&r, &zone_ops, WR_STR("x"), 1, &freed);
    d = add(&r, &zone_ops, name, 1, &freed);
    assert_ptr_equal(wr_fixtures_get(&r, &peer_ops, WR_STR("x"), 1), a);
    assert_ptr_equal(wr_fixtures_get(&r, &peer_ops, WR_STR("x"), 2), b);
    assert_ptr_equal(wr_fixtures_get(&r, &zone_ops, WR_STR("x"), 1), c);
    assert_ptr_equal(wr_fixtures_get(&r, &zone_ops, name, 1), d);
    assert_null(wr_fixtures_get(&r, &zone_ops, WR_STR("x"), 2));
    assert_null(wr_fixtures_get(&r, &peer_ops, WR_STR("xy"), 1));
    assert_null(wr_fixtures_get(&r, &peer_ops, WR_STR(""), 1));
    assert_text(a->name, "x");
    assert_int_equal(wr_gen_use(g1, a), WR_OK);
    assert_int_equal(wr_gen_use(g1, b), WR_OK);
    assert_int_equal(wr_gen_use(g2, b), WR_OK);
    assert_int_equal(wr_fixtures_sweep(&r), 2); /* c and d */
    assert_null(wr_fixtures_get(&r, &zone_ops, WR_STR("x"), 1));
    wr_gen_unref(g1);
    assert_int_equal(freed, 2); /* only the sweep frees */
    assert_int_equal(wr_fixtures_sweep(&r), 1);
    assert_null(wr_fixtures_get(&r, &peer_ops, WR_STR("x"), 1));
    assert_ptr_equal(wr_fixtures_get(&r, &peer_ops, WR_STR("x"), 2), b);
    wr_gen_unref(g2);
    wr_fixture_unref(NULL);
    assert_int_equal(r.cnt, 1);
    wr_fixtures_fini(&r);
    assert_int_equal(freed, 4);
}

static void test_no_memory(void **state)
{
    struct wr_fixtures r;
    struct thing t;
    struct wr_gen *g = wr_gen_new(1, 4096);
    unsigned freed = 0;
    struct wr_fixture *f;
    enum wr_status st = WR_OK;

    (void)state;
    wr_fixtures_init(&r);
    wr_mem_fault_set(1);
    assert_int_equal(wr_fixtures_add(&r, &t.fixture, &peer_ops, WR_STR("x"), 1), WR_ENOMEM);
    wr_mem_fault_set(0);
    assert_int_equal(r.cnt, 0);
    f = add(&r, &peer_ops, WR_STR("x"), 1, &freed);
    for (unsigned i = 0; i < 10000 && st == WR_OK; i++) {
        st = wr_gen_use(g, f);
    }
    assert_int_equal(st, WR_ENOMEM);
    wr_gen_unref(g);
    assert_int_equal(wr_fixtures_sweep(&r), 1);
    wr_fixtures_fini(&r);
}

static void *let_go(void *data)
{
    wr_local_start();
    for (unsigned i = 0; i < 1000; i++) {
        wr_gen_unref(data);
    }
    return NULL;
}

/* The last reference may end on any thread. */
static void test_threads(void **state)
{
    unsigned ended = 0;
    struct wr_gen *g = wr_gen_new(1, 0);
    pthread_t threads[4];

    (void)state;
    assert_int_equal(wr_arena_on_fini(&g->arena, count, &ended), WR_OK);
    for (unsigned i = 1; i < 4000; i++) {
        (void)wr_gen_ref(g);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, let_go, g), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(ended, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gen),      cmocka_unit_test(test_handed_over),
        cmocka_unit_test(test_fixtures), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
