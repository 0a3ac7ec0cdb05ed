/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addition.h: `add_before_body`, `add_after_body`: what other locations answer, around a body.
 */
#ifndef WR_MOD_ADDITION_H
#define WR_MOD_ADDITION_H

struct wr_module;

extern const struct wr_module wr_addition_module;

#endif
