/* SPDX-License-Identifier: Apache-2.0 */
/* test_sha1.c: the examples of RFC 3174 and RFC 2202, in pieces of every size. */
#include "base/sha1.h"

#include <string.h>

#include "unit/base/t.h"

struct row {
    const char *text;
    unsigned times;
    const char *hex;
};

/* clang-format off */
static const struct row rows[] = {
    {"",                                                         1,     "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
    {"abc",                                                      1,     "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "84983e441c3bd26ebaae4aa1f95129e5e54670f1"                                                                  },
    {"a",                                                        1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
    {"0123456701234567012345670123456701234567012345670123456701234567", 10,
     "dea356a2cddd90c7a7ecedc5ebb563934f460452"                                                                  },
};

/* clang-format on */

static void assert_hex(const uint8_t *sum, const char *hex)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * WR_SHA1_LEN + 1];

    for (unsigned i = 0; i < WR_SHA1_LEN; i++) {
        text[2 * i] = digits[sum[i] >> 4];
        text[2 * i + 1] = digits[sum[i] & 15];
    }
    text[2 * WR_SHA1_LEN] = '\0';
    assert_string_equal(text, hex);
}

static void examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        uint8_t sum[WR_SHA1_LEN];
        struct wr_sha1 s;

        wr_sha1_begin(&s);
        for (unsigned k = 0; k < rows[i].times; k++) {
            wr_sha1_add(&s, rows[i].text, strlen(rows[i].text));
        }
        wr_sha1_end(&s, sum);
        assert_hex(sum, rows[i].hex);
    }
}

static void in_pieces(void **state)
{
    char text[200];
    uint8_t whole[WR_SHA1_LEN], sum[WR_SHA1_LEN];
    struct wr_sha1 s;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)(i * 7);
    }
    for (size_t n = 0; n <= sizeof(text); n++) {
        wr_sha1_begin(&s);
        wr_sha1_add(&s, text, n);
        wr_sha1_end(&s, whole);
        for (size_t cut = 0; cut <= n; cut += 13) {
            wr_sha1_begin(&s);
            wr_sha1_add(&s, text, cut);
            wr_sha1_add(&s, text + cut, n - cut);
            wr_sha1_end(&s, sum);
            assert_memory_equal(sum, whole, sizeof(sum));
        }
    }
}

static void hmac(void **state)
{
    uint8_t key[20], sum[WR_SHA1_LEN];
    struct wr_hmac_sha1 m;

    (void)state;
    memset(key, 0x0b, sizeof(key));
    wr_hmac_sha1_begin(&m, key, sizeof(key));
    wr_sha1_add(&m.inner, "Hi There", 8);
    wr_hmac_sha1_end(&m, sum);
    assert_hex(sum, "b617318655057264e28bc0b6fb378c8ef146be00");
    wr_hmac_sha1_begin(&m, "Jefe", 4);
    wr_sha1_add(&m.inner, "what do ya want for nothing?", 28);
    wr_hmac_sha1_end(&m, sum);
    assert_hex(sum, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples),
        cmocka_unit_test(in_pieces),
        cmocka_unit_test(hmac),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
