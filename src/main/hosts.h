/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.h: addresses of host names at start and reload, by the system's resolver. Blocks its
 * caller, so only the supervisor calls it; the worker reads the answers from the bundle.
 */
#ifndef WR_MAIN_HOSTS_H
#define WR_MAIN_HOSTS_H

#include <stddef.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_HOSTS_MAX        256   /* addresses of one name */
#define WR_HOSTS_TIMEOUT_MS 10000 /* for one name; then it counts as not found */

/* Port 0 in each. WR_EOF: there are none, or not in time. WR_ENOMEM. */
enum wr_status wr_hosts_resolve(struct wr_arena *a, struct wr_str host, struct wr_addr **ret_addrs,
                                size_t *ret_cnt) WR_MUST_CHECK;

#endif
