/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log_gzip.c: members are read back, one by one and joined; failing allocations lose what they
 * say and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "observe/log_gzip.h"

static char text[1 << 20];

/* All members of b, joined; "" when they are damaged. */
static const char *unzip(const struct wr_strbuf *b)
{
    z_stream z = {.next_in = (Bytef *)b->ptr, .avail_in = (uInt)b->len};
    size_t at = 0;
    int rc = Z_OK;

    while (z.avail_in > 0 && rc == Z_OK) {
        assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
        z.next_out = (Bytef *)text + at;
        z.avail_out = (uInt)(sizeof(text) - 1 - at);
        rc = inflate(&z, Z_FINISH) == Z_STREAM_END ? Z_OK : Z_DATA_ERROR;
        at = sizeof(text) - 1 - z.avail_out;
        (void)inflateEnd(&z);
    }
    text[rc == Z_OK ? at : 0] = '\0';
    return text;
}

static void members(void **state)
{
    static const struct {
        unsigned level;
        uint64_t size;
        unsigned lines, members;
    } cases[] = {
        {1, 64 << 10, 1,    1},
        {1, 64 << 10, 500,  3},
        {9, 1 << 20,  2000, 2},
        {6, 16,       3,    4},
        {1, 1,        1,    1},
        {4, 5000,     40,   2},
    };

    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct wr_log_gzip *z = wr_log_gzip_new(cases[c].level, cases[c].size);
        struct wr_strbuf b, want;
        uint64_t lost;

        assert_non_null(z);
        wr_strbuf_init(&b, 1 << 22);
        wr_strbuf_init(&want, 1 << 22);
        for (unsigned m = 0; m < cases[c].members; m++) {
            assert_int_equal(wr_log_gzip_len(z), 0);
            for (unsigned i = 0; i < cases[c].lines; i++) {
                size_t mark = want.len;

                wr_strbuf_printf(&want, "line %u of member %u, %x\n", i, m, i * 2654435761u);
                assert_int_equal(
                    wr_log_gzip_add(z, wr_str(want.ptr + mark, want.len - mark), &lost), WR_OK);
            }
            assert_int_equal(wr_log_gzip_lines(z), cases[c].lines);
            assert_int_equal(wr_log_gzip_finish(z, &b, &lost), WR_OK);
        }
        assert_string_equal(unzip(&b), wr_strbuf_cstr(&want));
        assert_int_equal(strlen(text), want.len);
        wr_strbuf_fini(&b);
        wr_strbuf_fini(&want);
        wr_log_gzip_free(z);
    }
    wr_log_gzip_free(NULL);
}

/* Every allocation fails once: what is lost is told, what comes later is whole. */
static void memory_may_fail(void **state)
{
    static char noise[30000];
    uint32_t seed = 1;
    unsigned failed = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(noise); i++) {
        seed = seed * 1664525 + 1013904223;
        noise[i] = (char)('!' + (seed >> 24) % 90);
    }
    noise[sizeof(noise) - 1] = '\n';
    for (uint64_t n = 1; n < 30; n++) {
        struct wr_log_gzip *z;
        struct wr_strbuf b;
        uint64_t lost = 0;

        wr_strbuf_init(&b, 1 << 22);
        wr_mem_fault_set(n);
        z = wr_log_gzip_new(1, 64 << 10);
        if (!z) {
            failed++;
            wr_mem_fault_set(0);
            continue;
        }
        if (wr_log_gzip_add(z, wr_str(noise, sizeof(noise)), &lost) != WR_OK ||
            wr_log_gzip_finish(z, &b, &lost) != WR_OK) {
            assert_int_equal(lost, 1);
            assert_int_equal(b.len, 0);
            failed++;
        }
        wr_mem_fault_set(0);
        b.len = 0;
        assert_int_equal(wr_log_gzip_add(z, WR_STR("later\n"), &lost), WR_OK);
        assert_int_equal(wr_log_gzip_finish(z, &b, &lost), WR_OK);
        assert_string_equal(unzip(&b), "later\n");
        wr_strbuf_fini(&b);
        wr_log_gzip_free(z);
    }
    assert_true(failed > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(memory_may_fail),
    };

    return cmocka_run_group_tests_name("observe/log_gzip", tests, NULL, NULL);
}
