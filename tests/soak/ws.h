/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws.h: frames of WebSocket (RFC 6455 5.2), whole ones only, payloads up to WS_MAX.
 */
#ifndef WR_SOAK_WS_H
#define WR_SOAK_WS_H

#include <stdbool.h>
#include <stddef.h>

#include "io.h"

#define WS_BINARY 2
#define WS_CLOSE  8
#define WS_MAX    4096

struct ws_frame {
    int opcode;
    char data[WS_MAX]; /* unmasked */
    size_t len;
};

/* Bytes of a whole frame; 0: not there yet; -1: broken. */
long ws_parse(const char *p, size_t n, bool is_masked, struct ws_frame *ret);
void ws_add(struct conn *c, int opcode, const char *p, size_t n, bool is_masked);

#endif
