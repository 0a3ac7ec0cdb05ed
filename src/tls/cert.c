/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cert.c: certificates, keys, lists of revocations and parameters, all PEM in memory: the bytes
 * came through the configuration's source, so that only the supervisor needs the right to read the
 * files. Texts of failures are those of the functions that read files, because operators know them.
 * Control thread or supervisor.
 */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tls/tls_int.h"

/* The queue gets what fopen() of a missing file would leave in it. */
static void raise_open(const struct wr_tls_file *f, bool is_x509)
{
    ERR_clear_error();
    ERR_raise_data(ERR_LIB_SYS, f->err, "calling fopen(%.*s, r)", WR_STR_ARG(f->name));
    if (is_x509) {
        ERR_raise_data(ERR_LIB_BIO, f->err == 2 ? BIO_R_NO_SUCH_FILE : ERR_R_SYS_LIB, NULL);
        ERR_raise(ERR_LIB_X509, ERR_R_SYS_LIB);
    } else {
        ERR_raise(ERR_LIB_BIO, f->err == 2 ? BIO_R_NO_SUCH_FILE : ERR_R_SYS_LIB);
    }
}

void wr_tls_raise_open(const struct wr_tls_file *f)
{
    raise_open(f, false);
}

static BIO *open_bytes(struct wr_str s)
{
    return s.len > INT32_MAX ? NULL : BIO_new_mem_buf(s.len > 0 ? s.ptr : "", (int)s.len);
}

/* "WHAT failed (SSL: ...)" */
static enum wr_status fail(struct wr_strbuf *err, const char *what)
{
    wr_strbuf_printf(err, "%s failed", what);
    wr_tls_add_errors(err);
    return WR_ECONFIG;
}

static enum wr_status fail_named(struct wr_strbuf *err, const char *call,
                                 const struct wr_tls_file *f)
{
    wr_strbuf_printf(err, "%s(\"%.*s\") failed", call, WR_STR_ARG(f->name));
    wr_tls_add_errors(err);
    return WR_ECONFIG;
}

/* ---- certificate and key -------------------------------------------------------------------- */

static enum wr_status fail_cert(struct wr_strbuf *err, const struct wr_tls_file *f,
                                const char *what)
{
    wr_strbuf_printf(err, "cannot load certificate \"%.*s\": ", WR_STR_ARG(f->name));
    return fail(err, what);
}

/* Is the end of the file all that stopped the reader? The queue is empty then. */
static bool is_at_end(void)
{
    unsigned long code = ERR_peek_last_error();

    if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE) {
        return false;
    }
    ERR_clear_error();
    return true;
}

static enum wr_status use_chain(SSL_CTX *ssl, BIO *in, const struct wr_tls_file *f,
                                struct wr_strbuf *err)
{
    for (;;) {
        X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);

        if (x == NULL) {
            return is_at_end() ? WR_OK : fail_cert(err, f, "PEM_read_bio_X509()");
        }
        if (SSL_CTX_add0_chain_cert(ssl, x) == 0) {
            X509_free(x);
            return fail_cert(err, f, "SSL_CTX_add0_chain_cert()");
        }
    }
}

static enum wr_status use_cert(SSL_CTX *ssl, const struct wr_tls_file *f, struct wr_strbuf *err)
{
    enum wr_status st;
    X509 *x;
    BIO *in;

    if (f->err != 0) {
        raise_open(f, false);
        return fail_cert(err, f, "BIO_new_file()");
    }
    in = open_bytes(f->bytes);
    x = in != NULL ? PEM_read_bio_X509_AUX(in, NULL, NULL, NULL) : NULL;
    if (x == NULL) {
        st = fail_cert(err, f, "PEM_read_bio_X509_AUX()");
    } else if (SSL_CTX_use_certificate(ssl, x) == 0) {
        wr_strbuf_printf(err, "SSL_CTX_use_certificate(\"%.*s\") failed", WR_STR_ARG(f->name));
        wr_tls_add_errors(err);
        st = WR_ECONFIG;
    } else {
        st = use_chain(ssl, in, f, err);
    }
    X509_free(x);
    BIO_free(in);
    return st;
}

/* The password at hand, for the reader of an encrypted key; none: it is not asked at a terminal. */
static int give_password(char *buf, int size, int is_writing, void *data)
{
    const struct wr_str *p = data;

    if (is_writing != 0 || p == NULL || size <= 0) {
        return -1;
    }
    if (p->len > (size_t)size) {
        return -1;
    }
    memcpy(buf, p->ptr, p->len);
    return (int)p->len;
}

static EVP_PKEY *read_key(struct wr_str bytes, const struct wr_str *password)
{
    union {
        const struct wr_str *in;
        void *out; /* give_password only reads */
    } u = {.in = password};

    BIO *in = open_bytes(bytes);
    EVP_PKEY *k = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, give_password, u.out) : NULL;

    BIO_free(in);
    return k;
}

static EVP_PKEY *find_key(const struct wr_tls_opts *o, const struct wr_tls_file *f)
{
    EVP_PKEY *k = NULL;

    if (o->password_cnt == 0) {
        return read_key(f->bytes, NULL);
    }
    for (uint32_t i = 0; i < o->password_cnt && k == NULL; i++) {
        ERR_clear_error();
        k = read_key(f->bytes, &o->passwords[i]);
    }
    return k;
}

static enum wr_status use_key(SSL_CTX *ssl, const struct wr_tls_opts *o,
                              const struct wr_tls_file *f, struct wr_strbuf *err)
{
    EVP_PKEY *k = NULL;
    enum wr_status st = WR_OK;

    if (f->err != 0) {
        raise_open(f, false);
    } else {
        k = find_key(o, f);
    }
    if (k == NULL) {
        wr_strbuf_printf(err, "cannot load certificate key \"%.*s\": ", WR_STR_ARG(f->name));
        return fail(err, f->err != 0 ? "BIO_new_file()" : "PEM_read_bio_PrivateKey()");
    }
    if (SSL_CTX_use_PrivateKey(ssl, k) == 0) {
        st = fail_named(err, "SSL_CTX_use_PrivateKey", f);
    }
    EVP_PKEY_free(k);
    return st;
}

enum wr_status wr_tls_use_pair(SSL_CTX *ssl, const struct wr_tls_opts *o,
                               const struct wr_tls_pair *p, struct wr_strbuf *err,
                               enum wr_tls_part *ret_part)
{
    enum wr_status st;

    ERR_clear_error();
    st = use_cert(ssl, &p->cert, err);
    if (st != WR_OK) {
        *ret_part = WR_TLS_PART_CERT;
        return st;
    }
    st = use_key(ssl, o, &p->key, err);
    if (st != WR_OK) {
        *ret_part = WR_TLS_PART_KEY;
    }
    return st;
}

/* ---- others --------------------------------------------------------------------------------- */

enum wr_status wr_tls_use_dhparam(SSL_CTX *ssl, const struct wr_tls_file *f, struct wr_strbuf *err)
{
    EVP_PKEY *k;
    BIO *in;

    ERR_clear_error();
    if (f->err != 0) {
        raise_open(f, false);
        return fail_named(err, "BIO_new_file", f);
    }
    in = open_bytes(f->bytes);
    k = in != NULL ? PEM_read_bio_Parameters(in, NULL) : NULL;
    BIO_free(in);
    if (k == NULL || !EVP_PKEY_is_a(k, "DH")) {
        EVP_PKEY_free(k);
        return fail_named(err, "PEM_read_bio_DHparams", f);
    }
    if (SSL_CTX_set0_tmp_dh_pkey(ssl, k) == 0) {
        EVP_PKEY_free(k);
        return fail_named(err, "SSL_CTX_set0_tmp_dh_pkey", f);
    }
    return WR_OK;
}

/* All certificates and revocation lists of the file into the store. *ret_cnt: how many. */
static bool fill_store(SSL_CTX *ssl, BIO *in, STACK_OF(X509_NAME) * names, unsigned *ret_cnt)
{
    STACK_OF(X509_INFO) *all = PEM_X509_INFO_read_bio(in, NULL, NULL, NULL);
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    bool ok = all != NULL;

    for (int i = 0; ok && i < sk_X509_INFO_num(all); i++) {
        const X509_INFO *info = sk_X509_INFO_value(all, i);

        if (info->x509 != NULL) {
            X509_NAME *name = NULL;

            ok = X509_STORE_add_cert(store, info->x509) == 1;
            if (ok && names != NULL) {
                name = X509_NAME_dup(X509_get_subject_name(info->x509));
                ok = name != NULL && sk_X509_NAME_push(names, name) > 0;
            }
            (*ret_cnt)++;
        }
        if (ok && info->crl != NULL) {
            ok = X509_STORE_add_crl(store, info->crl) == 1;
            (*ret_cnt)++;
        }
    }
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    return ok;
}

static enum wr_status load_store(SSL_CTX *ssl, const struct wr_tls_file *f,
                                 STACK_OF(X509_NAME) * names, const char *call,
                                 struct wr_strbuf *err)
{
    unsigned cnt = 0;
    bool ok;
    BIO *in;

    ERR_clear_error();
    if (f->err != 0) {
        raise_open(f, true);
        return fail_named(err, call, f);
    }
    in = open_bytes(f->bytes);
    ok = in != NULL && fill_store(ssl, in, names, &cnt);
    BIO_free(in);
    if (ok && cnt == 0) {
        ERR_clear_error();
        ERR_raise(ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND);
        ok = false;
    }
    return ok ? WR_OK : fail_named(err, call, f);
}

enum wr_status wr_tls_use_ca(SSL_CTX *ssl, const struct wr_tls_file *f, bool with_names,
                             struct wr_strbuf *err)
{
    STACK_OF(X509_NAME) *names = with_names ? sk_X509_NAME_new_null() : NULL;
    enum wr_status st = load_store(ssl, f, names, "SSL_CTX_load_verify_locations", err);

    if (st == WR_OK && names != NULL) {
        SSL_CTX_set_client_CA_list(ssl, names); /* takes them */
    } else {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
    }
    return st;
}

enum wr_status wr_tls_use_crl(SSL_CTX *ssl, const struct wr_tls_file *f, struct wr_strbuf *err)
{
    enum wr_status st = load_store(ssl, f, NULL, "X509_LOOKUP_load_file", err);

    if (st == WR_OK) {
        (void)X509_STORE_set_flags(SSL_CTX_get_cert_store(ssl),
                                   X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
    return st;
}

enum wr_status wr_tls_read_staple(struct wr_tls_ctx *c, const struct wr_tls_file *f,
                                  struct wr_strbuf *err)
{
    const unsigned char *p = (const unsigned char *)f->bytes.ptr;
    OCSP_RESPONSE *r = NULL;

    ERR_clear_error();
    if (f->err != 0) {
        raise_open(f, false);
        return fail_named(err, "BIO_new_file", f);
    }
    if (f->bytes.len > 0 && f->bytes.len <= INT32_MAX) {
        r = d2i_OCSP_RESPONSE(NULL, &p, (long)f->bytes.len);
    }
    if (r == NULL) {
        return fail_named(err, "d2i_OCSP_RESPONSE_bio", f);
    }
    OCSP_RESPONSE_free(r);
    c->staple = OPENSSL_memdup(f->bytes.ptr, f->bytes.len);
    c->staple_len = f->bytes.len;
    return c->staple != NULL ? WR_OK : WR_ENOMEM;
}
