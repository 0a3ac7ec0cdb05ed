/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars_proxy.h: $proxy_protocol_addr and its kin: what the header of the PROXY protocol told about
 * the client's connection (listen ... proxy_protocol), for modules too.
 */
#ifndef WR_HTTP_VARS_PROXY_H
#define WR_HTTP_VARS_PROXY_H

#include <stdbool.h>

#include "base/addr.h"
#include "http/module.h"

extern const struct wr_module wr_vars_proxy_module;

/* The client's address, with its port, as the header told it; false: there is none. */
bool wr_req_proxied_client(const struct wr_req *r, struct wr_addr *ret);

#endif
