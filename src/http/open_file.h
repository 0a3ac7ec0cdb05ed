/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open_file.h: files of requests, opened or looked at as the location says: disable_symlinks,
 * directio, read_ahead, open_file_cache, and with `aio threads` by a pool of threads. Request's
 * thread.
 *
 * A phase handler that gets WR_AGAIN returns WR_PHASE_AGAIN and is called again from its beginning;
 * what it asked for before is remembered until it has returned something else (so the second call
 * has the same answers at once). Contents do the same in their step.
 */
#ifndef WR_HTTP_OPEN_FILE_H
#define WR_HTTP_OPEN_FILE_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "io/file.h"

struct wr_req;

enum wr_open_want {
    WR_OPEN_LOOK, /* what is of that name, readable or not */
    WR_OPEN_READ  /* to be read */
};

struct wr_found {
    struct wr_file *file; /* READ, a regular file: one reference, the caller's; else NULL */
    struct wr_file_facts facts;
};

/*
 * path: '\0' behind it. WR_OK; WR_AGAIN: the request's task will be woken; WR_ESYS with *ret_errno;
 * WR_ENOMEM, WR_ELIMIT, WR_ECONFIG: 500, logged where it was not memory.
 */
enum wr_status wr_open_file(struct wr_req *r, struct wr_str path, enum wr_open_want want,
                            struct wr_found *ret, int *ret_errno) WR_MUST_CHECK;
/* Errors that mean that there is nothing of this name. */
bool wr_open_is_missing(int err);
/* The request ends, or goes elsewhere: what is remembered, and under way, is dropped. */
void wr_open_file_leave(struct wr_req *r);

#endif
