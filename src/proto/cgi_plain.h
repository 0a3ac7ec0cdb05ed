/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgi_plain.h: the answer of uwsgi and SCGI: a CGI head and behind it the body, bare, of the length
 * that the head says, else up to the close. For their protocol tables. Thread of the request.
 */
#ifndef WR_PROTO_CGI_PLAIN_H
#define WR_PROTO_CGI_PLAIN_H

#include "proto/cgi_codec.h"
#include "up/proto.h"

/* At q->ctx. */
struct wr_cgi_plain {
    struct wr_cgi_head head;
};

/* For create_request, which runs for each try. */
void wr_cgi_plain_reset(struct wr_proto_req *q);
enum wr_proto_result wr_cgi_plain_header(struct wr_proto_req *q, const char *p, size_t n,
                                         size_t *ret_used);
void wr_cgi_plain_finalize(struct wr_proto_req *q, unsigned status);

#endif
