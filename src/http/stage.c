/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.c: the stages of a response as one list with one task, see stage.h. A run goes through the
 * list from the producer to the client until nothing moves any more; the pipes between two stages
 * have no tasks at their ends, those at the two ends of the list wake the list's.
 *
 *   ends of stage i: _in (consumer), _out (producer); both NULL once it is over
 *
 * The list is made with the first stage, in the request's arena. Owner thread only.
 */
#include "http/stage.h"

#include <string.h>

#include "base/assert.h"
#include "base/chunk.h"
#include "base/clock.h"
#include "event/task.h"
#include "event/timer.h"
#include "http/req_int.h"
#include "io/piece.h"
#include "io/pipe.h"

#define PIECE_MAX 65536u /* of a file */

struct wr_stages {
    struct wr_task task;
    struct wr_timer timer; /* a flush of what was not streamed, or the next run */
    uint64_t flush_at_ms;  /* 0: none is due */
    struct wr_stage *first, *last;
    struct wr_req *req;
    size_t budget; /* of this run */
    bool is_closed;
};

/* ---- the ends of one --------------------------------------------------------------------------
 */

static void close_stage(struct wr_stage *g)
{
    wr_chunk_unref(wr_take(&g->_piece));
    wr_work_leave(wr_take(&g->_reading));
    if (!g->_is_closed) {
        g->_is_closed = true;
        if (g->ops->close) {
            g->ops->close(g);
        }
    }
    if (g->_in) {
        wr_pipe_leave_consumer(wr_take(&g->_in));
    }
    if (g->_out) {
        wr_pipe_leave_producer(wr_take(&g->_out));
    }
}

static void break_off(struct wr_stage *g, enum wr_reason why)
{
    wr_pipe_fail(g->_out, why);
    close_stage(g);
}

static enum wr_reason reason_of(enum wr_status st)
{
    return st == WR_ENOMEM ? WR_REASON_NOMEM : WR_REASON_INTERNAL;
}

/* ---- bytes for take --------------------------------------------------------------------------
 */

/*
 * A piece of the file slice at the front. WR_EOF: the file became shorter. WR_AGAIN: a thread of
 * the pool reads it, the list's task will be woken.
 */
static enum wr_status read_piece(struct wr_stages *c, struct wr_stage *g, const struct wr_slice *s)
{
    struct wr_stream *st = g->req->stream;
    struct wr_piece p = {
        .file = s->u.file,
        .off = s->off,
        .len = s->len,
        .size = st->file_piece > 0 ? WR_MIN(st->file_piece, PIECE_MAX) : PIECE_MAX,
        .align = st->file_align,
        .pool = st->file_pool,
        .task = &c->task,
    };
    enum wr_status rc = WR_AGAIN;

    if (!g->_reading) {
        rc = wr_piece_read(&p, &g->_piece, &g->_piece_off, &g->_reading);
    } else if (g->_reading->is_home) {
        rc = wr_piece_take(wr_take(&g->_reading), &g->_piece, &g->_piece_off);
    }
    if (rc == WR_EOF || rc == WR_ESYS) {
        st->is_file_short = true;
        return WR_EOF;
    }
    return rc;
}

/* The bytes at the front, in memory. *ret_n 0: there are none. */
static enum wr_status see_front(struct wr_stages *c, struct wr_stage *g, const char **ret_p,
                                size_t *ret_n)
{
    const struct wr_slice *s;
    enum wr_status st = WR_OK;
    struct iovec iov;

    *ret_n = 0;
    if (!g->_piece) {
        s = wr_pipe_front(g->_in);
        if (!s) {
            return WR_OK;
        }
        if (s->kind == WR_SLICE_KPIPE) {
            st = wr_pipe_copy_kpipes(g->_in); /* it went there before there was a stage */
        } else if (s->kind == WR_SLICE_FILE) {
            st = read_piece(c, g, s);
        }
        if (st != WR_OK) {
            return st;
        }
    }
    if (g->_piece) {
        *ret_p = g->_piece->data + g->_piece_off;
        *ret_n = g->_piece->fill - g->_piece_off;
    } else if (wr_pipe_peek_now(g->_in, &iov, 1, SIZE_MAX, ret_n) > 0) {
        *ret_p = iov.iov_base;
    }
    return WR_OK;
}

static void note_taken(struct wr_stage *g, size_t n)
{
    g->taken += n;
    g->_is_held = g->_is_held || n > 0;
    wr_pipe_consume(g->_in, n);
    if (g->_piece) {
        g->_piece_off += (uint32_t)n;
        if (g->_piece_off == g->_piece->fill) {
            wr_chunk_unref(wr_take(&g->_piece));
        }
    }
}

/* ---- one stage -------------------------------------------------------------------------------
 */

/* Slices change pipes. */
static enum wr_status pass_slices(struct wr_pipe *to, struct wr_pipe *from)
{
    while (wr_pipe_front(from) && wr_pipe_can_push(to)) {
        struct wr_slice copy = *wr_pipe_front(from);
        enum wr_status st;

        switch ((enum wr_slice_kind)copy.kind) {
        case WR_SLICE_CHUNK:
            (void)wr_chunk_ref(copy.u.chunk);
            break;
        case WR_SLICE_FILE:
            (void)wr_file_ref(copy.u.file);
            break;
        case WR_SLICE_KPIPE:
            (void)wr_kpipe_ref(copy.u.kpipe);
            break;
        case WR_SLICE_CONST:
            break;
        }
        st = wr_pipe_push(to, copy);
        if (st != WR_OK) {
            return st;
        }
        wr_pipe_consume(from, copy.len);
    }
    return WR_OK;
}

static enum wr_status pass_all(struct wr_stage *g)
{
    uint64_t before = g->_out->in_total;
    enum wr_status st = pass_slices(g->_out, g->_in);

    g->taken += g->_out->in_total - before;
    return st;
}

static enum wr_status pull(struct wr_stage *g)
{
    return g->ops->pull ? g->ops->pull(g) : WR_OK;
}

/* All that is here, as far as there is room and budget. */
static enum wr_status take_all(struct wr_stages *c, struct wr_stage *g)
{
    if (!g->ops->take) {
        enum wr_status st = pull(g);

        return st == WR_OK ? pass_all(g) : st;
    }
    for (;;) {
        const char *p = NULL;
        size_t n = 0, used = 0;
        enum wr_status st = pull(g);

        if (st == WR_OK) {
            st = see_front(c, g, &p, &n);
        }
        if (st != WR_OK) {
            return st;
        }
        n = WR_MIN(n, c->budget);
        if (n == 0) {
            return WR_OK;
        }
        st = g->ops->take(g, p, n, &used);
        if (st != WR_OK) {
            return st;
        }
        WR_ASSERT(used <= n);
        c->budget -= used;
        note_taken(g, used);
        if (used < n && !wr_pipe_can_push(g->_out)) {
            return WR_OK; /* its task is woken when there is room again */
        }
        st = used == 0 ? pull(g) : WR_OK;
        if (st != WR_OK) {
            return st;
        }
        if (used == 0) {
            return WR_EPROTO; /* a bug of ours: there is room and it takes nothing */
        }
    }
}

/* Is all that came taken? */
static bool is_drained(const struct wr_stage *g)
{
    return !g->_piece && wr_pipe_queued(g->_in) == 0;
}

static enum wr_status flush_stage(struct wr_stage *g)
{
    enum wr_status st = g->_is_held && g->ops->flush ? g->ops->flush(g) : WR_OK;

    if (st == WR_OK) {
        g->_is_held = false;
    }
    return st;
}

/* The producer ended, and all was taken. WR_AGAIN: there is no room yet. */
static enum wr_status end_stage(struct wr_stage *g)
{
    enum wr_status st;

    switch ((enum wr_pipe_state)g->_in->state) {
    case WR_PIPE_OPEN:
        return WR_AGAIN;
    case WR_PIPE_EOF:
        st = g->ops->finish ? g->ops->finish(g) : WR_OK;
        if (st == WR_OK) {
            wr_pipe_eof(g->_out);
            close_stage(g);
        }
        return st;
    case WR_PIPE_FAILED:
        st = flush_stage(g);
        if (st == WR_AGAIN) {
            return st;
        }
        break_off(g, (enum wr_reason)g->_in->reason);
        return WR_OK;
    case WR_PIPE_ABORTED:
        wr_pipe_abort(g->_out, g->_in->reason);
        close_stage(g);
        return WR_OK;
    }
    WR_UNREACHABLE();
}

static enum wr_status step_stage(struct wr_stages *c, struct wr_stage *g, bool do_flush)
{
    enum wr_status st = take_all(c, g);

    if (st != WR_OK || !is_drained(g)) {
        return st;
    }
    if (g->_in->state != WR_PIPE_OPEN) {
        return end_stage(g);
    }
    return do_flush ? flush_stage(g) : WR_OK;
}

/* ---- all of them -----------------------------------------------------------------------------
 */

/* What moves with every step that does anything. */
static uint64_t get_progress(const struct wr_stages *c)
{
    uint64_t sum = 0;

    for (const struct wr_stage *g = c->first; g; g = g->_next) {
        sum += g->_in ? g->_in->out_total + g->_out->in_total : UINT64_C(1) << 40;
        sum += g->_is_held ? 0 : 1;
    }
    return sum;
}

static void step_all(struct wr_stages *c, bool do_flush)
{
    for (struct wr_stage *g = c->first; g; g = g->_next) {
        enum wr_status st;

        if (!g->_in) {
            continue;
        }
        if (wr_pipe_is_orphan(g->_out)) {
            close_stage(g);
            continue;
        }
        st = step_stage(c, g, do_flush);
        if (st != WR_OK && st != WR_AGAIN) {
            wr_log(&c->req->log, WR_LOG_ERROR, "the body stage \"%s\" failed: %s", g->ops->name,
                   wr_status_name(st));
            break_off(g, st == WR_EOF ? WR_REASON_TRUNCATED : reason_of(st));
        }
    }
    /* Who left, at the client's end, is seen by those before him. */
    for (struct wr_stage *g = c->first; g && g->_next; g = g->_next) {
        if (g->_in && wr_pipe_is_orphan(g->_out)) {
            close_stage(g);
        }
    }
}

static bool is_held(const struct wr_stages *c)
{
    for (const struct wr_stage *g = c->first; g; g = g->_next) {
        if (g->_in && g->_is_held && g->ops->flush) {
            return true;
        }
    }
    return false;
}

static void run_all(struct wr_stages *c, bool do_flush)
{
    uint64_t before;

    c->budget = WR_STAGE_RUN_MAX;
    do {
        before = get_progress(c);
        step_all(c, do_flush);
    } while (c->budget > 0 && get_progress(c) != before);
    c->flush_at_ms = 0;
    if (c->budget == 0) {
        wr_timer_arm(&c->timer, wr_now_ms()); /* in the next turn: others come first */
    } else if (!do_flush && is_held(c)) {
        c->flush_at_ms = wr_now_ms() + WR_STAGE_IDLE_MS;
        wr_timer_arm(&c->timer, c->flush_at_ms);
    } else {
        wr_timer_disarm(&c->timer);
    }
}

static void run_stages(struct wr_task *t)
{
    struct wr_stages *c = wr_container_of(t, struct wr_stages, task);
    bool is_due = c->flush_at_ms != 0 && wr_deadline_is_due(c->flush_at_ms, wr_now_ms());

    if (!c->is_closed) {
        run_all(c, c->req->is_streamed || is_due);
    }
}

/* ---- for filters -----------------------------------------------------------------------------
 */

static void close_all(struct wr_stages *c)
{
    if (c->is_closed) {
        return;
    }
    c->is_closed = true;
    wr_timer_fini(&c->timer);
    wr_task_cancel(&c->task);
    for (struct wr_stage *g = c->first; g; g = g->_next) {
        close_stage(g);
    }
}

static void fini_stages(void *data)
{
    close_all(data);
}

static struct wr_stages *get_stages(struct wr_req *r)
{
    struct wr_reqx *x = wr_reqx_of(r);
    struct wr_stages *c = x->stages;

    if (!c) {
        c = wr_arena_zalloc(r->arena, sizeof(*c));
        if (!c || wr_arena_on_fini(r->arena, fini_stages, c) != WR_OK) {
            return NULL;
        }
        wr_task_init(&c->task, run_stages, "stages");
        wr_timer_init(&c->timer, &c->task);
        c->req = r;
        x->stages = c;
    }
    return c;
}

enum wr_status wr_stage_add(struct wr_req *r, struct wr_stage *g, const struct wr_stage_ops *ops,
                            size_t high)
{
    struct wr_stages *c = get_stages(r);
    struct wr_pipe *out = c ? wr_pipe_new(WR_MAX(high, (size_t)4096), &c->task, NULL) : NULL;

    if (!out) {
        return WR_ENOMEM;
    }
    g->ops = ops;
    g->req = r;
    g->_in = r->out_pipe;
    g->_out = out;
    r->out_pipe = out;
    if (c->last) {
        wr_pipe_hand(c->last->_out, WR_PIPE_PRODUCER, NULL);
        c->last->_next = g;
    } else {
        c->first = g;
        wr_pipe_hand(g->_in, WR_PIPE_CONSUMER, &c->task);
    }
    c->last = g;
    return WR_OK;
}

static enum wr_status make_weak(struct wr_req *r, struct wr_str *tag)
{
    char *p = wr_arena_bytes(r->arena, tag->len + 2);

    if (!p) {
        return WR_ENOMEM;
    }
    memcpy(p, "W/", 2);
    memcpy(p + 2, tag->ptr, tag->len);
    *tag = wr_str(p, tag->len + 2);
    return WR_OK;
}

enum wr_status wr_stage_changes_body(struct wr_req *r)
{
    struct wr_hdr *etag = wr_hdrs_get(&r->out.hdrs, WR_HDR_ETAG);

    r->out.content_length = WR_LENGTH_UNKNOWN;
    r->can_range = false;
    if (wr_hdrs_has(&r->out.hdrs, WR_HDR_ACCEPT_RANGES)) {
        wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_ACCEPT_RANGES);
    }
    if (!etag || wr_str_has_prefix(etag->value, WR_STR("W/"))) {
        return WR_OK;
    }
    if (etag->value.len == 0 || etag->value.ptr[0] != '"') {
        wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_ETAG); /* no tag as of RFC 9110 */
        return WR_OK;
    }
    return make_weak(r, &etag->value);
}

bool wr_stage_has_body(const struct wr_req *r)
{
    if (r->out_pipe) {
        return true;
    }
    return r->head->method == WR_METHOD_HEAD && r->out.content_length != 0 &&
           !wr_status_is_bodyless(r->out.status, WR_METHOD_GET);
}

/* ---- for take, flush, finish -----------------------------------------------------------------
 */

char *wr_stage_room(struct wr_stage *g, size_t want, size_t *ret_len)
{
    return wr_pipe_reserve(g->_out, want, ret_len);
}

void wr_stage_commit(struct wr_stage *g, size_t n)
{
    g->given += n;
    wr_pipe_commit(g->_out, n);
}

size_t wr_stage_free(struct wr_stage *g)
{
    return wr_pipe_room(g->_out);
}

enum wr_status wr_stage_give(struct wr_stage *g, const void *p, size_t n)
{
    g->given += n;
    return wr_pipe_push_copy(g->_out, p, n);
}

enum wr_status wr_stage_pass(struct wr_stage *g, struct wr_pipe *p)
{
    uint64_t before = g->_out->in_total;
    enum wr_status st = pass_slices(g->_out, p);

    g->given += g->_out->in_total - before;
    if (st == WR_OK && wr_pipe_front(p)) {
        return WR_AGAIN;
    }
    return st;
}

struct wr_task *wr_stage_task(const struct wr_stage *g)
{
    return &wr_reqx_of(g->req)->stages->task;
}

/* ---- of the request --------------------------------------------------------------------------
 */

void wr_stages_start(struct wr_req *r)
{
    struct wr_stages *c = wr_reqx_of(r)->stages;

    if (c && !c->is_closed) {
        run_all(c, r->is_streamed);
        wr_task_cancel(&c->task); /* what woke it was seen */
    }
}

const struct wr_pipe *wr_stages_source(const struct wr_req *r)
{
    const struct wr_stages *c = wr_reqx_of_const(r)->stages;

    return c && c->first ? c->first->_in : NULL;
}

void wr_stages_close(struct wr_req *r)
{
    struct wr_stages *c = wr_reqx_of(r)->stages;

    if (c) {
        close_all(c);
    }
}

void wr_stages_drop(struct wr_req *r)
{
    wr_stages_close(r);
    wr_reqx_of(r)->stages = NULL;
}
