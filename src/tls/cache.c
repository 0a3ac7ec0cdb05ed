/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.c: sessions of `ssl_session_cache shared:NAME:SIZE`, by id, for all threads and for as long
 * as some generation names the cache. Bytes of sessions, no objects of the library.
 *
 *   cache -- shards[8]: lock | buckets -> entry -> entry        a chain each
 *                            | used    entry <-> entry <-> ...   oldest first
 *
 * Each shard has an eighth of the bytes; the entries used longest ago give way. Ids are made by us
 * at random, but a client may ask for any: the hash is keyed. One lock a call, a leaf.
 */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/sync.h"
#include "tls/tls_int.h"

#define SHARDS        8u
#define BYTES_A_CHAIN 256u /* of the size for each bucket: about one entry */
#define SESSION_MAX   16384u
#define ID_MAX        32u

struct entry {
    struct wr_list used;
    struct entry *next; /* in its chain */
    uint64_t hash;
    uint64_t end_ms;
    uint32_t len;
    uint32_t id_len;
    unsigned char id[ID_MAX];
    unsigned char bytes[];
};

struct shard {
    struct wr_mutex lock;
    struct wr_list used;
    struct entry **chains;
    size_t chain_cnt, bytes;
};

struct wr_tls_cache {
    wr_atomic_u32 refs;
    size_t shard_max; /* bytes of one shard */
    struct shard shards[SHARDS];
};

static size_t cost(const struct entry *e)
{
    return sizeof(*e) + e->len;
}

struct wr_tls_cache *wr_tls_cache_new(size_t bytes)
{
    struct wr_tls_cache *c = wr_run_zalloc(sizeof(*c));

    if (!c) {
        return NULL;
    }
    wr_store_rlx(&c->refs, 1);
    c->shard_max = bytes / SHARDS;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];

        wr_mutex_init(&s->lock, WR_RANK_LEAF);
        wr_list_init(&s->used);
        s->chain_cnt = c->shard_max / BYTES_A_CHAIN + 1;
        s->chains = wr_run_zalloc(s->chain_cnt * sizeof(struct entry *));
        if (!s->chains) {
            s->chain_cnt = 0;
            for (unsigned k = i + 1; k < SHARDS; k++) {
                wr_mutex_init(&c->shards[k].lock, WR_RANK_LEAF);
                wr_list_init(&c->shards[k].used);
            }
            wr_tls_cache_unref(c);
            return NULL;
        }
    }
    return c;
}

struct wr_tls_cache *wr_tls_cache_ref(struct wr_tls_cache *c)
{
    (void)wr_add_rlx(&c->refs, 1); /* whoever has one may give another */
    return c;
}

void wr_tls_cache_unref(struct wr_tls_cache *c)
{
    /* The last one must see what the others wrote. */
    if (!c || wr_sub_acqrel(&c->refs, 1) != 1) {
        return;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        struct wr_list *n;

        while ((n = wr_list_pop(&s->used)) != NULL) {
            wr_mem_free(wr_container_of(n, struct entry, used));
        }
        wr_mem_free(s->chains);
        wr_mutex_fini(&s->lock);
    }
    wr_mem_free(c);
}

static struct shard *shard_of(struct wr_tls_cache *c, uint64_t hash)
{
    return &c->shards[hash % SHARDS];
}

static struct entry **chain_of(const struct shard *s, uint64_t hash)
{
    return &s->chains[hash / SHARDS % s->chain_cnt];
}

static struct entry *find(const struct shard *s, uint64_t hash, struct wr_str id)
{
    for (struct entry *e = *chain_of(s, hash); e; e = e->next) {
        if (e->hash == hash && e->id_len == id.len && memcmp(e->id, id.ptr, id.len) == 0) {
            return e;
        }
    }
    return NULL;
}

/* Out of chain and list; freed. Shard's lock held. */
static void drop(struct shard *s, struct entry *e)
{
    struct entry **p = chain_of(s, e->hash);

    while (*p != e) {
        p = &(*p)->next;
    }
    *p = e->next;
    wr_list_remove(&e->used);
    s->bytes -= cost(e);
    wr_tls_wipe(wr_str((const char *)e->bytes, e->len));
    wr_mem_free(e);
}

void wr_tls_cache_put(struct wr_tls_cache *c, struct wr_str id, struct wr_str session,
                      uint32_t life_sec)
{
    uint64_t hash = wr_hash_sip(id.ptr, id.len);
    struct shard *s = shard_of(c, hash);
    struct entry *e, *old;

    if (id.len == 0 || id.len > ID_MAX || session.len > SESSION_MAX ||
        sizeof(*e) + session.len > c->shard_max) {
        return;
    }
    e = wr_run_alloc(sizeof(*e) + session.len);
    if (!e) {
        return; /* then the client does a whole handshake again */
    }
    *e = (struct entry){.hash = hash,
                        .end_ms = wr_now_ms() + (uint64_t)life_sec * 1000,
                        .len = (uint32_t)session.len,
                        .id_len = (uint32_t)id.len};
    wr_list_init(&e->used);
    memcpy(e->id, id.ptr, id.len);
    memcpy(e->bytes, session.ptr, session.len);
    wr_mutex_lock(&s->lock);
    old = find(s, hash, id);
    if (old) {
        drop(s, old);
    }
    while (s->bytes + cost(e) > c->shard_max) {
        drop(s, wr_container_of(s->used.next, struct entry, used));
    }
    e->next = *chain_of(s, hash);
    *chain_of(s, hash) = e;
    wr_list_push(&s->used, &e->used);
    s->bytes += cost(e);
    wr_mutex_unlock(&s->lock);
}

bool wr_tls_cache_get(struct wr_tls_cache *c, struct wr_str id, unsigned char *buf, size_t cap,
                      size_t *ret_len)
{
    uint64_t hash = wr_hash_sip(id.ptr, id.len);
    struct shard *s = shard_of(c, hash);
    struct entry *e;
    bool found = false;

    wr_mutex_lock(&s->lock);
    e = find(s, hash, id);
    if (e && e->end_ms <= wr_now_ms()) {
        drop(s, e);
    } else if (e && e->len <= cap) {
        memcpy(buf, e->bytes, e->len);
        *ret_len = e->len;
        wr_list_remove(&e->used);
        wr_list_push(&s->used, &e->used);
        found = true;
    }
    wr_mutex_unlock(&s->lock);
    return found;
}

void wr_tls_cache_remove(struct wr_tls_cache *c, struct wr_str id)
{
    uint64_t hash = wr_hash_sip(id.ptr, id.len);
    struct shard *s = shard_of(c, hash);
    struct entry *e;

    wr_mutex_lock(&s->lock);
    e = find(s, hash, id);
    if (e) {
        drop(s, e);
    }
    wr_mutex_unlock(&s->lock);
}
