/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.h: rewrite, if, set, break, return.
 */
#ifndef WR_MOD_REWRITE_H
#define WR_MOD_REWRITE_H

struct wr_module;

extern const struct wr_module wr_rewrite_module;

#endif
