/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_ws.c: just enough of RFC 6455 for an echo: unfragmented frames up to 64 KiB, the mask taken
 * off, ping answered, close answered. SHA-1 is here because only this handshake needs it, and not
 * for security.
 */
#include "main/demo_ws.h"

#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/strbuf.h"

#define FRAME_MAX 65536u
#define OP_TEXT   0x1
#define OP_CLOSE  0x8
#define OP_PING   0x9
#define OP_PONG   0xa

static uint32_t roll(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

/* FIPS 180-4, one block of 64 bytes. */
static void sha1_block(uint32_t h[5], const uint8_t *p)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

    for (unsigned i = 0; i < 16; i++, p += 4) {
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (unsigned i = 16; i < 80; i++) {
        w[i] = roll(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    for (unsigned i = 0; i < 80; i++) {
        static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
        uint32_t f, t;

        if (i < 20) {
            f = (b & c) | (~b & d);
        } else if (i < 40 || i >= 60) {
            f = b ^ c ^ d;
        } else {
            f = (b & c) | (b & d) | (c & d);
        }
        t = roll(a, 5) + f + e + k[i / 20] + w[i];
        e = d;
        d = c;
        c = roll(b, 30);
        b = a;
        a = t;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

/* Of at most 119 bytes: two blocks. */
static void sha1_short(struct wr_str s, uint8_t out[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t room[128] = {0};
    size_t size = s.len < 56 ? 64 : 128;

    memcpy(room, s.ptr, s.len);
    room[s.len] = 0x80;
    room[size - 2] = (uint8_t)(s.len * 8 >> 8);
    room[size - 1] = (uint8_t)(s.len * 8);
    for (size_t i = 0; i < size; i += 64) {
        sha1_block(h, room + i);
    }
    for (unsigned i = 0; i < 20; i++) {
        out[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
    }
}

static bool send_handshake(struct wr_demo_conn *c)
{
    struct wr_str key = wr_demo_field(c, WR_STR("Sec-WebSocket-Key"));
    char room[512], text[119];
    struct wr_strbuf b, t;
    uint8_t digest[20];

    wr_strbuf_init_fixed(&t, text, sizeof(text));
    wr_strbuf_add_str(&t, key);
    wr_strbuf_add_z(&t, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    if (t.status != WR_OK) {
        return false;
    }
    sha1_short(wr_strbuf_str(&t), digest);
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    wr_strbuf_add_z(
        &b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: ");
    wr_codec_base64(&b, wr_str((const char *)digest, sizeof(digest)));
    wr_strbuf_add_z(&b, "\r\n\r\n");
    return b.status == WR_OK && wr_demo_send(c, b.ptr, b.len);
}

static bool send_frame(struct wr_demo_conn *c, unsigned op, struct wr_str s)
{
    uint8_t head[4] = {(uint8_t)(0x80 | op), (uint8_t)s.len};
    size_t n = 2;

    if (s.len > 125) {
        head[1] = 126;
        head[2] = (uint8_t)(s.len >> 8);
        head[3] = (uint8_t)s.len;
        n = 4;
    }
    return wr_demo_send(c, head, n) && wr_demo_send(c, s.ptr, s.len);
}

/* Exactly n bytes: those behind the head first. */
static bool take(struct wr_demo_conn *c, char *to, size_t n)
{
    while (n > 0) {
        size_t here = c->have - c->head.len;
        ssize_t got;

        if (here > 0) {
            size_t m = here < n ? here : n;

            memcpy(to, c->buf + c->head.len, m);
            memmove(c->buf + c->head.len, c->buf + c->head.len + m, here - m);
            c->have -= m;
            to += m;
            n -= m;
            continue;
        }
        got = read(c->fd, to, n);
        if (got <= 0) {
            return false;
        }
        to += got;
        n -= (size_t)got;
    }
    return true;
}

/* A frame of a client: always masked. *ret_len <= FRAME_MAX - 1. */
static bool take_frame(struct wr_demo_conn *c, char *room, unsigned *ret_op, size_t *ret_len)
{
    char head[2], more[2], mask[4];
    size_t len;

    if (!take(c, head, 2) || (head[1] & 0x80) == 0) {
        return false;
    }
    len = (size_t)(head[1] & 0x7f);
    if (len == 126) {
        if (!take(c, more, 2)) {
            return false;
        }
        len = (size_t)(uint8_t)more[0] << 8 | (uint8_t)more[1];
    }
    if (len == 127 || len >= FRAME_MAX || !take(c, mask, 4) || !take(c, room, len)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        room[i] = (char)(room[i] ^ mask[i % 4]);
    }
    *ret_op = head[0] & 0xf;
    *ret_len = len;
    return true;
}

static void greet(struct wr_demo_conn *c, uint64_t n)
{
    for (uint64_t i = 1; i <= n; i++) {
        char room[96];
        struct wr_strbuf b;

        wr_strbuf_init_fixed(&b, room, sizeof(room));
        wr_strbuf_printf(&b, "greeting %llu from peer %u\n", (unsigned long long)i, c->peer_no);
        if (!send_frame(c, OP_TEXT, wr_strbuf_str(&b))) {
            return;
        }
        wr_demo_pause(300);
    }
    (void)send_frame(c, OP_CLOSE, WR_STR("\x03\xe8"));
}

void wr_demo_ws_run(struct wr_demo_conn *c, uint64_t n)
{
    char room[FRAME_MAX];
    unsigned op;
    size_t len;

    if (!send_handshake(c)) {
        return;
    }
    if (n > 0) {
        greet(c, n);
        return;
    }
    while (take_frame(c, room, &op, &len)) {
        bool ok = send_frame(c, op == OP_PING ? OP_PONG : op, wr_str(room, len));

        if (!ok || op == OP_CLOSE) {
            return;
        }
    }
}
