/* SPDX-License-Identifier: Apache-2.0 */
/*
 * origin.h: the peers, a process of their own with two listening sockets. It ends when the one that
 * started it does.
 *
 *   GET  /b/SEED/SIZE        a body with a length
 *   GET  /c/SEED/SIZE        the same in chunks
 *   GET  /late/MS/SEED/SIZE  the same as /b/ after a while
 *   POST /up/SEED/SIZE       reads and compares the body: "ok SIZE" or "bad at OFFSET of SIZE"
 *   GET  /ev/MS              server-sent events "data: N", one every MS, for ever
 *   GET  /ws                 WebSocket: echo; a close frame is echoed and ends it
 *   GET  /cut/ANYTHING       the connection is closed instead of an answer
 *   anything else            404 with the body "none"
 */
#ifndef WR_SOAK_ORIGIN_H
#define WR_SOAK_ORIGIN_H

#include <stdint.h>

#define ORIGIN_PORTS 2

/* Forks; the listening sockets exist when this returns. */
void origin_start(uint16_t ports[ORIGIN_PORTS]);

#endif
