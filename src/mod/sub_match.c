/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub_match.c: see sub_match.h. A table tells which bytes may begin a text; only there are the
 * texts compared, in order. The cost is that of the table for most bytes, and bounded by the sum of
 * the lengths of the texts for each.
 */
#include "mod/sub_match.h"

#include <string.h>

#include "base/chars.h"

static unsigned char lower(char c)
{
    return wr_char_lower[(unsigned char)c];
}

void wr_sub_lower(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)lower(p[i]);
    }
}

static void build(struct wr_sub_set *set)
{
    memset(set->first, 0, sizeof(set->first));
    set->live = 0;
    for (uint32_t i = 0; i < set->cnt; i++) {
        if (set->at[i].len > 0) {
            set->live++;
            set->first[(unsigned char)set->at[i].ptr[0]] = 1;
        }
    }
    for (unsigned c = 'A'; c <= 'Z'; c++) {
        set->first[c] = set->first[wr_char_lower[c]];
    }
}

void wr_sub_set_init(struct wr_sub_set *set, struct wr_str *at, uint32_t cnt)
{
    set->at = at;
    set->cnt = cnt;
    set->len_max = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        set->len_max = WR_MAX(set->len_max, at[i].len);
    }
    build(set);
}

void wr_sub_set_drop(struct wr_sub_set *set, uint32_t which)
{
    set->at[which].len = 0;
    build(set);
}

enum compared {
    DIFFERS,
    IS_BEGUN, /* all that is here is like the text, which is longer */
    IS_WHOLE
};

static enum compared compare(struct wr_str text, const char *p, size_t n)
{
    size_t len = WR_MIN(text.len, n);

    for (size_t i = 0; i < len; i++) {
        if (lower(p[i]) != (unsigned char)text.ptr[i]) {
            return DIFFERS;
        }
    }
    return len == text.len ? IS_WHOLE : IS_BEGUN;
}

/* DIFFERS: none begins here. */
static enum compared compare_all(const struct wr_sub_set *set, const char *p, size_t n,
                                 enum wr_sub_more more, uint32_t *ret_which)
{
    for (uint32_t i = 0; i < set->cnt; i++) {
        enum compared how = set->at[i].len > 0 ? compare(set->at[i], p, n) : DIFFERS;

        if (how == IS_WHOLE || (how == IS_BEGUN && more == WR_SUB_MORE)) {
            *ret_which = i;
            return how;
        }
    }
    return DIFFERS;
}

bool wr_sub_find(const struct wr_sub_set *set, const char *p, size_t n, enum wr_sub_more more,
                 size_t *ret_at, uint32_t *ret_which)
{
    for (size_t i = 0; i < n; i++) {
        enum compared how;

        if (!set->first[(unsigned char)p[i]]) {
            continue;
        }
        how = compare_all(set, p + i, n - i, more, ret_which);
        if (how != DIFFERS) {
            *ret_at = i;
            return how == IS_WHOLE;
        }
    }
    *ret_at = n;
    return false;
}
