/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle.c: parked connections to peers.
 *
 *   group fixture -- stashes[thread] -- lru: oldest ... newest        (cap: keepalive)
 *                                   \-- buckets[peer id, identity]    (take: newest first)
 *
 * A parked connection stays in its thread's event set; when the peer closes it or sends a byte the
 * codec closes it and wakes the entry's task, which forgets it. An entry is part of the connection
 * and names its peer by number, never by pointer: the peer may be gone by then. A stash that holds
 * anything holds one reference to its group, so that a group no generation names lives until its
 * last connection expired.
 *
 * An entry expires with keepalive_timeout, or shortly before its peer would close it, where that is
 * known: by what the peer said on this connection, or by what was seen (life.h).
 *
 * Where there are several threads a stash looks once a second at its cold end and gives what it did
 * not use to the group's shelf (shelf.c), from which any thread takes. A stash stays, though empty,
 * until the shelf is empty too: its timer is what ends shelved connections that nobody takes.
 */
#include "up/idle.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/local.h"
#include "base/mem.h"
#include "base/stat.h"
#include "event/timer.h"
#include "net/sock.h"
#include "up/life.h"
#include "up/shelf.h"

#define BUCKETS_MIN 64
#define BUCKETS_MAX 16384
#define LOOK_GAP_MS 50 /* least time from one look at the whole stash to the next */

/* Threads with a loop, as main said before they started. */
static wr_atomic_u32 loop_threads;

struct wr_stash {
    struct wr_group *group;
    struct wr_list lru;
    struct wr_list all; /* in the thread's list of stashes */
    uint32_t cnt;
    uint32_t bucket_mask;
    uint32_t thread_no;
    uint32_t peers;     /* of the group, as of the last put */
    uint32_t shelf_max; /* as of the last put; 0: `local`, or nobody to share with */
    struct wr_task task;
    struct wr_timer timer;
    struct wr_list buckets[]; /* about one for each connection that it may hold */
};

/* Why a thread-local: the stashes of a thread must be closed before its loop ends, whatever groups
 * they are of. */
static _Thread_local struct wr_list thread_stashes;
static _Thread_local uint32_t thread_cnt;

static void free_group(struct wr_fixture *f)
{
    struct wr_group *g = wr_container_of(f, struct wr_group, fixture);

    wr_shelf_free(wr_take(&g->shelf));
    wr_lives_fini(&g->lives);
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
        wr_list_init(&gr->queue.waiters);
        if (r == NULL) {
            st = wr_arena_on_fini(&g->arena, wr_mem_free, gr);
        } else {
            st = wr_fixtures_add(r, &gr->fixture, &group_ops, name, 0);
        }
        if (st != WR_OK) {
            wr_mutex_fini(&gr->lock);
            wr_mem_free(gr);
            return st;
        }
        if (r == NULL) {
            *ret = gr;
            return WR_OK;
        }
        f = &gr->fixture;
        gr->shelf = wr_shelf_new(f, &gr->lives);
    }
    st = wr_gen_use(g, f);
    if (st == WR_OK) {
        *ret = wr_container_of(f, struct wr_group, fixture);
    }
    return st;
}

static struct wr_list *bucket_of(struct wr_stash *s, uint64_t peer_id, uint64_t identity)
{
    return &s->buckets[(peer_id ^ identity) & s->bucket_mask];
}

static struct wr_pconn *pconn_of(struct wr_idle_entry *e)
{
    return wr_container_of(e, struct wr_pconn, idle);
}

static void forget(struct wr_idle_entry *e)
{
    wr_list_remove(&e->lru);
    wr_list_remove(&e->bucket);
    wr_task_cancel(&e->task);
    e->stash->cnt--;
    thread_cnt--;
}

static void drop(struct wr_idle_entry *e)
{
    struct wr_pconn *pc = pconn_of(e);

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

static struct wr_idle_entry *coldest(const struct wr_stash *s)
{
    return wr_container_of(s->lru.next, struct wr_idle_entry, lru);
}

/* The peer ended it, idle as it was: its age is noted. */
static void lose(struct wr_idle_entry *e)
{
    uint64_t now = wr_now_ms(), since = pconn_of(e)->idle_ms;

    wr_lives_see(&e->stash->group->lives, e->stash->peers, e->peer_id,
                 now > since ? now - since : 0, now);
    drop(e);
}

/* How long a connection may be idle before its peer is likely to close it. */
static uint64_t usable_ms(struct wr_group *g, uint64_t peer_id, uint32_t said_ms, uint64_t now)
{
    uint32_t seen = wr_lives_get(&g->lives, peer_id, now);
    uint32_t life = said_ms == 0 || (seen != 0 && seen < said_ms) ? seen : said_ms;

    return life == 0 ? UINT64_MAX : wr_life_usable(life);
}

/* Closes what expired. Value: when the next one does, 0: the stash is empty. */
static uint64_t drop_expired(struct wr_stash *s, uint64_t now)
{
    uint64_t first = 0;
    struct wr_list *n, *next;

    WR_LIST_FOREACH_SAFE (n, next, &s->lru) {
        struct wr_idle_entry *e = wr_container_of(n, struct wr_idle_entry, lru);

        if (e->expires_ms <= now) {
            drop(e);
        } else if (first == 0 || e->expires_ms < first) {
            first = e->expires_ms;
        }
    }
    return first;
}

/* To the shelf, unless the codec cannot, or something came for it: then its own wake drops it. */
static void shelve(struct wr_idle_entry *e)
{
    struct wr_stash *s = e->stash;
    struct wr_pconn *pc = pconn_of(e);
    struct wr_shelved it = {.codec = pc->codec,
                            .peers = s->peers,
                            .peer_id = e->peer_id,
                            .identity = e->identity,
                            .expires_ms = e->expires_ms};

    if (it.codec->detach == NULL || it.codec->detach(pc, &it.seed) != WR_OK) {
        return;
    }
    forget(e);
    wr_shelf_put(s->group->shelf, &it, s->shelf_max);
}

/* The cold end: what was not used for a second. */
static void shelve_unused(struct wr_stash *s, uint64_t now)
{
    struct wr_list *n, *next;

    WR_LIST_FOREACH_SAFE (n, next, &s->lru) {
        struct wr_idle_entry *e = wr_container_of(n, struct wr_idle_entry, lru);

        if (now - pconn_of(e)->idle_ms < WR_IDLE_SHELF_MS) {
            break;
        }
        shelve(e);
    }
}

static void look_at_stash(struct wr_task *t)
{
    struct wr_stash *s = wr_container_of(t, struct wr_stash, task);
    uint64_t now = wr_now_ms();
    uint64_t at = 0, own;

    if (s->shelf_max > 0) {
        shelve_unused(s, now);
    }
    if (s->group->shelf != NULL) {
        at = wr_shelf_expire(s->group->shelf, now);
    }
    own = drop_expired(s, now);
    if (own != 0 && s->shelf_max > 0) {
        own = WR_MIN(own, now + WR_IDLE_SHELF_MS);
    }
    at = at == 0 || (own != 0 && own < at) ? own : at;
    if (at == 0) {
        end_stash(s);
    } else {
        wr_timer_arm(&s->timer, WR_MAX(at, now + LOOK_GAP_MS));
    }
}

static void notice_end(struct wr_task *t)
{
    struct wr_idle_entry *e = wr_container_of(t, struct wr_idle_entry, task);

    if (pconn_of(e)->state != WR_PCONN_READY) {
        lose(e);
    }
}

static struct wr_stash *get_stash(const struct wr_members *m)
{
    uint32_t no = WR_MIN(wr_local_get()->thread_no, WR_THREADS_MAX - 1u);
    struct wr_stash *s = m->group->stashes[no];
    uint32_t buckets = BUCKETS_MIN, i;

    if (s != NULL) {
        return s;
    }
    while (buckets < m->keepalive && buckets < BUCKETS_MAX) {
        buckets *= 2;
    }
    s = wr_run_zalloc(sizeof(*s) + buckets * sizeof(s->buckets[0]));
    if (s == NULL) {
        return NULL;
    }
    s->bucket_mask = buckets - 1;
    s->group = m->group;
    s->thread_no = no;
    wr_list_init(&s->lru);
    for (i = 0; i < buckets; i++) {
        wr_list_init(&s->buckets[i]);
    }
    if (thread_stashes.next == NULL) {
        wr_list_init(&thread_stashes);
    }
    wr_list_init(&s->all);
    wr_list_push(&thread_stashes, &s->all);
    wr_task_init(&s->task, look_at_stash, "idle peers");
    wr_timer_init(&s->timer, &s->task);
    wr_fixture_ref(&m->group->fixture);
    m->group->stashes[no] = s;
    return s;
}

static struct wr_pconn *take_own(const struct wr_members *m, const struct wr_peer *peer,
                                 uint64_t identity, struct wr_task *user)
{
    uint32_t no = WR_MIN(wr_local_get()->thread_no, WR_THREADS_MAX - 1u);
    struct wr_stash *s = m->group->stashes[no];
    uint64_t now = wr_now_ms();
    struct wr_list *b, *n, *next;
    struct wr_idle_entry *e;
    struct wr_pconn *pc;

    if (s == NULL || s->cnt == 0) {
        return NULL;
    }
    b = bucket_of(s, peer->id, identity);
    WR_LIST_FOREACH_SAFE (n, next, b) {
        e = wr_container_of(n, struct wr_idle_entry, bucket);
        if (e->peer_id != peer->id || e->identity != identity) {
            continue;
        }
        pc = pconn_of(e);
        if (pc->state != WR_PCONN_READY) {
            lose(e);
            continue;
        }
        /* What was learned since it was parked counts, too. */
        if (e->expires_ms <= now ||
            now - pc->idle_ms >= usable_ms(m->group, peer->id, pc->idle_said_ms, now)) {
            drop(e);
            continue;
        }
        forget(e);
        pc->user = user;
        return pc;
    }
    return NULL;
}

static struct wr_pconn *take_shelved(const struct wr_members *m, const struct wr_peer *peer,
                                     uint64_t identity, struct wr_task *user)
{
    struct wr_shelf *shelf = m->group->shelf;
    uint64_t now = wr_now_ms();
    struct wr_shelved it;
    struct wr_pconn *pc;

    if (shelf == NULL || m->keepalive_local) {
        return NULL;
    }
    while (wr_shelf_take(shelf, peer->id, identity, &it) == WR_OK) {
        uint64_t age = now > it.seed.idle_ms ? now - it.seed.idle_ms : 0;

        if (age >= usable_ms(m->group, peer->id, it.seed.idle_said_ms, now)) {
            wr_sock_close(it.seed.fd);
            continue;
        }
        /* Out of memory or the like: a new connection will fare as it does. */
        return it.codec->adopt(it.codec, &it.seed, &peer->addr, user, &pc) == WR_OK ? pc : NULL;
    }
    return NULL;
}

struct wr_pconn *wr_idle_take(const struct wr_members *m, const struct wr_peer *peer,
                              uint64_t identity, struct wr_task *user)
{
    struct wr_pconn *pc = take_own(m, peer, identity, user);

    if (pc == NULL) {
        pc = take_shelved(m, peer, identity, user);
    }
    if (pc != NULL) {
        wr_stat_inc(WR_CNT_UP_REUSED);
    }
    return pc;
}

static const struct wr_member *member_of(const struct wr_members *m, uint64_t peer_id)
{
    for (uint32_t i = 0; i < m->cnt; i++) {
        if (m->at[i].peer->id == peer_id) {
            return &m->at[i];
        }
    }
    return NULL;
}

const struct wr_member *wr_idle_find(const struct wr_members *m, uint64_t identity)
{
    uint32_t no = WR_MIN(wr_local_get()->thread_no, WR_THREADS_MAX - 1u);
    struct wr_stash *s = m->group->stashes[no];
    struct wr_list *n;

    if (s == NULL) {
        return NULL;
    }
    WR_LIST_FOREACH (n, &s->lru) {
        struct wr_idle_entry *e = wr_container_of(n, struct wr_idle_entry, lru);

        if (e->identity == identity && pconn_of(e)->state == WR_PCONN_READY) {
            return member_of(m, e->peer_id);
        }
    }
    return NULL;
}

/* As many as the stashes of all threads may hold: an idle second closes nothing. */
static uint32_t shelf_max(const struct wr_members *m)
{
    uint64_t threads = wr_load_rlx(&loop_threads);

    if (threads < 2 || m->keepalive_local || m->has_ntlm || m->group->shelf == NULL) {
        return 0;
    }
    return (uint32_t)WR_MIN(m->keepalive * threads, (uint64_t)WR_SHELF_MAX);
}

/* Of one thread; keepalive is not 0. */
static uint32_t stash_max(const struct wr_members *m)
{
    if (m->keepalive_each == 0) {
        return m->keepalive;
    }
    return WR_MAX(m->keepalive / WR_MAX(wr_load_rlx(&loop_threads), 1u), 1u);
}

/* Newest first in a bucket: those behind the first `most` of this peer end. */
static void drop_more_than(struct wr_list *bucket, uint64_t peer_id, uint32_t most)
{
    struct wr_list *n, *next;
    uint32_t cnt = 0;

    WR_LIST_FOREACH_SAFE (n, next, bucket) {
        struct wr_idle_entry *e = wr_container_of(n, struct wr_idle_entry, bucket);

        if (e->peer_id == peer_id && ++cnt > most) {
            drop(e);
        }
    }
}

void wr_idle_put(const struct wr_members *m, const struct wr_member *member, uint64_t identity,
                 struct wr_pconn *pc)
{
    uint64_t now = wr_now_ms();
    /* Another thread's clock may be a turn ahead. */
    uint64_t age_ms = now > pc->since_ms ? now - pc->since_ms : 0;
    uint64_t usable = 0; /* nothing is kept where keepalive is 0; there may be no group either */
    uint64_t at;
    struct wr_idle_entry *e = &pc->idle;
    struct wr_stash *s;

    pc->user = NULL;
    if (m->keepalive != 0) {
        usable = usable_ms(m->group, member->peer->id, pc->idle_said_ms, now);
    }
    if (usable == 0 || pc->state != WR_PCONN_READY || pc->served >= m->keepalive_requests ||
        age_ms >= m->keepalive_time_ms || m->keepalive_timeout_ms == 0) {
        pc->codec->close(pc, WR_REASON_DONE);
        return;
    }
    s = get_stash(m);
    if (s == NULL) {
        pc->codec->close(pc, WR_REASON_NOMEM);
        return;
    }
    while (s->cnt >= stash_max(m)) {
        drop(coldest(s));
    }
    if (m->keepalive_each != 0) {
        drop_more_than(bucket_of(s, member->peer->id, identity), member->peer->id,
                       m->keepalive_each - 1);
    }
    s->shelf_max = shelf_max(m);
    s->peers = m->cnt;
    e->stash = s;
    e->peer_id = member->peer->id;
    e->identity = identity;
    e->expires_ms = now + WR_MIN(m->keepalive_timeout_ms, usable);
    pc->idle_ms = now;
    if (e->task.run == NULL) { /* parked for the first time */
        wr_task_init(&e->task, notice_end, "idle peer connection");
    }
    wr_list_push(&s->lru, &e->lru);
    wr_list_push_front(bucket_of(s, e->peer_id, identity), &e->bucket);
    pc->user = &e->task;
    s->cnt++;
    thread_cnt++;
    at = s->shelf_max == 0 ? e->expires_ms : WR_MIN(e->expires_ms, now + WR_IDLE_SHELF_MS);
    if (!wr_timer_is_armed(&s->timer) || s->timer.at_ms > at) {
        wr_timer_arm(&s->timer, at);
    }
}

void wr_idle_set_threads(uint32_t n)
{
    wr_store_rlx(&loop_threads, n);
}

void wr_idle_thread_end(void)
{
    struct wr_stash *s;

    wr_shelf_thread_end();
    if (thread_stashes.next == NULL) {
        return;
    }
    while (!wr_list_is_empty(&thread_stashes)) {
        s = wr_container_of(thread_stashes.next, struct wr_stash, all);
        while (!wr_list_is_empty(&s->lru)) {
            drop(coldest(s));
        }
        end_stash(s);
    }
}

void wr_idle_process_end(void)
{
    wr_shelf_process_end();
}

uint32_t wr_idle_thread_cnt(void)
{
    return thread_cnt;
}

void wr_idle_thread_each(wr_idle_fn *fn, void *data)
{
    struct wr_list *n;

    if (thread_stashes.next == NULL) {
        return;
    }
    WR_LIST_FOREACH (n, &thread_stashes) {
        const struct wr_stash *s = wr_container_of(n, struct wr_stash, all);

        if (s->cnt > 0) {
            fn(data, s->group, s->cnt);
        }
    }
}
