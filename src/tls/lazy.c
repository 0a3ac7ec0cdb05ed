/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lazy.c: certificates whose file names have the client's server name in them: read during the
 * handshake, by the worker's user. The files are small and as a rule in the page cache; a cold disk
 * holds up the thread, as a static file's does.
 *
 * The name comes from the client: one with a '/' in it, or that begins with a '.', is no part of a
 * file name, and the handshake fails. Connection's thread.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/mem.h"
#include "io/file.h"
#include "tls/tls_int.h"

#define FILE_MAX  (1u << 20)
#define PATH_MAX_ 4096u
#define ERROR_MAX 1024u

static const struct wr_str marker = WR_STR_INIT(WR_TLS_NAME_MARKER);

static bool is_name_safe(struct wr_str s)
{
    return s.len > 0 && s.ptr[0] != '.' && wr_str_find(s, '/') == s.len;
}

/* The path with the name in it, '\0' behind; its length, 0: too long. */
static size_t make_path(struct wr_str path, struct wr_str name, char *room, size_t size)
{
    size_t n = 0;

    while (path.len > 0) {
        struct wr_str part = name;

        if (wr_str_has_prefix(path, marker)) {
            path = wr_str_sub(path, marker.len, path.len);
        } else {
            part = wr_str_sub(path, 0, 1);
            path = wr_str_sub(path, 1, path.len);
        }
        if (part.len >= size - n) {
            return 0;
        }
        memcpy(room + n, part.ptr, part.len);
        n += part.len;
    }
    room[n] = '\0';
    return n;
}

/* The file's bytes as a BIO, which has a copy. NULL: err tells. */
static BIO *open_file(struct wr_str path, struct wr_strbuf *err)
{
    struct wr_tls_file f = {.name = path};
    struct wr_file *file = NULL;
    BIO *ret = NULL;
    char *bytes;
    size_t n = 0;

    if (wr_file_open(path.ptr, &file, &f.err) != WR_OK) {
        wr_tls_raise_open(&f);
        wr_strbuf_add_z(err, "BIO_new_file() failed");
        wr_tls_add_errors(err);
        return NULL;
    }
    bytes = file->is_regular && file->size > 0 && file->size <= FILE_MAX
                ? wr_run_alloc((size_t)file->size)
                : NULL;
    if (bytes && wr_file_read(file, 0, bytes, (size_t)file->size, &n) == WR_OK) {
        ret = BIO_new(BIO_s_mem());
        if (ret != NULL && BIO_write(ret, bytes, (int)n) != (int)n) {
            BIO_free(ret);
            ret = NULL;
        }
    }
    if (bytes) {
        OPENSSL_cleanse(bytes, (size_t)file->size);
    }
    wr_mem_free(bytes);
    wr_file_unref(file);
    if (ret == NULL) {
        wr_strbuf_add_z(err, "it cannot be read");
    }
    return ret;
}

static bool use_cert(SSL *ssl, BIO *in)
{
    X509 *x = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL);
    bool ok = x != NULL && SSL_use_certificate(ssl, x) == 1;

    X509_free(x);
    while (ok) {
        x = PEM_read_bio_X509(in, NULL, NULL, NULL);
        if (x == NULL) {
            ok = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            break;
        }
        ok = SSL_add0_chain_cert(ssl, x) == 1;
        if (!ok) {
            X509_free(x);
        }
    }
    return ok;
}

static int refuse_password(char *buf, int size, int is_writing, void *data)
{
    (void)buf, (void)size, (void)is_writing, (void)data;
    return -1;
}

static bool use_key(SSL *ssl, BIO *in)
{
    EVP_PKEY *k = PEM_read_bio_PrivateKey(in, NULL, refuse_password, NULL);
    bool ok = k != NULL && SSL_use_PrivateKey(ssl, k) == 1;

    EVP_PKEY_free(k);
    return ok;
}

static bool load(SSL *ssl, struct wr_str path, struct wr_str name, bool is_key,
                 struct wr_strbuf *err)
{
    char room[PATH_MAX_];
    size_t n = make_path(path, name, room, sizeof(room));
    BIO *in;
    bool ok;

    wr_strbuf_printf(err, "cannot load certificate%s \"%.*s\": ", is_key ? " key" : "", (int)n,
                     room);
    in = n > 0 ? open_file(wr_str(room, n), err) : NULL;
    if (in == NULL) {
        return false;
    }
    ok = is_key ? use_key(ssl, in) : use_cert(ssl, in);
    BIO_free(in);
    if (!ok) {
        wr_strbuf_add_z(err, is_key ? "PEM_read_bio_PrivateKey() failed"
                                    : "PEM_read_bio_X509_AUX() failed");
        wr_tls_add_errors(err);
    }
    return ok;
}

/* The library's call before it chooses a certificate. 1: go on; 0: end the handshake. */
static int load_certs(SSL *ssl, void *data)
{
    struct wr_tls *t = SSL_get_app_data(ssl);
    const struct wr_tls_ctx *c = wr_tls_ctx_of(SSL_get_SSL_CTX(ssl));
    struct wr_str name = wr_tls_server_name(t);
    char room[ERROR_MAX];

    (void)data;
    for (uint32_t i = 0; i < c->lazy_cnt; i++) {
        struct wr_strbuf err;
        bool ok = is_name_safe(name);

        wr_strbuf_init_fixed(&err, room, sizeof(room));
        if (!ok) {
            wr_strbuf_add_z(&err, "no certificate without a server name that can be a file's");
        }
        ok = ok && load(ssl, c->lazy[i].cert, name, false, &err);
        if (ok) {
            wr_strbuf_init_fixed(&err, room, sizeof(room));
            ok = load(ssl, c->lazy[i].key, name, true, &err);
        }
        ERR_clear_error();
        if (!ok) {
            t->error = OPENSSL_strndup(room, err.len);
            return 0;
        }
    }
    return 1;
}

static bool keep(struct wr_str *dst, struct wr_str src)
{
    char *p = OPENSSL_memdup(src.ptr, src.len);

    *dst = wr_str(p, p != NULL ? src.len : 0);
    return p != NULL;
}

enum wr_status wr_tls_use_lazy(struct wr_tls_ctx *c, const struct wr_tls_opts *o)
{
    if (o->lazy_cnt == 0) {
        return WR_OK;
    }
    c->lazy = OPENSSL_zalloc(o->lazy_cnt * sizeof(*c->lazy));
    if (c->lazy == NULL) {
        return WR_ENOMEM;
    }
    for (uint32_t i = 0; i < o->lazy_cnt; i++) {
        c->lazy_cnt = i + 1;
        if (!keep(&c->lazy[i].cert, o->lazy[i].cert) || !keep(&c->lazy[i].key, o->lazy[i].key)) {
            return WR_ENOMEM;
        }
    }
    SSL_CTX_set_cert_cb(c->ssl, load_certs, NULL);
    return WR_OK;
}

void wr_tls_free_lazy(struct wr_tls_ctx *c)
{
    union {
        const char *in;
        void *out; /* ours, by keep */
    } u;

    for (uint32_t i = 0; i < c->lazy_cnt; i++) {
        u.in = c->lazy[i].cert.ptr;
        OPENSSL_free(u.out);
        u.in = c->lazy[i].key.ptr;
        OPENSSL_free(u.out);
    }
    OPENSSL_free(c->lazy);
}
