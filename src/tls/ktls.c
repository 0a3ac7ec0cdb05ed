/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ktls.c: the kernel encrypts what is sent (Options KTLS), to clients and to peers, so that files
 * and bytes in kernel pipes go into the socket as they are. The library has no interface for it
 * that fits our BIO, but all that it takes can be learned:
 *
 *   keys             TLS 1.3: of the secret that the callback for key logs is told, RFC 8446 7.3
 *                    TLS 1.2: of the master secret and both randoms, RFC 5246 6.3
 *   record number    records that were written since these keys are in use, by the callback for
 *                    messages, which is told of each record's header
 *   explicit nonce   AES-GCM of TLS 1.2: one more than that of the last record, which is Finished
 *
 * The change is at the end of the handshake, when all that the library encrypted has gone out. From
 * then on it only receives. What it still wants to say (alerts) it tells the callback for messages,
 * and the kernel is given it as a record of that type; its own bytes are dropped by the BIO. So is
 * its answer to one who asks for new keys (KeyUpdate of TLS 1.3): the kernel keeps those it has,
 * most kernels cannot change them. That is also why it is not given what is received: the other
 * side may change its keys whenever it likes. And peers send tickets late, which are the library's.
 *
 * A kernel that cannot, a cipher that it does not know, a connection that was too quick: the
 * library goes on as without the option. Connection's thread.
 */
#include <string.h>

#include <linux/tls.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/chars.h"
#include "base/clock.h"
#include "base/obj.h"
#include "base/slab.h"
#include "tls/tls_int.h"

#define SECRET_MAX     48u /* of the hashes of TLS 1.3's ciphers */
#define LABEL_LEN      24u /* of those below */
#define FINISHED_BYTES 45u /* TLS 1.2, AES-GCM: header, explicit nonce, Finished, tag */
#define RECORD_HEADER  5u
#define NONCE_BYTES    8u
#define IV_BYTES       12u
#define SALT_BYTES     4u
#define ASK_AGAIN_MS   60000u

struct wr_ktls {
    uint64_t records; /* written with the keys of the moment */
    uint8_t secret[SECRET_MAX];
    uint8_t secret_len; /* 0: not known */
    uint8_t tail_len;
    uint8_t tail[FINISHED_BYTES]; /* the last bytes that went to the link below */
};

/* ---- keys ----------------------------------------------------------------------------------- */

enum kernel_cipher {
    AES_128,
    AES_256,
    CHACHA,
    CIPHERS
};

struct cipher_row {
    int nid;
    uint16_t type; /* the kernel's */
    uint8_t key_len;
    uint8_t fixed_len; /* of the nonce, TLS 1.2 */
};

/* clang-format off */
static const struct cipher_row ciphers[CIPHERS] = {
    [AES_128] = {NID_aes_128_gcm, TLS_CIPHER_AES_GCM_128, 16, SALT_BYTES},
    [AES_256] = {NID_aes_256_gcm, TLS_CIPHER_AES_GCM_256, 32, SALT_BYTES},
    [CHACHA] = {NID_chacha20_poly1305, TLS_CIPHER_CHACHA20_POLY1305, 32, IV_BYTES},
};
/* clang-format on */

/* Rule zero: of the process. When this cipher may be tried again: the kernel did not know it. */
static wr_atomic_u64 unknown_until[2][CIPHERS];

static bool run_kdf(const char *name, OSSL_PARAM *params, unsigned char *out, size_t n)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
    EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out, n, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    ERR_clear_error();
    return ok;
}

/* The library takes parameters by pointers to what it does not change. */
static OSSL_PARAM octets(const char *name, const void *p, size_t n)
{
    union {
        const void *in;
        void *out;
    } v = {.in = p};

    return OSSL_PARAM_construct_octet_string(name, v.out, n);
}

static OSSL_PARAM digest(const EVP_MD *md)
{
    union {
        const char *in;
        char *out;
    } v = {.in = EVP_MD_get0_name(md)};

    return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, v.out, 0);
}

bool wr_ktls_expand(const EVP_MD *md, struct wr_str secret, const char *label, unsigned char *out,
                    size_t n)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    size_t len = strlen(label);
    unsigned char info[64] = {(unsigned char)(n >> 8),
                              (unsigned char)n,
                              (unsigned char)(6 + len),
                              't',
                              'l',
                              's',
                              '1',
                              '3',
                              ' '};
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        digest(md),
        octets(OSSL_KDF_PARAM_KEY, secret.ptr, secret.len),
        octets(OSSL_KDF_PARAM_INFO, info, 9 + len + 1), /* and an empty context */
        OSSL_PARAM_construct_end(),
    };

    if (len > sizeof(info) - 10) {
        return false;
    }
    memcpy(info + 9, label, len);
    return run_kdf(OSSL_KDF_NAME_HKDF, params, out, n);
}

bool wr_ktls_key_block(const EVP_MD *md, struct wr_str master, struct wr_str randoms,
                       unsigned char *out, size_t n)
{
    OSSL_PARAM params[] = {
        digest(md),
        octets(OSSL_KDF_PARAM_SECRET, master.ptr, master.len),
        octets(OSSL_KDF_PARAM_SEED, "key expansion", strlen("key expansion")),
        octets(OSSL_KDF_PARAM_SEED, randoms.ptr, randoms.len),
        OSSL_PARAM_construct_end(),
    };

    return run_kdf(OSSL_KDF_NAME_TLS1_PRF, params, out, n);
}

/* What our side writes with. */
struct write_keys {
    uint8_t key[32];
    uint8_t iv[IV_BYTES]; /* TLS 1.2: of AES-GCM the first four */
};

static bool find_keys_13(const struct wr_tls *t, const struct cipher_row *c, struct write_keys *ret)
{
    const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(t->ssl));
    struct wr_str secret = wr_str((const char *)t->ktls->secret, t->ktls->secret_len);

    return md != NULL && secret.len == (size_t)EVP_MD_get_size(md) &&
           wr_ktls_expand(md, secret, "key", ret->key, c->key_len) &&
           wr_ktls_expand(md, secret, "iv", ret->iv, sizeof(ret->iv));
}

/* The block: client's key, server's key, client's fixed part of the nonce, server's. */
static bool find_keys_12(const struct wr_tls *t, const struct cipher_row *c, struct write_keys *ret)
{
    const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(t->ssl));
    unsigned char master[SSL_MAX_MASTER_KEY_LENGTH], randoms[2 * SSL3_RANDOM_SIZE];
    unsigned char block[2 * (32 + IV_BYTES)];
    size_t n = SSL_SESSION_get_master_key(SSL_get_session(t->ssl), master, sizeof(master));
    size_t need = 2 * ((size_t)c->key_len + c->fixed_len);
    bool ok = md != NULL && n > 0 &&
              SSL_get_server_random(t->ssl, randoms, SSL3_RANDOM_SIZE) == SSL3_RANDOM_SIZE &&
              SSL_get_client_random(t->ssl, randoms + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE) ==
                  SSL3_RANDOM_SIZE &&
              wr_ktls_key_block(md, wr_str((const char *)master, n),
                                wr_str((const char *)randoms, sizeof(randoms)), block, need);

    if (ok) {
        size_t no = SSL_is_server(t->ssl) == 1 ? 1 : 0;

        memcpy(ret->key, block + no * c->key_len, c->key_len);
        memcpy(ret->iv, block + 2 * (size_t)c->key_len + no * c->fixed_len, c->fixed_len);
    }
    OPENSSL_cleanse(master, sizeof(master));
    OPENSSL_cleanse(block, sizeof(block));
    return ok;
}

/* The explicit nonce of the first record of the kernel's; false: what went last is not Finished. */
static bool find_nonce(const struct wr_ktls *k, uint8_t *ret)
{
    const uint8_t *p = k->tail;

    if (k->tail_len != FINISHED_BYTES || p[0] != SSL3_RT_HANDSHAKE || p[3] != 0 ||
        p[4] != FINISHED_BYTES - RECORD_HEADER) {
        return false;
    }
    memcpy(ret, p + RECORD_HEADER, NONCE_BYTES);
    for (size_t i = NONCE_BYTES; i-- > 0 && ++ret[i] == 0;) {
    }
    return true;
}

/* ---- for the kernel ------------------------------------------------------------------------- */

union kernel_info {
    struct tls_crypto_info head;
    struct tls12_crypto_info_aes_gcm_128 aes_128;
    struct tls12_crypto_info_aes_gcm_256 aes_256;
    struct tls12_crypto_info_chacha20_poly1305 chacha;
};

static void write_number(unsigned char *p, uint64_t no)
{
    for (size_t i = 8; i-- > 0; no >>= 8) {
        p[i] = (unsigned char)no;
    }
}

/* Returns the length. nonce: what follows the four bytes that are fixed, of AES-GCM. */
static uint32_t fill_info(union kernel_info *info, enum kernel_cipher which,
                          const struct write_keys *w, const uint8_t *nonce, uint64_t records)
{
    switch (which) {
    case AES_128:
        memcpy(info->aes_128.key, w->key, sizeof(info->aes_128.key));
        memcpy(info->aes_128.salt, w->iv, sizeof(info->aes_128.salt));
        memcpy(info->aes_128.iv, nonce, sizeof(info->aes_128.iv));
        write_number(info->aes_128.rec_seq, records);
        return sizeof(info->aes_128);
    case AES_256:
        memcpy(info->aes_256.key, w->key, sizeof(info->aes_256.key));
        memcpy(info->aes_256.salt, w->iv, sizeof(info->aes_256.salt));
        memcpy(info->aes_256.iv, nonce, sizeof(info->aes_256.iv));
        write_number(info->aes_256.rec_seq, records);
        return sizeof(info->aes_256);
    case CHACHA:
        memcpy(info->chacha.key, w->key, sizeof(info->chacha.key));
        memcpy(info->chacha.iv, w->iv, sizeof(info->chacha.iv));
        write_number(info->chacha.rec_seq, records);
        return sizeof(info->chacha);
    case CIPHERS:
        break;
    }
    WR_UNREACHABLE();
}

/* CIPHERS: none that a kernel knows. */
static enum kernel_cipher find_cipher(const SSL *ssl)
{
    const SSL_CIPHER *c = SSL_get_current_cipher(ssl);
    int nid = c != NULL ? SSL_CIPHER_get_cipher_nid(c) : NID_undef;
    uint32_t i = 0;

    while (i < CIPHERS && ciphers[i].nid != nid) {
        i++;
    }
    return (enum kernel_cipher)i;
}

static enum wr_status give_keys(struct wr_tls *t, bool is_13, enum kernel_cipher which)
{
    const struct wr_link_ops *below = t->link.next->ops;
    const struct cipher_row *row = &ciphers[which];
    uint8_t nonce[NONCE_BYTES] = {0};
    struct write_keys w = {{0}, {0}};
    union kernel_info info = {
        .head = {.version = is_13 ? TLS_1_3_VERSION : TLS_1_2_VERSION, .cipher_type = row->type}
    };
    enum wr_status st = WR_ESYS;
    bool ok;

    if (is_13) {
        ok = find_keys_13(t, row, &w);
        memcpy(nonce, w.iv + SALT_BYTES, sizeof(nonce));
    } else {
        ok = find_keys_12(t, row, &w) && (which == CHACHA || find_nonce(t->ktls, nonce));
    }
    if (ok && below->encrypt != NULL) {
        uint32_t len = fill_info(&info, which, &w, nonce, t->ktls->records);

        st = below->encrypt(t->link.next, &info, len);
    }
    OPENSSL_cleanse(&info, sizeof(info));
    OPENSSL_cleanse(&w, sizeof(w));
    return st;
}

void wr_ktls_enter(struct wr_tls *t, const struct wr_link_ops *ops)
{
    int version = SSL_version(t->ssl);
    bool is_13 = version == TLS1_3_VERSION;
    enum kernel_cipher which = find_cipher(t->ssl);
    enum wr_status st;

    if ((!is_13 && version != TLS1_2_VERSION) || which == CIPHERS || t->is_broken ||
        wr_now_ms() < wr_load_rlx(&unknown_until[is_13][which])) {
        return;
    }
    st = give_keys(t, is_13, which);
    if (st == WR_OK) {
        t->in_kernel = true;
        t->link.ops = ops;
    } else if (st == WR_ECONFIG) {
        wr_store_rlx(&unknown_until[is_13][which], wr_now_ms() + ASK_AGAIN_MS);
    }
}

/* ---- what is to be known -------------------------------------------------------------------- */

/* 0: that is no secret. */
static uint8_t read_hex(const char *p, size_t len, uint8_t *ret, size_t cap)
{
    if (len % 2 != 0 || len / 2 > cap) {
        return 0;
    }
    for (size_t i = 0; i < len; i += 2) {
        int hi = wr_char_hex((unsigned char)p[i]), lo = wr_char_hex((unsigned char)p[i + 1]);

        if (hi < 0 || lo < 0) {
            return 0;
        }
        ret[i / 2] = (uint8_t)(hi * 16 + lo);
    }
    return (uint8_t)(len / 2);
}

void wr_ktls_note_secret(struct wr_tls *t, const char *line)
{
    static const char labels[2][LABEL_LEN + 1] = {"CLIENT_TRAFFIC_SECRET_0 ",
                                                  "SERVER_TRAFFIC_SECRET_0 "};
    size_t skip = LABEL_LEN + 2 * SSL3_RANDOM_SIZE + 1, len = strlen(line);
    struct wr_ktls *k = t != NULL ? t->ktls : NULL;

    /* Of what we write with, which the library begins to use now. */
    if (k == NULL || t->in_kernel || len <= skip ||
        memcmp(line, labels[SSL_is_server(t->ssl) == 1 ? 1 : 0], LABEL_LEN) != 0) {
        return;
    }
    k->records = 0;
    k->secret_len = read_hex(line + skip, len - skip, k->secret, sizeof(k->secret));
}

void wr_ktls_note_bytes(struct wr_ktls *k, const char *buf, size_t n)
{
    size_t add = WR_MIN(n, sizeof(k->tail)), keep = WR_MIN(k->tail_len, sizeof(k->tail) - add);

    memmove(k->tail, k->tail + k->tail_len - keep, keep);
    memcpy(k->tail + keep, buf + n - add, add);
    k->tail_len = (uint8_t)(keep + add);
}

/* What there is no room for now is not said: none of it is needed. */
static void say(struct wr_tls *t, const unsigned char *alert, size_t n)
{
    if (t->is_closed || t->is_broken || t->is_shut) {
        return;
    }
    (void)!t->link.next->ops->send_record(t->link.next, SSL3_RT_ALERT, alert, n);
    /* Behind one of these nothing is sent. */
    t->is_shut = n == 0 || alert[0] == SSL3_AL_FATAL || alert[n - 1] == SSL3_AD_CLOSE_NOTIFY;
}

/* wide: the library's callback for messages */
static void see_message(int is_written, int version, int type, const void *buf, size_t len,
                        SSL *ssl, void *data)
{
    struct wr_tls *t = data;

    (void)version, (void)ssl;
    if (is_written == 0) {
        return;
    }
    if (t->in_kernel) {
        if (type == SSL3_RT_ALERT) {
            say(t, buf, len);
        }
    } else if (t->ktls != NULL && type == SSL3_RT_HEADER && len > 0) {
        /* From ChangeCipherSpec of TLS 1.2 the keys are in use; in TLS 1.3 it says nothing. */
        bool is_change = *(const unsigned char *)buf == SSL3_RT_CHANGE_CIPHER_SPEC;

        t->ktls->records = is_change ? 0 : t->ktls->records + 1;
    }
}

void wr_ktls_use(struct wr_tls_ctx *c)
{
    c->wants_kernel = (SSL_CTX_get_options(c->ssl) & SSL_OP_ENABLE_KTLS) != 0;
    (void)SSL_CTX_clear_options(c->ssl, SSL_OP_ENABLE_KTLS); /* it shall not try by itself */
}

void wr_ktls_watch(struct wr_tls *t)
{
    const struct wr_tls_ctx *c = wr_tls_ctx_of(SSL_get_SSL_CTX(t->ssl));

    if (!c->wants_kernel || t->ktls != NULL || t->link.next->ops->encrypt == NULL) {
        return;
    }
    t->ktls = wr_slab_alloc(sizeof(*t->ktls));
    if (t->ktls != NULL) {
        SSL_set_msg_callback(t->ssl, see_message);
        SSL_set_msg_callback_arg(t->ssl, t);
    }
}

void wr_ktls_drop(struct wr_tls *t)
{
    if (t->ktls != NULL) {
        OPENSSL_cleanse(t->ktls, sizeof(*t->ktls));
        wr_slab_free(t->ktls, sizeof(*t->ktls));
        t->ktls = NULL;
    }
}

/* ---- sending -------------------------------------------------------------------------------- */

static struct wr_tls *tls_of(struct wr_link *l)
{
    struct wr_tls *t = wr_container_of(l, struct wr_tls, link);

    wr_obj_check(t, WR_TLS_MAGIC);
    return t;
}

static enum wr_status note_sent(struct wr_tls *t, enum wr_status st)
{
    if (st == WR_ESYS) {
        t->is_broken = true;
    }
    return st;
}

enum wr_status wr_ktls_send(struct wr_link *l, const struct iovec *iov, int cnt, size_t *ret_n)
{
    struct wr_tls *t = tls_of(l);

    if (t->is_broken || t->is_shut) {
        return WR_ESYS;
    }
    return note_sent(t, l->next->ops->send(l->next, iov, cnt, ret_n));
}

enum wr_status wr_ktls_send_file(struct wr_link *l, struct wr_file *f, uint64_t off, size_t n,
                                 size_t *ret_n)
{
    struct wr_tls *t = tls_of(l);

    if (t->is_broken || t->is_shut) {
        return WR_ESYS;
    }
    return note_sent(t, l->next->ops->send_file(l->next, f, off, n, ret_n));
}

enum wr_status wr_ktls_send_pipe(struct wr_link *l, struct wr_kpipe *k, size_t n, size_t *ret_n)
{
    struct wr_tls *t = tls_of(l);

    if (t->is_broken || t->is_shut) {
        return WR_ESYS;
    }
    return note_sent(t, l->next->ops->send_pipe(l->next, k, n, ret_n));
}

void wr_ktls_say_goodbye(struct wr_tls *t)
{
    static const unsigned char close_notify[] = {SSL3_AL_WARNING, SSL3_AD_CLOSE_NOTIFY};

    say(t, close_notify, sizeof(close_notify));
}
