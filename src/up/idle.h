/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle.h: connections to peers between requests (U10): a stash per group and thread, last in first
 * out, where they stay armed in the thread's loop; and a shelf per group, shared, to which a thread
 * gives what it did not use for a second. A thread takes from its stash, then the shelf, else
 * dials. A connection is reused only for the same peer and the same identity (a hash of contents:
 * transport, TLS, bind address).
 */
#ifndef WR_UP_IDLE_H
#define WR_UP_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "conf/gen.h"
#include "http/codec.h"
#include "up/group.h"

#define WR_IDLE_DEFAULT  32
#define WR_IDLE_SHELF_MS 1000 /* unused for so long, a connection goes to the shelf */

/* The group's run-time fixture (control thread). */
enum wr_status wr_idle_group_get(struct wr_fixtures *r, struct wr_gen *g, struct wr_str name,
                                 struct wr_group **ret) WR_MUST_CHECK;
/*
 * An idle connection to this peer, READY, its user set to `user`: of this thread's stash, else of
 * the group's shelf unless the group says `local`. NULL: none.
 */
struct wr_pconn *wr_idle_take(const struct wr_members *m, const struct wr_peer *peer,
                              uint64_t identity, struct wr_task *user);
/*
 * The member whose peer has an idle connection of this identity in this thread's stash; NULL: none
 * has. For identities of few connections: the stash is walked.
 */
const struct wr_member *wr_idle_find(const struct wr_members *m, uint64_t identity);
/*
 * Parks a READY connection, or closes it: limits of keepalive, keepalive_requests, _time. Takes it
 * in every case.
 */
void wr_idle_put(const struct wr_members *m, const struct wr_member *member, uint64_t identity,
                 struct wr_pconn *pc);
/*
 * How many threads with a loop there will be; before they start. With one (or if it was never said)
 * connections stay in their stash.
 */
void wr_idle_set_threads(uint32_t n);
/* This thread's stashes are closed: the loop ends. A few more turns free what was closed. */
void wr_idle_thread_end(void);
/*
 * After the end of all those threads, before the fixtures go: closes what is on the shelves, which
 * reference their groups. Any thread.
 */
void wr_idle_process_end(void);
/* Idle connections of this thread, over all groups. */
uint32_t wr_idle_thread_cnt(void);

typedef void wr_idle_fn(void *data, const struct wr_group *g, uint32_t cnt);
/* Each group of which this thread has idle connections. */
void wr_idle_thread_each(wr_idle_fn *fn, void *data);

#endif
