/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_local.c: each thread has its own, made whole, ended by itself or by the thread library.
 */
#include "unit/base/t.h"

#include <pthread.h>

#include "base/chunk.h"
#include "base/local.h"
#include "base/mem.h"
#include "base/slab.h"
#include "base/stat.h"

static void *use_and_leave(void *data)
{
    struct wr_local *l;
    void *p;

    assert_null(wr_local_ptr);
    wr_local_start();
    l = wr_local_get();
    wr_local_start(); /* it is there: fine */
    assert_ptr_equal(wr_local_get(), l);
    p = wr_slab_alloc(100);
    assert_non_null(p);
    wr_slab_free(p, 100);
    wr_chunk_unref(wr_chunk_new(WR_CHUNK_4K));
    wr_stat_add(WR_CNT_TASK_RUNS, 3);
    if (data != NULL) {
        wr_local_fini();
        assert_null(wr_local_ptr);
        wr_local_fini(); /* nothing there: fine */
        return NULL;
    }
    return l;
}

static void test_threads(void **state)
{
    struct wr_local *mine = wr_local_get();
    uint64_t runs = wr_stat_sum(WR_CNT_TASK_RUNS);
    size_t before = wr_mem_in_use();
    void *other;
    pthread_t t;

    (void)state;
    assert_int_equal(mine->thread_no, UINT32_MAX);
    assert_true(mine->now_ms != 0);
    assert_true((mine->rng[0] | mine->rng[1]) != 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&t, NULL, use_and_leave, i % 2 == 0 ? NULL : mine), 0);
        assert_int_equal(pthread_join(t, &other), 0);
        assert_ptr_not_equal(other, mine);
    }
    assert_ptr_equal(wr_local_get(), mine);
    assert_int_equal(wr_stat_sum(WR_CNT_TASK_RUNS), runs + 12); /* ended threads count */
    assert_int_equal(wr_mem_in_use(), before);                  /* nothing stays */
}

static void test_again(void **state)
{
    (void)state;
    wr_local_fini();
    assert_null(wr_local_ptr);
    wr_local_start();
    assert_non_null(wr_local_get()->recorder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
