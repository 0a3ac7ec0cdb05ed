/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tmpdir.h: a private folder below $TMPDIR (else /tmp) for one run, and its removal with all that
 * is in it.
 */
#ifndef WR_MAIN_TMPDIR_H
#define WR_MAIN_TMPDIR_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/status.h"

struct wr_tmpdir {
    char path[4096]; /* empty: none */
};

/* The folder below which they are made. */
const char *wr_tmpdir_base(void);
/* May everybody make files there, as in /tmp? */
bool wr_tmpdir_is_shared(const char *path);
/* "/tmp/NAME-XXXXXX", mode 0755 (a worker of another user passes through). WR_ESYS: errno is set.
 */
enum wr_status wr_tmpdir_make(struct wr_tmpdir *t, const char *name) WR_MUST_CHECK;
/* Idempotent; what cannot be removed stays. */
void wr_tmpdir_remove(struct wr_tmpdir *t);

#endif
