/* SPDX-License-Identifier: Apache-2.0 */
/*
 * geo_range.c: see geo_range.h. Sorted by their first address, outer ones in front of inner ones,
 * ranges are swept once; those around the place of the sweep are a chain by _outer.
 */
#include "mod/geo_range.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "conf/types.h"

#define BUCKETS 65536u

void wr_geo_ranges_init(struct wr_geo_ranges *g, struct wr_arena *a)
{
    *g = (struct wr_geo_ranges){.arena = a};
}

static bool read_v4(struct wr_str s, uint32_t *ret)
{
    struct wr_addr a;
    const uint8_t *p = NULL;
    uint32_t v;

    if (wr_addr_parse_ip(s, 0, &a) != WR_OK || wr_addr_bytes(&a, &p) != 4) {
        return false;
    }
    memcpy(&v, p, 4);
    *ret = be32toh(v);
    return true;
}

enum wr_status wr_geo_ranges_add(struct wr_geo_ranges *g, struct wr_str text, void *value,
                                 const struct wr_node *node)
{
    size_t dash = wr_str_find(text, '-');
    struct wr_geo_range r = {.seq = g->cnt, .value = value, .text = text, .node = node};
    struct wr_geo_range *to;

    if (!read_v4(wr_str_sub(text, 0, dash), &r.first) ||
        !read_v4(wr_str_sub(text, dash + 1, text.len), &r.last) || r.first > r.last) {
        return WR_EPROTO;
    }
    to = wr_array_push(g->arena, g);
    if (!to) {
        return WR_ENOMEM;
    }
    *to = r;
    return WR_OK;
}

/* ---- one list of all ------------------------------------------------------------------------- */

static int compare(const void *pa, const void *pb)
{
    const struct wr_geo_range *a = pa, *b = pb;

    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    if (a->last != b->last) {
        return a->last > b->last ? -1 : 1;
    }
    return a->seq < b->seq ? -1 : 1;
}

/*
 * Of lines about the very same addresses the last one holds, in place; those of a `delete` without
 * anything to delete go.
 */
static void join_same(struct wr_geo_ranges *g, wr_geo_say_fn *say, void *data)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->cnt; i++) {
        struct wr_geo_range *r = &g->at[i], *old = n > 0 ? &g->at[n - 1] : NULL;
        bool is_same = old && old->first == r->first && old->last == r->last;

        if (!r->value && (!is_same || !old->value)) {
            say(data, r, WR_GEO_NOT_THERE, NULL);
        } else if (!is_same) {
            g->at[n++] = *r;
        } else {
            if (r->value && old->value) {
                say(data, r, WR_GEO_DUPLICATE, old);
            }
            *old = *r;
        }
    }
    g->cnt = n;
}

struct sweep {
    struct wr_geo_ranges *g;
    struct wr_geo_range *inner; /* innermost range around the place */
    uint64_t at;                /* first address that has no stretch yet */
};

static void emit(struct sweep *w, uint64_t end, void *value)
{
    if (w->at < end) {
        w->g->_stretches[w->g->_stretch_cnt++] =
            (struct wr_geo_stretch){(uint32_t)w->at, (uint32_t)(end - 1), value};
        w->at = end;
    }
}

/* Leaves the ranges that end in front of `first`. */
static void leave(struct sweep *w, uint64_t first)
{
    while (w->inner && w->inner->last < first) {
        emit(w, (uint64_t)w->inner->last + 1, w->inner->value);
        w->inner = w->inner->_outer;
    }
}

static void enter(struct sweep *w, struct wr_geo_range *r, wr_geo_say_fn *say, void *data)
{
    struct wr_geo_range *outer;

    leave(w, r->first);
    outer = w->inner;
    if (outer && (r->last > outer->last || r->seq < outer->seq)) {
        bool is_later = r->seq > outer->seq;

        say(data, is_later ? r : outer, WR_GEO_OVERLAPS, is_later ? outer : r);
        return;
    }
    if (outer) {
        emit(w, r->first, outer->value);
    }
    w->at = r->first;
    r->_outer = outer;
    w->inner = r;
}

/* _index[i]: first stretch that ends at i << 16 or behind. */
static enum wr_status make_index(struct wr_geo_ranges *g)
{
    uint32_t n = 0;

    g->_index = wr_arena_alloc(g->arena, (BUCKETS + 1) * sizeof(*g->_index));
    if (!g->_index) {
        return WR_ENOMEM;
    }
    for (uint32_t i = 0; i < BUCKETS; i++) {
        while (n < g->_stretch_cnt && g->_stretches[n].last < i << 16) {
            n++;
        }
        g->_index[i] = n;
    }
    g->_index[BUCKETS] = g->_stretch_cnt;
    return WR_OK;
}

enum wr_status wr_geo_ranges_build(struct wr_geo_ranges *g, wr_geo_say_fn *say, void *data)
{
    struct sweep w = {.g = g};

    if (g->cnt == 0) {
        return WR_OK;
    }
    qsort(g->at, g->cnt, sizeof(*g->at), compare);
    join_same(g, say, data);
    /* Each range ends one stretch and begins one. */
    g->_stretches = wr_arena_alloc(g->arena, ((size_t)g->cnt * 2 + 1) * sizeof(*g->_stretches));
    if (!g->_stretches) {
        return WR_ENOMEM;
    }
    for (uint32_t i = 0; i < g->cnt; i++) {
        enter(&w, &g->at[i], say, data);
    }
    leave(&w, UINT64_MAX);
    return make_index(g);
}

/* ---- look-up --------------------------------------------------------------------------------- */

void *wr_geo_ranges_find(const struct wr_geo_ranges *g, const struct wr_addr *a)
{
    const uint8_t *p = NULL;
    size_t n = wr_addr_bytes(a, &p);
    uint32_t v, lo, hi;

    if (n == 16 && IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr)) {
        p += 12;
        n = 4;
    }
    if (n != 4 || g->_stretch_cnt == 0) {
        return NULL;
    }
    memcpy(&v, p, 4);
    v = be32toh(v);
    lo = g->_index[v >> 16];
    hi = g->_index[(v >> 16) + 1]; /* this one too may have it */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (g->_stretches[mid].last < v) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < g->_stretch_cnt && g->_stretches[lo].first <= v ? g->_stretches[lo].value : NULL;
}
