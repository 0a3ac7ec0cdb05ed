/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h1_client.c: the client role of the HTTP/1 codec in the simulator: an attempt-like user
 * against a scripted peer. Each row is an exchange, played with several seeds (short reads and
 * writes, delays); then the peer breaks at every byte in both directions, each allocation fails in
 * turn, and deadlines come due on the simulated clock.
 */
#include "unit/http/h1_kit.h"

#include "sim/sim.h"

struct env {
    struct sim *sim;
    struct wr_addr addr;
    struct kit_cli u;
    size_t mem;
    char got[1 << 18];
};

static void run(struct env *e)
{
    (void)sim_run_for(e->sim, 0);
}

static void advance(struct env *e, uint64_t ms)
{
    (void)sim_run_for(e->sim, ms);
    run(e);
}

static struct env *begin(const struct sim_conf *conf)
{
    struct env *e;

    (void)wr_local_get();
    e = wr_mem_alloc(sizeof(*e));
    e->mem = wr_mem_in_use();
    e->sim = sim_new(conf);
    e->addr = sim_addr(2, 80);
    kit_cli_init(&e->u, e->got, sizeof(e->got));
    return e;
}

static void finish(struct env *e)
{
    kit_cli_end(&e->u);
    run(e);
    sim_free(e->sim);
    assert_int_equal(wr_chunk_in_use(), 0);
    assert_int_equal(wr_mem_in_use(), e->mem);
    wr_mem_free(e);
}

/* Dials and runs; the peer answers by script. */
static void go(struct env *e, const struct sim_step *steps)
{
    if (steps) {
        sim_serve_script(e->sim, &e->addr, steps);
    }
    (void)kit_cli_dial(&e->u, &e->addr);
    run(e);
}

static struct sim_sock *peer_of(struct env *e)
{
    return sim_accepted_sock(e->sim, &e->addr, 0);
}

static void ask_again(struct env *e)
{
    e->u.is_over = false;
    e->u.got_len = 0;
    wr_task_wake(&e->u.task);
    run(e);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void post_length(struct kit_cli *u)
{
    u->method = "POST";
    u->framing = WR_FRAMING_LENGTH;
    u->body = "body";
    u->body_len = 4;
}

static void post_chunked(struct kit_cli *u)
{
    post_length(u);
    u->framing = WR_FRAMING_CHUNKED;
}

static void post_empty(struct kit_cli *u)
{
    post_length(u);
    u->body_len = 0;
}

static void post_fails(struct kit_cli *u)
{
    post_length(u);
    u->announce = 10;
    u->fail = WR_REASON_CLIENT_GONE;
}

static void post_waits(struct kit_cli *u)
{
    post_length(u);
    u->announce = 10;
    u->leave_open = true;
}

static void head(struct kit_cli *u)
{
    u->method = "HEAD";
}

static void asks_close(struct kit_cli *u)
{
    u->extra = "Connection: close";
}

static void small_head(struct kit_cli *u)
{
    u->head_max = 64;
}

static void small_pipe(struct kit_cli *u)
{
    u->in_high = 3;
}

static void unsafe(struct kit_cli *u)
{
    u->extra = "X-A: a\nb";
}

static void own_length(struct kit_cli *u)
{
    post_length(u);
    u->extra = "Content-Length: 77";
}

static void upgrade(struct kit_cli *u)
{
    u->flags = WR_MSG_UPGRADE;
    u->extra = "Upgrade: x";
    u->want_tunnel = true;
    u->leave_open = true;
}

#define REQ_GET  "GET / HTTP/1.1\r\nHost: peer\r\n\r\n"
#define REQ_POST "POST / HTTP/1.1\r\nHost: peer\r\nContent-Length: 4\r\n\r\nbody"
#define OK       "HTTP/1.1 200 OK\r\n"

struct row {
    const char *name;
    void (*tune)(struct kit_cli *u);
    const char *request; /* as the peer must see it; NULL: not looked at */
    const char *answer;
    bool closes; /* the peer closes behind it */
    unsigned status;
    uint8_t rx, tx;
    unsigned reason;
    const char *body;
    uint8_t state; /* of the connection afterwards */
    bool in_failed;
};

#define DONE  WR_HALF_DONE
#define RESET WR_HALF_RESET
#define R(x)  WR_REASON_##x
#define READY WR_PCONN_READY
#define GONE  WR_PCONN_CLOSED

/* clang-format off */
static const struct row rows[] = {
    {"length", NULL, REQ_GET, OK "Content-Length: 5\r\n\r\nhello", false, 200, DONE, DONE, 0,
     "hello", READY, false},
    {"length 0", NULL, REQ_GET, OK "Content-Length: 0\r\n\r\n", false, 200, DONE, DONE, 0, "",
     READY, false},
    {"chunked", NULL, REQ_GET, OK
     "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", false, 200, DONE,
     DONE, 0, "hello", READY, false},
    {"chunked, trailers", NULL, REQ_GET, OK
     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n", false, 200, DONE, DONE,
     0, "hello", READY, false},
    {"close-framed", NULL, REQ_GET, OK "\r\nhello", true, 200, DONE, DONE, 0, "hello", GONE,
     false},
    {"1.0 with length", NULL, REQ_GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
     false, 200, DONE, DONE, 0, "hello", GONE, false},
    {"1.0 kept", NULL, REQ_GET,
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", false, 200,
     DONE, DONE, 0, "hello", READY, false},
    {"connection close", NULL, REQ_GET, OK "Connection: close\r\nContent-Length: 5\r\n\r\nhello",
     false, 200, DONE, DONE, 0, "hello", GONE, false},
    {"we ask for close", asks_close, NULL, OK "Content-Length: 5\r\n\r\nhello", false, 200, DONE,
     DONE, 0, "hello", GONE, false},
    {"head", head, NULL, OK "Content-Length: 5\r\n\r\n", false, 200, DONE, DONE, 0, "", READY,
     false}, /* U6.7 */
    {"204", NULL, REQ_GET, "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", false, 204, DONE,
     DONE, 0, "", READY, false},
    {"304", NULL, REQ_GET, "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", false, 304, DONE,
     DONE, 0, "", READY, false},
    {"interim", NULL, REQ_GET, /* U5.4 */
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\n" OK
     "Content-Length: 5\r\n\r\nhello", false, 200, DONE, DONE, 0, "hello", READY, false},
    {"small pipe", small_pipe, REQ_GET, OK "Content-Length: 11\r\n\r\nhello world", false, 200,
     DONE, DONE, 0, "hello world", READY, false},
    {"small pipe, chunked", small_pipe, REQ_GET, OK
     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", false, 200,
     DONE, DONE, 0, "hello world", READY, false},
    {"extra bytes", NULL, REQ_GET, OK "Content-Length: 5\r\n\r\nhelloHTTP/1.1 200", false, 200,
     DONE, DONE, 0, "hello", GONE, false}, /* U5.3 */
    {"post", post_length, REQ_POST, OK "Content-Length: 2\r\n\r\nok", false, 200, DONE, DONE, 0,
     "ok", READY, false},
    {"post chunked", post_chunked,
     "POST / HTTP/1.1\r\nHost: peer\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
     OK "Content-Length: 2\r\n\r\nok", false, 200, DONE, DONE, 0, "ok", READY, false},
    {"post empty", post_empty, "POST / HTTP/1.1\r\nHost: peer\r\nContent-Length: 0\r\n\r\n", OK
     "Content-Length: 2\r\n\r\nok", false, 200, DONE, DONE, 0, "ok", READY, false},
    {"the codec's length wins", own_length, REQ_POST, OK "Content-Length: 2\r\n\r\nok", false,
     200, DONE, DONE, 0, "ok", READY, false},
    {"the body fails", post_fails, NULL, "", false, 0, RESET, RESET, R(CLIENT_GONE), "", GONE,
     false},
    {"unsafe field", unsafe, NULL, "", false, 0, RESET, RESET, R(INTERNAL), "", GONE, false}, /* U14.1 */
    {"closed without an answer", NULL, REQ_GET, "", true, 0, RESET, DONE, R(CLOSED), "", GONE,
     false},
    {"closed in the head", NULL, REQ_GET, OK "Content-", true, 0, RESET, DONE, R(CLOSED), "",
     GONE, false},
    {"truncated", NULL, REQ_GET, OK "Content-Length: 9\r\n\r\nhello", true, 200, RESET, DONE,
     R(TRUNCATED), "hello", GONE, true}, /* U6.5 */
    {"truncated chunked", NULL, REQ_GET, OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
     true, 200, RESET, DONE, R(TRUNCATED), "hello", GONE, true},
    {"bad chunk", NULL, REQ_GET, OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", false, 200,
     RESET, DONE, R(BAD_BODY), "hello", GONE, true},
    {"bad field", NULL, REQ_GET, OK "A b: c\r\n\r\n", false, 0, RESET, DONE, R(BAD_HEAD), "",
     GONE, false},
    {"both framings", NULL, REQ_GET, OK
     "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, 0, RESET, DONE,
     R(BAD_HEAD), "", GONE, false},
    {"not http", NULL, REQ_GET, "hello, this is not HTTP\r\n\r\n", false, 0, RESET, DONE,
     R(NOT_HTTP), "", GONE, false}, /* U14.4 */
    {"head too big", small_head, REQ_GET, OK
     "X: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n", false,
     0, RESET, DONE, R(BIG_HEAD), "", GONE, false}, /* U5.1 */
    {"101 not asked for", NULL, REQ_GET,
     "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, 0, RESET, DONE,
     R(BAD_HEAD), "", GONE, false}, /* U14.3 */
    {"101 without upgrade", upgrade, NULL, "HTTP/1.1 101 S\r\n\r\n", false, 0, RESET, DONE,
     R(BAD_HEAD), "", GONE, false},
    {"tunnel", upgrade, NULL,
     "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nfirst bytes", true, 101,
     WR_HALF_BODY, WR_HALF_BODY, 0, "first bytes", WR_PCONN_BUSY, false}, /* U9 */
};

/* clang-format on */

static struct env *play(const struct row *w, struct sim_conf *conf, struct sim_step *steps)
{
    struct env *e = begin(conf);
    size_t n = 0;

    if (w->tune) {
        w->tune(&e->u);
    }
    if (w->request) {
        steps[n++] = (struct sim_step)SIM_EXPECT(w->request);
    } else if (w->tune == post_fails || w->tune == unsafe) {
        steps[n++] = (struct sim_step)SIM_DRAIN;
    } else {
        steps[n++] = (struct sim_step)SIM_UNTIL("\r\n\r\n");
    }
    if (w->answer[0] != '\0') {
        steps[n++] = (struct sim_step)SIM_SEND(w->answer);
    }
    if (w->closes) {
        steps[n++] = (struct sim_step)SIM_SHUTDOWN;
    }
    steps[n] = (struct sim_step)SIM_END;
    go(e, steps);
    return e;
}

static void check_row(struct env *e, const struct row *w)
{
    struct kit_cli *u = &e->u;

    if (w->rx != WR_HALF_RESET) {
        /* Else we may have cut the peer's sending. */
        assert_null(sim_error(e->sim));
    }
    if (w->state != WR_PCONN_BUSY) {
        assert_true(u->is_over);
    }
    if (w->rx == WR_HALF_BODY) {
        /* A tunnel: the peer half-closed, our half goes on. */
        assert_int_equal(u->s->rx, WR_HALF_DONE);
        assert_int_equal(u->s->tx, WR_HALF_BODY);
    } else {
        assert_int_equal(u->rx, w->rx);
        assert_int_equal(u->tx, w->tx);
        assert_int_equal(u->reason, w->reason);
    }
    assert_int_equal(u->status, w->status);
    assert_int_equal(u->in_failed, w->in_failed);
    if (w->in_failed) {
        assert_int_equal(u->in_reason, w->reason);
    }
    assert_int_equal(u->got_len, strlen(w->body));
    assert_memory_equal(u->got, w->body, u->got_len);
    assert_int_equal(u->pc->state, w->state);
    assert_int_equal(u->pc->conn != NULL, w->state != GONE);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        for (uint64_t seed = 0; seed < 16; seed++) {
            struct sim_conf conf = {.seed = seed,
                                    .short_io = seed > 0,
                                    .delays = seed > 4,
                                    .buf_cap = seed % 4 == 3 ? 16 : 0};
            struct sim_step steps[8];
            struct env *e = play(&rows[i], &conf, steps);

            check_row(e, &rows[i]);
            finish(e);
        }
    }
}

/* ---- the peer breaks at every byte ---------------------------------------------------------- */

static struct {
    enum sim_dir dir;
    size_t at;
} breaking;

static void break_peer(struct sim_sock *k, void *data)
{
    sim_reset_at(k, breaking.dir, breaking.at);
    sim_script(k, data);
}

static void break_at(const struct row *w, enum sim_dir dir, size_t at)
{
    struct sim_conf conf = {.seed = at + 1, .short_io = true};
    struct env *e = begin(&conf);
    struct sim_step steps[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND(w->answer), SIM_END};

    if (w->tune) {
        w->tune(&e->u);
    }
    breaking.dir = dir;
    breaking.at = at;
    sim_serve(e->sim, &e->addr, break_peer, steps);
    go(e, NULL);
    advance(e, 130000);
    if (dir == SIM_TX && at > 0 && at < strlen(w->answer) && e->u.is_head_seen &&
        e->u.rx == WR_HALF_DONE) {
        /* Whole although it broke later: then all of its body is here. */
        assert_int_equal(e->u.got_len, strlen(w->body));
    }
    if (e->u.rx != WR_HALF_DONE) {
        assert_true(e->u.got_len <= strlen(w->body));
    }
    assert_memory_equal(e->u.got, w->body, e->u.got_len);
    finish(e);
}

static void test_breaks(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        for (size_t at = 0; at <= strlen(rows[i].answer); at++) {
            break_at(&rows[i], SIM_TX, at);
        }
        for (size_t at = 0; rows[i].request && at <= strlen(rows[i].request); at++) {
            break_at(&rows[i], SIM_RX, at);
        }
    }
}

static void torture_row(void *data)
{
    struct sim_conf conf = {.seed = 3};
    struct sim_step steps[8];
    struct env *e = play(data, &conf, steps);

    if (!sim_is_faulted()) {
        check_row(e, data);
    }
    finish(e);
}

static void test_torture(void **state)
{
    unsigned failed = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct row w = rows[i];

        failed += sim_torture(torture_row, &w);
    }
    assert_true(failed > 100);
}

/* ---- connecting ----------------------------------------------------------------------------- */

static void test_connecting(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 9; seed++) {
        struct sim_conf conf = {.seed = seed, .connect_ms = 50};
        struct env *e = begin(&conf);

        /* Nobody is there: at once, or later. */
        go(e, NULL);
        advance(e, 100);
        assert_int_equal(e->u.dial_err, 111);
        assert_true(e->u.pc == NULL || e->u.pc->state == WR_PCONN_CLOSED);
        finish(e);
    }
    for (uint64_t seed = 1; seed < 4; seed++) {
        struct sim_conf conf = {.seed = seed};
        struct env *e = begin(&conf);

        /* No answer: whoever dials has the deadline, and closes. */
        sim_blackhole(e->sim, &e->addr);
        go(e, NULL);
        advance(e, 1000000);
        assert_int_equal(e->u.pc->state, WR_PCONN_CONNECTING);
        finish(e);
    }
}

/* ---- reuse (U10) ---------------------------------------------------------------------------- */

static void test_reuse(void **state)
{
    static const struct sim_step steps[] = {
        SIM_EXPECT(REQ_GET), SIM_SEND(OK "Content-Length: 5\r\n\r\nhello"), SIM_LOOP};
    struct sim_conf conf = {.seed = 7};
    struct env *e = begin(&conf);

    (void)state;
    go(e, steps);
    for (unsigned i = 1; i < 6; i++) {
        assert_int_equal(e->u.pc->served, i);
        assert_int_equal(e->u.pc->state, WR_PCONN_READY);
        ask_again(e);
        assert_int_equal(e->u.status, 200);
        assert_int_equal(e->u.got_len, 5);
    }
    assert_int_equal(sim_accepted(e->sim, &e->addr), 1);
    /* No deadline of ours runs on an idle one. */
    advance(e, 10000000);
    assert_int_equal(e->u.pc->state, WR_PCONN_READY);
    finish(e);
}

/* U10.2: an idle connection that becomes readable, ends or breaks is dropped at once. */
static void test_idle_ends(void **state)
{
    static const struct sim_step steps[] = {SIM_EXPECT(REQ_GET),
                                            SIM_SEND(OK "Content-Length: 0\r\n\r\n"), SIM_END};

    (void)state;
    for (int how = 0; how < 3; how++) {
        struct sim_conf conf = {.seed = 7};
        struct env *e = begin(&conf);

        go(e, steps);
        assert_int_equal(e->u.pc->state, WR_PCONN_READY);
        if (how == 0) {
            assert_int_equal(sim_write(peer_of(e), "x", 1), 1);
        } else if (how == 1) {
            sim_close(peer_of(e));
        } else {
            sim_reset(peer_of(e));
        }
        run(e);
        assert_int_equal(e->u.pc->state, WR_PCONN_CLOSED);
        assert_null(e->u.pc->conn);
        finish(e);
    }
}

/* Bytes or an end that were there before the request: not an answer (U3.3), and known as such
 * (U2.6). */
static void test_stale(void **state)
{
    static const struct sim_step steps[] = {SIM_EXPECT(REQ_GET),
                                            SIM_SEND(OK "Content-Length: 0\r\n\r\n"), SIM_END};
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);
    struct wr_stream *s;
    struct wr_arena a;

    (void)state;
    go(e, steps);
    wr_arena_init(&a, 10000);
    assert_int_equal(e->u.pc->codec->open(e->u.pc, &a, NULL, &s), WR_OK);
    assert_true(s->is_reused);
    assert_int_equal(sim_write(peer_of(e), OK, 17), 17);
    run(e);
    assert_int_equal(s->rx, WR_HALF_RESET);
    assert_int_equal(s->tx, WR_HALF_RESET);
    assert_int_equal(s->reason, WR_REASON_CLOSED);
    assert_false(s->got_bytes);
    assert_int_equal(e->u.pc->state, WR_PCONN_CLOSED);
    s->ops->release(s);
    wr_arena_fini(&a);
    finish(e);
}

/* ---- the answer comes while the request goes (U4.5) ----------------------------------------- */

static void test_early_answer(void **state)
{
    static const struct sim_step steps[] = {SIM_UNTIL("\r\n\r\n"),
                                            SIM_SEND(OK "Content-Length: 5\r\n\r\nhello"), SIM_END};
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);

    (void)state;
    post_waits(&e->u);
    go(e, steps);
    /* Delivered whole, the request is still open. */
    assert_int_equal(e->u.s->rx, WR_HALF_DONE);
    assert_int_equal(e->u.s->tx, WR_HALF_BODY);
    assert_int_equal(e->u.got_len, 5);
    assert_int_equal(e->u.status, 200);
    /* It goes on while the user wants. */
    assert_int_equal(wr_pipe_push_copy(e->u.pipe, "123", 3), WR_OK);
    run(e);
    assert_int_equal(e->u.s->tx_body_bytes, 7);
    /* He resets: the connection is not used again. */
    e->u.s->ops->reset(e->u.s, WR_REASON_DONE);
    run(e);
    assert_int_equal(e->u.pc->state, WR_PCONN_CLOSED);
    finish(e);

    /* Finished after all: reusable. */
    e = begin(&conf);
    post_waits(&e->u);
    go(e, steps);
    assert_int_equal(wr_pipe_push_copy(e->u.pipe, "123456", 6), WR_OK);
    wr_pipe_eof(e->u.pipe);
    run(e);
    assert_true(e->u.is_over);
    assert_int_equal(e->u.tx, WR_HALF_DONE);
    assert_int_equal(e->u.pc->state, WR_PCONN_READY);
    finish(e);
}

static char big[300000];

/* The peer answers and closes without reading: sends fail, the answer is delivered all the same. */
static void test_answer_behind_send_failure(void **state)
{
    static const struct sim_step steps[] = {
        SIM_READ(100),
        SIM_SEND("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"),
        SIM_SHUTDOWN, SIM_WAIT(1), SIM_CLOSE};
    unsigned answered = 0;

    (void)state;
    memset(big, 'x', sizeof(big));
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct sim_conf conf = {.seed = seed, .buf_cap = 3000, .delays = seed > 10};
        struct env *e = begin(&conf);

        post_length(&e->u);
        e->u.body = big;
        e->u.body_len = sizeof(big);
        go(e, steps);
        advance(e, 100);
        assert_true(e->u.is_over);
        if (e->u.status == 413) {
            answered++;
            assert_int_equal(e->u.got_len, 3);
            assert_int_equal(e->u.rx, WR_HALF_DONE);
        }
        assert_int_equal(e->u.pc->state, WR_PCONN_CLOSED);
        finish(e);
    }
    assert_int_equal(answered, 19);
}

/* ---- deadlines ------------------------------------------------------------------------------ */

static void test_read_timeout(void **state)
{
    static const struct sim_step none[] = {SIM_EXPECT(REQ_GET), SIM_END};
    static const struct sim_step half[] = {SIM_EXPECT(REQ_GET),
                                           SIM_WAIT(9000),
                                           SIM_SEND(OK),
                                           SIM_WAIT(9000),
                                           SIM_SEND("Content-Length: 9\r\n\r\n123"),
                                           SIM_END};
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);

    (void)state;
    e->u.rx_timeout_ms = 10000;
    go(e, none);
    advance(e, 9900);
    assert_false(e->u.is_over);
    advance(e, 200);
    assert_true(e->u.is_over);
    assert_int_equal(e->u.reason, WR_REASON_TIMEOUT);
    assert_int_equal(e->u.rx, WR_HALF_RESET);
    finish(e);

    /* Between two reads. */
    e = begin(&conf);
    e->u.rx_timeout_ms = 10000;
    go(e, half);
    advance(e, 27000);
    assert_false(e->u.is_over);
    advance(e, 1200);
    assert_true(e->u.is_over);
    assert_int_equal(e->u.reason, WR_REASON_TIMEOUT);
    assert_int_equal(e->u.in_reason, WR_REASON_TIMEOUT);
    assert_int_equal(e->u.got_len, 3);
    finish(e);

    /* Not while the body is held back by the user, not while the request is not out (U4.6). */
    e = begin(&conf);
    e->u.rx_timeout_ms = 10000;
    e->u.is_lazy = true;
    e->u.in_high = 2;
    go(e, half);
    advance(e, 100000);
    assert_false(e->u.is_over);
    assert_int_equal(wr_pipe_queued(e->u.in), 2);
    finish(e);

    e = begin(&conf);
    post_waits(&e->u);
    e->u.rx_timeout_ms = 10000;
    sim_serve(e->sim, &e->addr, NULL, NULL);
    go(e, NULL);
    advance(e, 100000);
    assert_false(e->u.is_over);
    finish(e);
}

static void test_send_timeout(void **state)
{
    struct sim_conf conf = {.seed = 1, .buf_cap = 1000};
    struct env *e = begin(&conf);
    char buf[500];

    (void)state;
    post_length(&e->u);
    e->u.body = big;
    e->u.body_len = sizeof(big);
    e->u.tx_timeout_ms = 10000;
    sim_serve(e->sim, &e->addr, NULL, NULL);
    go(e, NULL);
    for (int i = 0; i < 5; i++) {
        advance(e, 9000);
        assert_false(e->u.is_over);
        assert_true(sim_read(peer_of(e), buf, sizeof(buf)) > 0);
        run(e);
    }
    advance(e, 10100);
    assert_true(e->u.is_over);
    assert_int_equal(e->u.reason, WR_REASON_SEND_TIMEOUT);
    finish(e);
}

/* ---- bounds --------------------------------------------------------------------------------- */

/* At most 32 interim responses (U14.2). */
static void test_interim_flood(void **state)
{
    static const struct sim_step steps[] = {SIM_EXPECT(REQ_GET), SIM_END};

    (void)state;
    for (unsigned cnt = 32; cnt <= 33; cnt++) {
        struct sim_conf conf = {.seed = 1};
        struct env *e = begin(&conf);

        go(e, steps);
        for (unsigned i = 0; i < cnt; i++) {
            (void)sim_write(peer_of(e), "HTTP/1.1 102 P\r\n\r\n", 18);
            run(e);
        }
        (void)sim_write(peer_of(e), OK "Content-Length: 0\r\n\r\n", 38);
        run(e);
        assert_true(e->u.is_over);
        assert_int_equal(e->u.status, cnt == 32 ? 200 : 0);
        finish(e);
    }
}

/* The pipe's mark bounds what is read, whatever the peer sends (U6.4). */
static void test_backpressure(void **state)
{
    struct sim_conf conf = {.seed = 1, .buf_cap = 4000};
    struct env *e = begin(&conf);
    size_t sent = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (char)('a' + i % 23);
    }
    e->u.is_lazy = true;
    e->u.in_high = 10000;
    e->u.head_max = 1000;
    sim_serve(e->sim, &e->addr, NULL, NULL);
    go(e, NULL);
    (void)sim_write(peer_of(e), OK "Content-Length: 200000\r\n\r\n", 43);
    for (int i = 0; i < 100; i++) {
        sent += sim_write(peer_of(e), big + sent, 200000 - sent);
        run(e);
        assert_true(!e->u.in || wr_pipe_queued(e->u.in) <= 10000);
    }
    assert_true(sent <= 10000 + 4000 + 4000);
    e->u.is_lazy = false;
    while (!e->u.is_over) {
        wr_task_wake(&e->u.task);
        run(e);
        sent += sim_write(peer_of(e), big + sent, 200000 - sent);
        run(e);
    }
    assert_int_equal(e->u.got_len, 200000);
    assert_memory_equal(e->u.got, big, 200000);
    assert_int_equal(e->u.pc->state, WR_PCONN_READY);
    finish(e);
}

static void test_big_both_ways(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 7; seed++) {
        struct sim_conf conf = {
            .seed = seed, .buf_cap = 7000, .short_io = seed % 2 == 0, .delays = seed > 3};
        struct env *e = begin(&conf);
        static const struct sim_step steps[] = {
            SIM_UNTIL("\r\n\r\n"), SIM_SEND(OK "Transfer-Encoding: chunked\r\n\r\n186a0\r\n"),
            SIM_SEND_N(100000),    SIM_SEND("\r\n0\r\n\r\n"),
            SIM_READ(60000),       SIM_END};

        post_length(&e->u);
        e->u.body = big;
        e->u.body_len = 60000;
        e->u.in_high = 5000;
        go(e, steps);
        assert_null(sim_error(e->sim));
        assert_true(e->u.is_over);
        assert_int_equal(e->u.rx, WR_HALF_DONE);
        assert_int_equal(e->u.tx, WR_HALF_DONE);
        assert_int_equal(e->u.got_len, 100000);
        finish(e);
    }
}

/* ---- the user's ends ------------------------------------------------------------------------ */

/* He releases, or closes the connection, at every moment; nothing leaks and nothing is touched
 * after. */
static void test_leaves_anytime(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
            for (size_t at = 0; at <= strlen(rows[i].answer); at += 3) {
                struct sim_conf conf = {.seed = at + 1};
                struct env *e = begin(&conf);

                if (rows[i].tune) {
                    rows[i].tune(&e->u);
                }
                sim_serve(e->sim, &e->addr, NULL, NULL);
                go(e, NULL);
                if (peer_of(e)) {
                    (void)sim_write(peer_of(e), rows[i].answer, at);
                }
                run(e);
                if (how == 0 && e->u.s) {
                    kit_cli_leave(&e->u);
                    e->u.is_over = true;
                    run(e);
                    assert_true(e->u.pc->state == WR_PCONN_CLOSED ||
                                e->u.pc->state == WR_PCONN_READY);
                } else if (how == 1 && e->u.s) {
                    e->u.s->ops->reset(e->u.s, WR_REASON_CANCELED);
                    e->u.s->ops->reset(e->u.s, WR_REASON_SHUTDOWN);
                    assert_int_equal(e->u.s->reason, WR_REASON_CANCELED);
                } else if (e->u.pc) {
                    e->u.pc->codec->close(e->u.pc, WR_REASON_SHUTDOWN);
                    e->u.pc->codec->close(e->u.pc, WR_REASON_SHUTDOWN);
                    e->u.pc = NULL;
                }
                finish(e);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_breaks),
        cmocka_unit_test(test_torture),
        cmocka_unit_test(test_connecting),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_idle_ends),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_answer_behind_send_failure),
        cmocka_unit_test(test_read_timeout),
        cmocka_unit_test(test_send_timeout),
        cmocka_unit_test(test_interim_flood),
        cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_big_both_ways),
        cmocka_unit_test(test_leaves_anytime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
