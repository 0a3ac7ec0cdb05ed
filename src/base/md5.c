/* SPDX-License-Identifier: Apache-2.0 */
/*
 * md5.c: MD5 of a text that lies in memory, after RFC 1321 3.1 to 3.5. The padded tail is built in
 * a block of its own; nothing is allocated.
 */
#include "base/md5.h"

#include <string.h>

#define BLOCK 64

/* RFC 1321 3.4: the whole part of 4294967296 times abs(sin(i + 1)). */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static const uint8_t turns[4][4] = {
    {7, 12, 17, 22},
    {5, 9,  14, 20},
    {4, 11, 16, 23},
    {6, 10, 15, 21}
};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return (x << n) | (x >> (32 - n));
}

static uint32_t read_word(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* One of the 64 steps: the round's function of b, c, d, and which word it takes. */
static uint32_t mix(unsigned i, const uint32_t s[4], unsigned *ret_word)
{
    uint32_t b = s[1], c = s[2], d = s[3];

    switch (i / 16) {
    case 0:
        *ret_word = i;
        return (b & c) | (~b & d);
    case 1:
        *ret_word = (5 * i + 1) % 16;
        return (b & d) | (c & ~d);
    case 2:
        *ret_word = (3 * i + 5) % 16;
        return b ^ c ^ d;
    default:
        *ret_word = (7 * i) % 16;
        return c ^ (b | ~d);
    }
}

static void add_block(uint32_t state[4], const uint8_t *block)
{
    uint32_t s[4] = {state[0], state[1], state[2], state[3]}, f;
    unsigned i, word;

    for (i = 0; i < 64; i++) {
        f = mix(i, s, &word);
        f += s[0] + sines[i] + read_word(block + (size_t)4 * word);
        s[0] = s[3];
        s[3] = s[2];
        s[2] = s[1];
        s[1] += rotate(f, turns[i / 16][i % 4]);
    }
    for (i = 0; i < 4; i++) {
        state[i] += s[i];
    }
}

void wr_md5(const void *p, size_t n, uint8_t out[WR_MD5_LEN])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint64_t bits = (uint64_t)n * 8;
    uint8_t tail[2 * BLOCK] = {0};
    const uint8_t *at = p;
    size_t tail_len, i;

    for (; n >= BLOCK; n -= BLOCK, at += BLOCK) {
        add_block(state, at);
    }
    if (n != 0) {
        memcpy(tail, at, n);
    }
    tail[n] = 0x80;
    tail_len = n < BLOCK - 8 ? BLOCK : (size_t)2 * BLOCK;
    for (i = 0; i < 8; i++) {
        tail[tail_len - 8 + i] = (uint8_t)(bits >> (8 * i));
    }
    for (i = 0; i < tail_len; i += BLOCK) {
        add_block(state, tail + i);
    }
    for (i = 0; i < WR_MD5_LEN; i++) {
        out[i] = (uint8_t)(state[i / 4] >> (8 * (i % 4)));
    }
}
