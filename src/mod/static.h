/* SPDX-License-Identifier: Apache-2.0 */
/*
 * static.h: root, alias and index: plain files.
 */
#ifndef WR_MOD_STATIC_H
#define WR_MOD_STATIC_H

struct wr_module;

extern const struct wr_module wr_static_module;

#endif
