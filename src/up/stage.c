/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.c: see stage.h. The peer's pipe gets small marks, so that the codec stops reading when the
 * rate is used up; with no room wanted its read timeout does not run (U6.6). The client's pipe has
 * the marks and the spill of the response.
 */
#include "up/stage.h"

#include "base/clock.h"
#include "http/core_conf.h"
#include "up/head.h"
#include "up/up.h"

#define STAGE_STEP_MS   50u /* how often bytes are let go */
#define STAGE_BURST_DIV 8u  /* share of a second's bytes that goes at once */
#define STAGE_HIGH_MIN  4096u
#define STAGE_HIGH_MAX  65536u

enum wr_status wr_up_stage_begin(struct wr_up *u)
{
    struct wr_up_stage *g = &u->stage;
    struct wr_req *r = u->req;
    const struct wr_up_conf *c = u->start.conf;
    uint64_t rate = 0, high;

    if (!c->pass_trailers && c->limit_rate.t == NULL && c->limit_rate.value == 0) {
        return WR_OK;
    }
    if (u->is_buffered && wr_core_rate(r, &c->limit_rate, &rate) != WR_OK) {
        return WR_ENOMEM;
    }
    g->has_trailers = c->pass_trailers && u->attempt.stream->head_in->framing == WR_FRAMING_CHUNKED;
    if (rate == 0 && !g->has_trailers) {
        return WR_OK;
    }
    g->out = wr_pipe_new(r->out_pipe->high, &r->task, NULL);
    if (g->out == NULL) {
        return WR_ENOMEM;
    }
    g->rate = WR_MIN(rate, (uint64_t)UINT32_MAX);
    g->began_ms = wr_now_ms();
    g->in = r->out_pipe;
    r->out_pipe = g->out;
    high = rate == 0 ? STAGE_HIGH_MAX : rate / STAGE_BURST_DIV;
    high = WR_MAX(WR_MIN(high, (uint64_t)STAGE_HIGH_MAX), (uint64_t)STAGE_HIGH_MIN);
    wr_pipe_set_marks(g->in, (size_t)high, (size_t)high / 2);
    wr_pipe_hand(g->in, WR_PIPE_CONSUMER, &r->task);
    return WR_OK;
}

bool wr_up_stage_is_busy(const struct wr_up *u)
{
    return u->stage.in != NULL;
}

void wr_up_stage_end(struct wr_up *u)
{
    struct wr_up_stage *g = &u->stage;

    if (g->in != NULL) {
        wr_pipe_leave_consumer(wr_take(&g->in));
        wr_pipe_leave_producer(wr_take(&g->out));
    }
}

/* Bytes that the rate lets go now; 0: the timer is armed. 64 bits hold the product: the rate is
 * below 2^32. */
static uint64_t allowed(struct wr_up *u)
{
    const struct wr_up_stage *g = &u->stage;
    uint64_t now = wr_now_ms(), may;

    if (g->rate == 0) {
        return UINT64_MAX;
    }
    may = g->rate / STAGE_BURST_DIV + (now - g->began_ms) * g->rate / 1000;
    if (may <= g->sent) {
        wr_timer_arm(&u->timer, now + STAGE_STEP_MS);
        return 0;
    }
    return may - g->sent;
}

void wr_up_stage_step(struct wr_up *u)
{
    struct wr_up_stage *g = &u->stage;
    uint64_t before, may;
    enum wr_status st;

    if (g->in == NULL) {
        return;
    }
    may = allowed(u);
    if (may == 0 && !wr_pipe_is_spent(g->in)) {
        return;
    }
    if (g->has_trailers && g->in->state == WR_PIPE_EOF) {
        g->has_trailers = false;
        wr_up_head_trailers(u);
    }
    before = g->out->in_total;
    st = wr_pipe_move(g->out, g->in, may);
    g->sent += g->out->in_total - before;
    if (st == WR_EOF || st == WR_EPEERGONE || wr_pipe_is_spent(g->in)) {
        wr_up_stage_end(u);
    } else if (st == WR_ENOMEM || (g->rate != 0 && wr_pipe_queued(g->in) > 0)) {
        wr_timer_arm(&u->timer, wr_now_ms() + STAGE_STEP_MS);
    }
}
