/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h1_fate.c: what the codec says of a request that met an idle connection at its end, on real
 * TCP sockets: only where nobody can have read a byte of it may it be sent again though it is a
 * POST (U2.6). The codec's task is run by hand, so that the request leaves before the loop has seen
 * what the peer did: the moment that a network has and a test cannot wait for.
 */
#include "unit/http/h1_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "http/h1_client.c"
#include "tls/tls.h"

#define BEFORE 100 /* bytes that the connection carried earlier, each way */

enum act {
    ACT_CLOSE = 1,
    ACT_RESET = 2, /* closes without FIN */
    ACT_SHUT = 4,  /* half-closes */
    ACT_READ = 8,  /* all of the request */
    ACT_READ_PART = 16,
    ACT_ACK = 32, /* waits until its system has acknowledged the request */
    ACT_ACK_RESET = ACT_ACK | ACT_RESET,
};

struct row {
    const char *name;
    enum wr_method method;
    unsigned before, behind; /* enum act, before and behind the sending of the request */
    bool is_unseen;
};

static const struct row rows[] = {
    {"it had closed",                        WR_METHOD_POST,  ACT_CLOSE, 0,                         true },
    {"it had closed, PATCH",                 WR_METHOD_PATCH, ACT_CLOSE, 0,                         true },
    {"not asked for what may be sent twice", WR_METHOD_GET,   ACT_CLOSE, 0,                         false},
    {"it took it and closed",                WR_METHOD_POST,  0,         ACT_READ | ACT_CLOSE,      false},
 /* Acknowledged by nobody, and yet it was read: a reset alone proves nothing. */
    {"it took it and reset",                 WR_METHOD_POST,  0,         ACT_READ | ACT_RESET,      false},
    {"it took a part and closed",            WR_METHOD_POST,  0,         ACT_READ_PART | ACT_CLOSE, false},
    {"it had half-closed, and reads",        WR_METHOD_POST,  ACT_SHUT,  ACT_READ,                  false},
    {"it half-closed, read and reset",       WR_METHOD_POST,  ACT_SHUT,  ACT_READ | ACT_ACK_RESET,  false},
    {"it half-closed, its system took it",   WR_METHOD_POST,  ACT_SHUT,  ACT_ACK_RESET,             false},
 /* Here nobody read it; poll_fate.c says what cannot be told apart from this. */
    {"it had half-closed, then closes",      WR_METHOD_POST,  ACT_SHUT,  ACT_CLOSE,                 true },
};

static void make_pair(int fd[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(l, 1), 0);
    assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd[0], (struct sockaddr *)&a, sizeof(a)), 0);
    fd[1] = accept(l, NULL, NULL);
    assert_true(fd[1] >= 0);
    close(l);
}

static void exchange(const int fd[2])
{
    char bytes[BEFORE] = {0};

    assert_int_equal(send(fd[0], bytes, BEFORE, 0), BEFORE);
    assert_int_equal(recv(fd[1], bytes, BEFORE, MSG_WAITALL), BEFORE);
    assert_int_equal(send(fd[1], bytes, BEFORE, 0), BEFORE);
    assert_int_equal(recv(fd[0], bytes, BEFORE, MSG_WAITALL), BEFORE);
}

static void act(int fd, unsigned what, size_t sent)
{
    struct linger lg = {.l_onoff = 1};
    char bytes[4096];

    if ((what & (ACT_READ | ACT_READ_PART)) != 0) {
        size_t n = (what & ACT_READ) != 0 ? sent : 5;

        assert_int_equal(recv(fd, bytes, n, MSG_WAITALL), n);
    }
    if ((what & ACT_SHUT) != 0) {
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
    }
    if ((what & ACT_RESET) != 0) {
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)), 0);
    }
    if ((what & (ACT_CLOSE | ACT_RESET)) != 0) {
        close(fd);
    }
}

static void no_user(struct wr_task *t)
{
    (void)t;
}

/* The row's request on pc, a connection that was used before; fd: the peer's side of it. */
static void play_on(struct wr_loop *loop, const struct row *r, struct wr_pconn *pc, int fd,
                    struct wr_task *user, bool is_unseen)
{
    struct wr_msg head;
    struct wr_arena arena;
    struct wr_stream *s;

    wr_arena_init(&arena, 100000);
    assert_int_equal(pc->codec->open(pc, &arena, user, &s), WR_OK);
    assert_true(s->is_reused);
    wr_msg_init(&head, &arena, 10);
    head.method = r->method;
    head.method_name = wr_method_name(r->method);
    head.target = WR_STR("/x");
    head.version = 11;
    head.framing = WR_FRAMING_NONE;
    s->head_out = &head;
    s->ops->start(s);
    act(fd, r->before, 0);
    run_client(&pc->conn->task); /* it leaves before anything was noticed */
    assert_true(s->tx_bytes > 0 || (r->before & ACT_RESET) != 0);
    act(fd, r->behind & (ACT_READ | ACT_READ_PART), s->tx_bytes);
    for (int i = 0; i < 5000 && (r->behind & ACT_ACK) != 0 && wr_io_unread(&pc->conn->io) > 0;
         i++) {
        (void)poll(NULL, 0, 1);
    }
    act(fd, r->behind & ~(unsigned)(ACT_READ | ACT_READ_PART), 0);
    for (int i = 0; i < 400 && !wr_stream_is_reset(s); i++) {
        wr_loop_turn(loop, 5);
    }
    if (!wr_stream_is_reset(s) || s->is_unseen != is_unseen) {
        fail_msg("%s: %s, %s", r->name, wr_reason_name(s->reason),
                 s->is_unseen ? "unseen" : "seen");
    }
    assert_int_equal(s->head_in == NULL, 1);
    s->ops->release(s);
    pc->codec->close(pc, WR_REASON_DONE);
    for (int i = 0; i < 4; i++) {
        wr_loop_turn(loop, 0);
    }
    wr_arena_fini(&arena);
    if (((r->before | r->behind) & (ACT_CLOSE | ACT_RESET)) == 0) {
        close(fd);
    }
}

static void play(struct wr_loop *loop, const struct row *r, bool is_base_known)
{
    struct wr_pconn_seed seed = {.served = 1, .tx_total = is_base_known ? BEFORE : 0};
    struct wr_addr to = {0};
    struct wr_task user;
    struct wr_pconn *pc;
    int fd[2], flags;

    make_pair(fd);
    exchange(fd);
    wr_task_init(&user, no_user, "user");
    flags = fcntl(fd[0], F_GETFL);
    assert_int_equal(fcntl(fd[0], F_SETFL, flags | O_NONBLOCK), 0);
    seed.fd = fd[0];
    assert_int_equal(wr_h1_codec.adopt(&wr_h1_codec, &seed, &to, &user, &pc), WR_OK);
    play_on(loop, r, pc, fd[1], &user, r->is_unseen && is_base_known);
    wr_task_cancel(&user);
}

/* U2.6 */
static void table_holds(void **state)
{
    struct wr_loop *loop;

    (void)state;
    (void)wr_local_get();
    loop = wr_loop_new(wr_poll_epoll_new());
    assert_non_null(loop);
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        play(loop, &rows[i], true);
    }
    /* A connection of which it is not known what it carried: bytes of old count as taken. */
    play(loop, &rows[0], false);
    wr_loop_free(loop);
    assert_int_equal(wr_chunk_in_use(), 0);
}

/* ---- over the kernel's TLS ------------------------------------------------------------------- */

/* What the peer is, and the context of our side. */
struct tls_kit {
    SSL_CTX *peer;
    struct wr_tls_ctx *ours;
};

static bool has_kernel_tls(void)
{
    int fd[2];
    bool ok;

    make_pair(fd);
    ok = setsockopt(fd[0], IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0;
    close(fd[0]);
    close(fd[1]);
    return ok;
}

static void open_kit(struct tls_kit *k)
{
    static const struct wr_tls_command cmd = {WR_STR_INIT("Options"), WR_STR_INIT("KTLS")};
    struct wr_tls_opts o = {.side = WR_TLS_CLIENT,
                            .protocols = WR_TLS_1_2 | WR_TLS_1_3,
                            .ciphers = WR_STR("DEFAULT"),
                            .commands = &cmd,
                            .command_cnt = 1,
                            .record_max = 16384};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    char room[512];
    struct wr_strbuf err;
    enum wr_tls_part part;
    uint32_t no;

    wr_strbuf_init_fixed(&err, room, sizeof(room));
    assert_int_equal(wr_tls_ctx_new(&o, &err, &part, &no, &k->ours), WR_OK);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    k->peer = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(k->peer, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(k->peer, key), 1);
    X509_free(x);
    EVP_PKEY_free(key);
}

/* Turns of the loop until the peer has what it waits for. */
#define UNTIL(loop, what)                                                                          \
    do {                                                                                           \
        int turns = 0;                                                                             \
        while (!(what) && turns++ < 2000) {                                                        \
            wr_loop_turn(loop, 2);                                                                 \
        }                                                                                          \
        assert_true(turns < 2000);                                                                 \
    } while (0)

/* A connection over which something was sent each way. */
static struct wr_pconn *dial_tls(struct wr_loop *loop, const struct tls_kit *k, SSL *peer,
                                 struct wr_task *user, int *ret_fd)
{
    struct wr_addr to = {.len = sizeof(to.u.in)};
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;
    struct wr_tls_target target = {.ctx = k->ours};
    char bytes[BEFORE] = {0}, room[256];
    struct iovec v = {bytes, sizeof(bytes)};
    struct wr_connect_opts opts = {0};
    struct wr_chunk *c = NULL;
    uint32_t off, len = 0;
    struct wr_strbuf why;
    struct wr_pconn *pc;
    enum wr_status st;
    size_t n = 0;

    wr_strbuf_init_fixed(&why, room, sizeof(room));
    to.u.in = (struct sockaddr_in){.sin_family = AF_INET};
    to.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(l, &to.u.sa, to.len), 0);
    assert_int_equal(listen(l, 1), 0);
    assert_int_equal(getsockname(l, &to.u.sa, &to.len), 0);
    st = wr_h1_codec.dial(&wr_h1_codec,
                          &(struct wr_dial){.to = &to, .opts = &opts, .tls = &target, .why = &why},
                          user, &pc, &err);
    assert_true(st == WR_OK || st == WR_AGAIN);
    *ret_fd = accept(l, NULL, NULL);
    close(l);
    assert_int_equal(fcntl(*ret_fd, F_SETFL, fcntl(*ret_fd, F_GETFL) | O_NONBLOCK), 0);
    assert_int_equal(SSL_set_fd(peer, *ret_fd), 1);
    UNTIL(loop, SSL_accept(peer) == 1 && pc->state == WR_PCONN_READY);
    assert_true(wr_tls_is_in_kernel(pc->conn->link));
    assert_int_equal(pc->conn->link->ops->send(pc->conn->link, &v, 1, &n), WR_OK);
    assert_int_equal(n, BEFORE);
    UNTIL(loop, SSL_read(peer, bytes, sizeof(bytes)) == BEFORE);
    /* The tickets come in front of it. */
    pc->conn->task.run = no_user;
    assert_int_equal(SSL_write(peer, bytes, BEFORE), BEFORE);
    UNTIL(loop, pc->conn->link->ops->recv(pc->conn->link, BEFORE, &c, &off, &len) == WR_OK);
    assert_int_equal(len, BEFORE);
    wr_chunk_unref(c);
    pc->conn->task.run = run_client;
    pc->served = 1;
    assert_int_equal(fcntl(*ret_fd, F_SETFL, fcntl(*ret_fd, F_GETFL) & ~O_NONBLOCK), 0);
    return pc;
}

/* U2.6: as without TLS, though the kernel sends more bytes than it was given. */
static void table_holds_in_the_kernel(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct wr_loop *loop;
    struct tls_kit k;

    (void)state;
    if (!has_kernel_tls()) {
        print_message("not here: this kernel gives no TLS to a socket\n");
        skip();
    }
    (void)wr_local_get();
    loop = wr_loop_new(wr_poll_epoll_new());
    assert_non_null(loop);
    open_kit(&k);
    for (size_t i = 0; i < 4 * WR_ARRAY_LEN(rows); i++) {
        struct row r = rows[i / 4];
        SSL *peer = SSL_new(k.peer);
        struct wr_task user;
        struct wr_pconn *pc;
        int fd = -1;

        assert_int_equal(SSL_set_max_proto_version(peer, versions[i % 2]), 1);
        wr_task_init(&user, no_user, "user");
        pc = dial_tls(loop, &k, peer, &user, &fd);
        if ((i & 2) != 0 && (r.before & (ACT_CLOSE | ACT_SHUT)) != 0) {
            assert_true(SSL_shutdown(peer) >= 0);
        }
        play_on(loop, &r, pc, fd, &user, r.is_unseen);
        wr_task_cancel(&user);
        SSL_free(peer);
    }
    SSL_CTX_free(k.peer);
    wr_tls_ctx_unref(k.ours);
    wr_loop_free(loop);
    assert_int_equal(wr_chunk_in_use(), 0);
}

/* A unix socket has no such numbers. */
static void nothing_is_said_of_unix_sockets(void **state)
{
    struct wr_loop *loop;
    struct wr_io io;
    struct wr_task task;
    int fd[2];

    (void)state;
    (void)wr_local_get();
    loop = wr_loop_new(wr_poll_epoll_new());
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    wr_task_init(&task, no_user, "io");
    wr_io_init(&io, WR_IO_STREAM, &task);
    assert_int_equal(wr_io_adopt(&io, fd[0]), WR_OK);
    close(fd[1]);
    for (int i = 0; i < 200 && (io.facts & WR_IO_EOF) == 0; i++) {
        wr_loop_turn(loop, 5);
    }
    assert_true((io.facts & WR_IO_EOF) != 0);
    assert_int_equal(wr_io_get_fate(&io, 0), WR_IO_TAKEN);
    wr_io_close(&io, WR_IO_CLOSE_FIN);
    wr_task_cancel(&task);
    wr_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_holds),
        cmocka_unit_test(table_holds_in_the_kernel),
        cmocka_unit_test(nothing_is_said_of_unix_sockets),
    };

    return cmocka_run_group_tests_name("http/h1_fate", tests, NULL, NULL);
}
