/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h1_chunk.c: chunked bodies from a table, whole, with bytes behind them, and cut at every
 * byte: same data, same trailers, same end. Bounds are tried at and above.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/h1_chunk.h"

enum {
    TEXT_MAX = 4096
};

struct body_case {
    const char *in;
    size_t len;
    enum wr_h1_chunk_result res;
    const char *want; /* data, then [trailers] */
};

#define GOOD(in, want)                                                                             \
    {                                                                                              \
        in, sizeof(in) - 1, WR_H1_CHUNK_DONE, want                                                 \
    }
#define MORE(in, want)                                                                             \
    {                                                                                              \
        in, sizeof(in) - 1, WR_H1_CHUNK_MORE, want                                                 \
    }
#define BAD(in)                                                                                    \
    {                                                                                              \
        in, sizeof(in) - 1, WR_H1_CHUNK_BAD, NULL                                                  \
    }
#define LAST "0\r\n\r\n"

static const struct body_case cases[] = {
    GOOD(LAST, "[]"),
    GOOD("5\r\nhello\r\n" LAST, "hello[]"),
    GOOD("5\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n" LAST, "hello 0123456789[]"),
    GOOD("00000000000005\r\nhello\r\n" LAST, "hello[]"),
    GOOD("0000000000000000\r\n\r\n", "[]"),
    GOOD("2\r\n\r\n\r\n" LAST, "\r\n[]"),
    GOOD("1;a\r\nx\r\n" LAST, "x[]"),
    GOOD("1;a=b\r\nx\r\n0;c\r\n\r\n", "x[]"),
    GOOD("1;a=b;c=d;e\r\nx\r\n" LAST, "x[]"),
    GOOD("1 \t; a = b ; c\r\nx\r\n" LAST, "x[]"),
    GOOD("1;a=\"q;\\\"\\\\ \t\xff\"\r\nx\r\n" LAST, "x[]"),
    GOOD("1;a=\"\"\r\nx\r\n" LAST, "x[]"),
    GOOD("1;a=\"b\" ;c\r\nx\r\n" LAST, "x[]"),
    GOOD("0\r\nX-A: 1\r\nDigest:\t2 \r\n\r\n", "[X-A=1|Digest=2]"),
    GOOD("0\r\nX:\r\n\r\n", "[X=]"),
    GOOD("0\r\nETag: \"x\"\r\nServer-Timing: a:b\r\n\r\n", "[ETag=\"x\"|Server-Timing=a:b]"),
    GOOD("0\r\nContent-Length: 5\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "[X=1]"),
    GOOD("0\r\nhost: b\r\nAUTHORIZATION: x\r\nset-cookie: a=b\r\nCookie: c\r\n\r\n", "[]"),
    GOOD("0\r\nTrailer: x\r\nTE: x\r\nContent-Type: x\r\nContent-Encoding: x\r\n\r\n", "[]"),
    GOOD("0\r\nX-Accel-Redirect: /x\r\nX-Forwarded-For: 1\r\nConnection: x\r\n\r\n", "[]"),
    GOOD("0\r\nproxy-authorization: x\r\nMAX-FORWARDS: 1\r\nX-Forwarded-Proto: h\r\n\r\n", "[]"),
    MORE("", "[]"),
    MORE("5", "[]"),
    MORE("5\r", "[]"),
    MORE("5\r\n", "[]"),
    MORE("5\r\nhel", "hel[]"),
    MORE("5\r\nhello", "hello[]"),
    MORE("5\r\nhello\r", "hello[]"),
    MORE("5\r\nhello\r\n", "hello[]"),
    MORE("0\r\n", "[]"),
    MORE("0\r\n\r", "[]"),
    MORE("0\r\nX: 1\r\n", "[]"),
    MORE("7fffffffffffffff\r\nx", "x[]"),
    BAD("\r\n"),
    BAD("\n"),
    BAD(" 5\r\nhello\r\n"),
    BAD(";a\r\n"),
    BAD("+5\r\nhello\r\n"),
    BAD("-5\r\nhello\r\n"),
    BAD("0x5\r\nhello\r\n"),
    BAD("5h\r\n"),
    BAD("g\r\n"),
    BAD("5 5\r\n"),
    BAD("5,5\r\n"),
    BAD("5\n"),
    BAD("5\nhello\r\n" LAST),
    BAD("5\rhello\r\n" LAST),
    BAD("5\r\r\n"),
    BAD("5 \r\nhello\r\n"),
    BAD("5\t\r\nhello\r\n"),
    BAD("5\0\r\nhello\r\n"),
    BAD("5\r\nhelloX\r\n"),
    BAD("5\r\nhello\n"),
    BAD("5\r\nhello\r\r\n"),
    BAD("5\r\nhello0\r\n\r\n"),
    BAD("8000000000000000\r\n"),
    BAD("ffffffffffffffff\r\n"),
    BAD("10000000000000000\r\n"),
    BAD("00000000000000001\r\n"),
    BAD("00000000000000000\r\n\r\n"),
    BAD("1\r\nx\r\n7fffffffffffffff\r\n"),
    BAD("1;\r\nx\r\n"),
    BAD("1;;a\r\nx\r\n"),
    BAD("1;=b\r\nx\r\n"),
    BAD("1;a=\r\nx\r\n"),
    BAD("1;a=b c\r\nx\r\n"),
    BAD("1;a b\r\nx\r\n"),
    BAD("1;a \r\nx\r\n"),
    BAD("1;a=b \r\nx\r\n"),
    BAD("1;a=\"b\r\nx\r\n"),
    BAD("1;a=\"b\\\r\nx\r\n"),
    BAD("1;a=\"b\"c\r\nx\r\n"),
    BAD("1;a=b\"c\"\r\nx\r\n"),
    BAD("1;a=\"\x01\"\r\nx\r\n"),
    BAD("1;a=\"\n\"\r\nx\r\n"),
    BAD("1;a\nx\r\n"),
    BAD("1;a\0b\r\n"),
    BAD("0\n\r\n"),
    BAD("0\r\n\n"),
    BAD("0\r\n\rX"),
    BAD("0\r\nX: 1\n\r\n"),
    BAD("0\r\nX: 1\rY: 2\r\n\r\n"),
    BAD("0\r\nX : 1\r\n\r\n"),
    BAD("0\r\n: 1\r\n\r\n"),
    BAD("0\r\nX\r\n\r\n"),
    BAD("0\r\n X: 1\r\n\r\n"),
    BAD("0\r\nX: 1\r\n 2\r\n\r\n"),
    BAD("0\r\nX: a\0b\r\n\r\n"),
    BAD("0\r\nX(: 1\r\n\r\n"),
    BAD("0\r\n5\r\nhello\r\n"),
};

struct outcome {
    enum wr_h1_chunk_result res;
    size_t used;
    char text[TEXT_MAX];
    size_t text_len;
};

static void add(struct outcome *o, const char *p, size_t n)
{
    assert_true(o->text_len + n < TEXT_MAX);
    memcpy(o->text + o->text_len, p, n);
    o->text_len += n;
    o->text[o->text_len] = '\0';
}

/* All of one piece. */
static enum wr_h1_chunk_result feed(struct wr_h1_chunk_decoder *d, const char *in, size_t n,
                                    struct outcome *o)
{
    char *piece = wr_mem_alloc(n == 0 ? 1 : n);
    enum wr_h1_chunk_result res;
    size_t off = 0;

    memcpy(piece, in, n);
    do {
        size_t used, len;
        const char *data;
        res = wr_h1_chunk_decode(d, piece + off, n - off, &used, &data, &len);
        assert_true(used <= n - off);
        assert_true((res == WR_H1_CHUNK_DATA) == (len > 0));
        if (res == WR_H1_CHUNK_DATA) {
            assert_true(data >= piece + off && data + len == piece + off + used);
            add(o, data, len);
        }
        off += used;
    } while (res == WR_H1_CHUNK_DATA);
    assert_true(res != WR_H1_CHUNK_MORE || off == n);
    wr_mem_free(piece);
    o->used += off;
    return res;
}

/* In pieces of step bytes after a first one of `first`. */
static void run(const struct body_case *c, const char *in, size_t len, size_t first, size_t step,
                struct outcome *o)
{
    struct wr_arena a;
    struct wr_hdrs h;
    struct wr_h1_chunk_decoder d;

    (void)c;
    *o = (struct outcome){.res = WR_H1_CHUNK_MORE};
    wr_arena_init(&a, 1 << 20);
    wr_hdrs_init(&h, &a, 10);
    wr_h1_chunk_init(&d, &h);
    for (size_t off = 0; off < len && o->res == WR_H1_CHUNK_MORE;) {
        size_t n = off == 0 && first > 0 ? first : step;
        n = WR_MIN(n, len - off);
        uint64_t wants = wr_h1_chunk_wants(&d);
        o->res = feed(&d, in + off, n, o);
        off += n;
        assert_true(o->res != WR_H1_CHUNK_DONE || n >= wants);
        assert_true(o->res != WR_H1_CHUNK_MORE || wr_h1_chunk_wants(&d) > 0);
    }
    add(o, "[", 1);
    for (uint32_t i = 0; i < h.cnt && o->res == WR_H1_CHUNK_DONE; i++) {
        add(o, "|", i > 0);
        add(o, h.at[i].name.ptr, h.at[i].name.len);
        add(o, "=", 1);
        add(o, h.at[i].value.ptr, h.at[i].value.len);
    }
    add(o, "]", 1);
    if (o->res == WR_H1_CHUNK_DONE) {
        size_t used, dlen;
        const char *data;
        assert_int_equal(wr_h1_chunk_wants(&d), 0);
        assert_int_equal(wr_h1_chunk_decode(&d, "5\r\n", 3, &used, &data, &dlen), WR_H1_CHUNK_DONE);
        assert_int_equal(used, 0);
    }
    wr_arena_fini(&a);
}

static void test_bodies(void **state)
{
    (void)state;
    static struct outcome whole, cut;

    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const struct body_case *c = &cases[i];
        print_message("%zu: %.30s\n", i, c->in);
        run(c, c->in, c->len, 0, c->len, &whole);
        assert_int_equal(whole.res, c->res);
        if (c->want != NULL) {
            assert_string_equal(whole.text, c->want);
        }
        for (size_t k = 1; k <= c->len; k++) {
            run(c, c->in, c->len, k, c->len, &cut);
            assert_int_equal(cut.res, whole.res);
            assert_int_equal(cut.used, whole.used);
            assert_string_equal(cut.text, whole.text);
        }
        run(c, c->in, c->len, 0, 1, &cut);
        assert_int_equal(cut.res, whole.res);
        assert_string_equal(cut.text, whole.text);
        if (c->res == WR_H1_CHUNK_DONE) {
            char more[256];
            memcpy(more, c->in, c->len);
            memcpy(more + c->len, "0\r\n\r\nGET", 8);
            run(c, more, c->len + 8, 0, c->len + 8, &cut);
            assert_int_equal(cut.res, WR_H1_CHUNK_DONE);
            assert_int_equal(cut.used, c->len);
            assert_string_equal(cut.text, whole.text);
        }
    }
}

/* Feeds head, then n times part, then tail; the last result. */
static enum wr_h1_chunk_result repeat(struct wr_hdrs *h, const char *head, const char *part,
                                      size_t n, const char *tail)
{
    static struct outcome o;
    struct wr_h1_chunk_decoder d;

    o = (struct outcome){0};
    wr_h1_chunk_init(&d, h);
    enum wr_h1_chunk_result res = feed(&d, head, strlen(head), &o);
    for (size_t i = 0; i < n && res == WR_H1_CHUNK_MORE; i++) {
        res = feed(&d, part, strlen(part), &o);
    }
    return res == WR_H1_CHUNK_MORE ? feed(&d, tail, strlen(tail), &o) : res;
}

static void test_bounds(void **state)
{
    (void)state;
    /* ';' and the name count. */
    assert_int_equal(repeat(NULL, "1;", "a", WR_H1_CHUNK_EXT_MAX - 1, "\r\nx\r\n" LAST),
                     WR_H1_CHUNK_DONE);
    assert_int_equal(repeat(NULL, "1;", "a", WR_H1_CHUNK_EXT_MAX, "\r\nx\r\n" LAST),
                     WR_H1_CHUNK_BAD);
    /* Over all chunks together. */
    assert_int_equal(repeat(NULL, "", "1;abcdefg\r\nx\r\n", WR_H1_CHUNK_EXT_MAX / 8, LAST),
                     WR_H1_CHUNK_DONE);
    assert_int_equal(
        repeat(NULL, "", "1;abcdefg\r\nx\r\n", WR_H1_CHUNK_EXT_MAX / 8, "1;a\r\nx\r\n" LAST),
        WR_H1_CHUNK_BAD);
    assert_int_equal(repeat(NULL, "0\r\n", "X: 56\r\n\0", WR_H1_CHUNK_TRAILER_MAX / 7, "\r\n"),
                     WR_H1_CHUNK_DONE);
    assert_int_equal(repeat(NULL, "0\r\n", "X: 56\r\n\0", WR_H1_CHUNK_TRAILER_MAX / 7 + 1, "\r\n"),
                     WR_H1_CHUNK_BAD);
    /* More fields than the list takes. */
    struct wr_arena a;
    struct wr_hdrs h;
    wr_arena_init(&a, 1 << 20);
    wr_hdrs_init(&h, &a, 10);
    assert_int_equal(repeat(&h, "0\r\n", "X: 1\r\n", 10, "\r\n"), WR_H1_CHUNK_DONE);
    assert_int_equal(h.cnt, 10);
    wr_hdrs_init(&h, &a, 10);
    assert_int_equal(repeat(&h, "0\r\n", "X: 1\r\n", 11, "\r\n"), WR_H1_CHUNK_BAD);
    wr_arena_fini(&a);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct wr_arena a;
        struct wr_hdrs h;
        wr_arena_init(&a, 1 << 20);
        wr_hdrs_init(&h, &a, 10);
        wr_mem_fault_set(n);
        enum wr_h1_chunk_result res = repeat(&h, "1\r\nx\r\n0\r\n", "X: 1\r\n", 3, "\r\n");
        bool was_hit = wr_mem_fault_count() >= n;
        wr_mem_fault_set(0);
        wr_arena_fini(&a);
        assert_int_equal(res, was_hit ? WR_H1_CHUNK_BAD : WR_H1_CHUNK_DONE);
        if (!was_hit) {
            assert_true(n > 1);
            break;
        }
    }
}

static void test_write_head(void **state)
{
    (void)state;

    static const struct {
        uint64_t n;
        const char *want;
    } rows[] = {
        {1,          "1\r\n"               },
        {0x1f,       "1f\r\n"              },
        {0,          "0\r\n"               },
        {UINT64_MAX, "ffffffffffffffff\r\n"}
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        char out[WR_H1_CHUNK_HEAD_MAX];
        size_t n = wr_h1_chunk_write_head(out, rows[i].n);
        assert_true(wr_str_eq_z(wr_str(out, n), rows[i].want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_write_head),
    };

    return cmocka_run_group_tests_name("h1_chunk", tests, NULL, NULL);
}
