/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.c: rules FROM TO (rewrite.h): read by the control thread, applied on the request's. What
 * is made lies in the request's arena; a regular expression sets the request's captures, so that TO
 * may use them.
 */
#include "proto/rewrite.h"

#include "base/assert.h"
#include "conf/scope.h"

enum wr_status wr_proxy_rules_check(struct wr_conf *cf, const struct wr_node *node,
                                    const struct proxy_rules *rules, bool is_off)
{
    if (rules->is_off || (is_off && rules->cnt != 0)) {
        return wr_conf_err(cf, node, "\"%.*s\" directive is duplicate", WR_STR_ARG(node->name));
    }
    return WR_OK;
}

enum wr_status wr_proxy_rule_regex(struct wr_conf *cf, const struct wr_node *node, unsigned flags,
                                   struct wr_regex **ret)
{
    struct wr_str s = wr_node_arg(node, 0);
    unsigned how = (flags & PROXY_RULE_ICASE) != 0 ? WR_REGEX_ICASE : WR_REGEX_CASE;

    *ret = NULL;
    if (s.len == 0 || s.ptr[0] != '~') {
        return WR_OK;
    }
    s = wr_str_sub(s, 1, s.len);
    if ((flags & PROXY_RULE_STAR) != 0 && s.len != 0 && s.ptr[0] == '*') {
        s = wr_str_sub(s, 1, s.len);
        how = WR_REGEX_ICASE;
    }
    return wr_regex_compile(cf, node, s, how, ret);
}

static struct wr_str without_dot(struct wr_str s)
{
    return s.len != 0 && s.ptr[0] == '.' ? wr_str_sub(s, 1, s.len) : s;
}

enum wr_status wr_proxy_rule_add(struct wr_conf *cf, const struct wr_node *node,
                                 struct proxy_rules *rules, unsigned flags)
{
    struct wr_str from = wr_node_arg(node, 0), to;
    bool is_off = node->arg_cnt == 1 && wr_str_eq(from, WR_STR("off"));
    struct proxy_rule *d;

    if (wr_proxy_rules_check(cf, node, rules, is_off) != WR_OK) {
        return WR_ECONFIG;
    }
    if (is_off) {
        rules->is_off = true;
        return WR_OK;
    }
    if (node->arg_cnt != 2) {
        return wr_arg_invalid(cf, node, 0);
    }
    d = wr_array_push(cf->arena, rules);
    if (d == NULL) {
        return wr_conf_nomem(cf);
    }
    *d = (struct proxy_rule){0};
    if (wr_proxy_rule_regex(cf, node, flags, &d->re) != WR_OK) {
        return WR_ECONFIG;
    }
    to = wr_node_arg(node, 1);
    if ((flags & PROXY_RULE_DOTS) != 0) {
        from = without_dot(from);
        to = without_dot(to);
    }
    if (d->re == NULL && wr_arg_template(cf, node, 0, from, &d->from) != WR_OK) {
        return WR_ECONFIG;
    }
    return wr_arg_template(cf, node, 1, to, &d->to);
}

static enum wr_status match_regex(struct wr_req *r, const struct proxy_rule *rule,
                                  struct wr_str value, struct wr_str *ret)
{
    enum wr_status st = wr_regex_match(rule->re, value, r);

    if (st != WR_OK) {
        return st == WR_ENOMEM ? st : WR_EOF; /* the match limit was logged: no fit */
    }
    return wr_template_eval(r, &rule->to, ret);
}

/* Does FROM fit? Then *ret_head of value stays before TO, *ret_rest behind it. */
static bool fits(enum proxy_rule_kind kind, struct wr_str value, struct wr_str from,
                 struct wr_str *ret_head, struct wr_str *ret_rest)
{
    struct wr_str plain;

    switch (kind) {
    case PROXY_RULE_PREFIX:
        if (!wr_str_has_prefix(value, from)) {
            return false;
        }
        *ret_head = WR_STR("");
        *ret_rest = wr_str_sub(value, from.len, value.len);
        return true;
    case PROXY_RULE_DOMAIN:
        plain = without_dot(value);
        if (!wr_str_ieq(plain, without_dot(from))) {
            return false;
        }
        *ret_head = wr_str_sub(value, 0, value.len - plain.len);
        *ret_rest = WR_STR("");
        return true;
    }
    WR_UNREACHABLE();
}

enum wr_status wr_proxy_rule_apply(struct wr_req *r, const struct proxy_rule *rule,
                                   enum proxy_rule_kind kind, struct wr_str value,
                                   struct wr_str *ret)
{
    struct wr_str from, to, head, rest;
    enum wr_status st;

    if (rule->re != NULL) {
        return match_regex(r, rule, value, ret);
    }
    st = wr_template_eval(r, &rule->from, &from);
    if (st != WR_OK) {
        return st;
    }
    if (!fits(kind, value, from, &head, &rest)) {
        return WR_EOF;
    }
    st = wr_template_eval(r, &rule->to, &to);
    if (st != WR_OK) {
        return st;
    }
    to = kind == PROXY_RULE_DOMAIN ? without_dot(to) : to;
    return wr_arena_printf(r->arena, ret, "%.*s%.*s%.*s", WR_STR_ARG(head), WR_STR_ARG(to),
                           WR_STR_ARG(rest));
}
