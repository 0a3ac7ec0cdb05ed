/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_map.c: a long random run of puts and removals beside a plain array, both kinds of keys, and
 * iteration that sees each entry once.
 */
#include "unit/base/t.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"

#define KEYS 700

static char keys[KEYS][12];

static void check_all(const struct wr_map *m, char *const model[KEYS])
{
    size_t pos = 0, seen = 0, want = 0;
    struct wr_str key;
    void *value;

    for (int i = 0; i < KEYS; i++) {
        assert_ptr_equal(wr_map_get(m, wr_str_z(keys[i])), model[i]);
        want += model[i] != NULL;
    }
    while (wr_map_next(m, &pos, &key, &value)) {
        assert_ptr_equal(wr_map_get(m, key), value);
        seen++;
    }
    assert_int_equal(seen, want);
    assert_int_equal(m->cnt, want);
}

static void test_random(void **state)
{
    static char values[64];
    char *model[KEYS] = {0};
    size_t before = wr_mem_in_use();
    struct wr_map m;

    (void)state;
    wr_rng_seed(4711);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "Key-%d", i);
    }
    wr_map_init(&m, WR_MAP_CASE);
    assert_null(wr_map_get(&m, WR_STR("x")));
    assert_null(wr_map_remove(&m, WR_STR("x")));
    for (int step = 0; step < 20000; step++) {
        size_t i = wr_rng_below(KEYS);
        char *v = &values[wr_rng_below(sizeof(values))];

        if (wr_rng_below(2) == 0) {
            assert_ptr_equal(wr_map_put(&m, wr_str_z(keys[i]), v), model[i]);
            model[i] = v;
        } else {
            assert_ptr_equal(wr_map_remove(&m, wr_str_z(keys[i])), model[i]);
            model[i] = NULL;
        }
        if (step % 1000 == 0) {
            check_all(&m, model);
        }
    }
    check_all(&m, model);
    wr_map_fini(&m);
    assert_null(wr_map_get(&m, wr_str_z(keys[0])));
    assert_int_equal(wr_mem_in_use(), before);
}

static void test_icase(void **state)
{
    struct wr_map m;
    int v;

    (void)state;
    wr_map_init(&m, WR_MAP_ICASE);
    wr_map_reserve(&m, 100);
    assert_null(wr_map_put(&m, WR_STR("Content-Type"), &v));
    assert_ptr_equal(wr_map_get(&m, WR_STR("CONTENT-tYPE")), &v);
    assert_ptr_equal(wr_map_put(&m, WR_STR("content-type"), &m), &v);
    assert_null(wr_map_get(&m, WR_STR("content-typ")));
    assert_null(wr_map_put(&m, WR_STR_NULL, &v)); /* the empty key is a key */
    assert_ptr_equal(wr_map_get(&m, WR_STR("")), &v);
    assert_int_equal(m.cnt, 2);
    wr_map_fini(&m);
}

static void test_reserve(void **state)
{
    struct wr_map m;
    void *slots;

    (void)state;
    wr_map_init(&m, WR_MAP_CASE);
    wr_map_reserve(&m, KEYS);
    slots = m._slots;
    for (int i = 0; i < KEYS; i++) {
        assert_null(wr_map_put(&m, wr_str_z(keys[i]), &m));
    }
    assert_ptr_equal(m._slots, slots);
    wr_map_fini(&m);
}

/* A table in an arena starts small and costs nothing beyond the arena. */
static void test_arena(void **state)
{
    size_t before = wr_mem_in_use();
    struct wr_arena a;
    struct wr_map m;
    size_t used;

    (void)state;
    wr_arena_init(&a, 1 << 20);
    wr_map_init_arena(&m, WR_MAP_CASE, &a);
    assert_null(wr_map_get(&m, wr_str_z(keys[0])));
    assert_int_equal(a.used, 0);
    for (int i = 0; i < KEYS; i++) {
        assert_null(wr_map_put(&m, wr_str_z(keys[i]), keys[i]));
        assert_true(i >= 3 || m._cap == 4);
    }
    for (int i = 0; i < KEYS; i++) {
        assert_ptr_equal(wr_map_get(&m, wr_str_z(keys[i])), keys[i]);
    }
    assert_ptr_equal(wr_map_remove(&m, wr_str_z(keys[5])), keys[5]);
    used = a.used;
    wr_map_fini(&m);
    assert_int_equal(a.used, used);
    wr_arena_fini(&a);
    assert_int_equal(wr_mem_in_use(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_icase),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
