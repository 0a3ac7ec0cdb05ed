/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rewrite.c: `return`, watched at nginx 1.22, and all operations without memory. What rewrite,
 * if and set do is in tests/func/test_rewrite.py and test_if.py, which nginx passes too.
 */
#include "../http/full_kit.h"

#include "base/mem.h"

static struct kit k;

static void answers(void **state)
{
    static const struct {
        const char *args;
        unsigned status;
        const char *body, *type, *location;
    } cases[] = {
        {"200",                 200, "",     "z/z",       ""          },
        {"200 text",            200, "text", "z/z",       ""          },
        {"200 ''",              200, "",     "z/z",       ""          },
        {"299 $uri$arg_a",      299, "/xv",  "z/z",       ""          },
        {"201 /y",              201, "/y",   "z/z",       ""          },
        {"204",                 204, "",     "",          ""          },
        {"404 gone",            404, "gone", "z/z",       ""          },
        {"404",                 404, NULL,   "text/html", ""          },
        {"404 ''",              404, NULL,   "text/html", ""          },
        {"503 $request_method", 503, "GET",  "z/z",       ""          },
        {"200 $status",         200, "200",  "z/z",       ""          },
        {"301 http://o/$arg_a", 301, NULL,   "text/html", "http://o/v"},
        {"302 rel",             302, NULL,   "text/html", "rel"       },
        {"307 https://o/",      307, NULL,   "text/html", "https://o/"},
        {"http://o/",           302, NULL,   "text/html", "http://o/" },
        {"HTTPS://o/",          302, NULL,   "text/html", "HTTPS://o/"},
        {"$scheme://o/",        302, NULL,   "text/html", "http://o/" },
        {"301 http://o$arg_b",  400, NULL,   "text/html", ""          }, /* U14.1: see below */
    };

    char text[1024];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const char *r;

        (void)snprintf(
            text, sizeof(text),
            "access_log off; default_type z/z; server { listen 127.0.0.1:1; location / { return %s; } }",
            cases[i].args);
        if (cases[i].status == 400) {
            (void)snprintf(text, sizeof(text),
                           "access_log off; server { listen 127.0.0.1:1; "
                           "location / { return 301 http://o$uri; } }");
            full_start(&k, text);
            r = kit_get(&k, "/a%0d%0aX:%20y");
        } else {
            full_start(&k, text);
            r = kit_get(&k, "/x?a=v");
        }
        if (kit_status(r) != cases[i].status ||
            (cases[i].body && strcmp(kit_body(r), cases[i].body) != 0)) {
            fail_msg("return %s: %s", cases[i].args, r);
        }
        assert_string_equal(full_field(r, "Content-Type"), cases[i].type);
        assert_string_equal(full_field(r, "Location"), cases[i].location);
        assert_string_equal(full_field(r, "X"), "");
        full_stop(&k);
    }
}

static void blocks(void **state)
{
    static const struct {
        const char *target, *body;
    } cases[] = {
        {"/outer",       "outer"},
        {"/outer/inner",
         "/outer/inner says"    }, /* a block without return does not take the outer one */
        {"/first",       "1"    },
        {"/type.html",   "html" },
    };

    (void)state;
    full_start(
        &k,
        "access_log off; types { text/html html; } server { listen 127.0.0.1:1; "
        "location /outer { return 200 outer; location /outer/inner { say '$uri says'; } } "
        "location /first { return 200 1; return 200 2; } location /type { return 200 html; } }");
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        assert_string_equal(kit_body(kit_get(&k, cases[i].target)), cases[i].body);
    }
    assert_string_equal(full_field(kit_get(&k, "/type.html"), "Content-Type"), "text/html");
    full_stop(&k);
}

static void of_the_server(void **state)
{
    (void)state;
    full_start(
        &k,
        "access_log off; server { listen 127.0.0.1:1; return 200 server; location / { return 200 location; } }");
    assert_string_equal(kit_body(kit_get(&k, "/")), "server");
    full_stop(&k);
}

static void absolute_redirects(void **state)
{
    static const struct {
        const char *conf, *host, *location;
    } cases[] = {
        {"",                            "Some.Host", "http://some.host:%u/b"},
        {"absolute_redirect off;",      "h",         "/b"                   },
        {"port_in_redirect off;",       "h",         "http://h/b"           },
        {"server_name_in_redirect on;", "h",         "http://the.name:%u/b" },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        char text[512], want[256];

        (void)snprintf(text, sizeof(text),
                       "access_log off; server { listen 127.0.0.1:1; server_name the.name; %s "
                       "location / { return 301 /b; } }",
                       cases[i].conf);
        full_start(&k, text);
        (void)snprintf(text, sizeof(text),
                       "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", cases[i].host);
        if (strstr(cases[i].location, "%u")) {
            size_t n = strcspn(cases[i].location, "%");

            (void)snprintf(want, sizeof(want), "%.*s%u%s", (int)n, cases[i].location,
                           wr_addr_port(&k.addrs[0]), cases[i].location + n + 2);
        } else {
            (void)snprintf(want, sizeof(want), "%s", cases[i].location);
        }
        assert_string_equal(full_field(kit_talk(&k, text), "Location"), want);
        full_stop(&k);
    }
}

static void silent(void **state)
{
    (void)state;
    full_start(&k, "access_log off; server { listen 127.0.0.1:1; return 444; }");
    assert_string_equal(kit_get(&k, "/"), "");
    assert_int_equal(say_last_status, 444);
    full_stop(&k);
}

static void errors(void **state)
{
    static const struct {
        const char *conf, *message;
    } cases[] = {
        {"return;",              "invalid number of arguments in \"return\" directive"},
        {"return 1 2 3;",        "invalid number of arguments in \"return\" directive"},
        {"return foo;",          "invalid return code \"foo\""                        },
        {"return foo bar;",      "invalid return code \"foo\""                        },
        {"return 1000;",         "invalid return code \"1000\""                       },
        {"return 20;",           "invalid return code \"20\""                         }, /* nginx takes it */
        {"return http://x y;",   "invalid return code \"http://x\""                   },
        {"return 200 $no_such;", "unknown \"no_such\" variable"                       },
        {"return 200 ${x;",      "the closing bracket in \"x\" variable is missing"   },
    };

    char text[256], out[1024];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        (void)snprintf(text, sizeof(text), "http { server { %s } }", cases[i].conf);
        assert_null(kit_load(text, out, sizeof(out)));
        if (!strstr(out, cases[i].message)) {
            fail_msg("%s: %s", cases[i].conf, out);
        }
    }
    assert_null(kit_load("http { return 200; }", out, sizeof(out)));
    assert_non_null(strstr(out, "\"return\" directive is not allowed here"));
}

static void without_memory(void **state)
{
    static const char text[] =
        "http { access_log off; server { listen 127.0.0.1:1; set $a $arg_x$uri; if ($a ~ ^(x)) { set $b $1; } "
        "rewrite ^/a/(.*)$ /b/$1?x=$1; location / { if (-f /none$uri) { break; } "
        "if ($arg_x = $a) { return 403; } rewrite ^/c(.*)$ http://o$1; set $args $a; "
        "return 200 $uri$args; } } }";
    char out[4096];
    unsigned n;

    (void)state;
    for (n = 1; n < 5000; n++) {
        struct wr_gen *g;

        wr_mem_fault_set(n);
        g = kit_load(text, out, sizeof(out));
        wr_mem_fault_set(0);
        if (g) {
            wr_gen_unref(g);
            break;
        }
        assert_non_null(strstr(out, "[emerg]"));
    }
    assert_in_range(n, 50, 4999);
    full_start(&k, "access_log off; server { listen 127.0.0.1:1; location / { return 200; } }");
    kit_adopt(&k, text);
    assert_string_equal(kit_body(kit_get(&k, "/a/1?x=y")), "/b/1y/a/1");
    assert_string_equal(full_field(kit_get(&k, "/c/1?x=y"), "Location"), "http://o/1?x=y");
    full_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),        cmocka_unit_test(blocks),
        cmocka_unit_test(of_the_server),  cmocka_unit_test(absolute_redirects),
        cmocka_unit_test(silent),         cmocka_unit_test(errors),
        cmocka_unit_test(without_memory),
    };
    int rc;

    full_boot();
    rc = cmocka_run_group_tests_name("mod/rewrite", tests, NULL, NULL);
    full_end();
    return rc;
}
