/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lb.h: what a balancing method is: a table of functions that walk their own structure and ask
 * wr_peer_ok for a candidate (eligibility is written once, in up/pick.c). Picking allocates
 * nothing. The heart owns this header; lb/ implements it, third parties too.
 */
#ifndef WR_UP_LB_H
#define WR_UP_LB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "up/peer.h"

struct wr_msg;
struct wr_req;
struct wr_members;

#define WR_RAMP_SHIFT 8 /* weight_shift of groups with slow_start */

/* Server parameters that a method can support; others are `balancing method does not support
 * parameter "x"`. */
enum wr_lb_params {
    WR_LB_WEIGHT = 1,
    WR_LB_MAX_CONNS = 2,
    WR_LB_MAX_FAILS = 4,
    WR_LB_FAIL_TIMEOUT = 8,
    WR_LB_BACKUP = 16,
    WR_LB_DOWN = 32,
    WR_LB_SLOW_START = 64,
    WR_LB_ALL = 127
};

/* One choice. `tier` says which members count: 0 primaries, 1 backups. */
struct wr_lb_ctx {
    const struct wr_members *members;
    struct wr_req *req; /* for methods that look at the request; NULL in tests */
    uint32_t thread_no;
    uint8_t tier;
    bool is_exact; /* the group has a zone: one cursor for all threads, group lock held */
    bool is_bound; /* asked for by a session: members that drain count too */
    uint64_t now_ms;
    const uint64_t *tried; /* bit a member; NULL: none was tried */
};

struct wr_lb {
    const char *name;   /* directive: "least_conn"; "round_robin" is the default */
    unsigned params;    /* enum wr_lb_params it honours */
    bool wants_times;   /* response times of the peers are measured (wr_peer_mean_time) */
    bool wants_load;    /* it reads wr_peer.active: slots are counted together (peer.h) */
    bool is_moot_alone; /* need not be asked where one member is all there is, at its full weight */
    /* Per members list, at build; state of this list into *ret_state (members' arena). May be NULL.
     */
    enum wr_status (*group_init)(struct wr_members *m, void **ret_state);
    /*
     * Index of the chosen member; WR_EOF: none is eligible in this tier. Calls wr_peer_ok for
     * candidates.
     */
    enum wr_status (*pick)(struct wr_lb_ctx *ctx, uint32_t *ret_i);
    /* A request of this thread gave its slot of member i back. With a zone: group lock held and
     * thread_no 0. May be NULL. */
    void (*release)(const struct wr_members *m, uint32_t thread_no, uint32_t i, uint64_t now_ms);
    /* Member i was chosen without being asked for: the choice counts as its turn. May be NULL. With
     * a zone: group lock held. */
    void (*charge)(struct wr_lb_ctx *ctx, uint32_t i);
    /* The head of member i's answer is accepted: what it says may change later choices. Any thread.
     * May be NULL. */
    void (*answered)(const struct wr_members *m, uint32_t i, const struct wr_msg *head);
    void (*group_fini)(struct wr_members *m);
};

enum wr_sticky_when {
    WR_STICKY_HEAD, /* the head of the answer is accepted; r->out is being made */
    WR_STICKY_END   /* the answer is whole */
};

/* Sessions: requests that belong to a member, whatever the method would say (`sticky`). */
struct wr_sticky {
    const char *name;
    /* At build; as group_init of a method. */
    enum wr_status (*init)(struct wr_members *m, void **ret_state);
    /*
     * The member that this request is bound to and that can be had (wr_peer_ok, of any tier).
     * WR_EOF: none.
     */
    enum wr_status (*find)(struct wr_lb_ctx *ctx, uint32_t *ret_i);
    /* Member i answered. WR_EPROTO: a value would break the wire (U14.1), the client's fault;
     * WR_ENOMEM, WR_ELIMIT: the request ends. */
    enum wr_status (*answered)(const struct wr_members *m, struct wr_req *r, uint32_t i,
                               enum wr_sticky_when when);
};

/* May member i be chosen now: right tier, not tried, not down, not failed, not full? */
bool wr_peer_ok(const struct wr_lb_ctx *ctx, uint32_t i);
/* Its weight at this moment, lowered by failures and slow_start, in units of 1 << weight_shift. */
uint64_t wr_peer_weight(const struct wr_lb_ctx *ctx, uint32_t i);
/* Has it its full weight now? */
bool wr_peer_is_whole(const struct wr_lb_ctx *ctx, uint32_t i);
/* Wins one back of what failures took (U2.1). */
void wr_peer_raise(const struct wr_lb_ctx *ctx, uint32_t i);

/* This thread's own state of a members list: `size` zeroed bytes made at the first call; NULL
 * without memory. */
void *wr_members_thread_state(const struct wr_members *m, uint32_t thread_no, size_t size);
/* What it made before, or NULL. */
void *wr_members_thread_peek(const struct wr_members *m, uint32_t thread_no);
/*
 * Where in a cycle of cnt steps a thread begins (U2.8): 0 for the first, the others spread over it,
 * however many threads there are.
 */
uint32_t wr_lb_start_point(uint32_t thread_no, uint32_t cnt);

#endif
