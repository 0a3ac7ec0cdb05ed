/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simple_send.c: the request of one exchange: the bytes that create_request appended, then the
 * client's body raw or in the table's frames, from memory or a file, in as few calls as possible.
 * Done when the last byte is with the kernel. Owner thread only.
 *
 *   head_out | frame, frame_left bytes of the body | frame ... | end
 */
#include "proto/simple_int.h"

#include <errno.h>

#include "base/obj.h"

#define IOV_CNT       32
#define SEND_FILE_MAX (1u << 30)

void simple_leave_out(struct simple_xchg *x)
{
    struct wr_pipe *out = wr_take(&x->out);

    wr_chunk_unref(wr_take(&x->file_buf));
    x->head_out = WR_STR_NULL;
    if (out != NULL) {
        wr_pipe_leave_consumer(out);
    }
}

/* min(*n, have) of the bytes sent were these. */
static size_t take_sent(size_t *n, size_t have)
{
    size_t m = WR_MIN(*n, have);

    *n -= m;
    return m;
}

static void account_body(struct simple_xchg *x, size_t n)
{
    if (n == 0) {
        return;
    }
    x->s.tx_body_bytes += n;
    if (x->table->frame_body != NULL) {
        x->frame_left -= n;
    }
    if (x->file_buf != NULL) {
        x->file_off += (uint32_t)n;
        if (x->file_off == x->file_buf->fill) {
            wr_chunk_unref(wr_take(&x->file_buf));
        }
    }
    wr_pipe_consume(x->out, n);
}

/* n bytes went out, in the order of plan. */
static void account(struct simple_xchg *x, size_t n)
{
    bool is_framed = x->table->frame_body != NULL;

    x->s.tx_bytes += n;
    x->got_out = x->got_out || n > 0;
    x->head_out = wr_str_sub(x->head_out, take_sent(&n, x->head_out.len), x->head_out.len);
    x->frame_off += (uint8_t)take_sent(&n, (size_t)x->frame_len - x->frame_off);
    account_body(x, is_framed ? take_sent(&n, (size_t)x->frame_left) : n);
    x->end_off += (uint8_t)(is_framed ? n : 0);
}

static bool is_frame_over(const struct simple_xchg *x)
{
    return x->frame_off == x->frame_len && x->frame_left == 0;
}

/* Behind a whole frame: the next one, of what is here; with the last one the body's end. */
static void begin_frame(struct simple_xchg *x)
{
    uint64_t here = x->out == NULL ? 0 : wr_pipe_queued(x->out);
    size_t n = (size_t)WR_MIN(here, (uint64_t)x->table->frame_max);

    if (x->is_end_framed || !is_frame_over(x)) {
        return;
    }
    if (n > 0) {
        x->frame_off = 0;
        x->frame_len = (uint8_t)x->table->frame_body(x->q, n, x->frame);
        x->frame_left = n;
    }
    if (n == here && (x->out == NULL || x->out->state == WR_PIPE_EOF)) {
        x->end_len = (uint8_t)x->table->frame_body(x->q, 0, x->end);
        x->is_end_framed = true;
    }
}

/* Without send_file the front of a file slice goes through a buffer. */
static enum wr_status read_file(struct simple_xchg *x, const struct wr_slice *f)
{
    struct wr_chunk *b = wr_chunk_new(WR_CHUNK_64K);
    size_t n = 0;

    if (b == NULL) {
        return WR_ENOMEM;
    }
    if (wr_file_read(f->u.file, f->off, b->data, (size_t)WR_MIN(f->len, (uint64_t)b->cap), &n) !=
            WR_OK ||
        n == 0) {
        wr_chunk_unref(b);
        return WR_ECANCELED;
    }
    b->fill = (uint32_t)n;
    x->file_buf = b;
    x->file_off = 0;
    return WR_OK;
}

/* The next piece, if there is any. */
static void plan_piece(struct iovec *iov, int *cnt, const char *p, size_t n, size_t *total)
{
    union {
        const char *in;
        void *out; /* a send does not write there */
    } u = {.in = p};

    if (n > 0) {
        iov[(*cnt)++] = (struct iovec){u.out, n};
        *total += n;
    }
}

/* Request bytes, the beginning of a frame, body, the body's end: as far as all that is before is in
 * memory. */
static int plan(struct simple_xchg *x, struct iovec *iov, size_t *ret_total)
{
    bool is_framed = x->table->frame_body != NULL;
    size_t max = is_framed ? (size_t)x->frame_left : SIZE_MAX, n = 0, total = 0;
    int cnt = 0;

    plan_piece(iov, &cnt, x->head_out.ptr, x->head_out.len, &total);
    plan_piece(iov, &cnt, x->frame + x->frame_off, (size_t)x->frame_len - x->frame_off, &total);
    if (x->file_buf != NULL) {
        n = WR_MIN((size_t)(x->file_buf->fill - x->file_off), max);
        plan_piece(iov, &cnt, x->file_buf->data + x->file_off, n, &total);
    } else if (x->out != NULL && max > 0) {
        cnt += wr_pipe_peek_now(x->out, iov + cnt, IOV_CNT - 1 - cnt, max, &n);
        total += n;
    }
    if (is_framed && n == x->frame_left) {
        plan_piece(iov, &cnt, x->end + x->end_off, (size_t)x->end_len - x->end_off, &total);
    }
    *ret_total = total;
    return cnt;
}

static enum wr_status send_file(struct wr_conn *conn, const struct wr_slice *f, uint64_t max,
                                size_t *ret_total, size_t *ret_n)
{
    enum wr_status st;

    *ret_total = (size_t)WR_MIN(WR_MIN(f->len, max), (uint64_t)SEND_FILE_MAX);
    st = conn->link->ops->send_file(conn->link, f->u.file, f->off, *ret_total, ret_n);
    return st == WR_EOF ? WR_ECANCELED : st; /* the file became shorter */
}

/* The file slice that is next to go, or NULL. */
static const struct wr_slice *file_at_front(const struct simple_xchg *x)
{
    const struct wr_slice *f;

    if (x->out == NULL || x->file_buf != NULL) {
        return NULL;
    }
    f = wr_pipe_front(x->out);
    return f != NULL && f->kind == WR_SLICE_FILE ? f : NULL;
}

/* What is in memory. WR_EOF: nothing. */
static enum wr_status send_memory(struct simple_xchg *x, struct wr_conn *conn, size_t *ret_total,
                                  size_t *ret_n)
{
    struct iovec iov[IOV_CNT];
    int cnt = plan(x, iov, ret_total);

    return cnt == 0 ? WR_EOF : wr_conn_send(conn, iov, cnt, ret_n);
}

/* One send. WR_OK: look for more; WR_EOF: nothing is here; WR_AGAIN: the peer takes no more now. */
static enum wr_status send_once(struct simple_xchg *x, struct wr_conn *conn)
{
    const struct wr_slice *f = file_at_front(x);
    bool has_send_file = conn->link->ops->send_file != NULL;
    bool is_framed = x->table->frame_body != NULL;
    size_t total = 0, n = 0;
    enum wr_status st = WR_OK;

    if (is_framed) {
        begin_frame(x);
    }
    if (f != NULL && has_send_file && x->head_out.len == 0 && x->frame_off == x->frame_len) {
        st = send_file(conn, f, is_framed ? x->frame_left : UINT64_MAX, &total, &n);
    } else {
        if (f != NULL && !has_send_file) {
            st = read_file(x, f);
        }
        if (st == WR_OK) {
            st = send_memory(x, conn, &total, &n);
        }
    }
    if (st != WR_OK) {
        return st;
    }
    account(x, n);
    return n < total ? WR_AGAIN : WR_OK;
}

/* Nothing is left to send now. */
static bool end_or_wait(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;

    if (x->out != NULL && !wr_pipe_is_spent(x->out)) {
        return true;
    }
    WR_DEBUG_ASSERT(x->table->frame_body == NULL || x->out == NULL ||
                    x->out->state != WR_PIPE_EOF || (x->is_end_framed && x->end_off == x->end_len));
    if (x->out != NULL && x->out->state != WR_PIPE_EOF) {
        enum wr_reason why = (enum wr_reason)x->out->reason;

        return simple_fail(c, why != WR_REASON_NONE ? why : WR_REASON_CANCELED, 0);
    }
    simple_leave_out(x);
    wr_stream_set_tx(&x->s, WR_HALF_DONE);
    wr_task_wake_opt(x->s.user);
    return true;
}

/* No byte of ours goes out any more, but an answer may still come (U4.5). */
static bool survive_send_failure(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;
    bool wants;

    x->is_dead = true;
    x->tx_err = c->pc.conn->io.err != 0 ? c->pc.conn->io.err : EPIPE;
    simple_leave_out(x);
    return simple_pump_in(c, &wants);
}

bool simple_pump_out(struct simple_pconn *c)
{
    struct simple_xchg *x = c->x;
    struct wr_conn *conn = c->pc.conn;
    enum wr_status st;

    if (x->s.tx >= WR_HALF_DONE || x->is_dead) {
        return true;
    }
    if ((conn->io.facts & WR_IO_WRITABLE) != 0) {
        conn->io.facts &= (uint16_t)~WR_IO_WRITABLE;
        x->is_blocked = false;
    }
    if (x->is_blocked) {
        return true;
    }
    do {
        st = send_once(x, conn);
    } while (st == WR_OK);
    if (st == WR_EOF) {
        return end_or_wait(c);
    }
    if (st == WR_AGAIN) {
        x->is_blocked = true;
        return true;
    }
    if (st == WR_ENOMEM || st == WR_ECANCELED) {
        return simple_fail(c, st == WR_ENOMEM ? WR_REASON_NOMEM : WR_REASON_CANCELED, 0);
    }
    return survive_send_failure(c);
}
