/* SPDX-License-Identifier: Apache-2.0 */
/* The pid file: who holds the lock is weir, nobody else is signalled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/pidfile.h"
#include "main/tmpdir.h"

static struct wr_tmpdir dir;
static char path[5000];

static void put(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd != -1);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static bool is_there(void)
{
    struct stat st;

    return stat(path, &st) == 0;
}

static void test_life(void **state)
{
    struct wr_pidfile p, other;
    struct wr_pidfile_fault f = {NULL, 0};
    pid_t pid = 0;

    (void)state;
    assert_int_equal(wr_pidfile_find(path, &pid, &f), WR_ESYS);
    assert_string_equal(f.call, "open");
    assert_int_equal(f.err, ENOENT);
    assert_int_equal(wr_pidfile_open(&p, path, &f), WR_OK);
    assert_int_equal(wr_pidfile_find(path, &pid, &f), WR_OK);
    assert_int_equal(pid, getpid());
    assert_int_equal(wr_pidfile_open(&other, path, &f), WR_ELIMIT); /* one at a time */
    assert_int_equal(wr_pidfile_rewrite(&p), WR_OK);
    assert_int_equal(wr_pidfile_find(path, &pid, &f), WR_OK);
    wr_pidfile_close(&p);
    assert_false(is_there());
    wr_pidfile_close(&p);
}

/* Issue section 3: -s signals a process only if it is weir. */
static void test_nobody_holds_it(void **state)
{
    struct wr_pidfile_fault f;
    pid_t pid = -7;

    (void)state;
    put("1\n");
    assert_int_equal(wr_pidfile_find(path, &pid, &f), WR_EPEERGONE);
    assert_int_equal(pid, -7);
}

static void test_odd_content(void **state)
{
    static const char *const texts[] = {"",   "\n", "x", "12x", "-1", "0", "99999999999999999999",
                                        "1 2"};
    struct wr_pidfile_fault f;
    pid_t pid;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put(texts[i]);
        assert_int_equal(wr_pidfile_find(path, &pid, &f), WR_EPROTO);
    }
}

/* A stale file of a dead weir is taken over whole. */
static void test_takes_over_a_stale_file(void **state)
{
    struct wr_pidfile_fault f;
    struct wr_pidfile p;
    pid_t pid = 0;

    (void)state;
    put("123456789123\nand more\n");
    assert_int_equal(wr_pidfile_open(&p, path, &f), WR_OK);
    assert_int_equal(wr_pidfile_find(path, &pid, &f), WR_OK);
    assert_int_equal(pid, getpid());
    wr_pidfile_close(&p);
}

static void test_leaves_a_file_that_is_not_ours(void **state)
{
    struct wr_pidfile_fault f;
    struct wr_pidfile p;

    (void)state;
    assert_int_equal(wr_pidfile_open(&p, path, &f), WR_OK);
    assert_int_equal(unlink(path), 0);
    put("77\n");
    wr_pidfile_close(&p);
    assert_true(is_there());
    assert_int_equal(unlink(path), 0);
}

static void test_bad_path(void **state)
{
    struct wr_pidfile_fault f = {NULL, 0};
    struct wr_pidfile p;

    (void)state;
    assert_int_equal(wr_pidfile_open(&p, "/no/such/folder/x.pid", &f), WR_ESYS);
    assert_string_equal(f.call, "open");
    assert_int_equal(f.err, ENOENT);
    assert_int_equal(p.fd, -1);
}

static int make_dir(void **state)
{
    (void)state;
    if (wr_tmpdir_make(&dir, "weir-unit") != WR_OK) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/weir.pid", dir.path);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    wr_tmpdir_remove(&dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_nobody_holds_it),
        cmocka_unit_test(test_odd_content),
        cmocka_unit_test(test_takes_over_a_stale_file),
        cmocka_unit_test(test_leaves_a_file_that_is_not_ours),
        cmocka_unit_test(test_bad_path),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
