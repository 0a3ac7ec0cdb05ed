/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simple_io.c: the answer of one exchange with a table: the head in one piece, the body by filter,
 * length or close.
 *
 *   connection -> rest -> process_header -> rest -> input_filter -> stream->in
 *
 * While a head is gathered, `rest` is a chunk of our own that grows, and the message's slices
 * follow. What the table gives back is checked: it may be a third party's. Owner thread only.
 */
#include "proto/simple_int.h"

#include <string.h>

#include "base/chars.h"
#include "base/obj.h"
#include "event/loop.h"
#include "http/h1_write.h"

void simple_leave_in(struct simple_xchg *x, enum wr_reason why)
{
    struct wr_pipe *in = wr_take(&x->in);

    if (in == NULL) {
        return;
    }
    if (why == WR_REASON_NONE) {
        wr_pipe_eof(in);
    } else {
        wr_pipe_fail(in, why);
    }
    wr_pipe_leave_producer(in);
}

void simple_drop_rest(struct simple_pconn *c)
{
    wr_chunk_unref(wr_take(&c->rest));
    c->off = c->len = 0;
    c->is_gathered = false;
}

/* The first n bytes of rest are used. */
static void skip_rest(struct simple_pconn *c, size_t n)
{
    c->off += (uint32_t)n;
    c->len -= (uint32_t)n;
    c->x->s.rx_bytes += n;
    if (c->len == 0) {
        simple_drop_rest(c);
    }
}

/* ---- the head ------------------------------------------------------------------------------- */

static size_t head_limit(const struct simple_xchg *x)
{
    return WR_MIN((size_t)x->s.head_max, (size_t)SIMPLE_HEAD_MAX);
}

/* Nothing that a table hands over may end a line at the client (U14.1). */
static bool is_head_safe(const struct wr_msg *m)
{
    uint32_t i;
    size_t k;

    for (i = 0; i < m->hdrs.cnt; i++) {
        const struct wr_hdr *h = &m->hdrs.at[i];

        for (k = 0; k < h->name.len && wr_char_is((unsigned char)h->name.ptr[k], WR_CH_TOKEN);
             k++) {
        }
        if (h->name.len == 0 || k < h->name.len || !wr_h1_value_is_safe(h->value)) {
            return false;
        }
    }
    return wr_h1_value_is_safe(m->reason);
}

/* The head's bytes go to the arena, where the message's slices follow. */
static bool keep_head(struct simple_pconn *c, size_t used)
{
    struct simple_xchg *x = c->x;
    const char *at = c->rest->data + c->off;
    char *copy = wr_arena_bytes(x->s.arena, WR_MAX(used, (size_t)1));

    if (copy == NULL) {
        return false;
    }
    memcpy(copy, at, used);
    wr_msg_rebase(x->q->head, at, used, copy);
    skip_rest(c, used);
    return true;
}

/* How the body ends (U6.7, U12.1). */
static void set_framing(struct simple_xchg *x)
{
    struct wr_msg *m = x->q->head;
    bool has_filter = x->table->input_filter != NULL;

    x->body_len = x->q->length;
    if (x->body_len != WR_LENGTH_UNKNOWN &&
        (x->body_len > 0 || m->content_length == WR_LENGTH_UNKNOWN)) {
        m->content_length = x->body_len;
    }
    if (wr_status_is_bodyless(m->status, x->s.head_out->method)) {
        m->framing = WR_FRAMING_NONE;
        x->is_self_framed = x->body_len == 0 && !has_filter;
        x->body_len = 0;
        return;
    }
    x->is_self_framed = has_filter || x->body_len != WR_LENGTH_UNKNOWN;
    if (x->body_len != WR_LENGTH_UNKNOWN) {
        m->framing = WR_FRAMING_LENGTH;
    } else {
        m->framing = has_filter ? WR_FRAMING_CHUNKED : WR_FRAMING_CLOSE;
    }
}

static bool take_head(struct simple_pconn *c, size_t used)
{
    struct simple_xchg *x = c->x;
    struct wr_stream *s = &x->s;
    struct wr_msg *m = x->q->head;
    bool has_body;

    if (!keep_head(c, used)) {
        return simple_fail(c, WR_REASON_NOMEM, 0);
    }
    if (m->status < 200 || m->status > 999 || !is_head_safe(m)) {
        return simple_fail(c, WR_REASON_BAD_HEAD, 0);
    }
    if (x->table->input_filter_init != NULL && x->table->input_filter_init(x->q) != WR_OK) {
        return simple_fail(c, WR_REASON_INTERNAL, 0);
    }
    set_framing(x);
    has_body =
        m->framing != WR_FRAMING_NONE && (x->body_len != 0 || x->table->input_filter != NULL);
    if (has_body) {
        /* Before the head is anybody's: a head whose body cannot come is no answer. */
        x->in = s->in = wr_pipe_new(WR_MAX(s->in_high, (size_t)1), &c->pc.conn->task, NULL);
        if (s->in == NULL) {
            return simple_fail(c, WR_REASON_NOMEM, 0);
        }
    }
    m->version = m->version == 0 ? 11 : m->version;
    s->version = (uint8_t)m->version;
    s->head_in = m;
    s->head_us = wr_loop_get()->turn_began_us;
    wr_stream_set_rx(s, WR_HALF_BODY);
    wr_task_wake_opt(s->user);
    if (!has_body) {
        simple_end_rx(c);
    }
    return true;
}

static bool parse_head(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;
    size_t n = WR_MIN((size_t)c->len, head_limit(x)), used = 0;

    switch (x->table->process_header(x->q, c->rest->data + c->off, n, &used)) {
    case WR_PROTO_DONE:
        return WR_ASSERT_REQ(used <= n) ? take_head(c, used)
                                        : simple_fail(c, WR_REASON_INTERNAL, 0);
    case WR_PROTO_AGAIN:
        return n < head_limit(x) ? true : simple_fail(c, WR_REASON_BIG_HEAD, 0);
    case WR_PROTO_INVALID:
        return simple_fail(c, WR_REASON_BAD_HEAD, 0);
    case WR_PROTO_FAILED:
        return simple_fail(c, WR_REASON_INTERNAL, 0);
    }
    WR_UNREACHABLE();
}

/* ---- the body ------------------------------------------------------------------------------- */

/* n bytes at p, inside rest, are body. False: no memory. */
static bool push_body(struct simple_pconn *c, const char *p, size_t n)
{
    struct simple_xchg *x = c->x;
    struct wr_slice sl = {.kind = WR_SLICE_CHUNK, .len = n};
    enum wr_status st;

    x->s.rx_body_bytes += n;
    if (n == 0 || x->is_dropping) {
        return true;
    }
    sl.u.chunk = wr_chunk_ref(c->rest);
    sl.off = (uint64_t)(p - c->rest->data);
    st = wr_pipe_push(x->in, sl);
    /* With nobody there the wire is read on to the end, so that the connection stays usable. */
    x->is_dropping = st == WR_EPEERGONE;
    return st == WR_OK || x->is_dropping;
}

/* Did the filter go on, and stay within what it was given? A third party's may not. */
static bool is_fair(enum wr_proto_result res, struct wr_str in, size_t used, struct wr_str data)
{
    if (used > in.len || (used == 0 && res != WR_PROTO_DONE)) {
        return false;
    }
    return data.len == 0 || ((uintptr_t)data.ptr >= (uintptr_t)in.ptr && data.len <= used &&
                             (uintptr_t)data.ptr - (uintptr_t)in.ptr <= used - data.len);
}

static bool feed_filter(struct simple_pconn *c, size_t n)
{
    struct simple_xchg *x = c->x;
    struct wr_str in = wr_str(c->rest->data + c->off, n), data = WR_STR_NULL;
    size_t used = 0;
    enum wr_proto_result res = x->table->input_filter(x->q, in.ptr, n, &used, &data);
    bool is_known = x->body_len != WR_LENGTH_UNKNOWN;

    if (res == WR_PROTO_INVALID) {
        return simple_fail(c, WR_REASON_BAD_BODY, 0);
    }
    if (res == WR_PROTO_FAILED || !WR_ASSERT_REQ(is_fair(res, in, used, data))) {
        return simple_fail(c, WR_REASON_INTERNAL, 0);
    }
    if (is_known && data.len > x->body_len - x->s.rx_body_bytes) {
        return simple_fail(c, WR_REASON_BAD_BODY, 0);
    }
    if (!push_body(c, data.ptr, data.len)) {
        return simple_fail(c, WR_REASON_NOMEM, 0);
    }
    skip_rest(c, used);
    if (res != WR_PROTO_DONE) {
        return true;
    }
    if (is_known && x->s.rx_body_bytes < x->body_len) {
        return simple_fail(c, WR_REASON_TRUNCATED, 0);
    }
    simple_end_rx(c);
    return true;
}

static bool feed_body(struct simple_pconn *c, size_t room)
{
    struct simple_xchg *x = c->x;
    size_t n = WR_MIN((size_t)c->len, room);

    if (x->table->input_filter != NULL) {
        return feed_filter(c, n);
    }
    n = (size_t)WR_MIN((uint64_t)n, x->body_len - x->s.rx_body_bytes);
    if (!push_body(c, c->rest->data + c->off, n)) {
        return simple_fail(c, WR_REASON_NOMEM, 0);
    }
    skip_rest(c, n);
    if (x->s.rx_body_bytes == x->body_len) {
        simple_end_rx(c);
    }
    return true;
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* len bytes of in, whose reference is taken, come behind rest, which becomes a chunk of our own. */
static enum wr_status append_rest(struct simple_pconn *c, struct wr_chunk *in, uint32_t off,
                                  uint32_t len)
{
    struct wr_chunk *own = c->rest;

    if (!c->is_gathered || own->cap - own->fill < len) {
        own = wr_chunk_new(wr_chunk_class_for((size_t)c->len + len));
        if (own == NULL || own->cap - c->len < len) {
            wr_chunk_unref(own);
            wr_chunk_unref(in);
            return WR_ENOMEM;
        }
        memcpy(own->data, c->rest->data + c->off, c->len);
        wr_msg_rebase(c->x->q->head, c->rest->data + c->off, c->len, own->data);
        own->fill = c->len;
        wr_chunk_unref(c->rest);
        c->rest = own;
        c->off = 0;
        c->is_gathered = true;
    }
    memcpy(own->data + own->fill, in->data + off, len);
    own->fill += len;
    c->len += len;
    wr_chunk_unref(in);
    return WR_OK;
}

/* As wr_conn_recv, into rest; room: most bytes wanted. */
static enum wr_status receive(struct simple_pconn *c, size_t room)
{
    struct simple_xchg *x = c->x;
    struct wr_chunk *in;
    uint32_t off, len;
    enum wr_status st;

    c->pc.conn->io.rx_max = (uint32_t)WR_MIN(room, (size_t)UINT32_MAX);
    if (c->len > 0) {
        room = head_limit(x) - c->len;
    }
    st = wr_conn_recv(c->pc.conn, room, &in, &off, &len);
    if (st != WR_OK) {
        return st;
    }
    x->got_in = x->s.got_bytes = true;
    if (c->len > 0) {
        return append_rest(c, in, off, len);
    }
    c->rest = in;
    c->off = off;
    c->len = len;
    return WR_OK;
}

/* Nothing more comes, and all that came was used. False: the exchange is gone. */
static bool see_end(struct simple_pconn *c, enum wr_status st)
{
    struct simple_xchg *x = c->x;
    int err = st == WR_EOF ? 0 : c->pc.conn->io.err;

    c->is_eof = st == WR_EOF;
    c->is_broken = st != WR_EOF;
    if (x->s.rx == WR_HALF_WAIT) {
        err = x->tx_err != 0 ? x->tx_err : err; /* a send that failed is the reason, if one did */
        return simple_fail(c, err != 0 ? WR_REASON_RESET : WR_REASON_CLOSED, err);
    }
    if (st != WR_EOF || x->is_self_framed) {
        return simple_fail(c, st == WR_EOF ? WR_REASON_TRUNCATED : WR_REASON_RESET, err);
    }
    simple_end_rx(c);
    return true;
}

/* Bytes that are wanted now; 0 arms the wake of the pipe. */
static size_t room_of(struct simple_xchg *x)
{
    switch ((enum wr_stream_half)x->s.rx) {
    case WR_HALF_WAIT:
        return head_limit(x) + x->s.in_high; /* head and the first of the body come together */
    case WR_HALF_BODY:
        return x->is_dropping ? SIZE_MAX : wr_pipe_room(x->in);
    case WR_HALF_DONE:
    case WR_HALF_RESET:
        return 0;
    }
    WR_UNREACHABLE();
}

bool simple_pump_in(struct simple_pconn *c, bool *ret_wants)
{
    struct simple_xchg *x = c->x;
    enum wr_status st;
    size_t room;

    *ret_wants = false;
    while (!c->is_eof && !c->is_broken) {
        room = room_of(x);
        if (room == 0) {
            break;
        }
        if (x->s.rx == WR_HALF_WAIT || c->len == 0) {
            st = receive(c, room);
            if (st == WR_AGAIN) {
                *ret_wants = true;
                break;
            }
            if (st == WR_ENOMEM) {
                return simple_fail(c, WR_REASON_NOMEM, 0);
            }
            if (st != WR_OK) {
                return see_end(c, st);
            }
        }
        if (x->s.rx == WR_HALF_WAIT ? !parse_head(c) : !feed_body(c, room)) {
            return false;
        }
    }
    return true;
}
