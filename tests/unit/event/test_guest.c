/* SPDX-License-Identifier: Apache-2.0 */
/* test_guest.c: a loop that gets a thread when there is work for it, and only then. */
#include "unit/event/looptest.h"

#include <dirent.h>

#include "base/sync.h"
#include "event/guest.h"
#include "event/mailbox.h"
#include "event/timer.h"

enum {
    ROUNDS = 60
};

struct world {
    struct wr_guest guest;
    struct wr_loop *guest_loop;
    struct wr_mailbox *to_guest;
    struct wr_thread here;
    void (*scene)(struct world *w);
    pthread_t host;
};

/* What a scene sends to the guest, which sends it back. */
struct letter {
    struct wr_mail mail;
    struct wr_mailbox *from;
    bool is_back, ran_elsewhere;
    pthread_t host;
};

static unsigned count_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    unsigned cnt = 0;

    assert_non_null(d);
    while (readdir(d) != NULL) {
        cnt++;
    }
    (void)closedir(d);
    return cnt - 2; /* . and .. */
}

static unsigned threads_before;

static void turn_until_asleep(struct world *w)
{
    uint64_t end_ms = wr_clock_mono_us() / 1000 + 60000;

    while (w->guest.is_awake) {
        wr_loop_turn(wr_loop_get(), 1000);
        assert_true(wr_clock_mono_us() / 1000 < end_ms);
    }
    assert_int_equal(count_threads(), threads_before);
}

static void run_back(struct wr_mail *m)
{
    wr_container_of(m, struct letter, mail)->is_back = true;
}

static void run_there(struct wr_mail *m)
{
    struct letter *l = wr_container_of(m, struct letter, mail);

    l->ran_elsewhere = !pthread_equal(pthread_self(), l->host);
    l->mail.run = run_back;
    wr_mailbox_post(l->from, &l->mail);
}

static void send_letter(struct world *w, struct letter *l)
{
    *l = (struct letter){.mail = {.run = run_there}, .from = wr_mailbox_of_loop(), .host = w->host};
    wr_mailbox_post(w->to_guest, &l->mail);
}

/* Blocks for ever when a wake is lost: the runner's time limit would tell. */
static void turn_until_back(struct letter *l)
{
    while (!l->is_back) {
        wr_loop_turn(wr_loop_get(), -1);
    }
    assert_true(l->ran_elsewhere);
}

static void run_stop(struct wr_mail *m)
{
    (void)m;
    wr_loop_stop(wr_loop_get());
}

static void run_world(void *data)
{
    struct world *w = data;
    struct wr_loop *host = wr_loop_new(wr_poll_epoll_new());
    struct wr_mail stop = {.run = run_stop};

    assert_non_null(host);
    assert_int_equal(wr_local_get()->thread_no, 7);
    assert_true(wr_thread_cpu_us(&w->here) > 0);
    wr_guest_enter(&w->guest);
    w->scene(w);
    wr_mailbox_post(w->to_guest, &stop);
    while (!w->guest.is_awake) {
        wr_loop_turn(host, -1); /* it is woken, then it stops */
    }
    wr_guest_leave(&w->guest);
    wr_loop_free(host);
}

static void play(void (*scene)(struct world *w))
{
    struct wr_local *mine = wr_local_get();
    struct world w = {.scene = scene, .host = pthread_self()};

    mine->thread_no = 3;
    w.guest_loop = wr_loop_new(wr_poll_epoll_new());
    assert_non_null(w.guest_loop);
    w.to_guest = wr_mailbox_of_loop();
    wr_guest_init(&w.guest, "guest");
    wr_thread_here(&w.here, 7, run_world, &w);
    wr_guest_fini(&w.guest);
    assert_ptr_equal(wr_local_get(), mine);
    assert_int_equal(mine->thread_no, 3);
    assert_ptr_equal(wr_loop_get(), w.guest_loop);
    assert_true(w.guest_loop->want_stop);
    wr_loop_free(w.guest_loop);
    assert_int_equal(count_threads(), threads_before);
}

static void sleep_and_wake(struct world *w)
{
    struct letter l;

    assert_true(w->guest.is_awake); /* it may have had work */
    turn_until_asleep(w);
    send_letter(w, &l);
    turn_until_back(&l);
    assert_true(w->guest.is_awake);
    send_letter(w, &l); /* the same thread does it */
    turn_until_back(&l);
    turn_until_asleep(w);
}

static void test_mail(void **state)
{
    (void)state;
    play(sleep_and_wake);
}

static void end_awake(struct world *w)
{
    struct letter l;

    send_letter(w, &l);
    turn_until_back(&l);
}

static void test_end_awake(void **state)
{
    (void)state;
    play(end_awake);
}

/* --- the guest's own timers and descriptors --- */

struct own {
    struct wr_mail begin;
    struct wr_task task;
    struct wr_timer timer;
    struct wr_io io;
    int fds[2];
    wr_atomic_u32 runs;
};

static void run_own(struct wr_task *t)
{
    struct own *o = wr_container_of(t, struct own, task);

    if ((o->io.facts & WR_IO_READABLE) != 0) {
        char c;

        o->io.facts &= (uint16_t)~WR_IO_READABLE;
        assert_int_equal(read(o->fds[0], &c, 1), 1);
    }
    (void)wr_add_acqrel(&o->runs, 1);
}

static void begin_own(struct wr_mail *m)
{
    struct own *o = wr_container_of(m, struct own, begin);

    wr_task_init(&o->task, run_own, "own");
    wr_timer_init(&o->timer, &o->task);
    wr_timer_arm(&o->timer, wr_now_ms() + WR_GUEST_STAY_MS * 5 / 2);
    wr_io_init(&o->io, WR_IO_NOTIFY, &o->task);
    assert_int_equal(wr_io_adopt(&o->io, o->fds[0]), WR_OK);
}

static void end_own(struct wr_mail *m)
{
    struct own *o = wr_container_of(m, struct own, begin);

    wr_timer_fini(&o->timer);
    wr_io_close(&o->io, WR_IO_CLOSE_FIN);
    (void)wr_add_acqrel(&o->runs, 1);
}

static void turn_until_runs(struct own *o, uint32_t want)
{
    while (wr_load_acq(&o->runs) < want) {
        wr_loop_turn(wr_loop_get(), 10);
    }
    assert_int_equal(wr_load_acq(&o->runs), want);
}

static void wake_by_itself(struct world *w)
{
    struct own o = {.begin = {.run = begin_own}};

    assert_int_equal(pipe(o.fds), 0);
    wr_mailbox_post(w->to_guest, &o.begin);
    wr_loop_turn(wr_loop_get(), 10);
    turn_until_asleep(w); /* before the timer */
    assert_int_equal(wr_load_acq(&o.runs), 0);
    assert_true(wr_timer_is_armed(&w->guest.timer));
    turn_until_runs(&o, 1);
    turn_until_asleep(w);
    assert_int_equal(write(o.fds[1], "x", 1), 1);
    turn_until_runs(&o, 2);
    turn_until_asleep(w);
    o.begin.run = end_own;
    wr_mailbox_post(w->to_guest, &o.begin);
    turn_until_runs(&o, 3);
    (void)close(o.fds[1]);
}

static void test_timer_and_event(void **state)
{
    (void)state;
    play(wake_by_itself);
}

/* --- mail at the moment it falls asleep --- */

/* Letters at all distances from the moment it falls asleep: none is lost, whoever sees it. */
static void write_at_the_edge(struct world *w)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t until_us =
            wr_clock_mono_us() + (i % 3 == 0 ? WR_GUEST_STAY_MS * 1000 - 2000 + i * 100 : i);
        struct letter l;

        while (wr_clock_mono_us() < until_us) {
            wr_loop_turn(wr_loop_get(), 0);
        }
        send_letter(w, &l);
        turn_until_back(&l);
    }
}

static void test_edge(void **state)
{
    (void)state;
    play(write_at_the_edge);
}

static void do_nothing(void *data)
{
    (void)data;
}

int main(void)
{
    struct wr_thread first;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail),
        cmocka_unit_test(test_end_awake),
        cmocka_unit_test(test_timer_and_event),
        cmocka_unit_test(test_edge),
    };

    /* A sanitizer may start one of its own beside the first of ours. */
    if (wr_thread_start(&first, 9, "first", do_nothing, NULL) != WR_OK) {
        return 1;
    }
    wr_thread_join(&first);
    threads_before = count_threads();
    return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
