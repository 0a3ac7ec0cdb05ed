/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fetch.c: small requests of our own (http/fetch.h) in the simulator: answers of all kinds,
 * whole and not, addresses that are tried in turn, names, the deadline; ended at every turn, and
 * with every allocation failing.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "base/chunk.h"
#include "base/local.h"
#include "base/mem.h"
#include "http/fetch.h"
#include "sim/fake_dns.h"

#define END  SIM_DRAIN, SIM_CLOSE
#define HEAD SIM_UNTIL("\r\n\r\nquestion")

static const struct sim_step whole[] = {
    SIM_EXPECT("POST /a?b HTTP/1.0\r\nHost: two.test\r\nContent-Type: x/y\r\nAccept: x/z\r\n"
               "Content-Length: 8\r\nConnection: close\r\n\r\nquestion"),
    SIM_WAIT(5),
    SIM_SEND("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nans"),
    SIM_WAIT(5),
    SIM_SEND("wer and more"),
    END};
static const struct sim_step to_the_end[] = {HEAD, SIM_SEND("HTTP/1.1 200 OK\r\n\r\nans"),
                                             SIM_WAIT(5), SIM_SEND("wer"), SIM_CLOSE};
static const struct sim_step chunked[] = {
    HEAD, SIM_SEND("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), END};
static const struct sim_step cut[] = {
    HEAD, SIM_SEND("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nans"), SIM_CLOSE};
static const struct sim_step no_head[] = {HEAD, SIM_SEND("HTTP/1.0 200 O"), SIM_CLOSE};
static const struct sim_step no_http[] = {HEAD, SIM_SEND("hello\r\n\r\n"), END};
static const struct sim_step moved[] = {
    HEAD, SIM_SEND("HTTP/1.0 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), END};
static const struct sim_step long_said[] = {
    HEAD, SIM_SEND("HTTP/1.0 200 OK\r\nContent-Length: 101\r\n\r\n"), END};
static const struct sim_step long_sent[] = {HEAD, SIM_SEND("HTTP/1.0 200 OK\r\n\r\n"),
                                            SIM_SEND_N(70000), END};
static const struct sim_step resets[] = {HEAD, SIM_RESET};
static const struct sim_step hangs[] = {SIM_DRAIN, SIM_CLOSE};

struct row {
    const char *name, *host;
    const struct sim_step *two, *three; /* of 10.0.0.2 and .3; NULL: refused */
    const char *answer;                 /* NULL: it fails */
    const char *error;                  /* begins with this */
    unsigned addrs;                     /* 10.0.0.2, 10.0.0.3: given with the request */
    bool has_dns;
};

/* clang-format off */
static const struct row rows[] = {
    {"whole", "two.test", whole, NULL, "answer", NULL, 1, false},
    {"whole, by name", "two.test", whole, NULL, "answer", NULL, 0, true},
    {"whole, a literal", "10.0.0.2", to_the_end, NULL, "answer", NULL, 0, true},
    {"to the end", "two.test", to_the_end, NULL, "answer", NULL, 1, false},
    {"the second address", "two.test", NULL, to_the_end, "answer", NULL, 2, false},
    {"nobody there", "two.test", NULL, NULL, NULL, "connect() failed (111: Connection refused)", 2, false},
    {"no address", "two.test", NULL, NULL, NULL, "no resolver defined to resolve two.test", 0, false},
    {"no such name", "none.test", NULL, NULL, NULL, "\"none.test\" could not be resolved (3: Host not found)", 0, true},
    {"no such name, but an address of before", "none.test", to_the_end, NULL, "answer", NULL, 1, true},
    {"a name that takes too long", "slow.test", NULL, NULL, NULL, "timed out (110", 0, true},
    {"in chunks", "two.test", chunked, NULL, NULL, "a response in chunks", 1, false},
    {"cut", "two.test", cut, NULL, NULL, "the response is not whole", 1, false},
    {"half a head", "two.test", no_head, NULL, NULL, "the connection was closed before a response", 1, false},
    {"no HTTP", "two.test", no_http, NULL, NULL, "invalid response: ", 1, false},
    {"a redirect", "two.test", moved, NULL, NULL, "status 301", 1, false},
    {"announced too long", "two.test", long_said, NULL, NULL, "the response is larger than 100 bytes", 1, false},
    {"too long", "two.test", long_sent, NULL, NULL, "the response is too large", 1, false},
    {"reset", "two.test", resets, NULL, NULL, "recv() failed (104", 1, false},
    {"silence", "two.test", hangs, NULL, NULL, "timed out (110: Connection timed out)", 1, false},
};

/* clang-format on */

static unsigned wakes;

static void count_wake(struct wr_task *t)
{
    (void)t;
    wakes++;
}

struct play {
    const struct row *row;
    unsigned stop; /* behind this turn; 0: at the end */
    unsigned turns;
};

static void check(const struct row *r, struct wr_fetch *f)
{
    struct wr_str body = WR_STR_NULL, error = wr_fetch_error(f);
    enum wr_status st = wr_fetch_get(f, &body);

    if (sim_is_faulted()) {
        assert_int_not_equal(st, WR_AGAIN);
        return;
    }
    if (r->answer != NULL) {
        if (st != WR_OK || !wr_str_eq_z(body, r->answer)) {
            fail_msg("%s: %d %.*s %.*s", r->name, (int)st, WR_STR_ARG(body), WR_STR_ARG(error));
        }
    } else if (st != WR_EOF || !wr_str_has_prefix(error, wr_str_z(r->error))) {
        fail_msg("%s: %d %.*s", r->name, (int)st, WR_STR_ARG(error));
    }
    assert_true(wakes > 0);
}

static void run_play(void *data)
{
    struct play *p = data;
    const struct row *r = p->row;
    struct sim *s = sim_new(&(struct sim_conf){.seed = 5, .delays = true, .connect_ms = 5});
    struct wr_addr addrs[2] = {sim_addr(2, 1), sim_addr(3, 1)}; /* the port is the request's */
    struct wr_addr two = sim_addr(2, 80), three = sim_addr(3, 80);
    struct wr_dns dns = {.refs = 1};
    struct wr_fetch *f = NULL;
    struct wr_task waiter;
    struct wr_fetch_opts o = {.host = wr_str_z(r->host),
                              .port = 80,
                              .path = WR_STR("/a?b"),
                              .dns = r->has_dns ? &dns : NULL,
                              .addrs = addrs,
                              .addr_cnt = r->addrs,
                              .type = "x/y",
                              .accept = "x/z",
                              .body = WR_STR("question"),
                              .until_ms = wr_now_ms() + 1000,
                              .answer_max = 100};

    if (r->two != NULL) {
        sim_serve_script(s, &two, r->two);
    }
    if (r->three != NULL) {
        sim_serve_script(s, &three, r->three);
    }
    wakes = 0;
    wr_task_init(&waiter, count_wake, "waiter");
    if (wr_fetch_start(&o, &waiter, &f) != WR_OK) {
        assert_true(sim_is_faulted());
    } else if (p->stop > 0) {
        (void)sim_run_turns(s, p->stop);
    } else {
        (void)sim_run_for(s, 5000);
        p->turns = sim_turns(s);
        check(r, f);
    }
    wr_fetch_end(&f);
    assert_null(f);
    wr_fetch_end(&f); /* again */
    wr_task_cancel(&waiter);
    (void)sim_run_for(s, 5000);
    assert_int_equal(wr_chunk_in_use(), 0);
    sim_free(s);
}

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct play p = {.row = &rows[i]};

        run_play(&p);
    }
}

/* Nobody wants it any more, at every turn. */
static void test_given_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct play p = {.row = &rows[i]};
        unsigned turns;
        size_t mem;

        run_play(&p);
        mem = wr_mem_in_use();
        turns = p.turns;
        for (p.stop = 1; p.stop < turns; p.stop++) {
            run_play(&p);
        }
        assert_int_equal(wr_mem_in_use(), mem);
    }
}

static void test_allocations(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct play p = {.row = &rows[i]};

        assert_true(sim_torture(run_play, &p) > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_allocations),
    };

    return cmocka_run_group_tests_name("sim/fetch", tests, NULL, NULL);
}
