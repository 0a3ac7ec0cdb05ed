/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.c: ranked mutexes. wr_local keeps what this thread holds, lowest rank first; since ranks
 * must rise, the last one is the highest.
 */
#include "base/sync.h"

#include "base/assert.h"
#include "base/local.h"

void wr_mutex_init(struct wr_mutex *m, enum wr_lock_rank rank)
{
    int rc = pthread_mutex_init(&m->_m, NULL);

    WR_ASSERT(rc == 0);
    m->rank = rank;
}

void wr_mutex_fini(struct wr_mutex *m)
{
    int rc = pthread_mutex_destroy(&m->_m);

    WR_ASSERT(rc == 0); /* EBUSY: somebody holds it */
}

void wr_mutex_lock(struct wr_mutex *m)
{
    struct wr_local *l = wr_local_get();
    int rc;

    WR_ASSERT(l->_held_cnt < WR_LOCAL_HELD);
    WR_ASSERT(l->_held_cnt == 0 || l->_held[l->_held_cnt - 1]->rank < m->rank);
    rc = pthread_mutex_lock(&m->_m);
    WR_ASSERT(rc == 0);
    l->_held[l->_held_cnt++] = m;
}

void wr_mutex_unlock(struct wr_mutex *m)
{
    struct wr_local *l = wr_local_get();
    uint32_t i = l->_held_cnt;
    int rc;

    while (i > 0 && l->_held[i - 1] != m) {
        i--;
    }
    WR_ASSERT(i > 0); /* this thread holds it */
    for (; i < l->_held_cnt; i++) {
        l->_held[i - 1] = l->_held[i];
    }
    l->_held_cnt--;
    rc = pthread_mutex_unlock(&m->_m);
    WR_ASSERT(rc == 0);
}

void wr_mutex_assert_none(void)
{
    WR_ASSERT(wr_local_get()->_held_cnt == 0);
}
