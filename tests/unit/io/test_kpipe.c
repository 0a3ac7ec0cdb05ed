/* SPDX-License-Identifier: Apache-2.0 */
/* test_kpipe.c: kernel pipes: limits, what is kept and for how long, and their slices in a pipe. */
#include "unit/event/looptest.h"

#include <fcntl.h>
#include <unistd.h>

#include "io/kpipe.h"
#include "io/pipe.h"

static const struct wr_kpipe_conf two_pipes = {
    .cap = 65536, .all_max = 2 * 65536, .body_min = 1, .piece_min = 1};

static uint64_t now_us;

static uint64_t read_clock(void *data)
{
    (void)data;
    return now_us;
}

static int setup(void **state)
{
    static const struct wr_clock_source src = {read_clock, read_clock, NULL};

    now_us = 1000000000;
    wr_clock_set_source(&src);
    if (setup_loop(state) != 0) {
        return -1;
    }
    wr_kpipe_set_conf(&two_pipes);
    return 0;
}

static int teardown(void **state)
{
    wr_kpipe_thread_end();
    wr_loop_free(*state);
    wr_clock_set_source(NULL);
    return 0;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static void put(struct wr_kpipe *k, const char *text)
{
    size_t n = strlen(text);

    assert_int_equal(write(k->wr, text, n), n);
    k->in += n;
}

static void test_limits(void **state)
{
    struct wr_kpipe *a = wr_kpipe_new(), *b = wr_kpipe_new();

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(fcntl(a->wr, F_GETPIPE_SZ), 65536);
    assert_true((fcntl(a->rd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(a->rd, F_GETFL) & O_NONBLOCK) != 0);
    assert_null(wr_kpipe_new());
    assert_true(wr_kpipe_is_scarce());
    wr_kpipe_unref(a);
    a = wr_kpipe_new();
    assert_non_null(a);
    wr_kpipe_unref(a);
    wr_kpipe_unref(b);
    wr_kpipe_unref(NULL);
    wr_kpipe_thread_end();
    wr_kpipe_limit_fds(8); /* two descriptors: one pipe */
    a = wr_kpipe_new();
    assert_non_null(a);
    assert_null(wr_kpipe_new());
    wr_kpipe_unref(a);
}

/* An empty one is kept and used again; one with bytes in it is closed. */
static void test_kept(void **state)
{
    struct wr_kpipe *a = wr_kpipe_new();
    int rd = a->rd;

    (void)state;
    wr_kpipe_unref(wr_kpipe_ref(a));
    wr_kpipe_unref(a);
    assert_true(is_open(rd));
    a = wr_kpipe_new();
    assert_int_equal(a->rd, rd);
    put(a, "x");
    assert_int_equal(wr_kpipe_fill(a), 1);
    wr_kpipe_unref(a);
    assert_false(is_open(rd));
}

/* What nobody used for 5 s is closed; meanwhile nothing runs. */
static void test_kept_for_seconds(void **state)
{
    struct wr_kpipe *a = wr_kpipe_new();
    int rd = a->rd;

    wr_kpipe_unref(a);
    now_us += 4999000;
    turn_idle(*state, 2);
    assert_true(is_open(rd));
    now_us += 2000;
    turn_idle(*state, 2);
    assert_false(is_open(rd));
}

static void push(struct wr_pipe *p, struct wr_kpipe *k, const char *text)
{
    struct wr_slice s = {.kind = WR_SLICE_KPIPE, .len = strlen(text), .off = k->in};

    put(k, text);
    s.u.kpipe = wr_kpipe_ref(k);
    assert_int_equal(wr_pipe_push(p, s), WR_OK);
}

static void leave(struct wr_pipe *p)
{
    wr_pipe_leave_producer(p);
    wr_pipe_leave_consumer(p);
}

/* The producer asks, the consumer takes: then he is told. */
static void test_asking(void **state)
{
    struct count_task producer;
    struct wr_pipe *p;

    count_task_init(&producer);
    p = wr_pipe_new(100, &producer.task, NULL);
    assert_false(wr_pipe_can_kpipe(p));
    wr_pipe_take_kpipes(p);
    turn_idle(*state, 1);
    assert_int_equal(producer.runs, 1);
    assert_true(wr_pipe_can_kpipe(p));
    wr_pipe_take_kpipes(p);
    turn_idle(*state, 1);
    assert_int_equal(producer.runs, 1); /* once */
    wr_pipe_hand(p, WR_PIPE_CONSUMER, NULL);
    assert_false(wr_pipe_can_kpipe(p)); /* another one may not */
    leave(p);
}

static void test_slices(void **state)
{
    struct wr_pipe *p = wr_pipe_new(10, NULL, NULL);
    struct wr_kpipe *k = wr_kpipe_new();
    const struct wr_slice *s;
    struct iovec iov[4];
    size_t n;
    char buf[8];

    (void)state;
    wr_pipe_take_kpipes(p);
    assert_int_equal(wr_pipe_push_copy(p, "ab", 2), WR_OK);
    push(p, k, "cde");
    push(p, k, "fg"); /* one slice with the former */
    assert_int_equal(wr_pipe_queued(p), 7);
    assert_int_equal(wr_pipe_room(p), 8);
    assert_int_equal(wr_pipe_peek(p, iov, 4, 100, &n), 1);
    assert_int_equal(n, 2);
    wr_pipe_consume(p, 2);
    s = wr_pipe_front(p);
    assert_int_equal(s->kind, WR_SLICE_KPIPE);
    assert_int_equal(s->len, 5);
    assert_int_equal(wr_pipe_peek(p, iov, 4, 100, &n), 0);
    assert_int_equal(wr_kpipe_read(k, buf, 3), WR_OK);
    wr_pipe_consume(p, 3);
    assert_int_equal(wr_pipe_queued(p), 2);
    push(p, k, "hijklmno");
    assert_true(wr_pipe_can_kpipe(p)); /* its own capacity bounds it */
    leave(p);
    assert_int_equal(k->refs, 1);
    wr_kpipe_unref(k);
}

/* In place and in order, also those that stand between chunks and one that was begun. */
static void test_copying(void **state)
{
    struct wr_pipe *p = wr_pipe_new(100, NULL, NULL);
    struct wr_kpipe *k = wr_kpipe_new();
    struct iovec iov[4];
    char got[16];
    size_t n, at = 0;
    int cnt;

    (void)state;
    wr_pipe_take_kpipes(p);
    push(p, k, "abcd");
    assert_int_equal(wr_pipe_push_copy(p, "ef", 2), WR_OK);
    push(p, k, "gh");
    assert_int_equal(wr_kpipe_read(k, got, 1), WR_OK);
    wr_pipe_consume(p, 1);
    assert_int_equal(wr_pipe_copy_kpipes(p), WR_OK);
    assert_int_equal(wr_kpipe_fill(k), 0);
    assert_int_equal(k->refs, 1);
    assert_int_equal(wr_pipe_queued(p), 7);
    cnt = wr_pipe_peek(p, iov, 4, 100, &n);
    assert_int_equal(n, 7);
    for (int i = 0; i < cnt; i++) {
        memcpy(got + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    assert_memory_equal(got, "bcdefgh", 7);
    leave(p);
    wr_kpipe_unref(k);
}

/* More than a chunk holds: it becomes several, in order; without memory it is as it was. */
static void test_copying_much(void **state)
{
    static const struct wr_kpipe_conf big = {
        .cap = 1024 * 1024, .all_max = 1024 * 1024, .body_min = 1, .piece_min = 1};
    static char bytes[700000];
    struct wr_slice s = {.kind = WR_SLICE_KPIPE, .len = sizeof(bytes)};
    struct wr_pipe *p = wr_pipe_new(100, NULL, NULL);
    struct wr_kpipe *k;
    struct iovec iov[8];
    size_t n, at = 0;
    int cnt;

    (void)state;
    wr_kpipe_set_conf(&big);
    k = wr_kpipe_new();
    assert_non_null(k);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(i * 31 / 7);
    }
    assert_int_equal(write(k->wr, bytes, sizeof(bytes)), sizeof(bytes));
    k->in += sizeof(bytes);
    s.u.kpipe = wr_kpipe_ref(k);
    wr_pipe_take_kpipes(p);
    assert_int_equal(wr_pipe_push_copy(p, "x", 1), WR_OK);
    assert_int_equal(wr_pipe_push(p, s), WR_OK);
    assert_true(wr_pipe_can_push(p)); /* what the kernel has does not count */
    assert_int_equal(p->queued_mem, 1);
    wr_mem_fault_set(2);
    assert_int_equal(wr_pipe_copy_kpipes(p), WR_ENOMEM);
    wr_mem_fault_set(0);
    assert_int_equal(p->queued_mem, 1 + 256 * 1024);
    assert_int_equal(wr_pipe_queued(p), 1 + sizeof(bytes));
    assert_int_equal(wr_pipe_copy_kpipes(p), WR_OK);
    assert_int_equal(p->queued_mem, 1 + sizeof(bytes));
    assert_int_equal(p->queued_kpipe, 0);
    assert_false(wr_pipe_can_push(p));
    wr_pipe_consume(p, 1);
    cnt = wr_pipe_peek(p, iov, 8, sizeof(bytes), &n);
    assert_int_equal(n, sizeof(bytes));
    for (int i = 0; i < cnt; i++) {
        assert_memory_equal(iov[i].iov_base, bytes + at, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    leave(p);
    assert_int_equal(k->refs, 1);
    wr_kpipe_unref(k);
}

/* From one pipe to another: the slice if that takes it, else a copy; never out of order. */
static void test_moving(void **state)
{
    struct wr_pipe *from = wr_pipe_new(100, NULL, NULL), *to = wr_pipe_new(100, NULL, NULL);
    struct wr_kpipe *k = wr_kpipe_new();
    char buf[8];

    (void)state;
    wr_pipe_take_kpipes(from);
    push(from, k, "abc");
    assert_false(wr_pipe_takes_kpipes(to));
    assert_int_equal(wr_pipe_move(to, from, 2), WR_OK);
    assert_int_equal(wr_pipe_front(to)->kind, WR_SLICE_CHUNK);
    assert_int_equal(wr_pipe_move(to, from, UINT64_MAX), WR_OK);
    assert_int_equal(wr_kpipe_fill(k), 0);
    wr_pipe_consume(to, 3);
    wr_pipe_take_kpipes(to);
    push(from, k, "defg");
    assert_int_equal(wr_pipe_move(to, from, UINT64_MAX), WR_OK);
    assert_int_equal(wr_pipe_queued(from), 0);
    assert_int_equal(to->queued_kpipe, 4);
    assert_int_equal(wr_pipe_front(to)->kind, WR_SLICE_KPIPE);
    assert_int_equal(wr_kpipe_read(k, buf, 4), WR_OK);
    assert_memory_equal(buf, "defg", 4);
    wr_pipe_consume(to, 4);
    /* Bytes that went to a pipe whose reader left are not to be taken for those behind them. */
    push(from, k, "lost");
    assert_int_equal(wr_pipe_move(to, from, UINT64_MAX), WR_OK);
    push(from, k, "kept");
    leave(to);
    assert_int_equal(wr_pipe_copy_kpipes(from), WR_ESYS);
    assert_int_equal(from->queued_kpipe, 4);
    leave(from);
    assert_int_equal(k->refs, 1);
    wr_kpipe_unref(k);
}

/* Who fills it is woken once, when so much was read. */
static void test_await(void **state)
{
    struct wr_kpipe *k = wr_kpipe_new();
    struct count_task filler;
    char buf[16];

    count_task_init(&filler);
    put(k, "0123456789");
    wr_kpipe_await(k, &filler.task, 4);
    assert_int_equal(wr_kpipe_read(k, buf, 5), WR_OK);
    turn_idle(*state, 1);
    assert_int_equal(filler.runs, 0);
    assert_int_equal(read(k->rd, buf, 1), 1);
    wr_kpipe_took(k, 1);
    turn_idle(*state, 1);
    assert_int_equal(filler.runs, 1);
    assert_int_equal(wr_kpipe_read(k, buf, 1), WR_OK);
    wr_kpipe_await(k, &filler.task, 1);
    wr_kpipe_end_await(k);
    turn_idle(*state, 1);
    assert_int_equal(filler.runs, 2);
    wr_kpipe_end_await(k);
    assert_int_equal(wr_kpipe_read(k, buf, 3), WR_OK);
    turn_idle(*state, 1);
    assert_int_equal(filler.runs, 2);
    wr_kpipe_unref(k);
}

/* Those that come when many are in use are smaller. */
static void test_sizes(void **state)
{
    static const struct wr_kpipe_conf two_sizes = {
        .cap = 262144, .small_cap = 65536, .all_max = 2 * 262144, .body_min = 1, .piece_min = 1};
    struct wr_kpipe *k[6];
    size_t n = 0;

    (void)state;
    wr_kpipe_set_conf(&two_sizes);
    while (n < WR_ARRAY_LEN(k)) {
        k[n] = wr_kpipe_new();
        if (!k[n]) {
            break;
        }
        assert_int_equal(k[n]->cap, n == 0 ? 262144 : 65536);
        assert_int_equal(fcntl(k[n]->wr, F_GETPIPE_SZ), k[n]->cap);
        n++;
    }
    assert_int_equal(n, 5);
    while (n > 0) {
        wr_kpipe_unref(k[--n]);
    }
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_limits), T(test_kept),    T(test_kept_for_seconds), T(test_asking),
        T(test_slices), T(test_copying), T(test_copying_much),     T(test_moving),
        T(test_await),  T(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
