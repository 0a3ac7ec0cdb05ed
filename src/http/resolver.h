/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.h: the directive `resolver`: which name servers are asked at run time, and how long
 * answers hold. The set of servers with its cache is a fixture, known by what the directive says:
 * equal directives share one, and a reload keeps it.
 */
#ifndef WR_HTTP_RESOLVER_H
#define WR_HTTP_RESOLVER_H

#include "conf/dirs.h"
#include "conf/gen.h"
#include "net/dns.h"

struct wr_resolver {
    struct wr_fixture fixture; /* kind "resolver" */
    struct wr_dns *dns;        /* NULL in a dry run */
};

/*
 * Setter of a field `struct wr_resolver *`. ADDRESS[:PORT] ... | system, and valid=TIME,
 * ipv4=on|off, ipv6=on|off. A name among the addresses is resolved now.
 */
wr_dir_set_fn wr_set_resolver;

#endif
