/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.h: `allow` and `deny`: clients by their address.
 */
#ifndef WR_MOD_ACCESS_H
#define WR_MOD_ACCESS_H

struct wr_module;

extern const struct wr_module wr_access_module;

#endif
