/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.c: linear probing in a power of two of slots, at most three quarters full; a removal moves
 * the following entries back, so there are no tombstones. value == NULL marks a free slot. The
 * whole hash is kept to compare and to move entries without reading their keys.
 */
#include "base/map.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define FIRST_CAP       16u
#define FIRST_CAP_ARENA 4u

struct wr_map_slot {
    uint64_t hash;
    struct wr_str key;
    void *value;
};

void wr_map_init(struct wr_map *m, enum wr_map_flags flags)
{
    *m = (struct wr_map){.icase = flags == WR_MAP_ICASE};
}

void wr_map_init_arena(struct wr_map *m, enum wr_map_flags flags, struct wr_arena *a)
{
    wr_map_init(m, flags);
    m->_arena = a;
}

void wr_map_fini(struct wr_map *m)
{
    if (m->_arena == NULL) {
        wr_mem_free(m->_slots);
    }
    *m = (struct wr_map){.icase = m->icase};
}

static uint64_t hash_of(const struct wr_map *m, struct wr_str key)
{
    return m->icase ? wr_hash_sip_lower(key.ptr, key.len) : wr_hash_sip(key.ptr, key.len);
}

/* The slot of this key, or the free one where it would go. The map has a free slot. */
static size_t find_slot(const struct wr_map *m, struct wr_str key, uint64_t hash)
{
    size_t i = (size_t)hash & (m->_cap - 1);

    while (m->_slots[i].value != NULL) {
        const struct wr_map_slot *s = &m->_slots[i];

        if (s->hash == hash && (m->icase ? wr_str_ieq(s->key, key) : wr_str_eq(s->key, key))) {
            break;
        }
        i = (i + 1) & (m->_cap - 1);
    }
    return i;
}

static inline uint64_t len_bit(struct wr_str key)
{
    return UINT64_C(1) << WR_MIN(key.len, (size_t)63);
}

static void resize(struct wr_map *m, size_t cap)
{
    struct wr_map_slot *old = m->_slots;
    size_t old_cap = m->_cap;

    WR_ASSERT(cap <= SIZE_MAX / sizeof(*old));
    m->_slots = m->_arena != NULL ? wr_arena_must(m->_arena, cap * sizeof(*old))
                                  : wr_mem_alloc(cap * sizeof(*old));
    m->_cap = cap;
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i].value != NULL) {
            m->_slots[find_slot(m, old[i].key, old[i].hash)] = old[i];
        }
    }
    if (m->_arena == NULL) {
        wr_mem_free(old);
    }
}

void wr_map_reserve(struct wr_map *m, size_t n)
{
    size_t first = m->_arena != NULL ? FIRST_CAP_ARENA : FIRST_CAP;
    size_t cap = m->_cap == 0 ? first : m->_cap;

    WR_ASSERT(n <= SIZE_MAX / 128);
    while (n > cap / 4 * 3) {
        cap *= 2;
    }
    if (cap != m->_cap) {
        resize(m, cap);
    }
}

void *wr_map_get(const struct wr_map *m, struct wr_str key)
{
    if (m->cnt == 0 || (m->_lens & len_bit(key)) == 0) {
        return NULL;
    }
    return m->_slots[find_slot(m, key, hash_of(m, key))].value;
}

void *wr_map_put(struct wr_map *m, struct wr_str key, void *value)
{
    uint64_t hash = hash_of(m, key);
    struct wr_map_slot *s;
    void *before;

    WR_ASSERT(value != NULL);
    wr_map_reserve(m, m->cnt + 1);
    s = &m->_slots[find_slot(m, key, hash)];
    before = s->value;
    m->cnt += before == NULL;
    m->_lens |= len_bit(key);
    *s = (struct wr_map_slot){hash, key, value};
    return before;
}

void *wr_map_remove(struct wr_map *m, struct wr_str key)
{
    size_t mask = m->_cap - 1;
    size_t hole, i;
    void *value;

    if (m->cnt == 0) {
        return NULL;
    }
    hole = find_slot(m, key, hash_of(m, key));
    value = m->_slots[hole].value;
    if (value == NULL) {
        return NULL;
    }
    for (i = (hole + 1) & mask; m->_slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = (size_t)m->_slots[i].hash & mask;

        /* It may move back only if its home is not behind the hole. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->_slots[hole] = m->_slots[i];
            hole = i;
        }
    }
    m->_slots[hole] = (struct wr_map_slot){0};
    m->cnt--;
    return value;
}

bool wr_map_next(const struct wr_map *m, size_t *pos, struct wr_str *ret_key, void **ret_value)
{
    for (; *pos < m->_cap; (*pos)++) {
        const struct wr_map_slot *s = &m->_slots[*pos];

        if (s->value != NULL) {
            *ret_key = s->key;
            *ret_value = s->value;
            (*pos)++;
            return true;
        }
    }
    return false;
}
