/* SPDX-License-Identifier: Apache-2.0 */
/* Which note a thread's load is measured from. Processor time is put there by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/load.c"

/* A note at at_ms, when the thread had used what it has now less `ago_us`. */
static void note(struct wr_load *l, uint64_t at_ms, uint64_t ago_us)
{
    wr_load_note(l, at_ms);
    l->at[(l->cnt - 1) % WR_LOAD_NOTES].cpu_us -= ago_us;
}

/* The test itself uses a little. */
static void assert_near(uint32_t v, uint32_t want)
{
    assert_in_range(v, want, want + 60);
}

static void burn(void)
{
    uint64_t began = cpu_us();

    while (cpu_us() - began < 600000) { /* so that nothing below is before the thread began */
    }
}

static void test_window(void **state)
{
    struct wr_load l = {.cnt = 0};

    (void)state;
    burn();
    assert_int_equal(wr_load_permille(&l, 1000), 0);
    note(&l, 10000, 500000);
    assert_int_equal(wr_load_permille(&l, 10000), 0);
    assert_near(wr_load_permille(&l, 11000), 500);
    assert_near(wr_load_permille(&l, 20000), 50); /* it slept since */
    note(&l, 20000, 400000);
    assert_near(wr_load_permille(&l, 20100), 49);  /* too new: the one before */
    assert_near(wr_load_permille(&l, 21000), 400); /* the last five seconds */
    note(&l, 21000, 0);
    note(&l, 22000, 0);
    assert_near(wr_load_permille(&l, 24000), 100); /* the oldest within five seconds */
    assert_near(wr_load_permille(&l, 26000), 0);   /* 20000 is too old, 21000 is not */
}

static void test_full_ring(void **state)
{
    struct wr_load l = {.cnt = 0};

    (void)state;
    for (uint64_t i = 0; i < 3 * WR_LOAD_NOTES; i++) {
        note(&l, 10000 + i * 1000, 0);
        l.at[i % WR_LOAD_NOTES].cpu_us -= 100000; /* all the same: nothing was used between */
    }
    assert_near(wr_load_permille(&l, 10000 + 3 * WR_LOAD_NOTES * 1000), 20);
}

static void test_once_a_second(void **state)
{
    struct wr_load l = {.cnt = 0};

    (void)state;
    for (uint64_t ms = 5000; ms < 8000; ms += 10) {
        wr_load_turn(&l, ms);
    }
    assert_int_equal(l.cnt, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_full_ring),
        cmocka_unit_test(test_once_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
