/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror.h: `mirror` and `mirror_request_body`: requests go elsewhere, too, and nobody waits for
 * that.
 */
#ifndef WR_MOD_MIRROR_H
#define WR_MOD_MIRROR_H

struct wr_module;

extern const struct wr_module wr_mirror_module;

#endif
