/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_server.c: HTTP/1 on a client's connection (h1_conn.h). One object a connection, made in one
 * piece with its wr_conn; one object a request, from the first byte of its head to the release by
 * its user:
 *
 *   struct wr_h1_server | rest: received, unparsed      at most one slice; IN is off while it waits
 *     -> struct h1_request | h1_xchg | arena | head     freed at the grave when both ends left
 *
 * The request's user and the codec meet in facts: start, want_body, reset ... write them down and
 * wake the connection's task; only release of a finished exchange acts at once, and only to go to
 * IDLE. When both halves are over the user is woken (is_told), and the codec leaves the stream at
 * the user's release, at the next byte, or in its next run when something is to be done at once
 * (pipelined bytes, a close): whatever comes first. Nothing is freed but at the grave. Owner thread
 * only.
 */
#include "http/h1_conn.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/obj.h"
#include "base/slab.h"
#include "base/stat.h"
#include "http/h1_int.h"
#include "net/sock.h"

#define B(s) (1u << H1_SERVER_##s)

/*
 * state, deadline, may go to.
 *   FIRST_OR_IDLE  first_timeout_ms of a new connection, keepalive_ms, or the grace of quit
 *   HEADER         client_header_timeout from the first byte on
 *   EXCHANGE       rx_timeout_ms and tx_timeout_ms of the stream; none while the user works
 *   LINGERING      lingering_timeout between two reads, lingering_time in all
 */
#define H1_SERVER_STATES(X)                                                                        \
    X(IDLE, FIRST_OR_IDLE, B(HEAD) | B(CLOSED))                                                    \
    X(HEAD, HEADER, B(BUSY) | B(CLOSED))                                                           \
    X(BUSY, EXCHANGE, B(IDLE) | B(LINGER) | B(CLOSED))                                             \
    X(LINGER, LINGERING, B(CLOSED))                                                                \
    X(CLOSED, NONE, 0)

enum h1_server_state {
#define X(name, deadline, moves) H1_SERVER_##name,
    H1_SERVER_STATES(X)
#undef X
};

static const char *const state_names[] = {
#define X(name, deadline, moves) #name,
    H1_SERVER_STATES(X)
#undef X
};

static const uint32_t state_moves[] = {
#define X(name, deadline, moves) moves,
    H1_SERVER_STATES(X)
#undef X
};

static const struct wr_fsm server_fsm = WR_FSM("h1 server", state_names, state_moves);

struct h1_request {
    struct h1_xchg x; /* first */
    struct wr_msg head;
    struct wr_arena arena;
};

struct wr_h1_server {
    struct wr_conn conn; /* first */
    struct wr_list node; /* the sink's */
    struct wr_h1_sink *sink;
    struct h1_request *req; /* HEAD, BUSY, and until its user was told */
    struct h1_rest rest;
    uint64_t at_ms;   /* deadline of IDLE, HEAD, LINGER */
    uint64_t mark_ms; /* IDLE: since when; LINGER: its end in all */
    uint32_t requests;
    uint32_t keepalive_ms; /* of the last exchange */
    uint32_t grace_ms;     /* of quit */
    uint32_t unread;       /* bytes not taken at the last look at an IDLE one that quits */
    uint32_t lingering_time_ms, lingering_timeout_ms; /* as the last exchange said */
    uint8_t lingering;
    uint8_t state; /* enum h1_server_state, by set_state only */
    uint8_t why;   /* enum wr_reason of the end */
    bool is_quitting;
    bool is_in_on;   /* what the poller was told */
    bool is_eof;     /* the client will send no more, all it sent is here */
    bool is_broken;  /* the stream of bytes broke */
    bool is_kept;    /* the response in the making said keep-alive */
    bool want_reset; /* end it by RST */
    bool is_faulty;  /* a bug of ours: to be closed */
    bool was_bad;    /* the client may be sending what we do not understand */
    bool is_delayed; /* TCP_NODELAY, which it has from its listener, was switched off */
    bool is_corked;  /* TCP_CORK is on */
};

_Static_assert(sizeof(struct wr_h1_server) <= 448,
               "an idle client connection is small: 7 units of a slab");
_Static_assert(sizeof(struct h1_request) <= 2048, "a request's object fits the slab");

static const struct wr_stream_ops server_ops;

static struct wr_h1_server *server_of_conn(struct wr_conn *c)
{
    return wr_container_of(c, struct wr_h1_server, conn);
}

static const struct wr_h1_opts *opts_of(struct wr_h1_server *c)
{
    return c->sink->opts(c->sink);
}

static void arm(struct wr_h1_server *c, uint64_t at_ms)
{
    if (c->conn.timer.at_ms == at_ms) {
        return;
    }
    if (at_ms == 0) {
        wr_timer_disarm(&c->conn.timer);
    } else {
        wr_timer_arm(&c->conn.timer, at_ms);
    }
}

static void set_state(struct wr_h1_server *c, enum h1_server_state to)
{
    if (c->state == H1_SERVER_HEAD) {
        wr_stat_inc(WR_CNT_HEADS_ENDED);
    } else if (to == H1_SERVER_HEAD) {
        wr_stat_inc(WR_CNT_HEADS_BEGUN);
    }
    wr_fsm_move_on(&server_fsm, &c->state, to, c->conn.no, &c->is_faulty);
    c->at_ms = 0;
}

/* Deadline of IDLE, HEAD and LINGER. */
static void set_deadline(struct wr_h1_server *c, uint64_t at_ms)
{
    c->at_ms = at_ms;
    arm(c, at_ms);
}

static bool is_due(const struct wr_h1_server *c)
{
    return wr_deadline_is_due(c->at_ms, wr_now_ms());
}

static void want_in(struct wr_h1_server *c, bool on)
{
    if (c->is_in_on != on && !c->is_eof && !c->is_broken) {
        c->is_in_on = on;
        wr_conn_want_in(&c->conn, on);
    }
}

/* ---- the request object --------------------------------------------------------------------- */

static void free_request(struct wr_grave *g)
{
    struct h1_request *q = wr_container_of(g, struct h1_request, x.grave);

    wr_arena_fini(&q->arena);
    wr_obj_kill(&q->x.s);
    wr_slab_free(q, sizeof(*q));
}

static struct h1_request *make_request(struct wr_h1_server *c)
{
    const struct wr_h1_opts *o = opts_of(c);
    struct wr_h1_limits lim = {.line_max = o->large_size, .fields_max = H1_FIELDS_MAX};
    struct h1_request *q = wr_slab_alloc(sizeof(*q));
    uint64_t max = (uint64_t)o->header_buffer_size + (uint64_t)o->large_cnt * o->large_size;

    if (!q) {
        return NULL;
    }
    lim.head_max = (uint32_t)WR_MIN(max, (uint64_t)H1_GATHER_MAX);
    lim.line_max = WR_MAX(lim.line_max, o->header_buffer_size);
    h1_xchg_init(&q->x, &server_ops, &c->conn);
    wr_arena_init(&q->arena, o->arena_max);
    q->x.s.codec = c;
    q->x.s.is_server = true;
    q->x.s.arena = &q->arena;
    q->x.s.began_us = h1_now_us();
    q->x.s.tx_timeout_ms = o->send_timeout_ms;
    q->x.s.reset_timedout = o->reset_timedout;
    q->x.s.lingering = o->lingering;
    q->x.s.lingering_time_ms = o->lingering_time_ms;
    q->x.s.lingering_timeout_ms = o->lingering_timeout_ms;
    wr_msg_init(&q->head, &q->arena, H1_FIELDS_MAX);
    wr_h1_parser_init(&q->x.parser, WR_H1_REQUEST, &lim, o->parse_options, &q->head);
    return q;
}

/* The codec's end leaves. */
static void leave_request(struct wr_h1_server *c)
{
    struct h1_request *q = wr_take(&c->req);

    if (!q) {
        return;
    }
    h1_xchg_drop(&q->x);
    q->x.s.codec = NULL;
    q->x.s.conn = NULL;
    if (q->x.is_released || !q->x.is_open) {
        wr_grave_bury(&q->x.grave, free_request);
    }
}

/* ---- ends of the connection ----------------------------------------------------------------- */

static void close_server(struct wr_h1_server *c, enum wr_reason why, enum wr_io_close_how how)
{
    struct wr_h1_sink *sink = c->sink;

    if (c->state == H1_SERVER_CLOSED) {
        return;
    }
    set_state(c, H1_SERVER_CLOSED);
    c->why = (uint8_t)why;
    if (c->req) {
        struct wr_stream *s = &c->req->x.s;

        if (wr_stream_break(s, why, 0)) {
            wr_task_wake_opt(s->user);
        }
        leave_request(c);
    }
    h1_rest_drop(&c->rest);
    wr_list_remove(&c->node);
    wr_conn_close(&c->conn, how);
    sink->closed(sink, c);
}

static void close_plainly(struct wr_h1_server *c, enum wr_reason why)
{
    close_server(c, why, c->want_reset ? WR_IO_CLOSE_RESET : WR_IO_CLOSE_FIN);
}

/* Might the client be sending still? Closing then would destroy the response on its way (RFC
 * 9112 9.6). */
static bool want_lingering(const struct wr_h1_server *c)
{
    uint8_t mode = c->lingering;

    if (c->want_reset || c->is_eof || c->is_broken || mode == 0) {
        return false;
    }
    return mode == 2 || c->was_bad || c->rest.len > 0 || wr_conn_is_sent_to(&c->conn);
}

static void enter_linger(struct wr_h1_server *c)
{
    uint64_t now = wr_now_ms();

    set_state(c, H1_SERVER_LINGER);
    h1_rest_drop(&c->rest);
    /* If it fails the connection is broken and the next receive tells. */
    (void)c->conn.link->ops->shutdown(c->conn.link);
    c->conn.io.rx_max = 0;
    c->mark_ms = now + c->lingering_time_ms;
    set_deadline(c, WR_MIN(c->mark_ms, now + c->lingering_timeout_ms));
    want_in(c, true);
}

static void enter_idle(struct wr_h1_server *c)
{
    uint64_t now = wr_now_ms();

    set_state(c, H1_SERVER_IDLE);
    c->mark_ms = now;
    c->conn.io.rx_max = 0;
    set_deadline(c, now + (c->is_quitting ? c->grace_ms : c->keepalive_ms));
    c->unread = c->is_quitting ? wr_io_unread(&c->conn.io) : 0;
    want_in(c, true);
}

/* ---- IDLE ----------------------------------------------------------------------------------- */

/*
 * The grace of quit begins when the client has the response, not when the kernel had it: to a slow
 * reader the last part may take longer than that (U14.9). Looked at once a grace; one who takes
 * nothing in that time gets no more. The close follows what he has not read.
 */
static bool prolong_grace(struct wr_h1_server *c)
{
    uint32_t before = c->unread;

    if (before == 0) {
        return false;
    }
    c->unread = wr_io_unread(&c->conn.io);
    if (c->unread >= before) {
        return false;
    }
    set_deadline(c, wr_now_ms() + c->grace_ms);
    return true;
}

static bool step_idle(struct wr_h1_server *c)
{
    const struct wr_h1_opts *o;
    bool is_pipelined = c->requests > 0 && c->rest.len > 0;

    if (c->rest.len == 0) {
        enum wr_status st = h1_rest_fill(&c->rest, &c->conn, H1_RECV_ALL);

        if (st == WR_AGAIN && is_due(c)) {
            /* A request that came since the loop last looked is not closed upon (U14.9). */
            wr_io_look(&c->conn.io);
            st = h1_rest_fill(&c->rest, &c->conn, H1_RECV_ALL);
        }
        if (st == WR_AGAIN) {
            if (is_due(c) && !prolong_grace(c)) {
                close_plainly(c, c->is_quitting ? WR_REASON_SHUTDOWN : WR_REASON_TIMEOUT);
            } else if (!wr_timer_is_armed(&c->conn.timer)) {
                arm(c, c->at_ms);
            }
            return false;
        }
        if (st != WR_OK) {
            close_plainly(c, st == WR_EOF ? WR_REASON_CLOSED : WR_REASON_RESET);
            return false;
        }
    }
    c->req = make_request(c);
    if (!c->req) {
        close_plainly(c, WR_REASON_NOMEM);
        return false;
    }
    c->conn.task.far = c->req;
    c->req->x.s.is_pipelined = is_pipelined;
    set_state(c, H1_SERVER_HEAD);
    o = opts_of(c);
    c->at_ms = o->header_timeout_ms > 0 ? wr_now_ms() + o->header_timeout_ms : 0;
    return true;
}

/* ---- HEAD ----------------------------------------------------------------------------------- */

/* The request is whole and nothing else came: nothing is to be done until its user answers. */
static bool is_user_next(const struct wr_h1_server *c)
{
    const struct wr_stream *s = &c->req->x.s;
    unsigned ends = WR_IO_EOF | WR_IO_ERR | WR_IO_RDHUP | WR_IO_HUP;

    return s->rx == WR_HALF_DONE && !s->is_started && c->rest.len == 0 && c->is_in_on &&
           (c->conn.io.facts & ends) == 0 && !wr_conn_is_sent_to(&c->conn);
}

/* A request goes to the sink, whole or bad. */
static bool open_request(struct wr_h1_server *c, unsigned bad, enum wr_h1_bad why)
{
    struct h1_request *q = c->req;
    struct wr_stream *s = &q->x.s;
    bool has_body = false;

    arm(c, 0);
    set_state(c, H1_SERVER_BUSY);
    c->requests++;
    c->is_kept = false;
    s->bad = (uint16_t)bad;
    s->bad_why = (uint8_t)why;
    s->head_in = &q->head;
    s->version = (uint8_t)(q->head.version != 0 ? q->head.version : 10);
    if (bad != 0) {
        c->was_bad = true;
    } else {
        h1_rx_begin(&q->x, &q->head);
        has_body = q->head.framing != WR_FRAMING_NONE &&
                   (q->head.framing != WR_FRAMING_LENGTH || q->head.content_length > 0);
    }
    wr_stream_set_rx(s, has_body ? WR_HALF_BODY : WR_HALF_DONE);
    c->conn.io.rx_max = H1_LOOKAHEAD;
    q->x.is_open = true;
    c->sink->open(c->sink, s);
    return c->state == H1_SERVER_BUSY && !is_user_next(c);
}

static bool head_timed_out(struct wr_h1_server *c)
{
    struct h1_request *q = c->req;
    enum wr_h1_bad where = WR_H1_BAD_LINE;

    c->want_reset = opts_of(c)->reset_timedout;
    if (h1_head_is_blank(&q->x)) {
        close_plainly(c, WR_REASON_TIMEOUT);
        return false;
    }
    if (q->head.request_line.len > 0) {
        where = WR_H1_BAD_FIELD;
    }
    q->x.s.rx_bytes += q->x.gather->fill;
    wr_chunk_unref(wr_take(&q->x.gather));
    /* What was parsed points into the chunk. */
    wr_msg_init(&q->head, &q->arena, H1_FIELDS_MAX);
    return open_request(c, 408, where);
}

static bool step_head(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;
    size_t max = x->parser.limits.head_max;

    if (c->rest.len == 0) {
        enum wr_status st = h1_rest_fill(&c->rest, &c->conn, h1_head_room(x, max));

        if (st == WR_AGAIN) {
            if (is_due(c)) {
                return head_timed_out(c);
            }
            arm(c, c->at_ms);
            return false;
        }
        if (st != WR_OK) {
            close_plainly(c, st == WR_EOF ? WR_REASON_CLOSED : WR_REASON_RESET);
            return false;
        }
    }
    switch (h1_parse_head(x, &c->rest, &c->req->head, max)) {
    case H1_PARSED:
        return open_request(c, 0, WR_H1_BAD_NONE);
    case H1_PARSE_MORE:
        return true;
    case H1_PARSE_BAD:
        return open_request(c, wr_h1_bad_status(x->parser.bad), x->parser.bad);
    case H1_PARSE_NOMEM:
        return open_request(c, 500, WR_H1_BAD_NONE);
    }
    WR_UNREACHABLE();
}

/* ---- BUSY: the request's body, and watching the client -------------------------------------- */

static void wake_user(struct h1_xchg *x)
{
    wr_task_wake_opt(x->s.user);
}

static void fail_rx(struct wr_h1_server *c, enum wr_reason why, int err)
{
    struct h1_xchg *x = &c->req->x;

    h1_rx_fail(x, why, err);
    c->was_bad = true;
    wake_user(x);
}

/* No more bytes will come, and none are left. */
static void see_end(struct wr_h1_server *c, enum wr_status st)
{
    struct h1_xchg *x = &c->req->x;
    struct wr_stream *s = &x->s;
    int err = c->conn.io.err;

    if (st == WR_EOF) {
        c->is_eof = true;
    } else {
        c->is_broken = true;
    }
    if (s->is_tunnel && s->rx == WR_HALF_BODY) {
        if (st == WR_EOF) {
            h1_rx_done(x);
        } else {
            h1_rx_fail(x, WR_REASON_RESET, err);
        }
        wake_user(x);
        return;
    }
    if (s->rx == WR_HALF_BODY && (x->rx.is_wanted || x->rx.is_dropping)) {
        fail_rx(c, st == WR_EOF ? WR_REASON_CLOSED : WR_REASON_RESET, st == WR_EOF ? 0 : err);
    }
    if (!s->is_gone) {
        s->is_gone = true;
        wake_user(x);
    }
}

static void see_facts(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;
    unsigned facts = c->conn.io.facts;
    bool is_over;

    if (x->s.is_gone || x->s.is_tunnel) {
        return;
    }
    /* RDHUP may come ahead of body bytes; reading them will tell then. */
    is_over = (facts & (WR_IO_ERR | WR_IO_HUP)) != 0 ||
              ((facts & WR_IO_RDHUP) != 0 && x->s.rx >= WR_HALF_DONE);
    if (is_over) {
        x->s.is_gone = true;
        wake_user(x);
    }
}

/* How many bytes of the body may be used now; whatever for what is not to be parsed yet. */
static size_t body_room(struct h1_xchg *x)
{
    if (x->s.rx != WR_HALF_BODY || !(x->rx.is_wanted || x->rx.is_dropping)) {
        return 0;
    }
    return h1_rx_room(x);
}

static void take_fed(struct wr_h1_server *c, enum h1_fed fed)
{
    struct h1_xchg *x = &c->req->x;

    switch (fed) {
    case H1_FED_MORE:
        break;
    case H1_FED_DONE:
        h1_rx_done(x);
        c->conn.io.rx_max = H1_LOOKAHEAD;
        wake_user(x);
        break;
    case H1_FED_BAD:
        fail_rx(c, WR_REASON_BAD_BODY, 0);
        break;
    case H1_FED_BIG:
        fail_rx(c, WR_REASON_BIG_BODY, 0);
        break;
    case H1_FED_NOMEM:
        fail_rx(c, WR_REASON_NOMEM, 0);
        break;
    }
}

/* Bytes into rest, of the body at most room. False: none are there. */
static bool fill_rest(struct wr_h1_server *c, bool is_body, size_t room)
{
    struct h1_xchg *x = &c->req->x;
    size_t max = is_body ? room : H1_LOOKAHEAD;
    enum wr_status st;

    c->conn.io.rx_max = (uint32_t)WR_MIN(max, (size_t)UINT32_MAX);
    st = h1_rest_fill(&c->rest, &c->conn, max);
    if (st == WR_OK) {
        x->got_in = true;
    } else if (st != WR_AGAIN) {
        see_end(c, st);
    } else if (is_body) {
        h1_rx_aim(x, &c->conn);
    }
    return st == WR_OK;
}

/* Receives what may be received. True: the body is awaited and none of it is here. */
static bool pump_in(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;
    size_t room = 0;
    bool is_body = true;

    take_fed(c, h1_rx_take_piped(x, &c->conn));
    while (!c->is_eof && !c->is_broken) {
        room = body_room(x);
        /* A body that nobody asked for stays where it is; of the next request a little is looked
         * at. */
        is_body = x->s.rx == WR_HALF_BODY;
        if (c->rest.len == 0 && (room > 0 || !is_body) && !fill_rest(c, is_body, room)) {
            break;
        }
        if (room == 0 || c->rest.len == 0) {
            break;
        }
        take_fed(c, h1_feed(x, &c->rest, room));
    }
    h1_rest_settle(&c->rest);
    is_body = x->s.rx == WR_HALF_BODY;
    room = body_room(x);
    if (is_body && room == 0) {
        h1_rx_relieve(x);
    }
    want_in(c, c->rest.len == 0 && (!is_body || room > 0));
    return is_body && room > 0 && c->rest.len == 0;
}

/* ---- BUSY: the response --------------------------------------------------------------------- */

static bool can_keep(struct wr_h1_server *c, const struct h1_xchg *x)
{
    const struct wr_h1_opts *o = opts_of(c);
    const struct wr_stream *s = &x->s;
    bool is_body_fine =
        s->rx == WR_HALF_DONE || (s->rx == WR_HALF_BODY && x->rx.is_wanted && !x->rx.is_dropping);

    if (s->bad != 0 || s->want_close || s->keepalive_ms == 0 || c->is_quitting || c->is_eof ||
        c->is_broken || !is_body_fine || (s->head_in->flags & WR_MSG_KEEP_ALIVE) == 0) {
        return false;
    }
    return c->requests < o->keepalive_requests &&
           wr_now_ms() - c->conn.since_ms < o->keepalive_time_ms;
}

/*
 * Will the connection be closed in the turn in which this response is out, and can nothing come
 * from the client that would make that close a RST? He said himself that this request is his last,
 * and it is whole.
 */
static bool is_end_foreseen(const struct wr_h1_server *c, const struct h1_xchg *x)
{
    return (x->s.head_in->flags & WR_MSG_KEEP_ALIVE) == 0 && x->s.rx == WR_HALF_DONE &&
           x->s.rx_body_bytes == 0 && x->s.bad == 0 && !x->is_switch && c->rest.len == 0 &&
           x->tx.framing <= WR_FRAMING_LENGTH && c->conn.link == &c->conn.sock_link;
}

/* Framing of the response, and whether the connection stays. */
static void choose_ends(struct wr_h1_server *c, struct h1_xchg *x, bool *ret_length)
{
    const struct wr_msg *m = x->s.head_out;
    struct h1_tx *tx = &x->tx;
    bool is_connect =
        x->s.head_in->method == WR_METHOD_CONNECT && m->status >= 200 && m->status < 300;

    tx->framing = (uint8_t)h1_tx_choose_framing(x, ret_length);
    if (tx->framing == WR_FRAMING_LENGTH && m->content_length != WR_LENGTH_UNKNOWN) {
        /* Without a pipe it is cut, unless it is 0. */
        tx->left = m->content_length;
    }
    x->is_switch = m->status == 101 || is_connect;
    tx->is_holding = x->is_switch && !x->s.is_tunnel;
    if (x->s.is_tunnel) {
        tx->framing = WR_FRAMING_CLOSE;
    }
    c->is_kept =
        !x->is_switch && tx->framing != WR_FRAMING_CLOSE && x->s.version >= 10 && can_keep(c, x);
    tx->is_last = !c->is_kept && is_end_foreseen(c, x);
}

static enum wr_status write_response_head(struct wr_h1_server *c, struct h1_xchg *x)
{
    bool has_length = false;

    choose_ends(c, x, &has_length);
    x->tx.is_written = true;
    /* HTTP/0.9: the body only. */
    return x->s.version < 10 ? WR_OK : h1_tx_add_response(x, has_length, c->is_kept);
}

/* The response cannot go on. */
static void fail_tx(struct wr_h1_server *c, enum wr_reason why, int err)
{
    struct h1_xchg *x = &c->req->x;

    h1_tx_leave_pipe(x);
    h1_rx_fail(x, why, err);
    (void)wr_stream_break(&x->s, why, err);
    c->is_kept = false;
    wake_user(x);
}

/*
 * tcp_nodelay, tcp_nopush. A connection comes with TCP_NODELAY on and TCP_CORK off, so that the
 * defaults cost no call; others cost one when they differ from what the socket has.
 */
static void tune_socket(struct wr_h1_server *c, bool want_cork)
{
    const struct wr_stream *s = &c->req->x.s;

    if (c->conn.peer.sa.sa_family != AF_INET && c->conn.peer.sa.sa_family != AF_INET6) {
        return; /* a unix socket has no such options */
    }
    if (c->is_delayed != s->no_nodelay) {
        c->is_delayed = s->no_nodelay;
        wr_sock_set_nodelay(c->conn.io.fd, !c->is_delayed);
    }
    if (c->is_corked != want_cork) {
        c->is_corked = want_cork;
        wr_sock_set_cork(c->conn.io.fd, want_cork);
    }
}

static void begin_response(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;
    bool is_unwanted = !x->rx.is_wanted || (x->rx.in && wr_pipe_is_orphan(x->rx.in));
    enum wr_status st;

    if (x->s.rx == WR_HALF_BODY && is_unwanted && !x->s.is_tunnel) {
        /* Nobody wants the body any more: what is here of it goes now, before keep-alive is
         * promised. */
        x->rx.is_dropping = true;
        (void)pump_in(c);
    }
    st = write_response_head(c, x);
    if (st != WR_OK) {
        c->want_reset = true;
        fail_tx(c, st == WR_ENOMEM ? WR_REASON_NOMEM : WR_REASON_INTERNAL, 0);
        return;
    }
    if (x->tx.framing == WR_FRAMING_NONE && !x->is_switch) {
        h1_tx_leave_pipe(x);
    }
}

/* The out pipe ended too early: what was queued went out, now the client must see a cut (U6.5). */
static void cut_response(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;
    unsigned why = x->tx.out ? x->tx.out->reason : 0;

    /* A FIN tells it where the length is framed, and lets queued bytes arrive; elsewhere only a RST
     * does. */
    c->want_reset = c->want_reset || x->tx.framing == WR_FRAMING_CLOSE;
    fail_tx(c, why != 0 ? (enum wr_reason)why : WR_REASON_TRUNCATED, 0);
}

static void end_tx(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;

    if (x->tx.had_excess) {
        c->is_kept = false;
    }
    h1_tx_leave_pipe(x);
    if (x->s.is_tunnel) {
        /* If it fails the connection is broken and the next receive tells. */
        (void)c->conn.link->ops->shutdown(c->conn.link);
    }
    wr_stream_set_tx(&x->s, WR_HALF_DONE);
    wake_user(x);
}

static void tune_for_response(struct wr_h1_server *c)
{
    const struct h1_xchg *x = &c->req->x;

    if (x->s.is_started && (x->s.no_nodelay || c->is_delayed || x->s.want_cork)) {
        tune_socket(c, c->is_corked || (x->s.want_cork && h1_tx_has_file(x, &c->conn)));
    }
}

/* All that is here went out: the last packet need not be full. */
static void uncork(struct wr_h1_server *c)
{
    if (c->is_corked) {
        tune_socket(c, false);
    }
}

static void pump_out(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;

    if (x->s.tx >= WR_HALF_DONE || (x->s.tx == WR_HALF_WAIT && !x->tx.head)) {
        return; /* all of it is out, or there is nothing yet */
    }
    if (x->s.is_started && !x->tx.is_written) {
        begin_response(c);
        if (x->s.tx != WR_HALF_BODY) {
            return;
        }
    }
    tune_for_response(c);
    switch (h1_tx_run(x, &c->conn)) {
    case H1_SENT_ALL:
        uncork(c);
        break;
    case H1_SENT_BLOCKED:
        break;
    case H1_SENT_DONE:
        uncork(c);
        end_tx(c);
        break;
    case H1_SENT_CUT:
        cut_response(c);
        break;
    case H1_SENT_ERR:
        c->is_broken = true;
        x->s.is_gone = true;
        fail_tx(c, WR_REASON_RESET, c->conn.io.err);
        break;
    case H1_SENT_NOMEM:
        c->want_reset = true;
        fail_tx(c, WR_REASON_NOMEM, 0);
        break;
    }
}

/* ---- BUSY: deadlines and end ---------------------------------------------------------------- */

static void check_deadlines(struct wr_h1_server *c, bool wants_body)
{
    struct h1_xchg *x = &c->req->x;
    uint64_t now = wr_now_ms();

    if (wants_body && !x->got_in && wr_deadline_is_due(x->rx_at_ms, now)) {
        x->rx_at_ms = 0;
        if (x->s.is_tunnel) {
            fail_tx(c, WR_REASON_TIMEOUT, ETIMEDOUT);
        } else {
            fail_rx(c, WR_REASON_TIMEOUT, ETIMEDOUT);
        }
    }
    if (x->s.tx < WR_HALF_DONE && x->tx.is_blocked && !x->got_out &&
        wr_deadline_is_due(x->tx_at_ms, now)) {
        c->want_reset = x->s.reset_timedout;
        fail_tx(c, WR_REASON_SEND_TIMEOUT, ETIMEDOUT);
    }
}

/* Nothing more happens in this exchange. */
static bool is_ended(const struct h1_xchg *x)
{
    if (x->s.tx < WR_HALF_DONE) {
        return false;
    }
    return x->s.rx >= WR_HALF_DONE || x->rx.is_dropping || !x->rx.is_wanted || x->is_released;
}

static bool may_continue(const struct wr_h1_server *c)
{
    const struct wr_stream *s = &c->req->x.s;

    /* is_eof: all that the client will ever send was used. */
    return c->is_kept && s->rx == WR_HALF_DONE && s->tx == WR_HALF_DONE && !c->is_broken &&
           !c->is_eof;
}

/* The exchange is over and its user had his turn: what becomes of the connection. */
static bool go_on(struct wr_h1_server *c)
{
    struct wr_stream *s = &c->req->x.s;
    enum wr_reason why = s->reason != 0 ? (enum wr_reason)s->reason : WR_REASON_DONE;
    bool can_go_on = may_continue(c);

    c->keepalive_ms = s->keepalive_ms;
    c->lingering = s->lingering;
    c->lingering_time_ms = s->lingering_time_ms;
    c->lingering_timeout_ms = s->lingering_timeout_ms;
    if (s->tx == WR_HALF_RESET && !c->was_bad) {
        leave_request(c);
        close_plainly(c, why);
        return false;
    }
    leave_request(c);
    if (can_go_on) {
        enter_idle(c);
        return c->rest.len > 0;
    }
    if (want_lingering(c)) {
        enter_linger(c);
        return true;
    }
    close_plainly(c, why);
    return false;
}

/* True: go_on now. */
static bool tell_user(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;

    if (x->s.rx < WR_HALF_DONE) {
        /* Nobody wants the rest of the body; it is no failure. */
        h1_rx_fail(x, WR_REASON_DONE, 0);
        c->was_bad = true;
    }
    if (x->is_released || x->is_told) {
        return true;
    }
    x->is_told = true;
    wake_user(x);
    if (!may_continue(c) || c->rest.len > 0) {
        /* Behind the user in the queue. */
        wr_task_wake(&c->conn.task);
    } else {
        c->keepalive_ms = x->s.keepalive_ms;
        arm(c, wr_now_ms() + c->keepalive_ms);
    }
    return false;
}

static bool step_busy(struct wr_h1_server *c)
{
    struct h1_xchg *x = &c->req->x;
    bool wants_body;

    if (x->want_cut) {
        /* No answer at all (444): earlier ones may still be on their way, a RST would destroy them.
         */
        bool is_silent = x->s.reason == WR_REASON_DONE && !x->tx.is_written;

        close_server(c, x->s.reason, is_silent ? WR_IO_CLOSE_FIN : WR_IO_CLOSE_RESET);
        return false;
    }
    wants_body = pump_in(c);
    pump_out(c);
    check_deadlines(c, wants_body);
    see_facts(c);
    if (is_ended(x) && !(x->is_switch && !x->s.is_tunnel && x->s.tx != WR_HALF_RESET)) {
        return tell_user(c) && go_on(c);
    }
    wants_body = wants_body && x->s.rx == WR_HALF_BODY && x->rx.is_wanted && !x->rx.is_dropping;
    arm(c, h1_deadlines(x, wants_body));
    return false;
}

/* ---- LINGER --------------------------------------------------------------------------------- */

static bool step_linger(struct wr_h1_server *c)
{
    uint64_t now = wr_now_ms();
    enum wr_status st;
    bool got = false;

    for (;;) {
        st = h1_rest_fill(&c->rest, &c->conn, H1_RECV_ALL);
        if (st != WR_OK) {
            break;
        }
        h1_rest_drop(&c->rest);
        got = true;
    }
    if (st != WR_AGAIN || now >= c->mark_ms || (!got && is_due(c))) {
        close_plainly(c, WR_REASON_DONE);
        return false;
    }
    if (got) {
        c->at_ms = WR_MIN(c->mark_ms, now + c->lingering_timeout_ms);
    }
    arm(c, c->at_ms);
    return false;
}

/* ---- the task ------------------------------------------------------------------------------- */

static bool (*const steps[])(struct wr_h1_server *c) = {
    [H1_SERVER_IDLE] = step_idle,
    [H1_SERVER_HEAD] = step_head,
    [H1_SERVER_BUSY] = step_busy,
    [H1_SERVER_LINGER] = step_linger,
};

static void run_server(struct wr_task *t)
{
    struct wr_h1_server *c = server_of_conn(wr_container_of(t, struct wr_conn, task));

    wr_obj_check(&c->conn, WR_CONN_MAGIC);
    wr_recorder_enter_conn(c->conn.no);
    while (c->state < H1_SERVER_CLOSED && !c->is_faulty && steps[c->state](c)) {
    }
    if (c->is_faulty || c->state > H1_SERVER_CLOSED) {
        close_server(c, WR_REASON_INTERNAL, WR_IO_CLOSE_RESET);
    }
}

/* ---- the stream's down-calls ---------------------------------------------------------------- */

static struct wr_h1_server *codec_of(struct wr_stream *s)
{
    wr_obj_check(s, WR_STREAM_MAGIC);
    return s->codec;
}

static void wake_codec(struct wr_h1_server *c)
{
    wr_task_wake(&c->conn.task);
}

static void start_op(struct wr_stream *s)
{
    struct wr_h1_server *c = codec_of(s);

    if (!c || s->tx != WR_HALF_WAIT || !WR_ASSERT_REQ(s->head_out != NULL)) {
        return;
    }
    s->is_started = true;
    wr_stream_set_tx(s, WR_HALF_BODY);
    if (s->head_out->status != 101) {
        h1_tx_take_pipe(h1_xchg_of(s), s->out);
    }
    wake_codec(c);
}

static enum wr_status want_body_op(struct wr_stream *s, size_t high)
{
    struct wr_h1_server *c = codec_of(s);
    struct h1_xchg *x = h1_xchg_of(s);
    struct wr_pipe *p;

    if (!c || s->rx == WR_HALF_RESET) {
        return WR_EPEERGONE;
    }
    if (x->rx.is_wanted || x->rx.is_dropping || s->rx != WR_HALF_BODY) {
        return WR_OK;
    }
    p = wr_pipe_new(high > 0 ? high : 1, &c->conn.task, s->user);
    if (!p) {
        return WR_ENOMEM;
    }
    /* RFC 9110 10.1.1; not when the client did not wait. */
    if ((s->head_in->flags & WR_MSG_EXPECT) != 0 && s->version >= 11 && !s->is_started &&
        c->rest.len == 0 && !wr_conn_has_bytes(&c->conn) &&
        h1_tx_add_bytes(x, WR_STR("HTTP/1.1 100 Continue\r\n\r\n")) != WR_OK) {
        wr_pipe_leave_producer(p);
        wr_pipe_leave_consumer(p);
        return WR_ENOMEM;
    }
    x->rx.in = s->in = p;
    x->rx.is_wanted = true;
    wake_codec(c);
    return WR_OK;
}

static void interim_op(struct wr_stream *s, const struct wr_msg *m)
{
    struct wr_h1_server *c = codec_of(s);

    if (!c || s->is_started || s->version < 11) {
        return;
    }
    /* A response that only informs is left out when it cannot be written. */
    if (h1_tx_add_head(h1_xchg_of(s), m, WR_H1_RESPONSE, WR_STR_NULL) == WR_OK) {
        wake_codec(c);
    }
}

static void reset_op(struct wr_stream *s, enum wr_reason why)
{
    struct wr_h1_server *c = codec_of(s);

    bool was_sent = s->tx == WR_HALF_DONE && !s->is_tunnel;

    if (!c || !wr_stream_break(s, why, 0)) {
        return;
    }
    /* A response that is out stays whole; only the rest of the request is not wanted. */
    h1_xchg_of(s)->want_cut = !was_sent;
    wake_codec(c);
}

static void release_op(struct wr_stream *s)
{
    struct wr_h1_server *c = codec_of(s);
    struct h1_xchg *x = h1_xchg_of(s);

    s->user = NULL;
    x->is_released = true;
    if (!c) {
        wr_grave_bury(&x->grave, free_request);
        return;
    }
    if (s->tx != WR_HALF_DONE) {
        (void)wr_stream_break(s, WR_REASON_CANCELED, 0);
        /* A response that broke by itself is ended as that asks for. */
        x->want_cut = x->want_cut || !x->is_told;
    } else if (x->is_told && may_continue(c) && c->rest.len == 0) {
        c->keepalive_ms = s->keepalive_ms;
        leave_request(c);
        enter_idle(c);
        return;
    }
    wake_codec(c);
}

static enum wr_status tunnel_op(struct wr_stream *s)
{
    struct wr_h1_server *c = codec_of(s);
    struct h1_xchg *x = h1_xchg_of(s);
    enum wr_status st;

    if (!c || !s->is_started || wr_stream_is_reset(s)) {
        return WR_EPEERGONE;
    }
    st = h1_tunnel_begin(x, &c->conn);
    if (st == WR_OK) {
        wake_codec(c);
    }
    return st;
}

static const struct wr_stream_ops server_ops = {
    .name = "h1 server",
    .start = start_op,
    .want_body = want_body_op,
    .interim = interim_op,
    .reset = reset_op,
    .release = release_op,
    .tunnel = tunnel_op,
};

/* ---- for the sink --------------------------------------------------------------------------- */

size_t wr_h1_conn_size(void)
{
    return sizeof(struct wr_h1_server);
}

struct wr_h1_server *wr_h1_take(struct wr_conn *conn, struct wr_h1_sink *sink)
{
    struct wr_h1_server *c = server_of_conn(conn);

    wr_conn_set_run(conn, run_server, "h1 server");
    conn->task.near = &c->node; /* what stands behind the conn */
    c->sink = sink;
    c->state = H1_SERVER_IDLE;
    c->is_in_on = true; /* from the start, poll.h */
    c->mark_ms = wr_now_ms();
    wr_list_init(&c->node);
    if (opts_of(c)->first_timeout_ms > 0) {
        set_deadline(c, c->mark_ms + opts_of(c)->first_timeout_ms);
    }
    return c;
}

struct wr_list *wr_h1_server_node(struct wr_h1_server *c)
{
    return &c->node;
}

struct wr_h1_server *wr_h1_server_of_node(struct wr_list *n)
{
    return wr_container_of(n, struct wr_h1_server, node);
}

struct wr_h1_sink *wr_h1_server_sink(struct wr_h1_server *c)
{
    return c->sink;
}

bool wr_h1_server_is_idle(const struct wr_h1_server *c)
{
    return c->state == H1_SERVER_IDLE;
}

uint64_t wr_h1_server_idle_since_ms(const struct wr_h1_server *c)
{
    return c->mark_ms;
}

void wr_h1_server_quit(struct wr_h1_server *c, uint32_t grace_ms)
{
    uint64_t at;

    wr_obj_check(&c->conn, WR_CONN_MAGIC);
    if (c->state == H1_SERVER_CLOSED || c->is_quitting) {
        return;
    }
    c->is_quitting = true;
    c->grace_ms = grace_ms;
    if (c->state != H1_SERVER_IDLE) {
        return;
    }
    c->unread = wr_io_unread(&c->conn.io);
    at = WR_MAX(wr_now_ms() + grace_ms, c->mark_ms + opts_of(c)->keepalive_min_ms);
    if (at < c->at_ms || c->at_ms == 0) {
        set_deadline(c, at);
    }
    wr_task_wake(&c->conn.task);
}

void wr_h1_server_close(struct wr_h1_server *c, enum wr_reason why)
{
    bool is_running;

    wr_obj_check(&c->conn, WR_CONN_MAGIC);
    is_running = c->state == H1_SERVER_BUSY && c->req && !wr_stream_is_over(&c->req->x.s);
    close_server(c, why, is_running ? WR_IO_CLOSE_RESET : WR_IO_CLOSE_FIN);
}

struct wr_conn *wr_h1_server_conn(struct wr_h1_server *c)
{
    return &c->conn;
}

enum wr_reason wr_h1_server_why(const struct wr_h1_server *c)
{
    return (enum wr_reason)c->why;
}

uint32_t wr_h1_server_requests(const struct wr_h1_server *c)
{
    return c->requests;
}

struct wr_h1_server *wr_h1_server_of_stream(const struct wr_stream *s)
{
    return s->ops == &server_ops ? s->codec : NULL;
}

bool wr_h1_server_is_pipelined(const struct wr_h1_server *c)
{
    bool is_body = c->req && c->req->x.s.rx == WR_HALF_BODY;

    return !is_body && (c->rest.len > 0 || wr_conn_has_bytes(&c->conn));
}
