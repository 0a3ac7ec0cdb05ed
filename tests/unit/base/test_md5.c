/* SPDX-License-Identifier: Apache-2.0 */
/* test_md5.c: the suite of RFC 1321 A.5, and every length around the block borders against a digest
 * of digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/md5.h"

static void write_hex(const uint8_t d[WR_MD5_LEN], char out[33])
{
    for (int i = 0; i < WR_MD5_LEN; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", d[i]);
    }
}

static void suite_of_the_rfc(void **state)
{
    static const struct {
        const char *text, *digest;
    } rows[] = {
        {"",                                                                                 "d41d8cd98f00b204e9800998ecf8427e"},
        {"a",                                                                                "0cc175b9c0f1b6a831c399e269772661"},
        {"abc",                                                                              "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest",                                                                   "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz",                                                       "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "d174ab98d277d9f5a5611c2c9f419d9f"                                                                                    },
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"                                                                                    },
    };

    uint8_t d[WR_MD5_LEN];
    char hex[33];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        wr_md5(rows[i].text, strlen(rows[i].text), d);
        write_hex(d, hex);
        assert_string_equal(hex, rows[i].digest);
    }
}

static void all_lengths(void **state)
{
    uint8_t d[200][WR_MD5_LEN], whole[WR_MD5_LEN];
    char text[200], hex[33];

    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t n = 0; n < 200; n++) {
        wr_md5(text, n, d[n]);
    }
    wr_md5(d, sizeof(d), whole);
    write_hex(whole, hex);
    assert_string_equal(hex, "236291006a2f1dc7b00bd978802ff8c6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(suite_of_the_rfc),
                                       cmocka_unit_test(all_lengths)};

    return cmocka_run_group_tests_name("base/md5", tests, NULL, NULL);
}
