/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_num.c: tables of numbers, sizes, times and fractions, good and bad; round trips of digits.
 */
#include "unit/base/t.h"

#include "base/num.h"

#define NONE UINT64_MAX

struct row {
    const char *in;
    enum wr_status status;
    uint64_t v;
};

typedef enum wr_status parse_fn(struct wr_str s, uint64_t *ret);

static void run(const struct row *rows, size_t cnt, parse_fn *parse)
{
    for (size_t i = 0; i < cnt; i++) {
        uint64_t v = 4711;
        enum wr_status status = parse(wr_str_z(rows[i].in), &v);

        if (status != rows[i].status || v != (status == WR_OK ? rows[i].v : 4711)) {
            print_error("\"%s\": %s\n", rows[i].in, wr_status_name(status));
            fail();
        }
    }
}

static enum wr_status parse_u64(struct wr_str s, uint64_t *ret)
{
    return wr_num_parse_u64(s, UINT64_MAX, ret);
}

static enum wr_status parse_small(struct wr_str s, uint64_t *ret)
{
    return wr_num_parse_u64(s, 255, ret);
}

static enum wr_status parse_hex(struct wr_str s, uint64_t *ret)
{
    return wr_num_parse_hex(s, UINT64_MAX, ret);
}

static enum wr_status parse_size(struct wr_str s, uint64_t *ret)
{
    return wr_num_parse_size(s, INT64_MAX, ret);
}

static enum wr_status parse_offset(struct wr_str s, uint64_t *ret)
{
    return wr_num_parse_offset(s, INT64_MAX, ret);
}

static enum wr_status parse_fixed3(struct wr_str s, uint64_t *ret)
{
    return wr_num_parse_fixed(s, 3, ret);
}

static void test_numbers(void **state)
{
    static const struct row u64[] = {
        {"0",                        WR_OK,     0         },
        {"007",                      WR_OK,     7         },
        {"18446744073709551615",     WR_OK,     UINT64_MAX},
        {"18446744073709551616",     WR_ELIMIT, 0         },
        {"99999999999999999999999",  WR_ELIMIT, 0         },
        {"99999999999999999999999x", WR_EPROTO, 0         },
        {"",                         WR_EPROTO, 0         },
        {"-1",                       WR_EPROTO, 0         },
        {"+1",                       WR_EPROTO, 0         },
        {" 1",                       WR_EPROTO, 0         },
        {"1 ",                       WR_EPROTO, 0         },
        {"1a",                       WR_EPROTO, 0         },
    };
    static const struct row small[] = {
        {"255", WR_OK,     255},
        {"256", WR_ELIMIT, 0  }
    };
    static const struct row hex[] = {
        {"0",                 WR_OK,     0         },
        {"fF",                WR_OK,     255       },
        {"ffffffffffffffff",  WR_OK,     UINT64_MAX},
        {"10000000000000000", WR_ELIMIT, 0         },
        {"0x1",               WR_EPROTO, 0         },
        {"g",                 WR_EPROTO, 0         },
        {"",                  WR_EPROTO, 0         },
    };

    (void)state;
    run(u64, WR_ARRAY_LEN(u64), parse_u64);
    run(small, WR_ARRAY_LEN(small), parse_small);
    run(hex, WR_ARRAY_LEN(hex), parse_hex);
}

static void test_sizes(void **state)
{
    static const struct row size[] = {
        {"10",                    WR_OK,     10       },
        {"8k",                    WR_OK,     8192     },
        {"8K",                    WR_OK,     8192     },
        {"1M",                    WR_OK,     1048576  },
        {"0m",                    WR_OK,     0        },
        {"1g",                    WR_EPROTO, 0        },
        {"k",                     WR_EPROTO, 0        },
        {"1kk",                   WR_EPROTO, 0        },
        {"1.5k",                  WR_EPROTO, 0        },
        {"1 k",                   WR_EPROTO, 0        },
        {"-1k",                   WR_EPROTO, 0        },
        {"9223372036854775807",   WR_OK,     INT64_MAX},
        {"",                      WR_EPROTO, 0        },
        {"9223372036854775808",   WR_ELIMIT, 0        },
        {"8796093022208m",        WR_ELIMIT, 0        },
        {"18446744073709551615k", WR_ELIMIT, 0        },
    };
    static const struct row offset[] = {
        {"1g",          WR_OK,     1073741824},
        {"2G",          WR_OK,     2147483648},
        {"3m",          WR_OK,     3145728   },
        {"1t",          WR_EPROTO, 0         },
        {"8589934592g", WR_ELIMIT, 0         },
    };

    (void)state;
    run(size, WR_ARRAY_LEN(size), parse_size);
    run(offset, WR_ARRAY_LEN(offset), parse_offset);
}

static void test_times(void **state)
{
    static const struct row ms[] = {
        {"30",                      WR_OK,     30000         },
        {"0",                       WR_OK,     0             },
        {"500ms",                   WR_OK,     500           },
        {"1h30m",                   WR_OK,     5400000       },
        {"1h 30m",                  WR_OK,     5400000       },
        {"1y1M1w1d1h1m1s1ms",       WR_OK,     34822861001ull},
        {"1m30",                    WR_OK,     90000         },
        {"1s500ms",                 WR_OK,     1500          },
        {"1M",                      WR_OK,     2592000000ull },
        {"",                        WR_EPROTO, 0             },
        {"s",                       WR_EPROTO, 0             },
        {"1m1h",                    WR_EPROTO, 0             },
        {"1h1h",                    WR_EPROTO, 0             },
        {"1s1",                     WR_EPROTO, 0             },
        {"1 h",                     WR_EPROTO, 0             },
        {"1h ",                     WR_EPROTO, 0             },
        {" 1h",                     WR_EPROTO, 0             },
        {"1x",                      WR_EPROTO, 0             },
        {"1.5s",                    WR_EPROTO, 0             },
        {"1ms1s",                   WR_EPROTO, 0             },
        {"-1",                      WR_EPROTO, 0             },
        {"292471209y",              WR_ELIMIT, 0             },
        {"99999999999999999999s",   WR_ELIMIT, 0             },
        {"99999999999999999999s1x", WR_EPROTO, 0             },
    };
    static const struct row sec[] = {
        {"1h30m", WR_OK,     5400 },
        {"90",    WR_OK,     90   },
        {"1d",    WR_OK,     86400},
        {"500ms", WR_EPROTO, 0    },
        {"1s1ms", WR_EPROTO, 0    },
    };

    (void)state;
    run(ms, WR_ARRAY_LEN(ms), wr_num_parse_ms);
    run(sec, WR_ARRAY_LEN(sec), wr_num_parse_sec);
}

static void test_fixed(void **state)
{
    static const struct row rows[] = {
        {"1.5",                   WR_OK,     1500      },
        {"0.25",                  WR_OK,     250       },
        {"2",                     WR_OK,     2000      },
        {"0.001",                 WR_OK,     1         },
        {"0.0001",                WR_EPROTO, 0         },
        {"1.",                    WR_EPROTO, 0         },
        {".5",                    WR_EPROTO, 0         },
        {"",                      WR_EPROTO, 0         },
        {"1,5",                   WR_EPROTO, 0         },
        {"1.5x",                  WR_EPROTO, 0         },
        {"-1",                    WR_EPROTO, 0         },
        {"18446744073709551.615", WR_OK,     UINT64_MAX},
        {"18446744073709551.616", WR_ELIMIT, 0         },
        {"18446744073709552",     WR_ELIMIT, 0         },
    };

    (void)state;
    run(rows, WR_ARRAY_LEN(rows), parse_fixed3);
}

static void test_write(void **state)
{
    static const uint64_t rows[] = {0, 1, 9, 10, 99, 4711, 0xffffffff, 0x123456789abcdef0ull, NONE};
    uint64_t v;
    char out[20];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        size_t n = wr_num_write_u64(out, rows[i]);

        assert_int_equal(wr_num_parse_u64(wr_str(out, n), NONE, &v), WR_OK);
        assert_true(v == rows[i]);
        assert_true(n == 1 || out[0] != '0');
        n = wr_num_write_hex(out, rows[i]);
        assert_int_equal(wr_num_parse_hex(wr_str(out, n), NONE, &v), WR_OK);
        assert_true(v == rows[i]);
        assert_true(n == 1 || out[0] != '0');
    }
    assert_memory_equal(out, "ffffffffffffffff", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_sizes), cmocka_unit_test(test_times),
        cmocka_unit_test(test_fixed),   cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
