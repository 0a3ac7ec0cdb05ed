/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bind.h: the local side of connections to peers (*_bind): an address, with or without a port, out
 * of variables; part of a connection's identity (U10.4).
 */
#ifndef WR_UP_BIND_H
#define WR_UP_BIND_H

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

struct wr_up;

/* "1.2.3.4", "1.2.3.4:80", "::1", "[::1]:80". WR_EPROTO: nothing of these. Any thread. */
enum wr_status wr_up_bind_parse(struct wr_str s, struct wr_addr *ret) WR_MUST_CHECK;
/*
 * Evaluates *_bind into u->opts and the identity; a value that is no address is logged and the
 * system chooses. Thread of the request. WR_ENOMEM.
 */
enum wr_status wr_up_bind_eval(struct wr_up *u) WR_MUST_CHECK;

#endif
