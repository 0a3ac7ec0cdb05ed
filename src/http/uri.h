/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri.h: request targets and Host (RFC 3986, RFC 9110 4, 7.2). Pure functions on slices.
 */
#ifndef WR_HTTP_URI_H
#define WR_HTTP_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

enum wr_uri_flags {
    WR_URI_MERGE_SLASHES = 1
};

struct wr_uri {
    struct wr_str raw;  /* the whole target as received: "/a%20b?x=1" */
    struct wr_str path; /* decoded, dot segments resolved, slashes merged: "/a b" */
    struct wr_str args; /* behind '?', raw, without '#...'; empty when none */
    bool has_args;      /* there was a '?' */
    bool is_plain;      /* path is the raw path byte for byte */
};

/*
 * Splits and normalises an origin-form target. path is in the arena, or a slice of raw when nothing
 * changed. WR_EPROTO: not beginning with '/', bad %XX, NUL (%00), ".." above the root. WR_ENOMEM.
 * "*" is accepted as it is (path "*").
 */
enum wr_status wr_uri_parse(struct wr_arena *a, struct wr_str raw, unsigned flags,
                            struct wr_uri *ret) WR_MUST_CHECK;
/*
 * Checks a Host value or authority: *ret_host is lower case without port and without a trailing dot
 * (in the arena when it had to change), *ret_port 0 when absent. WR_EPROTO when invalid.
 */
enum wr_status wr_uri_parse_host(struct wr_arena *a, struct wr_str s, struct wr_str *ret_host,
                                 uint16_t *ret_port) WR_MUST_CHECK;
/* The second half of it: host, of wr_uri_check_host, in lower case. WR_ENOMEM. */
enum wr_status wr_uri_lower_host(struct wr_arena *a, struct wr_str host,
                                 struct wr_str *ret_host) WR_MUST_CHECK;
/*
 * The same check without a copy: *ret_host is a slice of s as received, IP literals in brackets,
 * without port and without a trailing dot.
 */
enum wr_status wr_uri_check_host(struct wr_str s, struct wr_str *ret_host,
                                 uint16_t *ret_port) WR_MUST_CHECK;
/* Value of argument `name` (case-insensitive as in nginx's $arg_), raw; false when absent. */
bool wr_uri_arg(struct wr_str args, struct wr_str name, struct wr_str *ret_value);
/* Value of a cookie in a Cookie header (name case-sensitive). */
bool wr_uri_cookie(struct wr_str cookie, struct wr_str name, struct wr_str *ret_value);
/* No "..", NUL, and for X-Accel-Redirect and kin: a URI that may be used internally. */
bool wr_uri_is_safe(struct wr_str path);

#endif
