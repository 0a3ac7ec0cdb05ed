/* SPDX-License-Identifier: Apache-2.0 */
/*
 * location.c: the `location` directive and the choice of a location, see location.h. Blocks form a
 * tree of lists while directives are applied; the tables are made of it when the file is whole,
 * because only then it is known which locations answer the path without '/' by a redirect.
 */
#include "http/location.h"

#include "conf/gen.h"
#include "conf/scope.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/regex.h"
#include "http/server.h"

/* ---- the directive -------------------------------------------------------------------------- */

struct modifier {
    const char *text;
    uint8_t kind;
    bool no_regex, icase;
};

/* Longer ones first: the name may follow without a blank. */
static const struct modifier modifiers[] = {
    {"^~", WR_LOC_PREFIX, true,  false},
    {"~*", WR_LOC_REGEX,  false, true },
    {"~",  WR_LOC_REGEX,  false, false},
    {"=",  WR_LOC_EXACT,  false, false},
};

static const struct modifier prefix_modifier = {"", WR_LOC_PREFIX, false, false};
static const struct modifier named_modifier = {"", WR_LOC_NAMED, false, false};

/* Modifier and name of "location A B" or "location A". NULL: no such modifier. */
static const struct modifier *read_head(const struct wr_node *n, struct wr_str *ret_name)
{
    struct wr_str a = wr_node_arg(n, 0);

    if (n->arg_cnt == 2) {
        *ret_name = wr_node_arg(n, 1);
        for (size_t i = 0; i < WR_ARRAY_LEN(modifiers); i++) {
            if (wr_str_eq_z(a, modifiers[i].text)) {
                return &modifiers[i];
            }
        }
        return NULL;
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(modifiers); i++) {
        struct wr_str m = wr_str_z(modifiers[i].text);

        if (wr_str_has_prefix(a, m)) {
            *ret_name = wr_str_sub(a, m.len, a.len);
            return &modifiers[i];
        }
    }
    *ret_name = a;
    return a.len > 0 && a.ptr[0] == '@' ? &named_modifier : &prefix_modifier;
}

/* May it stand inside `outer`? */
static enum wr_status check_nesting(struct wr_conf *cf, const struct wr_node *n,
                                    const struct wr_location *outer, const struct wr_location *l)
{
    if (outer->kind == WR_LOC_EXACT) {
        return wr_conf_err_arg(cf, n, n->arg_cnt - 1,
                               "location \"%.*s\" cannot be inside the exact location \"%.*s\"",
                               WR_STR_ARG(l->name), WR_STR_ARG(outer->name));
    }
    if (outer->kind == WR_LOC_NAMED) {
        return wr_conf_err_arg(cf, n, n->arg_cnt - 1,
                               "location \"%.*s\" cannot be inside the named location \"%.*s\"",
                               WR_STR_ARG(l->name), WR_STR_ARG(outer->name));
    }
    if (l->kind == WR_LOC_NAMED) {
        return wr_conf_err_arg(cf, n, 0, "named location \"%.*s\" can be on the server level only",
                               WR_STR_ARG(l->name));
    }
    if (l->kind != WR_LOC_REGEX && !wr_str_has_prefix(l->name, outer->name)) {
        return wr_conf_err_arg(cf, n, n->arg_cnt - 1,
                               "location \"%.*s\" is outside location \"%.*s\"",
                               WR_STR_ARG(l->name), WR_STR_ARG(outer->name));
    }
    return WR_OK;
}

static void append_location(struct wr_location **first, struct wr_location **last,
                            struct wr_location *l)
{
    if (*last) {
        (*last)->next = l;
    } else {
        *first = l;
    }
    *last = l;
}

/* Where a location of this level is kept: in the location around, or in the server. */
static enum wr_status enter_location(struct wr_conf *cf, struct wr_location *l)
{
    struct wr_core_srv *srv = NULL;
    void *conf = NULL;
    enum wr_status st;

    if (l->parent) {
        append_location(&l->parent->first, &l->parent->last, l);
        return WR_OK;
    }
    st = wr_scope_own(cf, cf->scope, &wr_core_conf, WR_KIND_SRV, &conf);
    if (st == WR_OK) {
        srv = conf;
        append_location(&srv->first_location, &srv->last_location, l);
    }
    return st;
}

static enum wr_status new_location(struct wr_conf *cf, const struct wr_node *node, enum wr_ctx ctx,
                                   struct wr_location **ret)
{
    struct wr_location *l = wr_arena_zalloc(cf->arena, sizeof(*l));
    enum wr_status st;

    if (!l) {
        return wr_conf_nomem(cf);
    }
    l->node = node;
    st = wr_scope_new(cf, ctx, node, &l->scope);
    if (st == WR_OK) {
        l->scope->data = l;
        *ret = l;
    }
    return st;
}

enum wr_status wr_location_set(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_location *l = NULL, *outer;
    const struct modifier *m;
    struct wr_str name = WR_STR_NULL;
    enum wr_status st;

    (void)dir;
    (void)conf;
    outer = cf->scope->ctx == WR_CTX_LOCATION ? cf->scope->data : NULL;
    m = read_head(node, &name);
    if (!m) {
        return wr_conf_err_arg(cf, node, 0, "invalid location modifier \"%.*s\"",
                               WR_STR_ARG(wr_node_arg(node, 0)));
    }
    st = new_location(cf, node, WR_CTX_LOCATION, &l);
    if (st != WR_OK) {
        return st;
    }
    l->name = name;
    l->kind = m->kind;
    l->no_regex = m->no_regex;
    l->parent = outer;
    if (m->kind == WR_LOC_REGEX) {
        st = wr_regex_compile(cf, node, name, m->icase ? WR_REGEX_ICASE : WR_REGEX_CASE, &l->re);
    }
    if (st == WR_OK && outer) {
        st = check_nesting(cf, node, outer, l);
    }
    if (st == WR_OK) {
        st = enter_location(cf, l);
    }
    if (st == WR_ENOMEM) {
        return st;
    }
    /* After an error too, so that what is wrong inside is found in the same run. */
    return wr_conf_apply(cf, node, l->scope) == WR_ENOMEM ? WR_ENOMEM : st;
}

/* l becomes the location of this scope, which has no name, and is known to the one around it. */
static void link_noname(struct wr_scope *s, struct wr_location *l)
{
    struct wr_location *outer = s->parent->data;

    l->scope = s;
    l->node = s->node;
    l->kind = WR_LOC_NONAME;
    l->parent = outer;
    l->name = outer->name;
    l->next = outer->nonames;
    outer->nonames = l;
    s->data = l;
}

enum wr_status wr_location_new_noname(struct wr_conf *cf, enum wr_ctx ctx,
                                      const struct wr_node *node, struct wr_location **ret)
{
    struct wr_location *l = NULL;
    enum wr_status st = new_location(cf, node, ctx, &l);

    if (st == WR_OK) {
        link_noname(l->scope, l);
        *ret = l;
    }
    return st;
}

enum wr_status wr_location_here(struct wr_conf *cf, struct wr_location **ret)
{
    struct wr_scope *s = cf->scope;
    struct wr_location *l = s->data;

    if (s->ctx != WR_CTX_LOCATION && s->ctx != WR_CTX_IF_LOCATION &&
        s->ctx != WR_CTX_LIMIT_EXCEPT) {
        *ret = NULL;
        return WR_OK;
    }
    if (!l) {
        l = wr_arena_zalloc(cf->arena, sizeof(*l));
        if (!l) {
            return wr_conf_nomem(cf);
        }
        link_noname(s, l);
    }
    *ret = l;
    return WR_OK;
}

/* ---- limit_except --------------------------------------------------------------------------- */

/* Any case, as in nginx; the methods that are refused everywhere are none. */
static enum wr_method method_of_word(struct wr_str s)
{
    for (unsigned m = WR_METHOD_OTHER + 1; m < WR_METHOD_COUNT; m++) {
        if (m != WR_METHOD_TRACE && m != WR_METHOD_CONNECT &&
            wr_str_ieq(s, wr_method_name((enum wr_method)m))) {
            return (enum wr_method)m;
        }
    }
    return WR_METHOD_OTHER;
}

enum wr_status wr_location_set_limit(struct wr_conf *cf, const struct wr_dir *dir,
                                     const struct wr_node *node, void *conf)
{
    struct wr_location *outer = NULL, *l = NULL;
    uint32_t methods = 0;
    enum wr_status st;

    (void)dir;
    (void)conf;
    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        enum wr_method m = method_of_word(wr_node_arg(node, i));

        if (m == WR_METHOD_OTHER) {
            return wr_conf_err_arg(cf, node, i, "invalid method \"%.*s\"",
                                   WR_STR_ARG(wr_node_arg(node, i)));
        }
        methods |= UINT32_C(1) << m;
    }
    if ((methods & UINT32_C(1) << WR_METHOD_GET) != 0) {
        methods |= UINT32_C(1) << WR_METHOD_HEAD;
    }
    st = wr_location_here(cf, &outer);
    if (st == WR_OK) {
        st = wr_location_new_noname(cf, WR_CTX_LIMIT_EXCEPT, node, &l);
    }
    if (st != WR_OK) {
        return st;
    }
    outer->limited = l;
    outer->methods = methods;
    return wr_conf_apply(cf, node, l->scope);
}

/* ---- what modules say about the location that is being built (module.h)
 * -------------------------- */

enum wr_status wr_core_set_content(struct wr_conf *cf, const struct wr_node *node,
                                   wr_content_start_fn *start, void *conf)
{
    struct wr_location *l = NULL;
    enum wr_status st = wr_location_here(cf, &l);

    if (st != WR_OK) {
        return st;
    }
    if (!l) {
        return wr_conf_err(cf, node, "\"%.*s\" directive is not allowed here",
                           WR_STR_ARG(node->name));
    }
    if (l->start) {
        return wr_conf_err_dir(cf, node, "is duplicate");
    }
    l->start = start;
    l->start_conf = conf;
    l->start_node = node;
    return WR_OK;
}

void wr_core_loc_facts(struct wr_conf *cf, struct wr_loc_facts *ret)
{
    const struct wr_scope *s = cf->scope;
    const struct wr_location *l = s->data;

    *ret = (struct wr_loc_facts){.name = WR_STR_NULL};
    if (s->ctx == WR_CTX_IF_LOCATION || s->ctx == WR_CTX_LIMIT_EXCEPT) {
        ret->is_noname = true;
        l = s->parent->data;
    } else if (s->ctx != WR_CTX_LOCATION) {
        return;
    }
    if (l) {
        ret->name = l->name;
        ret->is_regex = l->kind == WR_LOC_REGEX;
        ret->is_named = l->kind == WR_LOC_NAMED;
        ret->is_exact = l->kind == WR_LOC_EXACT;
    }
}

void wr_core_set_auto_redirect(struct wr_conf *cf)
{
    struct wr_location *l = cf->scope->ctx == WR_CTX_LOCATION ? cf->scope->data : NULL;

    if (l && l->kind == WR_LOC_PREFIX && l->name.len > 0 && l->name.ptr[l->name.len - 1] == '/') {
        l->auto_redirect = true;
    }
}

/* ---- tables --------------------------------------------------------------------------------- */

static enum wr_status add_to_map(struct wr_conf *cf, struct wr_map *m, struct wr_location *l)
{
    if (wr_map_get(m, l->name)) {
        if (l->kind == WR_LOC_NAMED) {
            /* nginx accepts it silently; the first one is used. */
            wr_conf_warn(cf, l->node, "duplicate location \"%.*s\", ignored", WR_STR_ARG(l->name));
            return WR_OK;
        }
        (void)wr_conf_err_arg(cf, l->node, l->node->arg_cnt - 1, "duplicate location \"%.*s\"",
                              WR_STR_ARG(l->name));
        return WR_OK; /* said; the others are looked at too */
    }
    (void)wr_map_put(m, l->name, l); /* is new */
    return WR_OK;
}

static enum wr_status add_prefix(struct wr_conf *cf, struct wr_locations *ls, struct wr_location *l)
{
    if (!ls->has_prefix) {
        wr_trie_init(&ls->prefix, cf->arena, WR_TRIE_DEFAULT);
        ls->has_prefix = true;
    }
    if (wr_trie_put(&ls->prefix, l->name, l)) {
        (void)wr_conf_err_arg(cf, l->node, l->node->arg_cnt - 1, "duplicate location \"%.*s\"",
                              WR_STR_ARG(l->name));
    }
    ls->lone = ls->prefix.cnt == 1 ? l : NULL;
    return WR_OK;
}

static enum wr_status add_location(struct wr_conf *cf, struct wr_locations *ls,
                                   struct wr_location *l)
{
    switch ((enum wr_location_kind)l->kind) {
    case WR_LOC_PREFIX:
        return add_prefix(cf, ls, l);
    case WR_LOC_EXACT:
        return add_to_map(cf, &ls->exact, l);
    case WR_LOC_REGEX:
        ls->regexes[ls->regex_cnt++] = l;
        return WR_OK;
    case WR_LOC_NAMED:
        return add_to_map(cf, &ls->named, l);
    case WR_LOC_NONAME:
        return WR_OK;
    }
    WR_UNREACHABLE();
}

/* Blocks without a name in this location: what answers there when they have nothing of their own.
 */
static void finish_nonames(struct wr_location *outer)
{
    for (struct wr_location *l = outer->nonames; l; l = l->next) {
        l->core = wr_scope_get(l->scope, &wr_core_conf, WR_KIND_LOC);
        if (!l->start) {
            l->start = outer->start;
            l->start_conf = outer->start_conf;
        }
        finish_nonames(l);
    }
}

/* "/app" for "/app/", unless a location has just this name. */
static void add_redirect(struct wr_locations *ls, struct wr_location *l)
{
    struct wr_str name = wr_str_sub(l->name, 0, l->name.len - 1);

    if (!l->auto_redirect || name.len == 0 || wr_map_get(&ls->exact, name) ||
        wr_trie_get(&ls->prefix, name)) {
        return;
    }
    (void)wr_map_put(&ls->redirects, name, l); /* or replaces */
}

enum wr_status wr_locations_build(struct wr_conf *cf, struct wr_location *first,
                                  struct wr_locations **ret)
{
    struct wr_locations *ls = wr_arena_zalloc(cf->arena, sizeof(*ls));
    enum wr_status st = WR_OK;
    struct wr_location *l;
    uint32_t regex_cnt = 0;

    if (!ls) {
        return wr_conf_nomem(cf);
    }
    wr_map_init_arena(&ls->exact, WR_MAP_CASE, cf->arena);
    wr_map_init_arena(&ls->named, WR_MAP_CASE, cf->arena);
    wr_map_init_arena(&ls->redirects, WR_MAP_CASE, cf->arena);
    for (l = first; l; l = l->next) {
        regex_cnt += l->kind == WR_LOC_REGEX;
    }
    ls->regexes = wr_arena_alloc(cf->arena, regex_cnt * sizeof(struct wr_location *));
    if (!ls->regexes) {
        return wr_conf_nomem(cf);
    }
    for (l = first; l && st == WR_OK; l = l->next) {
        l->core = wr_scope_get(l->scope, &wr_core_conf, WR_KIND_LOC);
        finish_nonames(l);
        st = add_location(cf, ls, l);
        if (st == WR_OK && l->first) {
            st = wr_locations_build(cf, l->first, &l->nested);
        }
    }
    for (l = first; l && st == WR_OK; l = l->next) {
        add_redirect(ls, l);
    }
    if (st == WR_OK) {
        *ret = ls;
    }
    return st;
}

/* ---- look-up -------------------------------------------------------------------------------- */

static enum wr_location_found find_nested(const struct wr_location *l, struct wr_str path,
                                          struct wr_req *r, const struct wr_location **ret,
                                          bool *ret_is_final);

/* Regexes of a level, in order. */
static enum wr_location_found find_regex(const struct wr_locations *ls, struct wr_str path,
                                         struct wr_req *r, const struct wr_location **ret)
{
    for (uint32_t i = 0; i < ls->regex_cnt; i++) {
        enum wr_status st = wr_regex_match(ls->regexes[i]->re, path, r);
        bool is_final;

        if (st == WR_OK) {
            *ret = ls->regexes[i];
            return find_nested(ls->regexes[i], path, r, ret, &is_final);
        }
        if (st != WR_EOF) {
            return WR_LOCATION_ERROR;
        }
    }
    return WR_LOCATION_NONE;
}

static const struct wr_location *find_prefix(const struct wr_locations *ls, struct wr_str path)
{
    if (ls->lone) {
        return wr_str_has_prefix(path, ls->lone->name) ? ls->lone : NULL;
    }
    return ls->has_prefix ? wr_trie_longest(&ls->prefix, path, NULL, NULL, NULL) : NULL;
}

/* *ret_is_final: an exact name or a regex decided; the levels around look no further. */
static enum wr_location_found find_level(const struct wr_locations *ls, struct wr_str path,
                                         struct wr_req *r, const struct wr_location **ret,
                                         bool *ret_is_final)
{
    enum wr_location_found found = WR_LOCATION_NONE, f;
    const struct wr_location *l;
    bool no_regex = false;

    *ret_is_final = true;
    l = wr_map_get(&ls->exact, path);
    if (l) {
        *ret = l;
        return WR_LOCATION_FOUND;
    }
    l = wr_map_get(&ls->redirects, path);
    if (l) {
        *ret = l;
        return WR_LOCATION_REDIRECT;
    }
    l = find_prefix(ls, path);
    if (l) {
        *ret = l;
        found = find_nested(l, path, r, ret, ret_is_final);
        if (*ret_is_final || found == WR_LOCATION_ERROR) {
            return found;
        }
        no_regex = l->no_regex;
        *ret_is_final = true;
    }
    f = no_regex ? WR_LOCATION_NONE : find_regex(ls, path, r, ret);
    if (f != WR_LOCATION_NONE) {
        return f;
    }
    *ret_is_final = false;
    return found;
}

/* *ret is l already; something nested in it may be better. */
static enum wr_location_found find_nested(const struct wr_location *l, struct wr_str path,
                                          struct wr_req *r, const struct wr_location **ret,
                                          bool *ret_is_final)
{
    enum wr_location_found found = WR_LOCATION_NONE;

    *ret_is_final = false;
    if (l->nested) {
        found = find_level(l->nested, path, r, ret, ret_is_final);
    }
    return found == WR_LOCATION_NONE ? WR_LOCATION_FOUND : found;
}

enum wr_location_found wr_locations_find(const struct wr_locations *ls, struct wr_str path,
                                         struct wr_req *r, const struct wr_location **ret)
{
    bool is_final;

    return find_level(ls, path, r, ret, &is_final);
}

const struct wr_location *wr_locations_named(const struct wr_locations *ls, struct wr_str name)
{
    return wr_map_get(&ls->named, name);
}
