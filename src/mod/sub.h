/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub.h: `sub_filter`.
 */
#ifndef WR_MOD_SUB_H
#define WR_MOD_SUB_H

struct wr_module;

extern const struct wr_module wr_sub_module;

#endif
