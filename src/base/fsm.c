/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsm.c: what is said about a move that is in no table. The state may be any number: it may be
 * what a stray write left there.
 */
#include "base/fsm.h"

#include <stdio.h>

static const char *name_of(const struct wr_fsm *f, unsigned state)
{
    return state < f->cnt ? f->names[state] : "?";
}

bool wr_fsm_failed(const struct wr_fsm *f, unsigned from, unsigned to, uint64_t id)
{
    char text[160];

    wr_recorder_note(f, id, WR_MIN(from, 31u), WR_MIN(to, 31u));
    (void)snprintf(text, sizeof(text), "%s %llu may not go from %s (%u) to %s (%u)", f->machine,
                   (unsigned long long)id, name_of(f, from), from, name_of(f, to), to);
    return wr_assert_req_said(text);
}

void wr_fsm_move_anyway(const struct wr_fsm *f, uint8_t *state, unsigned to, uint64_t id,
                        bool *faulty)
{
    (void)wr_fsm_failed(f, *state, to, id); /* false, always */
    WR_ASSERT(*state != f->cnt - 1);
    wr_fsm_force(f, state, to, id);
    *faulty = true;
}
