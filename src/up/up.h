/* SPDX-License-Identifier: Apache-2.0 */
/*
 * up.h: THE HEART: one proxied request over all its tries. A content of the request (http/req.h)
 * whose state table is below; one attempt at a time (up/attempt.h). Lives in the request's arena,
 * runs in the request's task.
 *
 *   START    target, request body                     -> RESOLVE PICK FAIL
 *   RESOLVE  the addresses of a name; a moving group   -> PICK FAIL
 *   PICK     eligibility, balancer, slot              -> QUEUE TRY FAIL
 *   QUEUE    no peer has room: until one has          -> TRY FAIL
 *   TRY      the attempt until its head is accepted   -> RELAY TUNNEL RETRY FAIL ABORT DONE
 *   RETRY    account the failure, ask the policy      -> PICK TRY FAIL
 *   RELAY    bytes flow                               -> DONE ABORT
 *   TUNNEL   raw bytes both ways                      -> DONE
 *   FAIL     nothing was sent: an error reply         -> DONE
 *   ABORT    the head was sent: cut                   -> DONE
 *   DONE     everything is given back
 */
#ifndef WR_UP_UP_H
#define WR_UP_UP_H

#include <stdbool.h>
#include <stdint.h>

#include "http/req.h"
#include "http/var.h"
#include "tls/tls.h"
#include "up/attempt.h"
#include "up/conf.h"
#include "up/group.h"
#include "up/pick.h"
#include "up/proto.h"
#include "up/retry.h"
#include "up/stage.h"
#include "up/why.h"

#define WR_UP_MAGIC 0x75707570u

struct wr_wait;

/* One try as $upstream_* and the log tell it (U7.5). Times in ms; UINT32_MAX: not reached. */
struct wr_up_try {
    struct wr_str addr;
    struct wr_str server; /* the peer's name as configured; empty: no peer */
    uint16_t status;      /* 0: none yet */
    uint32_t connect_ms, header_ms, response_ms;
    uint32_t queue_ms; /* waited for a peer before it */
    uint64_t bytes_sent, bytes_received, response_length;
    bool after_redirect; /* " : " stands before it */
    struct wr_up_why why;
    struct wr_up_try *next;
};

/* At r->up_log, from wr_up_new on; over internal redirects. */
struct wr_up_log {
    struct wr_up_try *first, **tail;
    const struct wr_msg *head; /* of the last response: $upstream_http_, _cookie_ */
    const struct wr_hdrs *trailers;
    bool next_is_redirect;
};

/* What a protocol's content handler asks for. Everything outlives the request or lies in its arena.
 */
struct wr_up_start {
    const struct wr_up_conf *conf;
    const struct wr_proto *proto;
    void *proto_conf;
    const struct wr_members *members; /* NULL: the addresses of `host` are asked for (U1.5) */
    struct wr_str host;               /* name, without port */
    struct wr_str host_text;          /* as written, with its port: the group's name in logs */
    uint16_t port;
    struct wr_str url_prefix;        /* "http://": for logs */
    struct wr_str uri;               /* behind the peer's address in logs: "/path?x" */
    uint64_t identity;               /* of connections (U10.4): transport, TLS, bind */
    const struct wr_tls_target *tls; /* NULL: none; peer and identity are filled in by attempts */
    bool gather_body;                /* buffer the body whatever request_buffering says */
    bool drop_body;                  /* the client's body is not sent */
};

/* Zeroed at the beginning up to `start`; what comes then is set before it is read. */
struct wr_up {
    struct wr_content content; /* first */
    uint32_t magic;
    uint8_t state;
    bool body_lost;  /* bytes of a streamed body went out */
    bool is_created; /* create_request succeeded once */
    bool is_finalized;
    bool is_buffered;   /* of this response */
    bool may_spill;     /* RELAY: to a temporary file */
    bool is_spill_told; /* its log line was written */
    bool is_tunnel;     /* the tunnel was begun */
    bool wants_upgrade; /* the client asked for an upgrade, and the request says so */
    uint16_t fail_status;
    struct wr_req *req;
    struct wr_up_try *try; /* current */
    struct wr_peer_slot slot;
    struct wr_attempt attempt;
    struct wr_dns_ask *ask;           /* RESOLVE */
    struct wr_moving_wait *list_wait; /* RESOLVE, of a group */
    uint64_t resolve_until_ms;
    uint32_t tries; /* begun, stale connections not counted */
    uint64_t first_pick_ms;
    struct wr_wait *wait;    /* in the group's queue; NULL: not */
    uint64_t queue_began_ms; /* 0: not waiting */
    struct wr_connect_opts opts;
    uint64_t bound_no; /* client connection that the peer's connection belongs to; 0: none */
    struct wr_pipe
        *body_src; /* consumer end of a streamed request body; NULL: gathered, none, or over */
    struct wr_up_stage stage; /* RELAY: between the two pipes, where one is needed */
    void *ctx;                /* the protocol's own */
    struct wr_up_start start;
    uint64_t identity;     /* start.identity and the local address */
    struct wr_timer timer; /* deadline of resolving, connecting; task: the request's */
    struct wr_picker picker;
    struct wr_up_log log; /* unless an upstream request before this one made one */
    struct wr_up_try first_try;
    struct wr_dial dial; /* of the attempt */
    struct wr_tls_target target;
    struct wr_strbuf tls_why; /* of a TLS handshake that failed */
    struct wr_addr bind;
};

/* Content of a request: from a location's content handler. Begins at the first step. */
enum wr_status wr_up_new(struct wr_req *r, const struct wr_up_start *start,
                         struct wr_up **ret) WR_MUST_CHECK;

/* Number of the connection to a peer that this request uses now; 0: none. The request's thread. */
uint64_t wr_up_conn_no(const struct wr_req *r);

extern const struct wr_var wr_up_vars[];
extern const size_t wr_up_vars_cnt;

#endif
