/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_client.c: HTTP/1 on a connection to a peer (codec.h). The object that the engine knows
 * (wr_pconn) is apart from the connection, since it outlives it until its owner closes it:
 *
 *   struct h1_client {wr_pconn} -- struct h1_link {wr_conn} -- struct h1_answer {h1_xchg}
 *
 * An exchange: the request goes out while the answer is read (U4.5). A send that fails does not end
 * it as long as bytes of an answer may come; only when none come the failure counts. It is over for
 * us when both halves are DONE: the codec leaves the stream at once and the connection is READY
 * again, if the answer framed itself, wants to be kept, and no byte is left over; else it is
 * closed. Bytes behind the answer's end are never passed on. Owner thread only.
 */
#include "http/h1_conn.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/num.h"
#include "base/obj.h"
#include "base/slab.h"
#include "base/strbuf.h"
#include "http/h1_int.h"
#include "http/h1_write.h"
#include "tls/tls.h"

#define H1_INTERIM_MAX      32
#define H1_HEAD_MAX_DEFAULT (16u * 1024)
#define H1_IN_HIGH_DEFAULT  ((size_t)64 * 1024)
#define H1_DOUBT_MS         500 /* most time for what was sent to be taken or refused */
#define H1_DOUBT_STEP_MS    10

#define B(s) (1u << WR_PCONN_##s)

/*
 * state, deadline, may go to. CONNECTING is bounded by the connect timeout of who dials, READY by
 * the keepalive_timeout of who parked it, BUSY by rx_timeout_ms and tx_timeout_ms of the stream.
 */
#define H1_CLIENT_STATES(X)                                                                        \
    X(CONNECTING, NONE, B(READY) | B(CLOSED))                                                      \
    X(READY, NONE, B(BUSY) | B(CLOSED))                                                            \
    X(BUSY, EXCHANGE, B(READY) | B(CLOSED))                                                        \
    X(CLOSED, NONE, 0)

static const char *const state_names[] = {
#define X(name, deadline, moves) [WR_PCONN_##name] = #name,
    H1_CLIENT_STATES(X)
#undef X
};

static const uint32_t state_moves[] = {
#define X(name, deadline, moves) [WR_PCONN_##name] = (moves),
    H1_CLIENT_STATES(X)
#undef X
};

static const struct wr_fsm client_fsm = WR_FSM("h1 client", state_names, state_moves);

struct h1_answer {
    struct h1_xchg x; /* first */
    struct wr_msg *head;
    uint32_t interims;
    bool is_kept;      /* the answer leaves the connection usable */
    bool is_closing;   /* the request asked for Connection: close */
    int tx_err;        /* errno of a send that failed while an answer might come */
    uint64_t tx_since; /* bytes that had been sent when it began, for wr_io_get_fate */
    uint64_t
        doubt_until_ms; /* not 0: the peer ended, what became of the request is not known yet */
};

struct h1_client {
    struct wr_pconn pc; /* first */
    struct wr_grave grave;
    struct h1_answer *ans; /* BUSY */
    struct h1_rest rest;
    uint64_t no; /* of the connection, for the recorder */
    bool is_in_on;
    bool is_eof;
    bool is_broken;
    bool is_buried;
    bool is_faulty; /* a bug of ours: to be closed */
    bool was_piped; /* the last answer was a big one: the next may be, too */
};

/* The connection's memory, with the way back. */
struct h1_link {
    struct wr_conn conn; /* first */
    struct h1_client *client;
};

static const struct wr_stream_ops client_ops;

static struct h1_client *client_of(struct wr_pconn *pc)
{
    return wr_container_of(pc, struct h1_client, pc);
}

static void set_state(struct h1_client *c, enum wr_pconn_state to)
{
    wr_fsm_move_on(&client_fsm, &c->pc.state, to, c->no, &c->is_faulty);
}

static void want_in(struct h1_client *c, bool on)
{
    if (c->is_in_on != on && !c->is_eof && !c->is_broken) {
        c->is_in_on = on;
        wr_conn_want_in(c->pc.conn, on);
    }
}

static void arm(struct h1_client *c, uint64_t at_ms)
{
    if (at_ms == 0) {
        wr_timer_disarm(&c->pc.conn->timer);
    } else {
        wr_timer_arm(&c->pc.conn->timer, at_ms);
    }
}

static void wake_user(struct h1_client *c)
{
    wr_task_wake_opt(c->pc.user);
}

/* ---- the exchange object -------------------------------------------------------------------- */

static void free_answer(struct wr_grave *g)
{
    struct h1_answer *a = wr_container_of(g, struct h1_answer, x.grave);

    wr_obj_kill(&a->x.s);
    wr_slab_free(a, sizeof(*a));
}

/* The codec's end leaves; the user is told. */
static void leave_answer(struct h1_client *c)
{
    struct h1_answer *a = wr_take(&c->ans);

    if (!a) {
        return;
    }
    h1_xchg_drop(&a->x);
    a->x.s.codec = NULL;
    a->x.s.conn = NULL;
    wr_task_wake_opt(a->x.s.user);
    if (a->x.is_released) {
        wr_grave_bury(&a->x.grave, free_answer);
    }
}

/* ---- ends of the connection ----------------------------------------------------------------- */

/* Closes the connection; the pconn stays until its owner closes it. */
static void end_client(struct h1_client *c, enum wr_reason why, int err, enum wr_io_close_how how)
{
    if (c->pc.state == WR_PCONN_CLOSED) {
        return;
    }
    set_state(c, WR_PCONN_CLOSED);
    c->pc.reason = (uint8_t)why;
    c->pc.err = err;
    if (c->ans) {
        (void)wr_stream_break(&c->ans->x.s, why, err);
        leave_answer(c);
    }
    h1_rest_drop(&c->rest);
    wr_conn_close(wr_take(&c->pc.conn), how);
    wake_user(c);
}

/* The exchange breaks: what was received is still delivered, then the reason. */
static void fail_client(struct h1_client *c, enum wr_reason why, int err)
{
    if (c->ans) {
        h1_rx_fail(&c->ans->x, why, err);
    }
    if (c->pc.conn) {
        c->pc.conn->is_failed = true; /* U3.4 */
    }
    end_client(c, why, err, WR_IO_CLOSE_FIN);
}

/* Both halves are DONE. */
static void end_exchange(struct h1_client *c)
{
    struct h1_answer *a = c->ans;
    struct wr_io *io = &c->pc.conn->io;
    enum wr_conn_quiet quiet = wr_conn_look(c->pc.conn);
    bool is_extra = c->rest.len > 0 || quiet == WR_CONN_SPOKE;
    bool is_fine = a->is_kept && !a->is_closing && !a->x.is_switch && !is_extra && !c->is_eof &&
                   !c->is_broken && quiet == WR_CONN_QUIET;

    c->pc.served++;
    c->was_piped = a->x.rx.piece_cnt > 0;
    if (!is_fine) {
        end_client(c, is_extra ? WR_REASON_EXTRA : WR_REASON_DONE, 0, WR_IO_CLOSE_FIN);
        return;
    }
    arm(c, 0);
    leave_answer(c);
    io->rx_max = 0;
    set_state(c, WR_PCONN_READY);
    want_in(c, true);
    wake_user(c);
}

/* ---- the answer's head ---------------------------------------------------------------------- */

static bool prepare_head(struct h1_answer *a)
{
    struct wr_stream *s = &a->x.s;
    struct wr_h1_limits lim = {
        .line_max = s->head_max, .head_max = s->head_max, .fields_max = H1_FIELDS_MAX};

    if (!a->head) {
        a->head = wr_arena_alloc(s->arena, sizeof(*a->head));
        if (!a->head) {
            return false;
        }
    }
    wr_msg_init(a->head, s->arena, H1_FIELDS_MAX);
    wr_h1_parser_init(&a->x.parser, WR_H1_RESPONSE, &lim, 0, a->head);
    a->x.parser.request_method = s->head_out->method;
    return true;
}

static enum wr_reason reason_of_bad(enum wr_h1_bad bad)
{
    switch (bad) {
    case WR_H1_BAD_LINE_TOO_LONG:
    case WR_H1_BAD_FIELD_TOO_LONG:
    case WR_H1_BAD_HEAD_TOO_LONG:
    case WR_H1_BAD_FIELDS:
        return WR_REASON_BIG_HEAD;
    case WR_H1_BAD_NOT_HTTP:
        return WR_REASON_NOT_HTTP;
    case WR_H1_BAD_NONE:
    case WR_H1_BAD_LINE:
    case WR_H1_BAD_METHOD:
    case WR_H1_BAD_TARGET:
    case WR_H1_BAD_VERSION:
    case WR_H1_BAD_MAJOR:
    case WR_H1_BAD_FIELD:
    case WR_H1_BAD_HOST:
    case WR_H1_BAD_FRAMING:
    case WR_H1_BAD_LENGTH:
    case WR_H1_BAD_CODING:
    case WR_H1_BAD_EMPTY_LINES:
        return WR_REASON_BAD_HEAD;
    }
    WR_UNREACHABLE();
}

static void end_rx(struct h1_client *c)
{
    struct h1_answer *a = c->ans;

    h1_rx_done(&a->x);
    wr_task_wake_opt(a->x.s.user);
}

/* `Keep-Alive: timeout=5, max=100`: the time in ms, at least 1. */
static void note_idle_said(struct wr_pconn *pc, struct wr_str list)
{
    static const struct wr_str name = WR_STR_INIT("timeout=");
    struct wr_str word;
    uint64_t s;

    while (wr_str_split(&list, ',', &word)) {
        word = wr_str_trim(word);
        if (wr_str_has_iprefix(word, name) &&
            wr_num_parse_u64(wr_str_sub(word, name.len, word.len), UINT32_MAX / 1000 - 1, &s) ==
                WR_OK) {
            pc->idle_said_ms = s == 0 ? 1 : (uint32_t)s * 1000;
            return;
        }
    }
}

/* The pipe of the body that m announces, if it announces one. False: no memory for it. */
static bool make_in(struct h1_client *c, const struct wr_msg *m)
{
    struct h1_xchg *x = &c->ans->x;
    struct wr_stream *s = &x->s;

    if (x->is_switch || m->framing == WR_FRAMING_NONE ||
        (m->framing == WR_FRAMING_LENGTH && m->content_length == 0)) {
        return true;
    }
    x->rx.in = s->in =
        wr_pipe_new(s->in_high > 0 ? s->in_high : H1_IN_HIGH_DEFAULT, &c->pc.conn->task, NULL);
    x->rx.is_wanted = s->in != NULL;
    return s->in != NULL;
}

/* The final head is whole. False: the exchange failed. */
static bool take_final_head(struct h1_client *c)
{
    struct h1_answer *a = c->ans;
    struct wr_stream *s = &a->x.s;
    const struct wr_msg *m = a->head;
    bool is_connect =
        s->head_out->method == WR_METHOD_CONNECT && m->status >= 200 && m->status < 300;
    const struct wr_hdr *said;

    if (m->status == 101 && ((s->head_out->flags & WR_MSG_UPGRADE) == 0 || m->version < 11 ||
                             (m->flags & WR_MSG_UPGRADE) == 0)) {
        /* U14.3: nobody asked for it, or it does not say what it switched to. */
        fail_client(c, WR_REASON_BAD_HEAD, 0);
        return false;
    }
    a->x.is_switch = m->status == 101 || is_connect;
    /* Before the head is anybody's: a head whose body cannot come is no answer. */
    if (!make_in(c, m)) {
        fail_client(c, WR_REASON_NOMEM, 0);
        return false;
    }
    a->is_kept = (m->flags & WR_MSG_KEEP_ALIVE) != 0 && m->framing != WR_FRAMING_CLOSE;
    said = wr_hdrs_get(&m->hdrs, WR_HDR_KEEP_ALIVE);
    if (said) {
        note_idle_said(&c->pc, said->value);
    }
    s->version = (uint8_t)m->version;
    s->head_in = a->head;
    s->head_us = h1_now_us();
    wr_stream_set_rx(s, WR_HALF_BODY);
    wr_task_wake_opt(s->user);
    h1_rx_begin(&a->x, m);
    if (!s->in) {
        end_rx(c);
    }
    return true;
}

/* For the user; at most H1_INTERIM_MAX of an answer. */
static bool keep_interim(struct h1_answer *a)
{
    struct wr_stream *s = &a->x.s;
    struct wr_interim *i = wr_arena_alloc(s->arena, sizeof(*i)), **tail = &s->interim_in;

    if (!i) {
        return false;
    }
    *i = (struct wr_interim){.head = wr_take(&a->head)};
    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = i;
    wr_task_wake_opt(s->user);
    return true;
}

/* Bytes are in rest. False: the exchange failed. */
static bool parse_answer(struct h1_client *c)
{
    struct h1_answer *a = c->ans;
    struct wr_stream *s = &a->x.s;
    unsigned status;

    if (!a->head && !prepare_head(a)) {
        fail_client(c, WR_REASON_NOMEM, 0);
        return false;
    }
    switch (h1_parse_head(&a->x, &c->rest, a->head, s->head_max)) {
    case H1_PARSED:
        break;
    case H1_PARSE_MORE:
        return true;
    case H1_PARSE_BAD:
        s->bad = (uint16_t)a->x.parser.bad;
        fail_client(c, reason_of_bad(a->x.parser.bad), 0);
        return false;
    case H1_PARSE_NOMEM:
        fail_client(c, WR_REASON_NOMEM, 0);
        return false;
    }
    status = a->head->status;
    if (status >= 200 || status == 101) {
        return take_final_head(c);
    }
    if (++a->interims > H1_INTERIM_MAX) {
        s->bad = WR_H1_BAD_HEAD_TOO_LONG;
        fail_client(c, WR_REASON_BAD_HEAD, 0);
        return false;
    }
    if ((s->want_hints && status == 103 && !keep_interim(a)) || !prepare_head(a)) {
        fail_client(c, WR_REASON_NOMEM, 0);
        return false;
    }
    return true;
}

/* ---- receiving ------------------------------------------------------------------------------ */

static enum wr_io_fate ask_fate(struct h1_client *c)
{
    struct wr_conn *conn = c->pc.conn;

    /* What ended TLS comes ahead of what ends the connection. */
    if (c->is_eof && (conn->io.facts & (WR_IO_EOF | WR_IO_ERR)) == 0) {
        return WR_IO_FLYING;
    }
    return wr_io_get_fate(&conn->io, c->ans->tx_since);
}

/*
 * The peer ended a reused connection without an answer to a request that must not be sent twice.
 * Whether anybody may have read it is asked here and, while the peer's system has neither
 * acknowledged nor refused it, again for a while (U2.6). False: not known yet.
 */
static bool learn_fate(struct h1_client *c)
{
    const struct wr_conn *conn = c->pc.conn;
    struct h1_answer *a = c->ans;
    struct wr_stream *s = &a->x.s;
    uint64_t now = wr_now_ms();

    if (!s->is_reused || s->got_bytes || wr_method_is_idempotent(s->head_out->method) ||
        (conn->link != &conn->sock_link && !wr_tls_is_in_kernel(conn->link))) {
        return true;
    }
    switch (ask_fate(c)) {
    case WR_IO_TAKEN:
        return true;
    case WR_IO_LOST:
        s->is_unseen = true;
        return true;
    case WR_IO_FLYING:
        break;
    }
    if (a->doubt_until_ms == 0) {
        a->doubt_until_ms = now + H1_DOUBT_MS;
    }
    return now >= a->doubt_until_ms;
}

/* Closed or reset before an answer. True: later, its request's fate is not known yet. */
static bool is_end_put_off(struct h1_client *c, int err)
{
    struct h1_answer *a = c->ans;

    if (!learn_fate(c)) {
        return true;
    }
    /* A send that failed is the reason, if one did. */
    err = a->tx_err != 0 ? a->tx_err : err;
    a->x.s.is_send_error = a->tx_err != 0;
    fail_client(c, err != 0 ? WR_REASON_RESET : WR_REASON_CLOSED, err);
    return false;
}

static void note_tls_error(struct h1_client *c)
{
    struct wr_tls *t = wr_tls_of_link(c->pc.conn->link);
    struct wr_stream *s = &c->ans->x.s;
    const char *text = t ? wr_tls_error(t) : NULL;

    /* Without memory it is told as a mere end. */
    if (text && wr_arena_dup(s->arena, wr_str_z(text), &s->tls_error) != WR_OK) {
        s->tls_error = WR_STR_NULL;
    }
}

/* Nothing more comes, and all that came was used. False: the exchange is gone. */
static bool see_end(struct h1_client *c, enum wr_status st)
{
    struct h1_answer *a = c->ans;
    struct wr_stream *s = &a->x.s;
    int err = st == WR_EOF ? 0 : c->pc.conn->io.err;

    if (st == WR_EOF) {
        c->is_eof = true;
    } else {
        c->is_broken = true;
    }
    if (st == WR_EPROTO) {
        note_tls_error(c);
    }
    if (s->rx == WR_HALF_WAIT) {
        return is_end_put_off(c, err);
    }
    if (s->rx == WR_HALF_BODY) {
        if (a->x.rx.framing != WR_FRAMING_CLOSE || st != WR_EOF) {
            fail_client(c, st == WR_EOF ? WR_REASON_TRUNCATED : WR_REASON_RESET, err);
            return false;
        }
        end_rx(c);
    }
    return true;
}

/* What came of bytes, but for MORE. */
static bool take_fed_end(struct h1_client *c, enum h1_fed fed)
{
    switch (fed) {
    case H1_FED_MORE:
        return true;
    case H1_FED_DONE:
        end_rx(c);
        return true;
    case H1_FED_BAD:
        fail_client(c, WR_REASON_BAD_BODY, 0);
        return false;
    case H1_FED_BIG:
        fail_client(c, WR_REASON_BIG_BODY, 0);
        return false;
    case H1_FED_NOMEM:
        fail_client(c, WR_REASON_NOMEM, 0);
        return false;
    }
    WR_UNREACHABLE();
}

static inline bool take_fed(struct h1_client *c, enum h1_fed fed)
{
    return fed == H1_FED_MORE || take_fed_end(c, fed);
}

/* Bytes that may be used now. */
static size_t answer_room(const struct h1_answer *a, size_t body_room)
{
    const struct wr_stream *s = &a->x.s;

    if (s->rx == WR_HALF_WAIT) {
        return h1_head_room(&a->x, s->head_max);
    }
    return s->rx == WR_HALF_BODY ? body_room : 0;
}

/* What the poller should receive at most, so that the user's limits bind. */
static void limit_receive(struct h1_client *c, size_t room)
{
    const struct h1_answer *a = c->ans;
    size_t max = room;

    if (a->x.s.rx == WR_HALF_WAIT) {
        /* Head and the first of the body come together. What is large comes better by itself. */
        max = c->was_piped ? H1_FIRST_PIPED : H1_FIRST_MAX;
        max = WR_MIN((size_t)a->x.s.head_max + a->x.s.in_high, max);
        max = WR_MIN(max, room);
    }
    c->pc.conn->io.rx_max = (uint32_t)WR_MIN(max, (size_t)UINT32_MAX);
}

/*
 * Bytes into rest, unless some are there. WR_AGAIN: none now, WR_EOF: no more come, WR_EPEERGONE:
 * the exchange is gone.
 */
static enum wr_status fill_rest(struct h1_client *c, size_t room)
{
    struct h1_answer *a = c->ans;
    enum wr_status st;

    if (c->rest.len > 0) {
        return WR_OK;
    }
    limit_receive(c, room);
    st = h1_rest_fill(&c->rest, c->pc.conn, room);
    if (st == WR_AGAIN) {
        h1_rx_aim(&a->x, c->pc.conn);
        return st;
    }
    if (st != WR_OK) {
        return see_end(c, st) ? WR_EOF : WR_EPEERGONE;
    }
    a->x.s.got_bytes = true;
    a->x.got_in = true;
    return WR_OK;
}

/* Nothing came and no byte of ours went: as pump_in, which would find nothing. */
static void aim_first(struct h1_client *c)
{
    limit_receive(c, H1_RECV_ALL);
    wr_io_aim(&c->pc.conn->io, -1, c->pc.conn->io.rx_max);
    want_in(c, true);
}

/* False: the exchange is gone. *ret_wants: bytes are awaited and none are here. */
static bool pump_in(struct h1_client *c, bool *ret_wants)
{
    struct h1_answer *a = c->ans;
    struct wr_stream *s = &a->x.s;
    size_t room;

    *ret_wants = false;
    if (!take_fed(c, h1_rx_take_piped(&a->x, c->pc.conn))) {
        return false;
    }
    for (;;) {
        enum wr_status st;

        room = answer_room(a, s->rx == WR_HALF_BODY ? h1_rx_room(&a->x) : 0);
        if (room == 0 || c->is_eof || c->is_broken) {
            break;
        }
        st = fill_rest(c, room);
        if (st == WR_EPEERGONE) {
            return false;
        }
        if (st != WR_OK) {
            *ret_wants = st == WR_AGAIN;
            break;
        }
        if (s->rx == WR_HALF_WAIT ? !parse_answer(c)
                                  : !take_fed(c, h1_feed(&a->x, &c->rest, room))) {
            return false;
        }
    }
    h1_rest_settle(&c->rest);
    if (room == 0) {
        h1_rx_relieve(&a->x);
    }
    /* With the answer over, IN stays on: an end or a byte more is to be seen. A tunnel yet to begin
     * waits. */
    want_in(c, c->rest.len == 0 && (room > 0 || (s->rx >= WR_HALF_DONE && !a->x.is_switch)));
    return true;
}

/* The connection is no good any more before anything was sent on it. */
static bool is_stale(struct h1_client *c)
{
    return wr_conn_look(c->pc.conn) != WR_CONN_QUIET;
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool is_close_asked(const struct wr_msg *m)
{
    const struct wr_hdr *h = NULL;

    if ((m->hdrs.have & (UINT64_C(1) << WR_HDR_CONNECTION)) == 0) {
        return false;
    }
    for (h = wr_hdrs_get(&m->hdrs, WR_HDR_CONNECTION); h; h = wr_hdrs_next(&m->hdrs, h)) {
        if (wr_str_list_has(h->value, WR_STR("close"))) {
            return true;
        }
    }
    return false;
}

/* The head of a request with a body, and how its end is told. */
static __attribute__((noinline)) enum wr_status add_framed_head(struct h1_answer *a,
                                                                const struct wr_msg *m)
{
    char text[128];
    struct wr_strbuf b;

    wr_strbuf_init_fixed(&b, text, sizeof(text));
    if (m->framing == WR_FRAMING_LENGTH) {
        a->x.tx.left = m->content_length;
        wr_strbuf_add_z(&b, "Content-Length: ");
        wr_strbuf_add_u64(&b, m->content_length);
        wr_strbuf_add_z(&b, "\r\n");
    } else {
        wr_strbuf_add_z(&b, "Transfer-Encoding: chunked\r\n");
    }
    return h1_tx_add_head(&a->x, m, WR_H1_REQUEST, wr_strbuf_str(&b));
}

/* Where the request begins in the bytes that are sent, if that may be asked: learn_fate. */
static void note_start(struct h1_client *c)
{
    const struct wr_stream *s = &c->ans->x.s;
    struct wr_conn *conn = c->pc.conn;

    if (conn->link != &conn->sock_link && s->is_reused && wr_tls_is_in_kernel(conn->link) &&
        !wr_method_is_idempotent(s->head_out->method)) {
        c->ans->tx_since = wr_io_count_sent(&conn->io);
    }
}

static enum wr_status write_request_head(struct h1_client *c)
{
    struct h1_answer *a = c->ans;
    struct wr_msg *m = a->x.s.head_out;

    note_start(c);
    if (wr_hdrs_has(&m->hdrs, WR_HDR_CONTENT_LENGTH)) {
        wr_hdrs_remove_id(&m->hdrs, WR_HDR_CONTENT_LENGTH);
    }
    if (wr_hdrs_has(&m->hdrs, WR_HDR_TRANSFER_ENCODING)) {
        wr_hdrs_remove_id(&m->hdrs, WR_HDR_TRANSFER_ENCODING);
    }
    if (!WR_ASSERT_REQ(m->framing != WR_FRAMING_CLOSE)) {
        return WR_EPROTO; /* a request cannot end with the connection */
    }
    a->x.tx.framing = (uint8_t)m->framing;
    a->is_closing = is_close_asked(m);
    a->x.tx.is_written = true;
    return m->framing == WR_FRAMING_NONE ? h1_tx_add_head(&a->x, m, WR_H1_REQUEST, WR_STR_NULL)
                                         : add_framed_head(a, m);
}

/* Whether an answer may still come, though no byte of ours goes out any more. False: the exchange
 * is gone. */
static bool survive_send_failure(struct h1_client *c)
{
    struct h1_answer *a = c->ans;
    int err = c->pc.conn->io.err;
    bool wants;

    h1_tx_leave_pipe(&a->x);
    a->tx_err = err != 0 ? err : EPIPE;
    if (a->x.s.is_tunnel) {
        fail_client(c, WR_REASON_RESET, a->tx_err);
        return false;
    }
    return pump_in(c, &wants);
}

/* The request is out, whole. */
static void end_tx(struct h1_client *c)
{
    struct wr_stream *s = &c->ans->x.s;

    if (c->ans->x.tx.out) {
        h1_tx_leave_pipe(&c->ans->x);
    }
    if (s->is_tunnel) {
        /* If it fails the connection is broken and the next receive tells. */
        (void)c->pc.conn->link->ops->shutdown(c->pc.conn->link);
    }
    wr_stream_set_tx(s, WR_HALF_DONE);
    if (s->out || s->rx != WR_HALF_WAIT) {
        /* Without a body the user has nothing to do before the answer wakes him. */
        wr_task_wake_opt(s->user);
    }
}

static bool pump_out(struct h1_client *c)
{
    struct h1_answer *a = c->ans;
    struct wr_stream *s = &a->x.s;
    unsigned why;

    if (!s->is_started || s->tx >= WR_HALF_DONE || a->x.tx.is_dead) {
        return true;
    }
    if (!a->x.tx.is_written) {
        enum wr_status st = write_request_head(c);

        if (st != WR_OK) {
            fail_client(c, st == WR_ENOMEM ? WR_REASON_NOMEM : WR_REASON_INTERNAL, 0);
            return false;
        }
    }
    switch (h1_tx_run(&a->x, c->pc.conn)) {
    case H1_SENT_ALL:
    case H1_SENT_BLOCKED:
        return true;
    case H1_SENT_DONE:
        end_tx(c);
        return true;
    case H1_SENT_CUT:
        why = a->x.tx.out ? a->x.tx.out->reason : 0;
        fail_client(c, why != 0 ? (enum wr_reason)why : WR_REASON_CANCELED, 0);
        return false;
    case H1_SENT_ERR:
        return survive_send_failure(c);
    case H1_SENT_NOMEM:
        fail_client(c, WR_REASON_NOMEM, 0);
        return false;
    }
    WR_UNREACHABLE();
}

/* As pump_in; is_first: nothing came and no byte of ours went. */
static bool pump(struct h1_client *c, bool is_first, bool *ret_wants)
{
    if (is_first) {
        aim_first(c);
        *ret_wants = true;
    } else if (!pump_in(c, ret_wants)) {
        return false;
    }
    return pump_out(c);
}

/* ---- the task ------------------------------------------------------------------------------- */

/* False: the exchange is gone. */
static bool check_deadlines(struct h1_client *c, bool wants_in)
{
    struct h1_xchg *x = &c->ans->x;
    uint64_t now = wr_now_ms();

    if (wants_in && !x->got_in && wr_deadline_is_due(x->rx_at_ms, now)) {
        fail_client(c, WR_REASON_TIMEOUT, ETIMEDOUT);
        return false;
    }
    if (x->tx.is_blocked && !x->got_out && wr_deadline_is_due(x->tx_at_ms, now)) {
        fail_client(c, WR_REASON_SEND_TIMEOUT, ETIMEDOUT);
        return false;
    }
    return true;
}

/* With the answer over the request may go on, unless the peer takes no more. */
static bool check_late_request(struct h1_client *c)
{
    struct h1_xchg *x = &c->ans->x;
    const struct wr_io *io = &c->pc.conn->io;

    if (x->s.rx != WR_HALF_DONE || x->s.tx != WR_HALF_BODY || x->is_switch) {
        return true;
    }
    if (!x->tx.is_dead && (io->facts & (WR_IO_ERR | WR_IO_HUP)) == 0) {
        return true;
    }
    end_client(c, WR_REASON_RESET, io->err, WR_IO_CLOSE_RESET);
    return false;
}

/* Both halves are over and nothing follows. */
static bool is_ended(const struct h1_xchg *x)
{
    return x->s.rx == WR_HALF_DONE && x->s.tx == WR_HALF_DONE && (!x->is_switch || x->s.is_tunnel);
}

/* U4.6: from when the request is out, or once an answer has begun. */
static bool is_answer_due(const struct h1_xchg *x)
{
    return x->s.rx < WR_HALF_DONE && (x->s.tx >= WR_HALF_DONE || x->tx.is_dead || x->s.got_bytes);
}

static void step_busy(struct h1_client *c)
{
    struct h1_xchg *x = &c->ans->x;
    bool is_first = x->s.tx_bytes == 0 && !x->tx.is_blocked;
    bool wants_in = false;

    if (x->want_cut) {
        fail_client(c, (enum wr_reason)x->s.reason, 0);
        return;
    }
    if (is_first && is_stale(c)) {
        /* U3.3: before the first byte went out nothing is an answer. */
        fail_client(c, WR_REASON_CLOSED, c->pc.conn->io.err);
        return;
    }
    if (c->ans->doubt_until_ms != 0) {
        if (is_end_put_off(c, 0)) {
            arm(c, wr_now_ms() + H1_DOUBT_STEP_MS);
        }
        return;
    }
    if (!x->s.is_started || !pump(c, is_first, &wants_in)) {
        return;
    }
    if (c->ans->doubt_until_ms != 0) {
        arm(c, wr_now_ms() + H1_DOUBT_STEP_MS);
        return;
    }
    if (!check_deadlines(c, wants_in) || !check_late_request(c)) {
        return;
    }
    if (is_ended(x)) {
        end_exchange(c);
        return;
    }
    arm(c, h1_deadlines(x, wants_in && is_answer_due(x)));
}

static void step_connecting(struct h1_client *c)
{
    enum wr_status st = wr_pconn_shake(&c->pc);

    if (st == WR_OK) {
        set_state(c, WR_PCONN_READY);
        wake_user(c);
    } else if (st != WR_AGAIN) {
        end_client(c, wr_pconn_shake_reason(st), c->pc.conn->io.err, WR_IO_CLOSE_FIN);
    }
}

static void run_client(struct wr_task *t)
{
    struct wr_conn *conn = wr_container_of(t, struct wr_conn, task);
    struct h1_client *c = wr_container_of(conn, struct h1_link, conn)->client;

    wr_obj_check(conn, WR_CONN_MAGIC);
    wr_recorder_enter_conn(conn->no);
    if (c->ans) { /* the head of the answer goes there, and who waits for it is woken */
        wr_prefetch(c->ans->x.s.arena);
        wr_prefetch(c->ans->x.s.user);
    }
    if (c->is_faulty || c->pc.state > WR_PCONN_CLOSED) { /* to close it is a move that counts */
        end_client(c, WR_REASON_INTERNAL, 0, WR_IO_CLOSE_FIN);
        return;
    }
    switch ((enum wr_pconn_state)c->pc.state) {
    case WR_PCONN_CONNECTING:
        step_connecting(c);
        return;
    case WR_PCONN_READY:
        if (is_stale(c)) {
            end_client(c, WR_REASON_CLOSED, conn->io.err, WR_IO_CLOSE_FIN);
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

static struct h1_client *codec_of(struct wr_stream *s)
{
    wr_obj_check(s, WR_STREAM_MAGIC);
    return s->codec;
}

static void wake_codec(struct h1_client *c)
{
    wr_task_wake(&c->pc.conn->task);
}

static void start_op(struct wr_stream *s)
{
    struct h1_client *c = codec_of(s);

    if (!c || s->tx != WR_HALF_WAIT || !WR_ASSERT_REQ(s->head_out != NULL)) {
        return;
    }
    s->is_started = true;
    wr_stream_set_tx(s, WR_HALF_BODY);
    if (s->head_out->framing != WR_FRAMING_NONE) {
        h1_tx_take_pipe(h1_xchg_of(s), s->out);
    }
    wake_codec(c);
}

static enum wr_status want_body_op(struct wr_stream *s, size_t high)
{
    /* The pipe comes with the head; until then its mark can be said. */
    if (s->rx == WR_HALF_RESET) {
        return WR_EPEERGONE;
    }
    if (!s->head_in) {
        s->in_high = high;
    }
    return WR_OK;
}

static void interim_op(struct wr_stream *s, const struct wr_msg *m)
{
    (void)s;
    (void)m;
}

static void reset_op(struct wr_stream *s, enum wr_reason why)
{
    struct h1_client *c = codec_of(s);

    if (!c) {
        return;
    }
    (void)wr_stream_break(s, why, 0);
    wr_stream_note(s, why, 0);
    h1_xchg_of(s)->want_cut = true;
    wake_codec(c);
}

static void release_op(struct wr_stream *s)
{
    struct h1_client *c = codec_of(s);
    struct h1_xchg *x = h1_xchg_of(s);

    s->user = NULL;
    x->is_released = true;
    if (!c) {
        wr_grave_bury(&x->grave, free_answer);
        return;
    }
    reset_op(s, WR_REASON_CANCELED);
}

static enum wr_status tunnel_op(struct wr_stream *s)
{
    struct h1_client *c = codec_of(s);
    struct h1_xchg *x = h1_xchg_of(s);
    enum wr_status st;

    if (!c || !x->is_switch || s->is_tunnel || wr_stream_is_reset(s)) {
        return s->is_tunnel ? WR_OK : WR_EPEERGONE;
    }
    st = h1_tunnel_begin(x, c->pc.conn);
    if (st == WR_OK) {
        wake_codec(c);
    }
    return st;
}

static const struct wr_stream_ops client_ops = {
    .name = "h1 client",
    .start = start_op,
    .want_body = want_body_op,
    .interim = interim_op,
    .reset = reset_op,
    .release = release_op,
    .tunnel = tunnel_op,
};

/* ---- the codec's table ---------------------------------------------------------------------- */

static void free_client(struct wr_grave *g)
{
    struct h1_client *c = wr_container_of(g, struct h1_client, grave);

    wr_slab_free(c, sizeof(*c));
}

static void init_client(struct h1_client *c, const struct wr_codec *codec, struct wr_conn *conn,
                        struct wr_task *user)
{
    wr_container_of(conn, struct h1_link, conn)->client = c;
    wr_pconn_init(&c->pc, codec, conn, user);
    c->no = conn->no;
    conn->task.near = conn->task.far = c;
    c->is_in_on = true; /* from the start, poll.h */
}

static enum wr_status dial(const struct wr_codec *codec, const struct wr_dial *d,
                           struct wr_task *user, struct wr_pconn **ret, int *ret_errno)
{
    static const struct wr_conn_owner owner = {sizeof(struct h1_link), run_client, "h1 client"};
    struct h1_client *c = wr_slab_alloc(sizeof(*c));
    struct wr_conn *conn;
    enum wr_status st;

    if (!c) {
        return WR_ENOMEM;
    }
    st = wr_conn_dial(d->to, d->opts, &owner, &conn, ret_errno);
    if (st != WR_OK && st != WR_AGAIN) {
        wr_slab_free(c, sizeof(*c));
        return st;
    }
    init_client(c, codec, conn, user);
    st = wr_pconn_begin(&c->pc, d, st);
    if (st == WR_OK) {
        set_state(c, WR_PCONN_READY);
    }
    *ret = &c->pc;
    return st;
}

static enum wr_status open_stream(struct wr_pconn *pc, struct wr_arena *arena, struct wr_task *user,
                                  struct wr_stream **ret)
{
    struct h1_client *c = client_of(pc);
    struct h1_answer *a;

    if (pc->state != WR_PCONN_READY) {
        return WR_EPEERGONE;
    }
    a = wr_slab_alloc(sizeof(*a));
    if (!a) {
        return WR_ENOMEM;
    }
    h1_xchg_init(&a->x, &client_ops, pc->conn);
    a->x.is_open = true;
    a->tx_since = pc->conn->io.tx_total;
    a->x.s.codec = c;
    a->x.s.arena = arena;
    a->x.s.user = user;
    a->x.s.is_reused = pc->served > 0;
    a->x.s.head_max = H1_HEAD_MAX_DEFAULT;
    a->x.s.in_high = H1_IN_HIGH_DEFAULT;
    c->ans = a;
    pc->conn->task.far = a;
    set_state(c, WR_PCONN_BUSY);
    *ret = &a->x.s;
    return WR_OK;
}

static void close_client(struct wr_pconn *pc, enum wr_reason why)
{
    struct h1_client *c = client_of(pc);

    if (c->is_buried) {
        return;
    }
    c->is_buried = true;
    pc->user = NULL;
    if (c->ans) {
        h1_rx_fail(&c->ans->x, why, 0);
    }
    end_client(c, why, 0, WR_IO_CLOSE_FIN);
    wr_grave_bury(&c->grave, free_client);
}

static enum wr_status detach_client(struct wr_pconn *pc, struct wr_pconn_seed *ret)
{
    struct h1_client *c = client_of(pc);

    struct wr_pconn_seed seed = {.served = pc->served, .since_ms = pc->since_ms};

    if (pc->state != WR_PCONN_READY || is_stale(c) || c->rest.len > 0 || c->is_eof ||
        c->is_broken || wr_pconn_take_tls(pc, &seed) != WR_OK) {
        return WR_AGAIN;
    }
    seed.idle_said_ms = pc->idle_said_ms;
    seed.idle_ms = pc->idle_ms;
    seed.tx_total = pc->conn->io.tx_total;
    *ret = seed;
    pc->user = NULL;
    set_state(c, WR_PCONN_CLOSED);
    pc->reason = WR_REASON_DONE;
    c->is_buried = true;
    ret->fd = wr_conn_detach(wr_take(&pc->conn));
    wr_grave_bury(&c->grave, free_client);
    return WR_OK;
}

static enum wr_status adopt_client(const struct wr_codec *codec, const struct wr_pconn_seed *seed,
                                   const struct wr_addr *to, struct wr_task *user,
                                   struct wr_pconn **ret)
{
    struct h1_client *c;
    struct wr_conn *conn;
    enum wr_status st;

    st = wr_conn_open(seed->fd, to, sizeof(struct h1_link), run_client, "h1 client", &conn);
    if (st != WR_OK) {
        wr_tls_unref(seed->tls);
        return st;
    }
    wr_pconn_give_tls(conn, seed);
    c = wr_slab_alloc(sizeof(*c));
    if (!c) {
        wr_conn_close(conn, WR_IO_CLOSE_FIN);
        return WR_ENOMEM;
    }
    init_client(c, codec, conn, user);
    conn->since_ms = seed->since_ms;
    conn->io.tx_total = seed->tx_total;
    c->pc.served = seed->served;
    c->pc.idle_said_ms = seed->idle_said_ms;
    c->pc.idle_ms = seed->idle_ms;
    c->pc.since_ms = seed->since_ms;
    set_state(c, WR_PCONN_READY);
    *ret = &c->pc;
    return WR_OK;
}

const struct wr_codec wr_h1_codec = {
    .name = "h1",
    .dial = dial,
    .open = open_stream,
    .close = close_client,
    .detach = detach_client,
    .adopt = adopt_client,
};
