/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between supervisor and worker, and the tables of descriptors that they fill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/chan.h"
#include "main/files.h"
#include "main/tmpdir.h"

static void test_messages(void **state)
{
    static const char text[] = "127.0.0.1:80";
    struct wr_chan_msg m;
    struct stat a, b;
    int here, there, fd;

    (void)state;
    assert_int_equal(wr_chan_open(&here, &there), WR_OK);
    assert_int_equal(wr_chan_recv(there, &m), WR_AGAIN);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(wr_chan_send(here, WR_CHAN_LISTEN, 3, wr_str_z(text), fd), WR_OK);
    assert_int_equal(wr_chan_send(here, WR_CHAN_QUIT, 0, WR_STR(""), -1), WR_OK);
    assert_int_equal(wr_chan_recv(there, &m), WR_OK);
    assert_int_equal(m.type, WR_CHAN_LISTEN);
    assert_int_equal(m.no, 3);
    assert_true(wr_str_eq_z(m.text, text));
    assert_true(m.fd != -1 && m.fd != fd);
    assert_int_equal(fcntl(m.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fstat(m.fd, &a), 0);
    assert_int_equal(fstat(fd, &b), 0);
    assert_int_equal(a.st_rdev, b.st_rdev);
    close(m.fd);
    close(fd);
    assert_int_equal(wr_chan_recv(there, &m), WR_OK);
    assert_int_equal(m.type, WR_CHAN_QUIT);
    assert_int_equal(m.fd, -1);
    close(here);
    assert_int_equal(wr_chan_recv(there, &m), WR_EPEERGONE);
    assert_int_equal(wr_chan_send(there, WR_CHAN_READY, 1, WR_STR(""), -1), WR_EPEERGONE);
    close(there);
}

/* A receiver that does not read: nobody waits. */
static void test_try(void **state)
{
    struct wr_chan_msg m;
    int here, there;
    unsigned cnt = 0;

    (void)state;
    assert_int_equal(wr_chan_open(&here, &there), WR_OK);
    while (wr_chan_try(here, WR_CHAN_ASK, cnt, WR_STR("status"), -1) == WR_OK) {
        cnt++;
    }
    assert_true(cnt > 0);
    assert_int_equal(wr_chan_try(here, WR_CHAN_ASK, cnt, WR_STR("status"), -1), WR_AGAIN);
    for (unsigned i = 0; i < cnt; i++) {
        assert_int_equal(wr_chan_recv(there, &m), WR_OK);
        assert_int_equal(m.type, WR_CHAN_ASK);
        assert_int_equal(m.no, i);
    }
    assert_int_equal(wr_chan_try(here, WR_CHAN_ANSWER, 0, WR_STR(""), -1), WR_OK);
    close(there);
    assert_int_equal(wr_chan_try(here, WR_CHAN_ASK, 0, WR_STR(""), -1), WR_EPEERGONE);
    close(here);
}

/* What an end said before it closed comes, though it has not read what it was sent. */
static void test_last_words(void **state)
{
    struct wr_chan_msg m;
    int here, there;

    (void)state;
    assert_int_equal(wr_chan_open(&here, &there), WR_OK);
    assert_int_equal(wr_chan_send(here, WR_CHAN_LOAD, 1, WR_STR(""), -1), WR_OK);
    assert_int_equal(wr_chan_send(there, WR_CHAN_READY, 1, WR_STR(""), -1), WR_OK);
    assert_int_equal(wr_chan_send(there, WR_CHAN_FAILED, 2, WR_STR("why"), -1), WR_OK);
    close(there);
    assert_int_equal(wr_chan_recv(here, &m), WR_OK);
    assert_int_equal(m.type, WR_CHAN_READY);
    assert_int_equal(wr_chan_recv(here, &m), WR_OK);
    assert_int_equal(m.type, WR_CHAN_FAILED);
    assert_true(wr_str_eq_z(m.text, "why"));
    assert_int_equal(wr_chan_recv(here, &m), WR_EPEERGONE);
    assert_int_equal(wr_chan_recv(here, &m), WR_EPEERGONE);
    close(here);
}

static void test_limits(void **state)
{
    static char big[WR_CHAN_TEXT_MAX + 1];
    struct wr_chan_msg m;
    int here, there;

    (void)state;
    memset(big, 'x', sizeof(big));
    assert_int_equal(wr_chan_open(&here, &there), WR_OK);
    assert_int_equal(wr_chan_send(here, WR_CHAN_LOG, 0, wr_str(big, sizeof(big)), -1), WR_ELIMIT);
    assert_int_equal(wr_chan_send(here, WR_CHAN_LOG, 0, wr_str(big, sizeof(big) - 1), -1), WR_OK);
    assert_int_equal(wr_chan_recv(there, &m), WR_OK);
    assert_int_equal(m.text.len, WR_CHAN_TEXT_MAX);
    assert_int_equal(send(here, "garbage", 7, 0), 7);
    assert_int_equal(wr_chan_recv(there, &m), WR_EPROTO);
    close(here);
    close(there);
}

/* What is written to the number of an entry lands in the new file after a reopen. */
static void test_reopen_keeps_the_number(void **state)
{
    char old_path[5000], new_path[5000];
    struct wr_file_entry *e;
    struct wr_tmpdir dir;
    struct wr_files t;
    struct stat st;
    int fd, number;

    (void)state;
    assert_int_equal(wr_tmpdir_make(&dir, "weir-unit"), WR_OK);
    (void)snprintf(old_path, sizeof(old_path), "%s/old", dir.path);
    (void)snprintf(new_path, sizeof(new_path), "%s/new", dir.path);
    wr_files_init(&t);
    fd = open(old_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    e = wr_files_add(&t, WR_STR("log"), 0, fd);
    number = e->fd;
    assert_int_equal(write(number, "one", 3), 3);
    fd = open(new_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(wr_files_replace(e, fd), WR_OK);
    assert_int_equal(e->fd, number);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken */
    assert_int_equal(fcntl(number, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(number, "three", 5), 5);
    assert_int_equal(stat(old_path, &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(stat(new_path, &st), 0);
    assert_int_equal(st.st_size, 5);
    wr_files_fini(&t);
    assert_int_equal(fcntl(number, F_GETFD), -1);
    wr_tmpdir_remove(&dir);
}

static void test_table(void **state)
{
    struct wr_file_entry *a, *b;
    struct wr_files t;

    (void)state;
    wr_files_init(&t);
    assert_null(wr_files_next(&t, NULL));
    a = wr_files_add(&t, WR_STR("x:80"), 0, -1);
    b = wr_files_add(&t, WR_STR("x:80"), 1, -1);
    assert_ptr_equal(wr_files_find(&t, WR_STR("x:80"), 0), a);
    assert_ptr_equal(wr_files_find(&t, WR_STR("x:80"), 1), b);
    assert_null(wr_files_find(&t, WR_STR("x:8"), 0));
    assert_null(wr_files_find(&t, WR_STR("x:80"), 2));
    assert_int_equal(a->name.ptr[a->name.len], '\0');
    wr_files_remove(a);
    assert_null(wr_files_find(&t, WR_STR("x:80"), 0));
    assert_ptr_equal(wr_files_next(&t, NULL), b);
    wr_files_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_try),
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_reopen_keeps_the_number),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
