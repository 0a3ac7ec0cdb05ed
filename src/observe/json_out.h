/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_out.h: JSON (RFC 8259) written as it comes into a strbuf, which bounds it; commas are put
 * where they belong. A name or text that is not UTF-8 is read as Latin-1, so that the document is
 * valid whatever a configuration holds.
 *
 *   wr_json_object(&j, NULL); wr_json_num(&j, "pid", 17); wr_json_end(&j);     {"pid":17}
 *
 * key NULL: an element of an array, or the document. Whether all was written says the strbuf.
 */
#ifndef WR_OBSERVE_JSON_OUT_H
#define WR_OBSERVE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/strbuf.h"

#define WR_JSON_DEPTH_MAX 16

struct wr_json {
    struct wr_strbuf *b;
    unsigned _depth;
    bool _has_more[WR_JSON_DEPTH_MAX]; /* a comma stands before the next value */
    bool _is_array[WR_JSON_DEPTH_MAX];
};

void wr_json_init(struct wr_json *j, struct wr_strbuf *b);
void wr_json_object(struct wr_json *j, const char *key);
void wr_json_array(struct wr_json *j, const char *key);
/* Ends the innermost object or array. */
void wr_json_end(struct wr_json *j);
void wr_json_num(struct wr_json *j, const char *key, uint64_t v);
/* v thousandths: 1250 is 1.250. */
void wr_json_milli(struct wr_json *j, const char *key, uint64_t v);
void wr_json_bool(struct wr_json *j, const char *key, bool v);
void wr_json_str(struct wr_json *j, const char *key, struct wr_str s);
/* A value that is JSON already. */
void wr_json_raw(struct wr_json *j, const char *key, struct wr_str json);

#endif
