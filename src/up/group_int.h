/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group_int.h: what group.c and moving.c share: making a list of members ready for picks.
 */
#ifndef WR_UP_GROUP_INT_H
#define WR_UP_GROUP_INT_H

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "up/group.h"

/*
 * m->at and m->cnt are complete; all else that depends on them is made, in `a`, which lives as long
 * as m: counts, whole weights, the balancer's state. A list without members has a balancer that
 * never chooses. WR_ENOMEM. Control thread.
 */
enum wr_status wr_members_seal(struct wr_members *m, struct wr_arena *a) WR_MUST_CHECK;
/* Before `a` ends; also of one that was never sealed. Any thread. */
void wr_members_unseal(struct wr_members *m);

#endif
