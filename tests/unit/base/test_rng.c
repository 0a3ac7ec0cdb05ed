/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rng.c: repeatable when seeded, in range, roughly even, and different bytes from the kernel.
 */
#include "unit/base/t.h"

#include "base/rng.h"

static void test_seed(void **state)
{
    uint64_t first[8];

    (void)state;
    wr_rng_seed(1);
    for (unsigned i = 0; i < 8; i++) {
        first[i] = wr_rng_u64();
    }
    wr_rng_seed(2);
    assert_true(wr_rng_u64() != first[0]);
    wr_rng_seed(1);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(wr_rng_u64() == first[i]);
    }
}

static void test_below(void **state)
{
    unsigned seen[7] = {0};

    (void)state;
    wr_rng_seed(3);
    for (unsigned i = 0; i < 70000; i++) {
        uint64_t v = wr_rng_below(7);

        assert_true(v < 7);
        seen[v]++;
    }
    for (unsigned i = 0; i < 7; i++) {
        assert_in_range(seen[i], 9500, 10500);
    }
    assert_int_equal(wr_rng_below(1), 0);
    assert_true(wr_rng_below(UINT64_MAX) < UINT64_MAX);
}

static void test_secret(void **state)
{
    unsigned char a[300] = {0}, b[300] = {0};

    (void)state;
    wr_rng_secret(a, sizeof(a));
    wr_rng_secret(b, sizeof(b));
    wr_rng_secret(b, 0);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a + 290, b + 290, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
