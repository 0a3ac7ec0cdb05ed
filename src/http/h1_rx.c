/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_rx.c: bytes of an exchange that come in, the same for both roles of HTTP/1: finding the head
 * in what was received, and passing the body on by its framing (RFC 9112 6, 7), as chunks or, of a
 * big one, through a kernel pipe. See h1_int.h. Nothing is copied but heads. Owner thread only.
 */
#include "http/h1_int.h"

#include <string.h>

#include "base/assert.h"

#define KPIPE_TRIAL 16u /* pieces after which their average counts */

/* ---- received bytes ------------------------------------------------------------------------- */

void h1_rest_drop(struct h1_rest *r)
{
    wr_chunk_unref(wr_take(&r->chunk));
    r->off = r->len = 0;
}

void h1_rest_skip(struct h1_rest *r, size_t n)
{
    WR_ASSERT(n <= r->len);
    r->off += (uint32_t)n;
    r->len -= (uint32_t)n;
    if (r->len == 0) {
        h1_rest_drop(r);
    }
}

void h1_rest_settle(struct h1_rest *r)
{
    struct wr_chunk *c;

    if (r->len == 0 || r->len > H1_REST_COPY_MAX || r->chunk->cls == WR_CHUNK_4K) {
        return;
    }
    c = wr_chunk_new(WR_CHUNK_4K);
    if (!c) {
        /* Then the large one stays. */
        return;
    }
    memcpy(c->data, r->chunk->data + r->off, r->len);
    c->fill = r->len;
    wr_chunk_unref(r->chunk);
    r->chunk = c;
    r->off = 0;
}

enum wr_status h1_rest_fill(struct h1_rest *r, struct wr_conn *c, size_t max)
{
    WR_ASSERT(r->len == 0);
    return wr_conn_recv(c, max, &r->chunk, &r->off, &r->len);
}

/* ---- heads ---------------------------------------------------------------------------------- */

size_t h1_head_room(const struct h1_xchg *x, size_t max)
{
    if (!x->gather) {
        return H1_RECV_ALL;
    }
    max = WR_MIN(max, (size_t)H1_GATHER_MAX);
    return x->gather->fill < max ? max - x->gather->fill : 0;
}

bool h1_head_is_blank(const struct h1_xchg *x)
{
    const struct wr_chunk *g = x->gather;

    for (uint32_t i = 0; g && i < g->fill; i++) {
        if (g->data[i] != '\r' && g->data[i] != '\n') {
            return false;
        }
    }
    return true;
}

/* Moves r behind what was gathered; the chunk grows as needed. */
static enum wr_status gather(struct h1_xchg *x, struct h1_rest *r)
{
    struct wr_chunk *old = x->gather;
    size_t fill = old ? old->fill : 0;

    if (!old || old->cap - fill < r->len) {
        struct wr_chunk *c = wr_chunk_new(wr_chunk_class_for(fill + r->len));

        if (!c) {
            return WR_ENOMEM;
        }
        if (c->cap < fill + r->len) {
            wr_chunk_unref(c);
            return WR_ELIMIT;
        }
        if (old) {
            memcpy(c->data, old->data, fill);
            wr_chunk_unref(old);
        }
        c->fill = (uint32_t)fill;
        x->gather = c;
    }
    memcpy(x->gather->data + fill, r->chunk->data + r->off, r->len);
    x->gather->fill += r->len;
    h1_rest_drop(r);
    return WR_OK;
}

/* The bytes go to the arena; the message's slices, which point to where they were parsed, follow.
 */
static bool keep_head(struct h1_xchg *x, struct wr_msg *msg, const char *buf, const char *parsed_at,
                      size_t len)
{
    char *copy = wr_arena_bytes(x->s.arena, len);

    if (!copy) {
        return false;
    }
    memcpy(copy, buf, len);
    wr_msg_move(msg, parsed_at, len, copy);
    return true;
}

/* What could be read of a bad head stays for the log. */
static void keep_bad_head(struct h1_xchg *x, struct wr_msg *msg, const char *buf,
                          const char *parsed_at, size_t len)
{
    x->s.rx_bytes += len;
    if (msg->request_line.len == 0 || !keep_head(x, msg, buf, parsed_at, len)) {
        wr_msg_init(msg, x->s.arena, H1_FIELDS_MAX);
    }
}

/* It is whole: r has what follows. */
static bool take_head(struct h1_xchg *x, struct h1_rest *r, struct wr_msg *msg, const char *buf,
                      size_t len)
{
    size_t n = x->parser.head_len;

    if (!keep_head(x, msg, buf, buf, n)) {
        return false;
    }
    if (x->gather) {
        *r = (struct h1_rest){wr_take(&x->gather), 0, (uint32_t)len};
    }
    h1_rest_skip(r, n);
    x->s.rx_bytes += n;
    return true;
}

/* It is not whole: it is gathered, within bounds. */
static enum h1_parsed await_head(struct h1_xchg *x, struct h1_rest *r, struct wr_msg *msg,
                                 size_t max, const char *buf)
{
    if (r->len > 0 && gather(x, r) != WR_OK) {
        return H1_PARSE_NOMEM;
    }
    if (h1_head_room(x, max) > 0) {
        return H1_PARSE_MORE;
    }
    x->parser.bad = WR_H1_BAD_HEAD_TOO_LONG;
    keep_bad_head(x, msg, x->gather->data, buf, x->gather->fill);
    return H1_PARSE_BAD;
}

enum h1_parsed h1_parse_head(struct h1_xchg *x, struct h1_rest *r, struct wr_msg *msg, size_t max)
{
    enum h1_parsed ret = H1_PARSE_NOMEM;
    const char *buf;
    size_t len;

    if (x->gather && r->len > 0 && gather(x, r) != WR_OK) {
        goto fail;
    }
    buf = x->gather ? x->gather->data : r->chunk->data + r->off;
    len = x->gather ? x->gather->fill : r->len;
    switch (wr_h1_parse(&x->parser, buf, len)) {
    case WR_H1_DONE:
        if (take_head(x, r, msg, buf, len)) {
            return H1_PARSED;
        }
        break;
    case WR_H1_MORE:
        ret = await_head(x, r, msg, max, buf);
        if (ret == H1_PARSE_MORE) {
            return ret;
        }
        break;
    case WR_H1_BAD:
        keep_bad_head(x, msg, buf, buf, len);
        ret = H1_PARSE_BAD;
        break;
    case WR_H1_NOMEM:
        break;
    }
fail:
    if (ret == H1_PARSE_NOMEM) {
        wr_msg_init(msg, x->s.arena, H1_FIELDS_MAX);
    }
    wr_chunk_unref(wr_take(&x->gather));
    h1_rest_drop(r);
    return ret;
}

/* ---- body from the wire --------------------------------------------------------------------- */

void h1_rx_begin(struct h1_xchg *x, const struct wr_msg *m)
{
    struct h1_rx *rx = &x->rx;

    rx->framing = (uint8_t)m->framing;
    rx->left = m->framing == WR_FRAMING_LENGTH ? m->content_length : 0;
    if (m->framing == WR_FRAMING_CHUNKED) {
        /* Without memory for them trailers are checked and dropped. */
        rx->trailers = wr_arena_alloc(x->s.arena, sizeof(*rx->trailers));
        if (rx->trailers) {
            wr_hdrs_init(rx->trailers, x->s.arena, H1_FIELDS_MAX);
        }
        wr_h1_chunk_init(&rx->dec, rx->trailers);
    }
}

/* Bytes that the kernel pipe takes now; 0 also when they are too few to be worth a call. */
static uint64_t kpipe_room(const struct h1_rx *rx, const struct wr_io *io)
{
    uint64_t fill = wr_kpipe_fill(rx->kpipe), room = rx->kpipe->cap - WR_MIN(fill, rx->kpipe->cap);

    if ((io->facts & WR_IO_PIPE_FULL) != 0 && fill > 0) {
        return 0; /* full in segments, until it is empty */
    }
    return room < wr_kpipe_conf()->piece_min ? 0 : room;
}

/*
 * What comes now has to wait for the kernel pipe, whose consumer wakes us: chunks behind it would
 * only pile up copies. But a temporary file takes them.
 */
static bool must_await_kpipe(struct h1_xchg *x)
{
    struct h1_rx *rx = &x->rx;
    const struct wr_io *io = &x->s.conn->io;

    if (!rx->kpipe || rx->no_kpipe || rx->in->spill_conf || wr_pipe_is_orphan(rx->in) ||
        kpipe_room(rx, io) > 0) {
        return false;
    }
    wr_kpipe_await(rx->kpipe, &x->s.conn->task,
                   (io->facts & WR_IO_PIPE_FULL) != 0 ? 0 : rx->kpipe->cap / 2);
    return true;
}

size_t h1_rx_room(struct h1_xchg *x)
{
    if (x->rx.is_dropping) {
        return H1_RECV_ALL;
    }
    return x->rx.in && !must_await_kpipe(x) ? wr_pipe_room(x->rx.in) : 0;
}

/* n bytes of r are body. */
static enum h1_fed push_body(struct h1_xchg *x, const struct h1_rest *r, const char *p, size_t n)
{
    struct wr_slice s = {.kind = WR_SLICE_CHUNK};
    enum wr_status st;

    x->s.rx_body_bytes += n;
    if (x->rx.is_dropping) {
        return H1_FED_MORE;
    }
    s.u.chunk = wr_chunk_ref(r->chunk);
    s.off = (uint64_t)(p - r->chunk->data);
    s.len = n;
    st = wr_pipe_push(x->rx.in, s);
    if (st == WR_EPEERGONE) {
        /* Nobody reads on. The wire is read to the end of the body: the connection stays usable. */
        x->rx.is_dropping = true;
        return H1_FED_MORE;
    }
    return st == WR_OK ? H1_FED_MORE : H1_FED_NOMEM;
}

static enum h1_fed feed_chunked(struct h1_xchg *x, struct h1_rest *r, size_t room)
{
    while (r->len > 0 && room > 0) {
        size_t n = WR_MIN((size_t)r->len, room);
        enum wr_h1_chunk_result res;
        enum h1_fed fed = H1_FED_MORE;
        const char *data = NULL;
        size_t used = 0, len = 0;

        res = wr_h1_chunk_decode(&x->rx.dec, r->chunk->data + r->off, n, &used, &data, &len);
        if (res == WR_H1_CHUNK_DATA) {
            fed = push_body(x, r, data, len);
        }
        x->s.rx_bytes += used;
        room -= WR_MIN(room, used);
        h1_rest_skip(r, used);
        if (res == WR_H1_CHUNK_BAD) {
            return H1_FED_BAD;
        }
        if (fed != H1_FED_MORE || res == WR_H1_CHUNK_DONE) {
            return res == WR_H1_CHUNK_DONE ? H1_FED_DONE : fed;
        }
        /* What a size line announces counts at once. */
        if (x->s.body_max > 0 &&
            (x->rx.dec.total > x->s.body_max || x->rx.dec.left > x->s.body_max - x->rx.dec.total)) {
            return H1_FED_BIG;
        }
    }
    return H1_FED_MORE;
}

enum h1_fed h1_feed(struct h1_xchg *x, struct h1_rest *r, size_t room)
{
    enum h1_fed fed;
    size_t n = WR_MIN((size_t)r->len, room);

    if (x->rx.framing == WR_FRAMING_CHUNKED) {
        return feed_chunked(x, r, room);
    }
    if (x->rx.framing == WR_FRAMING_LENGTH) {
        n = (size_t)WR_MIN((uint64_t)n, x->rx.left);
        x->rx.left -= n;
    }
    if (n > 0) {
        fed = push_body(x, r, r->chunk->data + r->off, n);
        x->s.rx_bytes += n;
        h1_rest_skip(r, n);
        if (fed != H1_FED_MORE) {
            return fed;
        }
    }
    return x->rx.framing == WR_FRAMING_LENGTH && x->rx.left == 0 ? H1_FED_DONE : H1_FED_MORE;
}

/* The connection's next bytes come as chunks. */
static void leave_kpipe(struct h1_xchg *x)
{
    struct wr_kpipe *k = wr_take(&x->rx.kpipe);

    if (!k) {
        return;
    }
    if (x->s.conn) {
        /* What was spliced and not taken is lost with the exchange. */
        k->in += wr_io_take_piped(&x->s.conn->io);
        wr_io_aim(&x->s.conn->io, -1, 0);
    }
    wr_kpipe_end_await(k);
    wr_kpipe_unref(k);
}

/* Is the rest of the body worth a kernel pipe, and does nobody want to see it? */
static bool is_for_kpipe(struct h1_xchg *x, const struct wr_conn *c)
{
    const struct h1_rx *rx = &x->rx;
    uint64_t min = wr_kpipe_conf()->body_min;

    if (rx->no_kpipe || rx->is_dropping || !rx->in || !c->link->ops->can_recv_pipe) {
        return false;
    }
    if (!rx->kpipe && (rx->framing == WR_FRAMING_LENGTH ? rx->left : x->s.rx_body_bytes) < min) {
        return false;
    }
    return (rx->framing == WR_FRAMING_LENGTH ||
            (rx->framing == WR_FRAMING_CLOSE && !x->s.is_tunnel)) &&
           wr_pipe_can_kpipe(rx->in);
}

void h1_rx_relieve(struct h1_xchg *x)
{
    if (x->rx.kpipe && x->rx.in && !x->rx.is_dropping && wr_kpipe_is_scarce() &&
        wr_pipe_copy_kpipes(x->rx.in) == WR_OK) {
        leave_kpipe(x);
    }
}

void h1_rx_aim(struct h1_xchg *x, struct wr_conn *c)
{
    struct h1_rx *rx = &x->rx;
    uint64_t max = 0;

    if (!is_for_kpipe(x, c)) {
        h1_rx_relieve(x);
        wr_io_aim(&c->io, -1, c->io.rx_max);
        return;
    }
    if (!rx->kpipe) {
        rx->kpipe = wr_kpipe_new();
        rx->no_kpipe = !rx->kpipe;
    }
    max = rx->kpipe ? kpipe_room(rx, &c->io) : 0;
    if (max == 0) {
        c->io.rx_pipe = -1;
        return;
    }
    if (wr_kpipe_fill(rx->kpipe) > 0) {
        /* What is in it goes out soon, and leaves room for a larger piece. */
        wr_kpipe_await(rx->kpipe, &c->task, rx->kpipe->cap / 2);
    }
    max = rx->framing == WR_FRAMING_LENGTH ? WR_MIN(max, rx->left) : max;
    wr_io_aim(&c->io, rx->kpipe->wr, (uint32_t)max);
}

/* Many small pieces cost more calls than the copies would. */
static void judge_pieces(struct h1_rx *rx, uint32_t n)
{
    rx->piece_cnt++;
    rx->piece_bytes += n;
    if (rx->piece_cnt >= KPIPE_TRIAL &&
        rx->piece_bytes / rx->piece_cnt < wr_kpipe_conf()->piece_min) {
        rx->no_kpipe = true;
    }
}

enum h1_fed h1_rx_take_piped_bytes(struct h1_xchg *x, struct wr_conn *c)
{
    struct wr_slice s = {.kind = WR_SLICE_KPIPE};
    struct h1_rx *rx = &x->rx;
    uint32_t n = wr_io_take_piped(&c->io);
    enum wr_status st;

    if (n == 0 || !WR_ASSERT_REQ(rx->kpipe != NULL)) {
        return H1_FED_MORE;
    }
    s.off = rx->kpipe->in;
    s.len = n;
    rx->kpipe->in += n;
    rx->left -= rx->framing == WR_FRAMING_LENGTH ? n : 0;
    x->s.rx_bytes += n;
    x->s.rx_body_bytes += n;
    x->s.got_bytes = true;
    x->got_in = true;
    judge_pieces(rx, n);
    if (!rx->is_dropping) {
        s.u.kpipe = wr_kpipe_ref(rx->kpipe);
        st = wr_pipe_push(rx->in, s);
        if (st != WR_OK && st != WR_EPEERGONE) {
            return H1_FED_NOMEM;
        }
        rx->is_dropping = st == WR_EPEERGONE;
    }
    if (rx->is_dropping) {
        leave_kpipe(x);
    }
    return rx->framing == WR_FRAMING_LENGTH && rx->left == 0 ? H1_FED_DONE : H1_FED_MORE;
}

static void leave_in(struct h1_xchg *x)
{
    struct wr_pipe *in = wr_take(&x->rx.in);

    if (in) {
        wr_pipe_leave_producer(in);
    }
}

void h1_rx_done(struct h1_xchg *x)
{
    leave_kpipe(x);
    if (x->rx.in) {
        wr_pipe_eof(x->rx.in);
        leave_in(x);
    }
    if (x->rx.trailers && x->rx.trailers->cnt > 0) {
        x->s.trailers_in = x->rx.trailers;
    }
    wr_stream_set_rx(&x->s, WR_HALF_DONE);
}

void h1_rx_fail(struct h1_xchg *x, enum wr_reason why, int err)
{
    leave_kpipe(x);
    if (x->rx.in) {
        wr_pipe_fail(x->rx.in, why);
        leave_in(x);
    }
    if (x->s.rx < WR_HALF_DONE) {
        wr_stream_set_rx(&x->s, WR_HALF_RESET);
        wr_stream_note(&x->s, why, err);
    }
}

void h1_rx_drop(struct h1_xchg *x)
{
    leave_kpipe(x);
    if (x->rx.in) {
        wr_pipe_fail(x->rx.in, x->s.reason != 0 ? x->s.reason : WR_REASON_CANCELED);
        leave_in(x);
    }
    wr_chunk_unref(wr_take(&x->gather));
}
