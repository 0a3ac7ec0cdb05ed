/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_format.h: `log_format` compiled into an array of operations, and the writing of one line with
 * it. The values that most lines have are written straight from the request, all others through
 * their variable. Immutable, memory of the generation.
 */
#ifndef WR_OBSERVE_LOG_FORMAT_H
#define WR_OBSERVE_LOG_FORMAT_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"

struct wr_conf;
struct wr_node;
struct wr_req;
struct wr_log_op;

enum wr_log_escape {
    WR_LOG_ESCAPE_DEFAULT,
    WR_LOG_ESCAPE_JSON,
    WR_LOG_ESCAPE_NONE /* but CR, LF and NUL, which would break the line (U14.1) */
};

struct wr_log_format {
    struct wr_str name;
    uint8_t escape; /* enum wr_log_escape */
    struct wr_log_op *at;
    uint32_t cnt, _cap;
};

/* The format that is there without being configured. */
#define WR_LOG_COMBINED                                                                            \
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent "             \
    "\"$http_referer\" \"$http_user_agent\""

/* Appends the operations of text, argument i of node. WR_ECONFIG: reported. */
enum wr_status wr_log_format_add(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                                 struct wr_str text, struct wr_log_format *f) WR_MUST_CHECK;
/* Appends the line, without its end. What does not fit, or finds no memory, marks b. */
void wr_log_format_write(struct wr_req *r, const struct wr_log_format *f, struct wr_strbuf *b);

#endif
