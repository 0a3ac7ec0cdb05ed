/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h: files and folders as a whole: made, removed, copied, moved (the dav module). Each call
 * may wait for a disk: for a pool of threads. No symbolic link below the given name is followed; a
 * link is copied as a link. Any thread.
 */
#ifndef WR_IO_TREE_H
#define WR_IO_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/status.h"
#include "io/file.h"

#define WR_FILE_TREE_DEPTH 128 /* folders in folders; more is ELOOP */
#define WR_FILE_TREE_NAME  4096

/* All take zero-terminated names and give WR_ESYS with *ret_errno. */

/* Facts of the name itself: of a link its own. */
enum wr_status wr_tree_look(const char *path, struct wr_file_facts *ret, bool *ret_is_link,
                            int *ret_errno) WR_MUST_CHECK;
/* A folder of exactly this mode. */
enum wr_status wr_tree_mkdir(const char *path, mode_t mode, int *ret_errno) WR_MUST_CHECK;
/* The folders of `path` before its last name that are missing. */
enum wr_status wr_tree_mkdirs(const char *path, mode_t mode, int *ret_errno) WR_MUST_CHECK;
/* A file, a link, or a folder with all that is in it. What could be removed is. */
enum wr_status wr_tree_remove(const char *path, int *ret_errno) WR_MUST_CHECK;

enum wr_tree_depth {
    WR_TREE_ALONE, /* a folder without what is in it */
    WR_TREE_WHOLE
};

/*
 * `to` is there whole or as it was before: the copy is made beside it and takes its place then.
 * Modes and times of files are kept.
 */
enum wr_status wr_tree_copy(const char *from, const char *to, enum wr_tree_depth depth,
                            int *ret_errno) WR_MUST_CHECK;
/* Takes the place of what is there. Across file systems: copied, then removed. */
enum wr_status wr_tree_move(const char *from, const char *to, int *ret_errno) WR_MUST_CHECK;

/* A file being made, under a hidden name until it is whole. */
struct wr_new_file {
    int fd; /* -1: none */
    bool has_name;
    char temp[WR_FILE_TREE_NAME];
};

/* In the folder of `path`. */
enum wr_status wr_new_file_begin(struct wr_new_file *n, const char *path,
                                 int *ret_errno) WR_MUST_CHECK;
enum wr_status wr_new_file_write(struct wr_new_file *n, const struct iovec *iov, int cnt,
                                 int *ret_errno) WR_MUST_CHECK;
/* It takes the place of `path`. mtime -1: now. Ends n in every case. */
enum wr_status wr_new_file_finish(struct wr_new_file *n, const char *path, mode_t mode,
                                  int64_t mtime, int *ret_errno) WR_MUST_CHECK;
/* Drops it; idempotent. */
void wr_new_file_drop(struct wr_new_file *n);

#endif
