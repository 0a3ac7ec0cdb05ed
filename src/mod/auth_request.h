/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_request.h: `auth_request` and `auth_request_set`: another location says who may come in.
 */
#ifndef WR_MOD_AUTH_REQUEST_H
#define WR_MOD_AUTH_REQUEST_H

struct wr_module;

extern const struct wr_module wr_auth_request_module;

#endif
