/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_lazy.h: names of certificates and keys that have variables in them. Towards clients they are
 * evaluated in the middle of a handshake, where there is no request: for a stand-in that has the
 * connection, its TLS, the server and nothing else, so that variables of a request are empty.
 */
#ifndef WR_HTTP_SSL_LAZY_H
#define WR_HTTP_SSL_LAZY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "http/ssl_files.h"

struct wr_conn;
struct wr_listen_ctx;
struct wr_req;
struct wr_server;
struct wr_ssl_paths;
struct wr_tls;

/*
 * Appends the name of a file, absolute, or "data:...". WR_EOF: it is empty, b is as it was.
 * WR_EPROTO: it may not be used, err tells; WR_ENOMEM.
 */
enum wr_status wr_ssl_eval_name(struct wr_req *r, const struct wr_ssl_path *p, struct wr_strbuf *b,
                                struct wr_strbuf *err) WR_MUST_CHECK;

/* Whose handshake it is. */
struct wr_ssl_stage {
    struct wr_conn *conn;
    struct wr_tls *tls;
    struct wr_listen_ctx *listen;
    const struct wr_server *server;
    struct wr_log log;
};

/* The name of certificate or key number `no` of those with variables. False: err tells. */
bool wr_ssl_name_of_shake(const struct wr_ssl_stage *at, uint32_t no, bool is_key,
                          struct wr_strbuf *b, struct wr_strbuf *err);

#endif
