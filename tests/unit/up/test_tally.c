/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tally.c: what threads count of a peer by themselves: sums over all of them, slots that are
 * given back elsewhere, numbers that are used again; and a limit that sees what others count so.
 */
#include "unit/up/t.h"

#include <pthread.h>

#include "base/local.h"
#include "up/tally.h"

#define NOW UINT64_C(1000000)

enum {
    THREADS = 4,
    ROUNDS = 20000
};

static void numbers_are_used_again_from_zero(void **state)
{
    uint32_t a = wr_tally_take(), b = wr_tally_take();
    struct wr_tally_cell *c;

    (void)state;
    assert_true(a != 0 && b != 0 && a != b);
    wr_local_get()->thread_no = 0;
    c = wr_tally_own(a);
    assert_non_null(c);
    assert_ptr_equal(wr_tally_own(a), c);
    assert_ptr_not_equal(wr_tally_own(b), c);
    wr_add_rlx(&c->active, 2);
    wr_add_rlx(&c->requests, 3);
    assert_int_equal(wr_tally_active(a), 2);
    assert_int_equal(wr_tally_requests(a), 3);
    assert_int_equal(wr_tally_active(b), 0);
    wr_tally_drop(a);
    assert_int_equal(wr_tally_take(), a);
    assert_int_equal(wr_tally_active(a), 0);
    assert_int_equal(wr_tally_requests(a), 0);
    wr_tally_drop(a);
    wr_tally_drop(b);
    wr_tally_drop(0);
    wr_local_get()->thread_no = UINT32_MAX;
}

static void who_runs_no_loop_has_no_cell(void **state)
{
    uint32_t no = wr_tally_take();

    (void)state;
    assert_null(wr_tally_own(no));
    wr_local_get()->thread_no = WR_THREADS_MAX;
    assert_null(wr_tally_own(no));
    wr_local_get()->thread_no = 1;
    assert_null(wr_tally_own(0));
    assert_int_equal(wr_tally_active(0), 0);
    wr_local_get()->thread_no = UINT32_MAX;
    wr_tally_drop(no);
}

static void many_numbers_have_cells_of_their_own(void **state)
{
    static uint32_t no[1000];

    (void)state;
    wr_local_get()->thread_no = 2;
    for (unsigned i = 0; i < WR_ARRAY_LEN(no); i++) {
        no[i] = wr_tally_take();
        wr_add_rlx(&wr_tally_own(no[i])->active, i);
    }
    for (unsigned i = 0; i < WR_ARRAY_LEN(no); i++) {
        assert_int_equal(wr_tally_active(no[i]), i);
        wr_tally_drop(no[i]);
    }
    wr_local_get()->thread_no = UINT32_MAX;
}

struct job {
    struct wr_member *m;
    wr_atomic_u32 *taken; /* slots that whoever comes next gives back */
    wr_atomic_u32 *wrong;
    uint32_t thread_no, rounds;
};

/* Takes slots; gives back his own, or one that another thread took. */
static void *come_and_go(void *data)
{
    struct job *j = data;

    wr_local_start();
    wr_local_get()->thread_no = j->thread_no;
    for (uint32_t i = 0; i < j->rounds; i++) {
        bool is_probe = false;
        uint32_t n;

        if (!wr_peer_acquire(j->m, NOW, false, &is_probe)) {
            wr_add_rlx(j->wrong, 1);
            continue;
        }
        if (i % 2 == 0) {
            wr_add_seq(j->taken, 1);
            continue;
        }
        n = wr_load_seq(j->taken);
        while (n > 0 && !wr_cas_seq(j->taken, &n, n - 1)) {
        }
        wr_peer_leave(j->m);
        if (n > 0) {
            wr_peer_leave(j->m);
        }
        if (wr_peer_active(j->m->peer) > THREADS * ROUNDS) {
            wr_add_rlx(j->wrong, 1);
        }
    }
    return NULL;
}

static void sums_are_right_wherever_slots_go(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *m = &w->m.at[0];
    struct job jobs[THREADS];
    pthread_t t[THREADS];
    wr_atomic_u32 taken = 0, wrong = 0;

    (void)state;
    m->peer->tally = wr_tally_take();
    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){m, &taken, &wrong, i, ROUNDS};
        assert_int_equal(pthread_create(&t[i], NULL, come_and_go, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
    }
    assert_int_equal(wr_load_seq(&wrong), 0);
    assert_int_equal(wr_peer_active(m->peer), wr_load_seq(&taken));
    assert_int_equal(wr_load_seq(&m->peer->active), 0); /* nobody wrote the common word */
    assert_int_equal(wr_tally_requests(m->peer->tally), THREADS * ROUNDS);
    assert_int_equal(wr_load_seq(&m->peer->requests), 0);
    wr_tally_drop(m->peer->tally);
    m->peer->tally = 0;
    world_free(w);
}

/* A reload brings max_conns while requests of the configuration without it go on. U2.3 */
static void a_limit_sees_slots_that_threads_count(void **state)
{
    struct world *w = world_new(2);
    struct wr_member *old = &w->m.at[0], limited = *old;
    bool is_probe = false;

    (void)state;
    old->peer->tally = wr_tally_take();
    limited.max_conns = 2;
    limited.counts_together = true;
    wr_local_get()->thread_no = 3;
    assert_true(wr_peer_acquire(old, NOW, false, &is_probe));
    assert_int_equal(wr_load_seq(&old->peer->active), 0);
    assert_true(wr_peer_acquire(&limited, NOW, false, &is_probe));
    assert_int_equal(wr_load_seq(&old->peer->active), 1);
    assert_true(wr_peer_is_full(&limited));
    assert_false(wr_peer_acquire(&limited, NOW, false, &is_probe));
    assert_int_equal(wr_peer_active(old->peer), 2);
    /* Given back on a thread without a cell: the sum is right all the same. */
    wr_local_get()->thread_no = UINT32_MAX;
    wr_peer_leave(old);
    assert_int_equal(wr_peer_active(old->peer), 1);
    assert_false(wr_peer_is_full(&limited));
    wr_local_get()->thread_no = 3;
    assert_true(wr_peer_acquire(&limited, NOW, false, &is_probe));
    assert_true(wr_peer_is_full(&limited));
    wr_peer_leave(&limited);
    wr_peer_leave(&limited);
    assert_int_equal(wr_peer_active(old->peer), 0);
    wr_local_get()->thread_no = UINT32_MAX;
    wr_tally_drop(old->peer->tally);
    old->peer->tally = 0;
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_used_again_from_zero),
        cmocka_unit_test(who_runs_no_loop_has_no_cell),
        cmocka_unit_test(many_numbers_have_cells_of_their_own),
        cmocka_unit_test(sums_are_right_wherever_slots_go),
        cmocka_unit_test(a_limit_sees_slots_that_threads_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
