/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_access_log.c: which lines go to which file and when: levels, if=, off, several files,
 * buffers, flush timers, files with variables in their names, a full disk; and what a configuration
 * is told.
 */
#include "../http/full_kit.h"

#include "base/mem.h"
#include "base/stat.h"
#include "event/mailbox.h"

static struct kit k;

static uint64_t dropped(void)
{
    return wr_stat_sum(WR_CNT_LOG_DROPPED);
}

static void clean(void)
{
    static const char *const names[] = {"a", "b", "logs/access.log"};

    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        (void)unlink(full_path(names[i]));
    }
}

static void levels(void **state)
{
    static const struct {
        const char *target, *a, *b;
    } cases[] = {
        {"/x",       "/x\n",    ""            },
        {"/off",     "",        ""            },
        {"/own",     "",        "own /own\n"  },
        {"/two",     "/two\n",  "/two\n"      },
        {"/if?l=1",  "",        "/if\n"       },
        {"/if?l=0",  "",        ""            },
        {"/if?l=",   "",        ""            },
        {"/if",      "",        ""            },
        {"/if?l=00", "",        "/if\n"       },
        {"/page",    "/page\n", ""            },
        {"/missing", "",        "own /page2\n"}, /* of the location that answered */
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        clean();
        full_start(
            &k,
            "log_format t $uri; log_format o 'own ' $uri; access_log @@/a t; server { listen 127.0.0.1:1; "
            "location / { return 200 x; } location /off { access_log off; return 200 x; } "
            "location /own { access_log @@/b o; return 200 x; } "
            "location /two { access_log @@/a t; access_log @@/b t; return 200 x; } "
            "location /if { access_log @@/b t if=$arg_l; return 200 x; } "
            "location /missing { error_page 404 /page2; return 404; } "
            "location = /page2 { access_log @@/b o; return 200 x; } }");
        (void)kit_get(&k, cases[i].target);
        if (strcmp(full_read("a"), cases[i].a) != 0) {
            fail_msg("%s: a is %s", cases[i].target, full_read("a"));
        }
        if (strcmp(full_read("b"), cases[i].b) != 0) {
            fail_msg("%s: b is %s", cases[i].target, full_read("b"));
        }
        full_stop(&k);
    }
}

static void the_default(void **state)
{
    (void)state;
    clean();
    full_mkdir("logs");
    full_start(&k, "server { listen 127.0.0.1:1; location / { return 200 abc; } }");
    assert_non_null(wr_access_log_files(k.gen));
    assert_null(wr_access_log_files(k.gen)->node);
    (void)full_ask(&k, "GET /x?y", "User-Agent: ag\"ent\r\nReferer: r\r\n");
    assert_non_null(strstr(full_read("logs/access.log"),
                           "] \"GET /x?y HTTP/1.1\" 200 3 \"r\" \"ag\\x22ent\"\n"));
    full_stop(&k);
}

/* io rule 1: all lines of a turn in one write; here: they are there after the turn, and not torn.
 */
static void lines_of_a_turn(void **state)
{
    char buf[8192] = "";
    int fd;

    (void)state;
    clean();
    full_start(
        &k,
        "log_format t '$uri $pipe'; access_log @@/a t; server { listen 127.0.0.1:1; return 200 x; }");
    fd = kit_connect(&k, 0);
    kit_send(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                 "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    (void)kit_read(&k, fd, buf, sizeof(buf), NULL, 1000);
    (void)close(fd);
    kit_turn(&k);
    {
        const char *text = full_read("a");
        const char *two = strstr(text, "/2 "), *three = strstr(text, "/3 ");

        assert_true(strncmp(text, "/1 ", 3) == 0 && two && three && two < three);
    }
    full_stop(&k);
}

static void buffers(void **state)
{
    char text[256];

    (void)state;
    clean();
    full_start(
        &k,
        "log_format t $uri; access_log @@/a t buffer=16; server { listen 127.0.0.1:1; return 200 x; }");
    (void)kit_get(&k, "/12345");
    (void)kit_get(&k, "/12345");
    assert_string_equal(full_read("a"), "");
    (void)kit_get(&k, "/3");
    assert_string_equal(full_read("a"), "/12345\n/12345\n"); /* the third did not fit */
    (void)kit_get(&k, "/a-line-longer-than-the-buffer");
    assert_string_equal(full_read("a"), "/12345\n/12345\n/3\n/a-line-longer-than-the-buffer\n");
    (void)kit_get(&k, "/end");
    full_stop(&k); /* flushes */
    (void)snprintf(text, sizeof(text), "%s", full_read("a"));
    assert_non_null(strstr(text, "buffer\n/end\n"));
}

static void flush_timer(void **state)
{
    uint64_t until;

    (void)state;
    clean();
    full_start(
        &k,
        "log_format t $uri; access_log @@/a t buffer=4k flush=1s; server { listen 127.0.0.1:1; return 200 x; }");
    (void)kit_get(&k, "/1");
    assert_string_equal(full_read("a"), "");
    for (until = wr_clock_mono_us() + 20000000;
         full_read("a")[0] == '\0' && wr_clock_mono_us() < until;) {
        kit_turn(&k);
    }
    assert_string_equal(full_read("a"), "/1\n");
    full_stop(&k);
}

static unsigned synced;

static void count_sync(struct wr_mail *m)
{
    (void)m;
    synced++;
}

/* Before logs are reopened all lines are written, of plain and of compressed buffers. */
static void sync_flushes(void **state)
{
    struct wr_mail done = {.run = count_sync};

    (void)state;
    clean();
    full_start(
        &k,
        "log_format t $uri; access_log @@/a t buffer=64k; access_log @@/b t gzip; server { listen 127.0.0.1:1; return 200 x; }");
    assert_false(wr_access_log_sync(&done));
    (void)kit_get(&k, "/1");
    assert_string_equal(full_read("a"), "");
    assert_true(wr_access_log_sync(&done));
    for (int i = 0; i < 4; i++) {
        kit_turn(&k);
    }
    assert_int_equal(synced, 1);
    assert_string_equal(full_read("a"), "/1\n");
    assert_memory_equal(full_read("b"), "\x1f\x8b", 2);
    full_stop(&k);
}

/* A reader that takes nothing: lines are kept, and go when it reads; the bound is kept. */
static void slow_reader(void **state)
{
    static char target[800], buf[65536];
    uint64_t before = dropped();
    struct wr_access_file *file;
    int pipes[2], normal;
    ssize_t n;
    size_t got = 0, len = 5 * (sizeof(target) - 1) + 1;

    (void)state;
    clean();
    memset(target, 'x', sizeof(target) - 1);
    target[0] = '/';
    assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
    full_start(
        &k,
        "log_format t $uri$uri$uri$uri$uri; access_log @@/a t; server { listen 127.0.0.1:1; return 200 x; }");
    file = wr_access_log_files(k.gen);
    normal = file->fd;
    file->fd = pipes[1];
    file->is_stream = true;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(kit_status(kit_get(&k, target)), 200);
    }
    assert_int_equal(dropped(), before);
    for (uint64_t until = wr_clock_mono_us() + 20000000;
         got < 40 * len && wr_clock_mono_us() < until;) {
        kit_turn(&k); /* tries again by its timer */
        n = read(pipes[0], buf, sizeof(buf));
        got += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(got, 40 * len);
    for (int i = 0; i < 400; i++) {
        (void)kit_get(&k, target);
    }
    assert_true(dropped() - before > 50 && dropped() - before < 200); /* 1 MB and 64 KB kept */
    (void)close(pipes[0]);
    file->fd = normal;
    file->is_stream = false;
    full_stop(&k);
    (void)close(pipes[1]);
}

/* A generation that goes takes its lines to the file. */
static void reload(void **state)
{
    static const char conf[] =
        "http { log_format t $uri; access_log %s t buffer=4k; server { listen 127.0.0.1:1; return 200 x; } }";
    char text[512];

    (void)state;
    clean();
    full_start(
        &k,
        "log_format t $uri; access_log @@/a t buffer=4k; server { listen 127.0.0.1:1; return 200 x; }");
    (void)kit_get(&k, "/old");
    (void)snprintf(text, sizeof(text), conf, full_path("b"));
    {
        struct wr_gen *g = wr_gen_ref(k.gen);

        kit_adopt(&k, text);
        kit_turn(&k);
        assert_string_equal(full_read("a"), "/old\n");
        (void)close(wr_access_log_files(g)->fd);
        wr_gen_unref(g);
    }
    wr_access_log_files(k.gen)->fd =
        open(full_path("b"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    (void)kit_get(&k, "/new");
    full_stop(&k);
    assert_string_equal(full_read("b"), "/new\n");
}

static void long_lines_are_cut(void **state)
{
    static char field[30000], request[32000];
    size_t n;
    const char *text;

    (void)state;
    clean();
    memset(field, 'f', sizeof(field) - 1);
    full_start(
        &k,
        "large_client_header_buffers 4 32k; log_format t '$http_x$http_x$http_x'; access_log @@/a t; server { listen 127.0.0.1:1; return 200 x; }");
    (void)snprintf(request, sizeof(request),
                   "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\nConnection: close\r\n\r\n", field);
    (void)kit_talk(&k, request);
    (void)kit_get(&k, "/");
    text = full_read("a");
    n = strcspn(text, "\n");
    assert_true(n > 2 * 29000 && n < 65536);
    assert_string_equal(text + n, "\n---\n");
    full_stop(&k);
}

/* Files with variable names are written by another thread. */
static void wait_for(const char *name, const char *text)
{
    uint64_t until = wr_clock_mono_us() + 20000000;

    while (strcmp(full_read(name), text) != 0 && wr_clock_mono_us() < until) {
        kit_turn(&k);
    }
    assert_string_equal(full_read(name), text);
}

static void names_with_variables(void **state)
{
    (void)state;
    clean();
    full_mkdir("sub");
    full_start(
        &k,
        "log_format t $uri; server { listen 127.0.0.1:1; root @@; access_log @@/$arg_f t; return 200 x; }");
    (void)kit_get(&k, "/1?f=a");
    (void)kit_get(&k, "/2?f=b");
    (void)kit_get(&k, "/3?f=a");
    wait_for("a", "/1\n/3\n");
    wait_for("b", "/2\n");
    (void)kit_get(&k, "/4?f=sub/../a");
    (void)kit_get(&k, "/4?f=../a");
    full_stop(&k);
    assert_string_equal(full_read("a"), "/1\n/3\n"); /* U14.8 */
    clean();
    full_start(
        &k,
        "log_format t $uri; server { listen 127.0.0.1:1; root @@/gone; access_log @@/$arg_f t; return 200 x; }");
    (void)kit_get(&k, "/1?f=a");
    full_stop(&k);
    assert_string_equal(full_read("a"), ""); /* the root is not there */
}

/* U14.5: said once, counted, served on; and again when the disk has room. */
static void disk_full(void **state)
{
    uint64_t before = dropped();
    struct wr_access_file *file;
    int full, normal;

    (void)state;
    clean();
    full_start(
        &k, "log_format t $uri; access_log @@/a t; server { listen 127.0.0.1:1; return 200 x; }");
    file = wr_access_log_files(k.gen);
    normal = file->fd;
    full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    file->fd = full;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kit_status(kit_get(&k, "/lost")), 200);
    }
    assert_int_equal(dropped() - before, 3);
    file->fd = normal;
    (void)kit_get(&k, "/kept");
    assert_string_equal(full_read("a"), "/kept\n");
    file->fd = -1; /* it could not be opened */
    (void)kit_get(&k, "/lost");
    assert_int_equal(dropped() - before, 4);
    file->fd = normal;
    (void)close(full);
    full_stop(&k);
}

static void errors(void **state)
{
    static const struct {
        const char *conf, *message;
    } cases[] = {
        {"access_log l nope;",                                                "unknown log format \"nope\""                            },
        {"access_log l if=$arg_x;",                                           "unknown log format \"if=$arg_x\""                       },
        {"log_format a x; log_format a y;",                                   "duplicate \"log_format\" name \"a\""                    },
        {"log_format combined y;",                                            "duplicate \"log_format\" name \"combined\""             },
        {"log_format a escape=foo y;",                                        "unknown log format escaping \"foo\""                    },
        {"log_format a;",                                                     "invalid number of arguments in \"log_format\" directive"},
        {"log_format a $nope;",                                               "unknown \"nope\" variable"                              },
        {"access_log;",                                                       "invalid number of arguments in \"access_log\" directive"},
        {"access_log off x;",                                                 "invalid parameter \"x\""                                },
        {"access_log l combined foo=1;",                                      "invalid parameter \"foo=1\""                            },
        {"access_log l combined buffer=0;",                                   "invalid buffer size \"0\""                              },
        {"access_log l combined buffer=x;",                                   "invalid buffer size \"x\""                              },
        {"access_log l combined flush=1s;",                                   "no buffer is defined for access_log \"l\""              },
        {"access_log l combined buffer=1k flush=x;",                          "invalid flush time \"x\""                               },
        {"access_log l combined buffer=1k; access_log l combined buffer=2k;",
         "access_log \"l\" already defined with conflicting parameters"                                                                },
        {"access_log $host.l combined buffer=1k;",                            "buffered logs cannot have variables in name"            },
        {"access_log l combined gzip=0;",                                     "invalid compression level \"0\""                        },
        {"access_log l combined gzip=10;",                                    "invalid compression level \"10\""                       },
        {"access_log l combined gzipx;",                                      "invalid parameter \"gzipx\""                            },
        {"access_log $host.l combined gzip;",                                 "buffered logs cannot have variables in name"            },
        {"access_log l combined gzip; access_log l combined buffer=64k;",
         "access_log \"l\" already defined with conflicting parameters"                                                                },
        {"access_log syslog:server=127.0.0.1 combined gzip;",                 "logs to syslog cannot be buffered"                      },
        {"access_log syslog:server=127.0.0.1 combined buffer=1k;",
         "logs to syslog cannot be buffered"                                                                                           },
        {"access_log syslog:server=127.0.0.1,x;",                             "unknown syslog parameter \"x\""                         },
        {"open_log_file_cache inactive=1s;",                                  "\"open_log_file_cache\" must have \"max\" parameter"    },
        {"open_log_file_cache max=x;",                                        "invalid \"open_log_file_cache\" parameter \"max=x\""    },
        {"open_log_file_cache max=1 foo;",                                    "invalid \"open_log_file_cache\" parameter \"foo\""      },
        {"server { log_format a x; }",                                        "\"log_format\" directive is not allowed here"           },
        {"access_log l combined if=;",                                        NULL                                                     },
        {"log_format a escape=json; access_log l a;",                         NULL                                                     },
        {"access_log l combined buffer=1k; access_log l;",                    NULL                                                     },
        {"access_log off; access_log l;",                                     NULL                                                     },
        {"access_log l combined gzip; access_log l combined gzip=1;",         NULL                                                     },
        {"access_log syslog:server=127.0.0.1 combined if=$host;",             NULL                                                     },
        {"open_log_file_cache off;",                                          NULL                                                     },
        {"open_log_file_cache max=10 inactive=0 min_uses=0 valid=0;",         NULL                                                     },
    };

    char text[512], out[1024];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_gen *g;

        (void)snprintf(text, sizeof(text), "http { %s }", cases[i].conf);
        g = kit_load(text, out, sizeof(out));
        if ((g == NULL) != (cases[i].message != NULL) || (!g && !strstr(out, cases[i].message))) {
            fail_msg("%s: %s", cases[i].conf, out);
        }
        wr_gen_unref(g);
    }
}

/* Every allocation of a line fails once: the request is served, the line is there or counted. */
static void memory_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        clean();
        full_start(
            &k,
            "log_format t '$uri $request_id $hostname'; access_log @@/a t; server { listen 127.0.0.1:1; location / { say_hold; } }");
        {
            int fd = kit_connect(&k, 0);

            kit_send(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
            for (int i = 0; i < 5; i++) {
                kit_turn(&k);
            }
            (void)close(fd); /* 499: what is allocated from now on is for the log */
            wr_mem_fault_set(n);
            for (int i = 0; i < 5; i++) {
                kit_turn(&k);
            }
            wr_mem_fault_set(0);
        }
        assert_true(full_read("a")[0] == '\0' || strncmp(full_read("a"), "/x ", 3) == 0);
        full_stop(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(the_default),
        cmocka_unit_test(lines_of_a_turn),
        cmocka_unit_test(buffers),
        cmocka_unit_test(flush_timer),
        cmocka_unit_test(sync_flushes),
        cmocka_unit_test(slow_reader),
        cmocka_unit_test(reload),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(names_with_variables),
        cmocka_unit_test(disk_full),
        cmocka_unit_test(errors),
        cmocka_unit_test(memory_may_fail),
    };
    int rc;

    full_boot();
    rc = cmocka_run_group_tests_name("observe/access_log", tests, NULL, NULL);
    full_end();
    return rc;
}
