/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.h: the one door to PCRE2. A compiled expression is immutable, lives in the generation's
 * arena and is used by all threads; what a match needs is kept per thread. Matching is bounded by a
 * match limit, not by time.
 */
#ifndef WR_HTTP_REGEX_H
#define WR_HTTP_REGEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

struct wr_conf;
struct wr_node;
struct wr_regex;
struct wr_req;

#define WR_REGEX_CAPTURES 10 /* $0 .. $9 */

enum wr_regex_flags {
    WR_REGEX_CASE = 0,
    WR_REGEX_ICASE = 1
};

/*
 * Compiles; named groups become variables of the generation. WR_ECONFIG: reported at node
 * (`pcre2_compile() failed: ... in "PATTERN" at "REST"`). WR_ENOMEM.
 */
enum wr_status wr_regex_compile(struct wr_conf *cf, const struct wr_node *node,
                                struct wr_str pattern, unsigned flags,
                                struct wr_regex **ret) WR_MUST_CHECK;
/* The same without a configuration: named groups are only groups. WR_ECONFIG: *ret_err has the
 * words. */
enum wr_status wr_regex_new(struct wr_arena *a, struct wr_str pattern, unsigned flags,
                            struct wr_regex **ret, struct wr_str *ret_err) WR_MUST_CHECK;
/* The i-th named group; false: there are no more. */
bool wr_regex_name(const struct wr_regex *re, uint32_t i, struct wr_str *ret_name,
                   uint32_t *ret_group);
/* Number of groups, $0 not counted. */
uint32_t wr_regex_group_cnt(const struct wr_regex *re);
/* The pattern as written. */
struct wr_str wr_regex_text(const struct wr_regex *re);

/*
 * Searches in s. WR_OK: matched; the request's captures are slices of s, which must live as long as
 * the request, and named groups are set. WR_EOF: no match. WR_ELIMIT: the match limit, or another
 * error of the library (logged). WR_ENOMEM. r may be NULL.
 */
enum wr_status wr_regex_match(const struct wr_regex *re, struct wr_str s,
                              struct wr_req *r) WR_MUST_CHECK;
/* The same for other users: up to `cnt` slices into caps, $0 first, unset ones empty; *ret_cnt
 * groups that are there. */
enum wr_status wr_regex_exec(const struct wr_regex *re, struct wr_str s, struct wr_str *caps,
                             uint32_t cnt, uint32_t *ret_cnt) WR_MUST_CHECK;
/* Frees what this thread keeps; at the thread's end. */
void wr_regex_thread_fini(void);

#endif
