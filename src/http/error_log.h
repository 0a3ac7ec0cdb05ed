/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error_log.h: the directives error_log and error_log_tag, and what a request adds to its lines.
 */
#ifndef WR_HTTP_ERROR_LOG_H
#define WR_HTTP_ERROR_LOG_H

#include "conf/dirs.h"

struct wr_log;
struct wr_log_fields;

/* Rows of core_conf.c. */
wr_dir_set_fn wr_error_log_set_main;
wr_dir_set_fn wr_error_log_set_loc;
wr_dir_set_fn wr_error_log_set_tag;

/* Of a request's struct wr_log, whose data is the request: client, server, request, upstream ... */
void wr_error_log_context(const struct wr_log *log, struct wr_log_fields *f);

#endif
