/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c: the names of enum wr_status, made from the same table as the enum. A value that is no
 * status has the name "?", so that a broken one can still be logged.
 * Thread: any.
 */
#include "base/status.h"

#include "base/compiler.h"

static const char *const names[] = {
#define X(name, text) #name,
#include "base/tbl/status.h"
#undef X
};

const char *wr_status_name(enum wr_status s)
{
    return (unsigned)s < WR_ARRAY_LEN(names) ? names[s] : "?";
}
