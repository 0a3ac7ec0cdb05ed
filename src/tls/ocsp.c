/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ocsp.c: see ocsp.h. Signatures are checked against the issuer itself, which is trusted for this
 * one certificate: a chain up to a root is not needed, and nobody else's word counts. A question
 * has references to what it needs and outlives the context it came from.
 *
 *   struct wr_tls_staple   what handshakes give, exchanged while they go on: a lock for the copy
 */
#include "tls/ocsp.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/sync.h"
#include "tls/tls_int.h"

#define SKEW_SEC 300 /* by which clocks may differ */

struct wr_ocsp {
    X509 *cert, *issuer;
    OCSP_CERTID *id;
    X509_STORE *store;        /* the issuer alone */
    X509_STORE *also;         /* a second opinion; NULL: none is asked for */
    STACK_OF(X509) * signers; /* the issuer, as a signer that needs not be in the answer */
};

/* ---- questions ------------------------------------------------------------------------------- */

void wr_ocsp_free(struct wr_ocsp *q)
{
    if (!q) {
        return;
    }
    sk_X509_free(q->signers);
    X509_STORE_free(q->also);
    X509_STORE_free(q->store);
    OCSP_CERTID_free(q->id);
    X509_free(q->issuer);
    X509_free(q->cert);
    wr_mem_free(q);
}

static bool fill_store(struct wr_ocsp *q)
{
    q->store = X509_STORE_new();
    q->signers = sk_X509_new_null();
    return q->store && q->signers && X509_STORE_add_cert(q->store, q->issuer) == 1 &&
           X509_STORE_set_flags(q->store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
           sk_X509_push(q->signers, q->issuer) > 0;
}

/* Takes references. also may be NULL. */
static enum wr_status make(X509 *cert, X509 *issuer, X509_STORE *also, struct wr_ocsp **ret)
{
    struct wr_ocsp *q = wr_run_zalloc(sizeof(*q));

    if (!q) {
        return WR_ENOMEM;
    }
    (void)X509_up_ref(cert);
    (void)X509_up_ref(issuer);
    q->cert = cert;
    q->issuer = issuer;
    if (also) {
        (void)X509_STORE_up_ref(also);
        q->also = also;
    }
    q->id = OCSP_cert_to_id(NULL, cert, issuer); /* by SHA-1, which all responders know */
    if (!q->id || !fill_store(q)) {
        ERR_clear_error();
        wr_ocsp_free(q);
        return WR_ENOMEM;
    }
    *ret = q;
    return WR_OK;
}

enum wr_status wr_ocsp_write_request(const struct wr_ocsp *q, struct wr_strbuf *b)
{
    OCSP_REQUEST *r = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_CERTID_dup(q->id);
    unsigned char *der = NULL;
    int len = -1;

    if (r && id && OCSP_request_add0_id(r, id)) {
        id = NULL;
        len = i2d_OCSP_REQUEST(r, &der);
    }
    if (len > 0) {
        wr_strbuf_add(b, der, (size_t)len);
    }
    OPENSSL_free(der);
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(r);
    ERR_clear_error();
    return len > 0 ? b->status : WR_ENOMEM;
}

enum wr_status wr_ocsp_write_url(const struct wr_ocsp *q, struct wr_strbuf *b)
{
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(q->cert);
    bool has_one = urls && sk_OPENSSL_STRING_num(urls) > 0;

    if (has_one) {
        wr_strbuf_add_z(b, sk_OPENSSL_STRING_value(urls, 0));
    }
    X509_email_free(urls);
    return has_one ? b->status : WR_EOF;
}

void wr_ocsp_write_key(const struct wr_ocsp *q, unsigned char key[WR_OCSP_KEY_LEN])
{
    unsigned char *der = NULL;
    int len = i2d_OCSP_CERTID(q->id, &der);

    memset(key, 0, WR_OCSP_KEY_LEN);
    if (len > 0) {
        (void)EVP_Digest(der, (size_t)len, key, NULL, EVP_sha256(), NULL);
    }
    OPENSSL_free(der);
}

void wr_ocsp_remember(struct wr_tls_cache *c, const struct wr_ocsp *q, enum wr_ocsp_says says,
                      uint32_t life_sec)
{
    unsigned char key[WR_OCSP_KEY_LEN];
    char value = (char)says;

    wr_ocsp_write_key(q, key);
    wr_tls_cache_put(c, wr_str((const char *)key, sizeof(key)), wr_str(&value, 1), life_sec);
}

bool wr_ocsp_recall(struct wr_tls_cache *c, const struct wr_ocsp *q, enum wr_ocsp_says *ret)
{
    unsigned char key[WR_OCSP_KEY_LEN], value = 0;
    size_t n = 0;

    wr_ocsp_write_key(q, key);
    if (!wr_tls_cache_get(c, wr_str((const char *)key, sizeof(key)), &value, 1, &n) || n != 1 ||
        value > WR_OCSP_UNKNOWN) {
        return false;
    }
    *ret = (enum wr_ocsp_says)value;
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

static enum wr_status fail(struct wr_strbuf *err, const char *what)
{
    wr_strbuf_add_z(err, what);
    if (ERR_peek_error() != 0) {
        wr_tls_add_errors(err);
    }
    return WR_EPROTO;
}

/* Seconds from one time to the other, 0 when it is not after it; from NULL: now. */
static uint64_t seconds(const ASN1_GENERALIZEDTIME *from, const ASN1_GENERALIZEDTIME *to)
{
    int day = 0, sec = 0;

    if (ASN1_TIME_diff(&day, &sec, from, to) != 1 || day < 0 || sec < 0) {
        return 0;
    }
    return (uint64_t)day * 86400 + (uint64_t)sec;
}

static enum wr_status read_single(const struct wr_ocsp *q, OCSP_BASICRESP *basic,
                                  struct wr_ocsp_answer *ret, struct wr_strbuf *err)
{
    ASN1_GENERALIZEDTIME *this_at = NULL, *next_at = NULL;
    int status = V_OCSP_CERTSTATUS_UNKNOWN;

    if (OCSP_resp_find_status(basic, q->id, &status, NULL, NULL, &this_at, &next_at) != 1) {
        return fail(err, "certificate status not found in the OCSP response");
    }
    if (OCSP_check_validity(this_at, next_at, SKEW_SEC, -1) != 1) {
        return fail(err, "OCSP_check_validity() failed");
    }
    *ret = (struct wr_ocsp_answer){.says = status == V_OCSP_CERTSTATUS_GOOD      ? WR_OCSP_GOOD
                                           : status == V_OCSP_CERTSTATUS_REVOKED ? WR_OCSP_REVOKED
                                                                                 : WR_OCSP_UNKNOWN,
                                   .life_sec = next_at ? WR_MAX(seconds(NULL, next_at), 1u) : 0,
                                   .age_sec = seconds(this_at, NULL)};
    return WR_OK;
}

static enum wr_status check_basic(const struct wr_ocsp *q, OCSP_BASICRESP *basic,
                                  struct wr_ocsp_answer *ret, struct wr_strbuf *err)
{
    if (OCSP_basic_verify(basic, q->signers, q->store, 0) != 1 ||
        (q->also && OCSP_basic_verify(basic, q->signers, q->also, 0) != 1)) {
        return fail(err, "OCSP_basic_verify() failed");
    }
    return read_single(q, basic, ret, err);
}

enum wr_status wr_ocsp_read(const struct wr_ocsp *q, struct wr_str der, struct wr_ocsp_answer *ret,
                            struct wr_strbuf *err)
{
    const unsigned char *p = (const unsigned char *)der.ptr;
    OCSP_RESPONSE *r = NULL;
    OCSP_BASICRESP *basic = NULL;
    enum wr_status st;

    ERR_clear_error();
    if (der.len > 0 && der.len <= WR_OCSP_MAX) {
        r = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
    }
    if (!r) {
        st = fail(err, "d2i_OCSP_RESPONSE() failed");
    } else if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        int status = OCSP_response_status(r);

        wr_strbuf_printf(err, "OCSP response not successful (%d: %s)", status,
                         OCSP_response_status_str(status));
        st = WR_EPROTO;
    } else {
        basic = OCSP_response_get1_basic(r);
        st = basic ? check_basic(q, basic, ret, err)
                   : fail(err, "OCSP_response_get1_basic() failed");
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(r);
    ERR_clear_error();
    return st;
}

/* ---- what handshakes give -------------------------------------------------------------------- */

struct wr_tls_staple {
    wr_atomic_u32 refs;
    struct wr_mutex lock;
    unsigned char *der; /* lock; NULL: none yet */
    size_t len;         /* lock */
    uint64_t until_ms;  /* lock */
};

struct wr_tls_staple *wr_tls_staple_new(void)
{
    struct wr_tls_staple *s = wr_run_zalloc(sizeof(*s));

    if (s) {
        wr_store_rlx(&s->refs, 1);
        wr_mutex_init(&s->lock, WR_RANK_LEAF);
    }
    return s;
}

void wr_tls_staple_unref(struct wr_tls_staple *s)
{
    /* The last one must see what the others wrote. */
    if (!s || wr_sub_acqrel(&s->refs, 1) != 1) {
        return;
    }
    OPENSSL_free(s->der);
    wr_mutex_fini(&s->lock);
    wr_mem_free(s);
}

enum wr_status wr_tls_staple_set(struct wr_tls_staple *s, struct wr_str der, uint64_t until_ms)
{
    unsigned char *copy = OPENSSL_memdup(der.ptr, der.len), *old;

    if (!copy) {
        return WR_ENOMEM;
    }
    wr_mutex_lock(&s->lock);
    old = s->der;
    s->der = copy;
    s->len = der.len;
    s->until_ms = until_ms;
    wr_mutex_unlock(&s->lock);
    OPENSSL_free(old);
    return WR_OK;
}

unsigned char *wr_tls_staple_copy(struct wr_tls_staple *s, size_t *ret_len)
{
    unsigned char *copy = NULL;

    wr_mutex_lock(&s->lock);
    if (s->der && wr_now_ms() < s->until_ms) {
        copy = OPENSSL_memdup(s->der, s->len);
        *ret_len = s->len;
    }
    wr_mutex_unlock(&s->lock);
    return copy;
}

/* ---- our own certificates -------------------------------------------------------------------- */

enum wr_status wr_tls_note_pairs(struct wr_tls_ctx *c)
{
    uint32_t cnt = 0;

    for (long more = SSL_CTX_set_current_cert(c->ssl, SSL_CERT_SET_FIRST); more == 1;
         more = SSL_CTX_set_current_cert(c->ssl, SSL_CERT_SET_NEXT)) {
        cnt++;
    }
    if (cnt == 0) {
        return WR_OK;
    }
    c->pairs = OPENSSL_zalloc(cnt * sizeof(*c->pairs));
    if (!c->pairs) {
        return WR_ENOMEM;
    }
    for (long more = SSL_CTX_set_current_cert(c->ssl, SSL_CERT_SET_FIRST);
         more == 1 && c->pair_cnt < cnt;
         more = SSL_CTX_set_current_cert(c->ssl, SSL_CERT_SET_NEXT)) {
        X509 *x = SSL_CTX_get0_certificate(c->ssl);
        STACK_OF(X509) *chain = NULL;

        (void)SSL_CTX_get0_chain_certs(c->ssl, &chain);
        c->pairs[c->pair_cnt++] = (struct wr_tls_stapled){.cert = x, .chain = chain};
    }
    return WR_OK;
}

void wr_tls_free_pairs(struct wr_tls_ctx *c)
{
    for (uint32_t i = 0; i < c->pair_cnt; i++) {
        wr_tls_staple_unref(c->pairs[i].staple);
    }
    OPENSSL_free(c->pairs);
}

uint32_t wr_tls_ctx_pair_cnt(const struct wr_tls_ctx *c)
{
    return c->pair_cnt;
}

/* From the chain that is sent, else from what is trusted; one reference. NULL: it is not there. */
static X509 *find_issuer(SSL_CTX *ssl, X509 *cert, STACK_OF(X509) * chain)
{
    X509_STORE_CTX *sc;
    X509 *found = NULL;

    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *x = sk_X509_value(chain, i);

        if (X509_check_issued(x, cert) == X509_V_OK) {
            (void)X509_up_ref(x);
            return x;
        }
    }
    sc = X509_STORE_CTX_new();
    if (sc && X509_STORE_CTX_init(sc, SSL_CTX_get_cert_store(ssl), NULL, NULL) == 1 &&
        X509_STORE_CTX_get1_issuer(&found, sc, cert) != 1) {
        found = NULL;
    }
    X509_STORE_CTX_free(sc);
    ERR_clear_error();
    return found;
}

enum wr_status wr_tls_ctx_ocsp(struct wr_tls_ctx *c, uint32_t no, bool trusted,
                               struct wr_ocsp **ret)
{
    const struct wr_tls_stapled *p = &c->pairs[no];
    X509 *issuer = find_issuer(c->ssl, p->cert, p->chain);
    enum wr_status st;

    if (!issuer) {
        return WR_EOF;
    }
    st = make(p->cert, issuer, trusted ? SSL_CTX_get_cert_store(c->ssl) : NULL, ret);
    X509_free(issuer);
    return st;
}

void wr_tls_ctx_set_staple(struct wr_tls_ctx *c, uint32_t no, struct wr_tls_staple *s)
{
    (void)wr_add_rlx(&s->refs, 1); /* whoever has one may give another */
    wr_tls_staple_unref(c->pairs[no].staple);
    c->pairs[no].staple = s;
}

/* ---- clients --------------------------------------------------------------------------------- */

enum wr_status wr_tls_client_ocsp(struct wr_tls *t, uint32_t no, struct wr_ocsp **ret)
{
    STACK_OF(X509) * chain;
    int at = (int)no;

    wr_obj_check(t, WR_TLS_MAGIC);
    chain = SSL_get0_verified_chain(t->ssl);
    if (at + 1 >= sk_X509_num(chain)) {
        return WR_EOF; /* the last one is trusted as it is */
    }
    return make(sk_X509_value(chain, at), sk_X509_value(chain, at + 1), NULL, ret);
}

void wr_tls_client_condemn(struct wr_tls *t, enum wr_ocsp_verdict why)
{
    wr_obj_check(t, WR_TLS_MAGIC);
    switch (why) {
    case WR_OCSP_IS_REVOKED:
        SSL_set_verify_result(t->ssl, X509_V_ERR_CERT_REVOKED);
        return;
    case WR_OCSP_IS_UNKNOWN:
        SSL_set_verify_result(t->ssl, X509_V_ERR_OCSP_CERT_UNKNOWN);
        return;
    case WR_OCSP_FAILED:
        SSL_set_verify_result(t->ssl, X509_V_ERR_OCSP_VERIFY_FAILED);
        return;
    }
    WR_UNREACHABLE();
}
