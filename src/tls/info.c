/* SPDX-License-Identifier: Apache-2.0 */
/*
 * info.c: what variables tell of a connection's TLS: texts made when they are asked for, straight
 * from the library's session. Owner thread only.
 */
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/obj.h"
#include "tls/tls_int.h"

#define CURVES_MAX 64

static const char lower_digits[] = "0123456789abcdef";

static enum wr_status add_z(struct wr_strbuf *b, const char *z)
{
    if (z == NULL || z[0] == '\0') {
        return WR_EOF;
    }
    wr_strbuf_add_z(b, z);
    return b->status;
}

static enum wr_status add_hex(struct wr_strbuf *b, const unsigned char *p, size_t n,
                              const char *digits)
{
    for (size_t i = 0; i < n; i++) {
        wr_strbuf_add_char(b, digits[p[i] >> 4]);
        wr_strbuf_add_char(b, digits[p[i] & 15]);
    }
    return n == 0 ? WR_EOF : b->status;
}

/* What was written to the memory BIO, without `cut` bytes at its end. */
static enum wr_status add_bio(struct wr_strbuf *b, BIO *bio, size_t cut)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);

    if (n < 0 || (size_t)n < cut) {
        return WR_EOF;
    }
    wr_strbuf_add(b, p, (size_t)n - cut);
    return b->status;
}

/* ---- the connection -------------------------------------------------------------------------- */

/* What the client offered, known or not. */
static enum wr_status add_ciphers(SSL *ssl, struct wr_strbuf *b)
{
    const unsigned char *list = NULL;
    size_t n = SSL_get0_raw_cipherlist(ssl, &list), one = SSL_get0_raw_cipherlist(ssl, NULL);

    if (n == 0 || one == 0) {
        return WR_EOF;
    }
    for (size_t i = 0; i + one <= n; i += one) {
        const SSL_CIPHER *c = SSL_CIPHER_find(ssl, list + i);

        if (i > 0) {
            wr_strbuf_add_char(b, ':');
        }
        if (c != NULL) {
            wr_strbuf_add_z(b, SSL_CIPHER_get_name(c));
        } else {
            wr_strbuf_add_z(b, "0x");
            (void)add_hex(b, list + i, one, lower_digits);
        }
    }
    return b->status;
}

/* nid: the library's number, or 0x1000000 and the group's on the wire when it knows no name. */
static void add_group(struct wr_strbuf *b, int nid)
{
    if ((nid & TLSEXT_nid_unknown) != 0) {
        wr_strbuf_printf(b, "0x%04x", (unsigned)nid & 0xffff);
    } else {
        wr_strbuf_add_z(b, OBJ_nid2sn(nid));
    }
}

static enum wr_status add_curve(SSL *ssl, struct wr_strbuf *b)
{
    int nid = (int)SSL_get_negotiated_group(ssl);

    if (nid == 0) {
        return WR_EOF;
    }
    add_group(b, nid);
    return b->status;
}

static enum wr_status add_curves(SSL *ssl, struct wr_strbuf *b)
{
    int nids[CURVES_MAX];
    int n = (int)SSL_get1_groups(ssl, NULL);

    if (n <= 0 || n > CURVES_MAX) {
        return WR_EOF;
    }
    (void)SSL_get1_groups(ssl, nids);
    for (int i = 0; i < n; i++) {
        if (i > 0) {
            wr_strbuf_add_char(b, ':');
        }
        add_group(b, nids[i]);
    }
    return b->status;
}

static enum wr_status add_session_id(SSL *ssl, struct wr_strbuf *b)
{
    const SSL_SESSION *s = SSL_get0_session(ssl);
    unsigned int n = 0;
    const unsigned char *p = s != NULL ? SSL_SESSION_get_id(s, &n) : NULL;

    return add_hex(b, p, n, lower_digits);
}

static enum wr_status add_alpn(SSL *ssl, struct wr_strbuf *b)
{
    const unsigned char *p = NULL;
    unsigned int n = 0;

    SSL_get0_alpn_selected(ssl, &p, &n);
    wr_strbuf_add(b, p, n);
    return n == 0 ? WR_EOF : b->status;
}

/* ---- the client's certificate -----------------------------------------------------------------
 */

static void add_escaped(struct wr_strbuf *b, struct wr_str pem)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < pem.len; i++) {
        unsigned char c = (unsigned char)pem.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';

        if (is_plain) {
            wr_strbuf_add_char(b, (char)c);
        } else {
            wr_strbuf_add_char(b, '%');
            wr_strbuf_add_char(b, hex[c >> 4]);
            wr_strbuf_add_char(b, hex[c & 15]);
        }
    }
}

/* As one field: its further lines begin with a tab, the last one has no end. */
static void add_folded(struct wr_strbuf *b, struct wr_str pem)
{
    while (pem.len > 0 && pem.ptr[pem.len - 1] == '\n') {
        pem.len--;
    }
    for (size_t i = 0; i < pem.len; i++) {
        wr_strbuf_add_char(b, pem.ptr[i]);
        if (pem.ptr[i] == '\n') {
            wr_strbuf_add_char(b, '\t');
        }
    }
}

/* The PEM form into bio. */
static enum wr_status make_pem(X509 *x, BIO *bio, struct wr_str *ret)
{
    char *p = NULL;
    long n;

    if (PEM_write_bio_X509(bio, x) == 0) {
        return WR_ENOMEM;
    }
    n = BIO_get_mem_data(bio, &p);
    *ret = wr_str(p, n > 0 ? (size_t)n : 0);
    return WR_OK;
}

static enum wr_status add_cert(X509 *x, BIO *bio, struct wr_strbuf *b,
                               void (*add)(struct wr_strbuf *b, struct wr_str pem))
{
    struct wr_str pem;
    enum wr_status st = make_pem(x, bio, &pem);

    if (st == WR_OK) {
        add(b, pem);
        st = b->status;
    }
    return st;
}

static enum wr_status add_raw_cert(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    return add_cert(x, bio, b, wr_strbuf_add_str);
}

static enum wr_status add_folded_cert(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    return add_cert(x, bio, b, add_folded);
}

static enum wr_status add_escaped_cert(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    return add_cert(x, bio, b, add_escaped);
}

static enum wr_status add_name(const X509_NAME *name, BIO *bio, struct wr_strbuf *b)
{
    return X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0 ? WR_ENOMEM : add_bio(b, bio, 0);
}

static enum wr_status add_old_name(const X509_NAME *name, struct wr_strbuf *b)
{
    char *old = X509_NAME_oneline(name, NULL, 0);

    if (old == NULL) {
        return WR_ENOMEM;
    }
    wr_strbuf_add_z(b, old);
    OPENSSL_free(old);
    return b->status;
}

static enum wr_status add_subject(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    return add_name(X509_get_subject_name(x), bio, b);
}

static enum wr_status add_issuer(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    return add_name(X509_get_issuer_name(x), bio, b);
}

static enum wr_status add_old_subject(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    (void)bio;
    return add_old_name(X509_get_subject_name(x), b);
}

static enum wr_status add_old_issuer(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    (void)bio;
    return add_old_name(X509_get_issuer_name(x), b);
}

static enum wr_status add_serial(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    (void)i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(x));
    return add_bio(b, bio, 0);
}

static enum wr_status add_start(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    (void)ASN1_TIME_print(bio, X509_get0_notBefore(x));
    return add_bio(b, bio, 0);
}

static enum wr_status add_end(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    (void)ASN1_TIME_print(bio, X509_get0_notAfter(x));
    return add_bio(b, bio, 0);
}

static enum wr_status add_fingerprint(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    (void)bio;
    return X509_digest(x, EVP_sha1(), md, &n) == 0 ? WR_ENOMEM : add_hex(b, md, n, lower_digits);
}

/* Days until it ends; 0 when it has. */
static enum wr_status add_remain(X509 *x, BIO *bio, struct wr_strbuf *b)
{
    time_t now = (time_t)(wr_clock_wall_ms() / 1000);
    ASN1_TIME *t = ASN1_TIME_set(NULL, now);
    int days = 0, secs = 0;
    bool ok = t != NULL && ASN1_TIME_diff(&days, &secs, t, X509_get0_notAfter(x)) == 1;

    (void)bio;
    ASN1_TIME_free(t);
    if (!ok) {
        return WR_EOF;
    }
    wr_strbuf_add_u64(b, days > 0 ? (uint64_t)days : 0);
    return b->status;
}

/* By one of the functions above, with an empty memory BIO. */
static enum wr_status add_of_cert(struct wr_tls *t,
                                  enum wr_status (*add)(X509 *x, BIO *bio, struct wr_strbuf *b),
                                  struct wr_strbuf *b)
{
    X509 *x = SSL_get0_peer_certificate(t->ssl);
    enum wr_status st;
    BIO *bio;

    if (x == NULL) {
        return WR_EOF;
    }
    bio = BIO_new(BIO_s_mem());
    st = bio != NULL ? add(x, bio, b) : WR_ENOMEM;
    BIO_free(bio);
    ERR_clear_error();
    return st;
}

static enum wr_status add_verify(struct wr_tls *t, struct wr_strbuf *b)
{
    const char *text = "";
    long code = 0;

    switch (wr_tls_client_trust(t, &code, &text)) {
    case WR_TLS_TRUST_NO_CERT:
        return add_z(b, "NONE");
    case WR_TLS_TRUST_OK:
        return add_z(b, "SUCCESS");
    case WR_TLS_TRUST_NO_CA:
    case WR_TLS_TRUST_BAD:
        wr_strbuf_printf(b, "FAILED:%s", text);
        return b->status;
    }
    WR_UNREACHABLE();
}

/* ---- for all --------------------------------------------------------------------------------- */

/* long: a table */
enum wr_status wr_tls_write_fact(struct wr_tls *t, enum wr_tls_fact fact, struct wr_strbuf *b)
{
    wr_obj_check(t, WR_TLS_MAGIC);
    switch (fact) {
    case WR_TLS_FACT_PROTOCOL:
        return add_z(b, SSL_get_version(t->ssl));
    case WR_TLS_FACT_CIPHER:
        return add_z(b, SSL_get_cipher_name(t->ssl));
    case WR_TLS_FACT_CIPHERS:
        return add_ciphers(t->ssl, b);
    case WR_TLS_FACT_CURVE:
        return add_curve(t->ssl, b);
    case WR_TLS_FACT_CURVES:
        return add_curves(t->ssl, b);
    case WR_TLS_FACT_SESSION_ID:
        return add_session_id(t->ssl, b);
    case WR_TLS_FACT_SESSION_REUSED:
        return add_z(b, SSL_session_reused(t->ssl) == 1 ? "r" : ".");
    case WR_TLS_FACT_SERVER_NAME:
        wr_strbuf_add(b, t->name, t->name_len);
        return t->name_len == 0 ? WR_EOF : b->status;
    case WR_TLS_FACT_ALPN:
        return add_alpn(t->ssl, b);
    case WR_TLS_FACT_EARLY_DATA:
        return wr_tls_is_early(t) ? add_z(b, "1") : WR_EOF;
    case WR_TLS_FACT_CLIENT_VERIFY:
        return add_verify(t, b);
    case WR_TLS_FACT_CLIENT_CERT:
        return add_of_cert(t, add_folded_cert, b);
    case WR_TLS_FACT_CLIENT_RAW_CERT:
        return add_of_cert(t, add_raw_cert, b);
    case WR_TLS_FACT_CLIENT_ESCAPED_CERT:
        return add_of_cert(t, add_escaped_cert, b);
    case WR_TLS_FACT_CLIENT_SUBJECT:
        return add_of_cert(t, add_subject, b);
    case WR_TLS_FACT_CLIENT_ISSUER:
        return add_of_cert(t, add_issuer, b);
    case WR_TLS_FACT_CLIENT_SUBJECT_OLD:
        return add_of_cert(t, add_old_subject, b);
    case WR_TLS_FACT_CLIENT_ISSUER_OLD:
        return add_of_cert(t, add_old_issuer, b);
    case WR_TLS_FACT_CLIENT_SERIAL:
        return add_of_cert(t, add_serial, b);
    case WR_TLS_FACT_CLIENT_FINGERPRINT:
        return add_of_cert(t, add_fingerprint, b);
    case WR_TLS_FACT_CLIENT_START:
        return add_of_cert(t, add_start, b);
    case WR_TLS_FACT_CLIENT_END:
        return add_of_cert(t, add_end, b);
    case WR_TLS_FACT_CLIENT_REMAIN:
        return add_of_cert(t, add_remain, b);
    }
    WR_UNREACHABLE();
}

struct wr_str wr_tls_server_name(const struct wr_tls *t)
{
    return t->name != NULL ? wr_str(t->name + t->name_len, t->name_len) : WR_STR_NULL;
}

enum wr_tls_trust wr_tls_client_trust(struct wr_tls *t, long *ret_code, const char **ret_text)
{
    long code;

    wr_obj_check(t, WR_TLS_MAGIC);
    if (SSL_get0_peer_certificate(t->ssl) == NULL) {
        return WR_TLS_TRUST_NO_CERT;
    }
    code = SSL_get_verify_result(t->ssl);
    *ret_code = code;
    *ret_text = X509_verify_cert_error_string(code);
    switch (code) {
    case X509_V_OK:
        return WR_TLS_TRUST_OK;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return WR_TLS_TRUST_NO_CA;
    default: /* numbers of the library */
        return WR_TLS_TRUST_BAD;
    }
}

bool wr_tls_is_rejected(const struct wr_tls *t)
{
    return t->is_rejected;
}

bool wr_tls_is_early(const struct wr_tls *t)
{
    return t->is_early && SSL_is_init_finished(t->ssl) == 0;
}
