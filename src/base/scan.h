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
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

union wr_scan_16 {
    uint8_t v __attribute__((vector_size(16)));
    uint64_t w[2];
};

/* Bytes become non-zero where those of x are control bytes, HTAB too, or DEL; zero elsewhere. */
static inline void wr_scan_mark(union wr_scan_16 *x)
{
    x->v = (__typeof__(x->v))((x->v < 0x20) | (x->v == 0x7f));
}

/* w != 0 is eight bytes of memory: index of the first that is not zero. */
static inline size_t wr_scan_first(uint64_t w)
{
    return (unsigned)__builtin_ctzll(le64toh(w)) / 8;
}

/* As wr_scan_control, but HTAB counts as well. */
static inline size_t wr_scan_control_or_tab(const char *p, size_t n)
{
    union wr_scan_16 x;
    size_t i = 0, second = 8; /* where the second half of x is from, after i */

    while (i + 16 <= n) {
        memcpy(&x, p + i, sizeof(x));
        wr_scan_mark(&x);
        if ((x.w[0] | x.w[1]) != 0) {
            goto found;
        }
        i += 16;
    }
    /* The rest in two halves that overlap, or, where there are sixteen, overlap what was seen. */
    if (n >= 16) {
        i = n - 16;
    } else if (n >= 8) {
        second = n - 8;
    } else if (n >= 4) {
        uint32_t h[4] = {0x20202020, 0x20202020, 0x20202020, 0x20202020};
        memcpy(&h[0], p, 4);
        memcpy(&h[2], p + n - 4, 4);
        memcpy(&x, h, sizeof(x));
        second = n - 4;
        goto mark;
    } else {
        while (i < n && (unsigned char)p[i] >= 0x20 && p[i] != 0x7f) {
            i++;
        }
        return i;
    }
    memcpy(&x.w[0], p + i, 8);
    memcpy(&x.w[1], p + i + second, 8);
mark:
    wr_scan_mark(&x);
    if ((x.w[0] | x.w[1]) == 0) {
        return n;
    }
found:
    return x.w[0] != 0 ? i + wr_scan_first(x.w[0]) : i + second + wr_scan_first(x.w[1]);
}

/* Index of the first byte that no field value may have: a control byte (but HTAB) or DEL; or n. */
static inline size_t wr_scan_control(const char *p, size_t n)
{
    size_t i = wr_scan_control_or_tab(p, n);

    while (WR_UNLIKELY(i < n && p[i] == '\t')) {
        i++;
        i += wr_scan_control_or_tab(p + i, n - i);
    }
    return i;
}

#endif
