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
#include "net/conn.h"
#include "up/bind.h"
#include "up/head.h"
#include "up/idle.h"
#include "up/moving.h"
#include "up/ntlm.h"
#include "up/queue.h"
#include "up/report.h"
#include "up/resolve.h"
#include "up/send.h"
#include "up/tunnel.h"
#include "up/up.h"

#define B(s) (1u << WR_UP_##s)

/*
 * state, step, deadline, may go to. Deadlines: START the client's body (codec); RESOLVE
 * resolver_timeout (up/resolve.c); QUEUE the timeout of `queue`; TRY the attempt's own; RELAY,
 * TUNNEL the two codecs'.
 */
#define WR_UP_STATES(X)                                                                            \
    X(START, start, NONE, B(RESOLVE) | B(PICK) | B(FAIL) | B(DONE))                                \
    X(RESOLVE, resolve, NONE, B(PICK) | B(FAIL) | B(DONE))                                         \
    X(PICK, pick, NONE, B(QUEUE) | B(TRY) | B(FAIL) | B(DONE))                                     \
    X(QUEUE, queue, NONE, B(TRY) | B(FAIL) | B(DONE))                                              \
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

static const struct wr_fsm up_fsm = WR_FSM("up", state_names, state_moves);

typedef enum wr_up_state step_fn(struct wr_up *u);

#define X(name, step, deadline, moves) static step_fn step_##step;
WR_UP_STATES(X)
#undef X

static step_fn *const steps[] = {
#define X(name, step, deadline, moves) step_##step,
    WR_UP_STATES(X)
#undef X
};

static bool is_client_gone(const struct wr_up *u)
{
    const struct wr_stream *s = u->req->stream;

    return wr_stream_is_reset(s) || (s->is_gone && !u->start.conf->ignore_client_abort);
}

static enum wr_up_state fail_with(struct wr_up *u, unsigned status)
{
    u->fail_status = (uint16_t)status;
    return WR_UP_FAIL;
}

/* --- START: the target is known; the body when it is to be gathered (U4.3, U4.4) --- */

static bool wants_gathered(const struct wr_up *u)
{
    return u->start.conf->request_buffering || u->start.gather_body;
}

static enum wr_up_state begin_picking(struct wr_up *u)
{
    if (wr_picker_init(&u->picker, u->start.members, u->req->arena, u->req) != WR_OK) {
        return fail_with(u, 500);
    }
    if (u->start.conf->bind.addr != NULL && wr_up_bind_eval(u) != WR_OK) {
        return fail_with(u, 500);
    }
    u->first_pick_ms = wr_now_ms();
    return WR_UP_PICK;
}

static enum wr_up_state step_start(struct wr_up *u)
{
    struct wr_req *r = u->req;
    enum wr_status st;

    if (is_client_gone(u)) {
        return fail_with(u, 499);
    }
    if (!u->start.drop_body) {
        if (wants_gathered(u)) {
            st = wr_req_body_read(r);
        } else if (wr_req_has_body(r, NULL)) {
            st = wr_req_body_stream(r, &u->body_src);
            if (st == WR_OK && u->body_src != NULL) {
                wr_pipe_hand(u->body_src, WR_PIPE_CONSUMER, &r->task);
            }
        } else {
            st = WR_OK;
        }
        if (st == WR_AGAIN) {
            return WR_UP_WAIT;
        }
        if (st != WR_OK) {
            return fail_with(u, st == WR_EPROTO && r->body_status != 0 ? r->body_status : 500);
        }
    }
    if (u->start.members == NULL || u->start.members->moving != NULL) {
        return WR_UP_RESOLVE;
    }
    return begin_picking(u);
}

static enum wr_up_state step_resolve(struct wr_up *u)
{
    enum wr_status st;

    if (is_client_gone(u)) {
        return fail_with(u, 499);
    }
    st = wr_up_resolve(u);
    if (st == WR_AGAIN) {
        return WR_UP_WAIT;
    }
    if (st != WR_OK) {
        return fail_with(u, st == WR_EOF ? 502 : 500);
    }
    return begin_picking(u);
}

/* --- PICK --- */

static enum wr_status new_try(struct wr_up *u, struct wr_str addr)
{
    struct wr_up_log *l = u->req->up_log;
    struct wr_up_try *t = &u->first_try;

    if (u->try != NULL) {
        t = wr_arena_alloc(u->req->arena, sizeof(*t));
        if (t == NULL) {
            return WR_ENOMEM;
        }
    }
    (void)wr_mem_zero(t, sizeof(*t));
    t->addr = addr;
    t->connect_ms = t->header_ms = t->response_ms = UINT32_MAX;
    t->queue_ms = u->queue_began_ms == 0 ? 0 : (uint32_t)(wr_now_ms() - u->queue_began_ms);
    u->queue_began_ms = 0;
    t->after_redirect = l->next_is_redirect;
    l->next_is_redirect = false;
    *l->tail = t;
    l->tail = &t->next;
    u->try = t;
    return WR_OK;
}

static void set_log_url(struct wr_up *u, struct wr_str addr)
{
    u->req->up_scheme = u->start.url_prefix;
    u->req->up_url = addr;
    u->req->up_uri = u->start.uri;
}

/* Nobody can be had: the group's name stands for the peer (U2.4). */
static enum wr_up_state give_up_picking(struct wr_up *u, enum wr_up_no_peer why)
{
    set_log_url(u, u->start.members->name);
    if (new_try(u, u->start.members->name) != WR_OK) {
        return fail_with(u, 500);
    }
    u->try->status = 502;
    u->try->response_ms = 0;
    wr_up_why_begin(u, WR_CHOSEN_NONE);
    wr_up_why_set_log(u);
    wr_up_report_no_live(u, why);
    wr_up_why_clear_log(u);
    return fail_with(u, 502);
}

static enum wr_up_state begin_try(struct wr_up *u, enum wr_up_chosen how)
{
    const struct wr_peer *p = u->slot.member->peer;

    if (new_try(u, wr_str(p->text, p->text_len)) != WR_OK) {
        return fail_with(u, 500);
    }
    u->try->server = u->slot.member->server;
    wr_up_why_begin(u, how);
    set_log_url(u, wr_str(p->text, p->text_len));
    if (u->start.conf->bind_dynamic && wr_up_bind_eval(u) != WR_OK) {
        return fail_with(u, 500);
    }
    u->tries++;
    wr_log_debug(&u->req->log, "req %llu: peer %.*s, try %u", (unsigned long long)u->req->id,
                 (int)p->text_len, p->text, (unsigned)u->tries);
    wr_attempt_begin(u, WR_ATTEMPT_IDLE_OK);
    return WR_UP_TRY;
}

static enum wr_up_state step_pick(struct wr_up *u)
{
    uint64_t due;
    enum wr_status st;

    if (is_client_gone(u)) {
        return fail_with(u, 499);
    }
    if (u->start.members->has_ntlm && wr_up_ntlm_pick(u)) {
        return begin_try(u, WR_CHOSEN_BOUND);
    }
    st = wr_pick(&u->picker, wr_now_ms(), wr_local_get()->thread_no, &u->slot);
    if (st == WR_EOF) {
        u->queue_began_ms = wr_now_ms();
        return u->start.members->queue_max != 0 && wr_picker_can_wait(&u->picker, wr_now_ms(), &due)
                   ? WR_UP_QUEUE
                   : give_up_picking(u, WR_UP_NO_LIVE);
    }
    return st == WR_OK ? begin_try(u, WR_CHOSEN_METHOD) : fail_with(u, 500);
}

/* --- QUEUE: until a peer has room for it (U2.3) --- */

/* Waits for a wake, the timeout, or the time when a peer may be probed. */
static enum wr_up_state wait_in_queue(struct wr_up *u)
{
    uint64_t now = wr_now_ms(), until = u->queue_began_ms + u->start.members->queue_timeout_ms, due;

    if (now >= until) {
        return give_up_picking(u, WR_UP_QUEUE_TIMEOUT);
    }
    (void)wr_picker_can_wait(&u->picker, now, &due); /* it can: nothing of that changed */
    wr_timer_arm(&u->timer, due != 0 ? WR_MIN(due, until) : until);
    return WR_UP_WAIT;
}

/* Peers have come or gone while it waited. WR_EOF: none of them is one to wait for. */
static enum wr_status follow_list(struct wr_up *u)
{
    enum wr_status st;
    uint64_t due;

    if (!wr_moving_has_next(u->start.members)) {
        return WR_OK;
    }
    st = wr_up_resolve_again(u);
    if (st == WR_OK) {
        st = wr_picker_follow(&u->picker, u->start.members);
    }
    if (st == WR_OK) {
        st = wr_queue_follow(u->wait, &u->picker);
    }
    return st != WR_OK || wr_picker_can_wait(&u->picker, wr_now_ms(), &due) ? st : WR_EOF;
}

static enum wr_up_state step_queue(struct wr_up *u)
{
    enum wr_status st = WR_OK;

    if (is_client_gone(u)) {
        return fail_with(u, 499);
    }
    if (u->wait == NULL) {
        st = wr_queue_join(&u->picker, &u->req->task, &u->wait);
        if (st != WR_OK) {
            return st == WR_ELIMIT ? give_up_picking(u, WR_UP_QUEUE_FULL) : fail_with(u, 500);
        }
    }
    if (wr_queue_take(&u->wait, wr_now_ms(), &u->slot)) {
        wr_picker_adopt(&u->picker, &u->slot);
        st = WR_OK;
    } else {
        st = follow_list(u);
        if (st == WR_EOF) {
            wr_queue_leave(&u->wait, wr_now_ms());
            wr_timer_disarm(&u->timer);
            return give_up_picking(u, WR_UP_NO_LIVE);
        }
        if (st == WR_OK) {
            st = wr_pick(&u->picker, wr_now_ms(), wr_local_get()->thread_no, &u->slot);
        }
    }
    if (st == WR_EOF) {
        return wait_in_queue(u);
    }
    wr_queue_leave(&u->wait, wr_now_ms());
    wr_timer_disarm(&u->timer);
    return st == WR_OK ? begin_try(u, WR_CHOSEN_METHOD) : fail_with(u, 500);
}

/* --- TRY: until a head is accepted or the attempt ended --- */

static uint32_t tries_left(const struct wr_up *u)
{
    const struct wr_up_conf *c = u->start.conf;
    uint32_t max = u->start.members->up_cnt;

    if (c->next_tries != 0 && c->next_tries < max) {
        max = c->next_tries;
    }
    return u->tries < max ? max - u->tries : 0;
}

static struct wr_retry_in retry_facts(const struct wr_up *u, enum wr_cause cause, unsigned status)
{
    const struct wr_up_conf *c = u->start.conf;
    const struct wr_attempt *a = &u->attempt;
    uint64_t spent = wr_now_ms() - u->first_pick_ms;

    return (struct wr_retry_in){
        .cause = cause,
        .status = (uint16_t)status,
        .policy = c->next_upstream,
        .sent = a->sent,
        .body_lost = u->body_lost,
        .is_reused = a->is_reused,
        .got_bytes = a->got_bytes,
        .is_unseen = a->is_unseen,
        .is_idempotent = wr_method_is_idempotent(u->req->method),
        .client_gone = is_client_gone(u),
        .tries_left = tries_left(u),
        .time_left = c->next_timeout_ms == 0 || spent < c->next_timeout_ms,
    };
}

/* The answer's status asks for another peer, and one may be tried (U5.9: the first look at a
 * complete head). */
static bool wants_next_peer(struct wr_up *u, const struct wr_msg *head)
{
    /* None below 400 has a bit. */
    uint32_t bit = head->status < 400 ? 0 : wr_retry_status_bit(head->status);
    struct wr_retry_in in;

    if (bit == 0 || (u->start.conf->next_upstream & bit) == 0) {
        return false;
    }
    in = retry_facts(u, WR_CAUSE_STATUS, head->status);
    return wr_retry_decide(&in).action == WR_RETRY_NEXT;
}

static void note_head(struct wr_up *u, const struct wr_msg *head)
{
    struct wr_up_log *l = u->req->up_log;

    u->try->status = head->status;
    u->try->header_ms = (uint32_t)(wr_now_ms() - u->attempt.began_ms);
    wr_peer_slot_note_head(&u->slot, wr_now_ms());
    l->head = head;
    l->trailers = u->attempt.stream->trailers_in;
}

static bool has_error_page(const struct wr_up *u, unsigned status)
{
    const struct wr_error_pages *e = &wr_core_loc_of(u->req)->error_pages;
    uint32_t i;

    for (i = 0; i < e->cnt; i++) {
        if (e->at[i].status == status) {
            return true;
        }
    }
    return false;
}

/* Ends the attempt well before its body was read: not wanted. The peer did its duty. */
static void drop_answer(struct wr_up *u)
{
    wr_attempt_end(u, WR_CAUSE_OK, 0);
    wr_peer_slot_release(&u->slot, WR_OUTCOME_OK, wr_now_ms());
}

/* Tells the group's sessions that the peer answered. */
static enum wr_status stick(const struct wr_up *u, enum wr_sticky_when when)
{
    const struct wr_members *m = u->start.members;

    if (m->sticky == NULL || u->slot.member == NULL) {
        return WR_OK;
    }
    return m->sticky->answered(m, u->req, (uint32_t)(u->slot.member - m->at), when);
}

/* Tells the group's method and its sessions that the peer answered. */
static enum wr_status tell_answer(const struct wr_up *u, const struct wr_msg *head)
{
    const struct wr_members *m = u->start.members;

    if (m->lb->answered != NULL && u->slot.member != NULL) {
        m->lb->answered(m, (uint32_t)(u->slot.member - m->at), head);
    }
    return stick(u, WR_STICKY_HEAD);
}

static enum wr_up_state accel_redirect(struct wr_up *u, const struct wr_msg *head, struct wr_str to)
{
    struct wr_req *r = u->req;
    size_t q = wr_str_find(to, '?');
    struct wr_str path = wr_str_sub(to, 0, q);
    struct wr_str args = q < to.len ? wr_str_sub(to, q + 1, to.len) : WR_STR_NULL;
    enum wr_status st;

    st = wr_up_head_keep(u, head);
    if (st == WR_OK) {
        st = tell_answer(u, head);
    }
    if (st == WR_OK) {
        st = stick(u, WR_STICKY_END);
    }
    drop_answer(u);
    if (st != WR_OK) {
        return fail_with(u, st == WR_EPROTO ? 400 : 500);
    }
    if (to.ptr[0] != '@' && (to.ptr[0] != '/' || !wr_uri_is_safe(path))) {
        return fail_with(u, 404);
    }
    if (to.ptr[0] == '/' && r->method != WR_METHOD_HEAD) {
        r->method = WR_METHOD_GET;
        r->method_name = wr_method_name(WR_METHOD_GET);
    }
    wr_req_redirect(r, to.ptr[0] == '@' ? to : path, args);
    return WR_UP_DONE;
}

/* The body's way: the peer's pipe becomes the client's, with a temporary file behind it when
 * buffered (U6.3). */
static enum wr_status wire_body(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;
    struct wr_req *r = u->req;
    const struct wr_up_conf *c = u->start.conf;

    r->out_pipe = wr_take(&s->in);
    if (r->out_pipe == NULL) {
        return WR_OK;
    }
    if (wr_up_stage_begin(u) != WR_OK) {
        return WR_ENOMEM;
    }
    if (!u->is_buffered) {
        r->is_streamed = true;
        wr_pipe_set_marks(r->out_pipe, (size_t)c->buffer_size, 0);
    } else if (c->max_temp_file_size != 0 && r->out_pipe->state == WR_PIPE_OPEN) {
        u->may_spill = true;
        r->out_pipe->watcher = &r->task; /* pushes end with the attempt, before the request */
        wr_pipe_set_spill(r->out_pipe, &c->spill);
    }
    return WR_OK;
}

/* The head cannot be passed on; the peer is not at fault. */
static enum wr_up_state drop_head(struct wr_up *u, enum wr_status st)
{
    wr_attempt_end(u, WR_CAUSE_OURS, 0);
    if (st == WR_EPROTO) {
        wr_log(&u->req->log, WR_LOG_ERROR,
               "a rewritten header field has a CR, LF or NUL, the response is not sent");
        return fail_with(u, 400);
    }
    return fail_with(u, 500);
}

static enum wr_up_state relay_head(struct wr_up *u, const struct wr_msg *head,
                                   const struct wr_up_accel *accel)
{
    struct wr_req *r = u->req;
    enum wr_status st;
    uint64_t rate;

    u->is_buffered = wr_up_head_is_buffered(u, head, accel->buffering);
    if (accel->limit_rate.len != 0 &&
        wr_num_parse_u64(accel->limit_rate, UINT32_MAX, &rate) == WR_OK) {
        r->limit_rate = rate;
    }
    r->out_charset = accel->charset;
    u->attempt.is_accepted = true;
    st = wr_up_head_copy(u, head);
    if (st == WR_OK) {
        st = tell_answer(u, head);
    }
    if (st == WR_OK) {
        st = wire_body(u);
    }
    if (st != WR_OK) {
        return drop_head(u, st);
    }
    st = wr_req_respond(r);
    if (st != WR_OK) {
        return WR_UP_ABORT;
    }
    return WR_UP_RELAY;
}

/* U14.3: a 101 is for the protocol that the client asked for, or it is no answer. */
static bool is_asked_upgrade(const struct wr_up *u, const struct wr_msg *head)
{
    const struct wr_hdr *asked = wr_hdrs_get(&u->req->head->hdrs, WR_HDR_UPGRADE);
    const struct wr_hdr *got = wr_hdrs_get(&head->hdrs, WR_HDR_UPGRADE);

    return u->wants_upgrade && asked != NULL && got != NULL &&
           wr_str_list_has(asked->value, wr_str_trim(got->value));
}

static enum wr_up_state step_head(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;
    const struct wr_msg *head = s->head_in;
    struct wr_up_accel accel;

    note_head(u, head);
    wr_log_debug(&u->req->log, "req %llu: the peer answers %u", (unsigned long long)u->req->id,
                 (unsigned)head->status);
    if (wants_next_peer(u, head)) {
        wr_attempt_end(u, WR_CAUSE_STATUS, 0);
        return WR_UP_RETRY;
    }
    if (head->status == 101 && !is_asked_upgrade(u, head)) {
        wr_attempt_end(u, WR_CAUSE_BAD_HEAD, 0);
        return WR_UP_RETRY;
    }
    if (head->status == 101) {
        return WR_UP_TUNNEL;
    }
    if (u->start.proto->has_own_404 && head->status == 404) {
        drop_answer(u);
        return fail_with(u, 404);
    }
    if (u->start.conf->intercept_errors && head->status >= 300 && has_error_page(u, head->status)) {
        const struct wr_hdr *auth = wr_hdrs_get(&head->hdrs, WR_HDR_WWW_AUTHENTICATE);
        uint16_t status = head->status;

        drop_answer(u);
        if (status == 401 && auth != NULL &&
            wr_hdrs_add_id(&u->req->out.hdrs, WR_HDR_WWW_AUTHENTICATE, auth->value) != WR_OK) {
            status = 500;
        }
        return fail_with(u, status);
    }
    wr_up_accel_read(u, head, &accel);
    if (accel.redirect.len != 0) {
        return accel_redirect(u, head, accel.redirect);
    }
    return relay_head(u, head, &accel);
}

static void pass_hints(struct wr_up *u, struct wr_stream *s)
{
    struct wr_interim *i = wr_take(&s->interim_in);

    for (; i != NULL; i = i->next) {
        wr_up_head_interim(u, i->head);
    }
}

static enum wr_up_state step_try(struct wr_up *u)
{
    struct wr_attempt *a = &u->attempt;

    if (is_client_gone(u)) {
        wr_attempt_end(u, WR_CAUSE_CANCELED, 0);
        return WR_UP_RETRY;
    }
    wr_attempt_step(u);
    if (a->state == WR_ATTEMPT_RESULT) {
        return WR_UP_RETRY;
    }
    if (a->stream != NULL && a->stream->interim_in != NULL) {
        pass_hints(u, a->stream);
    }
    if (a->stream != NULL && a->stream->head_in != NULL) {
        return step_head(u);
    }
    return WR_UP_WAIT;
}

/* --- RETRY --- */

/* What ended the attempt, and with the last one of a 502 or 504 all that led there. */
static void report_end(struct wr_up *u, enum wr_cause cause, const struct wr_retry_out *out)
{
    bool is_last = out->action == WR_RETRY_GIVE_UP && (out->status == 502 || out->status == 504);

    u->try->why.is_decided = true;
    u->try->why.action = (uint8_t)out->action;
    u->try->why.stop = (uint8_t)out->stop;
    if (out->action == WR_RETRY_SAME) {
        wr_up_report_stale(u);
        return;
    }
    if (is_last) {
        wr_up_why_set_log(u);
    }
    wr_up_report(u, cause);
    wr_up_why_clear_log(u);
}

static enum wr_up_state step_retry(struct wr_up *u)
{
    struct wr_attempt *a = &u->attempt;
    enum wr_cause cause = (enum wr_cause)a->cause;
    struct wr_retry_in in = retry_facts(u, cause, u->try->status);
    struct wr_retry_out out = wr_retry_decide(&in);
    struct wr_peer_slot tried = u->slot;

    if (u->try->status == 0 && cause != WR_CAUSE_CANCELED && cause != WR_CAUSE_CLIENT_BODY) {
        u->try->status = (uint16_t)wr_retry_log_status(cause);
    }
    report_end(u, cause, &out);
    if (cause != WR_CAUSE_CANCELED) {
        wr_stat_inc(WR_CNT_UP_FAILED);
    }
    /* The slot is kept: who waits in the queue does not get it in between (U2.6). */
    if (out.action == WR_RETRY_SAME && wr_pick_again(&u->slot, wr_now_ms())) {
        if (new_try(u, u->try->addr) != WR_OK) {
            return fail_with(u, 500);
        }
        u->try->server = u->slot.member->server;
        wr_up_why_begin(u, WR_CHOSEN_SAME);
        wr_attempt_begin(u, WR_ATTEMPT_FRESH);
        return WR_UP_TRY;
    }
    wr_peer_slot_release(&u->slot, out.outcome, wr_now_ms());
    if (out.outcome == WR_OUTCOME_FAILED && tried.members->has_accounting &&
        !wr_peer_is_healthy(tried.member, wr_now_ms())) {
        wr_up_report_disabled(u);
    }
    if (out.action != WR_RETRY_GIVE_UP) {
        return WR_UP_PICK;
    }
    if (cause == WR_CAUSE_CLIENT_BODY) {
        return fail_with(u, u->fail_status);
    }
    return fail_with(u, out.status);
}

/* --- RELAY: bytes flow between the two codecs; we only watch the ends --- */

static enum wr_up_state finish_attempt(struct wr_up *u)
{
    (void)stick(u, WR_STICKY_END); /* the answer is out: without memory nothing is learned */
    wr_attempt_end(u, WR_CAUSE_OK, 0);
    wr_peer_slot_release(&u->slot, WR_OUTCOME_OK, wr_now_ms());
    return WR_UP_DONE;
}

/* The client's end, with the first reason there was: it left, or it did not take what we have. */
static void cancel_by_client(struct wr_up *u)
{
    const struct wr_stream *s = u->req->stream;

    wr_req_cancel(u->req, s->reason == WR_REASON_SEND_TIMEOUT ? WR_REASON_SEND_TIMEOUT
                                                              : WR_REASON_CLIENT_GONE);
}

static enum wr_up_state step_relay(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;

    if (u->may_spill) {
        wr_up_report_spill(u);
    }
    wr_attempt_step(u);
    wr_up_stage_step(u);
    if (u->attempt.state == WR_ATTEMPT_RESULT) {
        if (wr_up_stage_is_busy(u) && !is_client_gone(u)) {
            return WR_UP_WAIT; /* what came before the break goes first (U6.5) */
        }
        /* Before the client: its side was cut because of this (U6.5). */
        wr_up_report(u, (enum wr_cause)u->attempt.cause);
        return WR_UP_ABORT;
    }
    if (is_client_gone(u)) {
        wr_up_report_client(u);
        u->attempt.cause = WR_CAUSE_CANCELED;
        return WR_UP_ABORT;
    }
    if (s->rx != WR_HALF_DONE || wr_up_stage_is_busy(u)) {
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
    wr_queue_leave(&u->wait, wr_now_ms());
    wr_peer_slot_release(&u->slot, WR_OUTCOME_NEUTRAL, wr_now_ms());
    if (u->fail_status == 499) {
        wr_up_report_client(u);
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
    wr_up_stage_end(u);
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
        if (!WR_ASSERT_REQ(u->state < WR_UP_WAIT)) {
            wr_req_fail(u->req, 500); /* which closes this, or cuts the answer */
            return;
        }
        next = steps[u->state](u);
        if (next == WR_UP_WAIT) {
            return;
        }
        if (!wr_fsm_move(&up_fsm, &u->state, next, u->req->id)) {
            wr_req_fail(u->req, 500);
            return;
        }
    }
}

/* U8.1: from every state, exactly once. */
static void close_up(struct wr_content *c)
{
    struct wr_up *u = wr_container_of(c, struct wr_up, content);

    wr_obj_check(u, WR_UP_MAGIC);
    wr_up_resolve_end(u);
    wr_timer_fini(&u->timer);
    if (u->wait != NULL) {
        wr_queue_leave(&u->wait, wr_now_ms());
    }
    wr_up_stage_end(u);
    if (u->attempt.state != WR_ATTEMPT_NONE && u->attempt.state != WR_ATTEMPT_RESULT) {
        wr_attempt_end(u, WR_CAUSE_CANCELED, 0);
    }
    if (u->slot.member != NULL) {
        wr_peer_slot_release(&u->slot, WR_OUTCOME_NEUTRAL, wr_now_ms());
    }
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
    struct wr_up *u = wr_arena_alloc(r->arena, sizeof(*u));
    struct wr_up_log *l = r->up_log;

    if (u == NULL) {
        return WR_ENOMEM;
    }
    (void)wr_mem_zero(u, offsetof(struct wr_up, start));
    if (l == NULL) {
        u->log = (struct wr_up_log){.tail = &u->log.first};
        r->up_log = &u->log;
    } else if (l->first != NULL) {
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
    u->opts.rcvbuf = start->conf->socket_rcvbuf;
    u->opts.sndbuf = start->conf->socket_sndbuf;
    /* What another protocol used is never used again for this one. */
    u->start.identity += (uintptr_t)start->proto->codec;
    u->identity = u->start.identity;
    wr_timer_init(&u->timer, &r->task);
    wr_obj_init(u, WR_UP_MAGIC);
    *ret = u;
    return WR_OK;
}

uint64_t wr_up_conn_no(const struct wr_req *r)
{
    const struct wr_up *u = (const struct wr_up *)(const void *)r->content;

    if (u == NULL || u->content.ops != &up_ops || u->attempt.pc == NULL ||
        u->attempt.pc->conn == NULL) {
        return 0;
    }
    return u->attempt.pc->conn->no;
}
