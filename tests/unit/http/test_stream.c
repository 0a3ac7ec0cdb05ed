/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stream.c: moves of the two halves. One that is in no table makes the half RESET, keeps the
 * reason, and wakes the user, who ends the exchange.
 */
/* cmocka wants these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/obj.h"
#include "base/stat.h"
#include "event/loop.h"
#include "event/poll.h"
#include "event/task.h"
#include "http/stream.h"

static void run_nothing(struct wr_task *t)
{
    (void)t;
}

static void test_moves(void **state)
{
    static const struct {
        enum wr_stream_half from, to, want;
        bool is_legal;
    } rows[] = {
        {WR_HALF_WAIT,  WR_HALF_BODY,  WR_HALF_BODY,  true },
        {WR_HALF_WAIT,  WR_HALF_RESET, WR_HALF_RESET, true },
        {WR_HALF_BODY,  WR_HALF_DONE,  WR_HALF_DONE,  true },
        {WR_HALF_DONE,  WR_HALF_BODY,  WR_HALF_BODY,  true }, /* a tunnel */
        {WR_HALF_WAIT,  WR_HALF_DONE,  WR_HALF_RESET, false}, /* of rx it is: see below */
        {WR_HALF_BODY,  WR_HALF_BODY,  WR_HALF_RESET, false},
        {WR_HALF_BODY,  WR_HALF_WAIT,  WR_HALF_RESET, false},
        {WR_HALF_RESET, WR_HALF_BODY,  WR_HALF_RESET, false},
        {WR_HALF_RESET, WR_HALF_DONE,  WR_HALF_RESET, false},
    };
    struct wr_loop *loop = wr_loop_new(wr_poll_epoll_new());

    (void)state;
    assert_non_null(loop);
    for (size_t i = 0; i < 2 * WR_ARRAY_LEN(rows); i++) {
        uint64_t before = wr_stat_sum(WR_CNT_ASSERT_REQ);
        struct wr_stream s = {0};
        struct wr_task user;
        size_t k = i / 2;

        if (i % 2 == 0 && rows[k].from == WR_HALF_WAIT && rows[k].to == WR_HALF_DONE) {
            continue;
        }

        wr_obj_init(&s, WR_STREAM_MAGIC);
        wr_task_init(&user, run_nothing, "user");
        s.user = &user;
        s.rx = s.tx = (uint8_t)rows[k].from;
        if (i % 2 == 0) {
            wr_stream_set_rx(&s, rows[k].to);
        } else {
            wr_stream_set_tx(&s, rows[k].to);
        }
        assert_int_equal(i % 2 == 0 ? s.rx : s.tx, rows[k].want);
        assert_int_equal(i % 2 == 0 ? s.tx : s.rx, rows[k].from); /* the other half */
        assert_int_equal(wr_stat_sum(WR_CNT_ASSERT_REQ) - before, rows[k].is_legal ? 0 : 1);
        assert_int_equal(s.reason, rows[k].is_legal ? WR_REASON_NONE : WR_REASON_INTERNAL);
        assert_int_equal(user._is_queued, !rows[k].is_legal);
        wr_task_cancel(&user);
    }
    wr_loop_free(loop);
}

/* A head without a body: rx is DONE at once. tx never is (see the table above). */
static void test_no_body(void **state)
{
    uint64_t before = wr_stat_sum(WR_CNT_ASSERT_REQ);
    struct wr_stream s = {0};

    (void)state;
    wr_obj_init(&s, WR_STREAM_MAGIC);
    wr_stream_set_rx(&s, WR_HALF_DONE);
    assert_int_equal(s.rx, WR_HALF_DONE);
    assert_int_equal(s.tx, WR_HALF_WAIT);
    assert_int_equal(wr_stat_sum(WR_CNT_ASSERT_REQ), before);
}

int main(void)
{
    static const struct wr_log_sink quiet = {.fd = 2, .level = WR_LOG_EMERG};
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_moves),
                                       cmocka_unit_test(test_no_body)};

    wr_log_set_default(&quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
