/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat.c: the list of all threads' counters and the sum over it. A set is in the list from the
 * making of its wr_local to its end; then its values go to `ended`.
 */
#include "base/stat.h"

#include "base/local_int.h"
#include "base/mem.h"

static const struct {
    const char *name, *help;
} texts[WR_CNT_COUNT] = {

#define X(name, help) {#name, help},
#include "base/tbl/counters.h"
#undef X
};

/* Not a ranked mutex: it is taken while a wr_local, which ranks need, is being made. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wr_stats *all;         /* under all_lock */
static uint64_t ended[WR_CNT_COUNT]; /* under all_lock */

void wr_stat_local_init(struct wr_local *l)
{
    struct wr_stats *s = wr_mem_alloc(sizeof(*s));

    (void)pthread_mutex_lock(&all_lock); /* a static default mutex cannot fail */
    s->_next = all;
    all = s;
    (void)pthread_mutex_unlock(&all_lock);
    l->stats = s;
}

void wr_stat_local_fini(struct wr_local *l)
{
    struct wr_stats *s = l->stats;
    struct wr_stats **pp;

    (void)pthread_mutex_lock(&all_lock);
    for (pp = &all; *pp != s; pp = &(*pp)->_next) {
    }
    *pp = s->_next;
    for (size_t i = 0; i < WR_CNT_COUNT; i++) {
        ended[i] += wr_load_rlx(&s->v[i]);
    }
    (void)pthread_mutex_unlock(&all_lock);
    wr_mem_free(s);
    l->stats = NULL;
}

uint64_t wr_stat_sum(enum wr_counter c)
{
    uint64_t n;

    (void)pthread_mutex_lock(&all_lock);
    n = ended[c];
    for (const struct wr_stats *s = all; s != NULL; s = s->_next) {
        n += wr_load_rlx(&s->v[c]); /* a counter: any recent value will do */
    }
    (void)pthread_mutex_unlock(&all_lock);
    return n;
}

const char *wr_stat_name(enum wr_counter c)
{
    return texts[c].name;
}

const char *wr_stat_help(enum wr_counter c)
{
    return texts[c].help;
}
