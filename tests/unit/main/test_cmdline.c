/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "main/cmdline.h"

#define ARGS_MAX 8

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
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_proxy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
