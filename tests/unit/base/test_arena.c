/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_arena.c: alignment, cap, clean-ups, each allocation failing in turn, and an arena that is
 * freed on another thread. What holds only with caches is skipped where memory passes through.
 */
#include "unit/base/t.h"

#include <pthread.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/local.h"

static void test_alloc(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 100, 1023, 1024, 4080, 4081, 100000};
    size_t before = wr_mem_in_use();
    struct wr_arena a;

    (void)state;
    wr_arena_init(&a, 10000000);
    assert_int_equal(a.used, 0);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < WR_ARRAY_LEN(sizes); i++) {
            char *p = wr_arena_alloc(&a, sizes[i]);
            char *b;

            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            memset(p, 0x5a, sizes[i]);
            p = wr_arena_zalloc(&a, sizes[i]);
            assert_non_null(p);
            assert_true(sizes[i] == 0 || (p[0] == 0 && p[sizes[i] - 1] == 0));
            b = wr_arena_bytes(&a, sizes[i]);
            assert_non_null(b);
            memset(b, 0x5a, sizes[i]);
        }
    }
    assert_null(wr_arena_alloc(&a, SIZE_MAX));
    assert_null(wr_arena_alloc(&a, SIZE_MAX - 8));
    assert_null(wr_arena_bytes(&a, SIZE_MAX));
    wr_arena_fini(&a);
    assert_int_equal(wr_mem_in_use(), before);
}

static void test_cap(void **state)
{
    static const size_t caps[] = {0, 8, 32, 100, 1000, 4096, 5000, 20000};
    struct wr_arena a;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(caps); i++) {
        size_t got = 0;

        wr_arena_init(&a, caps[i]);
        while (wr_arena_alloc(&a, 16) != NULL) {
            got += 16;
        }
        assert_true(a.used <= caps[i] && got <= caps[i]);
        assert_true(caps[i] < 1000 || got >= caps[i] / 3);
        assert_null(wr_arena_alloc(&a, 4000));
        memset(wr_arena_must(&a, 5000), 1, 5000); /* never at the cap */
        assert_str(wr_arena_must_dup(&a, WR_STR("x")), "x");
        wr_arena_fini(&a);
    }
}

static void test_text(void **state)
{
    struct wr_arena a;
    struct wr_str s = WR_STR("untouched");
    char big[6000];

    (void)state;
    memset(big, 'b', sizeof(big));
    wr_arena_init(&a, 100000);
    assert_int_equal(wr_arena_dup(&a, WR_STR("abc"), &s), WR_OK);
    assert_string_equal(s.ptr, "abc");
    assert_int_equal(wr_arena_dup(&a, WR_STR_NULL, &s), WR_OK);
    assert_string_equal(s.ptr, "");
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(wr_arena_printf(&a, &s, "%d-%s", i, "x"), WR_OK);
        assert_int_equal(s.len, strlen(s.ptr));
        assert_int_equal(s.ptr[s.len - 1], 'x');
    }
    assert_int_equal(wr_arena_printf(&a, &s, "%.*s", 6000, big), WR_OK);
    assert_int_equal(s.len, 6000);
    assert_memory_equal(s.ptr, big, 6000);
    s = WR_STR("untouched");
    assert_int_equal(wr_arena_printf(&a, &s, "%99999d", 1), WR_ENOMEM);
    assert_int_equal(wr_arena_dup(&a, wr_str(big, SIZE_MAX), &s), WR_ENOMEM);
    assert_str(s, "untouched");
    wr_arena_fini(&a);
}

struct order {
    int at[8], cnt;
};

static void note_order(void *data)
{
    struct order *o = data;

    o->at[o->cnt] = o->cnt;
    o->cnt++;
}

static void note_last(void *data)
{
    struct order *o = data;

    assert_int_equal(o->cnt, 2); /* registered first, so both others came before */
    o->cnt++;
}

static void test_cleanups(void **state)
{
    struct order o = {0};
    struct wr_arena a;

    (void)state;
    wr_arena_init(&a, 4096);
    assert_int_equal(wr_arena_on_fini(&a, note_last, &o), WR_OK);
    assert_int_equal(wr_arena_on_fini(&a, note_order, &o), WR_OK);
    assert_int_equal(wr_arena_on_fini(&a, note_order, &o), WR_OK);
    wr_arena_fini(&a);
    assert_int_equal(o.cnt, 3);
}

/* Everything that can fail, once; how much was made. */
static unsigned use_all(struct wr_arena *a, struct order *o)
{
    struct wr_str s;
    unsigned done = 0;

    done += wr_arena_alloc(a, 10) != NULL;
    done += wr_arena_zalloc(a, 3000) != NULL;
    done += wr_arena_bytes(a, 3) != NULL;
    done += wr_arena_dup(a, WR_STR("abc"), &s) == WR_OK;
    done += wr_arena_printf(a, &s, "%d", 5) == WR_OK;
    done += wr_arena_on_fini(a, note_order, o) == WR_OK;
    done += wr_arena_alloc(a, 5000) != NULL;
    return done;
}

static void test_faults(void **state)
{
    uint64_t total = 1;

    (void)state;
    for (uint64_t n = 0; n <= total; n++) {
        size_t before = wr_mem_in_use();
        struct order o = {0};
        struct wr_arena a;

        wr_arena_init(&a, 100000);
        wr_mem_fault_set(n);
        assert_int_equal(use_all(&a, &o), n == 0 ? 7 : 6);
        total = n == 0 ? wr_mem_fault_count() : total;
        wr_mem_fault_set(0);
        wr_arena_fini(&a);
        assert_int_equal(o.cnt, n == 6 ? 0 : 1);
        assert_int_equal(wr_mem_in_use(), before);
    }
    assert_int_equal(total, 7);
}

static void *fini_there(void *data)
{
    wr_local_start();
    wr_arena_fini(data);
    return NULL;
}

static void test_other_thread(void **state)
{
    pthread_t t;

    (void)state;
    for (int round = 0; round < 3; round++) {
        struct wr_arena a;

        wr_arena_init(&a, 10000000);
        for (int i = 0; i < 2000; i++) {
            assert_non_null(wr_arena_alloc(&a, 300)); /* more blocks than a cache keeps */
        }
        assert_int_equal(pthread_create(&t, NULL, fini_there, &a), 0);
        assert_int_equal(pthread_join(t, NULL), 0);
    }
}

static size_t mapped_kb(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu", &pages), 1);
    assert_int_equal(fclose(f), 0);
    return pages * 4;
}

/* What a large arena had is the system's again as soon as it ends, though a younger one lives. */
static void test_large(void **state)
{
    size_t before = mapped_kb(), in_use = wr_mem_in_use();
    struct wr_arena a[3];

    (void)state;
    if (wr_mem_pass_through()) {
        skip();
    }
    for (size_t n = 0; n < WR_ARRAY_LEN(a); n++) {
        wr_arena_init(&a[n], (size_t)1 << 30);
        for (size_t i = 0; i < 100000; i++) {
            char *p = wr_arena_alloc(&a[n], 100 + i % 300);

            assert_non_null(p);
            memset(p, (int)i, 100 + i % 300);
        }
        memset(wr_arena_must(&a[n], 5000000), 1, 5000000);
        assert_true(a[n].used > 30000000 && a[n].used < 34000000);
        if (n > 0) {
            wr_arena_fini(&a[n - 1]);
            assert_true(mapped_kb() < before + 40000);
        }
    }
    wr_arena_fini(&a[WR_ARRAY_LEN(a) - 1]);
    assert_true(mapped_kb() < before + 4000);
    assert_int_equal(wr_mem_in_use(), in_use);
}

static void fini_twice(void *data)
{
    struct wr_arena a;

    (void)data;
    wr_arena_init(&a, 10);
    wr_arena_fini(&a);
    wr_arena_fini(&a);
}

static void test_magic(void **state)
{
    char text[4096];

    (void)state;
    assert_true(t_aborts(fini_twice, NULL, text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),  cmocka_unit_test(test_cap),
        cmocka_unit_test(test_text),   cmocka_unit_test(test_cleanups),
        cmocka_unit_test(test_faults), cmocka_unit_test(test_other_thread),
        cmocka_unit_test(test_large),  cmocka_unit_test(test_magic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
