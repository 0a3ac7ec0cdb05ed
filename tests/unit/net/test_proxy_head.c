/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proxy_head.c: headers of the PROXY protocol: what is in them, split at each byte, each bad
 * one refused at the first byte that makes it so, bounds, TLVs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "net/proxy_head.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define A4  "\1\2\3\4\5\6\7\10\4\127\10\256" /* 1.2.3.4:1111 to 5.6.7.8:2222 */
#define A6                                                                                         \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\x0d\x05\x11\x5c"
#define T16  "0123456789abcdef"
#define T64  T16 T16 T16 T16
#define T216 T64 T64 T64 T16 "01234567"

/* The text of a row, NUL bytes included. */
#define B(s) s, sizeof(s) - 1

struct good {
    const char *p;
    size_t n;
    unsigned version;
    const char *client, *server; /* "": none */
    size_t tlvs;
};

/* clang-format off */
static const struct good goods[] = {
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 1111 2222\r\n"), 1, "1.2.3.4:1111", "5.6.7.8:2222", 0},
    {B("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), 1, "255.255.255.255:65535",
     "255.255.255.255:65535", 0},
    {B("PROXY TCP4 0.0.0.0 0.0.0.0 0 00\r\n"), 1, "0.0.0.0:0", "0.0.0.0:0", 0},
    {B("PROXY TCP6 2001:db8::1 ::2 3333 4444\r\n"), 1, "[2001:db8::1]:3333", "[::2]:4444", 0},
    {B("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "65535 65535\r\n"), 1, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", 0},
    {B("PROXY TCP6 ::ffff:1.2.3.4 ::2 1 2\r\n"), 1, "[::ffff:1.2.3.4]:1", "[::2]:2", 0},
    {B("PROXY UNKNOWN\r\n"), 1, "", "", 0},
    {B("PROXY UNKNOWN a b\t\1 c  \r\n"), 1, "", "", 0},
    {B("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"), 1, "", "", 0}, /* 107 bytes */
    {B(SIG "\x21\x11\0\x0c" A4), 2, "1.2.3.4:1111", "5.6.7.8:2222", 0},
    {B(SIG "\x21\x21\0\x24" A6), 2, "[2001:db8::1]:3333", "[::2]:4444", 0},
    {B(SIG "\x21\x12\0\x0c" A4), 2, "", "", 0},                     /* datagrams */
    {B(SIG "\x21\x22\0\x24" A6), 2, "", "", 0},
    {B(SIG "\x21\x10\0\x0c" A4), 2, "", "", 0},                     /* any transport */
    {B(SIG "\x21\x31\0\xd8" T216), 2, "", "", 0},                   /* unix */
    {B(SIG "\x21\x31\0\xdc" T216 "\4\0\1x"), 2, "", "", 4},
    {B(SIG "\x21\0\0\0"), 2, "", "", 0},                            /* unspecified */
    {B(SIG "\x21\0\0\x06" "abcdef"), 2, "", "", 0},
    {B(SIG "\x20\0\0\0"), 2, "", "", 0},                            /* LOCAL: all is ignored */
    {B(SIG "\x20\x11\0\x0c" A4), 2, "", "", 0},
    {B(SIG "\x20\xff\0\2" "xx"), 2, "", "", 0},
    {B(SIG "\x21\x11\0\x16" A4 "\1\0\2h2\2\0\2ab"), 2, "1.2.3.4:1111", "5.6.7.8:2222", 10},
    {B(SIG "\x21\x11\0\x0f" A4 "\4\0\0"), 2, "1.2.3.4:1111", "5.6.7.8:2222", 3},
};

static const struct {
    const char *p;
    size_t n, at; /* of them are enough to see it; 0: all */
    const char *why;
} bads[] = {
    {B("GET / HTTP/1.0\r\n"), 1, ""}, {B("\r\nX"), 3, ""}, {B("PROXX"), 5, ""},
    {B("proxy "), 1, ""}, {B("\x16\3\1"), 1, ""}, {B("PROXY\r\n"), 6, ""}, {B("PROXY \r\n"), 0, ""},
    {B("PROXY TCP4\r\n"), 0, ""}, {B("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4\r\n"), 0, ""}, {B("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 65536 1\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 000001 1\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 x 1\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 -1 1\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 +1 1\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"), 0, ""}, {B("PROXY TCP4 abc 5.6.7.8 1 2\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n"), 0, ""},
    {B("PROXY TCP4 1.2.3.4 5.6.7.8 1\r2\r\n"), 0, ""},
    {B("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n"), 0, ""}, {B("PROXY TCP4 ::1 ::2 1 2\r\n"), 0, ""},
    {B("PROXY TCP6 ::1 1.2.3.4 1 2\r\n"), 0, ""}, {B("PROXY TCP6 [::1] ::2 1 2\r\n"), 0, ""},
    {B("PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n"), 0, ""},
    {B("PROXY TCP4 300.2.3.4 5.6.7.8 1 2\r\n"), 0, ""},
    {B("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n"), 0, ""},
    {B("PROXY TCP41 1.2.3.4 5.6.7.8 1 2\r\n"), 0, ""},
    {B("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n"), 0, ""}, {B("PROXY UNKNOWNX\r\n"), 0, ""},
    {B("PROXY UNKNOWN\n"), 0, ""}, {B("PROXY \n"), 0, ""},
    {B("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
     " ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n"), 107, ""},
    {B("\r\n\r\n\0\r\nQUIX"), 11, ""}, {B("\r\n\r\n\r\n"), 5, ""},
    {B(SIG "\x11\x11\0\x0c" A4), 13, "unknown PROXY protocol version"},
    {B(SIG "\x31\x11\0\x0c" A4), 13, "unknown PROXY protocol version"},
    {B(SIG "\x22\x11\0\x0c" A4), 13, "unknown PROXY protocol command"},
    {B(SIG "\x2f\0\0\0"), 13, "unknown PROXY protocol command"},
    {B(SIG "\x21\x41\0\x0c" A4), 0, "unknown PROXY protocol address family"},
    {B(SIG "\x21\xf1\0\0"), 0, "unknown PROXY protocol address family"},
    {B(SIG "\x21\x13\0\x0c" A4), 0, "unknown PROXY protocol transport"},
    {B(SIG "\x21\x0f\0\0"), 0, "unknown PROXY protocol transport"},
    {B(SIG "\x21\x11\0\x0b" "12345678901"), 0, "not enough bytes for PROXY protocol addresses"},
    {B(SIG "\x21\x11\0\0"), 0, "not enough bytes for PROXY protocol addresses"},
    {B(SIG "\x21\x21\0\x0c" A4), 0, "not enough bytes for PROXY protocol addresses"},
    {B(SIG "\x21\x31\0\x0c" A4), 0, "not enough bytes for PROXY protocol addresses"},
    {B(SIG "\x21\x11\0\x0e" A4 "\1\0"), 0, "invalid PROXY protocol TLV"},
    {B(SIG "\x21\x11\0\x10" A4 "\1\0\2h"), 0, "invalid PROXY protocol TLV"},
    {B(SIG "\x21\x11\0\x13" A4 "\1\0\1h\2\0\1"), 0, "invalid PROXY protocol TLV"},
    {B(SIG "\x21\x11\x1f\xf1"), 0, "header is too large"},
    {B(SIG "\x20\0\xff\xff"), 0, "header is too large"},
};

/* clang-format on */

/* In memory of its own, so that a sanitizer sees each byte that is read beyond. */
static enum wr_status parse(const char *p, size_t n, struct wr_proxy_head *ret, size_t *ret_len,
                            const char **ret_why)
{
    char *copy = wr_mem_alloc(n);
    enum wr_status st;

    memcpy(copy, p, n);
    st = wr_proxy_head_parse(copy, n, ret, ret_len, ret_why);
    if (st == WR_OK && ret->tlvs.ptr) {
        ret->tlvs.ptr = p + (ret->tlvs.ptr - copy);
    }
    wr_mem_free(copy);
    return st;
}

static void assert_addr(const struct wr_addr *a, const char *text)
{
    char room[WR_ADDR_TEXT_MAX] = "";
    size_t n = a->len == 0 ? 0 : wr_addr_write(a, room);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(room, text, n);
}

static void good_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(goods); i++) {
        const struct good *g = &goods[i];
        struct wr_proxy_head h;
        const char *why = "?";
        char more[400];
        size_t len = 0;

        for (size_t cut = 0; cut < g->n; cut++) {
            assert_int_equal(parse(g->p, cut, &h, &len, &why), WR_AGAIN);
            assert_string_equal(why, "");
        }
        assert_true(g->n + 4 < sizeof(more));
        memcpy(more, g->p, g->n);
        memcpy(more + g->n, "\r\nX\0", 4); /* of the protocol behind it nothing is looked at */
        for (size_t extra = 0; extra <= 4; extra++) {
            assert_int_equal(parse(more, g->n + extra, &h, &len, &why), WR_OK);
            assert_int_equal(len, g->n);
            assert_int_equal(h.version, g->version);
            assert_addr(&h.client, g->client);
            assert_addr(&h.server, g->server);
            assert_int_equal(h.tlvs.len, g->tlvs);
        }
    }
}

static void bad_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(bads); i++) {
        struct wr_proxy_head h;
        size_t len = 0, at = bads[i].at == 0 ? bads[i].n : bads[i].at;

        for (size_t cut = 1; cut <= bads[i].n; cut++) {
            const char *why = "?";
            enum wr_status st = parse(bads[i].p, cut, &h, &len, &why);

            if (cut < at) {
                if (st != WR_AGAIN) {
                    fail_msg("row %zu: %d after %zu bytes", i, (int)st, cut);
                }
                continue;
            }
            if (st != WR_EPROTO && st != WR_ELIMIT) {
                fail_msg("row %zu: %d after %zu bytes", i, (int)st, cut);
            }
            assert_string_equal(why, bads[i].why);
            assert_int_equal(st == WR_ELIMIT, strcmp(why, "header is too large") == 0);
        }
        assert_int_equal(len, 0);
    }
}

static void largest_header(void **state)
{
    static char p[WR_PROXY_HEAD_MAX + 1] = SIG "\x21\x11\x1f\xf0" A4 "\xe0\x1f\xe1";
    struct wr_proxy_head h;
    const char *why;
    struct wr_str v;
    size_t len = 0;

    (void)state;
    for (size_t n = 32; n < WR_PROXY_HEAD_MAX; n += 7) {
        assert_int_equal(wr_proxy_head_parse(p, n, &h, &len, &why), WR_AGAIN);
    }
    assert_int_equal(wr_proxy_head_parse(p, sizeof(p), &h, &len, &why), WR_OK);
    assert_int_equal(len, WR_PROXY_HEAD_MAX);
    assert_true(wr_proxy_tlv_find(h.tlvs, 0xe0, &v));
    assert_int_equal(v.len, 0x1fe1);
}

static void tlvs(void **state)
{
    static const char t[] = "\1\0\2h2\2\0\3a.b\5\0\0\x20\0\10\7\0\0\0\0\x21\0\0\1\0\1z";
    struct wr_str all = wr_str(t, sizeof(t) - 1), v = WR_STR("?");

    (void)state;
    assert_true(wr_proxy_tlv_find(all, 1, &v)); /* the first of two */
    assert_int_equal(v.len, 2);
    assert_memory_equal(v.ptr, "h2", 2);
    assert_true(wr_proxy_tlv_find(all, 2, &v));
    assert_int_equal(v.len, 3);
    assert_true(wr_proxy_tlv_find(all, 5, &v));
    assert_int_equal(v.len, 0);
    assert_true(wr_proxy_tlv_find(all, WR_PROXY_TLV_SSL, &v));
    assert_int_equal(v.len, 8);
    assert_false(wr_proxy_tlv_find(all, 0x21, &v));
    assert_false(wr_proxy_tlv_find(WR_STR_NULL, 1, &v));
    for (size_t n = 0; n < 5; n++) {
        assert_false(wr_proxy_tlv_find(wr_str(t, n), 1, &v));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_headers),
                                       cmocka_unit_test(bad_headers),
                                       cmocka_unit_test(largest_header), cmocka_unit_test(tlvs)};

    return cmocka_run_group_tests_name("net/proxy_head", tests, NULL, NULL);
}
