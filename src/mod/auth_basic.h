/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_basic.h: `auth_basic` and `auth_basic_user_file`: users with passwords (RFC 7617).
 */
#ifndef WR_MOD_AUTH_BASIC_H
#define WR_MOD_AUTH_BASIC_H

struct wr_module;

extern const struct wr_module wr_auth_basic_module;

#endif
