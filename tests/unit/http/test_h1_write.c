/* SPDX-License-Identifier: Apache-2.0 */
/* test_h1_write.c: heads as bytes; what must not be written is refused and leaves nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"

struct fixture {
    struct wr_arena a;
    struct wr_msg m;
    struct wr_strbuf b;
};

static void start(struct fixture *f, size_t max)
{
    wr_arena_init(&f->a, 1 << 16);
    wr_msg_init(&f->m, &f->a, 10);
    wr_strbuf_init(&f->b, max);
    f->m.method_name = WR_STR("GET");
    f->m.target = WR_STR("/a b?c");
    f->m.status = 200;
    f->m.version = 11;
}

static void end(struct fixture *f)
{
    wr_strbuf_fini(&f->b);
    wr_arena_fini(&f->a);
}

static void add(struct fixture *f, const char *name, struct wr_str value)
{
    assert_int_equal(wr_hdrs_add(&f->m.hdrs, wr_str_z(name), value), WR_OK);
}

static void test_heads(void **state)
{
    (void)state;
    struct fixture f;

    start(&f, 4096);
    add(&f, "Host", WR_STR("x"));
    add(&f, "X-Empty", WR_STR_NULL);
    add(&f, "Via", WR_STR("gone"));
    add(&f, "X-Obs", WR_STR("a\tb\xff"));
    wr_hdrs_remove_id(&f.m.hdrs, WR_HDR_VIA);
    wr_strbuf_add_z(&f.b, "before|");
    assert_int_equal(wr_h1_write_request(&f.b, &f.m), WR_OK);
    assert_true(wr_str_eq_z(wr_strbuf_str(&f.b),
                            "before|GET /a b?c HTTP/1.1\r\nHost: x\r\nX-Empty: \r\n"
                            "X-Obs: a\tb\xff\r\n\r\n"));
    wr_strbuf_reset(&f.b);
    f.m.version = 10;
    f.m.method_name = WR_STR("FROB");
    assert_int_equal(wr_h1_write_request(&f.b, &f.m), WR_OK);
    assert_true(
        wr_str_has_prefix(wr_strbuf_str(&f.b), WR_STR("FROB /a b?c HTTP/1.0\r\nHost: x\r\n")));
    wr_strbuf_reset(&f.b);
    assert_int_equal(wr_h1_write_fields(&f.b, &f.m.hdrs), WR_OK);
    assert_true(
        wr_str_eq_z(wr_strbuf_str(&f.b), "Host: x\r\nX-Empty: \r\nX-Obs: a\tb\xff\r\n\r\n"));
    end(&f);
}

static void test_status_lines(void **state)
{
    (void)state;

    static const struct {
        uint16_t status, version;
        const char *reason, *want; /* NULL: refused */
    } rows[] = {
        {200,  11, "",      "HTTP/1.1 200 OK\r\n\r\n"               },
        {200,  10, "",      "HTTP/1.1 200 OK\r\n\r\n"               },
        {200,  20, "",      "HTTP/1.1 200 OK\r\n\r\n"               },
        {302,  11, "",      "HTTP/1.1 302 Moved Temporarily\r\n\r\n"},
        {302,  11, "Found", "HTTP/1.1 302 Found\r\n\r\n"            },
        {418,  11, "",      "HTTP/1.1 418 \r\n\r\n"                 },
        {999,  11, "x y",   "HTTP/1.1 999 x y\r\n\r\n"              },
        {99,   11, "x",     NULL                                    },
        {0,    11, "x",     NULL                                    },
        {1000, 11, "x",     NULL                                    },
        {200,  11, "a\rb",  NULL                                    },
        {200,  11, "a\nb",  NULL                                    },
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct fixture f;
        start(&f, 4096);
        f.m.status = rows[i].status;
        f.m.version = rows[i].version;
        f.m.reason = wr_str_z(rows[i].reason);
        enum wr_status st = wr_h1_write_response(&f.b, &f.m);
        assert_int_equal(st, rows[i].want == NULL ? WR_EPROTO : WR_OK);
        assert_true(wr_str_eq_z(wr_strbuf_str(&f.b), rows[i].want == NULL ? "" : rows[i].want));
        end(&f);
    }
}

/* U14.1 */
static void test_unsafe(void **state)
{
    (void)state;

    static const struct {
        struct wr_str name, value;
    } rows[] = {
        {WR_STR_INIT("X"),      WR_STR_INIT("a\rb")    },
        {WR_STR_INIT("X"),      WR_STR_INIT("a\nb")    },
        {WR_STR_INIT("X"),      WR_STR_INIT("a\0b")    },
        {WR_STR_INIT("X"),      WR_STR_INIT("\r\nY: z")},
        {WR_STR_INIT("Host"),   WR_STR_INIT("a\n")     },
        {WR_STR_INIT("X\r\nY"), WR_STR_INIT("a")       },
        {WR_STR_INIT("X\n"),    WR_STR_INIT("a")       },
        {WR_STR_INIT("X\0"),    WR_STR_INIT("a")       },
        {WR_STR_INIT("X:"),     WR_STR_INIT("a")       },
        {WR_STR_INIT("X Y"),    WR_STR_INIT("a")       },
        {WR_STR_INIT(""),       WR_STR_INIT("a")       },
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct fixture f;
        start(&f, 4096);
        wr_strbuf_add_z(&f.b, "kept");
        add(&f, "Accept", WR_STR("*/*"));
        assert_int_equal(wr_hdrs_add(&f.m.hdrs, rows[i].name, rows[i].value), WR_OK);
        assert_int_equal(wr_h1_write_request(&f.b, &f.m), WR_EPROTO);
        assert_int_equal(wr_h1_write_response(&f.b, &f.m), WR_EPROTO);
        assert_int_equal(wr_h1_write_fields(&f.b, &f.m.hdrs), WR_EPROTO);
        assert_true(wr_str_eq_z(wr_strbuf_str(&f.b), "kept"));
        end(&f);
    }
    static const struct wr_str targets[] = {WR_STR_INIT(""), WR_STR_INIT("/a\r\nb"),
                                            WR_STR_INIT("/\n"), WR_STR_INIT("/\0")};
    for (size_t i = 0; i < WR_ARRAY_LEN(targets); i++) {
        struct fixture f;
        start(&f, 4096);
        f.m.target = targets[i];
        assert_int_equal(wr_h1_write_request(&f.b, &f.m), WR_EPROTO);
        f.m.target = WR_STR("/");
        f.m.method_name = targets[i];
        assert_int_equal(wr_h1_write_request(&f.b, &f.m), WR_EPROTO);
        assert_int_equal(f.b.len, 0);
        end(&f);
    }
    assert_true(wr_h1_value_is_safe(WR_STR_NULL));
    assert_true(wr_h1_value_is_safe(WR_STR("a b\tc")));
    assert_false(wr_h1_value_is_safe(WR_STR("\0")));
}

/* Lines of a parsed head go on as they came, but not with a value that is not theirs. */
static void test_parsed_lines(void **state)
{
    static const struct wr_h1_limits limits = {4096, 4096, 10};
    static const char head[] = "HTTP/1.1 200 OK\r\nServer:  two\r\ncOnnection: a, b \r\nX-None:\r\n"
                               "X-Tab: a\tb\r\nAge:1\r\nVary: x\r\nX-Short: abc\r\n\r\n";
    struct wr_h1_parser p;
    struct wr_msg in;
    struct fixture f;

    (void)state;
    start(&f, 4096);
    wr_msg_init(&in, &f.a, 10);
    wr_h1_parser_init(&p, WR_H1_RESPONSE, &limits, 0, &in);
    assert_int_equal(wr_h1_parse(&p, head, sizeof(head) - 1), WR_H1_DONE);
    for (uint32_t i = 0; i < in.hdrs.cnt; i++) {
        /* None is not how we write it. */
        assert_int_equal(in.hdrs.at[i].is_line,
                         in.hdrs.at[i].value.len > 0 && in.hdrs.at[i].id != WR_HDR_AGE);
        assert_int_equal(wr_hdrs_push_like(&f.m.hdrs, &in.hdrs.at[i]), WR_OK);
    }
    f.m.hdrs.at[6].value.len = 2;
    assert_int_equal(wr_hdrs_set_id(&f.m.hdrs, WR_HDR_VARY, WR_STR("new")), WR_OK);
    assert_false(f.m.hdrs.at[5].is_line);
    assert_int_equal(wr_h1_write_fields(&f.b, &f.m.hdrs), WR_OK);
    assert_true(wr_str_eq_z(wr_strbuf_str(&f.b),
                            "Server: two\r\ncOnnection: a, b\r\nX-None: \r\nX-Tab: a\tb\r\n"
                            "Age: 1\r\nVary: new\r\nX-Short: ab\r\n\r\n"));
    /* Whoever forgets the mark is found out by where the value lies. */
    f.m.hdrs.at[1].value = WR_STR("a\r\nb: c");
    assert_true(f.m.hdrs.at[1].is_line);
    assert_int_equal(wr_h1_write_fields(&f.b, &f.m.hdrs), WR_EPROTO);
    end(&f);
}

static void test_no_room(void **state)
{
    (void)state;
    struct fixture f;

    /* "GET /a b?c HTTP/1.1\r\n\r\n" is 23 bytes. */
    start(&f, 23);
    assert_int_equal(wr_h1_write_request(&f.b, &f.m), WR_OK);
    end(&f);
    start(&f, 22);
    assert_int_equal(wr_h1_write_request(&f.b, &f.m), WR_ELIMIT);
    assert_int_equal(f.b.len, 0);
    end(&f);
    start(&f, 4096);
    wr_mem_fault_set(1);
    assert_int_equal(wr_h1_write_request(&f.b, &f.m), WR_ENOMEM);
    wr_mem_fault_set(0);
    assert_int_equal(f.b.len, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),   cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_unsafe),  cmocka_unit_test(test_parsed_lines),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests_name("h1_write", tests, NULL, NULL);
}
