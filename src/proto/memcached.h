/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached.h: configuration of memcached_pass and its kin. Immutable after the merge; only
 * memcached.c and the tests look into it.
 */
#ifndef WR_PROTO_MEMCACHED_H
#define WR_PROTO_MEMCACHED_H

#include "http/module.h"
#include "proto/pass.h"
#include "up/conf.h"

struct wr_memcached_pass {
    struct wr_pass to;
    struct wr_template key; /* $memcached_key */
};

struct wr_memcached_loc {
    struct wr_conf_head head;
    struct wr_up_conf up;
    uint32_t gzip_flag;             /* 0: none */
    struct wr_memcached_pass *pass; /* of this location; not inherited but into if{} */
};

extern struct wr_conf_module wr_memcached_conf;
extern const struct wr_module wr_memcached_module;

#endif
