/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mc_codec.c: lines of memcached from a table, shown up to every byte; keys as they are
 * written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/mc_codec.h"

static const struct {
    const char *in;
    enum wr_mc_result res;
    uint64_t length;
    uint32_t flags;
    bool has_flags;
} rows[] = {
  /* clang-format off */
    {"VALUE /k 0 5\r\n", WR_MC_VALUE, 5, 0, true},
    {"VALUE /k 4294967295 0\r\n", WR_MC_VALUE, 0, UINT32_MAX, true},
    {"VALUE /k 4294967296 0\r\n", WR_MC_VALUE, 0, 0, false},
    {"VALUE /k x 5\r\n", WR_MC_VALUE, 5, 0, false},
    {"END\r\n", WR_MC_NONE, 0, 0, false},
    {"VALUE /k2 0 5\r\n", WR_MC_BAD_KEY, 0, 0, false},
    {"VALUE /K 0 5\r\n", WR_MC_BAD_KEY, 0, 0, false},
    {"VALUE /k\r\n", WR_MC_BAD_KEY, 0, 0, false},
    {"VALUE \r\n", WR_MC_BAD_KEY, 0, 0, false},
    {"VALUE /k 0\r\n", WR_MC_BAD_LENGTH, 0, 0, false},
    {"VALUE /k 0 \r\n", WR_MC_BAD_LENGTH, 0, 0, false},
    {"VALUE /k 0 5 7\r\n", WR_MC_BAD_LENGTH, 0, 0, false},
    {"VALUE /k 0 -5\r\n", WR_MC_BAD_LENGTH, 0, 0, false},
    {"VALUE /k 0 99999999999999999999\r\n", WR_MC_BAD_LENGTH, 0, 0, false},
    {"END\n", WR_MC_BAD, 0, 0, false},
    {"\n", WR_MC_BAD, 0, 0, false},
    {"\r\n", WR_MC_BAD, 0, 0, false},
    {"ERROR\r\n", WR_MC_BAD, 0, 0, false},
    {"ENDX\r\n", WR_MC_BAD, 0, 0, false},
    {"value /k 0 5\r\n", WR_MC_BAD, 0, 0, false},
  /* clang-format on */
};

static void lines_up_to_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].in);

        for (size_t n = 0; n <= len; n++) {
            char *copy = wr_mem_alloc(n + 1);
            struct wr_mc_head h = {.length = 0};
            size_t used = 0;
            enum wr_mc_result res;

            memcpy(copy, rows[i].in, n);
            res = wr_mc_parse(copy, n, WR_STR("/k"), &h, &used);
            assert_int_equal(res, n < len ? WR_MC_MORE : rows[i].res);
            if (res == WR_MC_VALUE || res == WR_MC_NONE) {
                assert_int_equal(used, len);
            }
            if (res == WR_MC_VALUE) {
                assert_true(h.length == rows[i].length && h.has_flags == rows[i].has_flags);
                assert_true(!h.has_flags || h.flags == rows[i].flags);
            }
            wr_mem_free(copy);
        }
    }
}

static void keys(void **state)
{
    static const struct {
        const char *key, *want;
    } written[] = {
        {"/a",           "get /a\r\n"            },
        {"/a b",         "get /a%20b\r\n"        },
        {"a\r\nset b",   "get a%0D%0Aset%20b\r\n"},
        {"100%",         "get 100%25\r\n"        },
        {"\xc3\xa9\x7f", "get \xc3\xa9\x7f\r\n"  },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(written); i++) {
        struct wr_strbuf b;
        struct wr_str key = WR_STR("");

        wr_strbuf_init(&b, 256);
        wr_mc_write_get(&b, wr_str_z(written[i].key), &key);
        assert_string_equal(wr_strbuf_cstr(&b), written[i].want);
        assert_int_equal(key.len, strlen(written[i].want) - 6);
        assert_memory_equal(key.ptr, written[i].want + 4, key.len);
        wr_strbuf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_up_to_every_byte),
                                       cmocka_unit_test(keys)};

    return cmocka_run_group_tests_name("proto/mc_codec", tests, NULL, NULL);
}
