/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h: TLS towards peers: the family of `*_ssl_*` directives (as up/conf.h has the family of
 * timeouts), the context that is made of them, and who a request's peer must be.
 *
 *   struct wr_up_tls_conf (per location) --make--> struct wr_up_tls (shared where the values are
 * equal) --start--> struct wr_tls_target (per request)
 */
#ifndef WR_UP_TLS_H
#define WR_UP_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/map.h"
#include "conf/dirs.h"
#include "conf/types.h"
#include "http/req.h"
#include "http/ssl_files.h"
#include "tls/tls.h"

/* Made at the merge. The context is the generation's. */
struct wr_up_tls {
    struct wr_tls_ctx *ctx;
    uint64_t identity; /* of all that decides whom a connection may serve, but the name */
};

/* Zeroed bytes between fields: equal bytes are equal values. */
struct wr_up_tls_conf {
    struct wr_template *name; /* NULL: host of the URL */
    struct wr_ssl_path cert, key, password_file, trusted, crl, key_log;
    struct wr_tls_cert_cache cert_cache;
    struct wr_ssl_text ciphers;
    struct wr_ssl_commands commands;
    uint32_t protocols; /* enum wr_tls_protocol or-ed */
    uint32_t verify_depth;
    bool verify, server_name, session_reuse;
};

/* Contexts by the values they were made of; in the module's MAIN struct, zeroed. */
struct wr_up_tls_made {
    struct wr_map map;
    bool is_init;
};

/*
 * The context of a location that passes to https, or may. Files are read; errors tell the
 * directive. Control thread, from the merged hook. prefix: "proxy".
 */
enum wr_status wr_up_tls_make(struct wr_conf *cf, const struct wr_up_tls_conf *c,
                              struct wr_up_tls_made *made, const char *prefix,
                              const struct wr_up_tls **ret) WR_MUST_CHECK;
/*
 * A request's target, in its arena; `host` is the URL's. *identity gets what must be equal for a
 * connection to be used again. WR_ENOMEM, WR_ELIMIT: the name is too long.
 */
enum wr_status wr_up_tls_start(struct wr_req *r, const struct wr_up_tls_conf *c,
                               const struct wr_up_tls *t, struct wr_str host, uint64_t *identity,
                               const struct wr_tls_target **ret) WR_MUST_CHECK;

#define WR_UP_TLS_ROW(p, nm, hi, T, field, setter, more, text)                                     \
    .name = p "_ssl_" nm, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = hi, .flags = more,         \
    WR_DIR_FIELD(LOC, T, field), .set = setter, .doc = text

/* The rows; u is the name of the wr_up_tls_conf field in T. Ends without a comma. */
#define WR_UP_TLS_DIRS(p, T, u)                                                                    \
    {WR_UP_TLS_ROW(p, "certificate", 1, T, u.cert, wr_ssl_set_name, 0,                             \
                   "File with the certificate that peers are shown (PEM); variables.")},           \
        {WR_UP_TLS_ROW(p, "certificate_cache", 3, T, u.cert_cache, wr_ssl_set_cert_cache, 0,       \
                       "Certificates with variables in their names that stay read: off, max=, "    \
                       "inactive=, valid=."),                                                      \
         .def = "off"},                                                                            \
        {WR_UP_TLS_ROW(p, "certificate_key", 1, T, u.key, wr_ssl_set_name, 0,                      \
                       "File with the key (PEM) of that certificate.")},                           \
        {WR_UP_TLS_ROW(p, "ciphers", 1, T, u.ciphers, wr_ssl_set_text, 0,                          \
                       "Ciphers up to TLSv1.2, in OpenSSL's words."),                              \
         .def = "DEFAULT"},                                                                        \
        {.name = p "_ssl_conf_command",                                                            \
         .contexts = WR_CTX_HTTP_ALL,                                                              \
         .min = 2,                                                                                 \
         .max = 2,                                                                                 \
         .flags = WR_DIR_REPEAT,                                                                   \
         WR_DIR_FIELD(LOC, T, u.commands),                                                         \
         .set = wr_ssl_add_command,                                                                \
         .doc = "A configuration command of OpenSSL with its value; none that names a file."},     \
        {WR_UP_TLS_ROW(p, "crl", 1, T, u.crl, wr_ssl_set_path, 0,                                  \
                       "File with revoked certificates of peers (PEM).")},                         \
        {WR_UP_TLS_ROW(p, "key_log", 1, T, u.key_log, wr_ssl_set_log, 0,                           \
                       "File for secrets of connections with peers, to read captured traffic "     \
                       "with; written by the worker's user.")},                                    \
        {WR_UP_TLS_ROW(p, "name", 1, T, u.name, wr_set_template, 0,                                \
                       "Name for which a peer's certificate must be, and which it is asked for; "  \
                       "by default the host of the URL.")},                                        \
        {WR_UP_TLS_ROW(p, "password_file", 1, T, u.password_file, wr_ssl_set_path, 0,              \
                       "File with passwords of an encrypted key, one a line, tried in order.")},   \
        {WR_UP_TLS_ROW(p, "protocols", WR_ARGS_ANY, T, u.protocols, wr_set_mask, 0,                \
                       "Versions that are spoken with peers."),                                    \
         .def = "TLSv1.2 TLSv1.3", .data = wr_ssl_protocol_words},                                 \
        {WR_UP_TLS_ROW(p, "server_name", 1, T, u.server_name, wr_set_flag, 0,                      \
                       "Are peers told the name (SNI)?"),                                          \
         .def = "off"},                                                                            \
        {WR_UP_TLS_ROW(p, "session_reuse", 1, T, u.session_reuse, wr_set_flag, 0,                  \
                       "Are sessions with a peer resumed?"),                                       \
         .def = "on"},                                                                             \
        {WR_UP_TLS_ROW(p, "trusted_certificate", 1, T, u.trusted, wr_ssl_set_path, 0,              \
                       "File with certificates of those who sign peers' certificates.")},          \
        {WR_UP_TLS_ROW(p, "verify", 1, T, u.verify, wr_set_flag, 0,                                \
                       "Must a peer's certificate be good?"),                                      \
         .def = "off"},                                                                            \
    {                                                                                              \
        WR_UP_TLS_ROW(p, "verify_depth", 1, T, u.verify_depth, wr_set_num, 0,                      \
                      "Longest chain of a peer's certificate."),                                   \
            .def = "1", .data = &wr_ssl_depth_bounds                                               \
    }

#endif
