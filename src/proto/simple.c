/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simple.c: connections that speak a struct wr_proto_table: dial, open, close, the task and the two
 * deadlines.
 *
 * An exchange: the request's bytes, then the client's body raw; meanwhile the answer is read
 * (U4.5): a head gathered in one piece, at most head_max bytes; then a body by the table's filter,
 * by length, or up to the close. Both halves done: the connection is READY again if the table says
 * keep, the body ended by itself, the whole request went out and no byte is left over; else it is
 * closed. Bytes behind the end are never passed on. Owner thread only.
 */
#include "proto/simple.h"

#include "base/clock.h"
#include "base/fsm.h"
#include "base/obj.h"
#include "base/slab.h"
#include "proto/simple_int.h"

#define HEAD_MAX_DEFAULT (16u * 1024)
#define IN_HIGH_DEFAULT  ((size_t)64 * 1024)

#define B(s) (1u << WR_PCONN_##s)

/* state, may go to. Deadlines: CONNECTING and READY are bounded by the user; BUSY by the stream's
 * two timeouts. */
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

static const struct wr_fsm simple_fsm = WR_FSM("simple peer", state_names, state_moves);

static const struct wr_stream_ops simple_ops;

static void set_state(struct simple_pconn *c, enum wr_pconn_state to)
{
    wr_fsm_move_on(&simple_fsm, &c->pc.state, to, c->no, &c->is_faulty);
}

static void want_in(struct simple_pconn *c, bool on)
{
    if (c->is_in_on != on && !c->is_eof && !c->is_broken) {
        c->is_in_on = on;
        wr_conn_want_in(c->pc.conn, on);
    }
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void free_xchg(struct wr_grave *g)
{
    struct simple_xchg *x = wr_container_of(g, struct simple_xchg, grave);

    wr_obj_kill(&x->s);
    wr_slab_free(x, sizeof(*x));
}

/* The codec's end leaves; the user is told. */
static void leave_xchg(struct simple_pconn *c, enum wr_reason why)
{
    struct simple_xchg *x = wr_take(&c->x);

    simple_leave_in(x, why);
    simple_leave_out(x);
    x->s.codec = NULL;
    x->s.conn = NULL;
    wr_task_wake_opt(x->s.user);
    if (x->is_released) {
        wr_grave_bury(&x->grave, free_xchg);
    }
}

/* Closes the connection; the pconn stays until its owner closes it. What came is still delivered.
 */
static void end_pconn(struct simple_pconn *c, enum wr_reason why, int err, enum wr_io_close_how how)
{
    if (c->pc.state == WR_PCONN_CLOSED) {
        return;
    }
    set_state(c, WR_PCONN_CLOSED);
    c->pc.reason = (uint8_t)why;
    c->pc.err = err;
    if (c->x != NULL) {
        if ((why == WR_REASON_BAD_HEAD || why == WR_REASON_BAD_BODY) && c->x->q != NULL) {
            c->x->s.bad_text = c->x->q->why;
        }
        (void)wr_stream_break(&c->x->s, why, err); /* false: both halves were over, which is fine */
        leave_xchg(c, why);
    }
    simple_drop_rest(c);
    wr_conn_close(wr_take(&c->pc.conn), how);
    wr_task_wake_opt(c->pc.user);
}

bool simple_fail(struct simple_pconn *c, enum wr_reason why, int err)
{
    end_pconn(c, why, err, WR_IO_CLOSE_RESET);
    return false;
}

void simple_end_rx(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;

    simple_leave_in(x, WR_REASON_NONE);
    wr_stream_set_rx(&x->s, WR_HALF_DONE);
    wr_task_wake_opt(x->s.user);
}

/* Both halves are DONE. */
static void end_exchange(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;
    struct wr_io *io = &c->pc.conn->io;
    enum wr_conn_quiet quiet = wr_conn_look(c->pc.conn);
    bool is_extra = c->len > 0 || quiet == WR_CONN_SPOKE;

    c->pc.served++;
    if (is_extra || !x->q->keep || !x->is_self_framed || c->is_eof || c->is_broken ||
        quiet != WR_CONN_QUIET) {
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

/* ---- the task ------------------------------------------------------------------------------- */

/* 0: it does not run. It begins anew with each step forward. */
static uint64_t next_deadline(uint64_t at_ms, bool has_moved, uint32_t timeout_ms)
{
    if (timeout_ms == 0) {
        return 0;
    }
    return at_ms == 0 || has_moved ? wr_now_ms() + timeout_ms : at_ms;
}

/* U4.6: the read deadline from when the request is out, or once an answer has begun. Arms the
 * nearer one. */
static void arm_deadlines(struct simple_pconn *c, bool wants_in)
{
    struct simple_xchg *x = c->x;
    struct wr_stream *s = &x->s;
    bool is_out = s->tx >= WR_HALF_DONE || x->is_dead || s->got_bytes;
    uint64_t at;

    x->rx_at_ms = next_deadline(x->rx_at_ms, x->got_in, wants_in && is_out ? s->rx_timeout_ms : 0);
    x->tx_at_ms = next_deadline(x->tx_at_ms, x->got_out, x->is_blocked ? s->tx_timeout_ms : 0);
    x->got_in = x->got_out = false;
    at = x->rx_at_ms;
    if (at == 0 || (x->tx_at_ms != 0 && x->tx_at_ms < at)) {
        at = x->tx_at_ms;
    }
    if (at == 0) {
        wr_timer_disarm(&c->pc.conn->timer);
    } else {
        wr_timer_arm(&c->pc.conn->timer, at);
    }
}

static bool check_deadlines(struct simple_pconn *c, bool wants_in)
{
    struct simple_xchg *x = c->x;
    uint64_t now = wr_now_ms();

    if (wants_in && !x->got_in && wr_deadline_is_due(x->rx_at_ms, now)) {
        return simple_fail(c, WR_REASON_TIMEOUT, 0);
    }
    if (x->is_blocked && !x->got_out && wr_deadline_is_due(x->tx_at_ms, now)) {
        return simple_fail(c, WR_REASON_SEND_TIMEOUT, 0);
    }
    return true;
}

/* With the answer over the request may go on, unless the peer takes no more. */
static bool check_late_request(struct simple_pconn *c)
{
    const struct simple_xchg *x = c->x;
    const struct wr_io *io = &c->pc.conn->io;

    if (x->s.rx != WR_HALF_DONE || x->s.tx != WR_HALF_BODY ||
        (!x->is_dead && (io->facts & (WR_IO_ERR | WR_IO_HUP)) == 0)) {
        return true;
    }
    return simple_fail(c, WR_REASON_RESET, io->err);
}

static void step_busy(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;
    struct wr_stream *s = &x->s;
    struct wr_io *io = &c->pc.conn->io;
    bool wants_in = false;

    if (x->want_cut) {
        (void)simple_fail(c, (enum wr_reason)s->reason, 0); /* always false */
        return;
    }
    if (s->tx_bytes == 0 && !x->is_blocked && wr_conn_look(c->pc.conn) != WR_CONN_QUIET) {
        /* U3.3: before the first byte went out nothing is an answer. */
        (void)simple_fail(c, WR_REASON_CLOSED, io->err); /* always false */
        return;
    }
    if (!s->is_started || !simple_pump_in(c, &wants_in) || !simple_pump_out(c) ||
        !check_deadlines(c, wants_in) || !check_late_request(c)) {
        return;
    }
    if (s->rx == WR_HALF_DONE && s->tx == WR_HALF_DONE) {
        end_exchange(c);
        return;
    }
    /* While a head is gathered, when the user has room, and behind the answer: an end or a byte
     * more is to be seen. */
    want_in(c, wants_in || (s->rx >= WR_HALF_DONE && c->len == 0));
    arm_deadlines(c, wants_in);
}

static void step_connecting(struct simple_pconn *c)
{
    enum wr_status st = wr_pconn_shake(&c->pc);

    if (st == WR_OK) {
        set_state(c, WR_PCONN_READY);
        wr_task_wake_opt(c->pc.user);
    } else if (st != WR_AGAIN) {
        end_pconn(c, wr_pconn_shake_reason(st), c->pc.conn->io.err, WR_IO_CLOSE_FIN);
    }
}

static void run_pconn(struct wr_task *t)
{
    struct wr_conn *conn = wr_container_of(t, struct wr_conn, task);
    struct simple_pconn *c = wr_container_of(conn, struct simple_link, conn)->client;

    wr_obj_check(conn, WR_CONN_MAGIC);
    wr_recorder_enter_conn(conn->no);
    if (c->is_faulty || c->pc.state > WR_PCONN_CLOSED) { /* to close it is a move that counts */
        end_pconn(c, WR_REASON_INTERNAL, 0, WR_IO_CLOSE_FIN);
        return;
    }
    switch ((enum wr_pconn_state)c->pc.state) {
    case WR_PCONN_CONNECTING:
        step_connecting(c);
        return;
    case WR_PCONN_READY:
        if (wr_conn_look(conn) != WR_CONN_QUIET) {
            end_pconn(c, WR_REASON_CLOSED, conn->io.err, WR_IO_CLOSE_FIN);
        }
        return;
    case WR_PCONN_BUSY:
        step_busy(c);
        return;
    case WR_PCONN_CLOSED:
        return;
    }
    WR_UNREACHABLE();
}

/* ---- the stream's down-calls ---------------------------------------------------------------- */

static struct simple_xchg *xchg_of(struct wr_stream *s)
{
    wr_obj_check(s, WR_STREAM_MAGIC);
    return wr_container_of(s, struct simple_xchg, s);
}

static void start_op(struct wr_stream *s)
{
    struct simple_xchg *x = xchg_of(s);
    struct simple_pconn *c = s->codec;

    if (c == NULL || s->tx != WR_HALF_WAIT || !WR_ASSERT_REQ(s->head_out != NULL && x->q != NULL)) {
        return;
    }
    s->is_started = true;
    wr_stream_set_tx(s, WR_HALF_BODY);
    if (s->head_out->framing != WR_FRAMING_NONE && s->out != NULL) {
        x->out = s->out;
        wr_pipe_hand(x->out, WR_PIPE_CONSUMER, &c->pc.conn->task);
    }
    wr_task_wake(&c->pc.conn->task);
}

static enum wr_status want_body_op(struct wr_stream *s, size_t high)
{
    if (s->rx == WR_HALF_RESET) {
        return WR_EPEERGONE;
    }
    if (s->head_in == NULL) {
        s->in_high = high; /* the pipe comes with the head */
    }
    return WR_OK;
}

static void interim_op(struct wr_stream *s, const struct wr_msg *m)
{
    (void)s, (void)m; /* server role only */
}

static void reset_op(struct wr_stream *s, enum wr_reason why)
{
    struct simple_pconn *c = s->codec;

    if (c != NULL) {
        (void)wr_stream_break(s, why, 0); /* whether or not it was over */
        wr_stream_note(s, why, 0);
        xchg_of(s)->want_cut = true;
        wr_task_wake(&c->pc.conn->task);
    }
}

static void release_op(struct wr_stream *s)
{
    struct simple_xchg *x = xchg_of(s);

    s->user = NULL;
    x->is_released = true;
    if (s->codec == NULL) {
        wr_grave_bury(&x->grave, free_xchg);
        return;
    }
    reset_op(s, WR_REASON_CANCELED);
}

static enum wr_status tunnel_op(struct wr_stream *s)
{
    (void)s; /* a table knows no tunnels */
    return WR_EPROTO;
}

static const struct wr_stream_ops simple_ops = {
    .name = "simple peer",
    .start = start_op,
    .want_body = want_body_op,
    .interim = interim_op,
    .reset = reset_op,
    .release = release_op,
    .tunnel = tunnel_op,
};

/* ---- the codec's table ---------------------------------------------------------------------- */

static void free_pconn(struct wr_grave *g)
{
    struct simple_pconn *c = wr_container_of(g, struct simple_pconn, grave);

    wr_slab_free(c, sizeof(*c));
}

enum wr_status wr_simple_dial(const struct wr_codec *codec, const struct wr_dial *d,
                              struct wr_task *user, struct wr_pconn **ret, int *ret_errno)
{
    static const struct wr_conn_owner owner = {sizeof(struct simple_link), run_pconn,
                                               "simple peer"};
    struct simple_pconn *c = wr_slab_alloc(sizeof(*c));
    struct wr_conn *conn;
    enum wr_status st;

    if (c == NULL) {
        return WR_ENOMEM;
    }
    st = wr_conn_dial(d->to, d->opts, &owner, &conn, ret_errno);
    if (st != WR_OK && st != WR_AGAIN) {
        wr_slab_free(c, sizeof(*c));
        return st;
    }
    wr_container_of(conn, struct simple_link, conn)->client = c;
    wr_pconn_init(&c->pc, codec, conn, user);
    c->no = conn->no;
    c->is_in_on = true; /* from the start, poll.h */
    st = wr_pconn_begin(&c->pc, d, st);
    if (st == WR_OK) {
        set_state(c, WR_PCONN_READY);
    }
    *ret = &c->pc;
    return st;
}

enum wr_status wr_simple_open(struct wr_pconn *pc, struct wr_arena *a, struct wr_task *user,
                              struct wr_stream **ret)
{
    struct simple_pconn *c = wr_container_of(pc, struct simple_pconn, pc);
    struct simple_xchg *x;

    if (pc->state != WR_PCONN_READY) {
        return WR_EPEERGONE;
    }
    x = wr_slab_alloc(sizeof(*x));
    if (x == NULL) {
        return WR_ENOMEM;
    }
    wr_obj_init(&x->s, WR_STREAM_MAGIC);
    x->table = ((const struct wr_simple_codec *)(const void *)pc->codec)->table;
    x->s.ops = &simple_ops;
    x->s.conn = pc->conn;
    x->s.codec = c;
    x->s.arena = a;
    x->s.user = user;
    x->s.is_reused = pc->served > 0;
    x->s.head_max = HEAD_MAX_DEFAULT;
    x->s.in_high = IN_HIGH_DEFAULT;
    c->x = x;
    set_state(c, WR_PCONN_BUSY);
    *ret = &x->s;
    return WR_OK;
}

void wr_simple_close(struct wr_pconn *pc, enum wr_reason why)
{
    struct simple_pconn *c = wr_container_of(pc, struct simple_pconn, pc);

    if (c->is_buried) {
        return;
    }
    c->is_buried = true;
    pc->user = NULL;
    end_pconn(c, why, 0, c->x != NULL ? WR_IO_CLOSE_RESET : WR_IO_CLOSE_FIN);
    wr_grave_bury(&c->grave, free_pconn);
}
