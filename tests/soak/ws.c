/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws.c: see ws.h.
 */
#include "ws.h"

#include <string.h>

long ws_parse(const char *p, size_t n, bool is_masked, struct ws_frame *ret)
{
    const unsigned char *b = (const unsigned char *)p;
    size_t at = 2, len;

    if (n < 2) {
        return 0;
    }
    if ((b[0] & 0xf0) != 0x80 || ((b[1] & 0x80) != 0) != is_masked || (b[1] & 0x7f) == 127) {
        return -1;
    }
    len = b[1] & 0x7f;
    if (len == 126) {
        if (n < 4) {
            return 0;
        }
        len = (size_t)b[2] << 8 | b[3];
        at = 4;
    }
    if (len > WS_MAX) {
        return -1;
    }
    if (n < at + (is_masked ? 4 : 0) + len) {
        return 0;
    }
    ret->opcode = b[0] & 0x0f;
    ret->len = len;
    if (!is_masked) {
        memcpy(ret->data, p + at, len);
        return (long)(at + len);
    }
    for (size_t i = 0; i < len; i++) {
        ret->data[i] = (char)(b[at + 4 + i] ^ b[at + i % 4]);
    }
    return (long)(at + 4 + len);
}

void ws_add(struct conn *c, int opcode, const char *p, size_t n, bool is_masked)
{
    unsigned char head[8];
    unsigned char mask[4];
    char data[WS_MAX];
    size_t at = 2;

    head[0] = (unsigned char)(0x80 | opcode);
    head[1] = (unsigned char)((is_masked ? 0x80 : 0) | (n < 126 ? n : 126));
    if (n >= 126) {
        head[2] = (unsigned char)(n >> 8);
        head[3] = (unsigned char)n;
        at = 4;
    }
    if (!is_masked) {
        conn_add(c, head, at);
        conn_add(c, p, n);
        return;
    }
    for (int i = 0; i < 4; i++) {
        mask[i] = (unsigned char)random_below(256);
        head[at++] = mask[i];
    }
    for (size_t i = 0; i < n; i++) {
        data[i] = (char)((unsigned char)p[i] ^ mask[i % 4]);
    }
    conn_add(c, head, at);
    conn_add(c, data, n);
}
