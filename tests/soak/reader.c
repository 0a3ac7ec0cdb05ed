/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.c: messages of HTTP/1.1 out of a buffer, strictly. See io.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io.h"

static enum reader_got fail(struct reader *r, const char *fault)
{
    r->fault = fault;
    return GOT_BAD;
}

/* A line that ends with CR LF, of at most max bytes; its length without them. -1: not there yet;
 * -2: never. */
static long find_line(const struct reader *r, size_t max)
{
    const char *p = r->buf + r->start;
    size_t n = r->len - r->start;
    const char *lf = memchr(p, '\n', n);

    if (lf == NULL) {
        return n > max ? -2 : -1;
    }
    if (lf == p || lf[-1] != '\r' || (size_t)(lf - p - 1) > max) {
        return -2;
    }
    return (long)(lf - p - 1);
}

static void copy(char *to, size_t cap, const char *p, size_t n)
{
    n = n < cap - 1 ? n : cap - 1;
    memcpy(to, p, n);
    to[n] = '\0';
}

static bool parse_first(struct reader *r, const char *line, size_t n)
{
    char text[512];
    int end = 0;

    copy(text, sizeof(text), line, n);
    if (r->is_request) {
        return sscanf(text, "%15s %255s HTTP/1.%*1[01]%n", r->method, r->target, &end) == 2 &&
               (size_t)end == n;
    }
    return sscanf(text, "HTTP/1.1 %3d%n", &r->status, &end) == 1 && end == 12 && text[12] == ' ';
}

static bool is_name(const char *line, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(line, name, n) == 0;
}

/* A second word on the length of the body is a fault. */
static bool take_framing(struct reader *r, const char *line, size_t name, const char *value)
{
    bool is_first = r->length == -1 && !r->is_chunked;

    if (is_name(line, name, "Content-Length")) {
        r->length = strtoll(value, NULL, 10);
        return is_first;
    }
    if (is_name(line, name, "Transfer-Encoding")) {
        r->is_chunked = strcasecmp(value, "chunked") == 0;
        return is_first && r->is_chunked;
    }
    return true;
}

static bool parse_field(struct reader *r, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    size_t name = colon != NULL ? (size_t)(colon - line) : 0;
    char value[256];

    if (name == 0 || line[name - 1] == ' ') {
        return false;
    }
    do {
        colon++;
    } while (colon < line + n && *colon == ' ');
    copy(value, sizeof(value), colon, (size_t)(line + n - colon));
    if (is_name(line, name, "Connection")) {
        r->is_close = strcasecmp(value, "close") == 0;
        r->is_upgrade = strcasecmp(value, "upgrade") == 0;
    } else if (is_name(line, name, "Sec-WebSocket-Key") ||
               is_name(line, name, "Sec-WebSocket-Accept")) {
        copy(r->key, sizeof(r->key), value, strlen(value));
    }
    return take_framing(r, line, name, value);
}

/* What follows a complete head. */
static void begin_body(struct reader *r)
{
    if (r->has_no_body || r->status == 304 || r->status == 204) {
        r->state = READ_LENGTH;
        r->left = 0;
    } else if (r->status == 101 || (r->is_request && r->is_upgrade)) {
        r->state = READ_TUNNEL;
    } else if (r->is_chunked) {
        r->state = READ_CHUNK_SIZE;
    } else if (r->length >= 0 || r->is_request) {
        r->state = READ_LENGTH;
        r->left = r->length > 0 ? (uint64_t)r->length : 0;
    } else {
        r->state = READ_TO_EOF;
    }
}

static enum reader_got read_head(struct reader *r)
{
    const char *p = r->buf + r->start;
    const char *end = memmem(p, r->len - r->start, "\r\n\r\n", 4);
    bool is_first = true;
    long n;

    if (end == NULL) {
        return r->len - r->start > HEAD_MAX ? fail(r, "a head without end") : GOT_NOTHING;
    }
    r->status = 0;
    r->is_chunked = r->is_close = r->is_upgrade = false;
    r->length = -1;
    r->key[0] = '\0';
    while ((n = find_line(r, HEAD_MAX)) > 0) {
        const char *line = r->buf + r->start;

        if (is_first ? !parse_first(r, line, (size_t)n) : !parse_field(r, line, (size_t)n)) {
            return fail(r, is_first ? "a bad first line" : "a bad field");
        }
        is_first = false;
        r->start += (size_t)n + 2;
    }
    if (n != 0) {
        return fail(r, "a bad line in a head");
    }
    r->start += 2;
    begin_body(r);
    return GOT_HEAD;
}

static enum reader_got read_data(struct reader *r)
{
    size_t n = r->len - r->start;

    if (r->state != READ_TO_EOF && n > r->left) {
        n = (size_t)r->left;
    }
    if (n == 0) {
        return GOT_NOTHING;
    }
    r->data = r->buf + r->start;
    r->data_len = n;
    r->start += n;
    r->left -= r->state == READ_TO_EOF ? 0 : n;
    return GOT_DATA;
}

static enum reader_got read_chunk_size(struct reader *r)
{
    long n = find_line(r, 32);
    char text[40], *end;

    if (n < 0) {
        return n == -1 ? GOT_NOTHING : fail(r, "a bad chunk size line");
    }
    copy(text, sizeof(text), r->buf + r->start, (size_t)n);
    r->left = strtoull(text, &end, 16);
    if (n == 0 || *end != '\0' || text[0] == '-' || text[0] == '+' || text[0] == ' ') {
        return fail(r, "a bad chunk size");
    }
    r->start += (size_t)n + 2;
    r->state = r->left > 0 ? READ_CHUNK_DATA : READ_TRAILER;
    return reader_next(r);
}

static enum reader_got read_empty_line(struct reader *r, enum reader_state next)
{
    long n = find_line(r, 0);

    if (r->len - r->start < 2) {
        return GOT_NOTHING;
    }
    if (n != 0) {
        return fail(r, "something else where a chunk ends");
    }
    r->start += 2;
    r->state = next;
    return next == READ_HEAD ? GOT_END : reader_next(r);
}

enum reader_got reader_next(struct reader *r)
{
    switch (r->state) {
    case READ_HEAD:
        return read_head(r);
    case READ_LENGTH:
        if (r->left == 0) {
            r->state = READ_HEAD;
            return GOT_END;
        }
        return read_data(r);
    case READ_CHUNK_SIZE:
        return read_chunk_size(r);
    case READ_CHUNK_DATA:
        if (r->left == 0) {
            r->state = READ_CHUNK_END;
            return reader_next(r);
        }
        return read_data(r);
    case READ_CHUNK_END:
        return read_empty_line(r, READ_CHUNK_SIZE);
    case READ_TRAILER:
        return read_empty_line(r, READ_HEAD);
    case READ_TO_EOF:
        return read_data(r);
    case READ_TUNNEL:
        return GOT_NOTHING;
    }
    return fail(r, "a bad state");
}

void reader_take(struct reader *r, size_t n)
{
    r->start += n;
}
