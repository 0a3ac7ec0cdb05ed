/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ocsp.h: questions about certificates and what responders say to them (RFC 6960), bytes in and
 * bytes out: who fetches is http/. A question is made of a certificate and its issuer; an answer
 * counts when the issuer, or whom the issuer allows it, has signed it, when it is about this
 * certificate and when its time is now.
 */
#ifndef WR_TLS_OCSP_H
#define WR_TLS_OCSP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"
#include "base/strbuf.h"

#define WR_OCSP_KEY_LEN 32
#define WR_OCSP_MAX     65536u /* bytes of an answer */

struct wr_ocsp;
struct wr_tls;
struct wr_tls_cache;
struct wr_tls_ctx;
struct wr_tls_staple;

enum wr_ocsp_says {
    WR_OCSP_GOOD,
    WR_OCSP_REVOKED,
    WR_OCSP_UNKNOWN
};

/* --- questions; any thread, one at a time ------------------------------------------------------
 */

/* Accepts NULL. */
void wr_ocsp_free(struct wr_ocsp *q);
/* The question as it is sent (DER). WR_ENOMEM. */
enum wr_status wr_ocsp_write_request(const struct wr_ocsp *q, struct wr_strbuf *b) WR_MUST_CHECK;
/* Where the certificate says that answers are to be had; the first http or other URL. WR_EOF: it
 * does not. */
enum wr_status wr_ocsp_write_url(const struct wr_ocsp *q, struct wr_strbuf *b) WR_MUST_CHECK;
/* The same for equal questions: a digest. */
void wr_ocsp_write_key(const struct wr_ocsp *q, unsigned char key[WR_OCSP_KEY_LEN]);

struct wr_ocsp_answer {
    enum wr_ocsp_says says;
    uint64_t life_sec; /* from now: until nextUpdate; 0: it does not say */
    uint64_t age_sec;  /* since thisUpdate */
};

/* WR_EPROTO: it does not count; err tells why. */
enum wr_status wr_ocsp_read(const struct wr_ocsp *q, struct wr_str der, struct wr_ocsp_answer *ret,
                            struct wr_strbuf *err) WR_MUST_CHECK;

/* Answers that are remembered for a time, in a cache of sessions (wr_tls_cache). */
void wr_ocsp_remember(struct wr_tls_cache *c, const struct wr_ocsp *q, enum wr_ocsp_says says,
                      uint32_t life_sec);
bool wr_ocsp_recall(struct wr_tls_cache *c, const struct wr_ocsp *q, enum wr_ocsp_says *ret);

/* --- of our own certificates -------------------------------------------------------------------
 */

/* Certificates of a context that was made with `staples`; 0 otherwise. */
uint32_t wr_tls_ctx_pair_cnt(const struct wr_tls_ctx *c);
/*
 * About certificate `no`. trusted: the answer's signer must lead to what the context trusts, too.
 * WR_EOF: the issuer is not at hand. WR_ENOMEM. While the context is made.
 */
enum wr_status wr_tls_ctx_ocsp(struct wr_tls_ctx *c, uint32_t no, bool trusted,
                               struct wr_ocsp **ret) WR_MUST_CHECK;
/* The context gives clients of this certificate what s holds; takes a reference. Before anyone
 * uses the context. */
void wr_tls_ctx_set_staple(struct wr_tls_ctx *c, uint32_t no, struct wr_tls_staple *s);

/* One reference; empty. NULL: no memory. */
struct wr_tls_staple *wr_tls_staple_new(void) WR_MUST_CHECK;
/* Any thread; accepts NULL. */
void wr_tls_staple_unref(struct wr_tls_staple *s);
/* Given to clients until until_ms (monotonic); a copy. Any thread. WR_ENOMEM: the old one stays. */
enum wr_status wr_tls_staple_set(struct wr_tls_staple *s, struct wr_str der,
                                 uint64_t until_ms) WR_MUST_CHECK;

/* --- of clients --------------------------------------------------------------------------------
 */

/*
 * Behind the handshake: about the client's certificate (no 0) or one further up in its verified
 * chain. WR_EOF: there are no more. WR_ENOMEM. Connection's thread.
 */
enum wr_status wr_tls_client_ocsp(struct wr_tls *t, uint32_t no,
                                  struct wr_ocsp **ret) WR_MUST_CHECK;

enum wr_ocsp_verdict {
    WR_OCSP_IS_REVOKED,
    WR_OCSP_IS_UNKNOWN,
    WR_OCSP_FAILED /* nobody could say */
};

/* The client's certificate counts as bad from now on. */
void wr_tls_client_condemn(struct wr_tls *t, enum wr_ocsp_verdict why);

#endif
