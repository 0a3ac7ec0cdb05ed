/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_chars.c: computes each class again from its definition and compares all 256 bytes.
 */
#include "unit/base/t.h"

#include "base/chars.h"

static bool is_in(int c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

/* long: one line for each class */
static void test_classes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool digit = c >= '0' && c <= '9';
        bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        bool unres = digit || alpha || is_in(c, "-._~");
        unsigned want = 0;

        want |= digit || alpha || is_in(c, "!#$%&'*+-.^_`|~") ? WR_CH_TOKEN : 0;
        want |= digit ? WR_CH_DIGIT : 0;
        want |= hex ? WR_CH_HEX : 0;
        want |= alpha ? WR_CH_ALPHA : 0;
        want |= c == '\t' || (c >= 0x20 && c != 0x7f) ? WR_CH_VALUE : 0;
        want |= c > 0x20 && c != 0x7f ? WR_CH_TARGET : 0;
        want |= unres || is_in(c, "!$&'()*+,;=%:[]") ? WR_CH_HOST : 0;
        want |= unres ? WR_CH_UNRESERVED : 0;
        assert_int_equal(wr_char_classes[c], want);
        assert_int_equal(wr_char_lower[c], c >= 'A' && c <= 'Z' ? c + 32 : c);
        assert_int_equal(wr_char_is((unsigned char)c, WR_CH_DIGIT | WR_CH_ALPHA), digit || alpha);
    }
}

static void test_hex(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char *at = c == 0 ? NULL : strchr("0123456789abcdef", wr_char_lower[c]);

        assert_int_equal(wr_char_hex((unsigned char)c),
                         at == NULL ? -1 : at - strchr(at - (16 - (int)strlen(at)), '0'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
