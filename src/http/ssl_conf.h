/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_conf.h: `ssl_*` of http{} and server{}: plain values, and the context that is made of them
 * once the whole file is known. Read-only afterwards.
 */
#ifndef WR_HTTP_SSL_CONF_H
#define WR_HTTP_SSL_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/dirs.h"
#include "conf/scope.h"
#include "conf/types.h"
#include "http/server.h"
#include "http/ssl_files.h"
#include "tls/tls.h"

extern struct wr_conf_module wr_ssl_conf;

/* ssl_session_cache */
struct wr_ssl_sessions {
    enum wr_tls_sessions mode;
    bool is_builtin;
    uint32_t builtin_size; /* 0: the library's */
    struct wr_str zone;    /* empty: none */
    uint64_t zone_size;
    const struct wr_node *node;
};

enum wr_ssl_ocsp {
    WR_SSL_OCSP_OFF,
    WR_SSL_OCSP_ON, /* all of the chain */
    WR_SSL_OCSP_LEAF
};

struct wr_ocsp_to;

struct wr_ssl_srv {
    struct wr_conf_head head;
    struct wr_ssl_paths certs, keys, ticket_keys;
    struct wr_tls_cert_cache cert_cache;
    struct wr_ssl_commands commands;
    struct wr_ssl_path password_file, dhparam, client_ca, trusted, crl, staple, key_log;
    struct wr_ssl_text ciphers, curves;
    struct wr_ssl_sessions sessions;
    uint32_t protocols; /* enum wr_tls_protocol or-ed */
    uint32_t verify;    /* enum wr_tls_verify */
    uint32_t verify_depth;
    uint32_t buffer_size;
    uint32_t session_timeout_sec;
    bool prefer_server_ciphers, tickets, is_rejecting;
    bool early_data, stapling;
    bool stapling_verify;
    const struct wr_node *stapling_node;
    struct wr_ssl_text stapling_responder;
    struct wr_resolver *stapling_resolver; /* NULL: none */
    uint32_t ocsp;                         /* enum wr_ssl_ocsp */
    const struct wr_node *ocsp_node;
    struct wr_ssl_text ocsp_responder;
    const struct wr_ocsp_to *ocsp_to; /* NULL: as certificates say */
    struct wr_ssl_sessions ocsp_zone; /* ssl_ocsp_cache: its zone fields */
    struct wr_tls_cache *ocsp_cache;  /* NULL: none */
    bool is_on;                       /* ssl on */
    const struct wr_node *on_node;
    bool is_made;           /* ctx is as it will be */
    struct wr_tls_ctx *ctx; /* NULL: neither certificates nor ssl_reject_handshake */
};

/* Never NULL. */
static inline const struct wr_ssl_srv *wr_ssl_srv_of(const struct wr_server *v)
{
    return (const struct wr_ssl_srv *)wr_scope_get(v->scope, &wr_ssl_conf, WR_KIND_SRV);
}

#endif
