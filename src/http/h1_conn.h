/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_conn.h: HTTP/1 on a connection, both roles (RFC 9112). Client role: `wr_h1_codec`. Server
 * role: wr_h1_serve takes an accepted connection and hands each request to a sink as a stream.
 *
 * Server role, one connection:  IDLE -> HEAD -> BUSY -> (IDLE | LINGER) -> CLOSED
 *   IDLE   nothing is held but the connection; keep-alive deadline
 *   HEAD   bytes of a head are here, not all; header deadline; a 4 KiB chunk, larger if needed
 *   BUSY   one stream is open; bytes of the next request stay unread (pipelining is served in
 * order) LINGER the response is out but request bytes may still come: they are read and dropped for
 * lingering_time
 */
#ifndef WR_HTTP_H1_CONN_H
#define WR_HTTP_H1_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "http/codec.h"
#include "http/stream.h"

extern const struct wr_codec wr_h1_codec;

/* Plain values of the default server of a listening address; memory of a generation. */
struct wr_h1_opts {
    uint32_t header_timeout_ms;     /* client_header_timeout */
    uint32_t header_buffer_size;    /* client_header_buffer_size */
    uint32_t large_cnt, large_size; /* large_client_header_buffers */
    uint32_t send_timeout_ms;       /* until the request's location says otherwise */
    uint32_t lingering_time_ms, lingering_timeout_ms;
    uint8_t lingering;      /* 0 off, 1 on, 2 always */
    bool reset_timedout;    /* reset_timedout_connection */
    unsigned parse_options; /* enum wr_h1_options */
    uint32_t keepalive_requests;
    uint32_t keepalive_time_ms; /* keepalive_time: life of a connection */
    uint32_t first_timeout_ms;  /* deadline of the first byte of a new connection:
                                   client_header_timeout */
    uint32_t keepalive_min_ms;  /* keepalive_min_timeout, 0: none */
    uint32_t arena_max;         /* most bytes of memory of one request */
};

struct wr_h1_server;

/* One per listening address and thread; outlives its connections. */
struct wr_h1_sink {
    /* Options now; asked at the beginning of each request. */
    const struct wr_h1_opts *(*opts)(struct wr_h1_sink *k);
    /* A request: s->head_in is set, or s->bad. The sink becomes its user (sets s->user) and wakes
     * its own task. */
    void (*open)(struct wr_h1_sink *k, struct wr_stream *s);
    /* The connection ended; it is out of all lists. */
    void (*closed)(struct wr_h1_sink *k, struct wr_h1_server *c);
    void *data;
};

/*
 * Takes the accepted descriptor in every case. *ret is valid until sink->closed is called for it.
 */
enum wr_status wr_h1_serve(int fd, const struct wr_addr *peer, struct wr_h1_sink *sink,
                           struct wr_h1_server **ret) WR_MUST_CHECK;
/*
 * The same for a connection of wr_h1_conn_size bytes, those behind struct wr_conn zeroed, which is
 * some other owner's no more. Bytes may have been received already: then the caller wakes its task.
 */
struct wr_h1_server *wr_h1_take(struct wr_conn *conn, struct wr_h1_sink *sink);
size_t wr_h1_conn_size(void);
/* For the sink's list of connections. */
struct wr_list *wr_h1_server_node(struct wr_h1_server *c);
struct wr_h1_server *wr_h1_server_of_node(struct wr_list *n);
struct wr_h1_sink *wr_h1_server_sink(struct wr_h1_server *c);
struct wr_conn *wr_h1_server_conn(struct wr_h1_server *c);
/* Why it ended; for sink->closed. */
enum wr_reason wr_h1_server_why(const struct wr_h1_server *c);
bool wr_h1_server_is_idle(const struct wr_h1_server *c);
uint64_t wr_h1_server_idle_since_ms(const struct wr_h1_server *c);
/*
 * Graceful end (U14.9): a busy connection says Connection: close on its response; an idle one is
 * closed once it was idle for grace_ms from now without a new request (a late one is still served,
 * with close). A client that has not got the whole last response yet is not idle while it takes
 * some of it in each grace_ms.
 */
void wr_h1_server_quit(struct wr_h1_server *c, uint32_t grace_ms);
/* At once; a request that runs is reset with `why`. */
void wr_h1_server_close(struct wr_h1_server *c, enum wr_reason why);
/* Requests served on this connection, the current one included: $connection_requests. */
uint32_t wr_h1_server_requests(const struct wr_h1_server *c);
/* The connection of a stream of the server role made by this codec, or NULL once it left. */
struct wr_h1_server *wr_h1_server_of_stream(const struct wr_stream *s);
/* Bytes of the next request that are here already: $pipe. */
bool wr_h1_server_is_pipelined(const struct wr_h1_server *c);

#endif
