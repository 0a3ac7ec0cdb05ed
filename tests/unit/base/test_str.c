/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_str.c: tables for each question about slices, with empty ones and NULL pointers among them.
 */
#include "unit/base/t.h"

#include "base/chars.h"

static void test_compare(void **state)
{
    (void)state;
    assert_true(wr_str_eq(WR_STR_NULL, WR_STR("")));
    assert_true(wr_str_ieq(WR_STR("Host"), WR_STR("hOST")));
    assert_false(wr_str_ieq(WR_STR("a["), WR_STR("a{"))); /* only letters fold */
    assert_false(wr_str_ieq(WR_STR("a"), WR_STR("ab")));
    assert_true(wr_str_eq_z(WR_STR("abc"), "abc"));
    assert_true(wr_str_eq_z(WR_STR_NULL, ""));
    assert_true(wr_str_cmp(WR_STR("a"), WR_STR("b")) < 0);
    assert_true(wr_str_cmp(WR_STR("ab"), WR_STR("a")) > 0);
    assert_true(wr_str_cmp(WR_STR("\xff"), WR_STR("a")) > 0); /* bytes, not chars */
    assert_true(wr_str_cmp(WR_STR("a"), WR_STR("A")) > 0);
    assert_int_equal(wr_str_cmp(WR_STR_NULL, WR_STR_NULL), 0);
    assert_int_equal(wr_str_icmp(WR_STR("aB"), WR_STR("Ab")), 0);
    assert_true(wr_str_icmp(WR_STR("a"), WR_STR("B")) < 0);
    assert_true(wr_str_icmp(WR_STR("ab"), WR_STR("A")) > 0);
    assert_true(wr_str_has_prefix(WR_STR("abc"), WR_STR("ab")));
    assert_false(wr_str_has_prefix(WR_STR("a"), WR_STR("ab")));
    assert_true(wr_str_has_prefix(WR_STR_NULL, WR_STR("")));
    assert_true(wr_str_has_iprefix(WR_STR("UNIX:x"), WR_STR("unix:")));
    assert_true(wr_str_has_suffix(WR_STR("abc"), WR_STR("bc")));
    assert_false(wr_str_has_suffix(WR_STR("c"), WR_STR("bc")));
    assert_true(wr_str_has_suffix(WR_STR("c"), WR_STR_NULL));
}

static void test_find(void **state)
{
    struct wr_str s = WR_STR("a.b.c");

    (void)state;
    assert_int_equal(wr_str_find(s, '.'), 1);
    assert_int_equal(wr_str_rfind(s, '.'), 3);
    assert_int_equal(wr_str_find(s, 'x'), 5);
    assert_int_equal(wr_str_rfind(s, 'x'), 5);
    assert_int_equal(wr_str_find(WR_STR_NULL, 'x'), 0);
    assert_int_equal(wr_str_find_str(s, WR_STR(".c")), 3);
    assert_int_equal(wr_str_find_str(s, WR_STR("zz")), 5);
    assert_int_equal(wr_str_find_str(s, WR_STR("")), 0);
    assert_int_equal(wr_str_find_str(WR_STR_NULL, WR_STR("x")), 0);
    assert_str(wr_str_sub(s, 2, 1), "b");
    assert_str(wr_str_sub(s, 2, SIZE_MAX), "b.c");
    assert_str(wr_str_sub(s, 9, 1), "");
    assert_str(wr_str_sub(WR_STR_NULL, 0, 1), "");
    assert_str(wr_str_trim(WR_STR(" \t a b\t ")), "a b");
    assert_str(wr_str_trim(WR_STR(" \t")), "");
    assert_str(wr_str_trim(WR_STR_NULL), "");
}

static void test_split(void **state)
{
    static const struct {
        const char *in;
        unsigned cnt;
        const char *out[4];
    } rows[] = {
        {"a,,b", 3, {"a", "", "b"}},
        {"",     1, {""}          },
        {"a,",   2, {"a", ""}     },
        {",",    2, {"", ""}      },
        {"abc",  1, {"abc"}       },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_str s = wr_str_z(rows[i].in), field = WR_STR("untouched");
        unsigned n = 0;

        while (wr_str_split(&s, ',', &field)) {
            assert_true(n < rows[i].cnt);
            assert_str(field, rows[i].out[n]);
            n++;
        }
        assert_int_equal(n, rows[i].cnt);
    }
    assert_false(wr_str_split(&(struct wr_str){NULL, 0}, ',', &(struct wr_str){NULL, 0}));
}

static void test_list(void **state)
{
    (void)state;
    assert_true(wr_str_list_has(WR_STR("close"), WR_STR("close")));
    assert_true(wr_str_list_has(WR_STR("keep-alive, , Upgrade\t"), WR_STR("upgrade")));
    assert_false(wr_str_list_has(WR_STR("keep-alive, upgrades"), WR_STR("upgrade")));
    assert_false(wr_str_list_has(WR_STR_NULL, WR_STR("x")));
    assert_false(wr_str_list_has(WR_STR(",,"), WR_STR("")));
}

static void test_distance(void **state)
{
    char longer[100];

    (void)state;
    memset(longer, 'x', sizeof(longer));
    assert_int_equal(wr_str_distance(WR_STR("proxy_pas"), WR_STR("proxy_pass"), 3), 1);
    assert_int_equal(wr_str_distance(WR_STR("kitten"), WR_STR("sitting"), 5), 3);
    assert_int_equal(wr_str_distance(WR_STR("same"), WR_STR("same"), 2), 0);
    assert_int_equal(wr_str_distance(WR_STR("abc"), WR_STR("xyz"), 2), 3);
    assert_int_equal(wr_str_distance(WR_STR(""), WR_STR("abcd"), 2), 3);
    assert_int_equal(wr_str_distance(WR_STR_NULL, WR_STR("ab"), 2), 2);
    assert_int_equal(wr_str_distance(wr_str(longer, 100), wr_str(longer, 100), 2), 3);
    assert_int_equal(wr_str_distance(wr_str(longer, 64), wr_str(longer, 64), 2), 0);
}

/* As a loop over bytes says, for each pair of bytes at each place; the others differ in case. */
static void test_ieq(void **state)
{
    static const size_t lens[] = {1, 7, 8, 9, 16, 21};

    (void)state;
    for (size_t k = 0; k < WR_ARRAY_LEN(lens); k++) {
        char a[21], b[21];

        for (size_t at = 0; at < lens[k]; at++) {
            memset(a, 'q', sizeof(a));
            memset(b, 'Q', sizeof(b));
            for (int x = 0; x < 256; x++) {
                for (int y = 0; y < 256; y++) {
                    a[at] = (char)x;
                    b[at] = (char)y;
                    assert_int_equal(wr_str_ieq(wr_str(a, lens[k]), wr_str(b, lens[k])),
                                     wr_char_lower[x] == wr_char_lower[y]);
                }
            }
        }
    }
    assert_true(wr_str_ieq(WR_STR_NULL, WR_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),  cmocka_unit_test(test_find),
        cmocka_unit_test(test_split),    cmocka_unit_test(test_list),
        cmocka_unit_test(test_distance), cmocka_unit_test(test_ieq),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
