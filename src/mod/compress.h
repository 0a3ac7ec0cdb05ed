/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress.h: gzip, brotli, zstd, gunzip and the _static of them.
 */
#ifndef WR_MOD_COMPRESS_H
#define WR_MOD_COMPRESS_H

struct wr_module;

extern const struct wr_module wr_compress_module;

#endif
