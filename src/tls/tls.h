/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h: TLS for the floors above. A context (wr_tls_ctx) is made of plain values and bytes of
 * files while a configuration is built; it is refcounted, so that connections outlive the
 * generation that made it. A wr_tls is TLS on one connection: a link (net/link.h) on top of another
 * one, which works on that link's chunks and makes no system call of its own.
 *
 *   http/ssl_conf.c --opts--> wr_tls_ctx <--- wr_tls (link) ---> link below (the socket)
 *                                  |             ^
 *                             wr_tls_cache       +-- requests hold references for variables
 *
 * Contexts and caches may be used by any thread, a wr_tls only by its connection's; between two
 * connections it belongs to whoever has it (wr_tls_detach).
 */
#ifndef WR_TLS_TLS_H
#define WR_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "net/link.h"

struct wr_tls;
struct wr_tls_cache;
struct wr_tls_ctx;

/* --- contexts -------------------------------------------------------------------------------- */

enum wr_tls_protocol {
    WR_TLS_SSL2 = 1, /* these two words are known, the protocols are gone */
    WR_TLS_SSL3 = 2,
    WR_TLS_1_0 = 4,
    WR_TLS_1_1 = 8,
    WR_TLS_1_2 = 16,
    WR_TLS_1_3 = 32
};

enum wr_tls_verify {
    WR_TLS_VERIFY_OFF,
    WR_TLS_VERIFY_ON,
    WR_TLS_VERIFY_OPTIONAL,
    WR_TLS_VERIFY_OPTIONAL_NO_CA
};

/* Of sessions that are kept here (tickets are kept by clients). */
enum wr_tls_sessions {
    WR_TLS_SESSIONS_NONE, /* nothing is kept, clients are not told so */
    WR_TLS_SESSIONS_OFF,
    WR_TLS_SESSIONS_KEPT /* in the context (builtin), a wr_tls_cache, or both */
};

/* A file as it was read. name empty: none is configured. */
struct wr_tls_file {
    struct wr_str name;
    struct wr_str bytes;
    int err; /* errno of the open that failed */
};

struct wr_tls_pair {
    struct wr_tls_file cert, key;
};

/* A pair that is named, and read, during each handshake: its directives' words. */
struct wr_tls_lazy {
    struct wr_str cert, key;
};

/* Of pairs that are read during handshakes. */
struct wr_tls_cert_cache {
    uint32_t max; /* files; 0: none are kept */
    uint64_t inactive_ms, valid_ms;
};

struct wr_tls_command {
    struct wr_str name, value; /* '\0' behind each */
};

enum wr_tls_side {
    WR_TLS_SERVER, /* towards clients */
    WR_TLS_CLIENT  /* towards peers */
};

/*
 * Texts have a '\0' behind them. Nothing is needed once the context is made. Of the client side:
 * protocols, ciphers, one pair or none, passwords, trusted, crl, commands, verify_depth.
 */
struct wr_tls_opts {
    enum wr_tls_side side;
    uint32_t protocols; /* enum wr_tls_protocol or-ed */
    struct wr_str ciphers;
    struct wr_str curves; /* empty: the library's */
    const struct wr_tls_pair *pairs;
    uint32_t pair_cnt; /* 0: refuses every handshake that stays with this context */
    const struct wr_tls_lazy *lazy;
    uint32_t lazy_cnt;
    struct wr_tls_cert_cache cert_cache;
    const struct wr_str *passwords; /* of encrypted keys, tried in order */
    uint32_t password_cnt;
    struct wr_tls_file dhparam, client_ca, trusted, crl;
    struct wr_tls_file staple;             /* an OCSP response (DER) for all who ask */
    struct wr_str key_log;                 /* file for secrets of connections; empty: none */
    bool staples;                          /* responses will come: tls/ocsp.h */
    bool no_resumption;                    /* each handshake is a whole one */
    const struct wr_tls_file *ticket_keys; /* the first encrypts; none: keys of the process */
    uint32_t ticket_key_cnt;
    const struct wr_tls_command *commands;
    uint32_t command_cnt;
    enum wr_tls_verify verify;
    uint32_t verify_depth;
    enum wr_tls_sessions sessions;
    bool is_builtin;             /* sessions are kept in the context */
    uint32_t builtin_size;       /* most of them; 0: the library's */
    struct wr_tls_cache *shared; /* a reference is taken; NULL: none */
    uint32_t session_timeout_sec;
    uint32_t record_max; /* most bytes of one record: ssl_buffer_size */
    bool prefer_server_ciphers;
    bool no_tickets;
    bool is_rejecting; /* ssl_reject_handshake */
    bool early_data;   /* ssl_early_data: requests before the end of the handshake */
};

/* Which of the options a failure is about; *ret_no of those that are lists. */
enum wr_tls_part {
    WR_TLS_PART_CERT,
    WR_TLS_PART_KEY,
    WR_TLS_PART_CIPHERS,
    WR_TLS_PART_CURVES,
    WR_TLS_PART_DHPARAM,
    WR_TLS_PART_CLIENT_CA,
    WR_TLS_PART_TRUSTED,
    WR_TLS_PART_CRL,
    WR_TLS_PART_STAPLE,
    WR_TLS_PART_TICKET_KEY,
    WR_TLS_PART_COMMAND,
    WR_TLS_PART_OTHER
};

/* WR_ECONFIG: the reason is in err as operators know it; *ret_part and *ret_no tell about what. */
enum wr_status wr_tls_ctx_new(const struct wr_tls_opts *o, struct wr_strbuf *err,
                              enum wr_tls_part *ret_part, uint32_t *ret_no,
                              struct wr_tls_ctx **ret) WR_MUST_CHECK;
/* The caller's reference; connections have theirs. Accepts NULL. Any thread. */
void wr_tls_ctx_unref(struct wr_tls_ctx *c);
/* Bytes that held a secret. */
void wr_tls_wipe(struct wr_str bytes);

/* --- sessions shared by contexts, threads and generations ------------------------------------ */

/* One reference. At most `bytes` of memory. NULL: none to be had. */
struct wr_tls_cache *wr_tls_cache_new(size_t bytes) WR_MUST_CHECK;
struct wr_tls_cache *wr_tls_cache_ref(struct wr_tls_cache *c);
/* Any thread; accepts NULL. */
void wr_tls_cache_unref(struct wr_tls_cache *c);

/* --- the secret behind tickets --------------------------------------------------------------- */

#define WR_TLS_SECRET_TEXT_MAX 128 /* bytes of it as text */

/*
 * Keys of tickets are made of one secret of the process and of the time; whoever is given it makes
 * the same ones: a second worker, another binary. Made when it is first asked for. What it was
 * cannot be found from what it is. False: there is no randomness. Any thread.
 */
bool wr_tls_secret_write(struct wr_strbuf *b) WR_MUST_CHECK;
/* Instead of ours. False: that is none. */
bool wr_tls_secret_read(struct wr_str text) WR_MUST_CHECK;
/* Forgets what no ticket needs any more; from time to time where tickets are not used. */
void wr_tls_secret_age(void);

/* --- connections ----------------------------------------------------------------------------- */

/* What the owner of a connection is asked during the handshake. */
struct wr_tls_owner {
    /*
     * The context for this name of the client's (lower case; empty: it sent none). NULL: stay with
     * the one given to wr_tls_accept.
     */
    struct wr_tls_ctx *(*pick)(const struct wr_tls_owner *o, struct wr_str name);
    /*
     * Appends the name of certificate or key of lazy pair `no` of the context that was picked: an
     * absolute path, or "data:" and PEM. False: err tells why there is none. NULL: never.
     */
    bool (*name)(const struct wr_tls_owner *o, uint32_t no, bool is_key, struct wr_strbuf *b,
                 struct wr_strbuf *err);
};

/*
 * Server side on top of `below`. One reference, the connection's, which the link's close gives
 * back. owner is asked until the handshake has ended. WR_ENOMEM.
 */
enum wr_status wr_tls_accept(struct wr_link *below, struct wr_tls_ctx *c,
                             const struct wr_tls_owner *owner, struct wr_tls **ret) WR_MUST_CHECK;

/* Which peer, and how it proves that it is the one. Outlives the handshake. */
struct wr_tls_target {
    struct wr_tls_ctx *ctx;
    struct wr_str sni;       /* the name it is asked for, '\0' behind; empty: none */
    struct wr_str name;      /* a host or an address: its certificate must be for it */
    struct wr_str cert, key; /* names as wr_tls_owner's, '\0' behind; empty: the context's pair */
    bool verify;
    bool keeps_session;
    uint64_t peer_id, identity; /* sessions are resumed only where both are the same */
};

/*
 * Client side on top of `below`, as wr_tls_accept. A handshake that ended well has checked the
 * peer's certificate, if it is to be: WR_EPROTO then, too.
 */
enum wr_status wr_tls_connect(struct wr_link *below, const struct wr_tls_target *to,
                              struct wr_tls **ret) WR_MUST_CHECK;
/* Behind a handshake with a peer that gave st, at once: why, in the words of logs. */
void wr_tls_write_failure(struct wr_tls *t, enum wr_status st, int err, struct wr_strbuf *b);
/*
 * Out of its connection, on the way to another thread's; then the caller's reference is the only
 * one. WR_AGAIN: something was received or is to be sent, or the other side has ended; nothing has
 * changed.
 */
enum wr_status wr_tls_detach(struct wr_tls *t) WR_MUST_CHECK;
/* On top of `below` again, which carries the bytes that come next. */
void wr_tls_attach(struct wr_tls *t, struct wr_link *below);
struct wr_link *wr_tls_link(struct wr_tls *t);
/* NULL when l is no TLS link. */
struct wr_tls *wr_tls_of_link(struct wr_link *l);
/* The system encrypts what is sent: the io below does not count the bytes on the wire. */
bool wr_tls_is_in_kernel(const struct wr_link *l);
/* For those who ask for facts when the connection may be gone. Owner thread only. */
struct wr_tls *wr_tls_ref(struct wr_tls *t);
void wr_tls_unref(struct wr_tls *t);

/*
 * Behind a handshake that gave WR_EPROTO, at once: appends " (SSL: error:...)" to b. Value: is it
 * for the level of things that any client can cause?
 */
bool wr_tls_write_error(struct wr_strbuf *b);
/*
 * NULL, or: in the handshake, why a certificate that is read then could not be had; afterwards,
 * " (SSL: error:...)" of a receive that gave WR_EPROTO.
 */
const char *wr_tls_error(const struct wr_tls *t);
/* It gave WR_EPROTO because of ssl_reject_handshake. */
bool wr_tls_is_rejected(const struct wr_tls *t);

enum wr_tls_fact {
    WR_TLS_FACT_PROTOCOL,
    WR_TLS_FACT_CIPHER,
    WR_TLS_FACT_CIPHERS,
    WR_TLS_FACT_CURVE,
    WR_TLS_FACT_CURVES,
    WR_TLS_FACT_SESSION_ID,
    WR_TLS_FACT_SESSION_REUSED,
    WR_TLS_FACT_SERVER_NAME,
    WR_TLS_FACT_ALPN,
    WR_TLS_FACT_EARLY_DATA,  /* "1": the handshake is not over, the request may be a replayed one */
    WR_TLS_FACT_CLIENT_CERT, /* PEM, lines but the first begin with a tab */
    WR_TLS_FACT_CLIENT_RAW_CERT,
    WR_TLS_FACT_CLIENT_ESCAPED_CERT,
    WR_TLS_FACT_CLIENT_SUBJECT,
    WR_TLS_FACT_CLIENT_ISSUER,
    WR_TLS_FACT_CLIENT_SUBJECT_OLD, /* "/CN=..." */
    WR_TLS_FACT_CLIENT_ISSUER_OLD,
    WR_TLS_FACT_CLIENT_SERIAL,
    WR_TLS_FACT_CLIENT_FINGERPRINT,
    WR_TLS_FACT_CLIENT_VERIFY,
    WR_TLS_FACT_CLIENT_START,
    WR_TLS_FACT_CLIENT_END,
    WR_TLS_FACT_CLIENT_REMAIN
};

/* Appends the fact. WR_EOF: there is none. WR_ENOMEM; else as b says. */
enum wr_status wr_tls_write_fact(struct wr_tls *t, enum wr_tls_fact fact,
                                 struct wr_strbuf *b) WR_MUST_CHECK;
/* The request came before the end of the handshake, which is still not over. */
bool wr_tls_is_early(const struct wr_tls *t);
/* Name that the client asked for, lower case; empty: none. Lives as long as t. */
struct wr_str wr_tls_server_name(const struct wr_tls *t);

enum wr_tls_trust {
    WR_TLS_TRUST_NO_CERT, /* the client sent none */
    WR_TLS_TRUST_OK,
    WR_TLS_TRUST_NO_CA, /* only its chain does not lead to one that we know */
    WR_TLS_TRUST_BAD
};

/* What became of the client's certificate; *ret_code, *ret_text (constant): the library's. */
enum wr_tls_trust wr_tls_client_trust(struct wr_tls *t, long *ret_code, const char **ret_text);

#endif
