/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine.c: the toy protocol of tests/proto/echo_proto.c behind the real engine and server,
 * over real sockets in one process: a client, weir, and scripted peers. Proves that a protocol of
 * the second kind needs nothing of the engine (U12.1), and when its functions are called.
 */
#include "proto/engine_kit.h"

#include "proto/echo_proto.c"

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
static const struct wr_module *const modules[] = {&kit_core, &kit_up, &echo_module, &kit_say};

/* ---- the world
 * ------------------------------------------------------------------------------------ */

/* Is a request with its body here? */
static bool has_echo_request(const struct epeer *p)
{
    const char *nl = memchr(p->got, '\n', p->len), *sp;

    if (nl == NULL) {
        return false;
    }
    sp = memrchr(p->got, ' ', (size_t)(nl - p->got));
    return sp != NULL && p->len >= (size_t)(nl + 1 - p->got) + strtoul(sp + 1, NULL, 10);
}

static void begin(const char *pass, const char *location)
{
    memset(seen, 0, sizeof(seen));
    seen_cnt = 0;
    leave_body_out = false;
    has_request = has_echo_request;
    kit_begin(pass, location);
}

static void finish(void)
{
    kit_finish();
    /* U12.1: finalize once if create ever succeeded. */
    for (unsigned i = 0; i < seen_cnt; i++) {
        assert_int_equal(seen[i].finals, seen[i].creates > 0 ? 1 : 0);
        assert_true(seen[i].reinits <= seen[i].creates);
    }
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
    char path[64];
    int failed;

    if (!kit_register(modules, WR_ARRAY_LEN(modules))) {
        return 1;
    }
    (void)snprintf(path, sizeof(path), "%s/echo_temp", kit_dir);
    (void)mkdir(path, 0700);
    failed = cmocka_run_group_tests_name("proto/engine", tests, NULL, NULL);
    (void)rmdir(path);
    kit_end();
    return failed;
}
