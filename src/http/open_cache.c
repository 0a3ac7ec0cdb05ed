/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open_cache.c: see open_cache.h.
 *
 *   thread -- struct open_gen (generation) -- caches[no] -- buckets[] -> entry -> entry
 *                                                      \--- used: list of entries, oldest first
 *
 * An entry that nobody asked for within `inactive` goes with one of the next look-ups, two at a
 * time; one more than `max` takes the place of the oldest.
 */
#include "http/open_cache.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/gen.h"
#include "http/core_conf.h"
#include "http/module.h"

#define BUCKETS_MIN 64u
#define BUCKETS_MAX 65536u
#define EXPIRE_STEP 2

struct wr_open_cache {
    const struct wr_open_cache_conf *conf;
    struct wr_list used;
    uint32_t cnt, mask;
    struct wr_open_entry *buckets[];
};

struct open_gen {
    const struct wr_gen *gen;
    struct wr_list node;
    uint32_t cnt;
    struct wr_open_cache *caches[];
};

/* Rule zero: a thread's own caches; http has no place for them in struct wr_local. */
static _Thread_local struct {
    bool is_ready;
    struct wr_list gens;
} mine;

/* ---- entries -------------------------------------------------------------------------------- */

static struct wr_open_entry **place_of(struct wr_open_cache *c, uint64_t hash, struct wr_str path)
{
    struct wr_open_entry **at = &c->buckets[hash & c->mask];

    while (*at && ((*at)->hash != hash || !wr_str_eq(wr_str((*at)->path, (*at)->path_len), path))) {
        at = &(*at)->next;
    }
    return at;
}

static void remove_entry(struct wr_open_cache *c, struct wr_open_entry *e)
{
    struct wr_open_entry **at = &c->buckets[e->hash & c->mask];

    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    wr_list_remove(&e->node);
    wr_file_unref(e->file);
    wr_mem_free(e);
    c->cnt--;
}

static struct wr_open_entry *oldest(const struct wr_open_cache *c)
{
    return wr_container_of(c->used.next, struct wr_open_entry, node);
}

static void expire(struct wr_open_cache *c)
{
    uint64_t now = wr_now_ms();

    for (int i = 0; i < EXPIRE_STEP && c->cnt > 0; i++) {
        if (now - oldest(c)->used_ms <= c->conf->inactive_ms) {
            return;
        }
        remove_entry(c, oldest(c));
    }
}

struct wr_open_entry *wr_open_cache_find(struct wr_open_cache *c, struct wr_str path)
{
    struct wr_open_entry *e = *place_of(c, wr_hash_sip(path.ptr, path.len), path);
    uint64_t now = wr_now_ms();

    if (e && now - e->used_ms > c->conf->inactive_ms) {
        remove_entry(c, e);
        e = NULL;
    }
    if (e) {
        e->used_ms = now;
        e->uses++;
        wr_list_remove(&e->node);
        wr_list_push(&c->used, &e->node);
    }
    expire(c);
    return e;
}

struct wr_open_entry *wr_open_cache_renew(struct wr_open_cache *c, struct wr_str path)
{
    uint64_t hash = wr_hash_sip(path.ptr, path.len);
    struct wr_open_entry *e = *place_of(c, hash, path);

    if (e) {
        wr_file_unref(wr_take(&e->file));
        e->err = 0;
        return e;
    }
    if (c->cnt >= c->conf->max) {
        remove_entry(c, oldest(c));
    }
    e = wr_run_zalloc(sizeof(*e) + path.len);
    if (!e) {
        return NULL;
    }
    e->hash = hash;
    e->path_len = (uint32_t)path.len;
    memcpy(e->path, path.ptr, path.len);
    e->uses = 1;
    e->used_ms = wr_now_ms();
    e->next = c->buckets[hash & c->mask];
    c->buckets[hash & c->mask] = e;
    wr_list_push(&c->used, &e->node);
    c->cnt++;
    return e;
}

void wr_open_cache_forget(struct wr_open_cache *c, struct wr_str path)
{
    struct wr_open_entry *e = *place_of(c, wr_hash_sip(path.ptr, path.len), path);

    if (e) {
        remove_entry(c, e);
    }
}

/* ---- caches of a thread --------------------------------------------------------------------- */

static struct open_gen *find_gen(const struct wr_gen *g)
{
    struct wr_list *n;

    if (!mine.is_ready) {
        return NULL;
    }
    WR_LIST_FOREACH (n, &mine.gens) {
        struct open_gen *og = wr_container_of(n, struct open_gen, node);

        if (og->gen == g) {
            return og;
        }
    }
    return NULL;
}

static struct open_gen *make_gen(const struct wr_gen *g)
{
    const struct wr_core_main *m = wr_scope_get(g->root, &wr_core_conf, WR_KIND_MAIN);
    struct open_gen *og;

    if (!mine.is_ready) {
        mine.is_ready = true;
        wr_list_init(&mine.gens);
    }
    og = wr_run_zalloc(sizeof(*og) + m->open_cache_cnt * sizeof(struct wr_open_cache *));
    if (og) {
        og->gen = g;
        og->cnt = m->open_cache_cnt;
        wr_list_push_front(&mine.gens, &og->node);
    }
    return og;
}

static struct wr_open_cache *make_cache(const struct wr_open_cache_conf *conf)
{
    uint32_t n = BUCKETS_MIN;
    struct wr_open_cache *c;

    while (n < conf->max && n < BUCKETS_MAX) {
        n *= 2;
    }
    c = wr_run_zalloc(sizeof(*c) + n * sizeof(struct wr_open_entry *));
    if (c) {
        c->conf = conf;
        c->mask = n - 1;
        wr_list_init(&c->used);
    }
    return c;
}

struct wr_open_cache *wr_open_cache_of(const struct wr_gen *g,
                                       const struct wr_open_cache_conf *conf)
{
    struct open_gen *og = find_gen(g);

    if (!og) {
        og = make_gen(g);
    }
    if (!og || conf->no >= og->cnt) {
        return NULL;
    }
    if (!og->caches[conf->no]) {
        og->caches[conf->no] = make_cache(conf);
    }
    return og->caches[conf->no];
}

uint32_t wr_open_cache_cnt(void)
{
    uint32_t cnt = 0;
    struct wr_list *n;

    if (!mine.is_ready) {
        return 0;
    }
    WR_LIST_FOREACH (n, &mine.gens) {
        const struct open_gen *og = wr_container_of(n, struct open_gen, node);

        for (uint32_t i = 0; i < og->cnt; i++) {
            cnt += og->caches[i] ? og->caches[i]->cnt : 0;
        }
    }
    return cnt;
}

static void drop_thread(struct wr_gen *g)
{
    struct open_gen *og = find_gen(g);

    if (!og) {
        return;
    }
    for (uint32_t i = 0; i < og->cnt; i++) {
        struct wr_open_cache *c = og->caches[i];

        while (c && c->cnt > 0) {
            remove_entry(c, oldest(c));
        }
        wr_mem_free(c);
    }
    wr_list_remove(&og->node);
    wr_mem_free(og);
}

const struct wr_module wr_open_cache_module = {.thread_drop = drop_thread};
