/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iptrie.h: networks with values, and the longest one that has an address. A binary tree over the
 * bits of an address in which a chain without branches is one node: a look-up takes as many steps
 * as networks lie inside of each other at most, 32 or 128, whatever their number. IPv4 and IPv6
 * have a tree each. Built by one thread, then read by any.
 */
#ifndef WR_BASE_IPTRIE_H
#define WR_BASE_IPTRIE_H

#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/status.h"

struct wr_iptrie_node;

struct wr_iptrie {
    struct wr_arena *arena; /* nodes live here */
    struct wr_iptrie_node *_v4, *_v6;
};

void wr_iptrie_init(struct wr_iptrie *t, struct wr_arena *a);
/*
 * The value of a network; the one that was there before in *ret_old, or NULL. Families AF_INET and
 * AF_INET6 only. value may be NULL: takes the network out. WR_ENOMEM.
 */
enum wr_status wr_iptrie_put(struct wr_iptrie *t, const struct wr_cidr *net, void *value,
                             void **ret_old) WR_MUST_CHECK;
/*
 * Value of the longest network that has the address; NULL: none. IPv6 addresses that are mapped
 * IPv4 addresses are looked up as these. Unix sockets are in none.
 */
void *wr_iptrie_find(const struct wr_iptrie *t, const struct wr_addr *a);
/* Value of the longest network that holds all of this one, be it the same; NULL: none. Families as
 * for put. */
void *wr_iptrie_find_net(const struct wr_iptrie *t, const struct wr_cidr *net);

#endif
