/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scgi.h: scgi_pass and its kin: what they share with FastCGI is all they have.
 */
#ifndef WR_PROTO_SCGI_H
#define WR_PROTO_SCGI_H

#include "proto/cgi.h"

struct wr_scgi_loc {
    struct wr_cgi_loc cgi; /* first */
};

extern struct wr_conf_module wr_scgi_conf;
extern const struct wr_module wr_scgi_module;

#endif
