/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_packet_codec.c: bytes of uwsgi packets and SCGI netstrings, at their limits too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/packet_codec.h"

static void uwsgi_bytes(void **state)
{
    struct wr_strbuf b;
    size_t at, len;

    (void)state;
    wr_strbuf_init(&b, 1024);
    wr_strbuf_add_char(&b, 'x'); /* it begins where the buffer was */
    wr_uwsgi_begin(&b, &at);
    assert_int_equal(wr_uwsgi_add(&b, WR_STR("A"), WR_STR("bc")), WR_OK);
    assert_int_equal(wr_uwsgi_add(&b, WR_STR("B"), WR_STR("")), WR_OK);
    assert_int_equal(wr_uwsgi_end(&b, at, 5, 6, &len), WR_OK);
    assert_int_equal(len, 12);
    assert_int_equal(b.len, 17);
    assert_memory_equal(b.ptr, "x\5\x0c\0\6\1\0A\2\0bc\1\0B\0\0", 17);
    wr_strbuf_fini(&b);
}

static void uwsgi_limits(void **state)
{
    char *big = wr_mem_alloc(70000);
    struct wr_strbuf b;
    size_t at, len = 0;

    (void)state;
    memset(big, 'x', 70000);
    wr_strbuf_init(&b, 1 << 20);
    for (size_t n = 65530; n <= 65531; n++) {
        wr_strbuf_reset(&b);
        wr_uwsgi_begin(&b, &at);
        assert_int_equal(wr_uwsgi_add(&b, WR_STR("A"), wr_str(big, n)), WR_OK);
        assert_int_equal(wr_uwsgi_end(&b, at, 0, 0, &len), n == 65530 ? WR_OK : WR_ELIMIT);
        assert_int_equal(len, n + 5);
    }
    assert_int_equal(wr_uwsgi_add(&b, WR_STR("A"), wr_str(big, 65536)), WR_ELIMIT);
    assert_int_equal(wr_uwsgi_add(&b, wr_str(big, 65536), WR_STR("A")), WR_ELIMIT);
    wr_strbuf_fini(&b);
    wr_strbuf_init(&b, 16);
    wr_uwsgi_begin(&b, &at);
    assert_int_equal(wr_uwsgi_add(&b, WR_STR("A"), wr_str(big, 100)), WR_ELIMIT);
    assert_int_equal(wr_uwsgi_end(&b, at, 0, 0, &len), WR_ELIMIT);
    wr_strbuf_fini(&b);
    wr_mem_free(big);
}

static void scgi_bytes(void **state)
{
    struct wr_strbuf b;
    size_t at;

    (void)state;
    wr_strbuf_init(&b, 1024);
    wr_strbuf_add_char(&b, 'x');
    wr_scgi_begin(&b, 10, &at);
    assert_int_equal(wr_scgi_add(&b, WR_STR("A"), WR_STR("bc")), WR_OK);
    assert_int_equal(wr_scgi_add(&b, WR_STR("B"), WR_STR("")), WR_OK);
    wr_scgi_end(&b, at);
    assert_int_equal(b.status, WR_OK);
    assert_int_equal(b.len, 4 + 26 + 1);
    assert_memory_equal(b.ptr,
                        "x26:CONTENT_LENGTH\0"
                        "10\0A\0bc\0"
                        "B\0\0,",
                        b.len);
    wr_strbuf_fini(&b);
}

/* The length is right whatever number of digits it has. */
static void scgi_lengths(void **state)
{
    char *big = wr_mem_alloc(200000);
    struct wr_strbuf b;
    size_t at;

    (void)state;
    memset(big, 'x', 200000);
    wr_strbuf_init(&b, 1 << 20);
    for (size_t n = 1; n < 200000; n = n * 3 + 1) {
        char *colon;

        wr_strbuf_reset(&b);
        wr_scgi_begin(&b, UINT64_MAX - 1, &at);
        assert_int_equal(wr_scgi_add(&b, WR_STR("A"), wr_str(big, n)), WR_OK);
        wr_scgi_end(&b, at);
        assert_int_equal(b.status, WR_OK);
        colon = memchr(b.ptr, ':', b.len);
        assert_non_null(colon);
        assert_int_equal(strtoul(b.ptr, NULL, 10), b.len - (size_t)(colon + 1 - b.ptr) - 1);
        assert_int_equal(b.ptr[b.len - 1], ',');
        assert_int_equal(b.ptr[b.len - 2], '\0');
        assert_int_not_equal(b.ptr[0], '0');
    }
    wr_strbuf_fini(&b);
    wr_mem_free(big);
}

static void scgi_takes_no_nul(void **state)
{
    struct wr_strbuf b;
    size_t at;

    (void)state;
    wr_strbuf_init(&b, 1024);
    wr_scgi_begin(&b, 0, &at);
    assert_int_equal(wr_scgi_add(&b, WR_STR("A"), wr_str("b\0c", 3)), WR_EPROTO);
    assert_int_equal(wr_scgi_add(&b, wr_str("A\0", 2), WR_STR("b")), WR_EPROTO);
    wr_strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uwsgi_bytes),       cmocka_unit_test(uwsgi_limits),
        cmocka_unit_test(scgi_bytes),        cmocka_unit_test(scgi_lengths),
        cmocka_unit_test(scgi_takes_no_nul),
    };

    return cmocka_run_group_tests_name("proto/packet_codec", tests, NULL, NULL);
}
