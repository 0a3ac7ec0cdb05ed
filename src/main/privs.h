/* SPDX-License-Identifier: Apache-2.0 */
/*
 * privs.h: who the worker is and what it may use: limits, priority, user, group, folder. Called in
 * the child between fork and exec, where there is one thread and root's rights are still there.
 */
#ifndef WR_MAIN_PRIVS_H
#define WR_MAIN_PRIVS_H

#include "base/compiler.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "main/main_conf.h"

/*
 * WR_ESYS: the worker must not start, as `why` says ("chdir(...) failed (2: ...)"). Limits that
 * cannot be had are an [alert] only.
 */
enum wr_status wr_privs_apply(const struct wr_main_conf *mc, struct wr_strbuf *why) WR_MUST_CHECK;
/* Gives a path to the worker's user when we are root. WR_ESYS: errno is set. */
enum wr_status wr_privs_chown(const struct wr_main_conf *mc, const char *path) WR_MUST_CHECK;

#endif
