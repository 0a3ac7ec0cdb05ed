/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_access_log_sync.c: a round ends when every thread has flushed what it held when the round
 * was asked for; threads that come and go meanwhile hold nothing up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "event/loop.h"
#include "event/poll.h"
#include "event/thread.h"
#include "observe/access_log_sync.c"

#define THREADS 4

static unsigned flushed, rounds_done;

static void count_flush(void)
{
    flushed++;
}

static void count_done(struct wr_mail *m)
{
    (void)m;
    rounds_done++;
}

static void one_thread(void **state)
{
    struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());
    struct wr_access_log_member m = {.is_posted = false};
    struct wr_mail done[3] = {{.run = count_done}, {.run = count_done}, {.run = count_done}};

    (void)state;
    assert_false(wr_access_log_sync(&done[0])); /* nobody */
    wr_access_log_join(&m, count_flush);
    assert_true(wr_access_log_sync(&done[0]));
    assert_true(wr_access_log_sync(&done[1]));
    assert_int_equal(flushed, 0);
    wr_loop_turn(loop, 0);
    wr_loop_turn(loop, 0);
    assert_int_equal(flushed, 1); /* one for both */
    assert_int_equal(rounds_done, 2);
    assert_true(wr_access_log_sync(&done[2]));
    wr_access_log_leave(&m); /* before its mail comes */
    wr_loop_turn(loop, 0);
    wr_loop_turn(loop, 0);
    assert_int_equal(flushed, 1);
    assert_int_equal(rounds_done, 3);
    assert_false(wr_access_log_sync(&done[0]));
    assert_true(wr_list_is_empty(&asked.rounds));
    wr_loop_free(loop);
}

/* ---- many threads: each writes a number, flushing publishes it ----------------------------------
 */

struct worker {
    struct wr_thread thread;
    wr_atomic_u64 written, published;
};

static struct worker workers[THREADS];
static WR_THREAD_LOCAL struct worker *me;
static WR_THREAD_LOCAL struct wr_access_log_member member;
static wr_atomic_u32 want_end;

static void publish(void)
{
    wr_store_rel(&me->published, wr_load_rlx(&me->written));
}

static void run_worker(void *data)
{
    struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());

    me = data;
    for (unsigned i = 0; wr_load_acq(&want_end) == 0; i++) {
        if (i % 16 == 0) {
            wr_access_log_join(&member, publish);
        }
        (void)wr_add_rlx(&me->written, 1);
        wr_loop_turn(loop, 0);
        if (i % 16 == 15) {
            publish();
            wr_access_log_leave(&member);
        }
    }
    publish();
    if (member.flush) {
        wr_access_log_leave(&member);
    }
    wr_loop_free(loop);
}

static void many_threads(void **state)
{
    struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());
    uint64_t until = wr_clock_mono_us() + 20000000;

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        workers[i].thread = (struct wr_thread){.no = 0};
        assert_int_equal(
            wr_thread_start(&workers[i].thread, (uint32_t)i, "test", run_worker, &workers[i]),
            WR_OK);
    }
    for (int turn = 0; turn < 40; turn++) {
        struct wr_mail done = {.run = count_done};
        uint64_t before[THREADS];

        for (int i = 0; i < THREADS; i++) {
            before[i] = wr_load_acq(&workers[i].written);
        }
        rounds_done = 0;
        if (wr_access_log_sync(&done)) {
            while (rounds_done == 0 && wr_clock_mono_us() < until) {
                wr_loop_turn(loop, 100);
            }
            assert_int_equal(rounds_done, 1);
            for (int i = 0; i < THREADS; i++) {
                /* A thread that is just joining had published all but the line of now. */
                assert_true(wr_load_acq(&workers[i].published) + 1 >= before[i]);
            }
        }
    }
    wr_store_rel(&want_end, 1);
    for (int i = 0; i < THREADS; i++) {
        wr_thread_join(&workers[i].thread);
    }
    assert_int_equal(asked.member_cnt, 0);
    assert_true(wr_list_is_empty(&asked.rounds));
    wr_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread),
        cmocka_unit_test(many_threads),
    };

    return cmocka_run_group_tests_name("observe/access_log_sync", tests, NULL, NULL);
}
