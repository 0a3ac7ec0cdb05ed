/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send.c: the request of one attempt (U4). A gathered body is shared by reference into the stream's
 * out pipe, so that the next peer can get it again; a streamed one is moved part by part, and once
 * a byte of it went no other peer can be tried (U4.4). Head and the bytes that are here leave in
 * one write of the codec.
 */
#include "up/send.h"

#include "base/clock.h"
#include "http/core_conf.h"
#include "up/up.h"

/* A gathered body is shared whole: slices, not bytes, are what the pipe then holds. */
#define SHARE_HIGH ((size_t)1 << 40)

static bool is_streamed(const struct wr_up *u)
{
    return u->body_src != NULL;
}

/* The client's part of a streamed body failed: the request ends with that status (U4.4). */
static void fail_client_body(struct wr_up *u)
{
    enum wr_reason why = (enum wr_reason)u->body_src->reason;

    u->fail_status = (uint16_t)wr_reason_status(why);
    if (u->fail_status == 0 || u->fail_status == 499) {
        u->fail_status = 400;
    }
    wr_attempt_end(u, WR_CAUSE_CLIENT_BODY, 0);
}

static enum wr_status move_streamed(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;
    struct wr_pipe *src = u->body_src;
    uint64_t before = src->out_total;
    enum wr_status st = WR_OK;

    if (src->state == WR_PIPE_FAILED && wr_pipe_is_spent(src)) {
        fail_client_body(u);
        return WR_ECANCELED;
    }
    if (s->out->state == WR_PIPE_OPEN && s->tx < WR_HALF_DONE) {
        if (wr_pipe_takes_kpipes(s->out) && !wr_pipe_takes_kpipes(src) &&
            wr_core_loc_of(u->req)->sendfile) {
            wr_pipe_take_kpipes(src); /* they go on to the peer's connection */
        }
        st = wr_pipe_move(s->out, src, UINT64_MAX);
    }
    if (src->out_total != before) {
        u->body_lost = true;
    }
    return st == WR_ENOMEM || st == WR_ESYS ? WR_ENOMEM : WR_OK;
}

static enum wr_status share_gathered(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;
    uint64_t n, from = 0;
    enum wr_status st = WR_OK;

    while (st == WR_OK && from < u->req->body_len) {
        st = wr_pipe_share(s->out, u->req->body, from, UINT64_MAX, &n);
        from += st == WR_OK ? n : 0;
    }
    if (st == WR_OK) {
        wr_pipe_eof(s->out);
    }
    return st;
}

static enum wr_status attach_body(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;
    size_t high = is_streamed(u) ? (size_t)wr_core_loc_of(u->req)->body_buffer_size : SHARE_HIGH;

    if (s->head_out->framing == WR_FRAMING_NONE || s->head_out->framing == WR_FRAMING_CLOSE ||
        s->out != NULL || u->start.drop_body || (u->body_src == NULL && u->req->body == NULL)) {
        return WR_OK;
    }
    s->out = wr_pipe_new(WR_MAX(high, 4096u), &u->req->task, NULL);
    if (s->out == NULL) {
        return WR_ENOMEM;
    }
    return is_streamed(u) ? move_streamed(u) : share_gathered(u);
}

void wr_up_send_start(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;
    enum wr_status st;

    if (u->is_created && u->start.proto->reinit_request != NULL) {
        u->start.proto->reinit_request(u);
    }
    st = u->start.proto->create_request(u, s);
    if (st == WR_OK) {
        u->is_created = true;
        st = attach_body(u);
    }
    if (st == WR_OK) {
        u->attempt.sent = true;
        s->ops->start(s);
    } else if (st == WR_EPROTO) {
        /* U14.1: a value would have broken the request line or a field: the client's fault. */
        wr_log(&u->req->log, WR_LOG_ERROR,
               "a header value or the URI has a CR, LF or NUL, the request is not sent");
        u->fail_status = 400;
        wr_attempt_end(u, WR_CAUSE_CLIENT_BODY, 0);
    } else if (st != WR_ECANCELED) {
        wr_attempt_end(u, WR_CAUSE_OURS, 0);
    }
}

void wr_up_send_step(struct wr_up *u)
{
    struct wr_stream *s = u->attempt.stream;

    if (s->out == NULL || !is_streamed(u) || s->tx >= WR_HALF_DONE) {
        return;
    }
    if (move_streamed(u) == WR_ENOMEM) {
        wr_attempt_end(u, WR_CAUSE_OURS, 0);
    }
}
