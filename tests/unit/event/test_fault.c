/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fault.c: the last words of a process. Each case is a child with its error log on a pipe; it
 * must end by the signal that came, and have said what it could.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/fsm.h"
#include "event/fault.c"
#include "event/thread.h"

static const char *const names[] = {"IDLE", "BUSY"};
static const uint32_t moves[] = {1u << 1, 1u << 0};
static const struct wr_fsm toy = WR_FSM("toy", names, moves);

static char out[65536];

/* What the process was about when it happened. */
static void be_busy(void)
{
    struct wr_addr a = {0};
    uint8_t s = 0;

    if (wr_addr_parse_ip(WR_STR("10.1.2.3"), 80, &a) != WR_OK || !wr_fsm_move(&toy, &s, 1, 17)) {
        _exit(1);
    }
    wr_recorder_begin_task(wr_local_get()->recorder, "toy task");
    wr_recorder_enter_req(17, 3, &a, WR_STR("GET /x HTTP/1.1"));
}

static void crash(void *data)
{
    volatile char *p = data;

    *p = 1;
}

static void on_main(void)
{
    be_busy();
    crash((void *)0x1230);
}

static void by_signal(void)
{
    be_busy();
    (void)raise(SIGBUS);
}

static void by_abort(void)
{
    be_busy();
    abort();
}

static void by_panic(void)
{
    be_busy();
    WR_ASSERT(toy.cnt == 3);
}

static void in_thread(void *data)
{
    (void)data;
    be_busy();
    crash((void *)0x1230);
}

static void on_thread(void)
{
    struct wr_thread t;

    if (wr_thread_start(&t, 5, "toy", in_thread, NULL) == WR_OK) {
        wr_thread_join(&t);
    }
}

/* volatile: the compiler shall not see through it. */
static int fill_stack(volatile char *before, int depth)
{
    volatile char room[4096];

    room[0] = before[0];
    return depth == 0 ? 0 : fill_stack(room, depth + 1) + room[0];
}

static void overflow(void *data)
{
    volatile char c = 0;

    (void)data;
    be_busy();
    (void)fill_stack(&c, 1);
}

static void by_overflow(void)
{
    struct wr_thread t;

    if (wr_thread_start(&t, 6, "toy", overflow, NULL) == WR_OK) {
        wr_thread_join(&t);
    }
}

/* What is to be told cannot be read: the rest is told nevertheless. */
static void twice(void)
{
    be_busy();
    wr_local_get()->recorder->task = (const char *)0x40;
    crash((void *)0x1230);
}

static void rest_is_broken(void)
{
    /* Below the program there is nothing. */
    uintptr_t nowhere = (uintptr_t)&wr_recorder_anchor - (12u << 20);

    be_busy();
    wr_recorder_note((const struct wr_fsm *)nowhere, 1, 0, 1);
    crash((void *)0x1230);
}

/* In a child. Value: the signal that ended it; out: its log. */
static int run(void (*fn)(void))
{
    size_t n = 0;
    ssize_t got;
    int fds[2], status = 0;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static struct wr_log_sink sink = {.level = WR_LOG_ERROR};
        struct rlimit none = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)close(fds[0]);
        sink.fd = fds[1];
        wr_log_set_default(&sink);
        wr_fault_install();
        fn();
        _exit(0);
    }
    (void)close(fds[1]);
    while (n < sizeof(out) - 1 && (got = read(fds[0], out + n, sizeof(out) - 1 - n)) > 0) {
        n += (size_t)got;
    }
    out[n] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return WTERMSIG(status);
}

static void test_faults(void **state)
{
    static const char running[] =
        "running task: toy task, connection *3, request 17, client: 10.1.2.3, request: \"GET /x "
        "HTTP/1.1\"\n";
    static const char move[] = "toy 17: IDLE -> BUSY\n";

    static const struct {
        void (*fn)(void);
        int signo;
        const char *texts[3];
    } rows[] = {
        {on_main,        SIGSEGV, {"signal 11 (SIGSEGV) at address 0x1230\n", running, move}    },
        {by_signal,      SIGBUS,  {"signal 7 (SIGBUS) sent by process ", running, move}         },
        {by_abort,       SIGABRT, {"signal 6 (SIGABRT) sent by process ", running, move}        },
        {on_thread,      SIGSEGV, {"#5: signal 11 (SIGSEGV) at address 0x1230\n", running, move}},
        {by_overflow,    SIGSEGV, {"#6: signal 11 (SIGSEGV) at address 0x", running, move}      },
        {twice,          SIGSEGV, {"signal 11 (SIGSEGV) at address 0x1230\n", move, ""}         },
        {rest_is_broken, SIGSEGV, {"signal 11 (SIGSEGV) at address 0x1230\n", running, ""}      },
        {by_panic,       SIGABRT, {"toy.cnt == 3", running, move}                               },
    };

    (void)state;
    if (WR_FAULT_SANITIZED != 0) {
        skip();
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_int_equal(run(rows[i].fn), rows[i].signo);
        for (size_t k = 0; k < WR_ARRAY_LEN(rows[i].texts); k++) {
            const char *at = strstr(out, rows[i].texts[k]);

            if (at == NULL) {
                fail_msg("row %zu: no \"%s\" in \"%s\"", i, rows[i].texts[k], out);
            }
            if (rows[i].texts[k][0] != '\0') { /* once */
                assert_null(strstr(at + 1, rows[i].texts[k]));
            }
        }
        assert_true((strstr(out, "[alert]") != NULL) == (rows[i].fn != by_panic));
    }
}

static void test_which(void **state)
{
    sigset_t all;

    (void)state;
    (void)sigfillset(&all);
    wr_fault_unblock(&all);
    assert_false(sigismember(&all, SIGSEGV));
    assert_true(sigismember(&all, SIGTERM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_which),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
