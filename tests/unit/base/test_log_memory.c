/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log_memory.c: the ring: nothing before it is wanted, lines of every length over many rounds,
 * what a small buffer gets, growing, several threads; and that its text can be found in memory.
 */
#include "unit/base/t.h"

#include <pthread.h>
#include <stdio.h>

#include "base/local.h"
#include "base/log_memory.c"

static char out[1 << 16];

static void put(const char *text, size_t len)
{
    assert_true(wr_log_memory_put(NULL, WR_LOG_DEBUG, wr_str(text, len)));
}

static void test_none(void **state)
{
    uint64_t before = wr_stat_sum(WR_CNT_LOG_DROPPED);

    (void)state;
    assert_int_equal(wr_log_memory_read(out, sizeof(out)), 0);
    assert_false(wr_log_memory_put(NULL, WR_LOG_DEBUG, WR_STR("x")));
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED), before + 1);
    wr_mem_fault_set(1);
    assert_int_equal(wr_log_memory_want(WR_LOG_MEMORY_MIN), WR_ENOMEM);
    wr_mem_fault_set(0);
    assert_int_equal(wr_log_memory_read(out, sizeof(out)), 0);
}

static void test_lines(void **state)
{
    char line[2048];
    size_t n, len = 0;

    (void)state;
    assert_int_equal(wr_log_memory_want(WR_LOG_MEMORY_MIN), WR_OK);
    put("", 0);
    put("1234567", 7);
    put("12345678", 8);
    n = wr_log_memory_read(out, sizeof(out));
    assert_str(wr_str(out, n), "\n1234567\n12345678\n");
    assert_int_equal(wr_log_memory_read(out, 7), 0);
    n = wr_log_memory_read(out, 16); /* the last 16 bytes are one line: not known to be whole */
    assert_int_equal(n, 0);
    n = wr_log_memory_read(out, 24);
    assert_str(wr_str(out, n), "12345678\n");
    for (int i = 0; i < 3000; i++) { /* every length, many rounds */
        len = (size_t)(i * 7) % sizeof(line);
        memset(line, 'a' + i % 26, sizeof(line));
        put(line, len);
        n = wr_log_memory_read(out, sizeof(out));
        assert_true(n <= WR_LOG_MEMORY_MIN);
        if (n > len) { /* else it is the only one, and its begin is not known to be one */
            assert_memory_equal(out + n - len - 1, line, len);
            assert_int_equal(out[n - 1], '\n');
        }
    }
}

static void test_grows(void **state)
{
    struct ring *r = wr_load_acq(&current);
    uint64_t first;
    size_t n;

    (void)state;
    assert_int_equal(wr_log_memory_want(WR_LOG_MEMORY_MIN), WR_OK);
    assert_ptr_equal(wr_load_acq(&current), r); /* large enough */
    assert_int_equal(wr_log_memory_want(8192), WR_OK);
    r = wr_load_acq(&current);
    assert_int_equal(r->word_cnt, 1024);
    put("anew", 4);
    n = wr_log_memory_read(out, sizeof(out));
    assert_str(wr_str(out, n), "anew\n");
    /* As `strings` would find it in a core dump. */
    assert_true(wr_str_has_prefix(wr_str(r->title, sizeof(r->title)), WR_STR(WR_LOG_MEMORY_TITLE)));
    first = wr_load_rlx(&r->words[0]);
    assert_memory_equal(&first, "anew\n\0\0", sizeof(first));
}

#define THREADS 4
#define EACH    2000

static void *run_writer(void *data)
{
    char line[64];

    wr_local_start();
    for (int i = 0; i < EACH; i++) {
        int n = snprintf(line, sizeof(line), "thread %c line %d %.*s", *(char *)data, i, i % 20,
                         "--------------------");

        put(line, (size_t)n);
    }
    return NULL;
}

static void test_threads(void **state)
{
    char names[THREADS] = {'a', 'b', 'c', 'd'};
    pthread_t t[THREADS];
    struct wr_str all, line;
    unsigned cnt = 0;

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, run_writer, &names[i]), 0);
    }
    for (int i = 0; i < 100; i++) {
        assert_true(wr_log_memory_read(out, sizeof(out)) <= 8192);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(t[i], NULL), 0);
    }
    all = wr_str(out, wr_log_memory_read(out, sizeof(out)));
    assert_true(all.len > 7000 && out[all.len - 1] == '\n');
    all.len--;
    while (wr_str_split(&all, '\n', &line)) {
        assert_true(wr_str_has_prefix(line, WR_STR("thread ")));
        assert_in_range(line.len, 15, 64);
        cnt++;
    }
    assert_true(cnt > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
