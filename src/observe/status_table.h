/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_table.h: the JSON of `weir status` as tables for people. Runs in the command, not in the
 * weir that was asked, which may be of another version: what it does not tell is shown as "-".
 */
#ifndef WR_OBSERVE_STATUS_TABLE_H
#define WR_OBSERVE_STATUS_TABLE_H

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"

/* WR_EPROTO: not such a document. WR_ELIMIT, WR_ENOMEM. */
enum wr_status wr_status_table_write(struct wr_str json, struct wr_strbuf *b) WR_MUST_CHECK;

#endif
