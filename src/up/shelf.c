/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf.c: idle connections between threads, see shelf.h.
 *
 *   group fixture -- shelf {cnt, lru: oldest ... newest}     lru: in the order they were put
 *                            entries also in: by_peer[shelf, peer, identity], newest first
 *                                             by_no[number]: what the watch tells
 *
 * One lock for all shelves: a connection comes here at most once a second of its idle life, so that
 * the lock is rarely asked for; `cnt` is looked at first and without it. The descriptors are in one
 * watch. Entering, leaving and asking the watch happen under the lock, hence its numbers name
 * living entries. Who takes asks the watch first, so what had ended before is never handed out.
 * The thread that shelves first (the keeper) has the watch in its loop and closes at once what
 * ends; when its loop ends, the next that shelves follows. Descriptors are closed and memory is
 * given back outside the lock.
 */
#include "up/shelf.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/local.h"
#include "base/mem.h"
#include "base/slab.h"
#include "base/sync.h"
#include "event/poll.h"
#include "event/task.h"
#include "event/watch.h"

#define SHELF_BUCKETS 1024
#define SHELF_BATCH   64

struct wr_shelf {
    struct wr_fixture *holder;
    struct wr_lives *lives;
    struct wr_list lru; /* struct shelf_entry.lru */
    struct wr_list all; /* in shelves.all while there are entries */
    wr_atomic_u32 cnt;  /* written under the lock */
};

struct shelf_entry {
    struct wr_list lru; /* of its shelf; afterwards in a list of the dead */
    struct wr_list by_peer, by_no;
    struct wr_shelf *shelf;
    uint64_t no;
    struct wr_shelved it;
};

/* Why not per group: who ends a connection must find it whatever group it is of, and a set of
 * descriptors a group would cost one more descriptor each. Under the lock but where noted. */
static struct {
    struct wr_mutex lock;
    bool is_ready; /* the lists are initialised, the watch is open */
    uint64_t last_no;
    struct wr_watch watch;
    struct wr_list all; /* struct wr_shelf.all */
    struct wr_list by_peer[SHELF_BUCKETS], by_no[SHELF_BUCKETS];
    const struct wr_local *keeper; /* thread that has the watch in its loop; NULL: none */
    struct wr_io io;               /* keeper only, without the lock */
    struct wr_task task;           /* keeper only, without the lock */
} shelves = {.lock = WR_MUTEX_INIT(WR_RANK_SHELF), .watch = WR_WATCH_INIT};

static struct wr_list *peer_bucket(const struct wr_shelf *s, uint64_t peer_id, uint64_t identity)
{
    uint64_t h = (uint64_t)(uintptr_t)s / sizeof(*s) ^ peer_id ^ identity;

    return &shelves.by_peer[h % SHELF_BUCKETS];
}

/* Lock held. False: the kernel refuses another descriptor. */
static bool get_ready(void)
{
    if (shelves.is_ready) {
        return true;
    }
    if (wr_watch_open(&shelves.watch) != WR_OK) {
        return false;
    }
    wr_list_init(&shelves.all);
    for (unsigned i = 0; i < SHELF_BUCKETS; i++) {
        wr_list_init(&shelves.by_peer[i]);
        wr_list_init(&shelves.by_no[i]);
    }
    shelves.is_ready = true;
    return true;
}

/* Lock held. The entry is in no list afterwards; the shelf may be gone, unless the caller holds its
 * holder. */
static void unlink_entry(struct shelf_entry *e)
{
    struct wr_shelf *s = e->shelf;

    wr_watch_detach(&shelves.watch, e->it.seed.fd);
    wr_list_remove(&e->lru);
    wr_list_remove(&e->by_peer);
    wr_list_remove(&e->by_no);
    e->shelf = NULL;
    if (wr_sub_rlx(&s->cnt, 1) == 1) {
        wr_list_remove(&s->all);
        wr_fixture_unref(s->holder);
    }
}

/* Lock held. */
static void condemn(struct shelf_entry *e, struct wr_list *dead)
{
    unlink_entry(e);
    wr_list_push(dead, &e->lru);
}

/* Without the lock. */
static void bury(struct wr_list *dead)
{
    struct wr_list *n;

    while ((n = wr_list_pop(dead)) != NULL) {
        struct shelf_entry *e = wr_container_of(n, struct shelf_entry, lru);

        wr_pconn_drop_seed(&e->it.seed);
        wr_slab_free(e, sizeof(*e));
    }
}

/* Lock held. NULL: there is none of this number. */
static struct shelf_entry *find_no(uint64_t no)
{
    struct wr_list *b = &shelves.by_no[no % SHELF_BUCKETS];
    struct wr_list *n;

    WR_LIST_FOREACH (n, b) {
        struct shelf_entry *e = wr_container_of(n, struct shelf_entry, by_no);

        if (e->no == no) {
            return e;
        }
    }
    return NULL;
}

/* Lock held. Before the entry leaves its shelf, and the group perhaps ends with it. */
static void learn_age(const struct shelf_entry *e)
{
    uint64_t now = wr_local_get()->now_ms, since = e->it.seed.idle_ms;

    wr_lives_see(e->shelf->lives, e->it.peers, e->it.peer_id, now > since ? now - since : 0, now);
}

/* Lock held. U10.2: those that became readable or were closed. */
static void collect_ended(struct wr_list *dead)
{
    uint64_t no[SHELF_BATCH];
    size_t n;

    do {
        n = wr_watch_get(&shelves.watch, no, SHELF_BATCH);
        for (size_t i = 0; i < n; i++) {
            struct shelf_entry *e = find_no(no[i]);

            if (e) {
                learn_age(e);
                condemn(e, dead);
            } else {
                (void)WR_WARN_ON(!e);
            }
        }
    } while (n == SHELF_BATCH);
}

/* ---- the keeper ----------------------------------------------------------------------------- */

static void run_keeper(struct wr_task *t)
{
    struct wr_list dead;

    (void)t;
    wr_list_init(&dead);
    shelves.io.facts &= (uint16_t)~WR_IO_READABLE;
    wr_mutex_lock(&shelves.lock);
    collect_ended(&dead);
    wr_mutex_unlock(&shelves.lock);
    bury(&dead);
}

/* Lock not held; this thread's name is in shelves.keeper. The watch is open as long as it is. */
static void start_keeper(int fd)
{
    wr_task_init(&shelves.task, run_keeper, "shelf");
    wr_io_init(&shelves.io, WR_IO_NOTIFY, &shelves.task);
    if (wr_io_adopt(&shelves.io, fd) != WR_OK) {
        /* Whoever takes looks at the watch too; the next that shelves tries again. */
        (void)wr_io_detach(&shelves.io);
        wr_mutex_lock(&shelves.lock);
        shelves.keeper = NULL;
        wr_mutex_unlock(&shelves.lock);
    }
}

void wr_shelf_thread_end(void)
{
    bool was_keeper;

    wr_mutex_lock(&shelves.lock);
    was_keeper = shelves.keeper == wr_local_get();
    wr_mutex_unlock(&shelves.lock);
    if (!was_keeper) {
        return;
    }
    (void)wr_io_detach(&shelves.io); /* the descriptor stays the watch's */
    wr_task_cancel(&shelves.task);
    wr_mutex_lock(&shelves.lock);
    shelves.keeper = NULL;
    wr_mutex_unlock(&shelves.lock);
}

/* ---- shelves -------------------------------------------------------------------------------- */

struct wr_shelf *wr_shelf_new(struct wr_fixture *holder, struct wr_lives *lives)
{
    struct wr_shelf *s = wr_mem_alloc(sizeof(*s));

    s->holder = holder;
    s->lives = lives;
    wr_list_init(&s->lru);
    wr_list_init(&s->all);
    return s;
}

void wr_shelf_free(struct wr_shelf *s)
{
    if (s) {
        WR_ASSERT(wr_shelf_cnt(s) == 0);
        wr_mem_free(s);
    }
}

uint32_t wr_shelf_cnt(struct wr_shelf *s)
{
    /* Who misses a new one dials; nothing waits for a shelf. */
    return wr_load_rlx(&s->cnt);
}

/* Lock held. False: it cannot be watched. */
static bool link_entry(struct wr_shelf *s, struct shelf_entry *e)
{
    if (!get_ready()) {
        return false;
    }
    e->no = ++shelves.last_no;
    if (wr_watch_attach(&shelves.watch, e->it.seed.fd, e->no) != WR_OK) {
        return false;
    }
    e->shelf = s;
    wr_list_push(&s->lru, &e->lru);
    wr_list_push_front(peer_bucket(s, e->it.peer_id, e->it.identity), &e->by_peer);
    wr_list_push(&shelves.by_no[e->no % SHELF_BUCKETS], &e->by_no);
    if (wr_add_rlx(&s->cnt, 1) == 0) {
        wr_list_push(&shelves.all, &s->all);
        wr_fixture_ref(s->holder);
    }
    return true;
}

void wr_shelf_put(struct wr_shelf *s, const struct wr_shelved *it, uint32_t max)
{
    struct shelf_entry *e = wr_slab_alloc(sizeof(*e));
    struct wr_list dead;
    bool is_keeper = false;
    int fd;

    if (!e) {
        struct wr_pconn_seed seed = it->seed;

        wr_pconn_drop_seed(&seed);
        return;
    }
    e->it = *it;
    wr_list_init(&e->lru);
    wr_list_init(&e->by_peer);
    wr_list_init(&e->by_no);
    wr_list_init(&dead);
    max = WR_MIN(max, WR_SHELF_MAX);
    wr_mutex_lock(&shelves.lock);
    if (max == 0 || !link_entry(s, e)) {
        wr_list_push(&dead, &e->lru);
    }
    while (wr_shelf_cnt(s) > max) {
        condemn(wr_container_of(s->lru.next, struct shelf_entry, lru), &dead);
    }
    fd = shelves.watch.fd;
    if (shelves.keeper == NULL && shelves.is_ready) {
        shelves.keeper = wr_local_get();
        is_keeper = true;
    }
    wr_mutex_unlock(&shelves.lock);
    bury(&dead);
    if (is_keeper) {
        start_keeper(fd);
    }
}

enum wr_status wr_shelf_take(struct wr_shelf *s, uint64_t peer_id, uint64_t identity,
                             struct wr_shelved *ret)
{
    uint64_t now = wr_local_get()->now_ms;
    struct shelf_entry *found = NULL;
    struct wr_list dead;
    struct wr_list *b, *n, *next;

    if (wr_shelf_cnt(s) == 0) {
        return WR_AGAIN;
    }
    wr_list_init(&dead);
    b = peer_bucket(s, peer_id, identity);
    wr_mutex_lock(&shelves.lock);
    if (shelves.is_ready) {
        collect_ended(&dead);
        WR_LIST_FOREACH_SAFE (n, next, b) {
            struct shelf_entry *e = wr_container_of(n, struct shelf_entry, by_peer);

            if (e->shelf != s || e->it.peer_id != peer_id || e->it.identity != identity) {
                continue;
            }
            if (e->it.expires_ms <= now) {
                condemn(e, &dead);
                continue;
            }
            unlink_entry(e);
            found = e;
            break;
        }
    }
    wr_mutex_unlock(&shelves.lock);
    bury(&dead);
    if (!found) {
        return WR_AGAIN;
    }
    *ret = found->it;
    wr_slab_free(found, sizeof(*found));
    return WR_OK;
}

uint64_t wr_shelf_expire(struct wr_shelf *s, uint64_t now_ms)
{
    uint64_t first = 0;
    struct wr_list dead;
    struct wr_list *n, *next;

    if (wr_shelf_cnt(s) == 0) {
        return 0;
    }
    wr_list_init(&dead);
    wr_mutex_lock(&shelves.lock);
    /* All are looked at: several threads put theirs, and not in the order in which they expire. */
    WR_LIST_FOREACH_SAFE (n, next, &s->lru) {
        struct shelf_entry *e = wr_container_of(n, struct shelf_entry, lru);

        if (e->it.expires_ms <= now_ms) {
            condemn(e, &dead);
        } else if (first == 0 || e->it.expires_ms < first) {
            first = e->it.expires_ms;
        }
    }
    wr_mutex_unlock(&shelves.lock);
    bury(&dead);
    return first;
}

void wr_shelf_process_end(void)
{
    struct wr_list dead;

    wr_list_init(&dead);
    wr_mutex_lock(&shelves.lock);
    if (shelves.is_ready) {
        WR_ASSERT(shelves.keeper == NULL);
        while (!wr_list_is_empty(&shelves.all)) {
            struct wr_shelf *s = wr_container_of(shelves.all.next, struct wr_shelf, all);

            condemn(wr_container_of(s->lru.next, struct shelf_entry, lru), &dead);
        }
        wr_watch_close(&shelves.watch);
        shelves.is_ready = false;
    }
    wr_mutex_unlock(&shelves.lock);
    bury(&dead);
}
