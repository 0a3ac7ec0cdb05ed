/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known.h: directives that nginx has, from tbl/known.h (made by tools/known-directives.py), so that
 * one that weir lacks is not called unknown: leaving it out either changes only speed, then it is
 * ignored with a [warn], or it changes what is served or who may ask, then it is an [emerg].
 * Constant data; any thread.
 */
#ifndef WR_CONF_KNOWN_H
#define WR_CONF_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum wr_known_effect {
    WR_KNOWN_SPEED,  /* leaving it out costs time or memory, or insight, nothing else */
    WR_KNOWN_MEANING /* leaving it out changes answers or access */
};

struct wr_known {
    const char *name;
    const char *module; /* "ngx_http_grpc_module" */
    uint32_t contexts;  /* enum wr_ctx or-ed; 0: not told */
    enum wr_known_effect effect;
};

/* The entry that fits the context (one enum wr_ctx bit), else any of that name, else NULL. */
const struct wr_known *wr_known_find(struct wr_str name, uint32_t ctx);
/* Number of entries, and entry i, sorted by name: for "did you mean" and for documents. */
size_t wr_known_cnt(void);
const struct wr_known *wr_known_at(size_t i);

#endif
