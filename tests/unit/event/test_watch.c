/* SPDX-License-Identifier: Apache-2.0 */
/* test_watch.c: descriptors that no loop has: bytes and ends are told once, by number, and wake a
 * loop that has the watch. */
#include "unit/event/looptest.h"

#include "event/watch.h"

static void test_numbers(void **state)
{
    struct wr_watch w = WR_WATCH_INIT;
    int quiet[2], bytes[2], half[2], ended[2];
    uint64_t no[4], seen = 0;

    (void)state;
    assert_int_equal(wr_watch_open(&w), WR_OK);
    make_unix_pair(quiet);
    make_tcp_pair(bytes);
    make_tcp_pair(half);
    make_unix_pair(ended);
    assert_int_equal(wr_watch_attach(&w, quiet[0], 1), WR_OK);
    assert_int_equal(wr_watch_attach(&w, bytes[0], 2), WR_OK);
    assert_int_equal(wr_watch_attach(&w, half[0], 4), WR_OK);
    assert_int_equal(wr_watch_attach(&w, ended[0], UINT64_C(1) << 63), WR_OK);
    assert_int_equal(wr_watch_get(&w, no, 4), 0);
    assert_int_equal(write(bytes[1], "x", 1), 1);
    assert_int_equal(shutdown(half[1], SHUT_WR), 0);
    close(ended[1]);
    /* No more than asked for; the rest keeps. */
    assert_int_equal(wr_watch_get(&w, no, 1), 1);
    seen |= no[0];
    assert_int_equal(wr_watch_get(&w, no, 4), 2);
    seen |= no[0] | no[1];
    assert_true(seen == (2 | 4 | UINT64_C(1) << 63));
    /* Each once. */
    assert_int_equal(write(bytes[1], "x", 1), 1);
    assert_int_equal(wr_watch_get(&w, no, 4), 0);
    /* One that left is not told. */
    wr_watch_detach(&w, quiet[0]);
    assert_int_equal(write(quiet[1], "x", 1), 1);
    assert_int_equal(wr_watch_get(&w, no, 4), 0);
    wr_watch_close(&w);
    wr_watch_close(&w);
    for (int i = 0; i < 2; i++) {
        close(quiet[i]);
        close(bytes[i]);
        close(half[i]);
    }
    close(ended[0]);
}

/* What ended before it came is told too. */
static void test_late(void **state)
{
    struct wr_watch w = WR_WATCH_INIT;
    int fd[2];
    uint64_t no[2];

    (void)state;
    assert_int_equal(wr_watch_open(&w), WR_OK);
    make_unix_pair(fd);
    close(fd[1]);
    assert_int_equal(wr_watch_attach(&w, fd[0], 9), WR_OK);
    assert_int_equal(wr_watch_attach(&w, fd[0], 9), WR_ESYS);
    assert_int_equal(wr_watch_get(&w, no, 2), 1);
    assert_int_equal(no[0], 9);
    close(fd[0]);
    wr_watch_close(&w);
}

static void test_wakes_a_loop(void **state)
{
    struct wr_watch w = WR_WATCH_INIT;
    struct count_task c;
    struct wr_io io;
    uint64_t no[2];
    int fd[2];

    assert_int_equal(wr_watch_open(&w), WR_OK);
    count_task_init(&c);
    wr_io_init(&io, WR_IO_NOTIFY, &c.task);
    assert_int_equal(wr_io_adopt(&io, w.fd), WR_OK);
    make_unix_pair(fd);
    assert_int_equal(wr_watch_attach(&w, fd[0], 5), WR_OK);
    turn_idle(*state, 3);
    assert_int_equal(c.runs, 0);
    close(fd[1]);
    turn_until(*state, &c.runs, 1);
    io.facts &= (uint16_t)~WR_IO_READABLE;
    assert_int_equal(wr_watch_get(&w, no, 2), 1);
    assert_int_equal(no[0], 5);
    /* Told once: the loop is quiet again. */
    turn_idle(*state, 5);
    assert_int_equal(c.runs, 1);
    assert_int_equal(wr_io_detach(&io), w.fd);
    wr_watch_close(&w);
    close(fd[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_late),
        cmocka_unit_test_setup_teardown(test_wakes_a_loop, setup_loop, teardown_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
