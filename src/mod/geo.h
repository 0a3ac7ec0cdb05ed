/* SPDX-License-Identifier: Apache-2.0 */
/*
 * geo.h: the `geo` block: a variable whose value a table of networks finds by an address.
 */
#ifndef WR_MOD_GEO_H
#define WR_MOD_GEO_H

struct wr_module;

extern const struct wr_module wr_geo_module;

#endif
