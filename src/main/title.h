/* SPDX-License-Identifier: Apache-2.0 */
/*
 * title.h: what ps(1) shows of a process: "weir: master process /usr/sbin/weir -c x.conf". The
 * title is written over the memory of the arguments and the environment, which the kernel shows.
 * Main thread.
 */
#ifndef WR_MAIN_TITLE_H
#define WR_MAIN_TITLE_H

#include "base/compiler.h"

/*
 * First thing in main: moves the arguments and the environment away. Value: the arguments as they
 * were, for the life of the process.
 */
char **wr_title_init(int argc, char **argv);
/* Cut where the room ends. Before wr_title_init: nothing. */
void wr_title_set(const char *fmt, ...) WR_PRINTF(1, 2);
/* "PROGRAM ARG ..." behind `prefix`, as nginx shows its master process. */
void wr_title_set_args(const char *prefix, char *const *argv);

#endif
