/* SPDX-License-Identifier: Apache-2.0 */
/*
 * num.h: bounded parsing of numbers, sizes and durations as nginx.conf writes them; checked
 * sums; digits of numbers. Results are written only on success.
 * Thread: any.
 */
#ifndef WR_BASE_NUM_H
#define WR_BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

/* Only digits, all of s, at most max; else WR_EPROTO (bad text) or WR_ELIMIT (too large). */
enum wr_status wr_num_parse_u64(struct wr_str s, uint64_t max, uint64_t *ret_v) WR_MUST_CHECK;
/* Same in base 16, either case, no prefix. */
enum wr_status wr_num_parse_hex(struct wr_str s, uint64_t max, uint64_t *ret_v) WR_MUST_CHECK;
/* "10", "8k", "1M" (any case). */
enum wr_status wr_num_parse_size(struct wr_str s, uint64_t max, uint64_t *ret_v) WR_MUST_CHECK;
/* As size, and "1g". */
enum wr_status wr_num_parse_offset(struct wr_str s, uint64_t max, uint64_t *ret_v) WR_MUST_CHECK;
/*
 * "1h30m", "90s", "500ms", "30" (seconds), units y M w d h m s ms from large to small, each once,
 * blanks allowed between; ms only if the result is in milliseconds.
 */
enum wr_status wr_num_parse_ms(struct wr_str s, uint64_t *ret_ms) WR_MUST_CHECK;
/* The same grammar without ms; result in seconds. */
enum wr_status wr_num_parse_sec(struct wr_str s, uint64_t *ret_sec) WR_MUST_CHECK;
/* "0.25" with exactly `digits` of scale: parse_fixed("1.5", 3) = 1500. */
enum wr_status wr_num_parse_fixed(struct wr_str s, unsigned digits, uint64_t *ret_v) WR_MUST_CHECK;

#define wr_add_ok(a, b, ret) (!__builtin_add_overflow((a), (b), (ret)))
#define wr_mul_ok(a, b, ret) (!__builtin_mul_overflow((a), (b), (ret)))

/* Decimal digits of v into out (>= 20 bytes); returns their number. */
size_t wr_num_write_u64(char *out, uint64_t v);
/* Lower-case hex without leading zeros (>= 16 bytes). */
size_t wr_num_write_hex(char *out, uint64_t v);

#endif
