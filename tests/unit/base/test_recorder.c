/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_recorder.c: the dump in order, the last 1,024 only, and moves of a machine (base/fsm.h).
 */
#include "unit/base/t.h"

#include "base/fsm.h"
#include "base/recorder.h"

static const char *const names[] = {"IDLE", "BUSY", "DONE"};
static const uint32_t moves[] = {1u << 1, 1u << 2 | 1u << 0, 0};
static const struct wr_fsm toy = {"toy", names, moves};
static char out[200000];

static const char *dump(unsigned n)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    (void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 18);
    if (n == 0) {
        wr_recorder_dump(fds[1]);
    } else {
        wr_recorder_dump_last(fds[1], n);
    }
    t_drain(fds[0], out, sizeof(out));
    close(fds[0]);
    close(fds[1]);
    return out;
}

static void test_dump(void **state)
{
    uint8_t s = 0;

    (void)state;
    assert_string_equal(dump(0), "");
    wr_local_get()->now_ms = 55;
    wr_fsm_move(&toy, &s, 1, 17);
    wr_fsm_move(&toy, &s, 2, 17);
    wr_recorder_note("raw", NULL, 18, 7, 9);
    assert_int_equal(s, 2);
    assert_string_equal(dump(0), "recorder: 55 toy 17: IDLE -> BUSY\n"
                                 "recorder: 55 toy 17: BUSY -> DONE\n"
                                 "recorder: 55 raw 18: 7 -> 9\n");
    assert_string_equal(dump(1), "recorder: 55 raw 18: 7 -> 9\n");
}

static void test_ring(void **state)
{
    unsigned lines = 0;

    (void)state;
    for (uint64_t i = 1; i <= 3000; i++) {
        wr_recorder_note("toy", names, i, 0, 1);
    }
    dump(0);
    for (const char *p = out; (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    assert_int_equal(lines, 1024);
    assert_ptr_equal(strstr(out, "toy 1977: "), out + strlen("recorder: 55 "));
    assert_non_null(strstr(out, "toy 3000: "));
    assert_null(strstr(out, "toy 1976: "));
}

static void move_badly(void *data)
{
    uint8_t s = 0;

    (void)data;
    wr_fsm_move(&toy, &s, 2, 17);
}

static void test_bad_move(void **state)
{
    (void)state;
    assert_true(t_aborts(move_badly, NULL, out, sizeof(out)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_bad_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
