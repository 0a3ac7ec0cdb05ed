/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_tx.c: bytes of an exchange that go out, the same for both roles of HTTP/1: head and body. See
 * h1_int.h.
 *
 * What goes out is always, in this order: head, size line, body pieces, end; `left` says how much
 * of the body belongs to what was announced. Nothing is copied but heads. Owner thread only.
 */
#include "http/h1_int.h"

#include <string.h>

#include "base/assert.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "http/h1_write.h"
#include "io/piece.h"

#define IOV_BODY_MAX 64
#define IOV_MAX_CNT  (IOV_BODY_MAX + 3)
#define IOV_WHOLE    4 /* pieces of a message that goes at once */
#define FILE_PIECE   65536u
#define FILE_SMALL   4096u /* goes with the head in one call: cheaper read than sent by sendfile */

/* ---- head to the wire ----------------------------------------------------------------------- */

/* Room for at least one more byte, in a chunk of at least this class. */
static enum wr_status grow_head(struct h1_tx *tx, enum wr_chunk_class cls)
{
    struct wr_chunk *old = tx->head;
    uint32_t n = old ? old->fill - tx->head_off : 0;
    struct wr_chunk *c;

    c = wr_chunk_new(cls);
    if (!c) {
        return WR_ENOMEM;
    }
    if (old) {
        if (!WR_ASSERT_REQ(n <= c->cap)) {
            wr_chunk_unref(c);
            return WR_ENOMEM; /* there is no room: this message ends */
        }
        memcpy(c->data, old->data + tx->head_off, n);
        wr_chunk_unref(old);
    }
    c->fill = n;
    tx->head = c;
    tx->head_off = 0;
    return WR_OK;
}

static enum wr_status write_head(struct wr_strbuf *b, const struct wr_msg *m, enum wr_h1_role role,
                                 struct wr_str extra)
{
    enum wr_status st;

    st = role == WR_H1_REQUEST ? wr_h1_write_request(b, m) : wr_h1_write_response(b, m);
    if (st != WR_OK || extra.len == 0) {
        return st;
    }
    /* In place of the empty line. */
    b->len -= 2;
    wr_strbuf_add_str(b, extra);
    wr_strbuf_add(b, "\r\n", 2);
    return b->status;
}

enum wr_status h1_tx_add_head(struct h1_xchg *x, const struct wr_msg *m, enum wr_h1_role role,
                              struct wr_str extra)
{
    struct h1_tx *tx = &x->tx;

    if (!tx->head && grow_head(tx, WR_CHUNK_4K) != WR_OK) {
        return WR_ENOMEM;
    }
    for (;;) {
        struct wr_strbuf b;
        enum wr_status st;

        wr_strbuf_init_fixed(&b, tx->head->data + tx->head->fill, tx->head->cap - tx->head->fill);
        st = write_head(&b, m, role, extra);
        if (st == WR_OK) {
            tx->head->fill += (uint32_t)b.len;
            return WR_OK;
        }
        if (st != WR_ELIMIT || tx->head->cls == WR_CHUNK_256K) {
            return st;
        }
        st = grow_head(tx, (enum wr_chunk_class)(tx->head->cls + 1));
        if (st != WR_OK) {
            return st;
        }
    }
}

/* Fields that say what the codec says by itself. */
static void drop_framing_fields(struct wr_msg *m, bool is_switch, bool is_kept)
{
    static const enum wr_hdr_id ids[] = {WR_HDR_CONTENT_LENGTH, WR_HDR_TRANSFER_ENCODING};

    for (size_t i = 0; i < WR_ARRAY_LEN(ids); i++) {
        if (wr_hdrs_has(&m->hdrs, ids[i])) {
            wr_hdrs_remove_id(&m->hdrs, ids[i]);
        }
    }
    if (!is_switch && wr_hdrs_has(&m->hdrs, WR_HDR_CONNECTION)) {
        wr_hdrs_remove_id(&m->hdrs, WR_HDR_CONNECTION);
    }
    if (!is_kept && wr_hdrs_has(&m->hdrs, WR_HDR_KEEP_ALIVE)) {
        wr_hdrs_remove_id(&m->hdrs, WR_HDR_KEEP_ALIVE);
    }
}

/* A constant to where there is room for it. */
static inline char *put(char *to, struct wr_str s)
{
    memcpy(to, s.ptr, s.len);
    return to + s.len;
}

enum wr_status h1_tx_add_response(struct h1_xchg *x, bool has_length, bool is_kept)
{
    struct wr_msg *m = x->s.head_out;
    char text[128], *end = text; /* all that can come together, and 20 digits */

    drop_framing_fields(m, x->is_switch, is_kept);
    if (has_length && !x->is_switch) {
        end = put(end, WR_STR("Content-Length: "));
        end +=
            wr_num_write_u64(end, m->content_length == WR_LENGTH_UNKNOWN ? 0 : m->content_length);
        end = put(end, WR_STR("\r\n"));
    }
    if (x->tx.framing == WR_FRAMING_CHUNKED) {
        end = put(end, WR_STR("Transfer-Encoding: chunked\r\n"));
    }
    if (!x->is_switch && is_kept) {
        end = put(end, WR_STR("Connection: keep-alive\r\n"));
    } else if (!x->is_switch) {
        end = put(end, WR_STR("Connection: close\r\n"));
    }
    return h1_tx_add_head(x, m, WR_H1_RESPONSE, wr_str(text, (size_t)(end - text)));
}

enum wr_framing h1_tx_choose_framing(const struct h1_xchg *x, bool *ret_length)
{
    const struct wr_msg *m = x->s.head_out;
    enum wr_method method = x->s.head_in->method;
    bool is_known = m->content_length != WR_LENGTH_UNKNOWN;

    *ret_length = false;
    if (wr_status_is_bodyless(m->status, method)) {
        /* HEAD: as GET would say; 304 likewise, but 0 there means that nobody knows. RFC 9110 8.6
         */
        *ret_length = is_known && m->status >= 200 && m->status != 204 &&
                      (m->status != 304 || m->content_length > 0);
        return WR_FRAMING_NONE;
    }
    if (is_known || !x->s.out) {
        *ret_length = true;
        return WR_FRAMING_LENGTH;
    }
    return x->s.version >= 11 ? WR_FRAMING_CHUNKED : WR_FRAMING_CLOSE;
}

enum wr_status h1_tx_add_bytes(struct h1_xchg *x, struct wr_str s)
{
    struct h1_tx *tx = &x->tx;

    if (!tx->head || tx->head->cap - tx->head->fill < s.len) {
        size_t need = s.len + (tx->head ? tx->head->fill - tx->head_off : 0);
        enum wr_chunk_class cls = wr_chunk_class_for(need);

        if (wr_chunk_class_size(cls) < need) {
            return WR_ELIMIT;
        }
        if (grow_head(tx, cls) != WR_OK) {
            return WR_ENOMEM;
        }
    }
    memcpy(tx->head->data + tx->head->fill, s.ptr, s.len);
    tx->head->fill += (uint32_t)s.len;
    return WR_OK;
}

void h1_tx_take_pipe(struct h1_xchg *x, struct wr_pipe *out)
{
    x->tx.out = out;
    if (out) {
        wr_pipe_hand(out, WR_PIPE_CONSUMER, &x->s.conn->task);
        if (x->s.conn->link->ops->send_pipe && !x->s.no_sendfile) {
            wr_pipe_take_kpipes(out);
        }
    }
}

void h1_tx_leave_pipe(struct h1_xchg *x)
{
    struct wr_pipe *out = wr_take(&x->tx.out);

    wr_chunk_unref(wr_take(&x->tx.file_buf));
    wr_work_leave(wr_take(&x->tx.reading));
    if (out) {
        wr_pipe_leave_consumer(out);
    }
}

/* ---- body to the wire ----------------------------------------------------------------------- */

static size_t head_left(const struct h1_tx *tx)
{
    return tx->head ? tx->head->fill - tx->head_off : 0;
}

/* What follows the data of the last chunk, what is left of its line end first: RFC 9112 7.1. */
static enum wr_status write_end(struct h1_xchg *x)
{
    struct h1_tx *tx = &x->tx;
    const struct wr_hdrs *t = x->s.trailers_out;
    struct wr_strbuf b;
    enum wr_status st;

    if (!t || t->cnt == 0) {
        tx->end = wr_str_sub(WR_STR("\r\n0\r\n\r\n"), 2 - tx->end.len, SIZE_MAX);
        return WR_OK;
    }
    tx->end_buf = wr_chunk_new(WR_CHUNK_16K);
    if (!tx->end_buf) {
        return WR_ENOMEM;
    }
    wr_strbuf_init_fixed(&b, tx->end_buf->data, tx->end_buf->cap);
    wr_strbuf_add_str(&b, tx->end);
    wr_strbuf_add_z(&b, "0\r\n");
    st = wr_h1_write_fields(&b, t);
    if (st != WR_OK) {
        return st;
    }
    tx->end_buf->fill = (uint32_t)b.len;
    tx->end = wr_strbuf_str(&b);
    return WR_OK;
}

/*
 * Announces the next chunk when the last one is out: one size line for all that is queued now. Its
 * line end goes with its data: a client may wait for it before it looks at an event.
 */
static enum wr_status frame_chunk(struct h1_xchg *x)
{
    struct h1_tx *tx = &x->tx;
    uint64_t queued = tx->out ? wr_pipe_queued(tx->out) : 0;

    if (tx->is_ended) {
        return WR_OK;
    }
    if (tx->left == 0 && queued > 0 && tx->frame_off == tx->frame_len && tx->end.len == 0) {
        tx->frame_len = (uint8_t)wr_h1_chunk_write_head(tx->frame, queued);
        tx->frame_off = 0;
        tx->left = queued;
        tx->end = WR_STR("\r\n");
    }
    if ((!tx->out || tx->out->state == WR_PIPE_EOF) && queued == tx->left) {
        tx->is_ended = true;
        return write_end(x);
    }
    return WR_OK;
}

/* Body bytes at the front of the pipe that may go now. */
static uint64_t body_allowed(const struct h1_tx *tx)
{
    uint64_t queued;

    if (!tx->out || tx->framing == WR_FRAMING_NONE || tx->is_holding || !tx->is_written) {
        return 0;
    }
    queued = wr_pipe_queued(tx->out);
    return tx->framing == WR_FRAMING_CLOSE ? queued : WR_MIN(queued, tx->left);
}

bool h1_tx_has_bytes(const struct h1_xchg *x)
{
    const struct h1_tx *tx = &x->tx;

    return head_left(tx) > 0 || tx->frame_off < tx->frame_len || body_allowed(tx) > 0 ||
           tx->end.len > 0;
}

/* n bytes went out, of what `plan` put together with `body` bytes of body. */
static void account(struct h1_xchg *x, size_t n, uint64_t body)
{
    struct h1_tx *tx = &x->tx;
    size_t m;

    x->s.tx_bytes += n;
    x->got_out = x->got_out || n > 0;
    m = WR_MIN(n, head_left(tx));
    n -= m;
    tx->head_off += (uint32_t)m;
    if (tx->head && head_left(tx) == 0) {
        wr_chunk_unref(wr_take(&tx->head));
        tx->head_off = 0;
    }
    m = WR_MIN(n, (size_t)(tx->frame_len - tx->frame_off));
    n -= m;
    tx->frame_off = (uint8_t)(tx->frame_off + m);
    m = (size_t)WR_MIN((uint64_t)n, body);
    if (m > 0) {
        n -= m;
        x->s.tx_body_bytes += m;
        tx->left -= tx->framing == WR_FRAMING_CLOSE ? 0 : m;
        if (tx->file_buf) {
            tx->file_off += (uint32_t)m;
            if (tx->file_off == tx->file_buf->fill) {
                wr_chunk_unref(wr_take(&tx->file_buf));
            }
        }
        wr_pipe_consume(tx->out, m);
    }
    WR_ASSERT(n <= tx->end.len);
    tx->end.ptr += n;
    tx->end.len -= n;
}

static void add_iov(struct iovec *iov, int *cnt, const char *p, size_t n, size_t *total)
{
    union {
        const char *in;
        void *out; /* a send does not write there */
    } u = {.in = p};

    if (n > 0) {
        iov[*cnt].iov_base = u.out;
        iov[*cnt].iov_len = n;
        (*cnt)++;
        *total += n;
    }
}

/* Everything in memory that may go now, as one call: of the body, these bytes. Returns the number
 * of pieces. */
static int plan(struct h1_xchg *x, uint64_t body, struct iovec *iov, size_t *ret_total)
{
    struct h1_tx *tx = &x->tx;
    size_t sum = 0, total = 0;
    int cnt = 0;

    if (tx->head) {
        add_iov(iov, &cnt, tx->head->data + tx->head_off, head_left(tx), &total);
    }
    add_iov(iov, &cnt, tx->frame + tx->frame_off, (size_t)(tx->frame_len - tx->frame_off), &total);
    if (body > 0 && tx->file_buf) {
        sum = tx->file_buf->fill - tx->file_off;
        add_iov(iov, &cnt, tx->file_buf->data + tx->file_off, sum, &total);
    } else if (body > 0) {
        cnt += wr_pipe_peek_now(tx->out, iov + cnt, IOV_BODY_MAX,
                                (size_t)WR_MIN(body, (uint64_t)SIZE_MAX), &sum);
        total += sum;
    }
    if (sum == body) {
        add_iov(iov, &cnt, tx->end.ptr, tx->end.len, &total);
    }
    *ret_total = total;
    return cnt;
}

/* The slice at the front if it is not in our memory; body: bytes that may go. */
static const struct wr_slice *kernel_front(const struct h1_tx *tx, uint64_t body)
{
    const struct wr_slice *s;

    if (tx->file_buf || body == 0) {
        return NULL;
    }
    s = wr_pipe_front(tx->out);
    return s && (s->kind == WR_SLICE_FILE || s->kind == WR_SLICE_KPIPE) ? s : NULL;
}

static bool is_head_sent(const struct h1_tx *tx)
{
    return head_left(tx) == 0 && tx->frame_off == tx->frame_len;
}

/* Are the bytes of this slice sent by the kernel? A small file goes with its head. */
static bool is_for_sendfile(const struct h1_xchg *x, const struct wr_conn *c,
                            const struct wr_slice *s)
{
    if (!c->link->ops->send_file || x->s.no_sendfile || x->s.file_pool || s->u.file->is_direct) {
        return false;
    }
    return s->len > FILE_SMALL || is_head_sent(&x->tx);
}

bool h1_tx_has_file(const struct h1_xchg *x, const struct wr_conn *c)
{
    const struct wr_slice *s = kernel_front(&x->tx, body_allowed(&x->tx));

    return s && s->kind == WR_SLICE_FILE && is_for_sendfile(x, c, s);
}

/* The front of a file slice into file_buf. WR_EOF: the file is too short. WR_ECANCELED: a thread of
 * the pool reads it, the connection's task will be woken. No deadline: the disk is ours. */
static enum wr_status read_file(struct h1_xchg *x, struct wr_conn *c, const struct wr_slice *s)
{
    struct h1_tx *tx = &x->tx;
    struct wr_piece p = {
        .file = s->u.file,
        .off = s->off,
        .len = WR_MIN(s->len, body_allowed(tx)),
        .size = x->s.file_piece > 0 ? x->s.file_piece : FILE_PIECE,
        .align = x->s.file_align,
        .pool = x->s.file_pool,
        .task = &c->task,
    };
    struct wr_work *w = tx->reading;
    enum wr_status st;

    if (!w) {
        st = wr_piece_read(&p, &tx->file_buf, &tx->file_off, &tx->reading);
    } else if (w->is_home) {
        st = wr_piece_take(wr_take(&tx->reading), &tx->file_buf, &tx->file_off);
    } else {
        st = WR_AGAIN;
    }
    if (st == WR_EOF || st == WR_ESYS) {
        x->s.is_file_short = true;
        return WR_EOF;
    }
    return st == WR_AGAIN ? WR_ECANCELED : st;
}

/* One call for what does not lie in our memory. */
static enum wr_status send_from_kernel(struct h1_xchg *x, struct wr_conn *c,
                                       const struct wr_slice *s)
{
    const struct wr_link_ops *ops = c->link->ops;
    uint64_t want = WR_MIN(s->len, body_allowed(&x->tx));
    size_t total, n = 0;
    enum wr_status st;

    if (s->kind == WR_SLICE_FILE && x->s.file_turn > 0) {
        want = WR_MIN(want, x->s.file_turn);
    }
    total = (size_t)WR_MIN(want, (uint64_t)1 << 30);
    if (s->kind == WR_SLICE_KPIPE) {
        if (!WR_ASSERT_REQ(s->off == s->u.kpipe->out)) {
            return WR_EPROTO; /* what went in before it was never read */
        }
        st = ops->send_pipe(c->link, s->u.kpipe, total, &n);
    } else {
        st = ops->send_file(c->link, s->u.file, s->off, total, &n);
    }
    if (st == WR_OK) {
        account(x, n, body_allowed(&x->tx));
    } else if (st == WR_EOF) {
        x->s.is_file_short = true;
    }
    return st == WR_OK && n < total ? WR_AGAIN : st;
}

/* Are these bytes all that is left, and will the FIN push what the kernel holds back? */
static bool goes_with_fin(const struct h1_tx *tx, size_t total)
{
    return tx->is_last && tx->is_written && total == head_left(tx) + tx->left;
}

/* One send of what `plan` finds, or of a file or kernel pipe. WR_AGAIN: the other side takes no
 * more. WR_EOF: file too short. WR_ECANCELED: the next bytes are being read. */
static enum wr_status send_once(struct h1_xchg *x, struct wr_conn *c, bool *ret_is_idle)
{
    struct h1_tx *tx = &x->tx;
    uint64_t body = body_allowed(tx);
    const struct wr_slice *front = kernel_front(tx, body);
    struct iovec iov[IOV_MAX_CNT];
    size_t total = 0, n = 0;
    enum wr_status st;
    int cnt;

    *ret_is_idle = false;
    if (front && front->kind == WR_SLICE_FILE && !is_for_sendfile(x, c, front)) {
        st = read_file(x, c, front);
        if (st != WR_OK) {
            return st;
        }
        front = NULL;
    }
    if (front && is_head_sent(tx)) {
        return send_from_kernel(x, c, front);
    }
    cnt = plan(x, body, iov, &total);
    if (cnt == 0) {
        *ret_is_idle = true;
        return WR_OK;
    }
    /* The head, and the start of what follows, are one packet; the end and the FIN likewise. */
    c->io.is_more = front != NULL || goes_with_fin(tx, total);
    st = wr_conn_send(c, iov, cnt, &n);
    c->io.is_more = false;
    if (st != WR_OK) {
        return st;
    }
    account(x, n, body);
    if (n < total) {
        return WR_AGAIN;
    }
    /* The usual end, at once: what was announced went out whole, so nothing is left to plan. */
    *ret_is_idle = tx->is_written && !tx->is_holding && tx->framing <= WR_FRAMING_LENGTH &&
                   tx->left == 0 && tx->end.len == 0;
    return WR_OK;
}

/* All that was announced went out. */
static bool is_complete(const struct h1_tx *tx)
{
    switch ((enum wr_framing)tx->framing) {
    case WR_FRAMING_NONE:
        return true;
    case WR_FRAMING_LENGTH:
        return tx->left == 0;
    case WR_FRAMING_CHUNKED:
        return tx->is_ended;
    case WR_FRAMING_CLOSE:
        return !tx->out || (tx->out->state == WR_PIPE_EOF && wr_pipe_is_spent(tx->out));
    }
    WR_UNREACHABLE();
}

/* Nothing is left to send now: what does that mean? */
static enum h1_sent judge(struct h1_xchg *x)
{
    struct h1_tx *tx = &x->tx;

    if (!tx->is_written || tx->is_holding) {
        return H1_SENT_ALL;
    }
    if (is_complete(tx)) {
        tx->had_excess = tx->framing == WR_FRAMING_LENGTH && tx->out && wr_pipe_queued(tx->out) > 0;
        return H1_SENT_DONE;
    }
    return !tx->out || wr_pipe_is_spent(tx->out) ? H1_SENT_CUT : H1_SENT_ALL;
}

/* Frames what has come since, and sends once. */
static enum wr_status frame_and_send(struct h1_xchg *x, struct wr_conn *c, bool *ret_is_idle)
{
    struct h1_tx *tx = &x->tx;

    if (tx->framing == WR_FRAMING_CHUNKED && tx->is_written && !tx->is_holding) {
        enum wr_status st = frame_chunk(x);

        if (st != WR_OK) {
            return st;
        }
    }
    return send_once(x, c, ret_is_idle);
}

/* sendfile_max_chunk: a fast client does not hold up the others. */
static bool is_turn_over(const struct h1_xchg *x, uint64_t before)
{
    return x->s.file_turn > 0 && x->s.tx_bytes - before >= x->s.file_turn &&
           kernel_front(&x->tx, body_allowed(&x->tx)) != NULL;
}

/* What the last send came to. */
static enum h1_sent sum_up(struct h1_xchg *x, struct wr_conn *c, enum wr_status st, bool is_idle)
{
    if (st == WR_OK && !is_idle) {
        wr_task_wake(&c->task);
        return H1_SENT_ALL;
    }
    if (st == WR_OK) {
        return judge(x);
    }
    if (st == WR_ECANCELED) {
        return H1_SENT_ALL;
    }
    if (st == WR_AGAIN) {
        x->tx.is_blocked = true;
        return H1_SENT_BLOCKED;
    }
    if (st == WR_ENOMEM || st == WR_ELIMIT) {
        return H1_SENT_NOMEM;
    }
    if (st == WR_EOF || st == WR_EPROTO) {
        /* The file became shorter; a trailer that cannot be written. */
        return H1_SENT_CUT;
    }
    x->tx.is_dead = true;
    return H1_SENT_ERR;
}

/*
 * The usual message: it was announced, nothing of it has gone, and all of it is here in a few
 * pieces of memory. Returns their number; 0: it is not like that.
 */
static int plan_whole(const struct h1_tx *tx, struct iovec *iov, size_t *ret_total,
                      size_t *ret_body)
{
    size_t total = 0, body = 0;
    int cnt = 0;

    if (!tx->head || tx->head_off > 0 || !tx->is_written || tx->is_holding || tx->file_buf ||
        tx->framing > WR_FRAMING_LENGTH) {
        return 0;
    }
    add_iov(iov, &cnt, tx->head->data, tx->head->fill, &total);
    if (tx->left > 0) {
        if (!tx->out || wr_pipe_queued(tx->out) != tx->left) {
            return 0;
        }
        cnt += wr_pipe_peek_now(tx->out, iov + cnt, IOV_WHOLE - 1, (size_t)tx->left, &body);
    }
    *ret_total = total + body;
    *ret_body = body;
    return body == tx->left ? cnt : 0;
}

/* What plan_whole found, in one send. True: it went, and the message is over. */
static bool send_whole(struct h1_xchg *x, struct wr_conn *c, enum wr_status *ret_st)
{
    struct h1_tx *tx = &x->tx;
    struct iovec iov[IOV_WHOLE];
    size_t body, total, n = 0;
    int cnt = plan_whole(tx, iov, &total, &body);

    *ret_st = WR_OK;
    if (cnt == 0) {
        return false;
    }
    c->io.is_more = goes_with_fin(tx, total);
    *ret_st = wr_conn_send(c, iov, cnt, &n);
    c->io.is_more = false;
    if (*ret_st != WR_OK) {
        return false;
    }
    if (n < total) {
        account(x, n, body);
        *ret_st = WR_AGAIN;
        return false;
    }
    x->s.tx_bytes += n;
    x->got_out = true;
    wr_chunk_unref(wr_take(&tx->head));
    if (body > 0) {
        x->s.tx_body_bytes += body;
        tx->left = 0;
        wr_pipe_consume(tx->out, body);
    }
    return true;
}

enum h1_sent h1_tx_run(struct h1_xchg *x, struct wr_conn *c)
{
    struct h1_tx *tx = &x->tx;
    bool is_idle = false;
    enum wr_status st;
    uint64_t before;

    if ((c->io.facts & WR_IO_WRITABLE) != 0) {
        c->io.facts &= (uint16_t)~WR_IO_WRITABLE;
        tx->is_blocked = false;
    }
    if (tx->is_blocked) {
        /* What an abort dropped need not be waited for. */
        return tx->out && tx->out->state == WR_PIPE_ABORTED ? H1_SENT_CUT : H1_SENT_BLOCKED;
    }
    if (!tx->head && !tx->is_written) {
        return H1_SENT_ALL; /* nobody has answered yet */
    }
    if (send_whole(x, c, &st)) {
        return judge(x);
    }
    if (st != WR_OK) {
        return sum_up(x, c, st, false);
    }
    before = x->s.tx_bytes;
    do {
        st = frame_and_send(x, c, &is_idle);
    } while (st == WR_OK && !is_idle && !is_turn_over(x, before));
    return sum_up(x, c, st, is_idle);
}

void h1_tx_drop(struct h1_xchg *x)
{
    h1_tx_leave_pipe(x);
    wr_chunk_unref(wr_take(&x->tx.head));
    wr_chunk_unref(wr_take(&x->tx.end_buf));
    x->tx.end = WR_STR_NULL;
}
