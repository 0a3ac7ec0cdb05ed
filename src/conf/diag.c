/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.c: the list of diagnostics and its two styles. Text of a configuration is written with
 * control characters escaped, so that a file cannot drive the terminal.
 *
 *   weir: [emerg] unknown directive "proxy_pas" in /etc/weir/weir.conf:12
 *      12 |         proxy_pas http://backend;
 *         |         ^~~~~~~~~
 *         = did you mean "proxy_pass"?
 */
#include "conf/diag.h"

#include <string.h>

#define MESSAGE_MAX 4096
#define EXCERPT_MAX 160 /* bytes of a source line shown */

void wr_diags_init(struct wr_diags *d, struct wr_arena *a)
{
    *d = (struct wr_diags){._arena = a};
    d->_tail = &d->head;
}

static void count_level(struct wr_diags *d, enum wr_log_level level)
{
    d->cnt++;
    if (level <= WR_LOG_EMERG) {
        d->emerg_cnt++;
    } else if (level == WR_LOG_WARN) {
        d->warn_cnt++;
    }
}

void wr_diag_vadd(struct wr_diags *d, enum wr_log_level level, const struct wr_pos *pos,
                  struct wr_str hint, const char *fmt, va_list ap)
{
    char text[MESSAGE_MAX];
    struct wr_strbuf b;
    struct wr_diag *e;

    count_level(d, level);
    if (d->cnt - d->dropped_cnt > WR_DIAG_MAX) {
        d->dropped_cnt++;
        return;
    }
    wr_strbuf_init_fixed(&b, text, sizeof(text));
    wr_strbuf_vprintf(&b, fmt, ap);
    if (b.status != WR_OK) { /* an argument of many KiB: say what and leave out the text */
        wr_strbuf_reset(&b);
        wr_strbuf_add_z(&b, "too long a value, in the directive");
    }
    e = wr_arena_zalloc(d->_arena, sizeof(*e));
    if (!e || wr_arena_dup(d->_arena, wr_strbuf_str(&b), &e->message) != WR_OK ||
        (hint.len > 0 && wr_arena_dup(d->_arena, hint, &e->hint) != WR_OK)) {
        d->dropped_cnt++;
        return;
    }
    e->level = level;
    if (pos != NULL) {
        e->pos = *pos;
    }
    *d->_tail = e;
    d->_tail = &e->next;
}

void wr_diag_add(struct wr_diags *d, enum wr_log_level level, const struct wr_pos *pos,
                 struct wr_str hint, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    wr_diag_vadd(d, level, pos, hint, fmt, ap);
    va_end(ap);
}

static uint64_t order_of(const struct wr_diag *e)
{
    return e->pos.file == NULL ? UINT64_MAX : e->pos.seq;
}

/* Insertion sort: at most WR_DIAG_MAX entries, mostly in order. */
void wr_diags_sort(struct wr_diags *d)
{
    struct wr_diag *sorted = NULL, *e = d->head;

    while (e != NULL) {
        struct wr_diag *next = e->next, **at = &sorted;

        while (*at != NULL && order_of(*at) <= order_of(e)) {
            at = &(*at)->next;
        }
        e->next = *at;
        *at = e;
        e = next;
    }
    d->head = sorted;
    d->_tail = &d->head;
    while (*d->_tail != NULL) {
        d->_tail = &(*d->_tail)->next;
    }
}

static void add_escaped(struct wr_strbuf *b, struct wr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c < 0x20 || c == 0x7f) {
            wr_strbuf_printf(b, "\\x%02X", c);
        } else {
            wr_strbuf_add_char(b, (char)c);
        }
    }
}

void wr_diag_write_text(const struct wr_diag *e, struct wr_strbuf *b)
{
    add_escaped(b, e->message);
    if (e->pos.file == NULL) {
        return;
    }
    if (e->pos.file->is_cmdline) {
        wr_strbuf_add_z(b, " in command line");
        return;
    }
    wr_strbuf_add_z(b, " in ");
    add_escaped(b, e->pos.file->path);
    wr_strbuf_printf(b, ":%u", e->pos.line);
}

void wr_diags_detach(struct wr_diags *d)
{
    for (struct wr_diag *e = d->head; e != NULL; e = e->next) {
        char room[MESSAGE_MAX + 512];
        struct wr_strbuf b;
        struct wr_str text;

        wr_strbuf_init_fixed(&b, room, sizeof(room));
        wr_diag_write_text(e, &b);
        if (b.status == WR_OK && wr_arena_dup(d->_arena, wr_strbuf_str(&b), &text) == WR_OK) {
            e->message = text;
        }
        e->pos.file = NULL;
    }
}

/* Line number `line` of the text, without its end. */
static struct wr_str line_of(struct wr_str text, uint32_t line)
{
    const char *p = text.ptr, *end = p + text.len, *nl;

    for (uint32_t i = 1; i < line && p < end; i++) {
        nl = memchr(p, '\n', (size_t)(end - p));
        p = nl == NULL ? end : nl + 1;
    }
    if (p == end) {
        return WR_STR_NULL;
    }
    nl = memchr(p, '\n', (size_t)(end - p));
    if (nl == NULL) {
        nl = end;
    }
    if (nl > p && nl[-1] == '\r') {
        nl--;
    }
    return wr_str(p, (size_t)(nl - p));
}

/* Bytes of an excerpt: one column each, so that the caret stands right (but for wide characters).
 */
static void add_excerpt(struct wr_strbuf *b, struct wr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        wr_strbuf_add_char(b, c == '\t' ? ' ' : (c < 0x20 || c == 0x7f) ? '?' : (char)c);
    }
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static void write_caret(const struct wr_pos *pos, struct wr_str line, size_t start,
                        struct wr_strbuf *b)
{
    size_t col = pos->column - 1 - start;
    size_t span = pos->span == 0 ? 1 : pos->span;

    wr_strbuf_add_z(b, "       | ");
    for (size_t i = 0; i < col && i < line.len; i++) {
        if (!is_continuation(line.ptr[i])) {
            wr_strbuf_add_char(b, ' ');
        }
    }
    wr_strbuf_add_char(b, '^');
    for (size_t i = col + 1; i < col + span && i < line.len; i++) {
        if (!is_continuation(line.ptr[i])) {
            wr_strbuf_add_char(b, '~');
        }
    }
    wr_strbuf_add_char(b, '\n');
}

static void write_excerpt(const struct wr_pos *pos, struct wr_strbuf *b)
{
    struct wr_str line = line_of(pos->file->bytes, pos->line);
    size_t start = 0;

    if (line.len == 0) {
        return;
    }
    if (pos->column > EXCERPT_MAX / 2 && line.len > EXCERPT_MAX) {
        start = pos->column - EXCERPT_MAX / 2;
    }
    while (start > 0 && start < line.len && is_continuation(line.ptr[start])) {
        start--;
    }
    line = wr_str_sub(line, start, EXCERPT_MAX);
    wr_strbuf_printf(b, "%6u | ", pos->line);
    add_excerpt(b, line);
    wr_strbuf_add_char(b, '\n');
    if (pos->column > 0) {
        write_caret(pos, line, start, b);
    }
}

void wr_diag_write(const struct wr_diag *e, enum wr_diag_style style, struct wr_strbuf *b)
{
    wr_strbuf_printf(b, WR_LOG_PROGRAM ": [%s] ", wr_log_level_name(e->level));
    wr_diag_write_text(e, b);
    wr_strbuf_add_char(b, '\n');
    if (style == WR_DIAG_PLAIN) {
        return;
    }
    if (e->pos.file != NULL && e->pos.line > 0) {
        write_excerpt(&e->pos, b);
    }
    if (e->hint.len > 0) {
        wr_strbuf_add_z(b, "       = ");
        add_escaped(b, e->hint);
        wr_strbuf_add_char(b, '\n');
    }
}

void wr_diags_write(const struct wr_diags *d, enum wr_diag_style style, struct wr_strbuf *b)
{
    for (const struct wr_diag *e = d->head; e != NULL; e = e->next) {
        wr_diag_write(e, style, b);
    }
    if (d->dropped_cnt > 0) {
        wr_strbuf_printf(b, WR_LOG_PROGRAM ": [%s] and %u more\n",
                         d->emerg_cnt > 0 ? "emerg" : "warn", d->dropped_cnt);
    }
}
