/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.h: body stages. A header filter that wants to see or change the body of a response puts a
 * stage behind r->out_pipe; the first one to be put there is nearest to the producer:
 *
 *   content -> r->out_pipe as it was -> stage 1 -> pipe -> stage 2 -> pipe -> client's codec
 *              \___________________ one task for all of them ___________/
 *
 * A stage is a table over bytes (struct wr_stage_ops): take, flush, finish, close. It never sees
 * ends, marks or tasks; stage.c keeps them. Whoever changes bytes calls wr_stage_changes_body, too.
 * Request's thread.
 */
#ifndef WR_HTTP_STAGE_H
#define WR_HTTP_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

/*
 * What a stage may rely on, and what the others may:
 *  - Back-pressure: a stage gives bytes only as wr_stage_room says; when there is none it takes
 *    less, and is asked again once the client has taken some. Each pipe holds at most its marks, so
 *    what a response holds is bounded by the sum of the marks and what the stages keep themselves.
 *  - Flush: a streamed response (r->is_streamed) is flushed whenever all that came was taken, so
 *    that an event leaves when it comes. Others are flushed when nothing came for WR_STAGE_IDLE_MS.
 *  - The end: finish is called once all was taken and the producer said that it is whole; only
 *    then does the client see an end. When the producer fails, what was taken is flushed, and the
 *    failure passes on: a truncated body stays truncated. An abort drops all.
 *  - File slices are read in pieces of at most 64 KB, with `aio threads` by the pool if the disk
 *    would make this thread wait. A body with a stage is not spliced.
 *  - One run takes at most WR_STAGE_RUN_MAX bytes, then other tasks have their turn.
 *  - close is called exactly once, at the latest when the request closes; what a stage needs of the
 *    configuration is there until then.
 */
#define WR_STAGE_IDLE_MS 50u
#define WR_STAGE_RUN_MAX 65536u
#define WR_STAGE_HIGH    65536u /* mark of a stage's output where it has no directive for that */

struct wr_pipe;
struct wr_req;
struct wr_stage;
struct wr_task;
struct wr_work;

/*
 * Other results than WR_OK and WR_AGAIN break the response off. After one of them only close is
 * called.
 */
struct wr_stage_ops {
    const char *name;
    /*
     * For stages that put something of other origin (a subrequest) into the output: called before
     * each take, flush and finish, and when wr_stage_task was woken. WR_AGAIN: they are not called,
     * it waits for that, or for room. May be NULL.
     */
    enum wr_status (*pull)(struct wr_stage *g);
    /*
     * Takes bytes of p[0..n), n > 0, and writes down how many. Less than n: there is no room, or it
     * wants to be asked again. May be NULL: all passes as it is, uncopied.
     */
    enum wr_status (*take)(struct wr_stage *g, const char *p, size_t n, size_t *ret_used);
    /*
     * All that was taken and can go is given. WR_AGAIN: there was no room for all, it is called
     * again. NULL: it keeps nothing back.
     */
    enum wr_status (*flush)(struct wr_stage *g);
    /* Nothing more comes, the body is whole: the rest is given. WR_AGAIN as above. May be NULL. */
    enum wr_status (*finish)(struct wr_stage *g);
    /* Its memory but that of the request's arena, and its subrequests. May be NULL. */
    void (*close)(struct wr_stage *g);
};

/* First member of a stage's own struct, which lies in the request's arena. */
struct wr_stage {
    const struct wr_stage_ops *ops;
    struct wr_req *req;
    uint64_t taken, given; /* bytes */
    struct wr_pipe *_in, *_out;
    struct wr_stage *_next;
    struct wr_chunk *_piece; /* of a file slice; NULL: none */
    uint32_t _piece_off;
    struct wr_work *_reading; /* of the next piece, by a thread of a pool; NULL: none */
    bool _is_held;            /* it took bytes since the last flush */
    bool _is_closed;          /* close was called */
};

/*
 * For header filters, with r->out_pipe set: the stage (zeroed, in the request's arena) reads what
 * comes from it, and r->out_pipe becomes the stage's output, with this high mark. WR_ENOMEM:
 * nothing has changed, close is not called.
 */
enum wr_status wr_stage_add(struct wr_req *r, struct wr_stage *g, const struct wr_stage_ops *ops,
                            size_t high) WR_MUST_CHECK;
/*
 * The head of a response whose body a stage changes: no length, no ranges, and a strong entity tag
 * becomes a weak one (RFC 9110 8.8.1).
 */
enum wr_status wr_stage_changes_body(struct wr_req *r) WR_MUST_CHECK;
/* Has this response a body that a stage could change: there is one, or GET would have one? */
bool wr_stage_has_body(const struct wr_req *r);

/* --- for take, flush and finish --- */

/* At most `want` bytes of room to be written in place; NULL: there is none now (or no memory: see
 * wr_stage_is_full). */
char *wr_stage_room(struct wr_stage *g, size_t want, size_t *ret_len);
/* The first n bytes of the room are given; 0 gives it back. */
void wr_stage_commit(struct wr_stage *g, size_t n);
/* Room for how many bytes is there? 0: the output is full. */
size_t wr_stage_free(struct wr_stage *g);
/* A copy of n bytes, beyond the room if need be: for short texts, once the room is not 0. */
enum wr_status wr_stage_give(struct wr_stage *g, const void *p, size_t n) WR_MUST_CHECK;

/* Slices of p go to the output as far as there is room, uncopied. WR_AGAIN: some are left. */
enum wr_status wr_stage_pass(struct wr_stage *g, struct wr_pipe *p) WR_MUST_CHECK;
/* The task that runs the stages, to be woken by what pull waits for. */
struct wr_task *wr_stage_task(const struct wr_stage *g);

/* --- of the request (http/req.c, and who reports of pipes) --- */

/* The response begins: what is there already goes through the stages now, without a task. */
void wr_stages_start(struct wr_req *r);
/* The pipe that feeds the first stage; NULL: there is none. */
const struct wr_pipe *wr_stages_source(const struct wr_req *r);
/* Closes all, leaves their pipes. Idempotent. */
void wr_stages_close(struct wr_req *r);
/* The same, before the response begins: it becomes another one, which may have stages of its own.
 */
void wr_stages_drop(struct wr_req *r);

#endif
