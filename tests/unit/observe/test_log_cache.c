/* SPDX-License-Identifier: Apache-2.0 */
/* test_log_cache.c: what open_log_file_cache says: max, min_uses, inactive, valid; off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "observe/log_cache.h"

static char dir[] = "/tmp/wr_cache_XXXXXX";
static struct wr_log_cache cache;

static struct wr_str name_of(const char *name)
{
    static char room[4][128];
    static unsigned turn;
    char *p = room[turn++ % 4];

    return wr_str(p, (size_t)snprintf(p, sizeof(room[0]), "%s/%s", dir, name));
}

/* The descriptor while it is used, and whether it stays open afterwards. */
static bool use(const struct wr_log_path_cache *conf, const char *name, uint32_t uses, uint64_t now,
                int *ret_fd)
{
    struct wr_log_use u = {.now_ms = now, .uses = uses};
    struct wr_append_id id;
    int err = 0, fd;

    assert_int_equal(wr_log_cache_acquire(&cache, conf, name_of(name), &u, &err), WR_OK);
    fd = u.fd;
    assert_true(fd >= 0);
    assert_int_equal(u.kind, WR_APPEND_FILE);
    wr_log_cache_release(&u);
    if (ret_fd) {
        *ret_fd = fd;
    }
    return wr_append_id_of(fd, &id);
}

static int setup(void **state)
{
    (void)state;
    wr_log_cache_init(&cache);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d"};

    (void)state;
    wr_log_cache_fini(&cache);
    for (size_t i = 0; i < 4; i++) {
        (void)unlink(name_of(names[i]).ptr);
    }
    return 0;
}

static void off(void **state)
{
    const struct wr_log_path_cache conf = {.max = 0};

    (void)state;
    assert_false(use(&conf, "a", 1, 1000, NULL));
    assert_int_equal(wr_log_cache_expire(&cache, 1000), 0);
}

static void kept(void **state)
{
    const struct wr_log_path_cache conf = {
        .max = 2, .min_uses = 1, .inactive_ms = 100, .valid_ms = 50};
    struct wr_append_id id;
    int a, again, b, c;

    (void)state;
    assert_true(use(&conf, "a", 1, 1000, &a));
    assert_true(use(&conf, "a", 1, 1001, &again));
    assert_int_equal(a, again);
    assert_true(use(&conf, "b", 1, 1002, &b));
    assert_true(use(&conf, "a", 1, 1003, NULL));
    assert_true(use(&conf, "c", 1, 1004, &c)); /* b was used least recently */
    assert_true(wr_append_id_of(a, &id));
    assert_true(use(&conf, "b", 1, 1005, NULL)); /* opened anew, a goes */
    assert_int_equal(wr_log_cache_expire(&cache, 1100), 1104);
    assert_int_equal(wr_log_cache_expire(&cache, 1104), 1105);
    assert_int_equal(wr_log_cache_expire(&cache, 1105), 0);
    assert_true(wr_list_is_empty(&cache._caches));
}

static void valid(void **state)
{
    const struct wr_log_path_cache conf = {
        .max = 2, .min_uses = 1, .inactive_ms = 10000, .valid_ms = 50};
    struct wr_append_id id, now;
    int fd;

    (void)state;
    assert_true(use(&conf, "a", 1, 1000, &fd));
    assert_true(wr_append_id_of(fd, &id));
    assert_int_equal(rename(name_of("a").ptr, name_of("b").ptr), 0);
    assert_true(use(&conf, "a", 1, 1049, &fd)); /* not looked at yet */
    assert_true(wr_append_id_of(fd, &now));
    assert_int_equal(now.ino, id.ino);
    assert_true(use(&conf, "a", 1, 1050, &fd));
    assert_true(wr_append_id_of(fd, &now));
    assert_int_not_equal(now.ino, id.ino);
}

static void min_uses(void **state)
{
    const struct wr_log_path_cache conf = {
        .max = 4, .min_uses = 3, .inactive_ms = 100, .valid_ms = 1000};
    const struct wr_log_path_cache other = {
        .max = 4, .min_uses = 1, .inactive_ms = 100, .valid_ms = 1000};

    (void)state;
    assert_false(use(&conf, "a", 1, 1000, NULL));
    assert_false(use(&conf, "a", 1, 1010, NULL));
    assert_false(use(&conf, "a", 1, 1101, NULL)); /* the count began anew */
    assert_true(use(&conf, "a", 2, 1102, NULL));
    assert_true(use(&conf, "b", 5, 1102, NULL));
    assert_true(use(&other, "c", 1, 1102, NULL)); /* another cache */
    assert_int_equal(wr_log_cache_expire(&cache, 1103), 1202);
}

static void failures(void **state)
{
    const struct wr_log_path_cache conf = {
        .max = 4, .min_uses = 1, .inactive_ms = 100, .valid_ms = 1000};
    struct wr_log_use u = {.now_ms = 1000, .uses = 1};
    int err = 0;

    (void)state;
    assert_int_equal(wr_log_cache_acquire(&cache, &conf, name_of("none/a"), &u, &err), WR_ESYS);
    assert_int_equal(err, ENOENT);
    for (uint64_t n = 1; n < 4; n++) { /* the cache, the entry: the file is opened all the same */
        wr_log_cache_fini(&cache);
        wr_mem_fault_set(n);
        assert_int_equal(use(&conf, "a", 1, 1000, NULL), n > 2);
        wr_mem_fault_set(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(off, setup, teardown),
        cmocka_unit_test_setup_teardown(kept, setup, teardown),
        cmocka_unit_test_setup_teardown(valid, setup, teardown),
        cmocka_unit_test_setup_teardown(min_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(failures, setup, teardown),
    };
    int rc;

    if (!mkdtemp(dir)) {
        return 1;
    }
    rc = cmocka_run_group_tests_name("observe/log_cache", tests, NULL, NULL);
    (void)rmdir(dir);
    return rc;
}
