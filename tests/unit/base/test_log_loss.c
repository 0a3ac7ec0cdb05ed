/* SPDX-License-Identifier: Apache-2.0 */
/* test_log_loss.c: the table of lost lines: adding, telling once, the mark of a cut line, no room,
 * numbers that are too large, threads that count and take at once. */
#include "unit/base/t.h"

#include <errno.h>
#include <pthread.h>

#include "base/local.h"
#include "base/log_loss.c"

static void test_once(void **state)
{
    uint32_t n = 0;
    int err = -1;

    (void)state;
    assert_false(wr_log_loss_any());
    assert_false(wr_log_loss_take(7, &n, &err));
    wr_log_loss_add(7, 0, ENOSPC);
    assert_false(wr_log_loss_any());
    wr_log_loss_add(7, 1, ENOSPC);
    wr_log_loss_add(7, 2, 0); /* the reason that was known stays */
    wr_log_loss_add(0, 1, 100000);
    assert_true(wr_log_loss_any());
    assert_true(wr_log_loss_take(7, &n, &err));
    assert_int_equal(n, 3);
    assert_int_equal(err, ENOSPC);
    assert_false(wr_log_loss_take(7, &n, &err));
    assert_true(wr_log_loss_any());
    assert_true(wr_log_loss_take(0, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(err, 0);
    assert_false(wr_log_loss_any());
}

static void test_cut(void **state)
{
    uint32_t n = 0;
    int err = -1;

    (void)state;
    assert_false(wr_log_loss_take_cut(9));
    wr_log_loss_cut(9);
    wr_log_loss_add(9, 1, EIO);
    assert_true(wr_log_loss_take_cut(9));
    assert_false(wr_log_loss_take_cut(9));
    assert_true(wr_log_loss_take(9, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(err, EIO);
    assert_false(wr_log_loss_any());
}

static void test_limits(void **state)
{
    uint32_t n = 0, told = 0;
    int err;

    (void)state;
    for (uint32_t key = 0; key < 1000; key++) {
        wr_log_loss_add(key, 1, 0);
    }
    for (uint32_t key = 0; key < 1000; key++) {
        told += wr_log_loss_take(key, &n, &err);
    }
    assert_in_range(told, WAYS, SLOTS);
    assert_false(wr_log_loss_any());
    wr_log_loss_add(1, UINT32_MAX, 0);
    wr_log_loss_add(1, UINT32_MAX, 0);
    assert_true(wr_log_loss_take(1, &n, &err));
    assert_int_equal(n, CNT_MAX);
    wr_log_loss_add(0x80001234u, 5, 0);
    assert_false(wr_log_loss_take(0x1234u, &n, &err));
    assert_true(wr_log_loss_take(0x80001234u, &n, &err));
    assert_int_equal(n, 5);
}

#define THREADS 4
#define EACH    20000u

static wr_atomic_u64 taken;

static void *run_adder(void *data)
{
    uint32_t n;
    int err;

    wr_local_start();
    for (unsigned i = 0; i < EACH; i++) {
        wr_log_loss_add(3 + (i & 1), 1, ENOSPC);
        if (i % 16 == 0 && wr_log_loss_take(3, &n, &err)) {
            (void)wr_add_rlx(&taken, n);
        }
    }
    return data;
}

static void test_threads(void **state)
{
    pthread_t t[THREADS];
    uint32_t n;
    int err;

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, run_adder, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(t[i], NULL), 0);
    }
    for (uint32_t key = 3; key <= 4; key++) {
        while (wr_log_loss_take(key, &n, &err)) { /* a key may have got two slots */
            (void)wr_add_rlx(&taken, n);
        }
    }
    assert_int_equal(wr_load_rlx(&taken), THREADS * EACH);
    assert_false(wr_log_loss_any());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
