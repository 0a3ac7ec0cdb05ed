/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.h: the flight recorder. A ring of the last 1,024 state changes of this thread, written
 * by every set_state (base/fsm.h), printed on panic and on demand.
 */
#ifndef WR_BASE_RECORDER_H
#define WR_BASE_RECORDER_H

#include <stdint.h>

#include "base/local.h"

#define WR_RECORDER_CAP 1024u /* a power of 2 */

struct wr_recorder_entry {
    uint64_t at_ms;
    uint64_t id;
    const char *machine;
    const char *const *names;
    uint32_t from, to;
};

struct wr_recorder {
    uint64_t _cnt; /* notes ever written; the next goes to _at[_cnt % cap] */
    struct wr_recorder_entry _at[WR_RECORDER_CAP];
};

/* machine: constant text ("up"); names: the machine's state names, NULL: numbers are shown. */
static inline void wr_recorder_note(const char *machine, const char *const *names, uint64_t id,
                                    unsigned from, unsigned to)
{
    struct wr_local *l = wr_local_get();
    struct wr_recorder *r = l->recorder;
    struct wr_recorder_entry *e = &r->_at[r->_cnt & (WR_RECORDER_CAP - 1)];

    e->at_ms = l->now_ms;
    e->id = id;
    e->machine = machine;
    e->names = names;
    e->from = from;
    e->to = to;
    r->_cnt++; /* last: a dump from a signal handler never sees half an entry as the newest */
}

/* Writes the ring of this thread to fd, oldest first; async-signal-safe. */
void wr_recorder_dump(int fd);
/* The newest n only. */
void wr_recorder_dump_last(int fd, unsigned n);

#endif
