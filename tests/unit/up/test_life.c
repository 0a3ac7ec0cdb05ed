/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_life.c: how long a peer keeps connections idle, learned from its closes: what teaches, what
 * does not, how it is forgotten, and the table of a group. Proves U10 (learned idle life).
 */
#include "unit/up/t.h"

#include "up/life.h"

struct close_seen {
    uint64_t at_ms, age_ms;
    uint32_t life; /* known behind it */
};

struct story {
    const char *name;
    struct close_seen seen[8];
};

/* clang-format off */
static const struct story stories[] = {
    {"three at one age", {{5000, 1000, 0}, {7000, 1010, 0}, {9000, 1005, 1000}}},
    {"a coarse timer", {{5000, 5000, 0}, {17000, 5900, 0}, {30000, 5100, 5000}}},
    {"the shorter one wins", {{5000, 5000, 0}, {15000, 5000, 0}, {25000, 4600, 4600}}},
    {"ages that differ",
     {{5000, 1000, 0}, {7000, 1300, 0}, {9000, 1700, 0}, {11000, 900, 0}, {13000, 3000, 0}}},
    {"a restart: many at one time",
     {{5000, 1000, 0}, {5001, 1000, 0}, {5002, 1000, 0}, {5003, 1001, 0}, {5004, 1002, 0}}},
    {"young ones", {{5000, 50, 0}, {6000, 50, 0}, {7000, 50, 0}, {8000, 99, 0}}},
    {"very old ones",
     {{5000000, 2000000, 0}, {8000000, 2000000, 0}, {11000000, 2000000, 0}}},
    {"another age takes it back",
     {{5000, 1000, 0}, {7000, 1000, 0}, {9000, 1000, 1000}, {11000, 300, 0}, {13000, 300, 0}}},
    {"it is confirmed and stays",
     {{5000, 1000, 0}, {7000, 1000, 0}, {9000, 1000, 1000}, {300000, 1000, 1000}}},
    {"forgotten, learned again at once",
     {{5000, 1000, 0}, {7000, 1000, 0}, {9000, 1000, 1000}, {620000, 1020, 1000}}},
};

/* clang-format on */

static void stories_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(stories); i++) {
        uint64_t w = 0;

        for (size_t k = 0; k < 8 && stories[i].seen[k].at_ms != 0; k++) {
            const struct close_seen *c = &stories[i].seen[k];

            w = wr_life_see(w, c->age_ms, c->at_ms);
            if (wr_life_get(w, c->at_ms) != c->life) {
                fail_msg("%s, close %zu: %u", stories[i].name, k, wr_life_get(w, c->at_ms));
            }
        }
    }
}

static void it_is_forgotten(void **state)
{
    uint64_t w = 0;

    (void)state;
    for (uint64_t at = 1000; at <= 7000; at += 2000) {
        w = wr_life_see(w, 750, at);
    }
    assert_int_equal(wr_life_get(w, 7000), 750);
    assert_int_equal(wr_life_get(w, 7000 + WR_LIFE_FORGET_MS - 256), 750);
    assert_int_equal(wr_life_get(w, 7000 + WR_LIFE_FORGET_MS + 256), 0);
}

static void margins(void **state)
{
    static const uint32_t table[][2] = {
        {1,     0    },
        {19,    0    },
        {20,    15   },
        {1000,  750  },
        {4000,  3000 },
        {5000,  4000 },
        {60000, 59000},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(table); i++) {
        assert_int_equal(wr_life_usable(table[i][0]), table[i][1]);
    }
}

static void a_table_per_group(void **state)
{
    static struct wr_lives l;
    size_t mem = wr_mem_in_use();

    (void)state;
    assert_int_equal(wr_lives_get(&l, 7, 1000), 0);
    assert_int_equal(wr_mem_in_use(), mem); /* nothing was asked for */
    for (uint64_t at = 1000; at <= 5000; at += 2000) {
        wr_lives_see(&l, 2, 7, 800, at);
        wr_lives_see(&l, 2, 8, 2000, at);
    }
    assert_int_equal(wr_lives_get(&l, 7, 5000), 800);
    assert_int_equal(wr_lives_get(&l, 8, 5000), 2000);
    assert_int_equal(wr_lives_get(&l, 9, 5000), 0);
    /* Another peer of the same slot: the first is forgotten, the second knows nothing of it. */
    wr_lives_see(&l, 2, 7 + 64, 800, 7000);
    assert_int_equal(wr_lives_get(&l, 7, 7000), 0);
    assert_int_equal(wr_lives_get(&l, 7 + 64, 7000), 0);
    wr_lives_fini(&l);
    assert_int_equal(wr_mem_in_use(), mem);
    wr_mem_fault_set(1);
    wr_lives_see(&l, 2, 7, 800, 1000);
    wr_mem_fault_set(0);
    assert_int_equal(wr_lives_get(&l, 7, 1000), 0);
    wr_lives_see(&l, 1000000, 7, 800, 1000); /* a bounded table for any group */
    assert_true(wr_mem_in_use() < mem + 2000000);
    wr_lives_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories_hold),
        cmocka_unit_test(it_is_forgotten),
        cmocka_unit_test(margins),
        cmocka_unit_test(a_table_per_group),
    };

    return cmocka_run_group_tests_name("up/life", tests, NULL, NULL);
}
