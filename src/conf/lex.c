/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lex.c: the tokenizer of nginx.conf. One pass, no look-ahead beyond one byte behind a quote. Words
 * without a backslash are slices of the input; unescaping copies into the arena.
 */
#include "conf/lex.h"

#include <string.h>

#include "base/assert.h"

/* What a byte means inside a bare word. */
enum {
    BYTE_PLAIN,
    BYTE_BLANK,
    BYTE_END,   /* ; or { */
    BYTE_SLASH, /* backslash */
    BYTE_NUL,
    BYTE_NEWLINE /* a blank that also ends a line */
};

static const uint8_t byte_kinds[256] = {
    [0] = BYTE_NUL,        [' '] = BYTE_BLANK, ['\t'] = BYTE_BLANK, ['\r'] = BYTE_BLANK,
    ['\n'] = BYTE_NEWLINE, [';'] = BYTE_END,   ['{'] = BYTE_END,    ['\\'] = BYTE_SLASH,
};

void wr_lex_init(struct wr_lex *l, struct wr_arena *a, struct wr_str text)
{
    const char *p = text.len == 0 ? "" : text.ptr;

    *l = (struct wr_lex){
        ._base = p, ._cur = p, ._end = p + text.len, ._line_start = p, ._arena = a, .line = 1};
}

static uint32_t column_of(const struct wr_lex *l, const char *p)
{
    return (uint32_t)(p - l->_line_start) + 1;
}

static enum wr_status fail_at(struct wr_lex *l, uint32_t line, uint32_t column, struct wr_str err)
{
    l->err = err;
    l->err_line = line;
    l->err_column = column;
    return WR_ECONFIG;
}

static void skip_newline(struct wr_lex *l)
{
    l->_cur++;
    l->line++;
    l->_line_start = l->_cur;
}

/* To the first byte of a token; false at the end of the input. */
static bool skip_blanks(struct wr_lex *l)
{
    while (l->_cur < l->_end) {
        switch (*l->_cur) {
        case '\n':
            skip_newline(l);
            break;
        case ' ':
        case '\t':
        case '\r':
            l->_cur++;
            break;
        case '#': {
            const char *nl = memchr(l->_cur, '\n', (size_t)(l->_end - l->_cur));

            l->_cur = nl != NULL ? nl : l->_end;
            break;
        }
        default:
            return true;
        }
    }
    return false;
}

/* Copies raw without the backslashes that the grammar removes. */
static enum wr_status unescape(struct wr_lex *l, struct wr_str raw, struct wr_str *ret_s)
{
    char *out = wr_arena_bytes(l->_arena, raw.len);
    size_t n = 0;

    if (!out) {
        return WR_ENOMEM;
    }
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];

        if (c == '\\' && i + 1 < raw.len) {
            switch (raw.ptr[++i]) {
            case '"':
            case '\'':
            case '\\':
                c = raw.ptr[i];
                break;
            case 't':
                c = '\t';
                break;
            case 'r':
                c = '\r';
                break;
            case 'n':
                c = '\n';
                break;
            default:
                out[n++] = c;
                c = raw.ptr[i];
                break;
            }
        }
        out[n++] = c;
    }
    *ret_s = wr_str(out, n);
    return WR_OK;
}

static enum wr_status finish_word(struct wr_lex *l, struct wr_str raw, bool escaped,
                                  struct wr_token *t)
{
    t->kind = WR_TOKEN_WORD;
    if (escaped) {
        return unescape(l, raw, &t->text);
    }
    t->text = raw;
    return WR_OK;
}

static enum wr_status refuse_nul(struct wr_lex *l, const char *p)
{
    return fail_at(l, l->line, column_of(l, p), WR_STR("unexpected NUL byte"));
}

static enum wr_status too_long(struct wr_lex *l, const struct wr_token *t, struct wr_str raw)
{
    struct wr_str err;
    enum wr_status st;

    if (t->is_quoted) {
        st = wr_arena_printf(l->_arena, &err,
                             "too long parameter, probably missing terminating \"%c\" character",
                             raw.ptr[-1]);
    } else {
        st = wr_arena_printf(l->_arena, &err, "too long parameter \"%.10s...\" started", raw.ptr);
    }
    return st != WR_OK ? st : fail_at(l, t->line, t->column, err);
}

static enum wr_status read_bare(struct wr_lex *l, struct wr_token *t)
{
    const char *start = l->_cur, *p = start;
    bool escaped = false;

    for (; p < l->_end; p++) {
        uint8_t kind = byte_kinds[(unsigned char)*p];

        if (WR_LIKELY(kind == BYTE_PLAIN)) {
            continue;
        }
        if (kind == BYTE_NUL) {
            return refuse_nul(l, p);
        }
        if (kind == BYTE_SLASH) {
            escaped = true;
            if (p + 1 < l->_end && p[1] != '\0') {
                p++;
                if (*p == '\n') { /* only the count: the word goes on in the next line */
                    l->line++;
                    l->_line_start = p + 1;
                }
            }
            continue;
        }
        if (kind == BYTE_END && *p == '{' && p > start && p[-1] == '$') {
            continue;
        }
        break;
    }
    if ((size_t)(p - start) > WR_LEX_WORD_MAX) {
        return too_long(l, t, wr_str(start, (size_t)(p - start)));
    }
    l->_cur = p;
    t->span = (uint32_t)(p - start);
    return finish_word(l, wr_str(start, (size_t)(p - start)), escaped, t);
}

/* What may stand behind the closing quote. */
static bool can_follow_quote(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '{' || c == ')';
}

/* A quoted word whose end was found at p (the quote). */
static enum wr_status end_quoted(struct wr_lex *l, const char *start, const char *p, bool escaped,
                                 struct wr_token *t)
{
    struct wr_str raw = wr_str(start + 1, (size_t)(p - start) - 1);

    if (raw.len > WR_LEX_WORD_MAX) {
        return too_long(l, t, raw);
    }
    l->_cur = p + 1;
    if (l->_cur < l->_end && !can_follow_quote(*l->_cur)) {
        struct wr_str err;
        enum wr_status st;

        if (*l->_cur == '\0') {
            return refuse_nul(l, l->_cur);
        }
        st = wr_arena_printf(l->_arena, &err, "unexpected \"%c\"", *l->_cur);
        return st != WR_OK ? st : fail_at(l, l->line, column_of(l, l->_cur), err);
    }
    return finish_word(l, raw, escaped, t);
}

static enum wr_status read_quoted(struct wr_lex *l, struct wr_token *t)
{
    const char *start = l->_cur, *p = start + 1;
    char quote = *start;
    bool escaped = false;
    const char *line_end = NULL;

    t->is_quoted = true;
    for (; p < l->_end; p++) {
        if (*p == quote) {
            const char *stop = line_end != NULL ? line_end : p + 1;

            t->span = (uint32_t)(stop - start);
            return end_quoted(l, start, p, escaped, t);
        }
        if (*p == '\\') {
            escaped = true;
            if (p + 1 < l->_end) {
                p++;
            }
        }
        if (*p == '\n') {
            line_end = line_end != NULL ? line_end : p;
            l->line++;
            l->_line_start = p + 1;
        } else if (*p == '\0') {
            return refuse_nul(l, p);
        }
    }
    if ((size_t)(p - start) - 1 > WR_LEX_WORD_MAX) {
        return too_long(l, t, wr_str(start + 1, (size_t)(p - start) - 1));
    }
    l->_cur = p;
    l->open_quote_line = t->line;
    *t = (struct wr_token){
        .kind = WR_TOKEN_END, .line = l->line, .column = column_of(l, p), .span = 1};
    return WR_OK;
}

enum wr_status wr_lex_next(struct wr_lex *l, struct wr_token *ret_t)
{
    bool has_more = skip_blanks(l);
    struct wr_token t = {
        .kind = WR_TOKEN_END, .line = l->line, .column = column_of(l, l->_cur), .span = 1};
    enum wr_status st = WR_OK;

    if (!has_more) {
        *ret_t = t;
        return WR_OK;
    }
    switch (*l->_cur) {
    case ';':
        t.kind = WR_TOKEN_SEMI;
        l->_cur++;
        break;
    case '{':
        t.kind = WR_TOKEN_OPEN;
        l->_cur++;
        break;
    case '}':
        t.kind = WR_TOKEN_CLOSE;
        l->_cur++;
        break;
    case '"':
    case '\'':
        st = read_quoted(l, &t);
        break;
    default:
        st = read_bare(l, &t);
        break;
    }
    if (st == WR_OK) {
        *ret_t = t;
    }
    return st;
}
