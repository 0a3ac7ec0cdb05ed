/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole supervisor with its worker, on a unix socket in a private folder. This program is its own
 * worker: the supervisor executes /proc/self/exe, and main() looks whether it is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"
#include "event/signals.h"
#include "main/modules.h"
#include "main/supervisor.h"
#include "main/tmpdir.h"
#include "main/worker.h"

#define LOOK_MS 20
#define LOOKS   750 /* 15 s: sanitizers and busy machines are slow */

static struct wr_tmpdir dir;
static char conf[5000], sock_path[5000];

static void look_again(void)
{
    (void)poll(NULL, 0, LOOK_MS);
}

static void write_conf(const char *more, const char *body)
{
    char text[16384];
    int fd, n;

    n = snprintf(text, sizeof(text),
                 "daemon off; pid %s/weir.pid; error_log %s/error.log info; %s\n"
                 "events { worker_connections 64; }\n"
                 "http { access_log off; client_body_temp_path %s/body; proxy_temp_path %s/proxy;\n"
                 "server { listen unix:%s; location / { return 200 \"%s\"; } } }\n",
                 dir.path, dir.path, more, dir.path, dir.path, sock_path, body);
    fd = open(conf, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd != -1);
    assert_int_equal(write(fd, text, (size_t)n), n);
    close(fd);
}

/* Body of GET /, '\0' behind it; false: nobody answers. */
static bool get(char *out, size_t size)
{
    static const char req[] = "GET / HTTP/1.0\r\n\r\n";
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char text[4096];
    size_t have = 0;
    ssize_t n;
    const char *body;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(a.sun_path, sock_path, strlen(sock_path) + 1);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1 ||
        send(fd, req, sizeof(req) - 1, MSG_NOSIGNAL) == -1) {
        close(fd);
        return false;
    }
    while (have < sizeof(text) - 1 && (n = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
        have += (size_t)n;
    }
    close(fd);
    text[have] = '\0';
    body = strstr(text, "\r\n\r\n");
    if (body == NULL) {
        return false;
    }
    (void)snprintf(out, size, "%s", body + 4);
    return true;
}

static pid_t wait_worker(pid_t not_this)
{
    char text[256];

    for (int i = 0; i < LOOKS; i++) {
        uint64_t pid;

        if (get(text, sizeof(text)) && wr_num_parse_u64(wr_str_z(text), INT32_MAX, &pid) == WR_OK &&
            (pid_t)pid != not_this) {
            return (pid_t)pid;
        }
        look_again();
    }
    fail_msg("no worker answers");
    return 0;
}

static bool wait_text(const char *want)
{
    char text[256];

    for (int i = 0; i < LOOKS; i++) {
        if (get(text, sizeof(text)) && strcmp(text, want) == 0) {
            return true;
        }
        look_again();
    }
    return false;
}

/* Ends the tests' child in any case. */
static int wait_exit(pid_t pid)
{
    int status = -1;

    for (int i = 0; i < LOOKS; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        }
        look_again();
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -1;
}

static void note_ready(void *data)
{
    (void)!write(*(int *)data, "r", 1);
}

/* Until it serves, or has ended: a thread answers before the supervisor knows that all do. */
static pid_t start(void)
{
    int news[2];
    pid_t pid;
    char c;

    assert_int_equal(pipe2(news, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid != -1);
    if (pid == 0) {
        struct wr_start s = {.conf = wr_str_z(conf),
                             .prefix = WR_STR("/"),
                             .self_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC),
                             .on_ready = note_ready,
                             .data = &news[1]};

        close(news[0]);
        _exit(wr_supervisor_run(&s));
    }
    close(news[1]);
    (void)!read(news[0], &c, 1);
    close(news[0]);
    return pid;
}

static void test_serves_reloads_and_quits(void **state)
{
    pid_t pid, worker;

    (void)state;
    write_conf("", "$pid");
    pid = start();
    worker = wait_worker(0);
    assert_true(worker != pid);
    write_conf("", "two");
    assert_int_equal(kill(pid, SIGHUP), 0);
    assert_true(wait_text("two"));
    write_conf("", "$pid");
    assert_int_equal(kill(pid, SIGHUP), 0);
    assert_int_equal(wait_worker(0), worker); /* the same process took three generations */
    assert_int_equal(kill(pid, SIGQUIT), 0);
    assert_int_equal(wait_exit(pid), 0);
    assert_int_equal(access(sock_path, F_OK), -1); /* nothing stays behind */
}

static void test_restarts_a_dead_worker(void **state)
{
    pid_t pid, first, second;

    (void)state;
    write_conf("worker_processes 2;", "$pid");
    pid = start();
    first = wait_worker(0);
    write_conf("nonsense", ""); /* a restart reads no file */
    assert_int_equal(kill(first, SIGKILL), 0);
    second = wait_worker(first);
    assert_true(second != first);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(wait_exit(pid), 0);
}

static void test_worker_ends_without_its_supervisor(void **state)
{
    pid_t pid, worker;

    (void)state;
    write_conf("", "$pid");
    pid = start();
    worker = wait_worker(0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(wait_exit(pid), 1000 + SIGKILL);
    assert_int_equal(wait_exit(worker), 0); /* we are its reaper now */
    assert_int_equal(unlink(sock_path), 0); /* nobody was left to do it */
}

static void test_one_process(void **state)
{
    pid_t pid;

    (void)state;
    write_conf("master_process off;", "$pid");
    pid = start();
    assert_int_equal(wait_worker(0), pid);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(wait_exit(pid), 0);
}

/* A signal that comes while the worker or its threads are only starting. */
static void test_ends_before_it_served(void **state)
{
    static const int signals[] = {SIGTERM, SIGQUIT, SIGINT, SIGQUIT, SIGTERM, SIGQUIT};

    (void)state;
    write_conf("worker_processes 4;", "$pid");
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        pid_t pid = start();

        for (size_t k = 0; k < i; k++) {
            (void)poll(NULL, 0, 3); /* a different moment each time */
        }
        assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(wait_exit(pid), 0);
        assert_int_equal(access(sock_path, F_OK), -1);
    }
}

static void test_bad_start(void **state)
{
    (void)state;
    write_conf("nonsense on;", "x");
    assert_int_equal(wait_exit(start()), 1);
}

static int make_dir(void **state)
{
    sigset_t set;

    (void)state;
    (void)sigfillset(&set);
    wr_signals_block(&set); /* as main() does */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (wr_modules_boot() != WR_OK || wr_tmpdir_make(&dir, "weir-unit") != WR_OK) {
        return -1;
    }
    (void)snprintf(conf, sizeof(conf), "%s/weir.conf", dir.path);
    (void)snprintf(sock_path, sizeof(sock_path), "%s/s", dir.path);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    wr_tmpdir_remove(&dir);
    wr_modules_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serves_reloads_and_quits),
        cmocka_unit_test(test_restarts_a_dead_worker),
        cmocka_unit_test(test_worker_ends_without_its_supervisor),
        cmocka_unit_test(test_one_process),
        cmocka_unit_test(test_ends_before_it_served),
        cmocka_unit_test(test_bad_start),
    };

    if (getenv(WR_WORKER_ENV) != NULL) {
        return wr_modules_boot() == WR_OK ? wr_worker_run(3) : 1;
    }
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
