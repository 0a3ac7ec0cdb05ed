/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ssi_parse.c: pages split at every byte, commands by table, too long ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mod/ssi_parse.c"

static struct wr_arena arena;

static int set_up(void **state)
{
    (void)state;
    wr_arena_init(&arena, 16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wr_arena_fini(&arena);
    return 0;
}

/* Text as it is, commands in {}, too long ones as {!}. */
static void scan_piece(struct wr_ssi_scan *s, struct wr_strbuf *out, const char *p, size_t n)
{
    while (n > 0) {
        struct wr_str text = WR_STR_NULL;
        size_t used = 0;

        switch (wr_ssi_scan(s, p, n, &used, &text)) {
        case WR_SSI_MORE:
            assert_int_equal(used, n);
            break;
        case WR_SSI_TEXT:
            assert_true(text.len > 0);
            wr_strbuf_add_str(out, text);
            break;
        case WR_SSI_COMMAND:
            wr_strbuf_add_char(out, '{');
            wr_strbuf_add_str(out, wr_strbuf_str(&s->raw));
            wr_strbuf_add_char(out, '}');
            break;
        case WR_SSI_TOO_LONG:
            wr_strbuf_add_z(out, "{!}");
            break;
        }
        assert_true(used <= n);
        p += used;
        n -= used;
    }
}

static const struct {
    const char *page, *expected;
} scans[] = {
    {"plain",                                                        "plain"                       },
    {"",                                                             ""                            },
    {"<!--# x -->",                                                  "{ x }"                       },
    {"a<!--#x-->b<!--#y-->c",                                        "a{x}b{y}c"                   },
    {"<!-- c --><!--x--><<!<!-<!--",                                 "<!-- c --><!--x--><<!<!-<!--"},
    {"<<!--#x-->",                                                   "<{x}"                        },
    {"<!-<!--#x-->",                                                 "<!-{x}"                      },
    {"<!--<!--#x-->",                                                "<!--{x}"                     },
    {"<!--# a=\"-->\" -->t",                                         "{ a=\"-->\" }t"              },
    {"<!--# a=\"\\\"-->\" -->t",                                     "{ a=\"\\\"-->\" }t"          },
    {"<!--# a='\"-->' -->t",                                         "{ a='\"-->' }t"              },
    {"<!--# a = \"-->\" -->t",                                       "{ a = \"-->\" }t"            },
    {"<!--# it's -->t",                                              "{ it's }t"                   },
    {"<!--# a \"b --> c",                                            "{ a \"b } c"                 },
    {"<!--#--->t",                                                   "{-}t"                        },
    {"<!--#-->t",                                                    "{}t"                         },
    {"<!--#->-->t",                                                  "{->}t"                       },
    {"<!--# - - -->t",                                               "{ - - }t"                    },
    {"<!--# open",                                                   ""                            },
    {"<!--# a=\"open -->",                                           ""                            },
    {"<!--# 0123456789012345678901234567890123456789 -->t<!--#x-->", "{!}t{x}"                     },
    {"<!--# =\"0123456789012345678901234567890123456789--> -->t",    "{!} -->t"                    },
};

static void at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scans); i++) {
        const char *page = scans[i].page;
        size_t n = strlen(page);

        for (size_t cut = 0; cut <= n; cut++) {
            struct wr_ssi_scan s;
            struct wr_strbuf out;
            char room[256];

            wr_strbuf_init_fixed(&out, room, sizeof(room));
            wr_ssi_scan_init(&s, &arena, 40);
            scan_piece(&s, &out, page, cut);
            scan_piece(&s, &out, page + cut, n - cut);
            wr_strbuf_add_str(&out, wr_ssi_scan_end(&s));
            assert_int_equal(out.status, WR_OK);
            assert_string_equal(wr_strbuf_cstr(&out), scans[i].expected);
        }
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(scans); i++) {
        struct wr_ssi_scan s;
        struct wr_strbuf out;
        char room[256];

        wr_strbuf_init_fixed(&out, room, sizeof(room));
        wr_ssi_scan_init(&s, &arena, 40);
        for (const char *p = scans[i].page; *p != '\0'; p++) {
            scan_piece(&s, &out, p, 1);
        }
        assert_int_equal(wr_ssi_scan_is_open(&s), strstr(scans[i].page, "open") != NULL);
        wr_strbuf_add_str(&out, wr_ssi_scan_end(&s));
        assert_string_equal(wr_strbuf_cstr(&out), scans[i].expected);
    }
}

static const struct {
    const char *raw, *expected; /* name(param=value)...; or the beginning of the error */
    enum wr_status st;
} parses[] = {
    {" echo var=\"x\" ",                                                                       "echo(var=x)",                                WR_OK    },
    {"echo var='x' default=\"y z\"",                                                           "echo(var=x)(default=y z)",                   WR_OK    },
    {" else",                                                                                  "else",                                       WR_OK    },
    {"a b = \"\"",                                                                             "a(b=)",                                      WR_OK    },
    {"a b=\"\\\"\\'\\\\\\d\\$\"",                                                              "a(b=\"'\\\\d\\$)",                           WR_OK    },
    {"",                                                                                       "unexpected end",                             WR_EPROTO},
    {" ",                                                                                      "unexpected end",                             WR_EPROTO},
    {"#",                                                                                      "unexpected \"#\"",                           WR_EPROTO},
    {"echo=",                                                                                  "unexpected \"=\"",                           WR_EPROTO},
    {"echo x",                                                                                 "unexpected end after \"x\"",                 WR_EPROTO},
    {"echo x y=\"z\"",                                                                         "unexpected \"y\" symbol after \"x\"",        WR_EPROTO},
    {"echo x=",                                                                                "unexpected end before the value of \"x\"",   WR_EPROTO},
    {"echo x=y",                                                                               "unexpected \"y\" symbol before the value",   WR_EPROTO},
    {"echo x=\"y",                                                                             "unexpected end in the value of \"x\"",       WR_EPROTO},
    {"echo x=\"y\"z=\"1\"",                                                                    "unexpected \"z\" symbol after the value of", WR_EPROTO},
    {"echo \"y\"",                                                                             "unexpected \"\"\" symbol in",                WR_EPROTO},
    {"echo x=\"01234567890\"",                                                                 "too long \"01234567890...\" value of \"x\"", WR_ELIMIT},
    {"e a='' b='' c='' d='' e='' f='' g='' h='' i='' j='' k='' l='' m='' n='' o='' p='' q=''",
     "too many \"e\" command parameters",                                                                                                    WR_ELIMIT},
};

static void commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(parses); i++) {
        struct wr_ssi_command c;
        char raw[128], err_room[256], room[256];
        struct wr_strbuf err, out;
        size_t n = strlen(parses[i].raw);

        memcpy(raw, parses[i].raw, n);
        wr_strbuf_init_fixed(&err, err_room, sizeof(err_room));
        wr_strbuf_init_fixed(&out, room, sizeof(room));
        assert_int_equal(wr_ssi_parse(raw, n, 10, &c, &err), parses[i].st);
        if (parses[i].st != WR_OK) {
            assert_memory_equal(wr_strbuf_cstr(&err), parses[i].expected,
                                strlen(parses[i].expected));
            continue;
        }
        wr_strbuf_add_str(&out, c.name);
        for (uint32_t k = 0; k < c.cnt; k++) {
            wr_strbuf_printf(&out, "(%.*s=%.*s)", WR_STR_ARG(c.params[k].name),
                             WR_STR_ARG(c.params[k].value));
        }
        assert_string_equal(wr_strbuf_cstr(&out), parses[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(byte_by_byte, set_up, tear_down),
        cmocka_unit_test(commands),
    };

    return cmocka_run_group_tests_name("mod/ssi_parse", tests, NULL, NULL);
}
