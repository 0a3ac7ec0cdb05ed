/* SPDX-License-Identifier: Apache-2.0 */
/* test_rr.c: smooth weighted round robin (U2.1): the order that its documents show, shares by
 * weight, and after failures. */
#include "unit/up/t.h"

#include <pthread.h>

#include "base/clock.h"
#include "lb/rr.c" /* allow(path): its state is looked at */
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

/* The plain method, as its documents tell it: walks all members. */
struct plain {
    int64_t current[40];
};

static uint32_t pick_plain(struct plain *p, const struct wr_lb_ctx *ctx, uint32_t *effective)
{
    const struct wr_members *m = ctx->members;
    uint32_t best = UINT32_MAX;
    int64_t total = 0;

    for (uint32_t i = 0; i < m->cnt; i++) {
        if (!wr_peer_ok(ctx, i)) {
            continue;
        }
        p->current[i] += effective[i];
        total += effective[i];
        effective[i] += effective[i] < m->at[i].weight;
        if (best == UINT32_MAX || p->current[i] > p->current[best]) {
            best = i;
        }
    }
    if (best != UINT32_MAX) {
        p->current[best] -= total;
    }
    return best;
}

/* One pick of both methods; false: nobody is left. */
static bool pick_both(struct world *w, struct plain *p, struct wr_picker *pk, uint64_t now,
                      struct wr_peer_slot *s)
{
    struct wr_lb_ctx ctx = {.members = &w->m, .now_ms = now, .tier = pk->tier};
    uint64_t tried = pk->tried != NULL         ? *pk->tried
                     : pk->first != UINT32_MAX ? UINT64_C(1) << pk->first
                                               : 0;
    uint32_t want, effective[40];

    ctx.tried = &tried;
    for (uint32_t k = 0; k < w->m.cnt; k++) {
        effective[k] = wr_load_rlx(w->m.at[k].effective);
    }
    want = pick_plain(p, &ctx, effective);
    if (want == UINT32_MAX && ctx.tier == 0 && w->m.backup_cnt != 0) {
        ctx.tier = 1;
        want = pick_plain(p, &ctx, effective);
    }
    if (want == UINT32_MAX) {
        assert_int_equal(wr_pick(pk, now, 0, s), WR_EOF);
        return false;
    }
    assert_int_equal(wr_pick(pk, now, 0, s), WR_OK);
    assert_int_equal(s->member - w->m.at, want);
    for (uint32_t k = 0; k < w->m.cnt; k++) {
        assert_int_equal(effective[k], wr_load_rlx(w->m.at[k].effective));
    }
    return true;
}

/*
 * Requests with failures, further tries, members that are out and come back: the order is that of
 * the plain method, pick for pick (U2.1).
 */
static void order_is_that_of_the_plain_method(void **state)
{
    uint32_t seed = 11;

    (void)state;
    for (int round = 0; round < 60; round++) {
        uint32_t n = 2 + (seed >> 20) % 30;
        struct world *w = world_new(n);
        struct plain p = {{0}};
        uint64_t now = NOW;

        for (uint32_t k = 0; k < n; k++) {
            seed = seed * 1664525u + 1013904223u;
            world_weight(w, k, 1 + (seed >> 18) % 4);
            w->m.at[k].max_fails = (seed >> 24) % 4;
            w->m.at[k].is_down = (seed >> 27) == 0;
            if ((seed >> 12) % 8 == 0 && w->m.primary_cnt > 1) {
                world_backup(w, k);
            }
        }
        for (int req = 0; req < 400; req++) {
            struct wr_picker pk;
            struct wr_peer_slot s;
            bool is_failure = true;

            assert_int_equal(wr_picker_init(&pk, &w->m, NULL, NULL), WR_OK);
            now += (seed >> 16) % 64;
            for (int tries = 0; tries < 4 && is_failure; tries++) {
                if (!pick_both(w, &p, &pk, now, &s)) {
                    break;
                }
                seed = seed * 1664525u + 1013904223u;
                is_failure = (seed >> 20) % 4 == 0;
                wr_peer_slot_release(&s, is_failure ? WR_OUTCOME_FAILED : WR_OUTCOME_OK, now);
            }
        }
        world_free(w);
    }
}

/* Sums that grew for years begin anew without a change of the order. */
static void sums_do_not_overflow(void **state)
{
    struct world *w = world_new(3);
    struct rr_state *s;

    (void)state;
    world_weight(w, 0, 5);
    assert_int_equal(pick_once(w, NOW, WR_OUTCOME_OK), 0);
    s = wr_members_thread_peek(&w->m, 0);
    for (uint32_t c = 0; c < s->class_cnt; c++) {
        for (uint32_t k = 0; k < s->classes[c].cnt; k++) {
            s->heap[s->classes[c].first + k].off -= REBASE_ADD;
        }
        s->classes[c].add += REBASE_ADD;
    }
    for (const char *p = "abacaaaabacaa"; *p != '\0'; p++) {
        assert_int_equal('a' + pick_once(w, NOW, WR_OUTCOME_OK), *p);
    }
    assert_true(s->classes[0].add < REBASE_ADD);
    world_free(w);
}

/* U2.8: over all threads each peer has its share within 1 %, and not all begin with the same. */
enum {
    THREADS = 4,
    REQUESTS = 100000
};

struct sharer {
    struct world *w;
    uint32_t no;
    uint32_t cnt[16], first;
};

static void *share(void *data)
{
    struct sharer *t = data;

    wr_local_start();
    for (uint32_t k = 0; k < REQUESTS / THREADS; k++) {
        struct wr_picker p;
        struct wr_peer_slot s;
        uint32_t i;

        if (wr_picker_init(&p, &t->w->m, NULL, NULL) != WR_OK ||
            wr_pick(&p, NOW, t->no, &s) != WR_OK) {
            return NULL;
        }
        i = (uint32_t)(s.member - t->w->m.at);
        t->first = k == 0 ? i : t->first;
        t->cnt[i]++;
        wr_peer_slot_release(&s, WR_OUTCOME_OK, NOW);
    }
    return t;
}

static void threads_share_by_weight(void **state)
{
    (void)state;
    for (int zone = 0; zone < 2; zone++) {
        struct world *w = world_new(10);
        struct sharer t[THREADS];
        pthread_t id[THREADS];
        uint32_t firsts = 0;
        void *ended;

        for (uint32_t i = 0; i < 10; i++) {
            world_weight(w, i, 1 + i % 3);
        }
        w->m.has_zone = zone == 1;
        for (uint32_t k = 0; k < THREADS; k++) {
            t[k] = (struct sharer){.w = w, .no = k};
            assert_int_equal(pthread_create(&id[k], NULL, share, &t[k]), 0);
        }
        for (uint32_t k = 0; k < THREADS; k++) {
            assert_int_equal(pthread_join(id[k], &ended), 0);
            assert_non_null(ended);
            firsts |= 1u << t[k].first;
        }
        for (uint32_t i = 0; i < 10; i++) {
            double sum = 0, want = REQUESTS * (1 + i % 3) / 19.0;

            for (uint32_t k = 0; k < THREADS; k++) {
                sum += t[k].cnt[i];
            }
            assert_true(sum > want * 0.99 && sum < want * 1.01);
            if (zone) {
                assert_true(sum > want - 1 && sum < want + 1); /* one exact order */
            }
        }
        if (!zone) {
            assert_true(__builtin_popcount(firsts) >= 3);
        }
        world_free(w);
    }
}

/* slow_start: back from an outage the share grows with time, and is whole at its end (U1.2). */
static void slow_start_ramps(void **state)
{
    static const struct {
        uint64_t at;
        uint32_t least, most;
    } rows[] = {
        {0,     0,   0  },
        {1000,  40,  55 },
        {2000,  90,  105},
        {5000,  195, 205},
        {10000, 333, 334},
        {20000, 333, 334},
    };
    struct world *w = world_new(3);
    struct wr_picker p;
    struct wr_peer_slot s;

    (void)state;
    w->m.weight_shift = WR_RAMP_SHIFT;
    w->m.at[0].slow_start_ms = 10000;
    assert_int_equal(pick_once(w, NOW, WR_OUTCOME_FAILED), 0);
    for (int k = 0; k < 100; k++) {
        assert_int_not_equal(pick_once(w, NOW + 9999, WR_OUTCOME_OK), 0);
    }
    do {
        assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
        assert_int_equal(wr_pick(&p, NOW + 10000, 0, &s), WR_OK);
        wr_peer_slot_release(&s, WR_OUTCOME_OK, NOW + 10000);
    } while (!s.is_probe);
    for (size_t r = 0; r < WR_ARRAY_LEN(rows); r++) {
        uint32_t cnt = 0;

        for (int k = 0; k < 1000; k++) {
            cnt += pick_once(w, NOW + 10000 + rows[r].at, WR_OUTCOME_OK) == 0;
        }
        assert_in_range(cnt, rows[r].least, rows[r].most);
    }
    world_free(w);
}

static void draining_gets_nothing_new(void **state)
{
    struct world *w = world_new(3);
    struct wr_lb_ctx ctx = {.members = &w->m, .now_ms = NOW};

    (void)state;
    w->m.at[1].is_draining = true;
    for (int k = 0; k < 10; k++) {
        assert_int_not_equal(pick_once(w, NOW, WR_OUTCOME_OK), 1);
    }
    assert_false(wr_peer_ok(&ctx, 1));
    ctx.is_bound = true;
    assert_true(wr_peer_ok(&ctx, 1));
    world_free(w);
}

/* Not a test of speed, only a number for whoever changes the method. */
static void ten_thousand_members(void **state)
{
    enum {
        CNT = 10000,
        PICKS = 9999
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
    print_message("  a pick of %d members: %u ns\n", CNT,
                  (unsigned)((wr_clock_mono_us() - began) * 1000 / PICKS));
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
        cmocka_unit_test(order_is_that_of_the_plain_method),
        cmocka_unit_test(sums_do_not_overflow),
        cmocka_unit_test(threads_share_by_weight),
        cmocka_unit_test(slow_start_ramps),
        cmocka_unit_test(draining_gets_nothing_new),
        cmocka_unit_test(ten_thousand_members),
    };

    return cmocka_run_group_tests_name("lb/rr", tests, NULL, NULL);
}
