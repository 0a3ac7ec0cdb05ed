/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.c: xoshiro256** with its state in wr_local, seeded through splitmix64 (both by Blackman and
 * Vigna, described at prng.di.unimi.it and in the public domain), and bytes from the kernel.
 */
#include "base/rng.h"

#include <errno.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/local.h"

static uint64_t rotl(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t wr_rng_u64(void)
{
    uint64_t *s = wr_local_get()->rng;
    uint64_t v = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return v;
}

uint64_t wr_rng_below(uint64_t n)
{
    uint64_t floor, v;

    WR_ASSERT(n > 0);
    floor = -n % n; /* 2^64 mod n: values below would make small results likelier */
    do {
        v = wr_rng_u64();
    } while (v < floor);
    return v % n;
}

void wr_rng_seed(uint64_t seed)
{
    uint64_t *s = wr_local_get()->rng;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t z;

        seed += 0x9e3779b97f4a7c15ull;
        z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        s[i] = z ^ (z >> 31);
    }
}

void wr_rng_secret(void *out, size_t n)
{
    char *p = out;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got == -1 && errno == EINTR) {
            continue;
        }
        WR_ASSERT(got > 0);
        p += got;
        n -= (size_t)got;
    }
}
