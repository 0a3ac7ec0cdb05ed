/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_work.c: works of a request: done and read, given up at every moment, too many, no memory.
 * A work is wiped and freed exactly once; sanitizers see the rest.
 */
#include "http/work.h"

#include <semaphore.h>

#include "conf/dirs.h"
#include "conf/gen.h"
#include "http/req_int.h"
#include "unit/event/looptest.h"

struct sum_work {
    struct wr_req_work work; /* first */
    unsigned in, out;
};

static sem_t gate;
static wr_atomic_u32 begin_cnt, run_cnt;
static unsigned wipe_cnt;

static void run_sum(struct wr_req_work *w)
{
    struct sum_work *s = wr_container_of(w, struct sum_work, work);

    s->out = s->in + 1;
    (void)wr_add_rlx(&run_cnt, 1);
}

static void run_at_gate(struct wr_req_work *w)
{
    (void)wr_add_rlx(&begin_cnt, 1);
    while (sem_wait(&gate) != 0) {
        continue;
    }
    run_sum(w);
}

static void wipe(struct wr_req_work *w)
{
    wr_container_of(w, struct sum_work, work)->in = 0;
    wipe_cnt++;
}

/* A request as far as works know it, and a pool of one thread. */
struct kit {
    struct wr_loop *loop;
    struct wr_reqx x;
    struct wr_fixtures fixtures;
    struct wr_gen *gen;
    struct wr_work_pool *pool;
};

static unsigned wakes;

static void note_wake(struct wr_task *t)
{
    (void)t;
    wakes++;
}

static int setup(void **state)
{
    static const struct wr_work_pool_conf pool = {.name = "test", .threads = 1, .queue_max = 4};
    struct kit *k = wr_mem_alloc(sizeof(*k));
    struct wr_conf_opts opts = {.fixtures = &k->fixtures};
    struct wr_conf cf = {.opts = &opts};
    struct wr_work_pool *again = NULL;
    void *loop = NULL;

    if (setup_loop(&loop) != 0) {
        return 1;
    }
    k->loop = loop;
    wakes = wipe_cnt = 0;
    wr_store_rlx(&begin_cnt, 0);
    wr_store_rlx(&run_cnt, 0);
    sem_init(&gate, 0, 0);
    wr_list_init(&k->x.works);
    wr_task_init(&k->x.r.task, note_wake, "req");
    wr_fixtures_init(&k->fixtures);
    k->gen = wr_gen_new(1, 0);
    cf.gen = k->gen;
    assert_int_equal(wr_work_pool_get(&cf, &pool, &k->pool), WR_OK);
    assert_int_equal(wr_work_pool_get(&cf, &pool, &again), WR_OK);
    assert_ptr_equal(again, k->pool);
    opts.fixtures = NULL;
    assert_int_equal(wr_work_pool_get(&cf, &pool, &again), WR_OK);
    assert_null(again); /* a dry run */
    *state = k;
    return 0;
}

static int teardown(void **state)
{
    struct kit *k = *state;

    wr_req_work_free_all(&k->x.works);
    assert_true(wr_work_thread_end(10000));
    wr_gen_unref(k->gen);
    wr_fixtures_fini(&k->fixtures);
    wr_task_cancel(&k->x.r.task);
    wr_loop_free(k->loop);
    wr_mem_free(k);
    return 0;
}

static struct sum_work *make(struct kit *k, wr_req_work_fn *run, unsigned in)
{
    struct sum_work *s = wr_req_work_new(&k->x.r, sizeof(*s), run, wipe);

    assert_non_null(s);
    assert_false(wr_req_work_is_done(&s->work));
    s->in = in;
    return s;
}

static void test_done(void **state)
{
    struct kit *k = *state;
    struct sum_work *s = make(k, run_sum, 41);

    assert_int_equal(wr_req_work_start(k->pool, &s->work), WR_OK);
    assert_true(wr_work_thread_end(10000));
    turn_until(k->loop, &wakes, 1);
    assert_true(wr_req_work_is_done(&s->work));
    assert_int_equal(s->out, 42);
    wr_req_work_free(&s->work);
    assert_int_equal(wipe_cnt, 1);
    assert_true(wr_list_is_empty(&k->x.works));
    wr_req_work_free(NULL);
}

static void test_never_started(void **state)
{
    struct kit *k = *state;

    wr_req_work_free(&make(k, run_sum, 1)->work);
    (void)make(k, run_sum, 2);
    wr_req_work_free_all(&k->x.works);
    assert_int_equal(wipe_cnt, 2);
    assert_int_equal(wr_load_rlx(&run_cnt), 0);
}

/* The first is at work when the request goes, the second waits: it is not begun any more. */
static void test_given_up(void **state)
{
    struct kit *k = *state;
    struct sum_work *a = make(k, run_at_gate, 1), *b = make(k, run_at_gate, 2);

    assert_int_equal(wr_req_work_start(k->pool, &a->work), WR_OK);
    assert_int_equal(wr_req_work_start(k->pool, &b->work), WR_OK);
    while (wr_load_rlx(&begin_cnt) == 0) {
        continue;
    }
    wr_req_work_free_all(&k->x.works);
    assert_false(wr_work_thread_end(30)); /* it does not wait for ever */
    sem_post(&gate);
    assert_true(wr_work_thread_end(10000));
    assert_int_equal(wipe_cnt, 2);
    assert_int_equal(wakes, 0);
    assert_int_equal(wr_load_rlx(&run_cnt), 1);
}

static void test_given_up_when_done(void **state)
{
    struct kit *k = *state;
    struct sum_work *s = make(k, run_sum, 1);

    assert_int_equal(wr_req_work_start(k->pool, &s->work), WR_OK);
    while (wr_load_rlx(&run_cnt) == 0) {
        continue; /* it ran; its mail is here or comes */
    }
    wr_req_work_free(&s->work);
    assert_true(wr_work_thread_end(10000));
    assert_int_equal(wipe_cnt, 1);
    assert_int_equal(wakes, 0);
}

static void test_too_many(void **state)
{
    struct kit *k = *state;
    unsigned ok = 0;

    for (unsigned i = 0; i < 20; i++) {
        struct sum_work *s = make(k, run_at_gate, i);
        enum wr_status st = wr_req_work_start(k->pool, &s->work);

        assert_true(st == WR_OK || st == WR_ELIMIT);
        ok += st == WR_OK;
        if (st != WR_OK) {
            wr_req_work_free(&s->work);
        }
    }
    assert_in_range(ok, 4, 5); /* one may be at work */
    assert_int_equal(wipe_cnt, 20 - ok);
    for (unsigned i = 0; i < ok; i++) {
        sem_post(&gate);
    }
    assert_true(wr_work_thread_end(10000));
    assert_int_equal(wr_load_rlx(&run_cnt), ok);
    wr_req_work_free_all(&k->x.works);
    assert_int_equal(wipe_cnt, 20);
}

static void test_no_memory(void **state)
{
    struct kit *k = *state;

    wr_mem_fault_set(1);
    assert_null(wr_req_work_new(&k->x.r, sizeof(struct sum_work), run_sum, wipe));
    wr_mem_fault_set(0);
    assert_true(wr_list_is_empty(&k->x.works));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_started, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up_when_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
