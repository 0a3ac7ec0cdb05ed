/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_int.h: the control thread's state, shared by worker.c (life, messages), worker_gen.c
 * (building and publishing generations) and worker_thread.c (the threads that serve).
 */
#ifndef WR_MAIN_WORKER_INT_H
#define WR_MAIN_WORKER_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "conf/gen.h"
#include "event/guest.h"
#include "event/mailbox.h"
#include "event/poll.h"
#include "event/signals.h"
#include "event/task.h"
#include "event/thread.h"
#include "event/timer.h"
#include "main/chan.h"
#include "main/files.h"
#include "main/main_conf.h"

#define WR_QUIT_GRACE_MS                                                                           \
    1000 /* in which a late request on an idle connection is still served (U14.9) */

struct wr_worker;

/* A thread that serves. _is_*: its own; the rest is the control thread's. */
struct wr_worker_thread {
    struct wr_thread thread;
    struct wr_worker *worker;
    unsigned no;
    struct wr_mailbox *mailbox; /* set before its `up` mail is posted */
    bool is_up, is_down;
    bool has_closed; /* it was told to end, and has no listener any more */
    struct wr_mail up, down, leave;
    struct wr_task _task; /* looks whether all connections are gone */
    struct wr_timer _timer;
    bool _is_ending, _is_told;
    struct wr_guest *guest; /* the control thread's loop, where this is the process's only thread */
    bool has_works; /* at its end: with a pool, and too slow to wait for; its loop lives on */
};

#define WR_GENS_MAX 16 /* live ones; the oldest gives way */

/* A generation that was published and lives. */
struct wr_gen_mark {
    uint64_t no;       /* 0: this place is free */
    uint64_t since_ms; /* built at */
    struct wr_gen *gen;
    struct wr_worker *worker;
    struct wr_mail gone; /* from the thread that had the last reference: the control thread frees */
};

struct wr_worker {
    int chan;
    struct wr_io io; /* chan, NOTIFY */
    struct wr_task task;
    struct wr_signals signals;
    struct wr_task signal_task;
    bool has_signals;         /* a process of its own */
    struct wr_timer shutdown; /* worker_shutdown_timeout */
    struct wr_task shutdown_task;
    struct wr_timer linger; /* a generation is served, removed listeners are still open */
    struct wr_task linger_task;
    struct wr_timer sweep;
    struct wr_task sweep_task;
    unsigned sweep_cnt; /* since the last reload */
    struct wr_mailbox *mailbox;
    struct wr_files logs, listeners;
    struct wr_fixtures fixtures;
    struct wr_worker_thread *threads;
    unsigned thread_cnt, up_cnt, down_cnt;
    bool serves_here;      /* one thread, in a process of its own: it runs on the first thread */
    struct wr_gen *gen;    /* published; one reference; NULL before the first */
    struct wr_gen *coming; /* being published */
    unsigned adopted_cnt;  /* threads that answered for `coming` */
    unsigned removed_cnt;  /* threads that have not closed yet what w->gen removed */
    enum wr_status adopt_status;
    struct wr_gen_mark gens[WR_GENS_MAX + 2];
    struct wr_list asks; /* worker_ask.c: questions that are not answered yet */
    bool is_quitting, is_stopping, has_failed;
    bool has_told_closed;
};

/* worker_gen.c: builds from a bundle, and publishes once all threads are up. Failures are told to
 * the supervisor. */
void wr_worker_load(struct wr_worker *w, uint64_t no, int bundle_fd);
void wr_worker_publish(struct wr_worker *w);
/* A thread answered. */
void wr_worker_note_adopted(struct wr_worker *w, enum wr_status st);
/* Nobody can be on the way any more to an address that was removed; a thread has closed its own. */
void wr_worker_close_removed(struct wr_worker *w);
void wr_worker_note_removed(struct wr_worker *w, uint64_t no);
/* Closes what no generation uses any more; frees fixtures that nothing names. */
void wr_worker_sweep(struct wr_worker *w);
void wr_worker_tell(struct wr_worker *w, enum wr_chan_type type, uint64_t no, struct wr_str text);

/*
 * worker_thread.c. One thread in a process of its own is not started: the control loop is told to
 * stop, and wr_worker_serve_here serves on the calling thread until the end. The control loop is
 * its guest (event/guest.h) meanwhile.
 */
enum wr_status wr_worker_start_threads(struct wr_worker *w,
                                       const struct wr_main_conf *mc) WR_MUST_CHECK;
void wr_worker_serve_here(struct wr_worker *w);
/* A mail to each: serve g; close what generation no removed (no 0: no answer; value: how many
 * answer); requests of generation no and older end; end. */
void wr_worker_post_adopt(struct wr_worker *w, struct wr_gen *g);
unsigned wr_worker_post_close_removed(struct wr_worker *w, uint64_t no);
void wr_worker_post_end_old(struct wr_worker *w, uint64_t no);

enum wr_worker_end {
    WR_WORKER_QUIT,
    WR_WORKER_STOP
};

void wr_worker_post_end(struct wr_worker *w, enum wr_worker_end how);

/* worker_ask.c: a question of the supervisor (question.h); it is answered now or later. */
void wr_worker_ask(struct wr_worker *w, uint64_t no, struct wr_str text);
/* None will be answered. */
void wr_worker_end_asks(struct wr_worker *w);

/* worker.c: the control thread's own descriptors; a thread is up; has closed its listeners, or the
 * control thread its own; is down. */
void wr_worker_close_listeners(struct wr_worker *w);
void wr_worker_note_up(struct wr_worker *w);
void wr_worker_note_closed(struct wr_worker *w);
void wr_worker_note_down(struct wr_worker *w);

#endif
