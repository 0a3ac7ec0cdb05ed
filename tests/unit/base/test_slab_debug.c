/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_slab_debug.c: the slab as debug builds have it: a freed object that somebody writes to is
 * found when it is used again; objects still come zeroed and are cached up to a bound.
 */
#ifndef WR_DEBUG
#    define WR_DEBUG
#endif
#include "base/slab.c"

#include "unit/base/t.h"

static void write_behind_free(void *data)
{
    unsigned char *p = wr_slab_alloc(100);

    wr_slab_free(p, 100);
    p[*(const size_t *)data] = 1;
    p = wr_slab_alloc(100);
    wr_slab_free(p, 100);
}

static void test_use_behind_free(void **state)
{
    static const size_t offs[] = {sizeof(void *), 50, 99, 127};
    char text[4096];

    (void)state;
    (void)wr_local_get();
    if (wr_mem_pass_through()) {
        skip(); /* the sanitizer finds it */
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(offs); i++) {
        size_t off = offs[i];

        assert_true(t_aborts(write_behind_free, &off, text, sizeof(text)));
        assert_non_null(strstr(text, "POISON"));
    }
}

static void test_reuse(void **state)
{
    static unsigned char *p[20000]; /* of 256 bytes: more than a thread keeps */
    size_t before;

    (void)state;
    (void)wr_local_get();
    before = wr_mem_in_use();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < WR_ARRAY_LEN(p); i++) {
            p[i] = wr_slab_alloc(200);
            assert_non_null(p[i]);
            for (size_t k = 0; k < 200; k++) {
                assert_int_equal(p[i][k], 0);
            }
            memset(p[i], 0xff, 200);
        }
        for (size_t i = 0; i < WR_ARRAY_LEN(p); i++) {
            wr_slab_free(p[i], 200);
        }
        assert_true(wr_local_get()->slabs->_held <= HELD_MAX);
    }
    wr_mem_fault_set(1);
    assert_null(wr_slab_alloc(200)); /* from the cache too */
    wr_mem_fault_set(0);
    assert_int_equal(wr_mem_in_use(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_use_behind_free),
        cmocka_unit_test(test_reuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
