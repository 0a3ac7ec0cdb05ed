/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vars_core.c: core variables as `return` shows them, and those that only the log knows, as
 * the log shows them. Values were watched at nginx 1.22 where it has the variable.
 */
#include "full_kit.h"

#include <limits.h>

#include "base/chars.h"

static struct kit k;

static void start(const char *variable, const char *more)
{
    char text[4096];

    (void)snprintf(
        text, sizeof(text),
        "access_log off; log_format t '[%s]'; server { listen 127.0.0.1:1; server_name Main.Name; root @@/root; "
        "location / { return 200 \"[%s]\"; } location /log { access_log @@/log t; return 201 abc; } %s }",
        variable, variable, more);
    full_start(&k, text);
}

/* What is between the brackets. */
static const char *inside(const char *text)
{
    static char buf[8192];
    const char *from = strchr(text, '['), *to = strrchr(text, ']');

    buf[0] = '\0';
    if (from && to) {
        memcpy(buf, from + 1, (size_t)(to - from - 1));
        buf[to - from - 1] = '\0';
    }
    return buf;
}

static void values(void **state)
{
    static const struct {
        const char *variable, *line, *fields, *value;
    } cases[] = {
        {"$arg_a",                                               "GET /?a=1&b=2",          "",                                       "1"                    },
        {"$Arg_A|$arg_none|$arg_",                               "GET /?a=1",              "",                                       "1||"                  },
        {"$arg_a",                                               "GET /?A=%20x&a=2",       "",                                       "%20x"                 },
        {"$args|$query_string|$is_args",                         "GET /?a=1&b",            "",                                       "a=1&b|a=1&b|?"        },
        {"$args|$is_args",                                       "GET /?",                 "",                                       "|"                    },
        {"$uri|$document_uri",                                   "GET /a%20b//c/../d?x",   "",                                       "/a b/d|/a b/d"        },
        {"$request_uri",                                         "GET /a%20b//c/../d?x",   "",                                       "/a%20b//c/../d?x"     },
        {"$request|$request_method",                             "GET /x?y",               "",                                       "GET /x?y HTTP/1.1|GET"},
        {"$server_protocol|$scheme|$https",                      "GET /",                  "",                                       "HTTP/1.1|http|"       },
        {"$host",                                                "GET http://Abs.Name:8/", "",                                       "abs.name"             },
        {"$http_host",                                           "GET /",                  "",                                       "h"                    },
        {"$http_x_y_z",                                          "GET /",                  "X-Y-Z: 1\r\n",                           "1"                    },
        {"$http_X_Y",                                            "GET /",                  "x-y: 1\r\nX-Y: 2\r\n",                   "1, 2"                 },
        {"$http_cookie",                                         "GET /",                  "Cookie: a=1\r\nCookie: b=2\r\n",         "a=1; b=2"             },
        {"$http_none|$http_x",                                   "GET /",                  "X-Y: 1\r\n",                             "|"                    },
        {"$cookie_a|$cookie_b|$cookie_c",                        "GET /",                  "Cookie: a=1; B=2;c\r\n",                 "1|2|"                 },
        {"$cookie_a",                                            "GET /",                  "Cookie: aa=1;  a=x=y \r\n",              "x=y"                  },
        {"$content_type|$content_length",                        "GET /",                  "Content-Type: a/b; c\r\n",               "a/b; c|"              },
        {"$content_length",                                      "POST /",                 "Content-Length: 0\r\n",                  "0"                    },
        {"$remote_user",                                         "GET /",                  "Authorization: Basic dXNlcjpwYXNz\r\n",  "user"                 },
        {"$remote_user",                                         "GET /",                  "Authorization: basic dXNlcjo=\r\n",      "user"                 },
        {"$remote_user",                                         "GET /",                  "Authorization: Basic OnBhc3M=\r\n",      ""                     },
        {"$remote_user",                                         "GET /",                  "Authorization: Basic dXNlcg==\r\n",      ""                     },
        {"$remote_user",                                         "GET /",                  "Authorization: Basic !!!\r\n",           ""                     },
        {"$remote_user",                                         "GET /",                  "Authorization: Bearer dXNlcjpwYXNz\r\n", ""                     },
        {"$remote_addr|$server_addr",                            "GET /",                  "",                                       "127.0.0.1|127.0.0.1"  },
        {"$binary_remote_addr",                                  "GET /",                  "",                                       "\177\0\0\1"           },
        {"$server_name",                                         "GET /",                  "",                                       "main.name"            },
        {"$status|$pipe|$limit_rate",                            "GET /",                  "",                                       "200|.|0"              },
        {"$nginx_version",                                       "GET /",                  "",                                       WR_VERSION             },
        {"$connection_requests",                                 "GET /",                  "",                                       "1"                    },
        {"$request_body|$request_body_file|$request_completion", "GET /",                  "",                                       "||"                   },
        {"$is_request_port$request_port",                        "GET http://a:81/",       "",                                       ":81"                  },
        {"$is_request_port$request_port",                        "GET /",                  "",                                       ""                     },
        {"$sent_http_x|$sent_trailer_x",                         "GET /",                  "",                                       "|"                    },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const char *r, *got;

        start(cases[i].variable, "");
        r = full_ask(&k, cases[i].line, cases[i].fields);
        got = inside(kit_body(r));
        if (strcmp(cases[i].variable, "$binary_remote_addr") == 0) {
            assert_memory_equal(kit_body(r), "[\177\0\0\1]", 6);
        } else if (kit_status(r) != 200 || strcmp(got, cases[i].value) != 0) {
            fail_msg("%s of %s %s: \"%s\"", cases[i].variable, cases[i].line, cases[i].fields, r);
        }
        full_stop(&k);
    }
}

/* Only digits and these; '9' in the pattern stands for one or more digits. */
static bool looks_like(const char *s, const char *pattern)
{
    while (*pattern != '\0') {
        if (*pattern != '9') {
            if (*s++ != *pattern++) {
                return false;
            }
            continue;
        }
        if (*s < '0' || *s > '9') {
            return false;
        }
        while (*s >= '0' && *s <= '9') {
            s++;
        }
        pattern++;
    }
    return *s == '\0';
}

static void forms(void **state)
{
    static const struct {
        const char *variable, *pattern;
    } cases[] = {
        {"$connection",        "9"  },
        {"$connection_time",   "9.9"},
        {"$msec",              "9.9"},
        {"$pid",               "9"  },
        {"$remote_port",       "9"  },
        {"$server_port",       "9"  },
        {"$request_time",      "9.9"},
        {"$request_length",    "9"  },
        {"$tcpinfo_rtt",       "9"  },
        {"$tcpinfo_rttvar",    "9"  },
        {"$tcpinfo_snd_cwnd",  "9"  },
        {"$tcpinfo_rcv_space", "9"  },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        start(cases[i].variable, "");
        if (!looks_like(inside(kit_body(kit_get(&k, "/"))), cases[i].pattern)) {
            fail_msg("%s", cases[i].variable);
        }
        full_stop(&k);
    }
}

static void ids_and_times(void **state)
{
    char first[64], second[64];
    const char *s;

    (void)state;
    start("$request_id", "");
    (void)snprintf(first, sizeof(first), "%s", inside(kit_body(kit_get(&k, "/"))));
    (void)snprintf(second, sizeof(second), "%s", inside(kit_body(kit_get(&k, "/"))));
    assert_int_equal(strlen(first), 32);
    assert_int_equal(strspn(first, "0123456789abcdef"), 32);
    assert_string_not_equal(first, second);
    full_stop(&k);
    start("$time_iso8601_ms", "");
    s = inside(kit_body(kit_get(&k, "/")));
    assert_int_equal(strlen(s), 29);
    assert_true(s[19] == '.' && s[26] == ':');
    full_stop(&k);
    start("$hostname", "");
    {
        char name[256];

        assert_int_equal(gethostname(name, sizeof(name)), 0);
        for (char *p = name; *p != '\0'; p++) {
            *p = (char)wr_char_lower[(unsigned char)*p];
        }
        assert_string_equal(inside(kit_body(kit_get(&k, "/"))), name);
    }
    full_stop(&k);
}

static void files(void **state)
{
    char want[3 * PATH_MAX], real[PATH_MAX];

    (void)state;
    full_mkdir("real");
    assert_true(symlink(full_path("real"), full_path("root")) == 0 || errno == EEXIST);
    assert_non_null(realpath(full_path("real"), real));
    start("$document_root $request_filename $realpath_root", "");
    (void)snprintf(want, sizeof(want), "%s %s/x/y %s", full_path("root"), full_path("root"), real);
    assert_string_equal(inside(kit_body(kit_get(&k, "/x/y"))), want);
    full_stop(&k);
    start("",
          "location /al/ { alias @@/b/; return 200 \"[$document_root $request_filename]\"; }"
          "location /gone { root @@/gone; return 200 \"[$realpath_root]\"; }"
          "location /var/ { root @@/$arg_a; return 200 \"[$document_root|$request_filename]\"; }");
    (void)snprintf(want, sizeof(want), "%s/ %s/x", full_path("b"), full_path("b"));
    assert_string_equal(inside(kit_body(kit_get(&k, "/al/x"))), want);
    assert_string_equal(inside(kit_body(kit_get(&k, "/gone"))), "");
    (void)snprintf(want, sizeof(want), "%s|%s/var/y", full_path("x"), full_path("x"));
    assert_string_equal(inside(kit_body(kit_get(&k, "/var/y?a=x"))), want);
    assert_string_equal(inside(kit_body(kit_get(&k, "/var/y?a=../x"))), "|"); /* U14.8 */
    full_stop(&k);
}

static void host_without_host(void **state)
{
    (void)state;
    start("$host|$http_host", "");
    assert_string_equal(inside(kit_body(kit_talk(&k, "GET / HTTP/1.0\r\n\r\n"))), "main.name|");
    full_stop(&k);
}

/* In the log, with "-" for what is not there. */
static void logged(void **state)
{
    static const struct {
        const char *variable, *line, *fields, *value;
    } cases[] = {
        {"$status $body_bytes_sent $request_completion",                          "GET /log",  "", "201 3 OK"},
        {"$status $body_bytes_sent",                                              "HEAD /log", "", "201 0"   },
        {"$args|$arg_a|$is_args|$https|$remote_user",                             "GET /log?", "", "-|-|||-" },
        {"$sent_http_content_type|$sent_http_content_length|$sent_http_location", "GET /log",  "",
         "text/plain|3|-"                                                                                    },
        {"$sent_http_connection|$sent_http_transfer_encoding",                    "GET /log",  "", "close|-" },
        {"$request_body|$request_body_file|$content_length",                      "GET /log",  "", "-|-|-"   },
        {"$request_length",                                                       "GET /log",  "", "49"      },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        (void)unlink(full_path("log"));
        start(cases[i].variable, "");
        (void)full_ask(&k, cases[i].line, cases[i].fields);
        if (strcmp(inside(full_read("log")), cases[i].value) != 0) {
            fail_msg("%s of %s: %s", cases[i].variable, cases[i].line, full_read("log"));
        }
        full_stop(&k);
    }
}

static void unknown_ones_are_errors(void **state)
{
    char out[1024];

    (void)state;
    assert_null(
        kit_load("http { server { location / { return 200 \"$no_such\"; } } }", out, sizeof(out)));
    assert_non_null(strstr(out, "unknown \"no_such\" variable in /w/F:1"));
    assert_null(kit_load("http { server { location / { return 200 \"$\"; } } }", out, sizeof(out)));
    assert_non_null(strstr(out, "invalid variable name in /w/F:1"));
}

/* A variable may be used in front of the regex that defines it. */
static void named_captures(void **state)
{
    (void)state;
    full_start(
        &k,
        "access_log off; server { listen 127.0.0.1:1; location /plain { return 200 \"[$name]\"; } "
        "location ~ ^/(?<name>[a-z]+)/(.*)$ { return 200 \"[$name|$2|$1]\"; } }");
    assert_string_equal(inside(kit_body(kit_get(&k, "/abc/def"))), "abc|def|abc");
    assert_string_equal(inside(kit_body(kit_get(&k, "/plain"))), "");
    full_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(forms),
        cmocka_unit_test(ids_and_times),
        cmocka_unit_test(files),
        cmocka_unit_test(host_without_host),
        cmocka_unit_test(logged),
        cmocka_unit_test(unknown_ones_are_errors),
        cmocka_unit_test(named_captures),
    };
    int rc;

    full_boot();
    rc = cmocka_run_group_tests_name("http/vars_core", tests, NULL, NULL);
    full_end();
    return rc;
}
