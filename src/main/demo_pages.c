/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_pages.c: a table of pages, see demo_origin.h for what they do. Blocking calls on a loopback
 * socket; a request body is read and counted, with a length or chunked (chunks are skipped by their
 * sizes).
 */
#include "main/demo_pages.h"

#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "base/sync.h"
#include "main/demo_origin.h"
#include "main/demo_ws.h"

#define BODY_MAX  ((uint64_t)1 << 40)
#define TEXT_MAX  ((size_t)256 << 10)
#define PIECE_MAX ((size_t)64 << 10)

struct page {
    const char *path;
    bool (*answer)(struct wr_demo_conn *c, struct wr_str args);
};

static wr_atomic_u32 flaky_cnt; /* requests for /flaky at the peer that fails */

/* --- small tools --- */

void wr_demo_pause(uint64_t ms)
{
    const struct timespec t = {.tv_sec = (time_t)(ms / 1000),
                               .tv_nsec = (long)(ms % 1000) * 1000000};

    (void)nanosleep(&t, NULL);
}

bool wr_demo_send(struct wr_demo_conn *c, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        ssize_t done = write(c->fd, at, n);

        if (done <= 0) {
            return false;
        }
        at += done;
        n -= (size_t)done;
    }
    return true;
}

/* First line of the head, without its end; *rest: what follows. */
static struct wr_str next_line(struct wr_str *rest)
{
    size_t n = wr_str_find(*rest, '\n');
    struct wr_str line = wr_str_sub(*rest, 0, n);

    *rest = wr_str_sub(*rest, n + 1, rest->len);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

struct wr_str wr_demo_field(const struct wr_demo_conn *c, struct wr_str name)
{
    struct wr_str rest = c->head;

    (void)next_line(&rest);
    while (rest.len > 0) {
        struct wr_str line = next_line(&rest);
        size_t colon = wr_str_find(line, ':');

        if (wr_str_ieq(wr_str_sub(line, 0, colon), name)) {
            return wr_str_trim(wr_str_sub(line, colon + 1, line.len));
        }
    }
    return WR_STR("");
}

/* Number of "name=" in the arguments, with k, m, g; dflt when it is absent or odd. */
static uint64_t arg(struct wr_str args, struct wr_str name, uint64_t dflt)
{
    struct wr_str field;
    uint64_t v;

    while (args.len > 0 && wr_str_split(&args, '&', &field)) {
        size_t eq = wr_str_find(field, '=');

        if (wr_str_eq(wr_str_sub(field, 0, eq), name) &&
            wr_num_parse_offset(wr_str_sub(field, eq + 1, field.len), BODY_MAX, &v) == WR_OK) {
            return v;
        }
    }
    return dflt;
}

static bool is_head_request(const struct wr_demo_conn *c)
{
    return wr_str_has_prefix(c->head, WR_STR("HEAD "));
}

/* A whole answer of text. */
static bool reply(struct wr_demo_conn *c, const char *status, const char *type, struct wr_str body)
{
    struct wr_strbuf b;
    bool ok;

    wr_strbuf_init(&b, TEXT_MAX + 1024);
    wr_strbuf_printf(&b,
                     "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Peer: %u\r\n\r\n",
                     status, type, body.len, c->peer_no);
    if (!is_head_request(c)) {
        wr_strbuf_add_str(&b, body);
    }
    ok = b.status == WR_OK && wr_demo_send(c, b.ptr, b.len);
    wr_strbuf_fini(&b);
    return ok;
}

/* Head of an answer without a known length: it ends with the connection. */
static bool begin_stream(struct wr_demo_conn *c, const char *type)
{
    struct wr_strbuf b;
    char room[512];

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    wr_strbuf_printf(
        &b,
        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-cache\r\nX-Peer: %u\r\n"
        "Connection: close\r\n\r\n",
        type, c->peer_no);
    return wr_demo_send(c, b.ptr, b.len) && !is_head_request(c);
}

/* --- the request's body --- */

/* At least one more byte behind the head in buf, from `from` on; false: gone. */
static bool fill(struct wr_demo_conn *c, size_t from)
{
    ssize_t n;

    if (c->have == sizeof(c->buf)) {
        c->have = from; /* what was there has been looked at */
    }
    n = read(c->fd, c->buf + c->have, sizeof(c->buf) - c->have);
    if (n <= 0) {
        return false;
    }
    c->have += (size_t)n;
    return true;
}

/* Drops n bytes that follow the head. */
static bool skip(struct wr_demo_conn *c, uint64_t n)
{
    size_t from = c->head.len;

    while (n > 0) {
        size_t here = c->have - from, take;

        if (here == 0) {
            if (!fill(c, from)) {
                return false;
            }
            continue;
        }
        take = n < here ? (size_t)n : here;
        memmove(c->buf + from, c->buf + from + take, here - take);
        c->have -= take;
        n -= take;
    }
    return true;
}

/* Cuts a line that follows the head; *ret: its number in hex. */
static bool take_chunk_line(struct wr_demo_conn *c, uint64_t *ret)
{
    size_t from = c->head.len;

    for (;;) {
        struct wr_str s = wr_str(c->buf + from, c->have - from);
        size_t n = wr_str_find(s, '\n');

        if (n < s.len) {
            struct wr_str digits = wr_str_trim(wr_str_sub(s, 0, wr_str_find(s, '\r')));

            digits.len = wr_str_find(digits, ';');
            if (digits.len == 0) {
                *ret = 0;
            } else if (wr_num_parse_hex(digits, BODY_MAX, ret) != WR_OK) {
                return false;
            }
            return skip(c, n + 1);
        }
        if (s.len > 1024 || !fill(c, from)) {
            return false;
        }
    }
}

static bool skip_chunked(struct wr_demo_conn *c, uint64_t *ret_len)
{
    uint64_t n;

    *ret_len = 0;
    do {
        if (!take_chunk_line(c, &n) || !skip(c, n)) {
            return false;
        }
        *ret_len += n;
        if (n > 0 && !skip(c, 2)) {
            return false;
        }
    } while (n > 0);
    return skip(c, 2); /* weir sends no trailers unless a client did: then the connection ends */
}

static bool skip_body(struct wr_demo_conn *c, uint64_t *ret_len)
{
    struct wr_str len = wr_demo_field(c, WR_STR("Content-Length"));

    *ret_len = 0;
    if (wr_str_list_has(wr_demo_field(c, WR_STR("Transfer-Encoding")), WR_STR("chunked"))) {
        return skip_chunked(c, ret_len);
    }
    if (len.len == 0) {
        return true;
    }
    return wr_num_parse_u64(len, BODY_MAX, ret_len) == WR_OK && skip(c, *ret_len);
}

/* --- pages --- */

static const char script[] =
    "<script>const l=document.getElementById('log');const w=new WebSocket((location.protocol=='https:'?'wss://':"
    "'ws://')+location.host+'/ws');const say=t=>{l.textContent+=t+'\\n'};w.onopen=()=>{say('WebSocket: open');"
    "w.send('hello')};w.onmessage=e=>say('WebSocket: '+e.data);const s=new EventSource('/events?n=5');"
    "s.onmessage=e=>say('event: '+e.data);s.onerror=()=>s.close();</script>";

static void add_html(struct wr_strbuf *b, const struct wr_demo_conn *c)
{
    wr_strbuf_printf(
        b,
        "<!doctype html><title>weir</title><style>body{font:16px sans-serif;margin:2em}"
        "pre{background:#eee;padding:1em}</style><h1>Peer %u answered</h1>"
        "<p>Reload: the peers take turns. <a href=/slow>slow</a> "
        "<a href=/events>events</a> <a href='/download?size=10m'>download</a> "
        "<a href=/flaky>flaky</a></p><p>It received:</p><pre>",
        c->peer_no);
    wr_codec_escape(b, c->head, WR_ESCAPE_HTML);
    wr_strbuf_add_z(b, "</pre><pre id=log></pre>");
    wr_strbuf_add_z(b, script);
}

static bool answer_root(struct wr_demo_conn *c, struct wr_str args)
{
    struct wr_str accept = wr_demo_field(c, WR_STR("Accept"));
    bool is_html = wr_str_find_str(accept, WR_STR("text/html")) < accept.len;
    struct wr_strbuf b;
    uint64_t len;
    bool ok;

    (void)args; /* shown as part of the head */
    if (!skip_body(c, &len)) {
        return false;
    }
    wr_strbuf_init(&b, TEXT_MAX);
    if (is_html) {
        add_html(&b, c);
    } else {
        wr_strbuf_printf(&b, "peer %u answered; it received:\n\n", c->peer_no);
        wr_strbuf_add_str(&b, c->head);
        if (len > 0) {
            wr_strbuf_printf(&b, "and a body of %llu bytes\n", (unsigned long long)len);
        }
    }
    ok = reply(c, "200 OK", is_html ? "text/html" : "text/plain", wr_strbuf_str(&b));
    wr_strbuf_fini(&b);
    return ok;
}

static bool answer_slow(struct wr_demo_conn *c, struct wr_str args)
{
    uint64_t ms = arg(args, WR_STR("ms"), 3000), len;

    if (!skip_body(c, &len) || !begin_stream(c, "text/plain")) {
        return false;
    }
    for (unsigned i = 1; i <= 10; i++) {
        char room[64];
        struct wr_strbuf b;

        wr_demo_pause(WR_MIN(ms, 600000) / 10);
        wr_strbuf_init_fixed(&b, room, sizeof(room));
        wr_strbuf_printf(&b, "piece %u of 10 from peer %u\n", i, c->peer_no);
        if (!wr_demo_send(c, b.ptr, b.len)) {
            return false;
        }
    }
    return false;
}

static bool answer_download(struct wr_demo_conn *c, struct wr_str args)
{
    static char piece[PIECE_MAX]; /* zeros, only read */
    uint64_t size = arg(args, WR_STR("size"), 10u << 20), len;
    struct wr_strbuf b;
    char room[256];

    if (!skip_body(c, &len)) {
        return false;
    }
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    wr_strbuf_printf(
        &b,
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %llu\r\n"
        "X-Peer: %u\r\n\r\n",
        (unsigned long long)size, c->peer_no);
    if (!wr_demo_send(c, b.ptr, b.len)) {
        return false;
    }
    while (size > 0 && !is_head_request(c)) {
        size_t n = size < sizeof(piece) ? (size_t)size : sizeof(piece);

        if (!wr_demo_send(c, piece, n)) {
            return false;
        }
        size -= n;
    }
    return true;
}

static bool answer_events(struct wr_demo_conn *c, struct wr_str args)
{
    uint64_t n = arg(args, WR_STR("n"), 10), len;

    if (!skip_body(c, &len) || !begin_stream(c, "text/event-stream")) {
        return false;
    }
    for (uint64_t i = 1; n == 0 || i <= n; i++) {
        char room[96];
        struct wr_strbuf b;

        wr_strbuf_init_fixed(&b, room, sizeof(room));
        wr_strbuf_printf(&b, "data: event %llu from peer %u\n\n", (unsigned long long)i,
                         c->peer_no);
        if (!wr_demo_send(c, b.ptr, b.len)) {
            return false;
        }
        wr_demo_pause(500);
    }
    return false;
}

static bool answer_flaky(struct wr_demo_conn *c, struct wr_str args)
{
    struct wr_strbuf b;
    char room[128];
    uint64_t len;

    (void)args; /* none */
    if (!skip_body(c, &len)) {
        return false;
    }
    if (c->peer_no == WR_DEMO_PEERS) {
        switch (wr_add_rlx(&flaky_cnt, 1) % 4) {
        case 0:
            return false; /* breaks the connection without a word */
        case 2:
            return reply(c, "503 Service Unavailable", "text/plain", WR_STR("out of order\n"));
        default:
            break;
        }
    }
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    wr_strbuf_printf(&b, "peer %u answered; peer %u fails every second time, weir asks the next\n",
                     c->peer_no, WR_DEMO_PEERS);
    return reply(c, "200 OK", "text/plain", wr_strbuf_str(&b));
}

static bool answer_ws(struct wr_demo_conn *c, struct wr_str args)
{
    if (wr_demo_field(c, WR_STR("Sec-WebSocket-Key")).len == 0) {
        return reply(c, "426 Upgrade Required", "text/plain", WR_STR("WebSocket only\n"));
    }
    wr_demo_ws_run(c, arg(args, WR_STR("n"), 0));
    return false;
}

static const struct page pages[] = {
    {"/",         answer_root    },
    {"/slow",     answer_slow    },
    {"/download", answer_download},
    {"/events",   answer_events  },
    {"/flaky",    answer_flaky   },
    {"/ws",       answer_ws      },
};

bool wr_demo_answer(struct wr_demo_conn *c)
{
    struct wr_str rest = c->head, line = next_line(&rest), method, target, path;
    size_t mark;
    uint64_t len;

    if (!wr_str_split(&line, ' ', &method) || !wr_str_split(&line, ' ', &target)) {
        return false;
    }
    mark = wr_str_find(target, '?');
    path = wr_str_sub(target, 0, mark);
    for (size_t i = 0; i < WR_ARRAY_LEN(pages); i++) {
        if (wr_str_eq_z(path, pages[i].path)) {
            return pages[i].answer(c, wr_str_sub(target, mark + 1, target.len));
        }
    }
    return skip_body(c, &len) && reply(c, "404 Not Found", "text/plain", WR_STR("no such page\n"));
}
