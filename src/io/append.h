/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append.h: descriptors that logs are appended to: regular files, FIFOs, what standard output is.
 * Nothing here waits for a reader: a FIFO is opened so that writing to it never blocks, and lines
 * go to pipes and sockets in pieces that arrive whole or not at all. Descriptors are plain numbers,
 * since a log is reopened by putting another file under its number. Thread: any.
 */
#ifndef WR_IO_APPEND_H
#define WR_IO_APPEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/status.h"

#define WR_APPEND_MODE  0644 /* of files that nobody said more about */
#define WR_APPEND_PIECE 4096 /* PIPE_BUF: what a pipe takes whole or not at all */

/* What a name means at this moment. */
struct wr_append_id {
    uint64_t dev, ino;
};

/*
 * Opens for appending; a file that is missing is made with this mode. Never waits: a FIFO without a
 * reader takes lines until it is full. ret_is_new may be NULL: was the file made by this call?
 * WR_ESYS with *ret_errno.
 */
enum wr_status wr_append_open(const char *path, mode_t mode, int *ret_fd, bool *ret_is_new,
                              int *ret_errno) WR_MUST_CHECK;
/*
 * The same file, pipe or terminal once more, never waiting; a socket, or one that may not be opened
 * again, is duplicated. For standard output, whose description others share. WR_ESYS.
 */
enum wr_status wr_append_again(int fd, int *ret_fd, int *ret_errno) WR_MUST_CHECK;
void wr_append_close(int fd);

bool wr_append_is_regular(int fd);
/* False: fd is not open. */
bool wr_append_id_of(int fd, struct wr_append_id *ret);
/* Is the file of this name the one that id was taken of? */
bool wr_append_is_named(const char *path, const struct wr_append_id *id);
/* Is there a folder of this name? *ret_errno otherwise. */
bool wr_append_has_folder(const char *path, int *ret_errno);

enum wr_append_kind {
    WR_APPEND_FILE,  /* regular: as much as there is room for */
    WR_APPEND_STREAM /* anything that may have a slow reader */
};

/*
 * *ret_done bytes went out, in every case. WR_OK: all. WR_AGAIN: a stream takes no more now.
 * WR_ESYS with *ret_errno.
 */
enum wr_status wr_append_write(int fd, enum wr_append_kind kind, const char *p, size_t n,
                               size_t *ret_done, int *ret_errno) WR_MUST_CHECK;
/*
 * Takes the last n bytes off a regular file, which nobody else may have written to since they were
 * put there. Best effort.
 */
void wr_append_undo(int fd, size_t n);

#endif
