/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log_path.c: lines of threads with and without a loop reach their files in order, whatever
 * the writer thread is doing; what finds no room or no disk is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event/poll.h"
#include "event/thread.h"
#include "observe/log_path.c"

static char dir[] = "/tmp/wr_path_XXXXXX";
static const struct wr_log_path_cache off = {.max = 0};
static const struct wr_log_path_cache keep = {
    .max = 4, .min_uses = 1, .inactive_ms = 30, .valid_ms = 60000};

static void add(const struct wr_log_path_cache *c, const char *name, const char *line)
{
    char path[128];
    struct wr_log_path_line l = {.root = wr_str_z(dir), .line = wr_str_z(line)};

    l.path = wr_str(path, (size_t)snprintf(path, sizeof(path), "%s/%s", dir, name));
    wr_log_path_add(c, &l);
}

/* The file's text; it is removed. */
static const char *take(const char *name)
{
    static char buf[1 << 20];
    char path[128];
    FILE *f;
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "rb");
    n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;
    buf[n] = '\0';
    if (f) {
        (void)fclose(f);
        (void)unlink(path);
    }
    return buf;
}

static unsigned open_cnt(void)
{
    char name[64], to[256];
    unsigned cnt = 0;

    for (int fd = 0; fd < 64; fd++) {
        ssize_t n;

        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        n = readlink(name, to, sizeof(to) - 1);
        to[n > 0 ? n : 0] = '\0';
        cnt += strncmp(to, dir, strlen(dir)) == 0;
    }
    return cnt;
}

static void without_a_loop(void **state)
{
    (void)state;
    add(&off, "a", "1\n");
    add(&keep, "a", "2\n");
    assert_string_equal(take("a"), "1\n2\n");
    assert_false(wr_log_path_is_used());
}

static void in_order(void **state)
{
    struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());
    char line[32], want[1 << 16];
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(line, sizeof(line), "%d\n", i);
        add(i % 3 == 0 ? &off : &keep, "a", line);
        len += (size_t)snprintf(want + len, sizeof(want) - len, "%d\n", i);
        if (i % 7 == 0) {
            wr_log_path_submit();
        }
        if (i % 100 == 0) {
            wr_loop_turn(loop, 0);
        }
    }
    assert_true(wr_log_path_is_used());
    wr_log_path_finish();
    assert_false(wr_log_path_is_used());
    assert_string_equal(take("a"), want);
    assert_int_equal(open_cnt(), 0);
    wr_loop_free(loop);
}

#define ANY UINT_MAX

/* Until a has this size, and then until so many files are open. */
static void turn_until(struct wr_loop *loop, off_t size, unsigned open)
{
    uint64_t until = wr_clock_mono_us() + 20000000;
    char path[128];
    struct stat st;
    bool is_done;

    (void)snprintf(path, sizeof(path), "%s/a", dir);
    do {
        wr_loop_turn(loop, 10);
        is_done = stat(path, &st) == 0 && st.st_size == size && (open == ANY || open_cnt() == open);
    } while (!is_done && wr_clock_mono_us() < until);
    assert_true(is_done);
}

static void descriptors_are_let_go(void **state)
{
    static const struct wr_log_path_cache longer = {
        .max = 4, .min_uses = 1, .inactive_ms = 3600000, .valid_ms = 60000};
    struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());

    (void)state;
    add(&keep, "a", "1\n");
    wr_log_path_submit();
    turn_until(loop, 2, 0); /* after 30 ms, by itself */
    add(&longer, "a", "2\n");
    wr_log_path_submit();
    turn_until(loop, 4, 1);
    wr_log_path_close_all();
    turn_until(loop, 4, 0);
    add(&longer, "a", "3\n");
    wr_log_path_submit();
    wr_log_path_close_all();  /* while a job is under way, or done */
    turn_until(loop, 6, ANY); /* what is opened after that may stay */
    wr_log_path_close_all();
    turn_until(loop, 6, 0);
    wr_log_path_finish();
    wr_log_path_close_all();
    assert_string_equal(take("a"), "1\n2\n3\n");
    wr_loop_free(loop);
}

static void bound(void **state)
{
    static char line[60001];
    struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());
    uint64_t before = wr_stat_sum(WR_CNT_LOG_DROPPED);

    (void)state;
    memset(line, 'x', sizeof(line) - 2);
    line[sizeof(line) - 2] = '\n';
    for (int i = 0; i < 20; i++) { /* 17 fit */
        add(&off, "a", line);
    }
    assert_int_equal(wr_stat_sum(WR_CNT_LOG_DROPPED) - before, 3);
    wr_log_path_finish();
    assert_int_equal(strlen(take("a")), 17 * (sizeof(line) - 1));
    wr_loop_free(loop);
}

/* Each allocation fails once: a line is there or counted. */
static void memory_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 8; n++) {
        struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());
        uint64_t before = wr_stat_sum(WR_CNT_LOG_DROPPED);

        wr_mem_fault_set(n);
        add(&keep, "a", "1\n");
        wr_mem_fault_set(0);
        wr_log_path_finish();
        assert_int_equal(strlen(take("a")) / 2 + wr_stat_sum(WR_CNT_LOG_DROPPED) - before, 1);
        wr_loop_free(loop);
    }
}

static void run_thread(void *data)
{
    struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());
    char line[64];

    for (int i = 0; i < 500; i++) {
        (void)snprintf(line, sizeof(line), "thread %d line %d\n", *(int *)data, i);
        add(&keep, i % 2 == 0 ? "a" : "b", line);
        wr_log_path_submit();
        if (i % 50 == 0) {
            wr_log_path_close_all();
            wr_loop_turn(loop, 0);
        }
    }
    wr_log_path_finish();
    wr_loop_free(loop);
}

static void threads(void **state)
{
    struct wr_thread t[4];
    int no[4];
    const char *text;
    unsigned lines = 0;

    (void)state;
    for (int i = 0; i < 4; i++) {
        no[i] = i;
        t[i] = (struct wr_thread){.no = 0};
        assert_int_equal(wr_thread_start(&t[i], (uint32_t)i, "test", run_thread, &no[i]), WR_OK);
    }
    for (int i = 0; i < 4; i++) {
        wr_thread_join(&t[i]);
    }
    for (int k = 0; k < 2; k++) {
        int next[4] = {k, k, k, k};

        for (text = take(k == 0 ? "a" : "b"); *text != '\0'; text = strchr(text, '\n') + 1) {
            int thread = text[7] - '0';

            assert_true(strncmp(text, "thread ", 7) == 0 && thread >= 0 && thread < 4);
            assert_int_equal(strtol(text + 14, NULL, 10), next[thread]); /* in its order */
            next[thread] += 2;
            lines++;
        }
    }
    assert_int_equal(lines, 2000);
    assert_null(writers.writer);
    assert_int_equal(open_cnt(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_loop),         cmocka_unit_test(in_order),
        cmocka_unit_test(descriptors_are_let_go), cmocka_unit_test(bound),
        cmocka_unit_test(memory_may_fail),        cmocka_unit_test(threads),
    };
    int rc;

    if (!mkdtemp(dir)) {
        return 1;
    }
    rc = cmocka_run_group_tests_name("observe/log_path", tests, NULL, NULL);
    (void)rmdir(dir);
    return rc;
}
