/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_cache.c: see log_cache.h.
 *
 *   cache {conf} -- buckets: hash of the name -> entries (chained)
 *                \- lru: newest use first
 *
 * An entry may have no descriptor: then its uses are counted, until there are `min_uses` of them
 * within `inactive`.
 */
#include "observe/log_cache.h"

#include <stdbool.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define BUCKETS_MAX 4096u

struct wr_log_cached {
    struct wr_list lru;
    struct wr_log_cached *next; /* of its bucket */
    struct cache *home;
    struct wr_str path; /* behind the struct, '\0' behind it */
    uint64_t hash;
    int fd; /* -1: not kept open yet */
    enum wr_append_kind kind;
    struct wr_append_id id;
    uint64_t since_ms; /* when `uses` began to be counted */
    uint64_t used_ms, checked_ms;
    uint32_t uses;
};

struct cache {
    struct wr_list node;
    struct wr_log_path_cache conf;
    struct wr_list lru;
    uint32_t cnt, bucket_cnt; /* bucket_cnt: a power of two */
    struct wr_log_cached *buckets[];
};

void wr_log_cache_init(struct wr_log_cache *c)
{
    wr_list_init(&c->_caches);
}

static bool is_same(const struct wr_log_path_cache *a, const struct wr_log_path_cache *b)
{
    return a->max == b->max && a->min_uses == b->min_uses && a->inactive_ms == b->inactive_ms &&
           a->valid_ms == b->valid_ms;
}

/* NULL: no memory. */
static struct cache *get_cache(struct wr_log_cache *all, const struct wr_log_path_cache *conf)
{
    struct wr_list *n;
    struct cache *c;
    uint32_t cnt = 1;

    WR_LIST_FOREACH (n, &all->_caches) {
        c = wr_container_of(n, struct cache, node);
        if (is_same(&c->conf, conf)) {
            return c;
        }
    }
    while (cnt < conf->max && cnt < BUCKETS_MAX) {
        cnt *= 2;
    }
    c = wr_run_zalloc(sizeof(*c) + cnt * sizeof(c->buckets[0]));
    if (c) {
        c->conf = *conf;
        c->bucket_cnt = cnt;
        wr_list_init(&c->lru);
        wr_list_push(&all->_caches, &c->node);
    }
    return c;
}

static struct wr_log_cached **bucket_of(struct cache *c, uint64_t hash)
{
    return &c->buckets[hash & (c->bucket_cnt - 1)];
}

static void close_entry(struct wr_log_cached *e)
{
    if (e->fd != -1) {
        wr_append_close(e->fd);
        e->fd = -1;
    }
}

static void remove_entry(struct wr_log_cached *e)
{
    struct cache *c = e->home;
    struct wr_log_cached **p = bucket_of(c, e->hash);

    while (*p != e) {
        p = &(*p)->next;
    }
    *p = e->next;
    wr_list_remove(&e->lru);
    close_entry(e);
    c->cnt--;
    wr_mem_free(e);
}

static void remove_oldest(struct cache *c)
{
    remove_entry(wr_container_of(c->lru.prev, struct wr_log_cached, lru));
}

static void free_cache(struct cache *c)
{
    while (c->cnt > 0) {
        remove_oldest(c);
    }
    wr_list_remove(&c->node);
    wr_mem_free(c);
}

void wr_log_cache_fini(struct wr_log_cache *c)
{
    while (!wr_list_is_empty(&c->_caches)) {
        free_cache(wr_container_of(c->_caches.next, struct cache, node));
    }
}

static struct wr_log_cached *find_entry(struct cache *c, struct wr_str path, uint64_t hash)
{
    struct wr_log_cached *e = *bucket_of(c, hash);

    while (e && (e->hash != hash || !wr_str_eq(e->path, path))) {
        e = e->next;
    }
    return e;
}

/* NULL: no memory. */
static struct wr_log_cached *add_entry(struct cache *c, struct wr_str path, uint64_t hash,
                                       uint64_t now_ms)
{
    struct wr_log_cached *e = wr_run_zalloc(sizeof(*e) + path.len + 1);
    struct wr_log_cached **bucket = bucket_of(c, hash);

    if (!e) {
        return NULL;
    }
    if (c->cnt >= c->conf.max) {
        remove_oldest(c);
    }
    memcpy(e + 1, path.ptr, path.len);
    e->path = wr_str((char *)(e + 1), path.len);
    e->hash = hash;
    e->home = c;
    e->fd = -1;
    e->since_ms = now_ms;
    e->next = *bucket;
    *bucket = e;
    wr_list_push_front(&c->lru, &e->lru);
    c->cnt++;
    return e;
}

/* The name may mean another file by now. */
static void check_name(struct wr_log_cached *e, uint64_t now_ms)
{
    if (e->fd != -1 && now_ms - e->checked_ms >= e->home->conf.valid_ms) {
        e->checked_ms = now_ms;
        if (!wr_append_is_named(e->path.ptr, &e->id)) {
            close_entry(e);
        }
    }
}

static void count_uses(struct wr_log_cached *e, uint32_t uses, uint64_t now_ms)
{
    if (now_ms - e->since_ms > e->home->conf.inactive_ms) {
        e->since_ms = now_ms;
        e->uses = 0;
    }
    e->uses += WR_MIN(uses, UINT32_MAX - e->uses);
    e->used_ms = now_ms;
    wr_list_remove(&e->lru);
    wr_list_push_front(&e->home->lru, &e->lru);
}

static struct wr_log_cached *get_entry(struct wr_log_cache *all,
                                       const struct wr_log_path_cache *conf, struct wr_str path,
                                       uint64_t now_ms)
{
    struct cache *c = conf->max > 0 ? get_cache(all, conf) : NULL;
    uint64_t hash = wr_hash_sip(path.ptr, path.len);
    struct wr_log_cached *e = c ? find_entry(c, path, hash) : NULL;

    return e || !c ? e : add_entry(c, path, hash, now_ms);
}

enum wr_status wr_log_cache_acquire(struct wr_log_cache *c, const struct wr_log_path_cache *conf,
                                    struct wr_str path, struct wr_log_use *u, int *ret_errno)
{
    struct wr_log_cached *e = get_entry(c, conf, path, u->now_ms);
    enum wr_status st;

    u->_entry = NULL;
    if (e) {
        count_uses(e, u->uses, u->now_ms);
        check_name(e, u->now_ms);
        if (e->fd != -1) {
            u->fd = e->fd;
            u->kind = e->kind;
            u->_entry = e;
            return WR_OK;
        }
    }
    st = wr_append_open(path.ptr, WR_APPEND_MODE, &u->fd, NULL, ret_errno);
    if (st != WR_OK) {
        return st;
    }
    u->kind = wr_append_is_regular(u->fd) ? WR_APPEND_FILE : WR_APPEND_STREAM;
    if (e && e->uses >= conf->min_uses && wr_append_id_of(u->fd, &e->id)) {
        e->fd = u->fd;
        e->kind = u->kind;
        e->checked_ms = u->now_ms;
        u->_entry = e;
    }
    return WR_OK;
}

void wr_log_cache_release(struct wr_log_use *u)
{
    if (!u->_entry) {
        wr_append_close(u->fd);
    }
    u->fd = -1;
}

uint64_t wr_log_cache_expire(struct wr_log_cache *all, uint64_t now_ms)
{
    struct wr_list *n, *next;
    uint64_t first = 0;

    WR_LIST_FOREACH_SAFE (n, next, &all->_caches) {
        struct cache *c = wr_container_of(n, struct cache, node);
        uint64_t due = 0;

        while (c->cnt > 0) {
            struct wr_log_cached *e = wr_container_of(c->lru.prev, struct wr_log_cached, lru);

            due = e->used_ms + c->conf.inactive_ms;
            if (due > now_ms) {
                break;
            }
            remove_entry(e);
        }
        if (c->cnt == 0) {
            free_cache(c);
        } else if (first == 0 || due < first) {
            first = due;
        }
    }
    return first;
}
