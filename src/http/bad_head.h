/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_head.h: what the error log says of a request whose head is refused.
 */
#ifndef WR_HTTP_BAD_HEAD_H
#define WR_HTTP_BAD_HEAD_H

struct wr_req;

/* One line, worded as nginx's. r->stream->bad is not 0; r->head is what could be read. */
void wr_bad_head_log(const struct wr_req *r);

#endif
