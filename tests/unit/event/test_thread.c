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

static void step_aside(void *data)
{
    int *nice_value = data;

    wr_thread_step_aside();
    *nice_value = getpriority(PRIO_PROCESS, 0);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
}

/* Only the thread that calls it. */
static void test_step_aside(void **state)
{
    int before = getpriority(PRIO_PROCESS, 0), there = -100;
    struct wr_thread t;

    (void)state;
    assert_int_equal(wr_thread_start(&t, 0, "aside", step_aside, &there), WR_OK);
    wr_thread_join(&t);
    assert_int_equal(there, before + WR_THREAD_ASIDE > 19 ? 19 : before + WR_THREAD_ASIDE);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cpu_max),
                                       cmocka_unit_test(test_cgroup),
                                       cmocka_unit_test(test_step_aside)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
