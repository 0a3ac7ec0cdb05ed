/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctx.c: a context, made of options; and the choice of one by the name that a client sends. The
 * choice is made when the client's first message has been parsed and nothing of it was used yet, so
 * that protocol versions, resumption and the question for a certificate follow the chosen server.
 * Contexts are immutable once made; any thread uses them.
 */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "base/chars.h"
#include "tls/tls_int.h"

#define VERSION_OPTIONS                                                                            \
    (SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3)
#define EARLY_MAX      16384u /* bytes of early data, RFC 8446 4.2.10 */
/* What a server{} may say about a connection that began with another one's context. */
#define SERVER_OPTIONS (VERSION_OPTIONS | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET)

/* ---- the way from the library's object to ours ----------------------------------------------- */

static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT; /* Rule zero: of the process, made once */
static int ctx_index = -1;

static void make_index(void)
{
    ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

struct wr_tls_ctx *wr_tls_ctx_of(const SSL_CTX *ssl)
{
    return SSL_CTX_get_ex_data(ssl, ctx_index);
}

struct wr_tls_ctx *wr_tls_ctx_ref(struct wr_tls_ctx *c)
{
    (void)wr_add_rlx(&c->refs, 1); /* whoever has one may give another */
    return c;
}

void wr_tls_ctx_unref(struct wr_tls_ctx *c)
{
    /* The last one must see what the others wrote. */
    if (c == NULL || wr_sub_acqrel(&c->refs, 1) != 1) {
        return;
    }
    SSL_CTX_free(c->ssl);
    wr_tls_cache_unref(c->cache);
    if (c->keys != NULL) {
        OPENSSL_clear_free(c->keys, c->key_cnt * sizeof(*c->keys));
    }
    OPENSSL_free(c->curves);
    OPENSSL_free(c->key_log);
    OPENSSL_free(c->staple);
    wr_tls_free_pairs(c);
    wr_tls_free_lazy(c);
    OPENSSL_free(c);
}

void wr_tls_wipe(struct wr_str bytes)
{
    union {
        const char *in;
        void *out; /* the caller owns the bytes and does not need them any more */
    } u = {.in = bytes.ptr};

    if (bytes.len > 0) {
        OPENSSL_cleanse(u.out, bytes.len);
    }
}

/* ---- during a handshake ---------------------------------------------------------------------- */

/* The host name of the client's message (RFC 6066 3); 0: none that can be used. */
static size_t read_name(SSL *ssl, const unsigned char **ret)
{
    const unsigned char *p = NULL;
    size_t len = 0, n;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len) != 1 || len < 5) {
        return 0;
    }
    n = (size_t)p[3] << 8 | p[4];
    if (((size_t)p[0] << 8 | p[1]) != len - 2 || p[2] != TLSEXT_NAMETYPE_host_name || n == 0 ||
        n > len - 5 || n > WR_TLS_NAME_MAX) {
        return 0;
    }
    p += 5;
    if (memchr(p, '\0', n) != NULL) {
        return 0;
    }
    if (n > 1 && p[n - 1] == '.') {
        n--; /* as a Host field's */
    }
    *ret = p;
    return n;
}

static bool keep_name(struct wr_tls *t)
{
    const unsigned char *p = NULL;
    size_t n = read_name(t->ssl, &p);

    if (n == 0 || t->name != NULL) {
        return true;
    }
    t->name = OPENSSL_malloc(2 * n);
    if (t->name == NULL) {
        return false;
    }
    t->name_len = (uint8_t)n;
    for (size_t i = 0; i < n; i++) {
        t->name[i] = (char)p[i];
        t->name[n + i] = (char)wr_char_lower[p[i]];
    }
    return true;
}

/* All that SSL_set_SSL_CTX leaves as it was. */
static bool use_ctx(struct wr_tls *t, struct wr_tls_ctx *c)
{
    SSL *ssl = t->ssl;

    if (SSL_get_SSL_CTX(ssl) == c->ssl) {
        return true;
    }
    if (SSL_set_SSL_CTX(ssl, c->ssl) == NULL) {
        return false;
    }
    wr_tls_ctx_unref(t->chosen);
    t->chosen = wr_tls_ctx_ref(c);
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(c->ssl), SSL_CTX_get_verify_callback(c->ssl));
    SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(c->ssl));
    (void)SSL_clear_options(ssl, SERVER_OPTIONS);
    (void)SSL_set_options(ssl, SSL_CTX_get_options(c->ssl) & SERVER_OPTIONS);
    (void)SSL_set_min_proto_version(ssl, (int)SSL_CTX_get_min_proto_version(c->ssl));
    (void)SSL_set_max_proto_version(ssl, (int)SSL_CTX_get_max_proto_version(c->ssl));
    t->record_max = c->record_max;
    (void)SSL_set_max_early_data(ssl, SSL_CTX_get_max_early_data(c->ssl));
    return c->curves == NULL || SSL_set1_groups_list(ssl, c->curves) == 1;
}

/* No session fits a context of sessions that nobody else has. */
static bool be_alone(SSL *ssl)
{
    unsigned char id[SSL_MAX_SID_CTX_LENGTH];

    return RAND_bytes(id, sizeof(id)) == 1 &&
           SSL_set_session_id_context(ssl, id, sizeof(id)) == 1 && SSL_set_num_tickets(ssl, 0) == 1;
}

static int see_hello(SSL *ssl, int *al, void *data)
{
    struct wr_tls *t = SSL_get_app_data(ssl);
    struct wr_tls_ctx *c = NULL;
    bool ok = keep_name(t);

    (void)data;
    if (ok && t->owner != NULL) {
        c = t->owner->pick(t->owner, wr_tls_server_name(t));
    }
    if (!ok || (c != NULL && !use_ctx(t, c))) {
        *al = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    c = wr_tls_ctx_of(SSL_get_SSL_CTX(ssl));
    if (c->no_resumption && !be_alone(ssl)) {
        *al = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    wr_ktls_watch(t);
    if (c->is_rejecting) {
        t->is_rejected = true;
        *al = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Says in the answer that the name was looked at. */
static int accept_name(SSL *ssl, int *al, void *data)
{
    const struct wr_tls *t = SSL_get_app_data(ssl);

    (void)al, (void)data;
    return t->name_len > 0 ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int choose_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                       const unsigned char *in, unsigned int len, void *data)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0\x08http/0.9";
    unsigned char *out = NULL;

    (void)ssl, (void)data;
    if (SSL_select_next_proto(&out, ret_len, ours, sizeof(ours) - 1, in, len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    }
    *ret = out;
    return SSL_TLSEXT_ERR_OK;
}

/* Of the certificate that this handshake shows. */
static unsigned char *find_staple(const struct wr_tls_ctx *c, SSL *ssl, size_t *ret_len)
{
    const X509 *shown = SSL_get_certificate(ssl);

    if (c->staple != NULL) {
        *ret_len = c->staple_len;
        return OPENSSL_memdup(c->staple, c->staple_len);
    }
    for (uint32_t i = 0; i < c->pair_cnt; i++) {
        if (c->pairs[i].staple != NULL && c->pairs[i].cert == shown) {
            return wr_tls_staple_copy(c->pairs[i].staple, ret_len);
        }
    }
    return NULL;
}

static int give_staple(SSL *ssl, void *data)
{
    size_t len = 0;
    unsigned char *copy = find_staple(wr_tls_ctx_of(SSL_get_SSL_CTX(ssl)), ssl, &len);

    (void)data;
    if (copy == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    (void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)len); /* takes it */
    return SSL_TLSEXT_ERR_OK;
}

/* A bad certificate ends no handshake: the request is answered with 495 or 496. */
static int note_verified(int is_ok, X509_STORE_CTX *store)
{
    (void)is_ok, (void)store;
    return 1;
}

/* ---- making one ----------------------------------------------------------------------------- */

static enum wr_status fail_text(struct wr_strbuf *err, const char *call, struct wr_str text)
{
    wr_strbuf_printf(err, "%s(\"%.*s\") failed", call, WR_STR_ARG(text));
    wr_tls_add_errors(err);
    return WR_ECONFIG;
}

static void set_protocols(SSL_CTX *ssl, const struct wr_tls_opts *o)
{
    static const struct {
        uint32_t bit;
        uint64_t option;
    } rows[] = {
        {WR_TLS_1_0, SSL_OP_NO_TLSv1  },
        {WR_TLS_1_1, SSL_OP_NO_TLSv1_1},
        {WR_TLS_1_2, SSL_OP_NO_TLSv1_2},
        {WR_TLS_1_3, SSL_OP_NO_TLSv1_3},
    };

    /* Not what the system's openssl.cnf says: the directive does. */
    (void)SSL_CTX_set_min_proto_version(ssl, TLS1_VERSION);
    (void)SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION);
    (void)SSL_CTX_clear_options(ssl, SERVER_OPTIONS);
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        if ((o->protocols & rows[i].bit) == 0) {
            (void)SSL_CTX_set_options(ssl, rows[i].option);
        }
    }
}

static void set_server_basics(SSL_CTX *ssl, const struct wr_tls_opts *o)
{
    if (o->prefer_server_ciphers) {
        (void)SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    }
    if (o->no_tickets || o->no_resumption) {
        (void)SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
    }
    if (o->verify != WR_TLS_VERIFY_OFF) {
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, note_verified);
        SSL_CTX_set_verify_depth(ssl, (int)o->verify_depth);
    }
    SSL_CTX_set_client_hello_cb(ssl, see_hello, NULL);
    (void)SSL_CTX_set_tlsext_servername_callback(ssl, accept_name);
    SSL_CTX_set_alpn_select_cb(ssl, choose_alpn, NULL);
    (void)SSL_CTX_set_tlsext_status_cb(ssl, give_staple);
    (void)SSL_CTX_set_max_early_data(ssl, o->early_data && !o->no_resumption ? EARLY_MAX : 0);
}

static void set_basics(SSL_CTX *ssl, const struct wr_tls_opts *o)
{
    set_protocols(ssl, o);
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_SINGLE_DH_USE | SSL_OP_NO_ANTI_REPLAY |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (o->side == WR_TLS_SERVER) {
        set_server_basics(ssl, o);
    } else {
        SSL_CTX_set_verify(ssl, SSL_VERIFY_NONE, NULL); /* it is looked at behind the handshake */
        SSL_CTX_set_verify_depth(ssl, (int)o->verify_depth);
        wr_tls_use_peer_sessions(ssl);
    }
}

static enum wr_status use_command(SSL_CTX *ssl, enum wr_tls_side side,
                                  const struct wr_tls_command *cmd, struct wr_strbuf *err)
{
    unsigned as = side == WR_TLS_SERVER ? SSL_CONF_FLAG_SERVER : SSL_CONF_FLAG_CLIENT;
    SSL_CONF_CTX *cc = SSL_CONF_CTX_new();
    enum wr_status st = WR_OK;

    if (cc == NULL) {
        return WR_ENOMEM;
    }
    (void)SSL_CONF_CTX_set_flags(cc, as | SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_CERTIFICATE |
                                         SSL_CONF_FLAG_SHOW_ERRORS);
    SSL_CONF_CTX_set_ssl_ctx(cc, ssl);
    switch (SSL_CONF_cmd_value_type(cc, cmd->name.ptr)) {
    case SSL_CONF_TYPE_FILE:
    case SSL_CONF_TYPE_DIR:
    case SSL_CONF_TYPE_STORE:
        wr_strbuf_printf(err,
                         "the command \"%.*s\" reads a file, for which there is a directive of "
                         "its own",
                         WR_STR_ARG(cmd->name));
        st = WR_ECONFIG;
        break;
    default: /* numbers of the library */
        if (SSL_CONF_cmd(cc, cmd->name.ptr, cmd->value.ptr) <= 0) {
            wr_strbuf_printf(err, "SSL_CONF_cmd(\"%.*s\", \"%.*s\") failed", WR_STR_ARG(cmd->name),
                             WR_STR_ARG(cmd->value));
            wr_tls_add_errors(err);
            st = WR_ECONFIG;
        }
        break;
    }
    SSL_CONF_CTX_free(cc);
    return st;
}

static enum wr_status use_words(struct wr_tls_ctx *c, const struct wr_tls_opts *o,
                                struct wr_strbuf *err, enum wr_tls_part *ret_part)
{
    *ret_part = WR_TLS_PART_CIPHERS;
    if (SSL_CTX_set_cipher_list(c->ssl, o->ciphers.ptr) == 0) {
        return fail_text(err, "SSL_CTX_set_cipher_list", o->ciphers);
    }
    *ret_part = WR_TLS_PART_CURVES;
    if (o->curves.len > 0) {
        c->curves = OPENSSL_strdup(o->curves.ptr);
        if (c->curves == NULL) {
            return WR_ENOMEM;
        }
        if (SSL_CTX_set1_groups_list(c->ssl, c->curves) == 0) {
            return fail_text(err, "SSL_CTX_set1_curves_list", o->curves);
        }
    }
    return WR_OK;
}

static enum wr_status use_stores(struct wr_tls_ctx *c, const struct wr_tls_opts *o,
                                 struct wr_strbuf *err, enum wr_tls_part *ret_part)
{
    SSL_CTX *ssl = c->ssl;
    enum wr_status st = WR_OK;

    *ret_part = WR_TLS_PART_CLIENT_CA;
    if (o->client_ca.name.len > 0) {
        st = wr_tls_use_ca(ssl, &o->client_ca, true, err);
    }
    if (st == WR_OK && o->trusted.name.len > 0) {
        *ret_part = WR_TLS_PART_TRUSTED;
        st = wr_tls_use_ca(ssl, &o->trusted, false, err);
    }
    if (st == WR_OK && o->crl.name.len > 0) {
        *ret_part = WR_TLS_PART_CRL;
        st = wr_tls_use_crl(ssl, &o->crl, err);
    }
    if (st == WR_OK && o->staple.name.len > 0) {
        *ret_part = WR_TLS_PART_STAPLE;
        st = wr_tls_read_staple(c, &o->staple, err);
    }
    if (st == WR_OK && o->dhparam.name.len > 0) {
        *ret_part = WR_TLS_PART_DHPARAM;
        st = wr_tls_use_dhparam(ssl, &o->dhparam, err);
    }
    return st;
}

/* In an order in which operators know the messages: certificates first. */
static enum wr_status fill(struct wr_tls_ctx *c, const struct wr_tls_opts *o, struct wr_strbuf *err,
                           enum wr_tls_part *ret_part, uint32_t *ret_no)
{
    enum wr_status st = WR_OK;

    for (uint32_t i = 0; i < o->pair_cnt && st == WR_OK; i++) {
        *ret_no = i;
        st = wr_tls_use_pair(c->ssl, o, &o->pairs[i], err, ret_part);
    }
    if (st == WR_OK) {
        st = wr_tls_use_lazy(c, o);
    }
    if (st == WR_OK && o->staples) {
        st = wr_tls_note_pairs(c);
    }
    if (st == WR_OK) {
        st = use_words(c, o, err, ret_part);
    }
    if (st == WR_OK) {
        st = use_stores(c, o, err, ret_part);
    }
    if (st == WR_OK && o->side == WR_TLS_SERVER) {
        *ret_part = WR_TLS_PART_TICKET_KEY;
        st = wr_tls_use_sessions(c, o, err, ret_no);
    }
    for (uint32_t i = 0; i < o->command_cnt && st == WR_OK; i++) {
        *ret_part = WR_TLS_PART_COMMAND;
        *ret_no = i;
        st = use_command(c->ssl, o->side, &o->commands[i], err);
    }
    if (st == WR_OK) {
        *ret_part = WR_TLS_PART_OTHER;
        wr_ktls_use(c);
        st = wr_tls_use_key_log(c, o->key_log);
    }
    return st;
}

enum wr_status wr_tls_ctx_new(const struct wr_tls_opts *o, struct wr_strbuf *err,
                              enum wr_tls_part *ret_part, uint32_t *ret_no, struct wr_tls_ctx **ret)
{
    struct wr_tls_ctx *c = NULL;
    SSL_CTX *ssl = NULL;
    enum wr_status st;

    *ret_part = WR_TLS_PART_OTHER;
    *ret_no = 0;
    ERR_clear_error();
    if (CRYPTO_THREAD_run_once(&index_once, make_index) == 1 && ctx_index >= 0) {
        ssl = SSL_CTX_new(o->side == WR_TLS_SERVER ? TLS_server_method() : TLS_client_method());
        c = OPENSSL_zalloc(sizeof(*c));
    }
    if (ssl == NULL || c == NULL || SSL_CTX_set_ex_data(ssl, ctx_index, c) == 0) {
        SSL_CTX_free(ssl);
        OPENSSL_free(c);
        return WR_ENOMEM;
    }
    wr_store_rlx(&c->refs, 1);
    c->ssl = ssl;
    c->record_max = o->record_max;
    c->is_rejecting = o->is_rejecting;
    c->early_data = o->early_data && !o->no_resumption;
    c->no_resumption = o->no_resumption;
    set_basics(ssl, o);
    st = fill(c, o, err, ret_part, ret_no);
    ERR_clear_error();
    if (st != WR_OK) {
        wr_tls_ctx_unref(c);
        return st;
    }
    *ret = c;
    return WR_OK;
}
