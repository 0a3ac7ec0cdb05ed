/* SPDX-License-Identifier: Apache-2.0 */
/*
 * t.h: what the tests of base share: cmocka with the headers that it wants before it, a test that a
 * call aborts, and a pipe to read what went to a descriptor.
 */
#ifndef WR_TESTS_UNIT_BASE_T_H
#define WR_TESTS_UNIT_BASE_T_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef WR_COV
#    include <gcov.h>
#endif

#include "base/str.h"

#define assert_str(s, lit)                                                                         \
    do {                                                                                           \
        struct wr_str _s = (s);                                                                    \
        assert_int_equal(_s.len, strlen(lit));                                                     \
        assert_memory_equal(_s.len == 0 ? "" : _s.ptr, lit, _s.len);                               \
    } while (0)

/* In a child that aborts. Its counters of lines (make cov) would be lost otherwise. */
static inline void t_on_abort(int sig)
{
#ifdef WR_COV
    __gcov_dump();
#endif
    (void)sigaction(sig, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    (void)raise(sig);
}

/* Does fn(data) abort? Its stderr goes to *ret_text (zero-terminated). */
static inline bool t_aborts(void (*fn)(void *data), void *data, char *ret_text, size_t size)
{
    size_t n = 0;
    ssize_t got;
    int fds[2], status = 0;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)sigaction(SIGABRT, &(struct sigaction){.sa_handler = t_on_abort}, NULL);
        (void)dup2(fds[1], STDERR_FILENO);
        fn(data);
        _exit(0);
    }
    close(fds[1]);
    while ((got = read(fds[0], ret_text + n, size - 1 - n)) > 0) {
        n += (size_t)got;
    }
    ret_text[n] = '\0';
    while (n == size - 1 && read(fds[0], &(char){0}, 1) > 0) {
    }
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* What is in a non-blocking pipe now, zero-terminated. */
static inline size_t t_drain(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t got;

    while (n < size - 1 && (got = read(fd, out + n, size - 1 - n)) > 0) {
        n += (size_t)got;
    }
    out[n] = '\0';
    return n;
}

#endif
