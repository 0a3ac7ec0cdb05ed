/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_sock.h: the socket at the bottom of a connection's link stack.
 */
#ifndef WR_NET_LINK_SOCK_H
#define WR_NET_LINK_SOCK_H

#include "net/link.h"

/* l must be the sock_link of a struct wr_conn. */
void wr_link_sock_init(struct wr_link *l);

#endif
