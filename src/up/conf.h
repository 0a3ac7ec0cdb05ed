/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.h: the one family of upstream directives: a struct that every protocol's location conf
 * embeds, and rows stamped with the protocol's prefix ("proxy", "fastcgi", ...). Values are
 * immutable after merge.
 *
 *   struct wr_proxy_loc { struct wr_conf_head head; struct wr_up_conf up; ... };
 *   static const struct wr_dir dirs[] = { WR_UP_DIRS("proxy", struct wr_proxy_loc, up), ...
 * WR_DIR_END }; merged(): wr_up_conf_merged(cf, &loc->up, default_hidden, cnt)
 */
#ifndef WR_UP_CONF_H
#define WR_UP_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "conf/dirs.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "io/file.h"
#include "io/pipe.h"

/* *_next_upstream */
enum wr_up_next {
    WR_UP_NEXT_ERROR = 1 << 0,
    WR_UP_NEXT_TIMEOUT = 1 << 1,
    WR_UP_NEXT_INVALID_HEADER = 1 << 2,
    WR_UP_NEXT_HTTP_500 = 1 << 3,
    WR_UP_NEXT_HTTP_502 = 1 << 4,
    WR_UP_NEXT_HTTP_503 = 1 << 5,
    WR_UP_NEXT_HTTP_504 = 1 << 6,
    WR_UP_NEXT_HTTP_403 = 1 << 7,
    WR_UP_NEXT_HTTP_404 = 1 << 8,
    WR_UP_NEXT_HTTP_429 = 1 << 9,
    WR_UP_NEXT_NON_IDEMPOTENT = 1 << 10,
    WR_UP_NEXT_OFF = 1 << 11,
    WR_UP_NEXT_DENIED = 1 << 13,   /* by *_allow_upstream */
    WR_UP_NEXT_UPDATING = 1 << 12, /* accepted for *_cache_use_stale */
};

/* *_ignore_headers */
enum wr_up_ignore {
    WR_UP_IGNORE_ACCEL_REDIRECT = 1 << 0,
    WR_UP_IGNORE_ACCEL_EXPIRES = 1 << 1,
    WR_UP_IGNORE_ACCEL_LIMIT_RATE = 1 << 2,
    WR_UP_IGNORE_ACCEL_BUFFERING = 1 << 3,
    WR_UP_IGNORE_ACCEL_CHARSET = 1 << 4,
    WR_UP_IGNORE_EXPIRES = 1 << 5,
    WR_UP_IGNORE_CACHE_CONTROL = 1 << 6,
    WR_UP_IGNORE_SET_COOKIE = 1 << 7,
    WR_UP_IGNORE_VARY = 1 << 8,
};

/* *_buffering */
enum wr_up_buffering {
    WR_UP_BUFFERING_OFF,
    WR_UP_BUFFERING_ON,
    WR_UP_BUFFERING_AUTO, /* on, but for streams of events (up/head.h) */
};

struct wr_up_bind {
    struct wr_template *addr; /* NULL: off */
    bool is_transparent;
};

struct wr_up_conf {
    uint32_t connect_timeout_ms, send_timeout_ms, read_timeout_ms;
    uint32_t next_upstream; /* enum wr_up_next */
    uint32_t next_tries;    /* 0: no limit */
    uint32_t next_timeout_ms;
    uint64_t buffer_size; /* of the response head; of the body too when unbuffered */
    struct wr_buffers buffers;
    uint64_t busy_buffers_size; /* 0: not set */
    uint64_t max_temp_file_size;
    uint64_t temp_file_write_size;
    const struct wr_temp_path *temp_path;
    struct wr_spill_conf spill; /* derived */
    uint32_t buffering;         /* enum wr_up_buffering */
    bool request_buffering;
    bool ignore_client_abort, intercept_errors, force_ranges;
    bool pass_request_headers, pass_request_body;
    bool pass_trailers;
    bool socket_keepalive;
    uint32_t socket_rcvbuf, socket_sndbuf; /* 0: the system's */
    struct wr_up_bind bind;
    struct wr_templates allow; /* all must hold before a peer is contacted */
    bool bind_dynamic;         /* evaluated for each try */
    bool request_dynamic;      /* no effect: each try has its own request (U7.3) */
    uint64_t send_lowat;       /* checked, no effect (U3.2) */
    struct wr_rate limit_rate; /* from the peer, buffered responses only (U6.6) */
    struct wr_strs hide_headers, pass_headers;
    struct wr_map hidden;    /* derived: names that are not passed */
    uint64_t hidden_ids;     /* likewise, those with an id: bit id */
    uint64_t passed_ids;     /* named by *_pass_header */
    uint32_t ignore_headers; /* enum wr_up_ignore */
};

/* For proxy; for FastCGI and kin (a gateway's own 502 and 504 are not known there); for memcached.
 */
extern const struct wr_word wr_up_next_words[], wr_up_next_app_words[], wr_up_next_store_words[];
extern const struct wr_word wr_up_ignore_words[], wr_up_buffering_words[];
extern const struct wr_bounds wr_up_buffer_bounds;
extern const struct wr_buffers_bounds wr_up_buffers_bounds;
extern const struct wr_bounds wr_up_sockbuf_bounds;
wr_dir_set_fn wr_set_up_bind, wr_set_up_send_lowat;

/*
 * Checks and derived values. given: which of buffer_size and buffers the user set: our larger
 * defaults must not refuse a file that nginx takes. hidden: names that are not passed unless
 * pass_headers has them.
 */
struct wr_up_given {
    bool buffer_size, buffers, temp_write_size, busy_buffers;
};

struct wr_up_hidden {
    const struct wr_str *at;
    size_t cnt;
};

/* What the user set: up_off is where the struct wr_up_conf lies in conf, of module m. */
struct wr_up_given wr_up_given_of(const struct wr_conf *cf, const struct wr_conf_module *m,
                                  const void *conf, size_t up_off);
enum wr_status wr_up_conf_merged(struct wr_conf *cf, struct wr_scope *s, struct wr_up_conf *c,
                                 const char *prefix, struct wr_up_given given,
                                 struct wr_up_hidden hidden) WR_MUST_CHECK;

#define WR_UP_ROW(p, nm, lo, hi, T, field, setter, dflt, text)                                     \
    {                                                                                              \
        .name = p nm, .contexts = WR_CTX_HTTP_ALL, .min = lo, .max = hi,                           \
        WR_DIR_FIELD(LOC, T, field), .set = setter, .def = dflt, .doc = text                       \
    }
#define WR_UP_ROW_DATA(p, nm, lo, hi, T, field, setter, info, dflt, text)                          \
    {                                                                                              \
        .name = p nm, .contexts = WR_CTX_HTTP_ALL, .min = lo, .max = hi,                           \
        WR_DIR_FIELD(LOC, T, field), .set = setter, .data = info, .def = dflt, .doc = text         \
    }
#define WR_UP_ROW_WORDS(p, nm, T, field, info, dflt, text)                                         \
    {                                                                                              \
        .name = p nm, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = WR_ARGS_ANY,                   \
        .flags = WR_DIR_REPEAT, WR_DIR_FIELD(LOC, T, field), .set = wr_set_mask, .data = info,     \
        .def = dflt, .doc = text                                                                   \
    }
#define WR_UP_ROW_MANY(p, nm, T, field, text)                                                      \
    {                                                                                              \
        .name = p nm, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .flags = WR_DIR_REPEAT,     \
        WR_DIR_FIELD(LOC, T, field), .set = wr_set_strs, .doc = text                               \
    }

/*
 * The rows, u being the name of the wr_up_conf field in T. They come in parts, because not every
 * protocol has all: WR_UP_DIRS_PEER for each, RELAY where a response may be buffered and changed,
 * SOCKET and LOWAT as nginx has them. No part ends with a comma.
 */
#define WR_UP_DIRS_PEER(p, T, u, next_words)                                                       \
    WR_UP_ROW(p, "_connect_timeout", 1, 1, T, u.connect_timeout_ms, wr_set_msec, "60s",            \
              "How long a connection to a peer may take."),                                        \
        WR_UP_ROW(p, "_send_timeout", 1, 1, T, u.send_timeout_ms, wr_set_msec, "60s",              \
                  "Between two successful writes to a peer."),                                     \
        WR_UP_ROW(p, "_read_timeout", 1, 1, T, u.read_timeout_ms, wr_set_msec, "60s",              \
                  "Between two reads from a peer."),                                               \
        WR_UP_ROW_WORDS(p, "_next_upstream", T, u.next_upstream, next_words, "error timeout",      \
                        "When to try the next peer."),                                             \
        WR_UP_ROW(p, "_next_upstream_tries", 1, 1, T, u.next_tries, wr_set_num, "0",               \
                  "Most tries; 0: as many as there are peers."),                                   \
        WR_UP_ROW(p, "_next_upstream_timeout", 1, 1, T, u.next_timeout_ms, wr_set_msec, "0",       \
                  "Time after which no further try begins; 0: none."),                             \
        WR_UP_ROW_DATA(p, "_buffer_size", 1, 1, T, u.buffer_size, wr_set_size,                     \
                       &wr_up_buffer_bounds, "16k", "Limit of the response head."),                \
        WR_UP_ROW(p, "_socket_keepalive", 1, 1, T, u.socket_keepalive, wr_set_flag, "off",         \
                  "SO_KEEPALIVE on connections to peers."),                                        \
        {.name = p "_allow_upstream",                                                              \
         .contexts = WR_CTX_HTTP_ALL,                                                              \
         .min = 1,                                                                                 \
         .max = WR_ARGS_ANY,                                                                       \
         WR_DIR_FIELD(LOC, T, u.allow),                                                            \
         .set = wr_set_templates,                                                                  \
         .doc = "A peer is contacted only if no value is empty or 0; asked for each try."},        \
        WR_UP_ROW(p, "_bind_dynamic", 1, 1, T, u.bind_dynamic, wr_set_flag, "off",                 \
                  "Evaluates the local address for each try."),                                    \
    {                                                                                              \
        .name = p "_bind", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 2,                        \
        WR_DIR_FIELD(LOC, T, u.bind), .set = wr_set_up_bind,                                       \
        .doc = "Local address of connections to peers, or off."                                    \
    }

#define WR_UP_DIRS_SOCKET(p, T, u)                                                                 \
    WR_UP_ROW_DATA(p, "_socket_rcvbuf", 1, 1, T, u.socket_rcvbuf, wr_set_size,                     \
                   &wr_up_sockbuf_bounds, NULL, "SO_RCVBUF of connections to peers."),             \
        WR_UP_ROW_DATA(p, "_socket_sndbuf", 1, 1, T, u.socket_sndbuf, wr_set_size,                 \
                       &wr_up_sockbuf_bounds, NULL, "SO_SNDBUF of connections to peers.")

#define WR_UP_DIRS_LOWAT(p, T, u)                                                                  \
    {                                                                                              \
        .name = p "_send_lowat", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1,                  \
        .flags = WR_DIR_DEF_DOC, WR_DIR_FIELD(LOC, T, u.send_lowat), .set = wr_set_up_send_lowat,  \
        .def = "0", .doc = "Accepted with a warning; has no effect on Linux."                      \
    }

#define WR_UP_DIRS_RELAY(p, T, u)                                                                  \
    WR_UP_ROW_DATA(p, "_buffers", 2, 2, T, u.buffers, wr_set_buffers, &wr_up_buffers_bounds,       \
                   "8 32k", "Memory for the body of one response."),                               \
        WR_UP_ROW(p, "_busy_buffers_size", 1, 1, T, u.busy_buffers_size, wr_set_size, NULL,        \
                  "How much of it may be on its way to the client."),                              \
        WR_UP_ROW_DATA(p, "_buffering", 1, 1, T, u.buffering, wr_set_enum, wr_up_buffering_words,  \
                       "auto",                                                                     \
                       "Reads the response as fast as the peer sends it: on, off, or auto: on, "   \
                       "but streams of events are passed on at once."),                            \
        WR_UP_ROW(p, "_request_buffering", 1, 1, T, u.request_buffering, wr_set_flag, "on",        \
                  "Reads the whole request body before a peer is chosen."),                        \
        WR_UP_ROW(p, "_max_temp_file_size", 1, 1, T, u.max_temp_file_size, wr_set_offset, "1g",    \
                  "Most bytes of one response on disk at one time; 0: no file."),                  \
        WR_UP_ROW(p, "_temp_file_write_size", 1, 1, T, u.temp_file_write_size, wr_set_size, "64k", \
                  "Bytes of one write to the temporary file."),                                    \
        WR_UP_ROW(p, "_ignore_client_abort", 1, 1, T, u.ignore_client_abort, wr_set_flag, "off",   \
                  "Goes on when the client left."),                                                \
        WR_UP_ROW(p, "_intercept_errors", 1, 1, T, u.intercept_errors, wr_set_flag, "off",         \
                  "Gives a status of 300 and more to error_page."),                                \
        WR_UP_ROW(p, "_force_ranges", 1, 1, T, u.force_ranges, wr_set_flag, "off",                 \
                  "Applies byte ranges to any 200."),                                              \
        WR_UP_ROW(p, "_pass_request_headers", 1, 1, T, u.pass_request_headers, wr_set_flag, "on",  \
                  "Passes the client's header fields."),                                           \
        WR_UP_ROW(p, "_pass_request_body", 1, 1, T, u.pass_request_body, wr_set_flag, "on",        \
                  "Passes the client's body."),                                                    \
        WR_UP_ROW(p, "_limit_rate", 1, 1, T, u.limit_rate, wr_core_set_rate, "0",                  \
                  "Bytes a second read from a peer, for buffered responses; 0: no limit."),        \
        WR_UP_ROW(p, "_request_dynamic", 1, 1, T, u.request_dynamic, wr_set_flag, "off",           \
                  "Accepted: the request is built for each try in any case."),                     \
        {.name = p "_temp_path",                                                                   \
         .contexts = WR_CTX_HTTP_ALL,                                                              \
         .min = 1,                                                                                 \
         .max = 4,                                                                                 \
         WR_DIR_FIELD(LOC, T, u.temp_path),                                                        \
         .set = wr_core_set_temp_path,                                                             \
         .def = p "_temp",                                                                         \
         .doc = "Folder of temporary files, with levels of sub-folders."},                         \
        WR_UP_ROW_WORDS(p, "_ignore_headers", T, u.ignore_headers, wr_up_ignore_words, NULL,       \
                        "Header fields of peers that are not obeyed."),                            \
        WR_UP_ROW_MANY(p, "_hide_header", T, u.hide_headers,                                       \
                       "A header field of peers that is not passed."),                             \
        WR_UP_ROW_MANY(p, "_pass_header", T, u.pass_headers,                                       \
                       "A header field that is passed though it is hidden by default.")

/* All of them, with the words of proxy. */
#define WR_UP_DIRS(p, T, u)                                                                        \
    WR_UP_DIRS_PEER(p, T, u, wr_up_next_words), WR_UP_DIRS_SOCKET(p, T, u),                        \
        WR_UP_DIRS_LOWAT(p, T, u), WR_UP_DIRS_RELAY(p, T, u)

#endif
