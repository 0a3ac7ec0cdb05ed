/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kpipe.h: kernel pipes for splice: a big body that nobody looks at goes from socket to socket and
 * is never copied to us. Read once and in order; a slice of a struct wr_pipe may stand for bytes in
 * one (WR_SLICE_KPIPE). Whoever moves bytes adds to `in` or `out`.
 *
 * Pipes that were used up are kept by their thread for a few seconds. All pipes of the process hold
 * at most 48 MB: the system refuses an unprivileged user more than 64 MB
 * (fs.pipe-user-pages-soft), and then gives pipes of 8 KB. Whoever gets none takes chunks. A pipe
 * has 1 MB, the most that such a user may give one (fs.pipe-max-size): a call a MB each way; when
 * many are in use those that come have less, so that more get one. Owner thread only.
 */
#ifndef WR_IO_KPIPE_H
#define WR_IO_KPIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "event/task.h"

struct wr_kpipe {
    uint32_t magic;
    uint32_t refs;
    int rd, wr;       /* non-blocking, close-on-exec */
    uint32_t cap;     /* bytes */
    uint64_t in, out; /* bytes that went in and out, ever */
    struct wr_task *_waiter;
    uint64_t _wake_fill;
    struct wr_list _node;
    uint64_t _since_ms; /* in the cache */
};

struct wr_kpipe_conf {
    uint32_t cap;       /* bytes of a pipe */
    uint32_t small_cap; /* of one that is made when a quarter of all_max is in use; 0: as cap */
    uint32_t all_max;   /* bytes of all pipes of the process */
    uint32_t body_min;  /* a body with less to come is not worth a pipe */
    uint32_t piece_min; /* nor are pieces that are smaller than this on average */
};

const struct wr_kpipe_conf *wr_kpipe_conf(void);
/* For tests; copied. Before another thread runs, while no pipe is in use. */
void wr_kpipe_set_conf(const struct wr_kpipe_conf *conf);
/* At most a quarter of the descriptors that the process may have. Before threads start. */
void wr_kpipe_limit_fds(uint64_t fds);

/* An empty pipe with one reference; NULL: none is to be had now. */
struct wr_kpipe *wr_kpipe_new(void) WR_MUST_CHECK;
struct wr_kpipe *wr_kpipe_ref(struct wr_kpipe *k);
/* Accepts NULL. At 0 it is kept when it is empty, else closed. */
void wr_kpipe_unref(struct wr_kpipe *k);
/* n bytes that are in it, all of them, or WR_ESYS. */
enum wr_status wr_kpipe_read(struct wr_kpipe *k, void *buf, size_t n) WR_MUST_CHECK;
/* n bytes were read from it: for who reads by himself. */
void wr_kpipe_took(struct wr_kpipe *k, uint64_t n);
/* The one who fills it is woken, once, when something is read and no more than `fill` bytes are
 * left. */
void wr_kpipe_await(struct wr_kpipe *k, struct wr_task *waiter, uint64_t fill);
/* He fills it no more: if he is waiting he is woken now. */
void wr_kpipe_end_await(struct wr_kpipe *k);
/* Most of what the process may have is in use: who holds one for somebody slow gives it back. */
bool wr_kpipe_is_scarce(void);
/* Closes what this thread keeps; nobody uses one of its pipes any more. */
void wr_kpipe_thread_end(void);

static inline uint64_t wr_kpipe_fill(const struct wr_kpipe *k)
{
    return k->in - k->out;
}

#endif
