/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_addr.h: where the control socket is: beside the pid file, "/run/weir.pid" -> "/run/weir.sock"
 * (".sock" behind a name that does not end so). Known to the supervisor and to its clients.
 */
#ifndef WR_MAIN_CTL_ADDR_H
#define WR_MAIN_CTL_ADDR_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_CTL_PATH_MAX 4096

/* '\0' behind it. WR_ELIMIT: too long. */
enum wr_status wr_ctl_path(struct wr_str pid_file, char ret[WR_CTL_PATH_MAX]) WR_MUST_CHECK;
/*
 * bind() and connect(), also for names that are longer than a socket's address may be. WR_ESYS:
 * errno says why.
 */
enum wr_status wr_ctl_bind(int fd, const char *path) WR_MUST_CHECK;
enum wr_status wr_ctl_connect(int fd, const char *path) WR_MUST_CHECK;

#endif
