/* SPDX-License-Identifier: Apache-2.0 */
/* test_msg.c: methods, reasons, which responses have no body, and moving a message's slices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/msg.c"

static void test_methods(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",     "G",         "get",     "GETS",    "GEX",    "PUTT",  "HEAR", "PATCX",
        "Post", "PROPPATCX", "OPTIONX", "CONNECX", "UNLOCX", "MKCOX", "LOC",  "FROB"};

    for (unsigned m = 1; m < WR_METHOD_COUNT; m++) {
        assert_int_equal(wr_method_of(wr_method_name((enum wr_method)m)), m);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(others); i++) {
        assert_int_equal(wr_method_of(wr_str_z(others[i])), WR_METHOD_OTHER);
    }
    assert_int_equal(wr_method_name(WR_METHOD_OTHER).len, 0);
    assert_true(wr_str_eq_z(wr_method_name(WR_METHOD_PROPFIND), "PROPFIND"));
}

/* U7.2 */
static void test_idempotent(void **state)
{
    (void)state;
    static const bool want[WR_METHOD_COUNT] = {
        [WR_METHOD_GET] = true,     [WR_METHOD_HEAD] = true,     [WR_METHOD_PUT] = true,
        [WR_METHOD_DELETE] = true,  [WR_METHOD_OPTIONS] = true,  [WR_METHOD_TRACE] = true,
        [WR_METHOD_CONNECT] = true, [WR_METHOD_MKCOL] = true,    [WR_METHOD_COPY] = true,
        [WR_METHOD_MOVE] = true,    [WR_METHOD_PROPFIND] = true, [WR_METHOD_PROPPATCH] = true,
        [WR_METHOD_UNLOCK] = true,
    };

    for (unsigned m = 0; m < WR_METHOD_COUNT; m++) {
        assert_int_equal(wr_method_is_idempotent((enum wr_method)m), want[m]);
    }
}

static void test_reasons(void **state)
{
    (void)state;

    static const struct {
        unsigned status;
        const char *want;
    } rows[] = {
        {100, "Continue"                       },
        {200, "OK"                             },
        {302, "Moved Temporarily"              },
        {404, "Not Found"                      },
        {405, "Not Allowed"                    },
        {408, "Request Time-out"               },
        {413, "Request Entity Too Large"       },
        {502, "Bad Gateway"                    },
        {503, "Service Temporarily Unavailable"},
        {504, "Gateway Time-out"               },
        {507, "Insufficient Storage"           },
        {0,   ""                               },
        {99,  ""                               },
        {203, ""                               },
        {418, ""                               },
        {600, ""                               },
        {999, ""                               },
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_true(wr_str_eq_z(wr_status_reason(rows[i].status), rows[i].want));
    }
    for (size_t i = 1; i < WR_ARRAY_LEN(reasons); i++) {
        assert_true(reasons[i - 1].status < reasons[i].status);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(reasons); i++) {
        assert_true(wr_str_eq(wr_status_reason(reasons[i].status), reasons[i].text));
    }
}

/* U6.7 */
static void test_bodyless(void **state)
{
    (void)state;

    static const struct {
        unsigned status;
        enum wr_method asked;
        bool want;
    } rows[] = {
        {100, WR_METHOD_GET,     true },
        {103, WR_METHOD_GET,     true },
        {204, WR_METHOD_GET,     true },
        {304, WR_METHOD_GET,     true },
        {200, WR_METHOD_HEAD,    true },
        {404, WR_METHOD_HEAD,    true },
        {200, WR_METHOD_CONNECT, true },
        {200, WR_METHOD_GET,     false},
        {205, WR_METHOD_GET,     false},
        {403, WR_METHOD_CONNECT, false},
        {303, WR_METHOD_POST,    false},
        {500, WR_METHOD_OTHER,   false},
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_int_equal(wr_status_is_bodyless(rows[i].status, rows[i].asked), rows[i].want);
    }
}

static void test_rebase(void **state)
{
    (void)state;
    static const char old[] = "GET http://h/p", new[] = "POST abc://i/q";
    struct wr_arena a;
    struct wr_msg m;

    wr_arena_init(&a, 1 << 16);
    wr_msg_init(&m, &a, 10);
    assert_int_equal(m.version, 0);
    m.method_name = wr_str(old, 3);
    m.scheme = wr_str(old + 4, 4);
    m.authority = wr_str(old + 11, 1);
    m.target = WR_STR("/");
    m.request_line = wr_str(old, sizeof(old) - 1);
    assert_int_equal(wr_hdrs_add(&m.hdrs, wr_str(old, 3), wr_str(old + 4, 4)), WR_OK);
    wr_msg_rebase(&m, old, sizeof(old) - 1, new);
    assert_true(m.method_name.ptr == new &&m.scheme.ptr == new + 4 && m.authority.ptr == new + 11);
    assert_true(wr_str_eq_z(m.target, "/") && m.request_line.ptr == new &&m.reason.ptr == NULL);
    assert_true(m.hdrs.at[0].name.ptr == new);
    wr_msg_move(&m, new, sizeof(new) - 1, old);
    assert_true(m.method_name.ptr == old && m.target.len == 1 && m.target.ptr != old);
    assert_true(m.hdrs.at[0].name.ptr == old && m.hdrs.at[0].value.ptr == old + 4);
    wr_arena_fini(&a);
}

static void test_connection(void **state)
{
    static const struct {
        const char *a, *b; /* values of Connection; NULL: no such field */
        bool names, has;   /* the second: x-one */
    } rows[] = {
        {NULL,           NULL,           false, false},
        {"keep-alive",   NULL,           false, false},
        {"Keep-Alive",   "KEEP-ALIVE",   false, false},
        {"close",        NULL,           true,  false},
        {"close, X-One", NULL,           true,  true },
        {"keep-alive",   "y,\tx-ONE ,z", true,  true },
        {"",             NULL,           true,  false},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_arena a;
        struct wr_msg m;

        wr_arena_init(&a, 65536);
        wr_msg_init(&m, &a, 8);
        if (rows[i].a != NULL) {
            assert_int_equal(wr_hdrs_add_id(&m.hdrs, WR_HDR_CONNECTION, wr_str_z(rows[i].a)),
                             WR_OK);
        }
        if (rows[i].b != NULL) {
            assert_int_equal(wr_hdrs_add_id(&m.hdrs, WR_HDR_CONNECTION, wr_str_z(rows[i].b)),
                             WR_OK);
        }
        assert_int_equal(wr_msg_connection_names(&m), rows[i].names);
        assert_int_equal(wr_msg_connection_has(&m, WR_STR("x-one")), rows[i].has);
        wr_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods), cmocka_unit_test(test_idempotent),
        cmocka_unit_test(test_reasons), cmocka_unit_test(test_bodyless),
        cmocka_unit_test(test_rebase),  cmocka_unit_test(test_connection),
    };

    return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
