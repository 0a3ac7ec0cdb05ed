/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto.h: how to speak to a peer. The engine (up/engine.c) knows peers, retries, timeouts,
 * buffering; a protocol knows bytes. Two kinds:
 *
 *   struct wr_proto        what the engine calls; with a codec that owns connections (HTTP/1:
 * proto/http.c) struct wr_proto_table  the table of U12.1 (create_request, process_header,
 * input_filter ...), driven by the one generic codec of proto/simple.c, which also gives a wr_proto
 * for it
 *
 * All functions run on the request's thread; none may wait or call the engine back.
 */
#ifndef WR_UP_PROTO_H
#define WR_UP_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "http/codec.h"
#include "http/msg.h"
#include "http/stream.h"

struct wr_up;
struct wr_req;

struct wr_proto {
    const char *name; /* "http" */
    const struct wr_codec *codec;
    /*
     * Builds the request for a new attempt (U7.3: once per try): s->head_out; its framing says
     * whether and how the body goes along. WR_EPROTO: a value would break the wire (U14.1): 400.
     * WR_ENOMEM, others: 500, no other peer.
     */
    enum wr_status (*create_request)(struct wr_up *u, struct wr_stream *s);
    /* Optional. Location and the URL of Refresh; each Set-Cookie: *ret is the new value. WR_EOF:
     * unchanged. */
    enum wr_status (*rewrite_redirect)(struct wr_up *u, struct wr_str value, struct wr_str *ret);
    enum wr_status (*rewrite_cookie)(struct wr_up *u, struct wr_str value, struct wr_str *ret);
    /* Optional. Before each further try whose predecessor sent or parsed anything. */
    void (*reinit_request)(struct wr_up *u);
    /* Optional. Before finalize when client, timeout or shutdown ends a started attempt. */
    void (*abort_request)(struct wr_up *u);
    /* Optional. Exactly once if create_request ever succeeded, never otherwise. status 0: cut. */
    void (*finalize_request)(struct wr_up *u, unsigned status);
    bool ignores_accel_buffering; /* X-Accel-Buffering does not change the mode */
    bool has_own_404; /* a 404 is always ours to word: error_page, or the built-in page */
};

/* --- the second kind --- */

enum wr_proto_result {
    WR_PROTO_DONE,    /* the head (the body) is complete */
    WR_PROTO_AGAIN,   /* more bytes are needed */
    WR_PROTO_INVALID, /* the peer is at fault: invalid_header, or a cut response */
    WR_PROTO_FAILED,  /* we are: 500, no retry, nobody charged */
};

/* What a table's functions see of one exchange. Lives in the request's arena for all tries. */
struct wr_proto_req {
    struct wr_req *req;
    struct wr_arena *arena;
    void *conf;          /* the module's location conf */
    void *ctx;           /* the module's own */
    struct wr_msg *head; /* process_header fills: status, reason, fields */
    uint64_t length;     /* of the body; WR_LENGTH_UNKNOWN: up to the close. Set before DONE */
    bool keep;           /* the connection may serve again after this response */
    bool no_body;      /* create_request: the client's body is not sent behind the request bytes */
    struct wr_str why; /* INVALID: what the log says in place of the general words, before "while
                          reading ..."; constant text or in the arena */
};

#define WR_PROTO_FRAME_MAX 32 /* bytes of one frame's beginning, or of the last one's end */

struct wr_proto_table {
    const char *name;
    /* Required. Appends the request's first bytes; the client's body follows unless no_body. */
    enum wr_status (*create_request)(struct wr_proto_req *q, struct wr_strbuf *out);
    /* Optional. Resets the parser before a further try. */
    enum wr_status (*reinit_request)(struct wr_proto_req *q);
    /* Required. p[0..n): all head bytes so far, in one piece. DONE: *ret_used bytes are the head.
     */
    enum wr_proto_result (*process_header)(struct wr_proto_req *q, const char *p, size_t n,
                                           size_t *ret_used);
    /* Optional. Once, when the head is complete. */
    enum wr_status (*input_filter_init)(struct wr_proto_req *q);
    /*
     * Optional. From p[0..n) *ret_used bytes are done with and *ret_data (inside p) is body. Called
     * until all is used, DONE or INVALID. Without it the body is `length` bytes, else up to the
     * close.
     */
    enum wr_proto_result (*input_filter)(struct wr_proto_req *q, const char *p, size_t n,
                                         size_t *ret_used, struct wr_str *ret_data);
    /*
     * Optional. The client's body goes in frames: writes at most WR_PROTO_FRAME_MAX bytes to buf,
     * which go before the next n bytes of the body (1 <= n <= frame_max); with n 0 what ends the
     * body. That is asked for once, when all of the body went before it, also of a request without
     * one. Returns how many it wrote.
     */
    size_t (*frame_body)(struct wr_proto_req *q, size_t n, char *buf);
    size_t frame_max; /* > 0 with frame_body */
    void (*abort_request)(struct wr_proto_req *q);
    /* Required. */
    void (*finalize_request)(struct wr_proto_req *q, unsigned status);
    enum wr_status (*rewrite_redirect)(struct wr_proto_req *q, struct wr_str value,
                                       struct wr_str *ret);
    enum wr_status (*rewrite_cookie)(struct wr_proto_req *q, struct wr_str value,
                                     struct wr_str *ret);
};

#endif
