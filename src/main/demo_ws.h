/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_ws.h: the WebSocket page of the demonstration servers (RFC 6455), and what its files share.
 */
#ifndef WR_MAIN_DEMO_WS_H
#define WR_MAIN_DEMO_WS_H

#include <stdint.h>

#include "main/demo_pages.h"

/* 101, then n greetings and a close frame; n 0: echoes frames until the client closes. */
void wr_demo_ws_run(struct wr_demo_conn *c, uint64_t n);

/* demo_pages.c */
bool wr_demo_send(struct wr_demo_conn *c, const void *p, size_t n);
struct wr_str wr_demo_field(const struct wr_demo_conn *c, struct wr_str name);
void wr_demo_pause(uint64_t ms);

#endif
