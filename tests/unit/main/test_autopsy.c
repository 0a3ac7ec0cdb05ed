/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_autopsy.c: what the supervisor finds of a worker that was killed, and that nothing a worker
 * may have written there makes it read elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/addr.h"
#include "event/thread.h"
#include "main/autopsy.c"

static const char *const names[] = {"IDLE", "BUSY"};
static const uint32_t moves[] = {1u << 1, 1u << 0};
static const struct wr_fsm toy = WR_FSM("toy", names, moves);

static char out[65536];

static void be_busy(void *data)
{
    struct wr_addr a = {0};
    uint8_t s = 0;

    (void)data;
    wr_local_get()->now_ms = 55;
    if (wr_addr_parse_ip(WR_STR("::1"), 80, &a) != WR_OK) {
        _exit(1);
    }
    for (int i = 0; i < 40; i++) {
        if (!wr_fsm_move(&toy, &s, s ^ 1u, 17)) {
            _exit(1);
        }
    }
    wr_recorder_begin_task(wr_local_get()->recorder, "toy task");
    wr_recorder_enter_req(17, 3, &a, WR_STR("GET /x HTTP/1.1"));
}

static void be_busy_and_stay(void *data)
{
    be_busy(data);
    (void)kill(getpid(), SIGKILL);
    (void)pause();
}

typedef void life_fn(struct wr_recorder_area *a);

static void live_well(struct wr_recorder_area *a)
{
    struct wr_thread t;

    (void)a;
    if (wr_thread_start(&t, 2, "toy", be_busy_and_stay, NULL) == WR_OK) {
        wr_thread_join(&t);
    }
}

/* The worker's copy of this says "mine", the supervisor's is a secret; on the heap of both. */
static char *secret;

static void live_badly(struct wr_recorder_area *a)
{
    static char writable[] = "secret of .data";
    static const char *const fake_names[] = {"x", "y"};
    static const struct wr_fsm fake = {1234, 2, "fake", fake_names, moves}; /* not the magic */

    for (unsigned i = 0; i < a->cnt; i++) {
        struct wr_recorder *r = &a->at[i];

        r->tid = i + 1;
        r->no = i;
        r->_cnt = UINT64_MAX - i;
        r->conn_no = r->req_id = r->last_id = UINT64_MAX;
        for (unsigned k = 0; k < WR_RECORDER_REQS; k++) {
            struct wr_recorder_req *q = &r->reqs[k];

            q->id = UINT64_MAX;
            q->line_len = UINT32_MAX;
            q->ip_len = 99;
            memset(q->line, 0x80, sizeof(q->line));
        }
        r->task = i % 3 == 0 ? secret : i % 3 == 1 ? writable : (const char *)0x10;
        for (unsigned k = 0; k < WR_RECORDER_CAP; k++) {
            uintptr_t fsm = k % 5 == 0   ? (uintptr_t)&toy
                            : k % 5 == 1 ? (uintptr_t)&fake
                            : k % 5 == 2 ? (uintptr_t)secret
                            : k % 5 == 3 ? (uintptr_t)&toy + 8
                                         : UINTPTR_MAX;

            r->_at[k] = (struct wr_recorder_note){k, k, (uint32_t)(fsm << 7) | (k & 0x3ff)};
        }
    }
    a->cnt = UINT32_MAX;
    a->told_tid = 1;
    wr_store_rlx(&a->told_sig, UINT32_MAX);
}

static void live_without_anchor(struct wr_recorder_area *a)
{
    live_badly(a);
    a->anchor = NULL;
}

static void live_short(struct wr_recorder_area *a)
{
    a->magic = 0;
}

/* A worker's whole life; what is told about it is in out. */
static void live_and_report(life_fn *fn)
{
    static struct wr_log_sink sink = {.level = WR_LOG_ERROR};
    struct wr_autopsy a;
    int fds[2], status;
    ssize_t n;
    pid_t pid;

    wr_autopsy_open(&a, 2);
    assert_non_null(a._area);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        wr_autopsy_attach(a.fd);
        (void)snprintf(secret, 16, "mine");
        fn(wr_recorder_shared());
        (void)kill(getpid(), SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    wr_autopsy_close_fd(&a);
    assert_int_equal(a.fd, -1);
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    sink.fd = fds[1];
    wr_log_set_default(&sink);
    wr_autopsy_report(&a, 4711, SIGKILL);
    wr_log_set_default(NULL);
    n = read(fds[0], out, sizeof(out) - 1);
    out[n > 0 ? n : 0] = '\0';
    close(fds[0]);
    close(fds[1]);
    wr_autopsy_close(&a);
    wr_autopsy_close(&a); /* idempotent */
    assert_null(a._area);
}

static void test_killed(void **state)
{
    const char *at;
    unsigned cnt = 0;

    (void)state;
    live_and_report(live_well);
    at = strstr(out,
                "worker process 4711: thread 2 ran task \"toy task\", connection *3, request 17, "
                "client: ::1, request: \"GET /x HTTP/1.1\"; moves: 55 toy 17: ");
    assert_non_null(at);
    while ((at = strstr(at, "55 toy 17: ")) != NULL) {
        at++;
        cnt++;
    }
    assert_int_equal(cnt, MOVES_RUNNING);
    assert_non_null(strstr(out, "55 toy 17: BUSY -> IDLE"));
    assert_null(
        strstr(strstr(out, "4711: thread") + 1, "4711: thread")); /* the control thread waits */
}

static void test_short_life(void **state)
{
    struct wr_autopsy none = {.fd = -1};

    (void)state;
    live_and_report(live_short);
    assert_null(strstr(out, "thread"));
    wr_autopsy_report(&none, 1, SIGSEGV);
    wr_autopsy_close(&none);
}

static void test_forged(void **state)
{
    static life_fn *const lives[] = {live_badly, live_without_anchor};

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(lives); i++) {
        live_and_report(lives[i]);
        assert_non_null(strstr(out, "worker process 4711: signal 4294967295 had come before that"));
        assert_non_null(strstr(out, "4711: thread 1"));
        assert_null(strstr(out, "secret"));
        assert_null(strstr(out, "fake"));
        assert_true((strstr(out, " toy ") != NULL) == (i == 0));
    }
}

/* The memory keeps its size, whatever the worker does. */
static void test_sealed(void **state)
{
    struct wr_autopsy a;

    (void)state;
    wr_autopsy_open(&a, 1);
    assert_int_equal(ftruncate(a.fd, 10), -1);
    assert_int_equal(ftruncate(a.fd, 1 << 30), -1);
    wr_autopsy_close(&a);
    assert_int_equal(a.fd, -1);
}

static void test_attach_refuses(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    wr_autopsy_attach(fds[0]);
    assert_null(wr_recorder_shared());
    wr_autopsy_attach(-1);
    assert_null(wr_recorder_shared());
    close(fds[0]);
    close(fds[1]);
}

static void test_oom(void **state)
{
    static const char text[] = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 12\noom_group_kill 0\n";
    struct wr_autopsy a = {.fd = -1, ._oom_group = UINT64_MAX, ._oom_machine = UINT64_MAX};
    static struct wr_log_sink sink = {.level = WR_LOG_ERROR};
    char path[] = "/tmp/weir-test-XXXXXX";
    uint64_t here = read_oom_kills("/proc/vmstat");
    int fd = mkstemp(path), fds[2];
    ssize_t n;

    (void)state;
    assert_true(fd != -1);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    assert_int_equal(read_oom_kills(path), 12);
    assert_int_equal(ftruncate(fd, 20), 0);
    assert_int_equal(read_oom_kills(path), 0);
    close(fd);
    unlink(path);
    assert_int_equal(read_oom_kills(path), 0);
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    sink.fd = fds[1];
    wr_log_set_default(&sink);
    report_oom(&a, 4711);
    assert_int_equal(read(fds[0], out, sizeof(out)), -1); /* nothing has grown */
    if (here > 0) {
        a._oom_machine = here - 1;
        report_oom(&a, 4711);
        n = read(fds[0], out, sizeof(out) - 1);
        out[n > 0 ? n : 0] = '\0';
        assert_non_null(strstr(out, "worker process 4711 was perhaps killed for want of memory"));
    }
    wr_log_set_default(NULL);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),         cmocka_unit_test(test_short_life),
        cmocka_unit_test(test_forged),         cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_attach_refuses), cmocka_unit_test(test_oom),
    };

    secret = malloc(16);
    (void)snprintf(secret, 16, "secret of heap");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
