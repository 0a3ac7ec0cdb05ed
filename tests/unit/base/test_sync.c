/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sync.c: rank order and ownership are asserted; and a stress of mutex, counters, log and
 * chunks by four threads, which is what the thread sanitizer looks at.
 */
#include "unit/base/t.h"

#include "base/chunk.h"
#include "base/local.h"
#include "base/log.h"
#include "base/slab.h"
#include "base/stat.h"
#include "base/sync.h"

#define THREADS 4
#define ROUNDS  5000

static struct wr_mutex low, high;

static void lock_downwards(void *data)
{
    wr_mutex_lock(&high);
    if (data != NULL) {
        wr_mutex_lock(&low);
    }
    wr_mutex_unlock(&high);
}

static void lock_twice(void *data)
{
    wr_mutex_lock(&low);
    if (data != NULL) {
        wr_mutex_lock(&low);
    }
    wr_mutex_unlock(&low);
}

static void unlock_free(void *data)
{
    (void)data;
    wr_mutex_unlock(&low);
}

static void keep_lock(void *data)
{
    wr_mutex_lock(&low);
    if (data == NULL) {
        wr_mutex_unlock(&low);
    }
    wr_mutex_assert_none();
}

static void test_ranks(void **state)
{
    char text[4096];

    (void)state;
    wr_mutex_init(&low, WR_RANK_GROUP);
    wr_mutex_init(&high, WR_RANK_LOG);
    wr_mutex_lock(&low);
    wr_mutex_lock(&high);
    wr_mutex_unlock(&low); /* not in order of locking: fine */
    wr_mutex_unlock(&high);
    wr_mutex_assert_none();
    assert_false(t_aborts(lock_downwards, NULL, text, sizeof(text)));
    assert_true(t_aborts(lock_downwards, text, text, sizeof(text)));
    assert_non_null(strstr(text, "rank"));
    assert_false(t_aborts(lock_twice, NULL, text, sizeof(text)));
    assert_true(t_aborts(lock_twice, text, text, sizeof(text)));
    assert_true(t_aborts(unlock_free, NULL, text, sizeof(text)));
    assert_false(t_aborts(keep_lock, NULL, text, sizeof(text)));
    assert_true(t_aborts(keep_lock, text, text, sizeof(text)));
    wr_mutex_fini(&low);
    wr_mutex_fini(&high);
}

static struct wr_mutex shared_lock = WR_MUTEX_INIT(WR_RANK_SHARD);
static uint64_t shared_sum; /* under shared_lock */
static wr_atomic_u64 atomic_sum;

static void *work(void *data)
{
    wr_local_start();
    for (uint64_t i = 0; i < ROUNDS; i++) {
        void *p = wr_slab_alloc(128);
        uint64_t old;

        assert_non_null(p);
        wr_mutex_lock(&shared_lock);
        shared_sum++;
        wr_mutex_unlock(&shared_lock);
        old = wr_load_rlx(&atomic_sum);
        while (!wr_cas_acqrel(&atomic_sum, &old, old + 2)) {
        }
        wr_stat_inc(WR_CNT_TASK_RUNS);
        wr_chunk_unref(wr_chunk_new(i % 16 == 0 ? WR_CHUNK_64K : WR_CHUNK_4K));
        if (i % 100 == 0) {
            wr_log(data, WR_LOG_ERROR, "round %d", (int)i);
            assert_true(wr_stat_sum(WR_CNT_TASK_RUNS) > 0);
            (void)wr_chunk_in_use();
            (void)wr_mem_in_use();
        }
        wr_slab_free(p, 128);
    }
    return NULL;
}

static void test_stress(void **state)
{
    uint64_t before = wr_stat_sum(WR_CNT_TASK_RUNS);
    struct wr_log_sink sink = {.level = WR_LOG_INFO};
    struct wr_log log = {0};
    pthread_t t[THREADS];

    (void)state;
    sink.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(sink.fd >= 0);
    wr_log_set_default(&sink);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, work, &log), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(t[i], NULL), 0);
    }
    assert_int_equal(shared_sum, THREADS * ROUNDS);
    assert_int_equal(wr_load_acq(&atomic_sum), 2 * THREADS * ROUNDS);
    assert_int_equal(wr_stat_sum(WR_CNT_TASK_RUNS), before + THREADS * ROUNDS);
    assert_int_equal(wr_chunk_in_use(), 0);
    wr_log_set_default(NULL);
    close(sink.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_stress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
