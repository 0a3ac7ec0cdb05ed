/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet_codec.c: packets of uwsgi, netstrings of SCGI. Any thread.
 */
#include "proto/packet_codec.h"

#include <string.h>

#define UWSGI_HEADER 4
#define NETSTRING    8 /* room for the length and its colon: "1234567:" */

void wr_uwsgi_begin(struct wr_strbuf *b, size_t *ret_at)
{
    const uint8_t room[UWSGI_HEADER] = {0};

    *ret_at = b->len;
    wr_strbuf_add(b, room, sizeof(room));
}

static void write_u16(uint8_t *to, size_t n)
{
    to[0] = (uint8_t)n;
    to[1] = (uint8_t)(n >> 8);
}

enum wr_status wr_uwsgi_add(struct wr_strbuf *b, struct wr_str name, struct wr_str value)
{
    uint8_t len[2];

    if (name.len > UINT16_MAX || value.len > UINT16_MAX) {
        return WR_ELIMIT;
    }
    write_u16(len, name.len);
    wr_strbuf_add(b, len, sizeof(len));
    wr_strbuf_add_str(b, name);
    write_u16(len, value.len);
    wr_strbuf_add(b, len, sizeof(len));
    wr_strbuf_add_str(b, value);
    return b->status;
}

enum wr_status wr_uwsgi_end(struct wr_strbuf *b, size_t at, unsigned modifier1, unsigned modifier2,
                            size_t *ret_len)
{
    uint8_t h[UWSGI_HEADER] = {(uint8_t)modifier1, 0, 0, (uint8_t)modifier2};

    if (b->status != WR_OK) {
        return b->status;
    }
    *ret_len = b->len - at - UWSGI_HEADER;
    if (*ret_len > UINT16_MAX) {
        return WR_ELIMIT;
    }
    write_u16(h + 1, *ret_len);
    memcpy(b->ptr + at, h, sizeof(h));
    return WR_OK;
}

void wr_scgi_begin(struct wr_strbuf *b, uint64_t body_len, size_t *ret_at)
{
    const char room[NETSTRING] = {0};

    *ret_at = b->len;
    wr_strbuf_add(b, room, sizeof(room));
    wr_strbuf_add(b, "CONTENT_LENGTH", sizeof("CONTENT_LENGTH"));
    wr_strbuf_add_u64(b, body_len);
    wr_strbuf_add_char(b, '\0');
}

enum wr_status wr_scgi_add(struct wr_strbuf *b, struct wr_str name, struct wr_str value)
{
    if (wr_str_find(name, '\0') != name.len || wr_str_find(value, '\0') != value.len) {
        return WR_EPROTO;
    }
    wr_strbuf_add_str(b, name);
    wr_strbuf_add_char(b, '\0');
    wr_strbuf_add_str(b, value);
    wr_strbuf_add_char(b, '\0');
    return b->status;
}

void wr_scgi_end(struct wr_strbuf *b, size_t at)
{
    char text[NETSTRING];
    struct wr_strbuf t;
    size_t len;

    wr_strbuf_add_char(b, ',');
    if (b->status != WR_OK) {
        return;
    }
    len = b->len - at - NETSTRING;
    wr_strbuf_init_fixed(&t, text, sizeof(text));
    wr_strbuf_add_u64(&t, len - 1);
    wr_strbuf_add_char(&t, ':');
    if (t.status != WR_OK) {
        b->status = t.status; /* a buffer has a maximum far below */
        return;
    }
    memcpy(b->ptr + at, text, t.len);
    memmove(b->ptr + at + t.len, b->ptr + at + NETSTRING, len);
    b->len = at + t.len + len;
}
