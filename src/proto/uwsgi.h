/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uwsgi.h: configuration of uwsgi_pass and its kin. Immutable after the merge; only uwsgi.c and the
 * tests look into it.
 */
#ifndef WR_PROTO_UWSGI_H
#define WR_PROTO_UWSGI_H

#include "proto/cgi.h"

struct wr_uwsgi_loc {
    struct wr_cgi_loc cgi; /* first */
    struct wr_up_tls_conf tls;
    const struct wr_up_tls *made_tls; /* NULL: nothing here goes to suwsgi:// */
    uint32_t modifier1, modifier2;
};

/* While a generation is built. */
struct wr_uwsgi_main {
    struct wr_conf_head head;
    struct wr_up_tls_made made;
};

extern struct wr_conf_module wr_uwsgi_conf;
extern const struct wr_module wr_uwsgi_module;

#endif
