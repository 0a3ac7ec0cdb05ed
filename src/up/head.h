/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.h: the peer's response head becomes the client's (U5.6 to U5.9).
 * Thread of the request.
 */
#ifndef WR_UP_HEAD_H
#define WR_UP_HEAD_H

#include <stdbool.h>

#include "base/status.h"
#include "http/msg.h"

struct wr_up;

/* What X-Accel-* say, unless ignored. */
struct wr_up_accel {
    struct wr_str redirect; /* empty: none */
    struct wr_str limit_rate, buffering, charset;
};

void wr_up_accel_read(const struct wr_up *u, const struct wr_msg *head, struct wr_up_accel *ret);
/* Is this response buffered (U6.2, *_buffering)? accel: value of X-Accel-Buffering, empty: none. */
bool wr_up_head_is_buffered(const struct wr_up *u, const struct wr_msg *head, struct wr_str accel);
/* Status and fields into r->out: hop-by-hop, hidden and own ones left out, redirects and cookies
 * rewritten. WR_EPROTO: a rewritten value would break the wire (U14.1). */
enum wr_status wr_up_head_copy(struct wr_up *u, const struct wr_msg *head) WR_MUST_CHECK;
/* The stream's trailers become the client's: hidden and unsafe ones left out; without memory none.
 */
void wr_up_head_trailers(struct wr_up *u);
/* A 103 of the peer goes to the client: all but hop-by-hop, hidden and framing fields (U5.4). */
void wr_up_head_interim(struct wr_up *u, const struct wr_msg *head);
/* Only the fields that an X-Accel-Redirect keeps (U5.9). */
enum wr_status wr_up_head_keep(struct wr_up *u, const struct wr_msg *head) WR_MUST_CHECK;

#endif
