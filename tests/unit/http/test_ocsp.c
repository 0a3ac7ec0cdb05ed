/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ocsp.c: URLs of responders, and when a staple is asked for again. The rest is
 * tests/func/test_ocsp.py, tests/sim/test_sweep_tls.c and tests/sim/test_fetch.c.
 */
#include "unit/base/t.h"

#include "http/stapling.c"

static void test_urls(void **state)
{
    static const struct {
        const char *url, *host, *path;
        unsigned port;
        const char *err, *what; /* host NULL */
    } rows[] = {
        {"http://a.b/c?d",       "a.b",       "/c?d", 80,   NULL,                 NULL        },
        {"HTTP://a",             "a",         "/",    80,   NULL,                 NULL        },
        {"http://a:8080",        "a",         "/",    8080, NULL,                 NULL        },
        {"http://127.0.0.1:1/x", "127.0.0.1", "/x",   1,    NULL,                 NULL        },
        {"http://[::1]:81/x",    "::1",       "/x",   81,   NULL,                 NULL        },
        {"https://a/",           NULL,        NULL,   0,    "invalid URL prefix", "https://a/"},
        {"a",                    NULL,        NULL,   0,    "invalid URL prefix", "a"         },
        {"",                     NULL,        NULL,   0,    "invalid URL prefix", ""          },
        {"http://",              NULL,        NULL,   0,    "no host",            ""          },
        {"http:///x",            NULL,        NULL,   0,    "no host",            "/x"        },
        {"http://a:99999/",      NULL,        NULL,   0,    "invalid port",       "a:99999/"  },
        {"http://a/\r\nX: y",    NULL,        NULL,   0,    "invalid host",       "a/\r\nX: y"},
        {"http://a/ b",          NULL,        NULL,   0,    "invalid host",       "a/ b"      },
        {"http://unix:/x",       NULL,        NULL,   0,    NULL,                 NULL        },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_ocsp_to to;
        const char *err = "";
        struct wr_str what = WR_STR_NULL;
        enum wr_status st = wr_ocsp_to_parse(wr_str_z(rows[i].url), &to, &err, &what);

        if (rows[i].host == NULL) {
            assert_int_equal(st, WR_ECONFIG);
            if (rows[i].err != NULL) {
                assert_string_equal(err, rows[i].err);
                assert_true(wr_str_eq_z(what, rows[i].what));
            }
            continue;
        }
        assert_int_equal(st, WR_OK);
        assert_true(wr_str_eq_z(to.host, rows[i].host));
        assert_true(wr_str_eq_z(to.path, rows[i].path));
        assert_int_equal(to.port, rows[i].port);
    }
}

static void test_refresh(void **state)
{
    static const struct {
        uint64_t life_sec, want;
    } rows[] = {
        {0,         1800 }, /* it does not say */
        {1,         1    },
        {100,       50   },
        {7 * 86400, 86400}, /* once a day at least */
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_ocsp_answer a = {.life_sec = rows[i].life_sec};

        assert_int_equal(refresh_sec(&a), rows[i].want);
    }
}

static void test_retry(void **state)
{
    uint64_t last = 0;

    (void)state;
    assert_int_equal(retry_ms(1), 1000);
    assert_int_equal(retry_ms(2), 2000);
    for (unsigned i = 1; i < 100; i++) {
        assert_true(retry_ms(i) >= last && retry_ms(i) <= 300000);
        last = retry_ms(i);
    }
    assert_int_equal(retry_ms(UINT32_MAX), 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_retry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
