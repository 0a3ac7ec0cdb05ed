/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor_int.h: the supervisor's state, shared by supervisor.c (start, signals, end) and
 * child.c (the worker process and its channel).
 */
#ifndef WR_MAIN_SUPERVISOR_INT_H
#define WR_MAIN_SUPERVISOR_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "event/poll.h"
#include "event/signals.h"
#include "event/task.h"
#include "event/thread.h"
#include "event/timer.h"
#include "main/chan.h"
#include "main/load.h"
#include "main/pidfile.h"
#include "main/resources.h"

#define WR_BACKOFF_MAX_MS 30000

struct wr_child {
    pid_t pid; /* 0: none; -1: a thread of this process (master_process off) */
    int chan;  /* -1: closed */
    struct wr_io io;
    struct wr_task task;
    struct wr_thread thread;
    int thread_chan;
    int thread_code;
    bool is_ready; /* it served a generation */
    uint64_t started_ms;
};

struct wr_supervisor {
    const struct wr_start *start;
    struct wr_resources res;
    struct wr_loaded now;    /* the last good one: what a new worker gets */
    struct wr_loaded coming; /* sent to the worker, which has not answered; gen NULL: none */
    uint64_t gen_no;
    bool is_solo; /* master_process off */
    bool want_reload;
    bool is_ending; /* QUIT or TERM: a worker that ends is not restarted */
    bool is_served; /* a worker was ready once: the start has succeeded */
    int exit_code;
    struct wr_child child;
    struct wr_pidfile pidfile;
    struct wr_signals signals;
    struct wr_task signal_task;
    struct wr_timer restart;
    struct wr_task restart_task;
    uint32_t backoff_ms;
    int daemon_fd; /* a byte to the process that the user started: it may end. -1: none */
};

/* child.c */
void wr_child_init(struct wr_supervisor *s);
/* A new worker with everything of s->now. WR_ESYS: said. */
enum wr_status wr_child_start(struct wr_supervisor *s) WR_MUST_CHECK;
/* Sends descriptors that the worker has not, and the bundle. */
enum wr_status wr_child_send_load(struct wr_supervisor *s, const struct wr_loaded *l,
                                  bool all) WR_MUST_CHECK;
enum wr_status wr_child_send(struct wr_supervisor *s, enum wr_chan_type type) WR_MUST_CHECK;
void wr_child_send_reopen(struct wr_supervisor *s);
/* SIGCHLD: collects the worker if it ended. */
void wr_child_reap(struct wr_supervisor *s);
/* Its channel is closed; it is waited for. */
void wr_child_end(struct wr_supervisor *s);

/* supervisor.c: news of the worker. */
void wr_supervisor_note_ready(struct wr_supervisor *s, uint64_t no);
void wr_supervisor_note_failed(struct wr_supervisor *s, uint64_t no, struct wr_str why);
void wr_supervisor_note_exit(struct wr_supervisor *s);

#endif
