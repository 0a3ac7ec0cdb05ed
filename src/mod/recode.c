/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recode.c: see recode.h. UTF-8 is read as RFC 3629 has it: overlong forms, surrogates and what is
 * beyond U+10FFFF are malformed; each maximal malformed part becomes one '?'.
 */
#include "mod/recode.h"

#include <stdio.h>
#include <string.h>

#define MISSING '?'

/* ---- tables ----------------------------------------------------------------------------------
 */

enum wr_status wr_recode_init(struct wr_arena *a, bool is_utf8, struct wr_recode *to,
                              struct wr_recode *from)
{
    to->kind = is_utf8 ? WR_RECODE_TO_UTF8 : WR_RECODE_BYTES;
    from->kind = is_utf8 ? WR_RECODE_FROM_UTF8 : WR_RECODE_BYTES;
    for (unsigned c = 0; c < 256; c++) {
        to->bytes[c] = from->bytes[c] = (uint8_t)(c < 0x80 ? c : MISSING);
    }
    if (!is_utf8) {
        return WR_OK;
    }
    to->chars = wr_arena_zalloc(a, 256 * sizeof(*to->chars));
    from->pages = wr_arena_zalloc(a, WR_RECODE_PAGES * sizeof(*from->pages));
    if (!to->chars || !from->pages) {
        return WR_ENOMEM;
    }
    for (unsigned c = 0; c < 256; c++) {
        to->chars[c].len = 1;
        to->chars[c].bytes[0] = (char)to->bytes[c];
    }
    return WR_OK;
}

enum wr_status wr_recode_add_byte(struct wr_recode *to, struct wr_recode *from, uint8_t src,
                                  uint8_t dst)
{
    to->bytes[src] = dst;
    from->bytes[dst] = src;
    return WR_OK;
}

/* Bytes of the sequence that this byte begins; 0: none begins with it. */
static unsigned length_of(unsigned char c)
{
    if (c < 0x80) {
        return 1;
    }
    if (c < 0xc2 || c > 0xf4) {
        return 0;
    }
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* May c be byte number i of a sequence that begins with `first`? */
static bool may_follow(unsigned char first, unsigned i, unsigned char c)
{
    unsigned char low = 0x80, high = 0xbf;

    if (i == 1) {
        low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    }
    return c >= low && c <= high;
}

static uint32_t code_of(const char *p, unsigned len)
{
    uint32_t v = (unsigned char)p[0];

    if (len > 1) {
        v &= 0xffu >> (len + 1);
    }
    for (unsigned i = 1; i < len; i++) {
        v = v << 6 | ((unsigned char)p[i] & 0x3f);
    }
    return v;
}

static bool is_one_char(struct wr_str s)
{
    if (s.len == 0 || s.len > 4 || length_of((unsigned char)s.ptr[0]) != s.len) {
        return false;
    }
    for (unsigned i = 1; i < s.len; i++) {
        if (!may_follow((unsigned char)s.ptr[0], i, (unsigned char)s.ptr[i])) {
            return false;
        }
    }
    return true;
}

enum wr_status wr_recode_add_char(struct wr_arena *a, struct wr_recode *to, struct wr_recode *from,
                                  uint8_t src, struct wr_str dst)
{
    uint8_t **page;
    uint32_t code;

    if (!is_one_char(dst)) {
        return WR_EPROTO;
    }
    code = code_of(dst.ptr, (unsigned)dst.len);
    page = &from->pages[code >> 8];
    if (!*page) {
        *page = wr_arena_zalloc(a, 256);
        if (!*page) {
            return WR_ENOMEM;
        }
    }
    (*page)[code & 0xff] = src;
    to->chars[src].len = (uint8_t)dst.len;
    memcpy(to->chars[src].bytes, dst.ptr, dst.len);
    return WR_OK;
}

/* ---- conversion ------------------------------------------------------------------------------
 */

static size_t run_bytes(const struct wr_recode *t, const char *in, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)t->bytes[(unsigned char)in[i]];
    }
    return n;
}

static size_t put_char(const struct wr_recode *t, uint32_t code, char *out)
{
    const uint8_t *page = t->pages[code >> 8];

    if (page && page[code & 0xff] != 0) {
        out[0] = (char)page[code & 0xff];
        return 1;
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    return (size_t)snprintf(out, WR_RECODE_OUT_MAX, "&#%u;", code);
}

/* One byte of UTF-8; *ret_is_taken false: it begins something new and comes again. */
static size_t step_utf8(const struct wr_recode *t, struct wr_recode_state *s, unsigned char c,
                        char *out, bool *ret_is_taken)
{
    *ret_is_taken = true;
    if (s->len == 0) {
        unsigned need = length_of(c);

        if (need <= 1) {
            if (need == 0) {
                out[0] = MISSING;
                return 1;
            }
            return put_char(t, c, out);
        }
        s->need = (uint8_t)need;
    } else if (!may_follow((unsigned char)s->bytes[0], s->len, c)) {
        *ret_is_taken = false;
        s->len = 0;
        out[0] = MISSING;
        return 1;
    }
    s->bytes[s->len++] = (char)c;
    if (s->len < s->need) {
        return 0;
    }
    s->len = 0;
    return put_char(t, code_of(s->bytes, s->need), out);
}

size_t wr_recode_run(const struct wr_recode *t, struct wr_recode_state *s, struct wr_str in,
                     char *out, size_t room, size_t *ret_used)
{
    size_t at = 0, used = 0;

    if (t->kind == WR_RECODE_BYTES) {
        *ret_used = WR_MIN(in.len, room);
        return run_bytes(t, in.ptr, *ret_used, out);
    }
    while (used < in.len && room - at >= WR_RECODE_OUT_MAX) {
        unsigned char c = (unsigned char)in.ptr[used];
        bool is_taken = true;

        if (t->kind == WR_RECODE_TO_UTF8) {
            const struct wr_utf8_char *u = &t->chars[c];

            memcpy(out + at, u->bytes, sizeof(u->bytes));
            at += u->len;
        } else {
            at += step_utf8(t, s, c, out + at, &is_taken);
        }
        used += is_taken ? 1 : 0;
    }
    *ret_used = used;
    return at;
}

size_t wr_recode_end(struct wr_recode_state *s, char *out)
{
    if (s->len == 0) {
        return 0;
    }
    s->len = 0;
    out[0] = MISSING;
    return 1;
}
