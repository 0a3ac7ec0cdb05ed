/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress_int.h: what compress.c (filters), compress_conf.c (directives) and compress_static.c
 * (files that are compressed already) share.
 */
#ifndef WR_MOD_COMPRESS_INT_H
#define WR_MOD_COMPRESS_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/dirs.h"
#include "conf/types.h"
#include "http/coding.h"
#include "http/mime_set.h"
#include "http/module.h"
#include "mod/compress.h"
#include "mod/press.h"

enum wr_press_static {
    WR_PRESS_STATIC_OFF,
    WR_PRESS_STATIC_ON,
    WR_PRESS_STATIC_ALWAYS
};

/* The directives that each of gzip, brotli and zstd has. */
struct wr_press_conf {
    bool on;
    struct wr_mime_set types;
    uint64_t min_length;
    uint32_t level;
    uint64_t window; /* bytes; 0: the library's choice */
    struct wr_buffers buffers;
    uint32_t is_static; /* enum wr_press_static */
};

/* gzip_disable */
struct wr_press_disable {
    struct wr_regex **at;
    uint32_t cnt, _cap;
    bool msie6;
};

enum wr_press_proxied {
    WR_PROXIED_OFF = 1,
    WR_PROXIED_EXPIRED = 2,
    WR_PROXIED_NO_CACHE = 4,
    WR_PROXIED_NO_STORE = 8,
    WR_PROXIED_PRIVATE = 16,
    WR_PROXIED_NO_LAST_MODIFIED = 32,
    WR_PROXIED_NO_ETAG = 64,
    WR_PROXIED_AUTH = 128,
    WR_PROXIED_ANY = 256
};

struct wr_compress_loc {
    struct wr_conf_head head;
    struct wr_press_conf by[WR_CODING_CNT]; /* by enum wr_coding */
    bool is_any_on, is_any_static;          /* made of the above */
    bool vary;
    uint32_t proxied;      /* enum wr_press_proxied or-ed */
    uint32_t http_version; /* 10, 11: the least */
    struct wr_press_disable disable;
    bool gunzip;
    struct wr_buffers gunzip_buffers;
};

/* Of one request: reset by an internal redirect. */
struct wr_compress_ctx {
    const struct wr_press_stage *stage; /* that compresses; NULL: none */
    enum wr_coding coding;
    bool is_static_varied; /* compress_static.c: another client would have got another file */
};

extern struct wr_conf_module wr_compress_conf;
extern const struct wr_press_codec *const wr_compress_codecs[WR_CODING_CNT];

/* gzip_http_version and gzip_disable let this request have compressed responses. */
bool wr_compress_is_client_fit(struct wr_req *r, const struct wr_compress_loc *lc);
/* gzip_proxied: of a request that came through a proxy, with the response's fields as they are. */
bool wr_compress_is_proxied_fit(struct wr_req *r, uint32_t proxied);

wr_phase_fn wr_compress_run_static;

#endif
