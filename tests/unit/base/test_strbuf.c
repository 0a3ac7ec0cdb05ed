/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_strbuf.c: the same text through heap, arena and fixed storage, the maximum to the byte, and
 * each allocation failing in turn.
 */
#include "unit/base/t.h"

#include "base/strbuf.h"

static void fill(struct wr_strbuf *b)
{
    wr_strbuf_add_z(b, "abc");
    wr_strbuf_add_char(b, ' ');
    wr_strbuf_add_str(b, WR_STR_NULL);
    wr_strbuf_add_u64(b, 18446744073709551615ull);
    wr_strbuf_printf(b, " %s-%d", "x", -5);
    for (int i = 0; i < 30; i++) {
        wr_strbuf_printf(b, "%d.", i);
    }
}

#define TEXT                                                                                       \
    "abc 18446744073709551615 x--50.1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23."  \
    "24.25.26.27.28.29."

static void test_kinds(void **state)
{
    char storage[sizeof(TEXT)];
    struct wr_strbuf b;
    struct wr_arena a;

    (void)state;
    wr_arena_init(&a, 10000);
    wr_strbuf_init(&b, 1000);
    assert_string_equal(wr_strbuf_cstr(&b), "");
    fill(&b);
    assert_str(wr_strbuf_str(&b), TEXT);
    assert_string_equal(wr_strbuf_cstr(&b), TEXT);
    wr_strbuf_reset(&b);
    fill(&b);
    assert_string_equal(wr_strbuf_cstr(&b), TEXT);
    wr_strbuf_fini(&b);
    wr_strbuf_fini(&b); /* half-built or ended: fine */
    wr_strbuf_add_char(&b, 'x');
    assert_int_equal(b.status, WR_ELIMIT);

    wr_strbuf_init_arena(&b, &a, sizeof(TEXT) - 1);
    fill(&b);
    assert_string_equal(wr_strbuf_cstr(&b), TEXT); /* full to the maximum, '\0' beyond it */
    assert_int_equal(b.status, WR_OK);

    wr_strbuf_init_fixed(&b, storage, sizeof(storage));
    fill(&b);
    assert_string_equal(wr_strbuf_cstr(&b), TEXT);
    wr_arena_fini(&a);
}

static void test_max(void **state)
{
    struct wr_strbuf b;
    char storage[4];

    (void)state;
    wr_strbuf_init(&b, 5);
    wr_strbuf_add(&b, "12345", 5);
    assert_int_equal(b.status, WR_OK);
    assert_string_equal(wr_strbuf_cstr(&b), "12345");
    wr_strbuf_add(&b, "", 0);
    assert_int_equal(b.status, WR_OK);
    wr_strbuf_add_char(&b, '6');
    assert_int_equal(b.status, WR_ELIMIT);
    assert_str(wr_strbuf_str(&b), "12345");
    wr_strbuf_reset(&b);
    wr_strbuf_add_z(&b, "abc");
    wr_strbuf_printf(&b, "%d", 123); /* nothing of it */
    assert_int_equal(b.status, WR_ELIMIT);
    wr_strbuf_add_char(&b, 'x'); /* bad stays bad */
    wr_strbuf_printf(&b, "x");
    assert_null(wr_strbuf_reserve(&b, 0));
    assert_str(wr_strbuf_str(&b), "abc");
    wr_strbuf_reset(&b);
    wr_strbuf_printf(&b, "%s", "12345");
    assert_str(wr_strbuf_str(&b), "12345");
    assert_int_equal(b.status, WR_OK);
    wr_strbuf_fini(&b);

    wr_strbuf_init_fixed(&b, storage, sizeof(storage));
    wr_strbuf_add(&b, "1234", 4);
    assert_str(wr_strbuf_str(&b), "1234");
    assert_int_equal(b.status, WR_OK);
    assert_string_equal(wr_strbuf_cstr(&b), ""); /* no room for the '\0' */
}

static void test_reserve(void **state)
{
    struct wr_strbuf b;
    char *p;

    (void)state;
    wr_strbuf_init(&b, 100000);
    assert_non_null(wr_strbuf_reserve(&b, 0));
    p = wr_strbuf_reserve(&b, 70000);
    assert_non_null(p);
    memset(p, 'r', 70000);
    wr_strbuf_commit(&b, 70000);
    assert_null(wr_strbuf_reserve(&b, 30001));
    assert_int_equal(b.status, WR_ELIMIT);
    assert_int_equal(b.ptr[69999], 'r');
    wr_strbuf_fini(&b);
    wr_strbuf_init(&b, SIZE_MAX);
    assert_null(wr_strbuf_reserve(&b, SIZE_MAX));
    wr_strbuf_fini(&b);
}

static void test_faults(void **state)
{
    uint64_t total = 1;

    (void)state;
    for (uint64_t n = 0; n <= total; n++) {
        for (int kind = 0; kind < 2; kind++) {
            size_t before = wr_mem_in_use();
            struct wr_strbuf b;
            struct wr_arena a;

            wr_arena_init(&a, 100000);
            wr_mem_fault_set(n);
            if (kind == 0) {
                wr_strbuf_init(&b, 1000);
            } else {
                wr_strbuf_init_arena(&b, &a, 1000);
            }
            fill(&b);
            assert_int_equal(b.status, n == 0 ? WR_OK : WR_ENOMEM);
            assert_memory_equal(b.len == 0 ? "" : b.ptr, TEXT, b.len); /* whole appends only */
            total = n == 0 ? wr_mem_fault_count() : total;
            wr_mem_fault_set(0);
            wr_strbuf_fini(&b);
            wr_arena_fini(&a);
            assert_int_equal(wr_mem_in_use(), before);
        }
    }
    assert_true(total >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_max),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
