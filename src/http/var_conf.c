/* SPDX-License-Identifier: Apache-2.0 */
/*
 * var_conf.c: names, rows and values of variables that a configuration defines, see var_conf.h.
 * Control thread, while a generation is built.
 */
#include "http/var_conf.h"

#include "conf/dirs.h"
#include "conf/types.h"
#include "http/server.h"

enum wr_status wr_var_conf_name(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                struct wr_str *ret_name)
{
    struct wr_str s = wr_node_arg(n, i);

    if (s.len < 2 || s.ptr[0] != '$') {
        return wr_conf_err_arg(cf, n, i, "invalid variable name \"%.*s\"", WR_STR_ARG(s));
    }
    *ret_name = wr_str_sub(s, 1, s.len);
    return WR_OK;
}

enum wr_status wr_var_conf_define(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                  struct wr_var *row, uint32_t *ret_no)
{
    struct wr_str name = WR_STR_NULL;
    enum wr_status st = wr_var_conf_name(cf, n, i, &name);

    if (st == WR_OK) {
        st = wr_arena_dup(cf->arena, name, &name) == WR_OK ? WR_OK : wr_conf_nomem(cf);
    }
    if (st != WR_OK) {
        return st;
    }
    row->name = name.ptr;
    st = wr_vars_define(wr_http_building(cf)->vars, row, name, ret_no);
    if (st == WR_ECONFIG && wr_vars_count(wr_http_building(cf)->vars) >= WR_VARS_MAX) {
        return wr_conf_err_arg(cf, n, i, "too many variables, at most %u", (unsigned)WR_VARS_MAX);
    }
    if (st == WR_ECONFIG) {
        return wr_conf_err_arg(cf, n, i, "the duplicate \"%.*s\" variable", WR_STR_ARG(name));
    }
    return st == WR_OK ? st : wr_conf_nomem(cf);
}

enum wr_status wr_var_conf_value(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                                 const struct wr_template **ret)
{
    struct wr_template *t = wr_arena_zalloc(cf->arena, sizeof(*t));
    enum wr_status st;

    if (!t) {
        return wr_conf_nomem(cf);
    }
    st = wr_arg_template(cf, n, i, wr_node_arg(n, i), t);
    if (st == WR_OK) {
        *ret = t;
    }
    return st;
}
