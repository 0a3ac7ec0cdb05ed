/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_zone.c: tables of zones: bounds by size, who makes room, references over an eviction, a
 * plain list does the same; then many threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/zone.c" /* allow(path): its shards are looked at */
#include "event/thread.h"

/* A key of shard 0 of a zone with 2 shards or more. */
static uint64_t low_key(uint64_t n)
{
    return n;
}

static int64_t add(struct wr_zone *z, uint64_t key, int64_t n)
{
    struct wr_zone_item *e = wr_zone_lock(z, key);
    int64_t num = e->num += n;

    wr_zone_unlock(z, key);
    return num;
}

static void stays_within_its_size(void **state)
{
    static const uint64_t sizes[] = {
        WR_ZONE_SIZE_MIN, WR_ZONE_SIZE_MIN + 1, 65536, 100000, 1u << 20,
        10u << 20,        (10u << 20) + 7};

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(sizes); i++) {
        struct wr_zone *z = wr_zone_new(sizes[i]);
        uint32_t shards;
        const struct zone_shard *last;

        assert_non_null(z);
        shards = 1u << z->shard_bits;
        last = &z->shards[shards - 1];
        assert_true((uintptr_t)(last->items + z->cap) - (uintptr_t)z <= sizes[i]);
        assert_true((uintptr_t)(z->shards[0].items) % sizeof(uint64_t) == 0);
        assert_true((uintptr_t)(last->buckets + z->mask + 1) <= (uintptr_t)z->shards[0].items);
        assert_true(wr_zone_room(z) >= sizes[i] / 64); /* what nginx documents: 16 thousand a MB */
        for (uint64_t k = 0; k < wr_zone_room(z) * 2; k++) {
            assert_int_equal(add(z, wr_rng_u64(), 1), 1);
        }
        assert_int_equal(wr_zone_cnt(z), wr_zone_room(z));
        wr_zone_free(z);
    }
    wr_zone_free(NULL);
}

static void no_memory(void **state)
{
    (void)state;
    wr_mem_fault_set(1);
    assert_null(wr_zone_new(WR_ZONE_SIZE_MIN));
    wr_mem_fault_set(0);
    assert_null(wr_zone_new(UINT64_MAX));
}

static void full_shard_forgets_the_oldest(void **state)
{
    struct wr_zone *z = wr_zone_new(WR_ZONE_SIZE_MIN);
    struct wr_zone_ref ref;
    struct wr_zone_item *e;
    uint64_t cap = z->cap;

    (void)state;
    for (uint64_t i = 1; i <= cap; i++) {
        assert_int_equal(add(z, low_key(i), (int64_t)i), (int64_t)i);
    }
    e = wr_zone_lock(z, low_key(2));
    ref = wr_zone_ref_of(e);
    wr_zone_unlock(z, low_key(2));
    assert_int_equal(add(z, low_key(1), 0), 1); /* used: 3 is the oldest now */
    assert_int_equal(add(z, low_key(cap + 1), 5), 5);
    assert_int_equal(wr_zone_evicted(z), 1);
    assert_int_equal(wr_zone_cnt(z), cap);
    assert_int_equal(add(z, low_key(1), 0), 1);
    e = wr_zone_lock_ref(z, ref);
    assert_non_null(e);
    assert_int_equal(e->num, 2);
    wr_zone_unlock(z, ref.key);
    assert_int_equal(add(z, low_key(3), 0), 0); /* new again; 4 went */
    assert_int_equal(add(z, low_key(4), 0), 0);
    wr_zone_free(z);
}

static void references_end_with_their_key(void **state)
{
    struct wr_zone *z = wr_zone_new(WR_ZONE_SIZE_MIN);
    struct wr_zone_item *e = wr_zone_lock(z, 77);
    struct wr_zone_ref ref = wr_zone_ref_of(e);

    (void)state;
    wr_zone_drop(z, e);
    assert_int_equal(wr_zone_cnt(z), 0);
    assert_null(wr_zone_lock_ref(z, ref));
    e = wr_zone_lock(z, 77); /* the same key, the same memory, another item */
    assert_int_equal(e->num, 0);
    assert_int_equal(e->at_ms, 0);
    assert_int_not_equal(e->serial, ref.serial);
    wr_zone_unlock(z, 77);
    assert_null(wr_zone_lock_ref(z, ref));
    ref.key = 78;
    assert_null(wr_zone_lock_ref(z, ref));
    assert_int_equal(wr_zone_cnt(z), 1);
    wr_zone_free(z);
}

/* Random use of one shard, against an array that is searched from end to end. */
static void does_as_a_plain_list(void **state)
{
    enum {
        KEYS = 900
    };

    struct {
        bool is_there;
        int64_t num;
        uint64_t used;
    } model[KEYS];
    struct wr_zone *z = wr_zone_new(WR_ZONE_SIZE_MIN);
    uint64_t cap = z->cap;

    (void)state;
    assert_true(cap < KEYS);
    memset(model, 0, sizeof(model));
    wr_rng_seed(4);
    for (uint64_t now = 1; now < 30000; now++) {
        uint64_t key = wr_rng_below(KEYS);
        struct wr_zone_item *e = wr_zone_lock(z, key);

        if (!model[key].is_there) {
            uint64_t live = 0, oldest = KEYS;

            for (uint64_t i = 0; i < KEYS; i++) {
                live += model[i].is_there;
                if (model[i].is_there && (oldest == KEYS || model[i].used < model[oldest].used)) {
                    oldest = i;
                }
            }
            if (live == cap) {
                model[oldest].is_there = false;
            }
            model[key].is_there = true;
            model[key].num = 0;
        }
        assert_int_equal(e->num, model[key].num);
        model[key].used = now;
        if (wr_rng_below(20) == 0) {
            model[key].is_there = false;
            wr_zone_drop(z, e);
        } else {
            e->num = model[key].num = (int64_t)now;
            wr_zone_unlock(z, key);
        }
    }
    wr_zone_free(z);
}

enum {
    THREADS = 8,
    ROUNDS = 15000,
    COUNTED = 50
};

struct worker {
    struct wr_thread thread;
    struct wr_zone *z;
    unsigned wrong;
};

/* Some keys count; a flood of others must not mix with them; held ones are given back. */
static void use_zone(void *data)
{
    struct worker *w = data;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t key = wr_zone_key(wr_str((const char *)&i, sizeof(i)));
        struct wr_zone_item *e = wr_zone_lock(w->z, key);
        struct wr_zone_ref ref = wr_zone_ref_of(e);

        w->wrong += e->num < 0 || e->num > THREADS;
        e->num++;
        wr_zone_unlock(w->z, key);
        (void)add(w->z, UINT64_C(0x3333333333333333) * (i % COUNTED), 1);
        e = wr_zone_lock_ref(w->z, ref);
        if (!e) {
            continue;
        }
        w->wrong += e->num < 1 || e->key != key;
        if (--e->num == 0) {
            wr_zone_drop(w->z, e);
        } else {
            wr_zone_unlock(w->z, key);
        }
    }
}

static void threads_share_it(void **state)
{
    struct wr_zone *z = wr_zone_new(1u << 20);
    struct worker w[THREADS];
    int64_t sum = 0;

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.z = z};
        assert_int_equal(wr_thread_start(&w[i].thread, i, "zone", use_zone, &w[i]), WR_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        wr_thread_join(&w[i].thread);
        assert_int_equal(w[i].wrong, 0);
    }
    for (unsigned i = 0; i < COUNTED; i++) {
        sum += add(z, UINT64_C(0x3333333333333333) * i, 0);
    }
    assert_int_equal(sum, THREADS * ROUNDS);
    assert_int_equal(wr_zone_cnt(z), COUNTED);
    wr_zone_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stays_within_its_size),
                                       cmocka_unit_test(no_memory),
                                       cmocka_unit_test(full_shard_forgets_the_oldest),
                                       cmocka_unit_test(references_end_with_their_key),
                                       cmocka_unit_test(does_as_a_plain_list),
                                       cmocka_unit_test(threads_share_it)};

    return cmocka_run_group_tests_name("base/zone", tests, NULL, NULL);
}
