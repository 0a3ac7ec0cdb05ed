/* SPDX-License-Identifier: Apache-2.0 */
/*
 * num_map.c: `num_map [$NUMBER] $VARIABLE { ... }`. An entry is a number or a range, and a value:
 *
 *   80   8080-8090   <1024   <=1023   >8092   >=8093   default   include   volatile
 *
 * The first entry of the file that has the number decides. Without $NUMBER it is $request_port. A
 * text that is no number of digits has the default. When the block ends its entries become disjoint
 * segments in ascending order, so a look-up is a binary search:
 *
 *   [0, 79] none   [80, 80] A   [81, 1023] B ...      each begins where the one before ends
 */
#include "mod/num_map.h"

#include <stdlib.h>

#include "base/num.h"
#include "conf/types.h"
#include "http/module.h"
#include "http/var_conf.h"

#define NUMBER_MAX ((uint64_t)INT64_MAX)

struct num_range {
    uint64_t first, last;
    const struct wr_template *value;
};

struct num_ranges {
    struct num_range *at;
    uint32_t cnt, _cap;
};

struct num_segment {
    uint64_t first;
    const struct wr_template *value; /* NULL: the default */
};

struct num_table {
    struct wr_var row;
    struct wr_template number;
    struct num_ranges ranges; /* as written */
    struct num_segment *at;   /* at[0].first is 0 */
    uint32_t cnt;
    const struct wr_template *deflt; /* NULL: none */
};

/* ---- run ------------------------------------------------------------------------------------- */

static const struct wr_template *find_value(const struct num_table *t, uint64_t number)
{
    uint32_t low = 0, high = t->cnt; /* the last segment that does not begin behind it */

    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;

        if (t->at[mid].first <= number) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return t->at[low].value;
}

static enum wr_status get_value(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    const struct num_table *t = (const struct num_table *)v->data;
    const struct wr_template *value = NULL;
    struct wr_str s = WR_STR_NULL;
    uint64_t number = 0;
    enum wr_status st = wr_template_eval(r, &t->number, &s);

    (void)rest;
    if (st != WR_OK) {
        return st;
    }
    if (wr_num_parse_u64(s, NUMBER_MAX, &number) == WR_OK) {
        value = find_value(t, number);
    }
    value = value ? value : t->deflt;
    *ret = WR_STR("");
    return value ? wr_template_eval(r, value, ret) : WR_OK;
}

/* ---- entries --------------------------------------------------------------------------------- */

static bool read_number(struct wr_str s, uint64_t *ret)
{
    return wr_num_parse_u64(s, NUMBER_MAX, ret) == WR_OK;
}

/* "80", "8080-8090". */
static bool read_plain(struct wr_str s, struct num_range *ret)
{
    size_t dash = wr_str_find(s, '-');

    return read_number(wr_str_sub(s, 0, dash), &ret->first) &&
           read_number(dash < s.len ? wr_str_sub(s, dash + 1, s.len) : s, &ret->last) &&
           ret->first <= ret->last;
}

/* "<N", "<=N", ">N", ">=N". False: it is none, or nothing is in it. */
static bool read_open(struct wr_str s, struct num_range *ret)
{
    bool is_less = s.ptr[0] == '<', has_equal = s.len > 1 && s.ptr[1] == '=';
    uint64_t n;

    if (!read_number(wr_str_sub(s, has_equal ? 2 : 1, s.len), &n) ||
        (!has_equal && n == (is_less ? 0 : NUMBER_MAX))) {
        return false;
    }
    ret->first = is_less ? 0 : n + !has_equal;
    ret->last = is_less ? n - !has_equal : NUMBER_MAX;
    return true;
}

static bool read_range(struct wr_str s, struct num_range *ret)
{
    return s.len > 0 && (s.ptr[0] == '<' || s.ptr[0] == '>') ? read_open(s, ret)
                                                             : read_plain(s, ret);
}

static enum wr_status add_entry(struct wr_conf *cf, const struct wr_node *n, struct num_table *t)
{
    const struct wr_template *value = NULL;
    struct num_range range, *r;
    enum wr_status st;

    if (n->arg_cnt == 0 && wr_str_eq_z(n->name, "volatile")) {
        t->row.flags |= WR_VAR_NOCACHE;
        return WR_OK;
    }
    if (n->arg_cnt != 1) {
        return wr_conf_err(cf, n, "invalid number of the num_map parameters");
    }
    st = wr_var_conf_value(cf, n, 0, &value);
    if (st != WR_OK) {
        return st;
    }
    if (wr_str_eq_z(n->name, "default")) {
        if (t->deflt) {
            return wr_conf_err(cf, n, "duplicate default num_map parameter");
        }
        t->deflt = value;
        return WR_OK;
    }
    if (!read_range(n->name, &range)) {
        return wr_conf_err(cf, n, "invalid number or range \"%.*s\"", WR_STR_ARG(n->name));
    }
    r = wr_array_push(cf->arena, &t->ranges);
    if (!r) {
        return wr_conf_nomem(cf);
    }
    *r = range;
    r->value = value;
    return WR_OK;
}

/* ---- segments -------------------------------------------------------------------------------- */

static int compare_segments(const void *a, const void *b)
{
    const struct num_segment *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* All numbers where something begins, once each. */
static void find_borders(struct num_table *t)
{
    uint32_t cnt = 1;

    t->at[0].first = 0;
    for (uint32_t i = 0; i < t->ranges.cnt; i++) {
        t->at[cnt++].first = t->ranges.at[i].first;
        t->at[cnt++].first = t->ranges.at[i].last + 1;
    }
    qsort(t->at, cnt, sizeof(*t->at), compare_segments);
    t->cnt = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        if (t->cnt == 0 || t->at[t->cnt - 1].first != t->at[i].first) {
            t->at[t->cnt++] = t->at[i];
        }
    }
}

static uint32_t segment_of(const struct num_table *t, uint64_t first)
{
    const struct num_segment key = {.first = first};
    const struct num_segment *s = bsearch(&key, t->at, t->cnt, sizeof(*t->at), compare_segments);

    return (uint32_t)(s - t->at);
}

/* The first segment from i on that has no value yet; skip[i] leads there by and by. */
static uint32_t next_free(uint32_t *skip, uint32_t i)
{
    while (skip[i] != i) {
        skip[i] = skip[skip[i]];
        i = skip[i];
    }
    return i;
}

/* In the order of the file each entry takes the segments that are left of its range. */
static enum wr_status build(struct wr_conf *cf, struct num_table *t)
{
    size_t most = (size_t)t->ranges.cnt * 2 + 1;
    uint32_t *skip;

    t->at = wr_arena_zalloc(cf->arena, most * sizeof(*t->at));
    skip = wr_arena_alloc(cf->arena, (most + 1) * sizeof(*skip));
    if (!t->at || !skip) {
        return wr_conf_nomem(cf);
    }
    find_borders(t);
    for (uint32_t i = 0; i <= t->cnt; i++) {
        skip[i] = i;
    }
    for (uint32_t k = 0; k < t->ranges.cnt; k++) {
        const struct num_range *r = &t->ranges.at[k];
        uint32_t i = next_free(skip, segment_of(t, r->first));

        while (i < t->cnt && t->at[i].first <= r->last) {
            t->at[i].value = r->value;
            skip[i] = i + 1;
            i = next_free(skip, i);
        }
    }
    return WR_OK;
}

/* ---- the directive --------------------------------------------------------------------------- */

static enum wr_status set_number(struct wr_conf *cf, const struct wr_node *node,
                                 struct num_table *t)
{
    struct wr_str name;
    enum wr_status st;

    if (node->arg_cnt == 1) {
        return wr_arg_template(cf, node, 0, WR_STR("$request_port"), &t->number);
    }
    st = wr_var_conf_name(cf, node, 0, &name);
    return st == WR_OK ? wr_arg_template(cf, node, 0, wr_node_arg(node, 0), &t->number) : st;
}

static enum wr_status set_num_map(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct num_table *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    const struct wr_node *c;
    uint32_t no;
    enum wr_status st;

    (void)dir, (void)conf;
    if (!t) {
        return wr_conf_nomem(cf);
    }
    t->row = (struct wr_var){.get = get_value, .data = (uintptr_t)t};
    st = set_number(cf, node, t);
    if (st == WR_OK) {
        st = wr_var_conf_define(cf, node, node->arg_cnt - 1, &t->row, &no);
    }
    WR_NODE_FOREACH(c, node)
    {
        if (st == WR_OK && add_entry(cf, c, t) == WR_ENOMEM) { /* others are told already */
            st = WR_ENOMEM;
        }
    }
    return st == WR_OK ? build(cf, t) : st;
}

static const struct wr_dir dirs[] = {
    {.name = "num_map",
     .contexts = WR_CTX_HTTP,
     .min = 1,
     .max = 2,
     .flags = WR_DIR_BLOCK | WR_DIR_FREE | WR_DIR_REPEAT,
     .set = set_num_map,
     WR_DIR_CONF(NONE),
     .doc = "A variable whose value is found by a number: numbers, ranges."},
    WR_DIR_END
};

static struct wr_conf_module num_map_conf = {.name = "num_map", .dirs = dirs};

const struct wr_module wr_num_map_module = {.conf = &num_map_conf};
