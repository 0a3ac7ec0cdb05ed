/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_int.h: what http.c (requests), http_conf.c (directives) and redirect.c and cookie.c of
 * proxy_pass share. Configuration structs are immutable after the merge; a context belongs to its
 * request.
 */
#ifndef WR_PROTO_HTTP_INT_H
#define WR_PROTO_HTTP_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "conf/types.h"
#include "http/module.h"
#include "proto/rewrite.h"
#include "up/tls.h"
#include "up/up.h"

enum proxy_field_kind {
    FIELD_READY, /* constant: as it is */
    FIELD_HOST,  /* the default Host: $proxy_host */
    FIELD_VALUE, /* the value is evaluated */
};

/* A proxy_set_header line, or a default one. */
struct proxy_field {
    enum proxy_field_kind kind;
    struct wr_hdr ready; /* but the value, unless READY */
    struct wr_template value;
};

/* A proxy_cookie_flags line: the cookies it is about, and what they get. */
struct proxy_cookie_flags {
    struct wr_regex *re;     /* NULL: `name` */
    struct wr_template name; /* without regard to case */
    uint32_t fixed;          /* flags without variables, cookie.c */
    uint32_t flag_cnt;
    struct wr_template flags[3];
};

struct proxy_cookie_rules {
    struct proxy_cookie_flags *at;
    uint32_t cnt, _cap;
    bool is_off;
};

/* What the beginning of a URL says. */
struct proxy_scheme {
    struct wr_str prefix; /* "http://" */
    struct wr_str name;   /* "http" */
    struct wr_str port_text;
    uint16_t port;
    bool is_tls;
};

/* proxy_pass of a location. */
struct proxy_pass {
    struct wr_str url;     /* as configured */
    struct wr_template *t; /* with variables; else NULL and the rest holds */
    struct wr_members *members;
    const struct proxy_scheme *scheme; /* NULL: out of variables */
    struct wr_str host;                /* $proxy_host: "backend", "app:8080", "localhost" */
    struct wr_str port;                /* $proxy_port */
    struct wr_hdr host_field;          /* Host: of a constant URL */
    struct wr_str uri;                 /* URI part; empty: none */
    bool has_uri;
    size_t location_len; /* bytes of the location's prefix that `uri` replaces */
};

struct wr_proxy_loc {
    struct wr_conf_head head;
    struct wr_up_conf up;
    struct wr_up_tls_conf tls;
    struct wr_kvs set_headers;
    struct wr_template *method, *set_body;
    uint32_t http_version;        /* 10, 11 */
    struct proxy_rules redirects; /* with `default` where nothing was said */
    struct proxy_rules cookie_domains, cookie_paths;
    struct proxy_cookie_rules cookie_flags;
    uint64_t hash_max, hash_bucket; /* proxy_headers_hash_*: checked, no effect */
    /* derived */
    struct proxy_field *fields;
    uint32_t field_cnt;
    uint64_t own_ids;                 /* bit id: the client's field is not passed */
    struct wr_map own_names;          /* likewise, names without id */
    const struct wr_up_tls *made_tls; /* NULL: nothing here goes to https */
    struct proxy_pass *pass;          /* of this location; not inherited but into if{} */
};

/* While a generation is built. */
struct wr_proxy_main {
    struct wr_conf_head head;
    struct wr_up_tls_made made;
};

/* Per request. */
struct proxy_ctx {
    struct wr_str host, port; /* $proxy_host, $proxy_port */
    const struct proxy_scheme *scheme;
    struct wr_str uri; /* sent to the peer */
    const struct proxy_pass *pass;
    struct wr_str asked_upgrade; /* Upgrade that was sent; empty: none */
    struct wr_str body;          /* of proxy_set_body */
    bool has_body;
};

extern struct wr_conf_module wr_proxy_conf;
extern const struct wr_module wr_proxy_module;
extern const struct wr_proto wr_proxy_proto;

/* In any case of letters; NULL: neither http nor https. */
const struct proxy_scheme *wr_proxy_scheme_of(struct wr_str url);
enum wr_status wr_proxy_start(struct wr_req *r, void *conf, struct wr_content **ret) WR_MUST_CHECK;
enum wr_status wr_proxy_rewrite_redirect(struct wr_up *u, struct wr_str value,
                                         struct wr_str *ret) WR_MUST_CHECK;
enum wr_status wr_proxy_rewrite_cookie(struct wr_up *u, struct wr_str value,
                                       struct wr_str *ret) WR_MUST_CHECK;
/* The rule `default` behind those that are there. */
enum wr_status wr_proxy_redirect_default(struct wr_conf *cf, struct wr_proxy_loc *lc) WR_MUST_CHECK;
wr_dir_set_fn wr_proxy_set_redirect, wr_proxy_set_cookie_domain, wr_proxy_set_cookie_path,
    wr_proxy_set_cookie_flags;

#endif
