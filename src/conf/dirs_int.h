/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs_int.h: what dirs.c, dirs_apply.c, dirs_load.c, scope.c and docs.c share: bits of conf heads,
 * names of contexts, defaults. Thread: the one that builds the generation.
 */
#ifndef WR_CONF_DIRS_INT_H
#define WR_CONF_DIRS_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "conf/dirs.h"

static inline bool wr_bit_has(const uint64_t *bits, unsigned i)
{
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static inline void wr_bit_set(uint64_t *bits, unsigned i)
{
    bits[i / 64] |= (uint64_t)1 << (i % 64);
}

/* "http, server, if in location" */
void wr_ctx_write_names(uint32_t contexts, struct wr_strbuf *b);

/* The slot's struct with all defaults applied; made at the first call. Its bits are all clear. */
enum wr_status wr_conf_defaults(struct wr_conf *cf, uint32_t slot,
                                const void **ret_conf) WR_MUST_CHECK;

/* After a hook's WR_ECONFIG: makes sure that the load fails, also when the hook reported nothing.
 */
void wr_conf_hook_failed(struct wr_conf *cf, const struct wr_conf_module *m, const char *hook);

#endif
