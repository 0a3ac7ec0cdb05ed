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

static void add_context(const struct wr_log *log, struct wr_strbuf *b)
{
    wr_strbuf_printf(b, ", client: %s", (const char *)log->data);
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
    (void)state;
    for (int i = 0; i < 1000; i++) {
        wr_log(NULL, WR_LOG_ERROR, "burst %d", i);
        mono_us += 900;
    }
    assert_int_equal(count_lines("burst"), 100);
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
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
