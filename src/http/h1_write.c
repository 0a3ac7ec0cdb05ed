/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_write.c: heads to bytes. One pass sums the length, one room is reserved, one pass checks and
 * copies; the buffer's length moves only when all of it was good. Names with an id are constant
 * text and not checked, nor are lines that the parser did (wr_hdr.is_line). Thread: the buffer's
 * owner.
 */
#include "http/h1_write.h"

#include "base/chars.h"
#include "base/scan.h"

static const struct wr_str colon_blank = WR_STR_INIT(": ");
static const struct wr_str crlf = WR_STR_INIT("\r\n");

/* Not inlined, so that the usual way saves no registers. */
static __attribute__((noinline)) bool has_no_line_end(struct wr_str s)
{
    return memchr(s.ptr, '\r', s.len) == NULL && memchr(s.ptr, '\n', s.len) == NULL &&
           memchr(s.ptr, '\0', s.len) == NULL;
}

bool wr_h1_value_is_safe(struct wr_str s)
{
    /* Nearly all values have no control byte at all. */
    return WR_LIKELY(wr_scan_control_or_tab(s.ptr, s.len) == s.len) || has_no_line_end(s);
}

/* A token: a blank or colon in it would make another field of it. */
bool wr_h1_name_is_safe(struct wr_str s)
{
    unsigned all = WR_CH_TOKEN;

    for (size_t i = 0; i < s.len; i++) {
        all &= wr_char_classes[(unsigned char)s.ptr[i]];
    }
    return s.len > 0 && all != 0;
}

static inline bool is_name_safe(const struct wr_hdr *f)
{
    return f->id != WR_HDR_OTHER || wr_h1_name_is_safe(f->name);
}

/* Most names and values are short: those in two pieces that overlap, without a call. */
static inline char *copy(char *out, struct wr_str s)
{
    size_t n = s.len;

    if (n > 16) {
        memcpy(out, s.ptr, n);
    } else if (n >= 8) {
        uint64_t a, b;
        memcpy(&a, s.ptr, sizeof(a));
        memcpy(&b, s.ptr + n - sizeof(b), sizeof(b));
        memcpy(out, &a, sizeof(a));
        memcpy(out + n - sizeof(b), &b, sizeof(b));
    } else if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, s.ptr, sizeof(a));
        memcpy(&b, s.ptr + n - sizeof(b), sizeof(b));
        memcpy(out, &a, sizeof(a));
        memcpy(out + n - sizeof(b), &b, sizeof(b));
    } else if (n > 0) {
        char first = s.ptr[0], mid = s.ptr[n / 2], last = s.ptr[n - 1];
        out[0] = first;
        out[n / 2] = mid;
        out[n - 1] = last;
    }
    return out + n;
}

/* Length of the fields and the empty line. */
static size_t sum_fields(const struct wr_hdrs *h)
{
    size_t total = crlf.len;

    for (const struct wr_hdr *f = h->at, *end = f + h->cnt; f < end; f++) {
        if (!f->is_removed) {
            total += f->name.len + f->value.len + colon_blank.len + crlf.len;
        }
    }
    return total;
}

/* Is it as the parser found it, name, colon, blank and value in one piece? */
static inline bool is_whole_line(const struct wr_hdr *f)
{
    return f->is_line && f->value.ptr == f->name.ptr + f->name.len + colon_blank.len;
}

/* Whole lines that stand one behind the other, from `f` on: the last of them. */
static inline const struct wr_hdr *find_run_end(const struct wr_hdr *f, const struct wr_hdr *end)
{
    for (; f + 1 < end; f++) {
        const char *gap = f->value.ptr + f->value.len;

        if (f[1].name.ptr != gap + crlf.len || gap[0] != '\r' || gap[1] != '\n' ||
            f[1].is_removed || !is_whole_line(f + 1)) {
            break;
        }
    }
    return f;
}

/* NULL when a field must not be written. */
static char *put_fields(char *out, const struct wr_hdrs *h)
{
    for (const struct wr_hdr *f = h->at, *end = f + h->cnt; f < end; f++) {
        if (f->is_removed) {
            continue;
        }
        if (is_whole_line(f)) {
            const char *from = f->name.ptr;
            f = find_run_end(f, end);
            out = copy(out, wr_str(from, (size_t)(f->value.ptr + f->value.len - from)));
        } else if (is_name_safe(f) && wr_h1_value_is_safe(f->value)) {
            out = copy(out, f->name);
            *out++ = ':';
            *out++ = ' ';
            out = copy(out, f->value);
        } else {
            return NULL;
        }
        *out++ = '\r';
        *out++ = '\n';
    }
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

/* The parts of the first line, then the fields. */
static enum wr_status write_head(struct wr_strbuf *b, const struct wr_str *parts, size_t part_cnt,
                                 const struct wr_hdrs *h)
{
    size_t total = sum_fields(h);

    for (size_t i = 0; i < part_cnt; i++) {
        total += parts[i].len;
    }
    char *start = wr_strbuf_reserve(b, total);
    if (start == NULL) {
        return b->status;
    }
    char *out = start;
    for (size_t i = 0; i < part_cnt; i++) {
        out = copy(out, parts[i]);
    }
    out = put_fields(out, h);
    if (out == NULL) {
        return WR_EPROTO;
    }
    wr_strbuf_commit(b, (size_t)(out - start));
    return WR_OK;
}

enum wr_status wr_h1_write_request(struct wr_strbuf *b, const struct wr_msg *m)
{
    bool is_known = m->method != WR_METHOD_OTHER; /* then it is not the text that counts */
    struct wr_str method = is_known ? wr_method_name(m->method) : m->method_name;

    if (method.len == 0 || m->target.len == 0 || (!is_known && !wr_h1_value_is_safe(method)) ||
        !wr_h1_value_is_safe(m->target)) {
        return WR_EPROTO;
    }
    const struct wr_str parts[] = {
        method,
        WR_STR_INIT(" "),
        m->target,
        m->version == 10 ? WR_STR(" HTTP/1.0\r\n") : WR_STR(" HTTP/1.1\r\n"),
    };
    return write_head(b, parts, WR_ARRAY_LEN(parts), &m->hdrs);
}

enum wr_status wr_h1_write_response(struct wr_strbuf *b, const struct wr_msg *m)
{
    struct wr_str reason = m->reason.len > 0 ? m->reason : wr_status_reason(m->status);
    char line[] = "HTTP/1.1 xxx ";

    if (m->status < 100 || m->status > 999 || !wr_h1_value_is_safe(reason)) {
        return WR_EPROTO;
    }
    line[9] = (char)('0' + m->status / 100);
    line[10] = (char)('0' + m->status / 10 % 10);
    line[11] = (char)('0' + m->status % 10);
    const struct wr_str parts[] = {
        {line, sizeof(line) - 1},
        reason,
        crlf,
    };
    return write_head(b, parts, WR_ARRAY_LEN(parts), &m->hdrs);
}

enum wr_status wr_h1_write_fields(struct wr_strbuf *b, const struct wr_hdrs *h)
{
    return write_head(b, NULL, 0, h);
}
