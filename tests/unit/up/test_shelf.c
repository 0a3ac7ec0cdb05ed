/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_shelf.c: idle connections to peers shared by threads (U10.2, U10.3, U10.4). Real sockets,
 * real loops on up to three threads. The main thread gives orders by mail and waits for each;
 * orders note, the main thread asserts.
 */
#include "unit/up/shelf_kit.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>

#include "event/handle.h"
#include "event/mailbox.h"
#include "event/thread.h"
#include "net/conn.h"
#include "unit/http/h1_kit.h"
#include "up/shelf.c"

/* ---- actors --------------------------------------------------------------------------------- */

struct actor {
    struct wr_thread thread;
    struct wr_mailbox *box;
    sem_t up, bye;
    struct count_task user;
    struct kit_cli cli;
    char got[256];
    uint32_t io_cnt; /* at the end */
};

static struct actor actors[ACTORS_MAX];

struct order {
    struct wr_mail mail;
    void (*fn)(struct order *o);
    sem_t done;
    struct actor *actor;
    struct wr_members *m;
    struct wr_member *member;
    const struct wr_codec *codec;
    uint64_t identity;
    uint64_t fault;
    struct wr_pconn *pc;
    struct wr_pconn_seed seed;
    int peer_fd;
    uint32_t cnt;
    uint64_t since_ms;
    uint16_t port;
    bool is_ready;
};

static void wait_for(sem_t *s)
{
    while (sem_wait(s) == -1) {
        assert_int_equal(errno, EINTR);
    }
}

static void run_order(struct wr_mail *m)
{
    struct order *o = wr_container_of(m, struct order, mail);

    if (o->fn) {
        o->fn(o);
    }
    sem_post(&o->done);
}

static void give(unsigned no, struct order *o, void (*fn)(struct order *o))
{
    o->actor = &actors[no];
    o->fn = fn;
    o->mail.run = run_order;
    sem_init(&o->done, 0, 0);
    wr_mailbox_post(actors[no].box, &o->mail);
    wait_for(&o->done);
    sem_destroy(&o->done);
}

/* The thread has had a turn with the time of now, and its tasks have run. */
static void settle(unsigned no)
{
    struct order o = {0};

    for (int i = 0; i < 4; i++) {
        give(no, &o, NULL);
    }
}

static void advance(unsigned actor_cnt, uint64_t ms)
{
    wr_add_acqrel(&clock_us, ms * 1000);
    for (unsigned i = 0; i < actor_cnt; i++) {
        settle(i);
    }
}

static void run_actor(void *data)
{
    struct actor *a = data;
    struct wr_loop *l;

    wr_clock_set_source(&test_clock);
    wr_clock_update();
    l = wr_loop_new(wr_poll_epoll_new());
    a->box = wr_mailbox_of_loop();
    count_task_init(&a->user);
    kit_cli_init(&a->cli, a->got, sizeof(a->got));
    sem_post(&a->up);
    wr_loop_run(l);
    wait_for(&a->bye);
    wr_idle_thread_end();
    turn_idle(l, 4);
    wr_task_cancel(&a->user.task);
    a->io_cnt = l->poll->io_cnt;
    wr_loop_free(l);
}

static void start_actors(unsigned cnt)
{
    for (unsigned i = 0; i < cnt; i++) {
        struct actor *a = &actors[i];

        sem_init(&a->up, 0, 0);
        sem_init(&a->bye, 0, 0);
        assert_int_equal(wr_thread_start(&a->thread, i, "actor", run_actor, a), WR_OK);
        wait_for(&a->up);
    }
}

static void do_stop(struct order *o)
{
    (void)o;
    wr_loop_stop(wr_loop_get());
}

static void stop_actor(unsigned no)
{
    struct order o = {0};

    give(no, &o, do_stop);
    /* Nobody is in the mailbox any more. */
    sem_post(&actors[no].bye);
    wr_thread_join(&actors[no].thread);
    assert_int_equal(actors[no].io_cnt, 1); /* the mailbox */
    sem_destroy(&actors[no].up);
    sem_destroy(&actors[no].bye);
}

static void stop_actors(unsigned cnt)
{
    for (unsigned i = 0; i < cnt; i++) {
        stop_actor(i);
    }
}

/* ---- orders --------------------------------------------------------------------------------- */

static void do_put(struct order *o)
{
    struct wr_pconn *pc = NULL;
    enum wr_status st = wr_h1_codec.adopt(o->codec ? o->codec : &wr_h1_codec, &o->seed,
                                          &o->member->peer->addr, NULL, &pc);

    if (st == WR_OK) {
        wr_idle_put(o->m, o->member, o->identity, pc);
        o->is_ready = true;
    }
}

/* A new connection is parked; value: the peer's end of it. */
static int put(unsigned no, struct wr_members *m, struct wr_member *member, uint64_t identity,
               uint32_t served)
{
    int fd[2];
    struct order o = {.m = m, .member = member, .identity = identity};

    make_unix_pair(fd);
    o.seed = (struct wr_pconn_seed){
        .fd = fd[0], .served = served, .since_ms = wr_load_acq(&clock_us) / 1000 - 77};
    give(no, &o, do_put);
    assert_true(o.is_ready);
    return fd[1];
}

static void do_take(struct order *o)
{
    if (o->peer_fd > 0) {
        close(o->peer_fd);
    }
    if (o->fault != 0) {
        wr_mem_fault_set(o->fault);
    }
    o->pc = wr_idle_take(o->m, o->member->peer, o->identity, &o->actor->user.task);
    wr_mem_fault_set(0);
    if (o->pc) {
        struct wr_addr a;

        wr_conn_peer_addr(o->pc->conn, &a);
        o->port = wr_addr_port(&a);
        o->is_ready = o->pc->state == WR_PCONN_READY && o->pc->user == &o->actor->user.task &&
                      wr_addr_eq(&a, &o->member->peer->addr);
        o->seed.served = o->pc->served;
        o->since_ms = o->pc->since_ms;
    }
}

/* served of the one that was taken (each connection has its own number there); 0: none. */
static uint32_t take(unsigned no, struct wr_members *m, struct wr_member *member, uint64_t identity,
                     struct wr_pconn **ret)
{
    struct order o = {.m = m, .member = member, .identity = identity};

    give(no, &o, do_take);
    if (!o.pc) {
        return 0;
    }
    assert_true(o.is_ready);
    if (ret) {
        *ret = o.pc;
    }
    return o.seed.served;
}

static void do_close(struct order *o)
{
    o->pc->codec->close(o->pc, WR_REASON_DONE);
}

static void close_taken(unsigned no, struct wr_pconn *pc)
{
    struct order o = {.pc = pc};

    give(no, &o, do_close);
}

static void do_count(struct order *o)
{
    o->cnt = wr_idle_thread_cnt();
}

static uint32_t stashed(unsigned no)
{
    struct order o = {0};

    give(no, &o, do_count);
    return o.cnt;
}

/* Whether our end of the connection is closed. */
static bool is_ended(int peer_fd)
{
    char c;
    ssize_t n = recv(peer_fd, &c, 1, MSG_DONTWAIT);

    return n == 0 || (n == -1 && errno == ECONNRESET);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void do_ask(struct order *o)
{
    struct kit_cli *u = &o->actor->cli;

    u->pc = o->pc;
    u->pc->user = &u->task;
    o->is_ready = kit_cli_begin(u);
}

static void do_note_cli(struct order *o)
{
    const struct kit_cli *u = &o->actor->cli;

    o->cnt = u->done_cnt;
    o->port = (uint16_t)u->status;
    o->is_ready = u->pc->state == WR_PCONN_READY;
    o->seed.served = u->pc->served;
}

/* A request and its answer on a connection that another thread dialed. */
static void ask(unsigned no, struct wr_pconn *pc, int peer_fd, uint32_t served)
{
    static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
    struct order o = {.pc = pc};
    char buf[256];
    ssize_t n = 0;

    give(no, &o, do_ask);
    assert_true(o.is_ready);
    for (int i = 0; i < 2000 && n <= 0; i++) {
        settle(no);
        n = recv(peer_fd, buf, sizeof(buf), MSG_DONTWAIT);
    }
    assert_true(n > 16 && memcmp(buf, "GET / HTTP/1.1\r\n", 16) == 0);
    assert_int_equal(send(peer_fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL), sizeof(answer) - 1);
    for (int i = 0; i < 2000 && o.cnt == 0; i++) {
        give(no, &o, do_note_cli);
    }
    assert_int_equal(o.cnt, 1);
    assert_int_equal(o.port, 204);
    assert_true(o.is_ready);
    assert_int_equal(o.seed.served, served + 1);
}

/* U10.3 */
static void test_another_thread_takes(void **state)
{
    struct world *w = world_new(3);
    struct wr_pconn *pc = NULL;
    int fd;

    (void)state;
    start_actors(3);
    fd = put(0, &w->m, &w->members[1], 7, 41);
    assert_int_equal(stashed(0), 1);
    assert_int_equal(take(1, &w->m, &w->members[1], 7, NULL), 0);
    advance(3, 999);
    assert_int_equal(stashed(0), 1);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 0);
    advance(3, 1);
    assert_int_equal(stashed(0), 0);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
    assert_false(is_ended(fd));
    assert_int_equal(take(2, &w->m, &w->members[1], 7, &pc), 41);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 0);
    assert_int_equal(pc->since_ms, 1000000 - 77);
    assert_int_equal(pc->conn->since_ms, 1000000 - 77);
    /* It is armed in the new thread's loop and works there. */
    ask(2, pc, fd, 41);
    assert_int_equal(take(0, &w->m, &w->members[1], 7, NULL), 0);
    close_taken(2, pc);
    settle(2);
    assert_true(is_ended(fd));
    close(fd);
    stop_actors(3);
    world_free(w);
}

/* One that is used every second stays, the colder one goes; a thread's own comes first. */
static void test_only_unused_leave(void **state)
{
    struct world *w = world_new(2);
    struct wr_pconn *pc = NULL;
    int cold, warm;

    (void)state;
    start_actors(2);
    cold = put(0, &w->m, &w->members[0], 1, 10);
    advance(2, 600);
    warm = put(0, &w->m, &w->members[0], 1, 11);
    advance(2, 400);
    assert_int_equal(stashed(0), 1);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
    assert_int_equal(take(0, &w->m, &w->members[0], 1, &pc), 11);
    close_taken(0, pc);
    assert_int_equal(take(0, &w->m, &w->members[0], 1, &pc), 10);
    close_taken(0, pc);
    assert_int_equal(take(0, &w->m, &w->members[0], 1, &pc), 0);
    close(cold);
    close(warm);
    stop_actors(2);
    world_free(w);
}

/* U10.4: the same group, peer and identity, or none. */
static void test_only_the_same(void **state)
{
    struct world *w = world_new(3);
    struct wr_pconn *pc = NULL;
    int fd[2];

    (void)state;
    start_actors(3);
    w->peers[2].id = 100 + SHELF_BUCKETS;
    fd[0] = put(0, &w->m, &w->members[0], 1, 20);
    /* The same bucket: peer ^ identity is equal. */
    fd[1] = put(0, &w->m, &w->members[1], 0, 21);
    advance(3, 1000);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 2);
    assert_int_equal(take(1, &w->m, &w->members[0], 0, NULL), 0);
    assert_int_equal(take(1, &w->m, &w->members[1], 1, NULL), 0);
    assert_int_equal(take(1, &w->m, &w->members[0], 1 + SHELF_BUCKETS, NULL), 0);
    assert_int_equal(take(1, &w->m, &w->members[2], 1, NULL), 0);
    assert_int_equal(take(1, &w->other, &w->members[0], 1, NULL), 0);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 2);
    assert_int_equal(take(1, &w->m, &w->members[1], 0, &pc), 21);
    close_taken(1, pc);
    assert_int_equal(take(2, &w->m, &w->members[0], 1, &pc), 20);
    close_taken(2, pc);
    close(fd[0]);
    close(fd[1]);
    stop_actors(3);
    world_free(w);
}

/* Two groups whose entries lie in one bucket. */
static void test_shelves_are_apart(void **state)
{
    struct world *w = world_new(2);
    /* Side by side: each number of a bucket is that of one of them. */
    static struct wr_shelf many[SHELF_BUCKETS];
    struct wr_shelf *mine = w->m.group->shelf, *first = w->other.group->shelf;
    struct wr_shelf *theirs = many;
    struct wr_pconn *pc = NULL;
    int fd;

    (void)state;
    while (peer_bucket(mine, 0, 0) != peer_bucket(theirs, 0, 0)) {
        theirs++;
        assert_true(theirs < many + SHELF_BUCKETS);
    }
    start_actors(2);
    fd = put(0, &w->m, &w->members[0], 1, 25);
    advance(2, 1000);
    w->other.group->shelf = theirs;
    wr_store_rlx(&theirs->cnt, 1); /* so that it is looked at */
    assert_int_equal(take(1, &w->other, &w->members[0], 1, NULL), 0);
    w->other.group->shelf = first;
    assert_int_equal(take(1, &w->m, &w->members[0], 1, &pc), 25);
    close_taken(1, pc);
    close(fd);
    stop_actors(2);
    world_free(w);
}

static void wait_for_cnt(struct world *w, uint32_t cnt)
{
    for (int i = 0; i < 100000 && wr_shelf_cnt(w->m.group->shelf) != cnt; i++) {
        sched_yield();
    }
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), cnt);
}

static void wait_for_end(int peer_fd)
{
    for (int i = 0; i < 100000 && !is_ended(peer_fd); i++) {
        sched_yield();
    }
    assert_true(is_ended(peer_fd));
}

/* U10.2: dropped at once, by the keeper alone: nobody takes, no time passes. */
static void test_ended_is_dropped(void **state)
{
    struct world *w = world_new(3);
    int fd[3];
    struct wr_pconn *pc = NULL;

    (void)state;
    start_actors(3);
    for (uint32_t i = 0; i < 3; i++) {
        fd[i] = put(i == 2 ? 1 : 0, &w->m, &w->members[0], 1, 30 + i);
    }
    advance(3, 1000);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 3);
    assert_int_equal(shutdown(fd[0], SHUT_WR), 0);
    wait_for_cnt(w, 2);
    wait_for_end(fd[0]);
    assert_int_equal(send(fd[2], "x", 1, MSG_NOSIGNAL), 1);
    wait_for_cnt(w, 1);
    wait_for_end(fd[2]);
    assert_false(is_ended(fd[1]));
    assert_int_equal(take(2, &w->m, &w->members[0], 1, &pc), 31);
    close_taken(2, pc);
    for (int i = 0; i < 3; i++) {
        close(fd[i]);
    }
    stop_actors(3);
    world_free(w);
}

/* Closed by the peer just before: never handed out, though the keeper had no turn yet. */
static void test_ended_is_not_taken(void **state)
{
    struct world *w = world_new(2);

    (void)state;
    start_actors(2);
    for (uint32_t i = 0; i < 50; i++) {
        /* On the keeper's thread, so that it cannot be first, and on the other. */
        struct order o = {.m = &w->m, .member = &w->members[0], .identity = 1};

        o.peer_fd = put(0, &w->m, &w->members[0], 1, 1);
        advance(2, i % 2 != 0 ? 1000 : 1400); /* so that no idle life is learned */
        assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
        give(i % 2, &o, do_take);
        assert_null(o.pc);
        assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 0);
    }
    stop_actors(2);
    world_free(w);
}

/* keepalive_timeout counts from when it was parked. */
static void test_expiry(void **state)
{
    struct world *w = world_new(3);
    int fd;

    (void)state;
    start_actors(3);
    w->m.keepalive_timeout_ms = 5000;
    fd = put(0, &w->m, &w->members[0], 1, 50);
    advance(3, 1000);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
    advance(3, 3999);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
    advance(3, 1);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 0);
    assert_true(is_ended(fd));
    close(fd);
    /* A thread that is ahead of the others' timers does not get it either. */
    fd = put(0, &w->m, &w->members[0], 1, 51);
    advance(3, 1000);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
    wr_add_acqrel(&clock_us, 4000 * 1000);
    settle(1);
    assert_int_equal(take(1, &w->m, &w->members[0], 1, NULL), 0);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 0);
    assert_true(is_ended(fd));
    close(fd);
    stop_actors(3);
    world_free(w);
}

/* keepalive times threads; the oldest goes first, the newest is taken first. */
static void test_cap(void **state)
{
    struct world *w = world_new(3);
    struct wr_pconn *pc = NULL;
    int fd[8];

    (void)state;
    start_actors(3);
    w->m.keepalive = 2;
    for (uint32_t i = 0; i < 8; i++) {
        fd[i] = put(i % 3, &w->m, &w->members[0], 1, 60 + i);
        advance(3, 1000);
    }
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 6);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(is_ended(fd[i]), i < 2);
    }
    for (uint32_t i = 8; i-- > 2;) {
        assert_int_equal(take(i % 3, &w->m, &w->members[0], 1, &pc), 60 + i);
        close_taken(i % 3, pc);
    }
    assert_int_equal(take(0, &w->m, &w->members[0], 1, &pc), 0);
    for (int i = 0; i < 8; i++) {
        close(fd[i]);
    }
    stop_actors(3);
    world_free(w);
}

static void close_stay(struct wr_pconn *pc, enum wr_reason why)
{
    wr_h1_codec.close(pc, why);
}

/* A codec whose connections cannot change threads. */
static const struct wr_codec stay_codec = {.name = "stay", .close = close_stay};

/* One thread, `local`, a codec that cannot: they stay in the stash, and only there. */
static void test_stays_local(void **state)
{
    struct world *w = world_new(1);
    struct wr_pconn *pc = NULL;
    struct order o = {.m = &w->m, .member = &w->members[0], .identity = 1, .codec = &stay_codec};
    int fd[4], pair[2];

    (void)state;
    start_actors(2);
    fd[0] = put(0, &w->m, &w->members[0], 1, 70);
    advance(2, 3000);
    assert_int_equal(stashed(0), 1);
    assert_int_equal(take(0, &w->m, &w->members[0], 1, &pc), 70);
    close_taken(0, pc);

    wr_idle_set_threads(2);
    w->m.keepalive_local = true;
    fd[1] = put(0, &w->m, &w->members[0], 1, 71);
    advance(2, 3000);
    assert_int_equal(stashed(0), 1);
    assert_int_equal(take(1, &w->m, &w->members[0], 1, NULL), 0);
    assert_int_equal(take(0, &w->m, &w->members[0], 1, &pc), 71);
    close_taken(0, pc);

    /* What was shelved before the group said `local` is not for it. */
    w->m.keepalive_local = false;
    fd[2] = put(0, &w->m, &w->members[0], 1, 72);
    advance(2, 1000);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
    w->m.keepalive_local = true;
    assert_int_equal(take(1, &w->m, &w->members[0], 1, NULL), 0);
    w->m.keepalive_local = false;
    assert_int_equal(take(1, &w->m, &w->members[0], 1, &pc), 72);
    close_taken(1, pc);

    make_unix_pair(pair);
    o.seed = (struct wr_pconn_seed){.fd = pair[0], .served = 73, .since_ms = 999999};
    fd[3] = pair[1];
    give(0, &o, do_put);
    advance(2, 5000);
    assert_int_equal(stashed(0), 1);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 0);
    /* Its timer still ends it. */
    advance(2, 55000);
    assert_int_equal(stashed(0), 0);
    assert_true(is_ended(fd[3]));
    for (int i = 0; i < 4; i++) {
        close(fd[i]);
    }
    stop_actors(2);
    world_free(w);
}

/* A group that no generation names lives until its shelf is empty. */
static void test_group_lives(void **state)
{
    struct world *w = world_new(2);
    struct wr_fixture *f = &w->m.group->fixture;
    int fd[2];

    (void)state;
    start_actors(2);
    fd[0] = put(0, &w->m, &w->members[0], 1, 80);
    fd[1] = put(1, &w->m, &w->members[0], 1, 81);
    advance(2, 1000);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 2);
    wr_gen_unref(w->gen);
    assert_int_equal(wr_fixtures_sweep(&w->fixtures), 1); /* "other" */
    stop_actors(2);
    /* No stash is left: the shelf alone holds it. */
    assert_int_equal(wr_load_acq(&f->_refcnt), 2);
    assert_int_equal(wr_fixtures_sweep(&w->fixtures), 0);
    assert_false(is_ended(fd[0]));
    wr_idle_process_end();
    assert_true(is_ended(fd[0]));
    assert_true(is_ended(fd[1]));
    assert_int_equal(wr_fixtures_sweep(&w->fixtures), 1);
    close(fd[0]);
    close(fd[1]);
    w->gen = wr_gen_new(2, 0);
    world_free(w);
}

/* The keeper's thread ends: the next that shelves looks after all. */
static void test_next_keeper(void **state)
{
    struct world *w = world_new(3);
    struct wr_pconn *pc = NULL;
    int fd[3];

    (void)state;
    start_actors(3);
    fd[0] = put(0, &w->m, &w->members[0], 1, 90);
    fd[1] = put(0, &w->m, &w->members[0], 1, 91);
    advance(3, 1000);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 2);
    stop_actor(0);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 2);
    fd[2] = put(1, &w->m, &w->members[0], 1, 92);
    wr_add_acqrel(&clock_us, 1000 * 1000);
    settle(1);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 3);
    close(fd[0]);
    wait_for_cnt(w, 2);
    close(fd[2]);
    wait_for_cnt(w, 1);
    assert_int_equal(take(2, &w->m, &w->members[0], 1, &pc), 91);
    close_taken(2, pc);
    close(fd[1]);
    stop_actor(1);
    stop_actor(2);
    world_free(w);
}

static void do_fault(struct order *o)
{
    wr_mem_fault_set(o->fault);
}

/* Each allocation of shelving and of taking fails in turn: nothing leaks, nothing is half done. */
static void test_no_memory(void **state)
{
    struct world *w = world_new(2);
    unsigned got = 0, lost = 0, shelved = 0;

    (void)state;
    start_actors(2);
    for (uint64_t n = 1; n <= 6; n++) {
        struct order o = {.m = &w->m, .member = &w->members[0], .identity = 1, .fault = n};
        int fd = put(0, &w->m, &w->members[0], 1, 100);

        give(0, &o, do_fault);
        advance(2, 1000);
        o.fault = 0;
        give(0, &o, do_fault);
        assert_int_equal(stashed(0), 0);
        if (wr_shelf_cnt(w->m.group->shelf) == 0) {
            assert_true(is_ended(fd));
            close(fd);
            fd = put(0, &w->m, &w->members[0], 1, 100);
            advance(2, 1000);
            lost++;
        } else {
            shelved++;
        }
        assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
        o.fault = n;
        give(1, &o, do_take);
        assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 0);
        if (o.pc) {
            got++;
            assert_false(is_ended(fd));
            close_taken(1, o.pc);
        }
        settle(1);
        assert_true(is_ended(fd));
        close(fd);
    }
    assert_true(lost >= 1 && shelved >= 1);
    assert_true(got >= 1 && got < 5);
    stop_actors(2);
    world_free(w);
}

enum {
    HANDLES_MAX = 65536
};

/* Shelves while the loop has no room for one handle more. */
static void do_put_full(struct order *o)
{
    static wr_handle handles[HANDLES_MAX];
    struct wr_shelved it = {.codec = &wr_h1_codec,
                            .seed = o->seed,
                            .peer_id = o->member->peer->id,
                            .identity = o->identity,
                            .expires_ms = wr_now_ms() + 60000};
    uint32_t n = 0;
    enum wr_status st = WR_OK;

    while (n < HANDLES_MAX && st == WR_OK) {
        wr_mem_fault_set(1);
        st = wr_handle_open(o, &handles[n]);
        n += st == WR_OK;
    }
    o->is_ready = st == WR_ENOMEM;
    wr_mem_fault_set(2);
    wr_shelf_put(o->m->group->shelf, &it, 8);
    wr_mem_fault_set(0);
    while (n > 0) {
        wr_handle_close(handles[--n]);
    }
}

/* A thread that cannot be the keeper: what ended is found by who takes, then another keeps. */
static void test_no_keeper(void **state)
{
    struct world *w = world_new(2);
    struct wr_pconn *pc = NULL;
    int pair[2][2], fd;

    (void)state;
    start_actors(2);
    for (uint32_t i = 0; i < 2; i++) {
        struct order o = {.m = &w->m, .member = &w->members[0], .identity = 1};

        make_unix_pair(pair[i]);
        o.seed = (struct wr_pconn_seed){.fd = pair[i][0], .served = 110 + i, .since_ms = 1};
        give(0, &o, do_put_full);
        assert_true(o.is_ready);
    }
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 2);
    close(pair[1][1]);
    settle(0);
    settle(1);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 2);
    assert_int_equal(take(1, &w->m, &w->members[0], 1, &pc), 110);
    close_taken(1, pc);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 0);
    close(pair[0][1]);
    fd = put(1, &w->m, &w->members[0], 1, 112);
    advance(2, 1000);
    assert_int_equal(wr_shelf_cnt(w->m.group->shelf), 1);
    close(fd);
    wait_for_cnt(w, 0);
    stop_actors(2);
    world_free(w);
}

/* Connected on a thread whose clock is a few milliseconds ahead: it is young, not old. */
static void test_clock_ahead(void **state)
{
    struct world *w = world_new(2);
    struct order o = {.m = &w->m, .member = &w->members[0], .identity = 1};
    int pair[2];

    (void)state;
    start_actors(2);
    make_unix_pair(pair);
    o.seed = (struct wr_pconn_seed){.fd = pair[0], .since_ms = 1000000 + 5};
    give(0, &o, do_put);
    assert_int_equal(stashed(0), 1);
    close(pair[1]);
    stop_actors(2);
    world_free(w);
}

/* Bytes that the loop has received, or an end it has seen, keep a connection from leaving. */
static void do_detach(struct order *o)
{
    struct wr_poll *poll = wr_loop_get()->poll;
    struct wr_pconn *pc = NULL;

    o->is_ready =
        wr_h1_codec.adopt(&wr_h1_codec, &o->seed, &o->member->peer->addr, NULL, &pc) == WR_OK;
    o->port = 0;
    if (o->is_ready && o->cnt > 0) {
        if (o->cnt == 1) {
            (void)!write(o->peer_fd, "x", 1);
        } else {
            (void)shutdown(o->peer_fd, SHUT_WR);
        }
        /* The facts are here, the connection's task has yet to run. */
        (void)poll->ops->batch(poll);
        poll->ops->wait(poll, 1000);
        (void)poll->ops->batch(poll);
    }
    if (o->is_ready && pc->codec->detach(pc, &o->seed) == WR_OK) {
        o->port = 1;
        close(o->seed.fd);
    } else if (o->is_ready) {
        pc->codec->close(pc, WR_REASON_DONE);
    }
}

static void test_detach(void **state)
{
    struct world *w = world_new(1);
    int pair[2];

    (void)state;
    start_actors(1);
    for (uint32_t i = 0; i < 3; i++) {
        struct order o = {.member = &w->members[0], .cnt = i};

        make_unix_pair(pair);
        o.seed.fd = pair[0];
        o.peer_fd = pair[1];
        give(0, &o, do_detach);
        assert_true(o.is_ready);
        assert_int_equal(o.port, i == 0);
        close(pair[1]);
    }
    stop_actors(1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_thread_takes),
        cmocka_unit_test(test_only_unused_leave),
        cmocka_unit_test(test_only_the_same),
        cmocka_unit_test(test_shelves_are_apart),
        cmocka_unit_test(test_ended_is_dropped),
        cmocka_unit_test(test_ended_is_not_taken),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_stays_local),
        cmocka_unit_test(test_group_lives),
        cmocka_unit_test(test_next_keeper),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_keeper),
        cmocka_unit_test(test_clock_ahead),
        cmocka_unit_test(test_detach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
