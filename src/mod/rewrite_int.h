/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite_int.h: what the files of the rewrite module share. Each block (server, location, if) has
 * the list of its directives, in the order of the file, as operations:
 *
 *   server  { set -> if -> return }          run in SERVER_REWRITE
 *                    \-- if { rewrite }      its own list, run when the condition holds
 *   location { rewrite -> break }            run in REWRITE, whenever this location was found
 *
 * Lists are not inherited. Operations are immutable, memory of the generation.
 */
#ifndef WR_MOD_REWRITE_INT_H
#define WR_MOD_REWRITE_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/codec.h"
#include "conf/dirs.h"
#include "conf/template.h"
#include "http/module.h"

/* What follows an operation. */
enum wr_rewrite_next {
    WR_REWRITE_NEXT,  /* the next one */
    WR_REWRITE_BREAK, /* no further one; this location goes on */
    WR_REWRITE_LAST,  /* no further one; a location is looked for */
    WR_REWRITE_DONE   /* the request is answered, or failed */
};

struct wr_rewrite_op;
struct wr_rewrite_run;

typedef enum wr_rewrite_next wr_rewrite_op_fn(struct wr_rewrite_run *run,
                                              const struct wr_rewrite_op *op);

/* First member of an operation. */
struct wr_rewrite_op {
    wr_rewrite_op_fn *run;
    const struct wr_rewrite_op *next;
};

struct wr_rewrite_ops {
    struct wr_rewrite_op *first, *last;
};

/* Of a block. */
struct wr_rewrite_loc {
    struct wr_conf_head head;
    struct wr_rewrite_ops ops;
    bool log;        /* rewrite_log */
    bool warn_unset; /* uninitialized_variable_warn */
};

struct wr_rewrite_run {
    struct wr_req *r;
    const struct wr_rewrite_loc *conf; /* of the block whose operations run */
    bool is_moved;                     /* the URI changed, and no break came behind */
    bool is_rewritten;                 /* a `rewrite` of this run has matched */
};

extern struct wr_conf_module wr_rewrite_conf;

/* Room for an operation at the end of the list of conf's block; NULL when memory is out (said). */
void *wr_rewrite_add(struct wr_conf *cf, void *conf, wr_rewrite_op_fn *run, size_t size);
/* Runs the list of run->conf. */
enum wr_rewrite_next wr_rewrite_run_ops(struct wr_rewrite_run *run);
/* 500; what an operation returns then. */
enum wr_rewrite_next wr_rewrite_fail(struct wr_rewrite_run *run);
/* Sends the client to this URL, or answers 400 when it would break the head. */
enum wr_rewrite_next wr_rewrite_redirect(struct wr_rewrite_run *run, unsigned status,
                                         struct wr_str url);

/* The text behind b's; captures in it escaped when `how` is not NULL. */
enum wr_status wr_rewrite_append(struct wr_req *r, const struct wr_template *t,
                                 const enum wr_escape *how, struct wr_strbuf *b) WR_MUST_CHECK;
/* Did the client escape anything in its path? Then what looks like a separator may be data. */
bool wr_rewrite_is_escaped(const struct wr_req *r);
/*
 * A text of `set` or `if`: its captures are escaped when the client escaped anything and no
 * `rewrite` has matched before, as in nginx, so that they can go on into URLs.
 */
enum wr_status wr_rewrite_eval(struct wr_rewrite_run *run, const struct wr_template *t,
                               struct wr_str *ret) WR_MUST_CHECK;

struct wr_regex;
/*
 * The regex on s, a text that lives as long as the request; a line in the log with rewrite_log.
 * Captures of before are gone when it does not match. WR_EOF: it does not. Others: answer 500.
 */
enum wr_status wr_rewrite_match(struct wr_rewrite_run *run, const struct wr_regex *re,
                                struct wr_str s) WR_MUST_CHECK;

/* rewrite_uri.c, rewrite_if.c */
wr_dir_set_fn wr_rewrite_set_rewrite;
wr_dir_set_fn wr_rewrite_set_if;

#endif
