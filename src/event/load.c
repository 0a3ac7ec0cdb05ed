/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c: see load.h. The clock of the thread's processor time is the kernel's; it costs a system
 * call, so it is read once a second while the thread runs, and not at all while it sleeps.
 */
#include "event/load.h"

#include <time.h>

#include "base/compiler.h"

#define NOTE_MS   1000u
#define WINDOW_MS 5000u
#define LEAST_MS  300u /* a shorter time says little */

static uint64_t cpu_us(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == -1) {
        return 0;
    }
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void wr_load_note(struct wr_load *l, uint64_t now_ms)
{
    uint32_t i = l->cnt++ % WR_LOAD_NOTES;

    l->at[i].at_ms = now_ms;
    l->at[i].cpu_us = cpu_us();
    l->next_ms = now_ms + NOTE_MS;
}

uint32_t wr_load_permille(const struct wr_load *l, uint64_t now_ms)
{
    uint32_t first = l->cnt > WR_LOAD_NOTES ? l->cnt - WR_LOAD_NOTES : 0, best = first;
    uint64_t span_ms, used;

    if (l->cnt == 0) {
        return 0;
    }
    /* The oldest of the last five seconds; all older: the newest of those. */
    for (uint32_t i = first; i < l->cnt; i++) {
        uint64_t age = now_ms - l->at[i % WR_LOAD_NOTES].at_ms;

        if (age < LEAST_MS) {
            break;
        }
        best = i;
        if (age <= WINDOW_MS) {
            break;
        }
    }
    best %= WR_LOAD_NOTES;
    span_ms = now_ms - l->at[best].at_ms;
    used = cpu_us() - l->at[best].cpu_us;
    return span_ms == 0 ? 0 : (uint32_t)WR_MIN(used / span_ms, (uint64_t)1000);
}
