/* SPDX-License-Identifier: Apache-2.0 */
/* test_regex.c: the door to PCRE2. */
#include "req_kit.h"

static struct wr_arena arena;

static struct wr_regex *make(const char *pattern, unsigned flags)
{
    struct wr_regex *re = NULL;
    struct wr_str err = WR_STR_NULL;

    assert_int_equal(wr_regex_new(&arena, wr_str_z(pattern), flags, &re, &err), WR_OK);
    return re;
}

static void matches(void **state)
{
    static const struct {
        const char *pattern;
        unsigned flags;
        const char *text;
        enum wr_status want;
        const char *one; /* $1 */
    } cases[] = {
        {"^/a",           WR_REGEX_CASE,  "/abc",    WR_OK,  ""   },
        {"^/a",           WR_REGEX_CASE,  "/Abc",    WR_EOF, ""   },
        {"^/a",           WR_REGEX_ICASE, "/Abc",    WR_OK,  ""   },
        {"\\.(gif|jpg)$", WR_REGEX_CASE,  "/x.jpg",  WR_OK,  "jpg"},
        {"\\.(gif|jpg)$", WR_REGEX_CASE,  "/x.jpgx", WR_EOF, ""   },
        {"(a)?b",         WR_REGEX_CASE,  "b",       WR_OK,  ""   },
        {"()",            WR_REGEX_CASE,  "",        WR_OK,  ""   },
        {"(?<n>\\d+)",    WR_REGEX_CASE,  "a42b",    WR_OK,  "42" },
        {"^$",            WR_REGEX_CASE,  "",        WR_OK,  ""   },
        {"x",             WR_REGEX_CASE,  "",        WR_EOF, ""   },
        {"\\xff",         WR_REGEX_CASE,  "\xff",    WR_OK,  ""   },
    };

    (void)state;
    wr_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_regex *re = make(cases[i].pattern, cases[i].flags);
        struct wr_str caps[WR_REGEX_CAPTURES];
        uint32_t cnt = 0;

        assert_int_equal(wr_regex_exec(re, wr_str_z(cases[i].text), caps, WR_REGEX_CAPTURES, &cnt),
                         cases[i].want);
        if (cases[i].want == WR_OK) {
            assert_true(wr_str_eq_z(caps[1], cases[i].one));
            assert_int_equal(cnt, wr_regex_group_cnt(re) + 1);
        }
    }
    wr_arena_fini(&arena);
}

static void says_what_is_wrong(void **state)
{
    static const char *const cases[][2] = {
        {"(",              "pcre2_compile() failed: missing closing parenthesis in \"(\""               },
        {"[a",             "pcre2_compile() failed: missing terminating ] for character class in \"[a\""},
        {"(?<x>a)(?<x>b)",
         "pcre2_compile() failed: two named subpatterns have the same name (PCRE2_DUPNAMES not set) in "
         "\"(?<x>a)(?<x>b)\" at \"b)\""                                                                 },
    };

    (void)state;
    wr_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_regex *re = NULL;
        struct wr_str err = WR_STR_NULL;

        assert_int_equal(wr_regex_new(&arena, wr_str_z(cases[i][0]), 0, &re, &err), WR_ECONFIG);
        assert_true(wr_str_eq_z(err, cases[i][1]));
    }
    wr_arena_fini(&arena);
}

/* An expression that would search for hours ends at the limit. */
static void is_bounded(void **state)
{
    struct wr_str caps[1];
    uint32_t cnt;
    char text[64];

    (void)state;
    wr_arena_init(&arena, 1 << 20);
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '!';
    assert_int_equal(wr_regex_exec(make("^(a+)+$", 0), wr_str(text, sizeof(text)), caps, 1, &cnt),
                     WR_ELIMIT);
    wr_arena_fini(&arena);
}

static void many_groups(void **state)
{
    struct wr_str caps[WR_REGEX_CAPTURES];
    char pattern[1024] = "";
    uint32_t cnt = 0;

    (void)state;
    wr_arena_init(&arena, 1 << 20);
    for (int i = 0; i < 100; i++) {
        memcpy(pattern + 3 * i, "(a)", 4);
    }
    assert_int_equal(
        wr_regex_exec(
            make(pattern, 0),
            wr_str_z(
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            caps, WR_REGEX_CAPTURES, &cnt),
        WR_OK);
    assert_int_equal(cnt, WR_REGEX_CAPTURES);
    assert_true(wr_str_eq_z(caps[9], "a"));
    wr_arena_fini(&arena);
}

static void named_groups_are_variables(void **state)
{
    struct kit k;

    (void)state;
    kit_start(
        &k,
        "http { server { listen 127.0.0.1:1; location ~ ^/(?<first>[a-z]+)/(\\d+)(?<last>x)?$ { say \"$first-$2-$last-$1\"; }"
        "location / { say \"no $first\"; } } }");
    assert_string_equal(kit_body(kit_get(&k, "/bob/42")), "bob-42--bob");
    assert_string_equal(kit_body(kit_get(&k, "/bob/42x")), "bob-42-x-bob");
    assert_string_equal(kit_body(kit_get(&k, "/Bob")), "no ");
    kit_stop(&k);
}

/* Thousands of servers have the same few expressions: each is compiled once a generation. */
static void same_text_is_compiled_once(void **state)
{
    char out[1024];
    struct wr_gen *g =
        kit_load("http { server { location ~ \\.php$ { } location ~* \\.php$ { } } server { "
                 "location ~ \\.php$ { } location ~ \\.(?<x>py)$ { } } server { location ~ "
                 "\\.(?<x>py)$ { } } }",
                 out, sizeof(out));
    const struct wr_server *v;

    (void)state;
    assert_non_null(g);
    v = wr_http_of(g)->servers;
    assert_ptr_equal(v[0].locations->regexes[0]->re, v[1].locations->regexes[0]->re);
    assert_ptr_not_equal(v[0].locations->regexes[0]->re, v[0].locations->regexes[1]->re);
    assert_ptr_not_equal(v[1].locations->regexes[0]->re, v[1].locations->regexes[1]->re);
    assert_ptr_equal(v[1].locations->regexes[1]->re, v[2].locations->regexes[0]->re);
    wr_gen_unref(g);
}

static void memory_runs_out(void **state)
{
    struct wr_regex *re = NULL;
    struct wr_str caps[1], err;
    uint32_t cnt;

    (void)state;
    wr_regex_thread_fini();
    for (uint64_t n = 1; n < 30; n++) {
        enum wr_status st;

        wr_arena_init(&arena, 1 << 20);
        wr_mem_fault_set(n);
        st = wr_regex_new(&arena, WR_STR("^a(b)"), 0, &re, &err);
        if (st == WR_OK) {
            st = wr_regex_exec(re, WR_STR("ab"), caps, 1, &cnt);
        }
        wr_mem_fault_set(0);
        assert_true(st == WR_OK || st == WR_ENOMEM || st == WR_ECONFIG);
        wr_arena_fini(&arena);
    }
    wr_regex_thread_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(named_groups_are_variables),
        cmocka_unit_test(same_text_is_compiled_once),
        cmocka_unit_test(memory_runs_out),
    };
    int failed;

    kit_boot();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_end();
    return failed;
}
