/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit_conn.h: the module of limit_conn_zone, limit_conn, limit_conn_status, limit_conn_log_level,
 * limit_conn_dry_run and $limit_conn_status.
 */
#ifndef WR_MOD_LIMIT_CONN_H
#define WR_MOD_LIMIT_CONN_H

#include "http/module.h"

extern const struct wr_module wr_limit_conn_module;

#endif
