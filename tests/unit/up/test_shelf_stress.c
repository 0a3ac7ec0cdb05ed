/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_shelf_stress.c: four threads park and take connections of four kinds (U10.3, U10.4) while
 * peers end them, time passes and they expire. No connection may be in two hands, or in those of
 * who asked for another kind; no descriptor is left. For TSan above all.
 */
#include "unit/up/shelf_kit.h"

#include "event/thread.h"
#include "http/h1_conn.h"
#include "net/conn.h"

/* ---- stress --------------------------------------------------------------------------------- */

enum {
    STRESS_OPS = 12000, /* of each of the four threads */
    STRESS_HELD = 4,
    STRESS_PEERS = 64
};

static wr_atomic_u32 holders[ACTORS_MAX * STRESS_OPS + 1]; /* by served, the connection's number */
static wr_atomic_u32 peer_ends[STRESS_PEERS];              /* descriptor + 1 */
static wr_atomic_u32 made, moved, doubled, mixed, parked, taken;
static pthread_barrier_t all_ready;

struct stresser {
    struct wr_thread thread;
    struct world *w;
    uint64_t seed;
    unsigned held_cnt;
    struct count_task user;

    struct {
        struct wr_pconn *pc;
        uint32_t no, kind;
    } held[STRESS_HELD];
};

/* Thread that made it, by number. */
static uint32_t makers[ACTORS_MAX * STRESS_OPS + 1];

static uint32_t roll(struct stresser *s, uint32_t n)
{
    s->seed = s->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(s->seed >> 33) % n;
}

/* A peer end goes into a random place; the one that was there is closed, perhaps after a byte. */
static void swap_peer(struct stresser *s, uint32_t fd_plus_1)
{
    uint32_t old = wr_swap_acqrel(&peer_ends[roll(s, STRESS_PEERS)], fd_plus_1);

    if (old != 0) {
        if (roll(s, 2) == 0) {
            (void)send((int)old - 1, "!", 1, MSG_NOSIGNAL);
        }
        close((int)old - 1);
    }
}

static struct wr_pconn *make_one(struct stresser *s, uint32_t kind)
{
    uint32_t no = wr_add_rlx(&made, 1) + 1;
    struct wr_pconn_seed seed = {.served = no, .since_ms = wr_now_ms()};
    struct wr_pconn *pc = NULL;
    int fd[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0) {
        return NULL;
    }
    makers[no] = s->thread.no;
    seed.fd = fd[0];
    swap_peer(s, (uint32_t)fd[1] + 1);
    return wr_h1_codec.adopt(&wr_h1_codec, &seed, &s->w->peers[kind % 2].addr, &s->user.task,
                             &pc) == WR_OK
               ? pc
               : NULL;
}

static void hold_one(struct stresser *s)
{
    uint32_t kind = roll(s, 4);
    struct wr_pconn *pc = wr_idle_take(&s->w->m, &s->w->peers[kind % 2], kind / 2, &s->user.task);
    bool is_new = pc == NULL;
    struct wr_addr a;

    if (is_new) {
        pc = make_one(s, kind);
    } else {
        wr_add_rlx(&taken, 1);
    }
    if (!pc) {
        return;
    }
    wr_conn_peer_addr(pc->conn, &a);
    if (wr_addr_port(&a) != 8000 + kind % 2) {
        wr_add_rlx(&mixed, 1);
    }
    if (wr_swap_acqrel(&holders[pc->served], 1) != 0) {
        wr_add_rlx(&doubled, 1);
    }
    if (!is_new && makers[pc->served] != s->thread.no) {
        wr_add_rlx(&moved, 1);
    }
    s->held[s->held_cnt].pc = pc;
    s->held[s->held_cnt].no = pc->served;
    s->held[s->held_cnt++].kind = kind;
}

static void let_go(struct stresser *s)
{
    unsigned i = roll(s, s->held_cnt);
    struct wr_pconn *pc = s->held[i].pc;
    uint32_t kind = s->held[i].kind;

    (void)wr_swap_acqrel(&holders[s->held[i].no], 0);
    s->held[i] = s->held[--s->held_cnt];
    if (pc->state == WR_PCONN_READY && roll(s, 16) != 0) {
        wr_add_rlx(&parked, 1);
        wr_idle_put(&s->w->m, &s->w->members[kind % 2], kind / 2, pc);
    } else {
        pc->codec->close(pc, WR_REASON_DONE);
    }
}

static void run_stresser(void *data)
{
    struct stresser *s = data;
    struct wr_loop *l;

    wr_clock_set_source(&test_clock);
    wr_clock_update();
    l = wr_loop_new(wr_poll_epoll_new());
    count_task_init(&s->user);
    (void)pthread_barrier_wait(&all_ready);
    for (int i = 0; i < STRESS_OPS; i++) {
        if (s->held_cnt == 0 || (s->held_cnt < STRESS_HELD && roll(s, 2) == 0)) {
            hold_one(s);
        } else {
            let_go(s);
        }
        if (roll(s, 8) == 0) {
            swap_peer(s, 0);
        }
        if (roll(s, 4) == 0) {
            wr_add_acqrel(&clock_us, roll(s, 400) * 1000);
        }
        wr_loop_turn(l, 0);
    }
    while (s->held_cnt > 0) {
        let_go(s);
    }
    wr_idle_thread_end();
    turn_idle(l, 4);
    wr_task_cancel(&s->user.task);
    wr_loop_free(l);
}

static void test_stress(void **state)
{
    struct world *w = world_new(ACTORS_MAX);
    static struct stresser s[ACTORS_MAX];

    (void)state;
    w->m.keepalive_timeout_ms = 4000;
    assert_int_equal(pthread_barrier_init(&all_ready, NULL, ACTORS_MAX), 0);
    for (unsigned i = 0; i < ACTORS_MAX; i++) {
        s[i].w = w;
        s[i].seed = 0x5eed + i;
        assert_int_equal(wr_thread_start(&s[i].thread, i, "stress", run_stresser, &s[i]), WR_OK);
    }
    for (unsigned i = 0; i < ACTORS_MAX; i++) {
        wr_thread_join(&s[i].thread);
    }
    for (unsigned i = 0; i < STRESS_PEERS; i++) {
        if (wr_load_acq(&peer_ends[i]) != 0) {
            close((int)wr_load_acq(&peer_ends[i]) - 1);
        }
    }
    (void)pthread_barrier_destroy(&all_ready);
    print_message("made %u, parked %u, taken %u, from another thread %u\n", wr_load_acq(&made),
                  wr_load_acq(&parked), wr_load_acq(&taken), wr_load_acq(&moved));
    assert_int_equal(wr_load_acq(&doubled), 0);
    assert_int_equal(wr_load_acq(&mixed), 0);
    assert_true(wr_load_acq(&parked) >= 20000 && wr_load_acq(&taken) >= 15000);
    assert_true(wr_load_acq(&moved) > 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
