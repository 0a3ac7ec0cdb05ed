/* SPDX-License-Identifier: Apache-2.0 */
/* test_req.c: requests through the whole engine, over real connections. */
#include "req_kit.h"

#define SERVER(locations) "http { server { listen 127.0.0.1:1; " locations " } }"

static struct kit k;

static void end_with(const char *response, const char *body)
{
    assert_string_equal(kit_body(response), body);
}

static void first_get(void **state)
{
    const char *r;

    (void)state;
    kit_start(&k, SERVER("location / { say \"hello $t_uri $t_args\"; }"));
    r = kit_get(&k, "/x?y=z");
    end_with(r, "hello /x y=z");
    assert_int_equal(kit_status(r), 200);
    assert_non_null(strstr(r, "\r\nServer: weir/"));
    assert_non_null(strstr(r, "\r\nDate: "));
    assert_non_null(strstr(r, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(r, "\r\nContent-Length: 12\r\n"));
    assert_non_null(strstr(r, "\r\nConnection: close\r\n"));
    kit_stop(&k);
    assert_int_equal(say_closed, 1);
    assert_int_equal(say_logged, 1);
    assert_int_equal(say_last_status, 200);
}

static void keeps_alive_and_pipelines(void **state)
{
    char buf[8192] = "";
    int fd;

    (void)state;
    kit_start(
        &k,
        SERVER("keepalive_timeout 60s 7s; keepalive_requests 3; location / { say \"<$t_uri>\"; }"));
    fd = kit_connect(&k, 0);
    kit_send(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "</1>", 1000), 1);
    assert_non_null(strstr(buf, "Connection: keep-alive"));
    assert_non_null(strstr(buf, "Keep-Alive: timeout=7\r\n"));
    kit_send(
        fd,
        "GET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n");
    buf[0] = '\0';
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), NULL, 2000), 0);
    assert_non_null(strstr(buf, "</2>"));
    assert_non_null(strstr(buf, "</3>"));
    assert_null(strstr(buf, "</4>")); /* keepalive_requests 3: the third said close */
    assert_non_null(strstr(buf, "Connection: close"));
    (void)close(fd);
    kit_stop(&k);
    assert_int_equal(say_logged, 3);
}

static void head_and_204_have_no_body(void **state)
{
    const char *r;

    (void)state;
    kit_start(&k, SERVER("location / { say hello; } location /none { say_fail 204; }"));
    r = kit_talk(&k, "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    end_with(r, "");
    assert_non_null(strstr(r, "Content-Length: 5\r\n"));
    r = kit_get(&k, "/none");
    assert_int_equal(kit_status(r), 204);
    end_with(r, "");
    r = kit_talk(&k, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_int_equal(kit_status(r), 204);
    assert_int_equal(
        kit_status(kit_talk(&k, "TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")), 405);
    kit_stop(&k);
}

static void bad_requests_are_answered(void **state)
{
    static const struct {
        const char *request;
        unsigned status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n",                                 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",                    400},
        {"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",                   400},
        {"GET /../x HTTP/1.1\r\nHost: x\r\n\r\n",                  400},
        {"G<T / HTTP/1.1\r\nHost: x\r\n\r\n",                      400},
        {"GET / HTTP/2.5\r\nHost: x\r\n\r\n",                      505},
        {"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",                    405},
        {"GET / HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\n\r\n", 417},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400},
    };

    (void)state;
    kit_start(&k, SERVER("location / { say x; }"));
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const char *r = kit_talk(&k, cases[i].request);

        assert_int_equal(kit_status(r), cases[i].status);
        assert_non_null(strstr(r, "Connection: close"));
    }
    kit_stop(&k);
    assert_int_equal(say_logged, WR_ARRAY_LEN(cases));
}

static void fields_are_counted(void **state) /* U14.2 */
{
    (void)state;
    kit_start(&k, "http { max_headers 3; server { listen 127.0.0.1:1; location / { say x; } } }");
    end_with(kit_talk(&k, "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nConnection: close\r\n\r\n"), "x");
    assert_int_equal(
        kit_status(kit_talk(&k, "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nC: d\r\nE: f\r\n\r\n")), 400);
    kit_stop(&k);
}

static void keepalive_can_be_refused(void **state)
{
    static const struct {
        const char *agent, *method;
        bool keeps;
    } cases[] = {
        {"Mozilla/4.0 (compatible; MSIE 6.0)", "POST", false},
        {"Mozilla/4.0 (compatible; MSIE 6.0)", "GET",  true },
        {"Mozilla/4.0 (compatible; MSIE 7.0)", "POST", true },
        {"curl/8",                             "POST", true },
    };

    (void)state;
    kit_start(&k, SERVER("location / { say end; } location /0 { keepalive_timeout 0; say end; }"));
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        char request[256], buf[1024] = "";
        int fd = kit_connect(&k, 0);

        (void)snprintf(request, sizeof(request),
                       "%s / HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\n\r\n", cases[i].method,
                       cases[i].agent);
        kit_send(fd, request);
        assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "\r\n\r\nend", 1000), 1);
        assert_int_equal(strstr(buf, "Connection: keep-alive") != NULL, cases[i].keeps);
        (void)close(fd);
    }
    end_with(kit_talk(&k, "GET /0 HTTP/1.1\r\nHost: x\r\n\r\n"), "end");
    kit_stop(&k);
}

static void length_can_be_unknown(void **state)
{
    const char *r;

    (void)state;
    kit_start(
        &k,
        SERVER(
            "location / { say_stream; } location /off { chunked_transfer_encoding off; say_stream; }"));
    r = kit_talk(
        &k,
        "POST /off HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_null(strstr(r, "chunked"));
    assert_non_null(strstr(r, "Connection: close"));
    end_with(r, "abc");
    kit_stop(&k);
}

static void host_and_port_choose_a_server(void **state)
{
    (void)state;
    kit_start(
        &k,
        "http { server { listen 127.0.0.1:1; location / { say default; } }"
        "server { listen 127.0.0.1:1; server_name ~^re(\\d+)\\.(?<tail>[a-z]+)$; location / { say $tail-$1; } }"
        "server { listen 127.0.0.1:1; server_name a.b; location / { say \"$t_server $t_host\"; } } }");
    end_with(kit_talk(&k, "GET / HTTP/1.1\r\nHost: A.B:99\r\nConnection: close\r\n\r\n"),
             "a.b a.b");
    end_with(kit_talk(&k, "GET http://a.b/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
             "a.b a.b");
    end_with(kit_talk(&k, "GET / HTTP/1.1\r\nHost: re42.Test\r\nConnection: close\r\n\r\n"),
             "test-42");
    end_with(kit_talk(&k, "GET / HTTP/1.1\r\nHost: zz\r\nConnection: close\r\n\r\n"), "default");
    kit_stop(&k);
}

static void wildcard_tells_addresses_apart(void **state)
{
    char buf[4096] = "";
    struct wr_addr other;
    int fd;

    (void)state;
    kit_start(&k, "http { server { listen 1; location / { say any; } }"
                  "server { listen 127.0.0.1:1; location / { say own; } } }");
    assert_int_equal(k.port_cnt, 1);
    for (int i = 0; i < 2; i++) {
        uint16_t port = wr_addr_port(&k.addrs[0]);

        assert_int_equal(
            wr_addr_parse_ip(wr_str_z(i == 0 ? "127.0.0.1" : "127.0.0.2"), port, &other), WR_OK);
        k.addrs[0] = other;
        fd = kit_connect(&k, 0);
        kit_send(fd, "GET / HTTP/1.0\r\n\r\n");
        buf[0] = '\0';
        assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), NULL, 1000), 0);
        end_with(buf, i == 0 ? "own" : "any");
        (void)close(fd);
    }
    kit_stop(&k);
}

static void waits_for_a_timer(void **state)
{
    (void)state;
    kit_start(&k, SERVER("location / { say_late late; }"));
    end_with(kit_get(&k, "/"), "late");
    kit_stop(&k);
    assert_int_equal(say_closed, 1);
}

static void redirects_inside(void **state)
{
    const char *r;

    (void)state;
    kit_start(&k, SERVER("location /a { say_go /b?n=7; } location /b { say \"$t_uri $t_args\"; }"
                         "location /n { say_go @named; } location @named { say \"named $t_uri\"; }"
                         "location /m { say_go @missing; } location /loop { say_go /loop; }"
                         "location /in { internal; say inside; } location /to_in { say_go /in; }"));
    end_with(kit_get(&k, "/a"), "/b n=7");
    end_with(kit_get(&k, "/n"), "named /n");
    assert_int_equal(kit_status(kit_get(&k, "/m")), 500);
    assert_int_equal(kit_status(kit_get(&k, "/loop")), 500);
    assert_int_equal(kit_status(kit_get(&k, "/in")), 404);
    end_with(kit_get(&k, "/to_in"), "inside");
    r = kit_get(&k, "/zz");
    assert_int_equal(kit_status(r), 404);
    assert_int_equal(kit_status(kit_get(&k, "/zz/")), 403);
    kit_stop(&k);
    assert_int_equal(say_logged, 8);
    assert_int_equal(say_closed, 2 + 2 + 1 + 11 + 0 + 2);
}

static void slash_is_added(void **state) /* U4.1 */
{
    const char *r;
    char want[128];

    (void)state;
    kit_start(
        &k,
        SERVER(
            "location /app/ { say_go /x; } location /own/ { say_go /x; } location /own { say own; }"
            "location ~ pp$ { say regex; }"));
    r = kit_get(&k, "/app?a=b");
    assert_int_equal(kit_status(r), 301);
    (void)snprintf(want, sizeof(want), "Location: http://x:%u/app/?a=b\r\n",
                   wr_addr_port(&k.addrs[0]));
    assert_non_null(strstr(r, want));
    end_with(kit_get(&k, "/own"), "own");
    kit_stop(&k);
}

static void body_is_read_whole(void **state) /* U4.3 */
{
    static char request[200000], want[150001];
    const char *r;
    int n;

    (void)state;
    kit_start(
        &k,
        SERVER(
            "client_body_buffer_size 8k; location / { say_body; } location /f { client_body_in_file_only clean; say_body; }"));
    end_with(
        kit_talk(
            &k,
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
        "hello");
    end_with(
        kit_talk(
            &k,
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        "abcde");
    end_with(
        kit_talk(
            &k,
            "POST /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfiles"),
        "files");
    for (size_t i = 0; i < sizeof(want) - 1; i++) {
        want[i] = (char)('a' + i % 23);
    }
    for (int i = 0; i < 2; i++) {
        n = snprintf(
            request, sizeof(request),
            "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
            i == 0 ? "/" : "/f", sizeof(want) - 1, want);
        assert_true(n > 150000 && n < (int)sizeof(request));
        r = kit_talk(&k, request);
        assert_int_equal(kit_status(r), 200);
        end_with(r, want); /* through the temporary file */
    }
    kit_stop(&k);
}

static void body_is_handed_over(void **state) /* U4.4 */
{
    const char *r;

    (void)state;
    kit_start(&k, SERVER("location / { say_stream; }"));
    r = kit_talk(
        &k, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    end_with(r, "hello");
    r = kit_talk(
        &k,
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_non_null(strstr(r, "Transfer-Encoding: chunked\r\n"));
    end_with(r, "3\r\nabc\r\n0\r\n\r\n");
    kit_stop(&k);
}

static void body_limits(void **state)
{
    const char *r;

    (void)state;
    kit_start(
        &k,
        SERVER(
            "client_max_body_size 4; location / { say_body; } location /b { client_max_body_size 9; say_body; }"
            "location /e { error_page 413 = /big; say_body; } location /big { say big; } location /s { say_stream; }"));
    r = kit_talk(&k, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(kit_status(r), 413);
    assert_non_null(strstr(r, "Connection: close"));
    r = kit_talk(
        &k,
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_int_equal(kit_status(r), 413);
    end_with(
        kit_talk(
            &k,
            "POST /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
        "hello");
    r = kit_talk(
        &k, "POST /e HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    end_with(r, "big");
    assert_int_equal(kit_status(r), 200);
    r = kit_talk(
        &k,
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n");
    assert_int_equal(kit_status(r), 400);
    kit_stop(&k);
}

static void body_timeout_is_408_in_the_log(void **state)
{
    const char *r;

    (void)state;
    kit_start(&k, SERVER("client_body_timeout 30ms; location / { say_body; }"));
    r = kit_talk(&k, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
    assert_string_equal(r, "");
    kit_stop(&k);
    assert_int_equal(say_last_status, 408);
    assert_int_equal(say_closed, 1);
}

static void client_that_leaves(void **state) /* U4.7 */
{
    int fd;

    (void)state;
    kit_start(&k, SERVER("location / { say_hold; } location /b { say_body; }"));
    fd = kit_connect(&k, 0);
    kit_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        kit_turn(&k);
    }
    assert_int_equal(wr_http_req_cnt(), 1);
    (void)close(fd);
    for (int i = 0; i < 20 && wr_http_req_cnt() > 0; i++) {
        kit_turn(&k);
    }
    assert_int_equal(wr_http_req_cnt(), 0);
    assert_int_equal(say_last_status, 499);
    fd = kit_connect(&k, 0);
    kit_send(fd, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    for (int i = 0; i < 5; i++) {
        kit_turn(&k);
    }
    (void)close(fd);
    for (int i = 0; i < 20 && wr_http_req_cnt() > 0; i++) {
        kit_turn(&k);
    }
    assert_int_equal(say_last_status, 400);
    kit_stop(&k);
    assert_int_equal(say_closed, 2);
    assert_int_equal(say_logged, 2);
}

static void discarded_body(void **state)
{
    char buf[8192] = "";
    int fd;

    (void)state;
    kit_start(&k, SERVER("location / { say \"<$t_uri>\"; } location /e { say_fail 404; }"));
    fd = kit_connect(&k, 0);
    kit_send(fd, "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n");
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "</1>", 1000), 1);
    assert_non_null(strstr(buf, "keep-alive"));
    kit_send(fd, "abcdef");
    kit_send(fd, "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "</2>", 1000), 1);
    /* A body that is here already does not end the connection, not even behind an error. */
    kit_send(
        fd,
        "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "</3>", 1000), 1);
    /* One that is not does (issue 2, section 5). */
    kit_send(fd, "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    buf[0] = '\0';
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "Connection: close", 1000), 1);
    (void)close(fd);
    kit_stop(&k);
}

static void limit_rate(void **state)
{
    static char request[40000], body[30001];
    uint64_t began;
    const char *r;

    (void)state;
    memset(body, 'x', sizeof(body) - 1);
    kit_start(
        &k,
        SERVER(
            "limit_rate 100k; limit_rate_after 10k; location / { say_body; } location /v { limit_rate $t_arg_r; say_body; }"));
    (void)snprintf(
        request, sizeof(request),
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 30000\r\n\r\n%s", body);
    began = wr_clock_mono_us();
    r = kit_talk(&k, request);
    end_with(r, body);
    assert_true(wr_clock_mono_us() - began >
                60000); /* 30000 - 10240 - 12800 bytes at 100k: 68 ms */
    (void)snprintf(
        request, sizeof(request),
        "POST /v?r=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 30000\r\n\r\n%s",
        body);
    end_with(kit_talk(&k, request), body);
    kit_stop(&k);
}

static void reload_keeps_connections(void **state) /* U14.9 */
{
    char buf[4096] = "";
    struct wr_gen *first;
    int fd;

    (void)state;
    kit_start(&k, SERVER("location / { say one; } location /h { say_hold; }"));
    first = k.gen;
    fd = kit_connect(&k, 0);
    kit_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "one", 1000), 1);
    kit_adopt(&k, SERVER("location / { say two; }"));
    assert_ptr_not_equal(first, k.gen);
    buf[0] = '\0';
    kit_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "two", 1000), 1);
    assert_non_null(strstr(buf, "keep-alive"));
    assert_ptr_equal(wr_http_current(), k.gen);
    (void)close(fd);
    kit_stop(&k);
}

static void old_generation_lives_while_a_request_runs(void **state)
{
    int fd;

    (void)state;
    kit_start(&k, SERVER("location / { say one; } location /h { say_hold; }"));
    fd = kit_connect(&k, 0);
    kit_send(fd, "GET /h HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        kit_turn(&k);
    }
    assert_int_equal(wr_http_req_cnt(), 1);
    kit_adopt(&k, SERVER("location / { say two; }"));
    kit_turn(&k);
    end_with(kit_get(&k, "/"), "two");
    assert_int_equal(wr_http_req_cnt(), 1); /* its content is memory of the old generation */
    (void)close(fd);
    for (int i = 0; i < 20 && wr_http_req_cnt() > 0; i++) {
        kit_turn(&k);
    }
    assert_int_equal(wr_http_req_cnt(), 0);
    kit_stop(&k);
}

static void address_taken_away(void **state) /* U14.9 */
{
    char buf[4096] = "";
    int fd, half;

    (void)state;
    kit_start(&k, "http { server { listen 127.0.0.1:1; listen 127.0.0.1:2 deferred; "
                  "location / { say one; } } }");
    fd = kit_connect(&k, 1);
    kit_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), "one", 1000), 1);
    half = kit_connect(&k, 1); /* its handshake ends with its first bytes */
    kit_adopt(&k, SERVER("location / { say two; }"));
    buf[0] = '\0';
    kit_send(half, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, half, buf, sizeof(buf), "one", 1000), 1);
    wr_http_close_removed();
    buf[0] = '\0';
    kit_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); /* late: still served, with close */
    assert_int_equal(kit_read(&k, fd, buf, sizeof(buf), NULL, 1000), 0);
    end_with(buf, "one");
    assert_non_null(strstr(buf, "Connection: close"));
    (void)close(fd);
    (void)close(half);
    kit_stop(&k);
}

static void quits_gracefully(void **state)
{
    char buf[4096] = "";
    int idle, busy;

    (void)state;
    kit_start(&k, SERVER("location / { say one; } location /l { say_late late; }"));
    idle = kit_connect(&k, 0);
    busy = kit_connect(&k, 0);
    kit_send(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, idle, buf, sizeof(buf), "one", 1000), 1);
    kit_send(busy, "GET /l HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        kit_turn(&k);
    }
    wr_http_quit(10);
    buf[0] = '\0';
    assert_int_equal(kit_read(&k, busy, buf, sizeof(buf), NULL, 1000), 0);
    end_with(buf, "late");
    assert_non_null(strstr(buf, "Connection: close"));
    buf[0] = '\0';
    assert_int_equal(kit_read(&k, idle, buf, sizeof(buf), NULL, 1000), 0);
    assert_string_equal(buf, "");
    assert_int_equal(wr_http_conn_cnt(), 0);
    (void)close(idle);
    (void)close(busy);
    kit_stop(&k);
}

static void stops_at_once(void **state)
{
    int fd;

    (void)state;
    kit_start(&k, SERVER("location / { say_hold; }"));
    fd = kit_connect(&k, 0);
    kit_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        kit_turn(&k);
    }
    assert_int_equal(wr_http_req_cnt(), 1);
    kit_stop(&k);
    assert_int_equal(say_closed, 1);
    assert_int_equal(say_logged, 1);
    (void)close(fd);
}

static void worker_connections(void **state) /* U14.6 */
{
    char buf[4096] = "";
    int a, b, c;

    (void)state;
    kit_start(&k, SERVER("location / { say one; } location /h { say_hold; }"));
    wr_http_of(k.gen)->worker_connections = 2;
    a = kit_connect(&k, 0);
    kit_send(a, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(kit_read(&k, a, buf, sizeof(buf), "one", 1000), 1);
    b = kit_connect(&k, 0);
    kit_send(b, "GET /h HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        kit_turn(&k);
    }
    assert_int_equal(wr_http_conn_cnt(), 2);
    c = kit_connect(&k, 0); /* the idle one makes room */
    kit_send(c, "GET /h HTTP/1.1\r\nHost: x\r\n\r\n");
    buf[0] = '\0';
    assert_int_equal(kit_read(&k, a, buf, sizeof(buf), NULL, 1000), 0);
    (void)close(a);
    for (int i = 0; i < 5; i++) {
        kit_turn(&k);
    }
    assert_int_equal(wr_http_conn_cnt(), 2);
    a = kit_connect(&k, 0); /* none is idle: it waits in the queue */
    kit_send(a, "GET / HTTP/1.0\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        kit_turn(&k);
    }
    assert_int_equal(wr_http_conn_cnt(), 2);
    (void)close(b);
    buf[0] = '\0';
    assert_int_equal(kit_read(&k, a, buf, sizeof(buf), NULL, 1000), 0);
    end_with(buf, "one");
    (void)close(a);
    (void)close(c);
    kit_stop(&k);
}

static void many_requests_leave_nothing(void **state) /* U8.3 */
{
    size_t mem = 0;

    (void)state;
    kit_start(
        &k,
        SERVER(
            "location / { say \"$t_uri\"; } location /b { say_body; } location /f { say_fail 503; }"));
    for (int i = 0; i < 300; i++) {
        end_with(kit_get(&k, "/x"), "/x");
        end_with(
            kit_talk(
                &k,
                "POST /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
            "ok");
        assert_int_equal(kit_status(kit_get(&k, "/f")), 503);
        if (i == 20) {
            mem = wr_mem_in_use();
        }
    }
    assert_true(wr_mem_in_use() <= mem + 65536);
    assert_int_equal(wr_http_req_cnt(), 0);
    kit_stop(&k);
}

/* Each allocation of a request fails in turn: no crash, and the next request is served. */
static void memory_runs_out(void **state)
{
    (void)state;
    kit_start(
        &k,
        SERVER(
            "error_page 503 /e$t_arg_x; location / { say \"$t_uri\"; } location /b { say_body; } location /f { say_fail 503; }"
            "location /e { say page; }"));
    for (uint64_t n = 1; n < 120; n += 1) {
        static const char *const requests[] = {
            "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "POST /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            "GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        };
        int fd = kit_connect(&k, 0);
        char buf[4096] = "";

        wr_mem_fault_set(n);
        kit_send(fd, requests[n % 3]);
        (void)kit_read(&k, fd, buf, sizeof(buf), NULL, 500);
        wr_mem_fault_set(0);
        (void)close(fd);
        kit_turn(&k);
    }
    end_with(kit_get(&k, "/x"), "/x");
    kit_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_get),
        cmocka_unit_test(keeps_alive_and_pipelines),
        cmocka_unit_test(head_and_204_have_no_body),
        cmocka_unit_test(bad_requests_are_answered),
        cmocka_unit_test(fields_are_counted),
        cmocka_unit_test(keepalive_can_be_refused),
        cmocka_unit_test(length_can_be_unknown),
        cmocka_unit_test(host_and_port_choose_a_server),
        cmocka_unit_test(wildcard_tells_addresses_apart),
        cmocka_unit_test(waits_for_a_timer),
        cmocka_unit_test(redirects_inside),
        cmocka_unit_test(slash_is_added),
        cmocka_unit_test(body_is_read_whole),
        cmocka_unit_test(body_is_handed_over),
        cmocka_unit_test(body_limits),
        cmocka_unit_test(body_timeout_is_408_in_the_log),
        cmocka_unit_test(client_that_leaves),
        cmocka_unit_test(discarded_body),
        cmocka_unit_test(limit_rate),
        cmocka_unit_test(reload_keeps_connections),
        cmocka_unit_test(old_generation_lives_while_a_request_runs),
        cmocka_unit_test(address_taken_away),
        cmocka_unit_test(quits_gracefully),
        cmocka_unit_test(stops_at_once),
        cmocka_unit_test(worker_connections),
        cmocka_unit_test(many_requests_leave_nothing),
        cmocka_unit_test(memory_runs_out),
    };

    int failed;

    kit_boot();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_end();
    return failed;
}
