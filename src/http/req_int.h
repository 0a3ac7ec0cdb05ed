/* SPDX-License-Identifier: Apache-2.0 */
/*
 * req_int.h: what req.c, body.c, reply.c and server.c share of a request beyond req.h. One struct a
 * request, in the stream's arena; struct wr_req is its first member.
 *
 * Handlers and contents only write down what they want (fail, redirect, end); the request's task
 * acts on it when they have returned, so nothing is closed under the feet of its caller.
 */
#ifndef WR_HTTP_REQ_INT_H
#define WR_HTTP_REQ_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "http/module.h"
#include "http/req.h"
#include "http/server.h"
#include "io/file.h"

#define WR_REQ_FIELDS_MAX 1000 /* of a response head */

enum wr_req_pending {
    WR_PENDING_NONE,
    WR_PENDING_FAIL,
    WR_PENDING_REDIRECT
};

/* A generation that this thread serves; cnt: requests and listeners that need it. */
struct wr_gen_slot {
    struct wr_gen *gen;
    struct wr_http *http;
    uint32_t cnt;
    struct wr_list node;
};

/* limit_rate: bytes of `in` go to `out` as time permits. Both NULL: no limit. */
struct wr_req_limit {
    struct wr_pipe *in, *out;
    uint64_t began_ms, sent;
};

struct wr_stages;

struct wr_reqx {
    struct wr_req r; /* first */
    struct wr_gen_slot *slot;
    uint8_t pending;        /* enum wr_req_pending */
    bool is_out_given;      /* the codec, or the limit, has the consumer end of out_pipe */
    bool is_last_page;      /* an error page came without recursive_error_pages: no other follows */
    bool is_silent;         /* closed without an answer: 444, 408, 499 */
    bool want_relocate;     /* POST_REWRITE goes back to FIND_LOCATION */
    bool is_body_told;      /* the log line about the temporary file was written */
    bool is_given_up;       /* a bug of ours has ended it */
    uint16_t access_status; /* what ACCESS has against the client so far: 401, 403; 0: nothing */
    uint64_t access_at_ms;  /* auth_delay: when 401 is sent; 0: not decided */
    bool is_in_tags;        /* error_log_tag: their values are being found */
    bool is_keepable;       /* nothing of this request wants the connection closed */
    uint16_t pending_status;
    struct wr_str pending_uri, pending_args;
    struct wr_req_limit limit;
    struct wr_stages *stages; /* body stages (stage.c); NULL: none */
    struct wr_list subs;      /* of http/sub.c */
    uint32_t subs_live;       /* of them, requests that have not ended */
    uint32_t subs_total;      /* of a main request: begun at all levels */
    struct wr_pipe *drain;    /* a body that nobody asked for: read and dropped; NULL: none */
    uint64_t drain_at_ms;     /* deadline of DRAIN */
    struct wr_list works;     /* http/work.h */
    /* client_body_in_file_only (body.c) */
    struct wr_file *body_file;
    struct wr_str body_file_name;
    uint64_t body_file_len;
    bool is_body_file_kept;
    /* open_file.c: what a pool opens for the handler that runs */
    struct wr_opening *opens;
    uint32_t opens_mark;
};

static inline struct wr_reqx *wr_reqx_of(struct wr_req *r)
{
    return wr_container_of(r, struct wr_reqx, r);
}

static inline const struct wr_reqx *wr_reqx_of_const(const struct wr_req *r)
{
    return (const struct wr_reqx *)(const void *)r;
}

/* --- server.c --- */

/* The port this request's connection belongs to, and the generation's slot, pinned. */
void wr_server_enter(struct wr_reqx *x, struct wr_listen_ctx *lc);
/* The same for a stand-in that ends before it returns: nothing is pinned or counted. */
void wr_server_lend(struct wr_reqx *x, struct wr_listen_ctx *lc);
/* May one more subrequest run in the background on this thread? At most worker_connections do. */
bool wr_server_take_background(const struct wr_http *h);
void wr_server_give_background(void);
/* A number for a subrequest; its main request pins what it uses. */
uint64_t wr_server_next_id(void);
/* The request ended: unpinned. r->gen may be gone afterwards. */
void wr_server_leave(struct wr_reqx *x);
/* Port of the request (an address that its listener covers has one of its own). */
const struct wr_port *wr_server_port(struct wr_req *r);

/* --- req.c --- */

/* Server, and its own level as location: before FIND_LOCATION. */
void wr_req_use_server(struct wr_req *r, const struct wr_server *v);
/* Response head as at the beginning but for what belongs to an error (WWW-Authenticate ...), pipe
 * dropped. */
void wr_req_reset_out(struct wr_req *r);

/* A subrequest in zeroed memory; its URI is the caller's to set. */
void wr_req_init_sub(struct wr_reqx *x, struct wr_stream *s, struct wr_req *parent);

/* --- sub.c --- */

enum wr_subs_which {
    WR_SUBS_ALL,
    WR_SUBS_AWAITED /* whose answer somebody waits for */
};

/* Ends children; their requests end by themselves, then the parent is woken. */
void wr_subs_cancel(struct wr_reqx *x, enum wr_subs_which which);
/* The client half-closed or left: children whose answer somebody waits for see that, too. */
void wr_subs_note_gone(struct wr_reqx *x);
/* All requests of children have ended: what their holders forgot is left. */
void wr_subs_close(struct wr_reqx *x);

/* --- reply.c --- */

enum wr_replied {
    WR_REPLIED,          /* wr_req_respond was called, with success or not */
    WR_REPLY_REDIRECTED, /* goes on in PHASES */
    WR_REPLY_SILENT,     /* close without an answer */
};
/* An error for which nothing was sent yet: error_page, else a built-in page. */
enum wr_replied wr_reply_error(struct wr_req *r, unsigned status);
/* Internal redirect; a cycle ends as error 500. */
enum wr_replied wr_reply_internal(struct wr_req *r, struct wr_str uri, struct wr_str args);

/* --- access.c --- */

/* All handlers of ACCESS have spoken: NEXT, or what was found against the client. */
enum wr_phase_result wr_access_end(struct wr_req *r);

/* --- body.c --- */

/* The file of client_body_in_file_only clean; at the request's end. */
void wr_body_close(struct wr_reqx *x);

#endif
