/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgi_codec.h: the head of a response as CGI writes it (RFC 3875, 6.3), which FastCGI, SCGI and
 * uwsgi all carry: field lines, the status in a field `Status`; a status line in front, as of HTTP,
 * is taken too. Sans-I/O: the caller shows all bytes so far in one piece; lines that were whole are
 * not looked at again. If the piece moves between two calls, the caller rebases the message
 * (wr_msg_rebase).
 *
 * Strict as for HTTP/1 heads: no blank before a colon, no folded lines, no control bytes, one
 * length. LF alone may end a line.
 */
#ifndef WR_PROTO_CGI_CODEC_H
#define WR_PROTO_CGI_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "http/msg.h"

enum wr_cgi_result {
    WR_CGI_DONE,
    WR_CGI_MORE,
    WR_CGI_BAD,
    WR_CGI_NOMEM
};

struct wr_cgi_head {
    size_t off;          /* of the first line that was not whole yet */
    uint64_t length;     /* Content-Length; WR_LENGTH_UNKNOWN: none */
    bool has_status;     /* by field or line */
    bool is_value;       /* BAD: `where` is a value only */
    const char *bad;     /* BAD: what is wrong, for the log */
    struct wr_str where; /* BAD: the line, in the bytes of the caller */
};

void wr_cgi_head_init(struct wr_cgi_head *c);
/*
 * Fills m: status, reason, fields (`Status` among them). DONE: *ret_used bytes are the head,
 * m->status is set: 302 for a Location without a status, else 200.
 */
enum wr_cgi_result wr_cgi_head_parse(struct wr_cgi_head *c, const char *p, size_t n,
                                     struct wr_msg *m, size_t *ret_used) WR_MUST_CHECK;
/* The log's words for a bad line, in the arena or constant: `upstream sent invalid header: "..."`.
 */
struct wr_str wr_cgi_head_why(const struct wr_cgi_head *c, struct wr_arena *a);

#endif
