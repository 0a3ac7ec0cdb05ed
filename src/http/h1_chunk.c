/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_chunk.c: the chunked coding (RFC 9112 7.1) as a machine over bytes.
 *
 *   SIZE [EXT...] SIZE_LF DATA DATA_CR DATA_LF SIZE ... "0" SIZE_LF TRAILER FIELD... END_LF DONE
 *
 * Data is skipped over, never looked at. Framing bytes are checked against the whole grammar, with
 * extensions and their quoted strings; a line ends in CRLF only. All sizes have a bound: 16 hex
 * digits and INT64_MAX for a chunk and for the sum, WR_H1_CHUNK_EXT_MAX, WR_H1_CHUNK_TRAILER_MAX.
 *
 * Trailer lines are checked byte by byte. If they are wanted, they are also gathered, and cut into
 * fields when the last one is whole; no memory for that is an error of the body, as a body whose
 * trailers were lost is not whole. Thread: the decoder's owner.
 */
#include "http/h1_chunk.h"

#include "base/chars.h"
#include "base/num.h"

enum chunk_state {
    STATE_SIZE,      /* hex digits; at least one */
    STATE_EXT_GAP,   /* blanks before ';' */
    STATE_EXT_START, /* blanks after ';' */
    STATE_EXT_NAME,
    STATE_EXT_EQ,    /* blanks after a name: '=' or ';' follows */
    STATE_EXT_VALUE, /* blanks after '=' */
    STATE_EXT_TOKEN,
    STATE_EXT_QUOTED,
    STATE_EXT_ESCAPE, /* behind '\' in a quoted string */
    STATE_EXT_QUOTE_END,
    STATE_SIZE_LF,
    STATE_DATA,
    STATE_DATA_CR,
    STATE_DATA_LF,
    STATE_TRAILER, /* at the beginning of a trailer line, or of the last empty one */
    STATE_FIELD_NAME,
    STATE_FIELD_VALUE,
    STATE_FIELD_LF,
    STATE_END_LF,
    STATE_DONE,
    STATE_BAD,
};

enum {
    DIGITS_MAX = 16,
    CRLF_LEN = 2,
    LAST_CHUNK_LEN = 5, /* "0\r\n\r\n" */
};

#define BIT(id) (UINT64_C(1) << WR_HDR_##id)

/*
 * RFC 9110 6.5.1: framing, routing, request modifiers, authentication, response control, content
 * format; and what peers like us trust by name.
 */
static const uint64_t forbidden_ids =
    BIT(ACCEPT) | BIT(ACCEPT_ENCODING) | BIT(ACCEPT_LANGUAGE) | BIT(ACCEPT_RANGES) | BIT(AGE) |
    BIT(AUTHORIZATION) | BIT(CACHE_CONTROL) | BIT(CONNECTION) | BIT(CONTENT_DISPOSITION) |
    BIT(CONTENT_ENCODING) | BIT(CONTENT_LANGUAGE) | BIT(CONTENT_LENGTH) | BIT(CONTENT_RANGE) |
    BIT(CONTENT_TYPE) | BIT(COOKIE) | BIT(DATE) | BIT(EXPECT) | BIT(EXPIRES) | BIT(FORWARDED) |
    BIT(HOST) | BIT(IF_MATCH) | BIT(IF_MODIFIED_SINCE) | BIT(IF_NONE_MATCH) | BIT(IF_RANGE) |
    BIT(IF_UNMODIFIED_SINCE) | BIT(KEEP_ALIVE) | BIT(LAST_MODIFIED) | BIT(LOCATION) | BIT(PRAGMA) |
    BIT(PROXY_AUTHENTICATE) | BIT(PROXY_CONNECTION) | BIT(RANGE) | BIT(REFERER) | BIT(REFRESH) |
    BIT(RETRY_AFTER) | BIT(SEC_WEBSOCKET_ACCEPT) | BIT(SET_COOKIE) | BIT(STATUS) | BIT(TE) |
    BIT(TRAILER) | BIT(TRANSFER_ENCODING) | BIT(UPGRADE) | BIT(USER_AGENT) | BIT(VARY) | BIT(VIA) |
    BIT(WWW_AUTHENTICATE) | BIT(X_ACCEL_BUFFERING) | BIT(X_ACCEL_CHARSET) | BIT(X_ACCEL_EXPIRES) |
    BIT(X_ACCEL_LIMIT_RATE) | BIT(X_ACCEL_REDIRECT) | BIT(X_FORWARDED_FOR) | BIT(X_REAL_IP);

/* The same for names without an id. */
static const struct wr_str forbidden_names[] = {
    WR_STR_INIT("Max-Forwards"),
    WR_STR_INIT("Proxy-Authorization"),
    WR_STR_INIT("Proxy-Authentication-Info"),
    WR_STR_INIT("Authentication-Info"),
    WR_STR_INIT("Content-Location"),
    WR_STR_INIT("Strict-Transport-Security"),
    WR_STR_INIT("X-Forwarded-Host"),
    WR_STR_INIT("X-Forwarded-Proto"),
    WR_STR_INIT("X-Forwarded-Port"),
    WR_STR_INIT("X-Http-Method-Override"),
};

void wr_h1_chunk_init(struct wr_h1_chunk_decoder *d, struct wr_hdrs *trailers)
{
    *d = (struct wr_h1_chunk_decoder){.state = STATE_SIZE, .trailers = trailers};
}

static bool is_forbidden(struct wr_str name, enum wr_hdr_id id)
{
    if (id != WR_HDR_OTHER) {
        return (forbidden_ids >> id & 1) != 0;
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(forbidden_names); i++) {
        if (wr_str_ieq(name, forbidden_names[i])) {
            return true;
        }
    }
    return false;
}

/* All lines in _buf are whole and sound: "name:value\r\n". */
static bool store_trailers(struct wr_h1_chunk_decoder *d)
{
    if (d->_buf == NULL) {
        return true;
    }
    const char *p = d->_buf, *end = p + d->trailer_len;
    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        const char *colon = memchr(p, ':', (size_t)(end - p));
        if (lf == NULL || colon == NULL) {
            return false;
        }
        struct wr_str name = wr_str(p, (size_t)(colon - p));
        struct wr_str value = wr_str_trim(wr_str(colon + 1, (size_t)(lf - colon) - 2));
        enum wr_hdr_id id = wr_hdr_id_of(name);
        if (!is_forbidden(name, id) && wr_hdrs_push(d->trailers, name, value, id) != WR_OK) {
            return false;
        }
        p = lf + 1;
    }
    return true;
}

/* Counts and, if they are wanted, keeps a byte of the trailer section. */
static bool keep_trailer_byte(struct wr_h1_chunk_decoder *d, char c)
{
    if (d->trailer_len == WR_H1_CHUNK_TRAILER_MAX) {
        return false;
    }
    if (d->trailers != NULL) {
        if (d->_buf == NULL) {
            d->_buf = wr_arena_bytes(d->trailers->arena, WR_H1_CHUNK_TRAILER_MAX);
            if (d->_buf == NULL) {
                return false;
            }
        }
        d->_buf[d->trailer_len] = c;
    }
    d->trailer_len++;
    return true;
}

/* Next state after a byte of the size. */
static enum chunk_state step_size(struct wr_h1_chunk_decoder *d, unsigned char c)
{
    int v = wr_char_hex(c);

    if (v >= 0) {
        if (d->digits == DIGITS_MAX || d->left > (uint64_t)INT64_MAX >> 4) {
            return STATE_BAD;
        }
        d->left = d->left << 4 | (unsigned)v;
        d->digits++;
        return d->left > (uint64_t)INT64_MAX - d->total ? STATE_BAD : STATE_SIZE;
    }
    if (d->digits == 0) {
        return STATE_BAD;
    }
    switch (c) {
    case '\r':
        return STATE_SIZE_LF;
    case ';':
        return STATE_EXT_START;
    case ' ':
    case '\t':
        return STATE_EXT_GAP;
    default:
        return STATE_BAD;
    }
}

/* What may follow a whole extension, with the blanks that RFC 9112 7.1.1 lets in before ';'. */
static enum chunk_state step_ext_end(unsigned char c, bool may_end)
{
    if (c == ';') {
        return STATE_EXT_START;
    }
    if (c == '\r') {
        return may_end ? STATE_SIZE_LF : STATE_BAD;
    }
    return c == ' ' || c == '\t' ? STATE_EXT_GAP : STATE_BAD;
}

/* long: one case for each place in an extension (RFC 9112 7.1.1) */
static enum chunk_state step_ext(enum chunk_state s, unsigned char c)
{
    bool is_token = wr_char_is(c, WR_CH_TOKEN);
    bool is_blank = c == ' ' || c == '\t';

    /* As a number: only the states of an extension come here. */
    switch ((unsigned)s) {
    case STATE_EXT_GAP:
        return step_ext_end(c, false);
    case STATE_EXT_START:
        if (is_blank) {
            return s;
        }
        return is_token ? STATE_EXT_NAME : STATE_BAD;
    case STATE_EXT_NAME:
        if (is_token) {
            return s;
        }
        if (c == '=') {
            return STATE_EXT_VALUE;
        }
        return is_blank ? STATE_EXT_EQ : step_ext_end(c, true);
    case STATE_EXT_EQ:
        if (c == '=') {
            return STATE_EXT_VALUE;
        }
        return is_blank ? s : step_ext_end(c, false);
    case STATE_EXT_VALUE:
        if (is_blank) {
            return s;
        }
        if (c == '"') {
            return STATE_EXT_QUOTED;
        }
        return is_token ? STATE_EXT_TOKEN : STATE_BAD;
    case STATE_EXT_TOKEN:
        return is_token ? s : step_ext_end(c, true);
    case STATE_EXT_QUOTED:
        if (c == '"') {
            return STATE_EXT_QUOTE_END;
        }
        if (c == '\\') {
            return STATE_EXT_ESCAPE;
        }
        return wr_char_is(c, WR_CH_VALUE) ? s : STATE_BAD;
    case STATE_EXT_ESCAPE:
        return wr_char_is(c, WR_CH_VALUE) ? STATE_EXT_QUOTED : STATE_BAD;
    case STATE_EXT_QUOTE_END:
        return step_ext_end(c, true);
    }
    return STATE_BAD;
}

static enum chunk_state step_trailer(struct wr_h1_chunk_decoder *d, enum chunk_state s,
                                     unsigned char c)
{
    enum chunk_state next = STATE_BAD;

    if (s == STATE_TRAILER && c == '\r') {
        return STATE_END_LF;
    }
    if (s == STATE_TRAILER || s == STATE_FIELD_NAME) {
        if (wr_char_is(c, WR_CH_TOKEN)) {
            next = STATE_FIELD_NAME;
        } else if (s == STATE_FIELD_NAME && c == ':') {
            next = STATE_FIELD_VALUE;
        }
    } else if (s == STATE_FIELD_VALUE) {
        if (wr_char_is(c, WR_CH_VALUE)) {
            next = STATE_FIELD_VALUE;
        } else if (c == '\r') {
            next = STATE_FIELD_LF;
        }
    } else if (s == STATE_FIELD_LF && c == '\n') {
        next = STATE_TRAILER;
    }
    if (next != STATE_BAD && !keep_trailer_byte(d, (char)c)) {
        next = STATE_BAD;
    }
    return next;
}

/* long: the framing machine, one case for each state; data is the caller's */
static enum chunk_state step(struct wr_h1_chunk_decoder *d, unsigned char c)
{
    enum chunk_state s = (enum chunk_state)d->state;

    switch (s) {
    case STATE_SIZE:
        s = step_size(d, c);
        if (s == STATE_EXT_START || s == STATE_EXT_GAP) {
            d->ext_len++;
        }
        return d->ext_len > WR_H1_CHUNK_EXT_MAX ? STATE_BAD : s;
    case STATE_EXT_GAP:
    case STATE_EXT_START:
    case STATE_EXT_NAME:
    case STATE_EXT_EQ:
    case STATE_EXT_VALUE:
    case STATE_EXT_TOKEN:
    case STATE_EXT_QUOTED:
    case STATE_EXT_ESCAPE:
    case STATE_EXT_QUOTE_END:
        s = step_ext(s, c);
        if (s != STATE_SIZE_LF) {
            d->ext_len++;
        }
        return d->ext_len > WR_H1_CHUNK_EXT_MAX ? STATE_BAD : s;
    case STATE_SIZE_LF:
        if (c != '\n') {
            return STATE_BAD;
        }
        d->digits = 0;
        return d->left == 0 ? STATE_TRAILER : STATE_DATA;
    case STATE_DATA_CR:
        return c == '\r' ? STATE_DATA_LF : STATE_BAD;
    case STATE_DATA_LF:
        return c == '\n' ? STATE_SIZE : STATE_BAD;
    case STATE_TRAILER:
    case STATE_FIELD_NAME:
    case STATE_FIELD_VALUE:
    case STATE_FIELD_LF:
        return step_trailer(d, s, c);
    case STATE_END_LF:
        if (c != '\n' || !store_trailers(d)) {
            return STATE_BAD;
        }
        return STATE_DONE;
    case STATE_DATA:
    case STATE_DONE:
    case STATE_BAD:
        break;
    }
    return STATE_BAD;
}

enum wr_h1_chunk_result wr_h1_chunk_decode(struct wr_h1_chunk_decoder *d, const char *p, size_t n,
                                           size_t *ret_used, const char **ret_data, size_t *ret_len)
{
    size_t i = 0;

    *ret_len = 0;
    *ret_data = NULL;
    while (i < n && d->state != STATE_DATA && d->state < STATE_DONE) {
        d->state = (uint8_t)step(d, (unsigned char)p[i++]);
    }
    *ret_used = i;
    if (d->state == STATE_BAD) {
        return WR_H1_CHUNK_BAD;
    }
    if (d->state == STATE_DONE) {
        return WR_H1_CHUNK_DONE;
    }
    if (i == n) {
        return WR_H1_CHUNK_MORE;
    }
    size_t take = d->left < n - i ? (size_t)d->left : n - i;
    *ret_data = p + i;
    *ret_len = take;
    *ret_used = i + take;
    d->left -= take;
    d->total += take;
    if (d->left == 0) {
        d->state = STATE_DATA_CR;
    }
    return WR_H1_CHUNK_DATA;
}

/* long: one case for each state */
uint64_t wr_h1_chunk_wants(const struct wr_h1_chunk_decoder *d)
{
    /* What must follow a size line that says d->left: the data and the last chunk, or no trailer.
     */
    uint64_t after_size = d->left > 0 ? d->left + CRLF_LEN + LAST_CHUNK_LEN : CRLF_LEN;

    switch ((enum chunk_state)d->state) {
    case STATE_SIZE:
        return d->digits == 0 ? LAST_CHUNK_LEN : CRLF_LEN + after_size;
    case STATE_EXT_NAME:
    case STATE_EXT_TOKEN:
    case STATE_EXT_QUOTE_END:
        return CRLF_LEN + after_size;
    case STATE_EXT_START:
    case STATE_EXT_VALUE:
    case STATE_EXT_QUOTED:
        return 1 + CRLF_LEN + after_size;
    case STATE_EXT_GAP:
    case STATE_EXT_EQ:
    case STATE_EXT_ESCAPE:
        return 2 + CRLF_LEN + after_size;
    case STATE_SIZE_LF:
        return 1 + after_size;
    case STATE_DATA:
        return d->left + CRLF_LEN + LAST_CHUNK_LEN;
    case STATE_DATA_CR:
        return CRLF_LEN + LAST_CHUNK_LEN;
    case STATE_DATA_LF:
        return 1 + LAST_CHUNK_LEN;
    case STATE_TRAILER:
        return CRLF_LEN;
    case STATE_FIELD_NAME:
        return 1 + CRLF_LEN + CRLF_LEN;
    case STATE_FIELD_VALUE:
        return CRLF_LEN + CRLF_LEN;
    case STATE_FIELD_LF:
        return 1 + CRLF_LEN;
    case STATE_END_LF:
        return 1;
    case STATE_DONE:
    case STATE_BAD:
        return 0;
    }
    return 0;
}

size_t wr_h1_chunk_write_head(char *out, uint64_t n)
{
    size_t len = wr_num_write_hex(out, n);

    out[len] = '\r';
    out[len + 1] = '\n';
    return len + 2;
}
