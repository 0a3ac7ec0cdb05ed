/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_limit_bucket.c: arithmetic of the leaky bucket by tables, undoing, a full zone, and exact
 * totals from many threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "event/thread.h"
#include "mod/limit_bucket.h"

struct step {
    uint64_t at_ms;
    bool passes;
    uint64_t excess;
};

struct row {
    const char *name;
    struct wr_bucket_rule rule;
    struct step steps[8]; /* ends with at_ms 0 */
};

/* clang-format off */
static const struct row rows[] = {
    {"no burst", {10000, 0},
     {{1000, true, 0}, {1000, false, 1000}, {1050, false, 500}, {1099, false, 10},
      {1100, true, 0}, {1100, false, 1000}}},
    {"burst", {10000, 2000},
     {{1000, true, 0}, {1000, true, 1000}, {1000, true, 2000}, {1000, false, 3000},
      {1010, false, 2900}, {1100, true, 2000}, {1100, false, 3000}}},
    {"a refused one changes nothing", {1000, 1000},
     {{1, true, 0}, {2, true, 999}, {3, false, 1998}, {500, false, 1501}, {1000, false, 1001},
      {1001, true, 1000}}},
    {"a minute", {16, 0}, {{1, true, 0}, {60001, false, 40}, {62501, true, 0}, {62502, false, 1000}}},
    {"long silence", {4294967295u * 1000ull, 0},
     {{1, true, 0}, {UINT64_MAX / 2, true, 0}, {UINT64_MAX / 2, false, 1000}}},
    {"a clock that is behind", {1000, 2000},
     {{5000, true, 0}, {4990, true, 1000}, {5000, true, 2000}, {4000, false, 3000}}},
    {"less than a millisecond", {3000, 0}, {{10, true, 0}, {343, false, 1}, {344, true, 0}}},
};

/* clang-format on */

static void counts_as_documented(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_zone *z = wr_zone_new(WR_ZONE_SIZE_MIN);

        for (const struct step *s = rows[i].steps; s->at_ms != 0; s++) {
            struct wr_bucket_taken t;
            uint64_t excess = 0;
            bool passes = wr_bucket_take(z, 7, &rows[i].rule, s->at_ms, &t, &excess);

            if (passes != s->passes || excess != s->excess) {
                fail_msg("%s at %llu: %d, excess %llu", rows[i].name, (unsigned long long)s->at_ms,
                         passes, (unsigned long long)excess);
            }
        }
        wr_zone_free(z);
    }
}

static uint64_t take(struct wr_zone *z, uint64_t now, struct wr_bucket_taken *t)
{
    const struct wr_bucket_rule rule = {.rate = 1000, .burst = 5000};
    uint64_t excess = 0;

    assert_true(wr_bucket_take(z, 7, &rule, now, t, &excess));
    return excess;
}

static void undone_is_as_never_done(void **state)
{
    struct wr_zone *z = wr_zone_new(WR_ZONE_SIZE_MIN);
    struct wr_bucket_taken a, b, c;

    (void)state;
    (void)take(z, 1000, &a);
    wr_bucket_undo(z, &a);
    assert_int_equal(wr_zone_cnt(z), 0);
    assert_int_equal(take(z, 1000, &a), 0);
    assert_int_equal(take(z, 1001, &b), 999);
    wr_bucket_undo(z, &b);
    assert_int_equal(take(z, 1001, &b), 999); /* nothing is lost to rounding */
    assert_int_equal(take(z, 1001, &c), 1999);
    wr_bucket_undo(z, &b); /* another came in between: one less */
    assert_int_equal(take(z, 1001, &b), 1999);
    wr_bucket_undo(z, &c);
    wr_bucket_undo(z, &b);
    wr_bucket_undo(z, &a);
    assert_int_equal(take(z, 1001, &a), 0);
    wr_zone_free(z);
}

static void undo_of_what_a_full_zone_forgot(void **state)
{
    struct wr_zone *z = wr_zone_new(WR_ZONE_SIZE_MIN);
    struct wr_bucket_taken a, t;
    const struct wr_bucket_rule rule = {.rate = 1000, .burst = 0};
    uint64_t excess;

    (void)state;
    (void)take(z, 1000, &a);
    for (uint64_t i = 0; i < 4 * wr_zone_room(z); i++) {
        assert_true(wr_bucket_take(z, wr_rng_u64(), &rule, 1000, &t, &excess)); /* always room */
    }
    assert_int_equal(take(z, 1000, &t), 0); /* forgotten: begins again */
    wr_bucket_undo(z, &a);
    assert_int_equal(take(z, 1000, &t), 1000);
    wr_zone_free(z);
}

enum {
    THREADS = 8,
    RATE = 1000, /* requests a second */
    BURST = 25,
    MS = 700
};

struct worker {
    struct wr_thread thread;
    struct wr_zone *zones[2];
    uint64_t passed, undone;
};

/* Time passes as the loop counts; each thread looks at a clock of its own that is a bit off. */
static void ask(void *data)
{
    static const struct wr_bucket_rule rule = {.rate = RATE * 1000, .burst = BURST * 1000};
    struct worker *w = data;

    for (uint64_t ms = 1; ms <= MS; ms++) {
        for (unsigned i = 0; i < 6; i++) {
            struct wr_bucket_taken t, u;
            uint64_t excess;

            if (!wr_bucket_take(w->zones[0], 5, &rule, 10000 + ms, &t, &excess)) {
                continue;
            }
            if (wr_bucket_take(w->zones[1], 5, &rule, 10000 + ms, &u, &excess)) {
                w->passed++;
            } else {
                wr_bucket_undo(w->zones[0], &t);
                w->undone++;
            }
        }
    }
}

static void threads_let_pass_what_one_would(void **state)
{
    struct worker w[THREADS];
    struct wr_zone *a = wr_zone_new(WR_ZONE_SIZE_MIN), *b = wr_zone_new(WR_ZONE_SIZE_MIN);
    uint64_t passed = 0, most = 1 + BURST + (uint64_t)RATE * (MS - 1) / 1000;

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){
            .zones = {a, b}
        };
        assert_int_equal(wr_thread_start(&w[i].thread, i, "bucket", ask, &w[i]), WR_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        wr_thread_join(&w[i].thread);
        passed += w[i].passed;
    }
    assert_in_range(passed, most - 1, most);
    wr_zone_free(a);
    wr_zone_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_as_documented),
                                       cmocka_unit_test(undone_is_as_never_done),
                                       cmocka_unit_test(undo_of_what_a_full_zone_forgot),
                                       cmocka_unit_test(threads_let_pass_what_one_would)};

    return cmocka_run_group_tests_name("mod/limit_bucket", tests, NULL, NULL);
}
