/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reason.c: names, texts and statuses of tbl/reason.h.
 * Constant data, any thread.
 */
#include "base/reason.h"

#include "base/compiler.h"

static const struct {
    const char *name, *text;
    uint16_t status;
} reasons[] = {

#define X(n, s, t) {#n, t, s},
#include "base/tbl/reason.h"
#undef X
};

const char *wr_reason_text(enum wr_reason r)
{
    return (unsigned)r < WR_ARRAY_LEN(reasons) ? reasons[r].text : "?";
}

const char *wr_reason_name(enum wr_reason r)
{
    return (unsigned)r < WR_ARRAY_LEN(reasons) ? reasons[r].name : "?";
}

unsigned wr_reason_status(enum wr_reason r)
{
    return (unsigned)r < WR_ARRAY_LEN(reasons) ? reasons[r].status : 500;
}
