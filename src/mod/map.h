/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h: the `map` block: a variable whose value a table finds by the value of a text.
 */
#ifndef WR_MOD_MAP_H
#define WR_MOD_MAP_H

struct wr_module;

extern const struct wr_module wr_map_module;

#endif
