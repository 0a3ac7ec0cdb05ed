/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h: one small request of our own to a server that a configuration or a certificate names, on
 * any thread with a loop: an OCSP responder is asked so. HTTP/1.0 POST, one connection, the whole
 * answer in memory, everything within one deadline. No redirects, no TLS.
 */
#ifndef WR_HTTP_FETCH_H
#define WR_HTTP_FETCH_H

#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/status.h"
#include "base/str.h"

#define WR_FETCH_ADDRS_MAX 8

struct wr_dns;
struct wr_fetch;
struct wr_task;

/* All is copied. */
struct wr_fetch_opts {
    struct wr_str host; /* name or address */
    uint16_t port;
    struct wr_str path;          /* from '/' on, as it is sent */
    struct wr_dns *dns;          /* finds a name; NULL: addrs only */
    const struct wr_addr *addrs; /* tried in turn when dns finds nothing; may be none */
    size_t addr_cnt;
    const char *type, *accept; /* media types, constant */
    struct wr_str body;
    uint64_t until_ms;
    uint32_t answer_max; /* bytes of the answer's body */
};

/* `waiter`, of this thread, is woken when there is a result. WR_ENOMEM. */
enum wr_status wr_fetch_start(const struct wr_fetch_opts *o, struct wr_task *waiter,
                              struct wr_fetch **ret) WR_MUST_CHECK;
/* WR_AGAIN: not yet. WR_OK: a 200; the body lives as long as f. WR_EOF: see wr_fetch_error. */
enum wr_status wr_fetch_get(struct wr_fetch *f, struct wr_str *ret_body) WR_MUST_CHECK;
/* Why there is none, for a log line. */
struct wr_str wr_fetch_error(const struct wr_fetch *f);
/* In every case, also to give up; not from the task of f. Accepts NULL pointers. */
void wr_fetch_end(struct wr_fetch **f);

#endif
