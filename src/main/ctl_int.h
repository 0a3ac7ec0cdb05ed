/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_int.h: the control socket's file (ctl_file.c), for ctl.c. Supervisor's thread.
 */
#ifndef WR_MAIN_CTL_INT_H
#define WR_MAIN_CTL_INT_H

#include "main/ctl.h"

/* Binds, listens; failures are said as warnings. Nothing when there is no pid file. */
void wr_ctl_open_file(struct wr_ctl *c);
/* Idempotent. */
void wr_ctl_close_file(struct wr_ctl *c);

#endif
