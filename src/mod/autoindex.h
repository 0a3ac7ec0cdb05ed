/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autoindex.h: `autoindex`: a listing of the folder, where no index file was found.
 */
#ifndef WR_MOD_AUTOINDEX_H
#define WR_MOD_AUTOINDEX_H

struct wr_module;

extern const struct wr_module wr_autoindex_module;

#endif
