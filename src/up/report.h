/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h: the log lines of the upstream mechanism, in the words operators know (U3.3).
 * Thread of the request; each line is written where its fact is known, once.
 */
#ifndef WR_UP_REPORT_H
#define WR_UP_REPORT_H

#include "up/retry.h"

struct wr_up;

/* What ended the attempt, once. Nothing for OK and CANCELED. */
void wr_up_report(struct wr_up *u, enum wr_cause cause);
/* What cut a tunnel (U9): an idle limit or a reset, of which side. */
void wr_up_report_tunnel(struct wr_up *u);

enum wr_up_no_peer {
    WR_UP_NO_LIVE,
    WR_UP_QUEUE_FULL,
    WR_UP_QUEUE_TIMEOUT
};

/* No peer can be had (U2.4), nor waited for (U2.3). */
void wr_up_report_no_live(struct wr_up *u, enum wr_up_no_peer why);
/* The peer has reached max_fails and is left out for fail_timeout. */
void wr_up_report_disabled(struct wr_up *u);
/* "an upstream response is buffered to a temporary file", once, at the first spill (U6.3). */
void wr_up_report_spill(struct wr_up *u);

#endif
