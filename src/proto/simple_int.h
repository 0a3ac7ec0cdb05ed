/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simple_int.h: what simple.c (connections), simple_io.c (answers), simple_send.c (requests) and
 * simple_req.c (towards the engine) share.
 *
 *   struct simple_pconn {wr_pconn} -- struct simple_link {wr_conn} -- struct simple_xchg
 * {wr_stream}
 *
 * Calls that can end the exchange return false then: x and the connection are gone. Owner thread
 * only.
 */
#ifndef WR_PROTO_SIMPLE_INT_H
#define WR_PROTO_SIMPLE_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/chunk.h"
#include "base/str.h"
#include "event/grave.h"
#include "http/codec.h"
#include "http/stream.h"
#include "io/pipe.h"
#include "net/conn.h"
#include "proto/simple.h"

#define SIMPLE_HEAD_MAX   (256u * 1024) /* the largest chunk: heads are gathered in one piece */
#define SIMPLE_FIELDS_MAX 1000

struct simple_xchg {
    struct wr_stream s; /* first */
    struct wr_grave grave;
    const struct wr_proto_table *table;
    struct wr_proto_req *q;
    struct wr_str head_out;    /* request bytes not sent yet */
    struct wr_pipe *out, *in;  /* our ends; NULL: none, or over */
    struct wr_chunk *file_buf; /* of the file slice in front, for links without send_file */
    uint32_t file_off;
    /* frames of the body (frame_body): [frame_off, frame_len) goes before frame_left bytes of
     * `out`, [end_off, end_len) behind them */
    char frame[WR_PROTO_FRAME_MAX], end[WR_PROTO_FRAME_MAX];
    uint8_t frame_off, frame_len, end_off, end_len;
    bool is_end_framed;
    uint64_t frame_left;
    uint64_t body_len;           /* announced, or WR_LENGTH_UNKNOWN */
    uint64_t rx_at_ms, tx_at_ms; /* deadlines in force; 0: none */
    bool is_self_framed;         /* the end of the body is known without the close */
    bool is_dropping;            /* nobody reads the body any more */
    bool is_blocked, is_dead;    /* sending: came short; failed */
    bool is_released;            /* the user left: q and the arena may be gone */
    bool want_cut;
    bool got_in, got_out; /* in this run */
    int tx_err;
};

struct simple_pconn {
    struct wr_pconn pc; /* first */
    struct wr_grave grave;
    struct simple_xchg *x; /* BUSY */
    struct wr_chunk
        *rest; /* received and not used; the head so far while it is gathered. NULL: none */
    uint32_t off, len;
    uint64_t no;
    bool is_gathered; /* rest is a chunk of our own */
    bool is_in_on, is_eof, is_broken, is_buried;
    bool is_faulty; /* a bug of ours: to be closed */
};

struct simple_link {
    struct wr_conn conn; /* first */
    struct simple_pconn *client;
};

/* --- simple.c --- */

/* Ends exchange and connection; what came is still delivered, then the reason. Always false. */
bool simple_fail(struct simple_pconn *c, enum wr_reason why, int err);
/* The answer is whole. */
void simple_end_rx(struct simple_pconn *c);

/* --- simple_io.c --- */

/* Our end of the body: its EOF when why is NONE, else it fails. */
void simple_leave_in(struct simple_xchg *x, enum wr_reason why);
void simple_drop_rest(struct simple_pconn *c);
/* Uses what is received, as far as the user has room. *ret_wants: bytes are awaited and none are
 * here. */
bool simple_pump_in(struct simple_pconn *c, bool *ret_wants);

/* --- simple_send.c --- */

/* Our end of the client's body, and what was not sent of the request. */
void simple_leave_out(struct simple_xchg *x);
/* Sends what is here, as far as the peer takes it. */
bool simple_pump_out(struct simple_pconn *c);

#endif
