/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.h: the names in a folder, one by one, and what they are. May wait for a disk, so large
 * folders are read by a pool (http/folder_read.h). One thread at a time.
 */
#ifndef WR_IO_FOLDER_H
#define WR_IO_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "io/file.h"

struct wr_folder;

enum wr_folder_kind {
    WR_FOLDER_UNKNOWN, /* a link, or the file system does not tell: ask wr_folder_look */
    WR_FOLDER_FILE,
    WR_FOLDER_DIR,
    WR_FOLDER_OTHER
};

struct wr_folder_name {
    const char *name; /* valid until the next one; '\0' behind it */
    size_t len;
    uint8_t kind; /* enum wr_folder_kind: a hint that costs nothing */
};

/* WR_ESYS with *ret_errno; WR_ENOMEM. */
enum wr_status wr_folder_open(const char *path, const struct wr_file_how *how,
                              struct wr_folder **ret, int *ret_errno) WR_MUST_CHECK;
/* Accepts NULL. */
void wr_folder_close(struct wr_folder *f);
/* The next name but "." and "..". WR_EOF: there is none. WR_ESYS with *ret_errno. */
enum wr_status wr_folder_next(struct wr_folder *f, struct wr_folder_name *ret,
                              int *ret_errno) WR_MUST_CHECK;
/* Facts of a name in it; of a link that leads nowhere those of the link. WR_ESYS. */
enum wr_status wr_folder_look(struct wr_folder *f, const char *name, struct wr_file_facts *ret,
                              int *ret_errno) WR_MUST_CHECK;

#endif
