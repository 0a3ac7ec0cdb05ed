/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub.c: subrequests, see sub.h: the codec end of a child's stream. It takes the response head and
 * the consumer end of the body's pipe, and gives them to the holder.
 *
 *   struct wr_sub (slab): stream | arena | head     freed at the grave when the child has released
 *                                                   the stream and the holder has left
 *
 * Nothing here calls up but the `answered` of who opened it. Parent's thread only.
 */
#include "http/sub.h"

#include "base/codec.h"
#include "base/list.h"
#include "base/obj.h"
#include "base/slab.h"
#include "base/strbuf.h"
#include "event/grave.h"
#include "http/core_conf.h"
#include "http/req_int.h"
#include "http/stage.h"
#include "io/pipe.h"

#define SUB_MAGIC   0x73756221u
#define READ_PIECE  16384u
#define BODY_HIGH   ((size_t)1 << 40) /* slices, not bytes, are what a shared body holds */
#define FIELDS_MORE 4u

struct wr_sub {
    struct wr_stream s; /* first */
    uint32_t magic;
    uint8_t state; /* enum wr_sub_state */
    uint8_t mode;  /* enum wr_sub_mode */
    bool is_held;  /* the holder has not left */
    uint16_t status;
    struct wr_req *parent;
    struct wr_req *child; /* NULL once it has released the stream */
    struct wr_list node;  /* parent's subs */
    struct wr_task task;  /* reads what nobody passes: MEMORY, and what is dropped */
    struct wr_task *waiter;
    void (*answered)(struct wr_req *child, void *data);
    void *data;
    struct wr_pipe *out; /* consumer end */
    struct wr_strbuf body;
    uint64_t dropped;
    struct wr_msg head; /* the child's: fields of the parent, a line and framing of its own */
    struct wr_arena arena;
    struct wr_grave grave;
};

static struct wr_sub *sub_of(struct wr_stream *s)
{
    struct wr_sub *u = wr_container_of(s, struct wr_sub, s);

    wr_obj_check(u, SUB_MAGIC);
    return u;
}

static void free_sub(struct wr_grave *g)
{
    struct wr_sub *u = wr_container_of(g, struct wr_sub, grave);

    wr_arena_fini(&u->arena);
    wr_obj_kill(&u->s);
    wr_obj_kill(u);
    wr_slab_free(u, sizeof(*u));
}

static void bury(struct wr_sub *u)
{
    wr_list_remove(&u->node);
    wr_task_cancel(&u->task);
    u->s.codec = NULL;
    wr_grave_bury(&u->grave, free_sub);
}

static void leave_out(struct wr_sub *u)
{
    if (u->out) {
        wr_pipe_leave_consumer(wr_take(&u->out));
    }
}

static void set_state(struct wr_sub *u, enum wr_sub_state to)
{
    u->state = (uint8_t)to;
    wr_task_wake_opt(u->waiter);
}

/* All of the body is taken. */
static void finish(struct wr_sub *u)
{
    leave_out(u);
    if (u->s.tx == WR_HALF_BODY) {
        wr_stream_set_tx(&u->s, WR_HALF_DONE);
    }
    wr_task_wake_opt(u->s.user);
    set_state(u, WR_SUB_WHOLE);
}

/* The exchange ends here; what the child asked for itself does not wake it. */
static void end_exchange(struct wr_sub *u, enum wr_reason why)
{
    if (u->state == WR_SUB_WHOLE || u->state == WR_SUB_FAILED) {
        return;
    }
    if (u->status == 0 && u->child) {
        u->status = u->child->status; /* 444: closed without an answer */
    }
    (void)wr_stream_break(&u->s, why, 0); /* when it was broken already the pipe is left still */
    leave_out(u);
    set_state(u, WR_SUB_FAILED);
}

/* The child sees its client gone. */
static void break_sub(struct wr_sub *u, enum wr_reason why)
{
    end_exchange(u, why);
    wr_task_wake_opt(u->s.user);
}

/* ---- a body that nobody passes ----------------------------------------------------------------
 */

/* More than the location allows: the answer is lost. */
static void refuse_big(struct wr_sub *u)
{
    wr_log(&u->child->log, WR_LOG_ERROR,
           "the answer of a subrequest is larger than subrequest_output_buffer_size, %zu bytes",
           u->body.max);
    u->status = 502;
    break_sub(u, WR_REASON_BIG_BODY);
}

static enum wr_status add_slice(struct wr_sub *u, const struct wr_slice *s)
{
    uint64_t at = 0;

    if (s->kind != WR_SLICE_FILE) {
        const char *p = s->kind == WR_SLICE_CHUNK ? s->u.chunk->data : s->u.text;

        wr_strbuf_add(&u->body, p + s->off, (size_t)s->len);
        return u->body.status;
    }
    while (at < s->len) {
        size_t n = (size_t)WR_MIN(s->len - at, (uint64_t)READ_PIECE), got = 0;
        char *room = wr_strbuf_reserve(&u->body, n);

        if (!room) {
            return u->body.status;
        }
        if (wr_file_read(s->u.file, s->off + at, room, n, &got) != WR_OK || got == 0) {
            return WR_ESYS;
        }
        wr_strbuf_commit(&u->body, got);
        at += got;
    }
    return WR_OK;
}

/* False: it is over. */
static bool gather(struct wr_sub *u)
{
    const struct wr_slice *s;

    if (wr_pipe_queued(u->out) > u->body.max - u->body.len) {
        refuse_big(u);
        return false;
    }
    while ((s = wr_pipe_front(u->out)) != NULL) {
        uint64_t n = s->len;
        enum wr_status st = s->kind == WR_SLICE_KPIPE ? WR_ESYS : add_slice(u, s);

        if (st != WR_OK) {
            u->status = 500;
            break_sub(u, st == WR_ENOMEM ? WR_REASON_NOMEM : WR_REASON_INTERNAL);
            return false;
        }
        wr_pipe_consume(u->out, n);
        u->s.tx_body_bytes += n;
    }
    return true;
}

static bool drop(struct wr_sub *u)
{
    uint64_t n = wr_pipe_queued(u->out);

    wr_pipe_consume(u->out, n);
    u->s.tx_body_bytes += n;
    u->dropped += n;
    if (u->dropped > WR_SUB_DROP_MAX) {
        break_sub(u, WR_REASON_DONE);
        return false;
    }
    return true;
}

static bool wants_body(const struct wr_sub *u)
{
    return u->mode == WR_SUB_MEMORY && u->status < 300;
}

/* The pipe's end, once all was taken. False: there will be more. */
static bool see_end(struct wr_sub *u)
{
    if (!wr_pipe_is_spent(u->out)) {
        return false;
    }
    if (u->out->state == WR_PIPE_EOF) {
        finish(u);
    } else {
        u->status = wants_body(u) ? 502 : u->status;
        break_sub(u, u->out->reason != 0 ? (enum wr_reason)u->out->reason : WR_REASON_TRUNCATED);
    }
    return true;
}

static void run_sub(struct wr_task *t)
{
    struct wr_sub *u = wr_container_of(t, struct wr_sub, task);

    wr_obj_check(u, SUB_MAGIC);
    if (u->out && (wants_body(u) ? gather(u) : drop(u))) {
        (void)see_end(u); /* else the pipe wakes */
    }
}

/* ---- the stream's down-calls ------------------------------------------------------------------
 */

static void start_op(struct wr_stream *s)
{
    struct wr_sub *u = sub_of(s);

    if (s->tx != WR_HALF_WAIT) {
        return;
    }
    s->is_started = true;
    wr_stream_set_tx(s, WR_HALF_BODY);
    u->status = s->head_out->status;
    u->out = wr_take(&s->out);
    if (u->answered) {
        u->answered(u->child, u->data);
    }
    if (!u->out) {
        set_state(u, WR_SUB_ANSWERED);
        if (u->child->is_header_only || s->head_out->content_length == 0) {
            finish(u);
        } else {
            break_sub(u, WR_REASON_TRUNCATED); /* for want of memory there is no pipe */
        }
        return;
    }
    if (u->mode == WR_SUB_ORDER) {
        wr_pipe_hand(u->out, WR_PIPE_CONSUMER, u->waiter);
    } else {
        wr_pipe_hand(u->out, WR_PIPE_CONSUMER, &u->task);
        wr_task_wake(&u->task);
    }
    set_state(u, WR_SUB_ANSWERED);
}

static enum wr_status want_body_op(struct wr_stream *s, size_t high)
{
    (void)s, (void)high; /* its body, if there is one, is there from the beginning */
    return WR_ECANCELED;
}

static void interim_op(struct wr_stream *s, const struct wr_msg *m)
{
    (void)s, (void)m; /* hints of a part are no hints of the whole */
}

static void reset_op(struct wr_stream *s, enum wr_reason why)
{
    end_exchange(sub_of(s), why);
}

static void release_op(struct wr_stream *s)
{
    struct wr_sub *u = sub_of(s);

    s->user = NULL;
    end_exchange(u, WR_REASON_CANCELED);
    u->child = NULL;
    wr_reqx_of(u->parent)->subs_live--;
    if (u->mode == WR_SUB_BACKGROUND) {
        wr_server_give_background();
    }
    wr_task_wake(&u->parent->task);
    if (!u->is_held) {
        bury(u);
    }
}

static enum wr_status tunnel_op(struct wr_stream *s)
{
    (void)s;
    return WR_EPEERGONE;
}

static const struct wr_stream_ops sub_ops = {
    .name = "subrequest",
    .start = start_op,
    .want_body = want_body_op,
    .interim = interim_op,
    .reset = reset_op,
    .release = release_op,
    .tunnel = tunnel_op,
};

/* ---- opening ---------------------------------------------------------------------------------
 */

/* Fields that ask for less than the text as it is, which is what is put into another text. */
static bool is_conditional(unsigned id)
{
    return id == WR_HDR_IF_MODIFIED_SINCE || id == WR_HDR_IF_NONE_MATCH || id == WR_HDR_IF_MATCH ||
           id == WR_HDR_IF_UNMODIFIED_SINCE || id == WR_HDR_IF_RANGE || id == WR_HDR_RANGE ||
           id == WR_HDR_ACCEPT_ENCODING;
}

static bool is_passed(const struct wr_sub *u, unsigned flags, const struct wr_hdr *h)
{
    if (h->is_removed || h->id == WR_HDR_TRANSFER_ENCODING || h->id == WR_HDR_EXPECT ||
        (h->id == WR_HDR_CONTENT_LENGTH && (flags & WR_SUB_SEND_BODY) == 0)) {
        return false;
    }
    return (u->mode != WR_SUB_ORDER && u->mode != WR_SUB_MEMORY) || !is_conditional(h->id);
}

static enum wr_status make_head(struct wr_sub *u, unsigned flags)
{
    const struct wr_msg *from = u->parent->head;
    struct wr_msg *m = &u->head;
    enum wr_status st = WR_OK;

    *m = *from;
    m->flags &= ~(unsigned)(WR_MSG_UPGRADE | WR_MSG_EXPECT);
    m->framing = WR_FRAMING_NONE;
    m->content_length = 0;
    if ((flags & WR_SUB_SAME_METHOD) == 0) {
        m->method = WR_METHOD_GET;
        m->method_name = wr_method_name(WR_METHOD_GET);
    }
    wr_hdrs_init(&m->hdrs, &u->arena, from->hdrs.cnt + FIELDS_MORE);
    for (uint32_t i = 0; i < from->hdrs.cnt && st == WR_OK; i++) {
        const struct wr_hdr *h = &from->hdrs.at[i];

        if (is_passed(u, flags, h)) {
            st = wr_hdrs_push(&m->hdrs, h->name, h->value, (enum wr_hdr_id)h->id);
        }
    }
    return st;
}

/* The parent's body once more: slices are shared, the position is the child's own. */
static enum wr_status share_body(struct wr_req *r, const struct wr_req *parent)
{
    struct wr_msg *head = r->head;
    uint64_t n = 0, from = 0;
    enum wr_status st = WR_OK;
    struct wr_pipe *p;

    if (parent->body_state != WR_BODY_WHOLE || !parent->body) {
        return WR_OK;
    }
    p = wr_pipe_new(BODY_HIGH, NULL, &r->task);
    if (!p) {
        return WR_ENOMEM;
    }
    r->body = p; /* the child's from now on, also if it stays short */
    while (st == WR_OK && from < parent->body_len) {
        st = wr_pipe_share(p, parent->body, from, UINT64_MAX, &n);
        from += st == WR_OK ? n : 0;
    }
    wr_pipe_eof(p);
    wr_pipe_leave_producer(p);
    r->body_state = WR_BODY_WHOLE;
    r->body_len = parent->body_len;
    head->framing = WR_FRAMING_LENGTH;
    head->content_length = parent->body_len;
    return st;
}

/* Takes a place in the background, too. */
static bool may_open(struct wr_req *parent, const struct wr_sub_opts *o)
{
    struct wr_reqx *main = wr_reqx_of(parent->main);

    if (parent->depth >= WR_SUB_DEPTH_MAX) {
        wr_log(&parent->log, WR_LOG_ERROR, "subrequests cycle while processing \"%.*s\"",
               WR_STR_ARG(o->uri));
        return false;
    }
    if (main->subs_total >= WR_SUB_TOTAL_MAX) {
        wr_log(&parent->log, WR_LOG_ERROR, "more than %u subrequests while processing \"%.*s\"",
               WR_SUB_TOTAL_MAX, WR_STR_ARG(o->uri));
        return false;
    }
    if (o->mode == WR_SUB_BACKGROUND && !wr_server_take_background(parent->http)) {
        wr_log(&parent->log, WR_LOG_ERROR,
               "worker_connections (%u) subrequests are in the "
               "background, \"%.*s\" is left out",
               parent->http->worker_connections, WR_STR_ARG(o->uri));
        return false;
    }
    return true;
}

static void init_stream(struct wr_sub *u)
{
    const struct wr_stream *p = u->parent->stream;
    struct wr_stream *s = &u->s;

    wr_obj_init(s, WR_STREAM_MAGIC);
    s->ops = &sub_ops;
    s->codec = u;
    s->is_server = true;
    s->version = p->version;
    s->arena = &u->arena;
    s->head_in = &u->head;
    s->began_us = p->began_us;
    wr_stream_set_rx(s, WR_HALF_BODY);
    wr_stream_set_rx(s, WR_HALF_DONE);
}

static struct wr_sub *make_sub(struct wr_req *parent, const struct wr_sub_opts *o)
{
    struct wr_sub *u = wr_slab_alloc(sizeof(*u));

    if (!u) {
        return NULL;
    }
    *u = (struct wr_sub){.mode = (uint8_t)o->mode,
                         .parent = parent,
                         .waiter = o->waiter,
                         .answered = o->answered,
                         .data = o->data,
                         .is_held = o->mode != WR_SUB_BACKGROUND};
    wr_obj_init(u, SUB_MAGIC);
    wr_arena_init(&u->arena, parent->arena->cap);
    wr_list_init(&u->node);
    wr_task_init(&u->task, run_sub, "subrequest");
    init_stream(u);
    return u;
}

/* What was made of a child that never ran; NULL: nothing was. */
static void unmake_sub(struct wr_sub *u)
{
    if (!u) {
        return;
    }
    if (u->child) {
        wr_req_body_release(u->child);
        wr_timer_fini(&u->child->timer);
        wr_task_cancel(&u->child->task);
    }
    free_sub(&u->grave);
}

static enum wr_status fill_sub(struct wr_sub *u, const struct wr_sub_opts *o)
{
    struct wr_reqx *x = wr_arena_zalloc(&u->arena, sizeof(*x));
    struct wr_str uri, args;
    enum wr_status st = x ? make_head(u, o->flags) : WR_ENOMEM;

    if (st == WR_OK) {
        st = wr_arena_dup(&u->arena, o->uri, &uri);
    }
    if (st == WR_OK) {
        st = wr_arena_dup(&u->arena, o->args, &args);
    }
    if (st != WR_OK) {
        return st;
    }
    u->child = &x->r;
    wr_req_init_sub(x, &u->s, u->parent);
    x->r.uri = (struct wr_uri){.raw = uri, .path = uri, .args = args, .has_args = args.len > 0};
    if ((o->flags & WR_SUB_SEND_BODY) != 0) {
        st = share_body(&x->r, u->parent);
    }
    if (st == WR_OK) {
        wr_strbuf_init_arena(&u->body, &u->arena,
                             (size_t)wr_core_loc_of(u->parent)->subrequest_buffer_size);
    }
    return st;
}

enum wr_status wr_sub_open(struct wr_req *parent, const struct wr_sub_opts *o, struct wr_sub **ret)
{
    struct wr_reqx *x = wr_reqx_of(parent);
    struct wr_sub *u;
    enum wr_status st;

    wr_obj_check(parent, WR_REQ_MAGIC);
    if (!may_open(parent, o)) {
        return WR_ELIMIT;
    }
    u = make_sub(parent, o);
    st = u ? fill_sub(u, o) : WR_ENOMEM;
    if (st != WR_OK) {
        unmake_sub(u);
        if (o->mode == WR_SUB_BACKGROUND) {
            wr_server_give_background();
        }
        return st;
    }
    wr_reqx_of(parent->main)->subs_total++;
    x->subs_live++;
    wr_list_push(&x->subs, &u->node);
    wr_log_debug(&parent->log, "req %llu: subrequest %llu \"%.*s\"", (unsigned long long)parent->id,
                 (unsigned long long)u->child->id, WR_STR_ARG(o->uri));
    u->s.user = &u->child->task;
    wr_task_wake(&u->child->task);
    if (u->is_held) {
        *ret = u;
    }
    return WR_OK;
}

void wr_sub_split_uri(struct wr_str text, struct wr_sub_opts *o)
{
    size_t q = wr_str_find(text, '?');

    o->uri = wr_str_sub(text, 0, q);
    o->args = q < text.len ? wr_str_sub(text, q + 1, text.len) : WR_STR("");
}

enum wr_status wr_sub_set_uri(struct wr_req *r, struct wr_str text, struct wr_sub_opts *o)
{
    struct wr_str folder = WR_STR_NULL;
    struct wr_strbuf b;
    enum wr_status st;

    wr_sub_split_uri(text, o);
    if (o->uri.len == 0 || o->uri.ptr[0] != '/') {
        folder = r->uri.path;
        while (folder.len > 0 && folder.ptr[folder.len - 1] != '/') {
            folder.len--;
        }
    }
    wr_strbuf_init_arena(&b, r->arena, folder.len + o->uri.len);
    wr_strbuf_add_str(&b, folder);
    st = wr_codec_percent_decode(&b, o->uri);
    if (st == WR_OK) {
        st = b.status;
    }
    if (st != WR_OK) {
        return st;
    }
    o->uri = wr_strbuf_str(&b);
    return wr_uri_is_safe(o->uri) ? WR_OK : WR_EPROTO;
}

/* ---- the holder ------------------------------------------------------------------------------
 */

enum wr_sub_state wr_sub_get_state(const struct wr_sub *u)
{
    return (enum wr_sub_state)u->state;
}

unsigned wr_sub_status(const struct wr_sub *u)
{
    return u->status;
}

const struct wr_msg *wr_sub_head(const struct wr_sub *u)
{
    return u->s.head_out;
}

struct wr_str wr_sub_body(const struct wr_sub *u)
{
    return wr_strbuf_str(&u->body);
}

bool wr_sub_has_bytes(const struct wr_sub *u)
{
    return u->out && wr_pipe_queued(u->out) > 0;
}

enum wr_status wr_sub_pass(struct wr_sub *u, struct wr_stage *g)
{
    uint64_t before;
    enum wr_status st;

    wr_obj_check(u, SUB_MAGIC);
    if (u->state == WR_SUB_FAILED) {
        return WR_ECANCELED;
    }
    if (!u->out) {
        return u->state == WR_SUB_WHOLE ? WR_OK : WR_AGAIN;
    }
    before = u->out->out_total;
    st = wr_stage_pass(g, u->out);
    u->s.tx_body_bytes += u->out->out_total - before;
    if (st != WR_OK) {
        return st;
    }
    if (!see_end(u)) {
        return WR_AGAIN;
    }
    return u->state == WR_SUB_WHOLE ? WR_OK : WR_ECANCELED;
}

/* What a parent that is not given up leaves alone. */
static bool outlives(const struct wr_sub *u)
{
    return u->mode == WR_SUB_BACKGROUND || (u->mode == WR_SUB_HEAD && u->state != WR_SUB_RUNNING);
}

void wr_sub_leave(struct wr_sub *u)
{
    if (!u) {
        return;
    }
    wr_obj_check(u, SUB_MAGIC);
    u->is_held = false;
    u->waiter = NULL;
    if (!u->child) {
        bury(u);
    } else if (!outlives(u)) {
        break_sub(u, WR_REASON_CANCELED);
    }
}

/* ---- the parent's ends -------------------------------------------------------------------------
 */

/* An answered one that is still read: from now on in the background, if there is a place. */
static bool goes_on(struct wr_sub *u)
{
    if (u->mode == WR_SUB_HEAD && outlives(u) && wr_server_take_background(u->parent->http)) {
        u->mode = WR_SUB_BACKGROUND;
    }
    return u->mode == WR_SUB_BACKGROUND;
}

void wr_subs_cancel(struct wr_reqx *x, enum wr_subs_which which)
{
    struct wr_list *n, *t;

    WR_LIST_FOREACH_SAFE (n, t, &x->subs) {
        struct wr_sub *u = wr_container_of(n, struct wr_sub, node);

        if (u->child && (which == WR_SUBS_ALL || !goes_on(u))) {
            break_sub(u, WR_REASON_CANCELED);
        }
    }
}

void wr_subs_note_gone(struct wr_reqx *x)
{
    struct wr_list *n;

    WR_LIST_FOREACH (n, &x->subs) {
        struct wr_sub *u = wr_container_of(n, struct wr_sub, node);

        if (u->child && !u->s.is_gone && !outlives(u)) {
            u->s.is_gone = true;
            wr_task_wake(&u->child->task);
        }
    }
}

void wr_subs_close(struct wr_reqx *x)
{
    struct wr_list *n, *t;

    WR_LIST_FOREACH_SAFE (n, t, &x->subs) {
        wr_sub_leave(wr_container_of(n, struct wr_sub, node));
    }
}
