/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssi.h: server-side includes: `ssi` and kin, $date_local, $date_gmt.
 */
#ifndef WR_MOD_SSI_H
#define WR_MOD_SSI_H

struct wr_module;

extern const struct wr_module wr_ssi_module;

#endif
