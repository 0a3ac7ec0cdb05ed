/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs_load.c: the whole way from a path to a generation: tree, init hooks, apply, merge, done
 * hooks. After a syntax error the directives that could be read are still applied, so that one run
 * reports what is wrong with them, but nothing is merged.
 */
#include "conf/dirs.h"

#include <string.h>

#include "base/assert.h"
#include "conf/dirs_int.h"
#include "conf/gen.h"
#include "conf/scope.h"

enum wr_status wr_conf_path(struct wr_conf *cf, struct wr_str path, enum wr_path_base base,
                            struct wr_str *ret_path)
{
    const struct wr_conf_opts *o = cf->opts;
    struct wr_str dir = wr_str_sub(o->path, 0, wr_str_rfind(o->path, '/') + 1);

    if (o->resolve_path != NULL) {
        return o->resolve_path(cf, path, base, ret_path);
    }
    if (path.len > 0 && path.ptr[0] == '/') {
        return wr_arena_dup(cf->arena, path, ret_path);
    }
    if (base == WR_PATH_PREFIX && o->prefix.len > 0) {
        const char *slash = o->prefix.ptr[o->prefix.len - 1] == '/' ? "" : "/";

        return wr_arena_printf(cf->arena, ret_path, "%.*s%s%.*s", WR_STR_ARG(o->prefix), slash,
                               WR_STR_ARG(path));
    }
    return wr_arena_printf(cf->arena, ret_path, "%.*s%.*s", WR_STR_ARG(dir), WR_STR_ARG(path));
}

enum wr_status wr_conf_read(struct wr_conf *cf, struct wr_str path, size_t max,
                            struct wr_str *ret_bytes, struct wr_conf_fault *ret_fault)
{
    struct wr_str copy;
    enum wr_status st = wr_arena_dup(cf->arena, path, &copy);

    if (st != WR_OK) {
        return st;
    }
    return cf->opts->source->read(cf->opts->source, cf->arena, copy, max, ret_bytes, ret_fault);
}

/* Calls the hook of each module; WR_ECONFIG of one does not keep the others from looking. */
static enum wr_status run_init(struct wr_conf *cf)
{
    for (size_t i = 0; i < cf->registry->module_cnt; i++) {
        struct wr_conf_module *m = cf->registry->modules[i];
        enum wr_status st = WR_OK;
        void *conf;

        if (m->size[WR_KIND_MAIN] != 0) {
            st = wr_scope_own(cf, cf->scope, m, WR_KIND_MAIN, &conf);
        }
        if (st == WR_OK && m->init != NULL) {
            st = m->init(cf);
        }
        if (st == WR_ECONFIG) {
            wr_conf_hook_failed(cf, m, "init");
        }
        if (st == WR_ENOMEM) {
            return st;
        }
    }
    return WR_OK;
}

static enum wr_status run_done(struct wr_conf *cf)
{
    for (size_t i = 0; i < cf->registry->module_cnt; i++) {
        struct wr_conf_module *m = cf->registry->modules[i];
        enum wr_status st = m->done == NULL ? WR_OK : m->done(cf);

        if (st == WR_ENOMEM) {
            return st;
        }
        if (st == WR_ECONFIG) {
            wr_conf_hook_failed(cf, m, "done");
        }
    }
    return WR_OK;
}

static enum wr_status read_tree(struct wr_conf *cf, struct wr_tree *t)
{
    const struct wr_conf_opts *o = cf->opts;
    enum wr_status st = wr_tree_init(t, cf->arena, cf->diags, o->source);

    if (st == WR_OK && o->cmdline.len > 0) {
        st = wr_tree_parse_cmdline(t, o->cmdline);
    }
    if (st == WR_OK) {
        st = wr_tree_parse_file(t, o->path);
    }
    cf->gen->files = t->files;
    cf->gen->tree = t->root;
    return st;
}

static enum wr_status build(struct wr_conf *cf)
{
    struct wr_scope *root;
    uint32_t before = cf->diags->emerg_cnt;
    enum wr_status st = read_tree(cf, cf->tree);
    bool has_syntax_error = cf->diags->emerg_cnt > before;

    if (st != WR_OK) {
        return st;
    }
    if (cf->opts->prepare != NULL && cf->opts->prepare(cf) == WR_ENOMEM) {
        return WR_ENOMEM;
    }
    cf->gen->registry = cf->registry;
    cf->_defaults = wr_arena_zalloc(cf->arena, (cf->registry->slot_cnt + 1) * sizeof(void *));
    if (!cf->_defaults) {
        return WR_ENOMEM;
    }
    st = wr_scope_new(cf, WR_CTX_MAIN, cf->tree->root, &root);
    if (st != WR_OK) {
        return st;
    }
    cf->scope = cf->gen->root = root;
    st = run_init(cf);
    if (st == WR_OK) {
        st = wr_conf_apply(cf, cf->tree->root, root);
    }
    if (st != WR_OK || has_syntax_error) {
        return st;
    }
    st = wr_scope_merge(cf, root);
    if (st == WR_OK && cf->diags->emerg_cnt == before) {
        st = run_done(cf);
    }
    return st;
}

enum wr_status wr_conf_load(const struct wr_conf_opts *o, struct wr_diags *diags,
                            struct wr_gen **ret_gen, struct wr_gen **ret_failed)
{
    struct wr_tree tree;
    struct wr_conf cf = {.opts = o, .registry = o->registry, .diags = diags, .tree = &tree};
    uint32_t emergs = diags->emerg_cnt;
    enum wr_status st = WR_ENOMEM;

    WR_ASSERT(o->path.len > 0 && o->path.ptr[0] == '/');
    cf.gen = wr_gen_new(o->gen_no, o->arena_cap);
    if (cf.gen != NULL) {
        cf.gen->registry = o->registry;
        cf.arena = &cf.gen->arena;
        st = build(&cf);
    }
    if (st == WR_ENOMEM && cf.gen != NULL) {
        st = wr_conf_nomem(&cf);
    } else if (st == WR_ENOMEM) {
        wr_diag_add(diags, WR_LOG_EMERG, NULL, WR_STR_NULL, "no memory for the configuration");
    } else if (st == WR_OK && diags->emerg_cnt > emergs) {
        st = WR_ECONFIG;
    }
    wr_diags_sort(diags);
    if (st == WR_OK) {
        *ret_gen = cf.gen;
    } else if (ret_failed != NULL) {
        *ret_failed = cf.gen;
    } else {
        wr_diags_detach(diags); /* the files end with the generation */
        wr_gen_unref(cf.gen);
    }
    return st;
}
