/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ktls.c: a connection that is given to the kernel. The kernel is here: a link below that
 * takes keys as the real one does, and makes records of what is sent. The other side is the
 * library's; when it can read what comes, keys, record numbers and nonces are right. It is a
 * client, or (is_to_peer) the peer to which we are the client.
 *
 *   other (SSL) --in--> end ... ours (wr_tls_accept, wr_tls_connect) --> [kernel] --out--> other
 */
#include "unit/base/t.h"

#include <linux/tls.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "tls/tls_int.h"

#define WIRE_MAX   (64u << 10)
#define RECORD_MAX 16384u

/* ---- the kernel ----------------------------------------------------------------------------- */

struct kernel {
    bool is_on;
    enum wr_status answer; /* to who wants it on */
    int asked;
    uint16_t version, cipher;
    unsigned char key[32], iv[12]; /* AES-GCM: what is fixed, what is explicit in TLS 1.2 */
    uint64_t no;                   /* of the next record */
};

struct end {
    struct wr_link link; /* first */
    BIO *in, *out;       /* from and to the other side */
    size_t room;         /* most bytes of a send */
    struct kernel k;
};

static uint64_t read_number(const unsigned char *p)
{
    uint64_t no = 0;

    for (int i = 0; i < 8; i++) {
        no = no << 8 | p[i];
    }
    return no;
}

static void write_number(unsigned char *p, uint64_t no)
{
    for (int i = 8; i-- > 0; no >>= 8) {
        p[i] = (unsigned char)no;
    }
}

static enum wr_status wire_encrypt(struct wr_link *l, const void *info, uint32_t len)
{
    struct kernel *k = &wr_container_of(l, struct end, link)->k;
    const struct tls_crypto_info *head = info;

    k->asked++;
    if (k->answer != WR_OK) {
        return k->answer;
    }
    k->version = head->version;
    k->cipher = head->cipher_type;
    if (k->cipher == TLS_CIPHER_AES_GCM_128) {
        const struct tls12_crypto_info_aes_gcm_128 *i = info;

        assert_int_equal(len, sizeof(*i));
        memcpy(k->key, i->key, sizeof(i->key));
        memcpy(k->iv, i->salt, 4);
        memcpy(k->iv + 4, i->iv, 8);
        k->no = read_number(i->rec_seq);
    } else if (k->cipher == TLS_CIPHER_AES_GCM_256) {
        const struct tls12_crypto_info_aes_gcm_256 *i = info;

        assert_int_equal(len, sizeof(*i));
        memcpy(k->key, i->key, sizeof(i->key));
        memcpy(k->iv, i->salt, 4);
        memcpy(k->iv + 4, i->iv, 8);
        k->no = read_number(i->rec_seq);
    } else {
        const struct tls12_crypto_info_chacha20_poly1305 *i = info;

        assert_int_equal(k->cipher, TLS_CIPHER_CHACHA20_POLY1305);
        assert_int_equal(len, sizeof(*i));
        memcpy(k->key, i->key, sizeof(i->key));
        memcpy(k->iv, i->iv, 12);
        k->no = read_number(i->rec_seq);
    }
    k->is_on = true;
    return WR_OK;
}

static const EVP_CIPHER *cipher_of(const struct kernel *k)
{
    return k->cipher == TLS_CIPHER_AES_GCM_128   ? EVP_aes_128_gcm()
           : k->cipher == TLS_CIPHER_AES_GCM_256 ? EVP_aes_256_gcm()
                                                 : EVP_chacha20_poly1305();
}

struct aad {
    const unsigned char *p;
    int len;
};

/* in, with len bytes, to out, the tag behind it. */
static void seal(const struct kernel *k, const unsigned char *nonce, struct aad aad,
                 const unsigned char *in, int len, unsigned char *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;

    assert_int_equal(EVP_EncryptInit_ex(c, cipher_of(k), NULL, k->key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, aad.p, aad.len), 1);
    assert_int_equal(EVP_EncryptUpdate(c, out, &n, in, len), 1);
    assert_int_equal(n, len);
    assert_int_equal(EVP_EncryptFinal_ex(c, out + len, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + len), 1);
    EVP_CIPHER_CTX_free(c);
}

/* One record: RFC 8446 5.2; RFC 5246 6.2.3.3 with RFC 5288 and RFC 7905. */
static void put_record(struct end *e, uint8_t type, const void *p, size_t n)
{
    struct kernel *k = &e->k;
    bool is_13 = k->version == TLS_1_3_VERSION;
    bool is_explicit = !is_13 && k->cipher != TLS_CIPHER_CHACHA20_POLY1305;
    unsigned char buf[5 + 8 + RECORD_MAX + 1 + 16], plain[RECORD_MAX + 1], aad[13], nonce[12];
    size_t len = n, head = 5;

    assert_true(n <= RECORD_MAX);
    memcpy(plain, p, n);
    memcpy(nonce, k->iv, sizeof(nonce));
    if (is_13) {
        plain[len++] = type;
    }
    if (is_explicit) {
        memcpy(buf + head, k->iv + 4, 8);
        head += 8;
        write_number(k->iv + 4, read_number(k->iv + 4) + 1);
    } else {
        write_number(nonce + 4, read_number(nonce + 4) ^ k->no);
    }
    buf[0] = is_13 ? SSL3_RT_APPLICATION_DATA : type;
    buf[1] = buf[2] = 3;
    buf[3] = (unsigned char)((head - 5 + len + 16) >> 8);
    buf[4] = (unsigned char)(head - 5 + len + 16);
    write_number(aad, k->no++);
    aad[8] = type;
    aad[9] = aad[10] = 3;
    aad[11] = (unsigned char)(len >> 8);
    aad[12] = (unsigned char)len;
    seal(k, nonce, is_13 ? (struct aad){buf, 5} : (struct aad){aad, 13}, plain, (int)len,
         buf + head);
    assert_int_equal(BIO_write(e->out, buf, (int)(head + len + 16)), (int)(head + len + 16));
}

static enum wr_status wire_send_record(struct wr_link *l, uint8_t type, const void *p, size_t n)
{
    struct end *e = wr_container_of(l, struct end, link);

    assert_true(e->k.is_on);
    put_record(e, type, p, n);
    return WR_OK;
}

/* ---- the wire ------------------------------------------------------------------------------- */

static enum wr_status wire_recv(struct wr_link *l, size_t max, struct wr_chunk **ret_c,
                                uint32_t *ret_off, uint32_t *ret_len)
{
    struct end *e = wr_container_of(l, struct end, link);
    size_t n = WR_MIN(max, BIO_ctrl_pending(e->in));
    struct wr_chunk *c;

    if (n == 0) {
        return WR_AGAIN;
    }
    c = wr_chunk_new(WR_CHUNK_64K);
    assert_non_null(c);
    c->fill = (uint32_t)BIO_read(e->in, c->data, (int)WR_MIN(n, (size_t)c->cap));
    *ret_c = c;
    *ret_off = 0;
    *ret_len = c->fill;
    return WR_OK;
}

static enum wr_status wire_send(struct wr_link *l, const struct iovec *iov, int cnt, size_t *ret_n)
{
    struct end *e = wr_container_of(l, struct end, link);
    size_t sum = 0;

    for (int i = 0; i < cnt && sum < e->room; i++) {
        size_t n = WR_MIN(WR_MIN(iov[i].iov_len, e->room - sum), RECORD_MAX);

        if (e->k.is_on) {
            put_record(e, SSL3_RT_APPLICATION_DATA, iov[i].iov_base, n);
        } else {
            assert_int_equal(BIO_write(e->out, iov[i].iov_base, (int)n), (int)n);
        }
        sum += n;
        if (n < iov[i].iov_len) {
            break;
        }
    }
    *ret_n = sum;
    return sum == 0 ? WR_AGAIN : WR_OK;
}

static enum wr_status wire_handshake(struct wr_link *l)
{
    (void)l;
    return WR_OK;
}

static enum wr_status wire_shutdown(struct wr_link *l)
{
    (void)l;
    return WR_OK;
}

static void wire_close(struct wr_link *l, bool is_clean)
{
    (void)l, (void)is_clean;
}

static const struct wr_link_ops wire_ops = {.name = "wire",
                                            .handshake = wire_handshake,
                                            .recv = wire_recv,
                                            .send = wire_send,
                                            .shutdown = wire_shutdown,
                                            .close = wire_close,
                                            .encrypt = wire_encrypt,
                                            .send_record = wire_send_record};

/* ---- both sides ----------------------------------------------------------------------------- */

static char cert_pem[4096], key_pem[4096];
static struct wr_tls_ctx *with_option[2], *without[2]; /* of a server; of a client */
static bool is_to_peer;

static struct wr_str take_bio(BIO *b, char *room, size_t size)
{
    char *p = NULL;
    long n = BIO_get_mem_data(b, &p);

    assert_true(n > 0 && (size_t)n < size);
    memcpy(room, p, (size_t)n);
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
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
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

static struct wr_tls_ctx *make_ctx(enum wr_tls_side side, const struct wr_tls_pair *p,
                                   bool has_option)
{
    static const struct wr_tls_command cmd = {WR_STR_INIT("Options"), WR_STR_INIT("KTLS")};
    struct wr_tls_opts o = {.side = side,
                            .protocols = WR_TLS_1_2 | WR_TLS_1_3,
                            .ciphers = WR_STR("ALL"),
                            .pairs = p,
                            .pair_cnt = side == WR_TLS_SERVER ? 1 : 0,
                            .commands = &cmd,
                            .command_cnt = has_option ? 1 : 0,
                            .sessions = WR_TLS_SESSIONS_NONE,
                            .session_timeout_sec = 300,
                            .record_max = 16384};
    char room[1024];
    struct wr_strbuf err;
    enum wr_tls_part part;
    uint32_t no;
    struct wr_tls_ctx *ret = NULL;

    wr_strbuf_init_fixed(&err, room, sizeof(room));
    if (wr_tls_ctx_new(&o, &err, &part, &no, &ret) != WR_OK) {
        fail_msg("%.*s", WR_STR_ARG(wr_strbuf_str(&err)));
    }
    return ret;
}

static int begin_group(void **state)
{
    struct wr_tls_pair p = make_cert();

    (void)state;
    with_option[0] = make_ctx(WR_TLS_SERVER, &p, true);
    without[0] = make_ctx(WR_TLS_SERVER, &p, false);
    with_option[1] = make_ctx(WR_TLS_CLIENT, &p, true);
    without[1] = make_ctx(WR_TLS_CLIENT, &p, false);
    return 0;
}

static int end_group(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        wr_tls_ctx_unref(with_option[i]);
        wr_tls_ctx_unref(without[i]);
    }
    return 0;
}

static int to_peer(void **state)
{
    (void)state;
    is_to_peer = true;
    return 0;
}

struct pair {
    struct end end;
    struct wr_tls *ours;
    struct wr_tls_target to;
    SSL_CTX *ctx;
    SSL *other;
};

struct wants {
    int version;
    const char *cipher; /* NULL: any */
    bool no_ticket;
};

/* The peer's certificate; its tickets are for all that are made here. */
static void be_peer(SSL_CTX *c)
{
    unsigned char keys[80] =
        "the same in all connections of this program, so that tickets are good";
    BIO *cert = BIO_new_mem_buf(cert_pem, -1), *key = BIO_new_mem_buf(key_pem, -1);
    X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

    assert_int_equal(SSL_CTX_use_certificate(c, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(c, k), 1);
    assert_int_equal(SSL_CTX_set_tlsext_ticket_keys(c, keys, sizeof(keys)), 1);
    X509_free(x);
    EVP_PKEY_free(k);
    BIO_free(cert);
    BIO_free(key);
}

static void open_pair(struct pair *p, struct wr_tls_ctx *c[2], const struct wants *w,
                      SSL_SESSION *session)
{
    *p = (struct pair){
        .end = {.link = {.ops = &wire_ops}, .room = WIRE_MAX}
    };
    p->end.in = BIO_new(BIO_s_mem());
    p->end.out = BIO_new(BIO_s_mem());
    (void)BIO_set_mem_eof_return(p->end.out, -1);
    p->ctx = SSL_CTX_new(TLS_method());
    assert_int_equal(SSL_CTX_set_min_proto_version(p->ctx, w->version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(p->ctx, w->version), 1);
    if (w->no_ticket) {
        (void)SSL_CTX_set_options(p->ctx, SSL_OP_NO_TICKET);
    }
    if (w->cipher != NULL && w->version == TLS1_3_VERSION) {
        assert_int_equal(SSL_CTX_set_ciphersuites(p->ctx, w->cipher), 1);
    } else if (w->cipher != NULL) {
        assert_int_equal(SSL_CTX_set_cipher_list(p->ctx, w->cipher), 1);
    }
    if (is_to_peer) {
        be_peer(p->ctx);
    }
    p->other = SSL_new(p->ctx);
    BIO_up_ref(p->end.in);
    BIO_up_ref(p->end.out);
    SSL_set_bio(p->other, p->end.out, p->end.in);
    if (is_to_peer) {
        p->to = (struct wr_tls_target){.ctx = c[1], .keeps_session = true, .peer_id = w->version};
        p->to.identity = w->cipher != NULL ? (uint64_t)(uintptr_t)w->cipher : 1;
        SSL_set_accept_state(p->other);
        assert_int_equal(wr_tls_connect(&p->end.link, &p->to, &p->ours), WR_OK);
        return;
    }
    SSL_set_connect_state(p->other);
    if (session != NULL) {
        assert_int_equal(SSL_set_session(p->other, session), 1);
    }
    assert_int_equal(wr_tls_accept(&p->end.link, c[0], NULL, &p->ours), WR_OK);
}

static struct wr_link *link_of(struct pair *p)
{
    return wr_tls_link(p->ours);
}

static void close_pair(struct pair *p)
{
    link_of(p)->ops->close(link_of(p), true);
    SSL_free(p->other);
    SSL_CTX_free(p->ctx);
    BIO_free(p->end.in);
    BIO_free(p->end.out);
}

static void shake(struct pair *p)
{
    enum wr_status st = WR_AGAIN;
    struct wr_chunk *c = NULL;
    uint32_t off = 0, len = 0;
    int rc = 0;

    for (int turn = 0; turn < 20000 && (st == WR_AGAIN || rc != 1); turn++) {
        rc = SSL_do_handshake(p->other);
        if (st == WR_AGAIN) {
            st = link_of(p)->ops->handshake(link_of(p));
        } else {
            (void)link_of(p)->ops->recv(link_of(p), 1, &c, &off, &len); /* what is left goes out */
        }
    }
    assert_int_equal(rc, 1);
    assert_int_equal(st, WR_OK);
}

/* What comes to the client is what was sent, in three pieces; and back. */
static void talk(struct pair *p, size_t size)
{
    char *out = wr_mem_alloc(size), *in = wr_mem_alloc(size);
    struct wr_link *l = link_of(p);
    size_t sent = 0, got = 0, n = 0;
    struct wr_chunk *c = NULL;
    uint32_t off = 0, len = 0;

    for (size_t i = 0; i < size; i++) {
        out[i] = (char)(i * 31 + (i >> 8) * 7);
    }
    for (int turn = 0; got < size && turn < 200000; turn++) {
        size_t third = (size - sent) / 3;
        struct iovec v[3] = {
            {out + sent,             third                  },
            {out + sent + third,     third                  },
            {out + sent + 2 * third, size - sent - 2 * third}
        };

        n = 0;
        if (sent < size) {
            enum wr_status st = l->ops->send(l, v, 3, &n);

            assert_true(st == WR_OK || st == WR_AGAIN);
            sent += n;
        } else {
            (void)l->ops->recv(l, 1, &c, &off, &len); /* what is left goes out */
        }
        while (got < size && SSL_read_ex(p->other, in + got, size - got, &n) == 1) {
            got += n;
        }
        assert_true(got == size || SSL_get_error(p->other, 0) == SSL_ERROR_WANT_READ);
    }
    assert_int_equal(got, size);
    assert_memory_equal(in, out, size);
    wr_mem_free(out);
    wr_mem_free(in);

    assert_int_equal(SSL_write(p->other, "and back", 8), 8);
    assert_int_equal(l->ops->recv(l, SIZE_MAX, &c, &off, &len), WR_OK);
    assert_int_equal(len, 8);
    assert_memory_equal(c->data + off, "and back", 8);
    wr_chunk_unref(c);
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* RFC 8448 section 3: the server's keys for application data. */
static void vector(void **state)
{
    static const unsigned char secret[] = {0xa1, 0x1a, 0xf9, 0xf0, 0x55, 0x31, 0xf8, 0x56,
                                           0xad, 0x47, 0x11, 0x6b, 0x45, 0xa9, 0x50, 0x32,
                                           0x82, 0x04, 0xb4, 0xf4, 0x4b, 0xfb, 0x6b, 0x3a,
                                           0x4b, 0x4f, 0x1f, 0x3f, 0xcb, 0x63, 0x16, 0x43};
    static const unsigned char key[] = {0x9f, 0x02, 0x28, 0x3b, 0x6c, 0x9c, 0x07, 0xef,
                                        0xc2, 0x6b, 0xb9, 0xf2, 0xac, 0x92, 0xe3, 0x56};
    static const unsigned char iv[] = {0xcf, 0x78, 0x2b, 0x88, 0xdd, 0x83,
                                       0x54, 0x9a, 0xad, 0xf1, 0xe9, 0x84};
    struct wr_str s = wr_str((const char *)secret, sizeof(secret));
    unsigned char out[16];

    (void)state;
    assert_true(wr_ktls_expand(EVP_sha256(), s, "key", out, sizeof(key)));
    assert_memory_equal(out, key, sizeof(key));
    assert_true(wr_ktls_expand(EVP_sha256(), s, "iv", out, sizeof(iv)));
    assert_memory_equal(out, iv, sizeof(iv));
}

static const struct wants known[] = {
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",        false},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384",        false},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256",  false},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384",        true },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", false},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", false},
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", false},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true },
};

/* A whole handshake and one of a session; data, and the goodbye. */
static void ciphers(void **state)
{
    uint64_t before = wr_chunk_in_use();

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(known); i++) {
        SSL_SESSION *session = NULL;

        for (int round = 0; round < 2; round++) {
            struct pair p;
            char c;

            open_pair(&p, with_option, &known[i], session);
            shake(&p);
            assert_true(p.end.k.is_on);
            assert_string_equal(link_of(&p)->ops->name, "ktls");
            assert_ptr_equal(wr_tls_of_link(link_of(&p)), p.ours);
            assert_int_equal(SSL_session_reused(p.other), round == 1 && !known[i].no_ticket);
            talk(&p, 100000);
            assert_int_equal(wr_chunk_in_use(), before);
            SSL_SESSION_free(session);
            session = known[i].no_ticket ? NULL : SSL_get1_session(p.other);
            assert_int_equal(link_of(&p)->ops->shutdown(link_of(&p)), WR_OK);
            assert_int_equal(SSL_read(p.other, &c, 1), 0);
            assert_int_equal(SSL_get_error(p.other, 0), SSL_ERROR_ZERO_RETURN);
            (void)SSL_shutdown(p.other); /* else the library forgets the session */
            close_pair(&p);
        }
        SSL_SESSION_free(session);
    }
}

/* Where nobody asked for it, or the kernel does not know the cipher, it is not asked. */
static void not_asked(void **state)
{
    static const struct {
        bool has_option;
        struct wants w;
    } rows[] = {
        {false, {TLS1_3_VERSION, NULL, false}                    },
        {false, {TLS1_2_VERSION, NULL, false}                    },
        {true,  {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", false}},
        {true,  {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM", false}},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct pair p;

        open_pair(&p, rows[i].has_option ? with_option : without, &rows[i].w, NULL);
        shake(&p);
        assert_int_equal(p.end.k.asked, 0);
        assert_string_equal(link_of(&p)->ops->name, "tls");
        talk(&p, 50000);
        close_pair(&p);
    }
}

/* However little the wire takes at a time. */
static void narrow(void **state)
{
    static const size_t rooms[] = {1, 7, 44, 45, 46, 1000};

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(known) * WR_ARRAY_LEN(rooms); i++) {
        struct pair p;

        open_pair(&p, with_option, &known[i % WR_ARRAY_LEN(known)], NULL);
        p.end.room = rooms[i / WR_ARRAY_LEN(known)];
        shake(&p);
        talk(&p, 3000);
        close_pair(&p);
    }
}

/* The library's alert goes out by the kernel: the other side sends what is no record of it. */
static void alert(void **state)
{
    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(known); i++) {
        struct wr_chunk *c = NULL;
        uint32_t off = 0, len = 0;
        struct wr_link *l;
        struct pair p;
        struct iovec v = {cert_pem, 5};
        size_t n = 0;
        char b;

        open_pair(&p, with_option, &known[i], NULL);
        shake(&p);
        talk(&p, 1000);
        l = link_of(&p);
        assert_int_equal(BIO_write(p.end.in,
                                   "\x17\x03\x03\x00\x20"
                                   "0123456789abcdef0123456789abcdef",
                                   37),
                         37);
        assert_int_equal(l->ops->recv(l, SIZE_MAX, &c, &off, &len), WR_EPROTO);
        assert_non_null(wr_tls_error(p.ours));
        assert_int_equal(l->ops->send(l, &v, 1, &n), WR_ESYS);
        assert_true(SSL_read(p.other, &b, 1) <= 0);
        assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
        ERR_clear_error();
        close_pair(&p);
    }
}

/* One that changes its keys and asks us for new ones: it is understood, ours stay. */
static void key_update(void **state)
{
    (void)state;
    for (size_t i = 0; known[i].version == TLS1_3_VERSION; i++) {
        struct pair p;

        open_pair(&p, with_option, &known[i], NULL);
        shake(&p);
        talk(&p, 1000);
        for (int round = 0; round < 3; round++) {
            assert_int_equal(SSL_key_update(p.other, round == 0 ? SSL_KEY_UPDATE_NOT_REQUESTED
                                                                : SSL_KEY_UPDATE_REQUESTED),
                             1);
            talk(&p, 40000);
        }
        close_pair(&p);
    }
}

/* A client of TLS 1.2 that wants to shake hands again is told that it cannot, and goes on. */
static void renegotiation(void **state)
{
    struct pair p;

    (void)state;
    open_pair(&p, with_option, &known[4], NULL);
    shake(&p);
    talk(&p, 1000);
    assert_int_equal(SSL_renegotiate(p.other), 1);
    (void)SSL_do_handshake(p.other);
    {
        struct wr_link *l = link_of(&p);
        struct wr_chunk *c = NULL;
        uint32_t off = 0, len = 0;

        assert_int_equal(l->ops->recv(l, SIZE_MAX, &c, &off, &len), WR_AGAIN);
    }
    assert_int_not_equal(SSL_do_handshake(p.other), 1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    close_pair(&p);
}

/* This connection cannot: the next one is tried. The system cannot: nobody asks for some time. */
static void refused(void **state)
{
    struct pair p;

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_pair(&p, with_option, &known[0], NULL);
        p.end.k.answer = WR_ESYS;
        shake(&p);
        assert_int_equal(p.end.k.asked, 1);
        talk(&p, 50000);
        close_pair(&p);
    }
    for (int i = 0; i < 2; i++) {
        open_pair(&p, with_option, &known[0], NULL);
        p.end.k.answer = WR_ECONFIG;
        shake(&p);
        assert_int_equal(p.end.k.asked, i == 0 ? 1 : 0);
        assert_string_equal(link_of(&p)->ops->name, "tls");
        talk(&p, 50000);
        close_pair(&p);
    }
    /* Another cipher may be known. */
    open_pair(&p, with_option, &known[1], NULL);
    shake(&p);
    assert_true(p.end.k.is_on);
    close_pair(&p);
}

#define PEER(f)                                                                                    \
    {                                                                                              \
#        f ", to a peer", f, to_peer, NULL, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector),
        cmocka_unit_test(ciphers),
        cmocka_unit_test(not_asked),
        cmocka_unit_test(narrow),
        cmocka_unit_test(alert),
        cmocka_unit_test(key_update),
        cmocka_unit_test(renegotiation),
        PEER(ciphers),
        PEER(not_asked),
        PEER(narrow),
        PEER(alert),
        PEER(key_update),
        PEER(refused), /* last: it is remembered */
    };

    return cmocka_run_group_tests(tests, begin_group, end_group);
}
