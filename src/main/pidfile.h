/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pidfile.h: the file with the supervisor's process number. The supervisor holds an exclusive lock
 * (flock) on it as long as it lives; who wants to signal it tries the lock first, so that a number
 * left behind by a dead weir, which some other process may have by now, is never signalled.
 */
#ifndef WR_MAIN_PIDFILE_H
#define WR_MAIN_PIDFILE_H

#include <sys/types.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

struct wr_pidfile {
    int fd; /* -1: none */
    char path[4096];
};

struct wr_pidfile_fault {
    const char *call; /* "open", "flock" ...; NULL: text says all */
    int err;
};

/* Makes the file, locks it, writes our number. WR_ESYS; WR_ELIMIT: another weir holds it. */
enum wr_status wr_pidfile_open(struct wr_pidfile *p, const char *path,
                               struct wr_pidfile_fault *ret_fault) WR_MUST_CHECK;
/* The number has changed (after a fork); the lock came along. */
enum wr_status wr_pidfile_rewrite(struct wr_pidfile *p) WR_MUST_CHECK;
/*
 * Another name: PATH -> PATH + suffix, and back. WR_ELIMIT: a running weir has that name. WR_ESYS:
 * fault says why, nothing has changed.
 */
enum wr_status wr_pidfile_move(struct wr_pidfile *p, const char *suffix,
                               struct wr_pidfile_fault *ret_fault) WR_MUST_CHECK;
enum wr_status wr_pidfile_move_back(struct wr_pidfile *p, const char *suffix,
                                    struct wr_pidfile_fault *ret_fault) WR_MUST_CHECK;
/* Removes the file if it is still ours, and lets the lock go. Idempotent. */
void wr_pidfile_close(struct wr_pidfile *p);

/*
 * Number of the running weir that the file names. WR_ESYS: fault says why. WR_EPROTO: no number in
 * it. WR_EPEERGONE: nobody holds the lock, whatever the number says.
 */
enum wr_status wr_pidfile_find(const char *path, pid_t *ret_pid,
                               struct wr_pidfile_fault *ret_fault) WR_MUST_CHECK;

/* Says why wr_pidfile_find found none. */
void wr_pidfile_say(struct wr_str path, enum wr_status st, const struct wr_pidfile_fault *fault);

#endif
