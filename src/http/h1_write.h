/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_write.h: HTTP/1 heads to bytes. Refuses to write a field, target or reason that holds CR, LF
 * or NUL (U14.1): the whole head fails with WR_EPROTO and nothing was written.
 */
#ifndef WR_HTTP_H1_WRITE_H
#define WR_HTTP_H1_WRITE_H

#include "base/status.h"
#include "base/strbuf.h"
#include "http/msg.h"

/*
 * Request line and fields of m, then the empty line. Writes exactly the fields in m->hdrs: framing
 * fields are the caller's business. m->target is written as is.
 */
enum wr_status wr_h1_write_request(struct wr_strbuf *b, const struct wr_msg *m) WR_MUST_CHECK;
/*
 * "HTTP/1.1 200 OK" (m->reason, or the standard one when empty), fields, empty line. version 10
 * writes HTTP/1.1 all the same (RFC 9110 2.5), as nginx does.
 */
enum wr_status wr_h1_write_response(struct wr_strbuf *b, const struct wr_msg *m) WR_MUST_CHECK;
/* Only fields and the empty line; for trailers. */
enum wr_status wr_h1_write_fields(struct wr_strbuf *b, const struct wr_hdrs *h) WR_MUST_CHECK;
/* True when s may be the name of a field. */
bool wr_h1_name_is_safe(struct wr_str s);
/* True when s may stand in a field value. */
bool wr_h1_value_is_safe(struct wr_str s);

#endif
