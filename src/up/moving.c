/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moving.c: see moving.h. Lists are made on the control thread, when a name changed.
 *
 * Two locks. `lock`: current, waits, is_pending; held for a few instructions. `life`: the plan,
 * which lies in the generation: held while a list is made, and by the end of the generation (any
 * thread), which takes the plan away; then nothing is made any more, and the sweep of the fixtures
 * frees the rest.
 *
 * A wait is a mail: of the thread that waits while it is in `waits`, posted by whoever takes it
 * out.
 */
#include "up/moving.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "event/mailbox.h"
#include "event/task.h"
#include "event/timer.h"
#include "http/resolver.h"
#include "up/group_int.h"
#include "up/queue.h"

#define LIST_CAP ((size_t)1 << 28)
#define SWEEP_MS 10000 /* after a change: until then most requests have let the old list go */

struct list {
    wr_atomic_u32 refs;
    struct wr_members members;
    struct wr_arena arena; /* all that members points to, but peers */
};

struct line {
    struct wr_name *name;
    struct wr_name_user user;
    uint32_t seen; /* version in `current` */
};

struct wr_moving {
    struct wr_fixture fixture;
    struct wr_fixtures *fixtures;
    struct wr_mutex life;
    const struct wr_moving_plan *plan; /* life; NULL: the generation ended */
    struct line *lines;                /* as the plan's; control thread */
    uint32_t line_cnt, timeout_ms;
    bool has_list; /* `current` was made; control thread */
    struct wr_task task;
    struct wr_timer timer;
    uint64_t sweep_at_ms; /* 0: nothing has changed since the last one */
    struct wr_mutex lock;
    struct list *current;     /* lock; NULL behind the generation's end */
    struct wr_list waits;     /* lock */
    wr_atomic_u32 is_pending; /* written under lock: a name was never answered */
};

struct wr_moving_wait {
    struct wr_mail mail;
    struct wr_list node;         /* mv.waits; lock */
    struct wr_moving_wait *next; /* of those that are being woken */
    struct wr_moving *mv;
    struct wr_mailbox *home;
    struct wr_task *task;
    bool is_over, is_unwanted; /* home thread */
};

/* --- lists --- */

static void unref_list(struct list *l)
{
    struct wr_members *m;
    uint32_t i;

    if (l == NULL || wr_sub_acqrel(&l->refs, 1) > 1) {
        return;
    }
    m = &l->members;
    wr_members_unseal(m);
    for (i = 0; i < m->cnt; i++) {
        wr_fixture_unref(&m->at[i].peer->fixture);
    }
    wr_arena_fini(&l->arena);
    wr_mem_free(l);
}

static void unref_list_of_arena(void *l)
{
    unref_list(l);
}

static enum wr_status push_member(struct wr_moving *mv, struct list *l,
                                  const struct wr_member *like, const struct wr_addr *addr)
{
    struct wr_members *m = &l->members;
    struct wr_member *e = &m->at[m->cnt];

    *e = *like;
    if (addr != NULL && wr_peer_find(mv->fixtures, m->name, addr, &e->peer) != WR_OK) {
        return WR_ENOMEM;
    }
    wr_fixture_ref(&e->peer->fixture);
    m->cnt++;
    return WR_OK;
}

/* Is this address of a service a primary of its line, a backup, or left out? */
static bool grade(const struct wr_moving_line *p, const struct wr_name_facts *f,
                  const struct wr_name_addr *a, struct wr_member *e)
{
    bool is_first = a->priority == f->at[0].priority;

    if (p->kind == WR_DNS_ADDRS || is_first) {
        return true;
    }
    if (p->like.is_backup || !p->has_backups) {
        return false;
    }
    e->is_backup = true;
    return true;
}

static enum wr_status push_line(struct wr_moving *mv, struct list *l,
                                const struct wr_moving_line *p, const struct line *line)
{
    struct wr_name_facts f = wr_name_look(line->name);
    enum wr_status st = WR_OK;
    struct wr_member like;
    struct wr_addr addr;
    uint32_t i;

    for (i = 0; i < f.cnt && st == WR_OK; i++) {
        like = p->like;
        if (!grade(p, &f, &f.at[i], &like)) {
            continue;
        }
        addr = f.at[i].addr;
        if (p->kind == WR_DNS_ADDRS) {
            wr_addr_set_port(&addr, p->port);
        } else if (!p->has_weight) {
            like.weight = WR_MAX((uint32_t)f.at[i].weight, 1u);
        }
        st = push_member(mv, l, &like, &addr);
    }
    return st;
}

static uint32_t count_most(const struct wr_moving *mv, const struct wr_moving_plan *p)
{
    uint32_t n = p->members->cnt, i;

    for (i = 0; i < mv->line_cnt; i++) {
        n += wr_name_look(mv->lines[i].name).cnt;
    }
    return n;
}

/* In the order of the file. */
static enum wr_status fill_list(struct wr_moving *mv, const struct wr_moving_plan *p,
                                struct list *l)
{
    uint32_t stay = 0, i;

    for (i = 0; i < mv->line_cnt; i++) {
        for (; stay < p->lines[i].before; stay++) {
            if (push_member(mv, l, &p->members->at[stay], NULL) != WR_OK) {
                return WR_ENOMEM;
            }
        }
        if (push_line(mv, l, &p->lines[i], &mv->lines[i]) != WR_OK) {
            return WR_ENOMEM;
        }
    }
    for (; stay < p->members->cnt; stay++) {
        if (push_member(mv, l, &p->members->at[stay], NULL) != WR_OK) {
            return WR_ENOMEM;
        }
    }
    return WR_OK;
}

/* What failures left of the weight of those that stay (U1.6). Mostly the order is the same. */
static void carry_weights(const struct wr_members *from, struct wr_members *to)
{
    uint32_t i, k, n, e, next = 0;

    for (i = 0; from != NULL && i < to->cnt; i++) {
        for (n = 0; n < from->cnt; n++) {
            k = next + n < from->cnt ? next + n : next + n - from->cnt;
            if (from->at[k].peer == to->at[i].peer) {
                e = wr_load_rlx(from->at[k].effective);
                wr_store_rlx(to->at[i].effective, WR_MIN(e, to->at[i].weight));
                next = k + 1 < from->cnt ? k + 1 : 0;
                break;
            }
        }
    }
}

/* life held. NULL: memory is out. */
static struct list *make_list(struct wr_moving *mv, const struct wr_moving_plan *p)
{
    struct list *l = wr_run_zalloc(sizeof(*l));
    struct wr_members *m;

    if (l == NULL) {
        return NULL;
    }
    m = &l->members;
    wr_store_rlx(&l->refs, 1);
    wr_arena_init(&l->arena, LIST_CAP);
    *m = *p->members;
    m->moving = NULL;
    m->list_of = mv;
    m->cnt = 0;
    m->at = wr_arena_zalloc(&l->arena, (count_most(mv, p) + 1) * sizeof(*m->at));
    if (m->at == NULL || fill_list(mv, p, l) != WR_OK || wr_members_seal(m, &l->arena) != WR_OK) {
        unref_list(l);
        return NULL;
    }
    carry_weights(mv->current != NULL ? &mv->current->members : NULL, m);
    return l;
}

/* --- the control thread --- */

static bool has_changed(const struct wr_moving *mv)
{
    uint32_t i;

    for (i = 0; i < mv->line_cnt; i++) {
        if (wr_name_look(mv->lines[i].name).version != mv->lines[i].seen) {
            return true;
        }
    }
    return !mv->has_list;
}

static void note_seen(struct wr_moving *mv)
{
    uint32_t i;

    for (i = 0; i < mv->line_cnt; i++) {
        mv->lines[i].seen = wr_name_look(mv->lines[i].name).version;
    }
    mv->has_list = true;
}

static bool is_pending(const struct wr_moving *mv)
{
    uint32_t i;

    for (i = 0; i < mv->line_cnt; i++) {
        if (!wr_name_look(mv->lines[i].name).is_answered) {
            return true;
        }
    }
    return false;
}

static void run_over(struct wr_mail *mail)
{
    struct wr_moving_wait *w = wr_container_of(mail, struct wr_moving_wait, mail);

    if (w->is_unwanted) {
        wr_mem_free(w);
        return;
    }
    w->is_over = true;
    wr_task_wake(w->task);
}

/* l NULL: as it was. Those who wait are woken when there is something to choose from, or no hope.
 */
static void publish(struct wr_moving *mv, struct list *l)
{
    bool pending = is_pending(mv);
    struct wr_moving_wait *woken = NULL, *w;
    struct list *old = NULL;
    struct wr_list *n;

    wr_mutex_lock(&mv->lock);
    if (l != NULL) {
        old = mv->current;
        mv->current = l;
    }
    wr_store_rel(&mv->is_pending, pending);
    if (!pending || mv->current == NULL || mv->current->members.cnt > 0) {
        while ((n = wr_list_pop(&mv->waits)) != NULL) {
            w = wr_container_of(n, struct wr_moving_wait, node);
            w->next = woken;
            woken = w;
        }
    }
    wr_mutex_unlock(&mv->lock);
    if (old != NULL) {
        wr_queue_wake(old->members.group); /* those that queue may like a peer that is new */
    }
    unref_list(old);
    while (woken != NULL) {
        w = woken;
        woken = w->next; /* posted, it is its home's */
        wr_mailbox_post(w->home, &w->mail);
    }
}

/* The first list, or the next one when a name has changed. WR_ENOMEM: the old one stays. */
static enum wr_status renew(struct wr_moving *mv, bool *ret_changed)
{
    struct list *l = NULL;
    enum wr_status st = WR_OK;

    wr_mutex_lock(&mv->life);
    if (mv->plan != NULL && has_changed(mv)) {
        l = make_list(mv, mv->plan);
        st = l == NULL ? WR_ENOMEM : WR_OK;
    }
    wr_mutex_unlock(&mv->life);
    if (st != WR_OK) {
        return st;
    }
    if (l != NULL) {
        note_seen(mv);
    }
    publish(mv, l);
    *ret_changed = l != NULL;
    return WR_OK;
}

/* A name was answered, or it is time to let the peers go that nothing names any more. */
static void run_moving(struct wr_task *t)
{
    struct wr_moving *mv = wr_container_of(t, struct wr_moving, task);
    bool changed = true;

    if (renew(mv, &changed) != WR_OK) {
        wr_log(NULL, WR_LOG_ALERT, "no memory for the peers of upstream \"%.*s\"",
               WR_STR_ARG(mv->fixture.name));
    }
    if (changed && mv->sweep_at_ms == 0) {
        mv->sweep_at_ms = wr_now_ms() + SWEEP_MS;
        wr_timer_arm(&mv->timer, mv->sweep_at_ms);
    }
    if (wr_deadline_is_due(mv->sweep_at_ms, wr_now_ms())) {
        mv->sweep_at_ms = 0;
        wr_fixture_ref(&mv->fixture);
        (void)wr_fixtures_sweep(mv->fixtures);
        wr_fixture_unref(&mv->fixture);
    }
}

/* --- life --- */

static void detach_names(struct wr_moving *mv)
{
    uint32_t i;

    for (i = 0; i < mv->line_cnt; i++) {
        if (mv->lines[i].name != NULL) {
            wr_name_detach(mv->lines[i].name, &mv->lines[i].user);
        }
    }
}

static void free_moving(struct wr_fixture *f)
{
    struct wr_moving *mv = wr_container_of(f, struct wr_moving, fixture);

    WR_ASSERT(wr_list_is_empty(&mv->waits));
    detach_names(mv);
    unref_list(mv->current);
    wr_timer_fini(&mv->timer);
    wr_task_cancel(&mv->task);
    wr_mutex_fini(&mv->life);
    wr_mutex_fini(&mv->lock);
    wr_mem_free(mv->lines);
    wr_mem_free(mv);
}

static const struct wr_fixture_ops moving_ops = {.kind = "moving group", .free = free_moving};

/* Any thread: the generation's memory goes, and the plan with it. */
static void end_plan(void *data)
{
    struct wr_moving *mv = data;
    struct list *l;

    wr_mutex_lock(&mv->life);
    mv->plan = NULL;
    wr_mutex_lock(&mv->lock);
    l = wr_take(&mv->current);
    wr_mutex_unlock(&mv->lock);
    wr_mutex_unlock(&mv->life);
    unref_list(l);
    wr_fixture_unref(&mv->fixture);
}

static enum wr_status attach_names(struct wr_moving *mv, const struct wr_moving_plan *p)
{
    struct wr_name *name;
    uint32_t i;

    for (i = 0; i < p->line_cnt; i++) {
        if (wr_name_get(mv->fixtures, p->resolver, p->lines[i].kind, p->lines[i].name, &name) !=
            WR_OK) {
            return WR_ENOMEM;
        }
        mv->lines[i].name = name;
        mv->lines[i].user.task = &mv->task;
        wr_name_attach(name, &mv->lines[i].user);
        mv->line_cnt++;
    }
    return WR_OK;
}

/* The fixture, with the reference of end_plan. */
static struct wr_moving *make_moving(struct wr_fixtures *r, const struct wr_moving_plan *p)
{
    struct wr_moving *mv = wr_run_zalloc(sizeof(*mv));

    if (mv == NULL) {
        return NULL;
    }
    mv->fixtures = r;
    mv->plan = p;
    mv->timeout_ms = p->timeout_ms;
    wr_mutex_init(&mv->life, WR_RANK_CONTROL);
    wr_mutex_init(&mv->lock, WR_RANK_LEAF);
    wr_list_init(&mv->waits);
    wr_task_init(&mv->task, run_moving, "moving group");
    wr_timer_init(&mv->timer, &mv->task);
    mv->lines = wr_run_zalloc(p->line_cnt * sizeof(*mv->lines));
    /* The shape is its own: each generation has one. */
    if (mv->lines == NULL || wr_fixtures_add(r, &mv->fixture, &moving_ops, p->members->name,
                                             (uint64_t)(uintptr_t)mv) != WR_OK) {
        wr_mem_free(mv->lines);
        wr_mem_free(mv);
        return NULL;
    }
    wr_fixture_ref(&mv->fixture);
    return mv;
}

enum wr_status wr_moving_new(struct wr_conf *cf, const struct wr_moving_plan *plan,
                             struct wr_moving **ret)
{
    struct wr_moving *mv = make_moving(cf->opts->fixtures, plan);
    bool changed;

    if (mv == NULL) {
        return WR_ENOMEM;
    }
    if (wr_arena_on_fini(cf->arena, end_plan, mv) != WR_OK) {
        end_plan(mv);
        return WR_ENOMEM;
    }
    if (wr_gen_use(cf->gen, &mv->fixture) != WR_OK || attach_names(mv, plan) != WR_OK ||
        renew(mv, &changed) != WR_OK) {
        return WR_ENOMEM;
    }
    *ret = mv;
    return WR_OK;
}

/* --- requests --- */

static struct wr_moving_wait *make_wait(struct wr_moving *mv, struct wr_task *task)
{
    struct wr_moving_wait *w = wr_run_zalloc(sizeof(*w));

    if (w != NULL) {
        w->mail.run = run_over;
        w->mv = mv;
        w->home = wr_mailbox_of_loop();
        w->task = task;
        wr_list_init(&w->node);
    }
    return w;
}

/* The list of the moment with a reference; NULL: *w waits for it. */
static struct list *take_list(struct wr_moving *mv, struct wr_moving_wait *w)
{
    struct list *l;

    wr_mutex_lock(&mv->lock);
    l = mv->current;
    WR_ASSERT(l != NULL); /* the request has the generation */
    if (w != NULL && l->members.cnt == 0 && wr_load_acq(&mv->is_pending) != 0) {
        wr_list_push(&mv->waits, &w->node);
        l = NULL;
    } else {
        wr_add_rlx(&l->refs, 1);
    }
    wr_mutex_unlock(&mv->lock);
    return l;
}

enum wr_status wr_moving_get(struct wr_moving *mv, struct wr_arena *a, struct wr_task *task,
                             const struct wr_members **ret, struct wr_moving_wait **ret_wait)
{
    struct wr_moving_wait *w = NULL;
    struct list *l;

    /* Only at the very start; whoever sees too late that it is over does not wait either. */
    if (ret_wait != NULL && wr_load_acq(&mv->is_pending) != 0) {
        w = make_wait(mv, task);
        if (w == NULL) {
            return WR_ENOMEM;
        }
    }
    l = take_list(mv, w);
    if (l == NULL) {
        *ret_wait = w;
        return WR_AGAIN;
    }
    wr_mem_free(w);
    if (wr_arena_on_fini(a, unref_list_of_arena, l) != WR_OK) {
        unref_list(l);
        return WR_ENOMEM;
    }
    *ret = &l->members;
    return WR_OK;
}

bool wr_moving_has_next(const struct wr_members *m)
{
    struct wr_moving *mv = m->list_of;
    bool has_next;

    if (mv == NULL) {
        return false;
    }
    wr_mutex_lock(&mv->lock);
    has_next = &mv->current->members != m;
    wr_mutex_unlock(&mv->lock);
    return has_next;
}

const struct wr_members *wr_moving_list_ref(struct wr_moving *mv)
{
    return &take_list(mv, NULL)->members;
}

void wr_moving_list_unref(const struct wr_members *m)
{
    unref_list((struct list *)((uintptr_t)m - offsetof(struct list, members)));
}

bool wr_moving_wait_is_over(const struct wr_moving_wait *w)
{
    return w->is_over;
}

void wr_moving_wait_end(struct wr_moving_wait **pw)
{
    struct wr_moving_wait *w = wr_take(pw);
    bool waits;

    if (w == NULL) {
        return;
    }
    wr_mutex_lock(&w->mv->lock);
    waits = !wr_list_is_empty(&w->node);
    wr_list_remove(&w->node);
    wr_mutex_unlock(&w->mv->lock);
    if (waits || w->is_over) {
        wr_mem_free(w);
    } else {
        w->is_unwanted = true; /* its mail is on the way */
    }
}

uint32_t wr_moving_timeout_ms(const struct wr_moving *mv)
{
    return mv->timeout_ms;
}
