/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h: where the bytes of a configuration come from. conf/ never touches files: main/ gives a
 * source that reads the disk or a bundle, tests give texts in memory (below). A source is used by
 * one thread at a time, the one that builds a generation.
 *
 *   wr_conf_load --> tree.c --> source->glob("/etc/weir/conf.d/" "*.conf")   names
 *                           --> source->read("/etc/weir/conf.d/a.conf")      bytes, or call + errno
 */
#ifndef WR_CONF_SOURCE_H
#define WR_CONF_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

/* One file that took part in a configuration; lives in the generation's arena. */
struct wr_conf_file {
    struct wr_str path;                  /* absolute; '\0' behind it */
    struct wr_str bytes;                 /* whole content; '\0' behind it, not counted */
    const struct wr_conf_file *included; /* the file with the include; NULL for the main file */
    uint32_t included_line;              /* where in it; 0 for the main file */
    uint32_t depth;                      /* of includes, 0 for the main file */
    uint32_t no;                         /* 0, 1, ... in order of first use */
    bool is_cmdline;                     /* the text of -g: messages say "in command line" */
    struct wr_conf_file *next;           /* in the list of the generation */
    struct wr_conf_file *_same;          /* in a bucket of the tree's table of paths */
};

/* Why a source could not give a file. */
struct wr_conf_fault {
    const char
        *call; /* "open", "read", "fstat" ...: constant text, for `open() "x" failed (...)` */
    int err;   /* errno; 0 with WR_ELIMIT */
};

struct wr_conf_source {
    /*
     * The whole file into *ret_bytes (memory from a, a '\0' behind it that len does not count).
     * WR_ESYS: *ret_fault says why. WR_ELIMIT: larger than max. WR_ENOMEM: a is full.
     * path is absolute and has a '\0' behind it.
     */
    enum wr_status (*read)(const struct wr_conf_source *s, struct wr_arena *a, struct wr_str path,
                           size_t max, struct wr_str *ret_bytes, struct wr_conf_fault *ret_fault);
    /*
     * Names that match a glob(7) pattern, in any order (the caller sorts them by bytes); none is
     * WR_OK with *ret_cnt 0. Each has a '\0' behind it. WR_ESYS: errno in ret_fault.
     */
    enum wr_status (*glob)(const struct wr_conf_source *s, struct wr_arena *a,
                           struct wr_str pattern, struct wr_str **ret_paths, size_t *ret_cnt,
                           struct wr_conf_fault *ret_fault);
    /*
     * Addresses of a host name (port 0), in the order of the resolver, at least one. WR_EOF: there
     * are none, or the look-up failed. NULL: names cannot be resolved here. Asked once per name and
     * build.
     */
    enum wr_status (*resolve)(const struct wr_conf_source *s, struct wr_arena *a,
                              struct wr_str host, struct wr_addr **ret_addrs, size_t *ret_cnt);
    void *data; /* of the source */
};

/* A source of texts in memory; for tests, fuzzing and configurations that are built in. */
struct wr_conf_text {
    const char *path; /* absolute */
    const char *text; /* NULL: exists but read fails with err */
    size_t len;       /* 0: strlen(text) */
    int err;          /* with text NULL */
};

struct wr_conf_texts {
    const struct wr_conf_text *at;
    size_t cnt;
};

/* *texts must live as long as the source. A path that is not there is ENOENT. */
void wr_conf_source_texts(struct wr_conf_source *s, const struct wr_conf_texts *texts);

/* Does the text have a character that makes it a glob pattern: * ? [ */
bool wr_conf_is_glob(struct wr_str path);

#endif
