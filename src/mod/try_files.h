/* SPDX-License-Identifier: Apache-2.0 */
/*
 * try_files.h: the `try_files` directive.
 */
#ifndef WR_MOD_TRY_FILES_H
#define WR_MOD_TRY_FILES_H

struct wr_module;

extern const struct wr_module wr_try_files_module;

#endif
