/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kpipe.c: kernel pipes, see kpipe.h. Making one costs four system calls, so that a thread keeps a
 * few which were used up, the last used first, and closes those that lay for some seconds. What all
 * threads have is counted in `all_bytes`.
 *
 * A pipe with bytes in it cannot be emptied cheaply and is closed. Owner thread only.
 */
#include "io/kpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/obj.h"
#include "base/slab.h"
#include "base/sync.h"
#include "event/loop.h"
#include "event/task.h"
#include "event/timer.h"

#define KPIPE_MAGIC    0x6b706970u
#define KPIPE_KEPT_MAX 16u   /* of a thread */
#define KPIPE_KEPT_MS  5000u /* unused for so long it is closed */

#define FDS_SHARE     4u
#define FDS_OF_A_PIPE 2u

/* Written before threads start. */
static struct wr_kpipe_conf conf = {
    .cap = 1024u * 1024,
    .small_cap = 256u * 1024,
    .all_max = 48u * 1024 * 1024,
    .body_min = 64u * 1024,
    .piece_min = 4096,
};

/* Why a thread-local: a pipe is its thread's, whatever request needs it. */
struct kept {
    struct wr_list list; /* the last used first */
    uint32_t cnt;
    bool is_ready;
    struct wr_task task;
    struct wr_timer timer;
};

static _Thread_local struct kept kept;
static wr_atomic_u32 all_bytes;

const struct wr_kpipe_conf *wr_kpipe_conf(void)
{
    return &conf;
}

void wr_kpipe_set_conf(const struct wr_kpipe_conf *c)
{
    WR_ASSERT(wr_load_rlx(&all_bytes) == 0);
    conf = *c;
}

void wr_kpipe_limit_fds(uint64_t fds)
{
    uint64_t least = conf.small_cap != 0 ? conf.small_cap : conf.cap;
    uint64_t max = fds / FDS_SHARE / FDS_OF_A_PIPE * least;

    conf.all_max = (uint32_t)WR_MIN((uint64_t)conf.all_max, max);
}

/* ---- making and closing --------------------------------------------------------------------- */

static bool charge(uint32_t n)
{
    if (wr_add_rlx(&all_bytes, n) + n <= conf.all_max) {
        return true;
    }
    (void)wr_sub_rlx(&all_bytes, n);
    return false;
}

static void close_kpipe(struct wr_kpipe *k)
{
    (void)close(k->rd);
    (void)close(k->wr);
    (void)wr_sub_rlx(&all_bytes, k->cap);
    wr_obj_kill(k);
    wr_slab_free(k, sizeof(*k));
}

static struct wr_kpipe *make_sized(uint32_t cap)
{
    struct wr_kpipe *k;
    int fds[2];

    if (!charge(cap)) {
        return NULL;
    }
    k = wr_slab_alloc(sizeof(*k));
    if (!k || pipe2(fds, O_NONBLOCK | O_CLOEXEC) == -1) {
        goto fail;
    }
    if (fcntl(fds[1], F_SETPIPE_SZ, (int)cap) < (int)cap) {
        /* This user may have no more: one of the default size, or less, is not worth it. */
        (void)close(fds[0]);
        (void)close(fds[1]);
        goto fail;
    }
    wr_obj_init(k, KPIPE_MAGIC);
    wr_list_init(&k->_node);
    k->rd = fds[0];
    k->wr = fds[1];
    k->cap = cap;
    return k;

fail:
    if (k) {
        wr_slab_free(k, sizeof(*k));
    }
    (void)wr_sub_rlx(&all_bytes, cap);
    return NULL;
}

static struct wr_kpipe *make_kpipe(void)
{
    struct wr_kpipe *k = NULL;

    if (conf.small_cap == 0 || wr_load_rlx(&all_bytes) < conf.all_max / 4) {
        k = make_sized(conf.cap);
    }
    return k || conf.small_cap == 0 ? k : make_sized(conf.small_cap);
}

/* ---- what a thread keeps -------------------------------------------------------------------- */

static struct wr_kpipe *oldest(void)
{
    return wr_container_of(kept.list.prev, struct wr_kpipe, _node);
}

static void forget(struct wr_kpipe *k)
{
    wr_list_remove(&k->_node);
    kept.cnt--;
}

static void close_old(struct wr_task *t)
{
    uint64_t now = wr_now_ms();

    (void)t;
    while (kept.cnt > 0 && now - oldest()->_since_ms >= KPIPE_KEPT_MS) {
        struct wr_kpipe *k = oldest();

        forget(k);
        close_kpipe(k);
    }
    if (kept.cnt > 0) {
        wr_timer_arm(&kept.timer, oldest()->_since_ms + KPIPE_KEPT_MS);
    }
}

static void keep(struct wr_kpipe *k)
{
    if (!kept.is_ready) {
        wr_list_init(&kept.list);
        wr_task_init(&kept.task, close_old, "kernel pipes");
        wr_timer_init(&kept.timer, &kept.task);
        kept.is_ready = true;
    }
    k->_since_ms = wr_now_ms();
    wr_list_push_front(&kept.list, &k->_node);
    kept.cnt++;
    if (!wr_timer_is_armed(&kept.timer)) {
        wr_timer_arm(&kept.timer, k->_since_ms + KPIPE_KEPT_MS);
    }
}

void wr_kpipe_thread_end(void)
{
    if (!kept.is_ready) {
        return;
    }
    while (kept.cnt > 0) {
        struct wr_kpipe *k = oldest();

        forget(k);
        close_kpipe(k);
    }
    wr_timer_fini(&kept.timer);
    wr_task_cancel(&kept.task);
    kept.is_ready = false;
}

/* ---- for users ------------------------------------------------------------------------------ */

struct wr_kpipe *wr_kpipe_new(void)
{
    struct wr_kpipe *k;

    if (kept.cnt > 0) {
        k = wr_container_of(kept.list.next, struct wr_kpipe, _node);
        forget(k);
    } else {
        k = make_kpipe();
    }
    if (k) {
        k->refs = 1;
    }
    return k;
}

struct wr_kpipe *wr_kpipe_ref(struct wr_kpipe *k)
{
    wr_obj_check(k, KPIPE_MAGIC);
    k->refs++;
    return k;
}

void wr_kpipe_unref(struct wr_kpipe *k)
{
    if (!k) {
        return;
    }
    wr_obj_check(k, KPIPE_MAGIC);
    if (--k->refs > 0) {
        return;
    }
    if (wr_kpipe_fill(k) > 0 || kept.cnt >= KPIPE_KEPT_MAX || !wr_loop_get() ||
        wr_kpipe_is_scarce()) {
        close_kpipe(k);
        return;
    }
    keep(k);
}

void wr_kpipe_took(struct wr_kpipe *k, uint64_t n)
{
    k->out += n;
    if (k->_waiter && wr_kpipe_fill(k) <= k->_wake_fill) {
        wr_task_wake(wr_take(&k->_waiter));
    }
}

void wr_kpipe_await(struct wr_kpipe *k, struct wr_task *waiter, uint64_t fill)
{
    wr_obj_check(k, KPIPE_MAGIC);
    k->_waiter = waiter;
    k->_wake_fill = fill;
}

void wr_kpipe_end_await(struct wr_kpipe *k)
{
    if (k->_waiter) {
        wr_task_wake(wr_take(&k->_waiter));
    }
}

enum wr_status wr_kpipe_read(struct wr_kpipe *k, void *buf, size_t n)
{
    char *at = buf;

    wr_obj_check(k, KPIPE_MAGIC);
    WR_ASSERT(n <= wr_kpipe_fill(k));
    while (n > 0) {
        ssize_t got = read(k->rd, at, n);

        if (got == -1 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return WR_ESYS;
        }
        wr_kpipe_took(k, (uint64_t)got);
        at += got;
        n -= (size_t)got;
    }
    return WR_OK;
}

bool wr_kpipe_is_scarce(void)
{
    return wr_load_rlx(&all_bytes) > conf.all_max / 4 * 3;
}
