/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_origin.h: the servers behind `weir demo`: a process of its own with a few listening sockets
 * on loopback, each a peer with a name. Simple on purpose: a thread a connection, blocking calls,
 * at most WR_DEMO_CONNS_MAX connections.
 *
 *   /                 who answered, and what it received
 *   /slow?ms=         a body that comes in ten pieces over that time (3000)
 *   /download?size=   so many bytes (10m)
 *   /events?n=        server-sent events, one every 500 ms (10; 0: for ever)
 *   /ws?n=            WebSocket: n greetings and the end, or (n=0, or absent) an echo
 *   /flaky            the last peer fails every second time: 503, or the connection breaks
 *   anything else     404
 */
#ifndef WR_MAIN_DEMO_ORIGIN_H
#define WR_MAIN_DEMO_ORIGIN_H

#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/status.h"

#define WR_DEMO_PEERS     3
#define WR_DEMO_CONNS_MAX 256

struct wr_demo_origin {
    pid_t pid;                     /* 0: none */
    uint16_t ports[WR_DEMO_PEERS]; /* on 127.0.0.1 */
};

/* The process ends with this one, whatever happens. WR_ESYS: errno is set. Before any thread is
 * started. */
enum wr_status wr_demo_origin_start(struct wr_demo_origin *o) WR_MUST_CHECK;
/* Idempotent. */
void wr_demo_origin_stop(struct wr_demo_origin *o);

#endif
