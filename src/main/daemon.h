/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h: going into the background. The process that the user started stays until the daemon
 * serves (or fails), so that its exit code tells the truth and a script may use the server right
 * behind it.
 */
#ifndef WR_MAIN_DAEMON_H
#define WR_MAIN_DAEMON_H

#include "base/compiler.h"
#include "base/status.h"

/*
 * Returns in the new process only, a session leader with /dev/null as standard input and output.
 * Standard error is stderr_fd from now on (-1: as before), but what is said (say.h) goes to the old
 * one until the release. WR_ESYS: said; we are still the old process.
 */
enum wr_status wr_daemon_enter(int stderr_fd, int *ret_fd) WR_MUST_CHECK;
/* The old process ends with this code; closes fd. */
void wr_daemon_release(int fd, int code);

#endif
