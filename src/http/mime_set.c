/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime_set.c: see mime_set.h. A set has a handful of types; most do not have the length of the one
 * that is asked for.
 */
#include "http/mime_set.h"

#include "conf/types.h"

/* "Text/HTML ; charset=x" is "Text/HTML". */
static struct wr_str strip_parameters(struct wr_str type)
{
    return wr_str_trim(wr_str_sub(type, 0, wr_str_find(type, ';')));
}

static bool is_in(const struct wr_mime_set *set, struct wr_str type)
{
    for (uint32_t i = 0; i < set->cnt; i++) {
        if (wr_str_ieq(set->at[i], type)) {
            return true;
        }
    }
    return false;
}

bool wr_mime_set_has(const struct wr_mime_set *set, struct wr_str type)
{
    type = strip_parameters(type);
    return type.len > 0 && (set->is_any || is_in(set, type));
}

static enum wr_status add_type(struct wr_conf *cf, struct wr_mime_set *set, struct wr_str type)
{
    struct wr_str *to = wr_array_push(cf->arena, set);

    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = type;
    return WR_OK;
}

static enum wr_status add_fixed(struct wr_conf *cf, struct wr_mime_set *set, const char *types)
{
    struct wr_str list = wr_str_z(types), type;
    enum wr_status st = WR_OK;

    while (st == WR_OK && wr_str_split(&list, ' ', &type)) {
        st = add_type(cf, set, type);
    }
    return st;
}

enum wr_status wr_set_mime_types(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_mime_set *set = (struct wr_mime_set *)(void *)((char *)conf + dir->offset);
    enum wr_status st = WR_OK;

    if (dir->data && set->cnt == 0) {
        st = add_fixed(cf, set, dir->data);
    }
    for (uint32_t i = 0; i < node->arg_cnt && st == WR_OK; i++) {
        struct wr_str type = wr_node_arg(node, i);

        if (wr_str_eq(type, WR_STR("*"))) {
            set->is_any = true;
        } else if (!is_in(set, type)) {
            st = add_type(cf, set, type);
        } else if (node->file) {
            wr_conf_warn(cf, node, "duplicate MIME type \"%.*s\"", WR_STR_ARG(type));
        }
    }
    return st;
}
