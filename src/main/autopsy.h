/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autopsy.h: what a worker did when it died. Its flight recorders (base/recorder.h) lie in memory
 * that the supervisor made and keeps, so that they outlive it, also when it was killed and could
 * say nothing.
 *
 *   supervisor: open -> (fork, exec) -> worker: attach -> ... dies -> supervisor: report, close
 *
 * The worker may have less rights than the supervisor, so nothing that it wrote is believed: the
 * memory cannot shrink, numbers are clamped, pointers are looked at only where they lead to a
 * machine's table or to constant text of our own program.
 */
#ifndef WR_MAIN_AUTOPSY_H
#define WR_MAIN_AUTOPSY_H

#include <stddef.h>
#include <stdint.h>

struct wr_recorder_area;

#define WR_AUTOPSY_FD 4 /* where a worker process finds it, beside its channel */

struct wr_autopsy {
    int fd; /* -1: closed, or there is none */
    struct wr_recorder_area *_area;
    size_t _size;
    uint64_t _oom_group, _oom_machine; /* kills by the kernel before the start */
};

/* --- supervisor's thread --- */

/* For a worker with so many threads. When it fails it says so, and nothing will be known. */
void wr_autopsy_open(struct wr_autopsy *a, unsigned threads);
/* The worker has it: the descriptor is not needed any more. */
void wr_autopsy_close_fd(struct wr_autopsy *a);
/* To the log: what the dead worker `pid` did. */
void wr_autopsy_report(const struct wr_autopsy *a, int pid, int signo);
/* Idempotent; of a zeroed one, too. */
void wr_autopsy_close(struct wr_autopsy *a);

/* --- worker, before it has threads --- */

/* Recorders lie there from now on; handlers for faults are installed. Takes fd (which may be
 * something else). */
void wr_autopsy_attach(int fd);

#endif
