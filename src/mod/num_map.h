/* SPDX-License-Identifier: Apache-2.0 */
/*
 * num_map.h: the `num_map` block: a variable whose value is found by a number.
 */
#ifndef WR_MOD_NUM_MAP_H
#define WR_MOD_NUM_MAP_H

struct wr_module;

extern const struct wr_module wr_num_map_module;

#endif
