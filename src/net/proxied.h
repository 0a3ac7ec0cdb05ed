/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxied.h: what a header of the PROXY protocol told about a connection, with references: the
 * connection has one, and each of its requests. Immutable. Thread-bound.
 */
#ifndef WR_NET_PROXIED_H
#define WR_NET_PROXIED_H

#include <stdint.h>

#include "net/proxy_head.h"

struct wr_proxied {
    uint32_t _refcnt, _size;
    struct wr_proxy_head head; /* tlvs: a copy behind the struct */
};

/* A copy, one reference; NULL: no memory. */
struct wr_proxied *wr_proxied_new(const struct wr_proxy_head *h) WR_MUST_CHECK;
/* Value: p. Accepts NULL. */
struct wr_proxied *wr_proxied_ref(struct wr_proxied *p);
/* Accepts NULL. */
void wr_proxied_unref(struct wr_proxied *p);

#endif
