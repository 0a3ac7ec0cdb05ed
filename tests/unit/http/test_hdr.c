/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hdr.c: every known name is found in every way of writing its case, nothing near one is; the
 * list keeps order, limits, removals and moves. When tbl/header_ids.h grew, the first test prints
 * the slots that hdr.c needs, or new weights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/hdr.c"

#include "base/mem.h"

static const char *const ids[] = {
    "OTHER",
#define X(id, name) #id,
#include "http/tbl/header_ids.h"
#undef X
};

static unsigned slot_with(const unsigned *w, struct wr_str s)
{
    return ((unsigned)s.len * w[0] + (unsigned char)s.ptr[0] * w[1] +
            (unsigned char)s.ptr[s.len - 1] * w[2]) &
           0xff;
}

static bool is_perfect(const unsigned *w)
{
    bool used[256] = {false};

    for (unsigned id = 1; id < WR_HDR_ID_COUNT; id++) {
        unsigned s = slot_with(w, wr_hdr_name((enum wr_hdr_id)id));
        if (used[s]) {
            return false;
        }
        used[s] = true;
    }
    return true;
}

/* Prints what hdr.c should have: the table for the present weights, else for the next good ones. */
static void print_slots(void)
{
    unsigned w[3] = {1, WR_HDR_SLOT_FIRST, WR_HDR_SLOT_LAST};
    uint32_t seed = 1;

    for (unsigned tries = 0; !is_perfect(w) && tries < 5000000; tries++) {
        for (unsigned i = 1; i < 3; i++) {
            seed = seed * 1664525 + 1013904223;
            w[i] = (seed >> 24) % 31 * 8 + 8;
        }
    }
    print_message("first %u last %u\n", w[1], w[2]);
    for (unsigned id = 1; id < WR_HDR_ID_COUNT; id++) {
        print_message("[%u] = WR_HDR_%s,\n", slot_with(w, wr_hdr_name((enum wr_hdr_id)id)),
                      ids[id]);
    }
}

static void test_slots(void **state)
{
    (void)state;
    bool is_good = true;

    for (unsigned id = 1; id < WR_HDR_ID_COUNT; id++) {
        struct wr_str n = wr_hdr_name((enum wr_hdr_id)id);
        is_good = is_good && wr_hdr_slots[wr_hdr_slot(n.ptr, n.len)] == id;
    }
    if (!is_good) {
        print_slots();
    }
    assert_true(is_good);
    assert_int_equal(wr_hdr_name(WR_HDR_OTHER).len, 0);
}

static char flip_case(char c)
{
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

    return is_letter ? (char)(c ^ 0x20) : c;
}

/* Each name in a heap piece of its very size, so that a sanitizer sees reads outside it. */
static enum wr_hdr_id ask(const char *p, size_t n)
{
    char *piece = wr_mem_alloc(n == 0 ? 1 : n);

    memcpy(piece, p, n);
    enum wr_hdr_id id = wr_hdr_id_of(wr_str(piece, n));
    wr_mem_free(piece);
    return id;
}

static void test_every_case(void **state)
{
    (void)state;
    for (unsigned id = 1; id < WR_HDR_ID_COUNT; id++) {
        struct wr_str n = wr_hdr_name((enum wr_hdr_id)id);
        char t[32];
        /* Every subset of the first ten letters, and of the last ten. */
        for (unsigned bits = 0; bits < 1024; bits++) {
            for (unsigned end = 0; end < 2; end++) {
                for (size_t i = 0; i < n.len; i++) {
                    size_t bit = end == 0 ? i : n.len - 1 - i;
                    bool do_flip = bit < 10 && (bits >> bit & 1) != 0;
                    t[i] = do_flip ? flip_case(n.ptr[i]) : n.ptr[i];
                }
                assert_int_equal(wr_hdr_id_of(wr_str(t, n.len)), id);
            }
        }
        for (size_t i = 0; i < n.len; i++) {
            t[i] = flip_case(n.ptr[i]);
        }
        assert_int_equal(ask(t, n.len), id);
    }
}

/* One byte other, one less, one more: never the same id (unless it spells another name). */
static void test_near_misses(void **state)
{
    (void)state;
    for (unsigned id = 1; id < WR_HDR_ID_COUNT; id++) {
        struct wr_str n = wr_hdr_name((enum wr_hdr_id)id);
        char t[32];
        for (size_t i = 0; i < n.len; i++) {
            memcpy(t, n.ptr, n.len);
            for (unsigned c = 0; c < 256; c++) {
                t[i] = (char)c;
                bool is_same = t[i] == n.ptr[i] || t[i] == flip_case(n.ptr[i]);
                enum wr_hdr_id got = wr_hdr_id_of(wr_str(t, n.len));
                assert_true(is_same ? got == id : got != id);
            }
        }
        memcpy(t, n.ptr, n.len);
        t[n.len] = n.ptr[n.len - 1];
        assert_true(ask(t, n.len + 1) != id);
        assert_true(ask(t, n.len - 1) != id);
        assert_true(ask(t + 1, n.len - 1) != id);
    }
    static const char *const others[] = {"",
                                         "x",
                                         "X-Foo",
                                         "Content_Length",
                                         "Hos",
                                         "Hostt",
                                         "Content-Lengtg",
                                         "Cookie2",
                                         "sec-fetch-mode",
                                         "DNT",
                                         "X-Forwarded-Proto",
                                         "Upgrade-Insecure-Requests"};
    for (size_t i = 0; i < WR_ARRAY_LEN(others); i++) {
        assert_int_equal(ask(others[i], strlen(others[i])), WR_HDR_OTHER);
    }
}

static void test_list(void **state)
{
    (void)state;
    struct wr_arena a;
    struct wr_hdrs h;

    wr_arena_init(&a, 1 << 20);
    wr_hdrs_init(&h, &a, 100);
    assert_false(wr_hdrs_has(&h, WR_HDR_HOST));
    assert_null(wr_hdrs_get(&h, WR_HDR_HOST));
    assert_null(wr_hdrs_find(&h, WR_STR("X"), NULL));
    assert_int_equal(wr_hdrs_add(&h, WR_STR("host"), WR_STR("a")), WR_OK);
    assert_int_equal(wr_hdrs_add(&h, WR_STR("X-One"), WR_STR("1")), WR_OK);
    assert_int_equal(wr_hdrs_add_id(&h, WR_HDR_VIA, WR_STR("v1")), WR_OK);
    assert_int_equal(wr_hdrs_add(&h, WR_STR("x-one"), WR_STR("2")), WR_OK);
    assert_int_equal(wr_hdrs_add(&h, WR_STR("VIA"), WR_STR("v2")), WR_OK);
    assert_true(wr_hdrs_has(&h, WR_HDR_HOST));
    struct wr_hdr *f = wr_hdrs_get(&h, WR_HDR_VIA);
    assert_true(wr_str_eq_z(f->name, "Via") && wr_str_eq_z(f->value, "v1"));
    f = wr_hdrs_next(&h, f);
    assert_true(wr_str_eq_z(f->name, "VIA") && wr_str_eq_z(f->value, "v2"));
    assert_null(wr_hdrs_next(&h, f));
    f = wr_hdrs_find(&h, WR_STR("X-ONE"), NULL);
    assert_true(wr_str_eq_z(f->value, "1"));
    f = wr_hdrs_find(&h, WR_STR("X-ONE"), f);
    assert_true(wr_str_eq_z(f->value, "2"));
    assert_null(wr_hdrs_find(&h, WR_STR("X-ONE"), f));
    assert_null(wr_hdrs_find(&h, WR_STR("X-Two"), NULL));
    f = wr_hdrs_find(&h, WR_STR("via"), NULL);
    assert_true(wr_str_eq_z(f->value, "v1"));

    struct wr_str s;
    assert_int_equal(wr_hdrs_join(&h, WR_STR("X-One"), WR_STR(", "), &s), WR_OK);
    assert_true(wr_str_eq_z(s, "1, 2"));
    assert_int_equal(wr_hdrs_join(&h, WR_STR("via"), WR_STR("; "), &s), WR_OK);
    assert_true(wr_str_eq_z(s, "v1; v2"));
    assert_int_equal(wr_hdrs_join(&h, WR_STR("Host"), WR_STR(", "), &s), WR_OK);
    assert_true(wr_str_eq_z(s, "a"));
    assert_int_equal(wr_hdrs_join(&h, WR_STR("None"), WR_STR(", "), &s), WR_OK);
    assert_int_equal(s.len, 0);

    assert_int_equal(wr_hdrs_set_id(&h, WR_HDR_VIA, WR_STR("v3")), WR_OK);
    f = wr_hdrs_get(&h, WR_HDR_VIA);
    assert_true(f == &h.at[2] && wr_str_eq_z(f->value, "v3"));
    assert_null(wr_hdrs_next(&h, f));
    assert_int_equal(wr_hdrs_set_id(&h, WR_HDR_AGE, WR_STR("5")), WR_OK);
    assert_true(wr_str_eq_z(wr_hdrs_get(&h, WR_HDR_AGE)->name, "Age"));
    wr_hdrs_remove_id(&h, WR_HDR_VIA);
    assert_false(wr_hdrs_has(&h, WR_HDR_VIA));
    assert_null(wr_hdrs_find(&h, WR_STR("Via"), NULL));
    assert_int_equal(h.cnt, 6);
    wr_arena_fini(&a);
}

static void test_limit_and_growth(void **state)
{
    (void)state;
    static const uint32_t maxima[] = {0, 1, 15, 16, 17, 31, 33, 100};

    for (size_t i = 0; i < WR_ARRAY_LEN(maxima); i++) {
        struct wr_arena a;
        struct wr_hdrs h;
        wr_arena_init(&a, 1 << 20);
        wr_hdrs_init(&h, &a, maxima[i]);
        for (uint32_t n = 0; n < maxima[i]; n++) {
            assert_int_equal(wr_hdrs_add(&h, WR_STR("Link"), wr_str(&"0123456789"[n % 10], 1)),
                             WR_OK);
            assert_true(h.cap <= h.max);
        }
        assert_int_equal(wr_hdrs_add(&h, WR_STR("Link"), WR_STR("x")), WR_ELIMIT);
        assert_int_equal(h.cnt, maxima[i]);
        for (uint32_t n = 0; n < h.cnt; n++) {
            assert_int_equal(h.at[n].value.ptr[0], '0' + n % 10);
        }
        wr_arena_fini(&a);
    }
}

static void test_rebase(void **state)
{
    (void)state;
    static const char old[] = "Name: value", new[] = "NAME: VALUE";
    struct wr_arena a;
    struct wr_hdrs h;

    wr_arena_init(&a, 1 << 20);
    wr_hdrs_init(&h, &a, 10);
    assert_int_equal(wr_hdrs_add(&h, wr_str(old, 4), wr_str(old + 6, 5)), WR_OK);
    assert_int_equal(wr_hdrs_add_id(&h, WR_HDR_AGE, WR_STR("5")), WR_OK);
    assert_int_equal(wr_hdrs_add(&h, WR_STR("X"), WR_STR_NULL), WR_OK);
    wr_hdrs_rebase(&h, old, sizeof(old) - 1, new);
    assert_true(h.at[0].name.ptr == new &&h.at[0].value.ptr == new + 6);
    assert_true(wr_str_eq_z(h.at[1].name, "Age") && wr_str_eq_z(h.at[1].value, "5"));
    assert_null(h.at[2].value.ptr);
    wr_arena_fini(&a);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct wr_arena a;
    struct wr_hdrs h;
    struct wr_str s;

    wr_arena_init(&a, 1 << 20);
    wr_hdrs_init(&h, &a, 10);
    wr_mem_fault_set(1);
    assert_int_equal(wr_hdrs_add(&h, WR_STR("A"), WR_STR("1")), WR_ENOMEM);
    wr_mem_fault_set(0);
    assert_int_equal(h.cnt, 0);
    assert_int_equal(wr_hdrs_add(&h, WR_STR("A"), WR_STR("1")), WR_OK);
    assert_int_equal(wr_hdrs_add(&h, WR_STR("A"), WR_STR("2")), WR_OK);
    wr_mem_fault_set(1);
    assert_int_equal(wr_hdrs_join(&h, WR_STR("a"), WR_STR(", "), &s), WR_ENOMEM);
    wr_mem_fault_set(0);
    wr_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_every_case),
        cmocka_unit_test(test_near_misses),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_limit_and_growth),
        cmocka_unit_test(test_rebase),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("hdr", tests, NULL, NULL);
}
