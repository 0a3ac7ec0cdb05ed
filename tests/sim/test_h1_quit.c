/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h1_quit.c: ends on purpose of the server role of the HTTP/1 codec, in the simulator: the
 * grace of idle connections, what comes late, slow readers.
 */
#include "sim/h1_server_kit.h"

static void test_quit(void **state)
{
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);
    struct wr_h1_server *c;

    (void)state;
    put(e, w, GET);
    c = wr_h1_server_of_node(e->srv.conns.next);
    assert_true(wr_h1_server_is_idle(c));
    assert_int_equal(wr_h1_server_requests(c), 1);
    wr_h1_server_quit(c, 2000);
    advance(e, 1500);
    assert_int_equal(e->srv.closed_cnt, 0);
    /* U14.9: a late request is still served. */
    e->out_len = 0;
    collect(e, w);
    e->out_len = 0;
    put(e, w, GET);
    collect(e, w);
    assert_string_equal(e->out, CLOSE);
    assert_int_equal(e->srv.closed_cnt, 1);
    finish(e);

    e = begin(&conf);
    w = open_client(e);
    put(e, w, GET);
    wr_h1_server_quit(wr_h1_server_of_node(e->srv.conns.next), 2000);
    advance(e, 2100);
    assert_int_equal(e->srv.closed_cnt, 1);
    finish(e);

    /* A busy one says so on its response. */
    e = begin(&conf);
    e->srv.mode = KIT_HOLD;
    w = open_client(e);
    put(e, w, GET);
    wr_h1_server_quit(wr_h1_server_of_node(e->srv.conns.next), 2000);
    kit_go(&e->srv);
    run(e);
    collect(e, w);
    assert_string_equal(e->out, CLOSE);
    finish(e);

    /* At once. */
    e = begin(&conf);
    e->srv.mode = KIT_HOLD;
    w = open_client(e);
    put(e, w, GET);
    wr_h1_server_close(wr_h1_server_of_node(e->srv.conns.next), WR_REASON_SHUTDOWN);
    run(e);
    assert_true(sim_is_reset(w));
    kit_end_requests(&e->srv);
    assert_string_equal(e->srv.log, "GET /x -> 0 DONE/RESET SHUTDOWN\n");
    finish(e);
}

struct late {
    struct wr_task task;
    struct wr_timer timer;
    struct sim_sock *sock;
};

static void run_late(struct wr_task *t)
{
    struct sim_sock *k = wr_container_of(t, struct late, task)->sock;

    assert_int_equal(sim_write(k, GET, strlen(GET)), strlen(GET));
}

/* U14.9: bytes that come when the poller has looked for the last time, before the grace ends. */
static void test_quit_looks_again(void **state)
{
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);
    struct late late = {.sock = open_client(e)};

    (void)state;
    put(e, late.sock, GET);
    collect(e, late.sock);
    e->out_len = 0;
    wr_task_init(&late.task, run_late, "late");
    wr_timer_init(&late.timer, &late.task);
    wr_timer_arm(&late.timer, wr_now_ms() + 2000);
    wr_h1_server_quit(wr_h1_server_of_node(e->srv.conns.next), 2000);
    advance(e, 2000);
    collect(e, late.sock);
    assert_string_equal(e->out, CLOSE);
    finish(e);
}

/* U14.9: the grace begins when the client has the response. */
static void test_quit_slow_reader(void **state)
{
    struct sim_conf conf = {.seed = 1};
    struct env *e = begin(&conf);
    struct sim_sock *w = open_client(e);
    char byte;

    (void)state;
    put(e, w, GET);
    wr_h1_server_quit(wr_h1_server_of_node(e->srv.conns.next), 2000);
    for (int i = 0; i < 5; i++) {
        advance(e, 1500);
        assert_int_equal(sim_read(w, &byte, 1), 1);
    }
    collect(e, w);
    advance(e, 1999);
    assert_int_equal(e->srv.closed_cnt, 0);
    e->out_len = 0;
    put(e, w, GET);
    collect(e, w);
    assert_string_equal(e->out, CLOSE);
    finish(e);

    /* One who takes nothing gets no more time, but all bytes. */
    e = begin(&conf);
    w = open_client(e);
    put(e, w, GET);
    wr_h1_server_quit(wr_h1_server_of_node(e->srv.conns.next), 2000);
    advance(e, 1000);
    assert_int_equal(sim_read(w, &byte, 1), 1);
    advance(e, 2999);
    assert_int_equal(e->srv.closed_cnt, 0);
    advance(e, 1);
    assert_int_equal(e->srv.closed_cnt, 1);
    assert_true(sim_readable(w) > 0 && !sim_is_reset(w));
    finish(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quit),
        cmocka_unit_test(test_quit_looks_again),
        cmocka_unit_test(test_quit_slow_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
