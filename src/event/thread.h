/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.h: a thread with its own wr_local and, for loop threads, its own loop and mailbox.
 */
#ifndef WR_EVENT_THREAD_H
#define WR_EVENT_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

struct wr_mailbox;

#define WR_THREAD_ASIDE 5 /* a third of what the others get where all are busy */

typedef void wr_thread_fn(void *data);

struct wr_thread {
    uint32_t no;
    pthread_t _id;
    bool _is_started;
    const char *name; /* at most 15 bytes, shown by ps -L */
    wr_thread_fn *fn;
    void *data;
};

/* Starts fn(data) with a wr_local whose thread_no is t->no; all signals blocked but those of
 * fault.h. */
enum wr_status wr_thread_start(struct wr_thread *t, uint32_t no, const char *name, wr_thread_fn *fn,
                               void *data) WR_MUST_CHECK;
void wr_thread_join(struct wr_thread *t);
/* The same on the calling thread, which has taken its own wr_local off: returns when fn does. The
 * thread keeps its name. */
void wr_thread_here(struct wr_thread *t, uint32_t no, wr_thread_fn *fn, void *data);
/* Processor time that it has used, from any thread, while it was not joined; 0: unknown. */
uint64_t wr_thread_cpu_us(const struct wr_thread *t);
/* Binds the calling thread to one CPU. */
enum wr_status wr_thread_pin(unsigned cpu) WR_MUST_CHECK;
/*
 * For work that must not hold up requests: the calling thread becomes a batch one with a long time
 * slice, and its nice value rises by WR_THREAD_ASIDE. For good, since without privileges there is
 * no way back; threads that it starts inherit it.
 */
void wr_thread_step_aside(void);
/* min(CPUs of the affinity mask, cgroup cpu.max rounded up), at least 1. */
unsigned wr_thread_cpus(void);

#endif
