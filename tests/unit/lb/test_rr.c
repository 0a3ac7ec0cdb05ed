/* SPDX-License-Identifier: Apache-2.0 */
/* test_rr.c: smooth weighted round robin (U2.1): the order that its documents show, shares by
 * weight, and after failures. */
#include "unit/up/t.h"

#include "base/clock.h"
#include "up/pick.h"

enum {
    NOW = 1000000
};

static uint32_t pick_once(struct world *w, uint64_t now, enum wr_outcome how)
{
    struct wr_picker p;
    struct wr_peer_slot s;
    uint32_t i;

    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, now, 0, &s), WR_OK);
    i = (uint32_t)(s.member - w->m.at);
    wr_peer_slot_release(&s, how, now);
    return i;
}

static void order_is_smooth(void **state)
{
    static const struct {
        uint32_t weights[4];
        const char *order;
    } rows[] = {
        {{5, 1, 1}, "aabacaa"},
        {{1, 1, 1}, "abc"    },
        {{2, 1},    "aba"    },
        {{3, 2},    "ababa"  },
        {{1},       "a"      },
        {{4, 2, 1}, "abacaba"},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        uint32_t n = 0;
        struct world *w;
        size_t len = strlen(rows[i].order);

        while (n < 4 && rows[i].weights[n] != 0) {
            n++;
        }
        w = world_new(n);
        for (uint32_t k = 0; k < n; k++) {
            world_weight(w, k, rows[i].weights[k]);
        }
        for (size_t k = 0; k < 3 * len; k++) {
            assert_int_equal('a' + pick_once(w, NOW, WR_OUTCOME_OK), rows[i].order[k % len]);
        }
        world_free(w);
    }
}

/* Exact shares over whole periods, whatever the weights. */
static void shares_follow_weights(void **state)
{
    uint32_t seed = 7;

    (void)state;
    for (int round = 0; round < 50; round++) {
        uint32_t n = 1 + (seed >> 20) % 12, total = 0, cnt[12] = {0};
        struct world *w = world_new(n);

        for (uint32_t k = 0; k < n; k++) {
            seed = seed * 1664525u + 1013904223u;
            world_weight(w, k, 1 + (seed >> 18) % 20);
            total += w->m.at[k].weight;
        }
        for (uint32_t k = 0; k < 5 * total; k++) {
            cnt[pick_once(w, NOW, WR_OUTCOME_OK)]++;
        }
        for (uint32_t k = 0; k < n; k++) {
            assert_int_equal(cnt[k], 5 * w->m.at[k].weight);
        }
        world_free(w);
    }
}

/* A failure costs weight / max_fails; each pick gives one back. */
static void failures_shift_shares_for_a_while(void **state)
{
    struct world *w = world_new(2);
    uint32_t cnt[2] = {0}, i;

    (void)state;
    world_weight(w, 0, 10);
    world_weight(w, 1, 10);
    w->m.at[0].max_fails = w->m.at[1].max_fails = 2;
    i = pick_once(w, NOW, WR_OUTCOME_FAILED);
    assert_int_equal(i, 0);
    assert_int_equal(wr_load_rlx(w->m.at[0].effective), 5);
    for (i = 0; i < 5; i++) {
        assert_int_equal(wr_load_rlx(w->m.at[0].effective), 5 + i);
        cnt[pick_once(w, NOW, WR_OUTCOME_OK)]++;
    }
    assert_int_equal(wr_load_rlx(w->m.at[0].effective), 10);
    assert_true(cnt[1] > cnt[0]);
    for (i = 0; i < 5; i++) {
        (void)pick_once(w, NOW, WR_OUTCOME_OK);
    }
    assert_int_equal(wr_load_rlx(w->m.at[0].effective), 10);
    world_free(w);
}

/* Weight 1 with one failure has effective weight 0 and comes back all the same. */
static void zero_weights_recover(void **state)
{
    struct world *w = world_new(2);
    uint32_t cnt[2] = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        (void)pick_once(w, NOW, WR_OUTCOME_FAILED);
    }
    assert_int_equal(wr_load_rlx(w->m.at[0].effective) + wr_load_rlx(w->m.at[1].effective), 0);
    for (int i = 0; i < 20; i++) {
        cnt[pick_once(w, NOW + 10000, WR_OUTCOME_OK)]++;
    }
    assert_in_range(cnt[0], 9, 11);
    assert_int_equal(cnt[0] + cnt[1], 20);
    world_free(w);
}

static void absent_members_keep_their_turn(void **state)
{
    struct world *w = world_new(3);
    char got[10] = "";

    (void)state;
    world_weight(w, 0, 5);
    w->m.at[2].is_down = true;
    for (int i = 0; i < 6; i++) {
        got[i] = (char)('a' + pick_once(w, NOW, WR_OUTCOME_OK));
    }
    assert_string_equal(got, "aaabaa");
    world_free(w);
}

static void no_memory_and_nobody(void **state)
{
    struct world *w = world_new(2);
    struct wr_lb_ctx ctx = {.members = &w->m, .now_ms = NOW};
    uint32_t i = 77;

    (void)state;
    wr_mem_fault_set(1);
    assert_int_equal(wr_lb_rr.pick(&ctx, &i), WR_ENOMEM);
    wr_mem_fault_set(0);
    w->m.at[0].is_down = w->m.at[1].is_down = true;
    assert_int_equal(wr_lb_rr.pick(&ctx, &i), WR_EOF);
    assert_int_equal(i, 77);
    world_free(w);
}

/* Not a test of speed, only a number for whoever changes the method. */
static void ten_thousand_members(void **state)
{
    enum {
        CNT = 10000,
        PICKS = 200
    };
    struct world *w = world_new(CNT);
    struct wr_lb_ctx ctx = {.members = &w->m, .now_ms = NOW};
    uint64_t began;
    uint32_t i = 0;

    (void)state;
    began = wr_clock_mono_us();
    for (uint32_t k = 0; k < PICKS; k++) {
        assert_int_equal(wr_lb_rr.pick(&ctx, &i), WR_OK);
        assert_int_equal(i, k);
    }
    print_message("  a pick of %d members: %u us\n", CNT,
                  (unsigned)((wr_clock_mono_us() - began) / PICKS));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_smooth),
        cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(failures_shift_shares_for_a_while),
        cmocka_unit_test(zero_weights_recover),
        cmocka_unit_test(absent_members_keep_their_turn),
        cmocka_unit_test(no_memory_and_nobody),
        cmocka_unit_test(ten_thousand_members),
    };

    return cmocka_run_group_tests_name("lb/rr", tests, NULL, NULL);
}
