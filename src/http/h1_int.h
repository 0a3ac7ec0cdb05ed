/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_int.h: what the two roles of the HTTP/1 codec share. One exchange is a struct h1_xchg: the
 * stream that the user sees, how its body is received (h1_rx) and how head and body are sent
 * (h1_tx).
 *
 *   received slice -> struct h1_rest -> parser | h1_feed -> stream->in
 *   stream->out -> [head][size line][body pieces][end] -> one sendmsg
 *
 * The pipes' ends that are ours are rx.in and tx.out; stream->in and stream->out are the user's
 * pointers, who may have handed his ends on. Owner thread only.
 */
#ifndef WR_HTTP_H1_INT_H
#define WR_HTTP_H1_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chunk.h"
#include "base/reason.h"
#include "base/status.h"
#include "base/str.h"
#include "event/grave.h"
#include "http/h1_chunk.h"
#include "http/h1_parse.h"
#include "http/stream.h"
#include "io/pipe.h"
#include "io/work.h"
#include "net/conn.h"

#define H1_FIELDS_MAX    1000     /* fields of one head */
#define H1_RECV_ALL      SIZE_MAX /* whatever the poller received */
#define H1_FIRST_MAX     65536u   /* most of an answer's first receive */
#define H1_FIRST_PIPED   16384u   /* the same behind an answer that went through a kernel pipe */
#define H1_LOOKAHEAD     4096     /* most bytes taken of a request that is not served yet */
#define H1_REST_COPY_MAX 2048     /* bytes that wait are copied out of large chunks up to this */
#define H1_GATHER_MAX    (256u * 1024)       /* a head that came in pieces: the largest chunk */
#define H1_TUNNEL_HIGH   ((size_t)64 * 1024) /* high mark of a tunnel's pipes when nobody set one */
#define H1_FRAME_MAX     (WR_H1_CHUNK_HEAD_MAX + 2)

/* Received and not used yet. */
struct h1_rest {
    struct wr_chunk *chunk; /* one reference, NULL when len is 0 */
    uint32_t off, len;
};

struct h1_rx {
    struct wr_pipe *in; /* producer end; NULL: no body is wanted, or it is over */
    uint64_t left;      /* WR_FRAMING_LENGTH: bytes still to come */
    struct wr_h1_chunk_decoder dec;
    struct wr_hdrs *trailers;
    struct wr_kpipe *kpipe; /* one reference; the connection's io is aimed at it, or was */
    uint32_t piece_cnt;     /* receives that went to it */
    uint64_t piece_bytes;
    uint8_t framing;  /* enum wr_framing */
    bool is_wanted;   /* the user asked for the body */
    bool is_dropping; /* what comes is read and thrown away */
    bool no_kpipe;    /* none is to be had, or it is not worth it */
};

struct h1_tx {
    struct wr_chunk *head; /* head bytes, interim responses before them: [head_off .. fill) */
    uint32_t head_off;
    uint32_t file_off;
    /* bytes [file_off, fill) of the file slice at the front of `out`, where sendfile is not used */
    struct wr_chunk *file_buf;
    struct wr_work *reading; /* they are being read; NULL: they are not */
    struct wr_pipe *out;     /* consumer end */
    uint64_t left; /* LENGTH: body bytes still to go; CHUNKED: of the chunk that was announced */
    struct wr_chunk *end_buf; /* end of a chunked body with trailers */
    struct wr_str end;        /* CHUNKED: what follows the chunk's data, unsent part */
    char frame[H1_FRAME_MAX]; /* size line */
    uint8_t frame_len, frame_off;
    uint8_t framing; /* enum wr_framing; CLOSE for tunnels too */
    bool is_written; /* the final head is in `head` */
    bool is_ended;
    bool is_blocked; /* a send came short; until WR_IO_WRITABLE */
    bool is_dead;    /* a send failed */
    bool is_holding; /* after 101: nothing goes out until the tunnel begins */
    bool had_excess; /* the pipe had more than was announced */
    bool is_last;    /* the connection ends behind it, at once: its end may go with the FIN */
};

struct h1_xchg {
    struct wr_stream s; /* first */
    struct wr_grave grave;
    struct h1_rx rx;
    struct h1_tx tx;
    struct wr_h1_parser parser;
    struct wr_chunk *gather; /* a head that came in pieces */
    uint64_t rx_at_ms;       /* deadlines in force; 0: none */
    uint64_t tx_at_ms;
    bool is_open;     /* a user has it */
    bool is_released; /* the user left */
    bool want_cut;    /* reset by the user, or left by him unfinished: the connection ends now */
    bool is_told;     /* both halves are over and the user was woken */
    bool is_switch;   /* 101, or 2xx to CONNECT */
    bool got_in;      /* in this run: bytes came */
    bool got_out;     /* in this run: bytes went */
};

static inline struct h1_xchg *h1_xchg_of(struct wr_stream *s)
{
    return wr_container_of(s, struct h1_xchg, s);
}

static inline const struct h1_xchg *h1_xchg_of_const(const struct wr_stream *s)
{
    return (const struct h1_xchg *)(const void *)s;
}

/* --- received bytes (h1_rx.c) --- */

void h1_rest_drop(struct h1_rest *r);
/* The first n bytes are done with. */
void h1_rest_skip(struct h1_rest *r, size_t n);
/* What will wait: a few bytes do not pin a large chunk. */
void h1_rest_settle(struct h1_rest *r);
/* Takes what the connection received, at most max bytes; as wr_conn_recv. r is empty before. */
enum wr_status h1_rest_fill(struct h1_rest *r, struct wr_conn *c, size_t max) WR_MUST_CHECK;

enum h1_parsed {
    H1_PARSED,
    H1_PARSE_MORE,
    H1_PARSE_BAD,
    H1_PARSE_NOMEM
};
/*
 * Parses the head out of r; a head that is not whole is gathered in x->gather (at most `max` bytes)
 * and r is empty. H1_PARSED: the head bytes were copied into the arena, msg points there, r has
 * what follows. BAD: x->parser.bad; msg points into the arena as well, or is empty.
 */
enum h1_parsed h1_parse_head(struct h1_xchg *x, struct h1_rest *r, struct wr_msg *msg,
                             size_t max) WR_MUST_CHECK;
/* Most bytes that may be received for the head now. */
size_t h1_head_room(const struct h1_xchg *x, size_t max);
/* Nothing came so far, or only line ends, as some clients send behind a body (RFC 9112 2.2). */
bool h1_head_is_blank(const struct h1_xchg *x);

/* --- body from the wire --- */

enum h1_fed {
    H1_FED_MORE,
    H1_FED_DONE,
    H1_FED_BAD,
    H1_FED_BIG,
    H1_FED_NOMEM
};

/* Gets ready for the body that m announces. */
void h1_rx_begin(struct h1_xchg *x, const struct wr_msg *m);
/* Uses bytes of r, at most room of them. MORE: r is empty, or room was used up. */
enum h1_fed h1_feed(struct h1_xchg *x, struct h1_rest *r, size_t room) WR_MUST_CHECK;
/* Room for body bytes now: of the pipe, all when they are dropped; 0 arms the pipe's wake. */
size_t h1_rx_room(struct h1_xchg *x);
/*
 * A big body that nobody looks at stays in the kernel. aim: chooses where the next receive goes, to
 * a chunk (at most io.rx_max bytes) or a kernel pipe; needs all that was received to be used, and
 * room. take_piped: what was spliced since
 * goes into the pipe; must be called before anything else is taken of the connection.
 */
void h1_rx_aim(struct h1_xchg *x, struct wr_conn *c);
enum h1_fed h1_rx_take_piped_bytes(struct h1_xchg *x, struct wr_conn *c) WR_MUST_CHECK;

WR_MUST_CHECK static inline enum h1_fed h1_rx_take_piped(struct h1_xchg *x, struct wr_conn *c)
{
    return WR_LIKELY(c->io.rx_piped == 0) ? H1_FED_MORE : h1_rx_take_piped_bytes(x, c);
}

/* The consumer is slow: he shall not keep a kernel pipe that others need. */
void h1_rx_relieve(struct h1_xchg *x);
/* The body is whole: the pipe's EOF, rx DONE. */
void h1_rx_done(struct h1_xchg *x);
/* It ends badly: the pipe fails, rx RESET. */
void h1_rx_fail(struct h1_xchg *x, enum wr_reason why, int err);
/* Our end of the pipe and what was gathered; idempotent. */
void h1_rx_drop(struct h1_xchg *x);

/* --- head and body to the wire (h1_tx.c) --- */

/* Appends m's head with `extra` fields; m has no field that extra repeats. WR_EPROTO: unsafe value.
 */
enum wr_status h1_tx_add_head(struct h1_xchg *x, const struct wr_msg *m, enum wr_h1_role role,
                              struct wr_str extra) WR_MUST_CHECK;
/* The final response of s.head_out; has_length: its length is announced, is_kept: the connection
 * stays. */
enum wr_status h1_tx_add_response(struct h1_xchg *x, bool has_length, bool is_kept) WR_MUST_CHECK;
/* How the end of the response in s.head_out is told (RFC 9112 6.3); *ret_length: it is announced.
 */
enum wr_framing h1_tx_choose_framing(const struct h1_xchg *x, bool *ret_length);
/* Appends bytes to go out before anything else. */
enum wr_status h1_tx_add_bytes(struct h1_xchg *x, struct wr_str s) WR_MUST_CHECK;
/* Our end of the out pipe. */
void h1_tx_take_pipe(struct h1_xchg *x, struct wr_pipe *out);
void h1_tx_leave_pipe(struct h1_xchg *x);

enum h1_sent {
    H1_SENT_ALL,     /* all that is here went out; more will come */
    H1_SENT_BLOCKED, /* the other side takes no more now */
    H1_SENT_DONE,    /* the message is whole */
    H1_SENT_CUT,     /* it cannot become whole */
    H1_SENT_ERR,     /* the connection broke; io.err */
    H1_SENT_NOMEM,
};
enum h1_sent h1_tx_run(struct h1_xchg *x, struct wr_conn *c) WR_MUST_CHECK;
/* Does the body go on with a file that the link can send? */
bool h1_tx_has_file(const struct h1_xchg *x, const struct wr_conn *c);
/* Is anything of the message still to be sent that is here already? */
bool h1_tx_has_bytes(const struct h1_xchg *x);
/* Our end of the pipe and what was written; idempotent. */
void h1_tx_drop(struct h1_xchg *x);

/* --- both (h1_io.c) --- */

void h1_xchg_init(struct h1_xchg *x, const struct wr_stream_ops *ops, struct wr_conn *c);
/* Pipes' ends, buffers; idempotent. */
void h1_xchg_drop(struct h1_xchg *x);
/* Both halves raw from now on. */
enum wr_status h1_tunnel_begin(struct h1_xchg *x, struct wr_conn *c) WR_MUST_CHECK;
/*
 * Computes both deadlines of a running exchange from what happened in this run; returns the nearer
 * one, 0: none. wants_in: bytes are awaited and none are here.
 */
uint64_t h1_deadlines(struct h1_xchg *x, bool wants_in);
/* Microseconds of this loop turn. */
uint64_t h1_now_us(void);

#endif
