/* SPDX-License-Identifier: Apache-2.0 */
/* test_known.c: the table is sorted, names are found, and effects are what users are told. */
#include "conf/known.h"

#include "conf/dirs.h"

#include "t.h"

static void test_sorted(void **state)
{
    (void)state;
    assert_true(wr_known_cnt() > 800);
    for (size_t i = 1; i < wr_known_cnt(); i++) {
        assert_true(strcmp(wr_known_at(i - 1)->name, wr_known_at(i)->name) <= 0);
    }
    assert_null(wr_known_at(wr_known_cnt()));
    for (size_t i = 0; i < wr_known_cnt(); i++) {
        const struct wr_known *k = wr_known_find(wr_str_z(wr_known_at(i)->name), 0);

        assert_non_null(k);
        assert_string_equal(k->name, wr_known_at(i)->name);
    }
}

static void test_find(void **state)
{
    static const struct {
        const char *name;
        uint32_t ctx;
        const char *module; /* NULL: not known */
        enum wr_known_effect effect;
    } cases[] = {
        {"proxy_pass",            WR_CTX_LOCATION,      "ngx_http_proxy_module",         WR_KNOWN_MEANING},
        {"proxy_pass",            WR_CTX_STREAM_SERVER, "ngx_stream_proxy_module",       WR_KNOWN_MEANING},
        {"http2",                 WR_CTX_HTTP,          "ngx_http_v2_module",            WR_KNOWN_SPEED  },
        {"http3",                 WR_CTX_HTTP,          "ngx_http_v3_module",            WR_KNOWN_SPEED  },
        {"ssl_protocols",         WR_CTX_SERVER,        "ngx_http_ssl_module",           WR_KNOWN_MEANING},
        {"ssl",                   WR_CTX_SERVER,        "ngx_http_ssl_module",           WR_KNOWN_MEANING},
        {"ssl_preread",           WR_CTX_STREAM,        "ngx_stream_ssl_preread_module", WR_KNOWN_MEANING},
        {"quic_retry",            WR_CTX_SERVER,        "ngx_http_v3_module",            WR_KNOWN_SPEED  },
        {"proxy_cache",           WR_CTX_SERVER,        "ngx_http_proxy_module",         WR_KNOWN_SPEED  },
        {"fastcgi_cache_key",     WR_CTX_SERVER,        "ngx_http_fastcgi_module",       WR_KNOWN_SPEED  },
        {"open_file_cache_valid", WR_CTX_SERVER,        "ngx_http_core_module",          WR_KNOWN_SPEED  },
        {"status_zone",           WR_CTX_SERVER,        "ngx_http_api_module",           WR_KNOWN_SPEED  },
        {"grpc_pass",             WR_CTX_LOCATION,      "ngx_http_grpc_module",          WR_KNOWN_MEANING},
        {"allow",                 WR_CTX_HTTP,          "ngx_http_access_module",        WR_KNOWN_MEANING},
        {"auth_jwt",              WR_CTX_HTTP,          "ngx_http_auth_jwt_module",      WR_KNOWN_MEANING},
        {"stream",                WR_CTX_MAIN,          "ngx_stream_core_module",        WR_KNOWN_MEANING},
        {"rewrite",               WR_CTX_IF_LOCATION,   "ngx_http_rewrite_module",       WR_KNOWN_MEANING},
        {"nothing",               WR_CTX_MAIN,          NULL,                            WR_KNOWN_SPEED  },
        {"",                      WR_CTX_MAIN,          NULL,                            WR_KNOWN_SPEED  },
        {"zzz",                   WR_CTX_MAIN,          NULL,                            WR_KNOWN_SPEED  },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const struct wr_known *k = wr_known_find(wr_str_z(cases[i].name), cases[i].ctx);

        if (cases[i].module == NULL) {
            assert_null(k);
            continue;
        }
        assert_non_null(k);
        assert_string_equal(k->module, cases[i].module);
        assert_int_equal(k->effect, cases[i].effect);
        assert_true((k->contexts & cases[i].ctx) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sorted), cmocka_unit_test(test_find)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
