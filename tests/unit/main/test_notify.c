/* SPDX-License-Identifier: Apache-2.0 */
/* What the service manager is told: the test is the manager and reads the datagrams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "main/notify.h"
#include "main/say.h"
#include "main/tmpdir.h"

static struct wr_tmpdir dir;
static char path[5000];

/* A manager at name ('/' or '@' in front) and its name in the environment. Value: its socket. */
static int open_manager(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd != -1);
    assert_true(n < sizeof(a.sun_path));
    memcpy(a.sun_path, name, n);
    if (name[0] == '@') {
        a.sun_path[0] = '\0';
        assert_int_equal(bind(fd, (struct sockaddr *)&a,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
                         0);
    } else {
        (void)unlink(name);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    }
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

/* The next datagram, as text; "" when there is none. */
static const char *take(int fd)
{
    static char text[1024];
    ssize_t n = read(fd, text, sizeof(text) - 1);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static uint64_t number_behind(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    uint64_t v = 0;

    assert_non_null(p);
    for (p += strlen(name); *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (uint64_t)(*p - '0');
    }
    assert_true(*p == '\n' || *p == '\0');
    return v;
}

static void expect_life(int fd)
{
    char want[128];
    uint64_t before, at;
    const char *text;

    wr_notify_ready(1);
    (void)snprintf(want, sizeof(want),
                   "READY=1\nMAINPID=%d\nSTATUS=configuration 1 is being served", (int)getpid());
    assert_string_equal(take(fd), want);
    before = wr_clock_mono_us();
    wr_notify_reloading();
    text = take(fd);
    assert_memory_equal(text, "RELOADING=1\nMONOTONIC_USEC=", 27);
    at = number_behind(text, "MONOTONIC_USEC=");
    assert_true(at >= before && at <= wr_clock_mono_us());
    wr_notify_ready(UINT64_MAX);
    assert_non_null(strstr(take(fd), "STATUS=configuration 18446744073709551615 is being served"));
    wr_notify_main_pid(4711);
    assert_string_equal(take(fd), "MAINPID=4711");
    wr_notify_stopping();
    assert_string_equal(take(fd), "STOPPING=1\nSTATUS=ending");
    assert_string_equal(take(fd), "");
}

static void test_path(void **state)
{
    int fd = open_manager(path);
    char want[5100];

    (void)state;
    wr_notify_init();
    assert_null(getenv("NOTIFY_SOCKET"));
    (void)snprintf(want, sizeof(want), "NOTIFY_SOCKET=%s", path);
    assert_string_equal(wr_notify_env(), want);
    expect_life(fd);
    close(fd);
}

/* The name ends where the address does, and has no NUL behind it. */
static void test_abstract(void **state)
{
    char name[64];
    int fd;

    (void)state;
    (void)snprintf(name, sizeof(name), "@weir-test-notify-%d", (int)getpid());
    fd = open_manager(name);
    wr_notify_init();
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_string_equal(wr_notify_env() + strlen("NOTIFY_SOCKET="), name);
    expect_life(fd);
    close(fd);
}

/* No descriptor is kept: the next one that opens has the number of before. */
static void test_no_descriptor_stays(void **state)
{
    int fd = open_manager(path), before, after;

    (void)state;
    before = dup(fd);
    close(before);
    wr_notify_init();
    wr_notify_ready(1);
    after = dup(fd);
    close(after);
    assert_int_equal(before, after);
    close(fd);
}

/* A manager that was started again has another socket by the same name. */
static void test_manager_again(void **state)
{
    int fd = open_manager(path);

    (void)state;
    wr_notify_init();
    close(fd);
    fd = open_manager(path);
    wr_notify_main_pid(1);
    assert_string_equal(take(fd), "MAINPID=1");
    close(fd);
    (void)unsetenv("NOTIFY_SOCKET");
}

static void test_none(void **state)
{
    static const struct {
        const char *name; /* NULL: not set */
    } rows[] = {{NULL}, {""}, {"@"}, {"/"}, {"relative/path"}, {"vsock:2:1234"}, {NULL}};

    char long_name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];

    (void)state;
    wr_say_on_stderr(false);
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        if (rows[i].name != NULL) {
            assert_int_equal(setenv("NOTIFY_SOCKET", rows[i].name, 1), 0);
        }
        wr_notify_init();
        assert_null(wr_notify_env());
        assert_null(getenv("NOTIFY_SOCKET"));
        wr_notify_ready(1); /* nothing to tell, nothing happens */
        wr_notify_stopping();
    }
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[0] = '/';
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(setenv("NOTIFY_SOCKET", long_name, 1), 0);
    wr_notify_init();
    assert_null(wr_notify_env());
}

/* A manager that is gone: a line in the log, nothing else. */
static void test_gone(void **state)
{
    int fd = open_manager(path), p[2];
    struct wr_log_sink sink = {.level = WR_LOG_NOTICE};
    char text[1024];
    ssize_t n;

    (void)state;
    wr_notify_init();
    close(fd);
    (void)unlink(path);
    assert_int_equal(pipe(p), 0);
    sink.fd = p[1];
    wr_log_set_default(&sink);
    wr_notify_ready(1);
    wr_log_set_default(NULL);
    n = read(p[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "[warn]"));
    assert_non_null(strstr(text, "telling the service manager failed (2: "));
    close(p[0]);
    close(p[1]);
}

/* A manager that does not read is not waited for longer than a second. */
static void test_full(void **state)
{
    int fd = open_manager(path);
    struct wr_log_sink sink = {.fd = -1, .level = WR_LOG_NOTICE};
    uint64_t began = wr_clock_mono_us();
    int told = 0, p[2];
    char text[256];

    (void)state;
    assert_int_equal(pipe(p), 0);
    sink.fd = p[1];
    wr_log_set_default(&sink);
    wr_notify_init();
    while (told < 10000 && wr_clock_mono_us() - began < 900000) {
        wr_notify_main_pid(1); /* the one that finds the queue full takes the second */
        told++;
    }
    assert_true(wr_clock_mono_us() - began < 10 * 1000000);
    wr_log_set_default(NULL);
    close(p[1]);
    assert_true(told < 10000);
    assert_true(read(p[0], text, sizeof(text)) > 0);
    assert_string_equal(take(fd), "MAINPID=1");
    close(p[0]);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_path),
                                       cmocka_unit_test(test_abstract),
                                       cmocka_unit_test(test_no_descriptor_stays),
                                       cmocka_unit_test(test_manager_again),
                                       cmocka_unit_test(test_none),
                                       cmocka_unit_test(test_gone),
                                       cmocka_unit_test(test_full)};
    int failed;

    if (wr_tmpdir_make(&dir, "weir-notify") != WR_OK) {
        return 1;
    }
    (void)snprintf(path, sizeof(path), "%s/notify", dir.path);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    wr_tmpdir_remove(&dir);
    return failed;
}
