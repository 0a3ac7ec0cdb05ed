/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h: refcounted open files, for file slices in pipes, static files and temporary files. One
 * thread; but what blocks may be done by any: wr_file_find gives plain facts, of which the thread
 * that uses the file makes a struct wr_file.
 */
#ifndef WR_IO_FILE_H
#define WR_IO_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

struct wr_file {
    uint32_t magic;
    uint32_t refs;
    int fd;
    uint64_t size; /* at open, or written so far */
    int64_t mtime; /* seconds */
    uint64_t ino, dev;
    bool is_dir, is_regular;
    bool is_direct; /* O_DIRECT: reads need aligned memory and offsets */
};

enum wr_symlinks {
    WR_SYMLINKS_FOLLOW,
    WR_SYMLINKS_REFUSE,
    WR_SYMLINKS_SAME_OWNER /* followed where the link and what it leads to have one owner */
};

/* What is done to a name. */
struct wr_file_how {
    bool want_fd;        /* open for reading; else only look */
    bool may_wait;       /* the thread may: a lease of another process is waited for */
    uint8_t symlinks;    /* enum wr_symlinks */
    uint32_t from_len;   /* links in so many first bytes of the name are fine; ends before a '/' */
    uint64_t direct_min; /* regular files of at least this size are read with O_DIRECT */
    uint64_t ahead_min;  /* regular files larger than this are read ahead; 0: as the system likes */
};

struct wr_file_facts {
    int fd; /* -1: it was only looked at */
    uint64_t size;
    int64_t mtime;
    uint64_t ino, dev;
    bool is_dir, is_regular, is_executable, is_direct;
};

/* Any thread. path is zero-terminated. WR_ESYS with *ret_errno; ELOOP: a link that is refused. */
enum wr_status wr_file_find(const char *path, const struct wr_file_how *how,
                            struct wr_file_facts *ret, int *ret_errno) WR_MUST_CHECK;
/* Takes the descriptor in every case. WR_ENOMEM. */
enum wr_status wr_file_of_facts(const struct wr_file_facts *facts,
                                struct wr_file **ret) WR_MUST_CHECK;
/* Any thread: the descriptor of facts that nobody made a file of. */
void wr_file_facts_drop(struct wr_file_facts *facts);

/* O_RDONLY|O_NONBLOCK|O_CLOEXEC and fstat. WR_ESYS with *ret_errno, WR_ENOMEM. path is
 * zero-terminated. */
enum wr_status wr_file_open(const char *path, struct wr_file **ret, int *ret_errno) WR_MUST_CHECK;

/* Is there anything of that name, which may be unreadable, and is it a folder? WR_ESYS with
 * *ret_errno. */
enum wr_status wr_file_look(const char *path, bool *ret_is_dir, int *ret_errno) WR_MUST_CHECK;

enum wr_file_traits {
    WR_FILE_REGULAR = 1,
    WR_FILE_DIR = 2,
    WR_FILE_EXECUTABLE = 4 /* by its owner; of folders: may be entered */
};

/* What is of that name: enum wr_file_traits or-ed. WR_ESYS with *ret_errno. */
enum wr_status wr_file_traits(const char *path, unsigned *ret, int *ret_errno) WR_MUST_CHECK;

/*
 * A new file for reading and writing under dir, mode 0600, unlinked at once unless `keep_name`; its
 * name ("0000000017" as nginx counts) is written to ret_name (>= 512 bytes) when not NULL.
 * WR_ESYS with *ret_errno, WR_ENOMEM. levels: up to three digits of sub-folders as in
 * client_body_temp_path ({1,2,0}); folders are made.
 */
struct wr_temp_path {
    struct wr_str dir; /* zero-terminated behind len */
    uint8_t levels[3];
};

enum wr_temp_flags {
    WR_TEMP_UNLINK = 0,
    WR_TEMP_KEEP = 1
};
enum wr_status wr_file_temp(const struct wr_temp_path *where, enum wr_temp_flags how,
                            char *ret_name, struct wr_file **ret, int *ret_errno) WR_MUST_CHECK;
struct wr_file *wr_file_ref(struct wr_file *f);
/* Accepts NULL; closes at 0. */
void wr_file_unref(struct wr_file *f);
/* pread/pwrite in full or an error; a read comes short at the end of the file, WR_EOF when it
 * starts there. */
enum wr_status wr_file_read(struct wr_file *f, uint64_t off, void *buf, size_t n,
                            size_t *ret_n) WR_MUST_CHECK;
enum wr_status wr_file_write(struct wr_file *f, uint64_t off, const void *buf, size_t n,
                             int *ret_errno) WR_MUST_CHECK;

/* Tells a file from another one, and from itself before it was written to. */
struct wr_file_mark {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
};

/* WR_ESYS with *ret_errno. */
enum wr_status wr_file_mark(const char *path, struct wr_file_mark *ret,
                            int *ret_errno) WR_MUST_CHECK;
/*
 * All of a small file, a '\0' behind it, as run-time memory that is the caller's (wr_mem_free), and
 * its mark of before it was read. WR_ELIMIT: more than max bytes. WR_ESYS with *ret_errno,
 * WR_ENOMEM.
 */
enum wr_status wr_file_read_all(const char *path, size_t max, struct wr_file_mark *ret_mark,
                                char **ret, size_t *ret_len, int *ret_errno) WR_MUST_CHECK;

/* To no bytes. What was sent by sendfile keeps its pages. WR_ESYS. */
enum wr_status wr_file_truncate(struct wr_file *f) WR_MUST_CHECK;

#endif
