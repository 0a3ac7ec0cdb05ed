/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub_match.h: searches bytes that come in pieces for several texts at once, without regard to the
 * case of ASCII letters. The leftmost place wins, there the first text in order. Pure.
 */
#ifndef WR_MOD_SUB_MATCH_H
#define WR_MOD_SUB_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct wr_sub_set {
    struct wr_str *at; /* in lower case; an empty one is not looked for */
    uint32_t cnt;
    uint32_t live;      /* those that are not empty */
    size_t len_max;     /* of those at the time of init */
    uint8_t first[256]; /* may a text begin with this byte? */
};

/* Lower case, in place. */
void wr_sub_lower(char *p, size_t n);
/* Takes the array, which stays the caller's. */
void wr_sub_set_init(struct wr_sub_set *set, struct wr_str *at, uint32_t cnt);
/* This one is not looked for any more. */
void wr_sub_set_drop(struct wr_sub_set *set, uint32_t which);

enum wr_sub_more {
    WR_SUB_MORE, /* others may follow p[0..n) */
    WR_SUB_LAST
};

/*
 * True: at *ret_at stands text *ret_which, whole. False: none is in p[0..*ret_at), and a text may
 * begin there that is not whole yet; fewer than len_max bytes are behind *ret_at, none with LAST.
 */
bool wr_sub_find(const struct wr_sub_set *set, const char *p, size_t n, enum wr_sub_more more,
                 size_t *ret_at, uint32_t *ret_which);

#endif
