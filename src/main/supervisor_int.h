/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor_int.h: the supervisor's state, shared by supervisor.c (start, signals, end),
 * child.c (worker processes and their channels), reload.c (a new configuration) and upgrade.c
 * (another binary).
 */
#ifndef WR_MAIN_SUPERVISOR_INT_H
#define WR_MAIN_SUPERVISOR_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "event/grave.h"
#include "event/poll.h"
#include "event/signals.h"
#include "event/task.h"
#include "event/thread.h"
#include "event/timer.h"
#include "main/autopsy.h"
#include "main/chan.h"
#include "main/ctl.h"
#include "main/load.h"
#include "main/pidfile.h"
#include "main/resources.h"

#define WR_BACKOFF_MAX_MS 30000

/* What a worker process is for. */
enum wr_child_role {
    WR_CHILD_SERVES, /* s->child: takes connections */
    WR_CHILD_COMES,  /* s->next: the second worker of a configuration the first cannot take on */
    WR_CHILD_LEAVES  /* its requests end, then it does */
};

struct wr_child {
    struct wr_list node; /* of s->children */
    struct wr_grave grave;
    struct wr_supervisor *s;
    enum wr_child_role role;
    pid_t pid; /* -1: a thread of this process (master_process off) */
    int chan;  /* -1: closed */
    struct wr_io io;
    struct wr_task task;
    struct wr_thread thread;
    struct wr_autopsy autopsy;
    int thread_chan;
    int thread_code;
    bool is_ready; /* it served a generation */
    uint64_t started_ms;
    unsigned open_asks; /* questions that it has not answered */
};

/* The other binary of an upgrade (upgrade.c). */
struct wr_upgrade {
    pid_t child;    /* of the new one that we started; 0: none */
    pid_t parent;   /* we were started by this old one; 0: not so */
    bool is_parked; /* our pid file has the name with .oldbin */
};

struct wr_supervisor {
    const struct wr_start *start;
    struct wr_resources res;
    struct wr_loaded now;    /* the last good one: what a new worker gets */
    struct wr_loaded coming; /* sent to a worker, which has not answered; gen NULL: none */
    uint64_t gen_no;
    bool is_solo; /* master_process off */
    bool want_reload;
    bool is_ending;  /* QUIT or TERM: a worker that ends is not restarted */
    bool is_winched; /* WINCH: there is no worker until HUP */
    bool is_served;  /* a worker was ready once: the start has succeeded */
    int exit_code;
    struct wr_list children;
    struct wr_child *child;  /* that serves; NULL: none at the moment */
    struct wr_child *next;   /* that shall; NULL: none */
    struct wr_child *leaver; /* a reload ends when it takes no more connections; NULL: none */
    struct wr_upgrade upgrade;
    struct wr_pidfile pidfile;
    struct wr_ctl ctl;
    struct wr_signals signals;
    struct wr_task signal_task;
    struct wr_timer restart;
    struct wr_task restart_task;
    bool is_leaver_told;
    struct wr_timer leave; /* while there is a leaver: how long it is waited for */
    struct wr_task leave_task;
    struct wr_timer hourly; /* the secret of tickets ages also where there is none to be read */
    struct wr_task hourly_task;
    uint32_t backoff_ms; /* until the next worker, should this one die soon; 0: at once */
    int daemon_fd;       /* a byte to the process that the user started: it may end. -1: none */
};

/* child.c */
/* A new worker with everything of l. NULL: said. */
struct wr_child *wr_child_start(struct wr_supervisor *s, const struct wr_loaded *l,
                                enum wr_child_role role) WR_MUST_CHECK;
/* Sends descriptors that the worker has not, and the bundle. */
enum wr_status wr_child_send_load(struct wr_child *c, const struct wr_loaded *l,
                                  bool all) WR_MUST_CHECK;
/* To end: by its channel, by a signal when it does not listen. */
void wr_child_tell_end(struct wr_child *c, enum wr_chan_type how);
/* All that live: put the same log under the same number. */
void wr_children_reopen(struct wr_supervisor *s);
/* SIGCHLD: collects what ended. */
void wr_children_reap(struct wr_supervisor *s);
/* Its channel is closed; it is waited for. */
void wr_child_end(struct wr_child *c);
/* For a process of ours: nothing but the three standard descriptors and `keep` stays open. */
void wr_child_close_others(int keep_to);

/* reload.c: HUP; news of a worker. */
void wr_supervisor_reload(struct wr_supervisor *s);
void wr_supervisor_note_ready(struct wr_child *c, uint64_t no);
void wr_supervisor_note_failed(struct wr_child *c, uint64_t no, struct wr_str why);
/* The first worker takes no connections any more, from now on. */
void wr_supervisor_tell_leaver(struct wr_supervisor *s);
/* It takes no connection any more. */
void wr_supervisor_note_closed(struct wr_child *c);
/* The reload that had to wait for another one to end, if there is one. */
void wr_supervisor_reload_again(struct wr_supervisor *s);
/* The configuration that was coming does not come. */
void wr_supervisor_give_up(struct wr_supervisor *s);

/* supervisor.c */
void wr_supervisor_note_first_ready(struct wr_supervisor *s);
/* c is about to be freed. */
void wr_supervisor_note_exit(struct wr_child *c);
/* If there is no worker, and should be one: it starts, now or after a while. */
void wr_supervisor_ensure_worker(struct wr_supervisor *s);

/* upgrade.c */
/* At the start, before resources are made: takes over what an old binary hands on. WR_ESYS: said.
 */
enum wr_status wr_upgrade_inherit(struct wr_supervisor *s) WR_MUST_CHECK;
/* USR2. */
void wr_upgrade_start(struct wr_supervisor *s);
/* A child that is no worker has ended. */
void wr_upgrade_note_exit(struct wr_supervisor *s, pid_t pid, int status);
/* Socket files belong to the other binary, too: they are not removed. */
bool wr_upgrade_is_shared(const struct wr_supervisor *s);

#endif
