/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known.c: look-up in tbl/known.h by bisection. Rows are sorted by name; rows of one name stand
 * together, one for each nginx module that has it.
 */
#include "conf/known.h"

#include <string.h>

#include "base/compiler.h"
#include "conf/dirs.h"

static const struct wr_known known[] = {
#define X(n, m, c, e) {n, m, c, WR_KNOWN_##e},
#include "conf/tbl/known.h"
#undef X
};

size_t wr_known_cnt(void)
{
    return WR_ARRAY_LEN(known);
}

const struct wr_known *wr_known_at(size_t i)
{
    return i < WR_ARRAY_LEN(known) ? &known[i] : NULL;
}

const struct wr_known *wr_known_find(struct wr_str name, uint32_t ctx)
{
    size_t lo = 0, hi = WR_ARRAY_LEN(known);
    const struct wr_known *first;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (wr_str_cmp(wr_str_z(known[mid].name), name) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == WR_ARRAY_LEN(known) || !wr_str_eq_z(name, known[lo].name)) {
        return NULL;
    }
    first = &known[lo];
    for (; lo < WR_ARRAY_LEN(known) && wr_str_eq_z(name, known[lo].name); lo++) {
        if ((known[lo].contexts & ctx) != 0) {
            return &known[lo];
        }
    }
    return first;
}
