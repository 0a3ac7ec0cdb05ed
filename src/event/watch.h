/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h: a set of descriptors that belong to no loop at the moment, each with a number: it tells
 * which of them had an event (bytes, end, error), each once. Its own descriptor becomes readable
 * then, so that a wr_io in mode NOTIFY wakes a task for it. Any thread; the caller's lock keeps the
 * calls apart.
 */
#ifndef WR_EVENT_WATCH_H
#define WR_EVENT_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

struct wr_watch {
    int fd; /* of the set; -1: not open */
};

/* For a watch with static life. */
#define WR_WATCH_INIT                                                                              \
    {                                                                                              \
        -1                                                                                         \
    }

/* WR_ESYS: the kernel refuses. */
enum wr_status wr_watch_open(struct wr_watch *w) WR_MUST_CHECK;
/* Idempotent. Descriptors in the set stay open and are the caller's. */
void wr_watch_close(struct wr_watch *w);
/* The descriptor stays the caller's, who takes it out before he closes or uses it. WR_ESYS. */
enum wr_status wr_watch_attach(struct wr_watch *w, int fd, uint64_t no) WR_MUST_CHECK;
/* fd was attached and is open. */
void wr_watch_detach(struct wr_watch *w, int fd);

enum wr_watch_want {
    WR_WATCH_NOTHING = 0,
    WR_WATCH_IN = 1,
    WR_WATCH_OUT = 2,
};

/*
 * For a descriptor that somebody else makes calls on (a library): it is told again and again while
 * it has what is wanted; enum wr_watch_want or-ed. Attaches it at the first call; with NOTHING it
 * leaves the set, if it was there. WR_ESYS.
 */
enum wr_status wr_watch_want(struct wr_watch *w, int fd, uint64_t no, unsigned want) WR_MUST_CHECK;
/*
 * Numbers of those that had an event, at most max; value: how many. Never waits. What was told
 * stays in the set and, attached by wr_watch_attach, is not told again.
 */
size_t wr_watch_get(struct wr_watch *w, uint64_t *ret_no, size_t max);

#endif
