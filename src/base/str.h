/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str.h: slices. {ptr, len}, not zero-terminated, not owned, never given to str*().
 */
#ifndef WR_BASE_STR_H
#define WR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

struct wr_str {
    const char *ptr; /* may be NULL only when len is 0 */
    size_t len;
};

#define WR_STR(lit) ((struct wr_str){(lit), sizeof(lit) - 1})
#define WR_STR_INIT(lit)                                                                           \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }
#define WR_STR_NULL   ((struct wr_str){NULL, 0})
/* For printf: "%.*s", WR_STR_ARG(s) */
#define WR_STR_ARG(s) (int)(s).len, (s).ptr

static inline struct wr_str wr_str(const char *p, size_t len)
{
    return (struct wr_str){p, len};
}

static inline struct wr_str wr_str_z(const char *z)
{
    return (struct wr_str){z, z == NULL ? 0 : strlen(z)};
}

static inline bool wr_str_eq(struct wr_str a, struct wr_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* For wr_str_ieq: n bytes of each. */
bool wr_str_ieq_bytes(const char *a, const char *b, size_t n);

/* ASCII case-insensitive. */
static inline bool wr_str_ieq(struct wr_str a, struct wr_str b)
{
    return a.len == b.len && wr_str_ieq_bytes(a.ptr, b.ptr, a.len);
}

bool wr_str_eq_z(struct wr_str a, const char *z);

/*
 * If s begins in the bytes that were at old[0..len) it is moved to new_base. Addresses are compared
 * as numbers: the old piece may be gone already. NULL never lies in one: its distance is beyond
 * every length.
 */
static inline void wr_str_rebase(struct wr_str *s, uintptr_t old, size_t len, const char *new_base)
{
    uintptr_t off = (uintptr_t)s->ptr - old;

    if (WR_LIKELY(off < len)) {
        s->ptr = new_base + off;
    }
}

/* Order by bytes, then length: negative, 0, positive. */
int wr_str_cmp(struct wr_str a, struct wr_str b);
int wr_str_icmp(struct wr_str a, struct wr_str b);
bool wr_str_has_prefix(struct wr_str s, struct wr_str prefix);

static inline bool wr_str_has_iprefix(struct wr_str s, struct wr_str prefix)
{
    return s.len >= prefix.len && wr_str_ieq_bytes(s.ptr, prefix.ptr, prefix.len);
}

bool wr_str_has_suffix(struct wr_str s, struct wr_str suffix);
/* Index of the first c (of needle), or s.len when there is none. */
size_t wr_str_find(struct wr_str s, char c);
size_t wr_str_rfind(struct wr_str s, char c);
size_t wr_str_find_str(struct wr_str s, struct wr_str needle);
/* From off (clamped) at most n bytes. */
struct wr_str wr_str_sub(struct wr_str s, size_t off, size_t n);
/* Without spaces and tabs at both ends. */
struct wr_str wr_str_trim(struct wr_str s);
/*
 * Cuts the next field up to `sep` off *s into *ret_field (untrimmed); false when *s was spent.
 * "a,,b" gives "a", "", "b"; "" gives one empty field only if *s had a non-NULL ptr.
 */
bool wr_str_split(struct wr_str *s, char sep, struct wr_str *ret_field);
/* Does a comma-separated list hold this token (case-insensitive, blanks trimmed)? RFC 9110 5.6.1 */
bool wr_str_list_has(struct wr_str list, struct wr_str token);
/* Levenshtein distance, at most `max` (then max + 1); for "did you mean". */
unsigned wr_str_distance(struct wr_str a, struct wr_str b, unsigned max);

#endif
