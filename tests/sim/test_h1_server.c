/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h1_server.c: the server role of the HTTP/1 codec in the simulator: each case is a conversation,
 * played whole, byte by byte, and with short reads and writes by seed; then cut at every byte, with each
 * allocation failing in turn, and by deadlines on the simulated clock.
 */
#include "unit/http/h1_kit.h"

#include <stdlib.h>

#include "net/listen.h"
#include "sim/sim.h"

struct env {
    struct sim *sim;
    struct kit_srv srv;
    struct wr_listener listener;
    struct wr_task accept_task;
    struct wr_addr addr;
    size_t mem;
    char out[1 << 18];
    size_t out_len;
};

static void run_accept(struct wr_task *t)
{
    struct env *e = wr_container_of(t, struct env, accept_task);
    struct wr_addr peer;
    int fd, err;

    while (wr_listener_pull(&e->listener, &fd, &peer, &err) == WR_OK) {
        (void)kit_serve(&e->srv, fd, &peer);
    }
}

/* Settles what can happen without time passing. */
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
    kit_srv_init(&e->srv);
    e->addr = sim_addr(1, 80);
    wr_task_init(&e->accept_task, run_accept, "accept");
    return e;
}

/* The listener may fail to open when allocations do. */
static bool listen_now(struct env *e)
{
    return wr_listener_open(&e->listener, sim_listen(e->sim, &e->addr), &e->accept_task) == WR_OK;
}

static void finish(struct env *e)
{
    wr_mem_fault_set(0);
    wr_listener_close(&e->listener);
    wr_task_cancel(&e->accept_task);
    kit_close_all(&e->srv);
    run(e);
    kit_end_requests(&e->srv);
    run(e);
    assert_int_equal(e->srv.conn_cnt, e->srv.closed_cnt);
    assert_int_equal(e->srv.req_cnt, e->srv.released_cnt);
    assert_true(wr_list_is_empty(&e->srv.conns));
    sim_free(e->sim);
    assert_int_equal(wr_chunk_in_use(), 0);
    assert_int_equal(wr_mem_in_use(), e->mem);
    wr_mem_free(e);
}

static struct sim_sock *open_client(struct env *e)
{
    assert_true(listen_now(e));
    return sim_dial(e->sim, &e->addr);
}

static void put(struct env *e, struct sim_sock *k, const char *z)
{
    assert_int_equal(sim_write(k, z, strlen(z)), strlen(z));
    run(e);
}

static void collect(struct env *e, struct sim_sock *k)
{
    e->out_len += sim_read(k, e->out + e->out_len, sizeof(e->out) - 1 - e->out_len);
    e->out[e->out_len] = '\0';
}

static bool is_over(const struct sim_sock *k)
{
    return sim_is_eof(k) || sim_is_reset(k);
}

/* ---- conversations -------------------------------------------------------------------------- */

enum end { ANY, KEPT, ENDS, CLOSED, CUT, LINGERS };

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

static void mode_echo(struct kit_srv *k)
{
    k->mode = KIT_ECHO;
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

#define GET    "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET10  "GET /x HTTP/1.0\r\n\r\n"
#define KEEP   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"
#define CLOSE  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
#define LOG    "GET /x -> 200 DONE/DONE NONE\n"
#define PLOG   "POST /p -> 200 DONE/DONE NONE\n"
#define POST   "POST /p HTTP/1.1\r\nHost: a\r\n"

static const struct talk talks[] = {
    {"get", GET, NULL, KEEP, LOG, KEPT, ""},
    {"pipelined", GET GET GET, NULL, KEEP KEEP KEEP, LOG LOG LOG, KEPT, ""},
    {"empty lines before", "\r\n\r\n" GET, NULL, KEEP, LOG, KEPT, ""},
    {"head", "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" GET, NULL,
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n" KEEP,
     "HEAD /x -> 200 DONE/DONE NONE\n" LOG, KEPT, ""},
    {"1.0 closes", GET10, NULL, CLOSE, LOG, CLOSED, ""},
    {"1.0 keep-alive", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", NULL, KEEP, LOG, KEPT, ""},
    {"1.1 close", "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", NULL, CLOSE, LOG, CLOSED, ""},
    {"0.9", "GET /x\r\n", NULL, "hello", LOG, CLOSED, ""},
    {"chunked", GET GET, unknown_length,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     LOG LOG, KEPT, ""},
    {"trailers", GET, trailers,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n"
     "X-Sum: 1\r\n\r\n",
     LOG, KEPT, ""},
    {"1.0 never sees chunked", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", unknown_length,
     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", LOG, CLOSED, ""},
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
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello",
     "GET /x -> 200 DONE/RESET PEER_FAILED\n", CUT, ""},
    {"unsafe field", GET, unsafe_field, "", "GET /x -> 200 DONE/RESET INTERNAL\n", CUT, ""}, /* U14.1 */
    {"post read", POST "Content-Length: 4\r\n\r\nbody" GET, mode_read, KEEP KEEP, PLOG LOG, KEPT, "body"},
    {"post chunked read", POST "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x\r\ndy\r\n0\r\n\r\n" GET,
     mode_read, KEEP KEEP, PLOG LOG, KEPT, "body"},
    {"post empty", POST "Content-Length: 0\r\n\r\n" GET, mode_read, KEEP KEEP, PLOG LOG, KEPT, ""},
    {"bad chunk", POST "Transfer-Encoding: chunked\r\n\r\n2\nbo\r\n", mode_read,
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
     "POST /p -> 200 RESET/DONE BAD_BODY\n", LINGERS, ""},
    {"chunked over body_max", POST "Transfer-Encoding: chunked\r\n\r\n5\r\nbody!\r\n0\r\n\r\n", body_max,
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
     "POST /p -> 200 RESET/DONE BIG_BODY\n", LINGERS, "*"},
    {"expect, wanted", POST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", mode_read, /* U4.8 */
     "HTTP/1.1 100 Continue\r\n\r\n", "", KEPT, ""},
    {"expect, not wanted", POST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", NULL, CLOSE,
     "POST /p -> 200 RESET/DONE DONE\n", LINGERS, ""},
    {"the user left the body", POST "Content-Length: 4\r\n\r\nbody" GET, drop_body, "*", "*", ANY, "*"},
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
    {"tunnel", "GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw bytes", tunnel,
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw bytes", "", KEPT, ""},
    {"reset by the user", GET, reset, "", "GET /x -> 0 DONE/RESET CANCELED\n", CUT, ""},
    {"released by the user", GET, refuse, "", "GET /x -> 0 DONE/WAIT NONE\n", CUT, ""},
};

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
        /* The response was followed by a FIN; bytes that still come are dropped, then silence ends it. */
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

enum how { WHOLE, BYTES, SEEDED };

/* out is the response whole; play reads while it runs, so that its size does not matter. */
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
    if (getenv("TALKS")) fprintf(stderr, "how %d seed %u: %zu bytes\n", how, (unsigned)seed, e->out_len);
    check_talk(e, t, w);
    finish(e);
}

static void test_talks(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(talks); i++) {
        if (getenv("TALK") && strcmp(getenv("TALK"), talks[i].name) != 0) continue;
        if (getenv("TALKS")) fprintf(stderr, "talk %s\n", talks[i].name);
        play(&talks[i], WHOLE, 1);
        play(&talks[i], BYTES, 1);
        for (uint64_t seed = 1; seed < 30; seed++) play(&talks[i], SEEDED, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
