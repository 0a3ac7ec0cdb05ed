/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_target.c: see log_target.h.
 *
 *   torn    NULL          the file ends at a line end, as far as we know
 *           &torn_by_all  it ends in half a line whose rest is lost: write a line end first
 *           a wr_log_out  (streams) it ends in half a line whose rest is at the head of that one:
 *                         the others wait
 *
 * Two threads that find a disk full in the same moment may both be right about different things;
 * what can come of it is an empty line, never a line joined to another.
 */
#include "observe/log_target.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "base/sync.h"
#include "io/append.h"

#define BUCKETS 512u

struct wr_log_target {
    struct wr_log_target *next; /* of the bucket; under targets.lock */
    uint32_t refcnt;            /* under targets.lock */
    wr_atomic_ptr torn;
    wr_atomic_u64 lost;    /* lines, since the last message */
    wr_atomic_u64 said_at; /* monotonic ms; 0: never */
    struct wr_mutex gzip;  /* one writer of members at a time */
    struct wr_str path;    /* behind the struct */
};

/* Buckets by the hash of the path: a configuration may have a log a server. */
static struct {
    struct wr_mutex lock;
    struct wr_log_target *at[BUCKETS];
} targets = {.lock = WR_MUTEX_INIT(WR_RANK_LOG)};

static char torn_by_all;

static struct wr_log_target **bucket_of(struct wr_str path)
{
    return &targets.at[wr_hash_sip(path.ptr, path.len) % BUCKETS];
}

/* Lock held. */
static struct wr_log_target *find_target(struct wr_str path)
{
    struct wr_log_target *t = *bucket_of(path);

    while (t && !wr_str_eq(t->path, path)) {
        t = t->next;
    }
    return t;
}

static struct wr_log_target *make_target(struct wr_str path)
{
    struct wr_log_target *t = wr_run_zalloc(sizeof(*t) + path.len);
    struct wr_log_target **bucket = bucket_of(path);

    if (t) {
        char *copy = (char *)(t + 1);

        memcpy(copy, path.ptr, path.len);
        t->path = wr_str(copy, path.len);
        wr_mutex_init(&t->gzip, WR_RANK_LEAF);
        t->next = *bucket;
        *bucket = t;
    }
    return t;
}

static void remove_target(struct wr_log_target *t)
{
    struct wr_log_target **p = bucket_of(t->path);

    while (*p != t) {
        p = &(*p)->next;
    }
    *p = t->next;
}

struct wr_log_target *wr_log_target_get(struct wr_str path)
{
    struct wr_log_target *t;

    wr_mutex_lock(&targets.lock);
    t = find_target(path);
    if (!t) {
        t = make_target(path);
    }
    if (t) {
        t->refcnt++;
    }
    wr_mutex_unlock(&targets.lock);
    return t;
}

static void say_rest(struct wr_log_target *t)
{
    uint64_t lost = wr_swap_acqrel(&t->lost, 0);

    if (lost > 0) {
        wr_log(NULL, WR_LOG_ALERT, "%llu lines of \"%.*s\" were lost", (unsigned long long)lost,
               WR_STR_ARG(t->path));
    }
}

void wr_log_target_unref(struct wr_log_target *t)
{
    bool is_last;

    if (!t) {
        return;
    }
    wr_mutex_lock(&targets.lock);
    is_last = --t->refcnt == 0;
    if (is_last) {
        remove_target(t);
    }
    wr_mutex_unlock(&targets.lock);
    if (is_last) {
        say_rest(t);
        wr_mutex_fini(&t->gzip);
        wr_mem_free(t);
    }
}

void wr_log_target_reopened(struct wr_str path)
{
    struct wr_log_target *t;

    wr_mutex_lock(&targets.lock);
    t = find_target(path);
    if (t) {
        void *torn = &torn_by_all;

        /* Spurious failure of the weak form leaves an empty line in the new file, nothing worse. */
        (void)wr_cas_acqrel(&t->torn, &torn, NULL);
    }
    wr_mutex_unlock(&targets.lock);
}

/* ---- losses -------------------------------------------------------------------------------------
 */

/* Whether this thread is the one to say it now. */
static bool is_time_to_say(struct wr_log_target *t)
{
    uint64_t now = wr_clock_mono_us() / 1000, at = wr_load_rlx(&t->said_at);

    return (at == 0 || now - at >= WR_LOG_SAY_MS) && wr_cas_acqrel(&t->said_at, &at, now);
}

void wr_log_target_lost(struct wr_log_target *t, uint64_t lines, int err)
{
    wr_stat_add(WR_CNT_LOG_DROPPED, lines);
    if (err == 0) {
        return; /* nothing to tell: it was said when the file could not be opened */
    }
    (void)wr_add_rlx(&t->lost, lines);
    if (is_time_to_say(t)) {
        uint64_t lost = wr_swap_acqrel(&t->lost, 0);

        wr_log_errno(NULL, WR_LOG_ALERT, err, "%llu lines lost: write() to \"%.*s\" failed",
                     (unsigned long long)lost, WR_STR_ARG(t->path));
    }
}

/* A write went well. Lines that were lost meanwhile are told in their turn. */
static void note_written(struct wr_log_target *t)
{
    if (wr_load_rlx(&t->lost) != 0 && is_time_to_say(t)) {
        say_rest(t);
    }
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t cnt = 0;
    const char *end = p + n, *at;

    for (at = memchr(p, '\n', n); at; at = memchr(at + 1, '\n', (size_t)(end - at - 1))) {
        cnt++;
    }
    return cnt;
}

static void consume(struct wr_log_out *o, size_t n)
{
    if (n < o->b.len) {
        memmove(o->b.ptr, o->b.ptr + n, o->b.len - n);
    }
    o->b.len -= n;
    if (o->b.len == 0) {
        o->gzip_lines = 0;
    }
}

/* The first n bytes are lost. */
static void lose(struct wr_log_target *t, struct wr_log_out *o, size_t n, int err)
{
    uint64_t lines = o->is_members ? o->gzip_lines : count_lines(o->b.ptr, n);

    consume(o, n);
    wr_log_target_lost(t, WR_MAX(lines, (uint64_t)1), err);
}

static bool is_line_end(const struct wr_log_out *o, size_t n)
{
    return n == 0 || o->b.ptr[n - 1] == '\n';
}

/* False: it cannot be closed now either. */
static bool close_half_line(struct wr_log_target *t, int fd, enum wr_append_kind kind, int *ret_err)
{
    size_t done;

    if (wr_append_write(fd, kind, "\n", 1, &done, ret_err) != WR_OK) {
        return false;
    }
    wr_store_rel(&t->torn, NULL);
    return true;
}

static void write_lines(struct wr_log_target *t, int fd, struct wr_log_out *o, size_t n)
{
    size_t done = 0;
    int err = 0;

    if (wr_load_rlx(&t->torn) && !close_half_line(t, fd, WR_APPEND_FILE, &err)) {
        lose(t, o, n, err);
        return;
    }
    if (wr_append_write(fd, WR_APPEND_FILE, o->b.ptr, n, &done, &err) == WR_OK) {
        consume(o, n);
        note_written(t);
        return;
    }
    if (!is_line_end(o, done)) {
        wr_store_rel(&t->torn, &torn_by_all);
    }
    consume(o, done);
    lose(t, o, n - done, err);
}

static void write_members(struct wr_log_target *t, int fd, struct wr_log_out *o, size_t n)
{
    size_t done = 0;
    int err = 0;
    enum wr_status st;

    /* Rule zero: a lock across a write. Half a member must be taken back before another comes
     * behind it, and members are rare and large; threads that write here queue in the kernel
     * anyway. */
    wr_mutex_lock(&t->gzip);
    st = wr_append_write(fd, WR_APPEND_FILE, o->b.ptr, n, &done, &err);
    if (st != WR_OK && done > 0) {
        wr_append_undo(fd, done);
    }
    wr_mutex_unlock(&t->gzip);
    if (st == WR_OK) {
        consume(o, n);
        note_written(t);
    } else {
        lose(t, o, n, err);
    }
}

/* Bytes of the next piece: lines that a pipe takes whole or not at all; a longer line alone. */
static size_t piece_of(const struct wr_log_out *o, size_t n)
{
    size_t end = WR_MIN(n, (size_t)WR_APPEND_PIECE);
    const char *nl;

    if (o->is_members) {
        return n;
    }
    nl = memrchr(o->b.ptr, '\n', end);
    if (nl) {
        return (size_t)(nl - o->b.ptr) + 1;
    }
    nl = memchr(o->b.ptr + end, '\n', n - end);
    return nl ? (size_t)(nl - o->b.ptr) + 1 : n;
}

static void write_stream(struct wr_log_target *t, int fd, struct wr_log_out *o, size_t n)
{
    enum wr_status st = WR_OK;
    size_t done = 0;
    int err = 0;

    while (n > 0) {
        size_t piece = piece_of(o, n);
        void *torn = wr_load_acq(&t->torn);

        if (torn && torn != o && torn != &torn_by_all) {
            return; /* another thread is in the middle of a line */
        }
        if (torn == &torn_by_all && !close_half_line(t, fd, WR_APPEND_STREAM, &err)) {
            st = err == EAGAIN ? WR_AGAIN : WR_ESYS;
            break;
        }
        st = wr_append_write(fd, WR_APPEND_STREAM, o->b.ptr, piece, &done, &err);
        if (done > 0) {
            wr_store_rel(&t->torn, done < piece ? (void *)o : NULL);
        }
        consume(o, done);
        n -= done;
        if (st != WR_OK) {
            break;
        }
    }
    if (st == WR_ESYS) {
        if (wr_load_acq(&t->torn) == o) {
            wr_store_rel(&t->torn, NULL); /* its reader is gone, with the half line */
        }
        lose(t, o, n, err);
    } else if (st == WR_OK) {
        note_written(t);
    }
}

void wr_log_target_write(struct wr_log_target *t, int fd, enum wr_log_target_kind kind,
                         struct wr_log_out *o, size_t n)
{
    if (n == 0) {
        return;
    }
    if (fd < 0) {
        lose(t, o, n, 0);
        return;
    }
    switch (kind) {
    case WR_LOG_LINES:
        write_lines(t, fd, o, n);
        return;
    case WR_LOG_GZIP:
        write_members(t, fd, o, n);
        return;
    case WR_LOG_STREAM:
        write_stream(t, fd, o, n);
        return;
    }
}

void wr_log_target_give_up(struct wr_log_target *t, struct wr_log_out *o)
{
    if (wr_load_acq(&t->torn) == o) {
        wr_store_rel(&t->torn, &torn_by_all);
    }
    if (o->b.len > 0) {
        lose(t, o, o->b.len, EAGAIN);
    }
}
