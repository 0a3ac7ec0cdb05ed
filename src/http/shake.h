/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shake.h: an accepted connection on an address where TLS is spoken or a header of the PROXY
 * protocol comes first, until it is known which protocol it carries:
 *
 *   PROXY  that header is awaited (listen ... proxy_protocol)
 *   FIRST  the first byte is awaited, it tells TLS from a plain request; nothing but the connection
 *   SHAKE  the handshake
 *   OCSP   it is over, responders are asked about the client's certificate (ssl_ocsp)
 *   ENDED  handed to its sink (a codec takes the connection), or closed
 *
 * One allocation, large enough for the codec that takes it over (wr_h1_take). The deadline of all
 * states is client_header_timeout, from the accept on. Owner thread only.
 */
#ifndef WR_HTTP_SHAKE_H
#define WR_HTTP_SHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "base/status.h"
#include "net/conn.h"

struct wr_listen_ctx;
struct wr_port;
struct wr_shake;

/* One per listening address and thread; outlives its connections. */
struct wr_shake_sink {
    /* The port that this connection belongs to, now. */
    const struct wr_port *(*port)(struct wr_shake_sink *k, struct wr_conn *c);
    /* For its lines: sinks and number of the connection. */
    struct wr_log (*log)(struct wr_shake_sink *k, struct wr_conn *c);
    /* Whom its requests will belong to. */
    struct wr_listen_ctx *(*listen)(struct wr_shake_sink *k);
    /* Whoever wants the connection takes it now; it is out of all lists. */
    void (*ready)(struct wr_shake_sink *k, struct wr_conn *c);
    /* The connection ended. */
    void (*closed)(struct wr_shake_sink *k, struct wr_conn *c);
};

/* Takes the accepted descriptor in every case. *ret is valid until ready or closed is called. */
enum wr_status wr_shake_open(int fd, const struct wr_addr *peer, struct wr_shake_sink *k,
                             struct wr_shake **ret) WR_MUST_CHECK;
/* For the sink's list. */
struct wr_list *wr_shake_node(struct wr_shake *s);
struct wr_shake *wr_shake_of_node(struct wr_list *n);
struct wr_conn *wr_shake_conn(struct wr_shake *s);
/* Has it sent nothing for ms milliseconds? */
bool wr_shake_is_silent(const struct wr_shake *s, uint32_t ms);
/* It may end grace_ms from now at the latest. */
void wr_shake_quit(struct wr_shake *s, uint32_t grace_ms);
/* At once. */
void wr_shake_close(struct wr_shake *s);

#endif
