/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_cache.h: open_log_file_cache: descriptors of log files kept open by name. A cache each for
 * every four numbers that a configuration says; bounded by `max`, least recently used first out.
 * Thread: one at a time (the log writer's).
 */
#ifndef WR_OBSERVE_LOG_CACHE_H
#define WR_OBSERVE_LOG_CACHE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "base/str.h"
#include "io/append.h"
#include "observe/log_path.h"

struct wr_log_cache {
    struct wr_list _caches;
};

struct wr_log_cached;

/* An open file for one write. */
struct wr_log_use {
    uint64_t now_ms; /* the caller's: monotonic */
    uint32_t uses;   /* the caller's: lines that are about to be written */
    int fd;
    enum wr_append_kind kind;
    struct wr_log_cached *_entry; /* NULL: not kept */
};

void wr_log_cache_init(struct wr_log_cache *c);
void wr_log_cache_fini(struct wr_log_cache *c);
/*
 * The file of path ('\0' behind it), from the cache or opened, into u->fd and u->kind. WR_ESYS with
 * *ret_errno. Without memory it is opened and not kept.
 */
enum wr_status wr_log_cache_acquire(struct wr_log_cache *c, const struct wr_log_path_cache *conf,
                                    struct wr_str path, struct wr_log_use *u,
                                    int *ret_errno) WR_MUST_CHECK;
/* Closes it if it is not kept. */
void wr_log_cache_release(struct wr_log_use *u);
/* Closes what was not used for its `inactive` time; value: when the next is due, 0: none is kept.
 */
uint64_t wr_log_cache_expire(struct wr_log_cache *c, uint64_t now_ms);

#endif
