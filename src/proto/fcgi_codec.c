/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fcgi_codec.c: reading and writing of FastCGI records. Any thread; a reader belongs to one
 * connection's exchange.
 */
#include "proto/fcgi_codec.h"

#include <string.h>

#include "base/compiler.h"

#define FLAG_KEEP_CONN 1
#define ROLE_RESPONDER 1
#define REQUEST_ID     1

void wr_fcgi_reader_init(struct wr_fcgi_reader *rd)
{
    *rd = (struct wr_fcgi_reader){.type = 0};
}

static enum wr_fcgi_event say_bad(struct wr_fcgi_reader *rd, enum wr_fcgi_bad bad, unsigned value)
{
    rd->bad = (uint8_t)bad;
    rd->bad_value = (uint16_t)value;
    return WR_FCGI_BAD;
}

/* The header is whole. MORE: fine. */
static enum wr_fcgi_event take_header(struct wr_fcgi_reader *rd)
{
    const uint8_t *h = rd->header;
    unsigned id = (unsigned)h[2] << 8 | h[3];

    rd->type = h[1];
    rd->content = (uint16_t)((unsigned)h[4] << 8 | h[5]);
    rd->padding = h[6];
    rd->header_len = 0;
    rd->is_in_record = true;
    if (h[0] != 1) {
        return say_bad(rd, WR_FCGI_BAD_VERSION, h[0]);
    }
    if (rd->type != WR_FCGI_STDOUT && rd->type != WR_FCGI_STDERR &&
        rd->type != WR_FCGI_END_REQUEST) {
        return say_bad(rd, WR_FCGI_BAD_TYPE, rd->type);
    }
    if (id != REQUEST_ID) {
        return say_bad(rd, WR_FCGI_BAD_ID, id);
    }
    if (rd->type == WR_FCGI_END_REQUEST && rd->content != 8) {
        return say_bad(rd, WR_FCGI_BAD_LENGTH, rd->content);
    }
    return rd->type == WR_FCGI_STDOUT && rd->content == 0 ? WR_FCGI_OUT_CLOSED : WR_FCGI_MORE;
}

/* Eight bytes into header, from p; true: they are all there. */
static bool gather(struct wr_fcgi_reader *rd, const char *p, size_t n, size_t *used)
{
    size_t m = WR_MIN(n - *used, (size_t)(WR_FCGI_HEADER - rd->header_len));

    memcpy(rd->header + rd->header_len, p + *used, m);
    rd->header_len = (uint8_t)(rd->header_len + m);
    *used += m;
    return rd->header_len == WR_FCGI_HEADER;
}

static enum wr_fcgi_event take_end(struct wr_fcgi_reader *rd)
{
    const uint8_t *h = rd->header;

    rd->content = 0;
    rd->header_len = 0;
    rd->app_status = (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
    rd->protocol_status = h[4];
    return WR_FCGI_ENDED;
}

/* What is here of the content, and its padding. MORE: nothing to tell. */
static enum wr_fcgi_event read_content(struct wr_fcgi_reader *rd, const char *p, size_t n,
                                       size_t *used, struct wr_str *ret_data)
{
    size_t m;

    if (rd->type == WR_FCGI_END_REQUEST && rd->content > 0) {
        return gather(rd, p, n, used) ? take_end(rd) : WR_FCGI_MORE;
    }
    m = WR_MIN(n - *used, (size_t)rd->content);
    if (m > 0) {
        *ret_data = wr_str(p + *used, m);
        *used += m;
        rd->content = (uint16_t)(rd->content - m);
        return rd->type == WR_FCGI_STDOUT ? WR_FCGI_OUT : WR_FCGI_ERR;
    }
    m = WR_MIN(n - *used, (size_t)rd->padding);
    *used += m;
    rd->padding = (uint8_t)(rd->padding - m);
    return WR_FCGI_MORE;
}

enum wr_fcgi_event wr_fcgi_read(struct wr_fcgi_reader *rd, const char *p, size_t n,
                                size_t *ret_used, struct wr_str *ret_data)
{
    enum wr_fcgi_event ev = WR_FCGI_MORE;
    size_t used = 0;

    while (ev == WR_FCGI_MORE && used < n) {
        if (!rd->is_in_record) {
            ev = gather(rd, p, n, &used) ? take_header(rd) : WR_FCGI_MORE;
        } else {
            ev = read_content(rd, p, n, &used, ret_data);
        }
        if (rd->is_in_record && rd->content == 0 && rd->padding == 0) {
            rd->is_in_record = false;
        }
    }
    *ret_used = used;
    return ev;
}

void wr_fcgi_unread(struct wr_fcgi_reader *rd, size_t n)
{
    if (n > 0) {
        rd->content = (uint16_t)(rd->content + n);
        rd->type = WR_FCGI_STDOUT;
        rd->is_in_record = true;
    }
}

void wr_fcgi_bad_text(const struct wr_fcgi_reader *rd, struct wr_strbuf *b)
{
    static const char *const texts[] = {
        [WR_FCGI_BAD_NONE] = "upstream sent invalid FastCGI records: ",
        [WR_FCGI_BAD_VERSION] = "upstream sent unsupported FastCGI protocol version: ",
        [WR_FCGI_BAD_TYPE] = "upstream sent invalid FastCGI record type: ",
        [WR_FCGI_BAD_ID] = "upstream sent unexpected FastCGI request id: ",
        [WR_FCGI_BAD_LENGTH] = "upstream sent invalid FastCGI end of request, its length: "};

    wr_strbuf_add_z(b, texts[rd->bad]);
    wr_strbuf_add_u64(b, rd->bad_value);
}

void wr_fcgi_write_header(char *to, enum wr_fcgi_type type, size_t len)
{
    const uint8_t h[WR_FCGI_HEADER] = {1,          (uint8_t)type,       0,
                                       REQUEST_ID, (uint8_t)(len >> 8), (uint8_t)len};

    memcpy(to, h, sizeof(h));
}

void wr_fcgi_add_begin(struct wr_strbuf *b, bool keep)
{
    const uint8_t body[8] = {0, ROLE_RESPONDER, keep ? FLAG_KEEP_CONN : 0};
    char header[WR_FCGI_HEADER];

    wr_fcgi_write_header(header, WR_FCGI_BEGIN_REQUEST, sizeof(body));
    wr_strbuf_add(b, header, sizeof(header));
    wr_strbuf_add(b, body, sizeof(body));
}

static size_t write_length(uint8_t *to, size_t n)
{
    if (n < 128) {
        to[0] = (uint8_t)n;
        return 1;
    }
    to[0] = (uint8_t)(0x80 | n >> 24);
    to[1] = (uint8_t)(n >> 16);
    to[2] = (uint8_t)(n >> 8);
    to[3] = (uint8_t)n;
    return 4;
}

void wr_fcgi_add_pair(struct wr_strbuf *b, struct wr_str name, struct wr_str value)
{
    uint8_t lens[8];
    size_t n = write_length(lens, name.len);

    n += write_length(lens + n, value.len);
    wr_strbuf_add(b, lens, n);
    wr_strbuf_add_str(b, name);
    wr_strbuf_add_str(b, value);
}
