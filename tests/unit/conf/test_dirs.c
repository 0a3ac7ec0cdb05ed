/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dirs.c: what a load says about bad configurations (the texts are nginx's, compared with
 * `nginx -t` where it has the case), the registry, and inheritance.
 */
#include "conf/dirs.h"

#include <errno.h>

#include "base/mem.h"
#include "toy.h"

#include "t.h"

#define E(text, place) "weir: [emerg] " text " in /c/x.conf:" place "\n"
#define W(text, place) "weir: [warn] " text " in /c/x.conf:" place "\n"
#define HTTP(s)        "events {}\nhttp {\n" s "\n}\n"
#define SERVER(s)      HTTP("server {\n" s "\n}")
#define LOC(s)         SERVER("location / {\n" s "\n}")

/* clang-format off */
static const struct {
    const char *conf, *out;
} errors[] = {
    /* syntax */
    {"foo", E("unexpected end of file, expecting \";\" or \"}\"", "1")},
    {"pid", E("unexpected end of file, expecting \";\" or \"}\"", "1")},
    {"pid a", E("unexpected end of file, expecting \";\" or \"}\"", "1")},
    {"pid \"a", E("unexpected end of file, expecting \";\" or \"}\"", "1")},
    {"pid 'a;\n\n", E("unexpected end of file, expecting \";\" or \"}\"", "3")},
    {"pid a # x", E("unexpected end of file, expecting \";\" or \"}\"", "1")},
    {"pid a\\", E("unexpected end of file, expecting \";\" or \"}\"", "1")},
    {"events {", E("unexpected end of file, expecting \"}\"", "1")},
    {"events {}\nhttp {\nserver {\n", E("unexpected end of file, expecting \"}\"", "4")},
    {"events {}\nhttp { server { } ", E("unexpected end of file, expecting \"}\"", "2")},
    {"}\n", E("unexpected \"}\"", "1")},
    {"events {}}", E("unexpected \"}\"", "1")},
    {"http {} }", E("unexpected \"}\"", "1")},
    {"daemon on }", E("unexpected \"}\"", "1")},
    {HTTP("root \"b\"}"), E("unexpected \"}\"", "3")},
    {"{}", E("unexpected \"{\"", "1")},
    {"http {{}}", E("unexpected \"{\"", "1")},
    {";", E("unexpected \";\"", "1")},
    {"http {;}", E("unexpected \";\"", "1")},
    {"pid \"x\"y;", E("unexpected \"y\"", "1")},
    {HTTP("map $a $b { x { } }"), E("unexpected \"{\"", "3")},
    /* names and places */
    {"foo bar;", E("unknown directive \"foo\"", "1")},
    {"foo {}", E("unknown directive \"foo\"", "1")},
    {"\"foo\" x;", E("unknown directive \"foo\"", "1")},
    {"\"\" x;", E("unknown directive \"\"", "1")},
    {"a#b c;", E("unknown directive \"a#b\"", "1")},
    {"a\\tb\\\"c\\d\\;e x;", E("unknown directive \"a\\x09b\"c\\d\\;e\"", "1")},
    {"\xef\xbb\xbf""events {}", E("unknown directive \"\xef\xbb\xbf""events\"", "1")},
    {HTTP("foo;"), E("unknown directive \"foo\"", "3")},
    {HTTP("upstream a { foo; }"), E("unknown directive \"foo\"", "3")},
    {HTTP("upstream a { root x; }"), E("\"root\" directive is not allowed here", "3")},
    {HTTP("location / {}"), E("\"location\" directive is not allowed here", "3")},
    {SERVER("server {}"), E("\"server\" directive is not allowed here", "4")},
    {"server x {}", E("\"server\" directive is not allowed here", "1")},
    {"use epoll;", E("\"use\" directive is not allowed here", "1")},
    {"root x;", E("\"root\" directive is not allowed here", "1")},
    {LOC("if ($a) { server_name x; }"), E("\"server_name\" directive is not allowed here", "5")},
    {LOC("limit_except GET { root x; }"), E("\"root\" directive is not allowed here", "5")},
    {LOC("events {}"), E("\"events\" directive is not allowed here", "5")},
    /* form */
    {"daemon on {}", E("directive \"daemon\" is not terminated by \";\"", "1")},
    {"daemon 1 2 3 {}", E("directive \"daemon\" is not terminated by \";\"", "1")},
    {"worker_processes ${x{y} z w;\n}", E("directive \"worker_processes\" is not terminated by \";\"", "1")},
    {"http;", E("directive \"http\" has no opening \"{\"", "1")},
    {HTTP("server x;"), E("directive \"server\" has no opening \"{\"", "3")},
    {"daemon;", E("invalid number of arguments in \"daemon\" directive", "1")},
    {"daemon on off;", E("invalid number of arguments in \"daemon\" directive", "1")},
    {"http x {}", E("invalid number of arguments in \"http\" directive", "1")},
    {SERVER("location {}"), E("invalid number of arguments in \"location\" directive", "4")},
    {SERVER("location a b c {}"), E("invalid number of arguments in \"location\" directive", "4")},
    {LOC("if {}"), E("invalid number of arguments in \"if\" directive", "5")},
    {HTTP("map $a {}"), E("invalid number of arguments in \"map\" directive", "3")},
    {HTTP("proxy_set_header a;"),
     E("invalid number of arguments in \"proxy_set_header\" directive", "3")},
    {HTTP("upstream a { server; }"), E("invalid number of arguments in \"server\" directive", "3")},
    {"daemon on; daemon off;", E("\"daemon\" directive is duplicate", "1")},
    {"events {}\nevents {}", E("\"events\" directive is duplicate", "2")},
    {"http {}\nhttp {}", E("\"http\" directive is duplicate", "2")},
    {SERVER("root a;\nroot b;"), E("\"root\" directive is duplicate", "5")},
    {LOC("internal; internal;"), E("\"internal\" directive is duplicate", "5")},
    /* values */
    {"daemon x;", E("invalid value \"x\" in \"daemon\" directive, it must be \"on\" or \"off\"", "1")},
    {HTTP("sendfile \"\";"),
     E("invalid value \"\" in \"sendfile\" directive, it must be \"on\" or \"off\"", "3")},
    {HTTP("proxy_read_timeout x;"), E("\"proxy_read_timeout\" directive invalid value", "3")},
    {HTTP("proxy_read_timeout \"\";"), E("\"proxy_read_timeout\" directive invalid value", "3")},
    {HTTP("proxy_read_timeout -1;"), E("\"proxy_read_timeout\" directive invalid value", "3")},
    {HTTP("proxy_read_timeout 1d1s1d;"), E("\"proxy_read_timeout\" directive invalid value", "3")},
    {HTTP("cache_time 5ms;"), E("\"cache_time\" directive invalid value", "3")},
    {HTTP("client_max_body_size x;"), E("\"client_max_body_size\" directive invalid value", "3")},
    {HTTP("client_max_body_size 99999999999999999999;"),
     E("\"client_max_body_size\" directive invalid value", "3")},
    {HTTP("client_max_body_size 99999999999g;"),
     E("\"client_max_body_size\" directive invalid value", "3")},
    {HTTP("client_header_buffer_size 1g;"),
     E("\"client_header_buffer_size\" directive invalid value", "3")},
    {HTTP("client_header_buffer_size 5000m;"),
     E("\"client_header_buffer_size\" directive invalid value", "3")},
    {HTTP("temp_max on;"), E("\"temp_max\" directive invalid value", "3")},
    {HTTP("keepalive_requests x;"), E("\"keepalive_requests\" directive invalid number", "3")},
    {HTTP("keepalive_requests 1k;"), E("\"keepalive_requests\" directive invalid number", "3")},
    {HTTP("comp_level 0;"), E("value must be between 1 and 9", "3")},
    {HTTP("comp_level 10;"), E("value must be between 1 and 9", "3")},
    {HTTP("least 1;"), E("value must be equal to or greater than 2", "3")},
    {SERVER("if (x) { most 6; }"), E("value must be equal to or less than 5", "4")},
    {HTTP("method post;"), E("invalid value \"post\"", "3")},
    {HTTP("next foo;"), E("invalid value \"foo\"", "3")},
    {HTTP("next error foo;"), E("invalid value \"foo\"", "3")},
    {HTTP("proxy_buffers 8 x;"), E("\"proxy_buffers\" directive invalid value", "3")},
    {HTTP("proxy_buffers 0 4k;"), E("\"proxy_buffers\" directive invalid value", "3")},
    {HTTP("proxy_buffers 8 0;"), E("\"proxy_buffers\" directive invalid value", "3")},
    {HTTP("proxy_buffers 1 4k;"), E("there must be at least 2 \"proxy_buffers\"", "3")},
    {HTTP("bind localhost;"), E("invalid address \"localhost\"", "3")},
    {HTTP("allow 1.2.3.4/33;"), E("invalid parameter \"1.2.3.4/33\"", "3")},
    {HTTP("allow x;"), E("invalid parameter \"x\"", "3")},
    {HTTP("upstream a { server b foo=1; }"), E("invalid parameter \"foo=1\"", "3")},
    {HTTP("upstream a { server b weight=x; }"), E("invalid parameter \"weight=x\"", "3")},
    {HTTP("upstream a { server b weight=; }"), E("invalid parameter \"weight=\"", "3")},
    {HTTP("map $a $b { x y z; }"), E("invalid number of the map parameters", "3")},
    {LOC("pass $;"), E("invalid variable name", "5")},
    {LOC("pass \"\";"), E("invalid value \"\" in \"pass\" directive", "5")},
    {LOC("pass ${b;"), E("the closing bracket in \"b\" variable is missing", "5")},
    {LOC("pass ${};"), E("invalid variable name", "5")},
    {LOC("proxy_set_header a $nope;"), E("unknown \"nope\" variable", "5")},
    {LOC("items a b$uri \"${1}\";"), E("unknown \"1\" variable", "5")},
    {"silent;", E("\"silent\" directive is invalid", "1")},
    /* known to nginx, not to this registry */
    {LOC("grpc_pass x;"),
     E("the \"grpc_pass\" directive of ngx_http_grpc_module is not supported yet", "5")},
    {HTTP("grpc_pass x;"), E("\"grpc_pass\" directive is not allowed here", "3")},
    {HTTP("auth_jwt x;"),
     E("the \"auth_jwt\" directive of ngx_http_auth_jwt_module is not supported yet", "3")},
    {"stream { server { proxy_pass x; } }",
     E("the \"stream\" directive of ngx_stream_core_module is not supported yet", "1")},
    {"grpc_pass x;", E("\"grpc_pass\" directive is not allowed here", "1")},
    {HTTP("http2 on;"), W("the \"http2\" directive of ngx_http_v2_module is not supported yet, ignored", "3")},
    {HTTP("proxy_cache_path /x keys_zone=a:1m;"),
     W("the \"proxy_cache_path\" directive of ngx_http_proxy_module is not supported yet, ignored", "3")},
    {SERVER("status_zone x;"),
     W("the \"status_zone\" directive of ngx_http_api_module is not supported yet, ignored", "4")},
    {"old_thing x;", W("the \"old_thing\" directive is deprecated", "1")},
    {HTTP("next error error;"), W("duplicate value \"error\"", "3")},
    {HTTP("next error; next error;"), W("duplicate value \"error\"", "3")},
    {HTTP("allow 10.1.2.3/8;"), W("low address bits of 10.1.2.3/8 are meaningless", "3")},
    /* several in one run, in the order of the file */
    {"foo x;\n" HTTP("sendfile x;\nroot;\nserver { bar; }"),
     E("unknown directive \"foo\"", "1")
     E("invalid value \"x\" in \"sendfile\" directive, it must be \"on\" or \"off\"", "4")
     E("invalid number of arguments in \"root\" directive", "5")
     E("unknown directive \"bar\"", "6")},
    {"foo x;\nhttp {\nbar y;\n",
     E("unknown directive \"foo\"", "1") E("unknown directive \"bar\"", "3")
     E("unexpected end of file, expecting \"}\"", "4")},
    /* an unclosed block: the first misplaced directive is told, the others would be noise */
    {"events {}\nhttp {\nserver {\nserver {}\nserver {}\nlocation / {}\n}\n",
     E("\"server\" directive is not allowed here", "4")
     E("unexpected end of file, expecting \"}\"", "8")},
};

/* clang-format on */

static void test_errors(void **state)
{
    unsigned bad = 0;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(errors); i++) {
        const struct wr_conf_text file = {.path = "/c/x.conf", .text = errors[i].conf};
        const struct wr_conf_texts texts = {&file, 1};
        bool is_warning = strstr(errors[i].out, "[emerg]") == NULL;
        struct toy t;

        toy_open(&t, &texts);
        toy_load(&t, WR_DIAG_PLAIN);
        if (!wr_str_eq_z(wr_strbuf_str(&t.out), errors[i].out)) {
            print_error("%s\ngot  %s\nwant %s", errors[i].conf, wr_strbuf_cstr(&t.out),
                        errors[i].out);
            bad++;
        }
        assert_int_equal(t.status, is_warning ? WR_OK : WR_ECONFIG);
        assert_true((t.gen != NULL) == is_warning);
        assert_true((t.failed != NULL) == !is_warning);
        toy_close(&t);
    }
    assert_int_equal(bad, 0);
}

/* Loads one file; messages in t->out. */
static void load(struct toy *t, const char *conf, enum wr_diag_style style)
{
    static struct wr_conf_text file;
    static struct wr_conf_texts texts;

    file = (struct wr_conf_text){.path = "/c/x.conf", .text = conf};
    texts = (struct wr_conf_texts){&file, 1};
    toy_open(t, &texts);
    toy_load(t, style);
}

static void test_hints(void **state)
{
    static const struct {
        const char *conf, *hint; /* NULL: none */
    } cases[] = {
        {"worker_proceses 1;",                      "did you mean \"worker_processes\"?"                      },
        {HTTP("proxy_set_headers a b;"),            "did you mean \"proxy_set_header\"?"                      },
        {HTTP("send_file on;"),                     "did you mean \"sendfile\"?"                              },
        {HTTP("grpc_pas x;"),                       NULL                                                      }, /* grpc_pass may not stand in http */
        {LOC("grpc_pas x;"),                        "did you mean \"grpc_pass\"?"                             },
        {"xyzzy 1;",                                NULL                                                      },
        {"root x;",                                 "it is allowed in: http, server, location, if in location"},
        {HTTP("method x;"),                         "one of: get, put"                                        },
        {"daemon on\nworker_processes 1;",          "is a \";\" missing at the end of line 1?"                },
        {HTTP("server {\nroot x\nsendfile on;\n}"), "is a \";\" missing at the end of line 4?"                },
        {"http {\nserver {\nroot a\n}\n}",          "is a \";\" missing at the end of line 3?"                },
        {"http {\nserver {\n",                      "the block \"server\" opened in line 2 is not closed"     },
        {"pid \"a;\n",                              "the quote opened in line 1 is not closed"                },
        {"\xef\xbb\xbfuse x;",                      "the file begins with a byte order mark"                  },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct toy t;

        load(&t, cases[i].conf, WR_DIAG_TERMINAL);
        assert_int_equal(t.status, WR_ECONFIG);
        assert_non_null(t.diags.head);
        if (cases[i].hint == NULL) {
            assert_int_equal(t.diags.head->hint.len, 0);
        } else {
            assert_text(t.diags.head->hint, cases[i].hint);
        }
        toy_close(&t);
    }
}

static const struct wr_scope *child(const struct wr_scope *s, unsigned n)
{
    s = s->first;
    while (n-- > 0) {
        s = s->next;
    }
    return s;
}

static const struct toy_loc *loc(const struct wr_scope *s)
{
    return wr_scope_get(s, &toy_module, WR_KIND_LOC);
}

/* root -> http -> server -> location -> location */
static void test_inherit(void **state)
{
    struct toy t;
    const struct wr_scope *http, *server, *l1, *l2;
    const struct toy_main *m;

    (void)state;
    load(&t,
         "events { use epoll; }\n"
         "http {\n"
         "  server {\n"
         "    location /a {\n"
         "      sendfile off; proxy_set_header A 1; label one; next timeout;\n"
         "      location /a/b { proxy_read_timeout 5s; }\n"
         "    }\n"
         "    location /c { proxy_set_header X x; proxy_set_header Y $uri; internal; }\n"
         "    keepalive_requests 7; root /srv;\n"
         "  }\n"
         "  sendfile on; proxy_set_header H h; proxy_set_header I $host; allow 1.2.3.4 ::1;\n"
         "}\n",
         WR_DIAG_PLAIN);
    assert_text(wr_strbuf_str(&t.out), "");
    assert_int_equal(t.status, WR_OK);
    m = wr_scope_get(t.gen->root, &toy_core, WR_KIND_MAIN);
    assert_int_equal(m->processes, 1);
    assert_text(m->pid, "/p/logs/toy.pid");
    assert_true(m->daemon);
    assert_int_equal(m->servers, 1);
    http = child(t.gen->root, 1);
    server = child(http, 0);
    l1 = child(server, 0);
    l2 = child(l1, 0);
    assert_true(loc(http)->sendfile && loc(server)->sendfile); /* set behind the server block */
    assert_false(loc(l1)->sendfile);
    assert_false(loc(l2)->sendfile);
    assert_int_equal(loc(http)->requests, 1000);
    assert_int_equal(loc(server)->requests, 7);
    assert_int_equal(loc(l2)->requests, 7);
    assert_int_equal(loc(l1)->timeout_ms, 60000);
    assert_int_equal(loc(l2)->timeout_ms, 5000);
    assert_text(loc(http)->root, "/p/html");
    assert_text(loc(l2)->root, "/srv");
    /* arrays are replaced whole */
    assert_int_equal(loc(server)->headers.cnt, 2);
    assert_ptr_equal(loc(server)->headers.at, loc(http)->headers.at);
    assert_int_equal(loc(l1)->headers.cnt, 1);
    assert_text(loc(l1)->headers.at[0].name, "A");
    assert_int_equal(loc(l2)->headers.cnt, 1);
    assert_int_equal(loc(child(server, 1))->headers.cnt, 2);
    assert_text(loc(child(server, 1))->headers.at[1].name, "Y");
    assert_int_equal(loc(child(server, 1))->headers.at[1].value.parts[0].index, 2);
    assert_int_equal(loc(l2)->allow.cnt, 2);
    /* masks: the default, and a level that sets its own */
    assert_int_equal(loc(server)->mask, 3);
    assert_int_equal(loc(l2)->mask, 2);
    /* a row that is not inherited has its default below */
    assert_text(loc(l1)->label, "one");
    assert_text(loc(l2)->label, "plain");
    assert_text(loc(server)->label, "plain");
    /* no default: zero */
    assert_null(loc(l2)->pass);
    assert_int_equal(loc(l2)->bind.len, 0);
    /* fields of no row are nobody's but the module's */
    assert_true(loc(child(server, 1))->internal);
    assert_false(loc(l1)->internal);
    assert_int_equal(loc(http)->merged_cnt, 1);
    assert_int_equal(loc(l2)->merged_cnt, 4);
    toy_close(&t);
}

static void test_is_set(void **state)
{
    const size_t requests = offsetof(struct toy_loc, requests);
    struct toy t;
    const struct wr_scope *http, *server, *l1;

    (void)state;
    load(&t, "http { server { keepalive_requests 7; location / {} } }", WR_DIAG_PLAIN);
    assert_int_equal(t.status, WR_OK);
    http = child(t.gen->root, 0);
    server = child(http, 0);
    l1 = child(server, 0);
    assert_false(wr_conf_is_set(&toy_module, WR_KIND_LOC, &t.registry, loc(http), requests));
    assert_true(wr_conf_is_set(&toy_module, WR_KIND_LOC, &t.registry, loc(server), requests));
    assert_false(wr_conf_is_set(&toy_module, WR_KIND_LOC, &t.registry, loc(l1), requests));
    assert_false(wr_conf_is_given(&toy_module, WR_KIND_LOC, &t.registry, loc(http), requests));
    assert_true(wr_conf_is_given(&toy_module, WR_KIND_LOC, &t.registry, loc(server), requests));
    assert_true(wr_conf_is_given(&toy_module, WR_KIND_LOC, &t.registry, loc(l1), requests));
    toy_close(&t);
}

/* A location in which no SRV directive can stand shares the server's struct; GROUP is upstream's.
 */
static void test_kinds(void **state)
{
    struct toy t;
    const struct wr_scope *http, *up, *s1, *s2;
    const struct toy_group *g;
    const struct toy_srv *srv;
    const struct toy_main *m;

    (void)state;
    load(&t,
         "http { upstream u { server a; server b weight=2; keepalive 4; }\n"
         "map $a $b { a b; \"c d\" e; }\nmap $a $b { x y; }\n"
         "client_header_buffer_size 2k;\n"
         "server { server_name a b; server_name c; location / { if (x) { sendfile on; } } }\n"
         "server { client_header_buffer_size 4k; if (x) { most 3; } } }",
         WR_DIAG_PLAIN);
    assert_text(wr_strbuf_str(&t.out), "");
    assert_int_equal(t.status, WR_OK);
    http = child(t.gen->root, 0);
    up = child(http, 0);
    s1 = child(http, 1);
    s2 = child(http, 2);
    g = wr_scope_get(up, &toy_module, WR_KIND_GROUP);
    assert_int_equal(g->servers.cnt, 2);
    assert_int_equal(g->keepalive, 4);
    assert_null(wr_scope_get(http, &toy_module, WR_KIND_GROUP));
    assert_null(wr_scope_get(t.gen->root, &toy_module, WR_KIND_LOC));
    srv = wr_scope_get(s1, &toy_module, WR_KIND_SRV);
    assert_int_equal(srv->names.cnt, 3);
    assert_int_equal(srv->header_size, 2048);
    assert_ptr_equal(srv, wr_scope_get(child(s1, 0), &toy_module, WR_KIND_SRV));
    srv = wr_scope_get(s2, &toy_module, WR_KIND_SRV);
    assert_int_equal(srv->names.cnt, 1); /* the default "" */
    assert_int_equal(srv->names.at[0].len, 0);
    assert_int_equal(srv->header_size, 4096);
    assert_int_equal(child(s2, 0)->ctx, WR_CTX_IF_SERVER);
    assert_int_equal(loc(child(s2, 0))->small, 3);
    assert_true(loc(child(child(s1, 0), 0))->sendfile);
    m = wr_scope_get(child(s1, 0), &toy_core, WR_KIND_MAIN);
    assert_ptr_equal(m, wr_scope_get(t.gen->root, &toy_core, WR_KIND_MAIN));
    assert_int_equal(m->map_children, 3);
    toy_close(&t);
}

static void test_cmdline(void **state)
{
    static const struct {
        const char *g, *out;
    } cases[] = {
        {"daemon off;",  ""                                                               },
        {"daemon off",
         "weir: [emerg] unexpected end of parameter, expecting \";\" in command line\n"   },
        {"daemon \"off",
         "weir: [emerg] unexpected end of parameter, expecting \";\" in command line\n"   },
        {"daemon off;}", "weir: [emerg] unexpected \"}\" in command line\n"               },
        {"foo bar;",     "weir: [emerg] unknown directive \"foo\" in command line\n"      },
        {"http {",
         "weir: [emerg] block directives are not supported in -g option in command line\n"},
        {"pid x;",       "weir: [emerg] \"pid\" directive is duplicate in /c/x.conf:1\n"  },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const struct wr_conf_text file = {.path = "/c/x.conf", .text = "pid a;"};
        const struct wr_conf_texts texts = {&file, 1};
        struct toy t;

        toy_open(&t, &texts);
        t.opts.cmdline = wr_str_z(cases[i].g);
        toy_load(&t, WR_DIAG_PLAIN);
        assert_text(wr_strbuf_str(&t.out), cases[i].out);
        assert_int_equal(t.status, cases[i].out[0] == '\0' ? WR_OK : WR_ECONFIG);
        toy_close(&t);
    }
}

static void test_main_file_missing(void **state)
{
    const struct wr_conf_texts texts = {NULL, 0};
    struct toy t;

    (void)state;
    toy_open(&t, &texts);
    toy_load(&t, WR_DIAG_PLAIN);
    assert_text(wr_strbuf_str(&t.out),
                "weir: [emerg] open() \"/c/x.conf\" failed (2: No such file or directory)\n");
    assert_int_equal(t.status, WR_ECONFIG);
    toy_close(&t);
}

/* Positions are cut from the messages when the generation is not kept. */
static void test_failed_not_kept(void **state)
{
    const struct wr_conf_text file = {.path = "/c/x.conf", .text = "foo;"};
    const struct wr_conf_texts texts = {&file, 1};
    struct toy t;

    (void)state;
    toy_open(&t, &texts);
    assert_int_equal(wr_conf_load(&t.opts, &t.diags, &t.gen, NULL), WR_ECONFIG);
    wr_diags_write(&t.diags, WR_DIAG_TERMINAL, &t.out);
    assert_text(wr_strbuf_str(&t.out), "weir: [emerg] unknown directive \"foo\" in /c/x.conf:1\n");
    toy_close(&t);
}

static void test_read_and_path(void **state)
{
    const struct wr_conf_text files[] = {
        {.path = "/c/x.conf", .text = "store a; daemon on;"},
        {.path = "/c/k",      .text = "key"                }
    };
    const struct wr_conf_texts texts = {files, 2};
    struct toy t;
    struct wr_arena a;
    struct wr_conf cf;
    struct wr_str s;
    struct wr_conf_fault f = {NULL, 0};

    (void)state;
    toy_open(&t, &texts);
    wr_arena_init(&a, 1 << 20);
    cf = (struct wr_conf){.opts = &t.opts, .arena = &a};
    assert_int_equal(wr_conf_path(&cf, WR_STR("k"), WR_PATH_CONF, &s), WR_OK);
    assert_text(s, "/c/k");
    assert_int_equal(wr_conf_path(&cf, WR_STR("/k"), WR_PATH_CONF, &s), WR_OK);
    assert_text(s, "/k");
    assert_int_equal(wr_conf_path(&cf, WR_STR("k"), WR_PATH_PREFIX, &s), WR_OK);
    assert_text(s, "/p/k");
    t.opts.prefix = WR_STR_NULL;
    assert_int_equal(wr_conf_path(&cf, WR_STR("k"), WR_PATH_PREFIX, &s), WR_OK);
    assert_text(s, "/c/k");
    assert_int_equal(wr_conf_read(&cf, s, 3, &s, &f), WR_OK);
    assert_text(s, "key");
    assert_int_equal(wr_conf_read(&cf, WR_STR("/c/k"), 2, &s, &f), WR_ELIMIT);
    assert_int_equal(wr_conf_read(&cf, WR_STR("/c/q"), 9, &s, &f), WR_ESYS);
    assert_int_equal(f.err, ENOENT);
    wr_arena_fini(&a);
    toy_close(&t);
}

/* Each allocation fails once; the load says so and leaves nothing behind. */
static void test_no_memory(void **state)
{
    static const char conf[] = "pid a;\n" HTTP(
        "map $a $b { x \"y\\tz\"; }\nproxy_set_header a \"$host-$arg_x\";\n"
        "server { server_name a; location / { items a $uri; } }\nupstream u { server a; }");
    const struct wr_conf_text file = {.path = "/c/x.conf", .text = conf};
    const struct wr_conf_texts texts = {&file, 1};
    uint64_t fail_at = 0, failures = 0;
    enum wr_status st;

    (void)state;
    do {
        struct toy t;

        toy_open(&t, &texts);
        wr_mem_fault_set(++fail_at);
        st = wr_conf_load(&t.opts, &t.diags, &t.gen, &t.failed);
        wr_mem_fault_set(0);
        if (st != WR_OK) {
            assert_int_equal(st, WR_ENOMEM);
            assert_true(t.diags.emerg_cnt > 0);
            assert_null(t.gen);
            failures++;
        }
        toy_close(&t);
    } while (st != WR_OK && fail_at < 10000);
    assert_int_equal(st, WR_OK);
    assert_true(failures > 3);
}

/* The same with the arena's cap, in steps: every place that asks for memory meets the limit. */
static void test_arena_cap(void **state)
{
    static char conf[200000];
    const struct wr_conf_text file = {.path = "/c/x.conf", .text = conf};
    const struct wr_conf_texts texts = {&file, 1};
    struct wr_strbuf b;
    unsigned limited = 0, done = 0;

    (void)state;
    wr_strbuf_init_fixed(&b, conf, sizeof(conf));
    wr_strbuf_add_z(&b, "http {\n");
    for (unsigned i = 0; i < 800; i++) {
        wr_strbuf_printf(
            &b, "server { server_name s%u; location /\\t { items $host a; root b; } }\n", i);
    }
    wr_strbuf_add_z(&b, "}\n");
    (void)wr_strbuf_cstr(&b);
    for (size_t cap = 4096; cap < (8u << 20); cap += 37 * 4096) {
        struct toy t;

        toy_open(&t, &texts);
        t.opts.arena_cap = cap;
        toy_load(&t, WR_DIAG_PLAIN);
        if (t.status == WR_OK) {
            done++;
        } else {
            assert_int_equal(t.status, WR_ENOMEM);
            assert_true(wr_str_find_str(wr_strbuf_str(&t.out), WR_STR("needs more memory than")) <
                        t.out.len);
            limited++;
        }
        toy_close(&t);
    }
    assert_true(limited > 3);
    assert_true(done > 3);
}

static void test_too_many(void **state)
{
    static char conf[8192];
    struct wr_strbuf b;
    struct toy t;

    (void)state;
    wr_strbuf_init_fixed(&b, conf, sizeof(conf));
    for (unsigned i = 0; i < WR_DIAG_MAX + 20; i++) {
        wr_strbuf_add_z(&b, "foo x;\n");
    }
    (void)wr_strbuf_cstr(&b);
    load(&t, conf, WR_DIAG_PLAIN);
    assert_int_equal(t.diags.emerg_cnt, WR_DIAG_MAX + 20);
    assert_int_equal(t.diags.dropped_cnt, 20);
    assert_true(wr_str_has_suffix(wr_strbuf_str(&t.out), WR_STR("weir: [emerg] and 20 more\n")));
    toy_close(&t);
}

/* The registry refuses impossible rows and clashes, and says who. */
static void test_registry(void **state)
{
    static const uint32_t off = offsetof(struct toy_main, daemon);

    /* clang-format off */
    static const struct {
        struct wr_dir row;
        const char *err;
    } cases[] = {
        {{.name = "daemon", .contexts = WR_CTX_MAIN | WR_CTX_EVENTS, .kind = WR_KIND_NONE,
          .set = wr_set_ignore},
         "directive \"daemon\" of module \"other\" is also in module \"core\""},
        {{.name = "x", .kind = WR_KIND_NONE, .set = wr_set_ignore},
         "directive \"x\" of module \"other\" has no context"},
        {{.name = "x", .contexts = WR_CTX_MAIN, .min = 2, .max = 1, .kind = WR_KIND_NONE,
          .set = wr_set_ignore},
         "directive \"x\" of module \"other\" has min above max"},
        {{.name = "x", .contexts = WR_CTX_MAIN, .kind = WR_KIND_NONE},
         "directive \"x\" of module \"other\" has no set function"},
        {{.name = "x", .contexts = WR_CTX_MAIN, .kind = WR_KIND_NONE, .flags = WR_DIR_FREE,
          .set = wr_set_ignore},
         "directive \"x\" of module \"other\" is FREE but no BLOCK"},
        {{.name = "x", .contexts = WR_CTX_MAIN, .kind = WR_KIND_LOC, .set = wr_set_ignore},
         "directive \"x\" of module \"other\" stands in a context that has no struct of its kind"},
        {{.name = "x", .contexts = WR_CTX_UPSTREAM, .kind = WR_KIND_SRV, .set = wr_set_ignore},
         "directive \"x\" of module \"other\" stands in a context that has no struct of its kind"},
        {{.name = "x", .contexts = WR_CTX_SERVER, .kind = WR_KIND_SRV, .set = wr_set_ignore},
         "directive \"x\" of module \"other\" is of a kind of which the module has no struct"},
        {{.name = "x", .contexts = WR_CTX_SERVER, .kind = WR_KIND_NONE, .size = 1,
          .set = wr_set_ignore},
         "directive \"x\" of module \"other\" has a field but no kind"},
        {{.name = "x", .contexts = WR_CTX_MAIN, .kind = WR_KIND_MAIN, .size = 1,
          .set = wr_set_ignore},
         "directive \"x\" of module \"other\" has a field outside of its struct"},
        {{.name = "x", .contexts = WR_CTX_MAIN, .kind = WR_KIND_MAIN, .size = 4096, .offset = off,
          .set = wr_set_ignore},
         "directive \"x\" of module \"other\" has a field outside of its struct"},
    };
    /* clang-format on */
    struct wr_conf_module same = {.name = "core"};

    (void)state;
    for (size_t i = 0; i <= WR_ARRAY_LEN(cases); i++) {
        const struct wr_dir rows[] = {i < WR_ARRAY_LEN(cases) ? cases[i].row : cases[0].row,
                                      WR_DIR_END};
        struct wr_conf_module other = {
            .name = "other", .dirs = rows, .size = {[WR_KIND_MAIN] = sizeof(struct toy_main)}};
        struct wr_conf_module *mods[] = {&toy_core, i < WR_ARRAY_LEN(cases) ? &other : &same};
        struct wr_registry r;
        struct wr_strbuf err;

        wr_strbuf_init(&err, 1000);
        assert_int_equal(wr_registry_init(&r, mods, 2, &err), WR_ECONFIG);
        assert_text(wr_strbuf_str(&err),
                    i < WR_ARRAY_LEN(cases) ? cases[i].err : "two modules have the name \"core\"");
        wr_registry_fini(&r);
        wr_strbuf_fini(&err);
    }
}

static void test_ctx_name(void **state)
{
    (void)state;
    assert_string_equal(wr_ctx_name(WR_CTX_MAIN), "main");
    assert_string_equal(wr_ctx_name(WR_CTX_IF_LOCATION), "if in location");
    assert_string_equal(wr_ctx_name(WR_CTX_OIDC), "oidc_provider");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_inherit),
        cmocka_unit_test(test_is_set),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_cmdline),
        cmocka_unit_test(test_main_file_missing),
        cmocka_unit_test(test_failed_not_kept),
        cmocka_unit_test(test_read_and_path),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_arena_cap),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_ctx_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
