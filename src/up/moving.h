/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moving.h: groups whose peers come and go without a reload (`server NAME resolve`). What the
 * generation holds of such a group is a plan: the members that stay, and lines whose names are
 * looked up (up/names.h). Of the plan and what the names mean now a list is made, a struct
 * wr_members of its own, immutable and counted; a request takes the list of the moment and keeps it
 * to its end.
 *
 *   struct wr_members (generation) -- moving --> wr_moving -- current --> list 3   new requests
 *     at: members that stay                       lines -> wr_name        list 2   a long one
 *
 * Peers are fixtures: those that stay keep failures, connections in use and idle ones; effective
 * weights are carried over. wr_moving is a fixture too, made for one generation.
 */
#ifndef WR_UP_MOVING_H
#define WR_UP_MOVING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "conf/dirs.h"
#include "up/group.h"
#include "up/names.h"

struct wr_moving;
struct wr_moving_wait;
struct wr_task;

/* A server line with `resolve`. Immutable. */
struct wr_moving_line {
    struct wr_member like; /* its peers, but for peer, effective, and what a service says */
    struct wr_str name;    /* to be looked up */
    enum wr_dns_kind kind;
    uint32_t before;  /* members that stay and stand before it */
    uint16_t port;    /* of addresses; not of services */
    bool has_weight;  /* a service's weights are not asked for */
    bool has_backups; /* the method knows backups: the lesser priorities of a service */
};

struct wr_moving_plan {
    struct wr_members *members; /* what stays is in at, cnt */
    const struct wr_moving_line *lines;
    uint32_t line_cnt;
    struct wr_resolver *resolver;
    uint32_t timeout_ms; /* resolver_timeout: for requests that wait for the first answer */
};

/* While cf's generation is built; ends with it. Control thread. */
enum wr_status wr_moving_new(struct wr_conf *cf, const struct wr_moving_plan *plan,
                             struct wr_moving **ret) WR_MUST_CHECK;

/*
 * The list of the moment, until `a`, the request's arena, ends. WR_AGAIN, when it is empty because
 * a name was not answered yet: `task`, of this thread, is woken when that has changed, and the
 * caller ends *ret_wait. With ret_wait NULL it is never waited for. WR_ENOMEM. Any thread.
 */
enum wr_status wr_moving_get(struct wr_moving *mv, struct wr_arena *a, struct wr_task *task,
                             const struct wr_members **ret,
                             struct wr_moving_wait **ret_wait) WR_MUST_CHECK;
bool wr_moving_wait_is_over(const struct wr_moving_wait *w);
/* Accepts NULL pointers. The thread that waits. */
void wr_moving_wait_end(struct wr_moving_wait **w);
/* Has this list been followed by another? Whoever has the generation; any list. */
bool wr_moving_has_next(const struct wr_members *m);
/* The list of the moment with a reference. Whoever has the generation. */
const struct wr_members *wr_moving_list_ref(struct wr_moving *mv);
void wr_moving_list_unref(const struct wr_members *m);
/* resolver_timeout of the group. */
uint32_t wr_moving_timeout_ms(const struct wr_moving *mv);

#endif
