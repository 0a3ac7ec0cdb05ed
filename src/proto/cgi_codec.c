/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgi_codec.c: line by line; each whole line is looked at once. Nothing is kept but what the
 * message has, and the place of the next line. Any thread.
 */
#include "proto/cgi_codec.h"

#include <string.h>

#include "base/chars.h"
#include "base/num.h"
#include "base/strbuf.h"

#define WHY_MAX   256 /* bytes of a line that a log line shows */
#define SHOWN_MAX 64

void wr_cgi_head_init(struct wr_cgi_head *c)
{
    *c = (struct wr_cgi_head){.length = WR_LENGTH_UNKNOWN};
}

static enum wr_cgi_result say_bad(struct wr_cgi_head *c, const char *bad, struct wr_str where)
{
    c->bad = bad;
    c->where = where;
    return WR_CGI_BAD;
}

/* "404 Not Found", "404": three digits, then nothing or a blank. */
static bool take_status(struct wr_str v, struct wr_msg *m)
{
    uint64_t code;

    if (v.len < 3 || (v.len > 3 && v.ptr[3] != ' ') ||
        wr_num_parse_u64(wr_str_sub(v, 0, 3), 999, &code) != WR_OK || code < 100) {
        return false;
    }
    m->status = (uint16_t)code;
    m->reason = wr_str_trim(wr_str_sub(v, 3, v.len));
    return true;
}

static bool is_text(struct wr_str s)
{
    size_t i;

    for (i = 0; i < s.len && wr_char_is((unsigned char)s.ptr[i], WR_CH_VALUE); i++) {
    }
    return i == s.len;
}

/* "HTTP/1.1 404 Not Found" */
static enum wr_cgi_result parse_status_line(struct wr_cgi_head *c, struct wr_str line,
                                            struct wr_msg *m)
{
    struct wr_str rest = wr_str_sub(line, wr_str_find(line, ' ') + 1, line.len);

    if (!is_text(line) || !take_status(rest, m)) {
        return say_bad(c, "status line", line);
    }
    c->has_status = true;
    return WR_CGI_DONE;
}

static enum wr_cgi_result take_length(struct wr_cgi_head *c, struct wr_str line,
                                      struct wr_str value)
{
    uint64_t v;

    if (wr_num_parse_u64(value, INT64_MAX, &v) != WR_OK ||
        (c->length != WR_LENGTH_UNKNOWN && c->length != v)) {
        return say_bad(c, "header", line);
    }
    c->length = v;
    return WR_CGI_DONE;
}

static enum wr_cgi_result parse_field(struct wr_cgi_head *c, struct wr_str line, struct wr_msg *m)
{
    size_t n = 0;
    struct wr_str name, value;
    enum wr_hdr_id id;
    enum wr_cgi_result res = WR_CGI_DONE;
    enum wr_status st;

    while (n < line.len && wr_char_is((unsigned char)line.ptr[n], WR_CH_TOKEN)) {
        n++;
    }
    name = wr_str_sub(line, 0, n);
    value = wr_str_trim(wr_str_sub(line, n + 1, line.len));
    if (n == 0 || n == line.len || line.ptr[n] != ':' || !is_text(value)) {
        return say_bad(c, "header", line);
    }
    id = wr_hdr_id_of(name);
    if (id == WR_HDR_CONTENT_LENGTH) {
        res = take_length(c, line, value);
    } else if (wr_str_ieq(name, WR_STR("Status"))) {
        if (!take_status(value, m)) {
            c->is_value = true;
            return say_bad(c, "status", value);
        }
        c->has_status = true;
    }
    if (res != WR_CGI_DONE) {
        return res;
    }
    st = wr_hdrs_push(&m->hdrs, name, value, id);
    if (st == WR_ELIMIT) {
        return say_bad(c, "number of header lines", WR_STR_NULL);
    }
    return st == WR_OK ? WR_CGI_DONE : WR_CGI_NOMEM;
}

static enum wr_cgi_result parse_line(struct wr_cgi_head *c, struct wr_str line, struct wr_msg *m)
{
    bool is_first = c->off == 0;

    if (is_first && wr_str_has_prefix(line, WR_STR("HTTP/"))) {
        return parse_status_line(c, line, m);
    }
    return parse_field(c, line, m);
}

static void end_head(struct wr_cgi_head *c, struct wr_msg *m)
{
    if (c->has_status) {
        return;
    }
    m->status = wr_hdrs_has(&m->hdrs, WR_HDR_LOCATION) ? 302 : 200;
    m->reason = wr_status_reason(m->status);
}

enum wr_cgi_result wr_cgi_head_parse(struct wr_cgi_head *c, const char *p, size_t n,
                                     struct wr_msg *m, size_t *ret_used)
{
    enum wr_cgi_result res;
    struct wr_str line;
    const char *lf;

    while ((lf = memchr(p + c->off, '\n', n - c->off)) != NULL) {
        line = wr_str(p + c->off, (size_t)(lf - p) - c->off);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            line.len--;
        }
        if (line.len == 0) {
            end_head(c, m);
            *ret_used = (size_t)(lf - p) + 1;
            return WR_CGI_DONE;
        }
        res = parse_line(c, line, m);
        if (res != WR_CGI_DONE) {
            return res;
        }
        c->off = (size_t)(lf - p) + 1;
    }
    return WR_CGI_MORE;
}

struct wr_str wr_cgi_head_why(const struct wr_cgi_head *c, struct wr_arena *a)
{
    static const char digits[] = "0123456789abcdef";
    struct wr_strbuf b;
    size_t i;

    wr_strbuf_init_arena(&b, a, WHY_MAX + 4 * SHOWN_MAX);
    wr_strbuf_add_z(&b, "upstream sent invalid ");
    wr_strbuf_add_z(&b, c->bad == NULL ? "header" : c->bad);
    if (c->where.len > 0) {
        wr_strbuf_add_z(&b, c->is_value ? " \"" : ": \"");
        for (i = 0; i < c->where.len && i < SHOWN_MAX; i++) {
            unsigned char ch = (unsigned char)c->where.ptr[i];

            if (ch >= ' ' && ch < 0x7f) {
                wr_strbuf_add_char(&b, (char)ch);
            } else {
                wr_strbuf_add_z(&b, "\\x");
                wr_strbuf_add_char(&b, digits[ch >> 4]);
                wr_strbuf_add_char(&b, digits[ch & 15]);
            }
        }
        wr_strbuf_add_z(&b, i < c->where.len ? "...\"" : "\"");
    }
    return b.status == WR_OK ? wr_strbuf_str(&b) : WR_STR("upstream sent invalid header");
}
