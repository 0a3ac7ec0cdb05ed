/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_redirect.h: the `internal_redirect` directive.
 */
#ifndef WR_MOD_INTERNAL_REDIRECT_H
#define WR_MOD_INTERNAL_REDIRECT_H

struct wr_module;

extern const struct wr_module wr_internal_redirect_module;

#endif
