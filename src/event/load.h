/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h: how busy a thread is: its share of a processor over the last seconds. Nothing is counted
 * per event: at most once a second a turn of the loop notes how much processor time the thread has
 * used so far; who wants to know compares with an older note. Owner thread only.
 */
#ifndef WR_EVENT_LOAD_H
#define WR_EVENT_LOAD_H

#include <stdint.h>

#define WR_LOAD_NOTES 8

struct wr_load {
    uint64_t next_ms; /* the next note is due */
    uint32_t cnt;     /* notes ever made; the next goes to at[cnt % WR_LOAD_NOTES] */

    struct {
        uint64_t at_ms, cpu_us;
    } at[WR_LOAD_NOTES];
};

void wr_load_note(struct wr_load *l, uint64_t now_ms);

/* Once a turn. */
static inline void wr_load_turn(struct wr_load *l, uint64_t now_ms)
{
    if (now_ms >= l->next_ms) {
        wr_load_note(l, now_ms);
    }
}

/*
 * Processor time in thousandths of the time that went by since five seconds ago (or longer, where
 * the thread slept meanwhile).
 */
uint32_t wr_load_permille(const struct wr_load *l, uint64_t now_ms);

#endif
