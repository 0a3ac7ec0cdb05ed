/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.c: the waiting requests of a group (up/queue.h).
 *
 *   group.queue.waiters -- wait -- wait -- wait     in the order in which they came; group lock
 *
 * No wake is lost: a waiter enters, which counts it (A), and then tries to pick (B). Who frees a
 * slot frees it (C), and then looks at the count (D). All four are sequentially consistent, so that
 * either B sees the free slot or D sees the waiter. The slot is then taken for the waiter under the
 * lock: a request that comes later cannot have it, and a waiter that leaves gives it on.
 *
 * A wait belongs to its request's thread. While a mail to that thread is under way (is_posted) the
 * mail owns its memory. Mails are posted under the lock: who left knows that the mail is in the
 * box, so that his loop, when it ends, still finds it.
 */
#include "up/queue.h"

#include <string.h>

#include "base/local.h"
#include "base/slab.h"
#include "event/mailbox.h"

struct wr_wait {
    struct wr_mail mail;
    struct wr_list node;      /* in the queue, or alone; group lock */
    struct wr_picker look;    /* what it looks for; constant while it is in the queue */
    struct wr_peer_slot slot; /* handed over; group lock */
    bool is_posted;           /* group lock */
    const struct wr_local *owner;
    struct wr_mailbox *mailbox;
    struct wr_task *user; /* owner only; NULL: it left */
};

static struct wr_group *group_of(const struct wr_wait *w)
{
    return w->look.members->group;
}

static void get_mail(struct wr_mail *mail)
{
    struct wr_wait *w = wr_container_of(mail, struct wr_wait, mail);

    if (w->user == NULL) {
        wr_slab_free(w, sizeof(*w));
        return;
    }
    wr_mutex_lock(&group_of(w)->lock);
    w->is_posted = false;
    wr_mutex_unlock(&group_of(w)->lock);
    wr_task_wake(w->user);
}

/* Lock held. */
static void wake(struct wr_wait *w)
{
    if (w->owner == wr_local_get()) {
        wr_task_wake(w->user);
    } else if (!w->is_posted) {
        w->is_posted = true;
        wr_mailbox_post(w->mailbox, &w->mail);
    }
}

/* Lock held. */
static void note_list(struct wr_queue *q, const struct wr_members *m)
{
    q->list = wr_load_rlx(&q->cnt) == 0 || q->list == m ? m : NULL;
}

/* Lock held. */
static void unlink_wait(struct wr_wait *w)
{
    wr_list_remove(&w->node);
    wr_sub_seq(&group_of(w)->queue.cnt, 1);
}

/* What others read while the request goes on picking by itself: a copy. */
static enum wr_status copy_look(struct wr_picker *to, const struct wr_picker *p)
{
    size_t size = ((size_t)p->members->cnt + 63) / 64 * sizeof(*p->tried);

    *to = *p;
    if (p->tried == &p->inline_tried) {
        to->tried = &to->inline_tried;
    } else if (p->tried != NULL) {
        to->tried = wr_arena_alloc(p->arena, size);
        if (to->tried == NULL) {
            return WR_ENOMEM;
        }
        memcpy(to->tried, p->tried, size);
    }
    return WR_OK;
}

enum wr_status wr_queue_join(const struct wr_picker *p, struct wr_task *user, struct wr_wait **ret)
{
    struct wr_group *g = p->members->group;
    struct wr_wait *w = wr_slab_alloc(sizeof(*w));
    bool has_room;

    if (w == NULL || copy_look(&w->look, p) != WR_OK) {
        wr_slab_free(w, sizeof(*w));
        return WR_ENOMEM;
    }
    w->mail.run = get_mail;
    w->owner = wr_local_get();
    w->mailbox = wr_mailbox_of_loop();
    w->user = user;
    wr_list_init(&w->node);
    wr_mutex_lock(&g->lock);
    has_room = wr_load_rlx(&g->queue.cnt) < p->members->queue_max;
    if (has_room) {
        note_list(&g->queue, p->members);
        wr_list_push(&g->queue.waiters, &w->node);
        wr_add_seq(&g->queue.cnt, 1);
    }
    wr_mutex_unlock(&g->lock);
    if (!has_room) {
        wr_slab_free(w, sizeof(*w));
        return WR_ELIMIT;
    }
    *ret = w;
    return WR_OK;
}

enum wr_status wr_queue_follow(struct wr_wait *w, const struct wr_picker *p)
{
    struct wr_picker look;
    enum wr_status st = copy_look(&look, p);

    if (st != WR_OK) {
        return st;
    }
    wr_mutex_lock(&group_of(w)->lock);
    note_list(&group_of(w)->queue, look.members);
    w->look = look;
    if (look.tried == &look.inline_tried) {
        w->look.tried = &w->look.inline_tried;
    }
    wr_mutex_unlock(&group_of(w)->lock);
    return WR_OK;
}

/* It is in no queue any more. */
static void end_wait(struct wr_wait *w, bool is_posted)
{
    if (is_posted) {
        w->user = NULL; /* the mail frees it */
    } else {
        wr_slab_free(w, sizeof(*w));
    }
}

bool wr_queue_take(struct wr_wait **pw, uint64_t now_ms, struct wr_peer_slot *ret)
{
    struct wr_wait *w = *pw;
    struct wr_group *g = group_of(w);
    struct wr_peer_slot slot;
    bool is_posted;

    wr_mutex_lock(&g->lock);
    g->queue.now_ms = WR_MAX(g->queue.now_ms, now_ms);
    slot = w->slot;
    is_posted = w->is_posted;
    wr_mutex_unlock(&g->lock);
    if (slot.member == NULL) {
        return false;
    }
    *pw = NULL;
    end_wait(w, is_posted);
    *ret = slot;
    return true;
}

void wr_queue_leave(struct wr_wait **pw, uint64_t now_ms)
{
    struct wr_wait *w = *pw;
    struct wr_peer_slot slot;
    bool is_posted;

    if (w == NULL) {
        return;
    }
    *pw = NULL;
    wr_mutex_lock(&group_of(w)->lock);
    if (!wr_list_is_empty(&w->node)) {
        unlink_wait(w);
    }
    slot = w->slot;
    is_posted = w->is_posted;
    wr_mutex_unlock(&group_of(w)->lock);
    end_wait(w, is_posted);
    wr_peer_slot_release(&slot, WR_OUTCOME_NEUTRAL, now_ms);
}

/* Which member of the waiter's list is this peer? A list of another generation has its own order.
 */
static uint32_t index_for(const struct wr_wait *w, const struct wr_members *m, uint32_t i)
{
    const struct wr_members *own = w->look.members;
    uint32_t k;

    if (own == m) {
        return i;
    }
    for (k = 0; k < own->cnt && own->at[k].peer != m->at[i].peer; k++) {
    }
    return k < own->cnt ? k : UINT32_MAX;
}

/* When member k of its list may be probed; 0: it is not out. */
static uint64_t due_for(const struct wr_wait *w, uint32_t k)
{
    const struct wr_members *own = w->look.members;

    return own->has_accounting ? wr_peer_due_ms(&own->at[k]) : 0;
}

/* Lock held. False: the member is full or out, by its list. */
static bool give(struct wr_wait *w, uint32_t k, uint64_t now_ms)
{
    if (due_for(w, k) > now_ms || !wr_pick_member_locked(w->look.members, k, now_ms, &w->slot)) {
        return false;
    }
    unlink_wait(w);
    wake(w);
    return true;
}

/* Does the change matter to one who did not get the slot? */
static bool must_look(const struct wr_wait *w, uint32_t k, enum wr_health_change change)
{
    switch (change) {
    case WR_HEALTH_SAME:
        break;
    case WR_HEALTH_WORSE:
    case WR_HEALTH_DUE:
        return due_for(w, k) != 0;
    case WR_HEALTH_CLEARED: /* lists of several generations may count to different numbers */
    case WR_HEALTH_BACK:
        return true;
    }
    return false;
}

/*
 * What holds for slots holds for a peer's health, too: a waiter has a deadline for the first peer
 * that is out when it looks, and none for one that is full. Therefore
 *
 *   who finds a peer out after its change (WORSE, DUE) wakes all who would wait for it: they note
 *   the deadline, which nobody else may do for them when no request is left but those that wait
 *
 *   a slot is handed by the latest clock by which a waiter looked: each thread has its own, and
 *   that waiter may have found the peer due, and full, a little ahead of who gives the slot back
 *
 *   who took a slot and lost the right to probe hands it as any other (wr_pick_member): a waiter
 *   may have found the peer full in between
 */
void wr_queue_hand_on(const struct wr_members *m, uint32_t i, enum wr_health_change change,
                      uint64_t now_ms)
{
    struct wr_group *g = m->group;
    struct wr_list *n, *next;
    bool is_free = true, is_given = false;
    uint32_t k;

    wr_mutex_lock(&g->lock);
    now_ms = WR_MAX(now_ms, g->queue.now_ms);
    WR_LIST_FOREACH_SAFE (n, next, &g->queue.waiters) {
        struct wr_wait *w = wr_container_of(n, struct wr_wait, node);

        k = index_for(w, m, i);
        if (k == UINT32_MAX || !wr_picker_accepts(&w->look, k)) {
            continue;
        }
        if (is_free && give(w, k, now_ms)) {
            is_given = true;
        } else if (must_look(w, k, change)) {
            wake(w);
        }
        /* Who did not get it speaks for all with this list. */
        is_free = is_free && !is_given && g->queue.list == NULL;
        if (!is_free && (change == WR_HEALTH_SAME || (is_given && change == WR_HEALTH_DUE))) {
            break;
        }
    }
    wr_mutex_unlock(&g->lock);
}

void wr_queue_wake(struct wr_group *g)
{
    struct wr_list *n;

    if (g == NULL || wr_load_seq(&g->queue.cnt) == 0) {
        return;
    }
    wr_mutex_lock(&g->lock);
    WR_LIST_FOREACH (n, &g->queue.waiters) {
        wake(wr_container_of(n, struct wr_wait, node));
    }
    wr_mutex_unlock(&g->lock);
}
