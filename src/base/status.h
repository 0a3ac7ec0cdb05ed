/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h: the one result type of functions that can fail. Its names come from tbl/status.h.
 * Thread: any; the names are constant text.
 */
#ifndef WR_BASE_STATUS_H
#define WR_BASE_STATUS_H

enum wr_status {
#define X(name, text) WR_##name,
#include "base/tbl/status.h"
#undef X
};

/* "OK", "AGAIN", ...: constant text, never NULL. */
const char *wr_status_name(enum wr_status s);

#endif
