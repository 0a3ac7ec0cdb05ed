/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_slab.c: zeroed objects of every size, bounded caches, accounting, faults, and objects freed
 * on another thread.
 */
#include "unit/base/t.h"

#include <pthread.h>

#include "base/local.h"
#include "base/slab.h"

static void test_sizes(void **state)
{
    size_t before = wr_mem_in_use();

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t n = 0; n <= 2048; n++) {
            unsigned char *p = wr_slab_alloc(n);

            assert_non_null(p);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(p[i], 0);
            }
            memset(p, 0xff, n);
            wr_slab_free(p, n);
        }
    }
    wr_slab_free(NULL, 10);
    assert_int_equal(wr_mem_in_use(), before);
}

#define MANY 20000u /* of 256 bytes: more than a thread keeps */

static void *free_there(void *data)
{
    void **p = data;

    wr_local_start();
    for (size_t i = 0; i < MANY; i++) {
        wr_slab_free(p[i], 200);
    }
    return NULL;
}

static size_t count_held(const struct wr_slab_cache *s)
{
    size_t n = 0;

    for (size_t i = 0; i < WR_SLAB_MAX / WR_SLAB_UNIT; i++) {
        for (const struct wr_slab_item *p = s->_first[i]; p != NULL; p = p->_next) {
            n += (i + 1) * WR_SLAB_UNIT;
        }
    }
    return n;
}

static void test_many(void **state)
{
    static void *p[MANY];
    const struct wr_slab_cache *s = wr_local_get()->slabs;
    size_t before = wr_mem_in_use();
    pthread_t t;

    (void)state;
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < MANY; i++) {
            p[i] = wr_slab_alloc(200);
            assert_non_null(p[i]);
        }
        assert_true(wr_mem_in_use() >= before + MANY * 200);
        if (round % 2 == 0) {
            assert_int_equal(pthread_create(&t, NULL, free_there, p), 0);
            assert_int_equal(pthread_join(t, NULL), 0);
        } else {
            free_there(p);
        }
        assert_true(s->_held <= 4u << 20);
        assert_int_equal(s->_held, count_held(s));
        if (round % 2 == 1 && !wr_mem_pass_through()) {
            assert_true(s->_held > (4u << 20) - 256);
        }
        assert_int_equal(wr_mem_in_use(), before);
    }
}

static void test_faults(void **state)
{
    void *p;

    (void)state;
    for (int round = 0; round < 2; round++) { /* with an empty and a filled cache */
        wr_mem_fault_set(1);
        assert_null(wr_slab_alloc(64));
        p = wr_slab_alloc(64);
        assert_non_null(p);
        assert_int_equal(wr_mem_fault_count(), 2);
        wr_slab_free(p, 64);
        wr_mem_fault_set(0);
    }
}

static void alloc_too_large(void *data)
{
    (void)data;
    wr_slab_free(wr_slab_alloc(2049), 2049);
}

static void test_too_large(void **state)
{
    char text[4096];

    (void)state;
    assert_true(t_aborts(alloc_too_large, NULL, text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
