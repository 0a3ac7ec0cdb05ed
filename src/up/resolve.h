/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.h: the state RESOLVE of up/engine.c: addresses of a name that only the request told
 * (U1.5), by the location's `resolver`; and the list of the moment of a group whose peers come and
 * go (U1.6). Thread of the request.
 */
#ifndef WR_UP_RESOLVE_H
#define WR_UP_RESOLVE_H

#include "base/compiler.h"
#include "base/status.h"

struct wr_up;

/*
 * WR_OK: u->start.members is a group of the addresses. WR_AGAIN: the request's task will be woken.
 * WR_EOF: there are none, which is told. WR_ENOMEM.
 */
enum wr_status wr_up_resolve(struct wr_up *u) WR_MUST_CHECK;
/* QUEUE: the list of the moment becomes u->start.members when it is another. WR_ENOMEM. */
enum wr_status wr_up_resolve_again(struct wr_up *u) WR_MUST_CHECK;
/* Nobody waits any more. Idempotent. */
void wr_up_resolve_end(struct wr_up *u);

#endif
