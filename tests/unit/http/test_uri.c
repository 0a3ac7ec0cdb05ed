/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_uri.c: targets, hosts, arguments and cookies from tables. The rows of paths were compared
 * with what nginx 1.22 answers with `return 200 $uri`, merge_slashes on and off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/uri.h"

struct path_case {
    const char *raw;
    const char *merged; /* NULL: refused */
    const char *unmerged;
    const char *args; /* NULL: none */
};

static const struct path_case paths[] = {
    {"/",               "/",                 "/",                 NULL    },
    {"/a",              "/a",                "/a",                NULL    },
    {"/a/b.c",          "/a/b.c",            "/a/b.c",            NULL    },
    {"/a%20b?x#y",      "/a b",              "/a b",              "x"     },
    {"/a/../b",         "/b",                "/b",                NULL    },
    {"/%2e%2e/",        NULL,                NULL,                NULL    },
    {"/a%2f..%2fb",     "/b",                "/b",                NULL    },
    {"/a%2Fb",          "/a/b",              "/a/b",              NULL    },
    {"/a/%2e%2E/b",     "/b",                "/b",                NULL    },
    {"/..",             NULL,                NULL,                NULL    },
    {"/../",            NULL,                NULL,                NULL    },
    {"/a/../..",        NULL,                NULL,                NULL    },
    {"/a/../../b",      NULL,                NULL,                NULL    },
    {"/a/..",           "/",                 "/",                 NULL    },
    {"/a/../",          "/",                 "/",                 NULL    },
    {"/a/.",            "/a/",               "/a/",               NULL    },
    {"/a/./b",          "/a/b",              "/a/b",              NULL    },
    {"/.",              "/",                 "/",                 NULL    },
    {"/./",             "/",                 "/",                 NULL    },
    {"/./.",            "/",                 "/",                 NULL    },
    {"//",              "/",                 "//",                NULL    },
    {"///",             "/",                 "///",               NULL    },
    {"//a//b",          "/a/b",              "//a//b",            NULL    },
    {"/a//../b",        "/b",                "/a/b",              NULL    },
    {"/a//..",          "/",                 "/a/",               NULL    },
    {"/a/b/..",         "/a/",               "/a/",               NULL    },
    {"/a/b/../c",       "/a/c",              "/a/c",              NULL    },
    {"/a/b/../../c",    "/c",                "/c",                NULL    },
    {"/...",            "/...",              "/...",              NULL    },
    {"/.a",             "/.a",               "/.a",               NULL    },
    {"/..a",            "/..a",              "/..a",              NULL    },
    {"/a./b..",         "/a./b..",           "/a./b..",           NULL    },
    {"/.well-known/x",  "/.well-known/x",    "/.well-known/x",    NULL    },
    {"/%41",            "/A",                "/A",                NULL    },
    {"/%25",            "/%",                "/%",                NULL    },
    {"/%2541",          "/%41",              "/%41",              NULL    },
    {"/%zz",            NULL,                NULL,                NULL    },
    {"/%4",             NULL,                NULL,                NULL    },
    {"/%",              NULL,                NULL,                NULL    },
    {"/%4?1",           NULL,                NULL,                NULL    },
    {"/%00",            NULL,                NULL,                NULL    },
    {"/.%00",           NULL,                NULL,                NULL    },
    {"/a%00b?c",        NULL,                NULL,                NULL    },
    {"/a#b?c",          "/a",                "/a",                NULL    },
    {"/a?b#c",          "/a",                "/a",                "b"     },
    {"/a?b?c",          "/a",                "/a",                "b?c"   },
    {"/a?#",            "/a",                "/a",                ""      },
    {"/a%23b",          "/a#b",              "/a#b",              NULL    },
    {"/a%3fb",          "/a?b",              "/a?b",              NULL    },
    {"/a?%zz",          "/a",                "/a",                "%zz"   },
    {"/a?/../..",       "/a",                "/a",                "/../.."},
    {"/%2f%2fa",        "/a",                "///a",              NULL    },
    {"/%2F..",          NULL,                "/",                 NULL    },
    {"/a/.%2e/b",       "/b",                "/b",                NULL    },
    {"/a/%2e./b",       "/b",                "/b",                NULL    },
    {"/a/..;/b",        "/a/..;/b",          "/a/..;/b",          NULL    },
    {"/a+b",            "/a+b",              "/a+b",              NULL    },
    {"/a%2e",           "/a.",               "/a.",               NULL    },
    {"/a/..#x",         "/",                 "/",                 NULL    },
    {"/a/..?x",         "/",                 "/",                 "x"     },
    {"/a\\..\\b",       "/a\\..\\b",         "/a\\..\\b",         NULL    },
    {"/?",              "/",                 "/",                 ""      },
    {"/a??b",           "/a",                "/a",                "?b"    },
    {"/\xc3\xa9%c3%a9", "/\xc3\xa9\xc3\xa9", "/\xc3\xa9\xc3\xa9", NULL    },
    {"*",               "*",                 "*",                 NULL    },
    {"",                NULL,                NULL,                NULL    },
    {"a",               NULL,                NULL,                NULL    },
    {"?a",              NULL,                NULL,                NULL    },
    {"**",              NULL,                NULL,                NULL    },
    {"http://a/",       NULL,                NULL,                NULL    },
};

static void check_path(const struct path_case *c, unsigned flags, const char *want)
{
    struct wr_arena a;
    struct wr_uri u;
    struct wr_str raw = wr_str_z(c->raw);

    wr_arena_init(&a, 1 << 16);
    wr_mem_fault_set(1);
    enum wr_status st = wr_uri_parse(&a, raw, flags, &u);
    bool was_hit = wr_mem_fault_count() >= 1;
    wr_mem_fault_set(0);
    if (was_hit) {
        assert_int_equal(st, WR_ENOMEM);
        st = wr_uri_parse(&a, raw, flags, &u);
    }
    if (want == NULL) {
        assert_int_equal(st, WR_EPROTO);
    } else {
        assert_int_equal(st, WR_OK);
        assert_true(wr_str_eq_z(u.path, want));
        assert_true(wr_str_eq(u.raw, raw));
        assert_int_equal(u.has_args, c->args != NULL);
        assert_true(wr_str_eq_z(u.args, c->args == NULL ? "" : c->args));
        assert_int_equal(u.is_plain, strncmp(c->raw, want, strlen(want)) == 0 &&
                                         strchr("?#", c->raw[strlen(want)]) != NULL);
        assert_int_equal(u.is_plain, u.path.ptr == raw.ptr);
    }
    wr_arena_fini(&a);
}

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(paths); i++) {
        print_message("%zu: %s\n", i, paths[i].raw);
        check_path(&paths[i], WR_URI_MERGE_SLASHES, paths[i].merged);
        check_path(&paths[i], 0, paths[i].unmerged);
    }
    struct wr_arena a;
    struct wr_uri u;
    wr_arena_init(&a, 1 << 16);
    assert_int_equal(wr_uri_parse(&a, WR_STR("/a\0b"), 0, &u), WR_EPROTO);
    wr_arena_fini(&a);
}

#define HOST(in, host, port)                                                                       \
    {                                                                                              \
        in, sizeof(in) - 1, host, port                                                             \
    }

static const struct {
    const char *in;
    size_t len;
    const char *host; /* NULL: refused */
    uint16_t port;
} hosts[] = {
    HOST("a", "a", 0),
    HOST("Example.COM", "example.com", 0),
    HOST("example.com.", "example.com", 0),
    HOST("A.:80", "a", 80),
    HOST("a:", "a", 0),
    HOST("a:1", "a", 1),
    HOST("a:65535", "a", 65535),
    HOST("a:00080", "a", 80),
    HOST("127.0.0.1:8080", "127.0.0.1", 8080),
    HOST("[::1]", "[::1]", 0),
    HOST("[2001:DB8::1]:443", "[2001:db8::1]", 443),
    HOST("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]", 1),
    HOST("a_b-c~d", "a_b-c~d", 0),
    HOST("a,b;c!d*", "a,b;c!d*", 0),
    HOST("a:65536", NULL, 0),
    HOST("a:0", NULL, 0),
    HOST("a:000080", NULL, 0),
    HOST("a:x", NULL, 0),
    HOST("a:-1", NULL, 0),
    HOST("a:+1", NULL, 0),
    HOST("a:80:80", NULL, 0),
    HOST("a: 80", NULL, 0),
    HOST(":80", NULL, 0),
    HOST(":", NULL, 0),
    HOST("", NULL, 0),
    HOST(".", NULL, 0),
    HOST("..", NULL, 0),
    HOST("a..", NULL, 0),
    HOST("a..b", NULL, 0),
    HOST(".a", NULL, 0),
    HOST("u@a", NULL, 0),
    HOST("u:p@a", NULL, 0),
    HOST("a b", NULL, 0),
    HOST("a\tb", NULL, 0),
    HOST("a\0b", NULL, 0),
    HOST("\0", NULL, 0),
    HOST("a/b", NULL, 0),
    HOST("a?b", NULL, 0),
    HOST("a#b", NULL, 0),
    HOST("a\\b", NULL, 0),
    HOST("a\"b", NULL, 0),
    HOST("<a>", NULL, 0),
    HOST("a\xc3\xa9", NULL, 0),
    HOST("a\x7f", NULL, 0),
    HOST("a]", NULL, 0),
    HOST("a[", NULL, 0),
    HOST("[", NULL, 0),
    HOST("[]", NULL, 0),
    HOST("[::1", NULL, 0),
    HOST("[::1]x", NULL, 0),
    HOST("[::1].", NULL, 0),
    HOST("[::1]:", "[::1]", 0),
    HOST("[::1]:x", NULL, 0),
    HOST("[::zz]", NULL, 0),
    HOST("[[::1]]", NULL, 0),
    HOST("[1.2.3.4]", NULL, 0),
    HOST("[fe80::1%eth0]", NULL, 0),
    HOST("::1", NULL, 0),
};

static void test_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(hosts); i++) {
        struct wr_arena a;
        struct wr_str host;
        uint16_t port = 7;
        print_message("%zu: %s\n", i, hosts[i].in);
        wr_arena_init(&a, 1 << 16);
        char *piece = wr_mem_alloc(hosts[i].len + 1);
        memcpy(piece, hosts[i].in, hosts[i].len);
        struct wr_str in = wr_str(piece, hosts[i].len);
        wr_mem_fault_set(1);
        enum wr_status st = wr_uri_parse_host(&a, in, &host, &port);
        bool was_hit = wr_mem_fault_count() >= 1;
        wr_mem_fault_set(0);
        if (was_hit) {
            assert_int_equal(st, WR_ENOMEM);
            st = wr_uri_parse_host(&a, in, &host, &port);
        }
        assert_int_equal(st, hosts[i].host == NULL ? WR_EPROTO : WR_OK);
        if (st == WR_OK) {
            assert_true(wr_str_eq_z(host, hosts[i].host));
            assert_int_equal(port, hosts[i].port);
        } else {
            assert_int_equal(port, 7);
        }
        wr_mem_free(piece);
        wr_arena_fini(&a);
    }
}

struct pair_case {
    const char *in, *name, *want; /* NULL: absent */
};

static void test_args(void **state)
{
    (void)state;
    static const struct pair_case rows[] = {
        {"a=1",      "a",   "1"  },
        {"a=1&b=2",  "b",   "2"  },
        {"A=1",      "a",   "1"  },
        {"a=1&a=2",  "a",   "1"  },
        {"aa=1&a=2", "a",   "2"  },
        {"xa=1",     "a",   NULL },
        {"a",        "a",   NULL },
        {"a&a=3",    "a",   "3"  },
        {"a=",       "a",   ""   },
        {"a=b=c",    "a",   "b=c"},
        {"",         "a",   NULL },
        {"a=1",      "",    NULL },
        {"&&a=%20",  "a",   "%20"},
        {"b=a=1",    "a",   NULL },
        {"a=1&",     "b",   NULL },
        {"=1",       "a",   NULL },
        {"ab=1",     "abc", NULL },
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_str v;
        bool has = wr_uri_arg(wr_str_z(rows[i].in), wr_str_z(rows[i].name), &v);
        assert_int_equal(has, rows[i].want != NULL);
        assert_true(!has || wr_str_eq_z(v, rows[i].want));
    }
    struct wr_str v;
    assert_false(wr_uri_arg(WR_STR_NULL, WR_STR("a"), &v));
    assert_false(wr_uri_cookie(WR_STR_NULL, WR_STR("a"), &v));
}

static void test_cookies(void **state)
{
    (void)state;
    static const struct pair_case rows[] = {
        {"a=1",           "a", "1"    },
        {"a=1; b=2",      "b", "2"    },
        {"a=1;b=2",       "b", "2"    },
        {"A=1; a=2",      "a", "2"    },
        {"aa=1; a=2",     "a", "2"    },
        {"a",             "a", NULL   },
        {"a=",            "a", ""     },
        {"a=x=y; b",      "a", "x=y"  },
        {"a=\"q\" ; b=1", "a", "\"q\""},
        {"x=a=1",         "a", NULL   },
        {" \ta=1 ",       "a", "1"    },
        {"",              "a", NULL   },
        {"a=1",           "",  NULL   },
        {";;a=1",         "a", "1"    },
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_str v;
        bool has = wr_uri_cookie(wr_str_z(rows[i].in), wr_str_z(rows[i].name), &v);
        assert_int_equal(has, rows[i].want != NULL);
        assert_true(!has || wr_str_eq_z(v, rows[i].want));
    }
}

/* U5.9 */
static void test_safe(void **state)
{
    (void)state;
    static const char *const good[] = {"/",     "/a",        "/a/b?../..", "/..a", "/a..",
                                       "/.../", "/a/.b#/..", "/%41",       "/a./"};
    static const char *const bad[] = {
        "",          "a",       "?a",   "/..", "/../a", "/a/..", "/a/../b", "/%2e%2e",
        "/a/.%2E/b", "/a%2f..", "/%00", "/%",  "/%zz",  "@name", "/..?x",   "/..#x"};

    for (size_t i = 0; i < WR_ARRAY_LEN(good); i++) {
        assert_true(wr_uri_is_safe(wr_str_z(good[i])));
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        assert_false(wr_uri_is_safe(wr_str_z(bad[i])));
    }
    assert_false(wr_uri_is_safe(WR_STR("/a\0b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),   cmocka_unit_test(test_hosts), cmocka_unit_test(test_args),
        cmocka_unit_test(test_cookies), cmocka_unit_test(test_safe),
    };

    return cmocka_run_group_tests_name("uri", tests, NULL, NULL);
}
