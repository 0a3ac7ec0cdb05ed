/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h: the error log. A record goes to a list of sinks (file descriptors with a level); format
 *   2026/11/21 10:00:00 [error] 4711#3: *17 text, client: ..., server: ...
 * pid#thread, *N is the connection. Text from outside is escaped by the writer of the record
 * (WR_ESCAPE_ERRLOG is applied to the whole line by the log). One write(2) a record, at most 2048
 * bytes. The same format string more than 100 times within a second at one thread is rate limited
 * ("... N more").
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

struct wr_log_sink {
    int fd;
    enum wr_log_level level; /* most verbose that is written */
    const struct wr_log_sink *next;
};

/* What a log line belongs to; lives in a connection or request, or on the stack. */
struct wr_log {
    const struct wr_log_sink *sinks; /* NULL: the process's */
    uint64_t conn_no;                /* 0: none */
    /* Appends ", client: ..., server: ..." for this object; may be NULL. */
    void (*context)(const struct wr_log *log, struct wr_strbuf *b);
    void *data;
};

/* Sinks of lines without an object. Before the first call: stderr at notice. Not copied. */
void wr_log_set_default(const struct wr_log_sink *sinks);
const struct wr_log_sink *wr_log_default(void);
/* Is anything written at this level? For costly messages. log may be NULL. */
bool wr_log_is_on(const struct wr_log *log, enum wr_log_level level);

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
