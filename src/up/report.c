/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c: log lines of attempts. The request's log context adds client, server, request, upstream
 * and host.
 */
#include "up/report.h"

#include <errno.h>

#include "base/log.h"
#include "http/h1_parse.h"
#include "http/stage.h"
#include "up/up.h"

static const char *phase_of(const struct wr_up *u)
{
    const struct wr_attempt *a = &u->attempt;

    if (a->is_accepted) {
        return "reading upstream";
    }
    if (a->cause == WR_CAUSE_TLS || a->is_shaking) {
        return "SSL handshaking to upstream";
    }
    return a->sent ? "reading response header from upstream" : "connecting to upstream";
}

static void report_refused(struct wr_up *u)
{
    int err = u->attempt.err;
    bool is_usual = err == ECONNREFUSED || err == ECONNRESET || err == ENETUNREACH ||
                    err == EHOSTUNREACH || err == ENETDOWN || err == EHOSTDOWN ||
                    err == ETIMEDOUT || err == EAGAIN || err == 0;

    wr_log(&u->req->log, is_usual ? WR_LOG_ERROR : WR_LOG_CRIT,
           "connect() failed (%d: %s) while connecting to upstream", err, wr_log_errno_text(err));
}

static void report_local(struct wr_up *u)
{
    char text[WR_ADDR_TEXT_MAX];
    int err = u->attempt.err;

    if (u->opts.bind == NULL) {
        wr_log(&u->req->log, WR_LOG_CRIT, "socket() failed (%d: %s) while connecting to upstream",
               err, wr_log_errno_text(err));
        return;
    }
    wr_log(&u->req->log, WR_LOG_CRIT, "bind(%.*s) failed (%d: %s) while connecting to upstream",
           (int)wr_addr_write_host(u->opts.bind, text), text, err, wr_log_errno_text(err));
}

static void report_closed(struct wr_up *u)
{
    const struct wr_log *log = &u->req->log;
    const struct wr_attempt *a = &u->attempt;

    if (a->tls_error.len > 0) {
        wr_log(log, WR_LOG_ERROR, "SSL_read() failed%.*s while %s", WR_STR_ARG(a->tls_error),
               phase_of(u));
    } else if (a->err != 0 && a->is_send_error) {
        wr_log(log, WR_LOG_ERROR, "send() failed (%d: %s) while sending request to upstream",
               a->err, wr_log_errno_text(a->err));
    } else if (a->err != 0) {
        wr_log(log, WR_LOG_ERROR, "recv() failed (%d: %s) while %s", a->err,
               wr_log_errno_text(a->err), phase_of(u));
    } else {
        wr_log(log, WR_LOG_ERROR, "upstream prematurely closed connection while %s", phase_of(u));
    }
}

/* Has the protocol's table words for what was wrong? */
static bool is_told_by_protocol(const struct wr_attempt *a, enum wr_cause cause)
{
    return a->bad_text.len != 0 &&
           (cause == WR_CAUSE_BAD_HEAD || cause == WR_CAUSE_CLOSED || cause == WR_CAUSE_TRUNCATED);
}

void wr_up_report(struct wr_up *u, enum wr_cause cause)
{
    const struct wr_log *log = &u->req->log;
    const struct wr_attempt *a = &u->attempt;

    if (is_told_by_protocol(a, cause)) {
        wr_log(log, WR_LOG_ERROR, "%.*s while %s", WR_STR_ARG(a->bad_text), phase_of(u));
        return;
    }
    switch (cause) {
    case WR_CAUSE_NONE:
    case WR_CAUSE_OK:
    case WR_CAUSE_CANCELED:
    case WR_CAUSE_STATUS:
    case WR_CAUSE_CLIENT_BODY:
        return;
    case WR_CAUSE_REFUSED:
        report_refused(u);
        return;
    case WR_CAUSE_TLS:
        wr_log(log, WR_LOG_ERROR, "%.*s while SSL handshaking to upstream",
               WR_STR_ARG(wr_strbuf_str(&u->tls_why)));
        return;
    case WR_CAUSE_DENIED:
        wr_log(log, WR_LOG_ERROR, "access to upstream denied while connecting to upstream");
        return;
    case WR_CAUSE_CONNECT_TIMEOUT:
        wr_log(log, WR_LOG_ERROR, "upstream timed out (%d: %s) while %s", ETIMEDOUT,
               wr_log_errno_text(ETIMEDOUT), phase_of(u));
        return;
    case WR_CAUSE_READ_TIMEOUT:
        wr_log(log, WR_LOG_ERROR, "upstream timed out (%d: %s) while %s", ETIMEDOUT,
               wr_log_errno_text(ETIMEDOUT), phase_of(u));
        return;
    case WR_CAUSE_SEND_TIMEOUT:
        wr_log(log, WR_LOG_ERROR, "upstream timed out (%d: %s) while sending request to upstream",
               ETIMEDOUT, wr_log_errno_text(ETIMEDOUT));
        return;
    case WR_CAUSE_CLOSED:
    case WR_CAUSE_TRUNCATED:
        report_closed(u);
        return;
    case WR_CAUSE_BIG_HEAD:
        wr_log(log, WR_LOG_ERROR,
               "upstream sent too big header while reading response header from upstream");
        return;
    case WR_CAUSE_BAD_HEAD:
        wr_log(
            log, WR_LOG_ERROR,
            a->reason == WR_REASON_NOT_HTTP
                ? "upstream sent no valid HTTP/1.0 header while reading response header from upstream"
                : "upstream sent invalid header while reading response header from upstream");
        return;
    case WR_CAUSE_OURS:
        if (a->is_local) {
            report_local(u);
            return;
        }
        wr_log_errno(log, WR_LOG_CRIT, a->err,
                     "the request could not be passed to the peer, no other is tried");
        return;
    }
    WR_UNREACHABLE();
}

void wr_up_report_stale(struct wr_up *u)
{
    wr_log_errno(
        &u->req->log, WR_LOG_INFO, u->attempt.err,
        "an idle connection to upstream had ended, the request is sent again on a new one");
}

/* Where a client's end met the request. */
static const char *client_phase(const struct wr_up *u)
{
    const struct wr_attempt *a = &u->attempt;

    if (a->is_accepted) {
        return u->is_buffered ? "reading upstream" : "sending to client";
    }
    if (a->sent && !a->is_sent_whole && !a->got_bytes) {
        return "sending request to upstream";
    }
    return a->sent ? "reading response header from upstream" : "connecting to upstream";
}

void wr_up_report_client(struct wr_up *u)
{
    enum wr_reason why = (enum wr_reason)u->req->stream->reason;
    const struct wr_log *log = &u->req->log;
    const char *text;

    if (why == WR_REASON_SEND_TIMEOUT) {
        return; /* the request tells that */
    }
    if (why == WR_REASON_BAD_BODY) {
        wr_log(log, WR_LOG_INFO, "client sent invalid chunked body");
        return;
    }
    if (why == WR_REASON_BIG_BODY) {
        wr_log(log, WR_LOG_ERROR, "client intended to send too large chunked body");
        return;
    }
    text = wr_reason_text(why == WR_REASON_TIMEOUT ? why : WR_REASON_TRUNCATED);
    if (u->tries == 0) {
        wr_log(log, WR_LOG_INFO, "client %s", text);
    } else {
        wr_log(log, WR_LOG_INFO, "client %s, so upstream connection is closed too while %s", text,
               client_phase(u));
    }
}

static bool is_timeout(const struct wr_stream *s)
{
    return s->reason == WR_REASON_TIMEOUT || s->reason == WR_REASON_SEND_TIMEOUT;
}

void wr_up_report_tunnel(struct wr_up *u)
{
    const struct wr_stream *peer = u->attempt.stream, *client = u->req->stream;
    /* The reason goes from one side to the other with the pipes, the errno behind it does not. */
    const struct wr_stream *s = peer->err != 0 ? peer : client;
    const char *side = s == peer ? "upstream" : "client";

    if (s->err == 0) {
        return; /* ours: the request tells it */
    }
    if (is_timeout(s)) {
        wr_log(&u->req->log, WR_LOG_INFO,
               "%s timed out (%d: %s) while proxying upgraded connection", side, s->err,
               wr_log_errno_text(s->err));
    } else {
        wr_log_errno(&u->req->log, s == peer ? WR_LOG_ERROR : WR_LOG_INFO, s->err,
                     "%s broke off while proxying upgraded connection", side);
    }
}

void wr_up_report_no_live(struct wr_up *u, enum wr_up_no_peer why)
{
    switch (why) {
    case WR_UP_NO_LIVE:
        wr_log(&u->req->log, WR_LOG_ERROR, "no live upstreams while connecting to upstream");
        return;
    case WR_UP_QUEUE_FULL:
        wr_log(&u->req->log, WR_LOG_ERROR,
               "no live upstreams and the queue is full while connecting to upstream");
        return;
    case WR_UP_QUEUE_TIMEOUT:
        wr_log(&u->req->log, WR_LOG_ERROR,
               "no live upstreams within the time of the queue while connecting to upstream");
        return;
    }
    WR_UNREACHABLE();
}

void wr_up_report_disabled(struct wr_up *u)
{
    wr_log(&u->req->log, WR_LOG_WARN, "upstream server temporarily disabled while %s", phase_of(u));
}

void wr_up_report_spill(struct wr_up *u)
{
    const struct wr_stream *s = u->req->stream;
    const struct wr_pipe *p = wr_stages_source(u->req);

    /* The pipe lives as long as the first stage, or the client's codec, reads from it. */
    p = p ? p : s->out;
    if (p == NULL || u->is_spill_told || s->tx >= WR_HALF_DONE) {
        return;
    }
    if (p->spill_errno != 0) {
        u->is_spill_told = true;
        wr_log_errno(
            &u->req->log, WR_LOG_CRIT, p->spill_errno,
            "the temporary file of an upstream response cannot be made or written, the peer is held back");
    } else if (p->is_spilled) {
        u->is_spill_told = true;
        wr_log(&u->req->log, WR_LOG_WARN,
               "an upstream response is buffered to a temporary file %.*s",
               WR_STR_ARG(u->start.conf->temp_path->dir));
    }
}
