/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_append.c: logs are opened without waiting for anybody, made once, written as far as there is
 * room; pipes and what cannot be made non-blocking stall nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/append.h"

static char dir[] = "/tmp/wr_append_XXXXXX";

static const char *in_dir(const char *name)
{
    static char room[4][256];
    static unsigned turn;
    char *p = room[turn++ % 4];

    (void)snprintf(p, sizeof(room[0]), "%s/%s", dir, name);
    return p;
}

static int open_ok(const char *name, bool *is_new)
{
    int fd = -1, err = 0;

    assert_int_equal(wr_append_open(in_dir(name), WR_APPEND_MODE, &fd, is_new, &err), WR_OK);
    return fd;
}

static enum wr_status put(int fd, enum wr_append_kind kind, const char *text, size_t *done)
{
    int err = 0;

    return wr_append_write(fd, kind, text, strlen(text), done, &err);
}

static void files(void **state)
{
    struct wr_append_id id;
    struct stat st;
    bool is_new = false;
    size_t done;
    int fd = open_ok("a", &is_new), again, err = 0;

    (void)state;
    assert_true(is_new && wr_append_is_regular(fd));
    again = open_ok("a", &is_new);
    assert_false(is_new);
    assert_int_equal(put(fd, WR_APPEND_FILE, "one\n", &done), WR_OK);
    assert_int_equal(put(again, WR_APPEND_FILE, "two\nhalf", &done), WR_OK);
    assert_int_equal(done, 8);
    wr_append_undo(fd, 4);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 8);
    wr_append_undo(fd, 100); /* more than there is: left alone */
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 8);
    assert_true(wr_append_id_of(fd, &id));
    assert_true(wr_append_is_named(in_dir("a"), &id));
    assert_int_equal(rename(in_dir("a"), in_dir("b")), 0);
    assert_false(wr_append_is_named(in_dir("a"), &id));
    assert_true(wr_append_is_named(in_dir("b"), &id));
    wr_append_close(fd);
    wr_append_close(again);
    assert_int_equal(symlink(in_dir("to"), in_dir("link")), 0);
    fd = open_ok("link", NULL); /* to what is not there yet */
    wr_append_close(fd);
    assert_int_equal(access(in_dir("to"), F_OK), 0);
    assert_int_equal(wr_append_open(in_dir("none/a"), WR_APPEND_MODE, &fd, NULL, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(wr_append_open(dir, WR_APPEND_MODE, &fd, NULL, &err), WR_ESYS);
    assert_int_equal(err, EISDIR);
    assert_true(wr_append_has_folder(dir, &err));
    assert_false(wr_append_has_folder(in_dir("b"), &err));
    assert_int_equal(err, ENOTDIR);
    assert_false(wr_append_has_folder(in_dir("none"), &err));
    assert_int_equal(err, ENOENT);
    assert_false(wr_append_id_of(-1, &id));
    assert_int_equal(wr_append_write(fd = open("/dev/full", O_WRONLY | O_CLOEXEC), WR_APPEND_STREAM,
                                     "x", 1, &done, &err),
                     WR_ESYS);
    assert_int_equal(err, ENOSPC);
    (void)close(fd);
    (void)unlink(in_dir("b"));
    (void)unlink(in_dir("to"));
    (void)unlink(in_dir("link"));
}

static size_t fill(int fd, enum wr_append_kind kind)
{
    static char page[WR_APPEND_PIECE];
    size_t done, all = 0;
    int err = 0;

    memset(page, 'x', sizeof(page));
    while (wr_append_write(fd, kind, page, sizeof(page), &done, &err) == WR_OK) {
        all += done;
        assert_true(all < (16u << 20));
    }
    assert_int_equal(err, EAGAIN);
    return all + done;
}

static void fifo(void **state)
{
    char buf[WR_APPEND_PIECE];
    size_t done;
    int fd, reader;

    (void)state;
    assert_int_equal(mkfifo(in_dir("f"), 0600), 0);
    fd = open_ok("f", NULL); /* nobody reads it */
    assert_false(wr_append_is_regular(fd));
    assert_true(fill(fd, WR_APPEND_STREAM) > 0);
    assert_int_equal(put(fd, WR_APPEND_STREAM, "line\n", &done), WR_AGAIN);
    assert_int_equal(done, 0);
    reader = open(in_dir("f"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(reader, buf, sizeof(buf)), sizeof(buf));
    assert_int_equal(put(fd, WR_APPEND_STREAM, "line\n", &done), WR_OK);
    (void)close(reader); /* and again nobody: no error, it is kept */
    assert_int_equal(put(fd, WR_APPEND_STREAM, "line\n", &done), WR_OK);
    wr_append_close(fd);
    fd = open_ok("f", NULL);
    wr_append_close(fd);
    (void)unlink(in_dir("f"));
}

/* Standard output of others: a blocking description that we must not change. */
static void others_descriptors(void **state)
{
    int pipes[2], socks[2], fd = -1, err = 0;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(wr_append_again(pipes[1], &fd, &err), WR_OK);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(pipes[1], F_GETFL) & O_NONBLOCK) == 0);
    assert_true(fill(fd, WR_APPEND_STREAM) > 0);
    wr_append_close(fd);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    assert_int_equal(pipe(pipes), 0);
    assert_true(fill(pipes[1], WR_APPEND_STREAM) > 0); /* itself: does not block either */
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
    assert_int_equal(wr_append_again(socks[1], &fd, &err), WR_OK); /* a duplicate */
    assert_true(fill(fd, WR_APPEND_STREAM) > 0);
    wr_append_close(fd);
    (void)close(socks[0]);
    (void)close(socks[1]);
    assert_int_equal(wr_append_again(-1, &fd, &err), WR_ESYS);
    assert_int_equal(err, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(fifo),
        cmocka_unit_test(others_descriptors),
    };
    int rc;

    if (!mkdtemp(dir)) {
        return 1;
    }
    rc = cmocka_run_group_tests_name("io/append", tests, NULL, NULL);
    (void)rmdir(dir);
    return rc;
}
