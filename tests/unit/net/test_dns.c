/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns.c: the cache of names (U1.6) against a name server that the test itself plays: what is
 * kept how long, one question for all who ask, bounds, askers that leave, ends in the middle.
 */
#include "unit/net/dns_kit.h"

#include <stdio.h>

#include "base/rng.h"
#include "event/thread.h"
#include "net/dns.c"

#define ASKS 300

/* c-ares has a clock of its own; questions are sent again after 20 ms, then 40, 80, 160. */
static struct wr_dns *make_hasty_dns(void)
{
    struct wr_dns_conf c = {.servers = {ns.addr}, .server_cnt = 1, .ipv4 = true, .try_ms = 20};
    struct wr_dns *d;

    wr_clock_set_source(NULL);
    assert_int_equal(wr_dns_new(&c, &d), WR_OK);
    return d;
}

struct asker {
    struct count_task done;
    struct wr_dns_ask *ask;
};

static void begin(struct asker *a, struct wr_dns *d, const char *name)
{
    count_task_init(&a->done);
    assert_int_equal(wr_dns_start(d, WR_DNS_ADDRS, wr_str_z(name), &a->done.task, &a->ask), WR_OK);
}

static const struct wr_dns_answer *finish_ask(struct asker *a)
{
    for (int i = 0; i < 2000 && a->done.runs == 0; i++) {
        wr_loop_turn(ns.loop, 5);
        serve();
    }
    assert_int_equal(a->done.runs, 1);
    assert_non_null(wr_dns_result(a->ask));
    return wr_dns_result(a->ask);
}

/* Asks, waits, ends; value: the reason. */
static unsigned look(struct wr_dns *d, const char *name)
{
    struct asker a;
    unsigned why;

    begin(&a, d, name);
    why = finish_ask(&a)->why;
    wr_dns_end(&a.ask);
    assert_null(a.ask);
    return why;
}

static bool is_known(struct wr_dns *d, const char *name)
{
    const struct wr_dns_answer *a = wr_dns_get(d, WR_DNS_ADDRS, wr_str_z(name));

    wr_dns_answer_unref(a);
    return a != NULL;
}

/* U1.6: cached as long as the TTL says; case and one dot at the end are nothing. */
static void test_ttl(void **state)
{
    struct wr_dns *d = make_dns(0);
    const struct wr_dns_answer *a;
    char text[WR_ADDR_TEXT_MAX];

    (void)state;
    ns.ttl = 5;
    ns.records = 2;
    assert_false(is_known(d, "a.test"));
    assert_int_equal(look(d, "a.test"), WR_DNS_FOUND);
    a = wr_dns_get(d, WR_DNS_ADDRS, WR_STR("A.Test."));
    assert_non_null(a);
    assert_int_equal(a->addr_cnt, 2);
    assert_int_equal(wr_addr_write(&a->addrs[1], text), 11);
    assert_memory_equal(text, "127.0.0.2:0", 11);
    pass_ms(4999);
    assert_true(is_known(d, "a.test"));
    assert_int_equal(look(d, "a.test"), WR_DNS_FOUND);
    assert_int_equal(ns.queries, 1);
    pass_ms(1);
    assert_false(is_known(d, "a.test"));
    assert_int_equal(look(d, "a.test"), WR_DNS_FOUND);
    assert_int_equal(ns.queries, 2);
    /* What was taken lives as long as its taker likes. */
    assert_int_equal(a->addr_cnt, 2);
    wr_dns_answer_unref(a);
    wr_dns_unref(d);
}

static void test_valid(void **state)
{
    struct wr_dns *d = make_dns(100000);

    (void)state;
    ns.ttl = 0;
    assert_int_equal(look(d, "a.test"), WR_DNS_FOUND);
    pass_ms(99999);
    assert_true(is_known(d, "a.test"));
    pass_ms(1);
    assert_false(is_known(d, "a.test"));
    wr_dns_unref(d);
}

/* A TTL above 2^31 is none at all (RFC 2181 8), and one of years is a week. */
static void test_odd_ttl(void **state)
{
    static const struct {
        uint32_t ttl;
        uint64_t ms;
    } rows[] = {
        {0,           0        },
        {1,           1000     },
        {0x7fffffffu, 604800000},
        {0x80000000u, 0        },
        {0xffffffffu, 0        },
    };
    struct wr_dns *d = make_dns(0);
    size_t i;

    (void)state;
    for (i = 0; i < WR_ARRAY_LEN(rows); i++) {
        char name[32];
        struct asker a;

        (void)snprintf(name, sizeof(name), "t%zu.test", i);
        ns.ttl = rows[i].ttl;
        begin(&a, d, name);
        assert_int_equal(finish_ask(&a)->until_ms, wr_now_ms() + rows[i].ms);
        wr_dns_end(&a.ask);
    }
    wr_dns_unref(d);
}

static void test_failures(void **state)
{
    static const struct {
        uint8_t rcode;
        unsigned why;
        const char *text;
        uint64_t ms;
    } rows[] = {
        {1, WR_DNS_FORMAT,          "Format error",      1000 },
        {2, WR_DNS_SERVER,          "Server failure",    1000 },
        {3, WR_DNS_NOT_FOUND,       "Host not found",    10000},
        {4, WR_DNS_NOT_IMPLEMENTED, "Unimplemented",     1000 },
        {5, WR_DNS_REFUSED,         "Operation refused", 1000 },
    };
    struct wr_dns *d = make_dns(0);
    size_t i;

    (void)state;
    for (i = 0; i < WR_ARRAY_LEN(rows); i++) {
        ns.rcode = rows[i].rcode;
        assert_int_equal(look(d, "a.test"), rows[i].why);
        assert_string_equal(wr_dns_why_text(rows[i].why), rows[i].text);
        pass_ms(rows[i].ms - 1);
        assert_true(is_known(d, "a.test"));
        pass_ms(1);
        assert_false(is_known(d, "a.test"));
    }
    ns.rcode = 0;
    ns.records = 0;
    assert_int_equal(look(d, "a.test"), WR_DNS_NOT_FOUND);
    wr_dns_unref(d);
}

/* U1.6: concurrent requests for one name share one query. */
static void test_join(void **state)
{
    struct wr_dns *d = make_hasty_dns();
    struct asker a[3];

    (void)state;
    ns.is_silent = true;
    begin(&a[0], d, "a.test");
    turn_idle(ns.loop, 3);
    begin(&a[1], d, "A.test");
    begin(&a[2], d, "a.test.");
    turn_idle(ns.loop, 3);
    wr_dns_end(&a[1].ask); /* one leaves */
    serve();
    assert_int_equal(ns.queries, 1);
    ns.is_silent = false;
    /* The question is sent again. */
    assert_int_equal(finish_ask(&a[0])->why, WR_DNS_FOUND);
    assert_ptr_equal(finish_ask(&a[2]), wr_dns_result(a[0].ask));
    assert_int_equal(wr_dns_query_cnt(d), 1);
    assert_int_equal(d->waiting_cnt + d->running_cnt, 0);
    assert_int_equal(a[1].done.runs, 0);
    wr_dns_end(&a[0].ask);
    wr_dns_end(&a[2].ask);
    wr_dns_unref(d);
}

/* One family comes, the other never does. */
static void test_partial(void **state)
{
    struct wr_dns_conf c = {.servers = {ns.addr}, .server_cnt = 1, .ipv4 = true, .ipv6 = true};
    struct wr_dns *d;
    struct asker a;

    (void)state;
    assert_int_equal(wr_dns_new(&c, &d), WR_OK);
    ns.is_silent6 = true;
    begin(&a, d, "a.test");
    for (int i = 0; i < 20; i++) {
        turn();
    }
    pass_ms(GRACE_MS - 1);
    turn();
    assert_int_equal(a.done.runs, 0);
    pass_ms(1);
    assert_int_equal(finish_ask(&a)->why, WR_DNS_FOUND);
    assert_int_equal(wr_dns_result(a.ask)->addr_cnt, 1);
    assert_int_equal(d->running_cnt, 0);
    assert_int_equal(d->stray_cnt, 1);
    wr_dns_end(&a.ask);
    /* Where none has come there is nothing to go on with. */
    ns.records = 0;
    begin(&a, d, "b.test");
    for (int i = 0; i < 20; i++) {
        pass_ms(GRACE_MS);
    }
    assert_int_equal(a.done.runs, 0);
    wr_dns_end(&a.ask);
    /* Both come. */
    ns.records = 1;
    ns.is_silent6 = false;
    assert_int_equal(look(d, "c.test"), WR_DNS_FOUND);
    assert_true(wr_list_is_empty(&d->partials));
    wr_dns_unref(d);
}

/* Nobody answers: the reason comes by itself, after four questions. */
static void test_silent(void **state)
{
    struct wr_dns *d = make_hasty_dns();
    struct asker a;

    (void)state;
    ns.is_silent = true;
    begin(&a, d, "a.test");
    assert_int_equal(finish_ask(&a)->why, WR_DNS_TIMED_OUT);
    assert_int_equal(ns.queries, TRIES);
    wr_dns_end(&a.ask);
    wr_dns_unref(d);
}

/* Names that cannot be are answered without a question. */
static void test_bad_names(void **state)
{
    static char longest[260];
    const char *const names[] = {
        "",
        "a b",
        "a\\b",
        "a\x7f.test",
        "a..test",
        longest,
        "0123456789012345678901234567890123456789012345678901234567890123.test"};
    struct wr_dns *d = make_dns(0);
    size_t i;

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    for (i = 10; i < sizeof(longest) - 1; i += 10) {
        longest[i] = '.';
    }
    for (i = 0; i < WR_ARRAY_LEN(names); i++) {
        assert_int_equal(look(d, names[i]), WR_DNS_FORMAT);
    }
    assert_int_equal(ns.queries, 0);
    wr_dns_unref(d);
}

static void look_many(struct wr_dns *d, unsigned from, unsigned to)
{
    static struct asker a[100];
    char name[32];
    unsigned i, k;

    for (i = from; i < to; i += k) {
        for (k = 0; k < WR_ARRAY_LEN(a) && i + k < to; k++) {
            (void)snprintf(name, sizeof(name), "n%u.test", i + k);
            begin(&a[k], d, name);
        }
        turn();
        pass_ms(BURST_MS);
        turn();
        pass_ms(BURST_MS);
        for (k = 0; k < WR_ARRAY_LEN(a) && i + k < to; k++) {
            assert_int_equal(finish_ask(&a[k])->why, WR_DNS_FOUND);
            wr_dns_end(&a[k].ask);
        }
    }
}

/* A name server is not flooded: 64 look-ups begin, the next ones later. */
static void test_bursts(void **state)
{
    struct wr_dns *d = make_dns(0);
    struct asker a[150];
    char name[32];
    unsigned i;

    (void)state;
    for (i = 0; i < WR_ARRAY_LEN(a); i++) {
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        begin(&a[i], d, name);
    }
    for (i = 1; i <= 4; i++) {
        turn_idle(ns.loop, 3);
        serve();
        turn_idle(ns.loop, 3);
        assert_int_equal(ns.queries, WR_MIN(i * BURST_MAX, 150));
        assert_int_equal(a[0].done.runs, 1);
        pass_ms(BURST_MS);
    }
    for (i = 0; i < WR_ARRAY_LEN(a); i++) {
        assert_int_equal(finish_ask(&a[i])->why, WR_DNS_FOUND);
        wr_dns_end(&a[i].ask);
    }
    wr_dns_unref(d);
}

/* 4,096 names are kept; the one that is used stays. */
static void test_bound_of_names(void **state)
{
    struct wr_dns *d = make_dns(0);
    unsigned i, left = 0;
    char name[32];

    (void)state;
    ns.ttl = 10000;
    look_many(d, 0, WR_DNS_NAMES_MAX);
    assert_int_equal(d->names.cnt, WR_DNS_NAMES_MAX);
    assert_true(is_known(d, "n0.test"));
    assert_true(is_known(d, "n1.test"));
    look_many(d, WR_DNS_NAMES_MAX, WR_DNS_NAMES_MAX + 500);
    assert_int_equal(d->names.cnt, WR_DNS_NAMES_MAX);
    assert_true(is_known(d, "n0.test"));
    assert_true(is_known(d, "n1.test"));
    for (i = 0; i < WR_DNS_NAMES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        left += is_known(d, name);
    }
    assert_int_equal(left, WR_DNS_NAMES_MAX - 500);
    assert_false(is_known(d, "n2.test"));
    wr_dns_unref(d);
}

/* As many look-ups and as many who wait as there may be, and one more of each. */
static void test_bound_of_asks(void **state)
{
    static struct asker a[WR_DNS_WAITING_MAX + 1];
    struct wr_dns *d = make_dns(0);
    unsigned i, n = WR_DNS_RUNNING_MAX;
    char name[32];

    (void)state;
    ns.is_silent = true;
    for (i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        begin(&a[i], d, name);
    }
    assert_int_equal(look(d, "more.test"), WR_DNS_TOO_MANY);
    for (; i < WR_DNS_WAITING_MAX; i++) {
        begin(&a[i], d, "n0.test");
    }
    turn_idle(ns.loop, 3);
    assert_int_equal(d->waiting_cnt, WR_DNS_WAITING_MAX);
    assert_int_equal(look(d, "n0.test"), WR_DNS_TOO_MANY);
    for (i = 0; i < WR_DNS_WAITING_MAX; i++) {
        wr_dns_end(&a[i].ask);
    }
    wr_dns_unref(d);
}

/* Who waits when it ends is told so. */
static void test_end(void **state)
{
    struct wr_dns *d = make_dns(0);
    struct asker waits, left, late;

    (void)state;
    ns.is_silent = true;
    begin(&waits, d, "a.test");
    begin(&left, d, "a.test");
    turn_idle(ns.loop, 3);
    wr_dns_end(&left.ask);
    begin(&late, d, "b.test"); /* its mail is on the way */
    wr_dns_unref(d);
    turn_idle(ns.loop, 3);
    assert_int_equal(finish_ask(&waits)->why, WR_DNS_CANCELED);
    assert_int_equal(finish_ask(&late)->why, WR_DNS_CANCELED);
    wr_dns_end(&waits.ask);
    wr_dns_end(&late.ask);
}

/* Of several servers the next is asked when one says that it failed. */
static void test_next_server(void **state)
{
    struct wr_dns_conf c = {
        .servers = {ns.addr, ns.addr, ns.addr},
          .server_cnt = 3, .ipv4 = true
    };
    struct wr_dns *d;

    (void)state;
    assert_int_equal(wr_dns_new(&c, &d), WR_OK);
    ns.rcode = 2;
    assert_int_equal(look(d, "a.test"), WR_DNS_SERVER);
    assert_int_equal(ns.queries, 3);
    ns.rcode = 3;
    assert_int_equal(look(d, "b.test"), WR_DNS_NOT_FOUND);
    assert_int_equal(ns.queries, 4);
    wr_dns_unref(d);
}

/* Each allocation fails once: there is an answer all the same, and the next ask finds the name. */
static void test_memory(void **state)
{
    struct wr_dns *d = make_dns(0);
    struct asker a;
    char name[16];
    uint64_t n, cnt = 1;

    (void)state;
    for (n = 1; n <= cnt; n++) { /* until there were fewer than n */
        (void)snprintf(name, sizeof(name), "n%u.test", (unsigned)n);
        count_task_init(&a.done);
        wr_mem_fault_set(n);
        if (wr_dns_start(d, WR_DNS_ADDRS, wr_str_z(name), &a.done.task, &a.ask) == WR_OK) {
            (void)finish_ask(&a);
            wr_dns_end(&a.ask);
        }
        cnt = wr_mem_fault_count() < n ? 0 : n + 1;
        wr_mem_fault_set(0);
        pass_ms(1001);
        assert_int_equal(look(d, name), WR_DNS_FOUND);
    }
    assert_true(n > 4);
    wr_dns_unref(d);
}

/* One that does not answer is not asked first for a while. */
static void test_mute_server(void **state)
{
    struct wr_dns_conf c = {
        .servers = {ns.addr, ns.addr},
          .server_cnt = 2, .ipv4 = true, .try_ms = 20
    };
    int mute = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct wr_dns *d;
    char name[16];
    unsigned i;

    (void)state;
    wr_addr_set_port(&c.servers[0], 0);
    assert_int_equal(bind(mute, &c.servers[0].u.sa, c.servers[0].len), 0);
    assert_int_equal(getsockname(mute, &c.servers[0].u.sa, &c.servers[0].len), 0);
    wr_clock_set_source(NULL);
    assert_int_equal(wr_dns_new(&c, &d), WR_OK);
    for (i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        assert_int_equal(look(d, name), WR_DNS_FOUND);
    }
    assert_true(recv(mute, name, sizeof(name), MSG_DONTWAIT) > 0);
    assert_int_equal(recv(mute, name, sizeof(name), MSG_DONTWAIT), -1);
    assert_true(d->channels[0].mute_until_ms > wr_now_ms());
    assert_int_equal(d->channels[1].mute_until_ms, 0);
    close(mute);
    wr_dns_unref(d);
}

/* --- threads --- */

struct crowd {
    struct wr_dns *dns;
    struct wr_mailbox *owner, *box;
    struct wr_mail done, leave;
    struct wr_thread thread;
};

static unsigned crowd_done;

static void leave_loop(struct wr_mail *m)
{
    (void)m;
    wr_loop_stop(wr_loop_get());
}

/* As a worker's thread ends: the owner knows before its mailbox goes. */
static void note_done(struct wr_mail *m)
{
    struct crowd *c = wr_container_of(m, struct crowd, done);

    crowd_done++;
    wr_mailbox_post(c->box, &c->leave);
}

/* Asks, and leaves sooner or later: before, while and after the answer comes. */
static void run_crowd(void *data)
{
    struct crowd *c = data;
    struct wr_loop *l = wr_loop_new(wr_poll_epoll_new());
    struct asker a;
    char name[32];
    unsigned i, k, turns;

    for (i = 0; i < ASKS; i++) {
        (void)snprintf(name, sizeof(name), "n%u.test", (unsigned)wr_rng_below(20));
        wr_dns_answer_unref(wr_dns_get(c->dns, WR_DNS_ADDRS, wr_str_z(name)));
        begin(&a, c->dns, name);
        turns = (unsigned)wr_rng_below(4);
        for (k = 0; k < turns && a.done.runs == 0; k++) {
            wr_loop_turn(l, (int)wr_rng_below(2));
        }
        wr_task_cancel(&a.done.task);
        wr_dns_end(&a.ask);
    }
    c->box = wr_mailbox_of_loop();
    wr_mailbox_post(c->owner, &c->done);
    wr_loop_run(l);
    wr_loop_free(l);
}

static void test_threads(void **state)
{
    struct crowd c[3];
    struct wr_dns *d = make_dns(0);
    unsigned i;

    (void)state;
    ns.ttl = 0;
    wr_clock_set_source(NULL);
    crowd_done = 0;
    for (i = 0; i < WR_ARRAY_LEN(c); i++) {
        c[i] = (struct crowd){.dns = d,
                              .owner = wr_mailbox_of_loop(),
                              .done = {.run = note_done},
                              .leave = {.run = leave_loop}};
        assert_int_equal(wr_thread_start(&c[i].thread, i, "asks", run_crowd, &c[i]), WR_OK);
    }
    while (crowd_done < WR_ARRAY_LEN(c)) {
        wr_loop_turn(ns.loop, 1);
        serve();
    }
    for (i = 0; i < WR_ARRAY_LEN(c); i++) {
        wr_thread_join(&c[i].thread);
    }
    for (i = 0; i < 1000 && d->running_cnt > 0; i++) {
        wr_loop_turn(ns.loop, 5);
        serve();
    }
    assert_int_equal(d->waiting_cnt, 0);
    wr_dns_unref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ttl, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_valid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_odd_ttl, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_join, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_partial, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bursts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bound_of_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bound_of_asks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_next_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mute_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
