/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simple.c: drives a struct wr_proto_table over connections, and between it and the engine.
 *
 *   struct simple_pconn {wr_pconn} -- struct simple_link {wr_conn} -- struct simple_xchg {wr_stream}
 *
 * An exchange: the request's bytes, then the client's body raw; meanwhile the answer is read (U4.5): a head
 * gathered in one piece, at most head_max bytes; then a body by the table's filter, by length, or up to the
 * close. Both halves done: the connection is READY again if the table says keep, the body ended by itself, the
 * whole request went out and no byte is left over; else it is closed. Bytes behind the end are never passed
 * on. What the table gave is checked: it may be a third party's. Owner thread only.
 */
#include "proto/simple.h"

#include <errno.h>

#include "base/chars.h"
#include "base/clock.h"
#include "base/fsm.h"
#include "base/obj.h"
#include "base/slab.h"
#include "event/loop.h"
#include "http/h1_write.h"
#include "net/conn.h"
#include "up/up.h"

#define HEAD_MAX_DEFAULT (16u * 1024)
#define HEAD_MAX         (256u * 1024) /* the largest chunk: heads are gathered in one piece */
#define IN_HIGH_DEFAULT  (64u * 1024)
#define FIELDS_MAX       1000
#define IOV_CNT          32
#define SEND_FILE_MAX    (1u << 30)

#define B(s) (1u << WR_PCONN_##s)

/* state, may go to. Deadlines: CONNECTING and READY are bounded by the user; BUSY by the stream's two timeouts. */
#define SIMPLE_STATES(X)                                                                           \
    X(CONNECTING, B(READY) | B(CLOSED))                                                            \
    X(READY, B(BUSY) | B(CLOSED))                                                                  \
    X(BUSY, B(READY) | B(CLOSED))                                                                  \
    X(CLOSED, 0)

static const char *const state_names[] = {
#define X(name, moves) [WR_PCONN_##name] = #name,
    SIMPLE_STATES(X)
#undef X
};

static const uint32_t state_moves[] = {
#define X(name, moves) [WR_PCONN_##name] = (moves),
    SIMPLE_STATES(X)
#undef X
};

static const struct wr_fsm simple_fsm = {"simple peer", state_names, state_moves};

struct simple_xchg {
    struct wr_stream s; /* first */
    struct wr_grave grave;
    const struct wr_proto_table *table;
    struct wr_proto_req *q;
    struct wr_str head_out;   /* request bytes not sent yet */
    struct wr_pipe *out, *in; /* our ends; NULL: none, or over */
    struct wr_chunk *file_buf; /* of the file slice in front, for links without send_file */
    uint32_t file_off;
    uint64_t body_len;        /* announced, or WR_LENGTH_UNKNOWN */
    uint64_t rx_at_ms, tx_at_ms; /* deadlines in force; 0: none */
    bool is_self_framed;      /* the end of the body is known without the close */
    bool is_dropping;         /* nobody reads the body any more */
    bool is_blocked, is_dead; /* sending: came short; failed */
    bool is_released;         /* the user left: q and the arena may be gone */
    bool want_cut;
    bool got_in, got_out;     /* in this run */
    int tx_err;
};

struct simple_pconn {
    struct wr_pconn pc; /* first */
    struct wr_grave grave;
    struct simple_xchg *x; /* BUSY */
    struct wr_chunk *rest; /* received and not used; the head so far while it is gathered. NULL: none */
    uint32_t off, len;
    uint64_t no;
    bool is_in_on, is_eof, is_broken, is_buried;
};

struct simple_link {
    struct wr_conn conn; /* first */
    struct simple_pconn *client;
};

static const struct wr_stream_ops simple_ops;

static void set_state(struct simple_pconn *c, enum wr_pconn_state to)
{
    wr_fsm_move(&simple_fsm, &c->pc.state, to, c->no);
}

static void drop_rest(struct simple_pconn *c)
{
    wr_chunk_unref(wr_take(&c->rest));
    c->off = c->len = 0;
}

static void skip_rest(struct simple_pconn *c, size_t n)
{
    c->off += (uint32_t)n;
    c->len -= (uint32_t)n;
    c->x->s.rx_bytes += n;
    if (c->len == 0) {
        drop_rest(c);
    }
}

static void want_in(struct simple_pconn *c, bool on)
{
    if (c->is_in_on != on && !c->is_eof && !c->is_broken) {
        c->is_in_on = on;
        wr_io_want_in(&c->pc.conn->io, on);
    }
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void free_xchg(struct wr_grave *g)
{
    struct simple_xchg *x = wr_container_of(g, struct simple_xchg, grave);

    wr_obj_kill(&x->s);
    wr_slab_free(x, sizeof(*x));
}

static void leave_out(struct simple_xchg *x)
{
    struct wr_pipe *out = wr_take(&x->out);

    wr_chunk_unref(wr_take(&x->file_buf));
    x->head_out = WR_STR_NULL;
    if (out != NULL) {
        wr_pipe_leave_consumer(out);
    }
}

/* why NONE: the body is whole. */
static void leave_in(struct simple_xchg *x, enum wr_reason why)
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

/* The codec's end leaves; the user is told. */
static void leave_xchg(struct simple_pconn *c, enum wr_reason why)
{
    struct simple_xchg *x = wr_take(&c->x);

    leave_in(x, why);
    leave_out(x);
    x->s.codec = NULL;
    x->s.conn = NULL;
    wr_task_wake_opt(x->s.user);
    if (x->is_released) {
        wr_grave_bury(&x->grave, free_xchg);
    }
}

/* Closes the connection; the pconn stays until its owner closes it. What came is still delivered. */
static void end_pconn(struct simple_pconn *c, enum wr_reason why, int err, enum wr_io_close_how how)
{
    if (c->pc.state == WR_PCONN_CLOSED) {
        return;
    }
    set_state(c, WR_PCONN_CLOSED);
    c->pc.reason = (uint8_t)why;
    c->pc.err = err;
    if (c->x != NULL) {
        (void)wr_stream_break(&c->x->s, why, err); /* false: both halves were over, which is fine */
        leave_xchg(c, why);
    }
    drop_rest(c);
    wr_conn_close(wr_take(&c->pc.conn), how);
    wr_task_wake_opt(c->pc.user);
}

static bool fail(struct simple_pconn *c, enum wr_reason why, int err)
{
    end_pconn(c, why, err, WR_IO_CLOSE_RESET);
    return false;
}

static void end_rx(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;

    leave_in(x, WR_REASON_NONE);
    wr_stream_set_rx(&x->s, WR_HALF_DONE);
    wr_task_wake_opt(x->s.user);
}

static bool is_over_facts(const struct wr_io *io)
{
    return (io->facts & (WR_IO_EOF | WR_IO_ERR | WR_IO_RDHUP | WR_IO_HUP)) != 0;
}

/* Both halves are DONE. */
static void end_exchange(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;
    struct wr_io *io = &c->pc.conn->io;
    bool is_extra = c->len > 0 || io->rx != NULL;

    c->pc.served++;
    if (is_extra || !x->q->keep || !x->is_self_framed || c->is_eof || c->is_broken || is_over_facts(io)) {
        end_pconn(c, is_extra ? WR_REASON_EXTRA : WR_REASON_DONE, 0, WR_IO_CLOSE_FIN);
        return;
    }
    wr_timer_disarm(&c->pc.conn->timer);
    leave_xchg(c, WR_REASON_NONE);
    io->rx_max = 0;
    set_state(c, WR_PCONN_READY);
    want_in(c, true);
    wr_task_wake_opt(c->pc.user);
}

/* ---- the head ------------------------------------------------------------------------------- */

static size_t head_limit(const struct simple_xchg *x)
{
    return WR_MIN((size_t)x->s.head_max, (size_t)HEAD_MAX);
}

/* Nothing that a table hands over may end a line at the client (U14.1). */
static bool is_head_safe(const struct wr_msg *m)
{
    uint32_t i;
    size_t k;

    for (i = 0; i < m->hdrs.cnt; i++) {
        const struct wr_hdr *h = &m->hdrs.at[i];

        for (k = 0; k < h->name.len && wr_char_is((unsigned char)h->name.ptr[k], WR_CH_TOKEN); k++) {
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
    if (x->body_len != WR_LENGTH_UNKNOWN && (x->body_len > 0 || m->content_length == WR_LENGTH_UNKNOWN)) {
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

    if (!keep_head(c, used)) {
        return fail(c, WR_REASON_NOMEM, 0);
    }
    if (m->status < 200 || m->status > 999 || !is_head_safe(m)) {
        return fail(c, WR_REASON_BAD_HEAD, 0);
    }
    if (x->table->input_filter_init != NULL && x->table->input_filter_init(x->q) != WR_OK) {
        return fail(c, WR_REASON_INTERNAL, 0);
    }
    set_framing(x);
    m->version = m->version == 0 ? 11 : m->version;
    s->version = (uint8_t)m->version;
    s->head_in = m;
    s->head_us = wr_loop_get()->turn_began_us;
    wr_stream_set_rx(s, WR_HALF_BODY);
    wr_task_wake_opt(s->user);
    if (m->framing == WR_FRAMING_NONE || (x->body_len == 0 && x->table->input_filter == NULL)) {
        end_rx(c);
        return true;
    }
    x->in = s->in = wr_pipe_new(s->in_high > 0 ? s->in_high : IN_HIGH_DEFAULT, &c->pc.conn->task, NULL);
    return s->in != NULL ? true : fail(c, WR_REASON_NOMEM, 0);
}

static bool parse_head(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;
    size_t n = WR_MIN((size_t)c->len, head_limit(x)), used = 0;

    switch (x->table->process_header(x->q, c->rest->data + c->off, n, &used)) {
    case WR_PROTO_DONE:
        return WR_ASSERT_REQ(used <= n) ? take_head(c, used) : fail(c, WR_REASON_INTERNAL, 0);
    case WR_PROTO_AGAIN:
        return n < head_limit(x) ? true : fail(c, WR_REASON_BIG_HEAD, 0);
    case WR_PROTO_INVALID:
        return fail(c, WR_REASON_BAD_HEAD, 0);
    case WR_PROTO_FAILED:
        return fail(c, WR_REASON_INTERNAL, 0);
    }
    WR_UNREACHABLE();
}

/* ---- the body ------------------------------------------------------------------------------- */

/* n bytes at p, inside rest, are body. False: no memory. */
static bool push_body(struct simple_pconn *c, const char *p, size_t n)
{
    struct simple_xchg *x = c->x;
    struct wr_slice sl = {.kind = WR_SLICE_CHUNK, .off = (uint64_t)(p - c->rest->data), .len = n};
    enum wr_status st;

    x->s.rx_body_bytes += n;
    if (n == 0 || x->is_dropping) {
        return true;
    }
    sl.u.chunk = wr_chunk_ref(c->rest);
    st = wr_pipe_push(x->in, sl);
    /* With nobody there the wire is read on to the end, so that the connection stays usable. */
    x->is_dropping = st == WR_EPEERGONE;
    return st == WR_OK || x->is_dropping;
}

static bool feed_filter(struct simple_pconn *c, size_t n)
{
    struct simple_xchg *x = c->x;
    const char *p = c->rest->data + c->off;
    struct wr_str data = WR_STR_NULL;
    size_t used = 0;
    enum wr_proto_result res = x->table->input_filter(x->q, p, n, &used, &data);

    if (res == WR_PROTO_INVALID || res == WR_PROTO_FAILED) {
        return fail(c, res == WR_PROTO_INVALID ? WR_REASON_BAD_BODY : WR_REASON_INTERNAL, 0);
    }
    if (!WR_ASSERT_REQ(used <= n && (used > 0 || res == WR_PROTO_DONE)) ||
        !WR_ASSERT_REQ(data.len == 0 || (data.ptr >= p && data.len <= used - (size_t)(data.ptr - p)))) {
        return fail(c, WR_REASON_INTERNAL, 0);
    }
    if (x->body_len != WR_LENGTH_UNKNOWN && data.len > x->body_len - x->s.rx_body_bytes) {
        return fail(c, WR_REASON_BAD_BODY, 0);
    }
    if (!push_body(c, data.ptr, data.len)) {
        return fail(c, WR_REASON_NOMEM, 0);
    }
    skip_rest(c, used);
    if (res == WR_PROTO_DONE) {
        if (x->body_len != WR_LENGTH_UNKNOWN && x->s.rx_body_bytes < x->body_len) {
            return fail(c, WR_REASON_TRUNCATED, 0);
        }
        end_rx(c);
    }
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
        return fail(c, WR_REASON_NOMEM, 0);
    }
    skip_rest(c, n);
    if (x->s.rx_body_bytes == x->body_len) {
        end_rx(c);
    }
    return true;
}
