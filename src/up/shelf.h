/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf.h: idle connections to peers that belong to no thread (U10.3): each group has a shelf. An
 * idle connection that its thread did not use is put there as a bare descriptor with what must be
 * equal to use it again; any thread takes it. One that its peer ends or writes to is closed at
 * once. Any thread with a loop, unless a call says otherwise.
 */
#ifndef WR_UP_SHELF_H
#define WR_UP_SHELF_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "conf/gen.h"
#include "http/codec.h"
#include "up/life.h"

#define WR_SHELF_MAX 4096u /* most connections of one shelf */

struct wr_shelf;

/* A connection while no thread has it. */
struct wr_shelved {
    const struct wr_codec *codec;
    struct wr_pconn_seed seed;
    uint32_t peers; /* of the group */
    uint64_t peer_id, identity;
    uint64_t expires_ms;
};

/*
 * The shelf of the group that `holder` is the fixture of: referenced while the shelf has entries.
 * lives: of the same group, told of those that their peers end. Boot-time memory. Control thread.
 */
struct wr_shelf *wr_shelf_new(struct wr_fixture *holder, struct wr_lives *lives);
/* Accepts NULL; empty, which it is when nothing references the holder. */
void wr_shelf_free(struct wr_shelf *s);
/*
 * Takes the descriptor in every case. With `max` entries (at most WR_SHELF_MAX) there the oldest
 * are closed. The caller holds a reference to the holder.
 */
void wr_shelf_put(struct wr_shelf *s, const struct wr_shelved *it, uint32_t max);
/* The newest of this peer and identity; now the caller's. WR_AGAIN: none. */
enum wr_status wr_shelf_take(struct wr_shelf *s, uint64_t peer_id, uint64_t identity,
                             struct wr_shelved *ret) WR_MUST_CHECK;
/* Closes what expired. Value: when the next one does, 0: it is empty. Holds the holder. */
uint64_t wr_shelf_expire(struct wr_shelf *s, uint64_t now_ms);
/* How many; asked without the lock, so that it may have changed. */
uint32_t wr_shelf_cnt(struct wr_shelf *s);
/* The thread's loop ends: another one looks after the shelves. */
void wr_shelf_thread_end(void);
/* No thread with a loop is left: what is on any shelf is closed. Any thread. */
void wr_shelf_process_end(void);

#endif
