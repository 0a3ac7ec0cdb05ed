/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars_core.h: the core module's variables as a module, and the values that the access log asks for
 * without going through the registry. Values are those of the moment of the call. Request's thread.
 */
#ifndef WR_HTTP_VARS_CORE_H
#define WR_HTTP_VARS_CORE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "http/req.h"

struct wr_module;

extern const struct wr_module wr_vars_core_module;

/* What $status shows; 0: none yet. */
unsigned wr_req_shown_status(const struct wr_req *r);
/* Milliseconds since the first byte of the request. */
uint64_t wr_req_elapsed_ms(const struct wr_req *r);
/* What Basic authorization (RFC 7617) says; the user may be empty. WR_EOF: there is none. */
enum wr_status wr_req_basic_auth(struct wr_req *r, struct wr_str *ret_user,
                                 struct wr_str *ret_password) WR_MUST_CHECK;
/* User of Basic authorization; WR_EOF: none. */
enum wr_status wr_req_remote_user(struct wr_req *r, struct wr_str *ret) WR_MUST_CHECK;
/*
 * All request fields whose name reads as `name` when written in lower case with '_' for '-', joined
 * by ", " ("; " for Cookie). WR_EOF: none.
 */
enum wr_status wr_req_field(struct wr_req *r, struct wr_str name, struct wr_str *ret) WR_MUST_CHECK;

/* Stores a value in what a variable of the core module shows. WR_ENOMEM. */
typedef enum wr_status wr_var_store_fn(struct wr_req *r, struct wr_str value);
/* For `set $args` and `set $limit_rate`; NULL: the variable is a value and nothing else. */
wr_var_store_fn *wr_vars_core_store(struct wr_str name);

#endif
