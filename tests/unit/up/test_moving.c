/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_moving.c: groups whose peers follow DNS (U1.6): lists that are made, taken and freed, the
 * facts of peers that stay, requests that wait, the end of a generation in the middle, memory that
 * runs out at every allocation, and threads that take lists while names move.
 */
#include "unit/net/dns_kit.h"

#include <stdio.h>

#include "base/rng.h"
#include "event/thread.h"
#include "http/resolver.h"
#include "lb/rr.h"
#include "up/moving.c"

static struct {
    struct wr_fixtures fixtures;
    struct wr_conf_opts opts;
    struct wr_gen *gen;
    struct wr_members base;
    struct wr_moving_line line;
    struct wr_moving_plan plan;
    struct wr_moving *mv;
    uint64_t fault; /* allocation that fails behind the start of load */
} w;

static void end_resolver(struct wr_fixture *f)
{
    struct wr_resolver *r = wr_container_of(f, struct wr_resolver, fixture);

    wr_dns_unref(r->dns);
    wr_mem_free(r);
}

static const struct wr_fixture_ops resolver_ops = {.kind = "resolver", .free = end_resolver};

static struct wr_resolver *make_resolver(void)
{
    struct wr_fixture *f = wr_fixtures_get(&w.fixtures, &resolver_ops, WR_STR("r"), 0);
    struct wr_resolver *r;

    if (f != NULL) {
        return wr_container_of(f, struct wr_resolver, fixture);
    }
    r = wr_mem_alloc(sizeof(*r));
    r->dns = make_dns(1000);
    assert_int_equal(wr_fixtures_add(&w.fixtures, &r->fixture, &resolver_ops, WR_STR("r"), 0),
                     WR_OK);
    return r;
}

/* A generation with one group of one line. */
static enum wr_status load(void)
{
    struct wr_conf cf = {.opts = &w.opts};
    struct wr_resolver *r = make_resolver();

    w.gen = wr_gen_new(1, 0);
    cf.gen = w.gen;
    cf.arena = &w.gen->arena;
    assert_int_equal(wr_gen_use(w.gen, &r->fixture), WR_OK);
    w.base = (struct wr_members){.name = WR_STR("u"), .lb = &wr_lb_rr};
    w.line = (struct wr_moving_line){
        .like = {.server = WR_STR("a.test"), .weight = 4, .max_fails = 1, .fail_timeout_ms = 10000},
        .name = WR_STR("a.test"),
        .port = 80
    };
    w.plan = (struct wr_moving_plan){
        .members = &w.base, .lines = &w.line, .line_cnt = 1, .resolver = r, .timeout_ms = 5};
    wr_mem_fault_set(w.fault);
    return wr_moving_new(&cf, &w.plan, &w.mv);
}

static int begin_world(void **state)
{
    int rc = set_up(state);

    memset(&w, 0, sizeof(w));
    wr_fixtures_init(&w.fixtures);
    w.opts.fixtures = &w.fixtures;
    return rc;
}

static void end_gen(void)
{
    wr_gen_unref(wr_take(&w.gen));
}

/* All is given back: nothing but the registry names anything. */
static int end_world(void **state)
{
    end_gen();
    turn_idle(ns.loop, 3);
    (void)wr_fixtures_sweep(&w.fixtures);
    assert_int_equal(w.fixtures.cnt, 0);
    wr_fixtures_fini(&w.fixtures);
    return tear_down(state);
}

static void turn_some(void)
{
    for (int i = 0; i < 12; i++) {
        turn();
    }
}

/* The answer is over, the next one comes. */
static void let_move(unsigned first, unsigned records)
{
    ns.first = (uint8_t)first;
    ns.records = (uint8_t)records;
    now_us += 1001 * 1000;
    turn_some();
}

static const struct wr_members *take(struct wr_arena *a)
{
    const struct wr_members *m = NULL;

    wr_arena_init(a, 1 << 20);
    assert_int_equal(wr_moving_get(w.mv, a, NULL, &m, NULL), WR_OK);
    return m;
}

/* "127.0.0.1:80 127.0.0.2:80" of the list of the moment. */
static void check_list(const char *want)
{
    struct wr_arena a;
    const struct wr_members *m = take(&a);
    char got[512];
    size_t len = 0, i;

    got[0] = '\0';
    for (i = 0; i < m->cnt; i++) {
        len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%.*s", i > 0 ? " " : "",
                                (int)m->at[i].peer->text_len, m->at[i].peer->text);
    }
    assert_string_equal(got, want);
    assert_int_equal(m->up_cnt, m->cnt);
    assert_true(m->has_accounting == (m->cnt > 1));
    wr_arena_fini(&a);
}

static void test_lists(void **state)
{
    struct wr_arena old;
    const struct wr_members *m;

    (void)state;
    assert_int_equal(load(), WR_OK);
    check_list("");
    turn_some();
    check_list("127.0.0.1:80");
    m = take(&old);
    let_move(1, 2);
    check_list("127.0.0.2:80 127.0.0.3:80");
    /* Who took the old one has it, and its peer, whatever is swept. */
    now_us += SWEEP_MS * 1000 * 2;
    turn_some();
    assert_int_equal(m->cnt, 1);
    assert_string_equal(m->at[0].peer->text, "127.0.0.1:80");
    assert_int_equal(w.fixtures.cnt, 3 + 3); /* resolver, name, group; peers */
    wr_arena_fini(&old);
    (void)wr_fixtures_sweep(&w.fixtures);
    assert_int_equal(w.fixtures.cnt, 3 + 2);
    /* U1.6: an answer without any, and one that says it failed. */
    let_move(5, 0);
    check_list("127.0.0.2:80 127.0.0.3:80");
    ns.rcode = 2;
    let_move(5, 1);
    check_list("127.0.0.2:80 127.0.0.3:80");
    ns.rcode = 0;
    let_move(5, 1);
    check_list("127.0.0.6:80");
}

/* Peers come and go for ever; what is gone is freed. */
static void test_churn(void **state)
{
    unsigned i;

    (void)state;
    assert_int_equal(load(), WR_OK);
    for (i = 0; i < 120; i++) {
        let_move(i, 2);
        assert_in_range(w.fixtures.cnt, 4, 3 + 2 + 2 * (SWEEP_MS / 1000 + 1));
    }
    check_list("127.0.0.120:80 127.0.0.121:80");
}

/* What failures left of a weight, and the facts of a peer, are those of before. */
static void test_state_stays(void **state)
{
    const struct wr_members *m;
    struct wr_arena a;
    uint64_t id;

    (void)state;
    assert_int_equal(load(), WR_OK);
    let_move(0, 2);
    m = take(&a);
    wr_store_rlx(m->at[1].effective, 1);
    id = m->at[1].peer->id;
    wr_arena_fini(&a);
    let_move(1, 2);
    m = take(&a);
    assert_true(m->at[0].peer->id == id);
    assert_int_equal(wr_load_rlx(m->at[0].effective), 1);
    assert_int_equal(wr_load_rlx(m->at[1].effective), 4);
    wr_arena_fini(&a);
}

/* A new generation begins with what is known; the old one ends whenever. */
static void test_generations(void **state)
{
    struct wr_gen *old;
    struct wr_moving *mv;

    (void)state;
    assert_int_equal(load(), WR_OK);
    let_move(0, 2);
    old = w.gen;
    mv = w.mv;
    ns.rcode = 2;
    assert_int_equal(load(), WR_OK);
    check_list("127.0.0.1:80 127.0.0.2:80");
    wr_gen_unref(old);
    assert_null(mv->plan);
    assert_null(mv->current);
    ns.rcode = 0;
    let_move(7, 1); /* the old one makes no list any more */
    assert_null(mv->current);
    check_list("127.0.0.8:80");
    now_us += SWEEP_MS * 1000 * 2;
    turn_some();
    assert_int_equal(w.fixtures.cnt, 4);
}

/* U1.6: a request before the first answer waits for it. */
static void test_waits(void **state)
{
    struct count_task t[3];
    struct wr_moving_wait *wait[3] = {NULL};
    const struct wr_members *m = NULL;
    struct wr_arena a;
    unsigned i;

    (void)state;
    ns.is_silent = true;
    assert_int_equal(load(), WR_OK);
    wr_arena_init(&a, 1 << 20);
    for (i = 0; i < 3; i++) {
        count_task_init(&t[i]);
        assert_int_equal(wr_moving_get(w.mv, &a, &t[i].task, &m, &wait[i]), WR_AGAIN);
        assert_false(wr_moving_wait_is_over(wait[i]));
    }
    wr_moving_wait_end(&wait[0]);
    assert_null(wait[0]);
    check_list(""); /* whoever does not wait */
    ns.is_silent = false;
    for (i = 0; i < 1000 && !wr_moving_wait_is_over(wait[1]); i++) {
        wr_loop_turn(ns.loop, 10);
        serve();
    }
    turn_some();
    assert_int_equal(t[0].runs, 0);
    assert_int_equal(t[1].runs + t[2].runs, 2);
    wr_moving_wait_end(&wait[1]);
    wr_moving_wait_end(&wait[2]);
    assert_int_equal(wr_moving_get(w.mv, &a, &t[0].task, &m, &wait[0]), WR_OK);
    assert_int_equal(m->cnt, 1);
    wr_arena_fini(&a);
}

/* ... also for one that says that there are none, and not a second time. */
static void test_waits_for_nothing(void **state)
{
    struct wr_moving_wait *wait = NULL;
    const struct wr_members *m = NULL;
    struct wr_lb_ctx ctx;
    struct count_task t;
    struct wr_arena a;
    uint32_t no;

    (void)state;
    ns.records = 0;
    assert_int_equal(load(), WR_OK);
    wr_arena_init(&a, 1 << 20);
    count_task_init(&t);
    assert_int_equal(wr_moving_get(w.mv, &a, &t.task, &m, &wait), WR_AGAIN);
    turn_some();
    assert_int_equal(t.runs, 1);
    wr_moving_wait_end(&wait);
    assert_int_equal(wr_moving_get(w.mv, &a, &t.task, &m, &wait), WR_OK);
    assert_int_equal(m->cnt, 0);
    ctx = (struct wr_lb_ctx){.members = m};
    assert_int_equal(m->lb->pick(&ctx, &no), WR_EOF);
    wr_arena_fini(&a);
}

/* A wait that is ended while its mail is on the way. */
static void test_wait_is_left(void **state)
{
    struct wr_moving_wait *wait = NULL;
    const struct wr_members *m = NULL;
    struct count_task t;
    struct wr_arena a;

    (void)state;
    assert_int_equal(load(), WR_OK);
    wr_arena_init(&a, 1 << 20);
    count_task_init(&t);
    assert_int_equal(wr_moving_get(w.mv, &a, &t.task, &m, &wait), WR_AGAIN);
    publish(w.mv, make_list(w.mv, w.mv->plan)); /* empty, and the name has no answer: it waits on */
    turn_idle(ns.loop, 1);
    assert_false(wr_moving_wait_is_over(wait));
    while (wr_load_acq(&w.mv->is_pending) != 0) {
        serve();
        wr_loop_turn(ns.loop, 1);
    }
    wr_moving_wait_end(&wait);
    turn_some();
    assert_int_equal(t.runs <= 1, 1);
    wr_task_cancel(&t.task);
    wr_arena_fini(&a);
}

static void pass_seconds(unsigned n)
{
    unsigned i, k;

    for (i = 0; i < n; i++) {
        now_us += 1001 * 1000;
        for (k = 0; k < 8; k++) {
            turn();
        }
    }
}

/* Each allocation of a build and of a change fails once: nothing leaks, the next change comes. */
static void test_memory(void **state)
{
    uint64_t n, cnt = 1;

    (void)state;
    ns.records = 2;
    for (n = 1; n <= cnt; n++) { /* until there were fewer than n */
        ns.first = 0;
        w.fault = n;
        if (load() == WR_OK) {
            pass_seconds(2);
            ns.first = 3;
            pass_seconds(2);
        }
        cnt = wr_mem_fault_count() < n ? 0 : n + 1;
        w.fault = 0;
        wr_mem_fault_set(0);
        if (w.mv != NULL) {
            pass_seconds(SWEEP_MS / 1000 + 2);
            check_list("127.0.0.4:80 127.0.0.5:80");
        }
        w.mv = NULL;
        end_gen();
        pass_seconds(1);
        (void)wr_fixtures_sweep(&w.fixtures);
        assert_int_equal(w.fixtures.cnt, 0);
    }
    assert_true(n > 20);
}

/* --- threads --- */

struct crowd {
    struct wr_mailbox *owner, *box;
    struct wr_mail done, leave;
    struct wr_thread thread;
    wr_atomic_u32 taken;
};

static wr_atomic_u32 crowd_over;
static unsigned crowd_done;

static void leave_loop(struct wr_mail *m)
{
    (void)m;
    wr_loop_stop(wr_loop_get());
}

static void note_done(struct wr_mail *m)
{
    struct crowd *c = wr_container_of(m, struct crowd, done);

    crowd_done++;
    wr_mailbox_post(c->box, &c->leave);
}

static void use_list(const struct wr_members *m)
{
    struct wr_lb_ctx ctx = {.members = m, .thread_no = wr_local_get()->thread_no};
    uint32_t i;

    for (i = 0; i < m->cnt; i++) {
        assert_true(m->at[i].peer->text_len > 10);
    }
    if (m->lb->pick(&ctx, &i) == WR_OK) {
        wr_store_rlx(m->at[i].effective, 1);
    }
}

static void run_crowd(void *data)
{
    struct crowd *c = data;
    struct wr_loop *l = wr_loop_new(wr_poll_epoll_new());
    struct wr_moving_wait *wait = NULL;
    const struct wr_members *m;
    struct count_task t;
    struct wr_arena a;

    count_task_init(&t);
    while (wr_load_acq(&crowd_over) == 0) {
        wr_arena_init(&a, 1 << 20);
        if (wr_moving_get(w.mv, &a, &t.task, &m, &wait) == WR_OK) {
            use_list(m);
            wr_add_rlx(&c->taken, 1);
        }
        wr_loop_turn(l, (int)wr_rng_below(2));
        wr_moving_wait_end(&wait);
        wr_arena_fini(&a);
    }
    wr_task_cancel(&t.task);
    c->box = wr_mailbox_of_loop();
    wr_mailbox_post(c->owner, &c->done);
    wr_loop_run(l);
    wr_loop_free(l);
}

static void test_threads(void **state)
{
    static struct crowd c[3];
    unsigned i;

    (void)state;
    wr_store_rel(&crowd_over, 0);
    crowd_done = 0;
    ns.ttl = 0;
    assert_int_equal(load(), WR_OK);
    memset(c, 0, sizeof(c));
    for (i = 0; i < WR_ARRAY_LEN(c); i++) {
        c[i].owner = wr_mailbox_of_loop();
        c[i].done.run = note_done;
        c[i].leave.run = leave_loop;
        assert_int_equal(wr_thread_start(&c[i].thread, i, "takes", run_crowd, &c[i]), WR_OK);
    }
    for (i = 0; i < 30; i++) {
        let_move(i % 7, 1 + i % 3);
        wr_loop_turn(ns.loop, 5);
    }
    wr_store_rel(&crowd_over, 1);
    while (crowd_done < WR_ARRAY_LEN(c)) {
        wr_loop_turn(ns.loop, 1);
        serve();
    }
    for (i = 0; i < WR_ARRAY_LEN(c); i++) {
        wr_thread_join(&c[i].thread);
        assert_true(wr_load_rlx(&c[i].taken) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lists, begin_world, end_world),
        cmocka_unit_test_setup_teardown(test_churn, begin_world, end_world),
        cmocka_unit_test_setup_teardown(test_state_stays, begin_world, end_world),
        cmocka_unit_test_setup_teardown(test_generations, begin_world, end_world),
        cmocka_unit_test_setup_teardown(test_waits, begin_world, end_world),
        cmocka_unit_test_setup_teardown(test_waits_for_nothing, begin_world, end_world),
        cmocka_unit_test_setup_teardown(test_wait_is_left, begin_world, end_world),
        cmocka_unit_test_setup_teardown(test_memory, begin_world, end_world),
        cmocka_unit_test_setup_teardown(test_threads, begin_world, end_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
