/* SPDX-License-Identifier: Apache-2.0 */
/*
 * empty_gif.h: `empty_gif`: a picture of one pixel.
 */
#ifndef WR_MOD_EMPTY_GIF_H
#define WR_MOD_EMPTY_GIF_H

struct wr_module;

extern const struct wr_module wr_empty_gif_module;

#endif
