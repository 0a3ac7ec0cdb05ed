/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reason.h: why something ended. One enum for connections, streams, pipes, requests and attempts;
 * the first reason wins and is kept in the object. tbl/reason.h maps each to the status a client
 * gets when nothing was sent yet.
 */
#ifndef WR_BASE_REASON_H
#define WR_BASE_REASON_H

#include <stdint.h>

enum wr_reason {
#define X(name, status, text) WR_REASON_##name,
#include "base/tbl/reason.h"
#undef X
    WR_REASON_COUNT
};

/* "client timed out ..."; constant text, "" for NONE. */
const char *wr_reason_text(enum wr_reason r);
const char *wr_reason_name(enum wr_reason r);
/* Status for a client's request that failed so on the client's side: 400, 408, 413, 499, 500. */
unsigned wr_reason_status(enum wr_reason r);

#endif
