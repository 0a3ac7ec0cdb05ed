/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lazy.c: certificates that are chosen during a handshake, because variables stand in their names:
 * read from a file by the worker's user, or given as text ("data:..."). Files are small and as a
 * rule in the page cache; a cold disk holds up the thread, as a static file's does.
 *
 * With ssl_certificate_cache what was read stays for some time, by name:
 *
 *   wr_tls_certs   lock | used: entry <-> entry ...  longest unused first; at most max
 *
 * Connection's thread; the cache any.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/sync.h"
#include "io/file.h"
#include "tls/tls_int.h"

#define FILE_MAX  (1u << 20)
#define NAME_ROOM FILE_MAX /* of "data:..." */
#define ERROR_MAX 1024u

/* What one file holds. */
struct loaded {
    X509 *cert;
    STACK_OF(X509) * chain; /* what is sent behind it */
    EVP_PKEY *key;
};

struct entry {
    struct wr_list node;
    uint64_t hash, read_ms, used_ms;
    bool is_key;
    struct loaded what;
    size_t len;
    char name[];
};

struct wr_tls_certs {
    struct wr_mutex lock;
    struct wr_list used;
    uint32_t cnt;
    struct wr_tls_cert_cache conf;
};

static void free_loaded(struct loaded *l)
{
    X509_free(l->cert);
    sk_X509_pop_free(l->chain, X509_free);
    EVP_PKEY_free(l->key);
    *l = (struct loaded){.cert = NULL};
}

/* References to the same; false: no memory. */
static bool share(const struct loaded *from, struct loaded *to)
{
    *to = (struct loaded){.cert = from->cert, .key = from->key};
    if (from->chain != NULL) {
        to->chain = X509_chain_up_ref(from->chain);
        if (to->chain == NULL) {
            *to = (struct loaded){.cert = NULL};
            return false;
        }
    }
    if (to->cert != NULL) {
        (void)X509_up_ref(to->cert);
    }
    if (to->key != NULL) {
        (void)EVP_PKEY_up_ref(to->key);
    }
    return true;
}

/* ---- the cache ------------------------------------------------------------------------------- */

/* Lock held. */
static void drop(struct wr_tls_certs *c, struct entry *e)
{
    wr_list_remove(&e->node);
    c->cnt--;
    free_loaded(&e->what);
    wr_tls_wipe(wr_str(e->name, e->len));
    wr_mem_free(e);
}

static struct wr_tls_certs *new_certs(const struct wr_tls_cert_cache *conf)
{
    struct wr_tls_certs *c = wr_run_zalloc(sizeof(*c));

    if (c != NULL) {
        wr_mutex_init(&c->lock, WR_RANK_LEAF);
        wr_list_init(&c->used);
        c->conf = *conf;
    }
    return c;
}

static void free_certs(struct wr_tls_certs *c)
{
    if (c == NULL) {
        return;
    }
    while (!wr_list_is_empty(&c->used)) {
        drop(c, wr_container_of(c->used.next, struct entry, node));
    }
    wr_mutex_fini(&c->lock);
    wr_mem_free(c);
}

/* Lock held: what nobody has used for `inactive` goes. */
static void expire(struct wr_tls_certs *c)
{
    uint64_t now = wr_now_ms();

    while (!wr_list_is_empty(&c->used)) {
        struct entry *e = wr_container_of(c->used.next, struct entry, node);

        if (now - e->used_ms < c->conf.inactive_ms) {
            return;
        }
        drop(c, e);
    }
}

/* Lock held. */
static struct entry *find(struct wr_tls_certs *c, struct wr_str name, bool is_key)
{
    uint64_t hash = wr_hash_sip(name.ptr, name.len);
    struct wr_list *n;

    WR_LIST_FOREACH (n, &c->used) {
        struct entry *e = wr_container_of(n, struct entry, node);

        if (e->hash == hash && e->is_key == is_key && wr_str_eq(wr_str(e->name, e->len), name)) {
            return e;
        }
    }
    return NULL;
}

static bool recall(struct wr_tls_certs *c, struct wr_str name, bool is_key, struct loaded *ret)
{
    struct entry *e;
    bool found = false;

    if (c == NULL) {
        return false;
    }
    wr_mutex_lock(&c->lock);
    expire(c);
    e = find(c, name, is_key);
    if (e != NULL && wr_now_ms() - e->read_ms >= c->conf.valid_ms) {
        drop(c, e);
    } else if (e != NULL && share(&e->what, ret)) {
        e->used_ms = wr_now_ms();
        wr_list_remove(&e->node);
        wr_list_push(&c->used, &e->node);
        found = true;
    }
    wr_mutex_unlock(&c->lock);
    return found;
}

/* Without memory it is not kept. */
static void remember(struct wr_tls_certs *c, struct wr_str name, bool is_key,
                     const struct loaded *what)
{
    struct entry *e = c != NULL ? wr_run_zalloc(sizeof(*e) + name.len) : NULL, *old;

    if (e == NULL) {
        return;
    }
    e->hash = wr_hash_sip(name.ptr, name.len);
    e->is_key = is_key;
    e->read_ms = e->used_ms = wr_now_ms();
    e->len = name.len;
    memcpy(e->name, name.ptr, name.len);
    wr_list_init(&e->node);
    if (!share(what, &e->what)) {
        wr_mem_free(e);
        return;
    }
    wr_mutex_lock(&c->lock);
    old = find(c, name, is_key); /* of another thread */
    if (old != NULL) {
        drop(c, old);
    }
    if (c->cnt >= c->conf.max) {
        drop(c, wr_container_of(c->used.next, struct entry, node));
    }
    wr_list_push(&c->used, &e->node);
    c->cnt++;
    wr_mutex_unlock(&c->lock);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The file's bytes as a BIO, which has a copy. NULL: err tells. path has a '\0' behind it. */
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

static bool is_data(struct wr_str name)
{
    return wr_str_has_prefix(name, WR_STR("data:"));
}

static BIO *open_name(struct wr_str name, struct wr_strbuf *err)
{
    BIO *in;

    if (!is_data(name)) {
        return open_file(name, err);
    }
    name = wr_str_sub(name, 5, name.len);
    in = BIO_new_mem_buf(name.len > 0 ? name.ptr : "", (int)name.len);
    if (in == NULL) {
        wr_strbuf_add_z(err, "no memory");
    }
    return in;
}

static bool read_cert(BIO *in, struct loaded *ret)
{
    bool ok;

    ret->cert = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL);
    ret->chain = sk_X509_new_null();
    ok = ret->cert != NULL && ret->chain != NULL;
    while (ok) {
        X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);

        if (x == NULL) {
            ok = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            break;
        }
        ok = sk_X509_push(ret->chain, x) > 0;
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

static bool read_name(struct wr_str name, bool is_key, struct loaded *ret, struct wr_strbuf *err)
{
    BIO *in = open_name(name, err);
    bool ok;

    if (in == NULL) {
        return false;
    }
    if (is_key) {
        ret->key = PEM_read_bio_PrivateKey(in, NULL, refuse_password, NULL);
        ok = ret->key != NULL;
    } else {
        ok = read_cert(in, ret);
    }
    BIO_free(in);
    if (!ok) {
        free_loaded(ret);
        wr_strbuf_add_z(err, is_key ? "PEM_read_bio_PrivateKey() failed"
                                    : "PEM_read_bio_X509_AUX() failed");
        wr_tls_add_errors(err);
    }
    return ok;
}

static bool use(SSL *ssl, const struct loaded *l, struct wr_strbuf *err)
{
    bool ok = l->key != NULL
                  ? SSL_use_PrivateKey(ssl, l->key) == 1
                  : SSL_use_certificate(ssl, l->cert) == 1 && SSL_set1_chain(ssl, l->chain) == 1;

    if (!ok) {
        wr_strbuf_add_z(err, l->key != NULL ? "SSL_use_PrivateKey() failed"
                                            : "SSL_use_certificate() failed");
        wr_tls_add_errors(err);
    }
    return ok;
}

/* name has a '\0' behind it. False: err tells. */
static bool load(struct wr_tls *t, struct wr_tls_certs *certs, struct wr_str name, bool is_key,
                 struct wr_strbuf *err)
{
    struct wr_str shown = is_data(name) ? WR_STR("data") : name;
    struct loaded l = {.cert = NULL};
    bool ok;

    ERR_clear_error();
    wr_strbuf_printf(err, "cannot load certificate%s \"%.*s\": ", is_key ? " key" : "",
                     (int)WR_MIN(shown.len, (size_t)512), shown.ptr);
    ok = recall(certs, name, is_key, &l);
    if (!ok) {
        ok = read_name(name, is_key, &l, err);
        if (ok) {
            remember(certs, name, is_key, &l);
        }
    }
    ok = ok && use(t->ssl, &l, err);
    free_loaded(&l);
    ERR_clear_error();
    return ok;
}

/* ---- server side ----------------------------------------------------------------------------- */

/* Certificate or key of pair `no`, as the owner names it now. */
static bool load_named(struct wr_tls *t, const struct wr_tls_ctx *c, uint32_t no, bool is_key,
                       struct wr_strbuf *err)
{
    struct wr_strbuf name;
    bool ok;

    wr_strbuf_init(&name, NAME_ROOM);
    ok = t->owner != NULL && t->owner->name != NULL &&
         t->owner->name(t->owner, no, is_key, &name, err);
    wr_strbuf_add_char(&name, '\0');
    if (ok && name.status != WR_OK) {
        wr_strbuf_add_z(err, "no memory for the name of a certificate");
        ok = false;
    }
    ok = ok && load(t, c->certs, wr_str(name.ptr, name.len - 1), is_key, err);
    if (name.ptr != NULL) {
        OPENSSL_cleanse(name.ptr, name.len);
    }
    wr_strbuf_fini(&name);
    return ok;
}

/* The library's call before it chooses a certificate. 1: go on; 0: end the handshake. */
static int load_certs(SSL *ssl, void *data)
{
    struct wr_tls *t = SSL_get_app_data(ssl);
    const struct wr_tls_ctx *c = wr_tls_ctx_of(SSL_get_SSL_CTX(ssl));
    char room[ERROR_MAX];
    bool ok = true;

    (void)data;
    for (uint32_t i = 0; i < 2 * c->lazy_cnt && ok; i++) {
        struct wr_strbuf err;

        wr_strbuf_init_fixed(&err, room, sizeof(room));
        ok = load_named(t, c, i / 2, i % 2 == 1, &err);
        if (!ok) {
            t->error = OPENSSL_strndup(room, err.len);
        }
    }
    return ok ? 1 : 0;
}

enum wr_status wr_tls_use_lazy(struct wr_tls_ctx *c, const struct wr_tls_opts *o)
{
    if (o->cert_cache.max > 0) {
        c->certs = new_certs(&o->cert_cache);
        if (c->certs == NULL) {
            return WR_ENOMEM;
        }
    }
    c->lazy_cnt = o->lazy_cnt;
    if (o->lazy_cnt > 0) {
        SSL_CTX_set_cert_cb(c->ssl, load_certs, NULL);
    }
    return WR_OK;
}

void wr_tls_free_lazy(struct wr_tls_ctx *c)
{
    free_certs(c->certs);
}

/* ---- towards peers --------------------------------------------------------------------------- */

void wr_tls_load_target(struct wr_tls *t)
{
    const struct wr_tls_target *to = t->target;
    char room[ERROR_MAX];
    struct wr_strbuf err;
    bool ok;

    if (to->cert.len == 0) {
        return;
    }
    wr_strbuf_init_fixed(&err, room, sizeof(room));
    ok = load(t, to->ctx->certs, to->cert, false, &err);
    if (ok) {
        wr_strbuf_init_fixed(&err, room, sizeof(room));
        ok = load(t, to->ctx->certs, to->key, true, &err);
    }
    if (!ok) {
        t->error = OPENSSL_strndup(room, err.len);
        t->is_refused = true;
    }
}
