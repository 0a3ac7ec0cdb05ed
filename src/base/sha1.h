/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha1.h: the digest of RFC 3174, for formats that are made of it ({SHA}, {SSHA}) and, with a
 * secret key (RFC 2104), to know a text again without keeping it. Pure; any thread.
 */
#ifndef WR_BASE_SHA1_H
#define WR_BASE_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define WR_SHA1_LEN   20
#define WR_SHA1_BLOCK 64

struct wr_sha1 {
    uint32_t _h[5];
    uint64_t _len; /* bytes so far */
    uint8_t _block[WR_SHA1_BLOCK];
};

void wr_sha1_begin(struct wr_sha1 *s);
void wr_sha1_add(struct wr_sha1 *s, const void *p, size_t n);
/* Writes the digest and wipes s. */
void wr_sha1_end(struct wr_sha1 *s, uint8_t out[WR_SHA1_LEN]);

/* HMAC-SHA1: begin, add to inner, end. */
struct wr_hmac_sha1 {
    struct wr_sha1 inner, _outer;
};

/* key: at most WR_SHA1_BLOCK bytes. */
void wr_hmac_sha1_begin(struct wr_hmac_sha1 *m, const void *key, size_t n);
/* Writes the digest and wipes m. */
void wr_hmac_sha1_end(struct wr_hmac_sha1 *m, uint8_t out[WR_SHA1_LEN]);

#endif
