/* SPDX-License-Identifier: Apache-2.0 */
/* test_mailbox.c: mails in order, from four threads at once, and to a loop that sleeps. */
#include "unit/event/looptest.h"

#include "base/sync.h"
#include "event/mailbox.h"
#include "event/thread.h"

enum {
    SENDERS = 4,
    MAILS = 20000
};

struct letter {
    struct wr_mail mail;
    unsigned sender, no;
};

static unsigned next_no[SENDERS];
static unsigned received;

static void read_letter(struct wr_mail *m)
{
    struct letter *l = wr_container_of(m, struct letter, mail);

    /* Mails of one sender come in its order. */
    assert_int_equal(next_no[l->sender], l->no);
    next_no[l->sender]++;
    received++;
    wr_mem_free(l);
}

struct sender {
    struct wr_thread thread;
    struct wr_mailbox *to;
    unsigned no;
};

static void send_letters(void *data)
{
    struct sender *s = data;

    for (unsigned i = 0; i < MAILS; i++) {
        struct letter *l = wr_mem_alloc(sizeof(*l));

        l->mail.run = read_letter;
        l->sender = s->no;
        l->no = i;
        wr_mailbox_post(s->to, &l->mail);
    }
}

static void test_stress(void **state)
{
    struct sender s[SENDERS];

    received = 0;
    memset(next_no, 0, sizeof(next_no));
    for (unsigned i = 0; i < SENDERS; i++) {
        s[i].to = wr_mailbox_of_loop();
        s[i].no = i;
        assert_int_equal(wr_thread_start(&s[i].thread, 10 + i, "sender", send_letters, &s[i]),
                         WR_OK);
    }
    /* Sleeps for ever if a wake is lost: the runner's time limit would tell. */
    while (received < SENDERS * MAILS) {
        wr_loop_turn(*state, -1);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        wr_thread_join(&s[i].thread);
    }
    wr_loop_turn(*state, 0);
    assert_int_equal(received, SENDERS * MAILS);
}

static struct wr_mailbox *answer_to;
static wr_atomic_u32 answers;

static void note_answer(struct wr_mail *m)
{
    wr_add_rlx(&answers, 1);
    wr_mem_free(m);
}

static void answer(void *data)
{
    (void)data;
    for (uint32_t i = 0; i < 200; i++) {
        struct wr_mail *m = wr_mem_alloc(sizeof(*m));

        m->run = note_answer;
        wr_mailbox_post(answer_to, m);
        /* One at a time: each finds the box empty and the owner asleep or nearly so. */
        while (wr_load_acq(&answers) <= i) {
            continue;
        }
    }
}

static void test_wakes_a_sleeper(void **state)
{
    struct wr_thread t;

    answer_to = wr_mailbox_of_loop();
    wr_store_rel(&answers, 0);
    assert_int_equal(wr_thread_start(&t, 11, "answer", answer, NULL), WR_OK);
    while (wr_load_acq(&answers) < 200) {
        wr_loop_turn(*state, -1);
    }
    wr_thread_join(&t);
}

/* Posted by a mail of the same loop, and left over at the end: nothing is lost. */
static void post_again(struct wr_mail *m)
{
    struct letter *l = wr_container_of(m, struct letter, mail);

    received++;
    if (l->no-- > 0) {
        wr_mailbox_post(wr_mailbox_of_loop(), &l->mail);
    } else {
        wr_mem_free(l);
    }
}

static void test_same_thread(void **state)
{
    struct letter *l = wr_mem_alloc(sizeof(*l));

    received = 0;
    l->mail.run = post_again;
    l->no = 5;
    wr_mailbox_post(wr_mailbox_of_loop(), &l->mail);
    for (int i = 0; i < 10 && received < 6; i++) {
        wr_loop_turn(*state, -1);
    }
    assert_int_equal(received, 6);
    l = wr_mem_alloc(sizeof(*l));
    l->mail.run = post_again;
    l->no = 0;
    wr_mailbox_post(wr_mailbox_of_loop(), &l->mail);
    /* teardown frees the loop with it in the box. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stress, setup_loop, teardown_loop),
        cmocka_unit_test_setup_teardown(test_wakes_a_sleeper, setup_loop, teardown_loop),
        cmocka_unit_test_setup_teardown(test_same_thread, setup_loop, teardown_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
