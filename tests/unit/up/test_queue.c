/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_queue.c: requests that wait for a slot (U2.3): order, bound, who leaves, what is not waited
 * for, two generations; then many threads: no wake is lost, no slot is given twice or lost.
 */
#include "unit/up/t.h"

#include <sched.h>

#include "base/clock.h"
#include "base/rng.h"
#include "event/loop.h"
#include "event/poll.h"
#include "event/thread.h"
#include "event/timer.h"
#include "up/queue.h"

enum {
    NOW = 1000000
};

/* --- one thread --- */

struct guest {
    struct wr_task task;
    struct wr_picker p;
    struct wr_peer_slot slot;
    struct wr_wait *wait;
    unsigned wakes;
};

static void note_wake(struct wr_task *t)
{
    wr_container_of(t, struct guest, task)->wakes++;
}

static int setup(void **state)
{
    wr_local_get()->thread_no = 0;
    *state = wr_loop_new(wr_poll_epoll_new());
    return *state == NULL;
}

static int teardown(void **state)
{
    wr_loop_free(*state);
    return 0;
}

static void enter(struct guest *g, const struct wr_members *m)
{
    *g = (struct guest){0};
    wr_task_init(&g->task, note_wake, "guest");
    assert_int_equal(wr_picker_init(&g->p, m, NULL, NULL), WR_OK);
}

/* Picks, or joins the queue. */
static void come(struct guest *g, const struct wr_members *m)
{
    enter(g, m);
    if (wr_pick(&g->p, NOW, 0, &g->slot) == WR_EOF) {
        assert_int_equal(wr_queue_join(&g->p, &g->task, &g->wait), WR_OK);
        assert_false(wr_queue_take(&g->wait, &g->slot));
        assert_int_equal(wr_pick(&g->p, NOW, 0, &g->slot), WR_EOF);
    }
}

/* Was it woken, and does it have a slot then? */
static bool has_slot(struct guest *g, struct wr_loop *l)
{
    wr_loop_turn(l, 0);
    return g->wakes > 0 && g->wait != NULL && wr_queue_take(&g->wait, &g->slot);
}

static struct world *full_world(uint32_t cnt, uint32_t max_conns)
{
    struct world *w = world_new(cnt);

    for (uint32_t i = 0; i < cnt; i++) {
        w->m.at[i].max_conns = max_conns;
    }
    w->m.queue_max = 3;
    return w;
}

static void first_come_first_served(void **state)
{
    struct world *w = full_world(1, 1);
    struct guest g[5], late;

    for (int i = 0; i < 4; i++) {
        come(&g[i], &w->m);
    }
    enter(&g[4], &w->m);
    assert_int_equal(wr_queue_join(&g[4].p, &g[4].task, &g[4].wait), WR_ELIMIT);
    for (int i = 0; i < 3; i++) {
        wr_peer_slot_release(&g[i].slot, WR_OUTCOME_OK, NOW);
        /* The slot is held for the next from now on: nobody overtakes. */
        enter(&late, &w->m);
        assert_int_equal(wr_pick(&late.p, NOW, 0, &late.slot), WR_EOF);
        assert_true(has_slot(&g[i + 1], *state));
        for (int k = i + 2; k < 4; k++) {
            assert_false(has_slot(&g[k], *state));
        }
    }
    wr_peer_slot_release(&g[3].slot, WR_OUTCOME_OK, NOW);
    assert_int_equal(wr_load_seq(&w->peers[0].active), 0);
    assert_int_equal(wr_load_seq(&w->group.queue.cnt), 0);
    world_free(w);
}

static void who_leaves_gives_on(void **state)
{
    struct world *w = full_world(1, 1);
    struct guest g[4];

    for (int i = 0; i < 4; i++) {
        come(&g[i], &w->m);
    }
    wr_queue_leave(&g[1].wait, NOW);
    assert_null(g[1].wait);
    wr_queue_leave(&g[1].wait, NOW);
    wr_peer_slot_release(&g[0].slot, WR_OUTCOME_OK, NOW);
    /* It was handed to g[2], which leaves before it looked. */
    wr_queue_leave(&g[2].wait, NOW);
    assert_true(has_slot(&g[3], *state));
    wr_peer_slot_release(&g[3].slot, WR_OUTCOME_OK, NOW);
    assert_int_equal(wr_load_seq(&w->peers[0].active), 0);
    wr_loop_turn(*state, 0); /* no guest is in the run queue any more */
    world_free(w);
}

/* A slot goes to the first who can use it: not to whoever tried that peer. */
static void tried_peers_are_not_handed(void **state)
{
    struct world *w = full_world(2, 1);
    struct guest holder, twice, other;

    come(&holder, &w->m); /* has 0 */
    enter(&twice, &w->m);
    assert_int_equal(wr_pick(&twice.p, NOW, 0, &twice.slot), WR_OK); /* 1 */
    assert_int_equal(twice.slot.member - w->m.at, 1);
    w->m.at[1].max_fails = 0;
    wr_peer_slot_release(&twice.slot, WR_OUTCOME_FAILED, NOW);
    come(&other, &w->m); /* 1 again */
    assert_int_equal(other.slot.member - w->m.at, 1);
    assert_int_equal(wr_pick(&twice.p, NOW, 0, &twice.slot), WR_EOF);
    assert_int_equal(wr_queue_join(&twice.p, &twice.task, &twice.wait), WR_OK);
    wr_peer_slot_release(&other.slot, WR_OUTCOME_OK, NOW);
    assert_false(has_slot(&twice, *state));
    wr_peer_slot_release(&holder.slot, WR_OUTCOME_OK, NOW);
    assert_true(has_slot(&twice, *state));
    assert_int_equal(twice.slot.member - w->m.at, 0);
    wr_picker_adopt(&twice.p, &twice.slot);
    wr_peer_slot_release(&twice.slot, WR_OUTCOME_OK, NOW);
    assert_int_equal(wr_pick(&twice.p, NOW, 0, &twice.slot), WR_EOF);
    world_free(w);
}

static void what_can_be_waited_for(void **state)
{
    struct world *w = full_world(4, 1);
    struct wr_picker p;
    struct wr_peer_slot s[2] = {{0}};
    uint64_t due = 7;

    (void)state;
    world_backup(w, 3);
    w->m.at[2].is_down = true;
    assert_int_equal(wr_picker_init(&p, &w->m, NULL, NULL), WR_OK);
    assert_int_equal(wr_pick(&p, NOW, 0, &s[0]), WR_OK);
    assert_true(wr_picker_can_wait(&p, NOW, &due));
    assert_int_equal(due, 0);
    assert_false(wr_picker_accepts(&p, 0));
    assert_true(wr_picker_accepts(&p, 1) && wr_picker_accepts(&p, 3));
    assert_false(wr_picker_accepts(&p, 2));
    /* 1 goes out: its time is told. */
    (void)wr_peer_account(&w->m.at[1], WR_OUTCOME_FAILED, NOW, NOW + 5, false);
    assert_true(wr_picker_can_wait(&p, NOW + 6, &due));
    assert_int_equal(due, NOW + 5 + 10000);
    assert_true(wr_picker_can_wait(&p, NOW + 5 + 10000, &due));
    assert_int_equal(due, 0);
    /* Over to the backup: primaries are not waited for any more. */
    wr_peer_slot_release(&s[0], WR_OUTCOME_FAILED, NOW + 6);
    assert_int_equal(wr_pick(&p, NOW + 6, 0, &s[1]), WR_OK);
    assert_int_equal(s[1].member - w->m.at, 3);
    assert_false(wr_picker_accepts(&p, 1));
    assert_false(wr_picker_can_wait(&p, NOW + 6, &due));
    wr_peer_slot_release(&s[1], WR_OUTCOME_OK, NOW + 6);
    world_free(w);
}

/* A peer that is back wakes all; one whose probe was given up is handed to one. */
static void health_wakes(void **state)
{
    struct world *w = full_world(2, 0);
    struct guest probe, g[3];
    uint64_t t = NOW + 10000;

    w->m.at[1].is_down = true;
    (void)wr_peer_account(&w->m.at[0], WR_OUTCOME_FAILED, NOW, NOW, false);
    enter(&probe, &w->m);
    assert_int_equal(wr_pick(&probe.p, t, 0, &probe.slot), WR_OK);
    assert_true(probe.slot.is_probe);
    for (int i = 0; i < 3; i++) {
        come(&g[i], &w->m);
    }
    wr_peer_slot_release(&probe.slot, WR_OUTCOME_NEUTRAL, t + 1);
    assert_true(has_slot(&g[0], *state));
    assert_true(g[0].slot.is_probe);
    assert_int_equal(g[1].wakes + g[2].wakes, 0);
    wr_peer_slot_release(&g[0].slot, WR_OUTCOME_OK, t + 2);
    wr_loop_turn(*state, 0);
    for (int i = 1; i < 3; i++) {
        assert_true(g[i].wakes > 0);
        if (!wr_queue_take(&g[i].wait, &g[i].slot)) {
            assert_int_equal(wr_pick(&g[i].p, t + 3, 0, &g[i].slot), WR_OK);
            wr_queue_leave(&g[i].wait, t + 3);
        }
        wr_peer_slot_release(&g[i].slot, WR_OUTCOME_OK, t + 3);
    }
    assert_int_equal(wr_load_seq(&w->peers[0].active), 0);
    wr_loop_turn(*state, 0); /* no guest is in the run queue any more */
    world_free(w);
}

/* A reload: the same peers in another order, and one is gone. */
static void generations_share_the_queue(void **state)
{
    struct world *w = full_world(3, 1), *old = full_world(3, 1);
    struct guest g[3], waiting;

    old->m.group = &w->group;
    for (uint32_t i = 0; i < 3; i++) {
        old->m.at[i].peer = &w->peers[2 - i];
    }
    old->m.at[0].peer = &old->peers[0]; /* the new list has it not */
    old->m.at[0].is_down = true;
    for (int i = 0; i < 3; i++) {
        come(&g[i], &w->m);
    }
    come(&waiting, &old->m);
    assert_non_null(waiting.wait);
    wr_peer_slot_release(&g[2].slot, WR_OUTCOME_OK, NOW);
    assert_false(has_slot(&waiting, *state));
    wr_peer_slot_release(&g[1].slot, WR_OUTCOME_OK, NOW);
    assert_true(has_slot(&waiting, *state));
    assert_ptr_equal(waiting.slot.member->peer, &w->peers[1]);
    assert_ptr_equal(waiting.slot.members, &old->m);
    wr_peer_slot_release(&waiting.slot, WR_OUTCOME_OK, NOW);
    wr_peer_slot_release(&g[0].slot, WR_OUTCOME_OK, NOW);
    world_free(old);
    world_free(w);
}

static void no_memory(void **state)
{
    struct world *w = full_world(1, 1);
    struct guest g;

    (void)state;
    enter(&g, &w->m);
    wr_mem_fault_set(1);
    assert_int_equal(wr_queue_join(&g.p, &g.task, &g.wait), WR_ENOMEM);
    wr_mem_fault_set(0);
    assert_int_equal(wr_load_seq(&w->group.queue.cnt), 0);
    world_free(w);
}

/* --- many threads --- */

enum {
    THREADS = 4,
    GUESTS = 12, /* a thread */
    ROUNDS = 80,
    PEERS = 3
};

struct crowd {
    struct world *w;
    unsigned outcomes; /* how many of enum wr_outcome are drawn from */
    wr_atomic_u32 inside[PEERS], crowded, waited, done;
};

struct house;

struct visitor {
    struct wr_task task;
    struct wr_timer timer;
    struct wr_picker p;
    struct wr_peer_slot slot;
    struct wr_wait *wait;
    unsigned rounds;
    bool is_impatient;
    struct house *house;
};

struct house {
    struct wr_thread thread;
    struct crowd *c;
    struct visitor at[GUESTS];
    unsigned left;
};

static void start_round(struct visitor *v)
{
    if (wr_picker_init(&v->p, &v->house->c->w->m, NULL, NULL) != WR_OK) {
        wr_add_rlx(&v->house->c->crowded, 1);
    }
    v->is_impatient = wr_rng_below(16) == 0;
}

/* Has a slot: no more than max_conns are inside at a time. */
static void go_in(struct visitor *v)
{
    struct crowd *c = v->house->c;
    uint32_t i = (uint32_t)(v->slot.member - c->w->m.at);

    wr_timer_disarm(&v->timer);
    if (wr_add_seq(&c->inside[i], 1) >= c->w->m.at[i].max_conns) {
        wr_add_rlx(&c->crowded, 1);
    }
    wr_task_wake(&v->task);
}

static void go_out(struct visitor *v)
{
    struct crowd *c = v->house->c;

    wr_sub_seq(&c->inside[v->slot.member - c->w->m.at], 1);
    wr_peer_slot_release(&v->slot, (enum wr_outcome)wr_rng_below(c->outcomes), wr_now_ms());
    wr_add_rlx(&c->done, 1);
    if (--v->rounds == 0) {
        wr_timer_fini(&v->timer);
        if (--v->house->left == 0) {
            wr_loop_stop(wr_loop_get());
        }
        return;
    }
    start_round(v);
    wr_task_wake(&v->task);
}

/* As the engine does it (U2.3): join, pick again, wait for a wake or for a peer that is due. */
static void stay(struct visitor *v)
{
    uint64_t due = 0;
    enum wr_status st = wr_pick(&v->p, wr_now_ms(), v->house->thread.no, &v->slot);

    if (st == WR_EOF && v->wait == NULL) {
        if (!wr_picker_can_wait(&v->p, wr_now_ms(), &due) ||
            wr_queue_join(&v->p, &v->task, &v->wait) != WR_OK) {
            wr_task_wake(&v->task); /* the queue is full: once more */
            return;
        }
        wr_add_rlx(&v->house->c->waited, 1);
        st = wr_pick(&v->p, wr_now_ms(), v->house->thread.no, &v->slot);
        if (v->is_impatient) {
            wr_task_wake(&v->task);
        }
    }
    if (st == WR_OK) {
        wr_queue_leave(&v->wait, wr_now_ms());
        go_in(v);
    } else if (wr_picker_can_wait(&v->p, wr_now_ms(), &due) && due != 0) {
        wr_timer_arm(&v->timer, due);
    }
}

static void run_visitor(struct wr_task *t)
{
    struct visitor *v = wr_container_of(t, struct visitor, task);

    if (v->rounds == 0) {
        return;
    }
    if (v->slot.member != NULL) {
        go_out(v);
    } else if (v->wait != NULL && wr_queue_take(&v->wait, &v->slot)) {
        wr_picker_adopt(&v->p, &v->slot);
        go_in(v);
    } else if (v->wait != NULL && v->is_impatient) {
        wr_queue_leave(&v->wait, wr_now_ms());
        start_round(v);
        wr_task_wake(&v->task);
    } else {
        stay(v);
    }
}

static void run_house(void *data)
{
    struct house *h = data;
    struct wr_loop *l = wr_loop_new(wr_poll_epoll_new());

    wr_clock_update();
    h->left = GUESTS;
    for (unsigned i = 0; i < GUESTS; i++) {
        struct visitor *v = &h->at[i];

        v->house = h;
        v->rounds = ROUNDS;
        wr_task_init(&v->task, run_visitor, "visitor");
        wr_timer_init(&v->timer, &v->task);
        start_round(v);
        wr_task_wake(&v->task);
    }
    wr_loop_run(l); /* for ever if a wake is lost: the runner's time limit would tell */
    wr_loop_free(l);
}

static void threads_lose_no_wake(void **state)
{
    static const struct {
        const char *name;
        uint32_t max_conns, max_fails, queue_max;
        unsigned outcomes;
        bool has_zone;
    } rows[] = {
        {"slots only",     1, 0, 1000, 1, false},
        {"a short queue",  2, 0, 8,    1, false},
        {"with failures",  1, 1, 1000, 4, false},
        {"with a zone",    1, 1, 1000, 4, true },
        {"more than fail", 2, 3, 1000, 4, false},
    };

    (void)state;
    for (size_t r = 0; r < WR_ARRAY_LEN(rows); r++) {
        struct crowd c = {.w = world_new(PEERS), .outcomes = rows[r].outcomes};
        struct house *h = wr_mem_alloc(THREADS * sizeof(*h));

        c.w->m.queue_max = rows[r].queue_max;
        c.w->m.has_zone = rows[r].has_zone;
        for (uint32_t i = 0; i < PEERS; i++) {
            c.w->m.at[i].max_conns = rows[r].max_conns;
            c.w->m.at[i].max_fails = rows[r].max_fails;
            c.w->m.at[i].fail_timeout_ms = 2;
        }
        for (unsigned i = 0; i < THREADS; i++) {
            h[i].c = &c;
            assert_int_equal(wr_thread_start(&h[i].thread, i, "house", run_house, &h[i]), WR_OK);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            wr_thread_join(&h[i].thread);
        }
        print_message("  %s: %u of %u waited\n", rows[r].name, (unsigned)wr_load_rlx(&c.waited),
                      (unsigned)wr_load_rlx(&c.done));
        assert_int_equal(wr_load_rlx(&c.crowded), 0);
        assert_int_equal(wr_load_rlx(&c.done), THREADS * GUESTS * ROUNDS);
        assert_true(wr_load_rlx(&c.waited) > 0);
        assert_int_equal(wr_load_seq(&c.w->group.queue.cnt), 0);
        assert_true(wr_list_is_empty(&c.w->group.queue.waiters));
        for (uint32_t i = 0; i < PEERS; i++) {
            assert_int_equal(wr_load_seq(&c.w->peers[i].active), 0);
        }
        wr_mem_free(h);
        world_free(c.w);
    }
}

/*
 * The one moment that matters, many times: the only slot becomes free on one thread while another
 * begins to wait, and nothing else happens that could wake it.
 */
enum {
    MEETINGS = 20000
};

struct meeting {
    struct wr_thread thread;
    struct world *w;
    wr_atomic_u32 came;
    struct wr_peer_slot held;
};

/* Both go on within a few ns of each other, where there are two CPUs. */
static void meet(struct meeting *m, uint32_t no)
{
    uint32_t n = 0;

    wr_add_seq(&m->came, 1);
    while (wr_load_seq(&m->came) < 2 * no) {
        if (++n % 4096 == 0) {
            (void)sched_yield();
        }
    }
}

static void spin(uint64_t most)
{
    static wr_atomic_u32 word;

    for (uint64_t n = wr_rng_below(most); n > 0; n--) {
        (void)wr_load_seq(&word);
    }
}

static void give_back(void *data)
{
    struct meeting *m = data;

    for (uint32_t i = 1; i <= MEETINGS; i++) {
        meet(m, 2 * i - 1);
        spin(1000);
        wr_peer_slot_release(&m->held, WR_OUTCOME_OK, NOW);
        meet(m, 2 * i);
    }
}

static bool gets_it(struct guest *g, struct wr_loop *l, unsigned *ret_joined)
{
    if (wr_pick(&g->p, NOW, 0, &g->slot) == WR_OK) {
        return true;
    }
    ++*ret_joined;
    if (wr_queue_join(&g->p, &g->task, &g->wait) != WR_OK) {
        return false;
    }
    if (wr_pick(&g->p, NOW, 0, &g->slot) == WR_OK) {
        wr_queue_leave(&g->wait, NOW);
        return true;
    }
    for (int i = 0; i < 20; i++) {
        if (has_slot(g, l)) {
            return true;
        }
        wr_loop_turn(l, 50);
    }
    return false;
}

static void a_wake_is_never_lost(void **state)
{
    struct meeting m = {.w = full_world(1, 1)};
    unsigned lost = 0, joined = 0;

    assert_int_equal(wr_thread_start(&m.thread, 1, "giver", give_back, &m), WR_OK);
    for (uint32_t i = 1; i <= MEETINGS; i++) {
        struct guest first, g;

        come(&first, &m.w->m);
        m.held = first.slot;
        enter(&g, &m.w->m);
        meet(&m, 2 * i - 1);
        spin(100);
        lost += lost < 3 && !gets_it(&g, *state, &joined); /* enough of waiting in vain */
        meet(&m, 2 * i);
        wr_loop_turn(*state, 0); /* mail for who needed none */
        wr_queue_leave(&g.wait, NOW);
        wr_peer_slot_release(&g.slot, WR_OUTCOME_OK, NOW);
    }
    wr_thread_join(&m.thread);
    print_message("  %u of %u waited\n", joined, (unsigned)MEETINGS);
    assert_int_equal(lost, 0);
    assert_int_equal(wr_load_seq(&m.w->peers[0].active), 0);
    world_free(m.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_come_first_served),
                                       cmocka_unit_test(who_leaves_gives_on),
                                       cmocka_unit_test(tried_peers_are_not_handed),
                                       cmocka_unit_test(what_can_be_waited_for),
                                       cmocka_unit_test(health_wakes),
                                       cmocka_unit_test(generations_share_the_queue),
                                       cmocka_unit_test(no_memory),
                                       cmocka_unit_test(a_wake_is_never_lost),
                                       cmocka_unit_test(threads_lose_no_wake)};

    return cmocka_run_group_tests_name("up/queue", tests, setup, teardown);
}
