/* SPDX-License-Identifier: Apache-2.0 */
/* test_timer.c: the wheel under a clock of its own: order, laziness, far times, a model. */
#include "unit/event/looptest.h"

#include "base/rng.h"
#include "event/timer.h"

static uint64_t fake_us;

static uint64_t read_fake(void *data)
{
    (void)data;
    return fake_us;
}

static int setup(void **state)
{
    static const struct wr_clock_source src = {read_fake, read_fake, NULL};

    fake_us = 5000 * 1000;
    wr_clock_set_source(&src);
    return setup_loop(state);
}

static int teardown(void **state)
{
    teardown_loop(state);
    wr_clock_set_source(NULL);
    return 0;
}

struct timed {
    struct wr_task task;
    struct wr_timer timer;
    uint64_t want_at; /* 0: must not fire */
    unsigned fired;
};

static uint64_t last_fired_at;

static void run_timed(struct wr_task *t)
{
    struct timed *x = wr_container_of(t, struct timed, task);

    assert_false(wr_timer_is_armed(&x->timer));
    assert_true(x->want_at != 0);
    assert_true(wr_now_ms() >= x->want_at);
    assert_true(x->want_at >= last_fired_at);
    last_fired_at = x->want_at;
    x->want_at = 0;
    x->fired++;
}

static void timed_init(struct timed *x)
{
    memset(x, 0, sizeof(*x));
    wr_task_init(&x->task, run_timed, "timed");
    wr_timer_init(&x->timer, &x->task);
}

static void timed_arm(struct timed *x, uint64_t at)
{
    x->want_at = at;
    wr_timer_arm(&x->timer, at);
}

static void set_now(struct wr_loop *l, uint64_t ms)
{
    fake_us = ms * 1000;
    wr_loop_turn(l, 0);
}

static void test_exact(void **state)
{
    static const uint64_t delta[] = {1,    2,    63,    64,     65,       4095,
                                     4096, 4097, 60000, 262144, 86400000, 1ull << 40};
    struct timed x;

    timed_init(&x);
    for (size_t i = 0; i < WR_ARRAY_LEN(delta); i++) {
        uint64_t at = wr_now_ms() + delta[i];
        unsigned hops = 0;

        last_fired_at = 0;
        timed_arm(&x, at);
        /* Jumping to what next_timer says is never late and needs few hops. */
        while (x.want_at != 0) {
            uint64_t next = wr_loop_next_timer(*state);

            assert_true(next > wr_now_ms() && next <= at);
            if (next == at) {
                set_now(*state, at - 1);
                assert_int_equal(x.fired, i);
            }
            set_now(*state, next);
            assert_true(++hops <= 9);
        }
        assert_int_equal(x.fired, i + 1);
        assert_int_equal(wr_loop_next_timer(*state), 0);
    }
    wr_timer_fini(&x.timer);
}

static void test_past_and_now(void **state)
{
    struct timed x;

    timed_init(&x);
    last_fired_at = 0;
    timed_arm(&x, wr_now_ms() - 100);
    assert_true(wr_loop_next_timer(*state) <= wr_now_ms());
    wr_loop_turn(*state, -1);
    assert_int_equal(x.fired, 1);
    timed_arm(&x, wr_now_ms());
    wr_loop_turn(*state, -1);
    assert_int_equal(x.fired, 2);
    wr_timer_fini(&x.timer);
}

static void test_lazy(void **state)
{
    struct timed x;
    uint64_t t0 = wr_now_ms(), slot;

    timed_init(&x);
    last_fired_at = 0;
    timed_arm(&x, t0 + 10);
    slot = x.timer._slot_ms;
    timed_arm(&x, t0 + 500);
    assert_int_equal(x.timer._slot_ms, slot); /* later: only a number was written */
    set_now(*state, t0 + 10);
    assert_int_equal(x.fired, 0);
    timed_arm(&x, t0 + 20); /* earlier: moved */
    set_now(*state, t0 + 19);
    assert_int_equal(x.fired, 0);
    set_now(*state, t0 + 20);
    assert_int_equal(x.fired, 1);
    timed_arm(&x, t0 + 30);
    x.want_at = 0;
    wr_timer_disarm(&x.timer);
    wr_timer_disarm(&x.timer);
    /* Nothing is armed, though the entry lies in the wheel: nobody need wake up. */
    assert_true(x.timer._slot_ms != 0);
    assert_int_equal(wr_loop_next_timer(*state), 0);
    set_now(*state, t0 + 30);
    assert_int_equal(x.fired, 1);
    wr_timer_fini(&x.timer);
    wr_timer_fini(&x.timer);
}

/* 10,000 timers, armed, re-armed and disarmed at random, against what must happen. */
static void test_many(void **state)
{
    enum {
        N = 10000
    };
    struct timed *x = wr_mem_alloc(N * sizeof(*x));
    uint64_t end;

    wr_rng_seed(7);
    for (int i = 0; i < N; i++) {
        timed_init(&x[i]);
    }
    for (int round = 0; round < 20; round++) {
        for (int k = 0; k < N / 4; k++) {
            struct timed *t = &x[wr_rng_below(N)];
            uint64_t span = 1ull << (1 + wr_rng_below(22));

            if (wr_rng_below(8) == 0) {
                wr_timer_disarm(&t->timer);
                t->want_at = 0;
            } else {
                timed_arm(t, wr_now_ms() + 1 + wr_rng_below(span));
            }
        }
        end = wr_now_ms() + wr_rng_below(20000);
        last_fired_at = 0;
        set_now(*state, end);
        turn_idle(*state, 200); /* more tasks than one budget */
        for (int i = 0; i < N; i++) {
            assert_true(x[i].want_at == 0 || x[i].want_at > end);
            assert_int_equal(wr_timer_is_armed(&x[i].timer), x[i].want_at != 0);
        }
    }
    for (int i = 0; i < N; i++) {
        wr_timer_fini(&x[i].timer);
    }
    assert_int_equal(wr_loop_next_timer(*state), 0);
    wr_mem_free(x);
}

/* next_timer is never later than the first timer, whatever was armed and moved. */
static void test_next_never_late(void **state)
{
    enum {
        N = 40
    };
    struct timed x[N];

    wr_rng_seed(11);
    for (int i = 0; i < N; i++) {
        timed_init(&x[i]);
    }
    for (int step = 0; step < 20000; step++) {
        struct timed *t = &x[wr_rng_below(N)];
        uint64_t least = UINT64_MAX, next;

        timed_arm(t, wr_now_ms() + 1 + wr_rng_below(1ull << (1 + wr_rng_below(18))));
        for (int i = 0; i < N; i++) {
            if (x[i].want_at != 0 && x[i].want_at < least) {
                least = x[i].want_at;
            }
        }
        next = wr_loop_next_timer(*state);
        assert_true(next != 0 && next <= least && next > wr_now_ms());
        last_fired_at = 0;
        set_now(*state, wr_rng_below(3) == 0 ? next : wr_now_ms() + wr_rng_below(20));
    }
    for (int i = 0; i < N; i++) {
        wr_timer_fini(&x[i].timer);
    }
}

static void test_deadline(void **state)
{
    (void)state;
    assert_false(wr_deadline_is_due(0, 100));
    assert_false(wr_deadline_is_due(101, 100));
    assert_true(wr_deadline_is_due(100, 100));
}

/* With the machine's clock: the wait ends in time, never early. */
static void test_real_wait(void **state)
{
    struct timed x;
    uint64_t began = wr_clock_mono_us(), at;

    (void)state;
    timed_init(&x);
    last_fired_at = 0;
    at = wr_now_ms() + 7;
    timed_arm(&x, at);
    for (int i = 0; i < 10 && x.fired == 0; i++) {
        wr_loop_turn(*state, -1);
    }
    assert_int_equal(x.fired, 1);
    assert_true(wr_clock_mono_us() / 1000 >= at);
    assert_true(wr_clock_mono_us() - began < 20 * 1000 * 1000);
    wr_timer_fini(&x.timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_past_and_now, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lazy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_next_never_late, setup, teardown),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test_setup_teardown(test_real_wait, setup_loop, teardown_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
