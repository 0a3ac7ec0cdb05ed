/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userid.h: `userid`: cookies that tell clients apart.
 */
#ifndef WR_MOD_USERID_H
#define WR_MOD_USERID_H

struct wr_module;

extern const struct wr_module wr_userid_module;

#endif
