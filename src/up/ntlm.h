/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ntlm.h: `ntlm` in upstream{}: protocols that authenticate a connection, not a request. From the
 * first request whose Authorization is Negotiate or NTLM, the requests of one client connection go
 * over one connection to a peer, which nobody else may use. It is an idle connection whose identity
 * has the client connection's number; it stays on its thread, as the client's does, and ends like
 * any idle connection. Thread of the request.
 */
#ifndef WR_UP_NTLM_H
#define WR_UP_NTLM_H

#include <stdbool.h>
#include <stdint.h>

struct wr_up;

/* Only in groups with `ntlm`. Takes the peer that this client is bound to into u->slot. False: it
 * is bound to none (that can be had): the balancing method chooses. */
bool wr_up_ntlm_pick(struct wr_up *u);
/* The identity of connections for a request that is bound: u->bound_no is not 0. */
uint64_t wr_up_ntlm_identity(const struct wr_up *u);

#endif
