/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs_apply.c: applies directives to scopes, and words what is wrong with them. The order of
 * checks is nginx's: name, place, block or semicolon, number of arguments, repetition, value. The
 * recursion (wr_conf_apply -> set function of a block -> wr_conf_apply) is bounded by the nesting
 * depth that tree.c allows and asserted here.
 */
#include "conf/dirs.h"

#include <string.h>

#include "base/assert.h"
#include "conf/dirs_int.h"
#include "conf/gen.h"
#include "conf/known.h"
#include "conf/lex.h"
#include "conf/scope.h"

#define HINT_MAX 256

/*
 * When a word at the beginning of a later line of the directive is the name of a directive, then
 * the ';' in front of it is most likely missing.
 */
static bool hint_semicolon(const struct wr_conf *cf, const struct wr_node *n, struct wr_strbuf *b)
{
    uint32_t line = n->line;

    for (uint32_t i = 0; i < n->arg_cnt; i++) {
        const struct wr_arg *a = &n->args[i];

        if (a->line != line && !a->is_quoted && wr_registry_find(cf->registry, a->text) != NULL) {
            wr_strbuf_printf(b, "is a \";\" missing at the end of line %u?", line);
            return true;
        }
        line = a->line;
    }
    return false;
}

static void add_err(struct wr_conf *cf, const struct wr_node *n, uint32_t arg, struct wr_str hint,
                    const char *fmt, va_list ap) WR_PRINTF(5, 0);

static void add_err(struct wr_conf *cf, const struct wr_node *n, uint32_t arg, struct wr_str hint,
                    const char *fmt, va_list ap)
{
    char room[HINT_MAX];
    struct wr_strbuf b;
    struct wr_pos pos;

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    if (n == NULL) {
        wr_diag_vadd(cf->diags, WR_LOG_EMERG, NULL, hint, fmt, ap);
        return;
    }
    pos = wr_node_arg_pos(n, arg);
    if (cf->_in_default && n->file == NULL) {
        wr_strbuf_printf(&b, "in the default of \"%.*s\"", WR_STR_ARG(n->name));
        hint = wr_strbuf_str(&b);
    } else if (hint.len == 0 && hint_semicolon(cf, n, &b)) {
        hint = wr_strbuf_str(&b);
    }
    wr_diag_vadd(cf->diags, WR_LOG_EMERG, &pos, hint, fmt, ap);
}

enum wr_status wr_conf_err(struct wr_conf *cf, const struct wr_node *node, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_err(cf, node, UINT32_MAX, WR_STR_NULL, fmt, ap);
    va_end(ap);
    return WR_ECONFIG;
}

enum wr_status wr_conf_err_arg(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                               const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_err(cf, node, i, WR_STR_NULL, fmt, ap);
    va_end(ap);
    return WR_ECONFIG;
}

enum wr_status wr_conf_err_hint(struct wr_conf *cf, const struct wr_node *node, struct wr_str hint,
                                const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_err(cf, node, UINT32_MAX, hint, fmt, ap);
    va_end(ap);
    return WR_ECONFIG;
}

enum wr_status wr_conf_err_dir(struct wr_conf *cf, const struct wr_node *node, const char *fmt, ...)
{
    char room[1024];
    struct wr_strbuf b;
    va_list ap;

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    va_start(ap, fmt);
    wr_strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    return wr_conf_err_arg(cf, node, 0, "\"%.*s\" directive %.*s", WR_STR_ARG(node->name),
                           WR_STR_ARG(wr_strbuf_str(&b)));
}

void wr_conf_warn(struct wr_conf *cf, const struct wr_node *node, const char *fmt, ...)
{
    struct wr_pos pos;
    va_list ap;

    va_start(ap, fmt);
    if (node != NULL) {
        pos = wr_node_pos(node);
    }
    wr_diag_vadd(cf->diags, WR_LOG_WARN, node != NULL ? &pos : NULL, WR_STR_NULL, fmt, ap);
    va_end(ap);
}

void wr_conf_notice(struct wr_conf *cf, const struct wr_node *node, const char *fmt, ...)
{
    struct wr_pos pos = wr_node_pos(node);
    va_list ap;

    va_start(ap, fmt);
    wr_diag_vadd(cf->diags, WR_LOG_NOTICE, &pos, WR_STR_NULL, fmt, ap);
    va_end(ap);
}

void wr_conf_hook_failed(struct wr_conf *cf, const struct wr_conf_module *m, const char *hook)
{
    if (cf->diags->emerg_cnt == 0) {
        wr_diag_add(cf->diags, WR_LOG_EMERG, NULL, WR_STR_NULL,
                    "the %s hook of module \"%s\" failed", hook, m->name);
    }
}

void wr_conf_say_nomem(struct wr_conf *cf)
{
    if (!cf->_nomem) {
        cf->_nomem = true;
        wr_diag_add(cf->diags, WR_LOG_EMERG, NULL, WR_STR_NULL,
                    "the configuration needs more memory than there is or than is allowed "
                    "(%zu of %zu bytes used)",
                    cf->arena->used, cf->arena->cap);
    }
}

/* The nearest name that may stand in ctx, for "did you mean"; NULL when none is near. */
static const char *nearest_name(const struct wr_conf *cf, struct wr_str name, uint32_t ctx)
{
    const char *best = NULL;
    unsigned max = name.len <= 4 ? 1 : name.len <= 8 ? 2 : 3, best_distance = max + 1;

    if (name.len < 2 || name.len > 64 || cf->diags->cnt >= WR_DIAG_MAX) {
        return NULL; /* the search costs, and the entry would not be kept */
    }
    for (size_t i = 0; i < cf->registry->entry_cnt && best_distance > 1; i++) {
        const struct wr_dir *d = cf->registry->_entries[i].dir;
        unsigned distance;

        if ((d->contexts & ctx) == 0) {
            continue;
        }
        distance = wr_str_distance(name, wr_str_z(d->name), best_distance - 1);
        if (distance < best_distance) {
            best = d->name;
            best_distance = distance;
        }
    }
    for (size_t i = 0; i < wr_known_cnt() && best_distance > 1; i++) {
        const struct wr_known *k = wr_known_at(i);
        unsigned distance;

        if ((k->contexts & ctx) == 0) {
            continue;
        }
        distance = wr_str_distance(name, wr_str_z(k->name), best_distance - 1);
        if (distance < best_distance) {
            best = k->name;
            best_distance = distance;
        }
    }
    return best;
}

/* A name that nginx has in this place, and weir has not. */
static enum wr_status refuse_known(struct wr_conf *cf, const struct wr_node *n,
                                   const struct wr_known *k)
{
    switch (k->effect) {
    case WR_KNOWN_SPEED:
        wr_conf_warn(cf, n, "the \"%s\" directive of %s is not supported yet, ignored", k->name,
                     k->module);
        return WR_OK;
    case WR_KNOWN_MEANING:
        return wr_conf_err(cf, n, "the \"%s\" directive of %s is not supported yet", k->name,
                           k->module);
    }
    WR_UNREACHABLE();
}

/* Is the directive inside of a block whose end was not found? */
static bool is_in_cut(const struct wr_node *n)
{
    for (n = n->parent; n != NULL; n = n->parent) {
        if (n->is_cut) {
            return true;
        }
    }
    return false;
}

static enum wr_status refuse_place(struct wr_conf *cf, const struct wr_node *n, uint32_t contexts)
{
    char room[HINT_MAX];
    struct wr_strbuf b;

    if (is_in_cut(n)) {
        /* Most likely the '}' that was not found is missing above: the first place tells it. */
        if (cf->_cut_told) {
            return WR_ECONFIG;
        }
        cf->_cut_told = true;
        return wr_conf_err_hint(cf, n, WR_STR("is a \"}\" missing above?"),
                                "\"%.*s\" directive is not allowed here", WR_STR_ARG(n->name));
    }
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    if (contexts != 0) {
        wr_strbuf_add_z(&b, "it is allowed in: ");
        wr_ctx_write_names(contexts, &b);
    }
    return wr_conf_err_hint(cf, n, wr_strbuf_str(&b), "\"%.*s\" directive is not allowed here",
                            WR_STR_ARG(n->name));
}

/* No row of this name fits the context. */
static enum wr_status refuse_name(struct wr_conf *cf, const struct wr_node *n,
                                  const struct wr_dir_entry *entries)
{
    uint32_t ctx = (uint32_t)cf->scope->ctx, contexts = 0;
    const struct wr_known *k = wr_known_find(n->name, ctx);
    char room[HINT_MAX];
    struct wr_strbuf b;
    const char *near;

    if (k != NULL && (k->contexts & ctx) != 0) {
        return refuse_known(cf, n, k);
    }
    for (const struct wr_dir_entry *e = entries; e != NULL; e = e->next) {
        contexts |= e->dir->contexts;
    }
    if (contexts != 0) {
        return refuse_place(cf, n, contexts);
    }
    if (k != NULL) {
        return refuse_place(cf, n, k->contexts);
    }
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    near = nearest_name(cf, n->name, ctx);
    if (near != NULL) {
        wr_strbuf_printf(&b, "did you mean \"%s\"?", near);
    } else if (wr_str_has_prefix(n->name, WR_STR("\xef\xbb\xbf"))) {
        wr_strbuf_add_z(&b, "the file begins with a byte order mark");
    }
    return wr_conf_err_hint(cf, n, wr_strbuf_str(&b), "unknown directive \"%.*s\"",
                            WR_STR_ARG(n->name));
}

/* Block, arguments, repetition. */
static enum wr_status check_form(struct wr_conf *cf, const struct wr_dir_entry *e,
                                 const struct wr_node *n, const struct wr_conf_head *head)
{
    const struct wr_dir *d = e->dir;

    if ((d->flags & WR_DIR_BLOCK) == 0 && n->has_block) {
        return wr_conf_err(cf, n, "directive \"%.*s\" is not terminated by \";\"",
                           WR_STR_ARG(n->name));
    }
    if ((d->flags & WR_DIR_BLOCK) != 0 && !n->has_block) {
        return wr_conf_err(cf, n, "directive \"%.*s\" has no opening \"{\"", WR_STR_ARG(n->name));
    }
    if (n->arg_cnt < d->min || (n->arg_cnt > d->max && d->max != WR_ARGS_ANY)) {
        return wr_conf_err(cf, n, "invalid number of arguments in \"%.*s\" directive",
                           WR_STR_ARG(n->name));
    }
    if (head != NULL && (d->flags & WR_DIR_REPEAT) == 0 && wr_bit_has(head->_set, e->bit)) {
        return wr_conf_err(cf, n, "\"%.*s\" directive is duplicate", WR_STR_ARG(n->name));
    }
    return WR_OK;
}

/* The children of a free-form block; those with a block of their own are refused before set. */
static enum wr_status check_free(struct wr_conf *cf, const struct wr_dir *d,
                                 const struct wr_node *n)
{
    const struct wr_node *c;

    if ((d->flags & WR_DIR_FREE) == 0 || (d->flags & WR_DIR_FREE_BLOCKS) != 0) {
        return WR_OK;
    }
    WR_NODE_FOREACH(c, n)
    {
        if (c->has_block) {
            return wr_conf_err(cf, c, "unexpected \"{\"");
        }
    }
    return WR_OK;
}

static enum wr_status call_set(struct wr_conf *cf, const struct wr_dir *d, const struct wr_node *n,
                               void *conf)
{
    void *saved = cf->block;
    enum wr_status st;
    const struct wr_node *c;

    cf->block = NULL;
    st = d->set == NULL ? WR_OK : d->set(cf, d, n, conf);
    if (st == WR_OK && (d->flags & WR_DIR_FREE) != 0 && d->child != NULL) {
        WR_NODE_FOREACH(c, n)
        {
            st = d->child(cf, d, c, conf);
            if (st == WR_ENOMEM) {
                break;
            }
        }
        st = st == WR_ENOMEM ? st : WR_OK; /* errors of children are in diags */
    }
    cf->block = saved;
    return st;
}

static enum wr_status apply_entry(struct wr_conf *cf, const struct wr_dir_entry *e,
                                  const struct wr_node *n)
{
    const struct wr_dir *d = e->dir;
    void *conf = NULL;
    enum wr_status st;

    wr_bit_set(cf->gen->used, e->module->_no);
    if (d->kind != WR_KIND_NONE) {
        st = wr_scope_own(cf, cf->scope, e->module, d->kind, &conf);
        if (st != WR_OK) {
            return st;
        }
    }
    st = check_form(cf, e, n, conf);
    if (st == WR_OK) {
        st = check_free(cf, d, n);
    }
    if (st != WR_OK) {
        return st;
    }
    if (conf != NULL) {
        wr_bit_set(((struct wr_conf_head *)conf)->_set, e->bit);
    }
    if ((d->flags & WR_DIR_DEPRECATED) != 0) {
        wr_conf_warn(cf, n, "the \"%s\" directive is deprecated", d->name);
    }
    return call_set(cf, d, n, conf);
}

static enum wr_status apply_node(struct wr_conf *cf, const struct wr_node *n)
{
    const struct wr_dir_entry *all = wr_registry_find(cf->registry, n->name), *e;

    for (e = all; e != NULL; e = e->next) {
        if ((e->dir->contexts & (uint32_t)cf->scope->ctx) != 0) {
            return apply_entry(cf, e, n);
        }
    }
    return refuse_name(cf, n, all);
}

enum wr_status wr_conf_apply(struct wr_conf *cf, const struct wr_node *node, struct wr_scope *s)
{
    struct wr_scope *saved = cf->scope;
    const struct wr_node *c;
    enum wr_status st = WR_OK;

    WR_ASSERT(cf->_depth <= WR_TREE_DEPTH_MAX + 1); /* tree.c reads no deeper nesting */
    cf->_depth++;
    cf->scope = s;
    WR_NODE_FOREACH(c, node)
    {
        uint32_t before = cf->diags->emerg_cnt;

        st = apply_node(cf, c);
        WR_ASSERT(st == WR_OK || st == WR_ECONFIG || st == WR_ENOMEM);
        if (st == WR_ENOMEM) {
            st = wr_conf_nomem(cf);
            break;
        }
        if (st == WR_ECONFIG && cf->diags->emerg_cnt == before && !is_in_cut(c)) {
            (void)wr_conf_err_dir(cf, c, "is invalid"); /* its set function gave no reason */
        }
        st = WR_OK;
    }
    cf->scope = saved;
    cf->_depth--;
    return st;
}

/* The default's text as a directive without a place. */
static enum wr_status make_default_node(struct wr_conf *cf, const struct wr_dir *d,
                                        struct wr_node *ret_n)
{
    struct wr_arg args[16], *copy;
    uint32_t cnt = 0;
    struct wr_lex lex;

    wr_lex_init(&lex, cf->arena, wr_str_z(d->def));
    for (;;) {
        struct wr_token k;
        enum wr_status st = wr_lex_next(&lex, &k);

        if (st == WR_ENOMEM) {
            return st;
        }
        WR_ASSERT(st == WR_OK && (k.kind == WR_TOKEN_WORD || k.kind == WR_TOKEN_END) &&
                  lex.open_quote_line == 0); /* a row's text is ours */
        if (k.kind == WR_TOKEN_END) {
            break;
        }
        WR_ASSERT(cnt < WR_ARRAY_LEN(args));
        args[cnt++] = (struct wr_arg){k.text, 0, 0, 0, k.is_quoted};
    }
    copy = wr_arena_alloc(cf->arena, (cnt + 1) * sizeof(*copy));
    if (!copy) {
        return WR_ENOMEM;
    }
    memcpy(copy, args, cnt * sizeof(*copy));
    *ret_n = (struct wr_node){.name = wr_str_z(d->name), .args = copy, .arg_cnt = cnt};
    return WR_OK;
}

static enum wr_status apply_default(struct wr_conf *cf, const struct wr_dir *d, void *conf)
{
    struct wr_node *n = wr_arena_alloc(cf->arena, sizeof(*n));
    enum wr_status st = !n ? WR_ENOMEM : make_default_node(cf, d, n);

    if (st == WR_OK) {
        cf->_in_default = true;
        st = d->set(cf, d, n, conf);
        cf->_in_default = false;
    }
    return st;
}

enum wr_status wr_conf_defaults(struct wr_conf *cf, uint32_t slot, const void **ret_conf)
{
    const struct wr_slot *s = &cf->registry->slots[slot];
    const struct wr_dir *d;
    void *conf = cf->_defaults[slot];

    if (conf != NULL) {
        *ret_conf = conf;
        return WR_OK;
    }
    conf = wr_arena_zalloc(cf->arena, s->module->size[s->kind]);
    if (!conf) {
        return wr_conf_nomem(cf);
    }
    for (d = s->module->dirs; d != NULL && d->name != NULL; d++) {
        enum wr_status st;

        if (d->kind != s->kind || d->def == NULL || d->set == NULL ||
            (d->flags & WR_DIR_DEF_DOC) != 0) {
            continue;
        }
        st = apply_default(cf, d, conf);
        if (st != WR_OK) {
            return st == WR_ENOMEM ? wr_conf_nomem(cf) : st;
        }
    }
    cf->_defaults[slot] = conf;
    *ret_conf = conf;
    return WR_OK;
}
