/* SPDX-License-Identifier: Apache-2.0 */
/*
 * piece.c: see piece.h. With a pool the page cache is asked first (preadv2 with RWF_NOWAIT): what
 * lies in it costs no other thread. A file opened with O_DIRECT is read from the last aligned
 * offset before the one that is wanted, into an aligned place of the chunk:
 *
 *   chunk  |....| pad |skip| bytes that were asked for |...|
 *               ^ aligned memory, aligned offset of the file
 */
#include "io/piece.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

#define ALIGN_MIN 512u

/* One read: [at, at + room) of the chunk from `off` of the file on. */
struct reading {
    struct wr_chunk *chunk; /* one reference */
    struct wr_file *file;   /* one reference */
    int fd;
    uint64_t off;
    uint32_t at, room, skip; /* skip: bytes read that were not asked for */
    uint32_t want;           /* most bytes behind them */
};

struct piece_work {
    struct wr_work work; /* first */
    struct reading r;
    ssize_t got;
    int err;
};

static enum wr_status plan_reading(const struct wr_piece *p, struct reading *ret)
{
    uint32_t align = p->file->is_direct ? WR_MAX(p->align, ALIGN_MIN) : 1;
    uint32_t slack = align > 1 ? 3 * align : 0;
    uint32_t want = (uint32_t)WR_MIN(p->len, (uint64_t)p->size);
    struct wr_chunk *c = wr_chunk_new(wr_chunk_class_for((size_t)want + slack));
    uintptr_t start;

    if (!c) {
        return WR_ENOMEM;
    }
    start = (uintptr_t)c->data;
    ret->chunk = c;
    ret->file = p->file;
    ret->fd = p->file->fd;
    ret->at = (uint32_t)((align - start % align) % align);
    ret->skip = (uint32_t)(p->off % align);
    ret->off = p->off - ret->skip;
    ret->room = (c->cap - ret->at) / align * align;
    ret->want = WR_MIN(want, ret->room - ret->skip);
    ret->room = WR_MIN(ret->room, (ret->skip + ret->want + align - 1) / align * align);
    return WR_OK;
}

static ssize_t read_now(const struct reading *r, int flags)
{
    struct iovec iov = {.iov_base = r->chunk->data + r->at, .iov_len = r->room};
    ssize_t n;

    do {
        n = flags != 0 ? preadv2(r->fd, &iov, 1, (off_t)r->off, flags)
                       : pread(r->fd, iov.iov_base, iov.iov_len, (off_t)r->off);
    } while (n == -1 && errno == EINTR);
    return n;
}

/* n bytes were read (-1: none, an error). Takes the chunk in every case. */
static enum wr_status finish(struct reading *r, ssize_t n, struct wr_chunk **ret_chunk,
                             uint32_t *ret_off)
{
    if (n <= (ssize_t)r->skip) {
        wr_chunk_unref(r->chunk);
        return n == -1 ? WR_ESYS : WR_EOF;
    }
    *ret_off = r->at + r->skip;
    r->chunk->fill = *ret_off + (uint32_t)WR_MIN((uint64_t)n - r->skip, (uint64_t)r->want);
    *ret_chunk = r->chunk;
    return WR_OK;
}

static struct piece_work *work_of(struct wr_work *w)
{
    return wr_container_of(w, struct piece_work, work);
}

static void work(struct wr_work *w)
{
    struct piece_work *pw = work_of(w);

    pw->got = read_now(&pw->r, 0);
    pw->err = errno;
}

static void free_work(struct wr_work *w)
{
    struct piece_work *pw = work_of(w);

    wr_chunk_unref(pw->r.chunk);
    wr_file_unref(pw->r.file);
    wr_mem_free(pw);
}

static enum wr_status start(const struct wr_piece *p, const struct reading *r,
                            struct wr_work **ret_work)
{
    struct piece_work *pw = wr_run_zalloc(sizeof(*pw));
    enum wr_status st;

    if (!pw) {
        wr_chunk_unref(r->chunk);
        return WR_ENOMEM;
    }
    pw->work.work = work;
    pw->work.free = free_work;
    pw->r = *r;
    pw->r.file = wr_file_ref(p->file);
    st = wr_work_start(p->pool, &pw->work, p->task);
    if (st != WR_OK) {
        free_work(&pw->work);
        return st;
    }
    *ret_work = &pw->work;
    return WR_AGAIN;
}

enum wr_status wr_piece_read(const struct wr_piece *p, struct wr_chunk **ret_chunk,
                             uint32_t *ret_off, struct wr_work **ret_work)
{
    struct reading r;
    ssize_t n;

    if (plan_reading(p, &r) != WR_OK) {
        return WR_ENOMEM;
    }
    if (!p->pool) {
        return finish(&r, read_now(&r, 0), ret_chunk, ret_off);
    }
    n = p->file->is_direct ? -1 : read_now(&r, RWF_NOWAIT);
    /* EAGAIN: it would wait; others: this file system does not know how to say so. */
    return n >= 0 ? finish(&r, n, ret_chunk, ret_off) : start(p, &r, ret_work);
}

enum wr_status wr_piece_take(struct wr_work *w, struct wr_chunk **ret_chunk, uint32_t *ret_off)
{
    struct piece_work *pw = work_of(w);
    struct reading r = pw->r;
    ssize_t got = pw->got;

    pw->r.chunk = NULL;
    free_work(w);
    return finish(&r, got, ret_chunk, ret_off);
}
