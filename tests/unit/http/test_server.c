/* SPDX-License-Identifier: Apache-2.0 */
/* test_server.c: listen and server_name: ports, defaults, names; watched at nginx 1.22 where it has
 * words. */
#include "req_kit.h"

static struct wr_gen *g;
static char out[8192];

static void load(const char *text)
{
    g = kit_load(text, out, sizeof(out));
    if (!g) {
        fail_msg("%s", out);
    }
}

/* The marker of a server is its first location's say text; here the number in the file does. */
static int server_of(const struct wr_port *p, const char *host)
{
    struct wr_str name;

    return (int)wr_port_find(p, wr_str_z(host), NULL, &name)->no;
}

#define NAMES                                                                                      \
    "http { server { server_name _; }"                        /* 0 */                              \
    "server { server_name one.example ONE-B.example; }"       /* 1 */                              \
    "server { server_name *.example; }"                       /* 2 */                              \
    "server { server_name *.long.example; }"                  /* 3 */                              \
    "server { server_name www.*; }"                           /* 4 */                              \
    "server { server_name www.long.*; }"                      /* 5 */                              \
    "server { server_name .dot.test; }"                       /* 6 */                              \
    "server { server_name ~^re(?<num>\\d+)\\.(test|tset)$; }" /* 7 */                              \
    "server { server_name ~^re.*; }"                          /* 8 */                              \
    "server { server_name ~^UPPER\\.case$; }"                 /* 9 */                              \
    "server { server_name exact.dot.test; }"                  /* 10 */                             \
    "server { server_name \"\"; }"                            /* 11 */                             \
    "server { server_name *.a.b www.a.*; } }"                 /* 12 */

static void names(void **state)
{
    static const struct {
        const char *host;
        int want;
    } cases[] = {
        {"one.example",      1 },
        {"one-b.example",    1 },
        {"x.example",        2 },
        {"x.y.example",      2 },
        {"example",          0 },
        {".example",         0 },
        {"a.long.example",   3 },
        {"long.example",     2 },
        {"b.a.long.example", 3 },
        {"xlong.example",    2 },
        {"www.example",      2 },
        {"www.org",          4 },
        {"www.a.org",        12},
        {"www.long.org",     5 },
        {"www.long.a.org",   5 },
        {"www",              0 },
        {"www.",             0 },
        {"wwwx.org",         0 },
        {"dot.test",         6 },
        {"a.dot.test",       6 },
        {"a.b.dot.test",     6 },
        {"xdot.test",        0 },
        {"exact.dot.test",   10},
        {"re12.test",        7 },
        {"re7.tset",         7 },
        {"re.test",          8 },
        {"rexyz",            8 },
        {"upper.case",       9 },
        {"upper.casex",      0 },
        {"",                 11},
        {"_",                0 },
        {"127.0.0.1",        0 },
        {"[::1]",            0 },
        {"x.a.b",            12},
        {"a.b",              0 },
        {"www.a.b",          12},
        {"one.example.org",  0 },
    };
    const struct wr_port *p;

    (void)state;
    load(NAMES);
    assert_int_equal(wr_http_of(g)->port_cnt, 1);
    p = &wr_http_of(g)->ports[0];
    assert_string_equal(p->text.ptr, "0.0.0.0:80");
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        int got = server_of(p, cases[i].host);

        if (got != cases[i].want) {
            fail_msg("%s: got %d, want %d", cases[i].host, got, cases[i].want);
        }
    }
    assert_true(wr_str_eq_z(wr_http_of(g)->servers[6].name, "dot.test"));
    assert_true(wr_str_eq_z(wr_http_of(g)->servers[7].name, "~^re(?<num>\\d+)\\.(test|tset)$"));
    assert_string_equal(out, "");
    wr_gen_unref(g);
}

static const struct wr_port *port(const char *text)
{
    const struct wr_http *h = wr_http_of(g);

    for (size_t i = 0; i < h->port_cnt; i++) {
        if (wr_str_eq_z(h->ports[i].text, text)) {
            return &h->ports[i];
        }
    }
    return NULL;
}

static void defaults(void **state)
{
    (void)state;
    load("http { server { server_name a; } server { listen 80 default_server; server_name b; }"
         "server { listen 81; server_name c; } server { listen 81; server_name d; } }");
    assert_int_equal(port("0.0.0.0:80")->deflt->no, 1);
    assert_int_equal(server_of(port("0.0.0.0:80"), "a"), 0);
    assert_int_equal(port("0.0.0.0:81")->deflt->no, 2);
    assert_int_equal(server_of(port("0.0.0.0:81"), "a"), 2);
    assert_int_equal(server_of(port("0.0.0.0:81"), "d"), 3);
    wr_gen_unref(g);
}

static void addresses(void **state)
{
    struct wr_addr a;

    (void)state;
    load(
        "http { server { listen 8080; } server { listen 1.2.3.4:8080; } server { listen 1.2.3.5:8080 bind; }"
        "server { listen 1.2.3.6:8080 backlog=7; } server { listen 1.2.3.4:8081; listen [::]:8080; listen [::1]:8080; }"
        "server { listen unix:/tmp/x; } server { listen *:8082; listen localhost:8083; listen 8090-8092; listen 1.2.3.4; } }");
    assert_non_null(port("0.0.0.0:8080"));
    assert_true(port("0.0.0.0:8080")->is_wildcard_of);
    assert_null(port("1.2.3.4:8080")); /* behind the wildcard's socket */
    assert_int_equal(port("0.0.0.0:8080")->virtual_cnt, 1);
    assert_non_null(port("1.2.3.5:8080"));
    assert_int_equal(port("1.2.3.6:8080")->opts.backlog, 7);
    assert_non_null(port("1.2.3.4:8081")); /* no wildcard has its port */
    assert_non_null(port("[::]:8080"));
    assert_null(port("[::1]:8080"));
    assert_true(port("[::]:8080")->opts.ipv6only);
    assert_non_null(port("unix:/tmp/x"));
    assert_non_null(port("0.0.0.0:8082"));
    assert_non_null(port("127.0.0.1:8083"));
    assert_non_null(port("0.0.0.0:8090"));
    assert_non_null(port("0.0.0.0:8092"));
    assert_non_null(port("1.2.3.4:80"));
    assert_int_equal(wr_addr_parse_ip(WR_STR("1.2.3.4"), 8080, &a), WR_OK);
    assert_int_equal(wr_port_of_local(port("0.0.0.0:8080"), &a)->deflt->no, 1);
    assert_int_equal(wr_addr_parse_ip(WR_STR("9.9.9.9"), 8080, &a), WR_OK);
    assert_int_equal(wr_port_of_local(port("0.0.0.0:8080"), &a)->deflt->no, 0);
    wr_gen_unref(g);
}

static void options(void **state)
{
    const struct wr_listen_opts *o;

    (void)state;
    load(
        "http { server { listen 80 backlog=9 rcvbuf=64k sndbuf=1m deferred fastopen=3 reuseport so_keepalive=1m::5; }"
        "server { listen 81 so_keepalive=off; } server { listen [::]:80 ipv6only=off; } server { listen 82; } }");
    o = &port("0.0.0.0:80")->opts;
    assert_int_equal(o->backlog, 9);
    assert_int_equal(o->rcvbuf, 65536);
    assert_int_equal(o->sndbuf, 1 << 20);
    assert_true(o->deferred && o->reuseport);
    assert_int_equal(o->fastopen, 3);
    assert_int_equal(o->keepalive, 1);
    assert_int_equal(o->keepidle, 60);
    assert_int_equal(o->keepintvl, 0);
    assert_int_equal(o->keepcnt, 5);
    assert_int_equal(port("0.0.0.0:81")->opts.keepalive, 0);
    assert_false(port("[::]:80")->opts.ipv6only);
    o = &port("0.0.0.0:82")->opts;
    assert_int_equal(o->backlog, 511);
    assert_int_equal(o->keepalive, -1);
    assert_int_equal(o->fastopen, -1);
    wr_gen_unref(g);
}

/* clang-format off */
static const struct {
    const char *http, *want;
} bad[] = {
    {"server { listen 81 default_server; } server { listen 81 default_server; }",
     "a duplicate default server for 0.0.0.0:81 in "                                                                                         },
    {"server { listen 81; listen 81; }",                                          "a duplicate listen 0.0.0.0:81 in "                        },
    {"server { listen 81 backlog=5; } server { listen 81 backlog=6; }",
     "duplicate listen options for 0.0.0.0:81 in "                                                                                           },
    {"server { listen 81 foo; }",                                                 "invalid parameter \"foo\" in "                            },
    {"server { listen 81 backlog=x; }",                                           "invalid backlog \"backlog=x\" in "                        },
    {"server { listen 81 backlog=0; }",                                           "invalid backlog \"backlog=0\" in "                        },
    {"server { listen 81 rcvbuf=x; }",                                            "invalid rcvbuf \"rcvbuf=x\" in "                          },
    {"server { listen 81 sndbuf=; }",                                             "invalid sndbuf \"sndbuf=\" in "                           },
    {"server { listen 81 so_keepalive=x; }",                                      "invalid so_keepalive value: \"x\" in "                    },
    {"server { listen 81 so_keepalive=::; }",                                     "invalid so_keepalive value: \"::\" in "                   },
    {"server { listen 81 so_keepalive=1m:x:5; }",                                 "invalid so_keepalive value: \"1m:x:5\" in "               },
    {"server { listen [::]:81 ipv6only=x; }",                                     "invalid parameter \"ipv6only=x\" in "                     },
    {"server { listen foo:81; }",
     "host not found in \"foo:81\" of the \"listen\" directive in "                                                                          },
    {"server { listen 70000; }",                                                  "invalid port in \"70000\" of the \"listen\" directive in "},
    {"server { listen 0; }",                                                      "invalid port in \"0\" of the \"listen\" directive in "    },
    {"server { listen :80; }",                                                    "no host in \":80\" of the \"listen\" directive in "       },
    {"server { listen \"*:80 \"; }",
     "invalid port in \"*:80 \" of the \"listen\" directive in "                                                                             },
    {"server { listen unix:; }",
     "no path in the unix domain socket in \"unix:\" of the \"listen\" directive in "                                                        },
    {"server { listen 127.0.0.1:83-81; }",
     "invalid port range in \"127.0.0.1:83-81\" of the \"listen\" directive in "                                                             },
    {"server { listen 127.0.0.1:83/x; }",
     "invalid host in \"127.0.0.1:83/x\" of the \"listen\" directive in "                                                                    },
    {"server { listen 81 fastopen=x; }",                                          "invalid fastopen \"fastopen=x\" in "                      },
    {"server { server_name ~(; }",
     "pcre2_compile() failed: missing closing parenthesis in \"(\" in "                                                                      },
    {"server { server_name ~; }",                                                 "empty regex in server name \"~\" in "                     },
    {"server { server_name *; }",                                                 "server name \"*\" is invalid in "                         },
    {"server { server_name *a.b; }",                                              "server name \"*a.b\" is invalid in "                      },
    {"server { server_name a*b; } server { server_name c; }",
     "invalid server name or wildcard \"a*b\" on 0.0.0.0:80"                                                                                 },
    {"listen 80;",                                                                "\"listen\" directive is not allowed here in "             },
};

static const struct {
    const char *http, *want; /* NULL: no word */
} fine[] = {
    {"server { server_name x; } server { server_name X; }",
     "[warn] conflicting server name \"x\" on 0.0.0.0:80, ignored"                                                           },
    {"server { server_name x x; }",                                   NULL                                                   },
    {"server { server_name *.x .x; }",                                NULL                                                   },
    {"server { server_name *.x; } server { server_name .x; }",
     "conflicting server name \".x\" on 0.0.0.0:80, ignored"                                                                 },
    {"server { server_name .x; } server { server_name x; }",
     "conflicting server name \"x\" on 0.0.0.0:80, ignored"                                                                  },
    {"server { server_name x.*; } server { server_name x.*; }",
     "conflicting server name \"x.*\" on 0.0.0.0:80, ignored"                                                                },
    {"server { server_name ~x; } server { server_name ~x; }",         NULL                                                   },
    {"server { } server { }",                                         "conflicting server name \"\" on 0.0.0.0:80, ignored"  },
    {"server { server_name a/b; }",                                   "[warn] server name \"a/b\" has suspicious symbols in "},
    {"server { server_name a*b a.*.b \"a b\"; }",                     NULL                                                   },
    {"server { listen 81 deferred fastopen=3 bind default; }",        NULL                                                   },
    {"server { listen 81 ipv6only=on; }",                             NULL                                                   },
    {"server { listen 81 http2; }",
     "[warn] the \"http2\" parameter of \"listen\" is not supported yet, ignored in "                                        },
    {"server { listen 81 setfib=1 accept_filter=x; }",
     "not supported on this platform, ignored in "                                                                           },
    {"server { server_name $hostname; }",                             NULL                                                   },
    {"server { listen unix:/tmp/s; } server { listen unix:/tmp/s; }",
     "conflicting server name \"\" on unix:/tmp/s, ignored"                                                                  },
};

/* clang-format on */

static void errors(void **state)
{
    char text[512];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        (void)snprintf(text, sizeof(text), "http { %s }", bad[i].http);
        assert_null(kit_load(text, out, sizeof(out)));
        if (!strstr(out, bad[i].want)) {
            fail_msg("%s: %s", bad[i].http, out);
        }
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(fine); i++) {
        (void)snprintf(text, sizeof(text), "http { %s }", fine[i].http);
        g = kit_load(text, out, sizeof(out));
        if (!g || (fine[i].want ? !strstr(out, fine[i].want) : out[0] != '\0')) {
            fail_msg("%s: %s", fine[i].http, out);
        }
        wr_gen_unref(g);
    }
}

static void h1_options(void **state)
{
    const struct wr_h1_opts *o;

    (void)state;
    load(
        "http { client_header_timeout 7s; server { large_client_header_buffers 3 2k; client_header_buffer_size 512;"
        "send_timeout 9s; lingering_close always; lingering_time 1s; lingering_timeout 2s; reset_timedout_connection on;"
        "keepalive_min_timeout 3s; } }");
    o = &wr_http_of(g)->ports[0].h1;
    assert_int_equal(o->header_timeout_ms, 7000);
    assert_int_equal(o->header_buffer_size, 512);
    assert_int_equal(o->large_cnt, 3);
    assert_int_equal(o->large_size, 2048);
    assert_int_equal(o->send_timeout_ms, 9000);
    assert_int_equal(o->lingering, 2);
    assert_int_equal(o->lingering_time_ms, 1000);
    assert_int_equal(o->lingering_timeout_ms, 2000);
    assert_true(o->reset_timedout);
    assert_int_equal(o->keepalive_min_ms, 3000);
    wr_gen_unref(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),   cmocka_unit_test(defaults), cmocka_unit_test(addresses),
        cmocka_unit_test(options), cmocka_unit_test(errors),   cmocka_unit_test(h1_options),
    };
    int failed;

    kit_boot();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_end();
    return failed;
}
