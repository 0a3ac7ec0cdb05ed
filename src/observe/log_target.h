/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_target.h: a log file as the whole process sees it, whatever generation names it and however
 * many threads write to it; known by its path. It knows whether the file ends in half a line, and
 * how many lines were lost without being told.
 *
 *   lines    O_APPEND, whole lines in one write. What a full disk does not take is lost and
 * counted; the half line that it did take is closed by a line end in front of the next write.
 *   stream   (a pipe, a FIFO, a terminal) what a slow reader does not take now stays with the
 *            writer; the rest of a line that was begun goes before all else.
 *   gzip     whole members, one writer at a time; half a member is taken back from the file.
 *
 * Losses are told at once, then at most once a minute. Thread: any.
 */
#ifndef WR_OBSERVE_LOG_TARGET_H
#define WR_OBSERVE_LOG_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"
#include "base/strbuf.h"

#define WR_LOG_SAY_MS 60000 /* between two messages about lost lines of one file */

struct wr_log_target;

/* One reference, made at the first. NULL: no memory. */
struct wr_log_target *wr_log_target_get(struct wr_str path) WR_MUST_CHECK;
/* Accepts NULL. The last one tells what was lost and not told yet. */
void wr_log_target_unref(struct wr_log_target *t);
/* The file of this path is another one now: it ends at a line. Nothing when nobody writes to it. */
void wr_log_target_reopened(struct wr_str path);

enum wr_log_target_kind {
    WR_LOG_LINES, /* a regular file */
    WR_LOG_STREAM,
    WR_LOG_GZIP, /* a regular file of members */
};

/* What waits for the file. */
struct wr_log_out {
    struct wr_strbuf b;
    uint64_t gzip_lines; /* GZIP and streams of members: lines in b. Else they are counted in b */
    bool is_members;     /* b holds members, also on a stream */
};

/*
 * Writes the first n bytes of o->b (whole lines, or members) to fd, -1: none. What was written or
 * lost leaves o->b; what is left waits for a slow reader: try again in a moment.
 */
void wr_log_target_write(struct wr_log_target *t, int fd, enum wr_log_target_kind kind,
                         struct wr_log_out *o, size_t n);
/* All of o->b is given up: its writer ends. The half line that it may have begun is closed by
 * others. */
void wr_log_target_give_up(struct wr_log_target *t, struct wr_log_out *o);
/* Lines that found no memory, or no room while a reader is slow. Counted; told like the others. */
void wr_log_target_lost(struct wr_log_target *t, uint64_t lines, int err);

#endif
