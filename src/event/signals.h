/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.h: signals as facts of a loop (signalfd). The set must be blocked in all threads before
 * the first of them starts. The task is woken; take() gives them one by one.
 */
#ifndef WR_EVENT_SIGNALS_H
#define WR_EVENT_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/status.h"
#include "event/poll.h"

struct wr_signals {
    struct wr_io io;
};

/* Blocks `set` in the calling thread; for main() before any thread. */
void wr_signals_block(const sigset_t *set);
enum wr_status wr_signals_open(struct wr_signals *s, const sigset_t *set,
                               struct wr_task *task) WR_MUST_CHECK;
void wr_signals_close(struct wr_signals *s);
/* False when none is left. ret_pid: sender. */
bool wr_signals_take(struct wr_signals *s, int *ret_signo, int *ret_pid);

#endif
