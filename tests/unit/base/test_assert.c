/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_assert.c: a panic names its place, runs the dumpers newest first, shows the flight recorder
 * and aborts; the survivable kinds count and return what they must.
 */
#include "unit/base/t.h"

#include "base/assert.h"
#include "base/fsm.h"
#include "base/log.h"
#include "base/obj.h"
#include "base/recorder.h"
#include "base/stat.h"

static void dump_text(void *data, int fd)
{
    (void)!write(fd, data, strlen(data));
}

static void dump_and_fail(void *data, int fd)
{
    (void)fd;
    (void)data;
    WR_ASSERT(!"in dumper");
}

static void fail_with_dumpers(void *data)
{
    static const char *const names[] = {"IDLE", "BUSY"};
    static const uint32_t moves[] = {1u << 1, 1u << 0};
    static const struct wr_fsm toy = WR_FSM("toy", names, moves);
    char one[] = "<one>", two[] = "<two>", three[] = "<three>";

    wr_panic_add(dump_text, one);
    wr_panic_add(dump_text, two);
    wr_panic_add(dump_text, three);
    wr_panic_remove(dump_text, two);
    wr_recorder_note(&toy, 17, 0, 1);
    WR_ASSERT(data != NULL);
}

static void fail_in_dumper(void *data)
{
    wr_panic_add(dump_and_fail, data);
    WR_UNREACHABLE();
}

static void fail_magic(void *data)
{
    struct {
        uint32_t magic;
    } o = {7};

    (void)data;
    wr_obj_init(&o, 8u);
    wr_obj_kill(&o);
    wr_obj_check(&o, 8u);
}

static void add_too_many(void *data)
{
    for (int i = 0; i < 9; i++) {
        wr_panic_add(dump_text, data);
    }
}

static void test_panic(void **state)
{
    char text[4096], name[] = "<nine>";
    const char *three, *one, *note;

    (void)state;
    assert_true(t_aborts(fail_with_dumpers, NULL, text, sizeof(text)));
    assert_non_null(strstr(text, "test_assert.c:"));
    assert_non_null(strstr(text, "data != NULL"));
    assert_null(strstr(text, "<two>"));
    three = strstr(text, "<three>");
    one = strstr(text, "<one>");
    note = strstr(text, "toy 17: IDLE -> BUSY\n");
    assert_true(three != NULL && one > three && note > one);
    assert_false(t_aborts(fail_with_dumpers, text, text, sizeof(text))); /* it holds */
    assert_true(t_aborts(fail_in_dumper, NULL, text, sizeof(text)));
    assert_non_null(strstr(text, "unreachable"));
    assert_true(t_aborts(fail_magic, NULL, text, sizeof(text)));
    assert_true(t_aborts(add_too_many, name, text, sizeof(text)));
}

static void test_survivable(void **state)
{
    uint64_t req = wr_stat_sum(WR_CNT_ASSERT_REQ), warn = wr_stat_sum(WR_CNT_WARN_ON);
    char text[8192], data[] = "<dumped>";
    struct wr_log_sink sink = {.level = WR_LOG_ERROR};
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    sink.fd = fds[1];
    wr_log_set_default(&sink);
    wr_panic_add(dump_text, data);
    assert_true(WR_ASSERT_REQ(fds[0] >= 0));
    assert_false(WR_WARN_ON(fds[0] < 0));
    for (int i = 0; i < 5; i++) {
        assert_false(WR_ASSERT_REQ(fds[0] < 0));
        assert_true(WR_WARN_ON(fds[0] >= 0));
    }
    assert_int_equal(wr_stat_sum(WR_CNT_ASSERT_REQ), req + 5);
    assert_int_equal(wr_stat_sum(WR_CNT_WARN_ON), warn + 5);
    t_drain(fds[0], text, sizeof(text));
    assert_non_null(strstr(text, "[alert]"));
    assert_non_null(strstr(text, "fds[0] < 0"));
    assert_null(strstr(strstr(text, "<dumped>") + 1, "<dumped>")); /* once, not five times */
    wr_panic_remove(dump_text, data);
    wr_log_set_default(NULL);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_panic),
        cmocka_unit_test(test_survivable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
