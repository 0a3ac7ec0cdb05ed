/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_link.c: TLS as a link, both sides of it over a wire in memory that takes and gives as little
 * as a test wants, ends, breaks, or changes a byte at any place.
 *
 *   client (wr_tls_connect) -- end[0] ==wire== end[1] -- server (wr_tls_accept)
 */
#include "unit/base/t.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "tls/tls.h"

#define WIRE_MAX  (256u << 10)
#define TURNS_MAX 200000

/* ---- the wire ------------------------------------------------------------------------------- */

struct end {
    struct wr_link link; /* first */
    struct end *other;
    char *in; /* what the other side sent: [at .. len) */
    size_t at, len;
    size_t recv_max, room; /* most bytes of a receive; that lie in `in` at a time */
    size_t total;          /* bytes that came in ever */
    size_t cut_at;         /* total after which nothing more comes; SIZE_MAX: never */
    enum wr_status cut;    /* and what is seen then */
    size_t flip_at;        /* total at which a byte is changed */
    bool is_shut;
};

static enum wr_status wire_handshake(struct wr_link *l)
{
    (void)l;
    return WR_OK;
}

/* The wire's own memory never fails. */
static struct wr_chunk *new_chunk(size_t n)
{
    struct wr_local *l = wr_local_get();
    uint64_t left = l->fault_left;
    struct wr_chunk *c;

    l->fault_left = 0;
    c = wr_chunk_new(wr_chunk_class_for(n));
    l->fault_left = left;
    assert_non_null(c);
    return c;
}

static enum wr_status wire_recv(struct wr_link *l, size_t max, struct wr_chunk **ret_c,
                                uint32_t *ret_off, uint32_t *ret_len)
{
    struct end *e = wr_container_of(l, struct end, link);
    size_t n = WR_MIN(WR_MIN(max, e->recv_max), e->len - e->at);
    struct wr_chunk *c;

    if (n == 0) {
        if (e->total >= e->cut_at) {
            return e->cut;
        }
        return e->other->is_shut ? WR_EOF : WR_AGAIN;
    }
    c = new_chunk(n);
    n = WR_MIN(n, (size_t)c->cap);
    memcpy(c->data, e->in + e->at, n);
    c->fill = (uint32_t)n;
    e->at += n;
    if (e->at == e->len) {
        e->at = e->len = 0;
    }
    *ret_c = c;
    *ret_off = 0;
    *ret_len = (uint32_t)n;
    return WR_OK;
}

static enum wr_status wire_send(struct wr_link *l, const struct iovec *iov, int cnt, size_t *ret_n)
{
    struct end *to = wr_container_of(l, struct end, link)->other;
    size_t sum = 0;

    if (to->total >= to->cut_at && to->cut == WR_ESYS) {
        return WR_ESYS;
    }
    for (int i = 0; i < cnt; i++) {
        size_t n = WR_MIN(iov[i].iov_len, to->room - WR_MIN(to->room, to->len - to->at));

        n = WR_MIN(n, WIRE_MAX - to->len);
        for (size_t k = 0; k < n && to->total < to->cut_at; k++) {
            char byte = ((const char *)iov[i].iov_base)[k];

            to->in[to->len++] = (char)(to->total == to->flip_at ? byte ^ 0x41 : byte);
            to->total++;
        }
        sum += n;
        if (n < iov[i].iov_len) {
            break;
        }
    }
    *ret_n = sum;
    return sum == 0 ? WR_AGAIN : WR_OK;
}

static enum wr_status wire_shutdown(struct wr_link *l)
{
    wr_container_of(l, struct end, link)->is_shut = true;
    return WR_OK;
}

static void wire_close(struct wr_link *l, bool is_clean)
{
    (void)is_clean;
    wr_container_of(l, struct end, link)->is_shut = true;
}

static const struct wr_link_ops wire_ops = {.name = "wire",
                                            .handshake = wire_handshake,
                                            .recv = wire_recv,
                                            .send = wire_send,
                                            .shutdown = wire_shutdown,
                                            .close = wire_close};

/* ---- two sides ------------------------------------------------------------------------------- */

static struct wr_tls_ctx *server_ctx, *client_ctx;
static char cert_pem[4096], key_pem[4096];

struct pair {
    struct end end[2];
    struct wr_tls *tls[2]; /* client, server */
    struct wr_tls_target to;
    enum wr_status st[2];
};

static struct wr_str take_bio(BIO *b, char *room, size_t size)
{
    char *p = NULL;
    long n = BIO_get_mem_data(b, &p);

    assert_true(n > 0 && (size_t)n < size);
    memcpy(room, p, (size_t)n);
    room[n] = '\0';
    BIO_free(b);
    return wr_str(room, (size_t)n);
}

static struct wr_tls_pair make_cert(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    struct wr_tls_pair ret = {{.name = WR_STR("c")}, {.name = WR_STR("k")}};

    assert_non_null(key);
    assert_int_equal(X509_set_version(x, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 7), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                                (const unsigned char *)"one.test", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(x, X509_get_subject_name(x)), 1);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(c, x), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL), 1);
    ret.cert.bytes = take_bio(c, cert_pem, sizeof(cert_pem));
    ret.key.bytes = take_bio(k, key_pem, sizeof(key_pem));
    X509_free(x);
    EVP_PKEY_free(key);
    return ret;
}

static struct wr_tls_opts opts_of(enum wr_tls_side side)
{
    return (struct wr_tls_opts){.side = side,
                                .protocols = WR_TLS_1_2 | WR_TLS_1_3,
                                .ciphers = WR_STR("DEFAULT"),
                                .verify_depth = 1,
                                .session_timeout_sec = 300,
                                .record_max = 16384};
}

static struct wr_tls_ctx *make_ctx(const struct wr_tls_opts *o)
{
    char room[1024];
    struct wr_strbuf err;
    enum wr_tls_part part;
    uint32_t no;
    struct wr_tls_ctx *ret = NULL;

    wr_strbuf_init_fixed(&err, room, sizeof(room));
    if (wr_tls_ctx_new(o, &err, &part, &no, &ret) != WR_OK) {
        fail_msg("%.*s", WR_STR_ARG(wr_strbuf_str(&err)));
    }
    return ret;
}

static int begin_group(void **state)
{
    struct wr_tls_opts o = opts_of(WR_TLS_SERVER);
    static struct wr_tls_pair p;

    (void)state;
    p = make_cert();
    o.pairs = &p;
    o.pair_cnt = 1;
    server_ctx = make_ctx(&o);
    o = opts_of(WR_TLS_CLIENT);
    o.trusted = p.cert;
    client_ctx = make_ctx(&o);
    return 0;
}

static int end_group(void **state)
{
    (void)state;
    wr_tls_ctx_unref(server_ctx);
    wr_tls_ctx_unref(client_ctx);
    return 0;
}

static void open_pair(struct pair *p, uint64_t identity)
{
    memset(p, 0, sizeof(*p));
    for (int i = 0; i < 2; i++) {
        struct end *e = &p->end[i];

        e->link.ops = &wire_ops;
        e->other = &p->end[1 - i];
        e->in = wr_mem_alloc(WIRE_MAX);
        e->recv_max = e->room = WIRE_MAX;
        e->cut_at = e->flip_at = SIZE_MAX;
        p->st[i] = WR_AGAIN;
    }
    p->to = (struct wr_tls_target){.ctx = client_ctx,
                                   .sni = WR_STR("One.Test"),
                                   .name = WR_STR("one.test"),
                                   .verify = true,
                                   .keeps_session = identity != 0,
                                   .peer_id = 1,
                                   .identity = identity};
    assert_int_equal(wr_tls_connect(&p->end[0].link, &p->to, &p->tls[0]), WR_OK);
    assert_int_equal(wr_tls_accept(&p->end[1].link, server_ctx, NULL, &p->tls[1]), WR_OK);
}

static struct wr_link *link_of(struct pair *p, int i)
{
    return wr_tls_link(p->tls[i]);
}

static void close_pair(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        link_of(p, i)->ops->close(link_of(p, i), true);
    }
    for (int i = 0; i < 2; i++) {
        wr_mem_free(p->end[i].in);
    }
}

/* As a codec whose task runs: what the link has to say for itself goes out. */
static void look(struct pair *p, int i)
{
    struct wr_chunk *c = NULL;
    uint32_t off = 0, len = 0;

    /* Nobody has sent data: there is none, or the wire's end is seen. */
    assert_int_not_equal(link_of(p, i)->ops->recv(link_of(p, i), 1, &c, &off, &len), WR_OK);
}

/* Until both are through, or nothing moves any more. */
static void shake(struct pair *p)
{
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        size_t before = p->end[0].total + p->end[1].total + p->end[0].at + p->end[1].at;
        int left = 0;

        for (int i = 0; i < 2; i++) {
            if (p->st[i] == WR_AGAIN) {
                p->st[i] = link_of(p, i)->ops->handshake(link_of(p, i));
                left++;
            } else if (p->st[i] == WR_OK) {
                look(p, i);
            }
        }
        if (left == 0 ||
            before == p->end[0].total + p->end[1].total + p->end[0].at + p->end[1].at) {
            return;
        }
    }
    fail_msg("the handshake does not end");
}

static char byte_of(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

/* size bytes from side `from` to the other one, in pieces of three, as a codec sends them. */
static void transfer(struct pair *p, int from, size_t size)
{
    char *out = wr_mem_alloc(size), *in = wr_mem_alloc(size);
    size_t sent = 0, got = 0;

    for (size_t i = 0; i < size; i++) {
        out[i] = byte_of(i);
    }
    for (int turn = 0; got < size && turn < TURNS_MAX * 10; turn++) {
        struct wr_link *s = link_of(p, from), *r = link_of(p, 1 - from);
        size_t third = (size - sent) / 3, n = 0;
        struct iovec v[3] = {
            {out + sent,             third                  },
            {out + sent + third,     third                  },
            {out + sent + 2 * third, size - sent - 2 * third}
        };
        struct wr_chunk *c = NULL;
        uint32_t off = 0, len = 0;
        enum wr_status st = sent < size ? s->ops->send(s, v, 3, &n) : WR_AGAIN;

        assert_true(st == WR_OK || st == WR_AGAIN);
        sent += n;
        look(p, from);
        st = r->ops->recv(r, turn % 2 == 0 ? SIZE_MAX : 100, &c, &off, &len);
        if (st == WR_OK) {
            assert_true(len > 0 && got + len <= size);
            memcpy(in + got, c->data + off, len);
            got += len;
            wr_chunk_unref(c);
        } else {
            assert_int_equal(st, WR_AGAIN);
        }
    }
    assert_int_equal(got, size);
    assert_int_equal(sent, size);
    assert_memory_equal(in, out, size);
    wr_mem_free(out);
    wr_mem_free(in);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Any cut of the wire into pieces gives the same bytes; nothing is told as sent that did not go. */
static void any_cut(void **state)
{
    static const size_t recv_max[] = {1, 7, 100, WIRE_MAX}, room[] = {1, 50, 5000, WIRE_MAX};
    uint64_t before = wr_chunk_in_use();

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(recv_max); i++) {
        for (size_t k = 0; k < WR_ARRAY_LEN(room); k++) {
            size_t size = recv_max[i] < 100 || room[k] < 100 ? 20000 : 200000;
            struct pair p;

            open_pair(&p, 0);
            p.end[0].recv_max = p.end[1].recv_max = recv_max[i];
            p.end[0].room = p.end[1].room = room[k];
            shake(&p);
            assert_int_equal(p.st[0], WR_OK);
            assert_int_equal(p.st[1], WR_OK);
            transfer(&p, 0, size);
            transfer(&p, 1, size);
            /* An idle one pins no bytes. */
            assert_int_equal(wr_chunk_in_use(), before);
            close_pair(&p);
        }
    }
}

/* The wire ends or breaks behind each byte of the handshake: an error, at once, and no memory. */
static void any_end(void **state)
{
    static const enum wr_status ends[] = {WR_EOF, WR_ESYS};

    uint64_t before = wr_chunk_in_use();

    (void)state;
    for (size_t k = 0; k < WR_ARRAY_LEN(ends) * 2; k++) {
        int side = (int)k % 2;

        for (size_t at = 0; at < WIRE_MAX; at += 37) {
            struct pair p;
            bool is_over;

            open_pair(&p, 0);
            p.end[side].cut_at = at;
            p.end[side].cut = ends[k / 2];
            shake(&p);
            is_over = p.st[side] == WR_OK; /* it needed no more bytes */
            if (!is_over) {
                assert_int_equal(p.st[side], ends[k / 2]);
            }
            close_pair(&p);
            assert_int_equal(wr_chunk_in_use(), before);
            if (is_over) {
                assert_true(at > 100);
                break;
            }
        }
    }
}

/* A byte that somebody changed on the way: the handshake fails, or was over. */
static void any_change(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        for (size_t at = 0; at < 1400; at += 29) {
            struct pair p;

            open_pair(&p, 0);
            p.end[side].flip_at = at;
            shake(&p);
            if (p.end[side].total > at) {
                /* Not both believe in it, unless it was behind the end: a session ticket. */
                assert_true(p.st[0] != WR_OK || p.st[1] != WR_OK || side == 0);
            }
            close_pair(&p);
        }
    }
}

static void names(void **state)
{
    struct pair p;
    struct wr_strbuf b;
    char room[256];

    (void)state;
    open_pair(&p, 0);
    shake(&p);
    assert_str(wr_tls_server_name(p.tls[1]), "one.test");
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    assert_int_equal(wr_tls_write_fact(p.tls[1], WR_TLS_FACT_SERVER_NAME, &b), WR_OK);
    assert_str(wr_strbuf_str(&b), "One.Test");
    close_pair(&p);
}

static void failure(struct pair *p, const char *want)
{
    struct wr_strbuf b;
    char room[512];

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    wr_tls_write_failure(p->tls[0], p->st[0], 104, &b);
    room[b.len] = '\0';
    if (strstr(room, want) == NULL) {
        fail_msg("%s is not in: %s", want, room);
    }
}

/* Who the peer must be. */
static void trust(void **state)
{
    struct wr_tls_opts o = opts_of(WR_TLS_CLIENT);
    struct wr_tls_ctx *blind = make_ctx(&o);
    struct pair p;

    (void)state;
    open_pair(&p, 0);
    p.to.name = WR_STR("two.test");
    shake(&p);
    assert_int_equal(p.st[0], WR_EPROTO);
    failure(&p, "upstream SSL certificate does not match \"two.test\"");
    close_pair(&p);

    open_pair(&p, 0);
    p.to.name = WR_STR("");
    shake(&p);
    assert_int_equal(p.st[0], WR_EPROTO);
    close_pair(&p);

    open_pair(&p, 0);
    link_of(&p, 0)->ops->close(link_of(&p, 0), false);
    p.to.ctx = blind;
    p.end[0].is_shut = false;
    assert_int_equal(wr_tls_connect(&p.end[0].link, &p.to, &p.tls[0]), WR_OK);
    shake(&p);
    assert_int_equal(p.st[0], WR_EPROTO);
    failure(&p, "upstream SSL certificate verify error: (18:self");
    close_pair(&p);
    wr_tls_ctx_unref(blind);
}

static bool was_resumed(struct pair *p)
{
    struct wr_strbuf b;
    char room[8];

    wr_strbuf_init_fixed(&b, room, sizeof(room));
    assert_int_equal(wr_tls_write_fact(p->tls[1], WR_TLS_FACT_SESSION_REUSED, &b), WR_OK);
    return room[0] == 'r';
}

/* A session comes back for the same peer and identity, and for no other. */
static void resumption(void **state)
{
    static const struct {
        uint64_t identity;
        bool want;
    } rows[] = {
        {77, false},
        {77, true },
        {78, false},
        {77, true },
        {78, true },
        {0,  false}
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct pair p;

        open_pair(&p, rows[i].identity);
        shake(&p);
        assert_int_equal(p.st[0], WR_OK);
        transfer(&p, 1, 100); /* tickets come with it */
        assert_int_equal(was_resumed(&p), rows[i].want);
        close_pair(&p);
    }
}

/* An end that was announced is one, and seen without a fact of the wire below. */
static void goodbye(void **state)
{
    struct wr_chunk *c = NULL;
    uint32_t off = 0, len = 0;
    struct wr_link *l;
    char bye[] = "bye";
    struct iovec v = {bye, 3};
    struct pair p;
    size_t n = 0;

    (void)state;
    open_pair(&p, 0);
    shake(&p);
    l = link_of(&p, 1);
    assert_int_equal(l->ops->send(l, &v, 1, &n), WR_OK);
    assert_int_equal(n, 3);
    assert_int_equal(l->ops->shutdown(l), WR_OK);
    l = link_of(&p, 0);
    assert_int_equal(l->ops->recv(l, SIZE_MAX, &c, &off, &len), WR_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(c->data + off, "bye", 3);
    wr_chunk_unref(c);
    assert_int_equal(l->ops->pending(l), WR_LINK_END);
    assert_int_equal(l->ops->recv(l, SIZE_MAX, &c, &off, &len), WR_EOF);
    close_pair(&p);
}

/* Each allocation of ours fails in turn: a status, no leak, and the next try works. */
static void no_memory(void **state)
{
    uint64_t before = wr_chunk_in_use();

    (void)state;
    for (uint64_t at = 1; at < 200; at++) {
        struct pair p;
        uint64_t cnt;

        open_pair(&p, 0);
        wr_mem_fault_set(at);
        shake(&p);
        cnt = wr_mem_fault_count();
        wr_mem_fault_set(0);
        if (cnt < at) {
            assert_true(at > 2);
            assert_int_equal(p.st[0], WR_OK);
            assert_int_equal(p.st[1], WR_OK);
            close_pair(&p);
            break;
        }
        close_pair(&p);
        assert_int_equal(wr_chunk_in_use(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut), cmocka_unit_test(any_end),   cmocka_unit_test(any_change),
        cmocka_unit_test(names),   cmocka_unit_test(trust),     cmocka_unit_test(resumption),
        cmocka_unit_test(goodbye), cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, begin_group, end_group);
}
