/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_kit.h: users of both roles of the HTTP/1 codec for tests: a sink whose requests answer as a
 * test says, an attempt-like user of the client role, and text helpers. Knows nothing of sockets:
 * the test brings the poll, real or simulated. All memory comes from mem.h so that leaks are seen.
 */
#ifndef WR_TESTS_H1_KIT_H
#define WR_TESTS_H1_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/chunk.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "event/loop.h"
#include "http/h1_conn.h"
#include "http/h1_parse.h"
#include "io/pipe.h"
#include "net/conn.h"

/* ---- the server's side ---------------------------------------------------------------------- */

enum kit_mode {
    KIT_ANSWER, /* answers at once, never asks for the body */
    KIT_READ,   /* reads the body to its end, then answers */
    KIT_ECHO,   /* the request body is the response body, pipe handed over */
    KIT_HOLD,   /* does nothing until kit_go */
    KIT_TUNNEL, /* 101, then echoes raw bytes */
    KIT_REFUSE, /* releases the stream at once, without an answer */
    KIT_RESET,  /* resets it */
};

struct kit_srv {
    struct wr_h1_sink sink;
    struct wr_h1_opts opts;
    struct wr_list conns, reqs;
    enum kit_mode mode;
    unsigned status;
    const char *body;   /* response body */
    size_t body_len;    /* SIZE_MAX: strlen */
    uint64_t announce;  /* content_length; WR_LENGTH_UNKNOWN: none */
    bool announce_body; /* content_length is body_len */
    unsigned fail;      /* the pipe fails with this reason behind the body */
    bool is_slow;       /* the body is pushed one byte a run of the loop, by kit_step */
    bool leave_open;    /* the body is pushed but not ended */
    bool drop_body;     /* KIT_READ: leaves the body's pipe after the first byte */
    const char *extra;  /* extra field "Name: value" */
    size_t high;        /* of the request body */
    uint32_t rx_timeout_ms, tx_timeout_ms, keepalive_ms;
    uint64_t body_max;
    bool want_close;
    const char *trailer;
    /* what happened */
    unsigned conn_cnt, closed_cnt, req_cnt, released_cnt, bad;
    char log[4096];  /* "GET /x -> 200 DONE/DONE NONE\n" */
    char got[65536]; /* request bodies */
    size_t got_len;
};

struct kit_req {
    struct wr_list node;
    struct kit_srv *k;
    struct wr_task task;
    struct wr_stream *s;
    struct wr_msg out;
    struct wr_pipe *in;   /* consumer end */
    struct wr_pipe *pipe; /* producer end of the response */
    size_t pushed;
    bool is_started, is_go, saw_gone;
    bool is_in_over;
};

static inline void kit_log(struct kit_srv *k, const char *fmt, ...) WR_PRINTF(2, 3);

static inline void kit_log(struct kit_srv *k, const char *fmt, ...)
{
    size_t n = strlen(k->log);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(k->log + n, sizeof(k->log) - n, fmt, ap);
    va_end(ap);
}

static inline const char *kit_half(uint8_t h)
{
    static const char *const names[] = {"WAIT", "BODY", "DONE", "RESET"};

    return names[h];
}

static inline void kit_req_end(struct kit_req *r)
{
    struct kit_srv *k = r->k;
    const struct wr_msg *m = r->s->head_in;

    kit_log(k, "%.*s %.*s -> %u %s/%s %s%s\n", WR_STR_ARG(m->method_name), WR_STR_ARG(m->target),
            r->is_started ? r->out.status : 0, kit_half(r->s->rx), kit_half(r->s->tx),
            wr_reason_name(r->s->reason), r->saw_gone ? " gone" : "");
    if (r->in) {
        wr_pipe_leave_consumer(r->in);
    }
    if (r->pipe) {
        wr_pipe_leave_producer(r->pipe);
        if (!r->s->is_started) {
            /* The codec takes the consumer end at start. */
            wr_pipe_leave_consumer(r->pipe);
        }
    }
    wr_task_cancel(&r->task);
    wr_list_remove(&r->node);
    r->s->ops->release(r->s);
    k->released_cnt++;
    wr_mem_free(r);
}

/* False: out of memory. */
static inline bool kit_push(struct kit_req *r, size_t max)
{
    struct kit_srv *k = r->k;
    size_t left = k->body_len - r->pushed;
    size_t n = left < max ? left : max;

    while (n > 0) {
        size_t m = n < 30000 ? n : 30000;
        enum wr_status st;

        if (!wr_pipe_can_push(r->pipe)) {
            return true;
        }
        st = wr_pipe_push_copy(r->pipe, k->body + r->pushed, m);
        if (st == WR_EPEERGONE) {
            r->pushed = k->body_len;
            return true;
        }
        if (st != WR_OK) {
            return false;
        }
        r->pushed += m;
        n -= m;
    }
    if (r->pushed == k->body_len && !k->leave_open) {
        if (k->fail != 0) {
            wr_pipe_fail(r->pipe, k->fail);
        } else {
            wr_pipe_eof(r->pipe);
        }
    }
    return true;
}

/* "Name: value" */
static inline bool kit_add_field(struct wr_hdrs *h, const char *z)
{
    struct wr_str line = wr_str_z(z);
    size_t i = wr_str_find(line, ':');

    return wr_hdrs_add(h, wr_str_sub(line, 0, i), wr_str_sub(line, i + 2, line.len)) == WR_OK;
}

static inline bool kit_add_trailer(struct kit_req *r)
{
    struct wr_stream *s = r->s;

    s->trailers_out = wr_arena_alloc(s->arena, sizeof(*s->trailers_out));
    if (!s->trailers_out) {
        return false;
    }
    wr_hdrs_init(s->trailers_out, s->arena, 10);
    return kit_add_field(s->trailers_out, r->k->trailer);
}

/* The response head and its pipe. */
static inline bool kit_prepare(struct kit_req *r)
{
    struct kit_srv *k = r->k;
    struct wr_stream *s = r->s;

    wr_msg_init(&r->out, s->arena, 100);
    r->out.status = (uint16_t)(s->bad != 0 ? s->bad : k->status);
    r->out.version = 11;
    r->out.content_length = k->announce_body ? k->body_len : k->announce;
    if ((k->extra && !kit_add_field(&r->out.hdrs, k->extra)) ||
        (k->trailer && !kit_add_trailer(r))) {
        return false;
    }
    if (k->mode == KIT_ECHO && r->in) {
        s->out = r->in;
        r->in = NULL;
        r->out.content_length = WR_LENGTH_UNKNOWN;
    } else if (k->body_len > 0 || k->fail != 0 || k->leave_open) {
        r->pipe = wr_pipe_new(60000, &r->task, NULL);
        s->out = r->pipe;
        return r->pipe != NULL;
    }
    return true;
}

static inline bool kit_start(struct kit_req *r)
{
    struct kit_srv *k = r->k;
    struct wr_stream *s = r->s;

    if (!kit_prepare(r)) {
        return false;
    }
    s->head_out = &r->out;
    s->want_close = k->want_close;
    s->keepalive_ms = k->keepalive_ms;
    r->is_started = true;
    s->ops->start(s);
    if (k->mode == KIT_TUNNEL) {
        if (s->ops->tunnel(s) != WR_OK) {
            return false;
        }
        r->in = s->in;
        r->pipe = s->out;
    }
    return true;
}

/* Takes what is in the body's pipe. True: it is over. */
static inline bool kit_read(struct kit_req *r)
{
    struct kit_srv *k = r->k;
    struct iovec iov[8];
    size_t n = 0;
    int cnt;

    if (!r->in) {
        return true;
    }
    while ((cnt = wr_pipe_peek(r->in, iov, 8, 4096, &n)) > 0) {
        for (int i = 0; i < cnt; i++) {
            size_t m = iov[i].iov_len;

            m = m < sizeof(k->got) - k->got_len ? m : sizeof(k->got) - k->got_len;
            memcpy(k->got + k->got_len, iov[i].iov_base, m);
            k->got_len += m;
        }
        wr_pipe_consume(r->in, n);
        if (k->drop_body) {
            wr_pipe_leave_consumer(r->in);
            r->in = NULL;
            return true;
        }
    }
    return wr_pipe_is_spent(r->in);
}

static inline void kit_tunnel(struct kit_req *r)
{
    if (r->in && r->pipe) {
        (void)!wr_pipe_move(r->pipe, r->in, UINT64_MAX);
    }
}

enum kit_step {
    KIT_ON,
    KIT_WAIT,
    KIT_FAIL
};

/* The request's body, for those who want it. */
static inline enum kit_step kit_body(struct kit_req *r)
{
    struct kit_srv *k = r->k;
    struct wr_stream *s = r->s;

    if (r->is_started || s->bad != 0 || (k->mode != KIT_READ && k->mode != KIT_ECHO)) {
        return KIT_ON;
    }
    s->rx_timeout_ms = k->rx_timeout_ms;
    s->body_max = k->body_max;
    if (!s->in && s->rx == WR_HALF_BODY) {
        if (s->ops->want_body(s, k->high) != WR_OK) {
            return KIT_FAIL;
        }
        r->in = s->in;
    }
    return k->mode == KIT_READ && !kit_read(r) ? KIT_WAIT : KIT_ON;
}

static inline bool kit_act(struct kit_req *r)
{
    struct kit_srv *k = r->k;
    enum kit_step step;

    if (k->mode == KIT_HOLD && !r->is_go) {
        return true;
    }
    step = kit_body(r);
    if (step != KIT_ON) {
        return step == KIT_WAIT;
    }
    if (!r->is_started) {
        r->s->tx_timeout_ms = k->tx_timeout_ms;
        if (!kit_start(r)) {
            return false;
        }
    }
    if (k->mode == KIT_TUNNEL) {
        kit_tunnel(r);
    } else if (r->pipe && r->pipe->state == WR_PIPE_OPEN) {
        return kit_push(r, k->is_slow ? 0 : SIZE_MAX);
    }
    return true;
}

static inline void kit_run(struct wr_task *t)
{
    struct kit_req *r = wr_container_of(t, struct kit_req, task);
    struct wr_stream *s = r->s;

    if (s->is_gone) {
        r->saw_gone = true;
    }
    if (r->k->mode == KIT_REFUSE || s->tx >= WR_HALF_DONE) {
        if (r->k->mode == KIT_REFUSE || s->rx >= WR_HALF_DONE) {
            kit_req_end(r);
            return;
        }
    }
    if (r->k->mode == KIT_RESET) {
        s->ops->reset(s, WR_REASON_CANCELED);
        kit_req_end(r);
        return;
    }
    if (!kit_act(r)) {
        s->ops->reset(s, WR_REASON_NOMEM);
        kit_req_end(r);
    }
}

static inline void kit_open(struct wr_h1_sink *sink, struct wr_stream *s)
{
    struct kit_srv *k = wr_container_of(sink, struct kit_srv, sink);
    struct kit_req *r = wr_run_zalloc(sizeof(*r));

    k->req_cnt++;
    k->bad = s->bad;
    if (!r) {
        s->ops->reset(s, WR_REASON_NOMEM);
        s->ops->release(s);
        k->released_cnt++;
        return;
    }
    r->k = k;
    r->s = s;
    wr_task_init(&r->task, kit_run, "kit request");
    wr_list_push(&k->reqs, &r->node);
    s->user = &r->task;
    wr_task_wake(&r->task);
}

static inline const struct wr_h1_opts *kit_opts(struct wr_h1_sink *sink)
{
    return &wr_container_of(sink, struct kit_srv, sink)->opts;
}

static inline void kit_closed(struct wr_h1_sink *sink, struct wr_h1_server *c)
{
    (void)c;
    wr_container_of(sink, struct kit_srv, sink)->closed_cnt++;
}

static inline void kit_srv_init(struct kit_srv *k)
{
    memset(k, 0, sizeof(*k));
    k->sink.opts = kit_opts;
    k->sink.open = kit_open;
    k->sink.closed = kit_closed;
    wr_list_init(&k->conns);
    wr_list_init(&k->reqs);
    k->opts = (struct wr_h1_opts){
        .header_timeout_ms = 60000,
        .header_buffer_size = 1024,
        .large_cnt = 4,
        .large_size = 8192,
        .send_timeout_ms = 60000,
        .lingering_time_ms = 30000,
        .lingering_timeout_ms = 5000,
        .lingering = 1,
        .keepalive_requests = 1000,
        .keepalive_time_ms = 3600000,
        .first_timeout_ms = 60000,
        .arena_max = 256 * 1024,
    };
    k->status = 200;
    k->body = "hello";
    k->body_len = 5;
    k->announce_body = true;
    k->announce = WR_LENGTH_UNKNOWN;
    k->high = 65536;
    k->rx_timeout_ms = 60000;
    k->tx_timeout_ms = 60000;
    k->keepalive_ms = 75000;
}

/* Takes fd. NULL: no memory. */
static inline struct wr_h1_server *kit_serve(struct kit_srv *k, int fd, const struct wr_addr *peer)
{
    struct wr_h1_server *c = NULL;

    if (wr_h1_serve(fd, peer, &k->sink, &c) != WR_OK) {
        return NULL;
    }
    k->conn_cnt++;
    wr_list_push(&k->conns, wr_h1_server_node(c));
    return c;
}

/* Held requests go on; slow ones push one more byte. */
static inline void kit_go(struct kit_srv *k)
{
    struct wr_list *n, *t;

    WR_LIST_FOREACH_SAFE (n, t, &k->reqs) {
        struct kit_req *r = wr_container_of(n, struct kit_req, node);

        r->is_go = true;
        if (k->is_slow && r->pipe && r->s->tx == WR_HALF_BODY) {
            (void)kit_push(r, 1);
        }
        wr_task_wake(&r->task);
    }
}

static inline void kit_close_all(struct kit_srv *k)
{
    while (!wr_list_is_empty(&k->conns)) {
        wr_h1_server_close(wr_h1_server_of_node(k->conns.next), WR_REASON_SHUTDOWN);
    }
}

/* Ends all requests too; after it a few turns empty the graves. */
static inline void kit_end_requests(struct kit_srv *k)
{
    while (!wr_list_is_empty(&k->reqs)) {
        kit_req_end(wr_container_of(k->reqs.next, struct kit_req, node));
    }
}

/* ---- the client's side ---------------------------------------------------------------------- */

struct kit_cli {
    struct wr_task task;
    struct wr_pconn *pc;
    struct wr_stream *s;
    struct wr_arena arena;
    struct wr_msg out;
    struct wr_pipe *in;   /* consumer end */
    struct wr_pipe *pipe; /* producer end of the request body */
    /* what to ask */
    const char *method, *target, *extra;
    enum wr_framing framing;
    const char *body;
    size_t body_len, pushed;
    uint64_t announce;
    bool leave_open; /* the body is not ended */
    bool is_lazy;    /* does not read the answer's body */
    bool want_tunnel;
    unsigned fail; /* the body fails with this */
    uint32_t rx_timeout_ms, tx_timeout_ms, head_max;
    size_t in_high;
    unsigned flags;
    /* what came */
    int dial_err;
    unsigned status, reason, bad;
    uint8_t rx, tx;
    char *got; /* got_cap bytes */
    size_t got_len, got_cap;
    bool is_open, is_over, in_failed, got_bytes, is_head_seen;
    unsigned in_reason;
    unsigned done_cnt;
};

static inline void kit_cli_read(struct kit_cli *u)
{
    struct iovec iov[8];
    size_t n = 0;
    int cnt;

    if (!u->in || u->is_lazy) {
        return;
    }
    while ((cnt = wr_pipe_peek(u->in, iov, 8, SIZE_MAX, &n)) > 0) {
        for (int i = 0; i < cnt; i++) {
            size_t m = iov[i].iov_len;

            assert_true(u->got_len + m <= u->got_cap);
            memcpy(u->got + u->got_len, iov[i].iov_base, m);
            u->got_len += m;
        }
        wr_pipe_consume(u->in, n);
    }
    if (wr_pipe_is_spent(u->in)) {
        u->in_failed = u->in->state != WR_PIPE_EOF;
        u->in_reason = u->in->reason;
        if (!u->want_tunnel) {
            wr_pipe_leave_consumer(u->in);
            u->in = NULL;
        }
    }
}

static inline bool kit_cli_push(struct kit_cli *u)
{
    while (u->pipe && u->pipe->state == WR_PIPE_OPEN && u->pushed < u->body_len) {
        size_t n = u->body_len - u->pushed < 20000 ? u->body_len - u->pushed : 20000;
        enum wr_status st;

        if (!wr_pipe_can_push(u->pipe)) {
            return true;
        }
        st = wr_pipe_push_copy(u->pipe, u->body + u->pushed, n);
        if (st == WR_EPEERGONE) {
            u->pushed = u->body_len;
            break;
        }
        if (st != WR_OK) {
            return false;
        }
        u->pushed += n;
    }
    if (u->pipe && u->pipe->state == WR_PIPE_OPEN && u->pushed == u->body_len && !u->leave_open) {
        if (u->fail != 0) {
            wr_pipe_fail(u->pipe, u->fail);
        } else {
            wr_pipe_eof(u->pipe);
        }
    }
    return true;
}

/* The user leaves the stream. */
static inline void kit_cli_leave(struct kit_cli *u)
{
    struct wr_stream *s = u->s;

    if (!s) {
        return;
    }
    u->rx = s->rx;
    u->tx = s->tx;
    u->reason = s->reason;
    u->bad = s->bad;
    u->got_bytes = s->got_bytes;
    kit_cli_read(u);
    if (u->in) {
        wr_pipe_leave_consumer(u->in);
        u->in = NULL;
    }
    if (u->pipe) {
        wr_pipe_leave_producer(u->pipe);
        if (!s->is_started) {
            /* The codec takes the consumer end at start. */
            wr_pipe_leave_consumer(u->pipe);
        }
        u->pipe = NULL;
    }
    u->s = NULL;
    u->is_open = false;
    s->ops->release(s);
    wr_arena_fini(&u->arena);
}

static inline bool kit_cli_begin(struct kit_cli *u)
{
    struct wr_stream *s;

    u->is_over = u->in_failed = u->is_head_seen = false;
    u->pushed = 0;
    wr_arena_init(&u->arena, 1 << 20);
    if (u->pc->codec->open(u->pc, &u->arena, &u->task, &s) != WR_OK) {
        wr_arena_fini(&u->arena);
        return false;
    }
    u->s = s;
    u->is_open = true;
    wr_msg_init(&u->out, &u->arena, 100);
    u->out.method_name = wr_str_z(u->method);
    u->out.method = wr_method_of(u->out.method_name);
    u->out.target = wr_str_z(u->target);
    u->out.version = 11;
    u->out.framing = u->framing;
    u->out.flags = u->flags;
    u->out.content_length = u->announce != 0 ? u->announce : u->body_len;
    s->rx_timeout_ms = u->rx_timeout_ms;
    s->tx_timeout_ms = u->tx_timeout_ms;
    s->head_max = u->head_max != 0 ? u->head_max : s->head_max;
    s->in_high = u->in_high != 0 ? u->in_high : s->in_high;
    if (wr_hdrs_add(&u->out.hdrs, WR_STR("Host"), WR_STR("peer")) != WR_OK) {
        goto fail;
    }
    if (u->extra && !kit_add_field(&u->out.hdrs, u->extra)) {
        goto fail;
    }
    s->head_out = &u->out;
    if (u->framing != WR_FRAMING_NONE) {
        u->pipe = wr_pipe_new(50000, &u->task, NULL);
        if (!u->pipe) {
            goto fail;
        }
        s->out = u->pipe;
        if (!kit_cli_push(u)) {
            goto fail;
        }
    }
    s->ops->start(s);
    return true;

fail:
    s->ops->reset(s, WR_REASON_NOMEM);
    kit_cli_leave(u);
    return false;
}

static inline void kit_cli_step(struct kit_cli *u)
{
    struct wr_stream *s = u->s;

    if (s->head_in && !u->is_head_seen) {
        u->is_head_seen = true;
        u->status = s->head_in->status;
        u->in = s->in;
        if (u->in) {
            wr_pipe_hand(u->in, WR_PIPE_CONSUMER, &u->task);
        }
        if (u->want_tunnel && s->head_in->status == 101) {
            if (s->ops->tunnel(s) != WR_OK) {
                s->ops->reset(s, WR_REASON_NOMEM);
                kit_cli_leave(u);
                u->is_over = true;
                return;
            }
            u->in = s->in;
            u->pipe = s->out;
        }
    }
    kit_cli_read(u);
    if (!kit_cli_push(u)) {
        s->ops->reset(s, WR_REASON_NOMEM);
    }
    if ((wr_stream_is_over(s) || wr_stream_is_reset(s)) && (!u->in || u->want_tunnel)) {
        kit_cli_leave(u);
        u->is_over = true;
        u->done_cnt++;
    }
}

static inline void kit_cli_run(struct wr_task *t)
{
    struct kit_cli *u = wr_container_of(t, struct kit_cli, task);

    if (!u->pc) {
        return;
    }
    if (u->pc->state == WR_PCONN_CLOSED && !u->s) {
        u->dial_err = u->pc->err;
        if (!u->is_over) {
            u->is_over = true;
        }
        return;
    }
    if (u->pc->state == WR_PCONN_READY && !u->s && !u->is_over) {
        if (!kit_cli_begin(u)) {
            u->is_over = true;
        }
        return;
    }
    if (u->s) {
        kit_cli_step(u);
    }
}

static inline void kit_cli_init(struct kit_cli *u, char *buf, size_t cap)
{
    memset(u, 0, sizeof(*u));
    wr_task_init(&u->task, kit_cli_run, "kit client");
    u->method = "GET";
    u->target = "/";
    u->got = buf;
    u->got_cap = cap;
    u->rx_timeout_ms = u->tx_timeout_ms = 60000;
}

static inline enum wr_status kit_cli_dial(struct kit_cli *u, const struct wr_addr *to)
{
    static const struct wr_connect_opts opts = {.nodelay = true};
    int err = 0;
    struct wr_dial d = {.to = to, .opts = &opts};
    enum wr_status st = wr_h1_codec.dial(&wr_h1_codec, &d, &u->task, &u->pc, &err);

    u->dial_err = err;
    if (st == WR_OK) {
        wr_task_wake(&u->task);
    }
    if (st != WR_OK && st != WR_AGAIN) {
        u->pc = NULL;
        u->is_over = true;
    }
    return st;
}

static inline void kit_cli_end(struct kit_cli *u)
{
    kit_cli_leave(u);
    if (u->pc) {
        u->pc->codec->close(u->pc, WR_REASON_CANCELED);
        u->pc = NULL;
    }
    wr_task_cancel(&u->task);
}

#endif
