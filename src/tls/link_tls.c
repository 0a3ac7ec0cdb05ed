/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_tls.c: TLS as a link. The library reads and writes through a BIO of ours:
 *
 *   link below --recv--> in (a slice) --BIO--> SSL --> a chunk for the caller
 *   the caller's pieces --> SSL --BIO--> out (a chunk, many records) --send--> link below
 *
 * So a turn costs one receive and one send of the socket, however many records they hold.
 *
 * What is encrypted cannot be taken back. When the link below takes only a part of `out`, the plain
 * bytes behind the rest are `held`: the caller is not told that they went, comes again with the
 * same bytes (as after any short send), and they are skipped then. The end of a stream of bytes
 * without close_notify is WR_EOF like any other: HTTP/1 says by itself whether a message is whole.
 *
 * Bytes may be here that no fact of the io tells of (decrypted, or in `in`): see pending. Owner
 * thread only.
 */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>

#include "base/assert.h"
#include "base/obj.h"
#include "base/slab.h"
#include "tls/tls_int.h"

#define RECORD_MORE   512u /* what a record may add to its bytes, with room to spare */
#define IN_COPY_MAX   2048u
#define RECORD_BYTES  16384u /* most that a record can hold, RFC 8446 5.1 */
#define HANDSHAKE_CLS WR_CHUNK_16K

/* ---- the BIO -------------------------------------------------------------------------------- */

/* More bytes of the link below; false: t->in_end says why there are none. */
static bool pull(struct wr_tls *t)
{
    enum wr_status st;

    if (t->in_len > 0) {
        return true;
    }
    if (t->is_closed || t->in_end != WR_OK) {
        return false;
    }
    st = t->link.next->ops->recv(t->link.next, SIZE_MAX, &t->in, &t->in_off, &t->in_len);
    if (st == WR_OK) {
        return true;
    }
    if (st != WR_AGAIN) {
        t->in_end = (uint8_t)st;
    }
    return false;
}

static int read_bio(BIO *b, char *buf, int len)
{
    struct wr_tls *t = BIO_get_data(b);
    size_t n;

    BIO_clear_retry_flags(b);
    if (len <= 0) {
        return 0;
    }
    if (!pull(t)) {
        if (t->in_end == WR_OK && !t->is_closed) {
            BIO_set_retry_read(b);
            return -1;
        }
        return t->in_end == WR_EOF ? 0 : -1;
    }
    n = WR_MIN((size_t)len, (size_t)t->in_len);
    memcpy(buf, t->in->data + t->in_off, n);
    t->in_off += (uint32_t)n;
    t->in_len -= (uint32_t)n;
    if (t->in_len == 0) {
        wr_chunk_unref(wr_take(&t->in));
    }
    return (int)n;
}

static int write_bio(BIO *b, const char *buf, int len)
{
    struct wr_tls *t = BIO_get_data(b);
    size_t n;

    BIO_clear_retry_flags(b);
    if (len <= 0 || t->is_closed || t->is_broken) {
        return -1;
    }
    if (t->in_kernel) {
        return len; /* it has keys of its own; what is meant see ktls.c */
    }
    if (!t->out) {
        t->out = wr_chunk_new(HANDSHAKE_CLS);
        t->out_off = 0;
        if (!t->out) {
            t->is_nomem = true;
            return -1;
        }
    }
    n = WR_MIN((size_t)len, (size_t)(t->out->cap - t->out->fill));
    if (n == 0) {
        BIO_set_retry_write(b);
        return -1;
    }
    memcpy(t->out->data + t->out->fill, buf, n);
    t->out->fill += (uint32_t)n;
    if (t->ktls) {
        wr_ktls_note_bytes(t->ktls, buf, n);
    }
    return (int)n;
}

static long control_bio(BIO *b, int cmd, long num, void *ptr)
{
    (void)b, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static CRYPTO_ONCE bio_once = CRYPTO_ONCE_STATIC_INIT; /* Rule zero: of the process, made once */
static BIO_METHOD *bio_method;

static void make_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir link");
    if (bio_method) {
        (void)BIO_meth_set_read(bio_method, read_bio);
        (void)BIO_meth_set_write(bio_method, write_bio);
        (void)BIO_meth_set_ctrl(bio_method, control_bio);
    }
}

const BIO_METHOD *wr_tls_bio_method(void)
{
    return CRYPTO_THREAD_run_once(&bio_once, make_method) == 1 ? bio_method : NULL;
}

/* ---- out ------------------------------------------------------------------------------------ */

static void drop_out(struct wr_tls *t)
{
    wr_chunk_unref(wr_take(&t->out));
    t->out_off = 0;
}

/* Sends what is encrypted. WR_AGAIN: a part stays, the io will say WRITABLE. */
static enum wr_status flush(struct wr_tls *t)
{
    while (t->out) {
        struct iovec v = {.iov_base = t->out->data + t->out_off,
                          .iov_len = t->out->fill - t->out_off};
        size_t n = 0;
        enum wr_status st;

        if (v.iov_len == 0) {
            drop_out(t);
            break;
        }
        st = t->link.next->ops->send(t->link.next, &v, 1, &n);
        if (st == WR_AGAIN) {
            return st;
        }
        if (st != WR_OK) {
            t->is_broken = true;
            drop_out(t);
            return st;
        }
        t->out_off += (uint32_t)n;
        if (n < v.iov_len) {
            return WR_AGAIN;
        }
    }
    return WR_OK;
}

/* Room for the next record of `left` bytes? */
static bool has_room(const struct wr_tls *t, size_t left)
{
    return t->out->cap - t->out->fill >= WR_MIN(left, (size_t)t->record_max) + RECORD_MORE;
}

/* The larger, the more is to be sent. */
static bool make_room(struct wr_tls *t, size_t left)
{
    size_t records = left / t->record_max + 1;

    WR_ASSERT(!t->out);
    t->out = wr_chunk_new(wr_chunk_class_for(left + records * RECORD_MORE));
    t->out_off = 0;
    if (!t->out && left > RECORD_BYTES) {
        t->out = wr_chunk_new(wr_chunk_class_for(RECORD_BYTES + RECORD_MORE));
    }
    return t->out != NULL;
}

/* ---- results of the library ------------------------------------------------------------------ */

/* What a failed call means. WR_AGAIN: for want of bytes. WR_OK: call again, there is room now. */
static enum wr_status judge(struct wr_tls *t, int rc)
{
    enum wr_status st;

    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_WRITE:
        return flush(t);
    case SSL_ERROR_WANT_READ:
        st = flush(t);
        return st == WR_OK ? WR_AGAIN : st;
    case SSL_ERROR_ZERO_RETURN:
        return WR_EOF;
    default: /* numbers of the library */
        break;
    }
    if (t->is_nomem) {
        return WR_ENOMEM;
    }
    (void)flush(t); /* an alert; whether it goes out changes nothing any more */
    if (t->in_end != WR_OK) {
        ERR_clear_error();
        return (enum wr_status)t->in_end;
    }
    return t->is_broken ? WR_ESYS : WR_EPROTO;
}

static struct wr_tls *tls_of(struct wr_link *l)
{
    struct wr_tls *t = wr_container_of(l, struct wr_tls, link);

    wr_obj_check(t, WR_TLS_MAGIC);
    t->is_nomem = false;
    return t;
}

/*
 * Early data (RFC 8446 2.3), before anything else of the handshake is driven. WR_OK: there is some,
 * or it has ended (t->may_early is false then). SSL_read_early_data gives what fits.
 */
static enum wr_status read_early(struct wr_tls *t)
{
    struct wr_chunk *c = wr_chunk_new(WR_CHUNK_16K);
    enum wr_status st = WR_OK;
    size_t n = 0;

    if (!c) {
        return WR_ENOMEM;
    }
    for (;;) {
        int rc;

        ERR_clear_error();
        rc = SSL_read_early_data(t->ssl, c->data, c->cap, &n);
        if (rc == SSL_READ_EARLY_DATA_SUCCESS && n > 0) {
            c->fill = (uint32_t)n;
            t->early = wr_take(&c);
            t->is_early = true;
            break;
        }
        if (rc == SSL_READ_EARLY_DATA_FINISH) {
            t->may_early = false;
            break;
        }
        st = rc == SSL_READ_EARLY_DATA_ERROR ? judge(t, 0) : WR_OK;
        if (st != WR_OK) {
            break;
        }
    }
    wr_chunk_unref(c);
    return st;
}

static const struct wr_link_ops kernel_ops;

/* If it is wanted and possible. What was encrypted here goes out before. */
static void enter_kernel(struct wr_tls *t)
{
    if (!t->ktls) {
        return;
    }
    if (flush(t) == WR_OK) {
        wr_ktls_enter(t, &kernel_ops);
    }
    wr_ktls_drop(t);
}

static enum wr_status handshake_tls(struct wr_link *l)
{
    struct wr_tls *t = tls_of(l);
    enum wr_status st = t->is_refused ? WR_EPROTO : flush(t);

    if (st == WR_OK && t->may_early) {
        st = read_early(t);
        t->is_ready = t->is_early;
    }
    while (st == WR_OK && !t->is_ready) {
        int rc;

        ERR_clear_error();
        rc = SSL_do_handshake(t->ssl);
        if (rc == 1 && t->target && !wr_tls_is_trusted(t)) {
            st = WR_EPROTO;
            break;
        }
        if (rc == 1) {
            t->is_ready = true;
            t->owner = NULL;
            t->target = NULL;
            enter_kernel(t);
            /* What does not go out now goes ahead of the first answer, which may be near. */
            st = t->in_len > 0 ? WR_OK : flush(t);
            return st == WR_AGAIN ? WR_OK : st;
        }
        st = judge(t, rc);
    }
    if (st != WR_OK && st != WR_AGAIN) {
        t->is_broken = true;
        wr_tls_forget_session(t);
    }
    return st;
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* Bytes that wait do not pin a large chunk that others fill, too. */
static void settle(struct wr_tls *t)
{
    struct wr_chunk *c;

    if (t->in_len == 0 || t->in_len > IN_COPY_MAX || t->in->cls == WR_CHUNK_4K) {
        return;
    }
    c = wr_chunk_new(WR_CHUNK_4K);
    if (!c) {
        return; /* then the large one stays */
    }
    memcpy(c->data, t->in->data + t->in_off, t->in_len);
    c->fill = t->in_len;
    wr_chunk_unref(t->in);
    t->in = c;
    t->in_off = 0;
}

/* What the other side did wrong, for who asks why it ended. */
static void keep_error(struct wr_tls *t)
{
    char room[512];
    struct wr_strbuf b;

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    wr_tls_add_errors(&b);
    if (!t->error) {
        t->error = OPENSSL_strndup(room, b.len);
    }
}

/* Fills c up to max bytes. WR_OK: there are some. */
static enum wr_status fill(struct wr_tls *t, struct wr_chunk *c, size_t max)
{
    enum wr_status st = WR_OK;

    while (st == WR_OK && c->fill < max) {
        size_t n = 0;
        int rc;

        ERR_clear_error();
        rc = SSL_read_ex(t->ssl, c->data + c->fill, max - c->fill, &n);
        if (rc != 1) {
            st = judge(t, rc);
            continue;
        }
        c->fill += (uint32_t)n;
        if (t->in_len == 0 && SSL_has_pending(t->ssl) == 0) {
            break; /* to ask once more would cost a buffer of the library */
        }
    }
    if (c->fill > 0) {
        return WR_OK; /* what else there is comes with the next call */
    }
    if (st == WR_EPROTO) {
        keep_error(t);
    }
    ERR_clear_error();
    return st;
}

static enum wr_status give_early(struct wr_tls *t, size_t max, struct wr_chunk **ret_c,
                                 uint32_t *ret_off, uint32_t *ret_len)
{
    size_t n = WR_MIN(max, (size_t)(t->early->fill - t->early_off));

    *ret_c = wr_chunk_ref(t->early);
    *ret_off = t->early_off;
    *ret_len = (uint32_t)n;
    t->early_off += (uint32_t)n;
    if (t->early_off == t->early->fill) {
        wr_chunk_unref(wr_take(&t->early));
        t->early_off = 0;
    }
    return WR_OK;
}

/* Are there bytes, or why not? WR_OK: the library, or early data, may have some. */
static enum wr_status find_bytes(struct wr_tls *t)
{
    if (t->out && flush(t) != WR_OK && t->is_broken) {
        return WR_ESYS;
    }
    if ((SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN) != 0 && SSL_pending(t->ssl) == 0) {
        return WR_EOF;
    }
    if (t->early) {
        return WR_OK;
    }
    if (SSL_has_pending(t->ssl) == 0 && !pull(t)) {
        return t->in_end == WR_OK ? WR_AGAIN : (enum wr_status)t->in_end;
    }
    return t->is_early && t->may_early ? read_early(t) : WR_OK;
}

static enum wr_status recv_tls(struct wr_link *l, size_t max, struct wr_chunk **ret_c,
                               uint32_t *ret_off, uint32_t *ret_len)
{
    struct wr_tls *t = tls_of(l);
    enum wr_status st = find_bytes(t);
    struct wr_chunk *c;

    if (st != WR_OK) {
        return st;
    }
    if (t->early) {
        return give_early(t, max, ret_c, ret_off, ret_len);
    }
    c = wr_chunk_new(t->in_len > RECORD_BYTES && max > RECORD_BYTES ? WR_CHUNK_64K : WR_CHUNK_16K);
    if (!c) {
        return WR_ENOMEM;
    }
    st = fill(t, c, WR_MIN(max, (size_t)c->cap));
    if (st == WR_OK) {
        (void)flush(t); /* an answer to a key update; a failure tells itself */
        settle(t);
        *ret_c = c;
        *ret_off = 0;
        *ret_len = c->fill;
        return WR_OK;
    }
    wr_chunk_unref(c);
    return st;
}

static enum wr_link_pending pending_tls(struct wr_link *l)
{
    struct wr_tls *t = tls_of(l);

    if (!t->is_ready) {
        return WR_LINK_NOTHING;
    }
    if (t->in_len > 0 || t->early || SSL_pending(t->ssl) > 0) {
        return WR_LINK_BYTES;
    }
    if (t->in_end != WR_OK || (SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN) != 0) {
        return WR_LINK_END;
    }
    return wr_tls_is_early(t) ? WR_LINK_MORE : WR_LINK_NOTHING;
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Where we are in the caller's pieces. */
struct cursor {
    const struct iovec *v;
    int cnt;
    size_t off; /* in v[0] */
    size_t left;
};

static void skip(struct cursor *c, size_t n)
{
    c->left -= n;
    while (c->cnt > 0 && n >= c->v->iov_len - c->off) {
        n -= c->v->iov_len - c->off;
        c->off = 0;
        c->v++;
        c->cnt--;
    }
    c->off += n;
}

/*
 * The next record's bytes: where they are, or, of several small pieces, gathered in *buf, which is
 * made when it is needed.
 */
static const char *next_record(struct wr_tls *t, const struct cursor *c, struct wr_chunk **buf,
                               size_t *ret_n)
{
    const char *first = (const char *)c->v->iov_base + c->off;
    size_t n = c->v->iov_len - c->off, want = WR_MIN(c->left, (size_t)t->record_max);
    const struct iovec *v = c->v;

    if (n >= want) {
        *ret_n = want;
        return first;
    }
    if (!*buf) {
        *buf = wr_chunk_new(wr_chunk_class_for(want));
    }
    if (!*buf) {
        *ret_n = n; /* without memory it becomes two records */
        return first;
    }
    want = WR_MIN(want, (size_t)(*buf)->cap);
    memcpy((*buf)->data, first, n);
    while (n < want) {
        size_t m;

        v++;
        m = WR_MIN(want - n, v->iov_len);
        memcpy((*buf)->data + n, v->iov_base, m);
        n += m;
    }
    *ret_n = n;
    return (*buf)->data;
}

/* One record more into `out`, which has room for it. */
static enum wr_status put_record(struct wr_tls *t, struct cursor *c, struct wr_chunk **buf)
{
    size_t n = 0, done = 0;
    const char *p = next_record(t, c, buf, &n);
    int rc;

    ERR_clear_error();
    /* Before the end of the handshake to whoever it is who asked, RFC 8446 2.3. */
    rc = t->is_early && SSL_is_init_finished(t->ssl) == 0
             ? SSL_write_early_data(t->ssl, p, n, &done)
             : SSL_write_ex(t->ssl, p, n, &done);
    if (rc != 1) {
        enum wr_status st = judge(t, rc);

        ERR_clear_error();
        t->is_broken = true;
        return st == WR_ENOMEM ? st : WR_ESYS;
    }
    t->held += done;
    skip(c, done);
    return WR_OK;
}

/* Encrypts all that is left, sending whenever `out` is full; *told: bytes that went. */
static enum wr_status put_all(struct wr_tls *t, struct cursor *c, size_t *told)
{
    struct wr_chunk *buf = NULL;
    enum wr_status st = WR_OK;

    while (st == WR_OK && c->left > 0) {
        if (t->out && !has_room(t, c->left)) {
            st = flush(t);
            if (st != WR_OK) {
                break;
            }
            *told += t->held;
            t->held = 0;
        }
        if (!t->out && !make_room(t, c->left)) {
            st = WR_ENOMEM;
            break;
        }
        st = put_record(t, c, &buf);
    }
    wr_chunk_unref(buf);
    return st == WR_OK ? flush(t) : st;
}

static enum wr_status send_tls(struct wr_link *l, const struct iovec *iov, int cnt, size_t *ret_n)
{
    struct wr_tls *t = tls_of(l);
    struct cursor c = {.v = iov, .cnt = cnt};
    size_t told, total;
    enum wr_status st;

    if (t->is_broken || t->is_shut || !t->is_ready) {
        return WR_ESYS;
    }
    for (int i = 0; i < cnt; i++) {
        c.left += iov[i].iov_len;
    }
    total = c.left;
    st = flush(t);
    if (st != WR_OK) {
        return st;
    }
    told = WR_MIN(t->held, total);
    t->held -= told;
    skip(&c, told);
    if (c.left == 0) {
        *ret_n = told;
        return WR_OK;
    }
    st = put_all(t, &c, &told);
    if (st == WR_OK) {
        t->held = 0;
        *ret_n = total;
    } else if (st == WR_AGAIN && told > 0) {
        *ret_n = told;
        st = WR_OK;
    }
    return st;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void say_goodbye(struct wr_tls *t)
{
    if (t->is_ready && !t->is_shut && !t->is_broken && SSL_is_init_finished(t->ssl) == 1) {
        if (t->in_kernel) {
            wr_ktls_say_goodbye(t);
            t->is_shut = true;
            return;
        }
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl); /* once: the other side's is not waited for */
        ERR_clear_error();
        (void)flush(t);
    }
    t->is_shut = true;
}

static enum wr_status shutdown_tls(struct wr_link *l)
{
    struct wr_tls *t = tls_of(l);

    say_goodbye(t);
    return l->next->ops->shutdown(l->next);
}

static void close_tls(struct wr_link *l, bool is_clean)
{
    struct wr_tls *t = tls_of(l);

    if (t->is_closed) {
        return;
    }
    if (is_clean) {
        say_goodbye(t);
    }
    if (t->is_ready) {
        /* An end without goodbyes does not make the session bad. */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    drop_out(t);
    wr_chunk_unref(wr_take(&t->in));
    wr_chunk_unref(wr_take(&t->early));
    t->in_len = 0;
    t->owner = NULL;
    t->is_closed = t->is_broken = true;
    wr_tls_unref(t);
}

static const struct wr_link_ops tls_ops = {
    .name = "tls",
    .handshake = handshake_tls,
    .recv = recv_tls,
    .pending = pending_tls,
    .send = send_tls,
    .shutdown = shutdown_tls,
    .close = close_tls,
};

/* Of a connection whose sending side the kernel encrypts. */
static const struct wr_link_ops kernel_ops = {
    .name = "ktls",
    .handshake = handshake_tls,
    .recv = recv_tls,
    .pending = pending_tls,
    .send = wr_ktls_send,
    .send_file = wr_ktls_send_file,
    .send_pipe = wr_ktls_send_pipe,
    .shutdown = shutdown_tls,
    .close = close_tls,
};

/* ---- life ------------------------------------------------------------------------------------ */

static struct wr_tls *make(struct wr_link *below, struct wr_tls_ctx *c)
{
    const BIO_METHOD *method = wr_tls_bio_method();
    struct wr_tls *t = wr_slab_alloc(sizeof(*t));
    BIO *bio = method ? BIO_new(method) : NULL;

    if (!t || !bio) {
        goto fail;
    }
    t->ssl = SSL_new(c->ssl);
    if (!t->ssl || SSL_set_app_data(t->ssl, t) == 0) {
        SSL_free(t->ssl);
        goto fail;
    }
    wr_obj_init(t, WR_TLS_MAGIC);
    t->link.ops = &tls_ops;
    t->link.next = below;
    t->refs = 1;
    t->base = wr_tls_ctx_ref(c);
    t->record_max = c->record_max;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    return t;

fail:
    ERR_clear_error();
    BIO_free(bio);
    wr_slab_free(t, sizeof(*t));
    return NULL;
}

enum wr_status wr_tls_accept(struct wr_link *below, struct wr_tls_ctx *c,
                             const struct wr_tls_owner *owner, struct wr_tls **ret)
{
    struct wr_tls *t = make(below, c);

    if (!t) {
        return WR_ENOMEM;
    }
    t->owner = owner;
    t->may_early = c->early_data;
    SSL_set_accept_state(t->ssl);
    *ret = t;
    return WR_OK;
}

enum wr_status wr_tls_connect(struct wr_link *below, const struct wr_tls_target *to,
                              struct wr_tls **ret)
{
    union {
        const char *in;
        void *out; /* the library copies it */
    } sni = {.in = to->sni.ptr};
    struct wr_tls *t = make(below, to->ctx);

    if (!t) {
        return WR_ENOMEM;
    }
    t->target = to;
    t->session_key[0] = to->peer_id;
    t->session_key[1] = to->identity;
    t->keeps_session = to->keeps_session;
    SSL_set_connect_state(t->ssl);
    if (to->sni.len > 0 &&
        SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sni.out) == 0) {
        ERR_clear_error();
        wr_tls_unref(t);
        return WR_ENOMEM;
    }
    wr_ktls_watch(t);
    wr_tls_load_target(t);
    wr_tls_resume(t);
    *ret = t;
    return WR_OK;
}

const char *wr_tls_error(const struct wr_tls *t)
{
    return t->error;
}

enum wr_status wr_tls_detach(struct wr_tls *t)
{
    wr_obj_check(t, WR_TLS_MAGIC);
    if (!t->is_ready || t->is_broken || t->refs != 1 || t->out || t->in_len > 0 || t->early ||
        SSL_has_pending(t->ssl) == 1 || t->in_end != WR_OK || t->held > 0 ||
        SSL_get_shutdown(t->ssl) != 0) {
        return WR_AGAIN;
    }
    t->link.next = NULL;
    return WR_OK;
}

void wr_tls_attach(struct wr_tls *t, struct wr_link *below)
{
    wr_obj_check(t, WR_TLS_MAGIC);
    WR_ASSERT(!t->link.next);
    t->link.next = below;
}

struct wr_link *wr_tls_link(struct wr_tls *t)
{
    return &t->link;
}

struct wr_tls *wr_tls_of_link(struct wr_link *l)
{
    return l->ops == &tls_ops || l->ops == &kernel_ops ? wr_container_of(l, struct wr_tls, link)
                                                       : NULL;
}

bool wr_tls_is_in_kernel(const struct wr_link *l)
{
    return l->ops == &kernel_ops;
}

struct wr_tls *wr_tls_ref(struct wr_tls *t)
{
    wr_obj_check(t, WR_TLS_MAGIC);
    t->refs++;
    return t;
}

void wr_tls_unref(struct wr_tls *t)
{
    if (t == NULL) {
        return;
    }
    wr_obj_check(t, WR_TLS_MAGIC);
    if (--t->refs > 0) {
        return;
    }
    SSL_free(t->ssl);
    wr_ktls_drop(t);
    wr_tls_ctx_unref(t->base);
    wr_tls_ctx_unref(t->chosen);
    OPENSSL_free(t->name);
    OPENSSL_free(t->error);
    wr_obj_kill(t);
    wr_slab_free(t, sizeof(*t));
}
