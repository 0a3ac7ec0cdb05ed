/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.h: works of io/work.h that belong to a request: what would hold up a thread, such as a
 * costly hash, done by a pool of threads that step aside for those that serve. A handler makes a
 * work, starts it and returns WR_PHASE_AGAIN; when it is done the request's task is woken.
 *
 * A work is heap memory that belongs to the request: it is freed by wr_req_work_free, or when the
 * request closes. If it is under way then, it ends without a reader and frees itself at home. Owner
 * thread, but for `run`.
 */
#ifndef WR_HTTP_WORK_H
#define WR_HTTP_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "io/work.h"

struct wr_conf;
struct wr_req;
struct wr_req_work;
struct wr_work_pool;

/* On a thread of the pool; touches only the work and what lives as long as the generation. */
typedef void wr_req_work_fn(struct wr_req_work *w);

/* First member of the caller's struct. */
struct wr_req_work {
    struct wr_work _work;
    struct wr_list _node; /* of the request */
    struct wr_req *_req;
    wr_req_work_fn *_run;
    wr_req_work_fn *_wipe;
    bool _is_started;
};

struct wr_work_pool_conf {
    const char *name;   /* of the pool in the process */
    unsigned threads;   /* at most 64; 0: half of the CPUs, at most 16 */
    unsigned queue_max; /* works that wait */
};

/*
 * The process's pool of this name, which the generation that is built uses from now on; made when
 * there is none (its threads start with the first work). *ret NULL in a dry run. WR_ENOMEM. Control
 * thread.
 */
enum wr_status wr_work_pool_get(struct wr_conf *cf, const struct wr_work_pool_conf *pc,
                                struct wr_work_pool **ret) WR_MUST_CHECK;
/*
 * A zeroed work of `size` bytes. wipe (may be NULL) is called before it is freed, on the owner
 * thread. NULL: no memory.
 */
void *wr_req_work_new(struct wr_req *r, size_t size, wr_req_work_fn *run,
                      wr_req_work_fn *wipe) WR_MUST_CHECK;
/* Once. WR_ELIMIT: too many wait. WR_ESYS: there are no threads. The work stays with the request.
 */
enum wr_status wr_req_work_start(struct wr_work_pool *p, struct wr_req_work *w) WR_MUST_CHECK;
bool wr_req_work_is_done(const struct wr_req_work *w);
/* Also of one that is under way. Accepts NULL. */
void wr_req_work_free(struct wr_req_work *w);
/* All works of a request that closes. */
void wr_req_work_free_all(struct wr_list *works);

#endif
