/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_file.c: opening, positional reads and writes, temporary files and their names, small files
 * whole.
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
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"

static char dir[] = "/tmp/wr_file_XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

static void test_open(void **state)
{
    struct wr_file *f = NULL;
    int err = 0;

    (void)state;
    assert_int_equal(wr_file_open("/nonexistent", &f, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_null(f);
    assert_int_equal(wr_file_open(dir, &f, &err), WR_OK);
    assert_true(f->is_dir && !f->is_regular);
    wr_file_unref(f);
    wr_file_unref(NULL);
}

static void test_temp_read_write(void **state)
{
    struct wr_temp_path where = {wr_str_z(dir), {0}};
    struct wr_file *f;
    char buf[32];
    size_t n;
    int err;

    (void)state;
    assert_int_equal(wr_file_temp(&where, WR_TEMP_UNLINK, NULL, &f, &err), WR_OK);
    assert_int_equal(wr_file_write(f, 0, "0123456789", 10, &err), WR_OK);
    assert_int_equal(wr_file_write(f, 5, "abc", 3, &err), WR_OK);
    assert_int_equal(f->size, 10);
    assert_int_equal(wr_file_read(f, 4, buf, 4, &n), WR_OK);
    assert_int_equal(n, 4);
    assert_memory_equal(buf, "4abc", 4);
    assert_int_equal(wr_file_read(f, 8, buf, 10, &n), WR_OK);
    assert_int_equal(n, 2);
    assert_int_equal(wr_file_read(f, 10, buf, 1, &n), WR_EOF);
    assert_ptr_equal(wr_file_ref(f), f);
    wr_file_unref(f);
    assert_int_equal(fcntl(f->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    wr_file_unref(f);
}

/* client_body_temp_path documents the folders: the last digits of the number. */
static void test_temp_names(void **state)
{
    struct wr_temp_path where = {
        wr_str_z(dir), {1, 2, 0}
    };
    char name[512], folder[512];
    struct wr_file *f;
    struct stat st;
    size_t n = strlen(dir), len;
    int err;

    (void)state;
    assert_int_equal(wr_file_temp(&where, WR_TEMP_KEEP, name, &f, &err), WR_OK);
    len = strlen(name);
    assert_int_equal(len, n + 2 + 3 + 11); /* dir/7/45/0000000457 */
    assert_int_equal(name[n + 1], name[len - 1]);
    assert_memory_equal(name + n + 3, name + len - 3, 2);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(unlink(name), 0);
    memcpy(folder, name, len);
    folder[n + 5] = '\0';
    assert_int_equal(rmdir(folder), 0);
    folder[n + 2] = '\0';
    assert_int_equal(rmdir(folder), 0);
    wr_file_unref(f);
}

static void test_temp_fails(void **state)
{
    struct wr_temp_path where = {WR_STR("/nonexistent/x"), {0}};
    char longdir[600];
    struct wr_file *f;
    int err = 0;

    (void)state;
    assert_int_equal(wr_file_temp(&where, WR_TEMP_UNLINK, NULL, &f, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    memset(longdir, 'x', sizeof(longdir));
    where.dir = wr_str(longdir, sizeof(longdir) - 1);
    assert_int_equal(wr_file_temp(&where, WR_TEMP_UNLINK, NULL, &f, &err), WR_ESYS);
    assert_int_equal(err, ENAMETOOLONG);
    where.dir = wr_str_z(dir);
    wr_mem_fault_set(1);
    assert_int_equal(wr_file_temp(&where, WR_TEMP_KEEP, longdir, &f, &err), WR_ENOMEM);
    wr_mem_fault_set(1);
    assert_int_equal(wr_file_open(dir, &f, &err), WR_ENOMEM);
    wr_mem_fault_set(0);
}

static void test_read_all(void **state)
{
    struct wr_file_mark first, again;
    char path[64], *bytes = NULL;
    size_t len = 0;
    int err = 0, fd;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/whole", dir);
    assert_int_equal(wr_file_read_all(path, 10, &first, &bytes, &len, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(wr_file_mark(path, &first, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(wr_file_read_all(dir, 10, &first, &bytes, &len, &err), WR_ESYS);
    assert_int_equal(err, EISDIR);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_int_equal(wr_file_read_all(path, 9, &first, &bytes, &len, &err), WR_ELIMIT);
    assert_int_equal(wr_file_read_all(path, 10, &first, &bytes, &len, &err), WR_OK);
    assert_int_equal(len, 10);
    assert_string_equal(bytes, "0123456789");
    wr_mem_free(bytes);
    assert_int_equal(wr_file_mark(path, &again, &err), WR_OK);
    assert_memory_equal(&first, &again, sizeof(first));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(wr_file_read_all(path, 10, &again, &bytes, &len, &err), WR_OK);
    assert_int_equal(len, 0);
    wr_mem_free(bytes);
    assert_int_equal(first.ino, again.ino);
    assert_int_equal(again.size, 0);
    wr_mem_fault_set(1);
    assert_int_equal(wr_file_read_all(path, 10, &again, &bytes, &len, &err), WR_ENOMEM);
    wr_mem_fault_set(0);
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
}

static void test_traits(void **state)
{
    struct wr_temp_path where = {wr_str_z(dir), {0}};
    struct wr_file *f;
    char name[600];
    unsigned traits = 0;
    int err = 0;

    (void)state;
    assert_int_equal(wr_file_traits("/nonexistent", &traits, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    assert_int_equal(wr_file_traits("/dev/null", &traits, &err), WR_OK);
    assert_int_equal(traits, 0);
    assert_int_equal(wr_file_traits(dir, &traits, &err), WR_OK);
    assert_int_equal(traits, WR_FILE_DIR | WR_FILE_EXECUTABLE);
    assert_int_equal(wr_file_temp(&where, WR_TEMP_KEEP, name, &f, &err), WR_OK);
    assert_int_equal(wr_file_traits(name, &traits, &err), WR_OK);
    assert_int_equal(traits, WR_FILE_REGULAR);
    assert_int_equal(chmod(name, 0700), 0);
    assert_int_equal(wr_file_traits(name, &traits, &err), WR_OK);
    assert_int_equal(traits, WR_FILE_REGULAR | WR_FILE_EXECUTABLE);
    wr_file_unref(f);
    assert_int_equal(unlink(name), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),       cmocka_unit_test(test_temp_read_write),
        cmocka_unit_test(test_temp_names), cmocka_unit_test(test_temp_fails),
        cmocka_unit_test(test_traits),     cmocka_unit_test(test_read_all),
    };
    /* The folder must be empty at the end: teardown removes it. */
    return cmocka_run_group_tests(tests, setup, teardown);
}
