/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit_req.h: the module of limit_req_zone, limit_req, limit_req_status, limit_req_log_level,
 * limit_req_dry_run and $limit_req_status.
 */
#ifndef WR_MOD_LIMIT_REQ_H
#define WR_MOD_LIMIT_REQ_H

#include "http/module.h"

extern const struct wr_module wr_limit_req_module;

#endif
