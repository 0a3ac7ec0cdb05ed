/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log.c: the record to the byte, levels and sinks, escaping, cutting, the rate limit with a
 * clock of the test's own, and that nothing is allocated.
 */
#include "unit/base/t.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"

static uint64_t mono_us, wall_us = 784111777000000ull;
static int fds[2];
static struct wr_log_sink sink = {.level = WR_LOG_INFO};
static char out[400000];

static uint64_t get_us(void *data)
{
    return *(uint64_t *)data;
}

static uint64_t get_mono(void *data)
{
    (void)data;
    return get_us(&mono_us);
}

static uint64_t get_wall(void *data)
{
    (void)data;
    return get_us(&wall_us);
}

static int set_up(void **state)
{
    (void)state;
    setenv("TZ", "UTC0", 1);
    tzset();
    wr_clock_set_source(&(struct wr_clock_source){get_mono, get_wall, NULL});
    mono_us += 10000000;
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    (void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    sink.fd = fds[1];
    wr_log_set_default(&sink);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wr_log_set_default(NULL);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static void expect(const char *rest)
{
    char want[4096];

    (void)snprintf(want, sizeof(want), "1994/11/06 08:49:37 %s", rest);
    t_drain(fds[0], out, sizeof(out));
    assert_string_equal(out, want);
}

static void add_context(const struct wr_log *log, struct wr_log_fields *f)
{
    wr_log_field(f, "client", wr_str_z(log->data), WR_LOG_BARE);
}

static void test_format(void **state)
{
    char want[200], client[] = "1.2\n3";
    struct wr_log log = {.conn_no = 17, .context = add_context, .data = client};
    uint32_t no = wr_local_get()->thread_no;

    (void)state;
    wr_local_get()->thread_no = 3;
    wr_mem_fault_set(1); /* any run-time allocation would fail */
    wr_log(&log, WR_LOG_ERROR, "text %d", 5);
    (void)snprintf(want, sizeof(want), "[error] %d#3: *17 text 5, client: 1.2\\x0A3\n", getpid());
    expect(want);
    errno = EPERM;
    wr_log_errno(NULL, WR_LOG_WARN, ECONNREFUSED, "connect() failed");
    assert_int_equal(errno, EPERM);
    (void)snprintf(want, sizeof(want), "[warn] %d#3: connect() failed (111: Connection refused)\n",
                   getpid());
    expect(want);
    wr_log_errno(NULL, WR_LOG_WARN, 0, "\x1b\x7f\t\xe4 ok");
    (void)snprintf(want, sizeof(want), "[warn] %d#3: \\x1B\\x7F\\x09\xe4 ok\n", getpid());
    expect(want);
    wr_local_get()->thread_no = UINT32_MAX;
    wr_log(NULL, WR_LOG_NOTICE, "main");
    (void)snprintf(want, sizeof(want), "[notice] %d#%d: main\n", getpid(), (int)gettid());
    expect(want);
    assert_int_equal(wr_mem_fault_count(), 0);
    wr_mem_fault_set(0);
    wr_local_get()->thread_no = no;
}

static void test_levels(void **state)
{
    struct wr_log_sink second = {.fd = fds[1], .level = WR_LOG_ERROR};
    struct wr_log_sink first = {.fd = fds[1], .level = WR_LOG_WARN, .next = &second};
    struct wr_log log = {.sinks = &first};
    const char *at;

    (void)state;
    assert_true(wr_log_is_on(NULL, WR_LOG_INFO));
    assert_false(wr_log_is_on(NULL, WR_LOG_DEBUG));
    assert_true(wr_log_is_on(&log, WR_LOG_WARN));
    assert_false(wr_log_is_on(&log, WR_LOG_NOTICE));
    assert_true(wr_log_is_on(&log, WR_LOG_STDERR));
    wr_log(&log, WR_LOG_NOTICE, "quiet");
    wr_log(NULL, WR_LOG_DEBUG, "quiet");
    assert_int_equal(t_drain(fds[0], out, sizeof(out)), 0);
    wr_log(&log, WR_LOG_WARN, "once");
    wr_log(&log, WR_LOG_ERROR, "twice");
    t_drain(fds[0], out, sizeof(out));
    at = strstr(out, "twice");
    assert_non_null(strstr(out, "once"));
    assert_true(at != NULL && strstr(at + 1, "twice") != NULL);
    assert_null(strstr(strstr(out, "once") + 1, "once"));
    wr_log_set_default(NULL);
    assert_int_equal(wr_log_default()->fd, STDERR_FILENO);
    assert_int_equal(wr_log_default()->level, WR_LOG_NOTICE);
}

static void test_long(void **state)
{
    char text[5000];
    struct wr_log log = {.context = add_context, .data = text};
    size_t n;

    (void)state;
    memset(text, 'y', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    wr_log_errno(NULL, WR_LOG_ERROR, EPERM, "%s", text);
    n = t_drain(fds[0], out, sizeof(out));
    assert_int_equal(n, 2048);
    assert_string_equal(out + n - 5, "y...\n");
    memset(text, '\n', sizeof(text) - 1);
    wr_log(NULL, WR_LOG_ERROR, "%s", text);
    n = t_drain(fds[0], out, sizeof(out));
    assert_in_range(n, 2030, 2048);
    assert_string_equal(out + n - 8, "\\x0A...\n");
    wr_log(&log, WR_LOG_ERROR, "short"); /* the context does not fit: the text stays */
    n = t_drain(fds[0], out, sizeof(out));
    assert_string_equal(strstr(out, "short"), "short...\n");
    for (int len = 1900; len < 2060; len++) { /* each way to end near the limit */
        mono_us += 20000;
        wr_log(NULL, WR_LOG_ERROR, "%.*s", len, text + sizeof(text) - 1 - len);
        n = t_drain(fds[0], out, sizeof(out));
        assert_true(n > 0 && n <= 2048 && out[n - 1] == '\n' && strchr(out, '\n') == out + n - 1);
    }
}

static unsigned count_lines(const char *what)
{
    unsigned n = 0;

    t_drain(fds[0], out, sizeof(out));
    for (const char *p = out; (p = strstr(p, what)) != NULL; p++) {
        n++;
    }
    return n;
}

static void test_rate(void **state)
{
    uint64_t limited = wr_stat_sum(WR_CNT_LOG_LIMITED);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        wr_log(NULL, WR_LOG_ERROR, "burst %d", i);
        mono_us += 900;
    }
    assert_int_equal(count_lines("burst"), 100);
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_LIMITED), limited + 900);
    wr_log(NULL, WR_LOG_ERROR, "other"); /* the window is not over */
    assert_int_equal(count_lines("more of"), 0);
    for (int i = 0; i < 150; i++) {
        wr_log(NULL, WR_LOG_STDERR, "always");
    }
    assert_int_equal(count_lines("always"), 150);
    mono_us += 200000;
    wr_log(NULL, WR_LOG_ERROR, "other");
    t_drain(fds[0], out, sizeof(out));
    assert_non_null(strstr(out, "[error]"));
    assert_non_null(strstr(out, "... 900 more of \"burst %d\"\n"));
    wr_log(NULL, WR_LOG_ERROR, "burst %d", 7);
    assert_int_equal(count_lines("burst 7"), 1);
    for (int i = 0; i < 105; i++) {
        wr_log(NULL, WR_LOG_ERROR, "last words %d", i);
    }
    wr_local_fini(); /* pays what it owes */
    wr_local_start();
    assert_int_equal(count_lines("... 5 more of \"last words %d\""), 1);
}

static void test_slots(void **state)
{
    static char formats[500][8];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 500; i++) {
            const char *f = formats[i];

            (void)snprintf(formats[i], sizeof(formats[i]), "f%d", i);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* 500 formats are needed */
#pragma GCC diagnostic ignored "-Wformat-security"   /* the same */
            wr_log(NULL, WR_LOG_ERROR, f);
#pragma GCC diagnostic pop
        }
    }
    assert_int_equal(count_lines(": f"), 1000);
}

static void test_dropped(void **state)
{
    uint64_t before = wr_stat_sum(WR_CNT_LOG_DROPPED);
    struct wr_log_sink gone = {.fd = -1, .level = WR_LOG_INFO};
    struct wr_log log = {.sinks = &gone};

    (void)state;
    wr_log(&log, WR_LOG_ERROR, "nowhere");
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED), before + 1);
    wr_log(NULL, WR_LOG_ERROR, "somewhere");
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED), before + 1);
}

/* The disk, or the pipe, is full: lines are dropped and counted; told once when there is room. */
static void test_lost(void **state)
{
    uint64_t before = wr_stat_sum(WR_CNT_LOG_DROPPED);
    struct wr_log_sink full = {.level = WR_LOG_INFO};
    struct wr_log_sink both = {.fd = fds[1], .level = WR_LOG_INFO, .next = &full};
    struct wr_log log = {.sinks = &both};
    char room[4096];
    unsigned filled = 0;
    int p[2];

    (void)state;
    assert_int_equal(pipe2(p, O_NONBLOCK), 0);
    full.fd = p[1];
    memset(room, '-', sizeof(room));
    while (write(p[1], room, sizeof(room)) > 0) {
        filled++;
    }
    for (int i = 0; i < 7; i++) {
        wr_log(&log, WR_LOG_ERROR, "line %d", i);
    }
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED), before + 7);
    assert_int_equal(count_lines("line "), 7); /* the other one has all, and no word of it */
    assert_null(strstr(out, "lost"));
    while (filled-- > 0) {
        assert_int_equal(read(p[0], room, sizeof(room)), sizeof(room));
    }
    wr_log(&log, WR_LOG_ERROR, "after");
    wr_log(&log, WR_LOG_ERROR, "later");
    t_drain(p[0], out, sizeof(out));
    assert_non_null(strstr(out, "[error]"));
    assert_non_null(strstr(strstr(out, "after\n"), "[alert]"));
    assert_non_null(strstr(strstr(out, "after\n"),
                           ": 7 lines were lost here (11: Resource temporarily unavailable)\n"));
    assert_non_null(strstr(strstr(out, "lost here"), "later\n"));
    assert_null(strstr(strstr(out, "lost here") + 1, "lost here"));
    assert_int_equal(count_lines("lost"), 0);
    close(p[0]);
    close(p[1]);
    full.fd = -1; /* a descriptor that fails for good keeps quiet */
    wr_log(&log, WR_LOG_ERROR, "gone");
    wr_log(&log, WR_LOG_ERROR, "gone");
    assert_int_equal(count_lines("gone"), 2);
}

/* A file that takes a part of a line (a limit stands for the end of the disk): the next line that
 * fits begins at a line's begin. */
static void test_cut_line(void **state)
{
    struct rlimit was, small;
    char path[] = "/tmp/weir-log-XXXXXX", text[8192];
    struct wr_log_sink file = {.level = WR_LOG_INFO};
    struct wr_log log = {.sinks = &file};
    ssize_t n;

    (void)state;
    file.fd = mkstemp(path);
    assert_true(file.fd != -1);
    assert_int_equal(unlink(path), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    wr_log(&log, WR_LOG_ERROR, "first");
    n = lseek(file.fd, 0, SEEK_CUR);
    small = (struct rlimit){(rlim_t)n + 10, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    wr_log(&log, WR_LOG_ERROR, "second");
    wr_log(&log, WR_LOG_ERROR, "third");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    wr_log(&log, WR_LOG_ERROR, "fourth");
    n = pread(file.fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "first\n1994/11/06\n1994/11/06 08:49:37 [error] "));
    assert_null(strstr(text, "second"));
    assert_null(strstr(text, "third"));
    assert_non_null(strstr(strstr(text, "fourth\n"), ": 2 lines were lost here ("));
    close(file.fd);
}

static unsigned put_cnt, put_fails;
static char put_line[200];

static bool put(const struct wr_log_sink *s, enum wr_log_level level, struct wr_str line)
{
    assert_ptr_equal(s->data, &put_cnt);
    put_cnt++;
    if (put_fails > 0) {
        put_fails--;
        return false;
    }
    (void)snprintf(put_line, sizeof(put_line), "%d %.*s", (int)level, WR_STR_ARG(line));
    return true;
}

/* Sinks that are no descriptors get the line without its end, and losses are told there too. */
static void test_put(void **state)
{
    struct wr_log_sink sinks = {.fd = 2, .level = WR_LOG_WARN, .put = put, .data = &put_cnt};
    struct wr_log log = {.sinks = &sinks};
    char want[200];

    (void)state;
    wr_log(&log, WR_LOG_INFO, "quiet");
    assert_int_equal(put_cnt, 0);
    wr_log(&log, WR_LOG_WARN, "words");
    (void)snprintf(want, sizeof(want), "%d 1994/11/06 08:49:37 [warn] %d#%d: words", WR_LOG_WARN,
                   getpid(), (int)gettid());
    assert_string_equal(put_line, want);
    put_fails = 2;
    wr_log(&log, WR_LOG_WARN, "a");
    wr_log(&log, WR_LOG_WARN, "b");
    assert_int_equal(put_cnt, 3);
    wr_log(&log, WR_LOG_WARN, "c");
    assert_int_equal(put_cnt, 5);
    assert_non_null(strstr(put_line, "[alert]"));
    assert_non_null(strstr(put_line, ": 2 lines were lost here"));
}

/* debug_connection: all lines to all sinks, debug lines without context; not limited. */
static void test_debug(void **state)
{
    char client[] = "x";
    struct wr_log log = {.context = add_context, .data = client};

    (void)state;
    wr_log_debug(&log, "nobody wants it");
    assert_int_equal(t_drain(fds[0], out, sizeof(out)), 0);
    log.is_debug = true;
    assert_true(wr_log_is_on(&log, WR_LOG_DEBUG));
    assert_false(wr_log_is_debug(&log)); /* as long as no configuration asked */
    wr_log_want_debug();
    assert_true(wr_log_is_debug(&log));
    assert_false(wr_log_is_debug(NULL));
    for (int i = 0; i < 300; i++) {
        wr_log_debug(&log, "step %d", i);
    }
    assert_int_equal(count_lines("[debug]"), 300);
    assert_null(strstr(out, "client"));
    wr_log(&log, WR_LOG_INFO, "info");
    assert_int_equal(count_lines("client: x"), 1);
    log.is_debug = false;
    wr_log_debug(&log, "step %d", 301);
    assert_int_equal(count_lines("step"), 0);
}

static void add_many(const struct wr_log *log, struct wr_log_fields *f)
{
    const struct wr_str parts[] = {WR_STR("http://"), WR_STR("a\"b"), wr_str_z(log->data)};

    wr_log_field(f, "client", WR_STR("1.2.3.4"), WR_LOG_BARE);
    wr_log_field(f, "request", wr_str_z(log->data), WR_LOG_QUOTED);
    wr_log_field_parts(f, "upstream", parts, WR_ARRAY_LEN(parts));
    for (int i = 0; i < 5; i++) {
        wr_log_field(f, "more", wr_str_z(log->data), WR_LOG_QUOTED);
    }
    if (wr_log_fields_are_json(f)) {
        wr_log_field(f, "tag", WR_STR("t"), WR_LOG_QUOTED);
    }
}

static void test_json(void **state)
{
    struct wr_log_sink text = {.fd = fds[1], .level = WR_LOG_CRIT};
    struct wr_log_sink json = {
        .fd = fds[1], .level = WR_LOG_ERROR, .next = &text, .form = WR_LOG_JSON};
    char data[] = "x\n\xc3\xa9\xff", want[700];
    struct wr_log log = {.sinks = &json, .conn_no = 17, .context = add_many, .data = data};
    const char *rest = ",\"client\":\"1.2.3.4\",\"request\":\"x\\n\xc3\xa9\\u00ff\","
                       "\"upstream\":\"http://a\\\"bx\\n\xc3\xa9\\u00ff\"";

    (void)state;
    wr_mem_fault_set(1); /* any run-time allocation would fail */
    wr_log_errno(&log, WR_LOG_ERROR, EPERM, "te\"xt %d", 5);
    assert_int_equal(wr_mem_fault_count(), 0);
    wr_mem_fault_set(0);
    t_drain(fds[0], out, sizeof(out));
    (void)snprintf(want, sizeof(want),
                   "{\"time\":\"1994-11-06T08:49:37.000+00:00\",\"level\":\"error\",\"pid\":%d,"
                   "\"tid\":%d,\"connection\":17,\"message\":\"te\\\"xt 5 (1: Operation not "
                   "permitted)\"%s,\"more\"",
                   getpid(), (int)gettid(), rest);
    assert_memory_equal(out, want, strlen(want));
    assert_non_null(strstr(out, ",\"tag\":\"t\"}\n"));
    assert_null(strstr(out, "[error]"));
    wr_log(&log, WR_LOG_CRIT, "both");
    t_drain(fds[0], out, sizeof(out));
    assert_non_null(strstr(out, "\"message\":\"both\",\"client\""));
    assert_non_null(strstr(out, "*17 both, client: 1.2.3.4, request: \"x\\x0A"));
    assert_null(strstr(out, "tag: "));
}

/* Quotes and braces match, no control byte: enough to know that it was cut at a character. */
static void expect_object(const char *p, size_t n)
{
    bool is_in = false;

    assert_in_range(n, 1, 4096);
    assert_int_equal(p[n - 1], '\n');
    assert_int_equal(p[n - 2], '}');
    for (size_t i = 0; i + 1 < n; i++) {
        assert_true((unsigned char)p[i] >= ' ');
        if (p[i] == '\\') {
            assert_true(is_in);
            assert_non_null(strchr("\"\\nu", p[i + 1]));
            i++;
        } else if (p[i] == '"') {
            is_in = !is_in;
        }
    }
    assert_false(is_in);
}

static void test_json_long(void **state)
{
    static const char *const fills[] = {
        "y", "\n", "\"", "\x01", "\xc3\xa9", "\xff", "\xf0\x9f\x98\x80"};
    struct wr_log_sink json = {.fd = fds[1], .level = WR_LOG_ERROR, .form = WR_LOG_JSON};
    struct wr_log log = {.sinks = &json, .context = add_many};
    char text[5000];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(fills); i++) {
        for (size_t len = 90; len < sizeof(text) - 4; len += 97) {
            size_t n, one = strlen(fills[i]);

            for (n = 0; n + one <= len; n += one) {
                memcpy(text + n, fills[i], one);
            }
            text[n] = '\0';
            log.data = text;
            mono_us += 20000;
            wr_log(&log, WR_LOG_ERROR, "%s", text);
            n = t_drain(fds[0], out, sizeof(out));
            expect_object(out, n);
            if (len > 2100) {
                assert_non_null(strstr(out, ",\"truncated\":true}"));
            }
        }
    }
}

static void test_names(void **state)
{
    enum wr_log_level level = WR_LOG_STDERR;

    (void)state;
    for (unsigned i = WR_LOG_EMERG; i <= WR_LOG_DEBUG; i++) {
        const char *name = wr_log_level_name((enum wr_log_level)i);

        assert_int_equal(wr_log_level_parse(wr_str_z(name), &level), WR_OK);
        assert_int_equal(level, i);
    }
    assert_int_equal(wr_log_level_parse(WR_STR("stderr"), &level), WR_EPROTO);
    assert_int_equal(wr_log_level_parse(WR_STR("Error"), &level), WR_EPROTO);
    assert_string_equal(wr_log_level_name(WR_LOG_WARN), "warn");
    assert_string_equal(wr_log_errno_text(ENOENT), "No such file or directory");
    assert_string_equal(wr_log_errno_text(99999), "Unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_format, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_debug, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json_long, set_up, tear_down),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
