/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h: looking through text sixteen bytes at a time. One pass finds both what ends a line of a
 * head and what no line may have, for both are control bytes: on short lines that costs a quarter
 * of a memchr for the end and another look for the rest. Vectors of GNU C: one register on every
 * machine we care for, no branch per platform. Reads no byte outside p[0..n). Thread: any.
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

/* Bytes become non-zero where those of x are control bytes, HTAB too, or DEL; is there one? */
static inline bool wr_scan_mark(union wr_scan_16 *x)
{
    x->v = (__typeof__(x->v))((x->v < 0x20) | (x->v == 0x7f));
    return (x->w[0] | x->w[1]) != 0;
}

/* w != 0 is eight bytes of memory: index of the first that is not zero. */
static inline size_t wr_scan_first(uint64_t w)
{
    return (unsigned)__builtin_ctzll(le64toh(w)) / 8;
}

/* Index of the first mark of x, whose halves are from a and b. */
static inline size_t wr_scan_where(const union wr_scan_16 *x, size_t a, size_t b)
{
    return x->w[0] != 0 ? a + wr_scan_first(x->w[0]) : b + wr_scan_first(x->w[1]);
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
    return wr_scan_mark(&x) ? wr_scan_where(&x, 0, b) : n;
}

/* As wr_scan_control, but HTAB counts as well. */
static inline __attribute__((always_inline)) size_t wr_scan_control_or_tab(const char *p, size_t n)
{
    union wr_scan_16 x;
    size_t i;

    for (i = 0; i + 16 <= n; i += 16) {
        memcpy(&x, p + i, sizeof(x));
        if (wr_scan_mark(&x)) {
            return wr_scan_where(&x, i, i + 8);
        }
    }
    if (n >= 16) {
        i = n - 16; /* what was looked at already has none */
        memcpy(&x, p + i, sizeof(x));
        return wr_scan_mark(&x) ? wr_scan_where(&x, i, i + 8) : n;
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
