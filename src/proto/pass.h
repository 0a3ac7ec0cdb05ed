/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass.h: where `*_pass ADDRESS` of FastCGI, uwsgi, SCGI and memcached leads: a group, a host and
 * port, a unix socket, or a text with variables that says one of them for each request. (proxy_pass
 * has a URL with more in it: http_conf.c.)
 */
#ifndef WR_PROTO_PASS_H
#define WR_PROTO_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/template.h"
#include "http/module.h"
#include "up/group.h"
#include "up/up.h"

/* What stands before the address: "fastcgi://". The first of a list is taken when none is written.
 */
struct wr_pass_scheme {
    struct wr_str prefix;
    bool is_tls;
};

struct wr_pass_schemes {
    const struct wr_pass_scheme *at;
    size_t cnt;
};

struct wr_pass {
    const struct wr_pass_schemes *schemes;
    const struct wr_pass_scheme *scheme; /* NULL: out of variables */
    struct wr_template *t;               /* with variables; else NULL, and members holds */
    struct wr_members *members;
    struct wr_str host; /* for *_ssl_name */
};

/*
 * For the setter of the directive: argument 0 of node. schemes: constant; the first one's prefix
 * need not be written, and is not taken where it is the only one. WR_ECONFIG: reported.
 */
enum wr_status wr_pass_set(struct wr_conf *cf, const struct wr_node *node,
                           const struct wr_pass_schemes *schemes, struct wr_pass *p) WR_MUST_CHECK;
/*
 * For the content handler: members, or the name whose addresses are asked for, and the prefix for
 * logs. *ret_scheme, *ret_host: as above. WR_EPROTO: told in the log, the answer is 500.
 */
enum wr_status wr_pass_find(struct wr_req *r, const struct wr_pass *p, struct wr_up_start *start,
                            const struct wr_pass_scheme **ret_scheme,
                            struct wr_str *ret_host) WR_MUST_CHECK;

#endif
