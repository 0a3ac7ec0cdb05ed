/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random_index.h: `random_index`: one of the files in a folder, by chance.
 */
#ifndef WR_MOD_RANDOM_INDEX_H
#define WR_MOD_RANDOM_INDEX_H

struct wr_module;

extern const struct wr_module wr_random_index_module;

#endif
