/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_broken.c: a bug in one request ends that request. Five clients wait for the peers' answers
 * when the state of one machine of one of them becomes what no code of ours writes there. The other
 * four get their answers, the assertion is counted once, nothing is left behind.
 *
 * Nothing in the program helps to provoke this: the test changes the memory of live objects.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/server.c" /* first: for the thread's list of requests */

#include "base/stat.h"
#include "sim/proxy_kit.h"

#define CLIENTS  5
#define VICTIM   2
#define NO_STATE 77

static const struct sim_step slow_peer[] = {
    SIM_UNTIL("\r\n\r\n"), SIM_WAIT(500),
    SIM_SEND("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"), SIM_LOOP};
static const struct sim_step client[] = {
    SIM_SEND("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), SIM_DRAIN, SIM_CLOSE};

static struct wr_req *find_victim(void)
{
    struct wr_list *n;
    unsigned i = 0;

    WR_LIST_FOREACH (n, &thread.reqs) {
        if (i++ == VICTIM) {
            return wr_container_of(n, struct wr_req, node);
        }
    }
    return NULL;
}

static struct wr_up *up_of(struct wr_req *r)
{
    return wr_container_of(r->content, struct wr_up, content);
}

typedef void break_fn(struct wr_req *r);

static void break_req(struct wr_req *r)
{
    r->state = NO_STATE;
}

static void break_up(struct wr_req *r)
{
    up_of(r)->state = NO_STATE;
}

static void break_attempt(struct wr_req *r)
{
    up_of(r)->attempt.state = NO_STATE;
}

static void break_peer_conn(struct wr_req *r)
{
    up_of(r)->attempt.pc->state = NO_STATE;
}

static bool is_whole(const char *got, size_t len)
{
    static const char body[] = "\r\n\r\n0123456789";
    size_t n = sizeof(body) - 1;

    return len > n && memcmp(got, "HTTP/1.1 200 ", 13) == 0 && memcmp(got + len - n, body, n) == 0;
}

/* Value: status of the victim's answer, 0: cut without one. */
static unsigned run_broken(break_fn *fn, uint64_t want_cnt)
{
    struct sim_conf conf = {.seed = 5};
    struct sim *s = sim_new(&conf);
    struct wr_addr front = sim_addr(1, 80), p2 = sim_addr(2, 80), p3 = sim_addr(3, 80);
    uint64_t before = wr_stat_sum(WR_CNT_ASSERT_REQ);
    struct sim_sock *c[CLIENTS];
    int fd = sim_listen(s, &front);
    unsigned whole = 0, status = 0;

    wr_http_of(gen)->ports[0].fds = &fd;
    wr_http_of(gen)->ports[0].fd_cnt = 1;
    sim_serve_script(s, &p2, slow_peer);
    sim_serve_script(s, &p3, slow_peer);
    assert_int_equal(wr_http_adopt(gen, 0), WR_OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        c[i] = sim_dial(s, &front);
        sim_script(c[i], client);
    }
    (void)sim_run_for(s, 100);
    assert_int_equal(wr_http_req_cnt(), CLIENTS);
    fn(find_victim());
    (void)sim_run_for(s, 30000);
    for (unsigned i = 0; i < CLIENTS; i++) {
        size_t len;
        const char *got = sim_received(c[i], &len);

        assert_true(sim_script_is_done(c[i]));
        if (is_whole(got, len)) {
            whole++;
        } else if (len > 12) {
            status = (unsigned)(got[9] - '0') * 100 + (unsigned)(got[10] - '0') * 10 +
                     (unsigned)(got[11] - '0');
        }
    }
    assert_int_equal(whole, CLIENTS - 1);
    assert_int_equal(wr_stat_sum(WR_CNT_ASSERT_REQ) - before, want_cnt);
    assert_int_equal(wr_http_req_cnt(), 0);
    wr_http_stop();
    (void)sim_run_for(s, 100);
    wr_idle_thread_end();
    (void)sim_run_for(s, 100);
    assert_int_equal(wr_http_conn_cnt(), 0);
    sim_free(s);
    return status;
}

static void one_request_ends(void **state)
{
    static const struct {
        const char *name;
        break_fn *fn;
        unsigned status; /* 0: cut */
    } cases[] = {
        {"request",          break_req,       500},
        {"upstream request", break_up,        500},
        {"attempt",          break_attempt,   0  },
        {"peer connection",  break_peer_conn, 500},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        unsigned status;

        print_message("%s\n", cases[i].name);
        status = run_broken(cases[i].fn, 1);
        assert_int_equal(status, cases[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_ends),
    };

    proxy_be_quiet();
    return cmocka_run_group_tests(tests, proxy_setup, proxy_teardown);
}
