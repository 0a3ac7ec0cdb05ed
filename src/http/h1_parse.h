/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_parse.h: HTTP/1 message heads, sans-I/O (RFC 9112). The caller shows all head bytes so far in
 * one piece; the parser takes whole lines (memchr), goes on where it stopped, and leaves slices
 * into that piece. If the piece moved between two calls, the parser rebases its slices by itself.
 *
 * Strict (docs/differences.md): a bare CR, NUL, obs-fold, blank before the colon, bad name bytes,
 * both framings, differing or malformed lengths, unknown transfer codings are errors. A bare LF may
 * end a head line. Empty lines before a request line are skipped, at most 4.
 */
#ifndef WR_HTTP_H1_PARSE_H
#define WR_HTTP_H1_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "http/msg.h"

enum wr_h1_role {
    WR_H1_REQUEST,
    WR_H1_RESPONSE
};

enum wr_h1_result {
    WR_H1_DONE,
    WR_H1_MORE,
    WR_H1_BAD,
    WR_H1_NOMEM
};

/* Why it is bad; the caller maps it to a status and a log line (wr_h1_bad_text). */
enum wr_h1_bad {
    WR_H1_BAD_NONE,
    WR_H1_BAD_LINE,           /* request line or status line: 400 / invalid_header */
    WR_H1_BAD_METHOD,         /* not a token */
    WR_H1_BAD_TARGET,         /* control bytes, not a target form */
    WR_H1_BAD_VERSION,        /* not HTTP/x.y */
    WR_H1_BAD_MAJOR,          /* HTTP/2.0 and above in an HTTP/1 line: 505 */
    WR_H1_BAD_FIELD,          /* header line */
    WR_H1_BAD_HOST,           /* none on HTTP/1.1, several, or invalid: 400 */
    WR_H1_BAD_FRAMING,        /* both framings, or lengths that differ */
    WR_H1_BAD_LENGTH,         /* no number, or too large */
    WR_H1_BAD_CODING,         /* transfer coding other than chunked last: 501 for requests */
    WR_H1_BAD_LINE_TOO_LONG,  /* request line above line_max: 414 */
    WR_H1_BAD_FIELD_TOO_LONG, /* one field above line_max: 494 (shown as 400) / too big header */
    WR_H1_BAD_HEAD_TOO_LONG,  /* above head_max: 494 / too big header */
    WR_H1_BAD_FIELDS,         /* too many: 494 */
    WR_H1_BAD_EMPTY_LINES,
    WR_H1_BAD_NOT_HTTP, /* response: does not begin with a status line */
};

/* Named leniencies (ignore_invalid_headers, underscores_in_headers). */
enum wr_h1_options {
    WR_H1_DROP_INVALID_FIELDS = 1, /* a line with a bad name is dropped, not refused */
    WR_H1_UNDERSCORES = 2,         /* '_' in names is valid */
};

struct wr_h1_limits {
    uint32_t line_max;   /* bytes of one line, CRLF included */
    uint32_t head_max;   /* bytes of the whole head */
    uint32_t fields_max; /* number of fields */
};

struct wr_h1_parser {
    enum wr_h1_role role;
    unsigned options;
    struct wr_h1_limits limits;
    enum wr_method request_method; /* RESPONSE: what was asked, for framing (HEAD, CONNECT) */
    /* results */
    enum wr_h1_bad bad;
    size_t head_len; /* DONE: bytes of the head, empty lines before it included */
    size_t skipped;  /* bytes of empty lines before it */
    uint32_t dropped_fields;
    /* private */
    struct wr_msg *_msg;
    const char *_base;
    size_t _pos, _line, _seen;
    uint8_t _stage;
    uint8_t _empty_lines;
};

/* msg: initialised by wr_msg_init, filled by the parser. */
void wr_h1_parser_init(struct wr_h1_parser *p, enum wr_h1_role role,
                       const struct wr_h1_limits *limits, unsigned options, struct wr_msg *msg);
/*
 * buf[0..len): all bytes since the head began; may hold more than the head. DONE sets head_len and
 * msg (framing, flags). BAD sets bad; what was parsed so far (request_line at least if it was
 * whole) stays in msg for the log. NOMEM: the arena is full.
 */
enum wr_h1_result wr_h1_parse(struct wr_h1_parser *p, const char *buf, size_t len) WR_MUST_CHECK;
const char *wr_h1_bad_text(enum wr_h1_bad bad);
/* 400, 414, 494, 501, 505. */
unsigned wr_h1_bad_status(enum wr_h1_bad bad);

#endif
