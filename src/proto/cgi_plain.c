/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgi_plain.c: what the tables of uwsgi and SCGI have in common.
 */
#include "proto/cgi_plain.h"

void wr_cgi_plain_reset(struct wr_proto_req *q)
{
    struct wr_cgi_plain *cp = q->ctx;

    wr_cgi_head_init(&cp->head);
}

enum wr_proto_result wr_cgi_plain_header(struct wr_proto_req *q, const char *p, size_t n,
                                         size_t *ret_used)
{
    struct wr_cgi_plain *cp = q->ctx;

    switch (wr_cgi_head_parse(&cp->head, p, n, q->head, ret_used)) {
    case WR_CGI_DONE:
        q->length = cp->head.length;
        return WR_PROTO_DONE;
    case WR_CGI_MORE:
        return WR_PROTO_AGAIN;
    case WR_CGI_BAD:
        q->why = wr_cgi_head_why(&cp->head, q->arena);
        return WR_PROTO_INVALID;
    case WR_CGI_NOMEM:
        return WR_PROTO_FAILED;
    }
    WR_UNREACHABLE();
}

void wr_cgi_plain_finalize(struct wr_proto_req *q, unsigned status)
{
    (void)q, (void)status; /* nothing is held but memory of the arena */
}
