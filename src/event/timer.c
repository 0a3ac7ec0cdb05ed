/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.c: the timer wheel. Eight levels of 64 slots; a slot of level n spans 64^n ms. An entry is
 * at the level of the highest 6-bit digit in which its time differs from the wheel's:
 *
 *      level 0   |now+1 .. end of this 64 ms|      each slot one tick
 *      level 1   |the other 64 ms spans of these 4 s|
 *      ...
 *
 * so everything at a level comes before everything at the next one, the slot is always ahead of
 * the wheel's own digit, and the first slot in use is the next to be looked at. When the wheel
 * comes to a slot of a higher level its entries are sorted in again, lower. A bit says that a slot
 * may be in use; it is cleared when the slot is found empty.
 *
 * Lazy: arming to a later time and disarming only write at_ms; the entry is moved or dropped when
 * the wheel comes to its slot. `armed` counts timers with a time, so that a wheel that holds only
 * disarmed entries wakes nobody. Times that are past go to the list `due`.
 *
 * Owner thread only.
 */
#include "event/timer.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/local.h"
#include "base/mem.h"
#include "event/event_int.h"
#include "event/loop.h"

#define WHEEL_BITS     6u
#define WHEEL_SLOTS    (1u << WHEEL_BITS)
#define WHEEL_LEVELS   8u
/* Beyond 8900 years everything is as far. */
#define WHEEL_SPAN_MS  (1ull << (WHEEL_BITS * WHEEL_LEVELS - 1))
/* An exact next time is sought among this many entries of one slot. */
#define WHEEL_LOOK_MAX 16u

struct wr_wheel {
    uint64_t now_ms; /* entries due up to here were handled */
    uint64_t armed;
    uint64_t used[WHEEL_LEVELS];
    struct wr_list due;
    struct wr_list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

struct slot_at {
    unsigned level, slot;
    uint64_t start_ms, end_ms;
};

struct wr_wheel *wr_wheel_new(uint64_t now_ms)
{
    struct wr_wheel *w = wr_run_zalloc(sizeof(*w));

    if (!w) {
        return NULL;
    }
    w->now_ms = now_ms;
    wr_list_init(&w->due);
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        for (unsigned s = 0; s < WHEEL_SLOTS; s++) {
            wr_list_init(&w->slots[l][s]);
        }
    }
    return w;
}

void wr_wheel_free(struct wr_wheel *w)
{
    wr_mem_free(w);
}

static struct wr_wheel *get_wheel(void)
{
    struct wr_loop *l = wr_local_get()->loop;

    return l->wheel;
}

/* t is in no slot. */
static void insert_entry(struct wr_wheel *w, struct wr_timer *t)
{
    uint64_t at = t->at_ms;
    uint64_t diff;
    unsigned level, slot;

    if (at <= w->now_ms) {
        t->_slot_ms = w->now_ms == 0 ? 1 : w->now_ms;
        wr_list_push(&w->due, &t->_node);
        return;
    }
    if (at - w->now_ms > WHEEL_SPAN_MS) {
        at = w->now_ms + WHEEL_SPAN_MS;
    }
    diff = at ^ w->now_ms;
    level = (63u - (unsigned)__builtin_clzll(diff)) / WHEEL_BITS;
    if (level >= WHEEL_LEVELS) {
        /* The carry of a far time left the wheel; the last slot is early enough. */
        level = WHEEL_LEVELS - 1;
        slot = WHEEL_SLOTS - 1;
    } else {
        slot = (unsigned)(at >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
    }
    t->_slot_ms = at;
    wr_list_push(&w->slots[level][slot], &t->_node);
    w->used[level] |= 1ull << slot;
}

static void remove_entry(struct wr_timer *t)
{
    wr_list_remove(&t->_node);
    t->_slot_ms = 0;
}

void wr_timer_init(struct wr_timer *t, struct wr_task *task)
{
    wr_list_init(&t->_node);
    t->at_ms = 0;
    t->_slot_ms = 0;
    t->task = task;
}

void wr_timer_arm(struct wr_timer *t, uint64_t at_ms)
{
    struct wr_wheel *w = get_wheel();

    WR_ASSERT(at_ms != 0);
    if (t->at_ms == 0) {
        w->armed++;
    }
    t->at_ms = at_ms;
    if (t->_slot_ms != 0) {
        if (at_ms >= t->_slot_ms) {
            return;
        }
        remove_entry(t);
    }
    insert_entry(w, t);
}

void wr_timer_disarm(struct wr_timer *t)
{
    if (t->at_ms != 0) {
        t->at_ms = 0;
        get_wheel()->armed--;
    }
}

void wr_timer_leave(struct wr_timer *t)
{
    wr_timer_disarm(t);
    if (t->_slot_ms != 0) {
        remove_entry(t);
    }
}

/* The first slot that is not empty. Drops disarmed entries at the front of slots on the way. */
static bool find_slot(struct wr_wheel *w, struct slot_at *ret)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        while (w->used[level] != 0) {
            unsigned slot = (unsigned)__builtin_ctzll(w->used[level]);
            unsigned shift = level * WHEEL_BITS;
            struct wr_list *head = &w->slots[level][slot];

            while (!wr_list_is_empty(head)) {
                struct wr_timer *t = wr_container_of(head->next, struct wr_timer, _node);

                if (t->at_ms != 0) {
                    break;
                }
                remove_entry(t);
            }
            if (wr_list_is_empty(head)) {
                w->used[level] &= ~(1ull << slot);
                continue;
            }
            ret->level = level;
            ret->slot = slot;
            ret->start_ms = (w->now_ms >> (shift + WHEEL_BITS) << (shift + WHEEL_BITS)) |
                            ((uint64_t)slot << shift);
            ret->end_ms = ret->start_ms + (1ull << shift);
            return true;
        }
    }
    return false;
}

static void fire_entry(struct wr_wheel *w, struct wr_timer *t)
{
    t->at_ms = 0;
    w->armed--;
    wr_task_wake_opt(t->task);
}

/* Empties a list: fires what is due at the wheel's time, sorts the rest in again. */
static void handle_entries(struct wr_wheel *w, struct wr_list *from)
{
    struct wr_list list;
    struct wr_list *n;

    wr_list_init(&list);
    wr_list_splice(&list, from);
    while ((n = wr_list_pop(&list)) != NULL) {
        struct wr_timer *t = wr_container_of(n, struct wr_timer, _node);

        t->_slot_ms = 0;
        if (t->at_ms == 0) {
            continue;
        }
        if (t->at_ms <= w->now_ms) {
            fire_entry(w, t);
        } else {
            insert_entry(w, t);
        }
    }
}

void wr_wheel_advance(struct wr_wheel *w, uint64_t now_ms)
{
    struct slot_at s;

    handle_entries(w, &w->due);
    while (find_slot(w, &s) && s.start_ms <= now_ms) {
        w->now_ms = s.start_ms;
        w->used[s.level] &= ~(1ull << s.slot);
        handle_entries(w, &w->slots[s.level][s.slot]);
    }
    if (now_ms > w->now_ms) {
        w->now_ms = now_ms;
    }
}

uint64_t wr_wheel_next(struct wr_wheel *w)
{
    struct slot_at s;
    struct wr_list *n;
    uint64_t at;
    unsigned looked = 0;

    if (w->armed == 0) {
        return 0;
    }
    WR_LIST_FOREACH (n, &w->due) {
        if (wr_container_of(n, struct wr_timer, _node)->at_ms != 0) {
            return w->now_ms == 0 ? 1 : w->now_ms;
        }
    }
    if (!find_slot(w, &s)) {
        return 0;
    }
    /* An entry may have been armed later; what lies in another slot starts at end_ms at the
     * earliest. */
    at = s.end_ms;
    WR_LIST_FOREACH (n, &w->slots[s.level][s.slot]) {
        struct wr_timer *t = wr_container_of(n, struct wr_timer, _node);

        if (++looked > WHEEL_LOOK_MAX) {
            return s.start_ms;
        }
        if (t->at_ms != 0 && t->at_ms < at) {
            at = t->at_ms;
        }
    }
    return at;
}
