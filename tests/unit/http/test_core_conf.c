/* SPDX-License-Identifier: Apache-2.0 */
/* test_core_conf.c: directives of the core module: defaults, inheritance, messages (watched at
 * nginx 1.22). */
#include "req_kit.h"

#include "base/log_memory.h"
#include "net/syslog.h"

static struct wr_gen *g;
static char out[8192];

static void load(const char *text)
{
    g = kit_load(text, out, sizeof(out));
    if (!g) {
        fail_msg("%s", out);
    }
}

static const struct wr_core_loc *loc_of(const struct wr_scope *s)
{
    return wr_scope_get(s, &wr_core_conf, WR_KIND_LOC);
}

static const struct wr_core_loc *find(const char *path)
{
    const struct wr_server *v = &wr_http_of(g)->servers[0];
    const struct wr_location *l = NULL;

    assert_int_equal(wr_locations_find(v->locations, wr_str_z(path), NULL, &l), WR_LOCATION_FOUND);
    assert_ptr_equal(l->core, loc_of(l->scope));
    return l->core;
}

static void check_text(struct wr_str s, const char *want)
{
    if (!wr_str_eq_z(s, want)) {
        fail_msg("got \"%.*s\", want \"%s\"", WR_STR_ARG(s), want);
    }
}

static void has_defaults(void **state)
{
    const struct wr_core_loc *lc;
    const struct wr_core_srv *sc;
    char want[128];

    (void)state;
    load("http { server { } }");
    lc = loc_of(wr_http_of(g)->servers[0].scope);
    sc = wr_scope_get(wr_http_of(g)->servers[0].scope, &wr_core_conf, WR_KIND_SRV);
    assert_int_equal(lc->body_max, 1 << 20);
    assert_int_equal(lc->body_buffer_size, 16384);
    assert_int_equal(lc->body_timeout_ms, 60000);
    assert_int_equal(lc->keepalive.ms, 75000);
    assert_int_equal(lc->keepalive.header_sec, 0);
    assert_int_equal(lc->keepalive_requests, 1000);
    assert_int_equal(lc->keepalive_time_ms, 3600000);
    assert_int_equal(lc->keepalive_disable, WR_KEEPALIVE_NO_MSIE6);
    assert_int_equal(lc->lingering, WR_LINGERING_ON);
    assert_int_equal(lc->lingering_time_ms, 30000);
    assert_int_equal(lc->lingering_timeout_ms, 5000);
    assert_int_equal(lc->send_timeout_ms, 60000);
    assert_int_equal(lc->max_ranges, UINT32_MAX);
    assert_int_equal(lc->server_tokens, WR_TOKENS_ON);
    assert_int_equal(lc->if_modified_since, WR_IMS_EXACT);
    assert_true(lc->etag && lc->tcp_nodelay && lc->chunked && lc->absolute_redirect &&
                lc->port_in_redirect && lc->log_not_found);
    assert_true(lc->sendfile);
    assert_false(lc->tcp_nopush || lc->server_name_in_redirect || lc->reset_timedout);
    assert_int_equal(lc->sendfile_max_chunk, 2 << 20);
    assert_true(lc->directio == UINT64_MAX);
    assert_int_equal(lc->limit_rate.value, 0);
    check_text(lc->default_type, "text/plain");
    check_text(((struct wr_mime_type *)wr_map_get(lc->types, WR_STR("HTML")))->type, "text/html");
    assert_null(wr_map_get(lc->types, WR_STR("css")));
    (void)snprintf(want, sizeof(want), "%s/html", kit_dir);
    check_text(lc->root->source, want);
    (void)snprintf(want, sizeof(want), "%s/client_body_temp", kit_dir);
    check_text(lc->body_temp->dir, want);
    assert_ptr_equal(lc->body_spill.where, lc->body_temp);
    assert_int_equal(sc->header_timeout_ms, 60000);
    assert_int_equal(sc->header_buffer_size, 1024);
    assert_int_equal(sc->large_header_buffers.num, 4);
    assert_int_equal(sc->large_header_buffers.size, 8192);
    assert_true(sc->ignore_invalid_headers && sc->merge_slashes && !sc->underscores_in_headers);
    assert_int_equal(sc->max_headers, 1000);
    assert_string_equal(out, "");
    wr_gen_unref(g);
}

static void inherits(void **state)
{
    (void)state;
    load(
        "http { client_max_body_size 5m; default_type a/b; error_page 404 /h; keepalive_timeout 5 6; limit_rate 9k;"
        "types { x/y xx; } max_ranges 2; root /r; error_log /l1 warn;"
        "server { default_type c/d; error_page 403 /s;"
        "location / { } location /a { client_max_body_size 1; alias /al/; location /a/b { error_page 500 /x; } location /a/c { root /z/; } }"
        "location /t { types { z/z zz ZZZ; } keepalive_timeout 7; limit_rate $t_arg_x; error_log /l2; error_log stderr info; }"
        "location ~ ^/re { alias /q$1; } location /v { root $t_arg_x; } } }");
    assert_int_equal(find("/")->body_max, 5 << 20);
    check_text(find("/")->default_type, "c/d");
    assert_int_equal(find("/")->error_pages.cnt, 1);
    assert_int_equal(find("/")->error_pages.at[0].status, 403); /* replaced whole */
    assert_int_equal(find("/")->keepalive.ms, 5000);
    assert_int_equal(find("/")->keepalive.header_sec, 6);
    assert_int_equal(find("/")->max_ranges, 2);
    assert_int_equal(find("/")->limit_rate.value, 9 * 1024);
    assert_non_null(wr_map_get(find("/")->types, WR_STR("xx")));
    check_text(find("/")->root->source, "/r");
    assert_int_equal(find("/")->sinks->sink.level, WR_LOG_WARN);
    assert_int_equal(find("/a")->body_max, 1);
    assert_true(find("/a")->is_alias);
    assert_int_equal(find("/a")->alias_len, 2);
    assert_int_equal(find("/a/b")->body_max, 1);
    assert_true(find("/a/b")->is_alias); /* the length is that of /a, where it was written */
    assert_int_equal(find("/a/b")->alias_len, 2);
    check_text(find("/a/b")->root->source, "/al/");
    assert_int_equal(find("/a/b")->error_pages.at[0].status, 500);
    assert_false(find("/a/c")->is_alias);
    check_text(find("/a/c")->root->source, "/z");
    check_text(((struct wr_mime_type *)wr_map_get(find("/t")->types, WR_STR("zzz")))->type, "z/z");
    assert_null(wr_map_get(find("/t")->types, WR_STR("xx")));
    assert_int_equal(find("/t")->keepalive.header_sec, 0);
    assert_non_null(find("/t")->limit_rate.t);
    assert_int_equal(find("/t")->sinks->sink.level, WR_LOG_INFO);
    assert_non_null(find("/t")->sinks->sink.next);
    assert_true(wr_locations_find(wr_http_of(g)->servers[0].locations, WR_STR("/v"), NULL,
                                  &(const struct wr_location *){NULL}) == WR_LOCATION_FOUND);
    check_text(find("/v")->root->source, "$t_arg_x");
    wr_gen_unref(g);
}

static void regex_alias_takes_the_whole_path(void **state)
{
    (void)state;
    load("http { server { location ~ ^/re(.) { alias /q$1; } } }");
    assert_true(find("/rex")->alias_len == SIZE_MAX);
    wr_gen_unref(g);
}

static void logs_and_folders_are_listed(void **state)
{
    const struct wr_core_main *m;
    size_t n = 0;

    (void)state;
    load(
        "error_log /m notice; http { error_log /h; client_body_temp_path /t 1 2; server { error_log /m;"
        "location / { client_body_temp_path /t/ 1 2; } location /b { client_body_temp_path /u; } } }");
    m = wr_scope_get(g->root, &wr_core_conf, WR_KIND_MAIN);
    for (const struct wr_error_log *l = m->sinks_all; l; l = l->next) {
        n++;
    }
    assert_int_equal(n, 3);
    check_text(m->sinks->path, "/m");
    assert_int_equal(m->sinks->sink.level, WR_LOG_NOTICE);
    n = 0;
    for (const struct wr_temp_dir *d = m->temp_dirs; d; d = d->next) {
        n++;
    }
    assert_int_equal(n, 3); /* /t, /u, and the default's, though nothing uses it here */
    assert_ptr_equal(find("/")->body_temp, loc_of(wr_http_of(g)->scope)->body_temp);
    assert_int_equal(find("/")->body_temp->levels[1], 2);
    wr_gen_unref(g);
}

static void says_what_is_wrong(void **state)
{
    static const char *const cases[][2] = {
        {"location /a { root /x; alias /y; }",
         "\"alias\" directive is duplicate, \"root\" directive was specified earlier in "                                                       },
        {"location /a { alias /x; root /y; }",
         "\"root\" directive is duplicate, \"alias\" directive was specified earlier in "                                                       },
        {"location /a { alias /x; alias /y; }",                                    "\"alias\" directive is duplicate in "                       },
        {"location /a { root /x; root /y; }",                                      "\"root\" directive is duplicate in "                        },
        {"alias /x;",                                                              "\"alias\" directive is not allowed here in "                },
        {"location ~ a { alias /x$document_root; }",
         "the $document_root variable cannot be used in the \"alias\" directive in "                                                            },
        {"root /x${realpath_root};",
         "the $realpath_root variable cannot be used in the \"root\" directive in "                                                             },
        {"location @a { alias /x; }",
         "the \"alias\" directive cannot be used inside the named location in "                                                                 },
        {"root /a$foo;",                                                           "unknown \"foo\" variable"                                   },
        {"error_page 404;",                                                        "invalid number of arguments in \"error_page\" directive in "},
        {"error_page 200 /x;",                                                     "value \"200\" must be between 300 and 599 in "              },
        {"error_page 600 /x;",                                                     "value \"600\" must be between 300 and 599 in "              },
        {"error_page 499 /x;",                                                     "invalid value \"499\" in "                                  },
        {"error_page abc /x;",                                                     "invalid value \"abc\" in "                                  },
        {"error_page 404 =abc /x;",                                                "invalid value \"=abc\" in "                                 },
        {"error_page =200 /x;",                                                    "invalid value \"=200\" in "                                 },
        {"client_max_body_size -1;",                                               "\"client_max_body_size\" directive invalid value in "       },
        {"client_body_buffer_size 1g;",                                            "\"client_body_buffer_size\" directive invalid value in "    },
        {"keepalive_timeout x;",                                                   "\"keepalive_timeout\" directive invalid value in "          },
        {"keepalive_timeout 5 x;",                                                 "\"keepalive_timeout\" directive invalid value in "          },
        {"keepalive_timeout 5 6 7;",
         "invalid number of arguments in \"keepalive_timeout\" directive in "                                                                   },
        {"keepalive_disable opera;",                                               "invalid value \"opera\" in "                                },
        {"internal;",                                                              "\"internal\" directive is not allowed here in "             },
        {"location /a { internal; internal; }",                                    "\"internal\" directive is duplicate in "                    },
        {"large_client_header_buffers 4 100;",
         "the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\" in "                               },
        {"large_client_header_buffers 0 8k;",
         "\"large_client_header_buffers\" directive invalid value in "                                                                          },
        {"connection_pool_size x;",                                                "\"connection_pool_size\" directive invalid value in "       },
        {"server_tokens foo;",                                                     "invalid value \"foo\" in "                                  },
        {"location / { limit_rate x; }",                                           "\"limit_rate\" directive invalid value in "                 },
        {"client_body_temp_path /q 0 2;",                                          "\"client_body_temp_path\" directive invalid value in "      },
        {"client_body_temp_path /q 1; location / { client_body_temp_path /q 2; }",
         "the same path name \"/q\" has different levels than before in "                                                                       },
        {"types { text/html { } }",                                                "unexpected \"{\" in "                                       },
        {"default_type a; default_type b;",                                        "\"default_type\" directive is duplicate in "                },
        {"output_buffers 0 32k;",                                                  "\"output_buffers\" directive invalid value in "             },
        {"aio on;",                                                                "\"aio on\" is unsupported on this platform in "             },
        {"aio threads=x;",                                                         "unknown thread pool \"x\" in "                              },
        {"disable_symlinks foo;",                                                  "invalid parameter \"foo\" in "                              },
        {"aio foo;",                                                               "\"aio\" directive invalid value in "                        },
        {"open_file_cache inactive=5s;",                                           "\"open_file_cache\" must have the \"max\" parameter in "    },
        {"open_file_cache foo=1;",                                                 "invalid \"open_file_cache\" parameter \"foo=1\" in "        },
        {"lingering_close foo;",                                                   "invalid value \"foo\" in "                                  },
        {"if_modified_since foo;",                                                 "invalid value \"foo\" in "                                  },
        {"client_body_in_file_only foo;",                                          "invalid value \"foo\" in "                                  },
        {"tcp_nodelay foo;",
         "invalid value \"foo\" in \"tcp_nodelay\" directive, it must be \"on\" or \"off\" in "                                                 },
        {"sendfile on; sendfile off;",                                             "\"sendfile\" directive is duplicate in "                    },
        {"server { }",                                                             "\"server\" directive is not allowed here in "               },
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        (void)snprintf(text, sizeof(text), "http { server { %s } }", cases[i][0]);
        assert_null(kit_load(text, out, sizeof(out)));
        if (!strstr(out, cases[i][1])) {
            fail_msg("%s: %s", cases[i][0], out);
        }
    }
    assert_null(kit_load("http { } http { }", out, sizeof(out)));
    assert_non_null(strstr(out, "\"http\" directive is duplicate in "));
}

static void says_what_is_wrong_with_logs(void **state)
{
    static const char *const cases[][2] = {
        {"error_log /l foo;",                     "invalid log level \"foo\" in "    },
        {"error_log /l format=xml;",              "invalid log format \"xml\" in "   },
        {"error_log syslog:;",                    "unknown syslog parameter \"\" in "},
        {"error_log syslog:facility=user;",       "no syslog server specified in "   },
        {"error_log syslog:server=no.such.host;",
         "host not found in syslog server \"no.such.host\" in "                      },
        {"error_log syslog:server=1.2.3.4 foo;",  "invalid log level \"foo\" in "    },
        {"error_log memory:;",                    "invalid buffer size \"\" in "     },
        {"error_log memory:0 debug;",             "invalid buffer size \"0\" in "    },
        {"error_log memory:2115 debug;",          "invalid buffer size \"2115\" in " },
        {"error_log memory:1g debug;",            "invalid buffer size \"1g\" in "   },
        {"error_log /l info info;",               "duplicate log level \"info\" in " },
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        (void)snprintf(text, sizeof(text), "http { server { %s } }", cases[i][0]);
        assert_null(kit_load(text, out, sizeof(out)));
        if (!strstr(out, cases[i][1])) {
            fail_msg("%s: %s", cases[i][0], out);
        }
    }
}

static void accepts(void **state)
{
    static const char *const cases[] = {
        "root \"\";",
        "root html/;",
        "error_page 404 x; error_page 404 =1 @y; error_page 403 500 =200 http://a/b$t_uri;",
        "error_page 404 =200;",
        "keepalive_timeout 75s 60s; keepalive_disable none msie6;",
        "keepalive_disable safari;",
        "server_tokens build;",
        "limit_rate 1k; limit_rate_after $t_arg_x;",
        "client_body_temp_path /q 1 2 3;",
        "error_log stderr warn; error_log /l info; error_log /l info;",
        "error_log memory:2116; error_log memory:32k debug; error_log syslog:server=1.2.3.4 info;",
        "types { text/html html; text/html; }",
        "postpone_output 1k; sendfile_max_chunk 1m; directio 4m;",
        "aio threads;",
        "aio threads=default; disable_symlinks if_not_owner from=$t_uri;",
        "open_file_cache max=10 inactive=5s; open_file_cache_valid 5s; open_file_cache_errors on; open_file_cache_min_uses 2;",
        "open_file_cache off;",
        "resolver 1.1.1.1 valid=5s; resolver_timeout 5s;",
        "max_ranges 0;",
        "chunked_transfer_encoding off;",
        "msie_padding off; msie_refresh on; server_name_in_redirect on; subrequest_output_buffer_size 4k; read_ahead 0;",
        "send_lowat 1k; tcp_nopush on; reset_timedout_connection on; log_subrequest on; recursive_error_pages on;",
        "limit_rate 1k; sendfile_max_chunk 0; keepalive_requests 0; keepalive_time 5m; keepalive_min_timeout 5;",
        "client_header_timeout 5; client_header_buffer_size 2k; large_client_header_buffers 2 4k; max_headers 5;",
        "ignore_invalid_headers off; underscores_in_headers on; merge_slashes off; request_pool_size 4k; connection_pool_size 256;",
        "types_hash_max_size 2048; types_hash_bucket_size 64; client_body_in_single_buffer on; client_body_in_file_only clean;",
        "lingering_close always; lingering_time 1; lingering_timeout 1; absolute_redirect off; port_in_redirect off; etag off;",
        "} variables_hash_max_size 1; variables_hash_bucket_size 1; server_names_hash_max_size 1; server_names_hash_bucket_size 64; server {",
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        (void)snprintf(text, sizeof(text), "http { server { server_name a; %s } }", cases[i]);
        g = kit_load(text, out, sizeof(out));
        if (!g || strstr(out, "emerg")) {
            fail_msg("%s: %s", cases[i], out);
        }
        wr_gen_unref(g);
    }
    load("http { types { text/html html; text/plain html; } }");
    assert_non_null(strstr(
        out,
        "[warn] duplicate extension \"html\", content type: \"text/plain\", previous content type: \"text/html\" in "));
    wr_gen_unref(g);
}

/* Each sink of a location in its own way; an inner level replaces all of the outer. */
static void logs_elsewhere(void **state)
{
    const struct wr_error_log *l;
    const struct wr_syslog *d;
    char text[WR_ADDR_TEXT_MAX];

    (void)state;
    load(
        "http { error_log syslog:server=[::1]:99,tag=x,facility=mail warn; error_log memory:4k debug; "
        "error_log stderr; server { location / { } location /b { error_log syslog:server=[::1]:99,tag=x,facility=mail; } } }");
    assert_true(wr_log_may_debug());
    l = find("/")->sinks;
    assert_int_equal(l->path.len, 0);
    assert_null(l->sink.put);
    assert_int_equal(l->sink.fd, 2);
    assert_ptr_equal(l->sink.next->put, wr_log_memory_put);
    assert_int_equal(l->sink.next->level, WR_LOG_DEBUG);
    assert_int_equal(l->sink.next->next->level, WR_LOG_WARN);
    assert_null(l->sink.next->next->next);
    d = l->sink.next->next->data;
    assert_string_equal((text[wr_addr_write(&d->addr, text)] = '\0', text), "[::1]:99");
    check_text(d->tag, "x");
    assert_int_equal(d->facility, 2);
    l = find("/b")->sinks;
    assert_null(l->sink.next);
    assert_ptr_equal(l->sink.data, d); /* equal ones are one, also after this configuration */
    wr_gen_unref(g);
    assert_int_equal(d->facility, 2);
    check_text(d->tag, "x");
}

static void no_http(void **state)
{
    (void)state;
    load("error_log stderr;");
    assert_null(wr_http_of(g));
    wr_gen_unref(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(inherits),
        cmocka_unit_test(regex_alias_takes_the_whole_path),
        cmocka_unit_test(logs_and_folders_are_listed),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(says_what_is_wrong_with_logs),
        cmocka_unit_test(accepts),
        cmocka_unit_test(logs_elsewhere),
        cmocka_unit_test(no_http),
    };
    int failed;

    kit_boot();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_end();
    return failed;
}
