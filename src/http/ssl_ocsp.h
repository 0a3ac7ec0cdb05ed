/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_ocsp.h: what ssl_conf.c leaves to ssl_ocsp.c: stapling and OCSP of clients' certificates,
 * when a server's context is made.
 */
#ifndef WR_HTTP_SSL_OCSP_H
#define WR_HTTP_SSL_OCSP_H

#include "conf/dirs.h"
#include "conf/scope.h"
#include "http/ssl_conf.h"

wr_dir_set_fn wr_ssl_set_ocsp_cache;

/* Before the context is made: s->ocsp_to, and whether what is said fits. WR_ECONFIG: told. */
enum wr_status wr_ssl_prepare_ocsp(struct wr_conf *cf, struct wr_ssl_srv *s) WR_MUST_CHECK;
/*
 * The context has been made: its certificates get responses. What stands against it is a warning.
 * trust: hash of the bytes of ssl_trusted_certificate. scope: a server's that uses s.
 */
enum wr_status wr_ssl_start_stapling(struct wr_conf *cf, struct wr_ssl_srv *s,
                                     const struct wr_scope *scope, uint64_t trust) WR_MUST_CHECK;

#endif
