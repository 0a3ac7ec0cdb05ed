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

    (void)snprintf(text, sizeof(text), "%s %llu may not go from %s (%u) to %s (%u)", f->machine,
                   (unsigned long long)id, name_of(f, from), from, name_of(f, to), to);
    return wr_assert_req_said(text);
}
