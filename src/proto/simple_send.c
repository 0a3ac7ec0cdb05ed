/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simple_send.c: the request of one exchange: the bytes that create_request appended, then the
 * client's body raw, from memory or a file, in as few calls as possible. Done when the last byte is
 * with the kernel. Owner thread only.
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

static void account(struct simple_xchg *x, size_t n)
{
    size_t m = WR_MIN(n, x->head_out.len);

    x->s.tx_bytes += n;
    x->got_out = x->got_out || n > 0;
    x->head_out = wr_str_sub(x->head_out, m, x->head_out.len);
    n -= m;
    if (n == 0) {
        return;
    }
    x->s.tx_body_bytes += n;
    if (x->file_buf != NULL) {
        x->file_off += (uint32_t)n;
        if (x->file_off == x->file_buf->fill) {
            wr_chunk_unref(wr_take(&x->file_buf));
        }
    }
    wr_pipe_consume(x->out, n);
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

static int plan(struct simple_xchg *x, struct iovec *iov, size_t *ret_total)
{
    union {
        const char *in;
        void *out; /* a send does not write there */
    } u = {.in = x->head_out.ptr};

    size_t n = 0;
    int cnt = 0;

    if (x->head_out.len > 0) {
        iov[cnt++] = (struct iovec){u.out, x->head_out.len};
    }
    if (x->file_buf != NULL) {
        n = x->file_buf->fill - x->file_off;
        iov[cnt++] = (struct iovec){x->file_buf->data + x->file_off, n};
    } else if (x->out != NULL) {
        cnt += wr_pipe_peek(x->out, iov + cnt, IOV_CNT - cnt, SIZE_MAX, &n);
    }
    *ret_total = x->head_out.len + n;
    return cnt;
}

static enum wr_status send_file(struct wr_conn *conn, const struct wr_slice *f, size_t *ret_total,
                                size_t *ret_n)
{
    enum wr_status st;

    *ret_total = (size_t)WR_MIN(f->len, (uint64_t)SEND_FILE_MAX);
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
    size_t total = 0, n = 0;
    enum wr_status st = WR_OK;

    if (f != NULL && has_send_file && x->head_out.len == 0) {
        st = send_file(conn, f, &total, &n);
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
