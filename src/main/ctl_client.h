/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_client.h: commands that ask a running weir on its control socket (ctl.h): `weir status`,
 * `weir trace`, and `-s reload`, which waits for the result.
 */
#ifndef WR_MAIN_CTL_CLIENT_H
#define WR_MAIN_CTL_CLIENT_H

#include "main/cmdline.h"
#include "main/load.h"

/* Values: exit codes. */
int wr_ctl_status(const struct wr_cmdline *c, const struct wr_start *s);
int wr_ctl_trace(const struct wr_cmdline *c, const struct wr_start *s);
/*
 * Silent when the new configuration is served; else what the running weir said about it. Where that
 * has no control socket it is signalled, with a warning that the result is not known.
 */
int wr_ctl_reload(const struct wr_start *s);

#endif
