/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder_read.h: a folder's names for a content (autoindex, random_index): a small folder is read
 * at once, a larger one, or any where `aio threads` is on, by a pool of threads, so that a hundred
 * thousand names, or a slow disk, hold up nobody else.
 */
#ifndef WR_HTTP_FOLDER_READ_H
#define WR_HTTP_FOLDER_READ_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/status.h"
#include "conf/dirs.h"
#include "io/folder.h"
#include "io/work.h"

struct wr_folder_read;
struct wr_req;

struct wr_folder_ops {
    /* A name. On any thread, one at a time; not WR_OK ends the reading with that status. */
    enum wr_status (*take)(struct wr_folder_read *fr, const struct wr_folder_name *n);
    /* All were taken: what is left to be done that takes time (sorting). Any thread. May be NULL.
     */
    void (*finish)(struct wr_folder_read *fr);
    /* The memory; owner thread. */
    void (*free)(struct wr_folder_read *fr);
};

/* Embedded in heap memory; zeroed but for ops. */
struct wr_folder_read {
    struct wr_work work; /* first */
    const struct wr_folder_ops *ops;
    struct wr_folder *folder; /* while names are taken */
    const char *path;         /* '\0' behind it; lives as long as this */
    struct wr_file_how how;
    enum wr_status status; /* when it is over: WR_EOF: all is read; else why not */
    int err;               /* with WR_ESYS */
    bool is_over, is_started;
};

/*
 * Begins, or looks again when r's task was woken: WR_OK: it is over, see fr->status. WR_AGAIN.
 * WR_ELIMIT, WR_ESYS, WR_ECONFIG, WR_ENOMEM: it cannot be begun.
 */
enum wr_status wr_folder_read_run(struct wr_folder_read *fr, struct wr_req *r) WR_MUST_CHECK;
/* The content closes. Accepts NULL. */
void wr_folder_read_leave(struct wr_folder_read *fr);

#endif
