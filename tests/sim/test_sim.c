/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sim.c: the simulator tried on a small relay built from listener, connections and pipes, the
 * same pieces that the proxy is made of: seeds, resets at every byte, failing allocations, time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/pipe.h"
#include "net/conn.h"
#include "net/listen.h"
#include "sim/sim.h"

/* ---- a relay: each client connection gets one to the peer, bytes go both ways ---------------- */

enum {
    HIGH = 3000,
    RELAY_DEADLINE_MS = 5000
};

struct half {
    struct wr_conn conn; /* first */
    struct relay *relay;
    struct half *other;
    struct wr_pipe *out; /* bytes to be sent here */
    bool is_fin_sent;
};

struct relay_server {
    struct wr_task task;
    struct wr_listener listener;
    struct wr_addr peer;
    unsigned accepted, closed, dial_failed, starved;
};

struct relay {
    struct relay_server *server;
    struct half *half[2];
};

static void close_relay(struct relay *r)
{
    for (int i = 0; i < 2; i++) {
        wr_pipe_leave_consumer(r->half[i]->out);
        wr_pipe_leave_producer(r->half[i]->out);
    }
    /* After the pipes: leaving wakes the other end's task, closing cancels it. */
    for (int i = 0; i < 2; i++) {
        wr_conn_close(&r->half[i]->conn, WR_IO_CLOSE_FIN);
    }
    r->server->closed++;
    wr_mem_free(r);
}

/* Bytes from h's connection into the other's pipe. False: the relay is over. */
static bool receive_half(struct half *h)
{
    struct wr_pipe *to = h->other->out;

    while (wr_pipe_can_push(to)) {
        struct wr_slice s = {.kind = WR_SLICE_CHUNK};
        struct wr_chunk *c;
        uint32_t off, len;
        enum wr_status st = wr_conn_recv(&h->conn, wr_pipe_room(to), &c, &off, &len);

        if (st == WR_EOF) {
            wr_pipe_eof(to);
            return true;
        }
        if (st == WR_AGAIN) {
            break;
        }
        if (st != WR_OK) {
            return false;
        }
        s.u.chunk = c;
        s.off = off;
        s.len = len;
        if (wr_pipe_push(to, s) != WR_OK) {
            return false;
        }
    }
    wr_io_want_in(&h->conn.io, wr_pipe_can_push(to));
    return true;
}

static bool send_half(struct half *h)
{
    struct iovec iov[4];
    size_t bytes, n;
    int cnt;

    while ((cnt = wr_pipe_peek(h->out, iov, 4, SIZE_MAX, &bytes)) > 0) {
        enum wr_status st = wr_conn_send(&h->conn, iov, cnt, &n);

        if (st != WR_OK) {
            return st == WR_AGAIN;
        }
        wr_pipe_consume(h->out, n);
        if (n < bytes) {
            return true;
        }
    }
    if (wr_pipe_is_spent(h->out) && !h->is_fin_sent) {
        h->is_fin_sent = true;
        return h->conn.link->ops->shutdown(h->conn.link) == WR_OK;
    }
    return true;
}

static void run_half(struct wr_task *t)
{
    struct half *h = wr_container_of(t, struct half, conn.task);
    struct relay *r = h->relay;

    if (h->conn.io.is_connecting) {
        if (!wr_timer_is_armed(&h->conn.timer)) {
            r->server->dial_failed++;
            close_relay(r);
        }
        return;
    }
    if (!wr_conn_is_connected(&h->conn) && (h->conn.io.facts & WR_IO_CONNECTED) == 0 &&
        h == r->half[1]) {
        r->server->dial_failed++;
        close_relay(r);
        return;
    }
    wr_timer_disarm(&h->conn.timer);
    if (!receive_half(h) || !send_half(h)) {
        close_relay(r);
        return;
    }
    if (r->half[0]->is_fin_sent && r->half[1]->is_fin_sent) {
        close_relay(r);
    }
}

static void start_relay(struct relay_server *server, int fd, const struct wr_addr *from)
{
    struct relay *r;
    struct wr_conn *c;
    enum wr_status st;
    int err;

    server->accepted++;
    if (wr_conn_open(fd, from, sizeof(struct half), run_half, "relay client", &c) != WR_OK) {
        server->closed++;
        return;
    }
    r = wr_mem_alloc(sizeof(*r));
    r->server = server;
    r->half[0] = wr_container_of(c, struct half, conn);
    st = wr_conn_dial(&server->peer, NULL,
                      &(struct wr_conn_owner){sizeof(struct half), run_half, "relay peer"}, &c,
                      &err);
    if (st != WR_OK && st != WR_AGAIN) {
        server->dial_failed++;
        server->closed++;
        wr_conn_close(&r->half[0]->conn, WR_IO_CLOSE_RESET);
        wr_mem_free(r);
        return;
    }
    r->half[1] = wr_container_of(c, struct half, conn);
    for (int i = 0; i < 2; i++) {
        struct half *h = r->half[i];

        h->relay = r;
        h->other = r->half[1 - i];
        h->out = wr_pipe_new(HIGH, &h->other->conn.task, &h->conn.task);
    }
    if (!r->half[0]->out || !r->half[1]->out) {
        for (int i = 0; i < 2; i++) {
            if (r->half[i]->out) {
                wr_pipe_leave_consumer(r->half[i]->out);
                wr_pipe_leave_producer(r->half[i]->out);
            }
            wr_conn_close(&r->half[i]->conn, WR_IO_CLOSE_RESET);
        }
        server->closed++;
        wr_mem_free(r);
        return;
    }
    if (st == WR_AGAIN) {
        wr_timer_arm(&r->half[1]->conn.timer, wr_now_ms() + RELAY_DEADLINE_MS);
    }
}

static void run_server(struct wr_task *t)
{
    struct relay_server *s = wr_container_of(t, struct relay_server, task);
    struct wr_addr from;
    enum wr_status st;
    int fd, err;

    while ((st = wr_listener_pull(&s->listener, &fd, &from, &err)) == WR_OK) {
        start_relay(s, fd, &from);
    }
    s->starved += st == WR_ELIMIT;
}

static void server_open(struct relay_server *s, struct sim *sim, const struct wr_addr *at,
                        const struct wr_addr *peer)
{
    memset(s, 0, sizeof(*s));
    s->peer = *peer;
    wr_task_init(&s->task, run_server, "relay server");
    if (wr_listener_open(&s->listener, sim_listen(sim, at), &s->task) != WR_OK) {
        assert_true(sim_is_faulted());
    }
}

static void server_close(struct relay_server *s)
{
    wr_listener_close(&s->listener);
    wr_task_cancel(&s->task);
}

/* ---- the tests ------------------------------------------------------------------------------ */

static struct wr_addr front, back;

static const struct sim_step ask[] = {
    SIM_SEND("GET / HTTP/1.1\r\n\r\n"),
    SIM_UNTIL("\r\n\r\n"),
    SIM_READ(20000),
    SIM_SEND("bye"),
    SIM_SHUTDOWN,
    SIM_EXPECT("end"),
    SIM_EXPECT_EOF,
    SIM_CLOSE,
};
static const struct sim_step answer[] = {
    SIM_UNTIL("\r\n\r\n"),
    SIM_SEND("HTTP/1.1 200 OK\r\n\r\n"),
    SIM_SEND_N(20000),
    SIM_EXPECT("bye"),
    SIM_EXPECT_EOF,
    SIM_SEND("end"),
    SIM_CLOSE,
};

static struct sim *make_sim(uint64_t seed)
{
    struct sim_conf conf = {.seed = seed,
                            .buf_cap = 1 + seed * 37 % 5000,
                            .short_io = true,
                            .delays = seed % 2 == 0,
                            .connect_ms = (uint32_t)(seed % 50)};

    front = sim_addr(1, 80);
    back = sim_addr(2, 8080);
    return sim_new(&conf);
}

static void test_seeds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim *s = make_sim(seed);
        struct relay_server server;
        struct sim_sock *client[3];

        server_open(&server, s, &front, &back);
        sim_serve_script(s, &back, answer);
        for (int i = 0; i < 3; i++) {
            client[i] = sim_dial(s, &front);
            sim_script(client[i], ask);
        }
        assert_int_equal(sim_run(s), SIM_IDLE);
        assert_null(sim_error(s));
        for (int i = 0; i < 3; i++) {
            size_t n;

            assert_true(sim_script_is_done(client[i]));
            assert_memory_equal(sim_received(client[i], &n), "HTTP/1.1 200 OK\r\n\r\nabcdef", 25);
            assert_int_equal(n, 19 + 20000 + 3);
        }
        assert_int_equal(server.closed, 3);
        assert_int_equal(sim_accepted(s, &back), 3);
        server_close(&server);
        sim_free(s);
    }
}

/* The same seed gives the same run, to the turn. */
static void test_is_repeatable(void **state)
{
    uint32_t turns[2];
    uint64_t end[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct sim *s = make_sim(77);
        struct relay_server server;

        server_open(&server, s, &front, &back);
        sim_serve_script(s, &back, answer);
        sim_script(sim_dial(s, &front), ask);
        assert_int_equal(sim_run(s), SIM_IDLE);
        turns[i] = sim_loop(s)->turn;
        end[i] = sim_now_ms(s);
        server_close(&server);
        sim_free(s);
    }
    assert_int_equal(turns[0], turns[1]);
    assert_int_equal(end[0], end[1]);
}

static const struct sim_step short_ask[] = {SIM_SEND("ask\r\n\r\n"), SIM_SHUTDOWN, SIM_DRAIN,
                                            SIM_CLOSE};
static const struct sim_step short_answer[] = {SIM_UNTIL("\r\n\r\n"), SIM_SEND("answer"), SIM_DRAIN,
                                               SIM_CLOSE};

struct reset_plan {
    enum sim_dir dir;
    uint64_t at;
};

static void serve_with_reset(struct sim_sock *k, void *data)
{
    const struct reset_plan *plan = data;

    sim_script(k, short_answer);
    sim_reset_at(k, plan->dir, plan->at);
}

/* A reset at each byte of each direction of each connection: the relay ends, nothing is left. */
static void test_reset_everywhere(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        for (int dir = 0; dir < 2; dir++) {
            for (uint64_t at = 0; at <= 8; at++) {
                struct reset_plan plan = {dir == 0 ? SIM_TX : SIM_RX, at};
                size_t mem = wr_mem_in_use();
                struct sim *s = make_sim(at * 4 + (uint64_t)side * 2 + (uint64_t)dir + 1);
                struct relay_server server;
                struct sim_sock *client;

                server_open(&server, s, &front, &back);
                if (side == 0) {
                    sim_serve_script(s, &back, short_answer);
                } else {
                    sim_serve(s, &back, serve_with_reset, &plan);
                }
                client = sim_dial(s, &front);
                sim_script(client, short_ask);
                if (side == 0) {
                    sim_reset_at(client, plan.dir, at);
                }
                assert_int_equal(sim_run(s), SIM_IDLE);
                assert_int_equal(server.accepted, server.closed);
                server_close(&server);
                sim_free(s);
                assert_int_equal(wr_mem_in_use(), mem);
            }
        }
    }
}

static void run_faulted(void *data)
{
    struct sim *s = make_sim(5);
    struct relay_server server;
    struct sim_sock *client;

    (void)data;
    server_open(&server, s, &front, &back);
    sim_serve_script(s, &back, short_answer);
    client = sim_dial(s, &front);
    if (client) {
        static const struct sim_step patient_ask[] = {SIM_SEND("ask\r\n\r\n"), SIM_SHUTDOWN,
                                                      SIM_DRAIN, SIM_CLOSE};
        sim_script(client, patient_ask);
    }
    if (sim_run(s) != SIM_IDLE || sim_error(s)) {
        assert_true(sim_is_faulted());
    }
    assert_int_equal(server.accepted, server.closed);
    server_close(&server);
    sim_free(s);
}

static void test_torture(void **state)
{
    (void)state;
    assert_true(sim_torture(run_faulted, NULL) >= 4);
}

static void test_refused_and_silent(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim *s = make_sim(seed);
        struct relay_server server;
        struct sim_sock *client;
        uint64_t began;

        server_open(&server, s, &front, &back);
        assert_null(sim_dial(s, &back));
        client = sim_dial(s, &front);
        sim_script(client, short_ask);
        (void)sim_run(s);
        assert_int_equal(server.dial_failed, 1);
        /* A peer that never answers: time jumps to the deadline. */
        sim_blackhole(s, &back);
        began = sim_now_ms(s);
        client = sim_dial(s, &front);
        sim_script(client, short_ask);
        (void)sim_run(s);
        assert_int_equal(server.dial_failed, 2);
        assert_true(sim_now_ms(s) - began >= RELAY_DEADLINE_MS);
        assert_true(sim_now_ms(s) - began < RELAY_DEADLINE_MS + 100);
        server_close(&server);
        sim_free(s);
    }
}

static void test_stuck_is_found(void **state)
{
    static const struct sim_step waits[] = {SIM_READ(1), SIM_END};
    struct sim *s = make_sim(3);
    struct relay_server server;
    struct sim_sock *client;

    (void)state;
    server_open(&server, s, &front, &back);
    sim_serve_script(s, &back, waits);
    client = sim_dial(s, &front);
    sim_script(client, waits);
    assert_int_equal(sim_run(s), SIM_STUCK);
    /* An end reaches the other side, whose script tells what it missed. */
    sim_close(sim_accepted_sock(s, &back, 0));
    (void)sim_run(s);
    assert_non_null(sim_script_error(client));
    (void)sim_run(s);
    assert_int_equal(server.closed, 1);
    server_close(&server);
    sim_free(s);
}

static void test_time(void **state)
{
    static const struct sim_step later[] = {SIM_WAIT(30000), SIM_SEND("x"), SIM_SHUTDOWN, SIM_DRAIN,
                                            SIM_CLOSE};
    static const struct sim_step peer[] = {SIM_EXPECT("x"), SIM_EXPECT_EOF, SIM_CLOSE};
    struct sim *s = make_sim(9);
    struct relay_server server;
    struct sim_sock *client;
    uint64_t began = sim_now_ms(s);

    (void)state;
    server_open(&server, s, &front, &back);
    sim_serve_script(s, &back, peer);
    client = sim_dial(s, &front);
    sim_script(client, later);
    assert_int_equal(sim_run_for(s, 1000), SIM_LIMIT);
    assert_int_equal(sim_now_ms(s), began + 1000);
    assert_false(sim_script_is_done(client));
    assert_int_equal(sim_run(s), SIM_IDLE);
    assert_true(sim_now_ms(s) >= began + 30000);
    assert_null(sim_error(s));
    assert_true(sim_script_is_done(client));
    server_close(&server);
    sim_free(s);
}

/* U14.6: no descriptors: accepting pauses, says so once, and goes on half a second later. */
static void test_starved_accept(void **state)
{
    struct sim *s = make_sim(4);
    struct relay_server server;
    uint64_t began = sim_now_ms(s);

    (void)state;
    server_open(&server, s, &front, &back);
    sim_serve_script(s, &back, short_answer);
    sim_fail_accepts(s, 3);
    sim_script(sim_dial(s, &front), short_ask);
    assert_int_equal(sim_run(s), SIM_IDLE);
    assert_int_equal(server.starved, 1);
    assert_int_equal(server.closed, 1);
    assert_true(sim_now_ms(s) >= began + 1500);
    server_close(&server);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_is_repeatable),
        cmocka_unit_test(test_reset_everywhere),
        cmocka_unit_test(test_torture),
        cmocka_unit_test(test_refused_and_silent),
        cmocka_unit_test(test_stuck_is_found),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_starved_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
