/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox.c: a stack of mails that any thread pushes on by compare-and-swap and the owner takes
 * whole, then turns round, so that the mails of one sender run in the order they were posted. Who
 * finds the stack empty writes the eventfd.
 *
 * The owner reads the eventfd first and takes the mails after that: a mail that comes in between is
 * either taken or leaves the eventfd readable. The loop also takes mails at the mail point of
 * each turn without touching the eventfd, and asks before it sleeps.
 */
#include "event/mailbox.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/sync.h"
#include "event/event_int.h"
#include "event/loop.h"

struct wr_mailbox {
    wr_atomic_ptr head;    /* struct wr_mail, newest first */
    wr_atomic_u32 posting; /* calls of post that go on: the owner may have read their mail */
    struct wr_io io;       /* the eventfd, mode NOTIFY */
    int fd;
    struct wr_task task;
};

static void run_mailbox(struct wr_task *t)
{
    struct wr_mailbox *mb = wr_container_of(t, struct wr_mailbox, task);
    uint64_t n;

    if ((mb->io.facts & WR_IO_READABLE) != 0) {
        mb->io.facts &= (uint16_t)~WR_IO_READABLE;
        /* EAGAIN is no error here; the value says nothing that the stack does not. */
        (void)!read(mb->fd, &n, sizeof(n));
    }
    wr_mailbox_drain(mb);
}

struct wr_mailbox *wr_mailbox_new(void)
{
    struct wr_mailbox *mb = wr_run_zalloc(sizeof(*mb));

    if (!mb) {
        return NULL;
    }
    wr_store_rlx(&mb->head, NULL);
    wr_task_init(&mb->task, run_mailbox, "mailbox");
    wr_io_init(&mb->io, WR_IO_NOTIFY, &mb->task);
    mb->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mb->fd == -1) {
        wr_mem_free(mb);
        return NULL;
    }
    if (wr_io_adopt(&mb->io, mb->fd) != WR_OK) {
        wr_io_close(&mb->io, WR_IO_CLOSE_FIN);
        wr_mem_free(mb);
        return NULL;
    }
    return mb;
}

void wr_mailbox_free(struct wr_mailbox *mb)
{
    if (mb) {
        while (wr_load_acq(&mb->posting) != 0) {
            (void)sched_yield();
        }
        wr_task_cancel(&mb->task);
        wr_io_close(&mb->io, WR_IO_CLOSE_FIN);
        wr_mem_free(mb);
    }
}

struct wr_mailbox *wr_mailbox_of_loop(void)
{
    struct wr_loop *l = wr_loop_get();

    WR_ASSERT(l != NULL);
    return l->mailbox;
}

void wr_mailbox_post(struct wr_mailbox *mb, struct wr_mail *m)
{
    uint64_t one = 1;
    void *old = wr_load_rlx(&mb->head);
    bool was_empty;

    wr_add_acqrel(&mb->posting, 1);
    /* Release: what the sender wrote into the mail is seen by whoever takes it. */
    do {
        m->_next = old;
        was_empty = old == NULL;
    } while (!wr_cas_acqrel(&mb->head, &old, m));
    while (was_empty && write(mb->fd, &one, sizeof(one)) == -1 && errno == EINTR) {
        continue;
    }
    wr_sub_acqrel(&mb->posting, 1);
}

bool wr_mailbox_has_mail(struct wr_mailbox *mb)
{
    return wr_load_acq(&mb->head) != NULL;
}

void wr_mailbox_drain(struct wr_mailbox *mb)
{
    struct wr_mail *newest, *first = NULL;

    if (!wr_mailbox_has_mail(mb)) {
        return;
    }
    newest = wr_swap_acqrel(&mb->head, NULL);
    while (newest != NULL) {
        struct wr_mail *next = newest->_next;

        newest->_next = first;
        first = newest;
        newest = next;
    }
    while (first != NULL) {
        struct wr_mail *m = first;

        first = m->_next;
        m->run(m);
    }
}
