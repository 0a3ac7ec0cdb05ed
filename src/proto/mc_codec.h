/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mc_codec.h: memcached's text protocol as far as `get` needs it; pure.
 *
 *   get KEY \r\n        VALUE KEY FLAGS LENGTH \r\n  LENGTH bytes  \r\nEND\r\n     or  END\r\n
 */
#ifndef WR_PROTO_MC_CODEC_H
#define WR_PROTO_MC_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/strbuf.h"

enum wr_mc_result {
    WR_MC_VALUE, /* *ret_used, flags, length */
    WR_MC_NONE,  /* there is no such key; *ret_used */
    WR_MC_MORE,
    WR_MC_BAD,     /* neither of the two lines */
    WR_MC_BAD_KEY, /* another key's value */
    WR_MC_BAD_LENGTH
};

struct wr_mc_head {
    uint32_t flags;
    bool has_flags; /* they are a number */
    uint64_t length;
    struct wr_str line; /* the first, without its end, for the log; not with MORE */
};

/* "get KEY\r\n"; blanks, control bytes and % of the key as %XX. *ret_key: as it stands there. */
void wr_mc_write_get(struct wr_strbuf *b, struct wr_str key, struct wr_str *ret_key);
/* p[0..n): all that came so far. key: as wr_mc_write_get gave it. */
enum wr_mc_result wr_mc_parse(const char *p, size_t n, struct wr_str key, struct wr_mc_head *ret,
                              size_t *ret_used);

#endif
