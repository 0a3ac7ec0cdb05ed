/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_io.c: an exchange as a whole, the same for both roles of HTTP/1: its object, its deadlines,
 * and how it becomes a tunnel. See h1_int.h. Owner thread only.
 */
#include "http/h1_int.h"

#include "base/clock.h"
#include "base/obj.h"
#include "event/loop.h"

uint64_t h1_now_us(void)
{
    return wr_loop_get()->turn_began_us;
}

void h1_xchg_init(struct h1_xchg *x, const struct wr_stream_ops *ops, struct wr_conn *c)
{
    wr_obj_init(&x->s, WR_STREAM_MAGIC);
    x->s.ops = ops;
    x->s.conn = c;
    x->s.rx = WR_HALF_WAIT;
    x->s.tx = WR_HALF_WAIT;
}

void h1_xchg_drop(struct h1_xchg *x)
{
    h1_rx_drop(x);
    h1_tx_drop(x);
}

enum wr_status h1_tunnel_begin(struct h1_xchg *x, struct wr_conn *c)
{
    struct wr_stream *s = &x->s;
    size_t high = s->in_high > 0 ? s->in_high : H1_TUNNEL_HIGH;
    struct wr_pipe *in = s->in ? s->in : wr_pipe_new(high, NULL, s->user);
    struct wr_pipe *out = s->out ? s->out : wr_pipe_new(high, s->user, NULL);

    if (!in || !out) {
        if (in && in != s->in) {
            wr_pipe_leave_producer(in);
            wr_pipe_leave_consumer(in);
        }
        if (out && out != s->out) {
            wr_pipe_leave_producer(out);
            wr_pipe_leave_consumer(out);
        }
        return WR_ENOMEM;
    }
    s->in = in;
    s->out = out;
    x->rx.in = s->in;
    wr_pipe_hand(s->in, WR_PIPE_PRODUCER, &c->task);
    h1_tx_take_pipe(x, s->out);
    x->rx.framing = x->tx.framing = WR_FRAMING_CLOSE;
    x->rx.is_wanted = true;
    x->tx.is_holding = false;
    x->is_told = false;
    s->is_tunnel = true;
    if (s->rx == WR_HALF_DONE) {
        wr_stream_set_rx(s, WR_HALF_BODY);
    }
    if (s->tx == WR_HALF_DONE) {
        wr_stream_set_tx(s, WR_HALF_BODY);
    }
    return WR_OK;
}

uint64_t h1_deadlines(struct h1_xchg *x, bool wants_in)
{
    uint64_t now = wr_now_ms();

    if (!wants_in || x->s.rx_timeout_ms == 0) {
        x->rx_at_ms = 0;
    } else if (x->rx_at_ms == 0 || x->got_in) {
        x->rx_at_ms = now + x->s.rx_timeout_ms;
    }
    if (!x->tx.is_blocked || x->s.tx_timeout_ms == 0) {
        x->tx_at_ms = 0;
    } else if (x->tx_at_ms == 0 || x->got_out) {
        x->tx_at_ms = now + x->s.tx_timeout_ms;
    }
    x->got_in = x->got_out = false;
    if (x->rx_at_ms == 0 || (x->tx_at_ms != 0 && x->tx_at_ms < x->rx_at_ms)) {
        return x->tx_at_ms;
    }
    return x->rx_at_ms;
}
