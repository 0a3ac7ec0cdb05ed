/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stat.c: names and helps of the table, sums over threads that live and that ended.
 */
#include "unit/base/t.h"

#include <pthread.h>

#include "base/local.h"
#include "base/stat.h"

static void *count(void *data)
{
    wr_local_start();
    wr_stat_add(WR_CNT_UP_TRIES, *(uint64_t *)data);
    return NULL;
}

static void test_sum(void **state)
{
    uint64_t before = wr_stat_sum(WR_CNT_UP_TRIES), n = 7;
    pthread_t t;

    (void)state;
    wr_stat_inc(WR_CNT_UP_TRIES);
    wr_stat_add(WR_CNT_UP_TRIES, 10);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&t, NULL, count, &n), 0);
        assert_int_equal(pthread_join(t, NULL), 0);
    }
    assert_int_equal(wr_stat_sum(WR_CNT_UP_TRIES), before + 11 + 21);
    wr_local_fini();
    wr_local_start();
    assert_int_equal(wr_stat_sum(WR_CNT_UP_TRIES), before + 11 + 21);
    assert_int_equal(wr_stat_sum(WR_CNT_ACCEPT_PAUSED), 0);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(wr_stat_name(WR_CNT_CONN_ACCEPTED), "CONN_ACCEPTED");
    for (int c = 0; c < WR_CNT_COUNT; c++) {
        assert_true(strlen(wr_stat_name((enum wr_counter)c)) > 3);
        assert_true(strlen(wr_stat_help((enum wr_counter)c)) > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
