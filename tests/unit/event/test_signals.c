/* SPDX-License-Identifier: Apache-2.0 */
/* test_signals.c: signals wake the task and are taken one by one. */
#include "unit/event/looptest.h"

#include <errno.h>

#include "event/signals.h"
#include "event/thread.h"

static void test_take(void **state)
{
    struct wr_signals s;
    struct count_task t;
    sigset_t set;
    int signo = 0, pid = 0;
    unsigned seen = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGHUP);
    wr_signals_block(&set);
    count_task_init(&t);
    assert_int_equal(wr_signals_open(&s, &set, &t.task), WR_OK);
    assert_false(wr_signals_take(&s, &signo, &pid));
    for (int round = 0; round < 3; round++) {
        seen = 0;
        t.runs = 0;
        kill(getpid(), SIGHUP);
        kill(getpid(), SIGUSR1);
        turn_until(*state, &t.runs, 1);
        while (wr_signals_take(&s, &signo, &pid)) {
            seen |= signo == SIGHUP ? 1u : signo == SIGUSR1 ? 2u : 4u;
            assert_int_equal(pid, getpid());
        }
        assert_int_equal(seen, 3);
        wr_loop_turn(*state, 0);
        assert_int_equal(t.runs, 1);
    }
    wr_signals_close(&s);
    wr_signals_close(&s);
    assert_false(wr_signals_take(&s, &signo, &pid));
}

static uint32_t seen_no;
static sigset_t seen_mask;

static void look(void *data)
{
    seen_no = wr_local_get()->thread_no;
    pthread_sigmask(SIG_BLOCK, NULL, &seen_mask);
    *(int *)data = 42;
}

static void test_thread(void **state)
{
    struct wr_thread t;
    sigset_t before, after;
    int value = 0;

    (void)state;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_int_equal(wr_thread_start(&t, 7, "look", look, &value), WR_OK);
    wr_thread_join(&t);
    wr_thread_join(&t);
    assert_int_equal(value, 42);
    assert_int_equal(seen_no, 7);
    assert_int_equal(sigismember(&seen_mask, SIGTERM), 1);
    assert_int_equal(sigismember(&seen_mask, SIGCHLD), 1);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

static void test_cpus(void **state)
{
    (void)state;
    assert_true(wr_thread_cpus() >= 1);
    assert_true(wr_thread_cpus() <= (unsigned)sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(wr_thread_pin(1u << 20), WR_ESYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_take, setup_loop, teardown_loop),
        cmocka_unit_test(test_thread),
        cmocka_unit_test(test_cpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
