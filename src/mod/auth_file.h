/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_file.h: files of users and hashes ("user:hash[:comment]" a line, '#' begins a comment), as
 * all threads see them. A file that the configuration names was read by who read that, so it may be
 * root's alone; the worker looks once a second whether it changed and reads it anew if it can. What
 * it may not open stays as it was at the reload. Names that have variables are known to the worker
 * only when they are asked for; it keeps the last WR_AUTH_FILES_MAX of them.
 */
#ifndef WR_MOD_AUTH_FILE_H
#define WR_MOD_AUTH_FILE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_AUTH_FILE_MAX   ((size_t)8 << 20) /* bytes of a file */
#define WR_AUTH_FILES_MAX  128u              /* files by names with variables */
#define WR_AUTH_RECHECK_MS 1000u

struct wr_auth_file;
struct wr_auth_files;
struct wr_auth_users;
struct wr_conf;
struct wr_log;

/*
 * The file of this absolute path, '\0' behind it, which the generation that is built uses from now
 * on, with `bytes` for its content (NULL: it could not be read). *ret NULL in a dry run. WR_ENOMEM.
 * Control thread.
 */
enum wr_status wr_auth_file_get(struct wr_conf *cf, struct wr_str path, const struct wr_str *bytes,
                                struct wr_auth_file **ret) WR_MUST_CHECK;
/* Likewise, all files by names with variables. */
enum wr_status wr_auth_files_get(struct wr_conf *cf, struct wr_auth_files **ret) WR_MUST_CHECK;

struct wr_auth_query {
    struct wr_str user;
    struct wr_arena *arena;   /* for the answer */
    const struct wr_log *log; /* of who asks; tells that a changed file could not be read */
};

/*
 * The hash of a user. WR_EOF: there is no such user. WR_ESYS: the file cannot be read, *ret_errno
 * says why. WR_ELIMIT: it is too large. WR_ENOMEM. Any thread.
 */
enum wr_status wr_auth_file_find(struct wr_auth_file *f, const struct wr_auth_query *q,
                                 struct wr_str *ret_hash, int *ret_errno) WR_MUST_CHECK;
/* The same by name, '\0' behind it. */
enum wr_status wr_auth_files_find(struct wr_auth_files *fs, struct wr_str path,
                                  const struct wr_auth_query *q, struct wr_str *ret_hash,
                                  int *ret_errno) WR_MUST_CHECK;

/* Users of a text, which is copied. NULL: no memory. */
struct wr_auth_users *wr_auth_users_new(struct wr_str text);
void wr_auth_users_free(struct wr_auth_users *u);
/* False: there is none. Of several lines the first holds. */
bool wr_auth_users_find(const struct wr_auth_users *u, struct wr_str user, struct wr_str *ret_hash);

#endif
