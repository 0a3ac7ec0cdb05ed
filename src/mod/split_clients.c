/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split_clients.c: `split_clients TEXT $VARIABLE { 0.5% a; 2% b; * c; }`. The MurmurHash2 of the
 * text falls into one of the shares of 0 .. 2^32-1, in the order of the file, as documented:
 *
 *   0        21474836          107374181              4294967295
 *   |-- a ---|------- b -------|---------- c --------------|
 *
 * Shares are hundredths of a percent, rounded down; when they make up 100 percent the last one has
 * what rounding left. The values are plain texts.
 */
#include "mod/split_clients.h"

#include "base/hash.h"
#include "base/num.h"
#include "conf/types.h"
#include "http/module.h"
#include "http/var_conf.h"

#define HUNDRED 10000u /* percent, in hundredths */

struct share {
    uint32_t end; /* first hash that is not in it; 0: all that are left */
    struct wr_str value;
};

struct shares {
    struct share *at;
    uint32_t cnt, _cap;
};

struct split_table {
    struct wr_var row;
    struct wr_template text;
    struct shares shares;
    uint32_t sum; /* of hundredths of a percent so far */
    uint32_t end; /* of the last share */
};

/* ---- run ------------------------------------------------------------------------------------- */

static enum wr_status get_split(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    const struct split_table *t = (const struct split_table *)v->data;
    struct wr_str s = WR_STR_NULL;
    enum wr_status st = wr_template_eval(r, &t->text, &s);
    uint32_t hash;

    (void)rest;
    if (st != WR_OK) {
        return st;
    }
    hash = wr_hash_murmur2(s.ptr, s.len);
    for (uint32_t i = 0; i < t->shares.cnt; i++) {
        const struct share *p = &t->shares.at[i];

        if (p->end == 0 || hash < p->end) {
            *ret = p->value;
            return WR_OK;
        }
    }
    *ret = WR_STR("");
    return WR_OK;
}

/* ---- the directive --------------------------------------------------------------------------- */

/* "2.5%", ".5%" */
static bool read_percent(struct wr_str s, uint32_t *ret)
{
    struct wr_str part = wr_str_sub(s, 0, s.len - WR_MIN(s.len, 1u)), whole;
    size_t dot = wr_str_find(part, '.');
    uint64_t v = 0, hundredths = 0;

    if (s.len < 2 || s.ptr[s.len - 1] != '%') {
        return false;
    }
    whole = wr_str_sub(part, 0, dot);
    part = wr_str_sub(part, dot + 1, part.len);
    if (part.len > 2 || whole.len + part.len == 0 ||
        (whole.len > 0 && wr_num_parse_u64(whole, UINT32_MAX / 1000, &v) != WR_OK) ||
        (part.len > 0 && wr_num_parse_u64(part, 99, &hundredths) != WR_OK)) {
        return false;
    }
    v = v * 100 + hundredths * (part.len == 1 ? 10 : 1);
    *ret = (uint32_t)v;
    return v > 0;
}

static enum wr_status add_share(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct split_table *t = cf->block;
    struct share p = {.value = wr_node_arg(node, 0)};
    struct share *to;
    uint32_t percent = 0;

    (void)dir, (void)conf;
    if (node->arg_cnt != 1) {
        return wr_conf_err(cf, node, "invalid number of the split_clients parameters");
    }
    if (!wr_str_eq_z(node->name, "*")) {
        if (!read_percent(node->name, &percent)) {
            return wr_conf_err(cf, node, "invalid percent value \"%.*s\"", WR_STR_ARG(node->name));
        }
        t->sum = WR_MIN(t->sum, HUNDRED) + percent;
        if (t->sum > HUNDRED) {
            return wr_conf_err(cf, node, "percent total is greater than 100%%");
        }
        t->end += (uint32_t)((uint64_t)UINT32_MAX * percent / HUNDRED);
        p.end = t->sum == HUNDRED ? 0 : t->end;
    } else {
        t->sum = HUNDRED;
    }
    to = wr_array_push(cf->arena, &t->shares);
    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = p;
    return WR_OK;
}

static enum wr_status set_split(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct split_table *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    uint32_t no;
    enum wr_status st;

    (void)dir, (void)conf;
    if (!t) {
        return wr_conf_nomem(cf);
    }
    t->row = (struct wr_var){.get = get_split, .data = (uintptr_t)t};
    cf->block = t;
    st = wr_arg_template(cf, node, 0, wr_node_arg(node, 0), &t->text);
    return st == WR_OK ? wr_var_conf_define(cf, node, 1, &t->row, &no) : st;
}

static const struct wr_dir dirs[] = {
    {.name = "split_clients",
     .contexts = WR_CTX_HTTP,
     .min = 2,
     .max = 2,
     .flags = WR_DIR_BLOCK | WR_DIR_FREE | WR_DIR_REPEAT,
     .set = set_split,
     .child = add_share,
     WR_DIR_CONF(NONE),
     .doc = "A variable that has each of its values for a share of texts."},
    WR_DIR_END
};

static struct wr_conf_module split_conf = {.name = "split_clients", .dirs = dirs};

const struct wr_module wr_split_clients_module = {.conf = &split_conf};
