/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.h: what is wrong with a configuration, collected in a list so that one run reports all of
 * it. A message has nginx's words without the place: "in FILE:LINE" is added when it is written.
 * Entries are sorted by the order in which their places were read, so the first [emerg] is the one
 * at which nginx would have stopped. Memory comes from an arena that the caller ends.
 * One thread at a time.
 */
#ifndef WR_CONF_DIAG_H
#define WR_CONF_DIAG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "conf/source.h"

#define WR_DIAG_MAX 100 /* entries kept; more are only counted */

/* A place in a file. file NULL: none. */
struct wr_pos {
    const struct wr_conf_file *file;
    uint32_t line, column; /* from 1; column 0: only the line is known */
    uint32_t span;         /* bytes to underline; 0 counts as 1 */
    uint64_t seq;          /* order of reading, across files; see struct wr_node */
};

struct wr_diag {
    enum wr_log_level level; /* EMERG, WARN or NOTICE */
    struct wr_str message;
    struct wr_str hint; /* empty: none; e.g. `did you mean "proxy_pass"?` */
    struct wr_pos pos;
    struct wr_diag *next;
};

struct wr_diags {
    struct wr_arena *_arena;
    struct wr_diag *head; /* in order of adding until wr_diags_sort */
    struct wr_diag **_tail;
    uint32_t cnt, emerg_cnt, warn_cnt; /* all, those dropped included */
    uint32_t dropped_cnt;              /* beyond WR_DIAG_MAX, or no memory */
};

/* Positions point at files of a generation: write the list out before that generation ends. */
void wr_diags_init(struct wr_diags *d, struct wr_arena *a);

/*
 * Adds an entry; pos NULL: no place. Never fails for the caller: without memory it is counted only.
 * The hint (copied) may be WR_STR_NULL.
 */
void wr_diag_add(struct wr_diags *d, enum wr_log_level level, const struct wr_pos *pos,
                 struct wr_str hint, const char *fmt, ...) WR_PRINTF(5, 6);
void wr_diag_vadd(struct wr_diags *d, enum wr_log_level level, const struct wr_pos *pos,
                  struct wr_str hint, const char *fmt, va_list ap) WR_PRINTF(5, 0);

/* Stable, by pos.seq; entries without a place go to the end. */
void wr_diags_sort(struct wr_diags *d);

/* Moves the places into the messages, so that the list outlives the files: excerpts are lost. */
void wr_diags_detach(struct wr_diags *d);

enum wr_diag_style {
    WR_DIAG_PLAIN,   /* weir: [emerg] MESSAGE in FILE:LINE */
    WR_DIAG_TERMINAL /* the same line, then the source line, a caret under it, and the hint */
};

/* One entry with its '\n'. Control characters are written as \xNN. */
void wr_diag_write(const struct wr_diag *e, enum wr_diag_style style, struct wr_strbuf *b);
/* The part behind "weir: [emerg] ": MESSAGE in FILE:LINE, without '\n'. For the error log. */
void wr_diag_write_text(const struct wr_diag *e, struct wr_strbuf *b);
/* All entries, and a line that says how many more there were. */
void wr_diags_write(const struct wr_diags *d, enum wr_diag_style style, struct wr_strbuf *b);

#endif
