/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_loss.c: see log_int.h. A slot is one word, so that it is found, changed and emptied by a
 * compare-and-swap:
 *
 *   63           32 31  30         23 22          0
 *   | key          |cut| errno       | count       |     0: the slot is free
 *
 * A key uses one of WAYS slots that follow from it. Two threads that add a new key at once may
 * take two slots; then two lines tell the two parts.
 */
#include "base/log_int.h"

#include "base/compiler.h"
#include "base/sync.h"

#define SLOTS     64u
#define WAYS      4u
#define CNT_MAX   0x7fffffu
#define ERR_MAX   0xff
#define ERR_SHIFT 23
#define CUT       (UINT64_C(1) << 31)

static wr_atomic_u64 slots[SLOTS];
static wr_atomic_u32 used; /* slots that are not free */

static wr_atomic_u64 *ways_of(uint32_t key)
{
    return &slots[(uint64_t)key * 0x9e3779b97f4a7c15ull >> 32 & (SLOTS - WAYS)];
}

static bool has_key(uint64_t word, uint32_t key)
{
    return word != 0 && word >> 32 == key;
}

bool wr_log_loss_any(void)
{
    return wr_load_rlx(&used) != 0;
}

static uint64_t add_to(uint64_t word, uint32_t key, uint32_t cnt, int err)
{
    uint64_t sum = (word & CNT_MAX) + cnt;
    uint64_t why = err > 0 && err <= ERR_MAX ? (uint64_t)err : word >> ERR_SHIFT & ERR_MAX;

    return (uint64_t)key << 32 | (word & CUT) | why << ERR_SHIFT | WR_MIN(sum, CNT_MAX);
}

/* The slot that has the key, else a free one, else NULL. */
static wr_atomic_u64 *find_slot(uint32_t key, uint64_t *ret_word)
{
    wr_atomic_u64 *first = ways_of(key), *best = NULL;

    for (uint32_t i = 0; i < WAYS; i++) {
        uint64_t w = wr_load_acq(&first[i]);

        if (has_key(w, key)) {
            *ret_word = w;
            return &first[i];
        }
        best = w == 0 && best == NULL ? &first[i] : best;
    }
    *ret_word = 0;
    return best;
}

/* Puts cnt, err and flags to the key's word. */
static void change(uint32_t key, uint32_t cnt, int err, uint64_t flags)
{
    uint64_t old;
    wr_atomic_u64 *at = find_slot(key, &old);

    /* Another thread's change makes us look again; there are few turns as it did get on. */
    while (at != NULL && !wr_cas_acqrel(at, &old, add_to(old, key, cnt, err) | flags)) {
        at = find_slot(key, &old);
    }
    if (at != NULL && old == 0) {
        (void)wr_add_rlx(&used, 1);
    }
}

void wr_log_loss_add(uint32_t key, uint32_t cnt, int err)
{
    if (cnt > 0) {
        change(key, cnt, err, 0);
    }
}

void wr_log_loss_cut(uint32_t key)
{
    change(key, 0, 0, CUT);
}

bool wr_log_loss_take_cut(uint32_t key)
{
    uint64_t old;
    wr_atomic_u64 *at = find_slot(key, &old);

    while (at != NULL && has_key(old, key) && (old & CUT) != 0) {
        if (wr_cas_acqrel(at, &old, old & ~CUT)) {
            return true;
        }
    }
    return false;
}

bool wr_log_loss_take(uint32_t key, uint32_t *ret_cnt, int *ret_err)
{
    uint64_t old;
    wr_atomic_u64 *at = find_slot(key, &old);

    while (at != NULL && has_key(old, key)) {
        if (wr_cas_acqrel(at, &old, 0)) {
            (void)wr_sub_rlx(&used, 1);
            *ret_cnt = (uint32_t)(old & CNT_MAX);
            *ret_err = (int)(old >> ERR_SHIFT & ERR_MAX);
            return *ret_cnt > 0;
        }
    }
    return false;
}
