/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cache.c: sessions by id: found, replaced, too old, pushed out by newer ones, within their
 * bytes; and several threads at once (TSan looks on).
 */
#include "unit/base/t.h"

#include <pthread.h>

#include "base/local.h"
#include "tls/cache.c"

static struct wr_str id_of(char *room, unsigned i)
{
    (void)snprintf(room, ID_MAX, "session-%u", i);
    return wr_str_z(room);
}

static void put(struct wr_tls_cache *c, unsigned i, size_t len, uint32_t life_sec)
{
    char id[ID_MAX], bytes[2048];

    memset(bytes, (int)i, sizeof(bytes));
    wr_tls_cache_put(c, id_of(id, i), wr_str(bytes, len), life_sec);
}

static bool get(struct wr_tls_cache *c, unsigned i, size_t *ret_len)
{
    unsigned char bytes[2048];
    char id[ID_MAX];
    bool ok = wr_tls_cache_get(c, id_of(id, i), bytes, sizeof(bytes), ret_len);

    if (ok) {
        assert_int_equal(bytes[0], (unsigned char)i);
        assert_int_equal(bytes[*ret_len - 1], (unsigned char)i);
    }
    return ok;
}

static void test_life(void **state)
{
    struct wr_tls_cache *c = wr_tls_cache_new(1u << 20);
    char id[ID_MAX];
    size_t n = 0;

    (void)state;
    assert_false(get(c, 1, &n));
    put(c, 1, 100, 10);
    assert_true(get(c, 1, &n));
    assert_int_equal(n, 100);
    put(c, 1, 50, 10);
    assert_true(get(c, 1, &n));
    assert_int_equal(n, 50);
    wr_tls_cache_remove(c, id_of(id, 1));
    wr_tls_cache_remove(c, id_of(id, 1));
    assert_false(get(c, 1, &n));
    put(c, 2, 2048, 0);
    wr_tls_cache_put(c, WR_STR(""), WR_STR("x"), 10);
    assert_false(wr_tls_cache_get(c, WR_STR(""), (unsigned char *)id, sizeof(id), &n));
    wr_tls_cache_unref(wr_tls_cache_ref(c));
    wr_tls_cache_unref(c);
    wr_tls_cache_unref(NULL);
}

static void test_age(void **state)
{
    struct wr_tls_cache *c = wr_tls_cache_new(1u << 20);
    size_t n = 0;

    (void)state;
    put(c, 1, 10, 5);
    put(c, 2, 10, 6);
    wr_local_get()->now_ms += 5000;
    assert_false(get(c, 1, &n));
    assert_true(get(c, 2, &n));
    wr_tls_cache_unref(c);
}

/* The bytes bound what is kept; what was used last stays. */
static void test_bound(void **state)
{
    struct wr_tls_cache *c = wr_tls_cache_new(64u << 10);
    unsigned kept = 0;
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        put(c, i, 500, 100);
        assert_true(get(c, i, &n));
        put(c, 5000, 500, 100); /* used again and again */
    }
    assert_true(get(c, 5000, &n));
    for (unsigned i = 0; i < 1000; i++) {
        kept += get(c, i, &n);
    }
    assert_in_range(kept, 50, (64u << 10) / (500 + sizeof(struct entry)));
    for (unsigned i = 0; i < SHARDS; i++) {
        assert_true(c->shards[i].bytes <= c->shard_max);
    }
    wr_tls_cache_unref(c);
}

static void *work(void *data)
{
    struct wr_tls_cache *c = data;
    unsigned char bytes[2048];
    char id[ID_MAX], text[64];

    wr_local_start();
    memset(text, 7, sizeof(text));
    for (unsigned i = 0; i < 20000; i++) {
        size_t n = 0;

        (void)snprintf(id, sizeof(id), "%u", i * 7 % 500);
        if (i % 3 == 0) {
            wr_tls_cache_put(c, wr_str_z(id), wr_str(text, sizeof(text)), 100);
        } else if (i % 97 == 0) {
            wr_tls_cache_remove(c, wr_str_z(id));
        } else if (wr_tls_cache_get(c, wr_str_z(id), bytes, sizeof(bytes), &n) &&
                   n != sizeof(text)) {
            return c;
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct wr_tls_cache *c = wr_tls_cache_new(16u << 10);
    pthread_t t[3];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(t); i++) {
        assert_int_equal(pthread_create(&t[i], NULL, work, c), 0);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(t); i++) {
        void *bad = NULL;

        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_null(bad);
    }
    wr_tls_cache_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
