/* SPDX-License-Identifier: Apache-2.0 */
/* test_reply.c: error_page, built-in pages, redirects; watched at nginx 1.22 but for the server's
 * name. */
#include "req_kit.h"

static struct kit k;

#define PAGE(title, h1, more)                                                                      \
    "<html>\r\n<head><title>" title "</title></head>\r\n<body>\r\n<center><h1>" h1                 \
    "</h1></center>\r\n" more "<hr><center>weir</center>\r\n</body>\r\n</html>\r\n"
#define SIMPLE(t) PAGE(t, t, "")

static void start(const char *locations)
{
    static char text[8192];

    (void)snprintf(
        text, sizeof(text),
        "http { server_tokens off; server { listen 127.0.0.1:1; server_name the.name; %s } }",
        locations);
    kit_start(&k, text);
}

static const char *location_of(const char *r)
{
    static char buf[512];
    const char *p = strstr(r, "\r\nLocation: ");
    size_t n = p ? strcspn(p + 12, "\r") : 0;

    memcpy(buf, p ? p + 12 : "", n);
    buf[n] = '\0';
    return buf;
}

static void built_in_pages(void **state)
{
    static const struct {
        unsigned code, shown;
        const char *body;
        bool closes;
    } cases[] = {
        {400,                400,                                  SIMPLE("400 Bad Request"),                     true                },
        {401,                401,                                  SIMPLE("401 Authorization Required"),          false               },
        {402,                402,                                  SIMPLE("402 Payment Required"),                false               },
        {403,                403,                                  SIMPLE("403 Forbidden"),                       false               },
        {404,                404,                                  SIMPLE("404 Not Found"),                       false               },
        {405,                405,                                  SIMPLE("405 Not Allowed"),                     false               },
        {413,                413,                                  SIMPLE("413 Request Entity Too Large"),        true                },
        {414,                414,                                  SIMPLE("414 Request-URI Too Large"),           true                },
        {416,                416,                                  SIMPLE("416 Requested Range Not Satisfiable"), false               },
        {418,                418,                                  "",                                            false               },
        {429,                429,                                  SIMPLE("429 Too Many Requests"),               false               },
        {494,                400,
         PAGE("400 Request Header Or Cookie Too Large",                                                           "400 Bad Request",
         "<center>Request Header Or Cookie Too Large</center>\r\n"),
         true},
        {495,               400,
         PAGE("400 The SSL certificate error",                                                                                              "400 Bad Request",
         "<center>The SSL certificate error</center>\r\n"),
         true},
        {497, 400,
         PAGE("400 The plain HTTP request was sent to HTTPS port",                                                                                                    "400 Bad Request",
         "<center>The plain HTTP request was sent to HTTPS port</center>\r\n"),
         true},
        {500,               500, SIMPLE("500 Internal Server Error"),true                                                        },
        {502,                  502,                                                    SIMPLE("502 Bad Gateway"),                                                                                false                                                                },
        {503,                  503,                                                    SIMPLE("503 Service Temporarily Unavailable"),                                                                             false},
        {504,                  504,                                                    SIMPLE("504 Gateway Time-out"),                                                                             false},
        {599,                  599,                                                    "",                                                                             false                                                   },
    };

    char text[4096] = "", path[16];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "location /%u { say_fail %u; } ",
                              cases[i].code, cases[i].code);
    }
    start(text);
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        char request[128], buf[4096] = "";
        int fd = kit_connect(&k, 0);

        (void)snprintf(path, sizeof(path), "/%u", cases[i].code);
        (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
        kit_send(fd, request);
        (void)kit_read(&k, fd, buf, sizeof(buf), cases[i].body[0] ? "</html>\r\n" : "\r\n\r\n",
                       1000);
        assert_int_equal(kit_status(buf), cases[i].shown);
        assert_string_equal(kit_body(buf), cases[i].body);
        assert_int_equal(strstr(buf, "Connection: close") != NULL, cases[i].closes);
        assert_int_equal(say_last_status, cases[i].shown);
        (void)close(fd);
        kit_turn(&k);
    }
    kit_stop(&k);
}

static void silent_ones(void **state)
{
    static const unsigned codes[] = {444, 408, 499};

    (void)state;
    start(
        "location /444 { say_fail 444; } location /408 { say_fail 408; } location /499 { say_fail 499; } error_page 408 /x;");
    for (size_t i = 0; i < WR_ARRAY_LEN(codes); i++) {
        char path[16];

        (void)snprintf(path, sizeof(path), "/%u", codes[i]);
        assert_string_equal(kit_get(&k, path), "");
        assert_int_equal(say_last_status, codes[i]);
    }
    kit_stop(&k);
}

static void error_pages(void **state)
{
    static const struct {
        const char *path;
        unsigned status;
        const char *body, *location;
    } cases[] = {
        {"/uri/x",   404, "mine /404.html ",                   NULL                     },
        {"/args",    404, "mine /404.html a=b",                NULL                     },
        {"/over",    200, "ok",                                NULL                     },
        {"/own",     403, NULL,                                NULL                     },
        {"/named",   200, "named /named GET",                  NULL                     },
        {"/url",     302, SIMPLE("302 Found"),                 "http://o.example/x"     },
        {"/url301",  301, SIMPLE("301 Moved Permanently"),     "http://o.example/url301"},
        {"/rel",     302, SIMPLE("302 Found"),                 "rel"                    },
        {"/var?n=7", 404, "seven",                             NULL                     },
        {"/nested",  403, SIMPLE("403 Forbidden"),             NULL                     },
        {"/deep",    200, "b",                                 NULL                     },
        {"/cycle",   500, SIMPLE("500 Internal Server Error"), NULL                     },
        {"/nowhere", 500, SIMPLE("500 Internal Server Error"), NULL                     },
        {"/second",  503, "mine /404.html ",                   NULL                     },
    };

    (void)state;
    start(
        "location /uri { error_page 404 /404.html; say_fail 404; } location = /404.html { say \"mine $t_uri $t_args\"; }"
        "location /args { error_page 404 /404.html?a=b; say_fail 404; }"
        "location /over { error_page 404 =200 /ok; say_fail 404; } location /ok { say ok; }"
        "location /own { error_page 404 = /f403; say_fail 404; } location /f403 { say_fail 403; }"
        "location /named { error_page 404 = @n; say_fail 404; } location @n { say \"named $t_uri $t_method\"; }"
        "location /url { error_page 404 http://o.example/x; say_fail 404; }"
        "location /url301 { error_page 404 =301 http://o.example$t_uri; say_fail 404; }"
        "location /rel { error_page 404 rel; say_fail 404; }"
        "location /var { error_page 404 /page$t_arg_n; say_fail 404; } location /page7 { say seven; }"
        "location /nested { error_page 404 /n1; say_fail 404; } location /n1 { error_page 403 /ok; say_fail 403; }"
        "location /deep { recursive_error_pages on; error_page 404 = /d1; say_fail 404; }"
        "location /d1 { recursive_error_pages on; error_page 403 = /d2; say_fail 403; } location /d2 { say b; }"
        "location /cycle { recursive_error_pages on; error_page 404 = /cycle; say_fail 404; }"
        "location /nowhere { error_page 404 @none; say_fail 404; }"
        "location /second { error_page 404 502 503 /404.html; say_fail 503; }");
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const char *r = kit_get(&k, cases[i].path);

        if (kit_status(r) != cases[i].status ||
            (cases[i].body && strcmp(kit_body(r), cases[i].body) != 0)) {
            fail_msg("%s: %s", cases[i].path, r);
        }
        if (cases[i].location) {
            assert_string_equal(location_of(r), cases[i].location);
        }
    }
    kit_stop(&k);
}

static void method_of_an_error_page(void **state)
{
    static const char post[] =
        "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    char request[256];

    (void)state;
    start("location /a { error_page 404 /page; say_fail 404; } location /page { say $t_method; }"
          "location /b { error_page 404 = @page; say_fail 404; } location @page { say_body; }");
    (void)snprintf(request, sizeof(request), post, "/a");
    assert_string_equal(kit_body(kit_talk(&k, request)), "GET");
    (void)snprintf(request, sizeof(request), post, "/b");
    assert_string_equal(kit_body(kit_talk(&k, request)),
                        "abc"); /* a named location keeps method and body */
    assert_string_equal(
        kit_body(kit_talk(&k, "HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")), "");
    kit_stop(&k);
}

static void error_page_of_a_bad_request(void **state)
{
    const char *r;

    (void)state;
    start("error_page 400 /bad; location /bad { say mine; }");
    r = kit_talk(&k, "GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(kit_status(r), 400);
    assert_string_equal(kit_body(r), "mine");
    kit_stop(&k);
}

static void locations_become_absolute(void **state)
{
    char want[128];
    unsigned port;

    (void)state;
    start(
        "location /a { say_to 301 /b; } location /off { absolute_redirect off; say_to 302 /b; }"
        "location /noport { port_in_redirect off; say_to 303 /b; } location /name { server_name_in_redirect on; say_to 307 /b; }"
        "location /full { say_to 308 https://o/x; }");
    port = wr_addr_port(&k.addrs[0]);
    (void)snprintf(want, sizeof(want), "http://some.host:%u/b", port);
    assert_string_equal(
        location_of(
            kit_talk(&k, "GET /a HTTP/1.1\r\nHost: Some.Host:99\r\nConnection: close\r\n\r\n")),
        want);
    assert_string_equal(location_of(kit_get(&k, "/off")), "/b");
    assert_string_equal(location_of(kit_get(&k, "/noport")), "http://x/b");
    (void)snprintf(want, sizeof(want), "http://the.name:%u/b", port);
    assert_string_equal(location_of(kit_get(&k, "/name")), want);
    assert_string_equal(location_of(kit_get(&k, "/full")), "https://o/x");
    assert_int_equal(kit_status(kit_get(&k, "/full")), 308);
    kit_stop(&k);
}

static void tokens(void **state)
{
    const char *r;

    (void)state;
    kit_start(
        &k,
        "http { server { listen 127.0.0.1:1; location / { say_fail 404; } location /off { server_tokens off; say_fail 404; } } }");
    r = kit_get(&k, "/");
    assert_non_null(strstr(r, "Server: weir/"));
    assert_non_null(strstr(r, "<hr><center>weir/"));
    r = kit_get(&k, "/off");
    assert_non_null(strstr(r, "Server: weir\r\n"));
    assert_non_null(strstr(r, "<hr><center>weir</center>"));
    kit_stop(&k);
}

static void control_bytes_stay_out(void **state) /* U14.1 */
{
    const char *r;

    (void)state;
    start(
        "location / { error_page 404 http://o.example$t_uri; say_fail 404; } location /to { say_to 302 http://o$t_uri; }");
    r = kit_get(&k, "/a%0d%0aSet-Cookie:%20x");
    assert_int_equal(kit_status(r), 400);
    assert_null(strstr(r, "Set-Cookie"));
    r = kit_get(&k, "/to%0d%0aSet-Cookie:%20x");
    assert_null(strstr(r, "Set-Cookie"));
    kit_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_pages),
        cmocka_unit_test(silent_ones),
        cmocka_unit_test(error_pages),
        cmocka_unit_test(method_of_an_error_page),
        cmocka_unit_test(error_page_of_a_bad_request),
        cmocka_unit_test(locations_become_absolute),
        cmocka_unit_test(tokens),
        cmocka_unit_test(control_bytes_stay_out),
    };
    int failed;

    kit_boot();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_end();
    return failed;
}
