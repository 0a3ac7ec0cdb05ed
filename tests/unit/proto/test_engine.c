/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine.c: the toy protocol of tests/proto/echo_proto.c behind the real engine and server,
 * over real sockets in one process: a client, weir, and scripted peers. Proves that a protocol of
 * the second kind needs nothing of the engine (U12.1), and when its functions are called.
 */
#include "unit/http/req_kit.h"

#include "base/mem.h"
#include "lb/rr.h"
#include "proto/echo_proto.c"
#include "up/idle.h"

#include <netinet/in.h>

/* ---- a module around the table: echo_pass HOST; echo_lines_pass HOST;
 * ---------------------------- */

struct echo_loc {
    struct wr_conf_head head;
    struct wr_up_conf up;
    struct wr_members *members;
    bool is_lines;
};

static struct echo_ctx seen[32]; /* one for each request of a test */
static unsigned seen_cnt;
static bool leave_body_out;
static struct wr_conf_module echo_conf;

static enum wr_status echo_start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    struct echo_loc *lc = wr_req_conf(r, &echo_conf, WR_KIND_LOC);
    struct wr_up_start start = {.conf = &lc->up,
                                .proto = lc->is_lines ? &echo_lines : &echo,
                                .proto_conf = lc,
                                .members = lc->members,
                                .url_prefix = WR_STR("echo://"),
                                .uri = r->client_uri.raw};
    struct wr_proto_req *q;
    struct wr_up *u;

    (void)conf;
    if (wr_up_new(r, &start, &u) != WR_OK) {
        return WR_ENOMEM;
    }
    q = wr_simple_req(u);
    if (q == NULL) {
        return WR_ENOMEM;
    }
    assert_ptr_equal(q->conf, lc);
    q->ctx = &seen[seen_cnt++ % WR_ARRAY_LEN(seen)];
    ((struct echo_ctx *)q->ctx)->is_body_left_out = leave_body_out;
    *ret = &u->content;
    return WR_OK;
}

static enum wr_status set_echo(struct wr_conf *cf, const struct wr_dir *d, const struct wr_node *n,
                               void *conf)
{
    struct echo_loc *lc = conf;

    lc->is_lines = strcmp(d->name, "echo_lines_pass") == 0;
    if (wr_group_refer(cf, n, wr_node_arg(n, 0), 7, &lc->members) != WR_OK) {
        return WR_ECONFIG;
    }
    return wr_core_set_content(cf, n, echo_start, lc);
}

static enum wr_status echo_merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                                  const void *parent, void *conf)
{
    (void)parent;
    return kind != WR_KIND_LOC
               ? WR_OK
               : wr_up_conf_merged(cf, s, &((struct echo_loc *)conf)->up, "echo",
                                   (struct wr_up_given){0}, (struct wr_up_hidden){NULL, 0});
}

#define ECHO_DIR(nm)                                                                               \
    {                                                                                              \
        .name = nm, .contexts = WR_CTX_LOCATION, .min = 1, .max = 1, WR_DIR_CONF(LOC),             \
        .set = set_echo, .doc = "Echo."                                                            \
    }

static const struct wr_dir echo_dirs[] = {ECHO_DIR("echo_pass"), ECHO_DIR("echo_lines_pass"),
                                          WR_UP_DIRS("echo", struct echo_loc, up), WR_DIR_END};
static struct wr_conf_module echo_conf = {.name = "echo",
                                          .dirs = echo_dirs,
                                          .size = {[WR_KIND_LOC] = sizeof(struct echo_loc)},
                                          .merged = echo_merged};
static const struct wr_module echo_module = {.conf = &echo_conf};
static const struct wr_lb *const lbs[] = {&wr_lb_rr};
static struct wr_module up_module = {.conf = &wr_group_conf, .balancers = lbs, .balancer_cnt = 1};
static const struct wr_module *const modules[] = {&kit_core, &up_module, &echo_module, &kit_say};

/* ---- peers --------------------------------------------------------------------------------------
 */

struct epeer {
    int lfd, fd; /* fd -1: none */
    uint16_t port;
    const char *answer;
    size_t split;  /* bytes of it in the first write; 0: all */
    bool hangs_up; /* behind the answer */
    bool is_rude;  /* closes what it accepts */
    unsigned accepted, served, ticks;
    char got[4096];
    size_t len, sent;
};

static struct epeer peers[2];
static struct wr_fixtures fixtures;
static struct kit kit;
static size_t mem_before;

static void peer_open(struct epeer *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);

    memset(p, 0, sizeof(*p));
    p->fd = -1;
    p->lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(p->lfd >= 0);
    assert_int_equal(bind(p->lfd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(p->lfd, 16), 0);
    assert_int_equal(getsockname(p->lfd, (struct sockaddr *)&a, &n), 0);
    p->port = ntohs(a.sin_port);
    p->answer = "";
}

static void peer_drop(struct epeer *p)
{
    if (p->fd >= 0) {
        (void)close(p->fd);
    }
    p->fd = -1;
    p->len = p->sent = 0;
}

/* Is a request with its body here? */
static bool has_request(const struct epeer *p)
{
    const char *nl = memchr(p->got, '\n', p->len), *sp;

    if (nl == NULL) {
        return false;
    }
    sp = memrchr(p->got, ' ', (size_t)(nl - p->got));
    return sp != NULL && p->len >= (size_t)(nl + 1 - p->got) + strtoul(sp + 1, NULL, 10);
}

/* False: nobody is there. */
static bool peer_accept(struct epeer *p)
{
    if (p->fd >= 0) {
        return true;
    }
    p->fd = accept4(p->lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (p->fd < 0) {
        return false;
    }
    p->accepted++;
    p->len = p->sent = 0;
    if (p->is_rude) {
        peer_drop(p);
    }
    return p->fd >= 0;
}

static void peer_step(struct epeer *p)
{
    size_t total = strlen(p->answer), n;
    ssize_t got;

    if (!peer_accept(p)) {
        return;
    }
    got = recv(p->fd, p->got + p->len, sizeof(p->got) - 1 - p->len, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        peer_drop(p);
        return;
    }
    p->len += got > 0 ? (size_t)got : 0;
    p->got[p->len] = '\0';
    if (!has_request(p) || total == 0) {
        return;
    }
    n = p->split != 0 && p->sent == 0 ? p->split : total - p->sent;
    if (p->sent != 0 && p->ticks++ < 3) {
        return; /* the second part comes some turns later */
    }
    assert_int_equal(send(p->fd, p->answer + p->sent, n, MSG_NOSIGNAL), (ssize_t)n);
    p->sent += n;
    p->ticks = 0;
    if (p->sent == total) {
        p->served++;
        p->len = p->sent = 0;
        if (p->hangs_up) {
            peer_drop(p);
        }
    }
}

static void turn(void)
{
    wr_loop_turn(kit.loop, 1);
    peer_step(&peers[0]);
    peer_step(&peers[1]);
}

/* ---- the world
 * ------------------------------------------------------------------------------------ */

/* group: parameters of both servers; location: what else stands beside echo_pass. */
static void begin(const char *pass, const char *location)
{
    static char text[2048];
    struct wr_conf_text file = {.path = "/w/F", .text = text};
    struct wr_conf_texts texts = {&file, 1};
    struct wr_conf_source src;
    struct wr_conf_opts o = {.registry = &kit_registry,
                             .path = WR_STR_INIT("/w/F"),
                             .fixtures = &fixtures,
                             .source = &src};
    struct wr_gen *failed = NULL;
    struct wr_arena a;
    struct wr_diags d;

    o.prefix = wr_str_z(kit_dir);
    memset(&kit, 0, sizeof(kit));
    memset(seen, 0, sizeof(seen));
    seen_cnt = 0;
    leave_body_out = false;
    wr_clock_update();
    mem_before = wr_mem_in_use();
    wr_fixtures_init(&fixtures);
    peer_open(&peers[0]);
    peer_open(&peers[1]);
    (void)snprintf(
        text, sizeof(text),
        "http { upstream g { server 127.0.0.1:%u max_fails=0; server 127.0.0.1:%u max_fails=0; }\n"
        "upstream one { server 127.0.0.1:%u; }\n"
        "server { listen 127.0.0.1:80; location / { %s; %s } } }",
        peers[0].port, peers[1].port, peers[0].port, pass, location);
    kit.loop = wr_loop_new(wr_poll_epoll_new());
    assert_non_null(kit.loop);
    wr_conf_source_texts(&src, &texts);
    wr_arena_init(&a, 1 << 20);
    wr_diags_init(&d, &a);
    if (wr_conf_load(&o, &d, &kit.gen, &failed) != WR_OK) {
        fail_msg("%.*s", d.head == NULL ? 0 : (int)d.head->message.len,
                 d.head == NULL ? "" : d.head->message.ptr);
    }
    wr_arena_fini(&a);
    kit_listen(&kit);
    assert_int_equal(wr_http_adopt(kit.gen, 0), WR_OK);
}

static void finish(void)
{
    const struct wr_members *m = wr_group_find(kit.gen, WR_STR("g"), 80, false);

    for (int i = 0; i < 20 && wr_http_conn_cnt() > 0; i++) {
        turn();
    }
    wr_http_stop();
    wr_idle_thread_end();
    for (int i = 0; i < 20; i++) {
        wr_loop_turn(kit.loop, 0);
    }
    for (uint32_t i = 0; i < m->cnt; i++) {
        assert_int_equal(wr_load_seq(&m->at[i].peer->active), 0); /* U8.3 */
    }
    assert_int_equal(wr_http_req_cnt(), 0);
    assert_int_equal(wr_http_conn_cnt(), 0);
    /* U12.1: finalize once if create ever succeeded. */
    for (unsigned i = 0; i < seen_cnt; i++) {
        assert_int_equal(seen[i].finals, seen[i].creates > 0 ? 1 : 0);
        assert_true(seen[i].reinits <= seen[i].creates);
    }
    wr_gen_unref(kit.gen);
    wr_fixtures_fini(&fixtures);
    wr_loop_free(kit.loop);
    for (size_t i = 0; i < kit.port_cnt; i++) {
        (void)close(kit.fds[i]);
    }
    for (int i = 0; i < 2; i++) {
        peer_drop(&peers[i]);
        (void)close(peers[i].lfd);
    }
    assert_int_equal(wr_chunk_in_use(), 0);
    assert_int_equal(wr_mem_in_use(), mem_before);
}

/* Sends a request with Connection: close; all that comes until the end. */
static const char *ask(const char *request)
{
    static char buf[1 << 16];
    int fd = kit_connect(&kit, 0);
    size_t len = 0;
    ssize_t n;

    kit_send(fd, request);
    for (int i = 0; i < 5000; i++) {
        turn();
        n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            break;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    buf[len] = '\0';
    (void)close(fd);
    turn();
    return buf;
}

#define GET       "GET /a?b=c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define POST(n)   "POST /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " n "\r\n\r\n"
#define HEAD_LINE "HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

/* ---- tests
 * ---------------------------------------------------------------------------------------- */

static void gets_and_posts(void **state)
{
    const char *r;

    (void)state;
    begin("echo_pass one", "");
    peers[0].answer = "200 5 X-A=b\nhello";
    r = ask(GET);
    assert_int_equal(kit_status(r), 200);
    assert_string_equal(kit_body(r), "hello");
    assert_non_null(strstr(r, "\r\nX-A: b\r\n"));
    assert_non_null(strstr(r, "\r\nContent-Length: 5\r\n"));
    assert_int_equal(seen[0].creates, 1);
    assert_int_equal(seen[0].reinits + seen[0].aborts, 0);
    assert_int_equal(seen[0].inits, 1);
    assert_int_equal(seen[0].status, 200);
    r = ask(POST("4") "body");
    assert_string_equal(kit_body(r), "hello");
    r = ask(HEAD_LINE);
    assert_int_equal(kit_status(r), 200);
    assert_string_equal(kit_body(r), "");
    assert_int_equal(peers[0].served, 3);
    finish();
}

static void bodies_go_raw(void **state)
{
    static const char *const how[] = {"", "echo_request_buffering off;"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        begin("echo_pass one", how[i % 2]);
        leave_body_out = i == 2;
        peers[0].answer = "200 0 keep\n";
        peers[0].hangs_up = false;
        /* The peer forgets a request when it answers: look before. */
        peers[0].split = 3;
        int fd = kit_connect(&kit, 0);
        char copy[64] = "";

        kit_send(fd, POST("4") "body");
        for (int k = 0; k < 2000 && peers[0].served == 0; k++) {
            turn();
            if (peers[0].len > 0) {
                (void)snprintf(copy, sizeof(copy), "%.60s", peers[0].got);
            }
        }
        (void)close(fd);
        assert_string_equal(copy, i == 2 ? "/p 0\n" : "/p 4\nbody");
        finish();
    }
}

/* U5.1 */
static void a_head_split_at_every_byte(void **state)
{
    static const char answer[] = "203 5 keep X-A=b\nhello";
    const char *r;

    (void)state;
    begin("echo_pass one", "");
    peers[0].answer = answer;
    for (size_t k = 1; k < sizeof(answer) - 1; k++) {
        peers[0].split = k;
        r = ask(GET);
        assert_int_equal(kit_status(r), 203);
        assert_string_equal(kit_body(r), "hello");
    }
    assert_int_equal(peers[0].accepted, 1); /* kept all the way (U10) */
    finish();
}

static void the_next_peer_is_tried(void **state)
{
    const char *r;

    (void)state;
    begin("echo_pass g", "");
    peers[0].is_rude = true;
    peers[1].answer = "200 2\nok";
    r = ask(GET);
    assert_int_equal(kit_status(r), 200);
    assert_string_equal(kit_body(r), "ok");
    assert_int_equal(peers[0].accepted, 1);
    /* The first may have closed before or after the request was made. */
    assert_int_equal(seen[0].reinits, seen[0].creates - 1);
    finish();

    /* A bad head is no reason for another by default, it is when named. */
    for (int named = 0; named < 2; named++) {
        begin("echo_pass g", named ? "echo_next_upstream invalid_header;" : "");
        peers[0].answer = "nonsense\n";
        peers[1].answer = "200 2\nok";
        r = ask(GET);
        assert_int_equal(kit_status(r), named ? 200 : 502);
        assert_int_equal(seen[0].creates, named ? 2 : 1);
        assert_int_equal(seen[0].reinits, named ? 1 : 0);
        assert_int_equal(seen[0].status, named ? 200 : 502);
        finish();
    }
}

static void failures_of_the_head(void **state)
{
    static const struct {
        const char *answer, *location;
        bool hangs_up;
        unsigned status;
    } rows[] = {
        {"200 5 X-A=0123456789012345678901234567890123456789012345678901234567890123456789\nhello",
         "echo_buffer_size 64; echo_buffers 2 64; echo_max_temp_file_size 0;",                          false, 502},
        {"599 0\n",                                                                                 "", false, 500}, /* the table failed: ours */
        {"101 0\n",                                                                                 "", false, 502},
        {"200 5",                                                                                   "", true,  502},
        {"200 0 X-A=a\rb\n",                                                                        "", false, 502},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        begin("echo_pass one", rows[i].location);
        peers[0].answer = rows[i].answer;
        peers[0].hangs_up = rows[i].hangs_up;
        assert_int_equal(kit_status(ask(GET)), rows[i].status);
        assert_int_equal(seen[0].status, rows[i].status);
        assert_int_equal(peers[0].accepted, 1);
        finish();
    }
}

/* U6.5: what came is delivered, then the client is cut. */
static void an_early_close_cuts(void **state)
{
    static const size_t splits[] = {6, 0}; /* head first; head and part of the body at once */
    const char *r;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(splits); i++) {
        begin("echo_pass one", "");
        peers[0].answer = "200 9\nhello";
        peers[0].split = splits[i];
        peers[0].hangs_up = true;
        r = ask(GET);
        assert_int_equal(kit_status(r), 200);
        assert_string_equal(kit_body(r), "hello");
        assert_non_null(strstr(r, "\r\nContent-Length: 9\r\n"));
        finish();
    }
}

/* U10.2 */
static void extra_bytes_end_the_connection(void **state)
{
    (void)state;
    begin("echo_pass one", "");
    peers[0].answer = "200 5 keep\nhelloX";
    assert_string_equal(kit_body(ask(GET)), "hello");
    assert_string_equal(kit_body(ask(GET)), "hello");
    assert_int_equal(peers[0].accepted, 2);
    peers[0].answer = "200 5 keep\nhello";
    assert_string_equal(kit_body(ask(GET)), "hello");
    assert_int_equal(peers[0].accepted, 3);
    assert_string_equal(kit_body(ask(GET)), "hello");
    assert_int_equal(peers[0].accepted, 3);
    finish();
}

/* U2.6: a kept connection that the peer closed is replaced without a word to the client. */
static void a_stale_connection_is_replaced(void **state)
{
    (void)state;
    begin("echo_pass one", "");
    peers[0].answer = "200 5 keep\nhello";
    for (unsigned i = 1; i < 5; i++) {
        assert_string_equal(kit_body(ask(GET)), "hello");
        assert_int_equal(peers[0].accepted, i);
        peer_drop(&peers[0]); /* weir may or may not see it before the next request */
    }
    finish();
}

static void a_filter_frames_the_body(void **state)
{
    const char *r;

    (void)state;
    begin("echo_lines_pass one", "");
    peers[0].answer = "200 * keep\n3 abc\n2 de\n0 \n";
    r = ask(GET);
    assert_int_equal(kit_status(r), 200);
    assert_non_null(strstr(r, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(r, "abcde"));
    assert_non_null(strstr(r, "\r\n0\r\n\r\n"));
    (void)ask(GET);
    assert_int_equal(peers[0].accepted, 1);
    peers[0].answer = "200 * keep\n3 abc\nx";
    r = ask(GET);
    assert_non_null(strstr(r, "abc"));
    assert_null(strstr(r, "\r\n0\r\n\r\n"));
    finish();
}

/* U4.4: the client's body is bad before the peer is there: its status, and nothing is left behind.
 */
static void a_bad_streamed_body_ends_it(void **state)
{
    (void)state;
    begin("echo_pass one", "echo_request_buffering off;");
    assert_int_equal(
        kit_status(ask("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")),
        400);
    finish();
}

static void silence_is_504(void **state)
{
    (void)state;
    begin("echo_pass one", "echo_read_timeout 30ms;");
    assert_int_equal(kit_status(ask(GET)), 504);
    assert_int_equal(seen[0].status, 504);
    assert_int_equal(seen[0].aborts, 1); /* U12.1: a timeout ended a started attempt */
    finish();
}

/* The client leaves after every number of turns: create, finalize and slots stay in balance (U4.7,
 * U8.1). */
static void cancel_at_each_step(void **state)
{
    (void)state;
    begin("echo_pass g", "");
    peers[0].answer = peers[1].answer = "200 9\nhello";
    peers[0].split = peers[1].split = 3;
    for (int turns = 0; turns < 30; turns++) {
        int fd = kit_connect(&kit, 0);

        kit_send(fd, POST("4") "body");
        for (int i = 0; i < turns; i++) {
            turn();
        }
        (void)close(fd);
        for (int i = 0; i < 200 && wr_http_req_cnt() + wr_http_conn_cnt() > 0; i++) {
            turn();
        }
        assert_int_equal(wr_http_req_cnt(), 0);
    }
    for (unsigned i = 0; i < seen_cnt; i++) {
        assert_int_equal(seen[i].aborts, seen[i].creates > 0 ? 1 : 0);
    }
    finish();
}

/* Each allocation of an exchange fails in turn: an answer or a cut, never a leak. */
static void every_allocation_may_fail(void **state)
{
    static const char *const how[] = {"", "echo_request_buffering off;"};

    (void)state;
    for (int k = 0; k < 2; k++) {
        uint64_t seen_allocs, n = 0;

        do {
            const char *r;

            begin("echo_lines_pass g", how[k]);
            peers[0].answer = peers[1].answer = "200 * keep\n3 abc\n2 de\n0 \n";
            wr_mem_fault_set(++n);
            r = ask(POST("4") "body");
            seen_allocs = wr_mem_fault_count();
            wr_mem_fault_set(0);
            assert_true(r[0] == '\0' || kit_status(r) == 200 || kit_status(r) == 500 ||
                        kit_status(r) == 502);
            finish();
        } while (seen_allocs >= n);
        assert_in_range(n, 10, 1000);
    }
}

int main(void)
{
    static struct wr_conf_module *confs[WR_ARRAY_LEN(modules)];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_and_posts),
        cmocka_unit_test(bodies_go_raw),
        cmocka_unit_test(a_head_split_at_every_byte),
        cmocka_unit_test(the_next_peer_is_tried),
        cmocka_unit_test(failures_of_the_head),
        cmocka_unit_test(an_early_close_cuts),
        cmocka_unit_test(extra_bytes_end_the_connection),
        cmocka_unit_test(a_stale_connection_is_replaced),
        cmocka_unit_test(a_filter_frames_the_body),
        cmocka_unit_test(a_bad_streamed_body_ends_it),
        cmocka_unit_test(silence_is_504),
        cmocka_unit_test(cancel_at_each_step),
        cmocka_unit_test(every_allocation_may_fail),
    };
    const char *err = NULL;
    struct wr_strbuf b;
    char path[64];
    int failed;

    (void)wr_local_get();
    if (mkdtemp(kit_dir) == NULL) {
        return 1;
    }
    up_module.vars = wr_up_vars;
    up_module.var_cnt = wr_up_vars_cnt;
    wr_strbuf_init(&b, 4096);
    for (size_t i = 0; i < WR_ARRAY_LEN(modules); i++) {
        confs[i] = modules[i]->conf;
    }
    if (wr_modules_set(modules, WR_ARRAY_LEN(modules), &err) != WR_OK ||
        wr_registry_init(&kit_registry, confs, WR_ARRAY_LEN(confs), &b) != WR_OK) {
        print_error("%s %s\n", err == NULL ? "" : err, wr_strbuf_cstr(&b));
        return 1;
    }
    wr_strbuf_fini(&b);
    (void)snprintf(path, sizeof(path), "%s/client_body_temp", kit_dir);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/echo_temp", kit_dir);
    (void)mkdir(path, 0700);
    failed = cmocka_run_group_tests_name("proto/engine", tests, NULL, NULL);
    (void)rmdir(path);
    kit_end();
    return failed;
}
