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
        assert_false(wr_queue_take(&g->wait, NOW, &g->slot));
        assert_int_equal(wr_pick(&g->p, NOW, 0, &g->slot), WR_EOF);
    }
}

/* Was it woken, and does it have a slot then? */
static bool has_slot(struct guest *g, struct wr_loop *l)
{
    wr_loop_turn(l, 0);
    return g->wakes > 0 && g->wait != NULL && wr_queue_take(&g->wait, NOW, &g->slot);
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
        if (!wr_queue_take(&g[i].wait, t + 3, &g[i].slot)) {
            assert_int_equal(wr_pick(&g[i].p, t + 3, 0, &g[i].slot), WR_OK);
            wr_queue_leave(&g[i].wait, t + 3);
        }
        wr_peer_slot_release(&g[i].slot, WR_OUTCOME_OK, t + 3);
    }
    assert_int_equal(wr_load_seq(&w->peers[0].active), 0);
    wr_loop_turn(*state, 0); /* no guest is in the run queue any more */
    world_free(w);
}

/* U2.2, U2.3: a peer that was full goes out. Nobody else may come to probe it: who waits learns the
 * time. */
static void who_waits_learns_that_a_peer_is_out(void **state)
{
    struct world *w = full_world(2, 1);
    struct guest holder, g[2];
    uint64_t due;

    w->m.at[1].is_down = true;
    come(&holder, &w->m);
    for (int i = 0; i < 2; i++) {
        come(&g[i], &w->m);
        assert_true(wr_picker_can_wait(&g[i].p, NOW, &due));
        assert_int_equal(due, 0); /* full: a slot tells */
    }
    wr_peer_slot_release(&holder.slot, WR_OUTCOME_FAILED, NOW);
    for (int i = 0; i < 2; i++) {
        assert_false(has_slot(&g[i], *state));
        assert_int_equal(g[i].wakes, 1);
        assert_true(wr_picker_can_wait(&g[i].p, NOW, &due));
        assert_int_equal(due, NOW + 10000);
    }
    /* Then: one probes, and fails; the other learns the new time. */
    assert_false(wr_queue_take(&g[0].wait, due, &g[0].slot));
    assert_int_equal(wr_pick(&g[0].p, due, 0, &g[0].slot), WR_OK);
    assert_true(g[0].slot.is_probe);
    wr_queue_leave(&g[0].wait, due);
    assert_false(wr_queue_take(&g[1].wait, due, &g[1].slot));
    assert_int_equal(wr_pick(&g[1].p, due, 0, &g[1].slot), WR_EOF);
    wr_peer_slot_release(&g[0].slot, WR_OUTCOME_FAILED, due + 20000);
    assert_false(has_slot(&g[1], *state));
    assert_int_equal(g[1].wakes, 2);
    wr_queue_leave(&g[1].wait, NOW);
    world_free(w);
}

/* Who does not want that peer sleeps on, and so do all while it is not out. */
static void failures_wake_no_more_than_they_must(void **state)
{
    struct world *w = full_world(2, 1);
    struct guest holder[2], twice, g;

    w->m.at[1].max_fails = 2;
    come(&holder[0], &w->m);
    enter(&twice, &w->m);
    assert_int_equal(wr_pick(&twice.p, NOW, 0, &twice.slot), WR_OK); /* 1 */
    wr_peer_slot_release(&twice.slot, WR_OUTCOME_NEUTRAL, NOW);
    come(&holder[1], &w->m); /* 1 again */
    assert_int_equal(wr_queue_join(&twice.p, &twice.task, &twice.wait), WR_OK);
    come(&g, &w->m);
    assert_false(wr_picker_accepts(&twice.p, 1));
    wr_peer_slot_release(&holder[1].slot, WR_OUTCOME_FAILED, NOW); /* once: g gets it */
    assert_true(has_slot(&g, *state));
    assert_int_equal(twice.wakes, 0);
    wr_peer_slot_release(&g.slot, WR_OUTCOME_FAILED, NOW); /* it is out now */
    wr_loop_turn(*state, 0);
    assert_int_equal(twice.wakes, 0);
    wr_peer_slot_release(&holder[0].slot, WR_OUTCOME_FAILED, NOW);
    wr_loop_turn(*state, 0);
    assert_int_equal(twice.wakes, 1);
    wr_queue_leave(&twice.wait, NOW);
    world_free(w);
}

/* Clocks of threads differ by a turn: one finds the peer due and full, by the clock of who gives
 * the slot back it is not due yet. */
static void a_slot_is_handed_by_the_clock_of_who_waits(void **state)
{
    struct world *w = full_world(2, 2);
    struct guest old[2], g;
    uint64_t due = NOW + 10000, at;

    w->m.at[1].is_down = true;
    come(&old[0], &w->m);
    come(&old[1], &w->m);
    (void)wr_peer_account(&w->m.at[0], WR_OUTCOME_FAILED, NOW, NOW, false); /* a third one */
    come(&g, &w->m);
    assert_false(wr_queue_take(&g.wait, due, &g.slot));
    assert_int_equal(wr_pick(&g.p, due, 0, &g.slot), WR_EOF);
    assert_true(wr_picker_can_wait(&g.p, due, &at));
    assert_int_equal(at, 0); /* due, but full: a slot tells */
    wr_peer_slot_release(&old[0].slot, WR_OUTCOME_NEUTRAL, due - 1);
    assert_true(has_slot(&g, *state));
    assert_true(g.slot.is_probe);
    wr_peer_slot_release(&g.slot, WR_OUTCOME_OK, due);
    wr_peer_slot_release(&old[1].slot, WR_OUTCOME_OK, due);
    assert_int_equal(wr_load_seq(&w->peers[0].active), 0);
    world_free(w);
}

/* A balancer for who loses the right to probe after it took the slot. */
static enum wr_status pick_what_goes_out(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    *ret_i = 0;
    if (!wr_peer_ok(ctx, 0)) {
        return WR_EOF;
    }
    (void)wr_peer_account(&ctx->members->at[0], WR_OUTCOME_FAILED, NOW, NOW, false);
    return WR_OK;
}

/* The slot it had for a moment was in the way of another: that one gets it then. */
static void who_may_not_probe_gives_on(void **state)
{
    static const struct wr_lb goes_out = {.name = "test", .pick = pick_what_goes_out};
    struct world *w = full_world(2, 1), *patient = full_world(2, 1);
    struct guest g, loser;

    w->m.lb = &goes_out;
    patient->m.group = &w->group;
    patient->m.at[0] = w->m.at[0];
    patient->m.at[0].max_fails = 0;
    patient->m.at[1].is_down = true;
    wr_add_seq(&w->peers[0].active, 1); /* as in that moment */
    come(&g, &patient->m);
    wr_sub_seq(&w->peers[0].active, 1);
    enter(&loser, &w->m);
    assert_int_equal(wr_pick(&loser.p, NOW, 0, &loser.slot), WR_EOF);
    assert_true(has_slot(&g, *state));
    wr_peer_slot_release(&g.slot, WR_OUTCOME_OK, NOW);
    world_free(patient);
    world_free(w);
}

/* A reload that raised max_conns, or max_fails: what the first one may not use, another may. */
static void generations_have_their_own_limits(void **state)
{
    struct world *w = full_world(2, 2), *old = full_world(2, 1);
    struct guest holder[2], strict, other, g;

    old->m.group = &w->group;
    old->m.at[0].peer = &w->peers[0];
    old->m.at[1].is_down = w->m.at[1].is_down = true;
    come(&holder[0], &w->m);
    come(&holder[1], &w->m);
    come(&strict, &old->m);
    come(&other, &old->m);
    come(&g, &w->m);
    wr_peer_slot_release(&holder[0].slot, WR_OUTCOME_OK, NOW);
    assert_false(has_slot(&strict, *state));
    assert_true(has_slot(&g, *state));
    /* One failure takes it out for the old list only; a success of the new one brings it back. */
    w->m.at[0].max_fails = 3;
    wr_peer_slot_release(&g.slot, WR_OUTCOME_FAILED, NOW);
    assert_false(has_slot(&strict, *state) || has_slot(&other, *state));
    assert_int_equal(strict.wakes + other.wakes, 2);
    wr_peer_slot_release(&holder[1].slot, WR_OUTCOME_OK, NOW);
    assert_true(has_slot(&strict, *state));
    assert_false(has_slot(&other, *state));
    assert_int_equal(other.wakes, 2);
    wr_peer_slot_release(&strict.slot, WR_OUTCOME_OK, NOW);
    assert_true(has_slot(&other, *state));
    wr_peer_slot_release(&other.slot, WR_OUTCOME_OK, NOW);
    world_free(old);
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
    SHORT = 2,   /* rounds: ends, when nobody comes any more who could wake, are what is rare */
    CROWDS = 12, /* of a row, all but the first short */
    PEERS = 3,
    ROW_MS = 3000, /* no more rounds are begun then: hand-overs cost a turn of the scheduler each */
    PATROL_MS = 500,
    PATROLS = 60 /* of one thread, in which nobody went out: a wake was lost */
};

struct crowd {
    struct world *w;
    unsigned outcomes; /* how many of enum wr_outcome are drawn from */
    unsigned rounds;
    uint64_t end_us;
    wr_atomic_u32 inside[PEERS], crowded, waited, begun, done, lost;
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
    struct wr_task patrol;
    struct wr_timer patrol_timer;
    unsigned patrols;
    uint32_t seen_done;
};

static void start_round(struct visitor *v)
{
    struct crowd *c = v->house->c;

    if (wr_picker_init(&v->p, &c->w->m, NULL, NULL) != WR_OK) {
        wr_add_rlx(&c->crowded, 1);
    }
    v->is_impatient = wr_rng_below(16) == 0;
    wr_task_wake(&v->task);
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

static void go_home(struct visitor *v)
{
    v->rounds = 0;
    wr_timer_fini(&v->timer);
    if (--v->house->left == 0) {
        wr_timer_fini(&v->house->patrol_timer);
        wr_loop_stop(wr_loop_get());
    }
}

static void go_out(struct visitor *v)
{
    struct crowd *c = v->house->c;

    wr_sub_seq(&c->inside[v->slot.member - c->w->m.at], 1);
    wr_peer_slot_release(&v->slot, (enum wr_outcome)wr_rng_below(c->outcomes), wr_now_ms());
    wr_add_rlx(&c->done, 1);
    if (--v->rounds == 0 || wr_clock_mono_us() > c->end_us) {
        go_home(v);
        return;
    }
    wr_add_rlx(&c->begun, 1);
    start_round(v);
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
        wr_task_wake(&v->task); /* looks at once */
        return;
    }
    if (st == WR_OK) {
        wr_queue_leave(&v->wait, wr_now_ms());
        go_in(v);
    } else if (v->is_impatient) {
        wr_queue_leave(&v->wait, wr_now_ms());
        start_round(v);
    } else if (wr_picker_can_wait(&v->p, wr_now_ms(), &due) && due != 0) {
        wr_timer_arm(&v->timer, due);
    } else {
        wr_timer_disarm(&v->timer); /* a wake will tell */
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
    } else if (v->wait != NULL && wr_queue_take(&v->wait, wr_now_ms(), &v->slot)) {
        wr_picker_adopt(&v->p, &v->slot);
        go_in(v);
    } else if (wr_load_rlx(&v->house->c->lost) != 0) {
        wr_queue_leave(&v->wait, wr_now_ms());
        go_home(v);
    } else {
        stay(v);
    }
}

static void tell_who_waits(const struct crowd *c)
{
    print_error("a wake was lost: %u wait\n", (unsigned)wr_load_seq(&c->w->group.queue.cnt));
    for (uint32_t i = 0; i < PEERS; i++) {
        print_error("  peer %u: %u of %u, health %llx, now %llx\n", (unsigned)i,
                    (unsigned)wr_load_seq(&c->w->peers[i].active),
                    (unsigned)c->w->m.at[i].max_conns,
                    (unsigned long long)wr_load_seq(&c->w->peers[i].health),
                    (unsigned long long)wr_now_ms());
    }
}

/* That nobody goes out for so many of its turns is not for want of a CPU. All go home then. */
static void run_patrol(struct wr_task *t)
{
    struct house *h = wr_container_of(t, struct house, patrol);
    uint32_t done = wr_load_seq(&h->c->done);

    h->patrols = done == h->seen_done ? h->patrols + 1 : 0;
    h->seen_done = done;
    if (h->patrols >= PATROLS && wr_add_seq(&h->c->lost, 1) == 0) {
        tell_who_waits(h->c);
    }
    for (unsigned i = 0; i < GUESTS && wr_load_seq(&h->c->lost) != 0; i++) {
        wr_task_wake(&h->at[i].task);
    }
    wr_timer_arm(&h->patrol_timer, wr_now_ms() + PATROL_MS);
}

static void run_house(void *data)
{
    struct house *h = data;
    struct wr_loop *l = wr_loop_new(wr_poll_epoll_new());

    wr_clock_update();
    h->left = GUESTS;
    wr_task_init(&h->patrol, run_patrol, "patrol");
    wr_timer_init(&h->patrol_timer, &h->patrol);
    wr_timer_arm(&h->patrol_timer, wr_now_ms() + PATROL_MS);
    for (unsigned i = 0; i < GUESTS; i++) {
        struct visitor *v = &h->at[i];

        v->house = h;
        v->rounds = h->c->rounds;
        wr_task_init(&v->task, run_visitor, "visitor");
        wr_timer_init(&v->timer, &v->task);
        wr_add_rlx(&h->c->begun, 1);
        start_round(v);
    }
    wr_loop_run(l);
    wr_loop_free(l);
}

struct crowd_row {
    const char *name;
    uint32_t max_conns, max_fails, queue_max;
    unsigned outcomes;
    bool has_zone;
};

static void check_crowd(struct crowd *c)
{
    assert_int_equal(wr_load_rlx(&c->lost), 0);
    assert_int_equal(wr_load_rlx(&c->crowded), 0);
    assert_int_equal(wr_load_rlx(&c->done), wr_load_rlx(&c->begun));
    assert_int_equal(wr_load_seq(&c->w->group.queue.cnt), 0);
    assert_true(wr_list_is_empty(&c->w->group.queue.waiters));
    for (uint32_t i = 0; i < PEERS; i++) {
        assert_int_equal(wr_load_seq(&c->w->peers[i].active), 0);
    }
}

static void run_crowd(const struct crowd_row *row, unsigned rounds, uint64_t end_us,
                      uint32_t sum[2])
{
    struct crowd c = {
        .w = world_new(PEERS), .outcomes = row->outcomes, .rounds = rounds, .end_us = end_us};
    struct house *h = wr_mem_alloc(THREADS * sizeof(*h));

    c.w->m.queue_max = row->queue_max;
    c.w->m.has_zone = row->has_zone;
    for (uint32_t i = 0; i < PEERS; i++) {
        c.w->m.at[i].max_conns = row->max_conns;
        c.w->m.at[i].max_fails = row->max_fails;
        c.w->m.at[i].fail_timeout_ms = 2;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        h[i].c = &c;
        assert_int_equal(wr_thread_start(&h[i].thread, i, "house", run_house, &h[i]), WR_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        wr_thread_join(&h[i].thread);
    }
    check_crowd(&c);
    sum[0] += wr_load_rlx(&c.waited);
    sum[1] += wr_load_rlx(&c.done);
    wr_mem_free(h);
    world_free(c.w);
}

static void threads_lose_no_wake(void **state)
{
    static const struct crowd_row rows[] = {
        {"slots only",     1, 0, 1000, 1, false},
        {"a short queue",  2, 0, 8,    1, false},
        {"with failures",  1, 1, 1000, 4, false},
        {"with a zone",    1, 1, 1000, 4, true },
        {"more than fail", 2, 3, 1000, 4, false},
        {"two may probe",  2, 1, 1000, 4, false},
    };

    (void)state;
    for (size_t r = 0; r < WR_ARRAY_LEN(rows); r++) {
        uint64_t end_us = wr_clock_mono_us() + ROW_MS * 1000;
        uint32_t sum[2] = {0};

        for (unsigned i = 0; i == 0 || (i < CROWDS && wr_clock_mono_us() < end_us); i++) {
            run_crowd(&rows[r], i == 0 ? ROUNDS : SHORT, end_us, sum);
        }
        print_message("  %s: %u of %u waited\n", rows[r].name, (unsigned)sum[0], (unsigned)sum[1]);
        assert_true(sum[0] > 0);
    }
}

/*
 * The one moment that matters, many times: the only slot becomes free on one thread while another
 * begins to wait, and nothing else happens that could wake it.
 */
enum {
    MEETINGS = 20000,
    MEET_MS = 5000 /* fewer, where the two get no CPUs at a time */
};

struct meeting {
    struct wr_thread thread;
    struct world *w;
    wr_atomic_u32 came;
    bool is_last; /* written before both meet */
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
    bool is_last = false;

    for (uint32_t i = 1; !is_last; i++) {
        meet(m, 2 * i - 1);
        is_last = m->is_last;
        spin(1000);
        wr_peer_slot_release(&m->held, WR_OUTCOME_OK, NOW);
        meet(m, 2 * i);
    }
}

/* Picks, or begins to wait. False: it has nothing yet. */
static bool is_lucky(struct guest *g, unsigned *ret_joined)
{
    if (wr_pick(&g->p, NOW, 0, &g->slot) == WR_OK) {
        return true;
    }
    ++*ret_joined;
    assert_int_equal(wr_queue_join(&g->p, &g->task, &g->wait), WR_OK);
    if (wr_queue_take(&g->wait, NOW, &g->slot)) {
        return true;
    }
    if (wr_pick(&g->p, NOW, 0, &g->slot) == WR_OK) {
        wr_queue_leave(&g->wait, NOW);
        return true;
    }
    return false;
}

static void a_wake_is_never_lost(void **state)
{
    struct meeting m = {.w = full_world(1, 1)};
    uint64_t end_us = wr_clock_mono_us() + MEET_MS * 1000;
    unsigned lost = 0, joined = 0, i = 0;

    assert_int_equal(wr_thread_start(&m.thread, 1, "giver", give_back, &m), WR_OK);
    while (!m.is_last) {
        struct guest first, g;
        bool has_it;

        i++;
        m.is_last = i == MEETINGS || wr_clock_mono_us() > end_us;
        come(&first, &m.w->m);
        m.held = first.slot;
        enter(&g, &m.w->m);
        meet(&m, 2 * i - 1);
        spin(100);
        has_it = is_lucky(&g, &joined);
        meet(&m, 2 * i);
        /* What was given back is either held by now, or on its way in the mailbox. */
        lost += !has_it && !has_slot(&g, *state);
        wr_loop_turn(*state, 0); /* mail for who needed none */
        wr_queue_leave(&g.wait, NOW);
        wr_peer_slot_release(&g.slot, WR_OUTCOME_OK, NOW);
    }
    wr_thread_join(&m.thread);
    print_message("  %u of %u waited\n", joined, i);
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
                                       cmocka_unit_test(who_waits_learns_that_a_peer_is_out),
                                       cmocka_unit_test(failures_wake_no_more_than_they_must),
                                       cmocka_unit_test(a_slot_is_handed_by_the_clock_of_who_waits),
                                       cmocka_unit_test(who_may_not_probe_gives_on),
                                       cmocka_unit_test(generations_have_their_own_limits),
                                       cmocka_unit_test(generations_share_the_queue),
                                       cmocka_unit_test(no_memory),
                                       cmocka_unit_test(a_wake_is_never_lost),
                                       cmocka_unit_test(threads_lose_no_wake)};

    return cmocka_run_group_tests_name("up/queue", tests, setup, teardown);
}
