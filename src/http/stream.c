/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c: the two halves of an exchange as a state table, for all codecs. Only codecs call this;
 * it wakes nobody, so that a codec tells its user once whatever changed in a run; but for a move
 * that is not in the table, which ends the exchange. Owner thread only.
 *
 * A tunnel begins anew with both halves in BODY, hence the move from DONE back to it.
 */
#include "http/stream.h"

#include "base/fsm.h"
#include "base/obj.h"
#include "event/task.h"

#define B(s) (1u << WR_HALF_##s)

/* half, deadline kind, may go to. Deadlines are rx_timeout_ms and tx_timeout_ms, kept by the codec.
 */
#define WR_HALVES(X)                                                                               \
    X(WAIT, NONE, B(BODY) | B(RESET))                                                              \
    X(BODY, HALF, B(DONE) | B(RESET))                                                              \
    X(DONE, NONE, B(BODY) | B(RESET))                                                              \
    X(RESET, NONE, 0)

/* What comes may be a head without a body. */
#define RX_MAY(half) ((half) == WR_HALF_WAIT ? B(DONE) : 0)

static const char *const half_names[] = {
#define X(name, deadline, moves) #name,
    WR_HALVES(X)
#undef X
};

static const uint32_t rx_moves[] = {
#define X(name, deadline, moves) (moves) | RX_MAY(WR_HALF_##name),
    WR_HALVES(X)
#undef X
};

static const uint32_t tx_moves[] = {
#define X(name, deadline, moves) moves,
    WR_HALVES(X)
#undef X
};

static const struct wr_fsm rx_fsm = WR_FSM("stream rx", half_names, rx_moves);
static const struct wr_fsm tx_fsm = WR_FSM("stream tx", half_names, tx_moves);

/* A bug of ours: it is said, the half is RESET, and the user ends the exchange. */
static WR_COLD __attribute__((noinline)) void give_up(struct wr_stream *s, const struct wr_fsm *f,
                                                      uint8_t *half, enum wr_stream_half to)
{
    (void)wr_fsm_failed(f, *half, to, (uint64_t)(uintptr_t)s); /* false, always */
    wr_fsm_force(f, half, WR_HALF_RESET, (uint64_t)(uintptr_t)s);
    wr_stream_note(s, WR_REASON_INTERNAL, 0);
    wr_task_wake_opt(s->user);
}

/* Nothing is kept for what follows a note: half of the calls of a request end here. */
static inline void move_half(struct wr_stream *s, const struct wr_fsm *f, uint8_t *half,
                             enum wr_stream_half to)
{
    unsigned from = *half;

    if (WR_UNLIKELY(!wr_fsm_may(f, from, to))) {
        give_up(s, f, half, to);
        return;
    }
    *half = (uint8_t)to;
    wr_recorder_note(f, (uint64_t)(uintptr_t)s, from, to);
}

void wr_stream_set_rx(struct wr_stream *s, enum wr_stream_half to)
{
    wr_obj_check(s, WR_STREAM_MAGIC);
    move_half(s, &rx_fsm, &s->rx, to);
}

void wr_stream_set_tx(struct wr_stream *s, enum wr_stream_half to)
{
    wr_obj_check(s, WR_STREAM_MAGIC);
    move_half(s, &tx_fsm, &s->tx, to);
}

void wr_stream_note(struct wr_stream *s, enum wr_reason why, int err)
{
    if (s->reason == WR_REASON_NONE) {
        s->reason = (uint8_t)why;
        s->err = err;
    }
}

bool wr_stream_break(struct wr_stream *s, enum wr_reason why, int err)
{
    bool is_changed = false;

    if (s->rx < WR_HALF_DONE) {
        wr_stream_set_rx(s, WR_HALF_RESET);
        is_changed = true;
    }
    if (s->tx < WR_HALF_DONE) {
        wr_stream_set_tx(s, WR_HALF_RESET);
        is_changed = true;
    }
    if (is_changed) {
        wr_stream_note(s, why, err);
    }
    return is_changed;
}
