/* SPDX-License-Identifier: Apache-2.0 */
/*
 * req.c: the life of a request (req.h). Handlers and content write down what they want, `settle`
 * acts on it between their calls:
 *
 *   run -> step of the state -> phase handlers | content->step | limit_rate
 *                            -> settle: cancel? fail or redirect asked for? responded? content?
 *
 * Deadlines are kept by those who wait: the codec (body, response), the content (peer), a phase
 * handler (r->timer); DRAIN has its own. Owner thread only, all from the request's task but
 * wr_req_cancel, wr_req_abort.
 */
#include "http/req.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/obj.h"
#include "base/stat.h"
#include "http/bad_head.h"
#include "http/core_conf.h"
#include "http/error_log.h"
#include "http/filter.h"
#include "http/h1_conn.h"
#include "http/location.h"
#include "http/open_file.h"
#include "http/phase.h"
#include "http/reply.h"
#include "http/req_int.h"
#include "http/stage.h"
#include "http/work.h"
#include "io/piece.h"
#include "net/conn.h"
#include "net/proxied.h"
#include "tls/tls.h"

#define B(s) (1u << WR_REQ_##s)

/*
 * state, step, deadline, may go to.
 *   HANDLER    of whoever waits: the stream's rx_timeout_ms, r->timer
 *   CONTENT    of the content: its peer's timeouts
 *   STREAM     the stream's tx_timeout_ms (send_timeout)
 *   LINGERING  lingering_time, and lingering_timeout between two reads
 *   SUBS       of the subrequests that are left
 */
#define WR_REQ_STATES(X)                                                                           \
    X(WR_REQ, START, start, NONE, B(PHASES) | B(RESPOND) | B(LOG))                                 \
    X(WR_REQ, PHASES, phases, HANDLER, B(PHASES) | B(CONTENT) | B(RESPOND) | B(LOG))               \
    X(WR_REQ, CONTENT, content, CONTENT, B(PHASES) | B(CONTENT) | B(RESPOND) | B(LOG))             \
    X(WR_REQ, RESPOND, respond, STREAM, B(LOG))                                                    \
    X(WR_REQ, LOG, log, NONE, B(DRAIN) | B(CHILDREN) | B(CLOSING))                                 \
    X(WR_REQ, DRAIN, drain, LINGERING, B(CHILDREN) | B(CLOSING))                                   \
    X(WR_REQ, CHILDREN, children, SUBS, B(CLOSING))                                                \
    X(WR_REQ, CLOSING, closing, NONE, B(CLOSED))                                                   \
    X(WR_REQ, CLOSED, closed, NONE, 0)

enum req_state {
#define X(prefix, name, step, deadline, moves) prefix##_##name,
    WR_REQ_STATES(X)
#undef X
    WR_REQ_WAIT
};

static const char *const state_names[] = {
#define X(prefix, name, step, deadline, moves) #name,
    WR_REQ_STATES(X)
#undef X
};

static const uint32_t state_moves[] = {
#define X(prefix, name, step, deadline, moves) moves,
    WR_REQ_STATES(X)
#undef X
};

static const struct wr_fsm req_fsm = WR_FSM("req", state_names, state_moves);

#define LIMIT_HIGH      65536u  /* bytes that limit_rate lets wait for the client */
#define LIMIT_STEP_MS   50u     /* how often it lets bytes go */
#define LIMIT_BURST_DIV 8u      /* share of a second's bytes that goes at once */
#define FILE_PIECE_MAX  262144u /* of output_buffers: the largest chunk */
#define DRAIN_HIGH      65536u

/* ---- server and location --------------------------------------------------------------------- */

void wr_req_use_location(struct wr_req *r, const struct wr_location *l)
{
    const struct wr_core_loc *lc;
    struct wr_stream *s = r->stream;

    if (l && l->limited && (l->methods >> r->method & 1) == 0) {
        l = l->limited;
    }
    r->location = l;
    r->scope = l ? l->scope : r->server->scope;
    lc = wr_core_loc_of(r);
    r->log.sinks = lc->sinks ? &lc->sinks->sink : NULL;
    s->tx_timeout_ms = lc->send_timeout_ms;
    s->rx_timeout_ms = lc->body_timeout_ms;
    s->body_max = lc->body_max;
    s->no_sendfile = !lc->sendfile;
    s->file_pool = lc->aio && lc->aio->pool ? lc->aio->pool->offload : NULL;
    s->file_piece = (uint32_t)WR_MIN((uint64_t)lc->output_buffers.num * lc->output_buffers.size,
                                     (uint64_t)FILE_PIECE_MAX);
    s->file_align = (uint32_t)WR_MIN(lc->directio_alignment, (uint64_t)WR_PIECE_ALIGN_MAX);
    s->file_turn = lc->sendfile_max_chunk;
    s->no_nodelay = !lc->tcp_nodelay;
    s->want_cork = lc->tcp_nopush;
    s->reset_timedout = lc->reset_timedout;
    s->lingering = (uint8_t)lc->lingering;
    s->lingering_time_ms = lc->lingering_time_ms;
    s->lingering_timeout_ms = lc->lingering_timeout_ms;
}

void wr_req_use_server(struct wr_req *r, const struct wr_server *v)
{
    r->server = v;
    wr_req_use_location(r, NULL);
}

/* ---- what handlers and contents ask for --------------------------------------------------------
 */

void wr_req_fail(struct wr_req *r, unsigned status)
{
    struct wr_reqx *x = wr_reqx_of(r);

    wr_obj_check(r, WR_REQ_MAGIC);
    if (x->pending == WR_PENDING_NONE) {
        x->pending = WR_PENDING_FAIL;
        x->pending_status = (uint16_t)status;
        wr_task_wake(&r->task);
    }
}

void wr_req_redirect(struct wr_req *r, struct wr_str uri, struct wr_str args)
{
    struct wr_reqx *x = wr_reqx_of(r);

    wr_obj_check(r, WR_REQ_MAGIC);
    if (x->pending == WR_PENDING_NONE) {
        x->pending = WR_PENDING_REDIRECT;
        x->pending_uri = uri;
        x->pending_args = args;
        wr_task_wake(&r->task);
    }
}

void wr_req_end(struct wr_req *r)
{
    wr_obj_check(r, WR_REQ_MAGIC);
    r->is_content_over = true;
    wr_task_wake(&r->task);
}

void wr_req_cancel(struct wr_req *r, enum wr_reason why)
{
    wr_obj_check(r, WR_REQ_MAGIC);
    if (r->cancel == 0) {
        r->cancel = (uint8_t)why;
        wr_task_wake(&r->task);
    }
}

void wr_req_abort(struct wr_req *r, enum wr_reason why)
{
    r->stream->ops->reset(r->stream, why);
    wr_req_cancel(r, why);
}

/* ---- the response ------------------------------------------------------------------------------
 */

void wr_req_reset_out(struct wr_req *r)
{
    static const enum wr_hdr_id kept[] = {WR_HDR_WWW_AUTHENTICATE, WR_HDR_ALLOW, WR_HDR_RETRY_AFTER,
                                          WR_HDR_CONTENT_RANGE};
    struct wr_str values[WR_ARRAY_LEN(kept)];
    bool has[WR_ARRAY_LEN(kept)];

    for (size_t i = 0; i < WR_ARRAY_LEN(kept); i++) {
        const struct wr_hdr *f = wr_hdrs_get(&r->out.hdrs, kept[i]);

        has[i] = f != NULL && (kept[i] != WR_HDR_CONTENT_RANGE || r->out.status == 416);
        values[i] = f ? f->value : WR_STR_NULL;
    }
    if (r->out_pipe && !wr_reqx_of(r)->is_out_given) {
        wr_pipe_leave_consumer(r->out_pipe);
    }
    wr_stages_drop(r);
    r->out_pipe = NULL;
    r->out_type = r->out_charset = WR_STR_NULL;
    r->out_mtime = -1;
    r->is_streamed = false;
    r->is_mtime_unread = false;
    r->can_range = r->is_proxied = r->no_server = r->no_date = false;
    wr_msg_init(&r->out, r->arena, WR_REQ_FIELDS_MAX);
    r->out.version = 11;
    r->out.content_length = WR_LENGTH_UNKNOWN;
    for (size_t i = 0; i < WR_ARRAY_LEN(kept); i++) {
        if (has[i] && wr_hdrs_add_id(&r->out.hdrs, kept[i], values[i]) != WR_OK) {
            wr_req_cancel(r, WR_REASON_NOMEM);
        }
    }
}

int64_t wr_req_mtime(struct wr_req *r)
{
    const struct wr_hdr *f;

    if (r->is_mtime_unread) {
        r->is_mtime_unread = false;
        f = wr_hdrs_get(&r->out.hdrs, WR_HDR_LAST_MODIFIED);
        if (f && wr_clock_parse_http_date(f->value, &r->out_mtime) != WR_OK) {
            r->out_mtime = -1;
        }
    }
    return r->out_mtime;
}

/* keepalive_disable. */
static bool is_disabled_browser(struct wr_req *r, const struct wr_core_loc *lc)
{
    bool is_post = r->head->method == WR_METHOD_POST;
    const struct wr_hdr *f;

    if ((lc->keepalive_disable & WR_KEEPALIVE_NO_SAFARI) == 0 &&
        ((lc->keepalive_disable & WR_KEEPALIVE_NO_MSIE6) == 0 || !is_post)) {
        return false;
    }
    f = wr_hdrs_get(&r->head->hdrs, WR_HDR_USER_AGENT);
    if (!f) {
        return false;
    }
    if ((lc->keepalive_disable & WR_KEEPALIVE_NO_MSIE6) != 0 && is_post) {
        size_t at = wr_str_find_str(f->value, WR_STR("MSIE "));
        struct wr_str v = wr_str_sub(f->value, at + 5, 2);

        if (v.len == 2 && v.ptr[0] >= '4' && v.ptr[0] <= '6' && v.ptr[1] == '.') {
            return true;
        }
    }
    return (lc->keepalive_disable & WR_KEEPALIVE_NO_SAFARI) != 0 &&
           wr_str_find_str(f->value, WR_STR("Safari/")) < f->value.len &&
           wr_str_find_str(f->value, WR_STR("Mac OS X")) < f->value.len &&
           wr_str_find_str(f->value, WR_STR("Chrom")) == f->value.len;
}

static bool wants_keepalive(struct wr_reqx *x, const struct wr_core_loc *lc)
{
    struct wr_stream *s = x->r.stream;

    if (!x->is_keepable || lc->keepalive.ms == 0 || !s->conn) {
        return false;
    }
    /* A body that is being read by somebody would have to end well before the next request. */
    if (s->rx == WR_HALF_BODY && (x->r.body_state == WR_BODY_READING ||
                                  (x->r.body_state == WR_BODY_HANDED && x->r.out.status >= 400))) {
        return false;
    }
    return x->r.conn_requests < lc->keepalive_requests &&
           wr_now_ms() - s->conn->since_ms < lc->keepalive_time_ms &&
           !is_disabled_browser(&x->r, lc);
}

/*
 * The client's body that nobody asked for: read and dropped behind the response, so that the
 * connection can go on. Not behind an error, whose connection ends if the body is not here (RFC
 * 9112 9.6), and not when the client waits for 100 Continue: it may never send it.
 */
static bool wants_drain(const struct wr_reqx *x)
{
    const struct wr_req *r = &x->r;
    const struct wr_stream *s = r->stream;

    return s->rx == WR_HALF_BODY && !s->in && !s->want_close && r->out.status < 400 &&
           r->out.status >= 200 &&
           (r->body_state == WR_BODY_WAITING || r->body_state == WR_BODY_NONE) &&
           (r->head->flags & (WR_MSG_EXPECT | WR_MSG_KEEP_ALIVE)) == WR_MSG_KEEP_ALIVE;
}

static void begin_drain(struct wr_reqx *x)
{
    const struct wr_core_loc *lc = wr_core_loc_of(&x->r);
    struct wr_stream *s = x->r.stream;

    s->rx_timeout_ms = lc->lingering_timeout_ms;
    if (s->ops->want_body(s, DRAIN_HIGH) != WR_OK || !s->in) {
        return; /* the codec closes the connection then */
    }
    /* Our end stays: to the codec a pipe without a reader means that the connection is to end. */
    x->drain = wr_take(&s->in);
    wr_pipe_hand(x->drain, WR_PIPE_CONSUMER, &x->r.task);
    x->drain_at_ms = wr_now_ms() + lc->lingering_time_ms;
}

static void drop_drained(struct wr_reqx *x)
{
    if (x->drain) {
        wr_pipe_consume(x->drain, wr_pipe_queued(x->drain));
    }
}

/* Keep-Alive: timeout=N, the second argument of keepalive_timeout. */
static enum wr_status add_keepalive_field(struct wr_req *r, const struct wr_core_loc *lc)
{
    struct wr_str v;
    enum wr_status st;

    if (lc->keepalive.header_sec == 0 || r->stream->want_close ||
        (r->head->flags & WR_MSG_KEEP_ALIVE) == 0) {
        return WR_OK;
    }
    st = wr_arena_printf(r->arena, &v, "timeout=%u", lc->keepalive.header_sec);
    return st == WR_OK ? wr_hdrs_set_id(&r->out.hdrs, WR_HDR_KEEP_ALIVE, v) : st;
}

/* limit_rate as a stage: what comes out of r->out_pipe waits until its time. */
static enum wr_status insert_limit(struct wr_reqx *x, const struct wr_core_loc *lc)
{
    struct wr_req *r = &x->r;
    enum wr_status st = WR_OK;

    if (r->limit_rate == 0 && (r->is_limit_set || wr_core_rate_is_none(&lc->limit_rate))) {
        return WR_OK;
    }
    if (r->limit_rate == 0 && !r->is_limit_set) {
        st = wr_core_rate(r, &lc->limit_rate, &r->limit_rate);
    }
    if (st == WR_OK && r->limit_rate_after == 0) {
        st = wr_core_rate(r, &lc->limit_rate_after, &r->limit_rate_after);
    }
    if (st != WR_OK || r->limit_rate == 0) {
        return st;
    }
    x->limit.out = wr_pipe_new(LIMIT_HIGH, &r->task, NULL);
    if (!x->limit.out) {
        return WR_ENOMEM;
    }
    x->limit.in = r->out_pipe;
    x->limit.began_ms = wr_now_ms();
    wr_pipe_hand(x->limit.in, WR_PIPE_CONSUMER, &r->task);
    r->stream->out = x->limit.out;
    return WR_OK;
}

static enum wr_status prepare_response(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wr_stream *s = r->stream;
    enum wr_status st;

    if (r->err_status != 0) {
        r->out.status = r->err_status;
        r->out.reason = WR_STR_NULL;
    }
    st = wr_filters_run(r);
    if (st != WR_OK) {
        return st;
    }
    r->status = r->out.status;
    r->is_header_only = wr_status_is_bodyless(r->out.status, r->head->method);
    if (r->is_header_only && r->out_pipe) {
        wr_pipe_leave_consumer(r->out_pipe);
        r->out_pipe = NULL;
    }
    s->out = r->out_pipe;
    if (r->parent) {
        if (r->out_pipe) {
            wr_stages_start(r);
        }
        return WR_OK; /* time and connection are the main request's */
    }
    s->keepalive_ms = lc->keepalive.ms;
    s->want_close = !wants_keepalive(x, lc);
    if (!lc->chunked && s->version > 10) {
        s->version = 10; /* chunked_transfer_encoding off: the codec frames as for HTTP/1.0 */
    }
    st = add_keepalive_field(r, lc);
    if (st == WR_OK && r->out_pipe) {
        st = insert_limit(x, lc);
        wr_stages_start(r);
    }
    return st;
}

enum wr_status wr_req_respond(struct wr_req *r)
{
    struct wr_reqx *x = wr_reqx_of(r);
    struct wr_stream *s;
    enum wr_status st;

    wr_obj_check(r, WR_REQ_MAGIC);
    s = r->stream;
    if (!WR_ASSERT_REQ(!r->is_responded) || s->tx != WR_HALF_WAIT || !s->codec) {
        return WR_ECANCELED;
    }
    st = prepare_response(x);
    if (st == WR_EOF) {
        /* An error was asked for in its place: `settle` answers that. */
        if (r->out_pipe) {
            wr_pipe_leave_consumer(wr_take(&r->out_pipe));
        }
        wr_stages_drop(r);
        return WR_OK;
    }
    if (st != WR_OK) {
        s->out = NULL;
        wr_req_cancel(r, st == WR_ENOMEM ? WR_REASON_NOMEM : WR_REASON_INTERNAL);
        return WR_ECANCELED;
    }
    r->is_responded = true;
    x->is_out_given = true;
    wr_log_debug(&r->log, "req %llu: response %u begins", (unsigned long long)r->id,
                 (unsigned)r->out.status);
    s->head_out = &r->out;
    s->ops->start(s);
    if (wants_drain(x)) {
        begin_drain(x);
    }
    return WR_OK;
}

/* ---- limit_rate ------------------------------------------------------------------------------ */

static void leave_limit(struct wr_reqx *x)
{
    if (x->limit.in) {
        wr_pipe_leave_consumer(wr_take(&x->limit.in));
    }
    if (x->limit.out) {
        wr_pipe_leave_producer(wr_take(&x->limit.out));
    }
}

static void step_limit(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;
    uint64_t now = wr_now_ms(), may, before;
    enum wr_status st;

    if (!x->limit.in) {
        return;
    }
    /* 64 bits hold the product: rates are below 2^32 or so many that they limit nothing. */
    may = r->limit_rate_after + r->limit_rate / LIMIT_BURST_DIV +
          (now - x->limit.began_ms) * WR_MIN(r->limit_rate, (uint64_t)UINT32_MAX) / 1000;
    if (may <= x->limit.sent) {
        wr_timer_arm(&r->timer, now + LIMIT_STEP_MS);
        return;
    }
    before = x->limit.out->in_total;
    st = wr_pipe_move(x->limit.out, x->limit.in, may - x->limit.sent);
    x->limit.sent += x->limit.out->in_total - before;
    if (st == WR_EOF || st == WR_EPEERGONE || wr_pipe_is_spent(x->limit.in)) {
        leave_limit(x);
    } else if (wr_pipe_queued(x->limit.in) > 0) {
        wr_timer_arm(&r->timer, now + LIMIT_STEP_MS);
    }
}

/* ---- settle ---------------------------------------------------------------------------------- */

static void close_content(struct wr_req *r)
{
    struct wr_content *c = wr_take(&r->content);

    if (c) {
        c->ops->close(c);
    }
}

/* The client's side is broken: nothing can be answered. */
static bool is_stream_dead(const struct wr_req *r)
{
    return r->stream->tx == WR_HALF_RESET || (r->stream->codec == NULL && !r->is_responded);
}

/*
 * Content took a body that broke for a client that left: 408, 413, 400 are the better answer, as
 * long as there is somebody to answer.
 */
static bool is_body_fault(const struct wr_req *r)
{
    return r->cancel == WR_REASON_CLIENT_GONE && !r->is_responded && !is_stream_dead(r) &&
           r->stream->rx == WR_HALF_RESET &&
           (r->stream->reason == WR_REASON_TIMEOUT || r->stream->reason == WR_REASON_BIG_BODY ||
            r->stream->reason == WR_REASON_BAD_BODY);
}

static enum req_state apply_fail(struct wr_reqx *x, unsigned status)
{
    struct wr_req *r = &x->r;

    if (r->is_responded) {
        wr_req_abort(r, WR_REASON_INTERNAL); /* U8.2 */
        return WR_REQ_LOG;
    }
    if (status == 400 && r->stream->is_gone && r->stream->rx == WR_HALF_RESET) {
        r->status = 400;
        x->is_silent = true;
        return WR_REQ_LOG;
    }
    switch (wr_reply_error(r, status)) {
    case WR_REPLIED:
        return r->is_responded ? WR_REQ_RESPOND : WR_REQ_LOG;
    case WR_REPLY_REDIRECTED:
        return WR_REQ_PHASES;
    case WR_REPLY_SILENT:
        return WR_REQ_LOG;
    }
    WR_UNREACHABLE();
}

static enum req_state apply_redirect(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;

    if (r->is_responded) {
        wr_req_abort(r, WR_REASON_INTERNAL);
        return WR_REQ_LOG;
    }
    if (wr_reply_internal(r, x->pending_uri, x->pending_args) == WR_REPLY_REDIRECTED) {
        return WR_REQ_PHASES;
    }
    return r->is_responded ? WR_REQ_RESPOND : WR_REQ_LOG;
}

/* Acts on what was asked for; WAIT: nothing was. */
static enum req_state settle(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;
    unsigned pending;

    if (is_body_fault(r)) {
        r->cancel = 0;
        wr_req_fail(r, wr_reason_status((enum wr_reason)r->stream->reason));
    }
    if (r->cancel != 0) {
        return WR_REQ_LOG;
    }
    pending = x->pending;
    x->pending = WR_PENDING_NONE;
    if (pending != WR_PENDING_NONE) {
        close_content(r);
        r->is_content_over = false;
        return pending == WR_PENDING_FAIL ? apply_fail(x, x->pending_status) : apply_redirect(x);
    }
    if (r->is_responded) {
        return WR_REQ_RESPOND;
    }
    return WR_REQ_WAIT;
}

/* ---- START ----------------------------------------------------------------------------------- */

static enum req_state refuse(struct wr_reqx *x, unsigned status)
{
    x->is_keepable = false;
    wr_req_fail(&x->r, status);
    return settle(x);
}

/* Host: of an absolute-form target, else the field (RFC 9112 3.2.2). */
static enum wr_status read_host(struct wr_req *r)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->head->hdrs, WR_HDR_HOST);
    struct wr_str s = f ? f->value : WR_STR_NULL;

    if (r->head->authority.len > 0) {
        s = r->head->authority;
    } else if (r->head->host_len > 0 && s.len >= r->head->host_len) {
        r->host_port = r->head->host_port;
        return wr_uri_lower_host(r->arena, wr_str(s.ptr, r->head->host_len), &r->host);
    }
    if (s.len == 0) {
        return WR_OK;
    }
    return wr_uri_parse_host(r->arena, s, &r->host, &r->host_port);
}

static enum wr_status read_uri(struct wr_req *r)
{
    unsigned flags = wr_core_srv_of(r)->merge_slashes ? WR_URI_MERGE_SLASHES : 0;
    enum wr_status st = wr_uri_parse(r->arena, r->head->target, flags, &r->uri);

    r->client_uri = r->uri;
    return st;
}

static enum req_state check_method(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;

    if (r->method == WR_METHOD_TRACE || r->method == WR_METHOD_CONNECT) {
        wr_log(&r->log, WR_LOG_INFO, "client sent %.*s method while reading client request headers",
               WR_STR_ARG(r->method_name));
        x->is_keepable = false;
        wr_req_fail(r, 405);
        return settle(x);
    }
    if (r->head->version >= 11 && (r->head->flags & WR_MSG_EXPECT) == 0 &&
        wr_hdrs_has(&r->head->hdrs, WR_HDR_EXPECT)) {
        wr_log(&r->log, WR_LOG_INFO,
               "client sent unknown \"Expect\" header while reading client request headers");
        return refuse(x, 417); /* RFC 9110 10.1.1 */
    }
    return WR_REQ_PHASES;
}

/* The codec could not use the head. What is known of the URI is for the log only. */
static enum req_state refuse_head(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;

    if (r->head->target.len > 0 && read_uri(r) != WR_OK) {
        r->uri = r->client_uri = (struct wr_uri){.raw = r->head->target};
    }
    wr_bad_head_log(r);
    return refuse(x, r->stream->bad);
}

/* The one that the client named in its TLS handshake, until its Host field is known. */
static const struct wr_server *first_server(struct wr_req *r, const struct wr_port *p)
{
    struct wr_str found, name = r->tls ? wr_tls_server_name(r->tls) : WR_STR_NULL;

    return name.len > 0 ? wr_port_find(p, name, NULL, &found) : p->deflt;
}

/* Server by name; is there a body? */
static void choose_server(struct wr_req *r, const struct wr_port *p)
{
    const struct wr_server *v = wr_port_find(p, r->host, r, &r->server_name);
    uint64_t len = 0;

    if (v != r->server) {
        wr_req_use_server(r, v);
    }
    if (r->host.len == 0) {
        r->host = r->server->name;
    }
    r->body_state = WR_BODY_WAITING;
    if (r->head->framing == WR_FRAMING_NONE || (wr_req_has_body(r, &len) && len == 0)) {
        r->body_state = WR_BODY_NONE;
    }
}

static enum req_state step_start(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;
    const struct wr_port *p = wr_server_port(r);
    enum wr_status st;

    if (r->parent) {
        return WR_REQ_PHASES;
    }
    wr_req_use_server(r, first_server(r, p));
    r->server_name = r->server->name;
    if (r->cancel != 0 || is_stream_dead(r)) {
        return WR_REQ_LOG;
    }
    if (r->stream->bad != 0) {
        return refuse_head(x);
    }
    if (r->head->dropped.len > 0) {
        wr_log(&r->log, WR_LOG_INFO,
               "client sent invalid header line: \"%.*s\" while reading client request headers",
               WR_STR_ARG(r->head->dropped));
    }
    st = read_host(r);
    if (st != WR_OK) {
        wr_log(&r->log, WR_LOG_INFO,
               "client sent invalid host header while reading client request headers");
        return refuse(x, st == WR_ENOMEM ? 500 : 400);
    }
    choose_server(r, p);
    wr_log_debug(&r->log, "req %llu: \"%.*s\", %u header lines, server \"%.*s\"",
                 (unsigned long long)r->id, WR_STR_ARG(r->head->request_line),
                 (unsigned)r->head->hdrs.cnt, WR_STR_ARG(r->server->name));
    if (r->head->hdrs.cnt > wr_core_srv_of(r)->max_headers) {
        wr_log(&r->log, WR_LOG_INFO,
               "client sent too many header lines while reading client request headers");
        return refuse(x, 494);
    }
    if (r->method == WR_METHOD_CONNECT) {
        return check_method(x);
    }
    st = read_uri(r);
    if (st != WR_OK) {
        wr_log(&r->log, WR_LOG_INFO,
               "client sent invalid request while reading client request line");
        return refuse(x, st == WR_ENOMEM ? 500 : 400);
    }
    if (wr_str_eq(r->uri.path, WR_STR("*"))) {
        wr_reply_text(r, 204, WR_STR_NULL, WR_STR_NULL); /* OPTIONS *: the server as a whole */
        return settle(x);
    }
    return check_method(x);
}

/* ---- PHASES ---------------------------------------------------------------------------------- */

/* No handler made content, no location has some. */
static void answer_nothing(struct wr_req *r)
{
    struct wr_str path = r->uri.path;

    if (path.len > 0 && path.ptr[path.len - 1] == '/') {
        wr_log(&r->log, WR_LOG_ERROR, "directory index of \"%.*s\" is forbidden", WR_STR_ARG(path));
        wr_req_fail(r, 403);
    } else {
        wr_req_fail(r, 404);
    }
}

static enum req_state step_phases(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;
    enum req_state next;

    if (r->cancel != 0 || is_stream_dead(r)) {
        return WR_REQ_LOG;
    }
    switch (wr_phases_run(r)) {
    case WR_PHASE_NEXT:
        answer_nothing(r);
        break;
    case WR_PHASE_AGAIN:
        next = settle(x);
        if (next == WR_REQ_WAIT && r->stream->is_gone && r->body_state != WR_BODY_READING) {
            wr_log(&r->log, WR_LOG_INFO, "client prematurely closed connection");
            wr_req_cancel(r, WR_REASON_CLIENT_GONE);
            return WR_REQ_LOG;
        }
        return next;
    case WR_PHASE_DONE:
    case WR_PHASE_SKIP: /* never comes out of the run */
        break;
    }
    next = settle(x);
    if (next != WR_REQ_WAIT) {
        return next;
    }
    if (!r->content) {
        (void)WR_WARN_ON(!r->content); /* a handler said DONE and did nothing */
        wr_req_fail(r, 500);
        return settle(x);
    }
    return WR_REQ_CONTENT;
}

/* ---- CONTENT --------------------------------------------------------------------------------- */

static enum req_state step_content(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;
    enum req_state next;

    if (r->cancel != 0) {
        return settle(x);
    }
    r->content->ops->step(r->content);
    next = settle(x);
    if (next != WR_REQ_WAIT) {
        return next;
    }
    if (is_stream_dead(r)) {
        wr_req_cancel(r, r->stream->reason != 0 ? (enum wr_reason)r->stream->reason
                                                : WR_REASON_CLIENT_GONE);
        return WR_REQ_LOG;
    }
    if (r->is_content_over) {
        (void)WR_WARN_ON(r->is_content_over); /* ended without an answer */
        wr_req_fail(r, 500);
        return settle(x);
    }
    return WR_REQ_WAIT;
}

/* ---- RESPOND --------------------------------------------------------------------------------- */

static enum req_state step_respond(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;
    struct wr_stream *s = r->stream;

    if (r->cancel == 0 && r->content && !r->is_content_over) {
        r->content->ops->step(r->content);
    }
    if (r->cancel == 0 && x->pending != WR_PENDING_NONE) {
        wr_req_abort(r, WR_REASON_INTERNAL); /* too late for another answer (U8.2) */
    }
    if (r->cancel != 0) {
        return WR_REQ_LOG;
    }
    if (r->is_content_over) {
        close_content(r);
    }
    step_limit(x);
    drop_drained(x);
    if (s->is_gone && x->subs_live > 0) {
        wr_subs_note_gone(x);
    }
    if (s->tx == WR_HALF_RESET) {
        wr_req_cancel(r, s->reason != 0 ? (enum wr_reason)s->reason : WR_REASON_CLIENT_GONE);
        return WR_REQ_LOG;
    }
    return s->tx == WR_HALF_DONE && !r->content ? WR_REQ_LOG : WR_REQ_WAIT;
}

/* ---- the ends -------------------------------------------------------------------------------- */

static enum req_state after_response(const struct wr_reqx *x)
{
    return x->subs_live > 0 ? WR_REQ_CHILDREN : WR_REQ_CLOSING;
}

static enum req_state step_log(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;

    close_content(r);
    leave_limit(x);
    wr_timer_disarm(&r->timer);
    wr_stages_close(r); /* who waits for a part does so no more */
    wr_subs_cancel(x, r->cancel != 0 ? WR_SUBS_ALL : WR_SUBS_AWAITED);
    if (r->cancel == WR_REASON_SEND_TIMEOUT) {
        wr_log(&r->log, WR_LOG_INFO, "client timed out (%d: %s) while sending to client", ETIMEDOUT,
               wr_log_errno_text(ETIMEDOUT));
    }
    if (r->stream->is_file_short) {
        wr_log(&r->log, WR_LOG_ALERT,
               "a file became shorter, or could not be read, after %llu bytes of the response",
               (unsigned long long)r->stream->tx_body_bytes);
    }
    if (!r->is_responded && r->status == 0) {
        r->status = (uint16_t)wr_reason_status(r->cancel != 0 ? (enum wr_reason)r->cancel
                                                              : (enum wr_reason)r->stream->reason);
    }
    if (!r->is_logged) {
        r->is_logged = true;
        wr_log_debug(&r->log, "req %llu: ends, status %u, %llu bytes sent%s%s",
                     (unsigned long long)r->id, (unsigned)r->status,
                     (unsigned long long)r->stream->tx_bytes, r->cancel != 0 ? ": " : "",
                     wr_reason_text((enum wr_reason)r->cancel));
        r->phase = WR_PHASE_LOG;
        if (!r->parent || wr_core_loc_of(r)->log_subrequest) {
            wr_phases_log(r);
        }
    }
    if (x->drain && r->cancel == 0 && r->stream->rx == WR_HALF_BODY) {
        wr_timer_arm(&r->timer, x->drain_at_ms);
        return WR_REQ_DRAIN;
    }
    return after_response(x);
}

static enum req_state step_drain(struct wr_reqx *x)
{
    const struct wr_req *r = &x->r;

    drop_drained(x);
    if (r->stream->rx != WR_HALF_BODY || r->cancel != 0 || !r->stream->codec ||
        wr_deadline_is_due(x->drain_at_ms, wr_now_ms())) {
        return after_response(x);
    }
    return WR_REQ_WAIT;
}

/* The response is out and logged, subrequests run still; the connection may serve others. */
static enum req_state step_children(struct wr_reqx *x)
{
    if (x->drain) {
        wr_pipe_leave_consumer(wr_take(&x->drain));
    }
    if (x->r.cancel != 0) {
        wr_subs_cancel(x, WR_SUBS_ALL);
    }
    return x->subs_live == 0 ? WR_REQ_CLOSING : WR_REQ_WAIT;
}

static enum req_state step_closing(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;
    struct wr_stream *s = r->stream;

    wr_body_close(x);
    wr_req_work_free_all(&x->works);
    wr_stages_close(r);
    wr_open_file_leave(r);
    wr_subs_close(x);
    if (x->drain) {
        wr_pipe_leave_consumer(wr_take(&x->drain));
    }
    if (r->out_pipe && !x->is_out_given) {
        wr_pipe_leave_consumer(r->out_pipe);
    }
    r->out_pipe = NULL;
    wr_timer_fini(&r->timer);
    wr_task_cancel(&r->task);
    wr_list_remove(&r->node);
    if (!r->parent) {
        wr_stat_inc(WR_CNT_REQ_ENDED);
    }
    if (s->tx != WR_HALF_DONE && s->tx != WR_HALF_RESET) {
        s->ops->reset(s, r->cancel != 0 ? (enum wr_reason)r->cancel
                         : x->is_silent ? WR_REASON_DONE
                                        : WR_REASON_CANCELED);
    }
    if (!r->parent) {
        wr_tls_unref(wr_take(&r->tls));
        wr_proxied_unref(wr_take(&r->proxied));
    }
    wr_server_leave(x);
    wr_obj_kill(r);
    s->ops->release(s); /* the memory of all this goes with it, at the grave */
    return WR_REQ_CLOSED;
}

static enum req_state step_closed(struct wr_reqx *x)
{
    (void)x;
    return WR_REQ_WAIT;
}

/* ---- the task -------------------------------------------------------------------------------- */

static enum req_state (*const steps[])(struct wr_reqx *x) = {

#define X(prefix, name, step, deadline, moves) [prefix##_##name] = step_##step,
    WR_REQ_STATES(X)
#undef X
};

/* A bug of ours: where this request, and no other, goes on to its end. */
static enum req_state give_up(struct wr_reqx *x)
{
    struct wr_req *r = &x->r;

    if (!x->is_given_up && !r->is_responded && !r->is_logged && !is_stream_dead(r)) {
        enum req_state next;

        x->is_given_up = true; /* once: the error page may come here, too */
        close_content(r);
        x->pending = WR_PENDING_NONE;
        wr_req_fail(r, 500);
        next = settle(x);
        return next == WR_REQ_WAIT ? WR_REQ_LOG : next;
    }
    x->is_given_up = true;
    wr_req_abort(r, WR_REASON_INTERNAL);
    return r->is_logged ? WR_REQ_CLOSING : WR_REQ_LOG;
}

static void run_req(struct wr_task *t)
{
    struct wr_reqx *x = wr_container_of(t, struct wr_reqx, r.task);
    uint64_t id = x->r.id;

    wr_obj_check(&x->r, WR_REQ_MAGIC);
    wr_recorder_enter_req(id, x->r.log.conn_no, &x->r.peer, x->r.head->request_line);
    if (!WR_ASSERT_REQ(x->r.state < WR_REQ_CLOSED)) {
        wr_fsm_force(&req_fsm, &x->r.state, give_up(x), id);
    }
    for (;;) {
        enum req_state next = steps[x->r.state](x);

        if (next == WR_REQ_WAIT) {
            return;
        }
        if (!wr_fsm_move(&req_fsm, &x->r.state, next, id)) {
            wr_fsm_force(&req_fsm, &x->r.state, give_up(x), id);
        }
    }
}

/* What all requests begin with. */
static void init_req(struct wr_reqx *x, struct wr_stream *s)
{
    struct wr_req *r = &x->r;

    wr_obj_init(r, WR_REQ_MAGIC);
    wr_task_init(&r->task, run_req, "req");
    wr_timer_init(&r->timer, &r->task);
    r->task.near = x;
    r->task.far = (char *)x + (size_t)WR_TASK_NEAR * WR_CACHE_LINE;
    wr_list_init(&r->node);
    wr_list_init(&x->works);
    wr_list_init(&x->subs);
    r->main = r;
    r->stream = s;
    r->arena = s->arena;
    r->head = s->head_in;
    r->method = r->head->method;
    r->method_name = r->head->method_name;
    r->out_mtime = -1;
    wr_msg_init(&r->out, r->arena, WR_REQ_FIELDS_MAX);
    r->out.version = 11;
    r->out.content_length = WR_LENGTH_UNKNOWN;
    r->start_wall_ms = wr_clock_wall_ms();
}

void wr_req_init_sub(struct wr_reqx *x, struct wr_stream *s, struct wr_req *parent)
{
    struct wr_req *r = &x->r;

    init_req(x, s);
    r->parent = parent;
    r->main = parent->main;
    r->depth = (uint8_t)(parent->depth + 1);
    r->is_internal = true;
    r->gen = parent->gen;
    r->http = parent->http;
    r->listen = parent->listen;
    r->tls = parent->tls;
    r->proxied = parent->proxied;
    r->peer = parent->peer;
    r->conn_requests = parent->conn_requests;
    r->log = parent->log;
    r->log.data = r;
    r->client_uri = parent->client_uri;
    r->host = parent->host;
    r->host_port = parent->host_port;
    r->server_name = parent->server_name;
    r->uri_changed = true;
    r->phase = WR_PHASE_SERVER_REWRITE;
    r->id = wr_server_next_id();
    wr_req_use_server(r, parent->server);
}

void wr_req_open(struct wr_stream *s, struct wr_listen_ctx *lc)
{
    struct wr_reqx *x = wr_arena_zalloc(s->arena, sizeof(*x));
    struct wr_h1_server *c = wr_h1_server_of_stream(s);
    struct wr_req *r;

    if (!x) {
        s->ops->reset(s, WR_REASON_NOMEM);
        s->ops->release(s);
        return;
    }
    r = &x->r;
    init_req(x, s);
    x->is_keepable = s->bad == 0;
    r->conn_requests = c ? wr_h1_server_requests(c) : 1;
    wr_conn_peer_addr(s->conn, &r->peer);
    if (r->peer.len == 0) {
        /* A unix socket's client has no address, but a family: "unix:". */
        r->peer.u.sa.sa_family = AF_UNIX;
        r->peer.len = sizeof(r->peer.u.sa.sa_family);
    }
    r->log = (struct wr_log){.conn_no = s->conn->no,
                             .is_debug = s->conn->is_debug,
                             .context = wr_error_log_context,
                             .data = r};
    r->tls = wr_tls_of_link(s->conn->link);
    if (r->tls) {
        (void)wr_tls_ref(r->tls); /* until the request ends */
    }
    r->proxied = wr_proxied_ref(s->conn->proxied);
    wr_server_enter(x, lc);
    wr_stat_inc(WR_CNT_REQ_STARTED);
    s->user = &r->task;
    wr_task_wake(&r->task);
}

const char *wr_req_state_name(const struct wr_req *r)
{
    return state_names[r->state];
}
