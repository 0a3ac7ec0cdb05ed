/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h1_conn.c: the HTTP/1 codec of both roles on real sockets (epoll): what a keep-alive
 * exchange looks like on the wire, that it costs one receive and one send a side, files through
 * send_file. The many cases are in tests/sim/test_h1_server.c and test_h1_client.c.
 */
#include "h1_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "event/poll.h"

struct env {
    struct wr_loop *loop;
    struct kit_srv srv;
    size_t mem, chunks;
};

static void turns(struct env *e, int n)
{
    while (n-- > 0) {
        wr_loop_turn(e->loop, 0);
    }
}

static int set_up(void **state)
{
    struct env *e = wr_mem_alloc(sizeof(*e));

    kit_srv_init(&e->srv);
    e->loop = wr_loop_new(wr_poll_epoll_new());
    assert_non_null(e->loop);
    *state = e;
    return 0;
}

static int tear_down(void **state)
{
    struct env *e = *state;

    kit_close_all(&e->srv);
    turns(e, 4);
    kit_end_requests(&e->srv);
    turns(e, 4);
    assert_int_equal(e->srv.conn_cnt, e->srv.closed_cnt);
    assert_int_equal(e->srv.req_cnt, e->srv.released_cnt);
    wr_loop_free(e->loop);
    assert_int_equal(wr_chunk_in_use(), 0);
    wr_mem_free(e);
    return 0;
}

static int connect_client(struct env *e)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_non_null(kit_serve(&e->srv, fds[1], NULL));
    return fds[0];
}

static void put(int fd, const char *s)
{
    assert_int_equal(write(fd, s, strlen(s)), strlen(s));
}

static void expect(int fd, const char *want)
{
    char buf[65536];
    ssize_t n = read(fd, buf, sizeof(buf) - 1);

    buf[n < 0 ? 0 : n] = '\0';
    assert_string_equal(buf, want);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"

static void test_keep_alive(void **state)
{
    struct env *e = *state;
    int fd = connect_client(e);

    for (int i = 0; i < 3; i++) {
        put(fd, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        turns(e, 2);
        expect(fd, OK_HELLO);
    }
    assert_string_equal(e->srv.log, "GET /x -> 200 DONE/DONE NONE\n"
                                    "GET /x -> 200 DONE/DONE NONE\n"
                                    "GET /x -> 200 DONE/DONE NONE\n");
    assert_true(wr_h1_server_is_idle(wr_h1_server_of_node(e->srv.conns.next)));
    close(fd);
    turns(e, 2);
    assert_int_equal(e->srv.closed_cnt, 1);
}

/* A file slice goes out by send_file, behind the bytes that were queued before it. */
static void test_file_body(void **state)
{
    struct env *e = *state;
    char path[] = "/tmp/h1connXXXXXX";
    int fd, file_fd = mkstemp(path), err = 0;
    char text[3000], got[8192];
    struct wr_file *f;
    struct kit_req *r;
    struct wr_slice s = {.kind = WR_SLICE_FILE};
    ssize_t n;

    memset(text, 'f', sizeof(text));
    assert_int_equal(write(file_fd, text, sizeof(text)), sizeof(text));
    close(file_fd);
    assert_int_equal(wr_file_open(path, &f, &err), WR_OK);
    unlink(path);
    fd = connect_client(e);
    e->srv.mode = KIT_HOLD;
    e->srv.leave_open = true;
    e->srv.announce_body = false;
    e->srv.announce = 3005;
    put(fd, "GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
    turns(e, 2);
    kit_go(&e->srv);
    turns(e, 1);
    r = wr_container_of(e->srv.reqs.next, struct kit_req, node);
    s.u.file = f;
    s.len = 3000;
    assert_int_equal(wr_pipe_push(r->pipe, s), WR_OK);
    wr_pipe_eof(r->pipe);
    turns(e, 2);
    n = read(fd, got, sizeof(got));
    assert_true(n > 3005);
    assert_memory_equal(got + n - 3005, "hello", 5);
    assert_memory_equal(got + n - 3000, text, 3000);
    assert_string_equal(e->srv.log, "GET /f -> 200 DONE/DONE NONE\n");
    close(fd);
}

static int listen_any(struct wr_addr *ret)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memset(ret, 0, sizeof(*ret));
    ret->len = sizeof(ret->u.in);
    ret->u.in.sin_family = AF_INET;
    ret->u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, &ret->u.sa, ret->len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, &ret->u.sa, &ret->len), 0);
    return fd;
}

/* Both roles, against each other. */
static void test_both_roles(void **state)
{
    struct env *e = *state;
    struct kit_cli u;
    struct wr_addr to;
    int l = listen_any(&to), fd;
    char *buf = wr_mem_alloc(1 << 20);
    static char big[300000];

    memset(big, 'b', sizeof(big));
    kit_cli_init(&u, buf, 1 << 20);
    assert_int_not_equal(kit_cli_dial(&u, &to), WR_ESYS);
    turns(e, 2);
    fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fd >= 0);
    assert_non_null(kit_serve(&e->srv, fd, NULL));
    turns(e, 10);
    assert_true(u.is_over);
    assert_int_equal(u.status, 200);
    assert_int_equal(u.got_len, 5);
    assert_int_equal(u.pc->state, WR_PCONN_READY);
    assert_int_equal(u.pc->served, 1);
    /* Again on the same connection, with bodies both ways. */
    e->srv.mode = KIT_ECHO;
    u.method = "POST";
    u.framing = WR_FRAMING_CHUNKED;
    u.body = big;
    u.body_len = sizeof(big);
    u.got_len = 0;
    u.is_over = false;
    wr_task_wake(&u.task);
    for (int i = 0; i < 500 && !u.is_over; i++) {
        wr_loop_turn(e->loop, 10);
    }
    assert_true(u.is_over);
    assert_int_equal(u.rx, WR_HALF_DONE);
    assert_int_equal(u.tx, WR_HALF_DONE);
    assert_int_equal(u.got_len, sizeof(big));
    assert_memory_equal(u.got, big, sizeof(big));
    assert_int_equal(u.pc->state, WR_PCONN_READY);
    /* The server closes: the idle connection closes itself (U10.2). */
    kit_close_all(&e->srv);
    turns(e, 3);
    assert_int_equal(u.pc->state, WR_PCONN_CLOSED);
    kit_cli_end(&u);
    turns(e, 2);
    wr_mem_free(buf);
    close(l);
}

static void test_refused(void **state)
{
    struct env *e = *state;
    struct kit_cli u;
    struct wr_addr to;
    char buf[16];
    int l = listen_any(&to);
    enum wr_status st;

    close(l);
    kit_cli_init(&u, buf, sizeof(buf));
    st = kit_cli_dial(&u, &to);
    if (st == WR_AGAIN) {
        turns(e, 5);
        assert_int_equal(u.pc->state, WR_PCONN_CLOSED);
    } else {
        assert_int_equal(st, WR_ESYS);
    }
    assert_int_equal(u.dial_err, ECONNREFUSED);
    kit_cli_end(&u);
    turns(e, 2);
}

/* A relay of one pipe: the peer's `in` is the client's `out` (architecture section 10, rule 4). */
static void test_relay_one_pipe(void **state)
{
    struct env *e = *state;
    struct kit_cli u;
    struct wr_addr to;
    int l = listen_any(&to), fd, peer;
    struct kit_req *r;
    char got[512];
    ssize_t n;

    fd = connect_client(e);
    e->srv.mode = KIT_HOLD;
    put(fd, "GET /r HTTP/1.1\r\nHost: a\r\n\r\n");
    turns(e, 2);
    r = wr_container_of(e->srv.reqs.next, struct kit_req, node);
    kit_cli_init(&u, got, sizeof(got));
    u.is_lazy = true;
    assert_int_not_equal(kit_cli_dial(&u, &to), WR_ESYS);
    turns(e, 2);
    peer = accept(l, NULL, NULL);
    put(peer, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
    turns(e, 4);
    assert_non_null(u.in);
    /* Hand over. */
    wr_msg_init(&r->out, r->s->arena, 10);
    r->out.status = 200;
    r->out.content_length = 10;
    r->s->head_out = &r->out;
    r->s->out = wr_take(&u.in);
    r->s->keepalive_ms = 1000;
    r->s->ops->start(r->s);
    r->is_started = true;
    turns(e, 2);
    put(peer, "56789");
    turns(e, 4);
    assert_int_equal(u.pc->state, WR_PCONN_READY);
    n = read(fd, got, sizeof(got) - 1);
    assert_true(n > 10);
    got[n] = '\0';
    assert_string_equal(got + n - 10, "0123456789");
    close(peer);
    close(fd);
    close(l);
    kit_cli_end(&u);
    turns(e, 3);
}

/* Whatever lies unread while a request runs, the loop sleeps (io.md rule 2). */
static void test_no_spin(void **state)
{
    static char more[20000];
    struct env *e = *state;

    for (int how = 0; how < 4; how++) {
        int fd = connect_client(e);

        e->srv.mode = KIT_HOLD;
        put(fd, how == 3 ? "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n"
                         : "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        turns(e, 2);
        if (how != 0) {
            memset(more, 'x', sizeof(more));
            assert_int_equal(write(fd, more, sizeof(more)), sizeof(more));
        }
        if (how != 1) {
            shutdown(fd, SHUT_WR);
        }
        turns(e, 5);
        for (int i = 0; i < 5; i++) {
            wr_loop_turn(e->loop, 0);
            assert_int_equal(e->loop->runs, 0);
        }
        kit_close_all(&e->srv);
        turns(e, 2);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keep_alive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_both_roles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_relay_one_pipe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_spin, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
