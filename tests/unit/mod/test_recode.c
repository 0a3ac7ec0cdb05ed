/* SPDX-License-Identifier: Apache-2.0 */
/* test_recode.c: tables between charsets; UTF-8 split at every byte, malformed forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mod/recode.c"

struct rig {
    struct wr_arena a;
    struct wr_recode to, from;
};

static void make(struct rig *g, bool is_utf8)
{
    wr_arena_init(&g->a, 1 << 20);
    assert_int_equal(wr_recode_init(&g->a, is_utf8, &g->to, &g->from), WR_OK);
}

/* In three pieces, with room for `room` bytes at a time. */
static size_t run(const struct wr_recode *t, struct wr_str s, size_t a, size_t b, size_t room,
                  char *out)
{
    struct wr_recode_state st = {0};
    size_t ends[] = {a, b, s.len}, at = 0, len = 0, used;

    for (int i = 0; i < 3; i++) {
        while (at < ends[i]) {
            len += wr_recode_run(t, &st, wr_str(s.ptr + at, ends[i] - at), out + len, room, &used);
            assert_true(used > 0 || t->kind == WR_RECODE_FROM_UTF8);
            at += used;
        }
    }
    return len + wr_recode_end(&st, out + len);
}

static void check(const struct wr_recode *t, const char *in, const char *want)
{
    size_t n = strlen(in);
    char out[512];

    for (size_t a = 0; a <= n; a++) {
        for (size_t b = a; b <= n; b++) {
            size_t len = run(t, wr_str(in, n), a, b, WR_RECODE_OUT_MAX + a, out);

            if (len != strlen(want) || memcmp(out, want, len) != 0) {
                fail_msg("\"%s\" split at %zu, %zu: \"%.*s\", not \"%s\"", in, a, b, (int)len, out,
                         want);
            }
        }
    }
}

static void one_byte(void **state)
{
    struct rig g;

    (void)state;
    make(&g, false);
    assert_int_equal(wr_recode_add_byte(&g.to, &g.from, 0xf0, 0xcf), WR_OK);
    check(&g.to, "a\xf0\xf1", "a\xcf?");
    check(&g.from, "a\xcf\xf0", "a\xf0?");
    wr_arena_fini(&g.a);
}

static void utf8(void **state)
{
    struct rig g;

    (void)state;
    make(&g, true);
    assert_int_equal(wr_recode_add_char(&g.a, &g.to, &g.from, 0xf0, WR_STR("\xd0\x9f")), WR_OK);
    assert_int_equal(wr_recode_add_char(&g.a, &g.to, &g.from, 0x80, WR_STR("\xe2\x94\x80")), WR_OK);
    assert_int_equal(wr_recode_add_char(&g.a, &g.to, &g.from, 0x81, WR_STR("\xf0\x9f\x98\x80")),
                     WR_OK);
    check(&g.to, "ab\xf0\x80\x81\xff.", "ab\xd0\x9f\xe2\x94\x80\xf0\x9f\x98\x80?.");
    check(&g.from, "ab\xd0\x9f\xe2\x94\x80\xf0\x9f\x98\x80.", "ab\xf0\x80\x81.");
    check(&g.from, "\xe2\x82\xac\xf4\x8f\xbf\xbf", "&#8364;&#1114111;");
    check(&g.from,
          "\xff"
          "a",
          "?a");
    check(&g.from, "\xc0\xaf", "??");
    check(&g.from, "\xe0\x80\x80", "???");
    check(&g.from, "\xed\xa0\x80", "???");
    check(&g.from, "\xf4\x90\x80\x80", "????");
    check(&g.from,
          "\xe2\x82"
          "b",
          "?b");
    check(&g.from, "\xd0\xd0\x9f", "?\xf0");
    check(&g.from, "a\xe2\x82", "a?");
    wr_arena_fini(&g.a);
}

static void refuses_what_is_no_character(void **state)
{
    static const char *const bad[] = {
        "", "\x80", "\xc1\x80", "\xd0", "\xd0\x9f\x80", "\xe0\x80\x80", "\xed\xa0\x80", "ab"};
    struct rig g;

    (void)state;
    make(&g, true);
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        assert_int_equal(wr_recode_add_char(&g.a, &g.to, &g.from, 0x80, wr_str_z(bad[i])),
                         WR_EPROTO);
    }
    wr_arena_fini(&g.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_byte), cmocka_unit_test(utf8),
                                       cmocka_unit_test(refuses_what_is_no_character)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
