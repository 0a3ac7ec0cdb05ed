/* SPDX-License-Identifier: Apache-2.0 */
/* test_loop.c: the turn: order of tasks, graves, budget, spins and stalls, stop. */
#include "unit/event/looptest.h"

#include <time.h>

#include "base/slab.h"
#include "base/stat.h"
#include "event/grave.h"
#include "event/timer.h"

/* ---- order ---------------------------------------------------------------------------------- */

struct order_task {
    struct wr_task task;
    int id;
    struct order_task *wakes[2];
};

static int order_log[64];
static unsigned order_cnt;

static void run_order(struct wr_task *t)
{
    struct order_task *o = wr_container_of(t, struct order_task, task);

    order_log[order_cnt++] = o->id;
    for (int i = 0; i < 2; i++) {
        if (o->wakes[i]) {
            wr_task_wake(&o->wakes[i]->task);
        }
    }
}

static void test_fifo_breadth_first(void **state)
{
    struct order_task t[5] = {0};
    static const int want[] = {0, 1, 2, 3, 4};

    for (int i = 0; i < 5; i++) {
        wr_task_init(&t[i].task, run_order, "order");
        t[i].id = i;
    }
    /* 0 wakes 2 and 3, 1 wakes 3 (already queued) and 4: no chaining. */
    t[0].wakes[0] = &t[2];
    t[0].wakes[1] = &t[3];
    t[1].wakes[0] = &t[3];
    t[1].wakes[1] = &t[4];
    order_cnt = 0;
    wr_task_wake(&t[0].task);
    wr_task_wake(&t[1].task);
    wr_task_wake(&t[0].task);
    wr_loop_turn(*state, 0);
    assert_int_equal(order_cnt, 5);
    assert_memory_equal(order_log, want, sizeof(want));
}

static void test_cancel(void **state)
{
    struct count_task a, b;

    count_task_init(&a);
    count_task_init(&b);
    wr_task_wake(&a.task);
    wr_task_wake(&b.task);
    wr_task_cancel(&a.task);
    wr_task_cancel(&a.task);
    wr_loop_turn(*state, 0);
    assert_int_equal(a.runs, 0);
    assert_int_equal(b.runs, 1);
    wr_task_wake(&a.task);
    wr_loop_turn(*state, 0);
    assert_int_equal(a.runs, 1);
}

/* ---- graves --------------------------------------------------------------------------------- */

struct corpse {
    struct wr_task task;
    struct wr_grave grave;
    struct corpse *next;
    int id;
};

static int graves_log[8];
static unsigned graves_cnt;

static void free_corpse(struct wr_grave *g)
{
    struct corpse *c = wr_container_of(g, struct corpse, grave);

    graves_log[graves_cnt++] = c->id;
    if (c->next) {
        wr_grave_bury(&c->next->grave, free_corpse);
    }
    wr_slab_free(c, sizeof(*c));
}

static void run_corpse(struct wr_task *t)
{
    struct corpse *c = wr_container_of(t, struct corpse, task);

    wr_grave_bury(&c->grave, free_corpse);
    /* Still whole within this turn. */
    assert_int_equal(graves_cnt, 0);
    c->task._runs = 77;
}

static void test_graves(void **state)
{
    static const int want[] = {1, 2, 3};
    struct corpse *c[3];

    graves_cnt = 0;
    for (int i = 0; i < 3; i++) {
        c[i] = wr_slab_alloc(sizeof(*c[i]));
        c[i]->id = i + 1;
        wr_task_init(&c[i]->task, run_corpse, "corpse");
    }
    c[0]->next = c[2]; /* is buried by a grave's own function */
    wr_task_wake(&c[0]->task);
    wr_task_wake(&c[1]->task);
    wr_loop_turn(*state, 0);
    assert_int_equal(graves_cnt, 3);
    assert_memory_equal(graves_log, want, sizeof(want));
}

static void test_free_with_rest(void **state)
{
    struct corpse *c = wr_slab_alloc(sizeof(*c));
    struct count_task t;
    struct wr_loop *l;

    (void)state;
    setup_loop((void **)&l);
    graves_cnt = 0;
    c->id = 9;
    count_task_init(&t);
    wr_task_wake(&t.task);
    wr_grave_bury(&c->grave, free_corpse);
    wr_loop_free(l);
    assert_null(wr_loop_get());
    assert_int_equal(graves_cnt, 1);
    assert_int_equal(t.runs, 0);
    assert_false(t.task._is_queued);
}

/* ---- budget, spins, stalls ------------------------------------------------------------------ */

static void run_spinning(struct wr_task *t)
{
    wr_container_of(t, struct count_task, task)->runs++;
    wr_task_wake(t);
}

static void test_budget_and_spin(void **state)
{
    struct wr_loop *l = *state;
    uint64_t spins = wr_stat_sum(WR_CNT_TASK_SPINS);
    uint64_t runs = wr_stat_sum(WR_CNT_TASK_RUNS);
    struct count_task t;

    count_task_init(&t);
    t.task.run = run_spinning;
    t.task.name = "spinner";
    wr_task_wake(&t.task);
    /* The turn ends although the queue never gets empty, and the next one does not wait. */
    wr_loop_turn(l, -1);
    assert_int_equal(t.runs, 256);
    wr_loop_turn(l, -1);
    assert_int_equal(t.runs, 512);
    assert_int_equal(wr_stat_sum(WR_CNT_TASK_SPINS) - spins, 2);
    assert_int_equal(wr_stat_sum(WR_CNT_TASK_RUNS) - runs, 512);
    wr_task_cancel(&t.task);
}

static void run_slow(struct wr_task *t)
{
    struct timespec begin, now;
    long took_ms;

    wr_container_of(t, struct count_task, task)->runs++;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        took_ms = (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000;
    } while (took_ms < 300);
}

static void test_stall_is_named(void **state)
{
    struct wr_loop *l = *state;
    struct count_task slow, other;

    l->watchdog.limit_ms = 250; /* longer than a busy machine leaves a task of no work waiting */
    count_task_init(&slow);
    count_task_init(&other);
    slow.task.run = run_slow;
    slow.task.name = "slow one";
    other.task.name = "other one";
    /* Two in one batch: it is known that it stalled, not yet who. */
    wr_task_wake(&slow.task);
    wr_task_wake(&other.task);
    wr_loop_turn(l, 0);
    assert_int_equal(l->watchdog.stalls, 1);
    assert_null(l->watchdog.stall_name);
    /* From then on it looks closely. */
    wr_task_wake(&other.task);
    wr_task_wake(&slow.task);
    wr_task_wake(&other.task);
    wr_loop_turn(l, 0);
    assert_int_equal(l->watchdog.stalls, 2);
    assert_string_equal(l->watchdog.stall_name, "slow one");
    /* A lone task is named at once. */
    l->watchdog.close_looks = 0;
    l->watchdog.stall_name = NULL;
    wr_task_wake(&slow.task);
    wr_loop_turn(l, 0);
    assert_int_equal(l->watchdog.stalls, 3);
    assert_string_equal(l->watchdog.stall_name, "slow one");
}

static void run_stop(struct wr_task *t)
{
    (void)t;
    wr_loop_stop(wr_loop_get());
}

static void test_run_and_stop(void **state)
{
    struct wr_task t;
    struct wr_timer timer;

    wr_task_init(&t, run_stop, "stop");
    wr_timer_init(&timer, &t);
    wr_timer_arm(&timer, wr_now_ms() + 5);
    wr_loop_run(*state);
    wr_timer_fini(&timer);
}

/* Each allocation that loop_new makes fails once: no loop, no leak. */
static void test_new_without_memory(void **state)
{
    size_t before = wr_mem_in_use();
    struct wr_loop *l = NULL;

    (void)state;
    for (uint64_t n = 1; !l; n++) {
        struct wr_poll *p = wr_poll_epoll_new();

        assert_non_null(p);
        wr_mem_fault_set(n);
        l = wr_loop_new(p);
        wr_mem_fault_set(0);
        if (!l) {
            assert_null(wr_loop_get());
            assert_int_equal(wr_mem_in_use(), before);
        } else {
            assert_true(n > 4);
        }
    }
    wr_loop_free(l);
    assert_int_equal(wr_mem_in_use(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fifo_breadth_first, setup_loop, teardown_loop),
        cmocka_unit_test_setup_teardown(test_cancel, setup_loop, teardown_loop),
        cmocka_unit_test_setup_teardown(test_graves, setup_loop, teardown_loop),
        cmocka_unit_test(test_free_with_rest),
        cmocka_unit_test_setup_teardown(test_budget_and_spin, setup_loop, teardown_loop),
        cmocka_unit_test_setup_teardown(test_stall_is_named, setup_loop, teardown_loop),
        cmocka_unit_test_setup_teardown(test_run_and_stop, setup_loop, teardown_loop),
        cmocka_unit_test(test_new_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
