/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cgi_codec.c: heads of CGI from a table, with bytes behind them, shown in two parts cut at
 * every byte and in a piece that moves between the calls: the same status, fields, length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/cgi_codec.h"

#define NONE WR_LENGTH_UNKNOWN

static const struct {
    const char *in;
    unsigned status;
    const char *reason, *fields; /* "Name=value;..." */
    uint64_t length;
} good[] = {
  /* clang-format off */
    {"\r\n", 200, "OK", "", NONE},
    {"\n", 200, "OK", "", NONE},
    {"A: b\r\n\r\n", 200, "OK", "A=b;", NONE},
    {"A:b\nC:\t d e \t\n\n", 200, "OK", "A=b;C=d e;", NONE},
    {"Status: 404 Not Found\r\nA: b\r\n\r\n", 404, "Not Found", "Status=404 Not Found;A=b;", NONE},
    {"status:503\r\n\r\n", 503, "", "status=503;", NONE},
    {"Location: /x\r\n\r\n", 302, "Moved Temporarily", "Location=/x;", NONE},
    {"Location: /x\r\nStatus: 201 Made\r\n\r\n", 201, "Made", "Location=/x;Status=201 Made;", NONE},
    {"HTTP/1.1 410 Gone Away\r\nA: b\r\n\r\n", 410, "Gone Away", "A=b;", NONE},
    {"HTTP/1.0 204\r\n\r\n", 204, "", "", NONE},
    {"Content-Length: 12\r\n\r\n", 200, "OK", "Content-Length=12;", 12},
    {"content-length: 0\r\nContent-Length: 0\r\n\r\n", 200, "OK", "content-length=0;Content-Length=0;", 0},
    {"A: \xc3\xa9\r\nA: \r\n\r\n", 200, "OK", "A=\xc3\xa9;A=;", NONE},
  /* clang-format on */
};

static const struct {
    const char *in;
    size_t len;
    const char *why;
} bad[] = {

#define B(s, why)                                                                                  \
    {                                                                                              \
        s, sizeof(s) - 1, why                                                                      \
    }
    B("no colon\r\n", "upstream sent invalid header: \"no colon\""),
    B(": empty\r\n", "upstream sent invalid header: \": empty\""),
    B("A : b\r\n", "upstream sent invalid header: \"A : b\""),
    B("A: b\r\n c\r\n", "upstream sent invalid header: \" c\""),
    B("A: b\0c\r\n", "upstream sent invalid header: \"A: b\\x00c\""),
    B("A: b\rc\r\n", "upstream sent invalid header: \"A: b\\x0dc\""),
    B("A\x7f: b\r\n", "upstream sent invalid header: \"A\\x7f: b\""),
    B("Status: abc\r\n", "upstream sent invalid status \"abc\""),
    B("Status: 99\r\n", "upstream sent invalid status \"99\""),
    B("Status: 099 x\r\n", "upstream sent invalid status \"099 x\""),
    B("Status: 2000\r\n", "upstream sent invalid status \"2000\""),
    B("HTTP/1.1\r\n", "upstream sent invalid status line: \"HTTP/1.1\""),
    B("HTTP/1.1 20 OK\r\n", "upstream sent invalid status line: \"HTTP/1.1 20 OK\""),
    B("Content-Length: x\r\n", "upstream sent invalid header: \"Content-Length: x\""),
    B("Content-Length: -1\r\n", "upstream sent invalid header: \"Content-Length: -1\""),
    B("Content-Length: 1\r\nContent-Length: 2\r\n",
      "upstream sent invalid header: \"Content-Length: 2\""),
    B("Content-Length: 99999999999999999999\r\n",
      "upstream sent invalid header: \"Content-Length: 99999999999999999999\""),
};

static void show(const struct wr_msg *m, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < m->hdrs.cnt; i++) {
        const struct wr_hdr *h = &m->hdrs.at[i];

        n += (size_t)snprintf(out + n, size - n, "%.*s=%.*s;", WR_STR_ARG(h->name),
                              WR_STR_ARG(h->value));
    }
}

/* The first `cut` bytes in one place, then all of it in another. */
static enum wr_cgi_result parse_cut(struct wr_cgi_head *c, struct wr_msg *m, struct wr_str in,
                                    size_t cut, char *second, size_t *used)
{
    char *first = wr_mem_alloc(cut + 1);
    enum wr_cgi_result res;

    memcpy(first, in.ptr, cut);
    memcpy(second, in.ptr, in.len);
    wr_cgi_head_init(c);
    res = wr_cgi_head_parse(c, first, cut, m, used);
    wr_msg_rebase(m, first, cut, second);
    if (res == WR_CGI_MORE) {
        res = wr_cgi_head_parse(c, second, in.len, m, used);
    }
    if (res == WR_CGI_BAD && c->where.len > 0 && c->where.ptr >= first &&
        c->where.ptr < first + cut) {
        c->where.ptr = second + (c->where.ptr - first);
    }
    wr_mem_free(first);
    return res;
}

static void good_heads(void **state)
{
    static const char behind[] = "hello\r\n\r\n";
    char in[256], second[256], fields[256];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(good); i++) {
        size_t head = strlen(good[i].in);

        (void)snprintf(in, sizeof(in), "%s%s", good[i].in, behind);
        for (size_t cut = 0; cut <= head; cut++) {
            struct wr_cgi_head c;
            struct wr_arena a;
            struct wr_msg m;
            size_t used = 0;

            wr_arena_init(&a, 1 << 16);
            wr_msg_init(&m, &a, 10);
            assert_int_equal(parse_cut(&c, &m, wr_str_z(in), cut, second, &used), WR_CGI_DONE);
            assert_int_equal(used, head);
            assert_int_equal(m.status, good[i].status);
            assert_true(wr_str_eq(m.reason, wr_str_z(good[i].reason)));
            assert_true(c.length == good[i].length);
            show(&m, fields, sizeof(fields));
            assert_string_equal(fields, good[i].fields);
            wr_arena_fini(&a);
        }
    }
}

static void bad_heads(void **state)
{
    char second[256];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        for (size_t cut = 0; cut <= bad[i].len; cut++) {
            struct wr_cgi_head c;
            struct wr_arena a;
            struct wr_msg m;
            struct wr_str why;
            size_t used = 0;

            wr_arena_init(&a, 1 << 16);
            wr_msg_init(&m, &a, 10);
            assert_int_equal(parse_cut(&c, &m, wr_str(bad[i].in, bad[i].len), cut, second, &used),
                             WR_CGI_BAD);
            why = wr_cgi_head_why(&c, &a);
            if (!wr_str_eq(why, wr_str_z(bad[i].why))) {
                fail_msg("%.*s", WR_STR_ARG(why));
            }
            wr_arena_fini(&a);
        }
    }
}

static void half_heads(void **state)
{
    static const char *const rows[] = {
        "", "A", "A: b", "A: b\r", "A: b\r\n", "A: b\r\n\r", "HTTP/1.1 200 OK\r\n"};
    struct wr_cgi_head c;
    struct wr_arena a;
    struct wr_msg m;
    size_t used;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        wr_arena_init(&a, 1 << 16);
        wr_msg_init(&m, &a, 10);
        wr_cgi_head_init(&c);
        assert_int_equal(wr_cgi_head_parse(&c, rows[i], strlen(rows[i]), &m, &used), WR_CGI_MORE);
        wr_arena_fini(&a);
    }
}

static void too_many_fields(void **state)
{
    static const char in[] = "A: 1\nB: 2\nC: 3\n\n";
    struct wr_cgi_head c;
    struct wr_arena a;
    struct wr_msg m;
    size_t used;

    (void)state;
    for (uint32_t max = 2; max < 4; max++) {
        wr_arena_init(&a, 1 << 16);
        wr_msg_init(&m, &a, max);
        wr_cgi_head_init(&c);
        assert_int_equal(wr_cgi_head_parse(&c, in, sizeof(in) - 1, &m, &used),
                         max == 2 ? WR_CGI_BAD : WR_CGI_DONE);
        wr_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_heads), cmocka_unit_test(bad_heads),
                                       cmocka_unit_test(half_heads),
                                       cmocka_unit_test(too_many_fields)};

    return cmocka_run_group_tests_name("proto/cgi_codec", tests, NULL, NULL);
}
