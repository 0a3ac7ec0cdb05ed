/* SPDX-License-Identifier: Apache-2.0 */
/*
 * referer.h: `valid_referers`: does the request come from a page of ours? ($invalid_referer)
 */
#ifndef WR_MOD_REFERER_H
#define WR_MOD_REFERER_H

struct wr_module;

extern const struct wr_module wr_referer_module;

#endif
