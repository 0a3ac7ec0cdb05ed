/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_memory.c: a table of sets; the tag says which set, and is in one of its few places. A lock
 * guards every LOCKS-th set.
 */
#include "mod/auth_memory.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/sync.h"
#include "conf/dirs.h"
#include "conf/gen.h"

#define SETS  1024u
#define WAYS  8u
#define LOCKS 16u

struct entry {
    struct wr_auth_tag tag;
    uint64_t used_ms; /* 0: free */
};

struct wr_auth_memory {
    struct wr_fixture fixture;
    struct wr_hmac_sha1 begun; /* with the key of this process */
    struct wr_mutex locks[LOCKS];
    struct entry sets[SETS][WAYS]; /* each under its lock */
};

struct wr_auth_memory *wr_auth_memory_new(void)
{
    struct wr_auth_memory *m = wr_mem_alloc(sizeof(*m));
    uint8_t key[32];

    wr_rng_secret(key, sizeof(key));
    wr_hmac_sha1_begin(&m->begun, key, sizeof(key));
    explicit_bzero(key, sizeof(key));
    for (unsigned i = 0; i < LOCKS; i++) {
        wr_mutex_init(&m->locks[i], WR_RANK_LEAF);
    }
    return m;
}

void wr_auth_memory_free(struct wr_auth_memory *m)
{
    for (unsigned i = 0; i < LOCKS; i++) {
        wr_mutex_fini(&m->locks[i]);
    }
    explicit_bzero(&m->begun, sizeof(m->begun));
    wr_mem_free(m);
}

static void free_fixture(struct wr_fixture *f)
{
    wr_auth_memory_free(wr_container_of(f, struct wr_auth_memory, fixture));
}

static const struct wr_fixture_ops memory_ops = {.kind = "auth_memory", .free = free_fixture};

enum wr_status wr_auth_memory_get(struct wr_conf *cf, struct wr_auth_memory **ret)
{
    struct wr_fixtures *all = cf->opts->fixtures;
    struct wr_fixture *f;
    enum wr_status st;

    if (!all) {
        *ret = NULL;
        return WR_OK;
    }
    f = wr_fixtures_get(all, &memory_ops, WR_STR("all"), 0);
    if (!f) {
        f = &wr_auth_memory_new()->fixture;
        st = wr_fixtures_add(all, f, &memory_ops, WR_STR("all"), 0);
        if (st != WR_OK) {
            free_fixture(f);
            return st;
        }
    }
    st = wr_gen_use(cf->gen, f);
    if (st == WR_OK) {
        *ret = wr_container_of(f, struct wr_auth_memory, fixture);
    }
    return st;
}

void wr_auth_memory_tag(const struct wr_auth_memory *m, struct wr_str hash, struct wr_str password,
                        struct wr_auth_tag *ret)
{
    const uint64_t hash_len = hash.len; /* so that one cannot end where the other begins */
    struct wr_hmac_sha1 mac = m->begun;

    wr_sha1_add(&mac.inner, &hash_len, sizeof(hash_len));
    wr_sha1_add(&mac.inner, hash.ptr, hash.len);
    wr_sha1_add(&mac.inner, password.ptr, password.len);
    wr_hmac_sha1_end(&mac, ret->bytes);
}

static unsigned set_of(const struct wr_auth_tag *tag)
{
    return (tag->bytes[0] | (unsigned)tag->bytes[1] << 8) % SETS;
}

static bool is_valid(const struct entry *e, uint64_t now_ms)
{
    /* Another thread's clock may be a turn ahead. */
    return e->used_ms != 0 && (now_ms <= e->used_ms || now_ms - e->used_ms < WR_AUTH_MEMORY_MS);
}

bool wr_auth_memory_has(struct wr_auth_memory *m, const struct wr_auth_tag *tag, uint64_t now_ms)
{
    unsigned set = set_of(tag);
    bool found = false;

    wr_mutex_lock(&m->locks[set % LOCKS]);
    for (unsigned i = 0; i < WAYS && !found; i++) {
        struct entry *e = &m->sets[set][i];

        if (is_valid(e, now_ms) && memcmp(&e->tag, tag, sizeof(*tag)) == 0) {
            e->used_ms = WR_MAX(e->used_ms, now_ms);
            found = true;
        }
    }
    wr_mutex_unlock(&m->locks[set % LOCKS]);
    return found;
}

void wr_auth_memory_add(struct wr_auth_memory *m, const struct wr_auth_tag *tag, uint64_t now_ms)
{
    unsigned set = set_of(tag);
    struct entry *to;

    wr_mutex_lock(&m->locks[set % LOCKS]);
    to = &m->sets[set][0];
    for (unsigned i = 0; i < WAYS; i++) {
        struct entry *e = &m->sets[set][i];

        if (e->used_ms != 0 && memcmp(&e->tag, tag, sizeof(*tag)) == 0) {
            to = e;
            break;
        }
        if (e->used_ms < to->used_ms) {
            to = e;
        }
    }
    *to = (struct entry){.tag = *tag, .used_ms = WR_MAX(now_ms, (uint64_t)1)};
    wr_mutex_unlock(&m->locks[set % LOCKS]);
}
