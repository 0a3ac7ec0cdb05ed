/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.c: SipHash (Aumasson and Bernstein, written after the paper) with one compression and three
 * finalisation rounds, CRC-32 by half bytes, FNV-1a, MurmurHash2 (Appleby). The key of SipHash is
 * made once a process, so its values must never be stored or sent.
 */
#include "base/hash.h"

#include <endian.h>
#include <string.h>

#include "base/chars.h"
#include "base/rng.h"
#include "base/sync.h"

struct sip {
    uint64_t a, b, c, d;
};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uint64_t sip_key[2]; /* written once, under key_once */
static wr_atomic_u32 has_key;

static void make_key(void)
{
    wr_rng_secret(sip_key, sizeof(sip_key));
    wr_store_rel(&has_key, 1); /* with the acquire below: who sees 1 sees the key */
}

static void need_key(void)
{
    if (WR_UNLIKELY(wr_load_acq(&has_key) == 0)) {
        (void)pthread_once(&key_once, make_key); /* cannot fail for a static control */
    }
}

static uint64_t rotl(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

static inline void mix(struct sip *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotl(s->b, 13) ^ s->a;
        s->d = rotl(s->d, 16) ^ s->c;
        s->a = rotl(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = rotl(s->b, 17) ^ s->c;
        s->d = rotl(s->d, 21) ^ s->a;
        s->c = rotl(s->c, 32);
    }
}

/* ASCII capitals to small letters in eight bytes at once. */
static inline uint64_t lower8(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t low7 = w & (0x7f * ones);
    uint64_t ge_a = low7 + (0x80 - 'A') * ones;     /* bit 7 of a byte: it is at least 'A' */
    uint64_t gt_z = low7 + (0x80 - 'Z' - 1) * ones; /* ... it is beyond 'Z' */
    uint64_t upper = ge_a & ~gt_z & ~w & (0x80 * ones);

    return w | upper >> 2;
}

static inline uint64_t load_tail(const unsigned char *p, size_t n)
{
    uint64_t w = 0;

    for (size_t i = 0; i < n; i++) {
        w |= (uint64_t)p[i] << (8 * i);
    }
    return w;
}

/* c, d: rounds; is_lower folds capitals. Inlined, so that the three are constants. */
static inline __attribute__((always_inline)) uint64_t
sip_hash(const uint64_t key[2], const void *data, size_t n, unsigned c, unsigned d, bool is_lower)
{
    const unsigned char *p = data;
    struct sip s = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
                    key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull};
    uint64_t w;

    for (size_t left = n; left >= 8; left -= 8, p += 8) {
        memcpy(&w, p, 8);
        w = le64toh(w);
        w = is_lower ? lower8(w) : w;
        s.d ^= w;
        mix(&s, c);
        s.a ^= w;
    }
    w = load_tail(p, n & 7);
    w = (is_lower ? lower8(w) : w) | (uint64_t)n << 56;
    s.d ^= w;
    mix(&s, c);
    s.a ^= w;
    s.c ^= 0xff;
    mix(&s, d);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t wr_hash_sip(const void *p, size_t n)
{
    need_key();
    return sip_hash(sip_key, p, n, 1, 3, false);
}

uint64_t wr_hash_sip_lower(const void *p, size_t n)
{
    need_key();
    return sip_hash(sip_key, p, n, 1, 3, true);
}

/* The polynomial 0xedb88320 applied to each value of four bits. */
static const uint32_t crc_half[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

uint32_t wr_hash_crc32(uint32_t crc, const void *p, size_t n)
{
    const unsigned char *b = p;

    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= b[i];
        crc = crc >> 4 ^ crc_half[crc & 15];
        crc = crc >> 4 ^ crc_half[crc & 15];
    }
    return ~crc;
}

uint64_t wr_hash_fnv(uint64_t h, const void *p, size_t n)
{
    const unsigned char *b = p;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ b[i]) * 0x100000001b3ull;
    }
    return h;
}

uint32_t wr_hash_murmur2(const void *p, size_t n)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *b = p;
    uint32_t h = (uint32_t)n;
    size_t left = n;

    for (; left >= 4; left -= 4, b += 4) {
        uint32_t k;

        memcpy(&k, b, 4);
        k = le32toh(k) * m;
        k = (k ^ k >> 24) * m;
        h = h * m ^ k;
    }
    if (left > 0) {
        h = (h ^ (uint32_t)load_tail(b, left)) * m;
    }
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}
