/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply.h: answers that the server makes itself: texts, redirects, error pages. All from the
 * request's task; each ends the request's content, as wr_req_fail does.
 */
#ifndef WR_HTTP_REPLY_H
#define WR_HTTP_REPLY_H

#include "http/req.h"

/*
 * Responds with this body (memory of the request or longer-lived) and type (empty: default_type).
 * Memory or the client are gone: the request ends by itself.
 */
void wr_reply_text(struct wr_req *r, unsigned status, struct wr_str type, struct wr_str body);
/* Responds 301, 302, 303, 307, 308 with Location, and the built-in page of the status. */
void wr_reply_redirect(struct wr_req *r, unsigned status, struct wr_str location);
/* The built-in page, without error_page. */
void wr_reply_page(struct wr_req *r, unsigned status);

#endif
