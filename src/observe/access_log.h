/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access_log.h: access_log, log_format and open_log_file_cache. A generation names files; main/
 * opens them before it publishes the generation; each thread gathers lines and writes them to the
 * descriptors:
 *
 *   unbuffered   all lines of a turn leave in one write per file, by a task at the turn's end
 *   buffer=      when the buffer is full, by the flush timer, when logs are reopened, at the end
 *   gzip=        the same; each flush is a gzip member
 *   $variables   in the path: opened by a thread of its own, see log_path.h
 *   syslog:      at once, see net/syslog.h
 *
 * A descriptor may be replaced by dup3 onto the same number (reopen); who does so asks
 * wr_access_log_sync first, so that what was logged before goes to the file of before.
 */
#ifndef WR_OBSERVE_ACCESS_LOG_H
#define WR_OBSERVE_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct wr_gen;
struct wr_mail;
struct wr_module;
struct wr_node;

/* One file, however many directives name it. */
struct wr_access_file {
    struct wr_str path; /* absolute, '\0' behind it */
    int fd;         /* main/ writes it before the generation is published; -1: lines are dropped */
    bool is_stream; /* main/ writes it too: not a regular file, may have a slow reader */
    const struct wr_node
        *node; /* that named it first; NULL: the default of a file without access_log */
    struct wr_access_file *next;
    uint32_t no;          /* 0, 1, ... within the generation */
    uint32_t gzip;        /* level; 0: plain text */
    uint64_t buffer_size; /* 0: unbuffered */
    uint64_t flush_ms;    /* 0: no timer */
};

extern const struct wr_module wr_access_log_module;

/* All files of a generation that have a constant name, NULL when there is none. */
struct wr_access_file *wr_access_log_files(const struct wr_gen *g);
/*
 * Writes out what this thread holds, buffers too, and frees it; the next line makes it anew. Turns
 * the loop while lines for files with variables in their names are under way. At the end of a
 * thread, before its loop ends; where buffered lines must be in the file now.
 */
void wr_access_log_flush(void);
/*
 * Every thread writes out what it holds at its next mail point, and lets go of files that it keeps
 * open by name; then `done` comes to the calling thread's loop. False: no thread holds anything,
 * `done` is not used. Any thread with a loop.
 */
bool wr_access_log_sync(struct wr_mail *done);
/* The file of this path is another one now. Any thread. */
void wr_access_log_reopened(struct wr_str path);

#endif
