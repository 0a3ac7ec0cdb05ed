/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.c: `map TEXT $VARIABLE { ... }`. The block becomes a table, and the variable a row in the
 * generation's numbering whose getter looks TEXT up:
 *
 *   exact     whole text, letters without case          hash
 *   leading   "*.a.b": behind the text's end            trie, only with `hostnames`
 *   trailing  "a.b.*": in front of the text             trie, only with `hostnames`
 *   regexes   in the order of the file
 *   default   else; without one the value is empty
 *
 * ".a.b" is both "a.b" and "*.a.b". A look-up costs the length of the text and the number of
 * regexes, never the number of entries. A value is a text with variables, $1 of a regex too. The
 * table is immutable and lives as long as the generation.
 */
#include "mod/map.h"

#include "base/map.h"
#include "base/trie.h"
#include "conf/types.h"
#include "http/module.h"
#include "http/regex.h"
#include "http/var_conf.h"

struct map_regex {
    struct wr_regex *re;
    const struct wr_template *value;
};

struct map_regexes {
    struct map_regex *at;
    uint32_t cnt, _cap;
};

struct map_table {
    struct wr_var row;
    struct wr_template text; /* that is looked up */
    bool has_hostnames, has_leading, has_trailing;
    struct wr_map exact;
    struct wr_trie leading, trailing; /* of ".a.b" read backwards, of "a.b." */
    struct map_regexes regexes;
    const struct wr_template *deflt; /* NULL: none */
};

struct map_srv {
    struct wr_conf_head head; /* each of the accepted sizes once */
};

/* ---- run ------------------------------------------------------------------------------------- */

/* By name; a dot at the end of a host name does not count. */
static const struct wr_template *find_name(const struct map_table *m, struct wr_str s)
{
    const struct wr_template *v = wr_map_get(&m->exact, s);

    if (!v && m->has_leading) {
        v = wr_trie_longest(&m->leading, s, NULL, NULL, NULL);
    }
    if (!v && m->has_trailing) {
        v = wr_trie_longest(&m->trailing, s, NULL, NULL, NULL);
    }
    return v;
}

/* *ret NULL: nothing fits and there is no default. */
static enum wr_status find_value(struct wr_req *r, const struct map_table *m, struct wr_str s,
                                 const struct wr_template **ret)
{
    const struct wr_template *v;

    if (m->has_hostnames && s.len > 0 && s.ptr[s.len - 1] == '.') {
        s.len--;
    }
    v = find_name(m, s);
    for (uint32_t i = 0; i < m->regexes.cnt && !v; i++) {
        enum wr_status st = wr_regex_match(m->regexes.at[i].re, s, r);

        if (st == WR_OK) {
            v = m->regexes.at[i].value;
        } else if (st == WR_ENOMEM) {
            return st;
        } /* WR_ELIMIT was logged; it does not match */
    }
    *ret = v ? v : m->deflt;
    return WR_OK;
}

static enum wr_status get_map(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                              struct wr_str *ret)
{
    const struct map_table *m = (const struct map_table *)v->data;
    const struct wr_template *value = NULL;
    struct wr_str s = WR_STR_NULL;
    enum wr_status st = wr_template_eval(r, &m->text, &s);

    (void)rest;
    if (st == WR_OK) {
        st = find_value(r, m, s, &value);
    }
    if (st != WR_OK) {
        return st;
    }
    *ret = WR_STR("");
    return value ? wr_template_eval(r, value, ret) : WR_OK;
}

/* ---- entries --------------------------------------------------------------------------------- */

static enum wr_status conflict(struct wr_conf *cf, const struct wr_node *n, struct wr_str key)
{
    return wr_conf_err(cf, n, "conflicting parameter \"%.*s\"", WR_STR_ARG(key));
}

static void *as_value(const struct wr_template *t)
{
    union {
        const struct wr_template *t;
        void *value;
    } u = {.t = t};

    return u.value;
}

static enum wr_status add_exact(struct wr_conf *cf, const struct wr_node *n, struct map_table *m,
                                struct wr_str key, const struct wr_template *value)
{
    if (wr_map_put(&m->exact, key, as_value(value))) {
        return conflict(cf, n, key);
    }
    return WR_OK;
}

static enum wr_status add_leading(struct wr_conf *cf, const struct wr_node *n, struct map_table *m,
                                  struct wr_str suffix, const struct wr_template *value)
{
    if (!m->has_leading) {
        wr_trie_init(&m->leading, cf->arena, WR_TRIE_ICASE | WR_TRIE_REVERSE);
        m->has_leading = true;
    }
    return wr_trie_put(&m->leading, suffix, as_value(value)) ? conflict(cf, n, n->name) : WR_OK;
}

static enum wr_status add_trailing(struct wr_conf *cf, const struct wr_node *n, struct map_table *m,
                                   struct wr_str prefix, const struct wr_template *value)
{
    if (!m->has_trailing) {
        wr_trie_init(&m->trailing, cf->arena, WR_TRIE_ICASE);
        m->has_trailing = true;
    }
    return wr_trie_put(&m->trailing, prefix, as_value(value)) ? conflict(cf, n, n->name) : WR_OK;
}

/* A '*' stands only in "*.a.b" or "a.b.*", with something beside it; no two dots meet. */
static bool is_host(struct wr_str key, bool is_leading, bool is_trailing)
{
    struct wr_str name = wr_str_sub(key, is_leading ? 2 : 0, key.len);

    if (is_leading && is_trailing) {
        return false;
    }
    name.len -= is_trailing ? 2 : 0;
    return wr_str_find(name, '*') == name.len && wr_str_find_str(key, WR_STR("..")) == key.len &&
           ((!is_leading && !is_trailing) || name.len > 0);
}

/* An entry of a map with `hostnames`: "a.b", ".a.b", "*.a.b", "a.b.*". */
static enum wr_status add_host(struct wr_conf *cf, const struct wr_node *n, struct map_table *m,
                               struct wr_str key, const struct wr_template *value)
{
    bool is_leading = wr_str_has_prefix(key, WR_STR("*."));
    bool is_trailing = wr_str_has_suffix(key, WR_STR(".*"));
    enum wr_status st;

    if (!is_host(key, is_leading, is_trailing)) {
        return wr_conf_err(cf, n, "invalid hostname or wildcard \"%.*s\"", WR_STR_ARG(key));
    }
    if (is_leading) {
        return add_leading(cf, n, m, wr_str_sub(key, 1, key.len), value);
    }
    if (is_trailing) {
        return add_trailing(cf, n, m, wr_str_sub(key, 0, key.len - 1), value);
    }
    if (key.len > 1 && key.ptr[0] == '.') {
        st = add_exact(cf, n, m, wr_str_sub(key, 1, key.len), value);
        return st == WR_OK ? add_leading(cf, n, m, key, value) : st;
    }
    return add_exact(cf, n, m, key, value);
}

static enum wr_status add_regex(struct wr_conf *cf, const struct wr_node *n, struct map_table *m,
                                const struct wr_template *value)
{
    bool icase = n->name.len > 1 && n->name.ptr[1] == '*';
    struct wr_str pattern = wr_str_sub(n->name, icase ? 2 : 1, n->name.len);
    struct map_regex *e = wr_array_push(cf->arena, &m->regexes);

    if (!e) {
        return wr_conf_nomem(cf);
    }
    e->value = value;
    return wr_regex_compile(cf, n, pattern, icase ? WR_REGEX_ICASE : WR_REGEX_CASE, &e->re);
}

static enum wr_status add_default(struct wr_conf *cf, const struct wr_node *n, struct map_table *m,
                                  const struct wr_template *value)
{
    if (m->deflt) {
        return wr_conf_err(cf, n, "duplicate default map parameter");
    }
    m->deflt = value;
    return WR_OK;
}

/* "hostnames;", "volatile;" */
static bool take_switch(const struct wr_node *n, struct map_table *m)
{
    if (n->arg_cnt == 0 && wr_str_eq_z(n->name, "hostnames")) {
        m->has_hostnames = true;
        return true;
    }
    if (n->arg_cnt == 0 && wr_str_eq_z(n->name, "volatile")) {
        m->row.flags |= WR_VAR_NOCACHE;
        return true;
    }
    return false;
}

static enum wr_status add_entry(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct map_table *m = cf->block;
    const struct wr_template *value = NULL;
    struct wr_str key = node->name;
    enum wr_status st;

    (void)dir, (void)conf;
    if (take_switch(node, m)) {
        return WR_OK;
    }
    if (node->arg_cnt != 1) {
        return wr_conf_err(cf, node, "invalid number of the map parameters");
    }
    st = wr_var_conf_value(cf, node, 0, &value);
    if (st != WR_OK) {
        return st;
    }
    if (wr_str_eq_z(key, "default")) {
        return add_default(cf, node, m, value);
    }
    if (key.len > 0 && key.ptr[0] == '~') {
        return add_regex(cf, node, m, value);
    }
    if (key.len > 0 && key.ptr[0] == '\\') {
        key = wr_str_sub(key, 1, key.len); /* "\default" */
    }
    return m->has_hostnames ? add_host(cf, node, m, key, value)
                            : add_exact(cf, node, m, key, value);
}

/* ---- the directives -------------------------------------------------------------------------- */

static void end_table(void *data)
{
    wr_map_fini(&((struct map_table *)data)->exact);
}

static enum wr_status set_map(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct map_table *m = wr_arena_zalloc(cf->arena, sizeof(*m));
    const struct wr_node *c;
    size_t cnt = 0;
    uint32_t no;
    enum wr_status st;

    (void)dir, (void)conf;
    if (!m || wr_arena_on_fini(cf->arena, end_table, m) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    wr_map_init(&m->exact, WR_MAP_ICASE);
    m->row = (struct wr_var){.get = get_map, .data = (uintptr_t)m};
    cf->block = m;
    st = wr_arg_template(cf, node, 0, wr_node_arg(node, 0), &m->text);
    if (st == WR_OK) {
        st = wr_var_conf_define(cf, node, 1, &m->row, &no);
    }
    WR_NODE_FOREACH(c, node)
    {
        cnt++;
    }
    wr_map_reserve(&m->exact, cnt);
    return st;
}

static enum wr_status check_num(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    uint64_t v;

    (void)conf;
    return wr_arg_num(cf, node, 0, dir->data, &v);
}

static const struct wr_dir dirs[] = {
    {.name = "map",
     .contexts = WR_CTX_HTTP,
     .min = 2,
     .max = 2,
     .flags = WR_DIR_BLOCK | WR_DIR_FREE | WR_DIR_REPEAT,
     .set = set_map,
     .child = add_entry,
     WR_DIR_CONF(NONE),
     .doc = "A variable whose value is found by another text: strings, wildcards, regexes."},
    {.name = "map_hash_bucket_size",
     .contexts = WR_CTX_HTTP,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_DEF_DOC,
     .set = check_num,
     WR_DIR_CONF(SRV),
     .def = "64",
     .doc = "Accepted, not needed."                                                        },
    {.name = "map_hash_max_size",
     .contexts = WR_CTX_HTTP,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_DEF_DOC,
     .set = check_num,
     WR_DIR_CONF(SRV),
     .def = "2048",
     .doc = "Accepted, not needed."                                                        },
    WR_DIR_END
};

static struct wr_conf_module map_conf = {
    .name = "map", .dirs = dirs, .size = {[WR_KIND_SRV] = sizeof(struct map_srv)}};

const struct wr_module wr_map_module = {.conf = &map_conf};
