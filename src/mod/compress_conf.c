/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress_conf.c: the directives of compress.c: one family of rows for each coding, and the
 * conditions that all share. gzip's names, words and defaults are nginx's; those of brotli and zstd
 * are of the modules by which they are known for nginx.
 */
#include "http/regex.h"
#include "mod/compress_int.h"

#define WINDOW_MIN 1024u

static const struct wr_word static_words[] = {
    {"off",    WR_PRESS_STATIC_OFF   },
    {"on",     WR_PRESS_STATIC_ON    },
    {"always", WR_PRESS_STATIC_ALWAYS},
    WR_WORDS_END
};

static const struct wr_word version_words[] = {
    {"1.0", 10},
    {"1.1", 11},
    WR_WORDS_END
};

static const struct wr_word proxied_words[] = {
    {"off",              WR_PROXIED_OFF             },
    {"expired",          WR_PROXIED_EXPIRED         },
    {"no-cache",         WR_PROXIED_NO_CACHE        },
    {"no-store",         WR_PROXIED_NO_STORE        },
    {"private",          WR_PROXIED_PRIVATE         },
    {"no_last_modified", WR_PROXIED_NO_LAST_MODIFIED},
    {"no_etag",          WR_PROXIED_NO_ETAG         },
    {"auth",             WR_PROXIED_AUTH            },
    {"any",              WR_PROXIED_ANY             },
    WR_WORDS_END
};

static const struct wr_bounds gzip_levels = {.min = 1, .max = 9};
static const struct wr_bounds brotli_levels = {.min = 0, .max = 11};
static const struct wr_bounds zstd_levels = {.min = 1, .max = 19};
static const struct wr_buffers_bounds buffers_bounds = {.num_min = 1};

/* A power of two, as the windows of brotli and zstd are. */
static enum wr_status set_window(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    const struct wr_bounds *b = dir->data;
    uint64_t v = 0;
    enum wr_status st = wr_arg_size(cf, node, 0, NULL, &v);

    if (st != WR_OK) {
        return st;
    }
    if (v < b->min || v > b->max || (v & (v - 1)) != 0) {
        return wr_conf_err_dir(cf, node, "must be a power of two from %lluk to %lluk",
                               (unsigned long long)b->min / 1024,
                               (unsigned long long)b->max / 1024);
    }
    *(uint64_t *)(void *)((char *)conf + dir->offset) = v;
    return WR_OK;
}

static const struct wr_bounds window_bounds = {.min = WINDOW_MIN, .max = 8u << 20};

static enum wr_status set_disable(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct wr_press_disable *d = (struct wr_press_disable *)(void *)((char *)conf + dir->offset);

    for (uint32_t i = 0; i < node->arg_cnt; i++) {
        struct wr_str s = wr_node_arg(node, i);
        struct wr_regex *re, **to;
        enum wr_status st;

        if (wr_str_eq(s, WR_STR("msie6"))) {
            d->msie6 = true;
            continue;
        }
        if (wr_str_eq(s, WR_STR("degradation"))) {
            continue; /* a mode of nginx without memory, which weir has not */
        }
        st = wr_regex_compile(cf, node, s, WR_REGEX_ICASE, &re);
        if (st != WR_OK) {
            return st;
        }
        to = wr_array_push(cf->arena, d);
        if (!to) {
            return wr_conf_nomem(cf);
        }
        *to = re;
    }
    return WR_OK;
}

/* clang-format off */

#define FIELD(coding, f) WR_DIR_FIELD(LOC, struct wr_compress_loc, by[WR_CODING_##coding].f)

/* on, types, min_length, comp_level, buffers, static: P is the prefix, C the coding. */
#define BASE(n, ctx, k) .name = n, .contexts = ctx, .min = k, .max = k
#define TYPES(n)                                                                                   \
    .name = n, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = WR_ARGS_ANY, .flags = WR_DIR_REPEAT

/* P: prefix, C: coding */
#define FAMILY(P, C, words, levels, effort)                                                        \
    {BASE(P, WR_CTX_HTTP_ALL_IF, 1), .set = wr_set_flag, FIELD(C, on), .def = "off",               \
     .doc = "Compresses responses with " words " for clients that take it."},                      \
    {TYPES(P "_types"), .set = wr_set_mime_types, .data = "text/html", FIELD(C, types),            \
     .def = "text/html",                                                                           \
     .doc = "Media types beside text/html that are compressed with " words "; * is every type."},  \
    {BASE(P "_min_length", WR_CTX_HTTP_ALL, 1), .set = wr_set_size, FIELD(C, min_length),          \
     .def = "20",                                                                                  \
     .doc = "Shorter responses, if the length is known, are not compressed with " words "."},      \
    {BASE(P "_comp_level", WR_CTX_HTTP_ALL, 1), .set = wr_set_num, .data = &levels, FIELD(C,       \
     level),                                                                                       \
     .def = effort, .doc = "Effort of " words "."},                                                \
    {BASE(P "_buffers", WR_CTX_HTTP_ALL, 2), .set = wr_set_buffers, .data = &buffers_bounds,       \
     FIELD(C, buffers), .def = "32 4k",                                                            \
     .doc = "Number times size: compressed bytes that wait for a client at most."},                \
    {BASE(P "_static", WR_CTX_HTTP_ALL, 1), .set = wr_set_enum, .data = static_words,              \
     FIELD(C, is_static), .def = "off",                                                            \
     .doc = "Sends a file that is there compressed already instead of the one asked for."}

static const struct wr_dir dirs[] = {
    FAMILY("gzip", GZIP, "gzip", gzip_levels, "1"),
    FAMILY("brotli", BROTLI, "brotli", brotli_levels, "6"),
    FAMILY("zstd", ZSTD, "zstd", zstd_levels, "1"),
    {.name = "brotli_window", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = set_window, .data = &window_bounds,
     FIELD(BROTLI, window), .def = "512k", .doc = "How far back brotli looks for what it has seen: a power of two."},
    {.name = "zstd_window", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = set_window, .data = &window_bounds,
     FIELD(ZSTD, window), .def = "512k", .doc = "How far back zstd looks for what it has seen: a power of two."},
    {.name = "gzip_vary", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = wr_set_flag,
     WR_DIR_FIELD(LOC, struct wr_compress_loc, vary), .def = "off",
     .doc = "Adds Vary: Accept-Encoding where gzip, brotli, zstd, gunzip or one of their _static may have a say."},
    {.name = "gzip_proxied", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = WR_ARGS_ANY, .flags = WR_DIR_REPEAT, .set = wr_set_mask,
     .data = proxied_words, WR_DIR_FIELD(LOC, struct wr_compress_loc, proxied), .def = "off",
     .doc = "Which responses are compressed for requests that came through a proxy (Via)."},
    {.name = "gzip_http_version", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = wr_set_enum, .data = version_words,
     WR_DIR_FIELD(LOC, struct wr_compress_loc, http_version), .def = "1.1", .doc = "The least version of a request that has its response compressed."},
    {.name = "gzip_disable", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = WR_ARGS_ANY, .flags = WR_DIR_REPEAT, .set = set_disable,
     WR_DIR_FIELD(LOC, struct wr_compress_loc, disable), .doc = "No compression for clients whose User-Agent matches one of these, or msie6."},
    {.name = "gunzip", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = wr_set_flag,
     WR_DIR_FIELD(LOC, struct wr_compress_loc, gunzip), .def = "off", .doc = "Decompresses gzip responses for clients that do not take gzip."},
    {.name = "gunzip_buffers", .contexts = WR_CTX_HTTP_ALL, .min = 2, .max = 2, .set = wr_set_buffers, .data = &buffers_bounds,
     WR_DIR_FIELD(LOC, struct wr_compress_loc, gunzip_buffers), .def = "32 4k",
     .doc = "Number times size: decompressed bytes that wait for a client at most."},
    WR_DIR_END
};

/* clang-format on */

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    struct wr_compress_loc *lc = conf;

    (void)cf, (void)s, (void)kind, (void)parent;
    lc->is_any_on = lc->is_any_static = false;
    for (int i = 0; i < WR_CODING_CNT; i++) {
        lc->is_any_on = lc->is_any_on || lc->by[i].on;
        lc->is_any_static = lc->is_any_static || lc->by[i].is_static != WR_PRESS_STATIC_OFF;
    }
    return WR_OK;
}

struct wr_conf_module wr_compress_conf = {.name = "compress",
                                          .dirs = dirs,
                                          .size = {[WR_KIND_LOC] = sizeof(struct wr_compress_loc)},
                                          .merged = merged};
