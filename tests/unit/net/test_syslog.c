/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_syslog.c: what "syslog:" takes and refuses, in nginx's words, and the datagrams to the byte
 * on sockets of each family: priority, time, host, tag, cutting, a server that is gone, a full one.
 */
#include "unit/base/t.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/local.h"
#include "base/stat.h"
#include "net/syslog.c"

static uint64_t wall_us = 784111777000000ull; /* 1994-11-06 08:49:37 */
static struct wr_arena arena;
static char dir[] = "/tmp/weir-syslog-XXXXXX";
static char buf[70000];

static uint64_t get_mono(void *data)
{
    (void)data;
    return 5000000;
}

static uint64_t get_wall(void *data)
{
    (void)data;
    return wall_us;
}

static int set_up(void **state)
{
    (void)state;
    setenv("TZ", "UTC0", 1);
    tzset();
    wr_clock_set_source(&(struct wr_clock_source){get_mono, get_wall, NULL});
    wr_arena_init(&arena, 1 << 20);
    return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    wr_arena_fini(&arena);
    wr_clock_set_source(NULL);
    return rmdir(dir);
}

static struct wr_syslog must_parse(const char *text)
{
    struct wr_str what = WR_STR("");
    struct wr_syslog d;

    if (wr_syslog_parse(wr_str_z(text), &arena, &d, &what) != WR_OK) {
        fail_msg("%s: %.*s", text, WR_STR_ARG(what));
    }
    return d;
}

/* A socket of the test that a server would have; *ret_text is how server= names it. */
static int must_bind(int family, char *ret_text, size_t size)
{
    struct wr_addr a;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd != -1);
    if (family == AF_UNIX) {
        static unsigned no;
        char path[64];

        (void)snprintf(path, sizeof(path), "unix:%s/%u", dir, no++);
        assert_int_equal(wr_addr_parse_unix(wr_str_z(path), &a), WR_OK);
    } else {
        struct wr_str ip = family == AF_INET ? WR_STR("127.0.0.1") : WR_STR("::1");

        assert_int_equal(wr_addr_parse_ip(ip, 0, &a), WR_OK);
    }
    if (bind(fd, &a.u.sa, a.len) == -1) {
        close(fd);
        return -1; /* a machine without IPv6 */
    }
    a.len = sizeof(a.u);
    assert_int_equal(getsockname(fd, &a.u.sa, &a.len), 0);
    ret_text[wr_addr_write(&a, ret_text)] = '\0';
    (void)size;
    return fd;
}

static struct wr_str receive(int fd)
{
    struct timeval limit = {.tv_sec = 10};
    ssize_t n;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    n = recv(fd, buf, sizeof(buf), 0);
    assert_true(n >= 0);
    return wr_str(buf, (size_t)n);
}

/* server=... and what follows. */
static struct wr_syslog server_at(const char *where, const char *rest)
{
    char text[400];

    (void)snprintf(text, sizeof(text), "server=%s%s", where, rest);
    return must_parse(text);
}

static void test_defaults(void **state)
{
    struct wr_syslog d = must_parse("server=10.1.2.3");
    char text[WR_ADDR_TEXT_MAX];

    (void)state;
    assert_true(d.has_addr);
    assert_str(wr_str(text, wr_addr_write(&d.addr, text)), "10.1.2.3:514");
    assert_int_equal(d.facility, 23);
    assert_int_equal(d.severity, 6);
    assert_str(d.tag, "weir");
    assert_false(d.no_hostname);
    assert_str(d.host, "10.1.2.3");
    assert_int_equal(d.port, 514);
}

static void test_servers(void **state)
{
    static const struct {
        const char *text, *host, *addr; /* addr NULL: a name */
        uint16_t port;
    } rows[] = {
        {"10.1.2.3:1514",      "10.1.2.3",         "10.1.2.3:1514", 1514},
        {"[::1]",              "::1",              "[::1]:514",     514 },
        {"[fe80::2]:99",       "fe80::2",          "[fe80::2]:99",  99  },
        {"unix:/dev/log",      "/dev/log",         "unix:/dev/log", 514 },
        {"UNIX:/dev/log",      "/dev/log",         "unix:/dev/log", 514 },
        {"unix:/run/a:b",      "/run/a:b",         "unix:/run/a:b", 514 },
        {"logs.example.org",   "logs.example.org", NULL,            514 },
        {"logs.example.org:5", "logs.example.org", NULL,            5   },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_syslog d = server_at(rows[i].text, ",tag=x");
        char text[WR_ADDR_TEXT_MAX];

        assert_str(d.host, rows[i].host);
        assert_str(d.server, rows[i].text);
        assert_int_equal(d.port, rows[i].port);
        assert_int_equal(d.has_addr, rows[i].addr != NULL);
        if (!d.has_addr) {
            struct wr_addr a;

            assert_int_equal(wr_addr_parse_ip(WR_STR("10.9.9.9"), 0, &a), WR_OK);
            wr_syslog_set_addr(&d, &a);
            assert_int_equal(wr_addr_port(&d.addr), rows[i].port);
            continue;
        }
        assert_str(wr_str(text, wr_addr_write(&d.addr, text)), rows[i].addr);
    }
}

/* What nginx says of each. */
static void test_refused(void **state)
{
    static const struct {
        const char *text, *what;
    } rows[] = {
        {"",                                                       "unknown syslog parameter \"\""                               },
        {"x",                                                      "unknown syslog parameter \"x\""                              },
        {"x=1",                                                    "unknown syslog parameter \"x=1\""                            },
        {"SERVER=127.0.0.1",                                       "unknown syslog parameter \"SERVER=127.0.0.1\""               },
        {"server=127.0.0.1,",                                      "unknown syslog parameter \"\""                               },
        {",server=127.0.0.1",                                      "unknown syslog parameter \"\""                               },
        {"server=127.0.0.1,,tag=x",                                "unknown syslog parameter \"\""                               },
        {"server=127.0.0.1,nohostname=1",                          "unknown syslog parameter \"nohostname=1\""                   },
        {"facility=local1",                                        "no syslog server specified"                                  },
        {"server=",                                                "no host in syslog server \"\""                               },
        {"server=:5",                                              "no host in syslog server \":5\""                             },
        {"server=127.0.0.1:0",                                     "invalid port in syslog server \"127.0.0.1:0\""               },
        {"server=127.0.0.1:70000",                                 "invalid port in syslog server \"127.0.0.1:70000\""           },
        {"server=127.0.0.1:x",                                     "invalid port in syslog server \"127.0.0.1:x\""               },
        {"server=[::1",                                            "invalid host in syslog server \"[::1\""                      },
        {"server=[::1]x",                                          "invalid host in syslog server \"[::1]x\""                    },
        {"server=127.0.0.1/x",                                     "invalid host in syslog server \"127.0.0.1/x\""               },
        {"server=a.b?c",                                           "invalid host in syslog server \"a.b?c\""                     },
        {"server=unix:",                                           "no path in the unix domain socket in syslog server \"unix:\""},
        {"server=127.0.0.1,server=127.0.0.2",                      "duplicate syslog \"server\""                                 },
        {"server=127.0.0.1,facility=",                             "unknown syslog facility \"\""                                },
        {"server=127.0.0.1,facility=LOCAL1",                       "unknown syslog facility \"LOCAL1\""                          },
        {"server=127.0.0.1,facility=syslog",                       "unknown syslog facility \"syslog\""                          },
        {"facility=local1,facility=local2",                        "duplicate syslog \"facility\""                               },
        {"server=127.0.0.1,severity=err",                          "unknown syslog severity \"err\""                             },
        {"server=127.0.0.1,severity=warning",                      "unknown syslog severity \"warning\""                         },
        {"severity=error,severity=info",                           "duplicate syslog \"severity\""                               },
        {"server=127.0.0.1,tag=a-b",
         "syslog \"tag\" only allows alphanumeric characters and underscore"                                                     },
        {"server=127.0.0.1,tag=123456789012345678901234567890123", "syslog tag length exceeds 32"                                },
        {"tag=a,tag=b",                                            "duplicate syslog \"tag\""                                    },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_syslog d = {.port = 7};
        struct wr_str what = WR_STR("?");

        assert_int_equal(wr_syslog_parse(wr_str_z(rows[i].text), &arena, &d, &what), WR_ECONFIG);
        assert_str(what, rows[i].what);
        assert_int_equal(d.port, 7); /* outputs are written only on success */
    }
}

static void test_long_path(void **state)
{
    char text[300] = "server=unix:/";
    struct wr_str what = WR_STR("");
    struct wr_syslog d;

    (void)state;
    memset(text + strlen(text), 'a', 150);
    assert_int_equal(wr_syslog_parse(wr_str_z(text), &arena, &d, &what), WR_ECONFIG);
    assert_true(wr_str_has_prefix(
        what, WR_STR("too long path in the unix domain socket in syslog server \"unix:/aaa")));
}

/* Every facility and severity, the numbers of RFC 3164 4.1.1 (cron is 15, clock 9, as in nginx). */
static void test_priorities(void **state)
{
    static const char *const names[] = {
        "kern",   "user",   "mail",     "daemon", "auth",   "intern", "lpr",    "news",
        "uucp",   "clock",  "authpriv", "ftp",    "ntp",    "audit",  "alert",  "cron",
        "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};
    static const char *const levels[] = {"emerg", "alert",  "crit", "error",
                                         "warn",  "notice", "info", "debug"};
    char where[WR_ADDR_TEXT_MAX], want[200], rest[100];
    int fd = must_bind(AF_INET, where, sizeof(where));

    (void)state;
    for (unsigned f = 0; f < 24; f++) {
        for (unsigned s = 0; s < 8; s++) {
            struct wr_syslog d;

            (void)snprintf(rest, sizeof(rest), ",nohostname,severity=%s,facility=%s,tag=t_%u",
                           levels[s], names[f], s);
            d = server_at(where, rest);
            assert_int_equal(d.severity, s);
            assert_true(wr_syslog_send(&d, d.severity, WR_STR("the line")));
            (void)snprintf(want, sizeof(want), "<%u>Nov  6 08:49:37 t_%u: the line", f * 8 + s, s);
            assert_str(receive(fd), want);
        }
    }
    close(fd);
}

static void test_families(void **state)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    char where[WR_ADDR_TEXT_MAX], want[400], host[256] = "";
    struct wr_syslog d;

    (void)state;
    assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
    for (size_t i = 0; i < WR_ARRAY_LEN(families); i++) {
        int fd = must_bind(families[i], where, sizeof(where));

        if (fd == -1 && families[i] == AF_INET6) {
            continue;
        }
        d = server_at(where, "");
        errno = 17;
        assert_true(wr_syslog_send(&d, 3, WR_STR("GET / \"q\"")));
        assert_int_equal(errno, 17);
        (void)snprintf(want, sizeof(want), "<187>Nov  6 08:49:37 %s weir: GET / \"q\"", host);
        assert_str(receive(fd), want);
        d = server_at(where, ",tag=,nohostname");
        assert_true(wr_syslog_send(&d, 6, WR_STR("")));
        assert_str(receive(fd), "<190>Nov  6 08:49:37 : ");
        close(fd);
        if (families[i] == AF_UNIX) {
            assert_int_equal(unlink(where + 5), 0);
        }
    }
}

static void test_time(void **state)
{
    char where[WR_ADDR_TEXT_MAX];
    int fd = must_bind(AF_INET, where, sizeof(where));
    struct wr_syslog d = server_at(where, ",nohostname");
    uint64_t was = wall_us;

    (void)state;
    wall_us = 1798761599000000ull; /* 2026-12-31 23:59:59 */
    (void)wr_clock_update();
    assert_true(wr_syslog_send(&d, 6, WR_STR("x")));
    assert_str(receive(fd), "<190>Dec 31 23:59:59 weir: x");
    setenv("TZ", "XXX-5:30", 1); /* local time, RFC 3164 4.1.2 */
    tzset();
    wall_us += 1000000;
    (void)wr_clock_update();
    assert_true(wr_syslog_send(&d, 6, WR_STR("x")));
    assert_str(receive(fd), "<190>Jan  1 05:30:00 weir: x");
    setenv("TZ", "UTC0", 1);
    tzset();
    wall_us = was;
    (void)wr_clock_update();
    close(fd);
}

static void test_long_line(void **state)
{
    static char line[80000];
    static const int families[] = {AF_INET, AF_UNIX};
    char where[WR_ADDR_TEXT_MAX];

    (void)state;
    memset(line, 'y', sizeof(line));
    for (size_t i = 0; i < WR_ARRAY_LEN(families); i++) {
        int fd = must_bind(families[i], where, sizeof(where));
        struct wr_syslog d = server_at(where, ",nohostname");
        struct wr_str got;

        assert_true(wr_syslog_send(&d, 6, wr_str(line, 20000)));
        got = receive(fd);
        assert_int_equal(got.len, 20000 + strlen("<190>Nov  6 08:49:37 weir: "));
        assert_true(wr_syslog_send(&d, 6, wr_str(line, sizeof(line))));
        got = receive(fd);
        assert_int_equal(got.len, WR_SYSLOG_LINE_MAX);
        assert_int_equal(got.ptr[got.len - 1], 'y');
        close(fd);
        if (families[i] == AF_UNIX) {
            assert_int_equal(unlink(where + 5), 0);
        }
    }
}

/* A server that is gone costs the lines of that time and is found again when it is back. */
static void test_gone(void **state)
{
    char where[WR_ADDR_TEXT_MAX];
    int fd = must_bind(AF_UNIX, where, sizeof(where));
    struct wr_syslog d = server_at(where, ",nohostname");
    uint64_t before = wr_stat_sum(WR_CNT_LOG_DROPPED);

    (void)state;
    assert_true(wr_syslog_send(&d, 6, WR_STR("1")));
    close(fd);
    assert_false(wr_syslog_send(&d, 6, WR_STR("2")));
    assert_int_equal(unlink(where + 5), 0);
    assert_false(wr_syslog_send(&d, 6, WR_STR("3")));
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED), before + 2);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, &d.addr.u.sa, d.addr.len), 0);
    assert_true(wr_syslog_send(&d, 6, WR_STR("4")));
    assert_str(receive(fd), "<190>Nov  6 08:49:37 weir: 4");
    close(fd);
    assert_int_equal(unlink(where + 5), 0);
    fd = must_bind(AF_INET, where, sizeof(where));
    close(fd);
    d = server_at(where, ""); /* nobody there: UDP does not tell, and no line blocks */
    assert_true(wr_syslog_send(&d, 6, WR_STR("5")));
    assert_true(wr_syslog_send(&d, 6, WR_STR("6")));
    d.has_addr = false;
    assert_false(wr_syslog_send(&d, 6, WR_STR("7")));
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED), before + 3);
}

/* A server that does not read: what does not fit is dropped and counted at once. */
static void test_full(void **state)
{
    char where[WR_ADDR_TEXT_MAX];
    int fd = must_bind(AF_UNIX, where, sizeof(where));
    struct wr_syslog d = server_at(where, ",nohostname");
    uint64_t before = wr_stat_sum(WR_CNT_LOG_DROPPED);
    unsigned sent = 0, dropped = 0;

    (void)state;
    while (dropped < 3) {
        assert_true(sent < 100000);
        if (wr_syslog_send(&d, 6, WR_STR("x"))) {
            sent++;
        } else {
            dropped++;
        }
    }
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED), before + 3);
    for (unsigned i = 0; i < sent; i++) {
        assert_str(receive(fd), "<190>Nov  6 08:49:37 weir: x");
    }
    assert_true(wr_syslog_send(&d, 6, WR_STR("room again")));
    assert_str(receive(fd), "<190>Nov  6 08:49:37 weir: room again");
    close(fd);
    assert_int_equal(unlink(where + 5), 0);
}

#define THREADS 4
#define EACH    200

static void *run_sender(void *data)
{
    wr_local_start();
    for (int i = 0; i < EACH; i++) {
        while (!wr_syslog_send(data, 6, WR_STR("together"))) {
            (void)sched_yield(); /* full for a moment */
        }
    }
    return NULL;
}

/* Threads that begin at once share one socket, and lines stay whole. */
static void test_threads(void **state)
{
    char where[WR_ADDR_TEXT_MAX];
    int fd = must_bind(AF_UNIX, where, sizeof(where));
    struct wr_syslog d = server_at(where, ",nohostname");
    pthread_t t[THREADS];

    (void)state;
    if (sockets[F_UNIX] != 0) {
        close((int)sockets[F_UNIX] - 1);
        sockets[F_UNIX] = 0;
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, run_sender, &d), 0);
    }
    for (int i = 0; i < THREADS * EACH; i++) {
        struct wr_str s = receive(fd);

        assert_true(wr_str_has_prefix(s, WR_STR("<190>")));
        assert_true(wr_str_has_suffix(s, WR_STR(" weir: together")));
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(t[i], NULL), 0);
    }
    close(fd);
    assert_int_equal(unlink(where + 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_servers),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_priorities), cmocka_unit_test(test_families),
        cmocka_unit_test(test_time),       cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_gone),       cmocka_unit_test(test_full),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
