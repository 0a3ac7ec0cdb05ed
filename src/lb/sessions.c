/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sessions.c: the table of `sticky learn` (lb/sessions.h).
 *
 *   buckets[key] -> number -> number -> 0          numbers begin at 1; 0 is none
 *   blocks[n / BLOCK]->at[n % BLOCK] = session     made as they are needed
 *   oldest <-> ... <-> newest                      by last use
 *
 * One lock: what happens under it is a few look-ups. Numbers instead of pointers halve the table.
 */
#include "lb/sessions.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/sync.h"

#define BLOCK       1024u
#define MAX         (UINT32_C(1) << 24) /* sessions of a zone */
#define BUCKETS_MAX (UINT32_C(1) << 20)

struct session {
    uint64_t key, peer_id, used_ms;
    uint32_t next; /* in its bucket */
    uint32_t older, newer;
};

struct session_block {
    struct session at[BLOCK];
};

struct wr_sessions {
    struct wr_fixture fixture;
    struct wr_mutex lock;
    uint32_t cap, cnt; /* sessions 1 .. cnt are in use, all of them */
    uint32_t mask;     /* of buckets */
    uint32_t oldest, newest;
    uint32_t *buckets;
    struct session_block **blocks;
};

static void free_sessions(struct wr_fixture *f)
{
    struct wr_sessions *s = wr_container_of(f, struct wr_sessions, fixture);
    uint32_t i;

    for (i = 0; i <= s->cap / BLOCK; i++) {
        wr_mem_free(s->blocks[i]);
    }
    wr_mutex_fini(&s->lock);
    wr_mem_free(s->blocks);
    wr_mem_free(s->buckets);
    wr_mem_free(s);
}

static const struct wr_fixture_ops sessions_ops = {.kind = "sessions", .free = free_sessions};

static struct wr_sessions *make_sessions(uint64_t size)
{
    struct wr_sessions *s = wr_mem_alloc(sizeof(*s));
    uint32_t buckets = 64;

    s->cap = (uint32_t)WR_MIN(size / WR_SESSION_BYTES, (uint64_t)MAX);
    while (buckets < s->cap && buckets < BUCKETS_MAX) {
        buckets *= 2;
    }
    s->mask = buckets - 1;
    s->buckets = wr_mem_alloc(buckets * sizeof(*s->buckets));
    s->blocks = wr_mem_alloc((s->cap / BLOCK + 1) * sizeof(struct session_block *));
    wr_mutex_init(&s->lock, WR_RANK_SHARD);
    return s;
}

enum wr_status wr_sessions_get(struct wr_fixtures *r, struct wr_gen *g, struct wr_str zone,
                               uint64_t size, struct wr_sessions **ret)
{
    struct wr_fixture *f;
    struct wr_sessions *s;
    enum wr_status st;

    if (r == NULL) {
        *ret = NULL;
        return WR_OK;
    }
    f = wr_fixtures_get(r, &sessions_ops, zone, size);
    if (f == NULL) {
        s = make_sessions(size);
        st = wr_fixtures_add(r, &s->fixture, &sessions_ops, zone, size);
        if (st != WR_OK) {
            free_sessions(&s->fixture);
            return st;
        }
        f = &s->fixture;
    }
    st = wr_gen_use(g, f);
    if (st == WR_OK) {
        *ret = wr_container_of(f, struct wr_sessions, fixture);
    }
    return st;
}

uint64_t wr_session_key(struct wr_str group, struct wr_str name)
{
    uint64_t parts[2] = {wr_hash_sip(group.ptr, group.len), wr_hash_sip(name.ptr, name.len)};

    return wr_hash_sip(parts, sizeof(parts));
}

static struct session *at(const struct wr_sessions *s, uint32_t no)
{
    return &s->blocks[(no - 1) / BLOCK]->at[(no - 1) % BLOCK];
}

/* --- lock held --- */

static uint32_t look_up(const struct wr_sessions *s, uint64_t key)
{
    uint32_t no = s->buckets[key & s->mask];

    while (no != 0 && at(s, no)->key != key) {
        no = at(s, no)->next;
    }
    return no;
}

static void leave_order(struct wr_sessions *s, uint32_t no)
{
    struct session *e = at(s, no);

    *(e->older == 0 ? &s->oldest : &at(s, e->older)->newer) = e->newer;
    *(e->newer == 0 ? &s->newest : &at(s, e->newer)->older) = e->older;
}

static void become_newest(struct wr_sessions *s, uint32_t no)
{
    struct session *e = at(s, no);

    e->older = s->newest;
    e->newer = 0;
    *(s->newest == 0 ? &s->oldest : &at(s, s->newest)->newer) = no;
    s->newest = no;
}

static void leave_bucket(struct wr_sessions *s, uint32_t no)
{
    uint32_t *link = &s->buckets[at(s, no)->key & s->mask];

    while (*link != no) {
        link = &at(s, *link)->next;
    }
    *link = at(s, no)->next;
}

/* A number for a new session: a fresh one, else that of the one that was not used for longest. */
static uint32_t get_number(struct wr_sessions *s)
{
    struct session_block **b = &s->blocks[s->cnt / BLOCK];
    uint32_t no = s->oldest;

    if (s->cnt < s->cap) {
        if (*b == NULL) {
            *b = wr_run_zalloc(sizeof(**b));
        }
        if (*b != NULL) {
            return ++s->cnt;
        }
    }
    if (no != 0) {
        leave_order(s, no);
        leave_bucket(s, no);
    }
    return no;
}

/* --- */

uint64_t wr_sessions_find(struct wr_sessions *s, uint64_t key, uint64_t timeout_ms, uint64_t now_ms)
{
    uint64_t peer_id = 0;
    struct session *e;
    uint32_t no;

    wr_mutex_lock(&s->lock);
    no = look_up(s, key);
    if (no != 0) {
        e = at(s, no);
        /* Another thread's clock may be a turn ahead. */
        if (now_ms <= e->used_ms || now_ms - e->used_ms < timeout_ms) {
            peer_id = e->peer_id;
            e->used_ms = WR_MAX(now_ms, e->used_ms);
            leave_order(s, no);
            become_newest(s, no);
        }
    }
    wr_mutex_unlock(&s->lock);
    return peer_id;
}

void wr_sessions_put(struct wr_sessions *s, uint64_t key, uint64_t peer_id, uint64_t now_ms)
{
    struct session *e;
    uint32_t no;

    wr_mutex_lock(&s->lock);
    no = look_up(s, key);
    if (no != 0) {
        leave_order(s, no);
    } else {
        no = get_number(s);
        if (no != 0) {
            e = at(s, no);
            e->key = key;
            e->next = s->buckets[key & s->mask];
            s->buckets[key & s->mask] = no;
        }
    }
    if (no != 0) {
        e = at(s, no);
        e->peer_id = peer_id;
        e->used_ms = now_ms;
        become_newest(s, no);
    }
    wr_mutex_unlock(&s->lock);
}

uint32_t wr_sessions_cnt(struct wr_sessions *s)
{
    uint32_t cnt;

    wr_mutex_lock(&s->lock);
    cnt = s->cnt;
    wr_mutex_unlock(&s->lock);
    return cnt;
}
