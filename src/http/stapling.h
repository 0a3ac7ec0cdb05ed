/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stapling.h: OCSP responses for our own certificates, fetched and kept fresh by the control
 * thread; handshakes take what is there (tls/ocsp.h). What was fetched is a fixture: it outlives
 * reloads, and servers with the same certificate share it.
 */
#ifndef WR_HTTP_STAPLING_H
#define WR_HTTP_STAPLING_H

#include "conf/dirs.h"
#include "http/ocsp.h"

struct wr_resolver;
struct wr_tls_ctx;

struct wr_stapling_opts {
    struct wr_ocsp *q;            /* taken in every case */
    const struct wr_ocsp_to *to;  /* copied */
    struct wr_resolver *resolver; /* NULL: none */
    struct wr_str name;           /* of the certificate's file, for log lines */
    uint64_t trust;               /* a hash of whom answers must lead to; 0: not asked */
};

/*
 * Certificate `no` of c is given a response from now on, once there is one. Nothing in a dry run.
 * Control thread, while a configuration is built. WR_ENOMEM.
 */
enum wr_status wr_stapling_use(struct wr_conf *cf, struct wr_tls_ctx *c, uint32_t no,
                               const struct wr_stapling_opts *o) WR_MUST_CHECK;

#endif
