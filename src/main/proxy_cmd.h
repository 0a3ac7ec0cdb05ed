/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_cmd.h: `weir proxy --to URL ... [--listen ADDRESS]`: a proxy from one command line, in the
 * foreground.
 */
#ifndef WR_MAIN_PROXY_CMD_H
#define WR_MAIN_PROXY_CMD_H

#include "base/compiler.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "main/cmdline.h"
#include "main/load.h"

/* Value: exit code. */
int wr_proxy_run(const struct wr_cmdline *c, const struct wr_start *base);
/* The configuration these flags mean. WR_ECONFIG: err says why. tmp: a private folder. */
enum wr_status wr_proxy_write_conf(const struct wr_cmdline *c, const char *tmp, struct wr_strbuf *b,
                                   struct wr_strbuf *err) WR_MUST_CHECK;

#endif
