/* SPDX-License-Identifier: Apache-2.0 */
/* test_tree.c: files and folders made, removed, copied, moved as a whole; files being made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/tree.h"

static char dir[] = "/tmp/wr_tree_XXXXXX";
static int err;

/* Four may be in use at a time. */
static const char *at(const char *name)
{
    static char text[4][8192];
    static unsigned no;
    char *t = text[no++ % 4];

    (void)snprintf(t, sizeof(text[0]), "%s/%s", dir, name);
    return t;
}

static void make_file(const char *name, const char *bytes)
{
    int fd = open(at(name), O_CREAT | O_WRONLY | O_TRUNC, 0640);

    assert_int_not_equal(fd, -1);
    assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
    (void)close(fd);
}

static const char *content(const char *name)
{
    static char text[256];
    int fd = open(at(name), O_RDONLY);
    ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd != -1) {
        (void)close(fd);
    }
    text[n == -1 ? 0 : n] = '\0';
    return fd == -1 ? NULL : text;
}

static bool is_there(const char *name)
{
    struct stat st;

    return lstat(at(name), &st) == 0;
}

/* Names in the folder: nothing that was made on the way stays. */
static unsigned count(const char *name)
{
    DIR *d = opendir(at(name));
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d)) {
        n++;
    }
    (void)closedir(d);
    return n - 2;
}

static int setup(void **state)
{
    (void)state;
    memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    assert_int_equal(mkdir(at("a"), 0750), 0);
    assert_int_equal(mkdir(at("a/b"), 0700), 0);
    make_file("a/x", "X");
    make_file("a/b/y", "Y");
    make_file("f", "F");
    assert_int_equal(symlink("x", at("a/ln")), 0);
    assert_int_equal(mkfifo(at("a/fifo"), 0600), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return wr_tree_remove(dir, &err) != WR_OK;
}

static void test_look(void **state)
{
    struct wr_file_facts facts;
    bool is_link = false;

    (void)state;
    assert_int_equal(wr_tree_look(at("a/ln"), &facts, &is_link, &err), WR_OK);
    assert_true(is_link && !facts.is_dir && !facts.is_regular);
    assert_int_equal(wr_tree_look(at("a"), &facts, &is_link, &err), WR_OK);
    assert_true(!is_link && facts.is_dir);
    assert_int_equal(wr_tree_look(at("none"), &facts, &is_link, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
}

static void test_folders(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(wr_tree_mkdir(at("n"), 0777, &err), WR_OK);
    assert_int_equal(stat(at("n"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0777);
    assert_int_equal(wr_tree_mkdir(at("n"), 0777, &err), WR_ESYS);
    assert_int_equal(err, EEXIST);
    assert_int_equal(wr_tree_mkdirs(at("n/o/p/file"), 0700, &err), WR_OK);
    assert_true(is_there("n/o/p") && !is_there("n/o/p/file"));
    assert_int_equal(wr_tree_mkdirs(at("f/o/p"), 0700, &err), WR_ESYS);
    assert_int_equal(err, ENOTDIR);
}

static void test_remove(void **state)
{
    (void)state;
    assert_int_equal(wr_tree_remove(at("f"), &err), WR_OK);
    assert_int_equal(wr_tree_remove(at("f"), &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(symlink("a", at("lna")), 0);
    assert_int_equal(wr_tree_remove(at("lna"), &err), WR_OK);
    assert_true(is_there("a/b/y"));
    for (int i = 0; i < 500; i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "a/b/n%d", i);
        make_file(name, "");
    }
    assert_int_equal(wr_tree_remove(at("a"), &err), WR_OK);
    assert_false(is_there("a"));
}

/* A path of n folders "d/d/d...". */
static void make_deep(unsigned n)
{
    char path[4096];
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        len += (size_t)snprintf(path + len, sizeof(path) - len, "%sd", i > 0 ? "/" : "");
        assert_int_equal(mkdir(at(path), 0700), 0);
    }
}

static void test_depth(void **state)
{
    (void)state;
    make_deep(WR_FILE_TREE_DEPTH + 10);
    assert_int_equal(wr_tree_copy(at("d"), at("c"), WR_TREE_WHOLE, &err), WR_ESYS);
    assert_int_equal(err, ELOOP);
    assert_int_equal(count(""), 3);
    assert_int_equal(wr_tree_remove(at("d"), &err), WR_ESYS);
    assert_int_equal(err, ELOOP);
    /* by halves */
    assert_int_equal(wr_tree_move(at("d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d"), at("e"), &err),
                     WR_OK);
    assert_int_equal(wr_tree_remove(at("d"), &err), WR_OK);
    assert_int_equal(wr_tree_remove(at("e"), &err), WR_OK);
}

static void test_copy(void **state)
{
    struct stat from, to;
    char text[16] = "";

    (void)state;
    assert_int_equal(wr_tree_copy(at("a"), at("c"), WR_TREE_WHOLE, &err), WR_OK);
    assert_string_equal(content("c/x"), "X");
    assert_string_equal(content("c/b/y"), "Y");
    assert_int_equal(readlink(at("c/ln"), text, sizeof(text)), 1);
    assert_false(is_there("c/fifo"));
    assert_int_equal(stat(at("a/x"), &from), 0);
    assert_int_equal(stat(at("c/x"), &to), 0);
    assert_int_equal(to.st_mode, from.st_mode);
    assert_int_equal(to.st_mtime, from.st_mtime);
    assert_int_equal(count(""), 3);
    /* over what is there: a folder, a file by a folder, a file */
    make_file("c/more", "");
    assert_int_equal(wr_tree_copy(at("a"), at("c"), WR_TREE_WHOLE, &err), WR_OK);
    assert_false(is_there("c/more"));
    assert_int_equal(wr_tree_copy(at("f"), at("c/x"), WR_TREE_WHOLE, &err), WR_OK);
    assert_string_equal(content("c/x"), "F");
    assert_int_equal(wr_tree_copy(at("a"), at("f"), WR_TREE_ALONE, &err), WR_OK);
    assert_int_equal(count("f"), 0);
    assert_int_equal(count(""), 3);
}

static void test_copy_that_fails(void **state)
{
    (void)state;
    assert_int_equal(wr_tree_copy(at("none"), at("c"), WR_TREE_WHOLE, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(wr_tree_copy(at("f"), at("none/c"), WR_TREE_WHOLE, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(wr_tree_copy(at("f"), at("f/c"), WR_TREE_WHOLE, &err), WR_ESYS);
    assert_int_equal(err, ENOTDIR);
    assert_int_equal(count(""), 2);
}

static void test_copy_into_itself(void **state)
{
    (void)state;
    assert_int_equal(wr_tree_copy(at("a"), at("a/b/c"), WR_TREE_WHOLE, &err), WR_OK);
    assert_string_equal(content("a/b/c/x"), "X");
    assert_false(is_there("a/b/c/b/c"));
}

static void test_move(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("o"), 0700), 0);
    make_file("o/z", "Z");
    assert_int_equal(wr_tree_move(at("a"), at("o"), &err), WR_OK);
    assert_false(is_there("a") || is_there("o/z"));
    assert_string_equal(content("o/b/y"), "Y");
    assert_int_equal(wr_tree_move(at("o"), at("f"), &err), WR_OK);
    assert_string_equal(content("f/x"), "X");
    assert_int_equal(wr_tree_move(at("f"), at("f/b/in"), &err), WR_ESYS);
    assert_int_equal(err, EINVAL);
    assert_int_equal(wr_tree_move(at("none"), at("n"), &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(count(""), 1);
}

/* To another file system, where there is one. */
static void test_move_far(void **state)
{
    struct stat here, there;
    char far[] = "/dev/shm/wr_tree_XXXXXX", to[64];

    (void)state;
    if (stat(dir, &here) != 0 || stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev ||
        mkdtemp(far) == NULL) {
        skip();
    }
    (void)snprintf(to, sizeof(to), "%s/a", far);
    assert_int_equal(wr_tree_move(at("a"), to, &err), WR_OK);
    assert_false(is_there("a"));
    assert_int_equal(wr_tree_move(to, at("back"), &err), WR_OK);
    assert_string_equal(content("back/b/y"), "Y");
    assert_int_equal(wr_tree_remove(far, &err), WR_OK);
}

static void test_new_file(void **state)
{
    char part[] = "ab", more[] = "cde";
    struct iovec iov[2] = {
        {part, 2},
        {more, 3}
    };
    struct wr_new_file n = {.fd = -1};
    struct stat st;

    (void)state;
    wr_new_file_drop(&n);
    assert_int_equal(wr_new_file_begin(&n, at("f"), &err), WR_OK);
    assert_int_equal(wr_new_file_write(&n, iov, 2, &err), WR_OK);
    assert_string_equal(content("f"), "F");
    assert_int_equal(wr_new_file_finish(&n, at("f"), 0604, 1500000000, &err), WR_OK);
    assert_string_equal(content("f"), "abcde");
    assert_int_equal(stat(at("f"), &st), 0);
    assert_true((st.st_mode & 0777) == 0604 && st.st_mtime == 1500000000);
    assert_int_equal(wr_new_file_begin(&n, at("g"), &err), WR_OK);
    wr_new_file_drop(&n);
    wr_new_file_drop(&n);
    assert_int_equal(wr_new_file_begin(&n, at("none/g"), &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(wr_new_file_begin(&n, at("a/g"), &err), WR_OK);
    assert_int_equal(wr_new_file_finish(&n, at("a/b"), 0600, -1, &err), WR_ESYS);
    assert_int_equal(err, EISDIR);
    assert_int_equal(count(""), 2);
    assert_int_equal(count("a"), 4);
}

/* Each allocation fails in turn: nothing stays behind. */
static void test_without_memory(void **state)
{
    (void)state;
    for (uint64_t i = 1; i < 8; i++) {
        enum wr_status st;

        wr_mem_fault_set(i);
        st = wr_tree_copy(at("a"), at("c"), WR_TREE_WHOLE, &err);
        wr_mem_fault_set(0);
        assert_true(st == WR_OK || err == ENOMEM);
        assert_int_equal(count(""), st == WR_OK ? 3 : 2);
        if (st == WR_OK) {
            break;
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_look),     T(test_folders),         T(test_remove),           T(test_depth),
        T(test_copy),     T(test_copy_that_fails), T(test_copy_into_itself), T(test_move),
        T(test_move_far), T(test_new_file),        T(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
