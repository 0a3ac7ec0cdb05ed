/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log_target.c: what becomes of lines that do not go into the file: half a line is closed,
 * half a member taken back, a slow reader waited for; losses are counted and told at once, then
 * once a minute.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe/log_target.c"

static char dir[] = "/tmp/wr_target_XXXXXX";
static char path[64];
static int said_fd; /* what is told: a pipe, which limits of files leave alone */
static char said[1 << 16];
static struct wr_log_sink sink;

static int open_file(const char *name)
{
    int fd = open(name, O_RDWR | O_CREAT | O_APPEND | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static const char *text_of(const char *name)
{
    static char buf[1 << 16];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, buf, sizeof(buf) - 1);

    assert_true(n >= 0);
    buf[n] = '\0';
    (void)close(fd);
    return buf;
}

/* All that was told since start(). */
static const char *said_now(void)
{
    size_t len = strlen(said);
    ssize_t n = read(said_fd, said + len, sizeof(said) - 1 - len);

    said[len + (n > 0 ? (size_t)n : 0)] = '\0';
    return said;
}

static unsigned count_of(const char *hay, const char *needle)
{
    unsigned cnt = 0;

    for (hay = strstr(hay, needle); hay; hay = strstr(hay + 1, needle)) {
        cnt++;
    }
    return cnt;
}

/* Files cannot grow beyond this: the way of a full disk that needs no disk. 0: without a limit. */
static void limit(uint64_t size)
{
    struct rlimit r;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = size == 0 ? r.rlim_max : size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void init_out(struct wr_log_out *o)
{
    *o = (struct wr_log_out){.gzip_lines = 0};
    wr_strbuf_init(&o->b, 1 << 22);
}

static void put(struct wr_log_target *t, int fd, enum wr_log_target_kind kind, struct wr_log_out *o,
                const char *text)
{
    wr_strbuf_add_z(&o->b, text);
    wr_log_target_write(t, fd, kind, o, o->b.len);
}

static struct wr_log_target *start(struct wr_log_out *o, int *fd)
{
    struct wr_log_target *t = wr_log_target_get(wr_str_z(path));

    assert_non_null(t);
    init_out(o);
    *fd = open_file(path);
    (void)said_now();
    said[0] = '\0';
    return t;
}

static void stop(struct wr_log_target *t, struct wr_log_out *o, int fd)
{
    wr_strbuf_fini(&o->b);
    wr_log_target_unref(t);
    (void)close(fd);
}

static void one_for_all(void **state)
{
    struct wr_log_target *a = wr_log_target_get(WR_STR("/a")), *b = wr_log_target_get(WR_STR("/a"));
    struct wr_log_target *c = wr_log_target_get(WR_STR("/b"));

    (void)state;
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    wr_log_target_unref(a);
    assert_ptr_equal(wr_log_target_get(WR_STR("/a")), b);
    wr_log_target_unref(b);
    wr_log_target_unref(b);
    wr_log_target_unref(c);
    wr_log_target_unref(NULL);
    for (size_t i = 0; i < BUCKETS; i++) {
        assert_null(targets.at[i]);
    }
}

static void half_a_line_is_closed(void **state)
{
    uint64_t before = wr_stat_sum(WR_CNT_LOG_DROPPED);
    struct wr_log_target *t;
    struct wr_log_out o, other;
    int fd;

    (void)state;
    t = start(&o, &fd);
    init_out(&other);
    put(t, fd, WR_LOG_LINES, &o, "first\n");
    limit(16);
    put(t, fd, WR_LOG_LINES, &o, "0123\n56789\nab\n"); /* ends in "56789" without its end */
    assert_int_equal(o.b.len, 0);
    assert_string_equal(text_of(path), "first\n0123\n56789");
    put(t, fd, WR_LOG_LINES, &other, "lost\nlost\n");
    limit(0);
    put(t, fd, WR_LOG_LINES, &other, "last\n");
    assert_string_equal(text_of(path), "first\n0123\n56789\nlast\n");
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED) - before, 4);
    assert_int_equal(count_of(said_now(), "lines lost: write() to \""), 1);
    assert_non_null(strstr(said_now(), "2 lines lost: write() to \""));
    assert_non_null(strstr(said_now(), "failed (27: File too large)"));
    wr_strbuf_fini(&other.b);
    stop(t, &o, fd); /* tells the rest */
    assert_int_equal(count_of(said_now(), "2 lines of \""), 1);
}

/* The new file of a reopen begins with a line, not with the end of another's. */
static void reopened(void **state)
{
    struct wr_log_target *t;
    struct wr_log_out o;
    int fd;

    (void)state;
    t = start(&o, &fd);
    limit(3);
    put(t, fd, WR_LOG_LINES, &o, "01234\n");
    limit(0);
    assert_int_equal(ftruncate(fd, 0), 0);
    wr_log_target_reopened(wr_str_z(path));
    wr_log_target_reopened(WR_STR("/nobody's"));
    put(t, fd, WR_LOG_LINES, &o, "new\n");
    assert_string_equal(text_of(path), "new\n");
    stop(t, &o, fd);
}

static void said_once_a_minute(void **state)
{
    struct wr_log_target *t;
    struct wr_log_out o;
    int fd, full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    t = start(&o, &fd);
    for (int i = 0; i < 50; i++) {
        put(t, full, WR_LOG_LINES, &o, "a\nb\n");
    }
    assert_int_equal(count_of(said_now(), "\n"), 1);
    assert_non_null(strstr(said_now(), " 2 lines lost: "));
    wr_store_rlx(&t->said_at, wr_load_rlx(&t->said_at) - WR_LOG_SAY_MS);
    put(t, full, WR_LOG_LINES, &o, "c\n");
    assert_non_null(strstr(said_now(), " 99 lines lost: "));
    put(t, full, WR_LOG_LINES, &o, "c\n");
    put(t, fd, WR_LOG_LINES, &o, "good\n");
    assert_int_equal(count_of(said_now(), "\n"), 2);
    wr_store_rlx(&t->said_at, wr_load_rlx(&t->said_at) - WR_LOG_SAY_MS);
    put(t, fd, WR_LOG_LINES, &o, "good\n");
    assert_non_null(strstr(said_now(), " 1 lines of \""));
    assert_int_equal(count_of(said_now(), "\n"), 3);
    put(t, -1, WR_LOG_LINES, &o, "said when it could not be opened\n");
    assert_int_equal(count_of(said_now(), "\n"), 3);
    assert_int_equal(o.b.len, 0);
    stop(t, &o, fd);
    (void)close(full);
}

static void half_a_member_is_taken_back(void **state)
{
    struct wr_log_target *t;
    struct wr_log_out o;
    int fd;

    (void)state;
    t = start(&o, &fd);
    o.is_members = true;
    o.gzip_lines = 3;
    put(t, fd, WR_LOG_GZIP, &o, "MEMBER1");
    assert_int_equal(o.gzip_lines, 0);
    limit(10);
    o.gzip_lines = 5;
    put(t, fd, WR_LOG_GZIP, &o, "MEMBER2");
    limit(0);
    assert_string_equal(text_of(path), "MEMBER1");
    assert_non_null(strstr(said_now(), " 5 lines lost: "));
    o.gzip_lines = 1;
    put(t, fd, WR_LOG_GZIP, &o, "MEMBER3");
    assert_string_equal(text_of(path), "MEMBER1MEMBER3");
    stop(t, &o, fd);
}

static size_t drain(int fd, char *buf, size_t size)
{
    ssize_t n = read(fd, buf, size);

    return n > 0 ? (size_t)n : 0;
}

/* Lines for a pipe arrive whole, what does not fit stays with its writer. */
static void slow_reader(void **state)
{
    static char line[300], got[1 << 20];
    struct wr_log_target *t;
    struct wr_log_out o;
    size_t len = 0, n;
    int fd, pipes[2];

    (void)state;
    t = start(&o, &fd);
    assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
    memset(line, 'l', sizeof(line) - 2);
    line[sizeof(line) - 2] = '\n';
    for (int i = 0; i < 1000; i++) {
        put(t, pipes[1], WR_LOG_STREAM, &o, line);
    }
    assert_true(o.b.len > 0 && o.b.len % (sizeof(line) - 1) == 0); /* whole lines wait */
    while (o.b.len > 0) {
        len += drain(pipes[0], got + len, sizeof(got) - len);
        wr_log_target_write(t, pipes[1], WR_LOG_STREAM, &o, o.b.len);
    }
    while ((n = drain(pipes[0], got + len, sizeof(got) - len)) > 0) {
        len += n;
    }
    assert_int_equal(len, 1000 * (sizeof(line) - 1));
    for (size_t i = 0; i < len; i += sizeof(line) - 1) {
        assert_memory_equal(got + i, line, sizeof(line) - 1);
    }
    (void)close(pipes[0]);
    (void)signal(SIGPIPE, SIG_IGN);
    put(t, pipes[1], WR_LOG_STREAM, &o, "nobody\n");
    assert_int_equal(o.b.len, 0);
    assert_non_null(strstr(said_now(), "1 lines lost: "));
    (void)close(pipes[1]);
    stop(t, &o, fd);
}

/* A line longer than a pipe takes at once: others wait until it is whole, or its writer gives up.
 */
static void long_line(void **state)
{
    static char line[100000], got[1 << 20];
    struct wr_log_target *t;
    struct wr_log_out o, other;
    size_t len = 0, n;
    int fd, pipes[2];

    (void)state;
    t = start(&o, &fd);
    init_out(&other);
    assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
    memset(line, 'l', sizeof(line) - 2);
    line[sizeof(line) - 2] = '\n';
    put(t, pipes[1], WR_LOG_STREAM, &o, line);
    assert_true(o.b.len > 0);
    len = drain(pipes[0], got, 8192);
    put(t, pipes[1], WR_LOG_STREAM, &other, "other\n");
    assert_int_equal(other.b.len, 6);
    wr_log_target_give_up(t, &o);
    assert_int_equal(o.b.len, 0);
    wr_log_target_write(t, pipes[1], WR_LOG_STREAM, &other, other.b.len);
    assert_int_equal(other.b.len, 0);
    while ((n = drain(pipes[0], got + len, sizeof(got) - len)) > 0) {
        len += n;
    }
    assert_memory_equal(got + len - 8, "l\nother\n", 8);
    put(t, pipes[1], WR_LOG_STREAM, &o, line);
    len = 0;
    while (o.b.len > 0) {
        len += drain(pipes[0], got + len, sizeof(got) - len);
        wr_log_target_write(t, pipes[1], WR_LOG_STREAM, &o, o.b.len);
    }
    put(t, pipes[1], WR_LOG_STREAM, &other, "other\n");
    while ((n = drain(pipes[0], got + len, sizeof(got) - len)) > 0) {
        len += n;
    }
    assert_int_equal(len, strlen(line) + 6);
    assert_memory_equal(got, line, strlen(line));
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    wr_strbuf_fini(&other.b);
    stop(t, &o, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_for_all),
        cmocka_unit_test(half_a_line_is_closed),
        cmocka_unit_test(reopened),
        cmocka_unit_test(said_once_a_minute),
        cmocka_unit_test(half_a_member_is_taken_back),
        cmocka_unit_test(slow_reader),
        cmocka_unit_test(long_line),
    };
    int rc, pipes[2];

    (void)signal(SIGXFSZ, SIG_IGN);
    if (!mkdtemp(dir)) {
        return 1;
    }
    (void)snprintf(path, sizeof(path), "%s/log", dir);
    if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC) != 0) {
        return 1;
    }
    said_fd = pipes[0];
    sink = (struct wr_log_sink){.fd = pipes[1], .level = WR_LOG_INFO};
    wr_log_set_default(&sink);
    rc = cmocka_run_group_tests_name("observe/log_target", tests, NULL, NULL);
    wr_log_set_default(NULL);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    (void)unlink(path);
    (void)rmdir(dir);
    return rc;
}
