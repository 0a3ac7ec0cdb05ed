/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pick.h: the next peer of a request: eligibility, tried set, tiers; asks the balancer and takes
 * the slot (U2.3, U2.4). Thread of the request.
 */
#ifndef WR_UP_PICK_H
#define WR_UP_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "up/group.h"

struct wr_picker {
    const struct wr_members *members;
    struct wr_req *req;
    struct wr_arena *arena; /* of the request; for the tried set */
    uint64_t *tried;        /* bits; NULL until a second pick */
    uint64_t inline_tried;  /* it, for up to 64 members */
    uint32_t first;         /* tried by the first pick; UINT32_MAX: none */
    uint8_t tier;           /* 1: went over to backups, never back */
};

struct wr_peer_slot {
    const struct wr_members *members;
    const struct wr_member *member; /* NULL: none held */
    uint64_t began_ms;
    bool is_probe;
    bool is_timed; /* its times are measured */
};

enum wr_status wr_picker_init(struct wr_picker *p, const struct wr_members *m, struct wr_arena *a,
                              struct wr_req *r) WR_MUST_CHECK;
/* WR_EOF: no live peer. WR_ENOMEM. The member counts as tried from now on. */
enum wr_status wr_pick(struct wr_picker *p, uint64_t now_ms, uint32_t thread_no,
                       struct wr_peer_slot *ret) WR_MUST_CHECK;
/* May this request ever get member i? Not tried, not down; full and out ones count. */
bool wr_picker_accepts(const struct wr_picker *p, uint32_t i);
/*
 * Is there any of these to wait for? *ret_due_ms: when the first of those that are out may be
 * probed; 0: none of them is out.
 */
bool wr_picker_can_wait(const struct wr_picker *p, uint64_t now_ms, uint64_t *ret_due_ms);
/*
 * Takes a slot of just this member, which is not marked as tried; false when it is full or out. No
 * lock held.
 */
bool wr_pick_member(const struct wr_members *m, uint32_t i, uint64_t now_ms,
                    struct wr_peer_slot *ret) WR_MUST_CHECK;
/* The same, group lock held: for up/queue.c, which sees to those who wait. */
bool wr_pick_member_locked(const struct wr_members *m, uint32_t i, uint64_t now_ms,
                           struct wr_peer_slot *ret) WR_MUST_CHECK;
/* The list has changed: goes on with that one; peers that were tried stay tried. WR_ENOMEM. */
enum wr_status wr_picker_follow(struct wr_picker *p, const struct wr_members *m) WR_MUST_CHECK;
/*
 * A slot that was taken for this request by wr_pick_member, of this list or one before it: its
 * member counts as tried.
 */
void wr_picker_adopt(struct wr_picker *p, const struct wr_peer_slot *s);
/* The slot is kept for another attempt (a stale idle connection, U2.6); false: the member is out by
 * now. */
bool wr_pick_again(struct wr_peer_slot *s, uint64_t now_ms);
/* The head of the peer's answer is here: for least_time. */
void wr_peer_slot_note_head(const struct wr_peer_slot *s, uint64_t now_ms);
/* Idempotent. */
void wr_peer_slot_release(struct wr_peer_slot *s, enum wr_outcome how, uint64_t now_ms);

#endif
