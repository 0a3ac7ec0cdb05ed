/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mem.c: zeroing, accounting, fault injection, and that boot-time allocation never gives NULL.
 */
#include "unit/base/t.h"

#include "base/mem.h"

static void test_boot(void **state)
{
    size_t before = wr_mem_in_use();
    char *p = wr_mem_alloc(100);
    char *z = wr_mem_strdup("hello");

    (void)state;
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(p[i], 0);
    }
    assert_true(wr_mem_in_use() >= before + 106);
    p[99] = 'x';
    p = wr_mem_realloc(p, 100000);
    assert_int_equal(p[99], 'x');
    assert_true(wr_mem_in_use() >= before + 100006);
    assert_string_equal(z, "hello");
    wr_mem_free(p);
    wr_mem_free(z);
    wr_mem_free(NULL);
    p = wr_mem_realloc(NULL, 0);
    assert_non_null(p);
    wr_mem_free(p);
    assert_int_equal(wr_mem_in_use(), before);
}

static void test_faults(void **state)
{
    void *p;

    (void)state;
    wr_mem_fault_set(2);
    p = wr_run_alloc(10);
    assert_non_null(p);
    assert_null(wr_run_realloc(p, 20)); /* the second; p stays */
    p = wr_run_realloc(p, 30);          /* once only */
    assert_non_null(p);
    assert_int_equal(wr_mem_fault_count(), 3);
    wr_mem_free(p);
    wr_mem_fault_set(1);
    assert_null(wr_run_zalloc(8));
    wr_mem_fault_set(0);
    for (int i = 0; i < 10; i++) {
        p = wr_run_zalloc(8);
        assert_non_null(p);
        assert_memory_equal(p, "\0\0\0\0\0\0\0\0", 8);
        wr_mem_free(p);
    }
    assert_int_equal(wr_mem_fault_count(), 10);
    wr_mem_fault_set(1); /* boot-time allocation takes no part */
    p = wr_mem_alloc(1);
    wr_mem_free(p);
    assert_int_equal(wr_mem_fault_count(), 0);
    wr_mem_fault_set(0);
}

static void test_settles(void **state)
{
    size_t before = wr_mem_in_use();
    void *p[40];

    (void)state;
    for (size_t i = 0; i < 40; i++) {
        p[i] = wr_mem_alloc(10000);
    }
    assert_true(wr_mem_in_use() >= before + 400000);
    for (size_t i = 0; i < 40; i++) {
        wr_mem_free(p[i]);
    }
    assert_int_equal(wr_mem_in_use(), before);
}

static void die(void *data)
{
    (void)data;
    wr_mem_die(12345);
}

static void test_dies(void **state)
{
    char text[4096];

    (void)state;
    assert_true(t_aborts(die, NULL, text, sizeof(text)));
    assert_non_null(strstr(text, "12345"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boot),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_settles),
        cmocka_unit_test(test_dies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
