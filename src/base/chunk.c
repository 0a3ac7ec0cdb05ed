/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk.c: where chunks come from. Each thread has a bounded free list a class, and credit: bytes
 * that it took from the process's budget ahead, so that the shared counter is touched once in a
 * while only.
 *
 *   reserved (shared) = bytes in live chunks + credit of all threads <= limit
 *
 * A thread takes BATCH bytes of credit at once and gives back what it has beyond two of them. Below
 * EXACT_BELOW there is no credit, so that a small limit is exact.
 */
#include "base/chunk.h"

#include <stdlib.h>

#include "base/local_int.h"
#include "base/mem.h"
#include "base/sync.h"

#define BATCH         (UINT64_C(512) * 1024)
#define EXACT_BELOW   (UINT64_C(64) * 1024 * 1024)
#define DEFAULT_LIMIT (UINT64_C(1024) * 1024 * 1024)

static const uint32_t class_size[WR_CHUNK_CLASSES] = {4096, 16384, 65536, 262144};
static const uint32_t class_max[WR_CHUNK_CLASSES] = {64, 32, 16, 4}; /* in a thread's list */

struct wr_chunk_cache {
    struct wr_chunk *first[WR_CHUNK_CLASSES];
    uint32_t cnt[WR_CHUNK_CLASSES], max[WR_CHUNK_CLASSES];
    wr_atomic_u64 credit; /* written by the owner only, read by wr_chunk_in_use */
    uint64_t credit_max;  /* what is beyond goes back, but for half of this */
    struct wr_chunk_cache *next;
};

static wr_atomic_u64 reserved;
static wr_atomic_u64 limit = DEFAULT_LIMIT;
/* Not a ranked mutex: it is taken while a wr_local, which ranks need, is being made. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wr_chunk_cache *all; /* under all_lock */

static uint64_t credit_max_of(uint64_t max)
{
    return max != 0 && max < EXACT_BELOW ? 0 : 2 * BATCH;
}

void wr_chunk_local_init(struct wr_local *l)
{
    struct wr_chunk_cache *k = wr_mem_alloc(sizeof(*k));

    for (size_t i = 0; i < WR_CHUNK_CLASSES; i++) {
        k->max[i] = wr_mem_pass_through() ? 0 : class_max[i];
    }
    (void)pthread_mutex_lock(&all_lock); /* a static default mutex cannot fail */
    k->next = all;
    all = k;
    (void)pthread_mutex_unlock(&all_lock);
    k->credit_max = credit_max_of(wr_load_rlx(&limit));
    l->chunks = k;
}

void wr_chunk_local_fini(struct wr_local *l)
{
    struct wr_chunk_cache *k = l->chunks;
    struct wr_chunk_cache **pp;

    for (size_t i = 0; i < WR_CHUNK_CLASSES; i++) {
        while (k->first[i] != NULL) {
            struct wr_chunk *c = k->first[i];

            k->first[i] = c->_next;
            free(c);
        }
    }
    (void)pthread_mutex_lock(&all_lock);
    for (pp = &all; *pp != k; pp = &(*pp)->next) {
    }
    *pp = k->next;
    (void)wr_sub_rlx(&reserved, wr_load_rlx(&k->credit));
    (void)pthread_mutex_unlock(&all_lock);
    wr_mem_free(k);
    l->chunks = NULL;
}

/* Adds n to `reserved` if the limit allows. */
static bool take_budget(uint64_t n)
{
    uint64_t max = wr_load_rlx(&limit);
    uint64_t old = wr_load_rlx(&reserved);

    do {
        if (max != 0 && (n > max || old > max - n)) {
            return false;
        }
    } while (!wr_cas_acqrel(&reserved, &old, old + n));
    return true;
}

/* The credit does not do: get n, and a batch for later if there is plenty. */
static bool get_credit(struct wr_chunk_cache *k, uint64_t credit, uint64_t n)
{
    uint64_t max = wr_load_rlx(&limit);

    if ((max == 0 || max >= EXACT_BELOW) && take_budget(n + BATCH)) {
        wr_store_rlx(&k->credit, credit + BATCH);
        return true;
    }
    return take_budget(n);
}

static bool spend(struct wr_chunk_cache *k, uint64_t n)
{
    uint64_t credit = wr_load_rlx(&k->credit);

    if (WR_LIKELY(credit >= n)) {
        wr_store_rlx(&k->credit, credit - n);
        return true;
    }
    return get_credit(k, credit, n);
}

static void refund(struct wr_chunk_cache *k, uint64_t n)
{
    uint64_t credit = wr_load_rlx(&k->credit) + n;

    if (WR_UNLIKELY(credit > k->credit_max)) {
        (void)wr_sub_rlx(&reserved, credit - k->credit_max / 2);
        credit = k->credit_max / 2;
    }
    wr_store_rlx(&k->credit, credit);
}

struct wr_chunk *wr_chunk_new(enum wr_chunk_class cls)
{
    struct wr_chunk_cache *k = wr_local_get()->chunks;
    struct wr_chunk *c;

    if (wr_mem_fault_hit() || !spend(k, class_size[cls])) {
        return NULL;
    }
    c = k->first[cls];
    if (WR_LIKELY(c != NULL)) {
        k->first[cls] = c->_next;
        k->cnt[cls]--;
    } else {
        c = malloc(sizeof(*c) + class_size[cls]);
        if (c == NULL) {
            refund(k, class_size[cls]);
            return NULL;
        }
        c->cap = class_size[cls];
        c->cls = (uint8_t)cls;
    }
    wr_obj_init(c, WR_CHUNK_MAGIC);
    c->refs = 1;
    c->fill = 0;
    return c;
}

void wr_chunk_free(struct wr_chunk *c)
{
    struct wr_chunk_cache *k = wr_local_get()->chunks;
    uint8_t cls = c->cls;

    wr_obj_kill(c);
    refund(k, c->cap);
    if (WR_UNLIKELY(k->cnt[cls] >= k->max[cls])) {
        free(c);
        return;
    }
    c->_next = k->first[cls];
    k->first[cls] = c;
    k->cnt[cls]++;
}

enum wr_chunk_class wr_chunk_class_for(size_t n)
{
    if (n <= class_size[WR_CHUNK_4K]) {
        return WR_CHUNK_4K;
    }
    if (n <= class_size[WR_CHUNK_16K]) {
        return WR_CHUNK_16K;
    }
    return n <= class_size[WR_CHUNK_64K] ? WR_CHUNK_64K : WR_CHUNK_256K;
}

size_t wr_chunk_class_size(enum wr_chunk_class cls)
{
    return class_size[cls];
}

void wr_chunk_set_limit(uint64_t bytes)
{
    struct wr_chunk_cache *k = wr_local_get()->chunks;

    /* What this thread took ahead under the old limit goes back. */
    (void)wr_sub_rlx(&reserved, wr_load_rlx(&k->credit));
    wr_store_rlx(&k->credit, 0);
    k->credit_max = credit_max_of(bytes);
    wr_store_rlx(&limit, bytes);
}

uint64_t wr_chunk_in_use(void)
{
    uint64_t n;

    (void)pthread_mutex_lock(&all_lock);
    n = wr_load_rlx(&reserved);
    for (const struct wr_chunk_cache *k = all; k != NULL; k = k->next) {
        uint64_t credit = wr_load_rlx(&k->credit);

        n -= WR_MIN(n, credit); /* the counters are read at different moments */
    }
    (void)pthread_mutex_unlock(&all_lock);
    return n;
}
