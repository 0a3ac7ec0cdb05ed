/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsm.h: explicit state machines (docs/architecture.md, "State machines").
 *
 *   #define WR_UP_STATES(X)                      state, step, deadline kind, legal successors
 *       X(WR_UP, START, start, NONE, B(PICK) | B(FAIL))
 *
 * A machine writes its table as an X-macro; this header turns it into the enum, the names and the
 * move masks. The one setter of a machine checks the move, notes it in the flight recorder and
 * changes the deadline. All machines are those of one request, one attempt or one connection: a
 * move that is not in the table ends that one, not the process.
 */
#ifndef WR_BASE_FSM_H
#define WR_BASE_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/recorder.h"

#define WR_FSM_MAGIC 0x4d534677u

struct wr_fsm {
    uint32_t magic; /* who reads a recorder of another process believes nothing else */
    uint32_t cnt;   /* states, at most 32 */
    const char *machine;
    const char *const *names;
    const uint32_t *moves; /* bit s of moves[from]: may go to s */
};

/* names: an array of constant texts, one a state. */
#define WR_FSM(machine, names, moves)                                                              \
    {                                                                                              \
        WR_FSM_MAGIC, WR_ARRAY_LEN(names), (machine), (names), (moves)                             \
    }

/* from: whatever is there. to: below 64; no move goes to one that is no state. */
static inline bool wr_fsm_may(const struct wr_fsm *f, unsigned from, unsigned to)
{
    return from < f->cnt && ((uint64_t)f->moves[from] >> (to & 63) & 1) != 0;
}

/* Notes the move that was tried, counts, dumps; always false. */
WR_COLD bool wr_fsm_failed(const struct wr_fsm *f, unsigned from, unsigned to, uint64_t id);

/*
 * Checks and notes a move; *state becomes `to`. False: the table forbids it, which was counted and
 * dumped; *state is what it was, and the caller ends the object.
 */
WR_MUST_CHECK static inline bool wr_fsm_move(const struct wr_fsm *f, uint8_t *state, unsigned to,
                                             uint64_t id)
{
    unsigned from = *state;

    if (WR_UNLIKELY(!wr_fsm_may(f, from, to))) {
        return wr_fsm_failed(f, from, to, id);
    }
    *state = (uint8_t)to;
    wr_recorder_note(f, id, from, to);
    return true;
}

/* For the end of an object that is broken: to a state that the table may forbid. */
static inline void wr_fsm_force(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id)
{
    wr_recorder_note(f, id, WR_MIN(*state, 31u), to);
    *state = (uint8_t)to;
}

/* For wr_fsm_move_on: a move that the table forbids. */
WR_COLD void wr_fsm_move_anyway(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id,
                                bool *faulty);

/*
 * For a machine whose setter's callers rely on the move, and whose last state means that its memory
 * is on the way to the grave: a move that the table forbids is made, and *faulty is set; the
 * object's task ends it. Out of the last state there is no way: panics.
 */
static inline void wr_fsm_move_on(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id,
                                  bool *faulty)
{
    unsigned from = *state;

    if (WR_UNLIKELY(!wr_fsm_may(f, from, to))) {
        wr_fsm_move_anyway(f, state, to, id, faulty);
        return;
    }
    *state = (uint8_t)to;
    wr_recorder_note(f, id, from, to);
}

#endif
