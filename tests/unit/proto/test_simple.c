/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_simple.c: the generic codec of proto/simple.h in the simulator, without an engine: an
 * attempt-like user against scripted peers that speak the toy protocol of tests/proto/echo_proto.c.
 * Rows with several seeds; every split of a head; a break at every byte; each allocation failing;
 * deadlines; cancel at each step. U5.1, U10.2, U12.1.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proto/echo_proto.c"
#include "sim/sim.h"

/* The body in frames: "<4>hell<1>o$". */
static size_t frame(struct wr_proto_req *q, size_t n, char *buf)
{
    ((struct echo_ctx *)q->ctx)->frames++;
    if (n == 0) {
        buf[0] = '$';
        return 1;
    }
    assert_in_range(n, 1, 4);
    (void)snprintf(buf, WR_PROTO_FRAME_MAX, "<%u>", (unsigned)n);
    return 3;
}

static const struct wr_proto_table framed_table = {
    .name = "echo framed", ECHO_TABLE, .frame_body = frame, .frame_max = 4};
static const struct wr_simple_codec framed_codec = WR_SIMPLE_CODEC_INIT(framed_table);

struct user {
    struct wr_task task;
    struct wr_arena arena;
    struct wr_pconn *pc;
    struct wr_stream *s;
    struct wr_pipe *in, *out; /* consumer, producer end */
    struct wr_proto_req q;
    struct echo_ctx echo;
    struct wr_msg head_out;
    /* what the test wants */
    bool has_lines; /* the table with a filter */
    bool is_framed; /* the one with frames */
    enum wr_method method;
    const char *body;
    bool leave_open;    /* the body is not ended */
    unsigned fail_body; /* it fails with this reason */
    bool is_lazy;       /* does not read */
    bool wants_drop;    /* leaves the body at its first byte */
    uint32_t head_max, rx_ms, tx_ms;
    size_t in_high;
    bool is_stuck; /* stays on the connection when it is over */
    /* what happened */
    bool is_over;
    enum wr_reason reason;
    int err;
    unsigned status, pconn_reason;
    uint8_t rx, tx;
    bool was_kept;
    uint64_t length;
    char field[64];
    char got[1 << 17];
    size_t got_len;
    uint64_t rx_bytes, tx_bytes, tx_body;
};

struct env {
    struct sim *sim;
    struct wr_addr addr;
    size_t mem;
    struct user u;
};

static void user_leave(struct user *u)
{
    struct wr_stream *s = wr_take(&u->s);

    if (s == NULL) {
        return;
    }
    u->reason = (enum wr_reason)s->reason;
    u->err = s->err;
    u->rx = s->rx;
    u->tx = s->tx;
    u->rx_bytes = s->rx_bytes;
    u->tx_bytes = s->tx_bytes;
    u->tx_body = s->tx_body_bytes;
    if (s->head_in != NULL) {
        const struct wr_hdr *h = wr_hdrs_find(&s->head_in->hdrs, WR_STR("X-A"), NULL);

        u->status = s->head_in->status;
        u->length = s->head_in->content_length;
        (void)snprintf(u->field, sizeof(u->field), "%.*s", h == NULL ? 0 : (int)h->value.len,
                       h == NULL ? "" : h->value.ptr);
    }
    if (s->in != NULL && u->in == NULL) {
        u->in = wr_take(&s->in);
    }
    if (u->in != NULL) {
        wr_pipe_leave_consumer(wr_take(&u->in));
    }
    if (u->out != NULL) {
        wr_pipe_leave_producer(wr_take(&u->out));
    }
    if (s->out != NULL && !s->is_started) {
        wr_pipe_leave_consumer(s->out);
    }
    s->ops->release(s);
    u->is_over = true;
    u->was_kept = u->pc->state == WR_PCONN_READY;
    u->pconn_reason = u->pc->reason;
}

static bool user_begin(struct user *u)
{
    const struct wr_proto_table *t = u->is_framed   ? &framed_table
                                     : u->has_lines ? &echo_lines_table
                                                    : &echo_table;
    struct wr_strbuf b;

    if (u->pc->codec->open(u->pc, &u->arena, &u->task, &u->s) != WR_OK) {
        return false;
    }
    u->s->rx_timeout_ms = u->rx_ms;
    u->s->tx_timeout_ms = u->tx_ms;
    u->s->head_max = u->head_max != 0 ? u->head_max : 16384;
    u->s->in_high = u->in_high != 0 ? u->in_high : 65536;
    u->q.arena = &u->arena;
    u->q.ctx = &u->echo;
    wr_strbuf_init_arena(&b, &u->arena, 4096);
    if (t->create_request(&u->q, &b) != WR_OK ||
        wr_simple_attach(u->s, &u->q, wr_strbuf_str(&b)) != WR_OK) {
        return false;
    }
    wr_msg_init(&u->head_out, &u->arena, 1);
    u->head_out.method = u->method;
    u->s->head_out = &u->head_out;
    if (u->body != NULL) {
        u->head_out.framing = WR_FRAMING_LENGTH;
        u->s->out = u->out = wr_pipe_new(1 << 20, &u->task, NULL);
        if (u->out == NULL || wr_pipe_push_copy(u->out, u->body, strlen(u->body)) != WR_OK) {
            return false;
        }
        if (u->fail_body != 0) {
            wr_pipe_fail(u->out, u->fail_body);
        } else if (!u->leave_open) {
            wr_pipe_eof(u->out);
        }
    }
    u->s->ops->start(u->s);
    return true;
}

static void user_read(struct user *u)
{
    struct iovec iov[8];
    size_t n;
    int cnt, i;

    if (u->in == NULL && u->s->in != NULL) {
        u->in = wr_take(&u->s->in);
        wr_pipe_hand(u->in, WR_PIPE_CONSUMER, &u->task);
    }
    if (u->in == NULL || u->is_lazy) {
        return;
    }
    if (u->wants_drop && wr_pipe_queued(u->in) > 0) {
        wr_pipe_leave_consumer(wr_take(&u->in));
        return;
    }
    while ((cnt = wr_pipe_peek(u->in, iov, 8, SIZE_MAX, &n)) > 0) {
        for (i = 0; i < cnt; i++) {
            size_t m = WR_MIN(iov[i].iov_len, sizeof(u->got) - u->got_len);

            memcpy(u->got + u->got_len, iov[i].iov_base, m);
            u->got_len += m;
        }
        wr_pipe_consume(u->in, n);
    }
}

static void user_run(struct wr_task *t)
{
    struct user *u = wr_container_of(t, struct user, task);

    if (u->pc == NULL || u->is_over) {
        return;
    }
    if (u->s == NULL) {
        if (u->pc->state == WR_PCONN_CLOSED) {
            u->err = u->pc->err;
            u->is_over = true;
        } else if (u->pc->state == WR_PCONN_READY && !user_begin(u)) {
            user_leave(u);
            u->is_over = true;
        }
        return;
    }
    user_read(u);
    if ((wr_stream_is_over(u->s) || wr_stream_is_reset(u->s)) &&
        (u->in == NULL || wr_pipe_is_spent(u->in)) && !u->is_stuck) {
        user_leave(u);
    }
}

static struct env *begin(const struct sim_conf *conf)
{
    struct env *e;

    (void)wr_local_get();
    e = wr_mem_alloc(sizeof(*e));
    e->mem = wr_mem_in_use();
    e->sim = sim_new(conf);
    e->addr = sim_addr(7, 7);
    wr_arena_init(&e->u.arena, 1 << 20);
    wr_task_init(&e->u.task, user_run, "echo user");
    e->u.rx_ms = e->u.tx_ms = 60000;
    return e;
}

static void dial(struct env *e)
{
    const struct wr_codec *codec = e->u.is_framed   ? &framed_codec.codec
                                   : e->u.has_lines ? &echo_lines_codec.codec
                                                    : &echo_codec.codec;
    struct wr_connect_opts opts = {0};
    struct wr_dial d = {.to = &e->addr, .opts = &opts};
    enum wr_status st = codec->dial(codec, &d, &e->u.task, &e->u.pc, &e->u.err);

    if (st != WR_OK && st != WR_AGAIN) {
        e->u.pc = NULL;
        e->u.is_over = true;
        return;
    }
    wr_task_wake(&e->u.task);
}

static void run(struct env *e)
{
    (void)sim_run_for(e->sim, 0);
}

static void go(struct env *e, const struct sim_step *steps)
{
    sim_serve_script(e->sim, &e->addr, steps);
    dial(e);
    run(e);
}

static void finish(struct env *e)
{
    user_leave(&e->u);
    if (e->u.pc != NULL) {
        e->u.pc->codec->close(e->u.pc, WR_REASON_DONE);
        e->u.pc->codec->close(e->u.pc, WR_REASON_DONE); /* idempotent */
        e->u.pc = NULL;
    }
    wr_task_cancel(&e->u.task);
    wr_arena_fini(&e->u.arena);
    run(e);
    sim_free(e->sim);
    assert_int_equal(wr_chunk_in_use(), 0);
    assert_int_equal(wr_mem_in_use(), e->mem);
    wr_mem_free(e);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void lines(struct user *u)
{
    u->has_lines = true;
}

static void head_method(struct user *u)
{
    u->method = WR_METHOD_HEAD;
}

static void head_lines(struct user *u)
{
    u->method = WR_METHOD_HEAD;
    u->has_lines = true;
}

static void with_body(struct user *u)
{
    u->body = "hello";
}

static void framed(struct user *u)
{
    u->body = "hello";
    u->is_framed = true;
}

static void framed_open(struct user *u)
{
    framed(u);
    u->leave_open = true;
}

static void framed_failed(struct user *u)
{
    framed(u);
    u->fail_body = WR_REASON_CLIENT_GONE;
}

static void framed_nothing(struct user *u)
{
    u->is_framed = true;
}

static void with_open_body(struct user *u)
{
    u->body = "hello";
    u->leave_open = true;
}

static void with_failed_body(struct user *u)
{
    u->body = "hello";
    u->fail_body = WR_REASON_CLIENT_GONE;
}

static void no_body(struct user *u)
{
    u->body = "hello";
    u->echo.is_body_left_out = true;
}

static void small_head(struct user *u)
{
    u->head_max = 16;
}

static void small_pipe(struct user *u)
{
    u->in_high = 2;
}

static void drops(struct user *u)
{
    u->wants_drop = true;
}

#define REQ "/test 0\n"

static const struct row {
    const char *name, *request, *answer;
    bool closes; /* the peer, behind its answer */
    void (*set)(struct user *u);
    unsigned status;
    const char *body;
    uint8_t rx, tx;
    enum wr_reason reason;
    bool is_kept;
} rows[] = {
  /* clang-format off */
    {"length", REQ, "200 5\nhello", false, NULL, 200, "hello", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"length, keep", REQ, "200 5 keep\nhello", false, NULL, 200, "hello", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"length 0, keep", REQ, "404 0 keep\n", false, NULL, 404, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"extra bytes", REQ, "200 5 keep\nhelloX", false, NULL, 200, "hello", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"extra bytes behind length 0", REQ, "200 0 keep\nX", false, NULL, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"length, early close", REQ, "200 9 keep\nhello", true, NULL, 200, "hello", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_TRUNCATED, false},
    {"up to the close", REQ, "200 -\nhello", true, NULL, 200, "hello", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"up to the close, keep is void", REQ, "200 - keep\nhello", true, NULL, 200, "hello", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"empty up to the close", REQ, "200 -\n", true, NULL, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"close without a byte", REQ, "", true, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_CLOSED, false},
    {"close in the head", REQ, "200 5", true, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_CLOSED, false},
    {"bad status", REQ, "2x0 5\nhello", false, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BAD_HEAD, false},
    {"no length", REQ, "200\n", false, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BAD_HEAD, false},
    {"status below 200", REQ, "101 0\n", false, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BAD_HEAD, false},
    {"the table fails", REQ, "599 0\n", false, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_INTERNAL, false},
    {"unsafe value (U14.1)", REQ, "200 0 X-A=a\rb\n", false, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BAD_HEAD, false},
    {"unsafe name", REQ, "200 0 X:A=a\n", false, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BAD_HEAD, false},
    {"empty name", REQ, "200 0 =a\n", false, NULL, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BAD_HEAD, false},
    {"head at its limit", REQ, "200 5 X-A=12345\nhello", false, small_head, 200, "hello", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"head beyond its limit (U5.1)", REQ, "200 5 X-A=123456\nhello", false, small_head, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BIG_HEAD, false},
    {"head without end", REQ, "2000000000000000000000000000", false, small_head, 0, "", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BIG_HEAD, false},
    {"HEAD", REQ, "200 5 keep\n", false, head_method, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"HEAD, length 0", REQ, "200 0 keep\n", false, head_method, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"HEAD with a body", REQ, "200 5 keep\nhello", false, head_method, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"HEAD with a filter", REQ, "200 0 keep\n", false, head_lines, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"204", REQ, "204 0 keep\n", false, NULL, 204, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"304 with length", REQ, "304 7 keep\n", false, NULL, 304, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"request body", REQ "hello", "200 2 keep\nok", false, with_body, 200, "ok", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"a body that waits", REQ "hello", "200 2 keep\nok", false, with_open_body, 200, "ok", WR_HALF_DONE, WR_HALF_BODY, WR_REASON_NONE, false},
    {"a body that fails", REQ, "", false, with_failed_body, 0, "", WR_HALF_RESET, WR_HALF_RESET, WR_REASON_CLIENT_GONE, false},
    {"frames", REQ "<4>hell<1>o$", "200 2 keep\nok", false, framed, 200, "ok", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"frames, no body", REQ "$", "200 2 keep\nok", false, framed_nothing, 200, "ok", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"frames, more to come", REQ "<4>hell<1>o", "200 2 keep\nok", false, framed_open, 200, "ok", WR_HALF_DONE, WR_HALF_BODY, WR_REASON_NONE, false},
    {"frames, it fails", REQ, "", false, framed_failed, 0, "", WR_HALF_RESET, WR_HALF_RESET, WR_REASON_CLIENT_GONE, false},
    {"body without room", REQ, "200 5 keep\nhello", false, small_pipe, 200, "hello", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"body that nobody reads", REQ, "200 5 keep\nhello", false, drops, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"filter", REQ, "200 * keep\n3 abc\n2 de\n0 \n", false, lines, 200, "abcde", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"filter, empty", REQ, "200 * keep\n0 \n", false, lines, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"filter, extra", REQ, "200 * keep\n3 abc\n0 \nX", false, lines, 200, "abc", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, false},
    {"filter, bad", REQ, "200 * keep\n3 abcd", false, lines, 200, "abc", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BAD_BODY, false},
    {"filter, fails", REQ, "200 * keep\n3 abc\nF", false, lines, 200, "abc", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_INTERNAL, false},
    {"filter, early close", REQ, "200 * keep\n3 ab", true, lines, 200, "ab", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_TRUNCATED, false},
    {"filter and length", REQ, "200 3 keep\n3 abc\n0 \n", false, lines, 200, "abc", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
    {"filter, more than the length", REQ, "200 2 keep\n2 ab\n1 c\n0 \n", false, lines, 200, "ab", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_BAD_BODY, false},
    {"filter, less than the length", REQ, "200 5 keep\n3 abc\n0 \n", false, lines, 200, "abc", WR_HALF_RESET, WR_HALF_DONE, WR_REASON_TRUNCATED, false},
    {"filter, length 0", REQ, "200 0 keep\n0 \n", false, lines, 200, "", WR_HALF_DONE, WR_HALF_DONE, WR_REASON_NONE, true},
  /* clang-format on */
};

/* A peer that answers when the request is here, byte by byte when `split` is 0, in two parts at
 * `split`. */
static void play(const struct row *r, const struct sim_conf *conf, size_t split)
{
    struct env *e = begin(conf);
    char first[256];
    struct sim_step steps[8];
    int n = 0;

    if (r->set != NULL) {
        r->set(&e->u);
    }
    (void)snprintf(first, sizeof(first), "%.*s", (int)split, r->answer);
    steps[n++] = (struct sim_step)SIM_UNTIL(r->request);
    if (split != 0) {
        steps[n++] = (struct sim_step)SIM_SEND(first);
        steps[n++] = (struct sim_step)SIM_WAIT(5);
    }
    if (r->answer[split] != '\0') {
        steps[n++] = (struct sim_step)SIM_SEND(r->answer + split);
    }
    if (r->closes) {
        steps[n++] = (struct sim_step)SIM_CLOSE;
    }
    steps[n] = (struct sim_step)SIM_END;
    sim_serve_script(e->sim, &e->addr, steps);
    dial(e);
    (void)sim_run_for(e->sim, 1000);
    if (r->tx == WR_HALF_BODY) {
        user_leave(&e->u); /* as the engine does when it needs no more */
        run(e);
    }
    if (split == 0 || r->is_kept) {
        assert_null(sim_error(e->sim)); /* else the peer may write to what is closed */
    }
    assert_true(e->u.is_over);
    assert_int_equal(e->u.status, r->status);
    assert_int_equal(e->u.rx, r->rx);
    if (r->reason == WR_REASON_NONE || r->tx == WR_HALF_RESET) {
        assert_int_equal(e->u.tx, r->tx);
    }
    if (e->u.reason != r->reason || (e->u.pc->state == WR_PCONN_READY) != r->is_kept) {
        print_error("row \"%s\", split %zu\n", r->name, split);
    }
    assert_int_equal(e->u.reason, r->reason);
    assert_int_equal(e->u.got_len, strlen(r->body));
    assert_memory_equal(e->u.got, r->body, e->u.got_len);
    /* A byte too many may come when the connection is idle already: it ends it all the same. */
    assert_int_equal(e->u.pc->state == WR_PCONN_READY, r->is_kept);
    if (r->rx == WR_HALF_DONE && r->set != no_body && !e->u.has_lines) {
        assert_true(e->u.rx_bytes >= strlen(r->body));
    }
    finish(e);
}

static void rows_hold_at_once_and_with_seeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        play(&rows[i], &(struct sim_conf){.seed = 1}, 0);
        for (uint64_t seed = 2; seed < 8; seed++) {
            play(
                &rows[i],
                &(struct sim_conf){.seed = seed, .short_io = true, .delays = true, .connect_ms = 3},
                0);
        }
    }
}

/* U5.1: any split of the bytes gives the same result. */
static void rows_hold_for_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        for (size_t k = 1; k < strlen(rows[i].answer); k++) {
            play(&rows[i], &(struct sim_conf){.seed = 3}, k);
        }
    }
}

static void fields_are_kept_and_lengths_told(void **state)
{
    static const struct sim_step steps[] = {
        SIM_UNTIL(REQ),        SIM_SEND("200 5 ke"), SIM_WAIT(1),
        SIM_SEND("ep X-A=va"), SIM_WAIT(1),          SIM_SEND("lue\nhe"),
        SIM_WAIT(1),           SIM_SEND("llo"),      SIM_END};
    struct env *e = begin(&(struct sim_conf){.seed = 1});

    (void)state;
    sim_serve_script(e->sim, &e->addr, steps);
    dial(e);
    (void)sim_run_for(e->sim, 100);
    assert_string_equal(e->u.field, "value");
    assert_int_equal(e->u.length, 5);
    assert_int_equal(e->u.echo.heads, 3);
    assert_int_equal(e->u.echo.inits, 1);
    assert_int_equal(e->u.tx_bytes, strlen(REQ));
    assert_int_equal(e->u.rx_bytes, strlen("200 5 keep X-A=value\nhello"));
    assert_true(e->u.was_kept);
    finish(e);
}

/* frame_body: once for each frame, once for the end, however short the writes are. */
static void frames_are_asked_for_once(void **state)
{
    static const struct sim_step steps[] = {SIM_UNTIL(REQ "<4>hell<1>o$"), SIM_SEND("200 0 keep\n"),
                                            SIM_END};

    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct env *e = begin(&(struct sim_conf){.seed = seed, .short_io = true, .delays = true});

        framed(&e->u);
        go(e, steps);
        (void)sim_run_for(e->sim, 1000);
        assert_int_equal(e->u.status, 200);
        assert_int_equal(e->u.echo.frames, 3);
        assert_int_equal(e->u.tx_body, 5);
        assert_int_equal(e->u.tx_bytes, sizeof(REQ) - 1 + 5 + 3 + 3 + 1);
        assert_true(e->u.was_kept);
        finish(e);
    }
}

static void head_grows_over_chunk_classes(void **state)
{
    static char head[120001];
    struct sim_step steps[] = {SIM_UNTIL(REQ), SIM_SEND(head), SIM_SEND("\nok"), SIM_END};
    struct env *e = begin(&(struct sim_conf){.seed = 5, .short_io = true, .buf_cap = 3000});

    (void)state;
    memset(head, 'v', sizeof(head) - 1);
    memcpy(head, "200 2 keep X-A=", 15);
    e->u.head_max = 130000;
    sim_serve_script(e->sim, &e->addr, steps);
    dial(e);
    (void)sim_run_for(e->sim, 1000);
    assert_int_equal(e->u.status, 200);
    assert_memory_equal(e->u.field, "vvvvvvvv", 8);
    assert_memory_equal(e->u.got, "ok", 2);
    assert_true(e->u.was_kept);
    finish(e);
}

static void connection_serves_again(void **state)
{
    static const struct sim_step steps[] = {SIM_UNTIL(REQ), SIM_SEND("200 2 keep\nab"), SIM_LOOP};
    struct env *e = begin(&(struct sim_conf){.seed = 1});
    int i;

    (void)state;
    go(e, steps);
    for (i = 0; i < 3; i++) {
        assert_true(e->u.was_kept);
        e->u.is_over = false;
        e->u.got_len = 0;
        wr_task_wake(&e->u.task);
        run(e);
        assert_memory_equal(e->u.got, "ab", 2);
    }
    assert_int_equal(e->u.pc->served, 4);
    assert_int_equal(sim_accepted(e->sim, &e->addr), 1);
    finish(e);
}

/* An idle connection that becomes readable or closed is dropped at once (U10.2). */
static void idle_connection_ends_with_any_event(void **state)
{
    static const struct sim_step bytes[] = {SIM_UNTIL(REQ), SIM_SEND("200 2 keep\nab"),
                                            SIM_WAIT(10), SIM_SEND("?"), SIM_END};
    static const struct sim_step close[] = {SIM_UNTIL(REQ), SIM_SEND("200 2 keep\nab"),
                                            SIM_WAIT(10), SIM_CLOSE};
    static const struct sim_step reset[] = {SIM_UNTIL(REQ), SIM_SEND("200 2 keep\nab"),
                                            SIM_WAIT(10), SIM_RESET};
    static const struct sim_step *const all[] = {bytes, close, reset};

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(all); i++) {
        struct env *e = begin(&(struct sim_conf){.seed = 1});

        go(e, all[i]);
        assert_true(e->u.was_kept);
        (void)sim_run_for(e->sim, 20);
        assert_int_equal(e->u.pc->state, WR_PCONN_CLOSED);
        finish(e);
    }
}

static void refused_and_black_holes(void **state)
{
    struct env *e = begin(&(struct sim_conf){.seed = 1});

    (void)state;
    dial(e);
    run(e);
    assert_true(e->u.is_over);
    assert_int_equal(e->u.err, ECONNREFUSED);
    finish(e);

    e = begin(&(struct sim_conf){.seed = 1});
    sim_blackhole(e->sim, &e->addr);
    dial(e);
    run(e);
    assert_int_equal(e->u.pc->state, WR_PCONN_CONNECTING);
    finish(e);
}

/* U4.6: the read timeout between two reads, the send timeout while the peer does not take. */
static void deadlines_come_due(void **state)
{
    static const struct sim_step silent[] = {SIM_UNTIL(REQ), SIM_END};
    static const struct sim_step half[] = {SIM_UNTIL(REQ), SIM_WAIT(900), SIM_SEND("200 9\nab"),
                                           SIM_END};
    static const struct sim_step deaf[] = {SIM_WAIT(100000), SIM_END};
    struct env *e = begin(&(struct sim_conf){.seed = 1});

    (void)state;
    e->u.rx_ms = 1000;
    go(e, silent);
    (void)sim_run_for(e->sim, 999);
    assert_false(e->u.is_over);
    (void)sim_run_for(e->sim, 2);
    assert_int_equal(e->u.reason, WR_REASON_TIMEOUT);
    finish(e);

    e = begin(&(struct sim_conf){.seed = 1});
    e->u.rx_ms = 1000;
    go(e, half);
    (void)sim_run_for(e->sim, 1890);
    assert_false(e->u.is_over);
    (void)sim_run_for(e->sim, 20);
    assert_int_equal(e->u.reason, WR_REASON_TIMEOUT);
    assert_memory_equal(e->u.got, "ab", 2);
    finish(e);

    e = begin(&(struct sim_conf){.seed = 1, .buf_cap = 100});
    static char big[5000];
    memset(big, 'b', sizeof(big) - 1);
    e->u.body = big;
    e->u.tx_ms = 1000;
    go(e, deaf);
    (void)sim_run_for(e->sim, 990);
    assert_false(e->u.is_over);
    (void)sim_run_for(e->sim, 20);
    assert_int_equal(e->u.reason, WR_REASON_SEND_TIMEOUT);
    finish(e);
}

/* The read timeout does not run while the client's side takes nothing (U6.6), nor while the body is
 * awaited (U4.6). */
static void deadlines_rest_when_it_is_not_the_peer(void **state)
{
    static const struct sim_step much[] = {SIM_UNTIL(REQ), SIM_SEND("200 100000\n"),
                                           SIM_SEND_N(100000), SIM_END};
    static const struct sim_step silent[] = {SIM_UNTIL(REQ), SIM_END};
    struct env *e = begin(&(struct sim_conf){.seed = 1});

    (void)state;
    e->u.rx_ms = 1000;
    e->u.in_high = 5000;
    e->u.is_lazy = true;
    go(e, much);
    (void)sim_run_for(e->sim, 50000);
    assert_false(e->u.is_over);
    assert_true(wr_pipe_queued(e->u.in) >= 5000);
    assert_true(wr_pipe_queued(e->u.in) <= 5000 + 65536);
    e->u.is_lazy = false;
    wr_task_wake(&e->u.task);
    (void)sim_run_for(e->sim, 100);
    assert_true(e->u.is_over);
    assert_int_equal(e->u.got_len, 100000);
    assert_int_equal(e->u.reason, WR_REASON_NONE);
    finish(e);

    e = begin(&(struct sim_conf){.seed = 1});
    e->u.rx_ms = 1000;
    e->u.body = "x";
    e->u.leave_open = true;
    go(e, silent);
    (void)sim_run_for(e->sim, 50000);
    assert_false(e->u.is_over);
    finish(e);
}

/* U4.5: an answer that is here when sending fails is delivered. */
static void answer_survives_a_failed_send(void **state)
{
    static const struct sim_step early[] = {SIM_READ(10), SIM_SEND("413 3\nbig"), SIM_WAIT(5),
                                            SIM_CLOSE};
    static char big[50000];
    struct env *e = begin(&(struct sim_conf){.seed = 1, .buf_cap = 2000});

    (void)state;
    memset(big, 'b', sizeof(big) - 1);
    e->u.body = big;
    e->u.is_stuck = true;
    sim_serve_script(e->sim, &e->addr, early);
    dial(e);
    (void)sim_run_for(e->sim, 100);
    user_leave(&e->u);
    assert_int_equal(e->u.status, 413);
    assert_memory_equal(e->u.got, "big", 3);
    assert_false(e->u.was_kept);
    finish(e);
}

#define ANSWER "200 * keep X-A=b\n3 abc\n2 de\n0 \n"

static void break_at(struct sim_sock *k, void *data)
{
    static const struct sim_step steps[] = {SIM_UNTIL(REQ), SIM_SEND(ANSWER), SIM_DRAIN, SIM_END};
    size_t n = *(const size_t *)data, len = sizeof(ANSWER) - 1;

    sim_reset_at(k, n < len ? SIM_TX : SIM_RX, n < len ? n : n - len);
    sim_script(k, steps);
}

/* The peer's connection breaks when n bytes went to or from it: never more than came, no leak. */
static void breaks_at_every_byte(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(ANSWER) - 1 + sizeof(REQ) - 1; n++) {
        struct env *e = begin(&(struct sim_conf){.seed = n + 1, .short_io = true});

        e->u.has_lines = true;
        sim_serve(e->sim, &e->addr, break_at, &n);
        dial(e);
        (void)sim_run_for(e->sim, 100);
        assert_true(e->u.is_over);
        assert_int_not_equal(e->u.rx, WR_HALF_DONE);
        assert_true(e->u.got_len <= 5);
        assert_memory_equal(e->u.got, "abcde", e->u.got_len);
        finish(e);
    }
}

static const struct sim_step torture_steps[] = {SIM_UNTIL(REQ "hello"), SIM_SEND("200 * ke"),
                                                SIM_WAIT(1),
                                                SIM_SEND("ep X-A=b\n3 abc\n2 de\n0 \n"), SIM_END};

/* Cancel at each turn of the loop, by release, by reset, by closing the connection. */
static void cancel_at_each_step(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        for (int turns = 0; turns < 40; turns++) {
            struct env *e = begin(
                &(struct sim_conf){.seed = (uint64_t)turns + 1, .short_io = true, .delays = true});

            bool is_reset = false;

            e->u.has_lines = true;
            e->u.body = "hello";
            sim_serve_script(e->sim, &e->addr, torture_steps);
            dial(e);
            for (int i = 0; i < turns; i++) {
                (void)sim_run_for(e->sim, 0);
                wr_loop_turn(sim_loop(e->sim), 0);
                if (i % 4 == 0) {
                    sim_jump(e->sim, 1);
                }
            }
            if (how == 0) {
                user_leave(&e->u);
                e->u.is_over = true;
                memset(&e->u.q, 0x5a, sizeof(e->u.q)); /* nothing of it may be used any more */
            } else if (how == 1 && e->u.s != NULL) {
                e->u.s->ops->reset(e->u.s, WR_REASON_SHUTDOWN);
                assert_true(wr_stream_is_over(e->u.s));
                is_reset = true;
            } else if (how == 2 && e->u.pc != NULL) {
                e->u.pc->codec->close(e->u.pc, WR_REASON_SHUTDOWN);
                user_leave(&e->u); /* the stream outlives its connection */
                e->u.pc = NULL;
            }
            run(e);
            assert_true(!is_reset || e->u.is_over);
            finish(e);
        }
    }
}

static void torture(void *data)
{
    struct env *e = begin(&(struct sim_conf){.seed = 1});

    (void)data;
    e->u.has_lines = true;
    e->u.body = "hello";
    sim_serve_script(e->sim, &e->addr, torture_steps);
    dial(e);
    (void)sim_run_for(e->sim, 100);
    assert_true(e->u.is_over);
    if (!sim_is_faulted()) {
        assert_int_equal(e->u.got_len, 5);
    }
    finish(e);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(sim_torture(torture, NULL) > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_hold_at_once_and_with_seeds),
        cmocka_unit_test(rows_hold_for_every_split),
        cmocka_unit_test(fields_are_kept_and_lengths_told),
        cmocka_unit_test(head_grows_over_chunk_classes),
        cmocka_unit_test(connection_serves_again),
        cmocka_unit_test(idle_connection_ends_with_any_event),
        cmocka_unit_test(refused_and_black_holes),
        cmocka_unit_test(deadlines_come_due),
        cmocka_unit_test(deadlines_rest_when_it_is_not_the_peer),
        cmocka_unit_test(frames_are_asked_for_once),
        cmocka_unit_test(answer_survives_a_failed_send),
        cmocka_unit_test(breaks_at_every_byte),
        cmocka_unit_test(cancel_at_each_step),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("proto/simple", tests, NULL, NULL);
}
