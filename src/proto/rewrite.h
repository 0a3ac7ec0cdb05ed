/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.h: rules FROM TO that several directives share: proxy_redirect, proxy_cookie_domain,
 * proxy_cookie_path. FROM is a text with variables or a regular expression; the first rule of a
 * list that fits wins. Rules are immutable after the configuration was read.
 */
#ifndef WR_PROTO_REWRITE_H
#define WR_PROTO_REWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/types.h"
#include "http/regex.h"
#include "http/req.h"
#include "http/var.h"

struct proxy_rule {
    struct wr_regex *re; /* NULL: `from` is a text */
    struct wr_template from, to;
    bool is_default; /* proxy_redirect default: stands for the URL of proxy_pass */
};

struct proxy_rules {
    struct proxy_rule *at;
    uint32_t cnt, _cap;
    bool is_off;
};

/* How FROM is read. */
enum proxy_rule_flags {
    PROXY_RULE_STAR = 1,  /* "~*" is a regular expression without regard to case */
    PROXY_RULE_ICASE = 2, /* every regular expression is */
    PROXY_RULE_DOTS = 4,  /* a dot at the beginning of FROM and TO is left out */
};

/* One line FROM TO, or "off". WR_ECONFIG: told. */
enum wr_status wr_proxy_rule_add(struct wr_conf *cf, const struct wr_node *node,
                                 struct proxy_rules *rules, unsigned flags) WR_MUST_CHECK;
/* Is "off" or a rule behind "off" refused: `directive is duplicate`. */
enum wr_status wr_proxy_rules_check(struct wr_conf *cf, const struct wr_node *node,
                                    const struct proxy_rules *rules, bool is_off) WR_MUST_CHECK;
/* A pattern "~RE" of argument i as flags say; *ret NULL: it is a text. */
enum wr_status wr_proxy_rule_regex(struct wr_conf *cf, const struct wr_node *node, unsigned flags,
                                   struct wr_regex **ret) WR_MUST_CHECK;

/* What FROM must be of a value to fit it. */
enum proxy_rule_kind {
    PROXY_RULE_PREFIX, /* its beginning: the result is TO and the rest */
    PROXY_RULE_DOMAIN, /* all of it without regard to case and to a dot in front, which stays */
};

/* *ret: the value with TO in place of FROM; a regular expression: TO. WR_EOF: no fit. */
enum wr_status wr_proxy_rule_apply(struct wr_req *r, const struct proxy_rule *rule,
                                   enum proxy_rule_kind kind, struct wr_str value,
                                   struct wr_str *ret) WR_MUST_CHECK;

#endif
