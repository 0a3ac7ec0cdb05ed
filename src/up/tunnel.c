/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel.c: after an accepted 101 both codecs carry raw bytes; each direction is one pipe that is
 * handed over whole (producer: the one codec, consumer: the other), so that this task only sees the
 * ends (U9). Half-close passes on as the pipe's eof. Idle limits are the codecs' timeouts: the peer
 * has to send something within *_read_timeout; the client may listen as long as it likes, and has
 * the same limit once the peer will send no more.
 *
 *   client stream in  --> peer stream out
 *   client stream out <-- peer stream in
 */
#include "up/tunnel.h"

#include "net/conn.h"
#include "up/head.h"
#include "up/up.h"

/* Nobody took an end of it. Accepts NULL. */
static void drop_pipe(struct wr_pipe *p)
{
    if (p != NULL) {
        wr_pipe_leave_producer(p);
        wr_pipe_leave_consumer(p);
    }
}

/* Each direction is one pipe: the codec that reads is its producer, the one that writes its
 * consumer. */
static enum wr_status join(struct wr_up *u, struct wr_stream *client, struct wr_stream *peer)
{
    size_t high = (size_t)u->start.conf->buffer_size;
    struct wr_pipe *up = wr_pipe_new(high, NULL, NULL), *down = wr_pipe_new(high, NULL, NULL);
    bool is_joined;

    if (up == NULL || down == NULL) {
        drop_pipe(up);
        drop_pipe(down);
        return WR_ENOMEM;
    }
    client->in = peer->out = up;
    client->out = peer->in = down;
    /* With both pipes given neither call needs memory. */
    is_joined = client->ops->tunnel(client) == WR_OK && peer->ops->tunnel(peer) == WR_OK;
    client->in = client->out = peer->in = peer->out = NULL; /* the codecs have their ends */
    return WR_ASSERT_REQ(is_joined) ? WR_OK : WR_ECANCELED;
}

static enum wr_status begin(struct wr_up *u)
{
    struct wr_req *r = u->req;
    struct wr_stream *peer = u->attempt.stream, *client = r->stream;
    const struct wr_up_conf *c = u->start.conf;
    enum wr_status st;

    u->attempt.is_accepted = true;
    st = wr_up_head_copy(u, peer->head_in);
    if (st != WR_OK) {
        u->fail_status = 500;
        wr_req_fail(r, 500);
        return st;
    }
    if (peer->out != NULL) {
        wr_pipe_leave_producer(wr_take(&peer->out));
    }
    client->rx_timeout_ms = 0;
    peer->rx_timeout_ms = c->read_timeout_ms;
    client->tx_timeout_ms = peer->tx_timeout_ms = c->send_timeout_ms;
    client->in_high = peer->in_high = (size_t)c->buffer_size;
    st = wr_req_respond(r);
    if (st != WR_OK) {
        return st;
    }
    st = join(u, client, peer);
    if (st != WR_OK) {
        /* The client has its 101, and no pipe that could fail: it would wait for ever. */
        wr_req_abort(r, WR_REASON_NOMEM);
    }
    return st;
}

static bool is_half_over(uint8_t half)
{
    return half == WR_HALF_DONE || half == WR_HALF_RESET;
}

enum wr_status wr_up_tunnel_step(struct wr_up *u)
{
    struct wr_stream *peer = u->attempt.stream, *client = u->req->stream;
    enum wr_status st;

    if (!u->is_tunnel) {
        u->is_tunnel = true;
        st = begin(u);
        if (st != WR_OK) {
            return WR_ECANCELED;
        }
        return WR_AGAIN;
    }
    if (wr_stream_is_reset(peer) || wr_stream_is_reset(client)) {
        return WR_ECANCELED;
    }
    if (is_half_over(peer->rx) && is_half_over(peer->tx) && is_half_over(client->tx)) {
        return WR_OK;
    }
    if (is_half_over(peer->rx) && client->rx_timeout_ms == 0 && client->conn != NULL) {
        client->rx_timeout_ms = u->start.conf->read_timeout_ms;
        wr_task_wake(&client->conn->task); /* the codec arms it */
    }
    return WR_AGAIN;
}
