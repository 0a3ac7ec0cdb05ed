/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_peer.c: failure accounting and slots of a peer (U2.2, U2.3), then the same under threads:
 * exactly one prober, never more than max_conns, and counts that return to 0.
 */
#include "unit/up/t.h"

#include <pthread.h>

#include "up/peer.c" /* allow(path): its words are made and read */

enum {
    TIMEOUT = 10000
};

static struct wr_member *one(struct world *w, uint32_t max_fails)
{
    w->m.at[0].max_fails = max_fails;
    return &w->m.at[0];
}

static void release(const struct wr_member *m, enum wr_outcome how, uint64_t began, uint64_t end,
                    bool has_accounting, bool was_probe)
{
    if (has_accounting) {
        (void)wr_peer_account(m, how, began, end, was_probe);
    }
    wr_peer_leave(m);
}

/* One attempt from began to end. */
static void attempt(struct wr_member *m, uint64_t began, uint64_t end, enum wr_outcome how)
{
    bool is_probe = false;

    assert_true(wr_peer_acquire(m, began, true, &is_probe));
    release(m, how, began, end, true, is_probe);
}

static void failures_in_the_window_take_it_out(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 3);
    uint64_t t = 1000000;

    (void)state;
    attempt(m, t, t, WR_OUTCOME_FAILED);
    attempt(m, t, t + 1000, WR_OUTCOME_FAILED);
    assert_true(wr_peer_is_healthy(m, t + 1000));
    attempt(m, t, t + 2000, WR_OUTCOME_FAILED);
    assert_false(wr_peer_is_healthy(m, t + 2000));
    assert_false(wr_peer_is_healthy(m, t + 2000 + TIMEOUT - 1));
    assert_true(wr_peer_is_healthy(m, t + 2000 + TIMEOUT));
    assert_int_equal(wr_load_rlx(&m->peer->failures), 3);
    assert_int_equal(wr_load_rlx(&m->peer->requests), 3);
    world_free(w);
}

static void it_is_looked_at_from_outside(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 2);
    struct wr_peer_facts f;
    uint64_t t = 1000000;
    bool is_probe = false;

    (void)state;
    attempt(m, t, t, WR_OUTCOME_FAILED);
    wr_peer_look(m, true, t, &f);
    assert_int_equal(f.health, WR_PEER_UP);
    assert_int_equal(f.fails, 1);
    attempt(m, t, t + 1000, WR_OUTCOME_FAILED);
    wr_peer_look(m, true, t + 2000, &f);
    assert_int_equal(f.health, WR_PEER_OUT);
    assert_int_equal(f.for_ms, TIMEOUT - 1000);
    assert_int_equal(f.requests, 2);
    assert_int_equal(f.failures, 2);
    wr_peer_look(m, false, t + 2000, &f); /* the only peer of a group */
    assert_int_equal(f.health, WR_PEER_UP);
    wr_peer_look(m, true, t + 1000 + TIMEOUT, &f);
    assert_int_equal(f.health, WR_PEER_OUT);
    assert_int_equal(f.for_ms, 0);
    assert_true(wr_peer_acquire(m, t + 1000 + TIMEOUT, true, &is_probe) && is_probe);
    wr_peer_look(m, true, t + 1000 + TIMEOUT, &f);
    assert_int_equal(f.health, WR_PEER_PROBED);
    assert_int_equal(f.active, 1);
    (void)wr_peer_account(m, WR_OUTCOME_OK, t + 1000 + TIMEOUT, t + 1000 + TIMEOUT, is_probe);
    wr_peer_leave(m);
    wr_peer_look(m, true, t + 1000 + TIMEOUT, &f);
    assert_int_equal(f.health, WR_PEER_UP);
    assert_int_equal(f.fails + f.active, 0);
    world_free(w);
}

static void old_failures_are_forgotten(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 2);
    uint64_t t = 1000000;

    (void)state;
    for (int i = 0; i < 5; i++) {
        attempt(m, t, t, WR_OUTCOME_FAILED);
        assert_true(wr_peer_is_healthy(m, t));
        t += TIMEOUT + 1;
    }
    attempt(m, t - 2, t - 2, WR_OUTCOME_FAILED);
    assert_false(wr_peer_is_healthy(m, t));
    world_free(w);
}

/* U2.2: each thread reads its own clock, which stands still for a turn of its loop. */
static void clocks_of_threads_differ(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 2);
    uint64_t t = 1000000;
    bool is_probe = false;

    (void)state;
    attempt(m, t, t, WR_OUTCOME_FAILED);
    /* The second failure is seen by a thread whose clock is behind: it counts as the second. */
    attempt(m, t - 3, t - 3, WR_OUTCOME_FAILED);
    assert_false(wr_peer_is_healthy(m, t));
    assert_false(wr_peer_is_healthy(m, t - 1));
    assert_false(wr_peer_acquire(m, t - 1, true, &is_probe));
    /* The time runs from the latest one. */
    assert_false(wr_peer_is_healthy(m, t + TIMEOUT - 1));
    assert_true(wr_peer_is_healthy(m, t + TIMEOUT));
    /* Who probes is not overtaken by a slower clock. */
    assert_true(wr_peer_acquire(m, t + TIMEOUT, true, &is_probe));
    assert_true(is_probe);
    assert_false(wr_peer_acquire(m, t + TIMEOUT - 2, true, &is_probe));
    release(m, WR_OUTCOME_OK, t + TIMEOUT, t + TIMEOUT, true, true);
    assert_int_equal(wr_load_seq(&m->peer->active), 0);
    world_free(w);
}

static void accounting_can_be_off(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 0);
    bool is_probe = true;

    (void)state;
    for (int i = 0; i < 10; i++) {
        attempt(m, 5000, 5000, WR_OUTCOME_FAILED);
        assert_true(wr_peer_is_healthy(m, 5000));
    }
    /* The only peer of a group: the caller says so. */
    m->max_fails = 1;
    assert_true(wr_peer_acquire(m, 6000, false, &is_probe));
    assert_false(is_probe);
    release(m, WR_OUTCOME_FAILED, 6000, 6000, false, false);
    assert_true(wr_peer_is_healthy(m, 6000));
    assert_int_equal(wr_load_rlx(&m->peer->failures), 0);
    world_free(w);
}

static void one_probe_when_it_is_due(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 1);
    uint64_t t = 1000000;
    bool is_probe = false;

    (void)state;
    attempt(m, t, t, WR_OUTCOME_FAILED);
    assert_false(wr_peer_acquire(m, t + TIMEOUT - 1, true, &is_probe));
    t += TIMEOUT;
    assert_true(wr_peer_acquire(m, t, true, &is_probe));
    assert_true(is_probe);
    assert_false(wr_peer_is_healthy(m, t));
    assert_false(wr_peer_acquire(m, t, true, &is_probe));
    assert_int_equal(wr_load_seq(&m->peer->active), 1);
    /* The probe fails: out again, from now. */
    release(m, WR_OUTCOME_FAILED, t, t + 500, true, true);
    assert_false(wr_peer_is_healthy(m, t + 500 + TIMEOUT - 1));
    t += 500 + TIMEOUT;
    assert_true(wr_peer_acquire(m, t, true, &is_probe));
    assert_true(is_probe);
    release(m, WR_OUTCOME_OK, t, t + 10, true, true);
    assert_true(wr_peer_is_healthy(m, t + 10));
    assert_true(wr_peer_acquire(m, t + 10, true, &is_probe));
    assert_false(is_probe);
    release(m, WR_OUTCOME_OK, t + 10, t + 10, true, false);
    assert_int_equal(wr_load_seq(&m->peer->active), 0);
    world_free(w);
}

static void success_clears_older_failures_only(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 2);
    uint64_t t = 1000000;
    bool is_probe;

    (void)state;
    /* It began before the failures: they are newer than what it proves. */
    assert_true(wr_peer_acquire(m, t - 500, true, &is_probe));
    attempt(m, t, t, WR_OUTCOME_FAILED);
    release(m, WR_OUTCOME_OK, t - 500, t + 100, true, false);
    attempt(m, t, t + 200, WR_OUTCOME_FAILED);
    assert_false(wr_peer_is_healthy(m, t + 200));
    world_free(w);

    w = world_new(2);
    m = one(w, 2);
    attempt(m, t, t, WR_OUTCOME_FAILED);
    attempt(m, t, t + 100, WR_OUTCOME_OK); /* began at the very ms: it counts as after */
    attempt(m, t, t + 200, WR_OUTCOME_FAILED);
    assert_true(wr_peer_is_healthy(m, t + 200));
    world_free(w);
}

static void a_given_up_probe_is_free_again(void **state)
{
    static const enum wr_outcome how[] = {WR_OUTCOME_NEUTRAL, WR_OUTCOME_BROKE};

    uint64_t t = 1000000;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(how); i++) {
        struct world *w = world_new(2);
        struct wr_member *m = one(w, 1);
        bool is_probe = false;

        attempt(m, t, t, WR_OUTCOME_FAILED);
        assert_true(wr_peer_acquire(m, t + TIMEOUT, true, &is_probe));
        release(m, how[i], t + TIMEOUT, t + TIMEOUT + 1, true, is_probe);
        assert_true(wr_peer_is_healthy(m, t + TIMEOUT + 1));
        assert_true(wr_peer_acquire(m, t + TIMEOUT + 1, true, &is_probe));
        assert_true(is_probe);
        release(m, WR_OUTCOME_OK, t + TIMEOUT + 1, t + TIMEOUT + 2, true, is_probe);
        world_free(w);
    }
}

/* Neither failure nor success: the count stays what it is (U2.2). */
static void neutral_outcomes_change_nothing(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 2);
    uint64_t t = 1000000;

    (void)state;
    attempt(m, t, t, WR_OUTCOME_FAILED);
    attempt(m, t + 1, t + 1, WR_OUTCOME_NEUTRAL);
    attempt(m, t + 2, t + 2, WR_OUTCOME_BROKE);
    assert_true(wr_peer_is_healthy(m, t + 3));
    attempt(m, t + 3, t + 3, WR_OUTCOME_FAILED);
    assert_false(wr_peer_is_healthy(m, t + 3));
    world_free(w);
}

/* A request from before the outage fails late: that is no reason to take the peer for healthy. */
static void a_late_failure_does_not_heal(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 3);
    uint64_t t = 1000000;
    bool is_probe = false, is_late = false;

    (void)state;
    assert_true(wr_peer_acquire(m, t, true, &is_late));
    for (int i = 0; i < 3; i++) {
        attempt(m, t, t, WR_OUTCOME_FAILED);
    }
    release(m, WR_OUTCOME_FAILED, t, t + 2 * TIMEOUT, true, is_late);
    assert_false(wr_peer_is_healthy(m, t + 2 * TIMEOUT));
    t += 3 * TIMEOUT;
    assert_true(wr_peer_acquire(m, t, true, &is_probe));
    assert_true(is_probe);
    release(m, WR_OUTCOME_NEUTRAL, t, t, true, is_probe);
    world_free(w);
}

/* A probe may last longer than fail_timeout: then another one begins beside it. */
static void long_probes(void **state)
{
    uint64_t t = 1000000, a = t + TIMEOUT, b = a + TIMEOUT;
    bool is_probe = false;

    (void)state;
    for (int who = 0; who < 2; who++) {
        struct world *w = world_new(2);
        struct wr_member *m = one(w, 1);

        attempt(m, t, t, WR_OUTCOME_FAILED);
        assert_true(wr_peer_acquire(m, a, true, &is_probe) && is_probe);
        assert_false(wr_peer_acquire(m, b - 1, true, &is_probe));
        is_probe = false;
        assert_true(wr_peer_acquire(m, b, true, &is_probe) && is_probe);
        if (who == 0) {
            /* The first one's success comes after the outage: it clears. */
            release(m, WR_OUTCOME_OK, a, b + 5, true, true);
            assert_true(wr_peer_is_healthy(m, b + 5));
            release(m, WR_OUTCOME_OK, b, b + 6, true, true);
        } else {
            /* The first one gives up: the right is the second one's now. */
            release(m, WR_OUTCOME_NEUTRAL, a, b + 5, true, true);
            assert_false(wr_peer_is_healthy(m, b + 5));
            release(m, WR_OUTCOME_OK, b, b + 6, true, true);
            assert_true(wr_peer_is_healthy(m, b + 6));
        }
        assert_int_equal(wr_load_seq(&m->peer->active), 0);
        world_free(w);
    }
}

/* U2.1 */
static void failures_lower_the_effective_weight(void **state)
{
    static const struct {
        uint32_t weight, max_fails, after[3];
    } rows[] = {
        {6, 3, {4, 2, 0}},
        {5, 2, {3, 1, 0}},
        {1, 1, {0, 0, 0}},
        {2, 5, {2, 2, 2}}
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct world *w = world_new(2);
        struct wr_member *m = one(w, rows[i].max_fails);

        world_weight(w, 0, rows[i].weight);
        for (int k = 0; k < 3; k++) {
            wr_add_rlx(&m->peer->active, 1);
            release(m, WR_OUTCOME_FAILED, 1000, 1000, true, false);
            assert_int_equal(wr_load_rlx(m->effective), rows[i].after[k]);
        }
        world_free(w);
    }
}

static void slots_are_bounded(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 1);
    bool is_probe;

    (void)state;
    m->max_conns = 2;
    assert_true(wr_peer_acquire(m, 1, true, &is_probe));
    assert_true(wr_peer_acquire(m, 1, true, &is_probe));
    assert_false(wr_peer_acquire(m, 1, true, &is_probe));
    release(m, WR_OUTCOME_OK, 1, 1, true, false);
    assert_true(wr_peer_acquire(m, 1, true, &is_probe));
    release(m, WR_OUTCOME_OK, 1, 1, true, false);
    release(m, WR_OUTCOME_NEUTRAL, 1, 1, true, false);
    assert_int_equal(wr_load_seq(&m->peer->active), 0);
    world_free(w);
}

static void the_count_of_failures_does_not_overflow(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = one(w, 65535);

    (void)state;
    for (int i = 0; i < 70000; i++) {
        wr_add_rlx(&m->peer->active, 1);
        release(m, WR_OUTCOME_FAILED, 1000, 1000, true, false);
    }
    assert_false(wr_peer_is_healthy(m, 1000));
    assert_true(wr_peer_is_healthy(m, 1000 + TIMEOUT));
    world_free(w);
}

/* U2.2 as a table: a word, how an attempt ended and the policy give a word. T: fail_timeout. */
static void health_is_a_function(void **state)
{
#define T    TIMEOUT
#define OK   WR_OUTCOME_OK
#define BAD  WR_OUTCOME_FAILED
#define LEFT WR_OUTCOME_NEUTRAL
#define CUT  WR_OUTCOME_BROKE

    /* clang-format off */
    static const struct {
        const char *name;
        struct { unsigned fails; bool probing; uint64_t since, failed_at; } was;
        enum wr_outcome how;
        bool was_probe;
        uint32_t max_fails;
        uint64_t began, now;
        struct { unsigned fails; bool probing; uint64_t since; } is;
        enum wr_health_change change;
    } rows[] = {
        {"first failure",            {0, 0, 0, 0},         BAD,  0, 3, 5, 9,         {1, 0, 9},       WR_HEALTH_WORSE},
        {"second in the window",     {1, 0, 9, 9},         BAD,  0, 3, 9, 9 + T,     {2, 0, 9 + T},   WR_HEALTH_WORSE},
        {"second behind the window", {1, 0, 9, 9},         BAD,  0, 3, 9, 10 + T,    {1, 0, 10 + T},  WR_HEALTH_WORSE},
        {"the one too many",         {2, 0, 9, 9},         BAD,  0, 3, 9, 20,        {3, 0, 20},      WR_HEALTH_WORSE},
        {"late, of one that is out", {3, 0, 9, 9},         BAD,  0, 3, 1, 9 + 3 * T, {4, 0, 9 + 3 * T}, WR_HEALTH_WORSE},
        {"a probe fails",            {3, 1, 9 + T, 9},     BAD,  1, 3, 9 + T, 20 + T, {4, 0, 20 + T}, WR_HEALTH_WORSE},
        {"a clock that is behind",   {1, 0, 9, 9},         BAD,  0, 3, 5, 7,         {2, 0, 9},       WR_HEALTH_WORSE},
        {"most that is counted",     {0xffff, 0, 9, 9},    BAD,  0, 0xffff, 9, 9,    {0xffff, 0, 9},  WR_HEALTH_WORSE},
        {"success, no failures",     {0, 0, 0, 0},         OK,   0, 3, 5, 9,         {0, 0, 0},       WR_HEALTH_SAME},
        {"success began behind",     {2, 0, 9, 9},         OK,   0, 3, 10, 11,       {0, 0, 0},       WR_HEALTH_CLEARED},
        {"success began with it",    {2, 0, 9, 9},         OK,   0, 3, 9, 11,        {0, 0, 0},       WR_HEALTH_CLEARED},
        {"success began before",     {2, 0, 9, 9},         OK,   0, 3, 8, 11,        {2, 0, 9},       WR_HEALTH_SAME},
        {"late, of one that is out", {3, 0, 9, 9},         OK,   0, 3, 8, 11,        {3, 0, 9},       WR_HEALTH_SAME},
        {"a probe succeeds",         {3, 1, 9 + T, 9},     OK,   1, 3, 9 + T, 99 + T, {0, 0, 0},      WR_HEALTH_BACK},
        {"the earlier of two",       {3, 1, 9 + 2 * T, 9}, OK,   1, 3, 9 + T, 99 + 2 * T, {0, 0, 0},  WR_HEALTH_BACK},
        {"it, a failure behind it",  {4, 1, 50 + 2 * T, 50 + T}, OK, 1, 3, 9 + T, 99 + 2 * T,
                                                           {4, 1, 50 + 2 * T}, WR_HEALTH_SAME},
        {"a probe given up",         {3, 1, 9 + T, 9},     LEFT, 1, 3, 9 + T, 20 + T, {3, 0, 9},      WR_HEALTH_DUE},
        {"a probe broke off",        {3, 1, 9 + T, 9},     CUT,  1, 3, 9 + T, 20 + T, {3, 0, 9},      WR_HEALTH_DUE},
        {"the earlier given up",     {3, 1, 9 + 2 * T, 9}, LEFT, 1, 3, 9 + T, 20 + 2 * T,
                                                           {3, 1, 9 + 2 * T}, WR_HEALTH_SAME},
        {"no probe, given up",       {3, 1, 9 + T, 9},     LEFT, 0, 3, 9 + T, 20 + T, {3, 1, 9 + T},  WR_HEALTH_SAME},
        {"broke off counts nothing", {1, 0, 9, 9},         CUT,  0, 3, 9, 20,        {1, 0, 9},       WR_HEALTH_SAME},
        {"left counts nothing",      {1, 0, 9, 9},         LEFT, 0, 3, 10, 20,       {1, 0, 9},       WR_HEALTH_SAME},
        {"given up before a window", {1, 1, 5, 1},         LEFT, 1, 1, 5, 6,         {1, 0, 0},       WR_HEALTH_DUE},
    };

    /* clang-format on */
#undef T
#undef OK
#undef BAD
#undef LEFT
#undef CUT

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_health_in in = {
            .word = make_word(rows[i].was.fails, rows[i].was.probing, rows[i].was.since),
            .failed_at_ms = rows[i].was.failed_at,
            .how = rows[i].how,
            .was_probe = rows[i].was_probe,
            .max_fails = rows[i].max_fails,
            .fail_timeout_ms = TIMEOUT,
            .began_ms = rows[i].began,
            .now_ms = rows[i].now};
        struct wr_health_out out = wr_health_after(&in);

        if (out.word != make_word(rows[i].is.fails, rows[i].is.probing, rows[i].is.since) ||
            out.change != rows[i].change) {
            fail_msg("%s: fails %u since %u change %d", rows[i].name, fails_of(out.word),
                     (unsigned)since_of(out.word), (int)out.change);
        }
    }
}

/* ---- threads -------------------------------------------------------------------------------- */

enum {
    THREADS = 4,
    ROUNDS = 1500,
    SLOT_ROUNDS = 4000
};

struct crowd {
    struct world *w;
    pthread_barrier_t barrier;
    wr_atomic_u32 probes, inside, worst, wrong;
    uint64_t now; /* written between barriers by thread 0 */
    wr_atomic_u64 clock, latest_start;
    wr_atomic_u32 newer;
};

struct visitor {
    struct crowd *c;
    unsigned no;
    uint32_t seed;
};

static uint32_t draw(struct visitor *v)
{
    v->seed = v->seed * 1664525u + 1013904223u;
    return v->seed >> 16;
}

static void began_max(struct crowd *c, uint64_t began)
{
    uint64_t t = wr_load_seq(&c->latest_start);

    while (t < began && !wr_cas_seq(&c->latest_start, &t, began)) {
    }
}

/* Each round the peer is out and due; all ask at once; one gets it; what becomes of it is drawn. */
static void *probe_rounds(void *data)
{
    struct visitor *v = data;
    struct crowd *c = v->c;
    struct wr_member *m = &c->w->m.at[0];

    wr_local_start();
    for (int i = 0; i < ROUNDS; i++) {
        bool is_probe = false, has = false;

        pthread_barrier_wait(&c->barrier);
        if (v->no == 0) {
            /* Out since now, due a timeout later. */
            wr_add_rlx(&m->peer->active, 1);
            release(m, WR_OUTCOME_FAILED, c->now, c->now, true, false);
            c->now += TIMEOUT;
            wr_store_seq(&c->probes, 0);
        }
        pthread_barrier_wait(&c->barrier);
        has = wr_peer_acquire(m, c->now, true, &is_probe);
        if (has != is_probe) {
            wr_add_seq(&c->wrong, 1);
        }
        wr_add_seq(&c->probes, has ? 1 : 0);
        pthread_barrier_wait(&c->barrier);
        if (wr_load_seq(&c->probes) != 1) {
            wr_add_seq(&c->wrong, 1);
        }
        if (has) {
            release(m, (enum wr_outcome)(draw(v) % 4), c->now, c->now, true, is_probe);
        }
    }
    return NULL;
}

enum {
    EVENTS = 6,
    CLEAR_ROUNDS = 2000
};

/*
 * Time is a number that grows with each event, so that no two are at once. Attempts begin, last,
 * and end well or badly. Failures that are newer than the start of every success of the round are
 * still counted when it is over (U2.2).
 */
static void *clear_rounds(void *data)
{
    struct visitor *v = data;
    struct crowd *c = v->c;
    struct wr_member *m = &c->w->m.at[0];

    wr_local_start();
    for (int round = 0; round < CLEAR_ROUNDS; round++) {
        uint64_t failed[EVENTS], newest = 0;
        uint32_t newer = 0;
        bool is_success;
        int fails = 0;

        pthread_barrier_wait(&c->barrier);
        if (v->no == 0) {
            wr_store_seq(&m->peer->health, 0);
            wr_store_seq(&c->latest_start, 0);
            wr_store_seq(&c->newer, 0);
        }
        pthread_barrier_wait(&c->barrier);
        /* One thread has one success, which lasts as long as some failures of the others. */
        is_success = v->no == (unsigned)round % THREADS;
        for (int i = 0; i < (is_success ? 1 : EVENTS); i++) {
            uint64_t began = wr_add_seq(&c->clock, 1), end;

            for (uint32_t spin = draw(v) % (is_success ? 1024 : 64); spin > 0; spin--) {
                (void)wr_load_seq(&c->clock);
            }
            end = wr_add_seq(&c->clock, 1);
            (void)wr_peer_account(m, is_success ? WR_OUTCOME_OK : WR_OUTCOME_FAILED, began, end,
                                  false);
            if (is_success) {
                newest = began;
            } else {
                failed[fails++] = end;
            }
        }
        began_max(c, newest);
        pthread_barrier_wait(&c->barrier);
        while (fails > 0) {
            newer += failed[--fails] > wr_load_seq(&c->latest_start);
        }
        wr_add_seq(&c->newer, newer);
        pthread_barrier_wait(&c->barrier);
        if (v->no == 0) {
            newer = wr_load_seq(&c->newer);
            wr_add_seq(&c->wrong, fails_of(wr_load_seq(&m->peer->health)) < newer);
            wr_add_seq(&c->probes, newer > 1);
        }
    }
    return NULL;
}

static void *slot_rounds(void *data)
{
    struct visitor *v = data;
    struct crowd *c = v->c;
    struct wr_member *m = &c->w->m.at[0];

    wr_local_start();
    for (int i = 0; i < SLOT_ROUNDS; i++) {
        uint64_t now = 1000000 + (uint64_t)i * 7;
        bool is_probe = false;
        uint32_t n, worst;

        if (!wr_peer_acquire(m, now, true, &is_probe)) {
            continue;
        }
        n = wr_add_seq(&c->inside, 1) + 1;
        worst = wr_load_seq(&c->worst);
        while (n > worst && !wr_cas_seq(&c->worst, &worst, n)) {
        }
        wr_sub_seq(&c->inside, 1);
        release(m, (enum wr_outcome)(draw(v) % 4), now, now + draw(v) % 5, true, is_probe);
    }
    return NULL;
}

static void run_crowd(struct crowd *c, void *(*fn)(void *))
{
    pthread_t t[THREADS];
    struct visitor v[THREADS];

    assert_int_equal(pthread_barrier_init(&c->barrier, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        v[i] = (struct visitor){c, i, i + 1};
        assert_int_equal(pthread_create(&t[i], NULL, fn, &v[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
    }
    pthread_barrier_destroy(&c->barrier);
}

static void threads_make_exactly_one_prober(void **state)
{
    struct crowd c = {.w = world_new(2), .now = 1000000};

    (void)state;
    c.w->m.at[0].max_fails = 1;
    run_crowd(&c, probe_rounds);
    assert_int_equal(wr_load_seq(&c.wrong), 0);
    assert_int_equal(wr_load_seq(&c.w->m.at[0].peer->active), 0);
    world_free(c.w);
}

static void threads_clear_only_older_failures(void **state)
{
    struct crowd c = {.w = world_new(2)};

    (void)state;
    c.w->m.at[0].max_fails = 1000;
    c.w->m.at[0].fail_timeout_ms = UINT32_MAX;
    wr_store_seq(&c.clock, 1000000);
    run_crowd(&c, clear_rounds);
    assert_int_equal(wr_load_seq(&c.wrong), 0);
    assert_true(wr_load_seq(&c.probes) > CLEAR_ROUNDS / 20); /* rounds that could have told */
    world_free(c.w);
}

static void threads_keep_max_conns(void **state)
{
    struct crowd c = {.w = world_new(2)};

    (void)state;
    c.w->m.at[0].max_conns = 2;
    c.w->m.at[0].max_fails = 5;
    c.w->m.at[0].fail_timeout_ms = 3;
    run_crowd(&c, slot_rounds);
    assert_true(wr_load_seq(&c.worst) >= 1);
    assert_true(wr_load_seq(&c.worst) <= 2);
    assert_int_equal(wr_load_seq(&c.w->m.at[0].peer->active), 0);
    world_free(c.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_the_window_take_it_out),
        cmocka_unit_test(it_is_looked_at_from_outside),
        cmocka_unit_test(old_failures_are_forgotten),
        cmocka_unit_test(clocks_of_threads_differ),
        cmocka_unit_test(accounting_can_be_off),
        cmocka_unit_test(one_probe_when_it_is_due),
        cmocka_unit_test(success_clears_older_failures_only),
        cmocka_unit_test(a_given_up_probe_is_free_again),
        cmocka_unit_test(neutral_outcomes_change_nothing),
        cmocka_unit_test(a_late_failure_does_not_heal),
        cmocka_unit_test(long_probes),
        cmocka_unit_test(failures_lower_the_effective_weight),
        cmocka_unit_test(health_is_a_function),
        cmocka_unit_test(slots_are_bounded),
        cmocka_unit_test(the_count_of_failures_does_not_overflow),
        cmocka_unit_test(threads_make_exactly_one_prober),
        cmocka_unit_test(threads_clear_only_older_failures),
        cmocka_unit_test(threads_keep_max_conns),
    };

    return cmocka_run_group_tests_name("up/peer", tests, NULL, NULL);
}
