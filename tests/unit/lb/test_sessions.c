/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sessions.c: the table of `sticky learn`: bound, who goes first, time, reload, no memory, and
 * the same against a plain model; then from several threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "event/thread.h"
#include "lb/sessions.c" /* allow(path): its order is looked at */

enum {
    HOUR = 3600000
};

struct kit {
    struct wr_fixtures fixtures;
    struct wr_gen *gen;
    struct wr_sessions *s;
};

static struct kit *make_kit(uint64_t sessions)
{
    struct kit *k = wr_mem_alloc(sizeof(*k));

    wr_fixtures_init(&k->fixtures);
    k->gen = wr_gen_new(1, 0);
    assert_non_null(k->gen);
    assert_int_equal(
        wr_sessions_get(&k->fixtures, k->gen, WR_STR("z"), sessions * WR_SESSION_BYTES, &k->s),
        WR_OK);
    return k;
}

static void free_kit(struct kit *k)
{
    wr_gen_unref(k->gen);
    (void)wr_fixtures_sweep(&k->fixtures);
    wr_fixtures_fini(&k->fixtures);
    wr_mem_free(k);
}

static void keeps_what_was_used_last(void **state)
{
    struct kit *k = make_kit(3);

    (void)state;
    assert_int_equal(wr_sessions_find(k->s, 1, HOUR, 0), 0);
    wr_sessions_put(k->s, 1, 11, 1);
    wr_sessions_put(k->s, 2, 12, 2);
    wr_sessions_put(k->s, 3, 13, 3);
    assert_int_equal(wr_sessions_find(k->s, 1, HOUR, 4), 11);
    wr_sessions_put(k->s, 4, 14, 5);
    assert_int_equal(wr_sessions_find(k->s, 2, HOUR, 6), 0);
    assert_int_equal(wr_sessions_find(k->s, 3, HOUR, 6), 13);
    assert_int_equal(wr_sessions_find(k->s, 1, HOUR, 6), 11);
    wr_sessions_put(k->s, 1, 99, 7);
    assert_int_equal(wr_sessions_find(k->s, 1, HOUR, 8), 99);
    assert_int_equal(wr_sessions_cnt(k->s), 3);
    free_kit(k);
}

static void ends_when_not_used(void **state)
{
    struct kit *k = make_kit(3);

    (void)state;
    wr_sessions_put(k->s, 1, 11, 1000);
    assert_int_equal(wr_sessions_find(k->s, 1, 500, 1499), 11);
    assert_int_equal(wr_sessions_find(k->s, 1, 500, 1998), 11);
    assert_int_equal(wr_sessions_find(k->s, 1, 500, 1990), 11); /* a clock that is behind */
    assert_int_equal(wr_sessions_find(k->s, 1, 500, 2498), 0);
    assert_int_equal(wr_sessions_find(k->s, 1, 500, 2498), 0); /* asking is no use then */
    wr_sessions_put(k->s, 1, 12, 3000);
    assert_int_equal(wr_sessions_find(k->s, 1, 500, 3000), 12);
    free_kit(k);
}

static void survives_a_reload(void **state)
{
    struct kit *k = make_kit(200);
    struct wr_gen *next = wr_gen_new(2, 0);
    struct wr_sessions *same, *other, *none = k->s;

    (void)state;
    wr_sessions_put(k->s, 7, 70, 1);
    assert_int_equal(
        wr_sessions_get(&k->fixtures, next, WR_STR("z"), 200 * WR_SESSION_BYTES, &same), WR_OK);
    assert_ptr_equal(same, k->s);
    assert_int_equal(
        wr_sessions_get(&k->fixtures, next, WR_STR("z"), 300 * WR_SESSION_BYTES, &other), WR_OK);
    assert_ptr_not_equal(other, k->s);
    assert_int_equal(wr_sessions_get(NULL, next, WR_STR("z"), 1000, &none), WR_OK);
    assert_null(none);
    wr_gen_unref(next);
    free_kit(k);
}

static void keys_differ_by_group_and_name(void **state)
{
    (void)state;
    assert_true(wr_session_key(WR_STR("g"), WR_STR("s")) ==
                wr_session_key(WR_STR("g"), WR_STR("s")));
    assert_true(wr_session_key(WR_STR("g"), WR_STR("s")) !=
                wr_session_key(WR_STR("h"), WR_STR("s")));
    assert_true(wr_session_key(WR_STR("ga"), WR_STR("s")) !=
                wr_session_key(WR_STR("g"), WR_STR("as")));
}

static void without_memory_another_makes_room(void **state)
{
    struct kit *k = make_kit(5000);

    (void)state;
    wr_mem_fault_set(1);
    wr_sessions_put(k->s, 1, 11, 1); /* there is none to make room */
    wr_mem_fault_set(0);
    assert_int_equal(wr_sessions_cnt(k->s), 0);
    for (uint64_t i = 1; i <= BLOCK; i++) {
        wr_sessions_put(k->s, i, i + 10, i);
    }
    wr_mem_fault_set(1);
    wr_sessions_put(k->s, 9999, 5, BLOCK + 1);
    wr_mem_fault_set(0);
    assert_int_equal(wr_sessions_find(k->s, 9999, HOUR, BLOCK + 2), 5);
    assert_int_equal(wr_sessions_find(k->s, 1, HOUR, BLOCK + 2), 0);
    assert_int_equal(wr_sessions_find(k->s, 2, HOUR, BLOCK + 2), 12);
    free_kit(k);
}

/* Random use, against an array that is searched from end to end. */
static void does_as_a_plain_list(void **state)
{
    enum {
        CAP = 40,
        KEYS = 120
    };

    struct {
        uint64_t peer, used;
    } model[KEYS] = {
        {0, 0}
    };
    struct kit *k = make_kit(CAP);
    uint32_t seed = 5;

    (void)state;
    for (uint64_t now = 1; now < 20000; now++) {
        uint64_t key;

        seed = seed * 1664525u + 1013904223u;
        key = (seed >> 8) % KEYS;
        if ((seed >> 20) % 2 == 0) {
            assert_int_equal(wr_sessions_find(k->s, key + 1, HOUR, now), model[key].peer);
            model[key].used = model[key].peer != 0 ? now : 0;
        } else {
            uint32_t live = 0, oldest = KEYS;

            for (uint32_t i = 0; i < KEYS && model[key].peer == 0; i++) {
                live += model[i].peer != 0;
                if (model[i].peer != 0 && (oldest == KEYS || model[i].used < model[oldest].used)) {
                    oldest = i;
                }
            }
            if (live == CAP) {
                model[oldest].peer = 0;
            }
            model[key].peer = now;
            model[key].used = now;
            wr_sessions_put(k->s, key + 1, now, now);
        }
    }
    assert_int_equal(wr_sessions_cnt(k->s), CAP);
    free_kit(k);
}

struct worker {
    struct wr_thread thread;
    struct wr_sessions *s;
    unsigned wrong;
};

/* A session's peer is told by its key: nothing else is ever found. */
static void use_table(void *data)
{
    struct worker *w = data;
    uint32_t seed = w->thread.no;

    for (int i = 0; i < 20000; i++) {
        uint64_t key, peer;

        seed = seed * 1664525u + 1013904223u;
        key = 1 + (seed >> 8) % 3000;
        if ((seed >> 24) % 4 == 0) {
            wr_sessions_put(w->s, key, key * 3, (uint64_t)i);
        } else {
            peer = wr_sessions_find(w->s, key, HOUR, (uint64_t)i);
            w->wrong += peer != 0 && peer != key * 3;
        }
    }
}

static void threads_share_it(void **state)
{
    struct kit *k = make_kit(1100);
    struct worker w[4];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        w[i] = (struct worker){.s = k->s};
        assert_int_equal(wr_thread_start(&w[i].thread, i, "sessions", use_table, &w[i]), WR_OK);
    }
    for (unsigned i = 0; i < 4; i++) {
        wr_thread_join(&w[i].thread);
        assert_int_equal(w[i].wrong, 0);
    }
    assert_int_equal(wr_sessions_cnt(k->s), 1100);
    free_kit(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_what_was_used_last),
                                       cmocka_unit_test(ends_when_not_used),
                                       cmocka_unit_test(survives_a_reload),
                                       cmocka_unit_test(keys_differ_by_group_and_name),
                                       cmocka_unit_test(without_memory_another_makes_room),
                                       cmocka_unit_test(does_as_a_plain_list),
                                       cmocka_unit_test(threads_share_it)};

    return cmocka_run_group_tests_name("lb/sessions", tests, NULL, NULL);
}
