/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_poll_epoll.c: facts and bytes of real sockets, and what they cost: epoll_ctl, recv and
 * epoll_wait are counted by putting our own names in front of them.
 */
#include "unit/event/looptest.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/slab.h"
#include "base/stat.h"
#include "event/raw.h"

static struct {
    unsigned ctl, recv, wait, events;
} calls;

static int count_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    calls.ctl++;
    return epoll_ctl(ep, op, fd, ev);
}

static int count_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
    int n = wr_raw_epoll_wait(ep, ev, max, timeout);

    calls.wait++;
    calls.events += n > 0 ? (unsigned)n : 0;
    return n;
}

static ssize_t count_recv(int fd, void *buf, size_t n, int flags)
{
    calls.recv++;
    return wr_raw_recv(fd, buf, n, flags);
}

#define epoll_ctl         count_epoll_ctl
#define wr_raw_epoll_wait count_epoll_wait
#define wr_raw_recv       count_recv
#include "event/poll_epoll.c"
#undef epoll_ctl
#undef wr_raw_epoll_wait
#undef wr_raw_recv

#define CHECK_CALLS(c, r)                                                                          \
    do {                                                                                           \
        assert_int_equal(calls.ctl, (c));                                                          \
        assert_int_equal(calls.recv, (r));                                                         \
        memset(&calls, 0, sizeof(calls));                                                          \
    } while (0)

/* An io with a task that takes nothing unless told so. */
struct conn {
    struct wr_task task;
    struct wr_io io;
    unsigned runs;
    bool takes, echoes;
    size_t got;
    enum wr_status end; /* what take said after the bytes */
};

static void run_conn(struct wr_task *t)
{
    struct conn *c = wr_container_of(t, struct conn, task);
    struct wr_chunk *chunk;
    uint32_t off, len;
    size_t n;

    c->runs++;
    if (!c->takes) {
        return;
    }
    while ((c->end = wr_io_take(&c->io, SIZE_MAX, &chunk, &off, &len)) == WR_OK) {
        struct iovec iov = {chunk->data + off, len};

        c->got += len;
        if (c->echoes) {
            assert_int_equal(wr_io_send(&c->io, &iov, 1, &n), WR_OK);
            assert_int_equal(n, len);
        }
        wr_chunk_unref(chunk);
    }
}

static void conn_init(struct conn *c, enum wr_io_mode mode)
{
    memset(c, 0, sizeof(*c));
    c->takes = true;
    c->end = WR_AGAIN;
    wr_task_init(&c->task, run_conn, "conn");
    wr_io_init(&c->io, mode, &c->task);
}

static void conn_open(struct conn *c, int fd)
{
    conn_init(c, WR_IO_STREAM);
    assert_int_equal(wr_io_adopt(&c->io, fd), WR_OK);
}

static int setup(void **state)
{
    int rc = setup_loop(state);

    memset(&calls, 0, sizeof(calls));
    return rc;
}

static void put(int fd, size_t n)
{
    static const char bytes[4096];

    while (n > 0) {
        ssize_t k = write(fd, bytes, WR_MIN(n, sizeof(bytes)));

        assert_true(k > 0);
        n -= (size_t)k;
    }
}

/* ---- cost ----------------------------------------------------------------------------------- */

/* io.md rule 1: a keep-alive exchange is recv + send and a share of epoll_wait. */
static void test_keepalive_costs_no_ctl(void **state)
{
    struct conn c;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    c.echoes = true;
    CHECK_CALLS(1, 0);
    for (int i = 0; i < 50; i++) {
        char buf[1024];

        put(fd[0], 1024);
        wr_loop_turn(*state, 1000);
        assert_int_equal(recv(fd[0], buf, sizeof(buf), 0), 1024);
    }
    assert_int_equal(calls.wait, 50);
    CHECK_CALLS(0, 50);
    assert_int_equal(c.got, 50 * 1024);
    assert_int_equal(c.io.rx_total, 50 * 1024);
    assert_int_equal(c.io.tx_total, 50 * 1024);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    CHECK_CALLS(0, 0);
    close(fd[0]);
}

/* Off with bytes pending: one MOD at the event, no spin, one MOD when on again. */
static void test_want_off_is_lazy(void **state)
{
    struct conn c;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    CHECK_CALLS(1, 0);
    wr_io_want_in(&c.io, false);
    CHECK_CALLS(0, 0);
    put(fd[0], 10);
    turn_idle(*state, 20);
    assert_int_equal(calls.events, 1);
    CHECK_CALLS(1, 0);
    assert_int_equal(c.runs, 0);
    wr_io_want_in(&c.io, true);
    wr_loop_turn(*state, 1000);
    CHECK_CALLS(1, 1);
    assert_int_equal(c.got, 10);
    /* Off and on without bytes in between costs nothing. */
    wr_io_want_in(&c.io, false);
    wr_io_want_in(&c.io, true);
    put(fd[0], 10);
    wr_loop_turn(*state, 1000);
    CHECK_CALLS(0, 1);
    assert_int_equal(c.got, 20);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

/* Bytes that the owner leaves in rx: nothing is received meanwhile, nothing spins. */
/* A receive without an event, and what the other side has not read. */
static void test_look(void **state)
{
    struct conn c;
    int sv[2];
    char buf[8] = {0};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
    conn_open(&c, sv[0]);
    c.takes = false;
    wr_loop_turn(*state, 0);
    wr_io_look(&c.io);
    assert_null(c.io.rx);
    assert_int_equal(write(sv[1], "hello", 5), 5);
    wr_io_look(&c.io);
    assert_int_equal(c.io.rx_len, 5);
    wr_io_look(&c.io); /* they are still here */
    assert_int_equal(c.io.rx_len, 5);
    wr_loop_turn(*state, 0);
    assert_int_equal(c.runs, 1);
    wr_io_consume(&c.io, 5);

    assert_int_equal(wr_io_unread(&c.io), 0);
    assert_int_equal(wr_io_send(&c.io, &(struct iovec){buf, 5}, 1, &(size_t){0}), WR_OK);
    assert_true(wr_io_unread(&c.io) >= 5);
    assert_int_equal(read(sv[1], buf, sizeof(buf)), 5);
    assert_int_equal(wr_io_unread(&c.io), 0);

    (void)close(sv[1]);
    wr_io_look(&c.io);
    assert_int_equal(c.io.facts & WR_IO_EOF, WR_IO_EOF);
    wr_loop_turn(*state, 0);
    assert_int_equal(c.runs, 2);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    wr_io_look(&c.io);
    assert_int_equal(wr_io_unread(&c.io), 0);
}

static void test_bytes_left_in_rx(void **state)
{
    struct conn c;
    int fd[2];
    size_t n;
    const char *p;

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    c.takes = false;
    put(fd[0], 100);
    wr_loop_turn(*state, 1000);
    put(fd[0], 5000);
    turn_idle(*state, 20);
    assert_int_equal(c.runs, 1);
    CHECK_CALLS(2, 1); /* ADD, MOD */
    p = wr_io_peek(&c.io, &n);
    assert_non_null(p);
    assert_int_equal(n, 100);
    /* A small rest was copied out of the thread's chunk. */
    assert_int_equal(c.io.rx->cap, 4096);
    wr_io_consume(&c.io, 40);
    CHECK_CALLS(0, 0);
    assert_int_equal(wr_io_peek(&c.io, &n) - p, 40);
    assert_int_equal(n, 60);
    wr_io_consume(&c.io, 60); /* empty: armed again */
    CHECK_CALLS(1, 0);
    assert_null(wr_io_peek(&c.io, &n));
    c.takes = true;
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.got, 5000);
    /* want_in wakes when bytes are there already. */
    c.takes = false;
    put(fd[0], 7);
    wr_loop_turn(*state, 1000);
    n = c.runs;
    wr_io_want_in(&c.io, true);
    wr_loop_turn(*state, 0);
    assert_int_equal(c.runs, n + 1);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    assert_null(c.io.rx);
    close(fd[0]);
}

static void test_take_in_parts(void **state)
{
    struct conn c;
    struct wr_chunk *a, *b;
    uint32_t off, len;
    int fd[2];

    make_unix_pair(fd);
    conn_open(&c, fd[1]);
    c.takes = false;
    assert_int_equal(write(fd[0], "abcdef", 6), 6);
    wr_loop_turn(*state, 1000);
    assert_int_equal(wr_io_take(&c.io, 4, &a, &off, &len), WR_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(a->data + off, "abcd", 4);
    assert_int_equal(wr_io_take(&c.io, 4, &b, &off, &len), WR_OK);
    assert_int_equal(len, 2);
    assert_memory_equal(b->data + off, "ef", 2);
    assert_int_equal(wr_io_take(&c.io, 4, &b, &off, &len), WR_AGAIN);
    wr_chunk_unref(a);
    wr_chunk_unref(b);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void test_eof(void **state)
{
    struct conn c;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    put(fd[0], 10);
    shutdown(fd[0], SHUT_WR);
    for (int i = 0; i < 10 && c.end != WR_EOF; i++) {
        wr_loop_turn(*state, 100);
    }
    assert_int_equal(c.got, 10);
    assert_int_equal(c.end, WR_EOF);
    assert_true((c.io.facts & (WR_IO_EOF | WR_IO_RDHUP)) == (WR_IO_EOF | WR_IO_RDHUP));
    assert_true((c.io.facts & (WR_IO_ERR | WR_IO_HUP)) == 0);
    /* A half-closed client that waits for its answer costs nothing. */
    turn_idle(*state, 3);
    memset(&calls, 0, sizeof(calls));
    turn_idle(*state, 20);
    assert_int_equal(calls.events, 0);
    CHECK_CALLS(0, 0);
    /* And can still be sent to. */
    put(c.io.fd, 5);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

/* A client that goes while we do not want its bytes: RDHUP tells, once. */
static void test_rdhup_while_off(void **state)
{
    struct conn c;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    wr_io_want_in(&c.io, false);
    put(fd[0], 10);
    turn_idle(*state, 3);
    assert_int_equal(c.runs, 0);
    shutdown(fd[0], SHUT_WR);
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.runs, 1);
    assert_int_equal(c.io.facts, WR_IO_RDHUP);
    turn_idle(*state, 3);
    memset(&calls, 0, sizeof(calls));
    turn_idle(*state, 10);
    assert_int_equal(calls.events, 0);
    assert_int_equal(c.end, WR_AGAIN);
    /* The bytes before it are delivered when they are wanted. */
    wr_io_want_in(&c.io, true);
    for (int i = 0; i < 10 && c.end != WR_EOF; i++) {
        wr_loop_turn(*state, 100);
    }
    assert_int_equal(c.got, 10);
    assert_int_equal(c.end, WR_EOF);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

static void test_reset(void **state)
{
    struct conn c;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    reset_fd(fd[0]);
    for (int i = 0; i < 10 && c.end != WR_ESYS; i++) {
        wr_loop_turn(*state, 100);
    }
    assert_int_equal(c.end, WR_ESYS);
    assert_int_equal(c.io.err, ECONNRESET);
    assert_true((c.io.facts & (WR_IO_ERR | WR_IO_HUP)) == (WR_IO_ERR | WR_IO_HUP));
    assert_false(c.io._in_set);
    memset(&calls, 0, sizeof(calls));
    turn_idle(*state, 10);
    assert_int_equal(calls.events, 0);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
}

/* Reset while IN is off and while bytes lie unread: HUP tells at once, bytes come, then the error.
 */
static void test_reset_while_off(void **state)
{
    struct conn c;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    wr_io_want_in(&c.io, false);
    reset_fd(fd[0]);
    turn_idle(*state, 5);
    assert_true((c.io.facts & WR_IO_HUP) != 0);
    assert_int_equal(c.runs, 1);
    assert_int_equal(c.end, WR_AGAIN);
    memset(&calls, 0, sizeof(calls));
    turn_idle(*state, 10);
    assert_int_equal(calls.events, 0);
    wr_io_want_in(&c.io, true);
    turn_idle(*state, 3);
    assert_int_equal(c.end, WR_ESYS);
    assert_int_equal(c.io.err, ECONNRESET);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
}

/* HUP (both directions over) behind more bytes than one receive takes: all of them arrive. */
static void test_hup_with_bytes(void **state)
{
    enum {
        N = 150000
    };
    struct conn c;
    int fd[2];

    make_unix_pair(fd);
    conn_open(&c, fd[1]);
    c.io.rx_max = 4000;
    put(fd[0], N);
    close(fd[0]); /* unix: HUP at once */
    for (int i = 0; i < 200 && c.end != WR_EOF; i++) {
        wr_loop_turn(*state, 100);
    }
    assert_int_equal(c.got, N);
    assert_int_equal(c.end, WR_EOF);
    assert_int_equal(calls.ctl, 2); /* ADD, DEL */
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
}

/* Early answer: our send fails, yet what the peer had sent before is received, then the failure. */
static void test_bytes_after_failed_send(void **state)
{
    struct conn c;
    struct iovec iov = {(char[1]){'x'}, 1};
    int fd[2];
    size_t n;
    enum wr_status st = WR_OK;

    make_unix_pair(fd);
    conn_open(&c, fd[1]);
    c.takes = false;
    wr_io_want_in(&c.io, false);
    put(fd[0], 100);
    close(fd[0]);
    for (int i = 0; i < 10 && st == WR_OK; i++) {
        st = wr_io_send(&c.io, &iov, 1, &n);
    }
    assert_int_equal(st, WR_ESYS);
    assert_int_equal(c.io.err, EPIPE);
    assert_true((c.io.facts & WR_IO_ERR) != 0);
    c.takes = true;
    wr_io_want_in(&c.io, true);
    turn_idle(*state, 5);
    assert_int_equal(c.got, 100);
    assert_int_equal(c.end, WR_ESYS);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Few bytes in pieces leave as one buffer, more as a list: what arrives is the same. */
static void test_send_pieces(void **state)
{
    static const size_t totals[] = {2, 3, 100, 6143, 6144, 6145, 20000};
    char out[20000], in[20000];
    struct conn c;
    int fd[2];

    (void)state;
    for (size_t i = 0; i < sizeof(out); i++) {
        out[i] = (char)(i * 7 % 251);
    }
    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    for (size_t t = 0; t < sizeof(totals) / sizeof(*totals); t++) {
        size_t n = totals[t], a = n / 3, b = n / 2, sent = 0, got = 0;
        struct iovec iov[3] = {
            {out,     a    },
            {out + a, b - a},
            {out + b, n - b}
        };

        assert_int_equal(wr_io_send(&c.io, iov, 3, &sent), WR_OK);
        assert_int_equal(sent, n);
        while (got < n) {
            ssize_t k = recv(fd[0], in + got, sizeof(in) - got, 0);

            assert_true(k > 0 || errno == EAGAIN);
            got += k > 0 ? (size_t)k : 0;
        }
        assert_int_equal(got, n);
        assert_memory_equal(in, out, n);
    }
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

static void test_short_send(void **state)
{
    enum {
        N = 8 << 20
    };
    struct conn c;
    char *big = wr_mem_alloc(N);
    size_t sent = 0, read_back = 0, n = 0;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    CHECK_CALLS(1, 0);
    while (sent < N) {
        struct iovec iov[2] = {
            {big + sent,                  (N - sent) / 2           },
            {big + sent + (N - sent) / 2, N - sent - (N - sent) / 2}
        };
        enum wr_status st = wr_io_send(&c.io, iov, 2, &n);
        char buf[65536];
        ssize_t k;

        assert_true(st == WR_OK || st == WR_AGAIN);
        sent += st == WR_OK ? n : 0;
        if (sent == N) {
            break;
        }
        /* Short: OUT is armed (one MOD), an event clears it (one MOD). */
        assert_int_equal(c.io.facts & WR_IO_WRITABLE, 0);
        assert_int_equal(c.io._armed & WR_IOA_OUT, WR_IOA_OUT);
        calls.events = 0;
        while ((c.io.facts & WR_IO_WRITABLE) == 0) {
            k = recv(fd[0], buf, sizeof(buf), 0);
            assert_true(k > 0 || errno == EAGAIN);
            read_back += k > 0 ? (size_t)k : 0;
            wr_loop_turn(*state, 1);
        }
        assert_int_equal(calls.events, 1);
        CHECK_CALLS(2, 0);
    }
    assert_int_equal(c.io.tx_total, N);
    (void)read_back;
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
    wr_mem_free(big);
}

static void test_send_file(void **state)
{
    char path[] = "/tmp/wr_test_XXXXXX", buf[64];
    struct conn c;
    int fd[2], file = mkstemp(path);
    size_t n;

    (void)state;
    assert_true(file >= 0);
    unlink(path);
    assert_int_equal(write(file, "0123456789", 10), 10);
    make_unix_pair(fd);
    conn_open(&c, fd[1]);
    assert_int_equal(wr_io_send_file(&c.io, file, 3, 4, &n), WR_OK);
    assert_int_equal(n, 4);
    assert_int_equal(recv(fd[0], buf, sizeof(buf), 0), 4);
    assert_memory_equal(buf, "3456", 4);
    assert_int_equal(wr_io_send_file(&c.io, file, 10, 4, &n), WR_EOF);
    assert_int_equal(n, 0);
    assert_int_equal(wr_io_shutdown(&c.io), WR_OK);
    assert_int_equal(recv(fd[0], buf, sizeof(buf), 0), 0);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
    close(file);
}

/* Bytes go to a kernel pipe and from it, at most as many as said; then to chunks again. */
static void test_kernel_pipe(void **state)
{
    struct wr_chunk *c = NULL;
    struct conn in, out;
    int from[2], to[2], kp[2];
    uint32_t off, len;
    char buf[64];
    size_t n = 0;

    make_tcp_pair(from);
    make_tcp_pair(to);
    assert_int_equal(pipe2(kp, O_NONBLOCK | O_CLOEXEC), 0);
    conn_open(&in, from[1]);
    in.takes = false;
    conn_open(&out, to[1]);
    wr_io_aim(&in.io, kp[1], 4);
    assert_int_equal(send(from[0], "0123456789", 10, 0), 10);
    turn_until(*state, &in.runs, 1);
    assert_int_equal(in.io.rx_piped, 4);
    assert_null(in.io.rx);
    turn_idle(*state, 3);
    assert_int_equal(in.io.rx_piped, 4); /* no more before it was taken */
    assert_int_equal(wr_io_take_piped(&in.io), 4);
    assert_int_equal(wr_io_take_piped(&in.io), 0);
    assert_int_equal(wr_io_send_pipe(&out.io, kp[0], 4, &n), WR_OK);
    assert_int_equal(n, 4);
    assert_int_equal(recv(to[0], buf, sizeof(buf), 0), 4);
    assert_memory_equal(buf, "0123", 4);
    wr_io_aim(&in.io, -1, 0);
    in.runs = 0;
    turn_until(*state, &in.runs, 1);
    assert_int_equal(wr_io_take(&in.io, 100, &c, &off, &len), WR_OK);
    assert_int_equal(len, 6);
    assert_memory_equal(c->data + off, "456789", 6);
    wr_chunk_unref(c);
    assert_int_equal(in.io.rx_total, 10);
    assert_int_equal(out.io.tx_total, 4);
    wr_io_close(&in.io, WR_IO_CLOSE_FIN);
    wr_io_close(&out.io, WR_IO_CLOSE_FIN);
    close(from[0]);
    close(to[0]);
    close(kp[0]);
    close(kp[1]);
}

/* A full pipe: the bytes come as a chunk, and the owner is told. The end comes behind it. */
static void test_full_kernel_pipe(void **state)
{
    struct wr_chunk *c = NULL;
    struct conn in;
    int from[2], kp[2];
    uint32_t off, len;
    char byte = 'x';

    make_tcp_pair(from);
    assert_int_equal(pipe2(kp, O_NONBLOCK | O_CLOEXEC), 0);
    assert_true(fcntl(kp[1], F_SETPIPE_SZ, 4096) > 0);
    while (write(kp[1], &byte, 1) == 1) {
    }
    conn_open(&in, from[1]);
    in.takes = false;
    wr_io_aim(&in.io, kp[1], 100);
    assert_int_equal(send(from[0], "0123456789", 10, 0), 10);
    shutdown(from[0], SHUT_WR);
    turn_until(*state, &in.runs, 1);
    assert_true((in.io.facts & WR_IO_PIPE_FULL) != 0);
    assert_int_equal(in.io.rx_pipe, -1);
    assert_int_equal(wr_io_take(&in.io, 100, &c, &off, &len), WR_OK);
    assert_int_equal(len, 10);
    wr_chunk_unref(c);
    wr_io_aim(&in.io, kp[1], 100);
    assert_true((in.io.facts & WR_IO_PIPE_FULL) == 0);
    turn_idle(*state, 5);
    assert_int_equal(wr_io_take(&in.io, 100, &c, &off, &len), WR_EOF);
    wr_io_close(&in.io, WR_IO_CLOSE_FIN);
    close(from[0]);
    close(kp[0]);
    close(kp[1]);
}

static void test_close_with_reset(void **state)
{
    struct conn c;
    int fd[2];
    char b;

    (void)state;
    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    wr_io_close(&c.io, WR_IO_CLOSE_RESET);
    wr_io_close(&c.io, WR_IO_CLOSE_RESET);
    assert_int_equal(recv(fd[0], &b, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(fd[0]);
}

/* ---- connecting ----------------------------------------------------------------------------- */

static void test_connect(void **state)
{
    struct wr_connect_opts opts = {.nodelay = true, .keepalive = true, .rcvbuf = 65536};
    struct wr_addr a, from;
    struct conn c;
    int l = make_tcp_listener(&a), fd, v = 0;
    socklen_t len = sizeof(v);

    wr_addr_set_port(&a, wr_addr_port(&a));
    from = a;
    wr_addr_set_port(&from, 0);
    opts.bind = &from;
    conn_init(&c, WR_IO_STREAM);
    assert_int_equal(wr_io_connect(&c.io, &a, &opts), WR_AGAIN);
    assert_true(c.io.is_connecting);
    for (int i = 0; i < 10 && c.runs == 0; i++) {
        wr_loop_turn(*state, 100);
    }
    assert_false(c.io.is_connecting);
    assert_int_equal(c.io.facts, WR_IO_CONNECTED);
    CHECK_CALLS(2, 0);
    assert_int_equal(getsockopt(c.io.fd, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
    assert_int_equal(v, 1);
    fd = accept(l, NULL, NULL);
    put(fd, 10);
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.got, 10);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd);
    close(l);
}

static void test_connect_refused(void **state)
{
    struct wr_addr a;
    struct conn c;
    enum wr_status st;

    close(make_tcp_listener(&a));
    conn_init(&c, WR_IO_STREAM);
    st = wr_io_connect(&c.io, &a, NULL);
    if (st == WR_AGAIN) {
        for (int i = 0; i < 10 && c.runs == 0; i++) {
            wr_loop_turn(*state, 100);
        }
        assert_true((c.io.facts & WR_IO_ERR) != 0);
        assert_true((c.io.facts & WR_IO_CONNECTED) == 0);
        assert_int_equal(c.end, WR_ESYS);
    } else {
        assert_int_equal(st, WR_ESYS);
        assert_int_equal(c.io.fd, -1);
    }
    assert_int_equal(c.io.err, ECONNREFUSED);
    memset(&calls, 0, sizeof(calls));
    turn_idle(*state, 5);
    assert_int_equal(calls.events, 0);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    assert_int_equal(wr_loop_get()->poll->io_cnt, 1); /* the mailbox */
}

/* Unix: connects at once, and a full queue is a refusal. */
static void test_connect_unix(void **state)
{
    struct wr_addr a = {0};
    struct conn c[8];
    int l = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), ok = 0;
    socklen_t len = sizeof(a.u);

    (void)state;
    a.u.un.sun_family = AF_UNIX;
    a.len = sizeof(sa_family_t); /* autobind: a free abstract name */
    assert_int_equal(bind(l, &a.u.sa, a.len), 0);
    assert_int_equal(getsockname(l, &a.u.sa, &len), 0);
    a.len = len;
    assert_int_equal(listen(l, 2), 0);
    for (int i = 0; i < 8; i++) {
        enum wr_status st;

        conn_init(&c[i], WR_IO_STREAM);
        st = wr_io_connect(&c[i].io, &a, NULL);
        if (st == WR_OK) {
            assert_int_equal(c[i].io.facts, WR_IO_CONNECTED);
            ok++;
        } else {
            assert_int_equal(st, WR_ESYS);
            assert_int_equal(c[i].io.err, ECONNREFUSED);
        }
    }
    assert_true(ok >= 2 && ok < 8);
    for (int i = 0; i < 8; i++) {
        wr_io_close(&c[i].io, WR_IO_CLOSE_FIN);
    }
    close(l);
}

/* ---- receive room --------------------------------------------------------------------------- */

static void test_packing(void **state)
{
    enum {
        N = 20
    };
    struct epoll_poll *ep = epoll_of(((struct wr_loop *)*state)->poll);
    struct conn c[N];
    int fd[N][2];

    for (int i = 0; i < N; i++) {
        make_unix_pair(fd[i]);
        conn_open(&c[i], fd[i][1]);
        c[i].takes = false;
        put(fd[i][0], 3000);
    }
    wr_loop_turn(*state, 1000);
    /* All in one chunk, one behind the other: 11 receives fill 33,000 bytes, then a new one. */
    for (int i = 1; i < N; i++) {
        if (i != 11) {
            assert_ptr_equal(c[i].io.rx, c[i - 1].io.rx);
            assert_int_equal(c[i].io.rx_off, c[i - 1].io.rx_off + 3000);
        }
    }
    assert_ptr_not_equal(c[11].io.rx, c[10].io.rx);
    /* Nobody but the poll holds it: it begins anew. */
    for (int i = 0; i < N; i++) {
        wr_io_consume(&c[i].io, 3000);
    }
    turn_idle(*state, 1);
    assert_int_equal(ep->chunks[RX_HEAD]->fill, 0);
    for (int i = 0; i < N; i++) {
        wr_io_close(&c[i].io, WR_IO_CLOSE_FIN);
        close(fd[i][0]);
    }
}

static void test_class_grows(void **state)
{
    struct conn c;
    int fd[2];
    unsigned recvs;
    size_t total = 0;

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    /* Fill the socket as far as it goes, so that receives come back full. */
    for (int round = 0; round < 8; round++) {
        static const char bytes[65536];
        ssize_t k;

        wr_io_want_in(&c.io, false);
        while ((k = send(fd[0], bytes, sizeof(bytes), 0)) > 0) {
            total += (size_t)k;
        }
        wr_io_want_in(&c.io, true);
        for (int i = 0; i < 300 && c.got < total; i++) {
            wr_loop_turn(*state, 20);
        }
        assert_int_equal(c.got, total);
    }
    recvs = calls.recv;
    assert_true(total / recvs > 65536);
    /* A small receive goes back to the small chunk. */
    put(fd[0], 10);
    turn_until(*state, &calls.recv, recvs + 1);
    turn_idle(*state, 1);
    assert_int_equal(c.io._cls, RX_HEAD);
    /* rx_max binds exactly. */
    c.io.rx_max = 1000;
    c.takes = false;
    put(fd[0], 5000);
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.io.rx_len, 1000);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

/* No chunk to be had: the io waits without spinning and goes on later. */
static void test_no_memory(void **state)
{
    struct conn c;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    put(fd[0], 10);
    wr_mem_fault_set(1);
    wr_loop_turn(*state, 1000);
    wr_mem_fault_set(0);
    assert_int_equal(c.got, 0);
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.got, 10);
    put(fd[0], 10);
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.got, 20);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

/* ---- the rest ------------------------------------------------------------------------------- */

struct closer {
    struct wr_task task;
    struct conn *victims;
    int n;
};

static void run_closer(struct wr_task *t)
{
    struct closer *c = wr_container_of(t, struct closer, task);

    for (int i = 0; i < c->n; i++) {
        wr_io_close(&c->victims[i].io, WR_IO_CLOSE_FIN);
        wr_task_cancel(&c->victims[i].task);
    }
}

/* Events of a later batch for connections that the first batch closed are dropped and counted. */
static void test_stale_events(void **state)
{
    enum {
        N = 40
    };
    struct conn c[N];
    struct closer closer = {.victims = c, .n = N};
    uint64_t stale = wr_stat_sum(WR_CNT_STALE_HANDLES);
    int fd[N][2];

    for (int i = 0; i < N; i++) {
        make_unix_pair(fd[i]);
        conn_open(&c[i], fd[i][1]);
        put(fd[i][0], 5);
    }
    wr_task_init(&closer.task, run_closer, "closer");
    wr_task_wake(&closer.task);
    wr_loop_turn(*state, 1000);
    assert_int_equal(wr_stat_sum(WR_CNT_STALE_HANDLES) - stale, N - EPOLL_BATCH_EVENTS);
    for (int i = 0; i < N; i++) {
        assert_int_equal(c[i].got, 0);
        close(fd[i][0]);
    }
}

static void test_detach(void **state)
{
    struct conn c;
    struct wr_task t;
    int fd[2], raw;

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    raw = wr_io_detach(&c.io);
    assert_int_equal(raw, fd[1]);
    assert_int_equal(c.io.fd, -1);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN); /* nothing left to close */
    put(fd[0], 10);
    turn_idle(*state, 2);
    assert_int_equal(c.runs, 0);
    (void)t;
    conn_open(&c, raw);
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.got, 10);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

/* NOTIFY: told once; an owner that leaves the fact set is not told again until it asks. */
static void test_notify(void **state)
{
    struct conn c;
    int fd[2];
    char b[16];

    make_unix_pair(fd);
    conn_init(&c, WR_IO_NOTIFY);
    c.takes = false;
    assert_int_equal(wr_io_adopt(&c.io, fd[1]), WR_OK);
    put(fd[0], 10);
    turn_idle(*state, 10);
    assert_int_equal(c.runs, 1);
    assert_true((c.io.facts & WR_IO_READABLE) != 0);
    CHECK_CALLS(2, 0);
    assert_int_equal(read(fd[1], b, sizeof(b)), 10);
    c.io.facts &= (uint16_t)~WR_IO_READABLE;
    wr_io_want_in(&c.io, true);
    put(fd[0], 10);
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.runs, 2);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

static void test_listen_and_accept(void **state)
{
    struct wr_addr a, peer;
    struct conn c;
    int l = make_tcp_listener(&a), client[3], fd;

    conn_init(&c, WR_IO_LISTEN);
    c.takes = false;
    assert_int_equal(wr_io_adopt(&c.io, l), WR_OK);
    for (int i = 0; i < 3; i++) {
        client[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(client[i], &a.u.sa, a.len), 0);
    }
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.runs, 1);
    assert_int_equal(wr_io_accept(&c.io, &fd, &peer), WR_OK);
    assert_int_equal(peer.u.sa.sa_family, AF_INET);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    /* What was left in the queue wakes again. */
    wr_loop_turn(*state, 1000);
    assert_int_equal(c.runs, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wr_io_accept(&c.io, &fd, &peer), WR_OK);
        close(fd);
    }
    assert_int_equal(wr_io_accept(&c.io, &fd, &peer), WR_AGAIN);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    for (int i = 0; i < 3; i++) {
        close(client[i]);
    }
}

/* 1,000 connections with bytes at once: all are served, in batches, nothing is lost. */
static void test_many(void **state)
{
    enum {
        N = 400
    };
    struct conn *c = wr_mem_alloc(N * sizeof(*c));
    int(*fd)[2] = wr_mem_alloc(N * sizeof(*fd));

    for (int i = 0; i < N; i++) {
        make_unix_pair(fd[i]);
        conn_open(&c[i], fd[i][1]);
    }
    for (int round = 1; round <= 3; round++) {
        size_t got = 0;

        for (int i = 0; i < N; i++) {
            put(fd[i][0], 100);
        }
        turn_idle(*state, 4);
        for (int i = 0; i < N; i++) {
            got += c[i].got;
        }
        assert_int_equal(got, (size_t)round * N * 100);
    }
    for (int i = 0; i < N; i++) {
        wr_io_close(&c[i].io, WR_IO_CLOSE_FIN);
        close(fd[i][0]);
    }
    wr_mem_free(c);
    wr_mem_free(fd);
}

static void test_idle_makes_no_wakes(void **state)
{
    struct conn c;
    int fd[2];

    make_tcp_pair(fd);
    conn_open(&c, fd[1]);
    memset(&calls, 0, sizeof(calls));
    wr_loop_turn(*state, 50);
    assert_int_equal(calls.wait, 1);
    assert_int_equal(calls.events, 0);
    wr_io_close(&c.io, WR_IO_CLOSE_FIN);
    close(fd[0]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown_loop)
    const struct CMUnitTest tests[] = {
        T(test_keepalive_costs_no_ctl),
        T(test_want_off_is_lazy),
        T(test_look),
        T(test_bytes_left_in_rx),
        T(test_take_in_parts),
        T(test_eof),
        T(test_rdhup_while_off),
        T(test_reset),
        T(test_reset_while_off),
        T(test_hup_with_bytes),
        T(test_bytes_after_failed_send),
        T(test_short_send),
        T(test_send_pieces),
        T(test_send_file),
        T(test_kernel_pipe),
        T(test_full_kernel_pipe),
        T(test_close_with_reset),
        T(test_connect),
        T(test_connect_refused),
        T(test_connect_unix),
        T(test_packing),
        T(test_class_grows),
        T(test_no_memory),
        T(test_stale_events),
        T(test_detach),
        T(test_notify),
        T(test_listen_and_accept),
        T(test_many),
        T(test_idle_makes_no_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
