/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attempt.c: one try on one peer (up/attempt.h). The attempt owns the peer connection and the user
 * end of its stream; whatever ends it goes through wr_attempt_end, once. The peer's slot is the
 * engine's: it is released where the outcome is known (up/engine.c).
 */
#include "up/attempt.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fsm.h"
#include "base/log.h"
#include "base/obj.h"
#include "base/stat.h"
#include "event/timer.h"
#include "http/core_conf.h"
#include "up/idle.h"
#include "up/ntlm.h"
#include "up/send.h"
#include "up/up.h"

#define WHY_MAX 1024

#define B(s) (1u << WR_ATTEMPT_##s)

/* state, may go to. Deadlines: CONNECT connect_timeout; ACTIVE the codec's two; the others wait for
 * nothing. */
#define WR_ATTEMPT_STATES(X)                                                                       \
    X(NONE, B(CONNECT) | B(ACTIVE) | B(RESULT))                                                    \
    X(CONNECT, B(ACTIVE) | B(RESULT))                                                              \
    X(ACTIVE, B(RESULT))                                                                           \
    X(RESULT, B(NONE))

static const char *const state_names[] = {
#define X(name, moves) #name,
    WR_ATTEMPT_STATES(X)
#undef X
};

static const uint32_t state_moves[] = {
#define X(name, moves) moves,
    WR_ATTEMPT_STATES(X)
#undef X
};

static const struct wr_fsm attempt_fsm = WR_FSM("attempt", state_names, state_moves);

static const char *const cause_texts[] = {
    [WR_CAUSE_NONE] = "given up",
    [WR_CAUSE_OK] = "done",
    [WR_CAUSE_REFUSED] = "connection refused",
    [WR_CAUSE_CONNECT_TIMEOUT] = "no connection in time",
    [WR_CAUSE_TLS] = "TLS failed",
    [WR_CAUSE_READ_TIMEOUT] = "no answer in time",
    [WR_CAUSE_SEND_TIMEOUT] = "the request was not taken in time",
    [WR_CAUSE_CLOSED] = "closed before an answer",
    [WR_CAUSE_BAD_HEAD] = "bad answer",
    [WR_CAUSE_BIG_HEAD] = "answer's head too big",
    [WR_CAUSE_STATUS] = "status for the next peer",
    [WR_CAUSE_TRUNCATED] = "answer broken off",
    [WR_CAUSE_CANCELED] = "client gone",
    [WR_CAUSE_OURS] = "trouble of our own",
    [WR_CAUSE_CLIENT_BODY] = "bad body of the client",
    [WR_CAUSE_DENIED] = "not allowed",
};

static void set_state(struct wr_up *u, enum wr_attempt_state to)
{
    if (wr_timer_is_armed(&u->timer)) {
        wr_timer_disarm(&u->timer);
    }
    if (!wr_fsm_move(&attempt_fsm, &u->attempt.state, to, u->req->id)) {
        /* What follows relies on it; the request ends, and this with it. */
        wr_fsm_force(&attempt_fsm, &u->attempt.state, to, u->req->id);
        wr_req_fail(u->req, 500);
    }
    if (to == WR_ATTEMPT_CONNECT) {
        wr_timer_arm(&u->timer, wr_now_ms() + u->start.conf->connect_timeout_ms);
    }
}

/* On a usable connection: a stream, the request built and started. */
static void go_active(struct wr_up *u)
{
    struct wr_attempt *a = &u->attempt;
    const struct wr_up_conf *c = u->start.conf;
    const struct wr_core_loc *loc = wr_core_loc_of(u->req);
    bool hints = false;
    enum wr_status st;

    u->try->connect_ms = (uint32_t)(wr_now_ms() - a->began_ms);
    wr_log_debug(&u->req->log, "req %llu: %s after %u ms", (unsigned long long)u->req->id,
                 a->is_reused ? "an idle connection is used" : "connected",
                 (unsigned)u->try->connect_ms);
    if (loc->early_hints.cnt != 0 && wr_core_wants_hints(u->req, &hints) != WR_OK) {
        wr_attempt_end(u, WR_CAUSE_OURS, 0);
        return;
    }
    st = a->pc->codec->open(a->pc, u->req->arena, &u->req->task, &a->stream);
    if (st != WR_OK) {
        wr_attempt_end(u, WR_CAUSE_OURS, 0);
        return;
    }
    a->stream->rx_timeout_ms = c->read_timeout_ms;
    a->stream->tx_timeout_ms = c->send_timeout_ms;
    a->stream->no_sendfile = !loc->sendfile;
    a->stream->want_hints = hints;
    a->stream->head_max = (uint32_t)c->buffer_size;
    a->stream->in_high = c->buffering != WR_UP_BUFFERING_OFF
                             ? (size_t)c->buffers.num * c->buffers.size
                             : (size_t)c->buffer_size;
    set_state(u, WR_ATTEMPT_ACTIVE);
    wr_up_send_start(u);
}

/* With TLS: who the peer must be; why it was not, for the log. */
static void fill_dial(struct wr_up *u)
{
    const struct wr_peer *peer = u->slot.member->peer;

    u->dial = (struct wr_dial){.to = &peer->addr, .opts = &u->opts};
    if (u->start.tls == NULL) {
        return;
    }
    u->target = *u->start.tls;
    u->target.peer_id = peer->id;
    u->target.identity = u->start.identity;
    u->dial.tls = &u->target;
    u->dial.why = &u->tls_why;
    wr_strbuf_init_arena(&u->tls_why, u->req->arena, WHY_MAX);
}

static enum wr_status dial(struct wr_up *u, int *ret_errno)
{
    const struct wr_codec *codec = u->start.proto->codec;

    fill_dial(u);
    return codec->dial(codec, &u->dial, &u->req->task, &u->attempt.pc, ret_errno);
}

/* *_allow_upstream: no value is empty or "0". */
static enum wr_status ask_allowed(struct wr_up *u, bool *ret_allowed)
{
    const struct wr_templates *t = &u->start.conf->allow;

    for (size_t i = 0; i < t->cnt; i++) {
        struct wr_str v;
        enum wr_status st = wr_template_eval(u->req, &t->at[i], &v);

        if (st != WR_OK) {
            return st;
        }
        if (v.len == 0 || wr_str_eq_z(v, "0")) {
            *ret_allowed = false;
            return WR_OK;
        }
    }
    *ret_allowed = true;
    return WR_OK;
}

/* The identity of connections for this request. */
static uint64_t identity_of(const struct wr_up *u)
{
    return WR_LIKELY(u->bound_no == 0) ? u->identity : wr_up_ntlm_identity(u);
}

void wr_attempt_begin(struct wr_up *u, enum wr_attempt_flags how)
{
    struct wr_attempt *a = &u->attempt;
    const struct wr_member *m = u->slot.member;
    bool is_allowed = false;
    enum wr_status st;
    int err = 0;

    if (a->state != WR_ATTEMPT_NONE) {
        *a = (struct wr_attempt){.state = WR_ATTEMPT_NONE};
    }
    a->began_ms = wr_now_ms();
    wr_stat_inc(WR_CNT_UP_TRIES);
    st = ask_allowed(u, &is_allowed);
    if (st != WR_OK || !is_allowed) {
        wr_attempt_end(u, st != WR_OK ? WR_CAUSE_OURS : WR_CAUSE_DENIED, 0);
        return;
    }
    if (how != WR_ATTEMPT_FRESH && u->start.members->keepalive != 0) {
        a->pc = wr_idle_take(u->start.members, m->peer, identity_of(u), &u->req->task);
    }
    if (a->pc != NULL) {
        a->is_reused = true;
        a->idle_ms = (uint32_t)(a->began_ms - WR_MIN(a->began_ms, a->pc->idle_ms));
        go_active(u);
        return;
    }
    st = dial(u, &err);
    if (st != WR_OK && st != WR_AGAIN) {
        a->pc = NULL;
        a->is_local = st == WR_ECONFIG;
        wr_attempt_end(u, st == WR_ESYS ? WR_CAUSE_REFUSED : WR_CAUSE_OURS, err);
        return;
    }
    wr_stat_inc(WR_CNT_UP_DIALED);
    if (a->pc->state == WR_PCONN_READY) {
        go_active(u);
    } else {
        set_state(u, WR_ATTEMPT_CONNECT);
    }
}

static enum wr_cause cause_of(const struct wr_stream *s, bool is_accepted)
{
    switch ((enum wr_reason)s->reason) {
    case WR_REASON_TIMEOUT:
        return WR_CAUSE_READ_TIMEOUT;
    case WR_REASON_SEND_TIMEOUT:
        return WR_CAUSE_SEND_TIMEOUT;
    case WR_REASON_BAD_HEAD:
    case WR_REASON_NOT_HTTP:
        return WR_CAUSE_BAD_HEAD;
    case WR_REASON_BIG_HEAD:
        return WR_CAUSE_BIG_HEAD;
    case WR_REASON_NOMEM:
    case WR_REASON_INTERNAL:
        return WR_CAUSE_OURS;
    case WR_REASON_CANCELED:
    case WR_REASON_CLIENT_GONE:
        return WR_CAUSE_CANCELED;
    case WR_REASON_NONE:
    case WR_REASON_DONE:
    case WR_REASON_CLOSED:
    case WR_REASON_RESET:
    case WR_REASON_BAD_BODY:
    case WR_REASON_BIG_BODY:
    case WR_REASON_TRUNCATED:
    case WR_REASON_EXTRA:
    case WR_REASON_PEER_FAILED:
    case WR_REASON_SHUTDOWN:
    case WR_REASON_REPLACED:
    case WR_REASON_TLS:
    case WR_REASON_COUNT:
        break;
    }
    return is_accepted ? WR_CAUSE_TRUNCATED : WR_CAUSE_CLOSED;
}

static enum wr_cause cause_of_connect(const struct wr_pconn *pc)
{
    if (pc->reason == WR_REASON_TLS) {
        return WR_CAUSE_TLS;
    }
    return pc->reason == WR_REASON_NOMEM ? WR_CAUSE_OURS : WR_CAUSE_REFUSED;
}

static void step_connect(struct wr_up *u)
{
    struct wr_attempt *a = &u->attempt;

    a->is_shaking = a->pc->state == WR_PCONN_CONNECTING && wr_pconn_is_shaking(a->pc);
    if (a->pc->state == WR_PCONN_CLOSED) {
        wr_attempt_end(u, cause_of_connect(a->pc), a->pc->err);
    } else if (a->pc->state == WR_PCONN_READY) {
        go_active(u);
    } else if (!wr_timer_is_armed(&u->timer)) {
        wr_attempt_end(u, WR_CAUSE_CONNECT_TIMEOUT, ETIMEDOUT);
    }
}

void wr_attempt_step(struct wr_up *u)
{
    struct wr_attempt *a = &u->attempt;
    struct wr_stream *s = a->stream;

    if (a->state == WR_ATTEMPT_CONNECT) {
        step_connect(u);
        s = a->stream;
    }
    if (a->state != WR_ATTEMPT_ACTIVE) {
        return;
    }
    wr_up_send_step(u);
    if (a->state != WR_ATTEMPT_ACTIVE) {
        return;
    }
    if (!WR_ASSERT_REQ(s != NULL)) { /* active means: on a stream */
        wr_attempt_end(u, WR_CAUSE_OURS, 0);
        return;
    }
    /* A head that is whole is looked at first, whatever came behind it (U6.5). */
    if (s->head_in == NULL ? wr_stream_is_reset(s) : a->is_accepted && s->rx == WR_HALF_RESET) {
        a->reason = s->reason;
        a->tls_error = s->tls_error;
        a->bad_text = s->bad_text;
        wr_attempt_end(u, cause_of(s, a->is_accepted), s->err);
    }
}

static void note_stream(struct wr_up *u, const struct wr_stream *s)
{
    struct wr_attempt *a = &u->attempt;
    struct wr_up_try *t = u->try;
    struct wr_up_log *l = u->req->up_log;

    a->sent = a->sent || s->tx_bytes != 0;
    a->got_bytes = s->got_bytes;
    a->is_unseen = s->is_unseen;
    a->is_send_error = s->is_send_error;
    a->is_sent_whole = s->tx == WR_HALF_DONE;
    t->bytes_sent += s->tx_bytes;
    t->bytes_received += s->rx_bytes;
    t->response_length = s->rx_body_bytes;
    if (l != NULL && s->head_in != NULL && l->head == s->head_in) {
        l->trailers = s->trailers_in; /* they come behind the body */
    }
}

/* Our ends of the pipes; `in` is NULL once it was handed to the client's side. */
static void leave_pipes(struct wr_stream *s)
{
    if (s->in != NULL) {
        wr_pipe_leave_consumer(wr_take(&s->in));
    }
    if (s->out != NULL) {
        if (!s->is_started) {
            wr_pipe_leave_consumer(s->out); /* the codec never took its end */
        }
        wr_pipe_leave_producer(wr_take(&s->out));
    }
}

/* U12.1: client, timeout or shutdown ended a started attempt. */
static bool is_abort(enum wr_cause cause)
{
    return cause == WR_CAUSE_CANCELED || cause == WR_CAUSE_READ_TIMEOUT ||
           cause == WR_CAUSE_SEND_TIMEOUT;
}

static void end_stream(struct wr_up *u, struct wr_stream *s, enum wr_cause cause)
{
    note_stream(u, s);
    if (cause != WR_CAUSE_OK || !wr_stream_is_over(s) || wr_stream_is_reset(s)) {
        s->ops->reset(s, WR_REASON_CANCELED);
    }
    leave_pipes(s);
    s->ops->release(s);
}

static void log_end(const struct wr_up *u, enum wr_cause cause, int err)
{
    wr_log_debug(&u->req->log, "req %llu: the attempt ends: %s%s%s", (unsigned long long)u->req->id,
                 cause_texts[cause], err != 0 ? ", " : "", err != 0 ? wr_log_errno_text(err) : "");
}

void wr_attempt_end(struct wr_up *u, enum wr_cause cause, int err)
{
    struct wr_attempt *a = &u->attempt;
    struct wr_pconn *pc = wr_take(&a->pc);
    struct wr_stream *s = wr_take(&a->stream);

    if (a->state == WR_ATTEMPT_RESULT) {
        return;
    }
    if (s != NULL && u->is_created && is_abort(cause) && u->start.proto->abort_request != NULL) {
        u->start.proto->abort_request(u);
    }
    if (s != NULL) {
        end_stream(u, s, cause);
    }
    if (pc != NULL) {
        pc->user = NULL;
        if (pc->state == WR_PCONN_READY && s != NULL) {
            wr_idle_put(u->start.members, u->slot.member, identity_of(u), pc);
        } else {
            pc->codec->close(pc, WR_REASON_CANCELED);
        }
    }
    log_end(u, cause, err);
    a->cause = (uint8_t)cause;
    a->err = err;
    if (u->try != NULL) {
        if (u->try->response_ms == UINT32_MAX) {
            u->try->response_ms = (uint32_t)(wr_now_ms() - a->began_ms);
        }
        wr_up_why_end(u);
    }
    set_state(u, WR_ATTEMPT_RESULT);
}
