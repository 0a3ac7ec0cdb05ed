/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sessions.h: what `sticky learn` knows: which peer a session belongs to. One table a zone, for all
 * threads, over reloads; bounded by the size of the zone, the session that was not used for longest
 * goes first. Sessions are known by a keyed hash of their name.
 */
#ifndef WR_LB_SESSIONS_H
#define WR_LB_SESSIONS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "conf/gen.h"

#define WR_SESSION_BYTES 256 /* of a zone for one session: a megabyte holds 4096 */

struct wr_sessions;

/*
 * The zone of this name and size, which g uses from now on; made when there is none. r NULL (a dry
 * run): *ret is NULL. Control thread.
 */
enum wr_status wr_sessions_get(struct wr_fixtures *r, struct wr_gen *g, struct wr_str zone,
                               uint64_t size, struct wr_sessions **ret) WR_MUST_CHECK;
/* Name of a session of a group. */
uint64_t wr_session_key(struct wr_str group, struct wr_str name);
/* Its peer, 0: unknown, or not used for timeout_ms. Counts as use. Any thread. */
uint64_t wr_sessions_find(struct wr_sessions *s, uint64_t key, uint64_t timeout_ms,
                          uint64_t now_ms);
/* Enters it, or gives it another peer. Without memory another session makes room, if there is one.
 * Any thread. */
void wr_sessions_put(struct wr_sessions *s, uint64_t key, uint64_t peer_id, uint64_t now_ms);
/* How many it holds. */
uint32_t wr_sessions_cnt(struct wr_sessions *s);

#endif
