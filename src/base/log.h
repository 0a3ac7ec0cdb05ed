/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h: the error log. A record goes to a list of sinks (each with a level); format
 *   2026/11/21 10:00:00 [error] 4711#3: *17 text, client: ..., server: ...
 * pid#thread, *N is the connection. Text from outside is escaped by the writer of the record
 * (WR_ESCAPE_ERRLOG is applied to the whole line by the log). One write(2) a record, at most 2048
 * bytes. A sink may have JSON instead (log_json.c): one object a line, at most 4096 bytes, valid
 * whatever is in it. The same format string more than 100 times within a second at one thread is
 * rate limited
 * ("... N more", counted in LOG_LIMITED), but for debug lines: who switches them on wants all. A
 * line that a sink cannot take (full disk, pipe, server) is dropped and counted in LOG_DROPPED; the
 * first line that fits again is followed by one that says how many were lost.
 * Thread: any. Sinks are immutable lists; the descriptor inside may be replaced (reopen) by dup3.
 */
#ifndef WR_BASE_LOG_H
#define WR_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "base/sync.h"

enum wr_log_level {
    WR_LOG_STDERR, /* always written */
    WR_LOG_EMERG,
    WR_LOG_ALERT,
    WR_LOG_CRIT,
    WR_LOG_ERROR,
    WR_LOG_WARN,
    WR_LOG_NOTICE,
    WR_LOG_INFO,
    WR_LOG_DEBUG
};

enum wr_log_form {
    WR_LOG_TEXT,
    WR_LOG_JSON
};

#define WR_LOG_FORMS 2

struct wr_log_sink;

/*
 * Takes one line (no line end) somewhere else than to a descriptor; never waits, does not log.
 * False: it was dropped, and counted.
 */
typedef bool (*wr_log_put_fn)(const struct wr_log_sink *s, enum wr_log_level level,
                              struct wr_str line);

struct wr_log_sink {
    int fd;
    enum wr_log_level level; /* most verbose that is written */
    const struct wr_log_sink *next;
    wr_log_put_fn put; /* NULL: lines are written to fd */
    const void *data;  /* of put; lives as long as the process */
    enum wr_log_form form;
};

/* The tail of a record that is being written: what it belongs to, field by field. */
struct wr_log_fields;

enum wr_log_quote {
    WR_LOG_BARE,
    WR_LOG_QUOTED
};

/* Adds `, name: value` or `, name: "value"`; in JSON always `,"name":"value"`. */
void wr_log_field(struct wr_log_fields *f, const char *name, struct wr_str value,
                  enum wr_log_quote how);
/* The same, quoted, with a value in pieces. */
void wr_log_field_parts(struct wr_log_fields *f, const char *name, const struct wr_str *parts,
                        size_t cnt);
/* Is it JSON, which may have fields that the text line has not? */
bool wr_log_fields_are_json(const struct wr_log_fields *f);

/* What a log line belongs to; lives in a connection or request, or on the stack. */
struct wr_log {
    const struct wr_log_sink *sinks; /* NULL: the process's */
    uint64_t conn_no;                /* 0: none */
    bool is_debug; /* debug_connection: all sinks get all lines, whatever their level */
    /* Adds client, server ... of this object but to debug lines; may be NULL. Once a format. */
    void (*context)(const struct wr_log *log, struct wr_log_fields *f);
    void *data;
};

/* Sinks of lines without an object. Before the first call: stderr at notice. Not copied. */
void wr_log_set_default(const struct wr_log_sink *sinks);
const struct wr_log_sink *wr_log_default(void);
/* Is anything written at this level? For costly messages. log may be NULL. */
bool wr_log_is_on(const struct wr_log *log, enum wr_log_level level);

/*
 * A configuration may ask for debug lines: from now on wr_log_debug looks closer. Until then it
 * costs a load. Thread: any; never taken back.
 */
void wr_log_want_debug(void);
/* Not for others: a variable so that the question can be inline where each request passes. */
extern wr_atomic_u32 wr_log_debug_wanted;

/* May anybody want debug lines? For what must be prepared before wr_log_debug. */
static inline bool wr_log_may_debug(void)
{
    return WR_UNLIKELY(wr_load_rlx(&wr_log_debug_wanted) != 0);
}

static inline bool wr_log_is_debug(const struct wr_log *log)
{
    return wr_log_may_debug() && wr_log_is_on(log, WR_LOG_DEBUG);
}

/* A debug line; its arguments are looked at only when somebody wants it. */
#define wr_log_debug(log, ...)                                                                     \
    do {                                                                                           \
        if (wr_log_is_debug(log)) {                                                                \
            wr_log(log, WR_LOG_DEBUG, __VA_ARGS__);                                                \
        }                                                                                          \
    } while (0)

void wr_log(const struct wr_log *log, enum wr_log_level level, const char *fmt, ...)
    WR_PRINTF(3, 4);
/* As wr_log, with " (111: Connection refused)" after the text when err != 0. */
void wr_log_errno(const struct wr_log *log, enum wr_log_level level, int err, const char *fmt, ...)
    WR_PRINTF(4, 5);
/* "emerg", "warn", ... */
enum wr_status wr_log_level_parse(struct wr_str s, enum wr_log_level *ret) WR_MUST_CHECK;
const char *wr_log_level_name(enum wr_log_level level);
/* Text of an errno, thread safe, constant. */
const char *wr_log_errno_text(int err);
/* n bytes of p to fd as it is, as far as write(2) takes it; async-signal-safe. */
void wr_log_raw(int fd, const char *p, size_t n);
/* Prefix of lines before the log is open, nginx's "nginx: [emerg] ...": ours is "weir: ". */
#define WR_LOG_PROGRAM "weir"

#endif
