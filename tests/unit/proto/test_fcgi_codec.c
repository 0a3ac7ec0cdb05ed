/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fcgi_codec.c: FastCGI records from a table, whole and cut at every byte and into single
 * bytes: the same bytes of output and of errors, the same end. What we write is read back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/fcgi_codec.h"

enum {
    TEXT_MAX = 1024
};

/* O: output, E: errors, C: output closed, N: ended, B: bad. */
struct told {
    char text[TEXT_MAX];
    size_t len;
    char last; /* pieces of one kind stand together */
    struct wr_fcgi_reader rd;
};

static void tell(struct told *t, char kind, struct wr_str data)
{
    if (t->last != kind || data.len == 0) {
        t->text[t->len++] = kind;
    }
    t->last = kind;
    assert_true(t->len + data.len + 1 < TEXT_MAX);
    memcpy(t->text + t->len, data.ptr, data.len);
    t->len += data.len;
    t->text[t->len] = '\0';
}

/* False: bad. */
static bool feed(struct told *t, const char *p, size_t n)
{
    size_t used;

    while (n > 0) {
        struct wr_str data = WR_STR("");
        enum wr_fcgi_event ev = wr_fcgi_read(&t->rd, p, n, &used, &data);

        assert_in_range(used, 1, n);
        if (data.len > 0) {
            assert_true(data.ptr >= p && data.ptr + data.len <= p + used);
        }
        p += used;
        n -= used;
        if (ev == WR_FCGI_MORE) {
            assert_int_equal(n, 0);
        } else {
            tell(t, "?OECNB"[ev], data);
        }
        if (ev == WR_FCGI_BAD) {
            return false;
        }
    }
    return true;
}

static const struct {
    const char *in;
    size_t len;
    const char *want;
    uint8_t bad;
    uint16_t value;
} rows[] = {

#define R(s, ...)                                                                                  \
    {                                                                                              \
        s, sizeof(s) - 1, __VA_ARGS__                                                              \
    }
    /* clang-format off */
    R("", "", 0, 0),
    R("\1\6\0\1\0\2\0\0ab", "Oab", 0, 0),
    R("\1\6\0\1\0\2\3\0ab\0\0\0\1\6\0\1\0\1\0\0c", "Oabc", 0, 0),
    R("\1\7\0\1\0\2\0\0ab\1\6\0\1\0\1\0\0c", "EabOc", 0, 0),
    R("\1\6\0\1\0\1\0\0a\1\6\0\1\0\0\0\0", "OaC", 0, 0),
    R("\1\6\0\1\0\1\0\0a\1\6\0\1\0\0\4\0\0\0\0\0\1\3\0\1\0\x08\0\0\0\0\0\5\0\0\0\0", "OaCN", 0, 0),
    R("\1\3\0\1\0\x08\2\0\0\0\0\0\0\0\0\0\0\0", "N", 0, 0),
    R("\1\7\0\1\0\0\0\0\1\7\0\1\0\0\5\0\0\0\0\0\0\1\6\0\1\0\1\0\0a", "Oa", 0, 0),
    R("\2\6\0\1\0\1\0\0a", "B", WR_FCGI_BAD_VERSION, 2),
    R("\1\x09\0\1\0\1\0\0a", "B", WR_FCGI_BAD_TYPE, 9),
    R("\1\5\0\1\0\1\0\0a", "B", WR_FCGI_BAD_TYPE, 5),
    R("\1\6\0\2\0\1\0\0a", "B", WR_FCGI_BAD_ID, 2),
    R("\1\6\1\1\0\1\0\0a", "B", WR_FCGI_BAD_ID, 257),
    R("\1\3\0\1\0\7\0\0\0\0\0\0\0\0\0", "B", WR_FCGI_BAD_LENGTH, 7),
    R("\1\6\0\1\0\1\0\0aHTTP/1.1", "OaB", WR_FCGI_BAD_VERSION, 'H'),
    /* clang-format on */
};

static void whole_and_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        for (size_t cut = 0; cut <= rows[i].len; cut++) {
            struct told t = {.len = 0};
            /* In a place of its own, so that a sanitizer sees a byte too far. */
            char *copy = wr_mem_alloc(rows[i].len + 1);

            memcpy(copy, rows[i].in, rows[i].len);
            wr_fcgi_reader_init(&t.rd);
            if (feed(&t, copy, cut)) {
                (void)feed(&t, copy + cut, rows[i].len - cut);
            }
            assert_string_equal(t.text, rows[i].want);
            assert_int_equal(t.rd.bad, rows[i].bad);
            assert_int_equal(t.rd.bad_value, rows[i].value);
            wr_mem_free(copy);
        }
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct told t = {.len = 0};

        for (size_t k = 0; k < rows[i].len && feed(&t, rows[i].in + k, 1); k++) {
        }
        assert_string_equal(t.text, rows[i].want);
    }
}

static void the_end_has_its_numbers(void **state)
{
    static const char in[] = "\1\3\0\1\0\x08\0\0\1\2\3\4\2\0\0\0";
    struct told t = {.len = 0};

    (void)state;
    assert_true(feed(&t, in, sizeof(in) - 1));
    assert_int_equal(t.rd.app_status, 0x01020304);
    assert_int_equal(t.rd.protocol_status, 2);
}

/* What came behind the head stays output, padding or not. */
static void unread_comes_again(void **state)
{
    static const char in[] = "\1\6\0\1\0\5\3\0abcde\0\0\0\1\6\0\1\0\0\0\0";

    (void)state;
    for (size_t back = 0; back <= 5; back++) {
        struct told t = {.len = 0};
        struct wr_str data;
        size_t used;

        assert_int_equal(wr_fcgi_read(&t.rd, in, 13, &used, &data), WR_FCGI_OUT);
        assert_int_equal(used, 13);
        wr_fcgi_unread(&t.rd, back);
        assert_true(feed(&t, in + 13 - back, sizeof(in) - 1 - 13 + back));
        assert_int_equal(t.len, back + 1 + (back > 0));
        assert_memory_equal(t.text + (back > 0), in + 13 - back, back);
        assert_int_equal(t.text[t.len - 1], 'C');
    }
}

static void texts(void **state)
{
    static const struct {
        enum wr_fcgi_bad bad;
        const char *want;
    } want[] = {
        {WR_FCGI_BAD_VERSION, "upstream sent unsupported FastCGI protocol version: 7"      },
        {WR_FCGI_BAD_TYPE,    "upstream sent invalid FastCGI record type: 7"               },
        {WR_FCGI_BAD_ID,      "upstream sent unexpected FastCGI request id: 7"             },
        {WR_FCGI_BAD_LENGTH,  "upstream sent invalid FastCGI end of request, its length: 7"},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(want); i++) {
        struct wr_fcgi_reader rd = {.bad = (uint8_t)want[i].bad, .bad_value = 7};
        struct wr_strbuf b;

        wr_strbuf_init(&b, 256);
        wr_fcgi_bad_text(&rd, &b);
        assert_string_equal(wr_strbuf_cstr(&b), want[i].want);
        wr_strbuf_fini(&b);
    }
}

static void written(void **state)
{
    static const char begin[] = "\1\1\0\1\0\x08\0\0\0\1\1\0\0\0\0\0";
    struct wr_strbuf b;
    char header[WR_FCGI_HEADER], *big;

    (void)state;
    wr_strbuf_init(&b, 1 << 20);
    wr_fcgi_add_begin(&b, true);
    assert_int_equal(b.len, sizeof(begin) - 1);
    assert_memory_equal(b.ptr, begin, b.len);
    wr_strbuf_reset(&b);
    wr_fcgi_add_pair(&b, WR_STR("A"), WR_STR("bc"));
    wr_fcgi_add_pair(&b, WR_STR(""), WR_STR(""));
    assert_int_equal(b.len, 7);
    assert_memory_equal(b.ptr, "\1\2Abc\0\0", 7);
    for (size_t n = 126; n < 130; n++) {
        big = wr_mem_alloc(n);
        memset(big, 'x', n);
        wr_strbuf_reset(&b);
        wr_fcgi_add_pair(&b, wr_str(big, n), wr_str(big, n));
        assert_int_equal(b.len, 2 * n + (n < 128 ? 2 : 8));
        assert_int_equal((unsigned char)b.ptr[0], n < 128 ? n : 0x80);
        assert_int_equal((unsigned char)b.ptr[n < 128 ? 1 : 7], n);
        wr_mem_free(big);
    }
    wr_strbuf_fini(&b);
    wr_fcgi_write_header(header, WR_FCGI_STDIN, WR_FCGI_CONTENT_MAX);
    assert_memory_equal(header, "\1\5\0\1\xff\xf8\0\0", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_and_in_pieces),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(the_end_has_its_numbers),
        cmocka_unit_test(unread_comes_again),
        cmocka_unit_test(texts),
        cmocka_unit_test(written),
    };

    return cmocka_run_group_tests_name("proto/fcgi_codec", tests, NULL, NULL);
}
