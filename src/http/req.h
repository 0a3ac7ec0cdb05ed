/* SPDX-License-Identifier: Apache-2.0 */
/*
 * req.h: a client's request, from its head to its log line. Owns the user end of the client stream,
 * a reference to its generation, its content (a static file, an upstream request ...), its body.
 * Everything lives in the stream's arena. Thread-bound; one task runs all of it.
 *
 *   PHASES -> CONTENT -> RESPOND -> LOG -> CHILDREN -> CLOSING -> CLOSED
 *
 *   PHASES   phase handlers run in order; each may wait
 *   CONTENT  the content's step runs until it responded
 *   RESPOND  response head is with the client's codec; the content's step still runs on wakes
 * (relay) LOG      both halves are over: log handlers run once CLOSING  children closed in order;
 * the stream released; memory to the grave
 *
 * An internal redirect goes back to PHASES with a new URI, at most 10 times.
 */
#ifndef WR_HTTP_REQ_H
#define WR_HTTP_REQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/reason.h"
#include "base/status.h"
#include "base/str.h"
#include "event/task.h"
#include "event/timer.h"
#include "http/msg.h"
#include "http/stream.h"
#include "http/uri.h"

#define WR_REQ_MAGIC         0x72657121u
#define WR_REQ_REDIRECTS_MAX 10

struct wr_conf_module;
struct wr_gen;
struct wr_scope;
struct wr_http;       /* http/server.h: what a generation knows of http{} */
struct wr_server;     /* a server{} block, ready for use */
struct wr_location;   /* a location{} block, ready for use */
struct wr_listen_ctx; /* one listening address on one thread */
struct wr_content;
struct wr_mod_ctx;
struct wr_req;
struct wr_value;
struct wr_template;
struct wr_tls;
struct wr_proxied;

/*
 * What produces the response. step: from the request's task, whenever anything changed; acts until
 * nothing changes; calls wr_req_respond, wr_req_fail or wr_req_redirect when it knows, and
 * wr_req_end once its part is over. close: exactly once, also when half-built; cancels all it
 * started.
 */
struct wr_content_ops {
    const char *name;
    void (*step)(struct wr_content *c);
    void (*close)(struct wr_content *c);
};

/* First member of a content object (in the request's arena). */
struct wr_content {
    const struct wr_content_ops *ops;
    struct wr_req *req;
};

/* Set in a location's configuration by root, proxy_pass, return ... */
typedef enum wr_status wr_content_start_fn(struct wr_req *r, void *loc_conf,
                                           struct wr_content **ret);

enum wr_body_state {
    WR_BODY_NONE,
    WR_BODY_WAITING,
    WR_BODY_READING,
    WR_BODY_WHOLE,
    WR_BODY_FAILED,
    WR_BODY_HANDED
};

struct wr_req {
    /* What each run of the task looks at stands first, what few requests use last. */
    uint32_t magic;
    uint8_t state;       /* http/req.c's table */
    uint8_t phase;       /* enum wr_phase while PHASES */
    uint8_t redirects;   /* internal redirects so far */
    uint8_t cancel;      /* enum wr_reason: not 0: give up */
    bool is_internal;    /* the URI came from an internal redirect, error_page or a parent */
    uint8_t depth;       /* of subrequests: 0 is a client's request */
    bool is_error_page;  /* running for an error_page */
    bool is_header_only; /* no body to the client: HEAD, or 1xx/204/304 */
    bool is_responded;   /* wr_req_respond was called: nothing can be changed or retried any more */
    bool is_content_over; /* wr_req_end was called */
    bool is_logged;
    bool keep_method;         /* error_page keeps the method (named location) */
    uint8_t body_state;       /* enum wr_body_state */
    uint16_t phase_next;      /* index of the next handler in this phase */
    uint16_t status;          /* of the response; 0: none yet. What the log shows */
    uint16_t err_status;      /* the error that error_page handles now; 0: none */
    struct wr_stream *stream; /* client's; valid until CLOSED */
    struct wr_content *content;
    struct wr_msg *head;      /* stream->head_in */
    struct wr_pipe *out_pipe; /* response body, consumer end ours until respond; NULL: none */
    uint64_t id;              /* number in the process */
    struct wr_task task;
    struct wr_timer timer;  /* for phase handlers, limit_rate */
    struct wr_arena *arena; /* stream->arena */
    const struct wr_http *http;
    const struct wr_server *server; /* never NULL after start */
    const struct wr_location
        *location; /* never NULL after FIND_LOCATION; before: the server's own level */
    const struct wr_scope *scope; /* of the location, else of the server: where confs are found */
    struct wr_gen *gen;           /* one reference */
    struct wr_req *parent;        /* of a subrequest (http/sub.h); NULL: a client's request */
    struct wr_req *main;          /* the client's request; itself where there is no parent */
    struct wr_mod_ctx *ctx; /* per-module contexts (http/module.c); reset by an internal redirect */
    struct wr_mod_ctx *kept; /* likewise, but kept to the request's end; NULL: none */
    struct wr_value *vars;   /* cache by index; http/var.c */
    void *up_log;            /* up/vars.c: what $upstream_* tell; survives redirects */
    struct wr_log log;
    struct wr_listen_ctx *listen;
    struct wr_tls *tls;         /* of the client's connection; one reference; NULL: plain */
    struct wr_proxied *proxied; /* its PROXY protocol header; one reference; NULL: none */
    struct wr_list node;        /* in the thread's list of requests */
    uint64_t start_wall_ms;
    uint32_t conn_requests; /* $connection_requests when it began */
    enum wr_method method;  /* may change: error_page, X-Accel-Redirect */
    struct wr_str method_name;
    struct wr_uri uri;        /* current; raw is the client's until a redirect */
    struct wr_uri client_uri; /* as received: $request_uri */
    bool uri_changed;   /* by rewrite or redirect: proxy_pass re-escapes instead of passing raw */
    bool uri_in_place;  /* by rewrite, since the location was found: the URI of proxy_pass is not
                           used */
    uint16_t host_port; /* 0: none given */
    struct wr_str host; /* lower case, without port; server_name when the client sent none */
    struct wr_str server_name; /* that matched */
    struct wr_msg out;         /* response head; status, reason, hdrs, content_length */
    struct wr_str
        out_type; /* Content-Type without charset; empty: none. Written by header filters */
    struct wr_str out_charset; /* that a peer asks for (X-Accel-Charset); empty: none */
    int64_t out_mtime;         /* Last-Modified; -1: none. To be read by wr_req_mtime */
    bool is_mtime_unread;      /* of a peer's answer: in its field, if it has one */
    bool can_range; /* the range filter may act (static files; proxied with force_ranges) */
    bool no_server, no_date; /* the FINAL filter adds no Server, no Date of ours */
    bool is_proxied;         /* the answer came from a peer: no 304/412 by our own checks (U5.10) */
    bool is_streamed; /* what comes of the body is for the client at once: stages keep nothing back
                       */
    bool is_location_ours; /* Location of a peer was rewritten: it may be made absolute */
    bool is_limit_set;     /* limit_rate holds, 0 too */
    uint64_t limit_rate;   /* bytes/s to the client; 0: that of the location */
    uint64_t limit_rate_after;
    /* request body */
    struct wr_pipe *body; /* NULL: none, or handed over. Whole when body_state says so */
    uint64_t body_len;    /* of a whole body */
    uint16_t body_status; /* 400, 408, 413 ... behind WR_BODY_FAILED */
    /* error log: upstream: "http://" "1.2.3.4:80" "/x"; up_url empty: none */
    struct wr_str up_scheme, up_url, up_uri;
    struct wr_str up_why; /* error log: why: "..." at the end of the line; empty: none */
    struct wr_addr peer;  /* client's; unix: family only; realip may replace it */
    uint32_t captures_cnt;
    struct wr_str captures[10]; /* $0 ... $9 of the last regex that matched */
};

/* --- for content and handlers; all from the request's task --- */

/*
 * The response head r->out is decided: header filters run, then it goes to the client with the body
 * that comes through r->out_pipe (NULL: none). Once only. A filter may replace the response (304)
 * or ask for an error in its place (412, 416; WR_OK then too, and is_responded stays false):
 * out_pipe is dropped, and r->out_pipe is NULL afterwards: the content ends. WR_ECANCELED: the
 * client is gone.
 */
enum wr_status wr_req_respond(struct wr_req *r) WR_MUST_CHECK;
/* out_mtime; of a peer's answer its Last-Modified field, which is read when somebody asks. */
int64_t wr_req_mtime(struct wr_req *r);
/* Answers with this status through error_page and the built-in pages (http/reply.c). Ends the
 * content. */
void wr_req_fail(struct wr_req *r, unsigned status);
/* Internal redirect; "@name" goes to a named location (URI and method stay). Ends the content. */
void wr_req_redirect(struct wr_req *r, struct wr_str uri, struct wr_str args);

/* The client's connection, also of a subrequest; NULL: it is gone, or serves others by now. */
static inline struct wr_conn *wr_req_conn(const struct wr_req *r)
{
    return r->main->stream->conn;
}

/* The content has nothing more to do (its pipe was ended or failed by it). */
void wr_req_end(struct wr_req *r);

/* Did the client leave (of a subrequest: its holder)? A content that waits fails with 499 then. */
static inline bool wr_req_is_left(const struct wr_req *r)
{
    return r->stream->is_gone || wr_stream_is_reset(r->stream);
}

/* Any code, any time: stores the first reason and wakes the task. Nothing is freed here. */
void wr_req_cancel(struct wr_req *r, enum wr_reason why);
/* Name of its state: "CONTENT". */
const char *wr_req_state_name(const struct wr_req *r);
/* Cuts a response that was begun: the client must not take it for whole (U8.2). */
void wr_req_abort(struct wr_req *r, enum wr_reason why);

/* --- request body (http/body.c) --- */

/*
 * Buffered: reads the body to its end into r->body (memory up to client_body_buffer_size, then a
 * file). WR_OK: whole (or none); WR_AGAIN: the task will be woken; WR_EPROTO: r->body_status says
 * what to answer; WR_ENOMEM. Call again at each step; idempotent.
 */
enum wr_status wr_req_body_read(struct wr_req *r) WR_MUST_CHECK;
/*
 * Unbuffered: the body's pipe (consumer end to the caller, who hands it on); WR_AGAIN never.
 * *ret NULL: there is no body.
 */
enum wr_status wr_req_body_stream(struct wr_req *r, struct wr_pipe **ret) WR_MUST_CHECK;
/* Is there a body, and its length if known (else WR_LENGTH_UNKNOWN). */
bool wr_req_has_body(const struct wr_req *r, uint64_t *ret_len);
/* Drops what is held of it. */
void wr_req_body_release(struct wr_req *r);
/* $request_body_file: where a body lies under client_body_in_file_only; empty: nowhere. */
struct wr_str wr_req_body_file(const struct wr_req *r);

/* --- made by the sink of http/server.c --- */

/* Takes the stream (user end). Never fails visibly: without memory the stream is reset. */
void wr_req_open(struct wr_stream *s, struct wr_listen_ctx *lc);

#endif
