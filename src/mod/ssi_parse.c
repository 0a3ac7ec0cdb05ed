/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssi_parse.c: see ssi_parse.h. The scanner knows values in quotes, so that "-->" may stand in one;
 * a quote counts only behind '=', so that a command with a stray one ends all the same.
 */
#include "mod/ssi_parse.h"

#include <string.h>

enum scan_state {
    SCAN_TEXT,
    SCAN_COMMAND,
    SCAN_SKIP /* of a command that is too long */
};

static const char marker[] = "<!--#";

#define MARKER_LEN (sizeof(marker) - 1)

void wr_ssi_scan_init(struct wr_ssi_scan *s, struct wr_arena *a, size_t max_command)
{
    *s = (struct wr_ssi_scan){.state = SCAN_TEXT};
    wr_strbuf_init_arena(&s->raw, a, max_command);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void begin_command(struct wr_ssi_scan *s)
{
    s->state = SCAN_COMMAND;
    s->marker = s->dashes = 0;
    s->quote = 0;
    s->is_escaped = s->is_value_next = false;
    wr_strbuf_reset(&s->raw);
}

/* At a '<' or within the marker. */
static enum wr_ssi_event scan_marker(struct wr_ssi_scan *s, const char *p, size_t n,
                                     size_t *ret_used, struct wr_str *ret_text)
{
    size_t i = 0;

    while (i < n && s->marker < MARKER_LEN && p[i] == marker[s->marker]) {
        s->marker++;
        i++;
    }
    *ret_used = i;
    if (s->marker == MARKER_LEN) {
        begin_command(s);
        return WR_SSI_MORE;
    }
    if (i == n) {
        return WR_SSI_MORE;
    }
    *ret_text = wr_str(marker, s->marker);
    s->marker = 0;
    return WR_SSI_TEXT;
}

static enum wr_ssi_event scan_text(struct wr_ssi_scan *s, const char *p, size_t n, size_t *ret_used,
                                   struct wr_str *ret_text)
{
    const char *lt = s->marker == 0 ? memchr(p, '<', n) : p;
    size_t len = lt ? (size_t)(lt - p) : n;

    if (len == 0) {
        return scan_marker(s, p, n, ret_used, ret_text);
    }
    *ret_used = len;
    *ret_text = wr_str(p, len);
    return WR_SSI_TEXT;
}

/* One byte of a command. True: it ends with this one. */
static bool step_command(struct wr_ssi_scan *s, char c)
{
    if (s->quote != 0) {
        if (s->is_escaped) {
            s->is_escaped = false;
        } else if (c == '\\') {
            s->is_escaped = true;
        } else if (c == s->quote) {
            s->quote = 0;
        }
        return false;
    }
    if (s->is_value_next && (c == '"' || c == '\'')) {
        s->quote = c;
    }
    s->is_value_next = c == '=' || (s->is_value_next && is_space(c));
    if (c == '>' && s->dashes >= 2) {
        return true;
    }
    s->dashes = (uint8_t)(c != '-' ? 0 : s->dashes < 2 ? s->dashes + 1 : 2);
    return false;
}

/* At the byte for which there is no room, wherever pieces end, the rest is skipped. */
static enum wr_ssi_event scan_command(struct wr_ssi_scan *s, const char *p, size_t n,
                                      size_t *ret_used)
{
    size_t room = WR_MIN(n, s->raw.max - s->raw.len);

    for (size_t i = 0; i < room; i++) {
        if (step_command(s, p[i])) {
            wr_strbuf_add(&s->raw, p, i);
            *ret_used = i + 1;
            s->state = SCAN_TEXT;
            if (s->raw.status != WR_OK || s->raw.len < 2) {
                return WR_SSI_TOO_LONG;
            }
            s->raw.len -= 2; /* the dashes */
            return WR_SSI_COMMAND;
        }
    }
    wr_strbuf_add(&s->raw, p, room);
    *ret_used = room;
    if (room < n || s->raw.status != WR_OK) {
        s->state = SCAN_SKIP;
    }
    return WR_SSI_MORE;
}

static enum wr_ssi_event scan_skip(struct wr_ssi_scan *s, const char *p, size_t n, size_t *ret_used)
{
    for (size_t i = 0; i < n; i++) {
        bool is_end = p[i] == '>' && s->dashes >= 2;

        s->dashes = (uint8_t)(p[i] != '-' ? 0 : s->dashes < 2 ? s->dashes + 1 : 2);
        if (is_end) {
            *ret_used = i + 1;
            s->state = SCAN_TEXT;
            s->marker = 0;
            return WR_SSI_TOO_LONG;
        }
    }
    *ret_used = n;
    return WR_SSI_MORE;
}

enum wr_ssi_event wr_ssi_scan(struct wr_ssi_scan *s, const char *p, size_t n, size_t *ret_used,
                              struct wr_str *ret_text)
{
    size_t at = 0;

    while (at < n) {
        enum wr_ssi_event e = WR_SSI_MORE;
        size_t used = 0;

        switch ((enum scan_state)s->state) {
        case SCAN_TEXT:
            e = scan_text(s, p + at, n - at, &used, ret_text);
            break;
        case SCAN_COMMAND:
            e = scan_command(s, p + at, n - at, &used);
            break;
        case SCAN_SKIP:
            e = scan_skip(s, p + at, n - at, &used);
            break;
        }
        at += used;
        if (e != WR_SSI_MORE) {
            *ret_used = at;
            return e;
        }
    }
    *ret_used = n;
    return WR_SSI_MORE;
}

struct wr_str wr_ssi_scan_end(const struct wr_ssi_scan *s)
{
    return s->state == SCAN_TEXT ? wr_str(marker, s->marker) : WR_STR_NULL;
}

bool wr_ssi_scan_is_open(const struct wr_ssi_scan *s)
{
    return s->state != SCAN_TEXT;
}

/* ---- one command ----------------------------------------------------------------------------- */

struct reader {
    char *p;
    size_t n, at;
    struct wr_ssi_command *c;
    struct wr_strbuf *err;
};

static void skip_spaces(struct reader *r)
{
    while (r->at < r->n && is_space(r->p[r->at])) {
        r->at++;
    }
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static struct wr_str read_name(struct reader *r)
{
    size_t from = r->at;

    while (r->at < r->n && is_name_char(r->p[r->at])) {
        r->at++;
    }
    return wr_str(r->p + from, r->at - from);
}

static enum wr_status complain(struct reader *r, const char *where, struct wr_str what)
{
    if (r->at >= r->n) {
        wr_strbuf_printf(r->err, "unexpected end %s \"%.*s\" in \"%.*s\" SSI command", where,
                         WR_STR_ARG(what), WR_STR_ARG(r->c->name));
    } else {
        wr_strbuf_printf(r->err, "unexpected \"%c\" symbol %s \"%.*s\" in \"%.*s\" SSI command",
                         r->p[r->at], where, WR_STR_ARG(what), WR_STR_ARG(r->c->name));
    }
    return WR_EPROTO;
}

/* Behind the opening quote; the text is moved over its own escapes. */
static enum wr_status read_value(struct reader *r, struct wr_ssi_param *to)
{
    char quote = r->p[r->at++], *out = r->p + r->at;
    size_t len = 0;

    while (r->at < r->n && r->p[r->at] != quote) {
        if (r->p[r->at] == '\\' && r->at + 1 < r->n &&
            (r->p[r->at + 1] == '"' || r->p[r->at + 1] == '\'' || r->p[r->at + 1] == '\\')) {
            r->at++;
        }
        out[len++] = r->p[r->at++];
    }
    to->value = wr_str(out, len);
    if (r->at >= r->n) {
        return complain(r, "in the value of", to->name);
    }
    r->at++;
    if (r->at < r->n && !is_space(r->p[r->at])) {
        return complain(r, "after the value of", to->name);
    }
    return WR_OK;
}

static enum wr_status read_param(struct reader *r, size_t value_max)
{
    struct wr_ssi_command *c = r->c;
    struct wr_ssi_param *to;
    enum wr_status st;

    if (c->cnt == WR_SSI_PARAMS_MAX) {
        wr_strbuf_printf(r->err, "too many \"%.*s\" command parameters", WR_STR_ARG(c->name));
        return WR_ELIMIT;
    }
    to = &c->params[c->cnt];
    to->name = read_name(r);
    if (to->name.len == 0) {
        return complain(r, "in the parameters of", c->name);
    }
    skip_spaces(r);
    if (r->at >= r->n || r->p[r->at] != '=') {
        return complain(r, "after", to->name);
    }
    r->at++;
    skip_spaces(r);
    if (r->at >= r->n || (r->p[r->at] != '"' && r->p[r->at] != '\'')) {
        return complain(r, "before the value of", to->name);
    }
    st = read_value(r, to);
    if (st == WR_OK && to->value.len > value_max) {
        wr_strbuf_printf(r->err,
                         "too long \"%.*s...\" value of \"%.*s\" parameter in \"%.*s\" SSI "
                         "command",
                         (int)WR_MIN(to->value.len, (size_t)64), to->value.ptr,
                         WR_STR_ARG(to->name), WR_STR_ARG(c->name));
        return WR_ELIMIT;
    }
    c->cnt += st == WR_OK ? 1 : 0;
    return st;
}

enum wr_status wr_ssi_parse(char *raw, size_t n, size_t value_max, struct wr_ssi_command *ret,
                            struct wr_strbuf *err)
{
    struct reader r = {.p = raw, .n = n, .c = ret, .err = err};
    enum wr_status st = WR_OK;

    ret->cnt = 0;
    ret->name = WR_STR_NULL;
    skip_spaces(&r);
    ret->name = read_name(&r);
    if (ret->name.len == 0 || (r.at < n && !is_space(raw[r.at]))) {
        return complain(&r, "in the name of a command behind", ret->name);
    }
    skip_spaces(&r);
    while (st == WR_OK && r.at < n) {
        st = read_param(&r, value_max);
        skip_spaces(&r);
    }
    return st;
}
