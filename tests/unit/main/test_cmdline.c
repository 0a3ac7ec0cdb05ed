/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "main/cmdline.h"

#define ARGS_MAX 9

static enum wr_status parse(const char *const *args, struct wr_cmdline *ret, char *err, size_t size)
{
    static char kept[ARGS_MAX][64]; /* results point at arguments */
    char *argv[ARGS_MAX + 1];
    struct wr_strbuf b;
    enum wr_status st;
    int n = 0;

    for (; n < ARGS_MAX && (n == 0 || args[n - 1] != NULL); n++) {
        const char *z = n == 0 ? "weir" : args[n - 1];

        assert_true(strlen(z) < sizeof(kept[n]));
        memcpy(kept[n], z, strlen(z) + 1);
        argv[n] = kept[n];
    }
    argv[n] = NULL;
    wr_strbuf_init_fixed(&b, err, size);
    st = wr_cmdline_parse(n, argv, ret, &b);
    err[b.len < size ? b.len : size - 1] = '\0';
    return st;
}

static void test_good(void **state)
{
    static const struct {
        const char *args[6];
        enum wr_cmd cmd;
        const char *conf, *prefix;
        bool is_dump, is_quiet;
        int signo;
    } table[] = {
        {{NULL},                          WR_CMD_RUN,        NULL, NULL, false, false, 0      },
        {{"-t", NULL},                    WR_CMD_TEST,       NULL, NULL, false, false, 0      },
        {{"-T", NULL},                    WR_CMD_TEST,       NULL, NULL, true,  false, 0      },
        {{"-tqc", "x", NULL},             WR_CMD_TEST,       "x",  NULL, false, true,  0      },
        {{"-cx", "-p", "/p", NULL},       WR_CMD_RUN,        "x",  "/p", false, false, 0      },
        {{"-s", "reload", NULL},          WR_CMD_SIGNAL,     NULL, NULL, false, false, SIGHUP },
        {{"-sstop", NULL},                WR_CMD_SIGNAL,     NULL, NULL, false, false, SIGTERM},
        {{"-s", "quit", "-c", "y", NULL}, WR_CMD_SIGNAL,     "y",  NULL, false, false, SIGQUIT},
        {{"-s", "reopen", NULL},          WR_CMD_SIGNAL,     NULL, NULL, false, false, SIGUSR1},
        {{"-v", NULL},                    WR_CMD_VERSION,    NULL, NULL, false, false, 0      },
        {{"-V", NULL},                    WR_CMD_BUILD,      NULL, NULL, false, false, 0      },
        {{"-?", NULL},                    WR_CMD_HELP,       NULL, NULL, false, false, 0      },
        {{"--directives", NULL},          WR_CMD_DIRECTIVES, NULL, NULL, false, false, 0      },
        {{"demo", NULL},                  WR_CMD_DEMO,       NULL, NULL, false, false, 0      },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(table); i++) {
        struct wr_cmdline c;
        char err[256];

        assert_int_equal(parse(table[i].args, &c, err, sizeof(err)), WR_OK);
        assert_int_equal(c.cmd, table[i].cmd);
        assert_int_equal(c.is_dump, table[i].is_dump);
        assert_int_equal(c.is_quiet, table[i].is_quiet);
        assert_int_equal(c.signo, table[i].signo);
        assert_true((c.conf == NULL) == (table[i].conf == NULL));
        if (c.conf != NULL) {
            assert_string_equal(c.conf, table[i].conf);
        }
        if (table[i].prefix != NULL) {
            assert_string_equal(c.prefix, table[i].prefix);
        }
    }
}

static void test_status_and_trace(void **state)
{
    static const struct {
        const char *args[7];
        enum wr_cmd cmd;
        bool is_json;
        const char *socket, *conf, *word, *value;
    } rows[] = {
        {{"status", NULL},                              WR_CMD_STATUS, false, NULL, NULL, NULL,         NULL },
        {{"status", "--json", NULL},                    WR_CMD_STATUS, true,  NULL, NULL, NULL,         NULL },
        {{"-c", "x", "status", "--json", NULL},         WR_CMD_STATUS, true,  NULL, "x",  NULL,         NULL },
        {{"status", "-cx", "--socket=/s", NULL},        WR_CMD_STATUS, false, "/s", "x",  NULL,         NULL },
        {{"status", "--socket", "/s", NULL},            WR_CMD_STATUS, false, "/s", NULL, NULL,         NULL },
        {{"trace", "17", NULL},                         WR_CMD_TRACE,  false, NULL, NULL, "connection", "17" },
        {{"trace", "-c", "x", "*17", NULL},             WR_CMD_TRACE,  false, NULL, "x",  "connection", "*17"},
        {{"trace", "--client", "::1", NULL},            WR_CMD_TRACE,  false, NULL, NULL, "client",     "::1"},
        {{"trace", "--request=5", "--socket=/s", NULL},
         WR_CMD_TRACE,                                                 false,
         "/s",                                                                      NULL,
         "request",                                                                                     "5"  },
        {{"status", "-h", NULL},                        WR_CMD_HELP,   false, NULL, NULL, NULL,         NULL },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        const char *got[4], *want[4] = {rows[i].socket, rows[i].conf, rows[i].word, rows[i].value};
        struct wr_cmdline c;
        char err[256];

        assert_int_equal(parse(rows[i].args, &c, err, sizeof(err)), WR_OK);
        assert_int_equal(c.cmd, rows[i].cmd);
        assert_int_equal(c.is_json, rows[i].is_json);
        got[0] = c.socket;
        got[1] = c.conf;
        got[2] = c.trace_word;
        got[3] = c.trace_value;
        for (size_t k = 0; k < WR_ARRAY_LEN(got); k++) {
            assert_true((got[k] == NULL) == (want[k] == NULL));
            if (got[k] != NULL) {
                assert_string_equal(got[k], want[k]);
            }
        }
    }
}

static void test_bad_status_and_trace(void **state)
{
    static const struct {
        const char *args[5];
        const char *err;
    } rows[] = {
        {{"status", "x", NULL},          "invalid option: \"x\""                                    },
        {{"status", "--jsn", NULL},      "invalid option: \"--jsn\""                                },
        {{"status", "-t", NULL},         "invalid option: \"-t\""                                   },
        {{"status", "-s", "stop", NULL}, "invalid option: \"-s\""                                   },
        {{"status", "--socket", NULL},   "option \"--socket\" requires a value"                     },
        {{"-t", "status", NULL},         "invalid option: \"status\""                               },
        {{"status", "status", NULL},     "invalid option: \"status\""                               },
        {{"trace", NULL},
         "weir trace needs CONNECTION, --request NUMBER or "
         "--client ADDRESS, for example 17 where a log says *17"                                    },
        {{"trace", "1", "2", NULL},      "weir trace takes one connection, request or client: \"2\""},
        {{"trace", "--json", "1", NULL}, "invalid option: \"--json\""                               },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_cmdline c;
        char err[256];

        assert_int_equal(parse(rows[i].args, &c, err, sizeof(err)), WR_ECONFIG);
        assert_string_equal(err, rows[i].err);
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *args[4];
        const char *err;
    } table[] = {
        {{"-x", NULL},              "invalid option: \"x\""                },
        {{"foo", NULL},             "invalid option: \"foo\""              },
        {{"-tx", NULL},             "invalid option: \"x\""                },
        {{"-c", NULL},              "option \"-c\" requires file name"     },
        {{"-p", NULL},              "option \"-p\" requires directory name"},
        {{"-g", NULL},              "option \"-g\" requires parameter"     },
        {{"-e", "", NULL},          "option \"-e\" requires file name"     },
        {{"-s", "foo", NULL},       "invalid option: \"-s foo\""           },
        {{"--foo", NULL},           "invalid option: \"--foo\""            },
        {{"proxy", "--to", NULL},   "option \"--to\" requires a value"     },
        {{"proxy", "--from", NULL}, "invalid option: \"--from\""           },
        {{"demo", "x", NULL},       "invalid option: \"x\""                },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(table); i++) {
        struct wr_cmdline c;
        char err[256];

        assert_int_equal(parse(table[i].args, &c, err, sizeof(err)), WR_ECONFIG);
        assert_string_equal(err, table[i].err);
    }
}

static void test_proxy(void **state)
{
    const char *const args[] = {"proxy",    "--to", "http://a", "--to=http://b",
                                "--listen", ":80",  NULL};
    struct wr_cmdline c;
    char err[256];

    (void)state;
    assert_int_equal(parse(args, &c, err, sizeof(err)), WR_OK);
    assert_int_equal(c.cmd, WR_CMD_PROXY);
    assert_int_equal(c.target_cnt, 2);
    assert_string_equal(c.targets[0], "http://a");
    assert_string_equal(c.targets[1], "http://b");
    assert_string_equal(c.listen, ":80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_status_and_trace),
        cmocka_unit_test(test_bad_status_and_trace),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_proxy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
