/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_addr.c: addresses, blocks and host:port texts, good and bad, by tables.
 */
#include "unit/base/t.h"

#include "base/addr.h"

static struct wr_addr addr(const char *z, uint16_t port)
{
    struct wr_addr a = {0};

    if (wr_addr_parse_ip(wr_str_z(z), port, &a) != WR_OK) {
        assert_int_equal(wr_addr_parse_unix(wr_str_z(z), &a), WR_OK);
    }
    return a;
}

static void test_round_trip(void **state)
{
    static const struct {
        const char *in, *out, *host;
        uint16_t port;
    } rows[] = {
        {"1.2.3.4",          "1.2.3.4:80",         "1.2.3.4",        80   },
        {"::1",              "[::1]:65535",        "::1",            65535},
        {"[2001:DB8::0:1]",  "[2001:db8::1]:1",    "2001:db8::1",    1    },
        {"::ffff:1.2.3.4",   "[::ffff:1.2.3.4]:0", "::ffff:1.2.3.4", 0    },
        {"unix:/run/x.sock", "unix:/run/x.sock",   "unix:",          0    },
        {"unix:@name",       "unix:@name",         "unix:",          0    },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_addr a = addr(rows[i].in, rows[i].port);
        char out[WR_ADDR_TEXT_MAX];

        assert_int_equal(wr_addr_write(&a, out), strlen(rows[i].out));
        assert_string_equal(out, rows[i].out);
        assert_int_equal(wr_addr_write_host(&a, out), strlen(rows[i].host));
        assert_string_equal(out, rows[i].host);
        assert_int_equal(wr_addr_port(&a), rows[i].port);
    }
}

static void test_bad(void **state)
{
    static const char *const ips[] = {
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4 ",
        "::g",
        "[::1",
        "::1]",
        "[1.2.3.4]",
        "[]",
        ":::",
        "localhost",
        "1.2.3.4:80",
        "fe80::1%eth0",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };
    char path[200] = "unix:";
    struct wr_addr a = {.len = 77};

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(ips); i++) {
        assert_int_equal(wr_addr_parse_ip(wr_str_z(ips[i]), 1, &a), WR_EPROTO);
    }
    assert_int_equal(wr_addr_parse_ip(wr_str("1.2.3.4\0", 8), 1, &a), WR_EPROTO);
    assert_int_equal(wr_addr_parse_unix(WR_STR("unix:"), &a), WR_EPROTO);
    assert_int_equal(wr_addr_parse_unix(WR_STR("/x"), &a), WR_EPROTO);
    assert_int_equal(wr_addr_parse_unix(wr_str("unix:a\0b", 8), &a), WR_EPROTO);
    memset(path + 5, 'p', 195);
    assert_int_equal(wr_addr_parse_unix(wr_str(path, 5 + 108), &a), WR_EPROTO);
    assert_int_equal(a.len, 77);
    assert_int_equal(wr_addr_parse_unix(wr_str(path, 5 + 107), &a), WR_OK);
    assert_int_equal(wr_addr_write(&a, path), 5 + 107);
    a = (struct wr_addr){0};
    assert_int_equal(wr_addr_write(&a, path), 0);
    assert_int_equal(wr_addr_write_host(&a, path), 0);
    a.len = sizeof(sa_family_t); /* a client's unnamed unix socket */
    a.u.sa.sa_family = AF_UNIX;
    assert_int_equal(wr_addr_write(&a, path), 5);
    assert_string_equal(path, "unix:");
}

static void test_compare(void **state)
{
    struct wr_addr a = addr("1.2.3.4", 80), b = addr("1.2.3.4", 81), c = addr("::1", 80);
    struct wr_addr d = addr("unix:/x", 0), e = addr("unix:/xy", 0), f = addr("unix:@x", 0);
    struct wr_addr none = {0};
    const uint8_t *p;

    (void)state;
    assert_false(wr_addr_eq(&a, &b));
    wr_addr_set_port(&b, 80);
    memset(b.u.in.sin_zero, 1, sizeof(b.u.in.sin_zero)); /* padding does not count */
    assert_true(wr_addr_eq(&a, &b));
    assert_false(wr_addr_eq(&a, &c));
    assert_true(wr_addr_eq(&c, &c));
    wr_addr_set_port(&c, 7);
    assert_int_equal(wr_addr_port(&c), 7);
    assert_true(wr_addr_eq(&d, &d));
    assert_false(wr_addr_eq(&d, &e));
    assert_false(wr_addr_eq(&d, &f));
    assert_true(wr_addr_eq(&none, &none));
    wr_addr_set_port(&d, 7);
    assert_int_equal(wr_addr_port(&d), 0);
    a = addr("0.0.0.0", 1);
    b = addr("::", 1);
    assert_true(wr_addr_is_any(&a) && wr_addr_is_any(&b));
    assert_false(wr_addr_is_any(&c) || wr_addr_is_any(&d) || wr_addr_is_any(&none));
    assert_int_equal(wr_addr_bytes(&a, &p), 4);
    assert_int_equal(wr_addr_bytes(&c, &p), 16);
    assert_int_equal(p[15], 1);
    assert_int_equal(wr_addr_bytes(&d, &p), 0);
}

static void test_cidr(void **state)
{
    static const struct {
        const char *block, *in, *out;
        bool trimmed;
    } rows[] = {
        {"10.0.0.0/8",     "10.255.1.2",       "11.0.0.0",        false},
        {"10.1.2.3/8",     "10.0.0.0",         "9.255.255.255",   true },
        {"1.2.3.4",        "1.2.3.4",          "1.2.3.5",         false},
        {"0.0.0.0/0",      "255.1.2.3",        "::1",             false},
        {"1.2.3.128/25",   "::ffff:1.2.3.200", "::ffff:1.2.3.1",  false},
        {"::/0",           "::1",              "1.2.3.4",         false},
        {"2001:db8::/33",  "2001:db8:7fff::1", "2001:db8:8000::", false},
        {"2001:db8::1/32", "2001:db8:8000::",  "2001:db9::",      true },
        {"unix:",          "unix:/x",          "1.2.3.4",         false},
    };

    static const char *const bad[] = {
        "",      "/8",  "10.0.0.0/", "10.0.0.0/33", "::/129", "10/8", "10.0.0.0/8/8", "10.0.0.0/-1",
        "[::1]", "ALL", "x"};
    struct wr_cidr c;
    struct wr_addr a;
    bool trimmed;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        assert_int_equal(wr_cidr_parse(wr_str_z(rows[i].block), &c, &trimmed), WR_OK);
        assert_int_equal(trimmed, rows[i].trimmed);
        a = addr(rows[i].in, 5);
        assert_true(wr_cidr_has(&c, &a));
        a = addr(rows[i].out, 5);
        assert_false(wr_cidr_has(&c, &a));
    }
    assert_int_equal(wr_cidr_parse(WR_STR("all"), &c, &trimmed), WR_OK);
    assert_true(wr_cidr_has(&c, &a));
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        assert_int_equal(wr_cidr_parse(wr_str_z(bad[i]), &c, &trimmed), WR_EPROTO);
    }
}

static void test_hostport(void **state)
{
    static const struct {
        const char *in, *host, *rest;
        uint16_t port;
        bool is_unix, is_v6;
    } good[] = {
        {"host",           "host",    "",       0,    false, false},
        {"my_host:8080",   "my_host", "",       8080, false, false},
        {"host:80/a:b?c",  "host",    "/a:b?c", 80,   false, false},
        {"host?c",         "host",    "?c",     0,    false, false},
        {"[::1]:443/x",    "::1",     "/x",     443,  false, true },
        {"[::1]",          "::1",     "",       0,    false, true },
        {"*:80",           "*",       "",       80,   false, false},
        {"unix:/a/b",      "/a/b",    "",       0,    true,  false},
        {"unix:/a/b:/uri", "/a/b",    "/uri",   0,    true,  false},
    };

    static const char *const bad[][2] = {
        {"",             "no host"                          },
        {":80",          "no host"                          },
        {"/x",           "no host"                          },
        {"host:",        "invalid port"                     },
        {"host:0",       "invalid port"                     },
        {"host:65536",   "invalid port"                     },
        {"host:8o",      "invalid port"                     },
        {"a:1:2",        "invalid port"                     },
        {"[::1",         "invalid host"                     },
        {"[::1]x",       "invalid host"                     },
        {"[1.2.3.4]:80", "invalid host"                     },
        {"a b",          "invalid host"                     },
        {"[]",           "invalid host"                     },
        {"unix:",        "no path in the unix domain socket"},
        {"unix::/x",     "no path in the unix domain socket"},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(good); i++) {
        struct wr_hostport h;
        const char *err = NULL;

        assert_int_equal(wr_hostport_parse(wr_str_z(good[i].in), &h, &err), WR_OK);
        assert_str(h.host, good[i].host);
        assert_str(h.rest, good[i].rest);
        assert_int_equal(h.port, good[i].port);
        assert_int_equal(h.has_port, good[i].port != 0);
        assert_int_equal(h.is_unix, good[i].is_unix);
        assert_int_equal(h.is_v6, good[i].is_v6);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        struct wr_hostport h;
        const char *err = "";

        assert_int_equal(wr_hostport_parse(wr_str_z(bad[i][0]), &h, &err), WR_EPROTO);
        assert_string_equal(err, bad[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_compare),    cmocka_unit_test(test_cidr),
        cmocka_unit_test(test_hostport),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
