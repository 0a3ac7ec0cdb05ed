/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_gzip.h: log lines as gzip members (RFC 1952). A member is whole in itself, so files of many
 * members, by several threads and over reopens, are read by any gunzip. Lines are compressed as
 * they come: the work is spread, closing a member costs little. The one place that knows zlib's
 * deflate. Owner thread only.
 */
#ifndef WR_OBSERVE_LOG_GZIP_H
#define WR_OBSERVE_LOG_GZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"

#define WR_LOG_GZIP_LEVEL_MIN 1
#define WR_LOG_GZIP_LEVEL_MAX 9

struct wr_log_gzip;

/* size: bytes of text that a member is about to have; small members take less memory. NULL: none.
 */
struct wr_log_gzip *wr_log_gzip_new(unsigned level, uint64_t size) WR_MUST_CHECK;
/* Accepts NULL. What was not finished is lost. */
void wr_log_gzip_free(struct wr_log_gzip *z);

/* Bytes and lines of the open member; 0: none is open. */
uint64_t wr_log_gzip_len(const struct wr_log_gzip *z);
uint64_t wr_log_gzip_lines(const struct wr_log_gzip *z);

/* One line with its end. WR_ENOMEM: the open member is lost, with all its lines (*ret_lost). */
enum wr_status wr_log_gzip_add(struct wr_log_gzip *z, struct wr_str line,
                               uint64_t *ret_lost) WR_MUST_CHECK;
/* Closes the member and appends it to b. WR_ENOMEM as above; b is as it was. */
enum wr_status wr_log_gzip_finish(struct wr_log_gzip *z, struct wr_strbuf *b,
                                  uint64_t *ret_lost) WR_MUST_CHECK;

#endif
