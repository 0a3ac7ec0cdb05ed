/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h: how the program was started, and the supervisor's dry run of a configuration: read from
 * the disk, check everything, and note what was read in a bundle. Supervisor's thread.
 */
#ifndef WR_MAIN_LOAD_H
#define WR_MAIN_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "conf/gen.h"

/* Constant from the start on; absolute paths with '\0' behind them. */
struct wr_start {
    struct wr_str conf;      /* path of the main file */
    struct wr_str prefix;    /* with '/' at its end */
    struct wr_str cmdline;   /* -g; may be empty */
    struct wr_str error_log; /* -e, or the built-in path; empty: stderr */
    bool has_error_log;      /* -e was given */
    bool has_no_pidfile;     /* weir proxy, weir demo */
    bool is_foreground;      /* whatever `daemon` says */
    struct wr_str overlay;   /* text of the main file that is on no disk; empty: none */
    char *const *argv;
    const char
        *program; /* path of the binary as the user named it, for an upgrade; NULL: unknown */
    int self_fd;  /* our own program, for exec; -1: unknown */
    void (*on_ready)(void *data); /* once, when the first worker serves; may be NULL */
    void *data;
};

struct wr_loaded {
    struct wr_gen *gen; /* one reference; no fixtures in it */
    int bundle_fd;      /* -1: none */
};

/*
 * The configuration as it is on the disk now; messages are said. no: number of the generation.
 * with_bundle: makes *ret->bundle_fd. WR_ECONFIG, WR_ENOMEM, WR_ESYS: said.
 */
enum wr_status wr_load_disk(const struct wr_start *s, uint64_t no, bool with_bundle,
                            struct wr_loaded *ret) WR_MUST_CHECK;
/* The same, on a thread that steps aside for those who serve; waits for it. */
enum wr_status wr_load_disk_aside(const struct wr_start *s, uint64_t no,
                                  struct wr_loaded *ret) WR_MUST_CHECK;

/*
 * Only the name of the pid file, whatever else is wrong with the configuration; memory from a (of
 * WR_PID_ARENA_MAX: the text of all files), a '\0' behind it. WR_ECONFIG: the files cannot be read
 * up to that line, which is said when asked for.
 */
#define WR_PID_ARENA_MAX ((size_t)64 << 20)

enum wr_pid_flags {
    WR_PID_SAY,
    WR_PID_QUIET
};

enum wr_status wr_load_pid(const struct wr_start *s, enum wr_pid_flags how, struct wr_arena *a,
                           struct wr_str *ret) WR_MUST_CHECK;
/* Idempotent. */
void wr_loaded_end(struct wr_loaded *l);

#endif
