/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_int.h: what the files of tls/ share. struct wr_tls_ctx and wr_tls die with their last
 * reference. (Contexts are not counted by the library's own atomics: ThreadSanitizer sees ours.)
 */
#ifndef WR_TLS_TLS_INT_H
#define WR_TLS_TLS_INT_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/chunk.h"
#include "base/strbuf.h"
#include "base/sync.h"
#include "tls/ocsp.h"
#include "tls/tls.h"

#define WR_TLS_MAGIC    0x746c7321u
#define WR_TLS_NAME_MAX 255u /* of a host, RFC 1035 */

struct wr_tls_certs;

struct wr_tls_ticket_key {
    unsigned char name[16];
    unsigned char hmac[32];
    unsigned char aes[32];
    uint32_t half; /* bytes of hmac and of aes that count: 16 or 32 */
};

/* A certificate of a context whose clients may be given a response that is fetched. */
struct wr_tls_stapled {
    X509 *cert;                   /* the context's */
    STACK_OF(X509) * chain;       /* the context's; NULL: none */
    struct wr_tls_staple *staple; /* one reference; NULL: none */
};

struct wr_tls_ctx {
    wr_atomic_u32 refs; /* the maker's, and one or two of each connection */
    SSL_CTX *ssl;
    struct wr_tls_cache *cache;     /* one reference; NULL: none */
    struct wr_tls_ticket_key *keys; /* of files */
    uint32_t key_cnt;
    uint32_t lazy_cnt;
    struct wr_tls_certs *certs; /* NULL: what is read is not kept */
    unsigned char *staple;      /* NULL: none */
    size_t staple_len;
    struct wr_tls_stapled *pairs; /* with opts.staples; NULL: none */
    uint32_t pair_cnt;
    char *curves;  /* NULL: the library's */
    char *key_log; /* NULL: none */
    uint32_t record_max;
    bool is_rejecting;
    bool early_data;
    bool no_resumption; /* each handshake is a whole one */
    bool wants_kernel;  /* Options KTLS */
};

struct wr_ktls;

struct wr_tls {
    struct wr_link link; /* first */
    uint32_t magic;
    uint32_t refs;
    SSL *ssl;
    struct wr_tls_ctx *base;            /* of accept: sessions are its business; a reference */
    struct wr_tls_ctx *chosen;          /* by the client's name; a reference; NULL: base it stays */
    const struct wr_tls_owner *owner;   /* NULL after the handshake */
    const struct wr_tls_target *target; /* client side; NULL after the handshake */
    uint64_t session_key[2];            /* client side */
    struct wr_chunk *in;                /* received, not decrypted yet: [in_off .. + in_len) */
    uint32_t in_off, in_len, early_off;
    struct wr_chunk *early; /* decrypted early data that recv gives first */
    struct wr_chunk *out;   /* encrypted, not sent yet: [out_off .. fill) */
    uint32_t out_off;
    uint8_t in_end;     /* enum wr_status: why the link below gives no more; WR_OK: it may */
    bool keeps_session; /* client side */
    bool is_mismatch;   /* client side: the certificate is for another name */
    bool may_early;     /* early data is read first; until it has ended */
    bool is_early;      /* ready by early data, the handshake goes on */
    bool is_ready;      /* the handshake is over */
    bool is_broken;     /* no more bytes of ours */
    bool is_closed;     /* the link below is not ours any more */
    bool is_nomem;      /* in the call at hand */
    bool is_refused;    /* client side: our certificate could not be read, see error */
    bool is_shut;       /* close_notify was sent */
    bool is_rejected;   /* by ssl_reject_handshake */
    size_t held;        /* plain bytes in `out` that the caller was not told of */
    uint32_t record_max;
    struct wr_ktls
        *ktls;      /* in the handshake: what the kernel will need; NULL: it is not to encrypt */
    bool in_kernel; /* it encrypts what is sent; nothing of the library goes out any more */
    char *error;    /* NULL: none */
    uint8_t name_len;
    char *name; /* the client's server name as it was sent, and lower case; NULL: none */
};

struct wr_tls_ctx *wr_tls_ctx_ref(struct wr_tls_ctx *c);
/* Of the process, made once: the BIO over a link, and where a context finds its wr_tls_ctx. */
const BIO_METHOD *wr_tls_bio_method(void);
struct wr_tls_ctx *wr_tls_ctx_of(const SSL_CTX *ssl);

/* " (SSL: error:... error:...)" of this thread's queue, which is empty then. */
void wr_tls_add_errors(struct wr_strbuf *b);

/* peer.c: is the peer behind the handshake the one that the target names? */
bool wr_tls_is_trusted(struct wr_tls *t);

/* lazy.c */
enum wr_status wr_tls_use_lazy(struct wr_tls_ctx *c, const struct wr_tls_opts *o) WR_MUST_CHECK;
void wr_tls_free_lazy(struct wr_tls_ctx *c);
/* Client side: the pair that the target names; a failure ends the handshake. */
void wr_tls_load_target(struct wr_tls *t);

/* cert.c: into the queue what fopen() of a file that cannot be opened would leave in it. */
void wr_tls_raise_open(const struct wr_tls_file *f);
/* cert.c: into a context; the reason is in err (without what it is about). */
enum wr_status wr_tls_use_pair(SSL_CTX *ssl, const struct wr_tls_opts *o,
                               const struct wr_tls_pair *p, struct wr_strbuf *err,
                               enum wr_tls_part *ret_part) WR_MUST_CHECK;
enum wr_status wr_tls_use_dhparam(SSL_CTX *ssl, const struct wr_tls_file *f,
                                  struct wr_strbuf *err) WR_MUST_CHECK;
/* Certificates that are trusted; with_names: clients are told of them, too. */
enum wr_status wr_tls_use_ca(SSL_CTX *ssl, const struct wr_tls_file *f, bool with_names,
                             struct wr_strbuf *err) WR_MUST_CHECK;
enum wr_status wr_tls_read_staple(struct wr_tls_ctx *c, const struct wr_tls_file *f,
                                  struct wr_strbuf *err) WR_MUST_CHECK;
enum wr_status wr_tls_use_crl(SSL_CTX *ssl, const struct wr_tls_file *f,
                              struct wr_strbuf *err) WR_MUST_CHECK;

/* ocsp.c */
enum wr_status wr_tls_note_pairs(struct wr_tls_ctx *c) WR_MUST_CHECK;
void wr_tls_free_pairs(struct wr_tls_ctx *c);
/* For OPENSSL_free; NULL: there is none now. */
unsigned char *wr_tls_staple_copy(struct wr_tls_staple *s, size_t *ret_len);

/* keylog.c */
enum wr_status wr_tls_use_key_log(struct wr_tls_ctx *c, struct wr_str path) WR_MUST_CHECK;

/* ktls.c: the kernel encrypts what is sent. */
/* Of a context: all its commands were obeyed. */
void wr_ktls_use(struct wr_tls_ctx *c);
/* Before the handshake: notes what will be needed, if t's context wants it. */
void wr_ktls_watch(struct wr_tls *t);
/* A line for the key log. */
void wr_ktls_note_secret(struct wr_tls *t, const char *line);
/* Records that the library wrote. */
void wr_ktls_note_bytes(struct wr_ktls *k, const char *buf, size_t n);
/* After the handshake, all is sent: the link is the kernel's from now on, if that can be had. */
void wr_ktls_enter(struct wr_tls *t, const struct wr_link_ops *ops);
void wr_ktls_drop(struct wr_tls *t);
/* Links' operations for a t that is in the kernel. */
enum wr_status wr_ktls_send(struct wr_link *l, const struct iovec *iov, int cnt,
                            size_t *ret_n) WR_MUST_CHECK;
enum wr_status wr_ktls_send_file(struct wr_link *l, struct wr_file *f, uint64_t off, size_t n,
                                 size_t *ret_n) WR_MUST_CHECK;
enum wr_status wr_ktls_send_pipe(struct wr_link *l, struct wr_kpipe *k, size_t n,
                                 size_t *ret_n) WR_MUST_CHECK;
void wr_ktls_say_goodbye(struct wr_tls *t);
/* HKDF-Expand-Label with an empty context, RFC 8446 7.1. */
bool wr_ktls_expand(const EVP_MD *md, struct wr_str secret, const char *label, unsigned char *out,
                    size_t n) WR_MUST_CHECK;
/* RFC 5246 6.3; randoms: the server's, the client's. */
bool wr_ktls_key_block(const EVP_MD *md, struct wr_str master, struct wr_str randoms,
                       unsigned char *out, size_t n) WR_MUST_CHECK;

/* ticket.c: keys of the process. */
/* The one to encrypt with (name NULL), or the one of this name. *ret_is_first: it is in use now. */
bool wr_tls_find_ticket_key(const unsigned char *name, struct wr_tls_ticket_key *ret,
                            bool *ret_is_first);
/* Tickets must be good for so long. */
void wr_tls_want_ticket_life(uint32_t sec);

/* session.c */
/* Client side: sessions of peers, kept for the process. */
void wr_tls_use_peer_sessions(SSL_CTX *ssl);
void wr_tls_resume(struct wr_tls *t);
void wr_tls_forget_session(struct wr_tls *t);
enum wr_status wr_tls_use_sessions(struct wr_tls_ctx *c, const struct wr_tls_opts *o,
                                   struct wr_strbuf *err, uint32_t *ret_no) WR_MUST_CHECK;

/* cache.c: sessions as bytes, by id. */
void wr_tls_cache_put(struct wr_tls_cache *c, struct wr_str id, struct wr_str session,
                      uint32_t life_sec);
/* Copies into buf. False: unknown, too old, or larger than cap. */
bool wr_tls_cache_get(struct wr_tls_cache *c, struct wr_str id, unsigned char *buf, size_t cap,
                      size_t *ret_len);
void wr_tls_cache_remove(struct wr_tls_cache *c, struct wr_str id);

#endif
