/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c: see trace.h. A note names its object by a number: the request's for `req`, `up` and
 * `attempt`, the connection's for `h1 server` and the codecs of peers, the address of the stream
 * for its halves. Only notes since the request began count, as addresses are used again.
 *
 *   request 281474976710657 on connection *17: GET /slow HTTP/1.1
 *     client 10.0.0.1, server app.example, configuration 3, state CONTENT, for 1.204 s
 *     peer http://10.0.1.1:80/slow, connection *18
 *         +0 ms  h1 server   IDLE -> HEAD
 */
#include "main/trace.h"

#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/fsm.h"
#include "base/recorder.h"
#include "http/server.h"
#include "net/conn.h"
#include "up/up.h"

#define TEXT_MAX 300u /* of a request line, a host, an address of a peer */

/* The request being written, and which notes are its. */
struct notes {
    struct wr_strbuf *b;
    uint64_t req_no, conn_no, peer_conn_no, stream;
    uint64_t began_ms;
    uint64_t oldest_ms; /* of all notes that are still there; 0: none seen */
};

static bool is_machine(const struct wr_recorder_entry *e, const char *name)
{
    return strcmp(e->fsm->machine, name) == 0;
}

static bool is_of(const struct notes *n, const struct wr_recorder_entry *e)
{
    if (e->at_ms < n->began_ms || e->fsm == NULL) {
        return false;
    }
    if (is_machine(e, "req") || is_machine(e, "up") || is_machine(e, "attempt")) {
        return e->id == n->req_no;
    }
    if (is_machine(e, "h1 server")) {
        return e->id == n->conn_no;
    }
    if (is_machine(e, "stream rx") || is_machine(e, "stream tx")) {
        return e->id == n->stream;
    }
    return n->peer_conn_no != 0 && e->id == n->peer_conn_no; /* a codec towards a peer */
}

static void add_state(struct wr_strbuf *b, const struct wr_fsm *fsm, uint32_t state)
{
    if (state < fsm->cnt) {
        wr_strbuf_add_z(b, fsm->names[state]);
    } else {
        wr_strbuf_add_u64(b, state);
    }
}

static void write_note(void *data, const struct wr_recorder_entry *e)
{
    struct notes *n = data;

    if (n->oldest_ms == 0) {
        n->oldest_ms = e->at_ms;
        if (e->at_ms > n->began_ms) {
            wr_strbuf_add_z(n->b, "    (its first notes are overwritten)\n");
        }
    }
    if (!is_of(n, e)) {
        return;
    }
    wr_strbuf_printf(n->b, "  %+9lld ms  %-11s ", (long long)(e->at_ms - n->began_ms),
                     e->fsm->machine);
    add_state(n->b, e->fsm, e->from);
    wr_strbuf_add_z(n->b, " -> ");
    add_state(n->b, e->fsm, e->to);
    wr_strbuf_add_char(n->b, '\n');
}

/* Text from outside, without control bytes and not too long. */
static void add_text(struct wr_strbuf *b, struct wr_str s)
{
    wr_codec_escape(b, wr_str_sub(s, 0, TEXT_MAX), WR_ESCAPE_ERRLOG);
    if (s.len > TEXT_MAX) {
        wr_strbuf_add_z(b, "...");
    }
}

static void add_request_line(struct wr_strbuf *b, const struct wr_req *r)
{
    if (r->head == NULL || r->head->method_name.len == 0) {
        wr_strbuf_add_z(b, "(no request line)");
        return;
    }
    add_text(b, r->head->method_name);
    wr_strbuf_add_char(b, ' ');
    add_text(b, r->client_uri.raw.len > 0 ? r->client_uri.raw : r->uri.raw);
    wr_strbuf_printf(b, " HTTP/%u.%u", r->stream->version / 10u, r->stream->version % 10u);
}

static void add_client(struct wr_strbuf *b, const struct wr_addr *a)
{
    char text[WR_ADDR_TEXT_MAX];

    if (a->u.sa.sa_family == AF_UNIX) {
        wr_strbuf_add_z(b, "unix:");
    } else {
        wr_strbuf_add(b, text, wr_addr_write_host(a, text));
    }
}

static void write_req(struct wr_strbuf *b, const struct wr_req *r)
{
    uint64_t now = wr_now_ms(), began = r->stream->began_us / 1000;
    struct notes n = {.b = b,
                      .req_no = r->id,
                      .conn_no = r->log.conn_no,
                      .peer_conn_no = wr_up_conn_no(r),
                      .stream = (uint64_t)(uintptr_t)r->stream,
                      .began_ms = began};

    wr_strbuf_printf(b, "request %llu on connection *%llu: ", (unsigned long long)r->id,
                     (unsigned long long)r->log.conn_no);
    add_request_line(b, r);
    wr_strbuf_add_z(b, "\n  client ");
    add_client(b, &r->peer);
    wr_strbuf_add_z(b, ", host ");
    add_text(b, r->host);
    wr_strbuf_printf(b, ", configuration %llu, state %s, for %llu.%03u s\n",
                     (unsigned long long)r->gen->no, wr_req_state_name(r),
                     (unsigned long long)((now - began) / 1000), (unsigned)((now - began) % 1000));
    if (r->up_url.len > 0) {
        wr_strbuf_add_z(b, "  peer ");
        add_text(b, r->up_scheme);
        add_text(b, r->up_url);
        add_text(b, r->up_uri);
        if (n.peer_conn_no != 0) {
            wr_strbuf_printf(b, ", connection *%llu", (unsigned long long)n.peer_conn_no);
        }
        wr_strbuf_add_char(b, '\n');
    }
    wr_recorder_each(write_note, &n);
    wr_strbuf_add_char(b, '\n');
}

struct search {
    const struct wr_question *q;
    struct wr_strbuf *b;
    uint32_t cnt;
};

static bool is_wanted(const struct wr_question *q, const struct wr_req *r)
{
    switch (q->kind) {
    case WR_ASK_TRACE_CONN:
        return r->log.conn_no == q->id;
    case WR_ASK_TRACE_REQ:
        return r->id == q->id;
    case WR_ASK_TRACE_CLIENT:
        return wr_cidr_has(&q->client, &r->peer);
    case WR_ASK_STATUS:
    case WR_ASK_RELOAD:
        break;
    }
    return false;
}

static void look(void *data, const struct wr_req *r)
{
    struct search *s = data;

    if (r->stream == NULL || !is_wanted(s->q, r)) {
        return;
    }
    if (s->cnt++ < WR_TRACE_REQS_MAX) {
        write_req(s->b, r);
    }
}

uint32_t wr_trace_write(const struct wr_question *q, struct wr_strbuf *b)
{
    struct search s = {.q = q, .b = b};

    wr_http_reqs_each(look, &s);
    if (s.cnt > WR_TRACE_REQS_MAX) {
        wr_strbuf_printf(b, "... and %u more requests of this thread\n\n",
                         s.cnt - WR_TRACE_REQS_MAX);
    }
    return s.cnt;
}
