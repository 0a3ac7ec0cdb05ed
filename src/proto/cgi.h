/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgi.h: what FastCGI, uwsgi and SCGI share: a family of directives (*_pass, *_param, and that of
 * up/conf.h) stamped with a prefix, and the variables of CGI that a request is told by: the
 * parameters of the configuration, then the client's fields as HTTP_*.
 *
 *   struct foo_loc { struct wr_cgi_loc cgi; ... };
 *   static const struct wr_dir foo_dirs[] = { WR_CGI_DIRS("foo", struct foo_loc, cgi), ...
 *   static const struct wr_cgi_kind foo_kind = {.prefix = "foo", ...};
 *
 * Configuration structs are immutable after the merge.
 */
#ifndef WR_PROTO_CGI_H
#define WR_PROTO_CGI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "conf/types.h"
#include "http/module.h"
#include "proto/pass.h"
#include "up/conf.h"
#include "up/proto.h"
#include "up/tls.h"

/* A *_param line. */
struct wr_cgi_param {
    struct wr_str name;
    struct wr_template value;
    bool if_not_empty;
    bool is_never; /* HTTP_* with a constant empty value: nor is the client's field told */
};

struct wr_cgi_params {
    struct wr_cgi_param *at;
    uint32_t cnt, _cap;
};

struct wr_cgi_loc {
    struct wr_conf_head head;
    struct wr_up_conf up;
    struct wr_cgi_params params;
    /* derived */
    struct wr_template host; /* of HTTP_HOST, when has_host */
    bool has_host;
    struct wr_map own;        /* names HTTP_* that the parameters have */
    struct wr_cgi_pass *pass; /* of this location; not inherited but into if{} */
};

/* One protocol; constant. */
struct wr_cgi_kind {
    const char *prefix; /* of directives: "fastcgi" */
    struct wr_conf_module *conf;
    const struct wr_proto *proto;
    struct wr_pass_schemes schemes;
    bool needs_length; /* the length of the body is told before it: a chunked one is gathered */
    /* Bytes of the protocol's own struct at q->ctx, zeroed; not 0. */
    size_t ctx_size;
    /* Optional: TLS of the target (uwsgi). */
    enum wr_status (*start_tls)(struct wr_req *r, void *loc, struct wr_str host,
                                struct wr_up_start *start);
};

struct wr_cgi_pass {
    struct wr_pass to;
    const struct wr_cgi_kind *kind;
};

/* The content handler that wr_cgi_set_pass gives a location; conf: its struct wr_cgi_pass. */
enum wr_status wr_cgi_start(struct wr_req *r, void *conf, struct wr_content **ret) WR_MUST_CHECK;
/* dir->data is the struct wr_cgi_kind. */
wr_dir_set_fn wr_cgi_set_pass, wr_cgi_set_param;
/* For the module's merged hook, for WR_KIND_LOC. */
enum wr_status wr_cgi_merged(struct wr_conf *cf, struct wr_scope *s, const struct wr_cgi_kind *kind,
                             const void *parent, void *conf) WR_MUST_CHECK;

/* One variable into b; what it returns ends all: WR_EPROTO when the wire cannot carry it. */
typedef enum wr_status wr_cgi_pair_fn(struct wr_strbuf *b, struct wr_str name, struct wr_str value);
/* All of a request's, each evaluated once. */
enum wr_status wr_cgi_add_params(struct wr_req *r, const struct wr_cgi_loc *lc, struct wr_strbuf *b,
                                 wr_cgi_pair_fn *add) WR_MUST_CHECK;
/* Bytes of the client's body that will follow; WR_LENGTH_UNKNOWN: it is streamed. 0: none. */
uint64_t wr_cgi_body_len(struct wr_req *r, const struct wr_cgi_loc *lc);

#define WR_CGI_DIRS(p, T, c, kind_)                                                                \
    {.name = p "_pass",                                                                            \
     .contexts = WR_CTX_LOCATION | WR_CTX_IF_LOCATION,                                             \
     .min = 1,                                                                                     \
     .max = 1,                                                                                     \
     .flags = WR_DIR_REPEAT, /* wr_core_set_content finds a second one, of any *_pass */           \
     WR_DIR_CONF(LOC),                                                                             \
     .set = wr_cgi_set_pass,                                                                       \
     .data = (kind_),                                                                              \
     .doc = "Passes requests to a group, an address or a unix socket: HOST:PORT, unix:PATH."},     \
        {.name = p "_param",                                                                       \
         .contexts = WR_CTX_HTTP_ALL,                                                              \
         .min = 2,                                                                                 \
         .max = 3,                                                                                 \
         .flags = WR_DIR_REPEAT,                                                                   \
         WR_DIR_FIELD(LOC, T, c.params),                                                           \
         .set = wr_cgi_set_param,                                                                  \
         .doc = "A variable that the application is told: NAME VALUE [if_not_empty]."},            \
        WR_UP_DIRS_PEER(p, T, c.up, wr_up_next_app_words), WR_UP_DIRS_SOCKET(p, T, c.up),          \
        WR_UP_DIRS_RELAY(p, T, c.up)

#endif
