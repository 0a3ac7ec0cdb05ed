/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset.h: `charset`, `source_charset`, `charset_map` and kin.
 */
#ifndef WR_MOD_CHARSET_H
#define WR_MOD_CHARSET_H

struct wr_module;

extern const struct wr_module wr_charset_module;

#endif
