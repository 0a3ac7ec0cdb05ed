/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hdr_known.h: the perfect hash from a field's name to its id, for hdr.c and the parser.
 *
 * A name's slot is a weighted sum of its length and its first and last byte. The weights of the
 * bytes are multiples of 8, so that the bit of the case falls out of the 8 that are left; they were
 * searched so that no two names of tbl/header_ids.h share a slot. A new name needs a free slot
 * (test_hdr prints the one it falls into) or, if that one is taken, new weights (test_hdr prints
 * those too). One candidate is left, which is compared. A row of the table never lies across two
 * lines of the cache. Thread: any; all of it is constant.
 */
#ifndef WR_HTTP_HDR_KNOWN_H
#define WR_HTTP_HDR_KNOWN_H

#include "base/compiler.h"
#include "base/scan.h"
#include "http/hdr.h"

enum {
    WR_HDR_KNOWN_MAX = 24,
    WR_HDR_SLOT_FIRST = 72,
    WR_HDR_SLOT_LAST = 24,
};

struct wr_hdr_known {
    char text[WR_HDR_KNOWN_MAX];
    uint8_t len;
} __attribute__((aligned(32)));

extern const struct wr_hdr_known wr_hdr_known[WR_HDR_ID_COUNT];
extern const uint8_t wr_hdr_slots[256]; /* enum wr_hdr_id */

/* n > 0 */
static inline unsigned wr_hdr_slot(const char *p, size_t n)
{
    unsigned sum = (unsigned)n;

    sum += (unsigned char)p[0] * (unsigned)WR_HDR_SLOT_FIRST;
    sum += (unsigned char)p[n - 1] * (unsigned)WR_HDR_SLOT_LAST;
    return sum & 0xff;
}

/* Bit i: byte i of the two differs in more than the bit that is the case of letters. */
static inline unsigned wr_hdr_differ(union wr_scan_16 a, union wr_scan_16 b)
{
    a.v = (__typeof__(a.v))((a.v | 0x20) == (b.v | 0x20));
    return wr_scan_bits(a) ^ 0xffff;
}

/*
 * As wr_hdr_id_of(p[0..n)), n > 0, for a name without control bytes: then no byte but a letter
 * becomes one of a known name's by that bit alone. x: the 16 bytes at p; what lies behind the name
 * does not matter.
 */
static inline enum wr_hdr_id wr_hdr_id_of_clean(union wr_scan_16 x, const char *p, size_t n)
{
    unsigned id = wr_hdr_slots[wr_hdr_slot(p, n)];
    const struct wr_hdr_known *k = &wr_hdr_known[id];

    if (WR_UNLIKELY(k->len != n || wr_hdr_differ(x, wr_scan_load(k->text)) << (32 - n) != 0)) {
        return WR_HDR_OTHER;
    }
    if (WR_UNLIKELY(n > 16)) {
        union wr_scan_16 end = wr_scan_load(k->text + n - 16);
        if (wr_hdr_differ(wr_scan_load(p + n - 16), end) != 0) {
            return WR_HDR_OTHER;
        }
    }
    return (enum wr_hdr_id)id;
}

#endif
