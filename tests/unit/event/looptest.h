/* SPDX-License-Identifier: Apache-2.0 */
/*
 * looptest.h: what tests with a real loop share: a loop on epoll as a fixture, a task that counts
 * its runs, pairs of connected sockets.
 */
#ifndef WR_TESTS_LOOPTEST_H
#define WR_TESTS_LOOPTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/chunk.h"
#include "base/clock.h"
#include "base/local.h"
#include "base/mem.h"
#include "event/loop.h"
#include "event/poll.h"
#include "event/task.h"

struct count_task {
    struct wr_task task;
    unsigned runs;
};

static inline void run_count_task(struct wr_task *t)
{
    wr_container_of(t, struct count_task, task)->runs++;
}

static inline void count_task_init(struct count_task *c)
{
    wr_task_init(&c->task, run_count_task, "count");
    c->runs = 0;
}

static inline int setup_loop(void **state)
{
    wr_local_get()->thread_no = 3;
    *state = wr_loop_new(wr_poll_epoll_new());
    return *state == NULL;
}

static inline int teardown_loop(void **state)
{
    wr_loop_free(*state);
    return 0;
}

/* Turns until *what >= want; fails after a while. */
static inline void turn_until(struct wr_loop *l, const unsigned *what, unsigned want)
{
    for (int i = 0; i < 200 && *what < want; i++) {
        wr_loop_turn(l, 50);
    }
    assert_true(*what >= want);
}

/* Turns until nothing is ready any more. */
static inline void turn_idle(struct wr_loop *l, int turns)
{
    for (int i = 0; i < turns; i++) {
        wr_loop_turn(l, 0);
    }
}

static inline void make_unix_pair(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
}

/* A listening TCP socket on loopback, its address in *ret_addr. */
static inline int make_tcp_listener(struct wr_addr *ret_addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memset(ret_addr, 0, sizeof(*ret_addr));
    ret_addr->u.in.sin_family = AF_INET;
    ret_addr->u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ret_addr->len = sizeof(ret_addr->u.in);
    assert_int_equal(bind(fd, &ret_addr->u.sa, ret_addr->len), 0);
    assert_int_equal(listen(fd, 128), 0);
    ret_addr->len = sizeof(ret_addr->u);
    assert_int_equal(getsockname(fd, &ret_addr->u.sa, &ret_addr->len), 0);
    return fd;
}

/* Two connected TCP sockets, both non-blocking. */
static inline void make_tcp_pair(int fd[2])
{
    struct wr_addr a;
    int l = make_tcp_listener(&a);

    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd[0] >= 0);
    assert_int_equal(connect(fd[0], &a.u.sa, a.len), 0);
    assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
    /* connect has returned: the connection is in the queue. */
    fd[1] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd[1] >= 0);
    close(l);
}

/* Resets the connection of fd. */
static inline void reset_fd(int fd)
{
    struct linger lg = {1, 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)), 0);
    close(fd);
}

#endif
