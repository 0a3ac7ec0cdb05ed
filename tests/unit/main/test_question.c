/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked on the control socket, and where that socket is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/ctl_addr.h"
#include "main/question.h"
#include "main/tmpdir.h"

static void test_parse(void **state)
{
    static const struct {
        const char *line;
        enum wr_status st;
        enum wr_question_kind kind;
        uint64_t id;
        bool is_terminal;
    } rows[] = {
        {"status",                             WR_OK,     WR_ASK_STATUS,       0,          false},
        {"reload",                             WR_OK,     WR_ASK_RELOAD,       0,          false},
        {"reload terminal",                    WR_OK,     WR_ASK_RELOAD,       0,          true },
        {"trace connection 17",                WR_OK,     WR_ASK_TRACE_CONN,   17,         false},
        {"trace request 0",                    WR_OK,     WR_ASK_TRACE_REQ,    0,          false},
        {"trace request 18446744073709551615", WR_OK,     WR_ASK_TRACE_REQ,    UINT64_MAX, false},
        {"trace client 10.0.0.0/8",            WR_OK,     WR_ASK_TRACE_CLIENT, 0,          false},
        {"trace client ::1",                   WR_OK,     WR_ASK_TRACE_CLIENT, 0,          false},
        {"trace client unix:",                 WR_OK,     WR_ASK_TRACE_CLIENT, 0,          false},
        {"",                                   WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"statu",                              WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"status ",                            WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"STATUS",                             WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"reload  terminal",                   WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace",                              WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace connection",                   WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace connection ",                  WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace connection *17",               WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace connection 1 7",               WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace request 18446744073709551616", WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace client 300.0.0.1",             WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace client ",                      WR_EPROTO, WR_ASK_STATUS,       0,          false},
        {"trace host a",                       WR_EPROTO, WR_ASK_STATUS,       0,          false},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_question q = {.kind = WR_ASK_STATUS};

        assert_int_equal(wr_question_parse(wr_str_z(rows[i].line), &q), rows[i].st);
        assert_int_equal(q.kind, rows[i].kind);
        assert_true(q.id == rows[i].id);
        assert_int_equal(q.is_terminal, rows[i].is_terminal);
    }
}

static void test_path(void **state)
{
    static char long_name[WR_CTL_PATH_MAX];

    static const struct {
        const char *pid, *want;
    } rows[] = {
        {"/run/weir.pid",        "/run/weir.sock"           },
        {"/run/weir.pid.oldbin", "/run/weir.pid.oldbin.sock"},
        {"/run/weir",            "/run/weir.sock"           },
        {"/run/.pid",            "/run/.sock"               },
        {"/run/apid",            "/run/apid.sock"           },
    };

    char path[WR_CTL_PATH_MAX];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_int_equal(wr_ctl_path(wr_str_z(rows[i].pid), path), WR_OK);
        assert_string_equal(path, rows[i].want);
    }
    memset(long_name, 'a', sizeof(long_name));
    assert_int_equal(wr_ctl_path(wr_str(long_name, sizeof(long_name) - 6), path), WR_OK);
    assert_int_equal(strlen(path), sizeof(long_name) - 1);
    assert_int_equal(wr_ctl_path(wr_str(long_name, sizeof(long_name) - 5), path), WR_ELIMIT);
}

/* Around the length that an address of a socket may have, and far beyond. */
static void test_bind_and_connect(void **state)
{
    struct wr_tmpdir dir;
    size_t base;

    (void)state;
    assert_int_equal(wr_tmpdir_make(&dir, "weir-unit"), WR_OK);
    base = strlen(dir.path);
    for (size_t len = 104; len < 250; len += len < 112 ? 1 : 101) {
        char path[WR_CTL_PATH_MAX];
        int a = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int b = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        size_t end = len - 3;

        memcpy(path, dir.path, base);
        memset(path + base, 'd', end - base);
        path[base] = '/';
        path[end] = '\0';
        assert_int_equal(mkdir(path, 0700), 0);
        memcpy(path + end, "/s", 3);
        assert_int_equal(wr_ctl_connect(b, path), WR_ESYS);
        assert_int_equal(errno, ENOENT);
        assert_int_equal(wr_ctl_bind(a, path), WR_OK);
        assert_int_equal(wr_ctl_connect(b, path), WR_ESYS);
        assert_int_equal(errno, ECONNREFUSED);
        assert_int_equal(listen(a, 1), 0);
        assert_int_equal(wr_ctl_connect(b, path), WR_OK);
        close(a);
        close(b);
        assert_int_equal(unlink(path), 0);
        path[end] = '\0';
        assert_int_equal(rmdir(path), 0);
    }
    wr_tmpdir_remove(&dir);
}

static void test_names_that_fit_nowhere(void **state)
{
    char path[WR_CTL_PATH_MAX];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    memset(path, 'a', sizeof(path));
    path[200] = '\0';
    assert_int_equal(wr_ctl_bind(fd, path), WR_ESYS); /* no folder in it */
    assert_int_equal(errno, ENAMETOOLONG);
    path[0] = '/';
    assert_int_equal(wr_ctl_bind(fd, path), WR_ESYS); /* the last part alone is too long */
    assert_int_equal(errno, ENAMETOOLONG);
    path[100] = '/';
    assert_int_equal(wr_ctl_bind(fd, path), WR_ESYS); /* no such folder */
    assert_int_equal(errno, ENOENT);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_bind_and_connect),
        cmocka_unit_test(test_names_that_fit_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
