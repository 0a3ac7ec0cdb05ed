/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log_format.c: every operation of its own gives what its variable gives; escapes; values that
 * are not there; lines that nothing can break (U14.1).
 */
#include "../http/full_kit.h"

#include "observe/log_format.c"

static struct kit k;
static bool want_vars; /* write_all: through the registry */
static char line[1 << 17];
static const struct wr_log_format *format;

/* A LOG handler in place of the access log's. */
static enum wr_phase_result write_line(struct wr_req *r)
{
    struct wr_strbuf b;

    wr_strbuf_init_fixed(&b, line, sizeof(line) - 1);
    wr_log_format_write(r, format, &b);
    assert_int_equal(b.status, WR_OK);
    line[b.len] = '\0';
    return WR_PHASE_NEXT;
}

static struct wr_log_format made;

/* test_format [escape] TEXT; */
static enum wr_status set_format(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    uint32_t last = node->arg_cnt - 1;
    enum wr_status st;

    (void)dir, (void)conf;
    made = (struct wr_log_format){.escape = WR_LOG_ESCAPE_DEFAULT};
    if (last > 0) {
        made.escape =
            wr_str_eq_z(wr_node_arg(node, 0), "json") ? WR_LOG_ESCAPE_JSON : WR_LOG_ESCAPE_NONE;
    }
    st = wr_log_format_add(cf, node, last, wr_node_arg(node, last), &made);
    for (uint32_t i = 0; i < made.cnt && want_vars; i++) {
        if (made.at[i].kind != OP_TEXT) {
            made.at[i].kind = OP_VAR;
        }
    }
    format = &made;
    return st;
}

static const struct wr_dir format_dirs[] = {
    {.name = "test_format",
     .contexts = WR_CTX_HTTP,
     .min = 1,
     .max = 2,
     .set = set_format,
     WR_DIR_CONF(NONE)},
    WR_DIR_END
};
static struct wr_conf_module format_conf = {.name = "test_format", .dirs = format_dirs};
static const struct wr_phase_row format_phases[] = {
    {WR_PHASE_LOG, 0, write_line}
};
static const struct wr_module format_module = {
    .conf = &format_conf, .phases = format_phases, .phase_cnt = 1};
static const struct wr_module *const test_modules[] = {
    &kit_core, &wr_vars_core_module, &wr_rewrite_module, &kit_say, &format_module};

static void boot(void)
{
    static struct wr_conf_module *confs[WR_ARRAY_LEN(test_modules)];
    const char *err = NULL;
    struct wr_strbuf b;

    assert_non_null(mkdtemp(kit_dir));
    wr_strbuf_init(&b, 4096);
    assert_int_equal(wr_modules_set(test_modules, WR_ARRAY_LEN(test_modules), &err), WR_OK);
    for (size_t i = 0; i < WR_ARRAY_LEN(test_modules); i++) {
        confs[i] = test_modules[i]->conf;
    }
    assert_int_equal(wr_registry_init(&kit_registry, confs, WR_ARRAY_LEN(confs), &b), WR_OK);
    wr_strbuf_fini(&b);
}

/* The line of one request. */
static const char *ask(const char *fmt, const char *request)
{
    char text[4096];

    (void)snprintf(
        text, sizeof(text),
        "http { test_format %s; server { listen 127.0.0.1:1; server_name s.n; location / { return 200 hello; } } }",
        fmt);
    line[0] = '\0';
    kit_start(&k, text);
    (void)kit_talk(&k, request);
    kit_stop(&k);
    return line;
}

static void both_ways_are_equal(void **state)
{
    static const char *const requests[] = {
        ("GET /a%20b?x=\"y HTTP/1.1\r\nHost: H:1\r\nUser-Agent: ua\r\nUser-Agent: 2\r\nCookie: a\r\nCookie: b\r\nReferer: q\"\r\n"
         "Authorization: Basic dXNlcjpwYXNz\r\nConnection: close\r\n\r\n"),
        "HEAD / HTTP/1.0\r\n\r\n",
        "GET /\r\n",
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        "GET / HTTP/1.1\r\n\r\n", /* 400 */
        "nonsense\r\n\r\n",
    };
    static const char fmt[] =
        "'$remote_addr|$remote_user|$status|$body_bytes_sent|$bytes_sent|$request_length|$request|$request_method|"
        "$request_uri|$uri|$host|$http_user_agent|$http_cookie|$http_referer|$http_accept|$http_x_forwarded_for'";
    static char one[4096];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(requests); i++) {
        want_vars = true;
        (void)snprintf(one, sizeof(one), "%s", ask(fmt, requests[i]));
        want_vars = false;
        assert_string_equal(ask(fmt, requests[i]), one);
        assert_true(strlen(one) > 30);
    }
}

/* What changes between two runs: the form only. */
static void times_and_numbers(void **state)
{
    static const char *const vars[] = {"$time_local", "$time_iso8601", "$msec", "$request_time",
                                       "$connection"};
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(vars); i++) {
        char one[256];

        want_vars = true;
        (void)snprintf(one, sizeof(one), "%s", ask(vars[i], request));
        want_vars = false;
        (void)ask(vars[i], request);
        assert_true(strlen(one) > 0);
        if (strcmp(vars[i], "$connection") != 0) {
            assert_int_equal(strlen(line), strlen(one));
        }
        for (size_t n = 0; line[n] != '\0' && one[n] != '\0'; n++) {
            bool digit = line[n] >= '0' && line[n] <= '9';

            if (!digit) {
                assert_int_equal(line[n], one[n]);
            }
        }
    }
}

static void escapes(void **state)
{
    static const struct {
        const char *fmt, *line;
    } cases[] = {
        {"'[$http_x|$http_none|$arg_a]'",      "[q\\x22b\\x5C\\xE9|-|-]"},
        {"json '[$http_x|$http_none|$arg_a]'", "[q\\\"b\\\\\xe9||]"     },
        {"none '[$http_x|$http_none|$arg_a]'", "[q\"b\\\xe9||]"         },
        {"'$uri'",                             "/a\\x0Ab\\x0D\\x1F"     },
        {"json '$uri'",                        "/a\\nb\\r\\u001F"       },
        {"none '$uri'",                        "/a\\x0Ab\\x0D\x1f"      },
        {"'plain text'",                       "plain text"             },
        {"''",                                 ""                       },
        {"'a${status}b$status.c'",             "a200b200.c"             },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        assert_string_equal(
            ask(cases[i].fmt,
                "GET /a%0ab%0d%1f HTTP/1.1\r\nHost: x\r\nX: q\"b\\\xe9\r\nConnection: close\r\n\r\n"),
            cases[i].line);
    }
}

static void errors(void **state)
{
    static const struct {
        const char *fmt, *message;
    } cases[] = {
        {"$no_such", "unknown \"no_such\" variable"                    },
        {"'$1'",     "unknown \"1\" variable"                          },
        {"'${x'",    "the closing bracket in \"x\" variable is missing"},
        {"'a$'",     "invalid variable name"                           },
    };

    char text[256], out[512];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        (void)snprintf(text, sizeof(text), "http { test_format %s; }", cases[i].fmt);
        assert_null(kit_load(text, out, sizeof(out)));
        if (!strstr(out, cases[i].message)) {
            fail_msg("%s: %s", cases[i].fmt, out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_are_equal),
        cmocka_unit_test(times_and_numbers),
        cmocka_unit_test(escapes),
        cmocka_unit_test(errors),
    };
    int rc;

    boot();
    rc = cmocka_run_group_tests_name("observe/log_format", tests, NULL, NULL);
    full_end();
    return rc;
}
