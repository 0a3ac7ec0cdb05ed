/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open_cache.h: open_file_cache: what a thread knows of names, and the files that it keeps open.
 * One cache a thread and open_file_cache line: no lock is taken, an entry's file is the thread's
 * own. It ends with its generation. Owner thread only.
 */
#ifndef WR_HTTP_OPEN_CACHE_H
#define WR_HTTP_OPEN_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/str.h"
#include "http/files_conf.h"
#include "io/file.h"

struct wr_gen;
struct wr_module;
struct wr_open_cache;

struct wr_open_entry {
    struct wr_file *file;       /* one reference; NULL: none is kept */
    struct wr_file_facts facts; /* fd is -1 */
    int err;                    /* 0: it is there */
    uint8_t symlinks;           /* how it was found */
    uint32_t from_len;
    uint64_t checked_ms, used_ms;
    uint32_t uses; /* requests since it is here */
    uint32_t path_len;
    uint64_t hash;
    struct wr_list node; /* oldest use first */
    struct wr_open_entry *next;
    char path[];
};

/* Frees its caches when a thread lets a generation go. */
extern const struct wr_module wr_open_cache_module;

/* NULL: memory. */
struct wr_open_cache *wr_open_cache_of(const struct wr_gen *g,
                                       const struct wr_open_cache_conf *conf);
/* The entry, which counts as used now; NULL: none. Valid until the next call for this cache. */
struct wr_open_entry *wr_open_cache_find(struct wr_open_cache *c, struct wr_str path);
/* A new one, or the one that is there, made empty but for its uses. NULL: memory. */
struct wr_open_entry *wr_open_cache_renew(struct wr_open_cache *c, struct wr_str path);
/* Nothing is known of this name any more. */
void wr_open_cache_forget(struct wr_open_cache *c, struct wr_str path);
/* Entries of this thread in all; for tests. */
uint32_t wr_open_cache_cnt(void);

#endif
