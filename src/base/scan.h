/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h: looking through text sixteen bytes at a time. One pass finds both what ends a line of a
 * head and what no line may have, for both are control bytes: on short lines that costs a quarter
 * of a memchr for the end and another look for the rest. Vectors of GNU C: one register on every
 * machine we care for; what differs is only how one becomes bits. Reads no byte outside p[0..n).
 * Thread: any.
 */
#ifndef WR_BASE_SCAN_H
#define WR_BASE_SCAN_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

union wr_scan_16 {
    uint8_t v __attribute__((vector_size(16)));
    uint64_t w[2];
};

/* Bit i: byte i of memory; each is 0x00 or 0xff. For machines without an instruction for it. */
static inline unsigned wr_scan_bits_8(uint64_t w)
{
    return (unsigned)(((le64toh(w) & 0x8040201008040201) * 0x0101010101010101) >> 56);
}

/* Bit i: byte i of x, each of which is 0x00 or 0xff. */
static inline unsigned wr_scan_bits(union wr_scan_16 x)
{
#if defined(__SSE2__)
    return (unsigned)__builtin_ia32_pmovmskb128((char __attribute__((vector_size(16))))x.v);
#else
    return wr_scan_bits_8(x.w[0]) | wr_scan_bits_8(x.w[1]) << 8;
#endif
}

static inline union wr_scan_16 wr_scan_load(const char *p)
{
    union wr_scan_16 x;

    memcpy(&x, p, sizeof(x));
    return x;
}

/* The n bytes at p, 4 to 15, and zeros behind them. */
static inline union wr_scan_16 wr_scan_load_part(const char *p, size_t n)
{
    union wr_scan_16 x = {
        .w = {0, 0}
    };
    uint32_t a, b;

    if (n > 8) {
        memcpy(&x.w[0], p, 8);
        memcpy(&x.w[1], p + n - 8, 8);
        x.w[1] = htole64(le64toh(x.w[1]) >> (8 * (16 - n)));
    } else {
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        x.w[0] = htole64((uint64_t)le32toh(b) << (8 * (n - 4)) | le32toh(a));
    }
    return x;
}

/* Bit i: byte i is a control byte, HTAB too, or DEL. */
static inline unsigned wr_scan_controls(union wr_scan_16 x)
{
    x.v = (__typeof__(x.v))((x.v < 0x20) | (x.v == 0x7f));
    return wr_scan_bits(x);
}

/* Bit i: byte i is a control byte, a blank, or DEL. */
static inline unsigned wr_scan_gaps(union wr_scan_16 x)
{
    x.v = (__typeof__(x.v))((x.v < 0x21) | (x.v == 0x7f));
    return wr_scan_bits(x);
}

/* Bit i: byte i is c. */
static inline unsigned wr_scan_matches(union wr_scan_16 x, uint8_t c)
{
    x.v = (__typeof__(x.v))(x.v == c);
    return wr_scan_bits(x);
}

/* bits != 0 */
static inline size_t wr_scan_first(unsigned bits)
{
    return (unsigned)__builtin_ctz(bits);
}

/* Four to fifteen bytes, in two pieces that overlap. */
static inline size_t wr_scan_some(const char *p, size_t n)
{
    size_t half = n >= 8 ? 8 : 4, b = n - half;
    union wr_scan_16 x = {
        .w = {0x2020202020202020, 0x2020202020202020}
    };

    if (half == 8) {
        memcpy(&x.w[0], p, 8);
        memcpy(&x.w[1], p + b, 8);
    } else {
        memcpy(&x.w[0], p, 4);
        memcpy(&x.w[1], p + b, 4);
    }
    unsigned bits = wr_scan_controls(x);
    if (bits == 0) {
        return n;
    }
    size_t i = wr_scan_first(bits);
    return i < 8 ? i : b + i - 8;
}

/* As wr_scan_control, but HTAB counts as well. */
static inline __attribute__((always_inline)) size_t wr_scan_control_or_tab(const char *p, size_t n)
{
    unsigned bits;
    size_t i;

    for (i = 0; i + 16 <= n; i += 16) {
        bits = wr_scan_controls(wr_scan_load(p + i));
        if (bits != 0) {
            return i + wr_scan_first(bits);
        }
    }
    if (n >= 16) {
        i = n - 16; /* what was looked at already has none */
        bits = wr_scan_controls(wr_scan_load(p + i));
        return bits != 0 ? i + wr_scan_first(bits) : n;
    }
    if (n >= 4) {
        return wr_scan_some(p, n);
    }
    while (i < n && (unsigned char)p[i] >= 0x20 && p[i] != 0x7f) {
        i++;
    }
    return i;
}

/* Index of the first byte that no field value may have: a control byte (but HTAB) or DEL; or n. */
static inline __attribute__((always_inline)) size_t wr_scan_control(const char *p, size_t n)
{
    size_t i = 0;

    for (;;) {
        i += wr_scan_control_or_tab(p + i, n - i);
        if (WR_LIKELY(i == n || p[i] != '\t')) {
            return i;
        }
        i++;
    }
}

#endif
