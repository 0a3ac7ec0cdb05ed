/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coding.h: what Accept-Encoding says (RFC 9110 12.5.3). Weights are thousandths: 1000 is 1, 0 is
 * "not acceptable". Pure.
 */
#ifndef WR_HTTP_CODING_H
#define WR_HTTP_CODING_H

#include <stdint.h>

#include "base/str.h"
#include "http/hdr.h"

enum wr_coding {
    WR_CODING_GZIP,
    WR_CODING_BROTLI,
    WR_CODING_ZSTD,
    WR_CODING_CNT
};

struct wr_codings {
    int16_t q[WR_CODING_CNT]; /* 0: not acceptable, or not named while there is no "*" */
    int16_t identity;         /* -1: not named */
};

/* All fields of the request together. None: only identity. */
void wr_codings_read(const struct wr_hdrs *h, struct wr_codings *ret);
/* "gzip", "br", "zstd" */
struct wr_str wr_coding_name(enum wr_coding c);
/*
 * The best of those whose bits are set in `usable` (1 << coding): the greatest weight, of equal
 * ones br, zstd, gzip. WR_CODING_CNT: none, or identity was given more weight by name.
 */
enum wr_coding wr_codings_choose(const struct wr_codings *c, unsigned usable);

#endif
