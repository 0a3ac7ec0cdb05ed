/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lb_int.h: what the balancing methods share: their tables, what their directives say, choice by
 * weight from a number, and how busy a peer is.
 * Tables are constant, confs immutable after the load; functions run on any thread.
 */
#ifndef WR_LB_LB_INT_H
#define WR_LB_LB_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "conf/dirs.h"
#include "up/group.h"
#include "up/lb.h"

struct wr_template;

#define WR_LB_TRIES 20 /* random and hashed choices before the peers are walked in turn */

extern const struct wr_lb wr_lb_least_conn, wr_lb_least_time, wr_lb_hash, wr_lb_ketama,
    wr_lb_ip_hash, wr_lb_random;

/* `least_time`, and the second half of `random two` */
enum wr_lb_load {
    WR_LOAD_CONNS, /* requests under way */
    WR_LOAD_HEADER,
    WR_LOAD_LAST_BYTE
};

struct wr_lb_least_conf {
    enum wr_lb_load load;
    bool inflight; /* requests under way count with the time that they last already */
};

struct wr_lb_hash_conf {
    const struct wr_template *key;
};

struct wr_lb_random_conf {
    bool is_two;
    struct wr_lb_least_conf least;
};

/* --- sticky --- */

#define WR_LB_VALUES_MAX  16
#define WR_LB_EXPIRES_MAX INT64_C(2145916555) /* 31 Dec 2037 23:55:55 */

struct wr_lb_values {
    const struct wr_template *at[WR_LB_VALUES_MAX];
    uint32_t cnt;
};

struct wr_sessions;

struct wr_lb_sticky_conf {
    /* cookie */
    struct wr_str name;
    bool has_expires, is_http_only, is_secure;
    int64_t expires_s;                                   /* WR_LB_EXPIRES_MAX: `max` */
    const struct wr_template *domain, *path, *same_site; /* NULL: not said */
    /* route, learn */
    struct wr_lb_values lookup, create;
    bool has_zone, at_header;
    struct wr_sessions *sessions; /* NULL in a dry run */
    uint64_t timeout_ms;
};

extern const struct wr_sticky wr_lb_sticky_cookie, wr_lb_sticky_route, wr_lb_sticky_learn;

/* Setter of `sticky`. */
enum wr_status wr_lb_set_sticky(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf) WR_MUST_CHECK;

/*
 * How busy a peer is, before its weight: a has less to do than b when
 * load(a) * weight(b) < load(b) * weight(a).
 */
uint64_t wr_lb_load_of(const struct wr_member *m, const struct wr_lb_least_conf *c,
                       uint64_t now_ms);
bool wr_lb_is_less(uint64_t load_a, uint64_t weight_a, uint64_t load_b, uint64_t weight_b);

/* Members by weight: a number below `total` falls to one of them. */
struct wr_lb_shares {
    uint64_t total;
    uint32_t same;   /* weight of all, or 0 */
    uint64_t upto[]; /* sum of the weights up to and with member i; empty when `same` is set */
};

/* For group_init. */
enum wr_status wr_lb_shares_init(struct wr_members *m, void **ret_state) WR_MUST_CHECK;
uint32_t wr_lb_shares_get(const struct wr_lb_shares *s, uint32_t cnt, uint64_t number);

#endif
