/* SPDX-License-Identifier: Apache-2.0 */
/*
 * range.h: conditional requests and byte ranges (RFC 9110 13, 14) as two header filters. The parser
 * of a Range value stands here for its tests.
 */
#ifndef WR_HTTP_RANGE_H
#define WR_HTTP_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct wr_module;
struct wr_req;

extern const struct wr_module wr_range_module;

enum wr_range_result {
    WR_RANGE_NONE,        /* not ours, or not worth it: send the whole */
    WR_RANGE_ONE,         /* exactly one: [*ret_from, *ret_to) */
    WR_RANGE_SEVERAL,     /* more than one that can be satisfied */
    WR_RANGE_UNSATISFIED, /* 416 */
};

/* A Range value against a body of len bytes; at most max ranges (more: NONE). */
enum wr_range_result wr_range_parse(struct wr_str value, uint64_t len, uint32_t max,
                                    uint64_t *ret_from, uint64_t *ret_to);
/*
 * The ranges of a value that was found to be SEVERAL, one by one; *at begins with 0. False: no
 * more.
 */
bool wr_range_next(struct wr_str value, uint64_t len, size_t *at, uint64_t *ret_from,
                   uint64_t *ret_to);

/* What a request is about to change. */
struct wr_range_target {
    bool exists;
    struct wr_str etag; /* empty: it has none */
    int64_t mtime;
};

/* Do the preconditions of a request that changes something hold (RFC 9110 13.2.2)? Else 412. */
bool wr_range_may_change(const struct wr_req *r, const struct wr_range_target *t);

#endif
