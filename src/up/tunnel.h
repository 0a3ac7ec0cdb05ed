/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel.h: raw bytes both ways after a 101 (U9).
 * Thread of the request.
 */
#ifndef WR_UP_TUNNEL_H
#define WR_UP_TUNNEL_H

#include "base/compiler.h"
#include "base/status.h"

struct wr_up;

/* WR_AGAIN while it lives; WR_OK: both directions ended; WR_ECANCELED: cut. */
enum wr_status wr_up_tunnel_step(struct wr_up *u) WR_MUST_CHECK;

#endif
