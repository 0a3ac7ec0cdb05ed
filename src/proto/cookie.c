/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cookie.c: proxy_cookie_domain, proxy_cookie_path, proxy_cookie_flags: one Set-Cookie of a peer,
 * taken apart at its semicolons (RFC 6265 5.2), changed, and put together again; untouched bytes
 * for a field that no rule fits. Blanks around attributes are lost in a field that is changed, the
 * order stays. Attributes are walked in place: nothing is stored for each.
 */
#include "base/strbuf.h"
#include "conf/scope.h"
#include "proto/http_int.h"

#define COOKIE_GROWTH_MAX 65536 /* bytes that rules may add to one field */

enum cookie_flag {
    FLAG_SECURE = 1,
    FLAG_HTTPONLY = 2,
    FLAG_STRICT = 4,
    FLAG_LAX = 8,
    FLAG_NONE = 16,
    FLAG_SAMESITE = FLAG_STRICT | FLAG_LAX | FLAG_NONE,
    FLAG_NO_SECURE = 32,
    FLAG_NO_HTTPONLY = 64,
    FLAG_NO_SAMESITE = 128,
};

static const struct wr_word flag_words[] = {
    {"secure",          FLAG_SECURE     },
    {"httponly",        FLAG_HTTPONLY   },
    {"samesite=strict", FLAG_STRICT     },
    {"samesite=lax",    FLAG_LAX        },
    {"samesite=none",   FLAG_NONE       },
    {"nosecure",        FLAG_NO_SECURE  },
    {"nohttponly",      FLAG_NO_HTTPONLY},
    {"nosamesite",      FLAG_NO_SAMESITE},
    WR_WORDS_END
};

/* --- configuration --- */

enum wr_status wr_proxy_set_cookie_domain(struct wr_conf *cf, const struct wr_dir *dir,
                                          const struct wr_node *node, void *conf)
{
    struct wr_proxy_loc *lc = conf;

    (void)dir; /* the field is known */
    return wr_proxy_rule_add(cf, node, &lc->cookie_domains, PROXY_RULE_ICASE | PROXY_RULE_DOTS);
}

enum wr_status wr_proxy_set_cookie_path(struct wr_conf *cf, const struct wr_dir *dir,
                                        const struct wr_node *node, void *conf)
{
    struct wr_proxy_loc *lc = conf;

    (void)dir; /* the field is known */
    return wr_proxy_rule_add(cf, node, &lc->cookie_paths, PROXY_RULE_STAR);
}

/* 0: no such flag. */
static uint32_t flag_of(struct wr_str s)
{
    const struct wr_word *w;

    for (w = flag_words; w->name != NULL; w++) {
        if (wr_str_ieq(s, wr_str_z(w->name))) {
            return w->value;
        }
    }
    return 0;
}

static enum wr_status set_flag(struct wr_conf *cf, const struct wr_node *node, uint32_t i,
                               struct proxy_cookie_flags *f)
{
    struct wr_str s = wr_node_arg(node, i);
    uint32_t v;

    if (wr_template_has_vars(s)) {
        return wr_arg_template(cf, node, i, s, &f->flags[f->flag_cnt++]);
    }
    v = flag_of(s);
    if (v == 0) {
        return wr_arg_invalid(cf, node, i);
    }
    f->fixed |= v;
    return WR_OK;
}

enum wr_status wr_proxy_set_cookie_flags(struct wr_conf *cf, const struct wr_dir *dir,
                                         const struct wr_node *node, void *conf)
{
    struct proxy_cookie_rules *rules = &((struct wr_proxy_loc *)conf)->cookie_flags;
    bool is_off = node->arg_cnt == 1 && wr_str_eq(wr_node_arg(node, 0), WR_STR("off"));
    struct proxy_cookie_flags *f;
    uint32_t i;
    enum wr_status st = WR_OK;

    (void)dir; /* the field is known */
    if (rules->is_off || (is_off && rules->cnt != 0)) {
        return wr_conf_err_dir(cf, node, "is duplicate");
    }
    if (is_off) {
        rules->is_off = true;
        return WR_OK;
    }
    f = wr_array_push(cf->arena, rules);
    if (f == NULL) {
        return wr_conf_nomem(cf);
    }
    *f = (struct proxy_cookie_flags){0};
    if (wr_proxy_rule_regex(cf, node, PROXY_RULE_ICASE, &f->re) != WR_OK ||
        (f->re == NULL && wr_arg_template(cf, node, 0, wr_node_arg(node, 0), &f->name) != WR_OK)) {
        return WR_ECONFIG;
    }
    for (i = 1; i < node->arg_cnt && st == WR_OK; i++) {
        st = set_flag(cf, node, i, f);
    }
    return st;
}

/* --- one Set-Cookie --- */

/* "key = value" of an attribute, without blanks; has_value: an '=' was there. */
struct attribute {
    struct wr_str key, value;
    bool has_value;
};

static bool next_attribute(struct wr_str *rest, struct attribute *ret)
{
    struct wr_str part;
    size_t eq;

    if (!wr_str_split(rest, ';', &part)) {
        return false;
    }
    eq = wr_str_find(part, '=');
    ret->has_value = eq < part.len;
    ret->key = wr_str_trim(wr_str_sub(part, 0, eq));
    ret->value = ret->has_value ? wr_str_trim(wr_str_sub(part, eq + 1, part.len)) : WR_STR_NULL;
    return true;
}

/* The first rule that fits. WR_EOF: none. */
static enum wr_status apply_rules(struct wr_req *r, const struct proxy_rules *rules,
                                  enum proxy_rule_kind kind, struct wr_str value,
                                  struct wr_str *ret)
{
    enum wr_status st = WR_EOF;
    uint32_t i;

    for (i = 0; i < rules->cnt && st == WR_EOF; i++) {
        st = wr_proxy_rule_apply(r, &rules->at[i], kind, value, ret);
    }
    return st;
}

static enum wr_status fits_name(struct wr_req *r, const struct proxy_cookie_flags *f,
                                struct wr_str name)
{
    struct wr_str want;
    enum wr_status st;

    if (f->re != NULL) {
        st = wr_regex_match(f->re, name, r);
        return st == WR_OK || st == WR_ENOMEM ? st : WR_EOF;
    }
    st = wr_template_eval(r, &f->name, &want);
    if (st != WR_OK) {
        return st;
    }
    return wr_str_ieq(name, want) ? WR_OK : WR_EOF;
}

/* Flags of the first line that names the cookie; 0: none. */
static enum wr_status find_flags(struct wr_req *r, const struct proxy_cookie_rules *rules,
                                 struct wr_str name, uint32_t *ret)
{
    const struct proxy_cookie_flags *f = rules->at;
    struct wr_str text;
    uint32_t i, k, v;
    enum wr_status st = WR_EOF;

    *ret = 0;
    for (i = 0; i < rules->cnt && st == WR_EOF; i++, f++) {
        st = fits_name(r, f, name);
    }
    if (st != WR_OK) {
        return st == WR_EOF ? WR_OK : st;
    }
    f--;
    *ret = f->fixed;
    for (k = 0; k < f->flag_cnt; k++) {
        st = wr_template_eval(r, &f->flags[k], &text);
        if (st != WR_OK) {
            return st;
        }
        v = text.len != 0 ? flag_of(text) : 0;
        if (v == 0 && text.len != 0) {
            wr_log(&r->log, WR_LOG_ERROR, "invalid proxy_cookie_flags flag \"%.*s\"",
                   WR_STR_ARG(text));
        }
        *ret |= v;
    }
    return WR_OK;
}

static const char *samesite_of(uint32_t flags)
{
    if ((flags & FLAG_STRICT) != 0) {
        return "SameSite=Strict";
    }
    return (flags & FLAG_LAX) != 0 ? "SameSite=Lax" : "SameSite=None";
}

/* An attribute that a flag is about: *flags loses what needs no more to be added. False: not one.
 */
static bool add_flag_attribute(struct wr_strbuf *b, const struct attribute *a, uint32_t *flags)
{
    bool is_samesite = wr_str_ieq(a->key, WR_STR("SameSite"));
    uint32_t on, off;

    if (is_samesite) {
        on = *flags & FLAG_SAMESITE;
        off = *flags & FLAG_NO_SAMESITE;
    } else if (wr_str_ieq(a->key, WR_STR("Secure"))) {
        on = *flags & FLAG_SECURE;
        off = *flags & FLAG_NO_SECURE;
    } else if (wr_str_ieq(a->key, WR_STR("HttpOnly"))) {
        on = *flags & FLAG_HTTPONLY;
        off = *flags & FLAG_NO_HTTPONLY;
    } else {
        return false;
    }
    if (on == 0) {
        return off != 0;
    }
    if (!is_samesite) {
        *flags &= ~on;
        return false; /* it stays as it is */
    }
    wr_strbuf_add_z(b, "; ");
    wr_strbuf_add_z(b, samesite_of(on));
    *flags &= ~(uint32_t)FLAG_SAMESITE;
    return true;
}

static void add_missing(struct wr_strbuf *b, uint32_t flags)
{
    if ((flags & FLAG_SECURE) != 0) {
        wr_strbuf_add_z(b, "; Secure");
    }
    if ((flags & FLAG_HTTPONLY) != 0) {
        wr_strbuf_add_z(b, "; HttpOnly");
    }
    if ((flags & FLAG_SAMESITE) != 0) {
        wr_strbuf_add_z(b, "; ");
        wr_strbuf_add_z(b, samesite_of(flags));
    }
}

static void add_attribute(struct wr_strbuf *b, const struct attribute *a)
{
    wr_strbuf_add_str(b, a->key);
    if (a->has_value) {
        wr_strbuf_add_char(b, '=');
        wr_strbuf_add_str(b, a->value);
    }
}

/* Domain and Path through their rules. WR_EOF: unchanged. */
static enum wr_status change_attribute(struct wr_req *r, const struct wr_proxy_loc *lc,
                                       struct attribute *a)
{
    if (!a->has_value) {
        return WR_EOF;
    }
    if (lc->cookie_domains.cnt != 0 && wr_str_ieq(a->key, WR_STR("Domain"))) {
        return apply_rules(r, &lc->cookie_domains, PROXY_RULE_DOMAIN, a->value, &a->value);
    }
    if (lc->cookie_paths.cnt != 0 && wr_str_ieq(a->key, WR_STR("Path"))) {
        return apply_rules(r, &lc->cookie_paths, PROXY_RULE_PREFIX, a->value, &a->value);
    }
    return WR_EOF;
}

enum wr_status wr_proxy_rewrite_cookie(struct wr_up *u, struct wr_str value, struct wr_str *ret)
{
    const struct wr_proxy_loc *lc = u->start.proto_conf;
    struct wr_req *r = u->req;
    struct wr_str rest = value;
    struct attribute a;
    struct wr_strbuf b;
    uint32_t flags;
    bool is_changed;
    enum wr_status st;

    if (lc->cookie_domains.cnt == 0 && lc->cookie_paths.cnt == 0 && lc->cookie_flags.cnt == 0) {
        return WR_EOF;
    }
    if (!next_attribute(&rest, &a) || !a.has_value) {
        return WR_EOF; /* no name: not a cookie */
    }
    st = find_flags(r, &lc->cookie_flags, a.key, &flags);
    if (st != WR_OK) {
        return st;
    }
    is_changed = flags != 0;
    wr_strbuf_init_arena(&b, r->arena, value.len + COOKIE_GROWTH_MAX);
    add_attribute(&b, &a);
    while (next_attribute(&rest, &a)) {
        if (add_flag_attribute(&b, &a, &flags)) {
            continue;
        }
        st = change_attribute(r, lc, &a);
        if (st != WR_OK && st != WR_EOF) {
            return st;
        }
        is_changed = is_changed || st == WR_OK;
        wr_strbuf_add_z(&b, "; ");
        add_attribute(&b, &a);
    }
    if (!is_changed) {
        return WR_EOF;
    }
    add_missing(&b, flags);
    *ret = wr_strbuf_str(&b);
    return b.status;
}
