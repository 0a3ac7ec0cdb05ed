/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h: tables of open descriptors by name: logs and listening sockets, in the supervisor and in
 * the worker's control thread. A descriptor keeps its number as long as its entry lives (a reopened
 * log is put under the same number by dup3), so others may hold the number.
 *
 *   name                       no                  fd
 *   "/var/log/weir/error.log"  0                   5
 *   "0.0.0.0:80"               0, 1 ... (a thread)  6, 7
 *
 * refs counts generations that use the entry; only it is touched by other threads.
 */
#ifndef WR_MAIN_FILES_H
#define WR_MAIN_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "base/str.h"
#include "base/sync.h"

#define WR_FILES_BUCKETS 256

struct wr_file_swap;

struct wr_file_entry {
    struct wr_list _node, _same; /* of all, in order; of a bucket */
    struct wr_str name;          /* '\0' behind it */
    uint32_t no;
    int fd;
    bool is_new;    /* since the last commit */
    bool is_wanted; /* by the configuration that is being prepared */
    wr_atomic_u32 refs;
    struct wr_file_swap *_swap; /* waits for threads to write out their lines */
};

struct wr_files {
    struct wr_list _all;
    struct wr_list _by_name[WR_FILES_BUCKETS];
};

void wr_files_init(struct wr_files *t);
/* Closes all. */
void wr_files_fini(struct wr_files *t);
struct wr_file_entry *wr_files_find(struct wr_files *t, struct wr_str name, uint32_t no);
/* Takes the descriptor; new and wanted. The name is copied. */
struct wr_file_entry *wr_files_add(struct wr_files *t, struct wr_str name, uint32_t no, int fd);
/* Closes and frees. */
void wr_files_remove(struct wr_file_entry *e);
/*
 * The entry's number is about to mean what fd means: at once, or when all threads of this process
 * have written the access log lines that they hold, which belong to the file of before. Takes fd.
 * WR_ESYS.
 */
enum wr_status wr_files_replace(struct wr_file_entry *e, int fd) WR_MUST_CHECK;
/* Next entry behind e (NULL: the first), or NULL. */
struct wr_file_entry *wr_files_next(struct wr_files *t, struct wr_file_entry *e);

#endif
