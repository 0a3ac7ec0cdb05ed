/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration that `weir proxy` makes, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "main/proxy_cmd.h"

static enum wr_status make(const char *const *targets, unsigned cnt, const char *listen,
                           struct wr_strbuf *b, struct wr_strbuf *err)
{
    struct wr_cmdline c = {.cmd = WR_CMD_PROXY, .target_cnt = cnt, .listen = listen};

    for (unsigned i = 0; i < cnt; i++) {
        c.targets[i] = targets[i];
    }
    wr_strbuf_init(b, 65536);
    wr_strbuf_init(err, 65536);
    return wr_proxy_write_conf(&c, "/tmp", b, err);
}

static bool has(const struct wr_strbuf *b, const char *z)
{
    return wr_str_find_str(wr_strbuf_str(b), wr_str_z(z)) < b->len;
}

static void test_good(void **state)
{
    const char *const targets[] = {"http://127.0.0.1:3000/app", "HTTP://[::1]:3001/app"};
    struct wr_strbuf b, err;

    (void)state;
    assert_int_equal(make(targets, 2, ":9000", &b, &err), WR_OK);
    assert_true(has(&b, "server 127.0.0.1:3000;"));
    assert_true(has(&b, "server [::1]:3001;"));
    assert_true(has(&b, "proxy_pass http://weir_targets/app;"));
    assert_true(has(&b, "listen 9000;"));
    wr_strbuf_fini(&b);
    wr_strbuf_fini(&err);
    assert_int_equal(make(targets, 1, NULL, &b, &err), WR_OK);
    assert_true(has(&b, "listen 127.0.0.1:8080;"));
    wr_strbuf_fini(&b);
    wr_strbuf_fini(&err);
}

static void test_refused(void **state)
{
    static const struct {
        const char *to, *listen, *err;
    } table[] = {
        {"nonsense",         NULL,           "it must be http://"},
        {"ftp://x",          NULL,           "it must be http://"},
        {"https://x",        NULL,           "TLS"               },
        {"http://",          NULL,           "--to http://: "    },
        {"http://:80",       NULL,           "--to http://:80: " },
        {"http://a:x",       NULL,           "invalid port"      },
        {"http://a?b",       NULL,           "--to http://a?b: " },
 /* No flag smuggles in a directive. */
        {"http://a/;daemon", NULL,           "it must be http://"},
        {"http://a/ x",      NULL,           "it must be http://"},
        {"http://a/$host",   NULL,           "it must be http://"},
        {"http://a/\n",      NULL,           "it must be http://"},
        {"http://a/\"",      NULL,           "it must be http://"},
        {"http://a}",        NULL,           "it must be http://"},
        {"http://a",         "80;user root", "--listen"          },
        {"http://a",         "80 ssl",       "--listen"          },
        {"http://a",         "",             "--listen"          },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct wr_strbuf b, err;

        assert_int_equal(make(&table[i].to, 1, table[i].listen, &b, &err), WR_ECONFIG);
        assert_true(has(&err, table[i].err));
        wr_strbuf_fini(&b);
        wr_strbuf_fini(&err);
    }
}

static void test_paths_must_agree(void **state)
{
    const char *const targets[] = {"http://a/x", "http://b/y"};
    struct wr_strbuf b, err;

    (void)state;
    assert_int_equal(make(targets, 2, NULL, &b, &err), WR_ECONFIG);
    assert_true(has(&err, "the same path"));
    wr_strbuf_fini(&b);
    wr_strbuf_fini(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_paths_must_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
