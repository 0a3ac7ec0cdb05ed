/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c: the run loop and the steps of struct wr_up (up/up.h has the table in words). A step
 * looks at facts, does one thing, and returns the next state or WAIT; the one setter checks the
 * move and notes it. The request's task runs it, and only it.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/local.h"
#include "base/log.h"
#include "base/num.h"
#include "base/obj.h"
#include "base/stat.h"
#include "http/core_conf.h"
#include "up/head.h"
#include "up/idle.h"
#include "up/report.h"
#include "up/send.h"
#include "up/tunnel.h"
#include "up/up.h"

#define B(s) (1u << WR_UP_##s)

/*
 * state, step, deadline, may go to. Deadlines: START the client's body (codec); TRY the attempt's
 * own; RELAY, TUNNEL the two codecs'.
 */
#define WR_UP_STATES(X)                                                                            \
    X(START, start, NONE, B(PICK) | B(FAIL) | B(DONE))                                             \
    X(PICK, pick, NONE, B(TRY) | B(FAIL) | B(DONE))                                                \
    X(TRY, try, NONE, B(RELAY) | B(TUNNEL) | B(RETRY) | B(FAIL) | B(ABORT) | B(DONE))              \
    X(RETRY, retry, NONE, B(PICK) | B(TRY) | B(RELAY) | B(FAIL) | B(DONE))                         \
    X(RELAY, relay, NONE, B(DONE) | B(ABORT))                                                      \
    X(TUNNEL, tunnel, NONE, B(DONE))                                                               \
    X(FAIL, fail, NONE, B(DONE))                                                                   \
    X(ABORT, abort, NONE, B(DONE))                                                                 \
    X(DONE, done, NONE, 0)

enum wr_up_state {
#define X(name, step, deadline, moves) WR_UP_##name,
    WR_UP_STATES(X)
#undef X
    WR_UP_WAIT
};

static const char *const state_names[] = {
#define X(name, step, deadline, moves) #name,
    WR_UP_STATES(X)
#undef X
};

static const uint32_t state_moves[] = {
#define X(name, step, deadline, moves) moves,
    WR_UP_STATES(X)
#undef X
};

static const struct wr_fsm up_fsm = {"up", state_names, state_moves};

typedef enum wr_up_state step_fn(struct wr_up *u);

#define X(name, step, deadline, moves) static step_fn step_##step;
WR_UP_STATES(X)
#undef X

static step_fn *const steps[] = {
#define X(name, step, deadline, moves) step_##step,
    WR_UP_STATES(X)
#undef X
};

static void report_client_gone(struct wr_up *u)
{
    enum wr_reason why = (enum wr_reason)u->req->stream->reason;

    if (why == WR_REASON_SEND_TIMEOUT) {
        return; /* the request tells that */
    }
    if (why == WR_REASON_BAD_BODY) {
        wr_log(&u->req->log, WR_LOG_INFO, "client sent invalid chunked body");
        return;
    }
    if (why == WR_REASON_BIG_BODY) {
        wr_log(&u->req->log, WR_LOG_ERROR, "client intended to send too large chunked body");
        return;
    }
    if (why != WR_REASON_TIMEOUT) {
        why = WR_REASON_TRUNCATED;
    }
    wr_log(&u->req->log, WR_LOG_INFO, "client %s, so upstream connection is closed too",
           wr_reason_text(why));
}

static enum wr_up_state step_relay(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;

    wr_up_report_spill(u);
    wr_attempt_step(u);
    if (u->attempt.state == WR_ATTEMPT_RESULT) {
        /* Before the client: its side was cut because of this (U6.5). */
        wr_up_report(u, (enum wr_cause)u->attempt.cause);
        return WR_UP_ABORT;
    }
    if (is_client_gone(u)) {
        report_client_gone(u);
        u->attempt.cause = WR_CAUSE_CANCELED;
        return WR_UP_ABORT;
    }
    if (s->rx != WR_HALF_DONE) {
        return WR_UP_WAIT;
    }
    if (s->tx < WR_HALF_DONE && s->head_in->status < 400 && s->out != NULL && !is_client_gone(u)) {
        return WR_UP_WAIT; /* an early answer: the rest of the body is still sent on (U4.5) */
    }
    return finish_attempt(u);
}

/* --- TUNNEL --- */

static enum wr_up_state step_tunnel(struct wr_up *u)
{
    enum wr_status st = wr_up_tunnel_step(u);

    if (st == WR_AGAIN) {
        return WR_UP_WAIT;
    }
    if (st != WR_OK) {
        wr_up_report_tunnel(u);
    }
    wr_attempt_end(u, st == WR_OK ? WR_CAUSE_OK : WR_CAUSE_CANCELED, 0);
    wr_peer_slot_release(&u->slot, st == WR_OK ? WR_OUTCOME_OK : WR_OUTCOME_NEUTRAL, wr_now_ms());
    return WR_UP_DONE;
}

/* --- the ends --- */

static enum wr_up_state step_fail(struct wr_up *u)
{
    wr_peer_slot_release(&u->slot, WR_OUTCOME_NEUTRAL, wr_now_ms());
    if (u->fail_status == 499) {
        report_client_gone(u);
        wr_req_cancel(u->req, WR_REASON_CLIENT_GONE);
    } else {
        wr_req_fail(u->req, u->fail_status);
    }
    return WR_UP_DONE;
}

static enum wr_up_state step_abort(struct wr_up *u)
{
    bool by_client = u->attempt.cause == WR_CAUSE_CANCELED || is_client_gone(u);

    wr_attempt_end(u, by_client ? WR_CAUSE_CANCELED : WR_CAUSE_TRUNCATED, 0);
    wr_peer_slot_release(&u->slot, by_client ? WR_OUTCOME_NEUTRAL : WR_OUTCOME_BROKE, wr_now_ms());
    if (by_client) {
        cancel_by_client(u);
    }
    /* Else the failed pipe cuts the client behind what came before (U6.5). */
    return WR_UP_DONE;
}

static void finalize(struct wr_up *u)
{
    if (u->is_created && !u->is_finalized) {
        u->is_finalized = true;
        if (u->start.proto->finalize_request != NULL) {
            u->start.proto->finalize_request(u,
                                             u->fail_status != 0 ? u->fail_status : u->req->status);
        }
    }
}

/* Its move was made by set_state; nothing waits here and nothing follows. */
static enum wr_up_state step_done(struct wr_up *u)
{
    finalize(u);
    if (u->body_src != NULL) {
        wr_pipe_leave_consumer(wr_take(&u->body_src));
    }
    wr_req_end(u->req);
    return WR_UP_WAIT;
}

static void run(struct wr_content *c)
{
    struct wr_up *u = wr_container_of(c, struct wr_up, content);
    enum wr_up_state next;

    wr_obj_check(u, WR_UP_MAGIC);
    while (!u->req->is_content_over) {
        next = steps[u->state](u);
        if (next == WR_UP_WAIT) {
            return;
        }
        wr_fsm_move(&up_fsm, &u->state, next, u->req->id);
    }
}

/* U8.1: from every state, exactly once. */
static void close_up(struct wr_content *c)
{
    struct wr_up *u = wr_container_of(c, struct wr_up, content);

    wr_obj_check(u, WR_UP_MAGIC);
    wr_timer_fini(&u->timer);
    if (u->attempt.state != WR_ATTEMPT_NONE && u->attempt.state != WR_ATTEMPT_RESULT) {
        wr_attempt_end(u, WR_CAUSE_CANCELED, 0);
    }
    wr_peer_slot_release(&u->slot, WR_OUTCOME_NEUTRAL, wr_now_ms());
    finalize(u);
    if (u->body_src != NULL) {
        wr_pipe_leave_consumer(wr_take(&u->body_src));
    }
    u->req->up_url = WR_STR_NULL;
    wr_obj_kill(u);
}

static const struct wr_content_ops up_ops = {.name = "upstream", .step = run, .close = close_up};

enum wr_status wr_up_new(struct wr_req *r, const struct wr_up_start *start, struct wr_up **ret)
{
    struct wr_up *u = wr_arena_zalloc(r->arena, sizeof(*u));
    struct wr_up_log *l = r->up_log;

    if (u == NULL) {
        return WR_ENOMEM;
    }
    if (l != NULL && l->first != NULL) {
        l->next_is_redirect = true; /* a second upstream request: behind an internal redirect */
    }
    u->content.ops = &up_ops;
    u->content.req = r;
    u->req = r;
    u->start = *start;
    u->state = WR_UP_START;
    u->attempt.state = WR_ATTEMPT_NONE;
    u->opts.keepalive = start->conf->socket_keepalive;
    u->opts.nodelay = true;
    wr_timer_init(&u->timer, &r->task);
    wr_obj_init(u, WR_UP_MAGIC);
    *ret = u;
    return WR_OK;
}
