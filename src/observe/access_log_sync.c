/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access_log_sync.c: rounds in which every thread writes out its lines.
 *
 *   asked.members  threads that may hold lines, each with one mail of its own
 *   asked.rounds   {no, left, done, home}: left counts members that have not flushed since
 *
 * A member that runs its mail has flushed for every round up to now, so one mail serves them all.
 * The last one posts `done` to who asked.
 */
#include "base/mem.h"
#include "base/sync.h"
#include "observe/access_log.h"
#include "observe/access_log_int.h"

struct round {
    struct wr_list node;
    uint64_t no;
    unsigned left;
    struct wr_mail *done;
    struct wr_mailbox *home;
};

static struct {
    struct wr_mutex lock;
    struct wr_list members, rounds;
    uint64_t no; /* of the last round */
    unsigned member_cnt;
} asked = {.lock = WR_MUTEX_INIT(WR_RANK_LEAF),
           .members = WR_LIST_INIT(asked.members),
           .rounds = WR_LIST_INIT(asked.rounds)};

/* Lock held. m holds nothing of the time before now. */
static void take_part(struct wr_access_log_member *m)
{
    struct wr_list *n, *next;

    WR_LIST_FOREACH_SAFE (n, next, &asked.rounds) {
        struct round *r = wr_container_of(n, struct round, node);

        if (r->no > m->done_no && --r->left == 0) {
            wr_list_remove(&r->node);
            wr_mailbox_post(r->home, r->done);
            wr_mem_free(r);
        }
    }
    m->done_no = asked.no;
}

static void run_flush(struct wr_mail *mail)
{
    struct wr_access_log_member *m = wr_container_of(mail, struct wr_access_log_member, mail);

    wr_mutex_lock(&asked.lock);
    m->is_posted = false; /* who asks from now on posts anew */
    wr_mutex_unlock(&asked.lock);
    if (!m->flush) {
        return; /* it left while the mail was on its way */
    }
    m->flush();
    wr_mutex_lock(&asked.lock);
    take_part(m);
    wr_mutex_unlock(&asked.lock);
}

void wr_access_log_join(struct wr_access_log_member *m, void (*flush)(void))
{
    m->flush = flush;
    m->mailbox = wr_mailbox_of_loop();
    m->mail.run = run_flush;
    wr_mutex_lock(&asked.lock);
    m->done_no = asked.no;
    wr_list_push(&asked.members, &m->node);
    asked.member_cnt++;
    wr_mutex_unlock(&asked.lock);
}

void wr_access_log_leave(struct wr_access_log_member *m)
{
    wr_mutex_lock(&asked.lock);
    wr_list_remove(&m->node);
    asked.member_cnt--;
    take_part(m);
    wr_mutex_unlock(&asked.lock);
    m->flush = NULL;
}

bool wr_access_log_sync(struct wr_mail *done)
{
    struct wr_list *n;
    struct round *r = wr_mem_alloc(sizeof(*r)); /* control thread: as all that it makes */

    *r = (struct round){.done = done, .home = wr_mailbox_of_loop()};
    wr_mutex_lock(&asked.lock);
    r->left = asked.member_cnt;
    if (r->left == 0) {
        wr_mutex_unlock(&asked.lock);
        wr_mem_free(r);
        return false;
    }
    r->no = ++asked.no;
    wr_list_push(&asked.rounds, &r->node);
    WR_LIST_FOREACH (n, &asked.members) {
        struct wr_access_log_member *m = wr_container_of(n, struct wr_access_log_member, node);

        if (!m->is_posted) {
            m->is_posted = true;
            wr_mailbox_post(m->mailbox, &m->mail);
        }
    }
    wr_mutex_unlock(&asked.lock);
    return true;
}
