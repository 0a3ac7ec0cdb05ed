/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fastcgi.h: configuration of fastcgi_pass and its kin. Immutable after the merge; only fastcgi.c
 * and the tests look into it.
 */
#ifndef WR_PROTO_FASTCGI_H
#define WR_PROTO_FASTCGI_H

#include "proto/cgi.h"

struct wr_regex;

struct wr_fastcgi_loc {
    struct wr_cgi_loc cgi; /* first */
    struct wr_str index;
    struct wr_regex *split; /* fastcgi_split_path_info; NULL: none */
    struct wr_strs catch_stderr;
    bool keep_conn;
};

extern struct wr_conf_module wr_fastcgi_conf;
extern const struct wr_module wr_fastcgi_module;

#endif
