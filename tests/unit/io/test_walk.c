/* SPDX-License-Identifier: Apache-2.0 */
/* test_walk.c: names with symbolic links: refused, followed for one owner, or free in a first part.
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

#include "io/file.h"
#include "io/walk.h"

static char dir[] = "/tmp/wr_walk_XXXXXX";

static const char *at(const char *name)
{
    static char text[8192];

    (void)snprintf(text, sizeof(text), "%s/%s", dir, name);
    return text;
}

static void make_file(const char *name)
{
    int fd = open(at(name), O_CREAT | O_WRONLY, 0600);

    assert_int_not_equal(fd, -1);
    assert_int_equal(write(fd, "x", 1), 1);
    (void)close(fd);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    assert_int_equal(mkdir(at("d"), 0700), 0);
    assert_int_equal(mkdir(at("theirs"), 0777), 0);
    make_file("f");
    make_file("d/x");
    make_file("theirs/x");
    assert_int_equal(symlink("f", at("ln")), 0);
    assert_int_equal(symlink("d", at("lnd")), 0);
    assert_int_equal(symlink("nowhere", at("broken")), 0);
    assert_int_equal(symlink("theirs", at("lntheirs")), 0);
    assert_int_equal(symlink("theirs/x", at("lnx")), 0);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"ln",  "lnd", "broken", "lntheirs",
                                        "lnx", "f",   "d/x",    "theirs/x"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unlink(at(names[i]));
    }
    (void)rmdir(at("d"));
    (void)rmdir(at("theirs"));
    return rmdir(dir);
}

/* 0, or the errno of opening it; looking at it must say the same. */
static int try_name(const char *path, enum wr_symlinks how, uint32_t from_len)
{
    struct wr_file_how h = {
        .want_fd = true, .symlinks = (uint8_t)how, .from_len = from_len, .direct_min = UINT64_MAX};
    struct wr_file_facts facts, seen;
    int err = 0, look_err = 0;
    enum wr_status st = wr_file_find(path, &h, &facts, &err), look;

    h.want_fd = false;
    look = wr_file_find(path, &h, &seen, &look_err);
    assert_int_equal(look, st);
    if (st != WR_OK) {
        assert_int_equal(look_err, err);
        return err;
    }
    assert_int_equal(seen.ino, facts.ino);
    assert_int_equal(seen.fd, -1);
    wr_file_facts_drop(&facts);
    assert_int_equal(facts.fd, -1);
    return 0;
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        int refuse, owner;
    } cases[] = {
        {"f",        0,       0      },
        {"d",        0,       0      },
        {"d/",       0,       0      },
        {"d/x",      0,       0      },
        {"d//x",     0,       0      },
        {"d/../f",   0,       0      },
        {"./f",      0,       0      },
        {"ln",       ELOOP,   0      },
        {"lnd",      ELOOP,   0      },
        {"lnd/x",    ELOOP,   0      },
        {"lnd/",     ELOOP,   0      },
        {"d/x/y",    ENOTDIR, ENOTDIR},
        {"f/",       ENOTDIR, ENOTDIR},
        {"none",     ENOENT,  ENOENT },
        {"none/x",   ENOENT,  ENOENT },
        {"lnd/none", ELOOP,   ENOENT },
        {"broken",   ELOOP,   ENOENT },
        {"",         0,       0      },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = at(cases[i].name);

        if (try_name(path, WR_SYMLINKS_REFUSE, 0) != cases[i].refuse ||
            try_name(path, WR_SYMLINKS_SAME_OWNER, 0) != cases[i].owner) {
            fail_msg("%s", cases[i].name);
        }
    }
}

static void test_from(void **state)
{
    uint32_t len = (uint32_t)strlen(at("lnd"));

    (void)state;
    assert_int_equal(try_name(at("lnd/x"), WR_SYMLINKS_REFUSE, len), 0);
    assert_int_equal(try_name(at("lnd/none"), WR_SYMLINKS_REFUSE, len), ENOENT);
    assert_int_equal(try_name(at("lnd/"), WR_SYMLINKS_REFUSE, len), 0);
    assert_int_equal(try_name(at("ln/x"), WR_SYMLINKS_REFUSE, (uint32_t)strlen(at("ln"))), ENOTDIR);
    assert_int_equal(try_name("/", WR_SYMLINKS_REFUSE, 0), 0);
}

static void test_relative(void **state)
{
    char before[4096];

    (void)state;
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(try_name("d/x", WR_SYMLINKS_REFUSE, 0), 0);
    assert_int_equal(try_name("lnd/x", WR_SYMLINKS_REFUSE, 0), ELOOP);
    assert_int_equal(chdir(before), 0);
}

static void test_owner(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(chown(at("theirs"), 12345, 12345), 0);
    assert_int_equal(chown(at("theirs/x"), 12345, 12345), 0);
    assert_int_equal(try_name(at("lntheirs"), WR_SYMLINKS_SAME_OWNER, 0), ELOOP);
    assert_int_equal(try_name(at("lntheirs/x"), WR_SYMLINKS_SAME_OWNER, 0), ELOOP);
    assert_int_equal(try_name(at("lnx"), WR_SYMLINKS_SAME_OWNER, 0), ELOOP);
    assert_int_equal(try_name(at("theirs/x"), WR_SYMLINKS_SAME_OWNER, 0), 0);
}

static void test_long_names(void **state)
{
    char name[6000];

    (void)state;
    memset(name, 'n', 300);
    name[300] = '\0';
    assert_int_equal(try_name(at(name), WR_SYMLINKS_REFUSE, 0), ENAMETOOLONG);
    for (size_t i = 0; i < sizeof(name) - 1; i++) {
        name[i] = i % 2 == 0 ? 'd' : '/';
    }
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(try_name(name, WR_SYMLINKS_REFUSE, 5000), ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_from),
        cmocka_unit_test(test_relative),   cmocka_unit_test(test_owner),
        cmocka_unit_test(test_long_names),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
