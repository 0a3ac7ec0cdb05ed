/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle.c: parked connections to peers.
 *
 *   group fixture -- stashes[thread] -- lru: oldest ... newest        (cap: keepalive)
 *                                   \-- buckets[peer id, identity]    (take: newest first)
 *
 * A parked connection stays in its thread's event set; when the peer closes it or sends a byte the
 * codec closes it and wakes the entry's task, which forgets it. An entry names its peer by number,
 * never by pointer: the peer may be gone by then. A stash that holds anything holds one reference
 * to its group, so that a group no generation names lives until its last connection expired.
 */
#include "up/idle.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/local.h"
#include "base/mem.h"
#include "base/slab.h"
#include "base/stat.h"
#include "event/timer.h"

#define BUCKETS 64

struct wr_stash {
    struct wr_group *group;
    struct wr_list lru;
    struct wr_list buckets[BUCKETS];
    struct wr_list all; /* in the thread's list of stashes */
    uint32_t cnt;
    uint32_t thread_no;
    struct wr_task task;
    struct wr_timer timer;
};

struct idle_entry {
    struct wr_list lru, bucket;
    struct wr_task task; /* the codec's wake: the connection ended */
    struct wr_stash *stash;
    struct wr_pconn *pc;
    uint64_t peer_id, identity, expires_ms;
};

/* Why a thread-local: the stashes of a thread must be closed before its loop ends, whatever groups
 * they are of. */
static _Thread_local struct wr_list thread_stashes;
static _Thread_local uint32_t thread_cnt;

static void free_group(struct wr_fixture *f)
{
    struct wr_group *g = wr_container_of(f, struct wr_group, fixture);

    wr_mutex_fini(&g->lock);
    wr_mem_free(g);
}

static const struct wr_fixture_ops group_ops = {.kind = "group", .free = free_group};

enum wr_status wr_idle_group_get(struct wr_fixtures *r, struct wr_gen *g, struct wr_str name,
                                 struct wr_group **ret)
{
    struct wr_fixture *f = r == NULL ? NULL : wr_fixtures_get(r, &group_ops, name, 0);
    struct wr_group *gr;
    enum wr_status st;

    if (f == NULL) {
        gr = wr_mem_alloc(sizeof(*gr));
        wr_mutex_init(&gr->lock, WR_RANK_GROUP);
        if (r == NULL) {
            st = wr_arena_on_fini(&g->arena, wr_mem_free, gr);
        } else {
            st = wr_fixtures_add(r, &gr->fixture, &group_ops, name, 0);
        }
        if (st != WR_OK) {
            wr_mem_free(gr);
            return st;
        }
        if (r == NULL) {
            *ret = gr;
            return WR_OK;
        }
        f = &gr->fixture;
    }
    st = wr_gen_use(g, f);
    if (st == WR_OK) {
        *ret = wr_container_of(f, struct wr_group, fixture);
    }
    return st;
}

static struct wr_list *bucket_of(struct wr_stash *s, uint64_t peer_id, uint64_t identity)
{
    return &s->buckets[(peer_id ^ identity) % BUCKETS];
}

static void forget(struct idle_entry *e)
{
    wr_list_remove(&e->lru);
    wr_list_remove(&e->bucket);
    wr_task_cancel(&e->task);
    e->stash->cnt--;
    thread_cnt--;
    wr_slab_free(e, sizeof(*e));
}

static void drop(struct idle_entry *e)
{
    struct wr_pconn *pc = e->pc;

    pc->user = NULL;
    forget(e);
    pc->codec->close(pc, WR_REASON_DONE);
}

/* The stash of this thread ends when it is empty: its group may go. */
static void end_stash(struct wr_stash *s)
{
    s->group->stashes[s->thread_no] = NULL;
    wr_list_remove(&s->all);
    wr_task_cancel(&s->task);
    wr_timer_fini(&s->timer);
    wr_fixture_unref(&s->group->fixture);
    wr_mem_free(s);
}

static void expire(struct wr_task *t)
{
    struct wr_stash *s = wr_container_of(t, struct wr_stash, task);
    uint64_t now = wr_now_ms();
    struct idle_entry *e;

    while (!wr_list_is_empty(&s->lru)) {
        e = wr_container_of(s->lru.next, struct idle_entry, lru);
        if (e->expires_ms > now) {
            wr_timer_arm(&s->timer, e->expires_ms);
            return;
        }
        drop(e);
    }
    end_stash(s);
}

static void notice_end(struct wr_task *t)
{
    struct idle_entry *e = wr_container_of(t, struct idle_entry, task);

    if (e->pc->state != WR_PCONN_READY) {
        drop(e);
    }
}

static struct wr_stash *get_stash(const struct wr_members *m)
{
    uint32_t no = WR_MIN(wr_local_get()->thread_no, WR_THREADS_MAX - 1u);
    struct wr_stash *s = m->group->stashes[no];
    int i;

    if (s != NULL) {
        return s;
    }
    s = wr_run_zalloc(sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->group = m->group;
    s->thread_no = no;
    wr_list_init(&s->lru);
    for (i = 0; i < BUCKETS; i++) {
        wr_list_init(&s->buckets[i]);
    }
    if (thread_stashes.next == NULL) {
        wr_list_init(&thread_stashes);
    }
    wr_list_init(&s->all);
    wr_list_push(&thread_stashes, &s->all);
    wr_task_init(&s->task, expire, "idle peers");
    wr_timer_init(&s->timer, &s->task);
    wr_fixture_ref(&m->group->fixture);
    m->group->stashes[no] = s;
    return s;
}

struct wr_pconn *wr_idle_take(const struct wr_members *m, const struct wr_peer *peer,
                              uint64_t identity, struct wr_task *user)
{
    uint32_t no = WR_MIN(wr_local_get()->thread_no, WR_THREADS_MAX - 1u);
    struct wr_stash *s = m->group->stashes[no];
    struct wr_list *b, *n, *next;
    struct idle_entry *e;
    struct wr_pconn *pc;

    if (s == NULL || s->cnt == 0) {
        return NULL;
    }
    b = bucket_of(s, peer->id, identity);
    WR_LIST_FOREACH_SAFE (n, next, b) {
        e = wr_container_of(n, struct idle_entry, bucket);
        if (e->peer_id != peer->id || e->identity != identity) {
            continue;
        }
        pc = e->pc;
        if (pc->state != WR_PCONN_READY) {
            drop(e);
            continue;
        }
        forget(e);
        pc->user = user;
        wr_stat_inc(WR_CNT_UP_REUSED);
        return pc;
    }
    return NULL;
}

void wr_idle_put(const struct wr_members *m, const struct wr_member *member, uint64_t identity,
                 struct wr_pconn *pc)
{
    uint64_t now = wr_now_ms();
    struct wr_stash *s;
    struct idle_entry *e;

    pc->user = NULL;
    if (m->keepalive == 0 || pc->state != WR_PCONN_READY || pc->served >= m->keepalive_requests ||
        now - pc->since_ms >= m->keepalive_time_ms || m->keepalive_timeout_ms == 0) {
        pc->codec->close(pc, WR_REASON_DONE);
        return;
    }
    s = get_stash(m);
    e = s == NULL ? NULL : wr_slab_alloc(sizeof(*e));
    if (e == NULL) {
        pc->codec->close(pc, WR_REASON_NOMEM);
        return;
    }
    while (s->cnt >= m->keepalive) {
        drop(wr_container_of(s->lru.next, struct idle_entry, lru));
    }
    e->stash = s;
    e->pc = pc;
    e->peer_id = member->peer->id;
    e->identity = identity;
    e->expires_ms = now + m->keepalive_timeout_ms;
    pc->idle_ms = now;
    wr_task_init(&e->task, notice_end, "idle peer connection");
    wr_list_init(&e->lru);
    wr_list_init(&e->bucket);
    wr_list_push(&s->lru, &e->lru);
    wr_list_push_front(bucket_of(s, e->peer_id, identity), &e->bucket);
    pc->user = &e->task;
    s->cnt++;
    thread_cnt++;
    if (!wr_timer_is_armed(&s->timer)) {
        wr_timer_arm(&s->timer, e->expires_ms);
    }
}

void wr_idle_thread_end(void)
{
    struct wr_stash *s;

    if (thread_stashes.next == NULL) {
        return;
    }
    while (!wr_list_is_empty(&thread_stashes)) {
        s = wr_container_of(thread_stashes.next, struct wr_stash, all);
        while (!wr_list_is_empty(&s->lru)) {
            drop(wr_container_of(s->lru.next, struct idle_entry, lru));
        }
        end_stash(s);
    }
}

uint32_t wr_idle_thread_cnt(void)
{
    return thread_cnt;
}
