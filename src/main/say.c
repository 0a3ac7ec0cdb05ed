/* SPDX-License-Identifier: Apache-2.0 */
/*
 * say.c: see say.h. These few flags are the only state of the program outside of structures; they
 * are set by the supervisor's thread and read by it.
 */
#include "main/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define SAY_MAX   4096
#define DIAGS_MAX ((size_t)1 << 20)

static bool to_stderr = true;                       /* supervisor's thread */
static bool to_log;                                 /* supervisor's thread */
static int say_fd = STDERR_FILENO;                  /* supervisor's thread */
static enum wr_log_level least_level = WR_LOG_WARN; /* supervisor's thread */

static struct wr_strbuf *tee;        /* supervisor's thread; NULL: none */
static enum wr_diag_style tee_style; /* supervisor's thread */

void wr_say_tee(struct wr_strbuf *b, enum wr_diag_style style)
{
    tee = b;
    tee_style = style;
}

void wr_say_to(int fd)
{
    if (say_fd > STDERR_FILENO) {
        (void)close(say_fd);
    }
    say_fd = fd;
}

void wr_say_least(enum wr_log_level least)
{
    least_level = least;
}

void wr_say_on_stderr(bool is_on)
{
    to_stderr = is_on;
}

void wr_say_on_log(bool is_on)
{
    to_log = is_on;
}

/* Both would be the same line twice when the error log is standard error. */
static bool want_log(void)
{
    return to_log && !(to_stderr && wr_log_default()->fd == STDERR_FILENO);
}

static struct wr_str write_line(enum wr_log_level level, int err, const char *text, char *room,
                                size_t size)
{
    int n;

    if (err != 0) {
        n = snprintf(room, size, WR_LOG_PROGRAM ": [%s] %s (%d: %s)\n", wr_log_level_name(level),
                     text, err, wr_log_errno_text(err));
    } else {
        n = snprintf(room, size, WR_LOG_PROGRAM ": [%s] %s\n", wr_log_level_name(level), text);
    }
    return wr_str(room, WR_MIN((size_t)(n < 0 ? 0 : n), size - 1));
}

void wr_say(enum wr_log_level level, int err, const char *fmt, ...)
{
    char text[SAY_MAX], room[SAY_MAX + 128];
    struct wr_str line;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a message that is too long is cut */
    va_end(ap);
    line = write_line(level, err, text, room, sizeof(room));
    if (to_stderr && level <= least_level) {
        wr_log_raw(say_fd, line.ptr, line.len);
    }
    if (tee != NULL && level <= WR_LOG_WARN) {
        wr_strbuf_add_str(tee, line);
    }
    if (want_log()) {
        wr_log_errno(NULL, level, err, "%s", text);
    }
}

void wr_say_diags(const struct wr_diags *d)
{
    enum wr_diag_style style = isatty(say_fd) == 1 ? WR_DIAG_TERMINAL : WR_DIAG_PLAIN;
    struct wr_strbuf b;

    wr_strbuf_init(&b, DIAGS_MAX);
    for (const struct wr_diag *e = d->head; e != NULL; e = e->next) {
        if (to_stderr && e->level <= least_level) {
            wr_strbuf_reset(&b);
            wr_diag_write(e, style, &b);
            wr_log_raw(say_fd, b.ptr, b.len);
        }
        if (tee != NULL && e->level <= WR_LOG_WARN) {
            wr_diag_write(e, tee_style, tee);
        }
        if (want_log()) {
            wr_strbuf_reset(&b);
            wr_diag_write_text(e, &b);
            wr_log(NULL, e->level, "%.*s", WR_STR_ARG(wr_strbuf_str(&b)));
        }
    }
    if (d->dropped_cnt > 0) {
        wr_say(d->emerg_cnt > 0 ? WR_LOG_EMERG : WR_LOG_WARN, 0, "and %u more", d->dropped_cnt);
    }
    wr_strbuf_fini(&b);
}
