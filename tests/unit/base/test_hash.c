/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hash.c: published vectors (SipHash paper, CRC-32 check value, FNV-1a) and the folding of
 * capitals at every alignment. Includes the .c to reach the keyed function.
 */
#include "base/hash.c"

#include "unit/base/t.h"

static void test_sip_vector(void **state)
{
    static const unsigned char key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    unsigned char in[15];
    uint64_t k[2];

    (void)state;
    for (unsigned i = 0; i < sizeof(in); i++) {
        in[i] = (unsigned char)i;
    }
    memcpy(k, key, sizeof(k));
    k[0] = le64toh(k[0]);
    k[1] = le64toh(k[1]);
    /* Appendix A of the paper: SipHash-2-4 of 15 bytes. */
    assert_true(sip_hash(k, in, sizeof(in), 2, 4, false) == 0xa129ca6149be45e5ull);
}

static void test_lower(void **state)
{
    unsigned char a[40], b[40];

    (void)state;
    for (unsigned from = 0; from < 256; from++) {
        for (unsigned n = 0; n < sizeof(a); n++) {
            for (unsigned i = 0; i < n; i++) {
                a[i] = (unsigned char)(from + i * 7);
                b[i] = wr_char_lower[a[i]];
            }
            assert_true(wr_hash_sip_lower(a, n) == wr_hash_sip(b, n));
        }
    }
    assert_true(wr_hash_sip("A", 1) != wr_hash_sip("a", 1));
    assert_true(wr_hash_sip(NULL, 0) == wr_hash_sip("", 0));
    assert_true(sip_key[0] != 0 || sip_key[1] != 0);
}

static void test_stable(void **state)
{
    uint32_t crc = 0;

    (void)state;
    assert_int_equal(wr_hash_crc32(0, "123456789", 9), 0xcbf43926u);
    for (unsigned i = 0; i < 9; i++) {
        crc = wr_hash_crc32(crc, &"123456789"[i], 1);
    }
    assert_int_equal(crc, 0xcbf43926u);
    assert_int_equal(wr_hash_crc32(0, "", 0), 0);
    assert_true(wr_hash_fnv(WR_HASH_FNV_INIT, "", 0) == 0xcbf29ce484222325ull);
    assert_true(wr_hash_fnv(WR_HASH_FNV_INIT, "a", 1) == 0xaf63dc4c8601ec8cull);
    assert_true(wr_hash_fnv(WR_HASH_FNV_INIT, "foobar", 6) == 0x85944171f73967e8ull);
}

/* Values that nginx 1.22 has shown by the shares of split_clients, and of a second implementation.
 */
static void test_murmur2(void **state)
{
    static const struct {
        const char *text;
        uint32_t hash;
    } cases[] = {
        {"",        0x00000000},
        {"ulti9c2", 0xffffffff},
        {"04tavt2", 0xfffffffe},
        {"r4tf8i6", 0xfffffffd},
        {"a",       0x92685f5e},
        {"ab",      0x1aa14063},
        {"abc",     0x13577c9b},
        {"abcd",    0x26873021},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        assert_int_equal(wr_hash_murmur2(cases[i].text, strlen(cases[i].text)), cases[i].hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sip_vector),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_murmur2),
        cmocka_unit_test(test_stable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
