/* SPDX-License-Identifier: Apache-2.0 */
/* test_thread.c: the texts that the number of CPUs is read from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/thread.c"

static void test_cpu_max(void **state)
{
    static const struct {
        const char *text;
        unsigned want;
    } rows[] = {
        {"max 100000\n",    0},
        {"100000 100000\n", 1},
        {"150000 100000\n", 2},
        {"200000 100000",   2},
        {"1000 100000\n",   1},
        {"0 100000\n",      0},
        {"100000 0\n",      0},
        {"",                0},
        {"100000\n",        0},
        {"x y\n",           0},
        {"-1 100000\n",     0},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_int_equal(parse_cpu_max(wr_str_z(rows[i].text)), rows[i].want);
    }
}

static void test_cgroup(void **state)
{
    (void)state;
    assert_true(wr_str_eq_z(find_cgroup(WR_STR("0::/a/b\n")), "/a/b"));
    assert_true(wr_str_eq_z(find_cgroup(WR_STR("3:cpu:/x\n0::/\n")), "/"));
    assert_true(wr_str_eq_z(find_cgroup(WR_STR("3:cpu:/x\n")), "/"));
    assert_true(wr_str_eq_z(find_cgroup(WR_STR("")), "/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cpu_max),
                                       cmocka_unit_test(test_cgroup)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
