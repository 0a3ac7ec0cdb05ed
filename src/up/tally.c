/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.c: cells of threads, see tally.h.
 *
 *   dirs[thread_no] -> dir: pages[no / 256] -> page: 256 cells
 *
 * A thread that gets no memory for a dir or a page notes NOWHERE in its place, so that what it
 * counts elsewhere stays there. Numbers are bits of `used`, under a lock. Nothing is freed: all
 * hangs on `dirs`, and the next object with the number uses it again.
 */
#include "up/tally.h"

#include <stddef.h>

#include "base/local.h"
#include "base/mem.h"
#include "up/group.h"

#define PAGE_CELLS 256u
#define PAGES_MAX  1024u
#define NO_MAX     (PAGE_CELLS * PAGES_MAX)

struct page {
    struct wr_tally_cell at[PAGE_CELLS];
};

struct dir {
    wr_atomic_ptr pages[PAGES_MAX]; /* struct page; each set once by the thread */
};

static char nowhere; /* its address only */
#define NOWHERE ((void *)&nowhere)

static wr_atomic_ptr dirs[WR_THREADS_MAX]; /* struct dir; each set once by its thread */
static wr_atomic_u32 dirs_cnt;             /* those behind are not set */

static struct wr_mutex lock = WR_MUTEX_INIT(WR_RANK_LEAF);
static uint64_t used[NO_MAX / 64]; /* under lock; bit 0 is never a number */
static uint32_t first_free;        /* under lock; words of `used` before it are full */

/* ---- cells ---------------------------------------------------------------------------------- */

/* The cell of that thread; NULL: it never counted there. */
static struct wr_tally_cell *find_cell(uint32_t thread_no, uint32_t no)
{
    struct dir *d =
        wr_load_seq(&dirs[thread_no]); /* as wr_tally_active: who saw no cell may wait */
    struct page *p;

    if (d == NULL || (void *)d == NOWHERE) {
        return NULL;
    }
    p = wr_load_seq(&d->pages[no / PAGE_CELLS]);
    return p == NULL || (void *)p == NOWHERE ? NULL : &p->at[no % PAGE_CELLS];
}

/* What *at points to; if that is nothing it is made, by the thread that is its only writer. */
static void *make_own(wr_atomic_ptr *at, size_t size)
{
    void *p = wr_load_rlx(at);

    if (p == NULL) {
        p = wr_run_zalloc(size);
        p = p != NULL ? p : NOWHERE;
        wr_store_seq(at, p);
    }
    return p;
}

/* The first time that this thread comes to the page, or there was no memory for it. */
static WR_COLD struct wr_tally_cell *make_cell(uint32_t thread_no, uint32_t no)
{
    uint32_t cnt = wr_load_rlx(&dirs_cnt);
    struct dir *d = make_own(&dirs[thread_no], sizeof(*d));
    struct page *p;

    while (cnt <= thread_no && !wr_cas_seq(&dirs_cnt, &cnt, thread_no + 1)) {
    }
    if ((void *)d == NOWHERE) {
        return NULL;
    }
    p = make_own(&d->pages[no / PAGE_CELLS], sizeof(*p));
    return (void *)p == NOWHERE ? NULL : &p->at[no % PAGE_CELLS];
}

struct wr_tally_cell *wr_tally_own(uint32_t no)
{
    uint32_t thread_no = wr_local_get()->thread_no;
    struct wr_tally_cell *c;

    if (no == 0 || thread_no >= WR_THREADS_MAX) {
        return NULL;
    }
    c = find_cell(thread_no, no);
    return WR_LIKELY(c != NULL) ? c : make_cell(thread_no, no);
}

/* ---- numbers -------------------------------------------------------------------------------- */

uint32_t wr_tally_take(void)
{
    uint32_t no = 0, bit;

    wr_mutex_lock(&lock);
    used[0] |= 1;
    while (first_free < NO_MAX / 64 && used[first_free] == UINT64_MAX) {
        first_free++;
    }
    if (first_free < NO_MAX / 64) {
        bit = (uint32_t)__builtin_ctzll(~used[first_free]);
        used[first_free] |= UINT64_C(1) << bit;
        no = first_free * 64 + bit;
    }
    wr_mutex_unlock(&lock);
    return no;
}

void wr_tally_drop(uint32_t no)
{
    uint32_t i, cnt = wr_load_acq(&dirs_cnt);

    if (no == 0) {
        return;
    }
    for (i = 0; i < cnt; i++) {
        struct wr_tally_cell *c = find_cell(i, no);

        if (c != NULL) {
            /* Nobody counts any more, and who does next gets the number by the lock. */
            wr_store_rlx(&c->active, 0);
            wr_store_rlx(&c->requests, 0);
        }
    }
    wr_mutex_lock(&lock);
    used[no / 64] &= ~(UINT64_C(1) << (no % 64));
    first_free = WR_MIN(first_free, no / 64);
    wr_mutex_unlock(&lock);
}

/* ---- sums ----------------------------------------------------------------------------------- */

uint32_t wr_tally_active(uint32_t no)
{
    uint32_t i, sum = 0, cnt = no == 0 ? 0 : wr_load_seq(&dirs_cnt);

    for (i = 0; i < cnt; i++) {
        struct wr_tally_cell *c = find_cell(i, no);

        sum += c == NULL ? 0 : wr_load_seq(&c->active);
    }
    return sum;
}

uint64_t wr_tally_requests(uint32_t no)
{
    uint32_t i, cnt = no == 0 ? 0 : wr_load_acq(&dirs_cnt);
    uint64_t sum = 0;

    for (i = 0; i < cnt; i++) {
        struct wr_tally_cell *c = find_cell(i, no);

        sum += c == NULL ? 0 : wr_load_rlx(&c->requests); /* any recent value will do */
    }
    return sum;
}
