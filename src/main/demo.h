/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo.h: `weir demo`: servers of its own behind weir, and commands worth trying. Ends by Ctrl-C,
 * leaves nothing.
 */
#ifndef WR_MAIN_DEMO_H
#define WR_MAIN_DEMO_H

#include "main/cmdline.h"
#include "main/load.h"

/* Value: exit code. base: how the program was started; its configuration is replaced. */
int wr_demo_run(const struct wr_cmdline *c, const struct wr_start *base);

#endif
