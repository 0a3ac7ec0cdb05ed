/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h1_server.c: the server role of the HTTP/1 codec in the simulator: each case is a
 * conversation, played whole, byte by byte, and with short reads and writes by seed; then cut at
 * every byte, with each allocation failing in turn, and by deadlines on the simulated clock.
 */
#include "sim/h1_server_kit.h"

#include "http/h1_chunk.h"

static bool is_over(const struct sim_sock *k)
{
    return sim_is_eof(k) || sim_is_reset(k);
}

/* ---- conversations -------------------------------------------------------------------------- */

enum end {
    ANY,
    KEPT,
    ENDS,
    CLOSED,
    CUT,
    LINGERS
};

struct talk {
    const char *name;
    const char *in;
    void (*tune)(struct kit_srv *k);
    const char *out;
    const char *log;
    enum end end;
    const char *body; /* request bodies that the user saw */
};

static void mode_read(struct kit_srv *k)
{
    k->mode = KIT_READ;
}

static void unknown_length(struct kit_srv *k)
{
    k->announce_body = false;
}

static void no_body_204(struct kit_srv *k)
{
    k->status = 204;
}

static void status_304(struct kit_srv *k)
{
    k->status = 304;
    k->body_len = 0;
}

static void own_fields(struct kit_srv *k)
{
    k->extra = "Content-Length: 77";
}

static void own_connection(struct kit_srv *k)
{
    k->extra = "Connection: Upgrade, close";
}

static void want_close(struct kit_srv *k)
{
    k->want_close = true;
}

static void one_request(struct kit_srv *k)
{
    k->opts.keepalive_requests = 2;
}

static void no_keepalive(struct kit_srv *k)
{
    k->keepalive_ms = 0;
}

static void too_short(struct kit_srv *k)
{
    k->announce_body = false;
    k->announce = 9;
}

static void too_long(struct kit_srv *k)
{
    k->announce_body = false;
    k->announce = 3;
}

static void fails_chunked(struct kit_srv *k)
{
    k->announce_body = false;
    k->fail = WR_REASON_PEER_FAILED;
}

static void trailers(struct kit_srv *k)
{
    k->announce_body = false;
    k->trailer = "X-Sum: 1";
}

static void body_max(struct kit_srv *k)
{
    k->mode = KIT_READ;
    k->body_max = 4;
}

static void small_head(struct kit_srv *k)
{
    k->opts.header_buffer_size = 64;
    k->opts.large_cnt = 1;
    k->opts.large_size = 64;
}

static void tunnel(struct kit_srv *k)
{
    k->mode = KIT_TUNNEL;
    k->status = 101;
    k->body_len = 0;
    k->extra = "Upgrade: x";
}

static void drop_body(struct kit_srv *k)
{
    k->mode = KIT_READ;
    k->drop_body = true;
}

static void reset(struct kit_srv *k)
{
    k->mode = KIT_RESET;
}

static void refuse(struct kit_srv *k)
{
    k->mode = KIT_REFUSE;
}

static void unsafe_field(struct kit_srv *k)
{
    k->extra = "X-A: a\r\nb";
}

#define GET10 "GET /x HTTP/1.0\r\n\r\n"
#define KEEP  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"
#define LOG   "GET /x -> 200 DONE/DONE NONE\n"
#define PLOG  "POST /p -> 200 DONE/DONE NONE\n"
#define POST  "POST /p HTTP/1.1\r\nHost: a\r\n"

/* clang-format off */
static const struct talk talks[] = {
    {"get", GET, NULL, KEEP, LOG, KEPT, ""},
    {"pipelined", GET GET GET, NULL, KEEP KEEP KEEP, LOG LOG LOG, KEPT, ""},
    {"empty lines before", "\r\n\r\n" GET, NULL, KEEP, LOG, KEPT, ""},
    {"head", "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" GET, NULL,
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n" KEEP,
     "HEAD /x -> 200 DONE/DONE NONE\n" LOG, KEPT, ""},
    {"1.0 closes", GET10, NULL, CLOSE, LOG, CLOSED, ""},
    {"1.0 keep-alive", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", NULL, KEEP, LOG,
     KEPT, ""},
    {"1.1 close", "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", NULL, CLOSE, LOG,
     CLOSED, ""},
    {"0.9", "GET /x\r\n", NULL, "hello", LOG, CLOSED, ""},
    {"chunked", GET GET, unknown_length,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     LOG LOG, KEPT, ""},
    {"trailers", GET, trailers,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n"
     "X-Sum: 1\r\n\r\n", LOG, KEPT, ""},
    {"1.0 never sees chunked", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     unknown_length, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", LOG, CLOSED, ""},
    {"204 has no body", GET GET, no_body_204,
     "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
     "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n",
     "GET /x -> 204 DONE/DONE NONE\nGET /x -> 204 DONE/DONE NONE\n", KEPT, ""},
    {"304", GET, status_304, "HTTP/1.1 304 Not Modified\r\nConnection: keep-alive\r\n\r\n",
     "GET /x -> 304 DONE/DONE NONE\n", KEPT, ""},
    {"the codec's length wins", GET, own_fields, KEEP, LOG, KEPT, ""},
    {"the codec's connection wins", GET, own_connection, KEEP, LOG, KEPT, ""},
    {"the user wants close", GET GET, want_close, CLOSE, LOG, ENDS, ""},
    {"keepalive_requests", GET GET GET, one_request, KEEP CLOSE, LOG LOG, ENDS, ""},
    {"keepalive 0", GET, no_keepalive, CLOSE, LOG, CLOSED, ""},
    {"shorter than announced", GET GET, too_short, /* U6.5 */
     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\nhello",
     "GET /x -> 200 DONE/RESET TRUNCATED\n", CUT, ""},
    {"longer than announced", GET, too_long,
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nhel", LOG, CLOSED, ""},
    {"fails in chunked", GET, fails_chunked, /* U6.5 */
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n",
     "GET /x -> 200 DONE/RESET PEER_FAILED\n", CUT, ""},
    {"unsafe field", GET, unsafe_field, "", "GET /x -> 200 DONE/RESET INTERNAL\n", CUT, ""}, /* U14.1 */
    {"post read", POST "Content-Length: 4\r\n\r\nbody" GET, mode_read, KEEP KEEP, PLOG LOG, KEPT,
     "body"},
    {"post chunked read", POST
     "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x\r\ndy\r\n0\r\n\r\n" GET, mode_read, KEEP
     KEEP, PLOG LOG, KEPT, "body"},
    {"post empty", POST "Content-Length: 0\r\n\r\n" GET, mode_read, KEEP KEEP, PLOG LOG, KEPT, ""},
    {"bad chunk", POST "Transfer-Encoding: chunked\r\n\r\n2\nbo\r\n", mode_read,
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
     "POST /p -> 200 RESET/DONE BAD_BODY\n", LINGERS, ""},
    {"chunked over body_max", POST "Transfer-Encoding: chunked\r\n\r\n5\r\nbody!\r\n0\r\n\r\n",
     body_max, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
     "POST /p -> 200 RESET/DONE BIG_BODY\n", LINGERS, "*"},
    {"expect, wanted", POST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", mode_read,
     /* U4.8 */ "HTTP/1.1 100 Continue\r\n\r\n", "", KEPT, ""},
    {"expect, not wanted", POST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", NULL, CLOSE,
     "POST /p -> 200 RESET/DONE DONE\n", LINGERS, ""},
    {"the user left the body", POST "Content-Length: 4\r\n\r\nbody" GET, drop_body, "*", "*",
     ANY, "*"},
    {"bad line", "GET / x HTTP/1.1\r\n\r\n", NULL, "*", "*", LINGERS, ""},
    {"bad field", "GET /x HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n", NULL,
     "HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
     "GET /x -> 400 DONE/DONE NONE\n", LINGERS, ""},
    {"no host", "GET /x HTTP/1.1\r\n\r\n", NULL,
     "HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
     "GET /x -> 400 DONE/DONE NONE\n", LINGERS, ""},
    {"line too long",
     "GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
     small_head, "*", "*", LINGERS, ""},
    {"tunnel",
     "GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw bytes", tunnel,
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw bytes", "", KEPT, ""},
    {"reset by the user", GET, reset, "", "GET /x -> 0 DONE/RESET CANCELED\n", CUT, ""},
    {"released by the user", GET, refuse, "", "GET /x -> 0 DONE/WAIT NONE\n", CUT, ""},
};

/* clang-format on */

static void check_talk(struct env *e, const struct talk *t, struct sim_sock *w)
{
    collect(e, w);
    if (strcmp(t->out, "*") != 0) {
        assert_string_equal(e->out, t->out);
    }
    if (strcmp(t->log, "*") != 0) {
        assert_string_equal(e->srv.log, t->log);
    }
    if (t->body[0] != '*') {
        assert_int_equal(e->srv.got_len, strlen(t->body));
        assert_memory_equal(e->srv.got, t->body, e->srv.got_len);
    }
    switch (t->end) {
    case ANY:
        break;
    case KEPT:
        assert_false(is_over(w));
        assert_int_equal(e->srv.closed_cnt, 0);
        break;
    case ENDS:
        /* Lingering depends on whether more was here already. */
        assert_true(is_over(w));
        break;
    case LINGERS:
        /* The response was followed by a FIN; bytes that still come are dropped, then silence ends
         * it. */
        assert_true(is_over(w));
        assert_false(sim_is_reset(w));
        break;
    case CLOSED:
        assert_true(is_over(w));
        assert_int_equal(e->srv.closed_cnt, 1);
        break;
    case CUT:
        assert_true(is_over(w));
        assert_int_equal(e->srv.closed_cnt, 1);
        break;
    }
}

enum how {
    WHOLE,
    BYTES,
    SEEDED
};

/* The client reads while it writes, so that sizes do not matter. */
static void play(const struct talk *t, enum how how, uint64_t seed)
{
    struct sim_conf conf = {.seed = seed, .buf_cap = 1 << 17};
    size_t n = strlen(t->in);
    struct sim_sock *w;
    struct env *e;

    if (how == SEEDED) {
        conf.short_io = conf.delays = true;
        conf.buf_cap = seed % 3 == 0 ? 16 : 1 << 17;
    }
    e = begin(&conf);
    if (t->tune) {
        t->tune(&e->srv);
    }
    w = open_client(e);
    for (size_t i = 0; i < n;) {
        size_t m = how == WHOLE ? n : how == BYTES ? 1 : 1 + (size_t)((seed * 7919 + i) % 40);
        size_t done = sim_write(w, t->in + i, m < n - i ? m : n - i);

        run(e);
        collect(e, w);
        if (done == 0 && is_over(w)) {
            break;
        }
        i += done;
    }
    for (run(e); sim_readable(w) > 0; run(e)) {
        collect(e, w);
    }
    check_talk(e, t, w);
    finish(e);
}

static void test_talks(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(talks); i++) {
        play(&talks[i], WHOLE, 1);
        play(&talks[i], BYTES, 1);
        for (uint64_t seed = 1; seed < 12; seed++) {
            play(&talks[i], SEEDED, seed);
        }
    }
}

/* ---- the client breaks at every byte -------------------------------------------------------- */

/* Seen by the user as gone, or as a broken half, or not at all; nothing leaks, and the end is told
 * once. */
static void break_at(const struct talk *t, enum sim_dir dir, size_t at, bool with_fin)
{
    struct sim_conf conf = {.seed = at + 1, .short_io = true, .buf_cap = 1 << 17};
    size_t n = strlen(t->in);
    struct sim_sock *w;
    struct env *e = begin(&conf);

    if (t->tune) {
        t->tune(&e->srv);
    }
    w = open_client(e);
    if (with_fin) {
        (void)sim_write(w, t->in, at < n ? at : n);
        run(e);
        collect(e, w);
        sim_close(w);
    } else {
        sim_reset_at(w, dir, at);
        (void)sim_write(w, t->in, n);
    }
    run(e);
    run(e);
    kit_go(&e->srv);
    run(e);
    /* A tunnel or a body that waits is over; what lingers ends in time. */
    advance(e, 120000);
    advance(e, 120000);
    assert_int_equal(e->srv.conn_cnt, e->srv.closed_cnt);
    finish(e);
}

static void test_breaks(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(talks); i++) {
        size_t n = strlen(talks[i].in);

        for (size_t at = 0; at <= n; at++) {
            break_at(&talks[i], SIM_TX, at, false);
            break_at(&talks[i], SIM_TX, at, true);
        }
        n = strlen(talks[i].out);
        for (size_t at = 0; at <= n; at++) {
            break_at(&talks[i], SIM_RX, at, false);
        }
    }
}

/* ---- each allocation fails in turn ---------------------------------------------------------- */

static void torture_talk(void *data)
{
    const struct talk *t = data;
    struct sim_conf conf = {.seed = 3, .buf_cap = 1 << 17};
    struct env *e = begin(&conf);
    struct sim_sock *w = NULL;

    if (t->tune) {
        t->tune(&e->srv);
    }
    if (listen_now(e)) {
        w = sim_dial(e->sim, &e->addr);
    }
    if (w) {
        (void)sim_write(w, t->in, strlen(t->in));
        run(e);
        kit_go(&e->srv);
        run(e);
        collect(e, w);
        if (!sim_is_faulted()) {
            check_talk(e, t, w);
        }
        sim_close(w);
    }
    run(e);
    finish(e);
}

static void test_torture(void **state)
{
    unsigned failed = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(talks); i++) {
        struct talk t = talks[i];

        failed += sim_torture(torture_talk, &t);
    }
    printf("torture: %u runs with a failed allocation\n", failed);
    assert_true(failed > 100);
}

/* ---- large bodies and slow readers ---------------------------------------------------------- */

static char big[200000];

static void fill_big(void)
{
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (char)('a' + i % 23);
    }
}

/* A response larger than everything on the way: the user is held back, nothing is lost. */
static void test_big_response(void **state)
{
    (void)state;
    fill_big();
    for (uint64_t seed = 1; seed < 9; seed++) {
        struct sim_conf conf = {
            .seed = seed, .short_io = seed % 2 == 0, .delays = true, .buf_cap = 5000};
        struct env *e = begin(&conf);
        struct sim_sock *w = open_client(e);
        struct wr_h1_chunk_decoder d;
        size_t at, len = 0, body = 0;

        e->srv.body = big;
        e->srv.body_len = sizeof(big);
        e->srv.announce_body = seed < 5;
        put(e, w, GET);
        while (sim_readable(w) > 0) {
            assert_true(wr_chunk_in_use() < 1 << 20);
            collect(e, w);
            run(e);
        }
        at = (size_t)(strstr(e->out, "\r\n\r\n") + 4 - e->out);
        if (seed < 5) {
            assert_memory_equal(e->out + at, big, sizeof(big));
        } else {
            const char *p;
            size_t used;

            wr_h1_chunk_init(&d, NULL);
            while (wr_h1_chunk_decode(&d, e->out + at, e->out_len - at, &used, &p, &len) ==
                   WR_H1_CHUNK_DATA) {
                assert_memory_equal(p, big + body, len);
                body += len;
                at += used;
            }
            assert_int_equal(body, sizeof(big));
        }
        finish(e);
    }
}

/* A request body of any size is read no faster than the user takes it (U4.4). */
static void test_body_backpressure(void **state)
{
    struct sim_conf conf = {.seed = 5, .buf_cap = 4000};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);
    struct kit_req *r;
    size_t sent = 0, n;

    (void)state;
    fill_big();
    e->srv.mode = KIT_HOLD;
    put(e, w, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    r = wr_container_of(e->srv.reqs.next, struct kit_req, node);
    assert_int_equal(r->s->ops->want_body(r->s, 3000), WR_OK);
    assert_int_equal(r->s->ops->want_body(r->s, 3000), WR_OK); /* idempotent */
    r->in = r->s->in;
    for (int i = 0; i < 50; i++) {
        sent += sim_write(w, big + sent, 100000 - sent);
        run(e);
        assert_true(wr_pipe_queued(r->in) <= 3000);
    }
    assert_true(sent <= 3000 + 2 * 4000);
    while (sent < 100000 || r->s->rx != WR_HALF_DONE) {
        (void)kit_read(r);
        run(e);
        n = sim_write(w, big + sent, 100000 - sent);
        sent += n;
        run(e);
    }
    (void)kit_read(r);
    assert_int_equal(r->s->rx_body_bytes, 100000);
    assert_memory_equal(e->srv.got, big, sizeof(e->srv.got));
    kit_go(&e->srv);
    run(e);
    collect(e, w);
    assert_string_equal(e->out, KEEP);
    finish(e);
}

static void test_echo(void **state)
{
    (void)state;
    fill_big();
    for (uint64_t seed = 1; seed < 7; seed++) {
        struct sim_conf conf = {.seed = seed, .short_io = true, .delays = true, .buf_cap = 3000};
        struct env *e = begin(&conf);
        struct sim_sock *w = open_client(e);
        size_t sent = 0;

        e->srv.mode = KIT_ECHO;
        e->srv.high = 700;
        put(e, w, "POST /p HTTP/1.0\r\nContent-Length: 20000\r\n\r\n");
        for (int i = 0; i < 20000 && !is_over(w); i++) {
            sent += sim_write(w, big + sent, 20000 - sent);
            run(e);
            collect(e, w);
        }
        assert_true(e->out_len > 20000);
        assert_memory_equal(e->out + e->out_len - 20000, big, 20000);
        assert_string_equal(e->srv.log, "POST /p -> 200 DONE/DONE NONE\n");
        finish(e);
    }
}

/* ---- time ----------------------------------------------------------------------------------- */

static void test_deadlines(void **state)
{
    static const struct {
        const char *name, *in;
        void (*tune)(struct kit_srv *k);
        uint64_t before_ms, after_ms; /* open at before, over at after */
        const char *log;
    } rows[] = {
        {"nothing came",   "",                                 NULL,      59000, 61000, ""                         },
        {"half a head",    "GET / HTTP",                       NULL,      59000, 70000, "  -> 408 DONE/DONE NONE\n"},
        {"only line ends", "\r\n\r\n",                         NULL,      59000, 61000, ""                         },
        {"idle",           GET,                                NULL,      74000, 76000, LOG                        },
        {"body",           POST "Content-Length: 4\r\n\r\nbo", mode_read, 59000, 70000,
         "POST /p -> 200 RESET/DONE TIMEOUT\n"                                                                     },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct sim_conf conf = {.seed = 1};
        struct env *e = begin(&conf);
        struct sim_sock *w;

        e->srv.opts.lingering_time_ms = 3000;
        if (rows[i].tune) {
            rows[i].tune(&e->srv);
        }
        w = open_client(e);
        run(e);
        put(e, w, rows[i].in);
        advance(e, rows[i].before_ms);
        collect(e, w);
        assert_int_equal(e->srv.closed_cnt, 0);
        assert_false(is_over(w));
        advance(e, rows[i].after_ms - rows[i].before_ms);
        collect(e, w);
        assert_true(is_over(w));
        assert_int_equal(e->srv.closed_cnt, 1);
        assert_string_equal(e->srv.log, rows[i].log);
        finish(e);
    }
}

/* send_timeout runs between two successful writes, and only while the client does not take (U6.6).
 */
static void test_send_timeout(void **state)
{
    struct sim_conf conf = {.seed = 1, .buf_cap = 1000};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);

    (void)state;
    fill_big();
    e->srv.body = big;
    e->srv.body_len = 50000;
    e->srv.tx_timeout_ms = 10000;
    put(e, w, GET);
    for (int i = 0; i < 10; i++) {
        advance(e, 9000);
        e->out_len = 0;
        collect(e, w);
        run(e);
        assert_int_equal(e->srv.closed_cnt, 0);
    }
    advance(e, 11000);
    assert_int_equal(e->srv.closed_cnt, 1);
    assert_string_equal(e->srv.log, "GET /x -> 200 DONE/RESET SEND_TIMEOUT\n");
    finish(e);
    /* While the user has nothing to send no deadline runs. */
    e = begin(&conf);
    e->srv.leave_open = true;
    e->srv.announce_body = false;
    e->srv.tx_timeout_ms = 10000;
    w = open_client(e);
    put(e, w, GET);
    advance(e, 500000);
    assert_int_equal(e->srv.closed_cnt, 0);
    finish(e);
}

static void test_linger(void **state)
{
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);

    (void)state;
    put(e, w, POST "Content-Length: 100000\r\n\r\nxxx");
    collect(e, w);
    assert_string_equal(e->out, CLOSE);
    assert_true(sim_is_eof(w));
    /* What still comes is dropped, within lingering_timeout and lingering_time. */
    for (int i = 0; i < 7; i++) {
        advance(e, 4000);
        assert_int_equal(e->srv.closed_cnt, 0);
        assert_int_equal(sim_write(w, "yyyy", 4), 4);
        run(e);
    }
    advance(e, 2500);
    assert_int_equal(e->srv.closed_cnt, 1);
    assert_false(sim_is_reset(w));
    finish(e);

    e = begin(&conf);
    e->srv.opts.lingering = 0;
    w = open_client(e);
    put(e, w, POST "Content-Length: 100000\r\n\r\nxxx");
    assert_int_equal(e->srv.closed_cnt, 1);
    finish(e);

    e = begin(&conf);
    e->srv.opts.lingering = 2;
    w = open_client(e);
    put(e, w, GET10);
    assert_int_equal(e->srv.closed_cnt, 0);
    assert_false(sim_is_reset(w));
    sim_shutdown(w);
    run(e);
    assert_int_equal(e->srv.closed_cnt, 1);
    finish(e);
}

/* ---- the client goes away (U4.7) ------------------------------------------------------------ */

static void test_gone(void **state)
{
    static const struct {
        const char *in;
        bool reset, gone;
    } rows[] = {
        {GET,                                false, true},
        {GET,                                true,  true},
        {GET GET,                            false, true}, /* behind pipelined bytes */
        {GET GET,                            true,  true},
        {POST "Content-Length: 4\r\n\r\nbo", true,  true},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct sim_conf conf = {.seed = i + 1};
        struct env *e = begin(&conf);
        struct sim_sock *w = open_client(e);
        struct kit_req *r;

        e->srv.mode = KIT_HOLD;
        put(e, w, rows[i].in);
        assert_int_equal(e->srv.req_cnt, 1);
        r = wr_container_of(e->srv.reqs.next, struct kit_req, node);
        assert_false(r->s->is_gone);
        if (rows[i].reset) {
            sim_reset(w);
        } else {
            sim_shutdown(w);
        }
        run(e);
        assert_int_equal(r->s->is_gone, rows[i].gone);
        assert_true(r->saw_gone);
        /* Nothing was torn down: the user decides. A half-closed client gets its answer. */
        assert_int_equal(e->srv.closed_cnt, 0);
        assert_int_equal(r->s->tx, WR_HALF_WAIT);
        kit_go(&e->srv);
        run(e);
        kit_go(&e->srv);
        run(e);
        collect(e, w);
        if (!rows[i].reset) {
            assert_memory_equal(e->out, "HTTP/1.1 200 OK", 15);
            assert_non_null(strstr(e->out, "hello"));
        }
        advance(e, 100000);
        assert_int_equal(e->srv.closed_cnt, 1);
        finish(e);
    }
}

/* The body comes, then FIN: the end is seen when the body was read, and a whole body stays whole.
 */
static void test_fin_behind_body(void **state)
{
    struct sim_conf conf = {.seed = 2};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);

    (void)state;
    e->srv.mode = KIT_READ;
    (void)sim_write(w, POST "Content-Length: 4\r\n\r\nbody", 52);
    sim_shutdown(w);
    run(e);
    collect(e, w);
    assert_memory_equal(e->out, "HTTP/1.1 200", 12);
    assert_string_equal(e->srv.log, "POST /p -> 200 DONE/DONE NONE gone\n");
    finish(e);
}

/* FIN in the middle of a response that said keep-alive: closed right behind it, not after
 * keepalive_timeout. */
static void test_fin_in_response(void **state)
{
    struct sim_conf conf = {.seed = 2};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);

    (void)state;
    e->srv.leave_open = true;
    e->srv.announce_body = false;
    put(e, w, GET);
    sim_shutdown(w);
    run(e);
    assert_int_equal(e->srv.closed_cnt, 0);
    e->srv.leave_open = false;
    kit_go(&e->srv);
    run(e);
    collect(e, w);
    assert_non_null(strstr(e->out, "Connection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    assert_int_equal(e->srv.closed_cnt, 1);
    assert_string_equal(e->srv.log, "GET /x -> 200 DONE/DONE NONE gone\n");
    finish(e);
}

/* ---- ends on purpose ------------------------------------------------------------------------ */

static void run_nothing(struct wr_task *t)
{
    (void)t;
}

/* The user keeps the stream of a finished exchange: the connection goes on without it. */
static void test_late_release(void **state)
{
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);
    struct kit_req *r;

    (void)state;
    e->srv.mode = KIT_HOLD;
    put(e, w, GET);
    r = wr_container_of(e->srv.reqs.next, struct kit_req, node);
    r->task.run = run_nothing;
    assert_true(kit_start(r));
    assert_true(kit_push(r, SIZE_MAX));
    run(e);
    collect(e, w);
    assert_string_equal(e->out, KEEP);
    assert_int_equal(r->s->tx, WR_HALF_DONE);
    e->out_len = 0;
    put(e, w, GET);
    assert_null(r->s->codec);
    assert_int_equal(e->srv.req_cnt, 2);
    kit_go(&e->srv);
    run(e);
    collect(e, w);
    assert_string_equal(e->out, KEEP);
    kit_end_requests(&e->srv);
    finish(e);
}

/* keepalive_time ends a connection at its next response. */
static void test_keepalive_time(void **state)
{
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);

    (void)state;
    e->srv.opts.keepalive_time_ms = 100000;
    put(e, w, GET);
    advance(e, 60000);
    put(e, w, GET);
    advance(e, 60000);
    put(e, w, GET);
    collect(e, w);
    assert_string_equal(e->out, KEEP KEEP CLOSE);
    assert_int_equal(e->srv.closed_cnt, 1);
    finish(e);
}

static void test_interim(void **state)
{
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);
    struct kit_req *r;
    struct wr_msg m;

    (void)state;
    e->srv.mode = KIT_HOLD;
    put(e, w, GET);
    r = wr_container_of(e->srv.reqs.next, struct kit_req, node);
    wr_msg_init(&m, r->s->arena, 4);
    m.status = 103;
    assert_int_equal(wr_hdrs_add(&m.hdrs, WR_STR("Link"), WR_STR("</a>")), WR_OK);
    r->s->ops->interim(r->s, &m);
    run(e);
    collect(e, w);
    assert_memory_equal(e->out, "HTTP/1.1 103 ", 13);
    e->out_len = 0;
    kit_go(&e->srv);
    run(e);
    collect(e, w);
    assert_string_equal(e->out, KEEP);
    finish(e);
}

/* Heads that come in pieces, up to the limits. */
static void test_large_heads(void **state)
{
    static const size_t sizes[] = {100, 900, 3000, 4090, 4096, 7000, 8150, 8200, 20000};
    static char text[70000];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(sizes); i++) {
        for (uint64_t seed = 1; seed < 4; seed++) {
            struct sim_conf conf = {.seed = seed, .short_io = seed > 1, .buf_cap = 1 << 16};
            struct env *e = begin(&conf);
            struct sim_sock *w = open_client(e);
            size_t left = sizes[i];
            int n = snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: a\r\n");

            while (left > 0) {
                size_t m = left <= 8300 ? left : 8000;

                n += snprintf(text + n, sizeof(text) - (size_t)n, "X: %0*d\r\n", (int)m, 0);
                left -= m;
            }
            n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n" GET);
            put(e, w, text);
            run(e);
            collect(e, w);
            if (sizes[i] < 8192 - 5 || sizes[i] > 8200) {
                assert_string_equal(e->out, KEEP KEEP);
            } else {
                assert_int_equal(e->srv.bad, 494);
            }
            finish(e);
        }
    }
}

/* ---- the user's ends ------------------------------------------------------------------------ */

/* He leaves, resets, or the connection is closed under him, with any part of the request here. */
static void test_leaves_anytime(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        for (size_t i = 0; i < WR_ARRAY_LEN(talks); i++) {
            for (size_t at = 0; at <= strlen(talks[i].in); at += 3) {
                struct sim_conf conf = {.seed = at + 1, .buf_cap = 1 << 16};
                struct env *e = begin(&conf);
                struct sim_sock *w;

                if (talks[i].tune) {
                    talks[i].tune(&e->srv);
                }
                e->srv.leave_open = true;
                w = open_client(e);
                (void)sim_write(w, talks[i].in, at);
                run(e);
                if (how == 0) {
                    kit_end_requests(&e->srv);
                } else if (how == 1) {
                    kit_close_all(&e->srv);
                } else if (how == 2 && !wr_list_is_empty(&e->srv.reqs)) {
                    struct kit_req *r = wr_container_of(e->srv.reqs.next, struct kit_req, node);

                    r->s->ops->reset(r->s, WR_REASON_SHUTDOWN);
                    r->s->ops->reset(r->s, WR_REASON_CANCELED);
                }
                run(e);
                (void)sim_write(w, talks[i].in + at, strlen(talks[i].in + at));
                run(e);
                finish(e);
            }
        }
    }
}

/* After 101: raw bytes both ways, half-closes pass, the idle limit holds (U9). */
static void test_tunnel(void **state)
{
    static const char ask[] =
        "GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

    (void)state;
    for (int how = 0; how < 3; how++) {
        struct sim_conf conf = {.seed = 4, .buf_cap = 1 << 16};
        struct env *e = begin(&conf);
        struct sim_sock *w;
        struct kit_req *r;

        tunnel(&e->srv);
        w = open_client(e);
        put(e, w, ask);
        put(e, w, "one ");
        put(e, w, "two");
        collect(e, w);
        assert_string_equal(strstr(e->out, "\r\n\r\n") + 4, "one two");
        r = wr_container_of(e->srv.reqs.next, struct kit_req, node);
        assert_true(r->s->is_tunnel);
        if (how == 0) {
            /* FIN passes: the echo ends too. */
            (void)sim_write(w, "!", 1);
            sim_shutdown(w);
            run(e);
            e->out_len = 0;
            collect(e, w);
            assert_string_equal(e->out, "!");
            assert_true(sim_is_eof(w));
            assert_string_equal(e->srv.log, "GET /x -> 101 DONE/DONE NONE\n");
            assert_int_equal(e->srv.closed_cnt, 1);
        } else if (how == 1) {
            r->s->rx_timeout_ms = 5000;
            put(e, w, "x");
            advance(e, 4900);
            assert_int_equal(e->srv.closed_cnt, 0);
            advance(e, 200);
            assert_int_equal(e->srv.closed_cnt, 1);
            assert_string_equal(e->srv.log, "GET /x -> 101 RESET/RESET TIMEOUT\n");
        } else {
            sim_reset(w);
            run(e);
            assert_int_equal(e->srv.closed_cnt, 1);
        }
        finish(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talks),
        cmocka_unit_test(test_breaks),
        cmocka_unit_test(test_torture),
        cmocka_unit_test(test_big_response),
        cmocka_unit_test(test_body_backpressure),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_send_timeout),
        cmocka_unit_test(test_linger),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_fin_behind_body),
        cmocka_unit_test(test_fin_in_response),
        cmocka_unit_test(test_late_release),
        cmocka_unit_test(test_keepalive_time),
        cmocka_unit_test(test_interim),
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_leaves_anytime),
        cmocka_unit_test(test_tunnel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
