/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.h: the first process: reads the configuration, opens what needs rights, keeps one
 * worker alive, obeys signals. It never sees a byte of traffic.
 */
#ifndef WR_MAIN_SUPERVISOR_H
#define WR_MAIN_SUPERVISOR_H

#include "main/load.h"

/* Starts, serves, ends. Value: exit code. Signals are blocked by main(). */
int wr_supervisor_run(const struct wr_start *s);
/* -t, -T (is_dump), -q. Value: exit code. */
int wr_supervisor_test(const struct wr_start *s, bool is_dump, bool is_quiet);
/* -s. Value: exit code. */
int wr_supervisor_signal(const struct wr_start *s, int signo);

#endif
