/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit_conf.c: see limit_conf.h. Control thread, but for wr_limit_key.
 */
#include "mod/limit_conf.h"

#include "http/module.h"
#include "http/var.h"

const struct wr_word wr_limit_levels[] = {
    {"info",   WR_LOG_INFO  },
    {"notice", WR_LOG_NOTICE},
    {"warn",   WR_LOG_WARN  },
    {"error",  WR_LOG_ERROR },
    WR_WORDS_END
};

enum {
    STATUS_MIN = 400,
    STATUS_MAX = 599
};

enum wr_status wr_limit_set_status(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    uint64_t v = 0;
    enum wr_status st = wr_arg_num(cf, node, 0, NULL, &v);

    if (st != WR_OK) {
        return st;
    }
    if (v < STATUS_MIN || v > STATUS_MAX) {
        return wr_conf_err_arg(cf, node, 0, "value must be between 400 and 599");
    }
    *(uint32_t *)(void *)((char *)conf + dir->offset) = (uint32_t)v;
    return WR_OK;
}

enum wr_status wr_limit_zone_add(struct wr_conf *cf, const struct wr_node *node,
                                 const struct wr_limit_zone_args *args, struct wr_limit_zone **ret)
{
    struct wr_zone_name *name = NULL;
    struct wr_limit_zone *z;
    enum wr_status st;

    if (args->name.len == 0) {
        return wr_conf_err(cf, node, "\"%.*s\" must have \"zone\" parameter",
                           WR_STR_ARG(node->name));
    }
    st = wr_zone_declare(cf, node, args->name, args->zone_size, args->kind, &name);
    if (st != WR_OK) {
        return st;
    }
    if (name->data) {
        z = name->data;
        return wr_conf_err(cf, node, "%.*s \"%.*s\" is already bound to key \"%.*s\"",
                           WR_STR_ARG(node->name), WR_STR_ARG(args->name),
                           WR_STR_ARG(z->key.source));
    }
    z = wr_arena_zalloc(cf->arena, args->size);
    if (!z) {
        return wr_conf_nomem(cf);
    }
    z->name = name;
    st = wr_arg_template(cf, node, 0, wr_node_arg(node, 0), &z->key);
    if (st == WR_OK) {
        st = wr_zone_open(cf, name, z->key.source);
    }
    if (st == WR_OK) {
        name->data = z;
        *ret = z;
    }
    return st;
}

enum wr_status wr_limit_key(struct wr_req *r, const struct wr_zone_name *z, uint64_t *ret_key)
{
    const struct wr_limit_zone *lz = z->data;
    struct wr_str s = WR_STR_NULL;
    enum wr_status st = wr_template_eval(r, &lz->key, &s);

    if (st != WR_OK) {
        return st == WR_ENOMEM ? st : WR_EOF; /* a text without end: logged */
    }
    if (s.len == 0 || !z->table) {
        return WR_EOF;
    }
    if (s.len > WR_LIMIT_KEY_MAX) {
        wr_log(&r->log, WR_LOG_ERROR, "the value of the \"%.*s\" key is more than 65535 bytes",
               WR_STR_ARG(lz->key.source));
        return WR_EOF;
    }
    *ret_key = wr_zone_key(s);
    return WR_OK;
}
