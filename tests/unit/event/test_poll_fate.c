/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_poll_fate.c: what was acknowledged, and what may be concluded of it (U2.6): the arithmetic,
 * and the kernel's numbers on real TCP sockets. More bytes may be on the wire than the io was given
 * (the kernel's TLS): whoever compares its own count then is told TAKEN, never LOST. What becomes
 * of a request as a whole: tests/unit/http/test_h1_fate.c.
 */
#include "unit/event/looptest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "event/poll_int.h"

static void judged(void **state)
{
    static const struct {
        uint64_t acked, since;
        enum wr_io_fate open, closed;
    } rows[] = {
        {0,                0,              WR_IO_TAKEN,  WR_IO_TAKEN}, /* the kernel does not say */
        {0,                UINT64_MAX,     WR_IO_TAKEN,  WR_IO_TAKEN},
        {1,                0,              WR_IO_FLYING, WR_IO_LOST }, /* the SYN alone */
        {2,                0,              WR_IO_TAKEN,  WR_IO_TAKEN},
        {101,              100,            WR_IO_FLYING, WR_IO_LOST },
        {102,              100,            WR_IO_TAKEN,  WR_IO_TAKEN},
        {100,              100,            WR_IO_FLYING, WR_IO_LOST }, /* not all of before, even */
        {1 + (1ull << 40), 1ull << 40,     WR_IO_FLYING, WR_IO_LOST },
        {2 + (1ull << 40), 1ull << 40,     WR_IO_TAKEN,  WR_IO_TAKEN},
        {UINT64_MAX,       0,              WR_IO_TAKEN,  WR_IO_TAKEN},
        {UINT64_MAX,       UINT64_MAX - 1, WR_IO_FLYING, WR_IO_LOST },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_int_equal(wr_poll_judge_fate(rows[i].acked, rows[i].since, false), rows[i].open);
        assert_int_equal(wr_poll_judge_fate(rows[i].acked, rows[i].since, true), rows[i].closed);
    }
}

/*
 * A request that begins when `acked` and `unacked` were read: until a byte of it is acknowledged it
 * may be lost, from the first one on it is taken. What was acknowledged between the two questions
 * makes the sum smaller: then it may be called taken when it is not, and never the other way.
 */
static void counted(void **state)
{
    static const struct {
        uint64_t acked;
        uint32_t unacked, between; /* of the latter, acknowledged before the second question */
        uint64_t want;
    } rows[] = {
        {0,            0,          0,   0                            },
        {0,            500,        0,   0                            }, /* not known */
        {1,            0,          0,   0                            },
        {1,            300,        0,   300                          },
        {1501,         0,          0,   1500                         },
        {1501,         700,        0,   2200                         },
        {1501,         700,        200, 2000                         },
        {1501,         700,        700, 1500                         },
        {(1ull << 40), UINT32_MAX, 0,   (1ull << 40) - 1 + UINT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        uint64_t since = wr_poll_add_sent(rows[i].acked, rows[i].unacked - rows[i].between);
        uint64_t all = rows[i].acked + rows[i].unacked; /* acknowledged, with the SYN */

        assert_int_equal(since, rows[i].want);
        if (rows[i].acked == 0) {
            continue;
        }
        assert_int_equal(wr_poll_judge_fate(all + 1, since, true), WR_IO_TAKEN);
        assert_int_equal(wr_poll_judge_fate(all, since, true),
                         rows[i].between == 0 ? WR_IO_LOST : WR_IO_TAKEN);
    }
}

/* ---- on sockets ------------------------------------------------------------------------------ */

struct conn {
    struct wr_loop *loop;
    struct wr_task task;
    struct wr_io io;
    int peer;
};

static void no_run(struct wr_task *t)
{
    (void)t;
}

static void open_conn(struct conn *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

    (void)wr_local_get();
    c->loop = wr_loop_new(wr_poll_epoll_new());
    assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(l, 1), 0);
    assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
    c->peer = accept(l, NULL, NULL);
    close(l);
    wr_task_init(&c->task, no_run, "io");
    wr_io_init(&c->io, WR_IO_STREAM, &c->task);
    assert_int_equal(wr_io_adopt(&c->io, fd), WR_OK);
}

static void close_conn(struct conn *c)
{
    if (c->peer != -1) {
        close(c->peer);
    }
    wr_io_close(&c->io, WR_IO_CLOSE_FIN);
    wr_task_cancel(&c->task);
    wr_loop_free(c->loop);
}

static size_t send_some(struct conn *c, size_t n)
{
    static char bytes[65536];
    struct iovec v = {bytes, n};
    size_t sent = 0;

    return wr_io_send(&c->io, &v, 1, &sent) == WR_OK ? sent : 0;
}

static void read_all(struct conn *c, size_t n)
{
    static char bytes[65536];

    while (n > 0) {
        ssize_t got = recv(c->peer, bytes, WR_MIN(n, sizeof(bytes)), 0);

        assert_true(got > 0);
        n -= (size_t)got;
    }
}

/* An acknowledgement that comes between the two questions makes it smaller: then once more. */
static uint64_t count_to(struct conn *c, uint64_t want)
{
    uint64_t n = wr_io_count_sent(&c->io);

    for (int i = 0; i < 1000 && n != want; i++) {
        assert_true(n < want);
        wr_loop_turn(c->loop, 5);
        n = wr_io_count_sent(&c->io);
    }
    return n;
}

/* Whatever the other side has taken of it. */
static void count_is_what_was_sent(void **state)
{
    struct conn c;
    uint64_t read = 0;
    size_t n;

    (void)state;
    open_conn(&c);
    assert_int_equal(wr_io_count_sent(&c.io), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2000 && (n = send_some(&c, 50000)) > 0; i++) {
            assert_true(wr_io_count_sent(&c.io) <= c.io.tx_total);
        }
        assert_int_equal(count_to(&c, c.io.tx_total), c.io.tx_total);
        read_all(&c, (size_t)(c.io.tx_total - read));
        read = c.io.tx_total;
    }
    close_conn(&c);
    assert_int_equal(wr_io_count_sent(&c.io), 0);
}

/* Bytes that the io was not told of, as the kernel's TLS adds them. */
static void add_unknown(struct conn *c, size_t n)
{
    static const char bytes[1000];

    assert_true(send(c->io.fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n || c->peer == -1);
}

static void end_it(struct conn *c)
{
    close(c->peer);
    c->peer = -1;
}

static enum wr_io_fate learn(struct conn *c, uint64_t since)
{
    enum wr_io_fate f = WR_IO_FLYING;

    for (int i = 0; i < 1000 && (c->io.facts & (WR_IO_EOF | WR_IO_ERR)) == 0; i++) {
        wr_loop_turn(c->loop, 5);
    }
    assert_true((c->io.facts & WR_IO_EOF) != 0 || c->io.err == EPIPE);
    for (int i = 0; i < 1000 && f == WR_IO_FLYING; i++) {
        f = wr_io_get_fate(&c->io, since);
        wr_loop_turn(c->loop, f == WR_IO_FLYING ? 1 : 0);
    }
    return f;
}

/* It had closed before the request came: with the count that is seen, with ours it is not. */
static void more_on_the_wire_than_counted(void **state)
{
    (void)state;
    for (int with_count = 0; with_count < 2; with_count++) {
        struct conn c;
        uint64_t since;

        open_conn(&c);
        add_unknown(&c, 700);
        assert_int_equal(send_some(&c, 1000), 1000);
        add_unknown(&c, 29);
        read_all(&c, 1729);
        since = with_count == 1 ? count_to(&c, 1729) : c.io.tx_total;
        assert_int_equal(since, with_count == 1 ? 1729 : 1000);
        end_it(&c);
        assert_int_equal(send_some(&c, 400), 400);
        add_unknown(&c, 29);
        assert_int_equal(learn(&c, since), with_count == 1 ? WR_IO_LOST : WR_IO_TAKEN);
        close_conn(&c);
    }
}

/* One byte that its system has acknowledged, and be it one that the kernel added, is too much. */
static void one_byte_taken(void **state)
{
    struct conn c;
    uint64_t since;

    (void)state;
    open_conn(&c);
    add_unknown(&c, 700);
    read_all(&c, 700);
    since = count_to(&c, 700);
    assert_int_equal(since, 700);
    add_unknown(&c, 29);
    read_all(&c, 1);
    read_all(&c, 28);
    end_it(&c);
    assert_int_equal(learn(&c, since), WR_IO_TAKEN);
    close_conn(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judged),
        cmocka_unit_test(counted),
        cmocka_unit_test(count_is_what_was_sent),
        cmocka_unit_test(more_on_the_wire_than_counted),
        cmocka_unit_test(one_byte_taken),
    };

    return cmocka_run_group_tests_name("event/poll_fate", tests, NULL, NULL);
}
