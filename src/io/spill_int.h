/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spill_int.h: the temporary-file tail of one pipe. The pipe decides what goes there; the spill
 * knows the file, where the next byte goes, and how many of its bytes are still queued.
 */
#ifndef WR_IO_SPILL_INT_H
#define WR_IO_SPILL_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "io/file.h"
#include "io/pipe.h"

struct wr_spill {
    const struct wr_spill_conf *conf;
    struct wr_file *file; /* NULL before the first write */
    uint64_t end;         /* where the next byte goes: bytes on disk */
    uint64_t queued;      /* bytes of the file in the pipe's queue */
    bool is_full; /* a write would have passed `max`; until the queue holds none of the file */
};

struct wr_spill *wr_spill_new(const struct wr_spill_conf *conf) WR_MUST_CHECK;
/* Accepts NULL. */
void wr_spill_free(struct wr_spill *s);
/* May a write be tried? */
bool wr_spill_has_room(const struct wr_spill *s);
/*
 * Writes n bytes (one write a write_size). WR_OK: they are at *ret_off of s->file, counted as
 * queued. WR_ELIMIT: they would pass `max`. WR_ESYS: *ret_errno; what was written in part does not
 * count.
 */
enum wr_status wr_spill_write(struct wr_spill *s, const char *bytes, size_t n, uint64_t *ret_off,
                              int *ret_errno) WR_MUST_CHECK;
/* n bytes of the file have left the queue. */
void wr_spill_leave(struct wr_spill *s, uint64_t n);

#endif
