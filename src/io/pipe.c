/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe.c: a ring of slices, see pipe.h.
 *
 *   _at[_head .. _head+_cnt) mod _cap      four slices inline, then a block of 16, 64, ...
 *
 *   front  [chunk 60K][chunk 16K][file 1M][chunk 3K]  tail
 *                                          ^ _tail: ours, filled on while off+len == fill
 *
 * queued_mem and queued_file are the sums of the slices. Adjacent slices of one chunk or file are
 * one. Only chunks that this pipe took itself are filled on (`_tail`): the others belong to the
 * poller.
 *
 * Spill: a memory slice before which `high` bytes lie in memory already is written out and becomes
 * a file slice. Small pushes gather in the tail chunk first, so at most one chunk lies above the
 * mark.
 *
 * Loan: a small slice that finds the pipe empty is most often gone in the same turn, sent on with
 * what else there is. So it keeps its chunk until the turn ends (event/grave.h); what is left then
 * is copied. Owner thread only.
 */
#include "io/pipe.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/slab.h"
#include "base/stat.h"
#include "event/loop.h"
#include "io/spill_int.h"

#define PIPE_MAGIC        0x70697065u
#define PIPE_SMALL        2048u  /* slices below are copied */
#define PIPE_COPY_CHUNK   16384u /* room taken for copies when something is queued */
#define PIPE_SPILL_ROOM   65536u
#define PIPE_SPILL_GATHER 16384u /* small pushes are written out in pieces of this */
#define PIPE_INLINE       4u
#define PIPE_GROWTH       4u
#define PIPE_SLICES_MAX   (1u << 20)

enum {
    END_PRODUCER = WR_PIPE_PRODUCER,
    END_CONSUMER = WR_PIPE_CONSUMER
};

/* ---- slices and the ring -------------------------------------------------------------------- */

static void release_slice(struct wr_slice *s)
{
    switch ((enum wr_slice_kind)s->kind) {
    case WR_SLICE_CHUNK:
        wr_chunk_unref(s->u.chunk);
        break;
    case WR_SLICE_FILE:
        wr_file_unref(s->u.file);
        break;
    case WR_SLICE_KPIPE:
        wr_kpipe_unref(s->u.kpipe);
        break;
    case WR_SLICE_CONST:
        break;
    }
}

static void ref_slice(const struct wr_slice *s)
{
    switch ((enum wr_slice_kind)s->kind) {
    case WR_SLICE_CHUNK:
        (void)wr_chunk_ref(s->u.chunk);
        break;
    case WR_SLICE_FILE:
        (void)wr_file_ref(s->u.file);
        break;
    case WR_SLICE_KPIPE:
        (void)wr_kpipe_ref(s->u.kpipe);
        break;
    case WR_SLICE_CONST:
        break;
    }
}

static bool is_memory(const struct wr_slice *s)
{
    return s->kind == WR_SLICE_CHUNK || s->kind == WR_SLICE_CONST;
}

static const char *slice_bytes(const struct wr_slice *s)
{
    return (s->kind == WR_SLICE_CHUNK ? s->u.chunk->data : s->u.text) + s->off;
}

static struct wr_slice *slice_at(const struct wr_pipe *p, uint32_t i)
{
    return &p->_at[(p->_head + i) & (p->_cap - 1)];
}

static struct wr_slice *last_slice(const struct wr_pipe *p)
{
    return p->_cnt == 0 ? NULL : slice_at(p, p->_cnt - 1);
}

/* Does `s` continue `last`? */
static bool is_adjacent(const struct wr_slice *last, const struct wr_slice *s)
{
    if (!last || last->kind != s->kind || last->off + last->len != s->off) {
        return false;
    }
    switch ((enum wr_slice_kind)s->kind) {
    case WR_SLICE_CHUNK:
        return last->u.chunk == s->u.chunk;
    case WR_SLICE_FILE:
        return last->u.file == s->u.file;
    case WR_SLICE_KPIPE:
        return last->u.kpipe == s->u.kpipe;
    case WR_SLICE_CONST:
        return last->u.text == s->u.text;
    }
    WR_UNREACHABLE();
}

static void account_in(struct wr_pipe *p, const struct wr_slice *s, uint64_t n)
{
    if (is_memory(s)) {
        p->queued_mem += (size_t)n;
    } else if (s->kind == WR_SLICE_FILE) {
        p->queued_file += n;
    } else {
        p->queued_kpipe += (size_t)n;
    }
}

static void account_out(struct wr_pipe *p, const struct wr_slice *s, uint64_t n)
{
    if (is_memory(s)) {
        p->queued_mem -= (size_t)n;
    } else if (s->kind == WR_SLICE_KPIPE) {
        p->queued_kpipe -= (size_t)n;
    } else {
        p->queued_file -= n;
        if (p->spill && s->u.file == p->spill->file) {
            wr_spill_leave(p->spill, n);
        }
    }
}

static enum wr_status ensure_slot(struct wr_pipe *p)
{
    struct wr_slice *at;
    uint32_t cap;

    if (p->_cnt < p->_cap) {
        return WR_OK;
    }
    if (p->_cap >= PIPE_SLICES_MAX) {
        return WR_ENOMEM;
    }
    cap = p->_cap * PIPE_GROWTH;
    at = wr_run_alloc(cap * sizeof(*at));
    if (!at) {
        return WR_ENOMEM;
    }
    for (uint32_t i = 0; i < p->_cnt; i++) {
        at[i] = *slice_at(p, i);
    }
    if (p->_at != p->_inline) {
        wr_mem_free(p->_at);
    }
    p->_at = at;
    p->_head = 0;
    p->_cap = cap;
    return WR_OK;
}

/* The slice, with its reference, becomes the last. The counters are the caller's. */
static enum wr_status ring_add(struct wr_pipe *p, const struct wr_slice *s)
{
    struct wr_slice *last = last_slice(p);

    if (is_adjacent(last, s)) {
        last->len += s->len;
        /* One slice, one reference. */
        release_slice(last);
        return WR_OK;
    }
    if (ensure_slot(p) != WR_OK) {
        return WR_ENOMEM;
    }
    *slice_at(p, p->_cnt) = *s;
    p->_cnt++;
    p->_tail = NULL;
    return WR_OK;
}

static void ring_drop_front(struct wr_pipe *p)
{
    p->_head = (p->_head + 1) & (p->_cap - 1);
    p->_cnt--;
    if (p->_cnt == 0) {
        p->_head = 0;
        p->_tail = NULL;
    }
}

static void drop_queue(struct wr_pipe *p)
{
    while (p->_cnt > 0) {
        struct wr_slice *s = slice_at(p, 0);

        account_out(p, s, s->len);
        release_slice(s);
        ring_drop_front(p);
    }
}

/* The last slice when this pipe may write behind it, else NULL. */
static struct wr_slice *get_own_tail(const struct wr_pipe *p)
{
    struct wr_slice *s;

    if (!p->_tail) {
        return NULL;
    }
    s = last_slice(p);
    WR_ASSERT(s); /* the tail is the chunk of the last slice */
    return s->off + s->len == p->_tail->fill && p->_tail->fill < p->_tail->cap ? s : NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct wr_pipe *wr_pipe_new(size_t high, struct wr_task *producer, struct wr_task *consumer)
{
    struct wr_pipe *p;

    WR_ASSERT(high > 0);
    p = wr_slab_take(sizeof(*p));
    if (!p) {
        return NULL;
    }
    (void)wr_mem_zero(p, offsetof(struct wr_pipe, _inline));
    wr_obj_init(p, PIPE_MAGIC);
    p->state = WR_PIPE_OPEN;
    p->_ends = END_PRODUCER | END_CONSUMER;
    p->_at = p->_inline;
    p->_cap = PIPE_INLINE;
    p->high = high;
    p->low = high / 2;
    p->producer = producer;
    p->consumer = consumer;
    return p;
}

static void free_pipe(struct wr_pipe *p)
{
    drop_queue(p);
    if (p->_is_lent) {
        wr_grave_leave(&p->_loan);
    }
    if (p->_res) {
        wr_chunk_unref(wr_take(&p->_res));
    }
    if (p->_at != p->_inline) {
        wr_mem_free(p->_at);
    }
    if (p->spill) {
        wr_spill_free(wr_take(&p->spill));
    }
    wr_obj_kill(p);
    wr_slab_free(p, sizeof(*p));
}

void wr_pipe_set_spill(struct wr_pipe *p, const struct wr_spill_conf *conf)
{
    wr_obj_check(p, PIPE_MAGIC);
    WR_ASSERT(!p->spill_conf);
    p->spill_conf = conf;
}

/* ---- marks ---------------------------------------------------------------------------------- */

static uint64_t get_level(const struct wr_pipe *p)
{
    return p->spill_conf ? p->queued_mem : (uint64_t)p->queued_mem + p->queued_file;
}

static bool can_spill(const struct wr_pipe *p)
{
    return p->spill_conf && p->spill_errno == 0 &&
           (p->spill ? wr_spill_has_room(p->spill) : p->spill_conf->max > 0);
}

static void wake_producer(struct wr_pipe *p)
{
    p->_is_producer_waiting = false;
    wr_task_wake_opt(p->producer);
}

/* Something has left the queue. */
static void check_low(struct wr_pipe *p)
{
    if (p->_is_producer_waiting && (get_level(p) <= p->low || can_spill(p))) {
        wake_producer(p);
    }
}

void wr_pipe_set_marks(struct wr_pipe *p, size_t high, size_t low)
{
    wr_obj_check(p, PIPE_MAGIC);
    WR_ASSERT(high > 0 && low <= high);
    p->high = high;
    p->low = low;
    if (p->_is_producer_waiting && get_level(p) < high) {
        wake_producer(p);
    }
}

size_t wr_pipe_room(struct wr_pipe *p)
{
    uint64_t level;

    wr_obj_check(p, PIPE_MAGIC);
    if (wr_pipe_is_orphan(p)) {
        return p->high;
    }
    level = get_level(p);
    if (level < p->high) {
        return p->high - (size_t)level;
    }
    if (can_spill(p)) {
        return PIPE_SPILL_ROOM;
    }
    p->_is_producer_waiting = true;
    return 0;
}

bool wr_pipe_can_push(struct wr_pipe *p)
{
    return wr_pipe_room(p) > 0;
}

/* ---- loans ---------------------------------------------------------------------------------- */

static bool is_loan(const struct wr_slice *s)
{
    return s->kind == WR_SLICE_CHUNK && s->len < PIPE_SMALL && s->u.chunk->cap > PIPE_COPY_CHUNK;
}

/* The turn is over. Without memory for a copy a slice stays as it is. */
static void end_loan(struct wr_grave *g)
{
    struct wr_pipe *p = wr_container_of(g, struct wr_pipe, _loan);

    p->_is_lent = false;
    for (uint32_t i = 0; i < p->_cnt; i++) {
        struct wr_slice *s = slice_at(p, i);
        struct wr_chunk *c = is_loan(s) ? wr_chunk_new(WR_CHUNK_4K) : NULL;

        if (!c || s->u.chunk == p->_tail) {
            wr_chunk_unref(c);
            continue;
        }
        c->fill = (uint32_t)s->len;
        memcpy(c->data, slice_bytes(s), c->fill);
        wr_chunk_unref(s->u.chunk);
        s->u.chunk = c;
        s->off = 0;
        if (i == p->_cnt - 1) {
            p->_tail = c;
        }
    }
}

static void note_loan(struct wr_pipe *p, const struct wr_slice *s)
{
    if (!p->_is_lent && is_loan(s) && wr_loop_get() != NULL) {
        p->_is_lent = true;
        wr_grave_bury(&p->_loan, end_loan);
    }
}

/* ---- kernel pipes --------------------------------------------------------------------------- */

void wr_pipe_take_kpipes(struct wr_pipe *p)
{
    wr_obj_check(p, PIPE_MAGIC);
    p->_takes_kpipes = true;
    if (p->_wants_kpipes) {
        p->_wants_kpipes = false;
        wr_task_wake_opt(p->producer);
    }
}

bool wr_pipe_can_kpipe(struct wr_pipe *p)
{
    wr_obj_check(p, PIPE_MAGIC);
    if (!p->_takes_kpipes) {
        p->_wants_kpipes = true;
        return false;
    }
    /* What comes behind a file goes to the file. */
    return !wr_pipe_is_orphan(p) && p->queued_file == 0 && p->queued_mem < p->high;
}

/* Slice i of a kernel pipe becomes two, the first one of n bytes. */
static enum wr_status split_kpipe(struct wr_pipe *p, uint32_t i, uint64_t n)
{
    struct wr_slice *s;

    if (ensure_slot(p) != WR_OK) {
        return WR_ENOMEM;
    }
    p->_cnt++;
    for (uint32_t k = p->_cnt - 1; k > i; k--) {
        *slice_at(p, k) = *slice_at(p, k - 1);
    }
    ref_slice(slice_at(p, i));
    slice_at(p, i)->len = n;
    s = slice_at(p, i + 1);
    s->off += n;
    s->len -= n;
    return WR_OK;
}

/* Slice i of a kernel pipe, or as much of it as a chunk holds, becomes one of memory. */
static enum wr_status copy_kpipe(struct wr_pipe *p, uint32_t i)
{
    const uint64_t most = wr_chunk_class_size(WR_CHUNK_256K);
    struct wr_slice *s = slice_at(p, i);
    enum wr_status st = WR_OK;
    struct wr_chunk *c;

    if (s->off != s->u.kpipe->out) {
        return WR_ESYS; /* what went in before it was never read */
    }
    if (s->len > most && split_kpipe(p, i, most) != WR_OK) {
        return WR_ENOMEM;
    }
    s = slice_at(p, i);
    c = wr_chunk_new(wr_chunk_class_for((size_t)s->len));
    if (!c) {
        return WR_ENOMEM;
    }
    st = wr_kpipe_read(s->u.kpipe, c->data, (size_t)s->len);
    if (st != WR_OK) {
        wr_chunk_unref(c);
        return st;
    }
    c->fill = (uint32_t)s->len;
    account_out(p, s, s->len);
    release_slice(s);
    *s = (struct wr_slice){.kind = WR_SLICE_CHUNK, .u.chunk = c, .len = c->fill};
    account_in(p, s, s->len);
    return WR_OK;
}

enum wr_status wr_pipe_copy_kpipes(struct wr_pipe *p)
{
    enum wr_status st = WR_OK;

    wr_obj_check(p, PIPE_MAGIC);
    for (uint32_t i = 0; i < p->_cnt && st == WR_OK; i++) {
        if (slice_at(p, i)->kind == WR_SLICE_KPIPE) {
            st = copy_kpipe(p, i);
        }
    }
    return st;
}

/* ---- spill ---------------------------------------------------------------------------------- */

/* May the last slice go to the file now? `all`: also one that could still be filled. */
static bool is_to_spill(const struct wr_pipe *p, const struct wr_slice *last, bool all)
{
    if (!is_memory(last) || p->queued_mem - (size_t)last->len < p->high || !can_spill(p)) {
        return false;
    }
    return all || last->len >= PIPE_SPILL_GATHER || !get_own_tail(p);
}

static enum wr_status write_out(struct wr_pipe *p, const struct wr_slice *s, uint64_t *ret_off)
{
    p->spill = p->spill ? p->spill : wr_spill_new(p->spill_conf);
    if (!p->spill) {
        p->spill_errno = ENOMEM;
        return WR_ESYS;
    }
    return wr_spill_write(p->spill, slice_bytes(s), (size_t)s->len, ret_off, &p->spill_errno);
}

/* There is something, and it may be too much. */
static void spill_some(struct wr_pipe *p, bool all)
{
    struct wr_slice *last = last_slice(p);
    struct wr_slice on_disk = {.kind = WR_SLICE_FILE};
    enum wr_status st;

    if (!is_to_spill(p, last, all)) {
        return;
    }
    st = write_out(p, last, &on_disk.off);
    if (!p->is_spilled || p->spill_errno != 0) {
        wr_task_wake_opt(p->watcher);
    }
    if (st != WR_OK) {
        return;
    }
    p->is_spilled = true;
    on_disk.len = last->len;
    on_disk.u.file = wr_file_ref(p->spill->file);
    p->queued_mem -= (size_t)last->len;
    p->queued_file += last->len;
    release_slice(last);
    p->_tail = NULL;
    p->_cnt--;
    /* The slot has just become free: it cannot fail. */
    st = ring_add(p, &on_disk);
    WR_ASSERT(st == WR_OK);
}

static void spill_last(struct wr_pipe *p, bool all)
{
    if (p->spill_conf && p->_cnt > 0 && p->queued_mem >= p->high) {
        spill_some(p, all);
    }
}

/* ---- producer ------------------------------------------------------------------------------- */

/* WR_OK, or why bytes cannot be pushed; they are counted as dropped then. */
static enum wr_status check_push(struct wr_pipe *p, uint64_t n)
{
    wr_obj_check(p, PIPE_MAGIC);
    WR_ASSERT((p->_ends & END_PRODUCER) != 0);
    if (wr_pipe_is_orphan(p)) {
        wr_stat_add(WR_CNT_PIPE_DROPPED, n);
        return WR_EPEERGONE;
    }
    if (WR_WARN_ON(p->state != WR_PIPE_OPEN)) {
        return WR_EPEERGONE;
    }
    return WR_OK;
}

/* n bytes were added; the queue was empty before or not. */
static void note_pushed(struct wr_pipe *p, uint64_t n, bool was_empty)
{
    p->in_total += n;
    spill_last(p, false);
    if (was_empty) {
        wr_task_wake_opt(p->consumer);
    }
}

static void drop_newest(struct wr_pipe *p, uint32_t keep)
{
    while (p->_cnt > keep) {
        release_slice(last_slice(p));
        p->_cnt--;
    }
    p->_tail = NULL;
}

/* All or nothing; the counters are the caller's. */
static enum wr_status copy_to_tail(struct wr_pipe *p, const char *bytes, size_t n)
{
    struct wr_slice *tail = get_own_tail(p);
    struct wr_chunk *tail_chunk = tail ? p->_tail : NULL;
    uint32_t old_cnt = p->_cnt;
    size_t fits = tail_chunk ? WR_MIN(n, (size_t)(tail_chunk->cap - tail_chunk->fill)) : 0;

    for (size_t done = fits; done < n;) {
        size_t left = n - done;
        size_t want = left <= 4096 && p->_cnt == 0 ? left : WR_MAX(left, (size_t)PIPE_COPY_CHUNK);
        struct wr_chunk *c = wr_chunk_new(wr_chunk_class_for(want));
        struct wr_slice s = {.kind = WR_SLICE_CHUNK, .u.chunk = c};

        if (c) {
            s.len = WR_MIN(left, (size_t)c->cap);
            memcpy(c->data, bytes + done, (size_t)s.len);
            c->fill = (uint32_t)s.len;
        }
        if (!c || ring_add(p, &s) != WR_OK) {
            if (c) {
                wr_chunk_unref(c);
            }
            drop_newest(p, old_cnt);
            p->_tail = tail_chunk;
            return WR_ENOMEM;
        }
        p->_tail = c;
        done += (size_t)s.len;
    }
    if (fits > 0) {
        memcpy(tail_chunk->data + tail_chunk->fill, bytes, fits);
        tail_chunk->fill += (uint32_t)fits;
        slice_at(p, old_cnt - 1)->len += fits;
    }
    return WR_OK;
}

static enum wr_status push_bytes(struct wr_pipe *p, const char *bytes, size_t n)
{
    bool was_empty = p->_cnt == 0;

    if (p->spill_conf && (!get_own_tail(p) || p->_tail->cap - p->_tail->fill < n)) {
        /* The tail gives way to a new one: if it lies above the mark it is written first. */
        spill_last(p, true);
    }
    if (copy_to_tail(p, bytes, n) != WR_OK) {
        return WR_ENOMEM;
    }
    p->queued_mem += n;
    note_pushed(p, n, was_empty);
    return WR_OK;
}

/* The slice is taken; it is not copied. */
static enum wr_status push_whole(struct wr_pipe *p, struct wr_slice *s)
{
    bool was_empty = p->_cnt == 0;

    spill_last(p, true);
    if (ring_add(p, s) != WR_OK) {
        return WR_ENOMEM;
    }
    account_in(p, s, s->len);
    note_loan(p, s);
    note_pushed(p, s->len, was_empty);
    return WR_OK;
}

/* Is a small slice to be copied at once? A lone constant pins nothing and needs no memory, and a
 * lone slice of a chunk can be lent; several are better in one piece. */
static bool is_to_copy(const struct wr_pipe *p, const struct wr_slice *s)
{
    if (!is_memory(s) || s->len >= PIPE_SMALL) {
        return false;
    }
    return p->_cnt > 0 || (s->kind == WR_SLICE_CHUNK && wr_loop_get() == NULL);
}

enum wr_status wr_pipe_push(struct wr_pipe *p, struct wr_slice s)
{
    enum wr_status st = check_push(p, s.len);

    if (st != WR_OK || s.len == 0) {
        release_slice(&s);
        return st;
    }
    if (is_to_copy(p, &s) && push_bytes(p, slice_bytes(&s), (size_t)s.len) == WR_OK) {
        release_slice(&s);
        return WR_OK;
    }
    st = push_whole(p, &s);
    if (st != WR_OK) {
        release_slice(&s);
    }
    return st;
}

enum wr_status wr_pipe_push_copy(struct wr_pipe *p, const void *bytes, size_t n)
{
    enum wr_status st = check_push(p, n);

    if (st != WR_OK || n == 0) {
        return st;
    }
    return push_bytes(p, bytes, n);
}

char *wr_pipe_reserve(struct wr_pipe *p, size_t want, size_t *ret_len)
{
    size_t room = wr_pipe_room(p);
    struct wr_slice *tail;
    struct wr_chunk *c;

    if (p->_res) {
        wr_chunk_unref(wr_take(&p->_res));
    }
    if (room == 0 || want == 0 || p->state != WR_PIPE_OPEN || ensure_slot(p) != WR_OK) {
        return NULL;
    }
    want = WR_MIN(want, room);
    tail = get_own_tail(p);
    if (tail && p->_tail->cap - p->_tail->fill >= WR_MIN(want, (size_t)PIPE_SMALL)) {
        c = wr_chunk_ref(p->_tail);
    } else {
        c = wr_chunk_new(wr_chunk_class_for(want));
        if (!c) {
            return NULL;
        }
    }
    p->_res = c;
    p->_res_off = c->fill;
    p->_res_len = (uint32_t)WR_MIN(want, (size_t)(c->cap - c->fill));
    *ret_len = p->_res_len;
    return c->data + c->fill;
}

void wr_pipe_commit(struct wr_pipe *p, size_t n)
{
    struct wr_slice s = {.kind = WR_SLICE_CHUNK, .len = n};
    enum wr_status st;
    bool was_empty;

    wr_obj_check(p, PIPE_MAGIC);
    was_empty = p->_cnt == 0;
    s.off = p->_res_off;
    WR_ASSERT(p->_res && n <= p->_res_len && p->_res->fill == p->_res_off);
    s.u.chunk = wr_take(&p->_res);
    if (n == 0 || check_push(p, n) != WR_OK) {
        release_slice(&s);
        return;
    }
    s.u.chunk->fill += (uint32_t)n;
    if (!is_adjacent(last_slice(p), &s)) {
        spill_last(p, true);
    }
    /* reserve has made sure of a slot. */
    st = ring_add(p, &s);
    WR_ASSERT(st == WR_OK);
    p->_tail = s.u.chunk;
    p->queued_mem += n;
    note_pushed(p, n, was_empty);
}

static void end_pipe(struct wr_pipe *p, enum wr_pipe_state state, unsigned reason)
{
    p->state = (uint8_t)state;
    p->reason = (uint16_t)reason;
    wr_task_wake_opt(p->consumer);
}

void wr_pipe_eof(struct wr_pipe *p)
{
    wr_obj_check(p, PIPE_MAGIC);
    if (p->state == WR_PIPE_OPEN) {
        end_pipe(p, WR_PIPE_EOF, 0);
    }
}

void wr_pipe_fail(struct wr_pipe *p, unsigned reason)
{
    wr_obj_check(p, PIPE_MAGIC);
    if (p->state == WR_PIPE_OPEN) {
        end_pipe(p, WR_PIPE_FAILED, reason);
    }
}

void wr_pipe_abort(struct wr_pipe *p, unsigned reason)
{
    wr_obj_check(p, PIPE_MAGIC);
    if (p->state != WR_PIPE_OPEN && p->_cnt == 0) {
        return;
    }
    drop_queue(p);
    end_pipe(p, WR_PIPE_ABORTED, p->state == WR_PIPE_FAILED ? p->reason : reason);
}

void wr_pipe_leave_producer(struct wr_pipe *p)
{
    wr_obj_check(p, PIPE_MAGIC);
    WR_ASSERT((p->_ends & END_PRODUCER) != 0);
    p->producer = NULL;
    p->_ends &= (uint8_t)~END_PRODUCER;
    if (p->_ends == 0) {
        free_pipe(p);
        return;
    }
    if (p->_res) {
        wr_chunk_unref(wr_take(&p->_res));
    }
    wr_pipe_fail(p, 0);
}

/* ---- consumer ------------------------------------------------------------------------------- */

int wr_pipe_peek(struct wr_pipe *p, struct iovec *iov, int cnt, size_t max, size_t *ret_bytes)
{
    if (p->_is_lent) {
        wr_grave_leave(&p->_loan);
        end_loan(&p->_loan);
    }
    return wr_pipe_peek_now(p, iov, cnt, max, ret_bytes);
}

int wr_pipe_peek_now(const struct wr_pipe *p, struct iovec *iov, int cnt, size_t max,
                     size_t *ret_bytes)
{
    size_t sum = 0;
    int n = 0;

    wr_obj_check(p, PIPE_MAGIC);
    for (uint32_t i = 0; i < p->_cnt && n < cnt && sum < max; i++) {
        const struct wr_slice *s = slice_at(p, i);

        union {
            const char *in;
            void *out; /* readers of the iovec do not write */
        } base;

        if (!is_memory(s)) {
            break;
        }
        base.in = slice_bytes(s);
        iov[n].iov_base = base.out;
        iov[n].iov_len = WR_MIN((size_t)s->len, max - sum);
        sum += iov[n].iov_len;
        n++;
    }
    *ret_bytes = sum;
    return n;
}

const struct wr_slice *wr_pipe_front(const struct wr_pipe *p)
{
    wr_obj_check(p, PIPE_MAGIC);
    return p->_cnt == 0 ? NULL : slice_at(p, 0);
}

/* The first n bytes leave the queue, references and all. */
static void take_front(struct wr_pipe *p, uint64_t n)
{
    struct wr_slice *s = slice_at(p, 0);

    account_out(p, s, n);
    p->out_total += n;
    if (n < s->len) {
        s->off += n;
        s->len -= n;
        return;
    }
    release_slice(s);
    ring_drop_front(p);
}

void wr_pipe_consume(struct wr_pipe *p, uint64_t n)
{
    wr_obj_check(p, PIPE_MAGIC);
    WR_ASSERT(n <= wr_pipe_queued(p));
    while (n > 0) {
        uint64_t k = WR_MIN(n, slice_at(p, 0)->len);

        take_front(p, k);
        n -= k;
    }
    check_low(p);
}

/* Slices from src to dst. WR_ENOMEM: dst could not take the next one; WR_ESYS: its bytes are lost.
 */
static enum wr_status move_slices(struct wr_pipe *dst, struct wr_pipe *src, uint64_t max,
                                  uint64_t *ret_moved)
{
    uint64_t moved = 0;
    enum wr_status st = WR_OK;

    while (src->_cnt > 0 && moved < max && wr_pipe_can_push(dst)) {
        struct wr_slice s = *slice_at(src, 0);

        if (s.kind == WR_SLICE_KPIPE && !dst->_takes_kpipes) {
            st = copy_kpipe(src, 0);
            if (st != WR_OK) {
                break;
            }
            s = *slice_at(src, 0);
        }
        s.len = WR_MIN(s.len, max - moved);
        ref_slice(&s);
        st = push_whole(dst, &s);
        if (st != WR_OK) {
            release_slice(&s);
            break;
        }
        take_front(src, s.len);
        moved += s.len;
    }
    *ret_moved = moved;
    return st;
}

enum wr_status wr_pipe_move(struct wr_pipe *dst, struct wr_pipe *src, uint64_t max)
{
    uint64_t moved;
    enum wr_status st;

    wr_obj_check(src, PIPE_MAGIC);
    wr_obj_check(dst, PIPE_MAGIC);
    WR_ASSERT(dst != src);
    if (wr_pipe_is_orphan(dst) || dst->state != WR_PIPE_OPEN) {
        return WR_EPEERGONE;
    }
    st = move_slices(dst, src, max, &moved);
    if (moved > 0) {
        check_low(src);
    }
    if (wr_pipe_is_spent(src)) {
        switch ((enum wr_pipe_state)src->state) {
        case WR_PIPE_OPEN:
            break;
        case WR_PIPE_EOF:
            wr_pipe_eof(dst);
            break;
        case WR_PIPE_FAILED:
            wr_pipe_fail(dst, src->reason);
            break;
        case WR_PIPE_ABORTED:
            wr_pipe_abort(dst, src->reason);
            break;
        }
        return WR_EOF;
    }
    if (moved > 0) {
        return WR_OK;
    }
    return st == WR_OK ? WR_AGAIN : st;
}

enum wr_status wr_pipe_share(struct wr_pipe *dst, const struct wr_pipe *src, uint64_t from,
                             uint64_t max, uint64_t *ret_n)
{
    uint64_t shared = 0;
    enum wr_status st = WR_OK;

    wr_obj_check(src, PIPE_MAGIC);
    wr_obj_check(dst, PIPE_MAGIC);
    WR_ASSERT(dst != src);
    if (wr_pipe_is_orphan(dst) || dst->state != WR_PIPE_OPEN) {
        return WR_EPEERGONE;
    }
    for (uint32_t i = 0; i < src->_cnt && shared < max; i++) {
        struct wr_slice s = *slice_at(src, i);

        WR_ASSERT(s.kind != WR_SLICE_KPIPE); /* it can be read only once */
        if (from >= s.len) {
            from -= s.len;
            continue;
        }
        if (!wr_pipe_can_push(dst)) {
            break;
        }
        s.off += from;
        s.len = WR_MIN(s.len - from, max - shared);
        from = 0;
        ref_slice(&s);
        st = push_whole(dst, &s);
        if (st != WR_OK) {
            release_slice(&s);
            break;
        }
        shared += s.len;
    }
    if (shared > 0) {
        *ret_n = shared;
        return WR_OK;
    }
    return st == WR_OK ? WR_AGAIN : st;
}

void wr_pipe_leave_consumer(struct wr_pipe *p)
{
    wr_obj_check(p, PIPE_MAGIC);
    WR_ASSERT((p->_ends & END_CONSUMER) != 0);
    p->consumer = NULL;
    p->_ends &= (uint8_t)~END_CONSUMER;
    if (p->_ends == 0) {
        free_pipe(p);
        return;
    }
    if (p->_cnt > 0) {
        wr_stat_add(WR_CNT_PIPE_DROPPED, wr_pipe_queued(p));
    }
    drop_queue(p);
    wake_producer(p);
}

void wr_pipe_hand(struct wr_pipe *p, enum wr_pipe_end end, struct wr_task *task)
{
    wr_obj_check(p, PIPE_MAGIC);
    WR_ASSERT((p->_ends & end) != 0);
    if (end == WR_PIPE_PRODUCER) {
        p->producer = task;
        return;
    }
    p->_takes_kpipes = false;
    p->consumer = task;
    if (p->_cnt > 0 || p->state != WR_PIPE_OPEN) {
        wr_task_wake_opt(task);
    }
}
