/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsm.h: explicit state machines (docs/architecture.md, "State machines").
 *
 *   #define WR_UP_STATES(X)                      state, step, deadline kind, legal successors
 *       X(WR_UP, START, start, NONE, B(PICK) | B(FAIL))
 *
 * A machine writes its table as an X-macro; this header turns it into the enum, the names and the
 * move masks. The one setter of a machine asserts the move, notes it in the flight recorder and
 * changes the deadline.
 */
#ifndef WR_BASE_FSM_H
#define WR_BASE_FSM_H

#include <stdint.h>

#include "base/assert.h"
#include "base/recorder.h"

struct wr_fsm {
    const char *machine;
    const char *const *names;
    const uint32_t *moves; /* bit s of moves[from]: may go to s */
};

/* Checks and notes a move; *state becomes `to`. */
static inline void wr_fsm_move(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id)
{
    WR_ASSERT((f->moves[*state] & (1u << to)) != 0);
    wr_recorder_note(f->machine, f->names, id, *state, to);
    *state = (uint8_t)to;
}

#endif
