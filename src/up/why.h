/* SPDX-License-Identifier: Apache-2.0 */
/*
 * why.h: why a request came to the peers it came to, and what became of it there: $upstream_why,
 * and the same words in the error log's lines of 502 and 504 (docs/why.md has the grammar). The
 * facts of a try are copied where they are known anyway; the list of peers that were passed over
 * is made only when a text of the configuration uses the variable, or for such a line. Thread of
 * the request.
 */
#ifndef WR_UP_WHY_H
#define WR_UP_WHY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct wr_req;
struct wr_up;

enum wr_up_chosen {
    WR_CHOSEN_METHOD, /* the group's balancing method */
    WR_CHOSEN_ONLY,   /* the group has one peer */
    WR_CHOSEN_SAME,   /* the one before, once more: its idle connection was gone */
    WR_CHOSEN_BOUND,  /* `ntlm`: its connection belongs to the client's */
    WR_CHOSEN_NONE,   /* none could be */
};

/* Part of struct wr_up_try. */
struct wr_up_why {
    uint8_t chosen; /* enum wr_up_chosen */
    uint8_t cause;  /* enum wr_cause: how it ended; NONE: it has not */
    uint8_t action; /* enum wr_retry_action, with is_decided */
    uint8_t stop;   /* enum wr_retry_stop, with GIVE_UP */
    bool is_decided;
    bool is_backup, is_probe, is_reused, is_stale;
    int err;
    uint32_t idle_ms;      /* age of an idle connection that was used */
    uint32_t limit_ms;     /* of the directive that ended it, with a cause of time */
    const char *method;    /* name of the balancing method; NULL with NONE */
    struct wr_str skipped; /* " -10.0.0.1:80:down ..."; empty: none, or not asked for */
};

/* A try begins: who was chosen by what. u->try is new. */
void wr_up_why_begin(struct wr_up *u, enum wr_up_chosen how);
/* The attempt ended: u->attempt has its result. */
void wr_up_why_end(struct wr_up *u);
/* Words for the next line of the error log, which is one of a 502 or 504; taken back by clear. */
void wr_up_why_set_log(struct wr_up *u);
void wr_up_why_clear_log(struct wr_up *u);
/* The text of all tries, at most max bytes, in the request's arena; empty without memory. */
struct wr_str wr_up_why_text(struct wr_req *r, size_t max);

#endif
