/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.h: the supervisor's control socket, beside the pid file (ctl_addr.h), mode 0600, for root and
 * the supervisor's own user. A client sends one line (question.h) and reads the answer to its end:
 *
 *   status\n           ok\n{"version": ...                 JSON, one line
 *   trace request 17\n ok\nrequest ...                     text
 *   reload\n           wait\nok\n                          once the new configuration is served
 *                      wait\nfailed\nweir: [emerg] ...     what a start would have said
 *
 * The first line is "ok" or "failed"; "wait" before it: it may take longer than the usual time. All
 * runs on the supervisor's loop and waits for nobody: workers are asked by chan.h, each with a
 * deadline.
 */
#ifndef WR_MAIN_CTL_H
#define WR_MAIN_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/strbuf.h"
#include "event/task.h"
#include "main/chan.h"
#include "main/ctl_addr.h"
#include "net/listen.h"

#define WR_CTL_CONNS_MAX  8u
#define WR_CTL_ANSWER_MAX ((size_t)64 << 20)

struct wr_child;
struct wr_supervisor;

struct wr_ctl {
    struct wr_supervisor *s;
    bool is_open;
    char path[WR_CTL_PATH_MAX]; /* while open */
    dev_t dev;                  /* of the file: is it still ours? */
    ino_t ino;
    struct wr_listener listener;
    struct wr_task task;
    struct wr_list conns;
    unsigned conn_cnt;
    uint64_t ask_no;
    struct wr_strbuf said; /* during a reload that somebody waits for */
    bool is_hearing;
    uint64_t started_ms, reload_ms; /* reload_ms: end of the last one; 0: none */
    bool was_reload_ok;
};

void wr_ctl_init(struct wr_ctl *c, struct wr_supervisor *s);
/* The pid file is there. A failure is said, and changes nothing else. On the loop's thread. */
void wr_ctl_open(struct wr_ctl *c);
/* The name of the pid file has changed: so does ours. */
void wr_ctl_follow(struct wr_ctl *c);
/* Removes the file if it is still ours. Idempotent. Before the loop ends. */
void wr_ctl_close(struct wr_ctl *c);

/* The configuration is read anew; it is served, or will not be. */
void wr_ctl_reload_begins(struct wr_ctl *c);
void wr_ctl_reload_ends(struct wr_ctl *c, bool is_ok);
/* No reload will come any more; the one that runs ends without a result. */
void wr_ctl_refuse_reloads(struct wr_ctl *c, const char *why);
/* Those that wait for the end of another one will not come. */
void wr_ctl_refuse_queued(struct wr_ctl *c, const char *why);
/* ANSWER of a worker; takes msg->fd. */
void wr_ctl_note_answer(struct wr_ctl *c, struct wr_child *child, const struct wr_chan_msg *msg);
/* It will not answer any more. */
void wr_ctl_forget(struct wr_ctl *c, const struct wr_child *child);

#endif
