/* SPDX-License-Identifier: Apache-2.0 */
/* test_lex.c: every form of token, positions, and the errors. */
#include "conf/lex.h"

#include "base/strbuf.h"

#include "t.h"

/* Tokens are written as [text] (quoted ones "text"), ; { } and $ for the end, ! err for an error.
 */
static const struct {
    const char *name, *in, *out;
} cases[] = {
    {"empty",                "",                        "$"                         },
    {"blanks",               " \t\r\n \n",              "$"                         },
    {"words",                "a b\tc\rd\ne;",           "[a][b][c][d][e];$"         },
    {"no blanks",            "a;b{c}",                  "[a];[b]{[c}]$"             },
    {"close",                "a{b;}",                   "[a]{[b];}$"                },
    {"comment",              "#x;\na #b\n;# z",         "[a];$"                     },
    {"comment at end",       "a;#",                     "[a];$"                     },
    {"hash inside",          "a#b c;",                  "[a#b][c];$"                },
    {"quote inside",         "a'b c\"d;",               "[a'b][c\"d];$"             },
    {"double",               "\"a b\";",                "\"a b\";$"                 },
    {"single",               "'a b';",                  "\"a b\";$"                 },
    {"empty quotes",         "a \"\" '';",              "[a]\"\"\"\";$"             },
    {"quote in quotes",      "\"a'b\" 'c\"d';",         "\"a'b\"\"c\"d\";$"         },
    {"hash in quotes",       "'#a' \"b;{}\";",          "\"#a\"\"b;{}\";$"          },
    {"newline in quotes",    "'a\nb';",                 "\"a\nb\";$"                },
    {"escaped quote",        "\"a\\\"b\";",             "\"a\"b\";$"                },
    {"other quote",          "\"a\\'b\";",              "\"a'b\";$"                 },
    {"backslash",            "\"a\\\\b\" c\\\\d;",      "\"a\\b\"[c\\d];$"          },
    {"controls",             "\"\\t\\r\\n\";",          "\"\t\r\n\";$"              },
    {"bare controls",        "a\\tb;",                  "[a\tb];$"                  },
    {"kept",                 "\\.php$ \"\\.\\d\" \\$;", "[\\.php$]\"\\.\\d\"[\\$];$"},
    {"escaped end",          "a\\;b\\{c\\ d;",          "[a\\;b\\{c\\ d];$"         },
    {"escaped newline",      "a\\\nb;",                 "[a\\\nb];$"                },
    {"backslash at end",     "a\\",                     "[a\\]$"                    },
    {"variable",             "${a}b {",                 "[${a}b]{$"                 },
    {"variable inside",      "a${b}c$d;",               "[a${b}c$d];$"              },
    {"only the first brace", "${x{y;",                  "[${x]{[y];$"               },
    {"dollar blank",         "$ {",                     "[$]{$"                     },
    {"paren behind quote",   "(a = \"b\"){",            "[(a][=]\"b\"[)]{$"         },
    {"quote then semicolon", "'a';'b'{",                "\"a\";\"b\"{$"             },
    {"high bytes",           "\xc3\xa4 \xff;",          "[\xc3\xa4][\xff];$"        },
    {"bom",                  "\xef\xbb\xbfx;",          "[\xef\xbb\xbfx];$"         },
    {"open quote",           "a \"b",                   "[a]$"                      },
    {"open quote escape",    "a 'b\\'",                 "[a]$"                      },
    {"behind quote",         "'a'b",                    "! unexpected \"b\" 1:4"    },
    {"behind quote brace",   "a \"b\"}",                "[a]! unexpected \"}\" 1:6" },
    {"behind quote quote",   "\n 'a''b'",               "! unexpected \"'\" 2:5"    },
};

static void show(struct wr_strbuf *b, const struct wr_token *k)
{
    switch (k->kind) {
    case WR_TOKEN_WORD:
        wr_strbuf_printf(b, k->is_quoted ? "\"%.*s\"" : "[%.*s]", WR_STR_ARG(k->text));
        break;
    case WR_TOKEN_SEMI:
        wr_strbuf_add_char(b, ';');
        break;
    case WR_TOKEN_OPEN:
        wr_strbuf_add_char(b, '{');
        break;
    case WR_TOKEN_CLOSE:
        wr_strbuf_add_char(b, '}');
        break;
    case WR_TOKEN_END:
        wr_strbuf_add_char(b, '$');
        break;
    }
}

static void run(struct wr_arena *a, struct wr_str in, struct wr_strbuf *b)
{
    struct wr_lex l;
    struct wr_token k = {.kind = WR_TOKEN_SEMI};

    wr_lex_init(&l, a, in);
    while (k.kind != WR_TOKEN_END) {
        if (wr_lex_next(&l, &k) != WR_OK) {
            wr_strbuf_printf(b, "! %.*s %u:%u", WR_STR_ARG(l.err), l.err_line, l.err_column);
            return;
        }
        show(b, &k);
    }
}

static void test_tokens(void **state)
{
    char room[512];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_arena a;
        struct wr_strbuf b;

        wr_arena_init(&a, 1 << 20);
        wr_strbuf_init_fixed(&b, room, sizeof(room));
        run(&a, wr_str_z(cases[i].in), &b);
        if (!wr_str_eq_z(wr_strbuf_str(&b), cases[i].out)) {
            fail_msg("%s: got %s want %s", cases[i].name, wr_strbuf_cstr(&b), cases[i].out);
        }
        wr_arena_fini(&a);
    }
}

static void test_nul(void **state)
{
    static const char *const ins[] = {"a\0b;", "\0;xx", "'a\0';", "'aa'\0", "a\\\0;"};
    char room[512];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(ins); i++) {
        struct wr_arena a;
        struct wr_strbuf b;

        wr_arena_init(&a, 1 << 20);
        wr_strbuf_init_fixed(&b, room, sizeof(room));
        run(&a, wr_str(ins[i], 5), &b);
        assert_true(wr_str_find_str(wr_strbuf_str(&b), WR_STR("! unexpected NUL byte 1:")) < b.len);
        wr_arena_fini(&a);
    }
}

static void test_positions(void **state)
{
    struct wr_arena a;
    struct wr_lex l;
    struct wr_token k;
    /* kind, line, column, span */
    static const uint32_t want[][4] = {
        {WR_TOKEN_WORD,  1, 1, 2},
        {WR_TOKEN_WORD,  1, 4, 3},
        {WR_TOKEN_OPEN,  1, 8, 1},
        {WR_TOKEN_WORD,  2, 3, 3},
        {WR_TOKEN_WORD,  4, 2, 1},
        {WR_TOKEN_SEMI,  4, 3, 1},
        {WR_TOKEN_CLOSE, 5, 1, 1},
        {WR_TOKEN_END,   6, 1, 1},
    };

    (void)state;
    wr_arena_init(&a, 1 << 20);
    wr_lex_init(&l, &a, WR_STR("ab 'c' {\n  \"de\nf\"\n x;\n}\n"));
    for (size_t i = 0; i < WR_ARRAY_LEN(want); i++) {
        assert_int_equal(wr_lex_next(&l, &k), WR_OK);
        assert_int_equal(k.kind, want[i][0]);
        assert_int_equal(k.line, want[i][1]);
        assert_int_equal(k.column, want[i][2]);
        assert_int_equal(k.span, want[i][3]);
    }
    assert_int_equal(wr_lex_next(&l, &k), WR_OK);
    assert_int_equal(k.kind, WR_TOKEN_END);
    wr_lex_init(&l, &a, WR_STR("a\n 'b\n\n"));
    assert_int_equal(wr_lex_next(&l, &k), WR_OK);
    assert_int_equal(wr_lex_next(&l, &k), WR_OK);
    assert_int_equal(k.kind, WR_TOKEN_END);
    assert_int_equal(l.open_quote_line, 2);
    assert_int_equal(l.line, 4);
    wr_arena_fini(&a);
}

static void test_word_limit(void **state)
{
    static char big[WR_LEX_WORD_MAX + 8];
    struct wr_arena a;
    struct wr_lex l;
    struct wr_token k;

    (void)state;
    memset(big, 'x', sizeof(big));
    wr_arena_init(&a, 1 << 20);
    wr_lex_init(&l, &a, wr_str(big, WR_LEX_WORD_MAX));
    assert_int_equal(wr_lex_next(&l, &k), WR_OK);
    assert_int_equal(k.text.len, WR_LEX_WORD_MAX);
    wr_lex_init(&l, &a, wr_str(big, WR_LEX_WORD_MAX + 1));
    assert_int_equal(wr_lex_next(&l, &k), WR_ECONFIG);
    assert_text(l.err, "too long parameter \"xxxxxxxxxx...\" started");
    big[0] = '"';
    wr_lex_init(&l, &a, wr_str(big, WR_LEX_WORD_MAX + 2));
    assert_int_equal(wr_lex_next(&l, &k), WR_ECONFIG);
    assert_text(l.err, "too long parameter, probably missing terminating \"\"\" character");
    wr_arena_fini(&a);
}

/* A word with a backslash needs memory; when there is none the lexer says so. */
static void test_no_memory(void **state)
{
    struct wr_arena a;
    struct wr_lex l;
    struct wr_token k;

    (void)state;
    wr_arena_init(&a, 0);
    wr_lex_init(&l, &a, WR_STR("a\\tb;"));
    assert_int_equal(wr_lex_next(&l, &k), WR_ENOMEM);
    wr_lex_init(&l, &a, WR_STR("'a'b"));
    assert_int_equal(wr_lex_next(&l, &k), WR_ENOMEM);
    wr_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),    cmocka_unit_test(test_nul),
        cmocka_unit_test(test_positions), cmocka_unit_test(test_word_limit),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
