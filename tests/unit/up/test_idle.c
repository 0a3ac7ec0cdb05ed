/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_idle.c: parked connections (U10) with a codec that is none, on simulated time: last in first
 * out, the cap, expiry, who may reuse what, dead ones, the end of a thread, and that a group lives
 * as long as something of it is parked.
 */
#include "unit/up/t.h"

#include "base/clock.h"
#include "base/local.h"
#include "event/timer.h"
#include "sim/sim.h"
#include "up/idle.h"

struct fake {
    struct wr_pconn pc; /* first */
    unsigned closed;
    enum wr_reason why;
};

static void close_fake(struct wr_pconn *pc, enum wr_reason why)
{
    struct fake *f = wr_container_of(pc, struct fake, pc);

    f->closed++;
    f->why = why;
    pc->state = WR_PCONN_CLOSED;
}

static const struct wr_codec fake_codec = {.name = "fake", .close = close_fake};

struct env {
    struct sim *sim;
    struct wr_fixtures fixtures;
    struct wr_gen *gen;
    struct world *w;
    struct wr_task user;
    struct fake at[8];
    size_t mem;
};

static void run_user(struct wr_task *t)
{
    (void)t;
}

static struct env *begin(void)
{
    struct env *e;

    (void)wr_local_get();
    e = wr_mem_alloc(sizeof(*e));
    e->mem = wr_mem_in_use();
    e->sim = sim_new(&(struct sim_conf){.seed = 1});
    wr_fixtures_init(&e->fixtures);
    e->gen = wr_gen_new(1, 0);
    e->w = world_new(2);
    assert_int_equal(wr_idle_group_get(&e->fixtures, e->gen, WR_STR("g"), &e->w->m.group), WR_OK);
    e->w->m.keepalive = 3;
    e->w->m.keepalive_requests = 1000;
    e->w->m.keepalive_time_ms = 3600000;
    e->w->m.keepalive_timeout_ms = 60000;
    wr_task_init(&e->user, run_user, "user");
    for (size_t i = 0; i < WR_ARRAY_LEN(e->at); i++) {
        e->at[i].pc = (struct wr_pconn){
            .codec = &fake_codec, .state = WR_PCONN_READY, .since_ms = wr_now_ms()};
    }
    return e;
}

static void put(struct env *e, unsigned i, unsigned member, uint64_t identity)
{
    wr_idle_put(&e->w->m, &e->w->m.at[member], identity, &e->at[i].pc);
}

/* Index of what was taken, -1: none. */
static int take(struct env *e, unsigned member, uint64_t identity)
{
    struct wr_pconn *pc = wr_idle_take(&e->w->m, e->w->m.at[member].peer, identity, &e->user);

    if (pc == NULL) {
        return -1;
    }
    assert_ptr_equal(pc->user, &e->user);
    return (int)(wr_container_of(pc, struct fake, pc) - e->at);
}

static void finish(struct env *e)
{
    wr_idle_thread_end();
    assert_int_equal(wr_idle_thread_cnt(), 0);
    wr_gen_unref(e->gen);
    wr_fixtures_fini(&e->fixtures);
    world_free(e->w);
    sim_free(e->sim);
    assert_int_equal(wr_mem_in_use(), e->mem);
    wr_mem_free(e);
}

static void last_in_first_out(void **state)
{
    struct env *e = begin();

    (void)state;
    assert_int_equal(take(e, 0, 0), -1);
    put(e, 0, 0, 0);
    put(e, 1, 0, 0);
    put(e, 2, 0, 0);
    assert_int_equal(wr_idle_thread_cnt(), 3);
    assert_int_equal(take(e, 0, 0), 2);
    put(e, 2, 0, 0);
    assert_int_equal(take(e, 0, 0), 2);
    assert_int_equal(take(e, 0, 0), 1);
    assert_int_equal(take(e, 0, 0), 0);
    assert_int_equal(take(e, 0, 0), -1);
    assert_int_equal(wr_idle_thread_cnt(), 0);
    finish(e);
}

static void the_cap_drops_the_oldest(void **state)
{
    struct env *e = begin();

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        put(e, i, i % 2, 0);
    }
    assert_int_equal(wr_idle_thread_cnt(), 3);
    assert_int_equal(e->at[0].closed, 1);
    assert_int_equal(e->at[1].closed, 1);
    assert_int_equal(e->at[2].closed, 0);
    assert_null(e->at[0].pc.user);
    finish(e);
    /* The rest ended with the thread: finish looks at the counts. */
}

/* U10.4: the same peer, the same identity. */
/* Peers that requests name: few to each, and what all may have is shared by the threads. */
static void few_for_each_named_peer(void **state)
{
    struct env *e = begin();

    (void)state;
    e->w->m.keepalive = 12;
    e->w->m.keepalive_each = 2;
    wr_idle_set_threads(4);
    put(e, 0, 0, 0);
    put(e, 1, 0, 7);
    put(e, 2, 0, 0);
    assert_int_equal(e->at[0].closed + e->at[1].closed + e->at[2].closed, 0);
    put(e, 3, 0, 0); /* identities differ, and so do their buckets: each has its two */
    assert_int_equal(e->at[0].closed, 1);
    put(e, 4, 1, 0); /* 12 / 4 */
    assert_int_equal(e->at[1].closed, 1);
    assert_int_equal(wr_idle_thread_cnt(), 3);
    assert_int_equal(take(e, 0, 0), 3);
    assert_int_equal(take(e, 0, 0), 2);
    assert_int_equal(take(e, 1, 0), 4);
    wr_idle_set_threads(1);
    finish(e);
}

static void only_the_same_is_reused(void **state)
{
    struct env *e = begin();

    (void)state;
    put(e, 0, 0, 5);
    put(e, 1, 1, 5);
    put(e, 2, 0, 9);
    assert_int_equal(take(e, 1, 9), -1);
    assert_int_equal(take(e, 0, 6), -1);
    assert_int_equal(take(e, 0, 9), 2);
    assert_int_equal(take(e, 0, 9), -1);
    assert_int_equal(take(e, 1, 5), 1);
    assert_int_equal(take(e, 0, 5), 0);
    /* peer 1 (id 2) with identity 3 and peer 0 (id 1) with identity 0 fall into one bucket */
    put(e, 0, 1, 3);
    put(e, 1, 0, 0);
    assert_int_equal(take(e, 0, 0), 1);
    assert_int_equal(take(e, 1, 3), 0);
    finish(e);
}

static void time_ends_them(void **state)
{
    struct env *e = begin();

    (void)state;
    put(e, 0, 0, 0);
    (void)sim_run_for(e->sim, 30000);
    put(e, 1, 0, 0);
    (void)sim_run_for(e->sim, 29999);
    assert_int_equal(e->at[0].closed, 0);
    (void)sim_run_for(e->sim, 2);
    assert_int_equal(e->at[0].closed, 1);
    assert_int_equal(e->at[1].closed, 0);
    (void)sim_run_for(e->sim, 30000);
    assert_int_equal(e->at[1].closed, 1);
    assert_int_equal(wr_idle_thread_cnt(), 0);
    /* A new one after the stash has ended. */
    put(e, 2, 0, 0);
    assert_int_equal(take(e, 0, 0), 2);
    put(e, 2, 0, 0);
    (void)sim_run_for(e->sim, 60001);
    assert_int_equal(e->at[2].closed, 1);
    finish(e);
}

static void what_is_not_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct env *e = begin();

        sim_jump(e->sim, 10);
        (void)wr_clock_update();
        e->at[0].pc.served = 999;
        if (i == 0) {
            e->w->m.keepalive = 0;
        } else if (i == 1) {
            e->at[0].pc.served = 1000;
        } else if (i == 2) {
            e->w->m.keepalive_time_ms = 10;
        } else if (i == 3) {
            e->w->m.keepalive_timeout_ms = 0;
        } else {
            e->at[0].pc.state = WR_PCONN_CLOSED;
        }
        put(e, 0, 0, 0);
        if (e->at[0].closed != 1) {
            print_error("case %d\n", i);
        }
        assert_int_equal(e->at[0].closed, 1);
        assert_int_equal(wr_idle_thread_cnt(), 0);
        assert_int_equal(take(e, 0, 0), -1);
        finish(e);
    }
}

/* U10.2: the codec saw the end: it wakes the entry, which goes; before that it is not handed out
 * either. */
static void dead_ones_are_dropped(void **state)
{
    struct env *e = begin();

    (void)state;
    put(e, 0, 0, 0);
    put(e, 1, 0, 0);
    e->at[1].pc.state = WR_PCONN_CLOSED;
    wr_task_wake(e->at[1].pc.user);
    (void)sim_run_for(e->sim, 0);
    assert_int_equal(e->at[1].closed, 1);
    assert_int_equal(wr_idle_thread_cnt(), 1);
    put(e, 2, 0, 0);
    e->at[2].pc.state = WR_PCONN_CLOSED;
    assert_int_equal(take(e, 0, 0), 0);
    assert_int_equal(e->at[2].closed, 1);
    /* A wake without an end means nothing. */
    put(e, 0, 0, 0);
    wr_task_wake(e->at[0].pc.user);
    (void)sim_run_for(e->sim, 0);
    assert_int_equal(e->at[0].closed, 0);
    finish(e);
}

static void no_memory_closes(void **state)
{
    struct env *e = begin();
    uint32_t no = WR_MIN(wr_local_get()->thread_no, WR_THREADS_MAX - 1u);

    (void)state;
    wr_mem_fault_set(1);
    put(e, 0, 0, 0);
    wr_mem_fault_set(0);
    assert_int_equal(e->at[0].closed, 1);
    assert_int_equal(e->at[0].why, WR_REASON_NOMEM);
    assert_int_equal(wr_idle_thread_cnt(), 0);
    /* Nothing is left that holds the group. */
    assert_null(e->w->m.group->stashes[no]);
    put(e, 1, 0, 0);
    /* The stash is there: nothing more is needed. */
    wr_mem_fault_set(1);
    put(e, 2, 0, 0);
    wr_mem_fault_set(0);
    assert_int_equal(take(e, 0, 0), 2);
    assert_int_equal(take(e, 0, 0), 1);
    finish(e);
}

/* What the peer said on the connection: it is given up a quarter, at most a second, earlier. */
static void said_life_binds(void **state)
{
    static const uint32_t table[][2] = {
        {0,       60000},
        {1,       0    },
        {1000,    750  },
        {5000,    4000 },
        {3600000, 60000},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(table); i++) {
        struct env *e = begin();

        e->at[0].pc.idle_said_ms = table[i][0];
        put(e, 0, 0, 0);
        assert_int_equal(e->at[0].closed, table[i][1] == 0);
        if (table[i][1] != 0) {
            (void)sim_run_for(e->sim, table[i][1] - 1);
            assert_int_equal(e->at[0].closed, 0);
            (void)sim_run_for(e->sim, 2);
            assert_int_equal(e->at[0].closed, 1);
        }
        finish(e);
    }
}

/* The peer closes what idles for a second, again and again: known, it is not met any more. */
static void seen_life_binds(void **state)
{
    struct env *e = begin();

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        put(e, i, 0, 0);
        (void)sim_run_for(e->sim, 1000);
        assert_int_equal(e->at[i].closed, 0);
        e->at[i].pc.state = WR_PCONN_CLOSED;
        wr_task_wake(e->at[i].pc.user);
        (void)sim_run_for(e->sim, 0);
        assert_int_equal(e->at[i].closed, 1);
    }
    put(e, 3, 0, 0);
    put(e, 4, 1, 0); /* another peer */
    (void)sim_run_for(e->sim, 749);
    assert_int_equal(e->at[3].closed, 0);
    (void)sim_run_for(e->sim, 2);
    assert_int_equal(e->at[3].closed, 1);
    assert_int_equal(e->at[4].closed, 0);
    /* Parked before it was known: not handed out behind that age either. */
    wr_lives_fini(&e->w->m.group->lives);
    put(e, 5, 0, 0);
    (void)sim_run_for(e->sim, 800);
    for (unsigned i = 0; i < 3; i++) {
        wr_lives_see(&e->w->m.group->lives, 2, e->w->m.at[0].peer->id, 1000,
                     wr_now_ms() - 1000 + i * 400);
    }
    assert_int_equal(take(e, 0, 0), -1);
    assert_int_equal(e->at[5].closed, 1);
    finish(e);
}

/* Each has a time of its own: the one that ends first was not parked first. */
static void times_of_their_own(void **state)
{
    struct env *e = begin();

    (void)state;
    put(e, 0, 0, 0);
    e->at[1].pc.idle_said_ms = 10000;
    put(e, 1, 0, 0);
    e->at[2].pc.idle_said_ms = 2000;
    put(e, 2, 0, 0);
    (void)sim_run_for(e->sim, 1501);
    assert_int_equal(e->at[2].closed, 1);
    assert_int_equal(e->at[1].closed, 0);
    (void)sim_run_for(e->sim, 7500);
    assert_int_equal(e->at[1].closed, 1);
    assert_int_equal(e->at[0].closed, 0);
    (void)sim_run_for(e->sim, 51000);
    assert_int_equal(e->at[0].closed, 1);
    finish(e);
}

static struct env *due_env;

/* The stash's timer has fired, its task waits behind this one. */
static void put_without_memory(struct wr_task *t)
{
    (void)t;
    wr_mem_fault_set(1);
    put(due_env, 1, 0, 0);
    wr_mem_fault_set(0);
}

static void no_memory_while_the_timer_is_due(void **state)
{
    struct env *e = begin();
    struct wr_task due;
    struct wr_timer timer;

    (void)state;
    due_env = e;
    wr_task_init(&due, put_without_memory, "due");
    wr_timer_init(&timer, &due);
    wr_timer_arm(&timer, wr_now_ms() + e->w->m.keepalive_timeout_ms);
    put(e, 0, 0, 0);
    (void)sim_run_for(e->sim, e->w->m.keepalive_timeout_ms + 1);
    /* The one whose time was over went; the other needed no memory. */
    assert_int_equal(e->at[0].closed, 1);
    assert_int_equal(e->at[1].closed, 0);
    assert_int_equal(take(e, 0, 0), 1);
    assert_int_equal(wr_idle_thread_cnt(), 0);
    wr_timer_fini(&timer);
    finish(e);
}

/* A group that no generation names lives until its last connection is gone, and not longer (U10.5).
 */
static void stashes_hold_their_group(void **state)
{
    struct env *e = begin();
    struct wr_group *again = NULL;

    (void)state;
    put(e, 0, 0, 0);
    wr_gen_unref(e->gen);
    assert_int_equal(wr_fixtures_sweep(&e->fixtures), 0);
    e->gen = wr_gen_new(2, 0);
    assert_int_equal(wr_idle_group_get(&e->fixtures, e->gen, WR_STR("g"), &again), WR_OK);
    assert_ptr_equal(again, e->w->m.group);
    assert_int_equal(take(e, 0, 0), 0); /* warm over the reload */
    put(e, 0, 0, 0);
    wr_gen_unref(e->gen);
    e->gen = NULL;
    (void)sim_run_for(e->sim, 60001);
    assert_int_equal(e->at[0].closed, 1);
    assert_int_equal(wr_fixtures_sweep(&e->fixtures), 1);
    finish(e);
}

static void the_end_of_a_thread_closes_all(void **state)
{
    struct env *e = begin();

    (void)state;
    wr_idle_thread_end(); /* nothing yet */
    put(e, 0, 0, 0);
    put(e, 1, 1, 7);
    wr_idle_thread_end();
    assert_int_equal(e->at[0].closed, 1);
    assert_int_equal(e->at[1].closed, 1);
    assert_int_equal(wr_idle_thread_cnt(), 0);
    finish(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_in_first_out),
        cmocka_unit_test(the_cap_drops_the_oldest),
        cmocka_unit_test(few_for_each_named_peer),
        cmocka_unit_test(only_the_same_is_reused),
        cmocka_unit_test(time_ends_them),
        cmocka_unit_test(what_is_not_kept),
        cmocka_unit_test(dead_ones_are_dropped),
        cmocka_unit_test(said_life_binds),
        cmocka_unit_test(seen_life_binds),
        cmocka_unit_test(times_of_their_own),
        cmocka_unit_test(no_memory_closes),
        cmocka_unit_test(no_memory_while_the_timer_is_due),
        cmocka_unit_test(stashes_hold_their_group),
        cmocka_unit_test(the_end_of_a_thread_closes_all),
    };

    return cmocka_run_group_tests_name("up/idle", tests, NULL, NULL);
}
