/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ocsp.h: asking a responder about a certificate (tls/ocsp.h makes the question and reads the
 * answer, http/fetch.h carries them), and the check of a client's certificates by it.
 */
#ifndef WR_HTTP_OCSP_H
#define WR_HTTP_OCSP_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/status.h"
#include "base/str.h"
#include "tls/ocsp.h"

struct wr_dns;
struct wr_ssl_srv;
struct wr_task;

/* A responder. */
struct wr_ocsp_to {
    struct wr_str url; /* empty: the certificate's */
    struct wr_str host, path;
    uint16_t port;
    struct wr_addr *addrs; /* of the host when the configuration was read; may be none */
    size_t addr_cnt;
};

/* WR_ECONFIG: *ret_err in nginx's words ("invalid URL prefix"), *ret_what the text it is about. */
enum wr_status wr_ocsp_to_parse(struct wr_str url, struct wr_ocsp_to *ret, const char **ret_err,
                                struct wr_str *ret_what) WR_MUST_CHECK;

/* --- one question --------------------------------------------------------------------------------
 */

struct wr_ocsp_query;

/*
 * q lives until wr_ocsp_query_end; to NULL, or without a URL: whom the certificate names. `task`,
 * of this thread, is woken when there is a result. WR_ENOMEM.
 */
enum wr_status wr_ocsp_query_start(const struct wr_ocsp *q, const struct wr_ocsp_to *to,
                                   struct wr_dns *dns, uint64_t until_ms, struct wr_task *task,
                                   struct wr_ocsp_query **ret) WR_MUST_CHECK;
/* WR_AGAIN; WR_OK: *ret_der lives until the end; WR_EOF: see wr_ocsp_query_error. */
enum wr_status wr_ocsp_query_get(struct wr_ocsp_query *x, struct wr_ocsp_answer *ret,
                                 struct wr_str *ret_der) WR_MUST_CHECK;
/* "TEXT while requesting certificate status, responder: HOST" */
struct wr_str wr_ocsp_query_error(const struct wr_ocsp_query *x);
/* Accepts NULL pointers. */
void wr_ocsp_query_end(struct wr_ocsp_query **x);

/* --- a client's certificates ---------------------------------------------------------------------
 */

struct wr_ocsp_check;

/* Each step may be under another generation: what it needs of one, it takes from these. */
struct wr_ocsp_check_env {
    const struct wr_ssl_srv *conf;
    struct wr_dns *dns;
    const struct wr_log *log;
    struct wr_task *task;
    uint64_t until_ms;
};

/*
 * Behind a handshake, until it is not WR_AGAIN: the task will be woken then. WR_OK: the client's
 * certificate is good, or counts as bad from now on. *x NULL before the first step.
 */
enum wr_status wr_ocsp_check_step(struct wr_ocsp_check **x, struct wr_tls *t,
                                  const struct wr_ocsp_check_env *env) WR_MUST_CHECK;
/* Accepts NULL pointers. */
void wr_ocsp_check_end(struct wr_ocsp_check **x);

#endif
