/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headers.h: `add_header`, `add_trailer`, `expires`.
 */
#ifndef WR_MOD_HEADERS_H
#define WR_MOD_HEADERS_H

struct wr_module;

extern const struct wr_module wr_headers_module;

#endif
