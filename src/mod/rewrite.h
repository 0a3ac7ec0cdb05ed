/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.h: the `return` directive; rewrite, if, set and break are not here yet.
 */
#ifndef WR_MOD_REWRITE_H
#define WR_MOD_REWRITE_H

struct wr_module;

extern const struct wr_module wr_rewrite_module;

#endif
