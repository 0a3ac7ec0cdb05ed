/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha1.c: SHA-1 after RFC 3174 (section 6.1), HMAC after RFC 2104. What was added is wiped at the
 * end: it may have been a password.
 */
#include "base/sha1.h"

#include <string.h>

#include "base/assert.h"
#include "base/compiler.h"

static uint32_t rotl(uint32_t x, unsigned k)
{
    return (x << k) | (x >> (32 - k));
}

static uint32_t load_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* The function and the constant of round t. */
static uint32_t mix(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20) {
        return ((b & c) | (~b & d)) + 0x5a827999u;
    }
    if (t < 40) {
        return (b ^ c ^ d) + 0x6ed9eba1u;
    }
    if (t < 60) {
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
    }
    return (b ^ c ^ d) + 0xca62c1d6u;
}

static void take_block(struct wr_sha1 *s, const uint8_t *p)
{
    uint32_t w[80], v[5];

    for (unsigned t = 0; t < 16; t++) {
        w[t] = load_be(p + (size_t)4 * t);
    }
    for (unsigned t = 16; t < 80; t++) {
        w[t] = rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
    memcpy(v, s->_h, sizeof(v));
    for (unsigned t = 0; t < 80; t++) {
        uint32_t x = rotl(v[0], 5) + mix(t, v[1], v[2], v[3]) + v[4] + w[t];

        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotl(v[1], 30);
        v[1] = v[0];
        v[0] = x;
    }
    for (unsigned i = 0; i < 5; i++) {
        s->_h[i] += v[i];
    }
    explicit_bzero(w, sizeof(w));
}

void wr_sha1_begin(struct wr_sha1 *s)
{
    *s = (struct wr_sha1){
        ._h = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u}
    };
}

void wr_sha1_add(struct wr_sha1 *s, const void *p, size_t n)
{
    const uint8_t *from = p;

    while (n > 0) {
        size_t used = (size_t)(s->_len % WR_SHA1_BLOCK);
        size_t step = WR_MIN(n, WR_SHA1_BLOCK - used);

        memcpy(s->_block + used, from, step);
        s->_len += step;
        from += step;
        n -= step;
        if (used + step == WR_SHA1_BLOCK) {
            take_block(s, s->_block);
        }
    }
}

void wr_sha1_end(struct wr_sha1 *s, uint8_t out[WR_SHA1_LEN])
{
    static const uint8_t pad[WR_SHA1_BLOCK] = {0x80};
    uint64_t bits = s->_len * 8;
    size_t used = (size_t)(s->_len % WR_SHA1_BLOCK);
    uint8_t len[8];

    wr_sha1_add(s, pad, used < 56 ? 56 - used : 56 + WR_SHA1_BLOCK - used);
    store_be(len, (uint32_t)(bits >> 32));
    store_be(len + 4, (uint32_t)bits);
    wr_sha1_add(s, len, sizeof(len));
    for (unsigned i = 0; i < 5; i++) {
        store_be(out + (size_t)4 * i, s->_h[i]);
    }
    explicit_bzero(s, sizeof(*s));
}

void wr_hmac_sha1_begin(struct wr_hmac_sha1 *m, const void *key, size_t n)
{
    uint8_t in[WR_SHA1_BLOCK], out[WR_SHA1_BLOCK];
    const uint8_t *k = key;

    WR_ASSERT(n <= WR_SHA1_BLOCK);
    for (size_t i = 0; i < WR_SHA1_BLOCK; i++) {
        uint8_t b = i < n ? k[i] : 0;

        in[i] = b ^ 0x36;
        out[i] = b ^ 0x5c;
    }
    wr_sha1_begin(&m->inner);
    wr_sha1_add(&m->inner, in, sizeof(in));
    wr_sha1_begin(&m->_outer);
    wr_sha1_add(&m->_outer, out, sizeof(out));
    explicit_bzero(in, sizeof(in));
    explicit_bzero(out, sizeof(out));
}

void wr_hmac_sha1_end(struct wr_hmac_sha1 *m, uint8_t out[WR_SHA1_LEN])
{
    wr_sha1_end(&m->inner, out);
    wr_sha1_add(&m->_outer, out, WR_SHA1_LEN);
    wr_sha1_end(&m->_outer, out);
}
