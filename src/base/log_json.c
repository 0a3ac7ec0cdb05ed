/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_json.c: a record as a JSON object on one line:
 *
 *   {"time":"2026-11-21T10:00:00.123+00:00","level":"error","pid":4711,"tid":3,"connection":17,
 *    "message":"...","client":"...","server":"...", ... ,"truncated":true}
 *
 * Texts are cut by budgets, at a character, so that the object is whole and fits in a pipe's piece;
 * "truncated" says that something was left out. Bytes that are no UTF-8 are read as Latin-1.
 * Thread: any; nothing is allocated.
 */
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/log_int.h"

#define END         ",\"truncated\":true}\n"
#define MESSAGE_MAX 2048u /* escaped */
#define FIELD_MAX   1024u /* escaped */

/* One character of s, escaped; value: its bytes in s. */
static size_t add_char(struct wr_strbuf *b, struct wr_str s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    size_t n = c < 0x80 ? 1 : wr_codec_utf8_len(s);

    if (n == 0) {
        wr_strbuf_printf(b, "\\u%04x", c);
        return 1;
    }
    wr_codec_escape(b, wr_str_sub(s, 0, n), WR_ESCAPE_JSON);
    return n;
}

/* At most `most` bytes of it; false: it was cut. */
static bool add_text(struct wr_strbuf *b, struct wr_str s, size_t most)
{
    size_t from = b->len, at;

    while (s.len > 0) {
        at = b->len;
        s = wr_str_sub(s, add_char(b, s), s.len);
        if (b->status != WR_OK || b->len - from > most) {
            b->status = WR_OK;
            b->len = at;
            return false;
        }
    }
    return true;
}

void wr_log_json_field(struct wr_log_fields *f, const char *name, const struct wr_str *parts,
                       size_t cnt)
{
    struct wr_strbuf *b = f->b;
    size_t from = b->len, max = b->max, begin;
    bool is_whole = true;

    if (from == max) {
        f->is_cut = true;
        return;
    }
    b->max = max - 1; /* the quote behind */
    wr_strbuf_add_z(b, ",\"");
    (void)add_text(b, wr_str_z(name), FIELD_MAX);
    wr_strbuf_add_z(b, "\":\"");
    if (b->status != WR_OK) {
        *b = (struct wr_strbuf){
            .ptr = b->ptr, .len = from, .cap = b->cap, .max = max, .fixed = b->fixed};
        f->is_cut = true;
        return;
    }
    begin = b->len;
    for (size_t i = 0; i < cnt && is_whole; i++) {
        is_whole = add_text(b, parts[i], FIELD_MAX - (b->len - begin));
    }
    f->is_cut = f->is_cut || !is_whole;
    b->max = max;
    wr_strbuf_add_char(b, '"');
}

/* "2026-11-21T10:00:00+00:00" with thousandths. */
static void add_time(struct wr_strbuf *b)
{
    struct wr_str iso = wr_clock_iso8601();
    unsigned ms = (unsigned)(wr_clock_wall_ms() % 1000);

    wr_strbuf_add_str(b, wr_str_sub(iso, 0, WR_LOG_DATE_LEN));
    wr_strbuf_printf(b, ".%03u", ms);
    wr_strbuf_add_str(b, wr_str_sub(iso, WR_LOG_DATE_LEN, iso.len));
}

static void add_head(struct wr_strbuf *b, const struct wr_log_head *h)
{
    wr_strbuf_add_z(b, "{\"time\":\"");
    add_time(b);
    wr_strbuf_add_z(b, "\",\"level\":\"");
    wr_strbuf_add_z(b, wr_log_level_name(h->level));
    wr_strbuf_add_z(b, "\",\"pid\":");
    wr_strbuf_add_u64(b, h->pid);
    wr_strbuf_add_z(b, ",\"tid\":");
    wr_strbuf_add_u64(b, h->tid);
    if (h->conn_no != 0) {
        wr_strbuf_add_z(b, ",\"connection\":");
        wr_strbuf_add_u64(b, h->conn_no);
    }
}

void wr_log_json_write(struct wr_strbuf *b, const struct wr_log_head *h, struct wr_str text,
                       bool cut, const struct wr_log *log)
{
    struct wr_log_fields f = {.b = b, .form = WR_LOG_JSON, .is_cut = cut};
    size_t max = b->max;

    b->max = max - (sizeof(END) - 1);
    add_head(b, h);
    wr_strbuf_add_z(b, ",\"message\":\"");
    f.is_cut = !add_text(b, text, MESSAGE_MAX) || cut;
    wr_strbuf_add_char(b, '"');
    if (log != NULL && log->context != NULL) {
        log->context(log, &f);
    }
    b->max = max;
    wr_strbuf_add_z(b, f.is_cut ? END : "}\n");
}
