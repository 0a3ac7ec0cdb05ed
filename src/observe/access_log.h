/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access_log.h: access_log and log_format. A generation names files; main/ opens them before it
 * publishes the generation; each thread gathers lines and writes them to the descriptors:
 *
 *   unbuffered   all lines of a loop turn leave in one write per file, by a task at the end of the
 * turn buffer=      when the buffer is full, by the flush timer, and at the end
 *
 * A descriptor may be replaced at any time by dup3 onto the same number (reopen).
 */
#ifndef WR_OBSERVE_ACCESS_LOG_H
#define WR_OBSERVE_ACCESS_LOG_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct wr_gen;
struct wr_module;
struct wr_node;

/* One file, however many directives name it. */
struct wr_access_file {
    struct wr_str path; /* absolute, '\0' behind it */
    int fd; /* main/ writes it before the generation is published; -1: lines are dropped */
    const struct wr_node
        *node; /* that named it first; NULL: the default of a file without access_log */
    struct wr_access_file *next;
    uint32_t no;          /* 0, 1, ... within the generation */
    uint64_t buffer_size; /* 0: unbuffered */
    uint64_t flush_ms;    /* 0: no timer */
};

extern const struct wr_module wr_access_log_module;

/* All files of a generation, NULL when there is none. Paths with variables are opened at each line.
 */
struct wr_access_file *wr_access_log_files(const struct wr_gen *g);
/*
 * Writes out what this thread holds, buffers too, and frees it; the next line makes it anew. At the
 * end of a thread, before its loop ends; where buffered lines must be in the file now.
 */
void wr_access_log_flush(void);

#endif
