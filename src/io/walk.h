/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.h: names whose symbolic links are not, or not all, followed (disable_symlinks). The name is
 * walked part by part from a folder that is held open, so that nobody can put a link in between.
 * Any thread.
 */
#ifndef WR_IO_WALK_H
#define WR_IO_WALK_H

#include <sys/stat.h>

#include "base/compiler.h"
#include "base/status.h"

struct wr_file_how;

/* As open for reading without waiting; how->symlinks is not FOLLOW. WR_ESYS with *ret_errno. */
enum wr_status wr_walk_open(const char *path, const struct wr_file_how *how, int *ret_fd,
                            int *ret_errno) WR_MUST_CHECK;
/* As stat. */
enum wr_status wr_walk_stat(const char *path, const struct wr_file_how *how, struct stat *ret,
                            int *ret_errno) WR_MUST_CHECK;

#endif
