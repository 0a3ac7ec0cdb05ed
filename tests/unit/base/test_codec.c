/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_codec.c: vectors of RFC 4648, round trips, bad input that adds nothing, each escape against
 * its definition for all 256 bytes, and each allocation failing in turn.
 */
#include "unit/base/t.h"

#include <stdio.h>

#include "base/codec.h"

static void test_base64(void **state)
{
    static const char *const rows[][2] = {
        {"",         ""        },
        {"f",        "Zg=="    },
        {"fo",       "Zm8="    },
        {"foo",      "Zm9v"    },
        {"foob",     "Zm9vYg=="},
        {"fooba",    "Zm9vYmE="},
        {"foobar",   "Zm9vYmFy"},
        {"\xfb\xff", "+/8="    },
    };
    static const char *const more[][2] = {
        {"Zg",  "f"       },
        {"Zm8", "fo"      },
        {"-_8", "\xfb\xff"}
    };
    static const char *const bad[] = {
        "Z", "Zg=", "Zh==", "Zm9", "Zm9v=", "Zm9v====", "Z=g=", "Zm 9v", "Zm9vYmFy!", "=", "===="};
    struct wr_strbuf b;

    (void)state;
    wr_strbuf_init(&b, 1000);
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        wr_strbuf_reset(&b);
        wr_codec_base64(&b, wr_str_z(rows[i][0]));
        assert_str(wr_strbuf_str(&b), rows[i][1]);
        wr_strbuf_reset(&b);
        assert_int_equal(wr_codec_base64_decode(&b, wr_str_z(rows[i][1])), WR_OK);
        assert_str(wr_strbuf_str(&b), rows[i][0]);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(more); i++) {
        wr_strbuf_reset(&b);
        assert_int_equal(wr_codec_base64_decode(&b, wr_str_z(more[i][0])), WR_OK);
        assert_str(wr_strbuf_str(&b), more[i][1]);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        wr_strbuf_reset(&b);
        wr_strbuf_add_char(&b, 'x');
        assert_int_equal(wr_codec_base64_decode(&b, wr_str_z(bad[i])), WR_EPROTO);
        assert_str(wr_strbuf_str(&b), "x");
    }
    wr_strbuf_fini(&b);
}

static void test_hex_percent(void **state)
{
    static const char *const bad[] = {"%", "%1", "abc%", "%g0", "%0g", "%%41"};
    struct wr_strbuf b;

    (void)state;
    wr_strbuf_init(&b, 20);
    wr_codec_hex(&b, wr_str("\x00\xff"
                            "a",
                            3));
    assert_str(wr_strbuf_str(&b), "00ff61");
    wr_strbuf_reset(&b);
    assert_int_equal(wr_codec_percent_decode(&b, WR_STR("a%2Fb%2f+%41")), WR_OK);
    assert_str(wr_strbuf_str(&b), "a/b/+A");
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        wr_strbuf_reset(&b);
        assert_int_equal(wr_codec_percent_decode(&b, wr_str_z(bad[i])), WR_EPROTO);
        assert_int_equal(b.len, 0);
    }
    assert_int_equal(wr_codec_percent_decode(&b, WR_STR("123456789012345678901")), WR_ELIMIT);
    wr_strbuf_reset(&b);
    assert_int_equal(wr_codec_base64_decode(&b, WR_STR("Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy")),
                     WR_ELIMIT);
    wr_strbuf_fini(&b);
}

/* What one byte must become. long: one case for each escape */
static void expect(char *out, size_t size, unsigned c, enum wr_escape how)
{
    bool ctl = c < 32 || c == 127;
    const char *set[] = {[WR_ESCAPE_URI] = " \"%?#", [WR_ESCAPE_ARGS] = " \"#%&+;?"};

    (void)snprintf(out, size, "%c", (int)c);
    if (how == WR_ESCAPE_URI || how == WR_ESCAPE_ARGS) {
        if (ctl || c > 127 || strchr(set[how], (int)c) != NULL) {
            (void)snprintf(out, size, "%%%02X", c);
        }
    } else if (how == WR_ESCAPE_HTML) {
        const char *name = c == '<'   ? "&lt;"
                           : c == '>' ? "&gt;"
                           : c == '&' ? "&amp;"
                           : c == '"' ? "&quot;"
                                      : NULL;
        if (name != NULL) {
            (void)snprintf(out, size, "%s", name);
        }
    } else if (how == WR_ESCAPE_LOG && (c < 32 || c > 126 || c == '"' || c == '\\')) {
        (void)snprintf(out, size, "\\x%02X", c);
    } else if (how == WR_ESCAPE_ERRLOG && ctl) {
        (void)snprintf(out, size, "\\x%02X", c);
    } else if (how == WR_ESCAPE_JSON && (c < 32 || c == '"' || c == '\\')) {
        const char *at = c == 0 ? NULL : strchr("\"\"\\\\\nn\rr\tt\bb\ff", (int)c);

        (void)snprintf(out, size, at == NULL ? "\\u%04X" : "\\%c",
                       at == NULL ? c : (unsigned)at[1]);
    }
}

static void test_escape(void **state)
{
    struct wr_strbuf b;

    (void)state;
    wr_strbuf_init(&b, 100);
    for (int how = WR_ESCAPE_URI; how <= WR_ESCAPE_ERRLOG; how++) {
        for (unsigned c = 0; c < 256; c++) {
            char in[3] = {'a', (char)c, 'b'};
            char one[16] = {0}, want[20];

            expect(one, sizeof(one), c, (enum wr_escape)how);
            (void)snprintf(want, sizeof(want), "a%sb", one);
            wr_strbuf_reset(&b);
            wr_codec_escape(&b, wr_str(in, 3), (enum wr_escape)how);
            if (one[0] == '\0') { /* NUL for itself */
                assert_int_equal(b.len, 3);
                continue;
            }
            assert_str(wr_strbuf_str(&b), want);
        }
    }
    wr_strbuf_fini(&b);
}

static void test_faults(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct wr_strbuf b;
        char in[200];

        memset(in, '"', sizeof(in));
        wr_strbuf_init(&b, 100000);
        wr_mem_fault_set(n);
        wr_codec_escape(&b, wr_str(in, sizeof(in)), WR_ESCAPE_LOG);
        assert_int_equal(b.status, WR_ENOMEM);
        wr_mem_fault_set(0);
        wr_strbuf_fini(&b);
        wr_strbuf_init(&b, 100000);
        wr_mem_fault_set(1);
        assert_int_equal(wr_codec_base64_decode(&b, WR_STR("Zm9v")), WR_ENOMEM);
        wr_mem_fault_set(1);
        wr_strbuf_reset(&b);
        assert_int_equal(wr_codec_percent_decode(&b, WR_STR("Zm9v")), WR_ENOMEM);
        wr_mem_fault_set(0);
        wr_strbuf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_hex_percent),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
