/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.h: an upstream{} group: an immutable list of members in a generation, and the group's
 * run-time state (a fixture: idle connections by thread, the shelf, the lock). Implicit groups of
 * proxy_pass are the same with one server line.
 */
#ifndef WR_UP_GROUP_H
#define WR_UP_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/str.h"
#include "base/sync.h"
#include "conf/dirs.h"
#include "conf/gen.h"
#include "up/lb.h"
#include "up/life.h"
#include "up/peer.h"

#define WR_THREADS_MAX 128

struct wr_moving;
struct wr_stash; /* up/idle.c: one thread's idle connections of this group */

/* Requests that wait for a slot (up/queue.c), in the order in which they came. */
struct wr_queue {
    struct wr_list waiters;        /* group lock */
    wr_atomic_u32 cnt;             /* written under it */
    const struct wr_members *list; /* group lock; all of them look in it; NULL: in several */
    uint64_t now_ms;               /* group lock; the latest clock by which one of them looked */
};

/* Lives as long as a generation names the group. */
struct wr_group {
    struct wr_fixture fixture; /* kind "group", name of the group, shape 0 */
    struct wr_mutex lock;      /* WR_RANK_GROUP: the exact cursor, the queue */
    struct wr_queue queue;
    struct wr_stash *stashes[WR_THREADS_MAX]; /* each written by its thread only */
    struct wr_shelf *shelf;                   /* up/shelf.c; shared by the threads */
    struct wr_lives lives;                    /* up/life.h: how long peers let connections idle */
};

/*
 * What an upstream{} block says; also of implicit groups. Immutable, in the generation's arena.
 * With `moving` requests take lists of moving.h; `at` has only the members that stay then.
 */
struct wr_members {
    struct wr_arena *arena; /* for group_init */
    struct wr_str name;     /* "backend", or "host:port" of an implicit group */
    struct wr_group *group;
    struct wr_member *at;
    uint32_t cnt;
    uint32_t primary_cnt, backup_cnt;
    uint32_t up_cnt;     /* not down, backups included: most tries (U2.5) */
    bool has_accounting; /* false: the only peer is exempt (U2.2) */
    bool has_zone;       /* exact cursor over threads */
    bool is_alone;       /* one primary, and nothing to ask a method or sessions about */
    bool is_implicit;
    uint16_t port;        /* implicit: the port, for matching */
    struct wr_str host;   /* implicit: the host */
    uint8_t weight_shift; /* weights count in units of 1 << this: finer for slow_start */
    const struct wr_lb *lb;
    const void *lb_conf; /* what the method's directive said */
    void *lb_state;
    const struct wr_sticky *sticky; /* NULL: none */
    const void *sticky_conf;        /* what the directive said */
    void *sticky_state;
    wr_atomic_u32 *changes;      /* counts changes of effective weights; NULL: none are told */
    wr_atomic_ptr *thread_state; /* WR_THREADS_MAX slots, each set by its thread */
    uint32_t keepalive;          /* idle connections kept per thread; 0: none */
    bool keepalive_local;
    uint32_t keepalive_each; /* of them to one peer; 0: any. Then keepalive is of all threads */
    bool has_ntlm;           /* up/ntlm.h */
    uint32_t keepalive_requests;
    uint64_t keepalive_time_ms, keepalive_timeout_ms;
    uint32_t queue_max; /* requests that may wait for a slot; 0: none */
    uint64_t queue_timeout_ms;
    const struct wr_node *node;
    struct wr_moving *moving;  /* up/moving.h: lists are made of this; NULL: this is the list */
    struct wr_moving *list_of; /* this list is one of them; NULL: it is the generation's */
};

/* conf module of upstream{}: rows upstream, server, zone, keepalive*, and the method's own rows
 * elsewhere. */
extern struct wr_conf_module wr_group_conf;

/*
 * During configuration: the group of this name, whether it is defined above or below; an implicit
 * one is noted for host:port when no upstream{} has the name. The pointer is good at once; members
 * are filled in the done hook. default_port 0: a host without a port is an error.
 */
enum wr_status wr_group_refer(struct wr_conf *cf, const struct wr_node *node,
                              struct wr_str url_host, uint16_t default_port,
                              struct wr_members **ret) WR_MUST_CHECK;
/* At run time (proxy_pass with variables): by group name, or host and port of an implicit one;
 * case-insensitive. NULL. */
const struct wr_members *wr_group_find(const struct wr_gen *g, struct wr_str host, uint16_t port,
                                       bool has_port);
#define WR_NAMED_MAX  4096 /* idle connections to peers that requests name; the oldest goes */
#define WR_NAMED_EACH 2    /* of them to one peer */

/* The group whose idle connections are those to peers that requests name. */
struct wr_group *wr_group_named(const struct wr_gen *g);
/*
 * At run time: a group of one address, made in the request's arena: a literal out of variables
 * (U1.5). It keeps no failure state; its idle connections are those of wr_group_named. WR_ENOMEM.
 */
enum wr_status wr_group_literal(const struct wr_gen *g, struct wr_arena *a, struct wr_str name,
                                const struct wr_addr *addr,
                                const struct wr_members **ret) WR_MUST_CHECK;

/* Addresses that a name stands for. */
struct wr_named_addrs {
    const struct wr_addr *at;
    uint32_t cnt;  /* > 0 */
    uint16_t port; /* 0: as the addresses say */
};

/* The same of all addresses of a name, one peer each. */
enum wr_status wr_group_of_addrs(const struct wr_gen *g, struct wr_arena *a, struct wr_str name,
                                 const struct wr_named_addrs *addrs,
                                 const struct wr_members **ret) WR_MUST_CHECK;
/* For directives of balancing methods: sets the method of the upstream{} being built (once; before
 * keepalive). */
enum wr_status wr_group_set_lb(struct wr_conf *cf, const struct wr_node *node,
                               const struct wr_lb *lb, const void *lb_conf) WR_MUST_CHECK;
/* The same for `sticky`. */
void wr_group_set_sticky(struct wr_conf *cf, const struct wr_sticky *sticky,
                         const void *sticky_conf);

/* Each group of the generation, implicit ones included, in the order of the file; of one whose
 * peers come and go the list of the moment. */
typedef void wr_group_fn(void *data, const struct wr_members *m);
void wr_group_each(const struct wr_gen *g, wr_group_fn *fn, void *data);
/* Idle connections on the group's shelf, about. Any thread. */
uint32_t wr_group_shelf_cnt(const struct wr_group *g);

#endif
