/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h: tells the service manager how the supervisor does (sd_notify(3), the datagram protocol
 * of NOTIFY_SOCKET; no library). All calls do nothing when there is no such socket. Supervisor's
 * thread.
 */
#ifndef WR_MAIN_NOTIFY_H
#define WR_MAIN_NOTIFY_H

#include <stdint.h>
#include <sys/types.h>

/* Takes NOTIFY_SOCKET out of the environment; the worker never sees it. */
void wr_notify_init(void);
/* "NOTIFY_SOCKET=..." for the environment of a new supervisor (upgrade); NULL: there is none. */
const char *wr_notify_env(void);
/* READY=1, MAINPID and a status text; the first time, and after each RELOADING. */
void wr_notify_ready(uint64_t generation);
/* RELOADING=1 with MONOTONIC_USEC. Ends with wr_notify_ready, also when the reload failed. */
void wr_notify_reloading(void);
void wr_notify_stopping(void);
/* Another process is the supervisor now (upgrade): MAINPID=pid. */
void wr_notify_main_pid(pid_t pid);

#endif
