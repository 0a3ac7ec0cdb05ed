/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_files.c: the table of descriptors; a file that replaces another waits for the lines that
 * threads hold, which belong to the file of before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event/loop.h"
#include "event/poll.h"
#include "main/files.h"
#include "observe/access_log_int.h"

static struct wr_files table;
static struct wr_access_log_member member;
static int number, flushed;

static int open_pipe(int *ret_read)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    *ret_read = fds[0];
    return fds[1];
}

static void flush(void)
{
    flushed++;
    assert_int_equal(write(number, "late", 4), 4);
}

static size_t left_in(int fd)
{
    char buf[64];
    ssize_t n = read(fd, buf, sizeof(buf));

    return n > 0 ? (size_t)n : 0;
}

static void at_once(void **state)
{
    int a, b, old = open_pipe(&a), new = open_pipe(&b);
    struct wr_file_entry *e;

    (void)state;
    wr_files_init(&table);
    e = wr_files_add(&table, WR_STR("/x"), 0, old);
    assert_ptr_equal(wr_files_find(&table, WR_STR("/x"), 0), e);
    assert_null(wr_files_find(&table, WR_STR("/x"), 1));
    assert_int_equal(wr_files_replace(e, new), WR_OK);
    assert_int_equal(fcntl(new, F_GETFD), -1);
    assert_int_equal(write(old, "x", 1), 1);
    assert_int_equal(left_in(b), 1);
    wr_files_fini(&table);
    (void)close(a);
    (void)close(b);
}

/* How many of the new files that were given is the one in the end; the entry may go meanwhile. */
static void later(void **state)
{
    static const struct {
        int given;
        bool is_removed;
    } cases[] = {
        {1, false},
        {3, false},
        {1, true },
        {2, true }
    };

    (void)state;
    for (size_t c = 0; c < WR_ARRAY_LEN(cases); c++) {
        struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());
        struct wr_file_entry *e;
        int old, news[3], fds[3];

        wr_files_init(&table);
        number = open_pipe(&old);
        e = wr_files_add(&table, WR_STR("/x"), 0, number);
        wr_access_log_join(&member, flush);
        for (int i = 0; i < cases[c].given; i++) {
            fds[i] = open_pipe(&news[i]);
            assert_int_equal(wr_files_replace(e, fds[i]), WR_OK);
        }
        assert_int_equal(write(number, "x", 1), 1);
        flushed = 0;
        if (cases[c].is_removed) {
            wr_access_log_leave(&member);
            wr_files_remove(e);
        }
        for (int i = 0; i < 4; i++) {
            wr_loop_turn(loop, 0);
        }
        assert_int_equal(flushed, cases[c].is_removed ? 0 : 1);
        assert_int_equal(left_in(old), cases[c].is_removed ? 1 : 5); /* all of before */
        for (int i = 0; i < cases[c].given; i++) {
            assert_int_equal(fcntl(fds[i], F_GETFD), -1);
            assert_int_equal(left_in(news[i]), 0);
        }
        if (!cases[c].is_removed) {
            assert_int_equal(write(number, "xy", 2), 2);
            assert_int_equal(left_in(news[cases[c].given - 1]), 2);
            wr_access_log_leave(&member);
        }
        wr_files_fini(&table);
        wr_loop_free(loop);
        (void)close(old);
        for (int i = 0; i < cases[c].given; i++) {
            (void)close(news[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_once),
        cmocka_unit_test(later),
    };

    return cmocka_run_group_tests_name("main/files", tests, NULL, NULL);
}
