/* SPDX-License-Identifier: Apache-2.0 */
/*
 * referer.c: `valid_referers` and $invalid_referer, which is "1" where the field Referer fits none
 * of the words:
 *
 *   none           there is no field
 *   blocked        its value begins with neither http:// nor https://: something took it away
 *   server_names   its host is a name of this server
 *   a.b  *.a.b  a.b.*  .a.b  with or without /path: its host, and how its path begins
 *   ~RE            a regex on what follows http://, letters without case
 *
 * Hosts are found in tables like those of a map, so a look-up costs the same whatever their number.
 * The names of the server are known only when the file is whole: they enter the tables at the
 * merge.
 */
#include "mod/referer.h"

#include "base/map.h"
#include "base/trie.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/regex.h"

struct referer_host {
    struct wr_str path; /* the request's begins so; empty: any */
};

struct referer_regex {
    struct wr_regex *re;
    bool is_host; /* of server_names: on the host only */
};

struct referer_regexes {
    struct referer_regex *at;
    uint32_t cnt, _cap;
};

struct referers {
    bool has_none, has_blocked, has_names, has_hosts, has_leading, has_trailing;
    struct wr_map exact;
    struct wr_trie leading, trailing; /* of ".a.b" read backwards, of "a.b." */
    struct referer_regexes regexes;
};

struct referer_loc {
    struct wr_conf_head head;
    struct referers *list; /* NULL: no directive */
};

static struct wr_conf_module referer_conf;

/* ---- run ------------------------------------------------------------------------------------- */

/* "http://HOST[:port][/path]": what follows the scheme, the host, the path. */
struct referer {
    struct wr_str rest, host, path;
};

/* False: it begins with neither scheme. */
static bool split(struct wr_str s, struct referer *ret)
{
    struct wr_str authority;
    size_t n = 0;

    if (wr_str_has_iprefix(s, WR_STR("http://"))) {
        ret->rest = wr_str_sub(s, 7, s.len);
    } else if (wr_str_has_iprefix(s, WR_STR("https://"))) {
        ret->rest = wr_str_sub(s, 8, s.len);
    } else {
        return false;
    }
    while (n < ret->rest.len && !memchr("/?#", ret->rest.ptr[n], 3)) {
        n++;
    }
    authority = wr_str_sub(ret->rest, 0, n);
    ret->path = wr_str_sub(ret->rest, n, ret->rest.len);
    /* Names of users have no place here, but to look like a host. */
    ret->host = wr_str_find(authority, '@') < authority.len
                    ? WR_STR_NULL
                    : wr_str_sub(authority, 0, wr_str_find(authority, ':'));
    return true;
}

static bool fits(const struct referer_host *h, const struct referer *ref)
{
    return h && wr_str_has_prefix(ref->path, h->path);
}

static bool has_host(const struct referers *l, const struct referer *ref)
{
    return ref->host.len > 0 &&
           (fits(wr_map_get(&l->exact, ref->host), ref) ||
            (l->has_leading &&
             fits(wr_trie_longest(&l->leading, ref->host, NULL, NULL, NULL), ref)) ||
            (l->has_trailing &&
             fits(wr_trie_longest(&l->trailing, ref->host, NULL, NULL, NULL), ref)));
}

static bool is_valid(struct wr_req *r, const struct referers *l)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->head->hdrs, WR_HDR_REFERER);
    struct referer ref;

    if (!f) {
        return l->has_none;
    }
    if (!split(f->value, &ref)) {
        return l->has_blocked;
    }
    if (has_host(l, &ref)) {
        return true;
    }
    for (uint32_t i = 0; i < l->regexes.cnt; i++) {
        const struct referer_regex *x = &l->regexes.at[i];
        struct wr_str cap;
        uint32_t cnt;

        /* WR_ELIMIT was logged; it does not match. */
        if (wr_regex_exec(x->re, x->is_host ? ref.host : ref.rest, &cap, 1, &cnt) == WR_OK) {
            return true;
        }
    }
    return false;
}

static enum wr_status get_invalid(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                  struct wr_str *ret)
{
    const struct referer_loc *conf = wr_req_conf(r, &referer_conf, WR_KIND_LOC);

    (void)v, (void)rest;
    *ret = !conf->list || is_valid(r, conf->list) ? WR_STR("") : WR_STR("1");
    return WR_OK;
}

/* ---- words ----------------------------------------------------------------------------------- */

static enum wr_status add_regex(struct wr_conf *cf, struct referers *l, struct wr_regex *re,
                                bool is_host)
{
    struct referer_regex *x = wr_array_push(cf->arena, &l->regexes);

    if (!x) {
        return wr_conf_nomem(cf);
    }
    *x = (struct referer_regex){re, is_host};
    l->has_hosts = true;
    return WR_OK;
}

static void *put_leading(struct wr_conf *cf, struct referers *l, struct wr_str suffix,
                         struct referer_host *h)
{
    if (!l->has_leading) {
        wr_trie_init(&l->leading, cf->arena, WR_TRIE_ICASE | WR_TRIE_REVERSE);
        l->has_leading = true;
    }
    return wr_trie_put(&l->leading, suffix, h);
}

static void *put_trailing(struct wr_conf *cf, struct referers *l, struct wr_str prefix,
                          struct referer_host *h)
{
    if (!l->has_trailing) {
        wr_trie_init(&l->trailing, cf->arena, WR_TRIE_ICASE);
        l->has_trailing = true;
    }
    return wr_trie_put(&l->trailing, prefix, h);
}

/* "a.b", "*.a.b", "a.b.*", ".a.b". What was there under this very name, else NULL. */
static void *put_host(struct wr_conf *cf, struct referers *l, struct wr_str name,
                      struct referer_host *h)
{
    l->has_hosts = true;
    if (wr_str_has_prefix(name, WR_STR("*."))) {
        return put_leading(cf, l, wr_str_sub(name, 1, name.len), h);
    }
    if (wr_str_has_suffix(name, WR_STR(".*"))) {
        return put_trailing(cf, l, wr_str_sub(name, 0, name.len - 1), h);
    }
    if (name.len > 1 && name.ptr[0] == '.') {
        void *old = put_leading(cf, l, name, h);

        name = wr_str_sub(name, 1, name.len);
        return old ? old : wr_map_put(&l->exact, name, h);
    }
    return wr_map_put(&l->exact, name, h);
}

/* A '*' stands only in "*.a.b" or "a.b.*", with something beside it; no two dots meet. */
static bool is_host(struct wr_str name)
{
    bool is_leading = wr_str_has_prefix(name, WR_STR("*."));
    bool is_trailing = wr_str_has_suffix(name, WR_STR(".*"));
    struct wr_str inner = wr_str_sub(name, is_leading ? 2 : 0, name.len);

    if (is_leading && is_trailing) {
        return false;
    }
    inner.len -= is_trailing ? 2 : 0;
    return wr_str_find(inner, '*') == inner.len &&
           wr_str_find_str(name, WR_STR("..")) == name.len &&
           ((!is_leading && !is_trailing) || inner.len > 0);
}

static enum wr_status add_host(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               struct referers *l)
{
    struct wr_str s = wr_node_arg(n, i);
    size_t slash = wr_str_find(s, '/');
    struct wr_str name = wr_str_sub(s, 0, slash);
    struct referer_host *h = wr_arena_alloc(cf->arena, sizeof(*h));

    if (!h) {
        return wr_conf_nomem(cf);
    }
    h->path = wr_str_sub(s, slash, s.len);
    if (!is_host(name)) {
        return wr_conf_err_arg(cf, n, i, "invalid hostname or wildcard \"%.*s\"", WR_STR_ARG(name));
    }
    if (put_host(cf, l, name, h)) {
        return wr_conf_err_arg(cf, n, i, "conflicting parameter \"%.*s\"", WR_STR_ARG(name));
    }
    return WR_OK;
}

static enum wr_status add_word(struct wr_conf *cf, const struct wr_node *n, uint32_t i,
                               struct referers *l)
{
    struct wr_str s = wr_node_arg(n, i);
    struct wr_regex *re = NULL;
    enum wr_status st;

    if (s.len == 0) {
        return wr_conf_err_arg(cf, n, i, "invalid referer \"\"");
    }
    if (wr_str_eq_z(s, "none")) {
        l->has_none = true;
        return WR_OK;
    }
    if (wr_str_eq_z(s, "blocked")) {
        l->has_blocked = true;
        return WR_OK;
    }
    if (wr_str_eq_z(s, "server_names")) {
        l->has_names = l->has_hosts = true;
        return WR_OK;
    }
    if (s.ptr[0] != '~') {
        return add_host(cf, n, i, l);
    }
    if (s.len == 1) {
        return wr_conf_err_arg(cf, n, i, "empty regex in \"~\"");
    }
    st = wr_regex_compile(cf, n, wr_str_sub(s, 1, s.len), WR_REGEX_ICASE, &re);
    return st == WR_OK ? add_regex(cf, l, re, false) : st;
}

static enum wr_status set_referers(struct wr_conf *cf, const struct wr_dir *dir,
                                   const struct wr_node *node, void *conf)
{
    struct referer_loc *lc = conf;
    enum wr_status st = WR_OK;

    (void)dir;
    if (!lc->list) {
        lc->list = wr_arena_zalloc(cf->arena, sizeof(*lc->list));
        if (!lc->list) {
            return wr_conf_nomem(cf);
        }
        wr_map_init_arena(&lc->list->exact, WR_MAP_ICASE, cf->arena);
    }
    for (uint32_t i = 0; i < node->arg_cnt && st == WR_OK; i++) {
        st = add_word(cf, node, i, lc->list);
    }
    return st;
}

/* A name that the list has with a path, too, fits with any. */
static enum wr_status add_names(struct wr_conf *cf, const struct wr_core_names *names,
                                struct referers *l)
{
    enum wr_status st = WR_OK;

    for (uint32_t i = 0; i < names->cnt && st == WR_OK; i++) {
        struct referer_host *h;

        if (names->at[i].re) {
            st = add_regex(cf, l, names->at[i].re, true);
            continue;
        }
        h = wr_arena_zalloc(cf->arena, sizeof(*h));
        if (!h) {
            return wr_conf_nomem(cf);
        }
        if (names->at[i].text.len > 0 && is_host(names->at[i].text)) {
            struct referer_host *old = put_host(cf, l, names->at[i].text, h);

            if (old) {
                old->path = WR_STR_NULL;
            }
        }
    }
    return st;
}

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    const struct wr_core_srv *srv = wr_scope_get(s, &wr_core_conf, WR_KIND_SRV);
    const struct referer_loc *lc = conf;

    if (kind != WR_KIND_LOC || !lc->list ||
        (parent && ((const struct referer_loc *)parent)->list == lc->list)) {
        return WR_OK;
    }
    if (!lc->list->has_hosts && (lc->list->has_none || lc->list->has_blocked)) {
        return wr_conf_err(cf, NULL,
                           "the \"none\" or \"blocked\" referers are specified in the "
                           "\"valid_referers\" directive without any valid referer");
    }
    return lc->list->has_names ? add_names(cf, &srv->names, lc->list) : WR_OK;
}

static enum wr_status check_num(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    uint64_t v;

    (void)conf;
    return wr_arg_num(cf, node, 0, dir->data, &v);
}

#define BLOCKS (WR_CTX_SERVER | WR_CTX_LOCATION)

static const struct wr_dir dirs[] = {
    {.name = "valid_referers",
     .contexts = BLOCKS,
     .min = 1,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT,
     .set = set_referers,
     WR_DIR_FIELD(LOC, struct referer_loc, list),
     .doc =
         "What Referer may say: none, blocked, server_names, hosts, regexes; else $invalid_referer is 1."},
    {.name = "referer_hash_bucket_size",
     .contexts = BLOCKS,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_DEF_DOC,
     .set = check_num,
     WR_DIR_CONF(LOC),
     .def = "64",
     .doc = "Accepted, not needed."                                },
    {.name = "referer_hash_max_size",
     .contexts = BLOCKS,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_DEF_DOC,
     .set = check_num,
     WR_DIR_CONF(LOC),
     .def = "2048",
     .doc = "Accepted, not needed."                              },
    WR_DIR_END
};

static struct wr_conf_module referer_conf = {.name = "referer",
                                             .dirs = dirs,
                                             .size = {[WR_KIND_LOC] = sizeof(struct referer_loc)},
                                             .merged = merged};

static const struct wr_var vars[] = {
    {"invalid_referer", get_invalid, 0, WR_VAR_NOCACHE},
};

const struct wr_module wr_referer_module = {
    .conf = &referer_conf, .vars = vars, .var_cnt = WR_ARRAY_LEN(vars)};
