/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c: how clients come back without a whole handshake: sessions kept here (the library's own
 * store in a context, or a wr_tls_cache), and tickets that clients keep, under keys of files or of
 * the process.
 *
 * The keys of the process (ticket.c) belong to no generation, so that
 * tickets survive a reload. What a session may be used for is said by its id context: a hash of the
 * certificates and of all that decides about clients' certificates. Towards peers sessions are kept
 * as bytes by peer and identity. Any thread.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/clock.h"
#include "base/sync.h"
#include "tls/tls_int.h"

#define SESSION_DER_MAX 16384

/* ---- tickets -------------------------------------------------------------------------------- */

/* The key to encrypt with, or the one of this name. *ret_is_first: it is the one in use. */
static bool get_key(const struct wr_tls_ctx *c, const unsigned char *name,
                    struct wr_tls_ticket_key *ret, bool *ret_is_first)
{
    bool found = false;

    for (uint32_t i = 0; i < c->key_cnt && !found; i++) {
        if (name == NULL || memcmp(c->keys[i].name, name, sizeof(ret->name)) == 0) {
            *ret = c->keys[i];
            *ret_is_first = i == 0;
            found = true;
        }
    }
    if (c->key_cnt > 0) {
        return found;
    }
    return wr_tls_find_ticket_key(name, ret, ret_is_first);
}

static bool set_mac(EVP_MAC_CTX *mac, struct wr_tls_ticket_key *k)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->hmac, k->half),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_END};

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* The library's call for each ticket: 0 unknown, 1 fine, 2 fine but give a new one, -1 failed. */
static int use_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                          EVP_MAC_CTX *mac, int is_encrypting)
{
    const struct wr_tls *t = SSL_get_app_data(ssl);
    struct wr_tls_ticket_key k;
    const EVP_CIPHER *kind;
    bool is_first = false;
    int ret = -1;

    if (!get_key(t->base, is_encrypting != 0 ? NULL : name, &k, &is_first)) {
        return is_encrypting != 0 ? -1 : 0;
    }
    kind = k.half == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
    if (is_encrypting != 0) {
        memcpy(name, k.name, sizeof(k.name));
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(kind)) == 1 &&
            EVP_EncryptInit_ex(cipher, kind, NULL, k.aes, iv) == 1 && set_mac(mac, &k)) {
            ret = 1;
        }
    } else if (set_mac(mac, &k) && EVP_DecryptInit_ex(cipher, kind, NULL, k.aes, iv) == 1) {
        ret = is_first ? 1 : 2;
    }
    OPENSSL_cleanse(&k, sizeof(k));
    return ret;
}

/* 80 bytes: name, HMAC key, AES key of 256 bits; 48: name, AES key and HMAC key of 128 bits. */
static enum wr_status read_keys(struct wr_tls_ctx *c, const struct wr_tls_opts *o,
                                struct wr_strbuf *err, uint32_t *ret_no)
{
    if (o->ticket_key_cnt == 0) {
        return WR_OK;
    }
    c->keys = OPENSSL_zalloc(o->ticket_key_cnt * sizeof(*c->keys));
    if (!c->keys) {
        return WR_ENOMEM;
    }
    for (uint32_t i = 0; i < o->ticket_key_cnt; i++) {
        const struct wr_tls_file *f = &o->ticket_keys[i];
        struct wr_tls_ticket_key *k = &c->keys[i];

        if (f->bytes.len != 48 && f->bytes.len != 80) {
            wr_strbuf_printf(err, "\"%.*s\" must be 48 or 80 bytes", WR_STR_ARG(f->name));
            *ret_no = i;
            return WR_ECONFIG;
        }
        k->half = f->bytes.len == 48 ? 16 : 32;
        memcpy(k->name, f->bytes.ptr, 16);
        if (k->half == 16) {
            memcpy(k->aes, f->bytes.ptr + 16, 16);
            memcpy(k->hmac, f->bytes.ptr + 32, 16);
        } else {
            memcpy(k->hmac, f->bytes.ptr + 16, 32);
            memcpy(k->aes, f->bytes.ptr + 48, 32);
        }
        c->key_cnt = i + 1;
    }
    return WR_OK;
}

/* ---- the shared cache ----------------------------------------------------------------------- */

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
    const struct wr_tls *t = SSL_get_app_data(ssl);
    unsigned char der[SESSION_DER_MAX], *p = der;
    unsigned int id_len = 0;
    const unsigned char *id = SSL_SESSION_get_id(s, &id_len);
    int len = i2d_SSL_SESSION(s, NULL);

    if (len > 0 && len <= SESSION_DER_MAX && t->base->cache != NULL) {
        len = i2d_SSL_SESSION(s, &p);
        wr_tls_cache_put(t->base->cache, wr_str((const char *)id, id_len),
                         wr_str((const char *)der, (size_t)len),
                         (uint32_t)SSL_SESSION_get_timeout(s));
        OPENSSL_cleanse(der, (size_t)len);
    }
    return 0; /* we took no reference */
}

static SSL_SESSION *find_session(SSL *ssl, const unsigned char *id, int id_len, int *ret_is_ours)
{
    const struct wr_tls *t = SSL_get_app_data(ssl);
    unsigned char der[SESSION_DER_MAX];
    const unsigned char *p = der;
    SSL_SESSION *s = NULL;
    size_t len = 0;

    *ret_is_ours = 0; /* the library ends it */
    if (t->base->cache != NULL &&
        wr_tls_cache_get(t->base->cache, wr_str((const char *)id, (size_t)id_len), der, sizeof(der),
                         &len)) {
        s = d2i_SSL_SESSION(NULL, &p, (long)len);
        OPENSSL_cleanse(der, len);
    }
    return s;
}

static void forget_session(SSL_CTX *ssl, SSL_SESSION *s)
{
    const struct wr_tls_ctx *c = wr_tls_ctx_of(ssl);
    unsigned int id_len = 0;
    const unsigned char *id = SSL_SESSION_get_id(s, &id_len);

    if (c != NULL && c->cache != NULL) {
        wr_tls_cache_remove(c->cache, wr_str((const char *)id, id_len));
    }
}

/* ---- a context's settings ------------------------------------------------------------------- */

static bool hash_file(EVP_MD_CTX *md, const struct wr_tls_file *f)
{
    uint64_t len = f->bytes.len;

    return EVP_DigestUpdate(md, &len, sizeof(len)) == 1 &&
           EVP_DigestUpdate(md, f->bytes.ptr, f->bytes.len) == 1;
}

static bool set_id_context(SSL_CTX *ssl, const struct wr_tls_opts *o)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint32_t facts[] = {o->pair_cnt, (uint32_t)o->verify, o->verify_depth};
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(md, facts, sizeof(facts)) == 1;

    for (uint32_t i = 0; ok && i < o->pair_cnt; i++) {
        ok = hash_file(md, &o->pairs[i].cert);
    }
    for (uint32_t i = 0; ok && i < o->lazy_cnt; i++) {
        ok = EVP_DigestUpdate(md, o->lazy[i].cert.ptr, o->lazy[i].cert.len) == 1;
    }
    if (ok && o->verify != WR_TLS_VERIFY_OFF) {
        ok = hash_file(md, &o->client_ca) && hash_file(md, &o->trusted) && hash_file(md, &o->crl);
    }
    ok = ok && EVP_DigestFinal_ex(md, out, &len) == 1 &&
         SSL_CTX_set_session_id_context(ssl, out, SSL_MAX_SID_CTX_LENGTH) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

static long cache_mode(const struct wr_tls_opts *o)
{
    switch (o->sessions) {
    case WR_TLS_SESSIONS_OFF:
        return SSL_SESS_CACHE_OFF;
    case WR_TLS_SESSIONS_NONE:
        return SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR;
    case WR_TLS_SESSIONS_KEPT:
        return SSL_SESS_CACHE_SERVER |
               (o->is_builtin ? 0 : SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
    }
    WR_UNREACHABLE();
}

enum wr_status wr_tls_use_sessions(struct wr_tls_ctx *c, const struct wr_tls_opts *o,
                                   struct wr_strbuf *err, uint32_t *ret_no)
{
    enum wr_status st = read_keys(c, o, err, ret_no);

    if (st != WR_OK) {
        return st;
    }
    if (!set_id_context(c->ssl, o)) {
        return WR_ENOMEM;
    }
    (void)SSL_CTX_set_session_cache_mode(c->ssl, cache_mode(o));
    (void)SSL_CTX_set_timeout(c->ssl, (long)o->session_timeout_sec);
    if (o->is_builtin && o->builtin_size > 0) {
        (void)SSL_CTX_sess_set_cache_size(c->ssl, (long)o->builtin_size);
    }
    if (o->shared != NULL) {
        c->cache = wr_tls_cache_ref(o->shared);
        SSL_CTX_sess_set_new_cb(c->ssl, keep_session);
        SSL_CTX_sess_set_get_cb(c->ssl, find_session);
        SSL_CTX_sess_set_remove_cb(c->ssl, forget_session);
    }
    wr_tls_want_ticket_life(o->session_timeout_sec);
    (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, use_ticket_key);
    return WR_OK;
}

/* ---- of peers ------------------------------------------------------------------------------- */

/*
 * Rule zero: sessions of peers, of the process: they outlive generations, and any thread resumes
 * one. Made at the first use, never freed.
 */
static CRYPTO_ONCE peers_once = CRYPTO_ONCE_STATIC_INIT;
static struct wr_tls_cache *peers;

#define PEERS_BYTES ((size_t)8 << 20)

static void make_peers(void)
{
    peers = wr_tls_cache_new(PEERS_BYTES);
}

static struct wr_str key_of(const struct wr_tls *t)
{
    return wr_str((const char *)t->session_key, sizeof(t->session_key));
}

static int keep_peer_session(SSL *ssl, SSL_SESSION *s)
{
    const struct wr_tls *t = SSL_get_app_data(ssl);
    unsigned char der[SESSION_DER_MAX], *p = der;
    int len = i2d_SSL_SESSION(s, NULL);

    if (t->keeps_session && len > 0 && len <= SESSION_DER_MAX && SSL_SESSION_is_resumable(s) == 1) {
        len = i2d_SSL_SESSION(s, &p);
        wr_tls_cache_put(peers, key_of(t), wr_str((const char *)der, (size_t)len),
                         (uint32_t)SSL_SESSION_get_timeout(s));
        OPENSSL_cleanse(der, (size_t)len);
    }
    return 0; /* we took no reference */
}

void wr_tls_use_peer_sessions(SSL_CTX *ssl)
{
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, keep_peer_session);
}

void wr_tls_resume(struct wr_tls *t)
{
    unsigned char der[SESSION_DER_MAX];
    const unsigned char *p = der;
    SSL_SESSION *s;
    size_t len = 0;

    if (CRYPTO_THREAD_run_once(&peers_once, make_peers) != 1 || !peers) {
        t->keeps_session = false;
    }
    if (!t->keeps_session || !wr_tls_cache_get(peers, key_of(t), der, sizeof(der), &len)) {
        return;
    }
    s = d2i_SSL_SESSION(NULL, &p, (long)len);
    OPENSSL_cleanse(der, len);
    if (s != NULL) {
        (void)SSL_set_session(t->ssl, s); /* without it the handshake is a whole one */
        SSL_SESSION_free(s);
    }
    ERR_clear_error();
}

void wr_tls_forget_session(struct wr_tls *t)
{
    if (t->keeps_session) {
        wr_tls_cache_remove(peers, key_of(t));
    }
}
