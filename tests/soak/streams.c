/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streams.c: what lasts: slow downloads, event streams, WebSockets.
 */
#include <stdio.h>
#include <string.h>

#include "users.h"
#include "ws.h"

#define FRAMES_AHEAD 3 /* sent and not yet heard */

/* Most end within 2 s: each may hold a generation of its own, of which 16 may live. */
static uint64_t down_size(const struct user *u)
{
    uint64_t half_s = u->no % 5 == 4 ? options.long_s * 2 : 1 + u->no % 5;

    return options.rate * half_s / 2;
}

void stream_ask(struct user *u)
{
    unsigned long long a, b;

    u->begun_ms = loop_now_ms();
    u->said = u->heard = 0;
    u->want_cnt = 1;
    u->wants[0] = (struct want){.status = 200, .body = BODY_ANY};
    switch (u->kind) {
    case DOWN:
        a = random_below(1000);
        b = down_size(u);
        (void)snprintf(u->target, sizeof(u->target), "/%s/%llu/%llu", u->no % 2 ? "b" : "c", a, b);
        u->wants[0] = (struct want){.status = 200, .body = BODY_PATTERN, .seed = a, .size = b};
        break;
    case EVENTS:
        (void)snprintf(u->target, sizeof(u->target), "/ev/%llu",
                       (unsigned long long)options.event_ms);
        break;
    case SOCKET:
        (void)snprintf(u->target, sizeof(u->target), "/ws");
        u->wants[0].status = 101;
        break;
    case KEEP:
    case VISIT:
    case ONCE:
    case KIND_CNT:
        break;
    }
    conn_addf(&u->c, "GET %s HTTP/1.1\r\nHost: traffic\r\n", u->target);
    if (u->kind == SOCKET) {
        conn_addf(&u->c,
                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: key-%u\r\n",
                  u->no);
    }
    conn_addf(&u->c, "\r\n");
}

size_t down_budget(const struct user *u)
{
    uint64_t may = options.rate * (loop_now_ms() - u->begun_ms) / 1000 + 1000;

    if (u->kind != DOWN || is_stopping) {
        return PIECE_MAX;
    }
    may = may > u->got ? may - u->got : 0;
    return may < PIECE_MAX ? (size_t)may : PIECE_MAX;
}

bool events_take(struct user *u, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char want[TEXT_MAX];
        int len;

        if (u->text_len == TEXT_MAX - 1) {
            note_fault(u, FAULT_BODY, "an endless event");
            return false;
        }
        u->text[u->text_len++] = p[i];
        if (u->text_len < 2 || memcmp(u->text + u->text_len - 2, "\n\n", 2) != 0) {
            continue;
        }
        len = snprintf(want, sizeof(want), "data: %llu\n\n", (unsigned long long)u->heard);
        if ((size_t)len != u->text_len || memcmp(want, u->text, u->text_len) != 0) {
            note_fault(u, FAULT_BODY, "an event that does not follow the last one");
            return false;
        }
        u->heard++;
        u->text_len = 0;
        stats.events++;
    }
    return true;
}

/* --- WebSocket: frame k of a user has a length and a content that both know --- */

static size_t frame_len(const struct user *u, uint64_t k)
{
    uint64_t v = (k * 2654435761u + u->no * 40503u) % 4099;

    return v % 8 == 0 ? (size_t)(v % 3000) : (size_t)(v % 120);
}

static void say(struct user *u)
{
    size_t n = frame_len(u, u->said), piece = n;
    uint64_t off = u->said * 97;
    const char *p = pattern_at(u->no, off, &piece);
    char data[WS_MAX];

    memcpy(data, p, piece);
    for (size_t at = piece; at < n; at += piece) {
        piece = n - at;
        p = pattern_at(u->no, off + at, &piece);
        memcpy(data + at, p, piece);
    }
    ws_add(&u->c, WS_BINARY, data, n, true);
    u->said++;
}

void socket_tick(struct user *u)
{
    if (is_stopping) {
        if (u->heard == u->said) {
            ws_add(&u->c, WS_CLOSE, "\3\350", 2, true);
            u->state = ENDING;
            u->progress_ms = loop_now_ms();
            user_send(u);
        }
        return;
    }
    if (loop_now_ms() < u->at_ms || u->said - u->heard >= FRAMES_AHEAD) {
        return;
    }
    if (u->said == u->heard) {
        u->progress_ms = loop_now_ms(); /* the answer is waited for from now on */
    }
    u->at_ms = loop_now_ms() + random_below(options.frame_ms * 2 + 1);
    say(u);
    user_send(u);
}

bool socket_take(struct user *u)
{
    struct reader *r = &u->c.in;
    struct ws_frame f;
    long n;

    while ((n = ws_parse(r->buf + r->start, r->len - r->start, false, &f)) > 0) {
        reader_take(r, (size_t)n);
        if (f.opcode == WS_CLOSE && u->state == ENDING && u->heard == u->said) {
            continue; /* the end of the connection follows */
        }
        if (f.opcode != WS_BINARY || u->heard == u->said || f.len != frame_len(u, u->heard) ||
            !pattern_is(u->no, u->heard * 97, f.data, f.len)) {
            note_fault(u, FAULT_BODY, "an echo that is not the next");
            return false;
        }
        u->heard++;
        stats.frames++;
    }
    if (n < 0) {
        note_fault(u, FAULT_PROTOCOL, "a bad frame");
    }
    return n == 0;
}
