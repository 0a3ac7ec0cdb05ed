/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to a worker with two threads, one of which is stuck: it is told of as such after the
 * deadline, the other one's facts are there; what it sends back too late is freed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* allow(library): the answer is JSON */
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "event/loop.h"
#include "main/worker_ask.c"

#define THREADS 2

static struct wr_loop *loop;
static struct wr_worker w;
static struct wr_worker_thread threads[THREADS];
static wr_atomic_u32 ready, may_run, may_end;
static int here = -1;

static void yield_a_little(void)
{
    (void)poll(NULL, 0, 1);
}

/* Thread 0 serves its mail; thread 1 only once it may. */
static void run_loop(void *data)
{
    struct wr_worker_thread *t = data;
    struct wr_loop *l = wr_loop_new(wr_poll_epoll_new());

    assert_non_null(l);
    t->mailbox = wr_mailbox_of_loop();
    (void)wr_add_acqrel(&ready, 1);
    while (t->no > 0 && wr_load_acq(&may_run) == 0) {
        yield_a_little();
    }
    while (wr_load_acq(&may_end) == 0) {
        wr_loop_turn(l, 5);
    }
    wr_loop_free(l);
}

static int start(void **state)
{
    (void)state;
    loop = wr_loop_new(wr_poll_epoll_new());
    w = (struct wr_worker){.threads = threads, .thread_cnt = THREADS};
    wr_list_init(&w.asks);
    w.mailbox = wr_mailbox_of_loop();
    wr_store_rel(&ready, 0);
    wr_store_rel(&may_run, 0);
    wr_store_rel(&may_end, 0);
    if (loop == NULL || wr_chan_open(&here, &w.chan) != WR_OK) {
        return -1;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct wr_worker_thread){.worker = &w, .no = i, .is_up = true};
        if (wr_thread_start(&threads[i].thread, i, "test", run_loop, &threads[i]) != WR_OK) {
            return -1;
        }
    }
    while (wr_load_acq(&ready) < THREADS) {
        yield_a_little();
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    wr_store_rel(&may_run, 1);
    wr_store_rel(&may_end, 1);
    for (unsigned i = 0; i < THREADS; i++) {
        wr_thread_join(&threads[i].thread);
    }
    wr_worker_end_asks(&w);
    wr_loop_free(loop); /* runs mail that came late */
    close(here);
    close(w.chan);
    return 0;
}

/* The next answer, by turns of the control thread's loop. */
static void wait_answer(struct wr_chan_msg *m)
{
    uint64_t until = wr_clock_mono_us() + 20000000;

    while (wr_chan_recv(here, m) == WR_AGAIN) {
        assert_true(wr_clock_mono_us() < until);
        wr_loop_turn(loop, 20);
    }
    assert_int_equal(m->type, WR_CHAN_ANSWER);
}

static json_t *parse_answer(const struct wr_chan_msg *m)
{
    struct stat st;
    json_t *v;
    char *p;

    assert_int_not_equal(m->fd, -1);
    assert_int_equal(fcntl(m->fd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
    assert_int_equal(fstat(m->fd, &st), 0);
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, m->fd, 0);
    assert_true(p != MAP_FAILED);
    v = json_loadb(p, (size_t)st.st_size, 0, NULL);
    (void)munmap(p, (size_t)st.st_size);
    close(m->fd);
    assert_non_null(v);
    return v;
}

static const char *state_of(const json_t *report, size_t thread)
{
    const json_t *t = json_array_get(json_object_get(report, "threads"), thread);

    return json_string_value(json_object_get(t, "state"));
}

static void test_stuck_thread(void **state)
{
    struct wr_chan_msg m;
    uint64_t began = wr_clock_mono_us();
    json_t *v;

    (void)state;
    wr_worker_ask(&w, 5, WR_STR("status"));
    wait_answer(&m);
    assert_int_equal(m.no, 5);
    assert_in_range((wr_clock_mono_us() - began) / 1000, DEADLINE_MS - 20, DEADLINE_MS + 15000);
    v = parse_answer(&m);
    assert_string_equal(state_of(v, 0), "serves");
    assert_string_equal(state_of(v, 1), "silent");
    json_decref(v);
    assert_true(wr_list_is_empty(&w.asks));
    /* It wakes up: its mail finds nobody, the next question finds both. */
    wr_store_rel(&may_run, 1);
    wr_worker_ask(&w, 6, WR_STR("status"));
    wait_answer(&m);
    assert_int_equal(m.no, 6);
    v = parse_answer(&m);
    assert_string_equal(state_of(v, 1), "serves");
    json_decref(v);
}

static void test_trace_of_nothing(void **state)
{
    struct wr_chan_msg m;
    struct stat st;

    (void)state;
    wr_store_rel(&may_run, 1);
    wr_worker_ask(&w, 1, WR_STR("trace connection 17"));
    wait_answer(&m);
    assert_true(wr_str_eq_z(m.text, "0"));
    assert_int_equal(fstat(m.fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    close(m.fd);
}

static void test_not_for_a_worker(void **state)
{
    static const char *const rows[] = {"reload", "", "status x"};
    struct wr_chan_msg m;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        wr_worker_ask(&w, i, wr_str_z(rows[i]));
        wait_answer(&m);
        assert_int_equal(m.no, i);
        assert_int_equal(m.fd, -1);
        assert_true(m.text.len > 2);
    }
}

/* More at once than a worker keeps; the rest is answered at the end of the deadline. */
static void test_limit(void **state)
{
    struct wr_chan_msg m;

    (void)state;
    for (uint64_t i = 0; i <= ASKS_MAX; i++) {
        wr_worker_ask(&w, i, WR_STR("status"));
    }
    wait_answer(&m);
    assert_int_equal(m.no, ASKS_MAX);
    assert_int_equal(m.fd, -1);
    for (uint64_t i = 0; i < ASKS_MAX; i++) {
        wait_answer(&m);
        assert_int_equal(m.no, i);
        assert_int_not_equal(m.fd, -1);
        close(m.fd);
    }
}

/* The worker ends with open questions, and mails on their way. */
static void test_end(void **state)
{
    (void)state;
    wr_worker_ask(&w, 1, WR_STR("status"));
    assert_false(wr_list_is_empty(&w.asks));
}

/* Before the first configuration there are no threads. */
static void test_no_threads(void **state)
{
    struct wr_chan_msg m;
    json_t *v;

    (void)state;
    w.thread_cnt = 0;
    wr_worker_ask(&w, 1, WR_STR("status"));
    wait_answer(&m);
    v = parse_answer(&m);
    assert_int_equal(json_array_size(json_object_get(v, "threads")), 0);
    json_decref(v);
    w.thread_cnt = THREADS;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stuck_thread, start, stop),
        cmocka_unit_test_setup_teardown(test_trace_of_nothing, start, stop),
        cmocka_unit_test_setup_teardown(test_not_for_a_worker, start, stop),
        cmocka_unit_test_setup_teardown(test_limit, start, stop),
        cmocka_unit_test_setup_teardown(test_end, start, stop),
        cmocka_unit_test_setup_teardown(test_no_threads, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
