/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox.h: messages to another thread's loop: many producers, one consumer, eventfd wake (one
 * write per empty-to-full change). A mail is the sender's memory until it is posted, then the
 * receiver's; run() is called on the receiving thread at the mail point of a turn, no request code
 * on the stack, and owns the mail.
 */
#ifndef WR_EVENT_MAILBOX_H
#define WR_EVENT_MAILBOX_H

#include "base/compiler.h"
#include "base/status.h"

struct wr_mail {
    struct wr_mail *_next;
    void (*run)(struct wr_mail *m);
};

struct wr_mailbox;

/* Belongs to the loop of the calling thread (made by wr_loop_new). */
struct wr_mailbox *wr_mailbox_of_loop(void);
/* Any thread. The mailbox must live: workers' mailboxes live as long as the process. */
void wr_mailbox_post(struct wr_mailbox *mb, struct wr_mail *m);

#endif
