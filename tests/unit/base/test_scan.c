/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_scan.c: every length, every place, every byte, against the table of classes. The text ends
 * where its memory ends, so that ASan sees a read behind it.
 */
#include "unit/base/t.h"

#include "base/chars.h"
#include "base/mem.h"
#include "base/scan.h"

enum {
    LEN_MAX = 67
};

/* Each byte value at each place of each length; what is behind it must not matter. */
static void test_every_byte(void **state)
{
    (void)state;
    for (size_t n = 0; n <= LEN_MAX; n++) {
        char *p = wr_mem_alloc(n + 1); /* one more: NUL is behind it */

        memset(p, 'a', n);
        assert_int_equal(wr_scan_control(p, n), n);
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                p[at] = (char)c;
                bool is_good = wr_char_is((unsigned char)c, WR_CH_VALUE);
                assert_int_equal(wr_scan_control(p, n), is_good ? n : at);
            }
            p[at] = at % 3 == 0 ? '\t' : (char)0xe9;
        }
        wr_mem_free(p);
    }
}

/* The first of two is told, wherever they are. */
static void test_first(void **state)
{
    char p[LEN_MAX];

    (void)state;
    for (size_t a = 0; a < LEN_MAX; a++) {
        for (size_t b = a; b < LEN_MAX; b++) {
            memset(p, ' ', sizeof(p));
            p[a] = '\n';
            p[b] = 0x7f;
            assert_int_equal(wr_scan_control(p, sizeof(p)), a);
            assert_int_equal(wr_scan_control(p, b + 1), a);
        }
    }
}

/* No byte behind the end is read: the memory is exactly as long. */
static void test_bounds(void **state)
{
    (void)state;
    for (size_t n = 1; n <= LEN_MAX; n++) {
        char *p = wr_mem_alloc(n);

        memset(p, 'z', n);
        assert_int_equal(wr_scan_control(p, n), n);
        assert_int_equal(wr_scan_control(p + 1, n - 1), n - 1);
        wr_mem_free(p);
    }
    assert_int_equal(wr_scan_control(NULL, 0), 0);
}

/* Each set of marked bytes becomes its bits, however the machine makes them. */
static void test_bits(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 256; bits++) {
        union wr_scan_16 x = {
            .w = {0, 0}
        };

        for (unsigned i = 0; i < 8; i++) {
            x.v[i] = (bits >> i & 1) != 0 ? 0xff : 0;
            x.v[15 - i] = x.v[i];
        }
        unsigned mirror = 0;
        for (unsigned i = 0; i < 8; i++) {
            mirror |= (bits >> i & 1) << (7 - i);
        }
        assert_int_equal(wr_scan_bits_8(x.w[0]), bits);
        assert_int_equal(wr_scan_bits(x), bits | mirror << 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
