/* SPDX-License-Identifier: Apache-2.0 */
/*
 * geo_range.h: ranges of IPv4 addresses with values, for `geo` with `ranges`. Ranges are collected
 * in any order, then made into a sorted list of stretches that do not overlap. A range may lie
 * inside of an earlier one, which it covers; two that overlap otherwise are an error, and so is one
 * that lies around an earlier one.
 *
 *   1 -------- a -------- 9         first, then        ->   1-3 a, 4-5 b, 6-9 a
 *         4 -- b -- 5
 *
 * A look-up is a jump by the upper 16 bits and a binary search among at most 65536 stretches.
 */
#ifndef WR_MOD_GEO_RANGE_H
#define WR_MOD_GEO_RANGE_H

#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

struct wr_node;

struct wr_geo_range {
    uint32_t first, last;
    uint32_t seq; /* order of the file */
    void *value;  /* NULL: the range is deleted */
    struct wr_str text;
    const struct wr_node *node;
    struct wr_geo_range *_outer; /* while they are made ready */
};

/* Addresses with one value; NULL: deleted. */
struct wr_geo_stretch {
    uint32_t first, last;
    void *value;
};

struct wr_geo_ranges {
    struct wr_arena *arena;
    struct wr_geo_range *at;
    uint32_t cnt, _cap;
    struct wr_geo_stretch *_stretches;
    uint32_t _stretch_cnt;
    uint32_t *_index; /* upper 16 bits -> first stretch that ends there or behind */
};

enum wr_geo_fault {
    WR_GEO_OVERLAPS, /* an error */
    WR_GEO_DUPLICATE,
    WR_GEO_NOT_THERE
};

/* Says what is wrong with `r`; other: the range it collides with, NULL for NOT_THERE. */
typedef void wr_geo_say_fn(void *data, const struct wr_geo_range *r, enum wr_geo_fault fault,
                           const struct wr_geo_range *other);

void wr_geo_ranges_init(struct wr_geo_ranges *g, struct wr_arena *a);
/* "1.2.3.4-1.2.3.9"; value NULL: deletes a range added before. WR_EPROTO: it is no range. */
enum wr_status wr_geo_ranges_add(struct wr_geo_ranges *g, struct wr_str text, void *value,
                                 const struct wr_node *node) WR_MUST_CHECK;
/* Once, when all are there. WR_ENOMEM. Faults are told, what can be used is. */
enum wr_status wr_geo_ranges_build(struct wr_geo_ranges *g, wr_geo_say_fn *say,
                                   void *data) WR_MUST_CHECK;
/* NULL: in no range; IPv6 but for mapped IPv4 addresses is in none. */
void *wr_geo_ranges_find(const struct wr_geo_ranges *g, const struct wr_addr *a);

#endif
