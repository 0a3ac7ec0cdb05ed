/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h: THE exchange: one request and its response, for HTTP/1, /2, /3, clients and peers, and
 * for what FastCGI, SCGI, uwsgi and memcached speak. It has two ends: the codec (a connection that
 * speaks a protocol) and the user (a request towards a client, an attempt towards a peer). Freed
 * when the second end leaves. Thread-bound.
 *
 *                codec end                                       user end
 *   server role  reads head_in, fills `in`; writes head_out, `out`   wr_req
 *   client role  writes head_out, `out`; reads head_in, fills `in`   wr_attempt
 *
 * Facts live here, changes of facts made by the codec wake `user` once: head_in complete, rx or tx
 * half changed, reset (not: a request without a body is out, its answer will wake). Body bytes do
 * not wake the user: they wake the pipe's own ends. The user acts through the down-calls of ops,
 * none of which calls back.
 */
#ifndef WR_HTTP_STREAM_H
#define WR_HTTP_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/reason.h"
#include "base/status.h"
#include "event/task.h"
#include "http/msg.h"
#include "io/pipe.h"

#define WR_STREAM_MAGIC 0x73747265u

/*
 * Halves: rx is what comes from the wire, tx what goes to it.
 *
 *   rx: WAIT -> BODY -> DONE | RESET    once head_in is whole: BODY, or DONE without a body
 *   tx: WAIT -> BODY -> DONE | RESET    BODY after start; DONE when all was handed to the kernel
 *
 * Time (U4.6, U6.6): the codec keeps both deadlines. rx_timeout_ms runs only while the user wants
 * bytes and none are there: server role between two reads of the request body; client role from
 * when the request is out, or once an answer has begun, until its end, between two reads.
 * tx_timeout_ms runs only while the other side does not take what we have, between two successful
 * writes. 0: none.
 */
enum wr_stream_half {
    WR_HALF_WAIT,
    WR_HALF_BODY,
    WR_HALF_DONE,
    WR_HALF_RESET
};

struct wr_stream;
struct wr_conn;

struct wr_stream_ops {
    const char *name;
    /*
     * head_out is set (and `out`, or NULL when there is no body): send. For a response head_out->
     * content_length says the length (WR_LENGTH_UNKNOWN: framed as the version allows); framing and
     * Connection fields are the codec's. For a request the framing is head_out->framing.
     */
    void (*start)(struct wr_stream *s);
    /*
     * Server role: the user wants the request body: `in` is made with this high mark (and 100
     * Continue sent when asked for). Client role: `in` is made when the head has a body, with
     * in_high. Idempotent.
     */
    enum wr_status (*want_body)(struct wr_stream *s, size_t high);
    /* Server role: an interim response (100, 103) now; only before start. Client role: unused. */
    void (*interim)(struct wr_stream *s, const struct wr_msg *m);
    /* Ends both halves at once: the wire sees a broken exchange, never a whole one. First reason
     * wins. */
    void (*reset)(struct wr_stream *s, enum wr_reason why);
    /* The user leaves: no wake comes after it; unfinished halves are reset. Frees when last. */
    void (*release)(struct wr_stream *s);
    /*
     * Client role, after rx is DONE with a 101 (or CONNECT 2xx), server role after start with a
     * 101: the connection carries raw bytes from now on through `in` and `out` (made when NULL),
     * EOFs half-close.
     */
    enum wr_status (*tunnel)(struct wr_stream *s);
};

/* Client role: interim responses (103) in the order they came; in the stream's arena. */
struct wr_interim {
    struct wr_msg *head;
    struct wr_interim *next;
};

struct wr_stream {
    uint32_t magic;
    uint8_t rx, tx;  /* enum wr_stream_half; written by the codec only */
    uint8_t version; /* 9, 10, 11, 20, 30 of the other side */
    bool is_server;  /* role of the codec */
    bool is_started; /* start was called */
    bool is_gone;    /* server role: the client half-closed or broke while we work (U4.7) */
    bool want_close; /* server role, set by the user before start: last response of this connection
                      */
    bool is_reused;  /* client role: the connection had served before */
    bool is_send_error; /* client role: `err` is of a send */
    bool got_bytes;     /* client role: at least one byte of an answer came on this exchange */
    bool is_unseen; /* client role, CLOSED on a reused connection: the other side's system had ended
                       it for good and took no byte of this exchange, so nobody can have acted on it
                     */
    bool is_tunnel;
    bool want_hints; /* client role, set by the user before start: keep 103 in interim_in */
    /* server role: of the default server until the user says what its location wants */
    bool reset_timedout; /* reset_timedout_connection */
    uint8_t lingering;   /* lingering_close: 0 off, 1 on, 2 always */
    uint32_t lingering_time_ms, lingering_timeout_ms;
    bool no_sendfile; /* set by the user: file slices go through a buffer */
    /* likewise; all 0: no pool, pieces of 64k, no limit, alignment 512 */
    struct wr_offload *file_pool; /* reads files that are not in the page cache; no sendfile then */
    uint32_t file_piece;          /* bytes of such a read */
    uint32_t file_align;          /* of files past the page cache */
    uint64_t file_turn;           /* bytes of files sent before others have their turn */
    bool is_file_short; /* set by the codec: a file ended, or could not be read, before what
                           was announced was sent */
    /* server role, set by the user before start: options of the client's socket */
    bool no_nodelay; /* tcp_nodelay off */
    bool want_cork;  /* tcp_nopush on: while a file is sent by sendfile */
    /* server role: its first bytes came while the request before it was served */
    bool is_pipelined;
    uint8_t reason;  /* enum wr_reason: why a half is RESET; first one wins */
    uint16_t bad;    /* server role: not 0: head_in is not usable, answer this status (400, 408, 414
                        ...);   client role: enum wr_h1_bad for the log */
    uint8_t bad_why; /* server role: enum wr_h1_bad behind `bad`; 408: where it was waited */
    int err;         /* errno behind the reason, 0: none */
    struct wr_str tls_error; /* " (SSL: error:...)" behind RESET; empty: TLS was not it */
    struct wr_str bad_text;  /* client role, behind RESET: what was wrong, in the protocol's words;
                                empty: the reason says all */
    const struct wr_stream_ops *ops;
    void *codec;          /* the codec's; NULL once it left */
    struct wr_conn *conn; /* for addresses and logs; NULL once the codec left */
    struct wr_arena
        *arena; /* heads live here; server role: the stream's own, the request uses it too */
    struct wr_task *user;          /* NULL once the user left */
    struct wr_msg *head_in;        /* NULL until it is whole (or bad != 0) */
    struct wr_msg *head_out;       /* the user's, stays valid until tx is DONE or RESET */
    struct wr_interim *interim_in; /* the user takes them at his wake; NULL: none */
    struct wr_pipe *in, *out;
    struct wr_hdrs *trailers_in, *trailers_out;
    size_t in_high; /* client role: high mark of `in` */
    uint32_t rx_timeout_ms, tx_timeout_ms;
    uint32_t keepalive_ms; /* server role: idle time allowed after this exchange; 0 closes */
    uint32_t head_max;     /* client role: most bytes of the response head (U5.1) */
    uint64_t body_max; /* server role: most bytes of a chunked request body; more: BIG_BODY. 0: no
                          limit */
    uint64_t rx_bytes; /* from the wire, head and framing included */
    uint64_t tx_bytes; /* handed to the kernel, head and framing included */
    uint64_t tx_body_bytes; /* of tx_bytes, body without framing */
    uint64_t rx_body_bytes;
    uint64_t began_us; /* server role: first byte of the request was here */
    uint64_t head_us;  /* client role: head_in was whole */
};

static inline bool wr_stream_is_over(const struct wr_stream *s)
{
    return s->rx >= WR_HALF_DONE && s->tx >= WR_HALF_DONE;
}

static inline bool wr_stream_is_reset(const struct wr_stream *s)
{
    return s->rx == WR_HALF_RESET || s->tx == WR_HALF_RESET;
}

/* --- for codecs, the only writers of rx and tx --- */

/* Assert that the move is legal and note it; wake nobody. */
void wr_stream_set_rx(struct wr_stream *s, enum wr_stream_half to);
void wr_stream_set_tx(struct wr_stream *s, enum wr_stream_half to);
/* Unfinished halves become RESET; the first reason and errno stay. False: both were over already.
 */
bool wr_stream_break(struct wr_stream *s, enum wr_reason why, int err);
/* Keeps the first reason. */
void wr_stream_note(struct wr_stream *s, enum wr_reason why, int err);

#endif
