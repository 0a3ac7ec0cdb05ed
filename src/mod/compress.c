/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress.c: two header filters.
 *
 *   DECOMPRESS  gunzip: a gzip response for a client that takes none
 *   COMPRESS    which of gzip, brotli, zstd may be used (switched on here, type, length), whether
 *               the request may have one (gzip_http_version, gzip_disable, gzip_proxied), and which
 *               of them the client likes best (http/coding.h); the stage of its table is added
 *
 * The conditions that are named after gzip hold for all three. A compressor for which there is no
 * memory is left out: the response goes as it is. Facts about nginx's conditions that its documents
 * do not tell were watched from outside, see tests/func/test_gzip.py. Request's thread.
 */
#include "mod/compress.h"

#include "base/clock.h"
#include "http/regex.h"
#include "mod/compress_int.h"

const struct wr_press_codec *const wr_compress_codecs[WR_CODING_CNT] = {
    [WR_CODING_GZIP] = &wr_press_gzip,
    [WR_CODING_BROTLI] = &wr_press_brotli,
    [WR_CODING_ZSTD] = &wr_press_zstd,
};

/* ---- may this request have it? ----------------------------------------------------------------
 */

/* "MSIE 4." to "MSIE 6.", but not with "SV1" behind it. */
static bool is_msie6(struct wr_str agent)
{
    size_t at = wr_str_find_str(agent, WR_STR("MSIE "));
    struct wr_str v = wr_str_sub(agent, at + 5, SIZE_MAX);

    if (at == agent.len || v.len < 2 || v.ptr[0] < '4' || v.ptr[0] > '6' || v.ptr[1] != '.') {
        return false;
    }
    return v.ptr[0] != '6' || wr_str_find_str(v, WR_STR("SV1")) == v.len;
}

static bool is_disabled(const struct wr_req *r, const struct wr_press_disable *d)
{
    const struct wr_hdr *f;

    if (d->cnt == 0 && !d->msie6) {
        return false;
    }
    f = wr_hdrs_get(&r->head->hdrs, WR_HDR_USER_AGENT);
    if (!f) {
        return false;
    }
    if (d->msie6 && is_msie6(f->value)) {
        return true;
    }
    for (uint32_t i = 0; i < d->cnt; i++) {
        if (wr_regex_match(d->at[i], f->value, NULL) != WR_EOF) {
            return true; /* also when the match was given up */
        }
    }
    return false;
}

bool wr_compress_is_client_fit(struct wr_req *r, const struct wr_compress_loc *lc)
{
    return r->head->version >= lc->http_version && !is_disabled(r, &lc->disable);
}

static bool is_expired(const struct wr_req *r, struct wr_str expires)
{
    const struct wr_hdr *date = wr_hdrs_get(&r->out.hdrs, WR_HDR_DATE);
    int64_t at, now = (int64_t)(wr_clock_wall_ms() / 1000);

    if (date && wr_clock_parse_http_date(date->value, &at) == WR_OK) {
        now = at;
    }
    return wr_clock_parse_http_date(expires, &at) == WR_OK && at < now;
}

static bool has_cache_word(const struct wr_req *r, uint32_t proxied)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->out.hdrs, WR_HDR_CACHE_CONTROL);

    for (; f; f = wr_hdrs_next(&r->out.hdrs, f)) {
        if (((proxied & WR_PROXIED_NO_CACHE) != 0 &&
             wr_str_list_has(f->value, WR_STR("no-cache"))) ||
            ((proxied & WR_PROXIED_NO_STORE) != 0 &&
             wr_str_list_has(f->value, WR_STR("no-store"))) ||
            ((proxied & WR_PROXIED_PRIVATE) != 0 && wr_str_list_has(f->value, WR_STR("private")))) {
            return true;
        }
    }
    return false;
}

bool wr_compress_is_proxied_fit(struct wr_req *r, uint32_t proxied)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->out.hdrs, WR_HDR_EXPIRES);

    if (!wr_hdrs_has(&r->head->hdrs, WR_HDR_VIA)) {
        return true;
    }
    if ((proxied & WR_PROXIED_OFF) != 0) {
        return false;
    }
    if ((proxied & WR_PROXIED_ANY) != 0) {
        return true;
    }
    if ((proxied & WR_PROXIED_AUTH) != 0 && wr_hdrs_has(&r->head->hdrs, WR_HDR_AUTHORIZATION)) {
        return true;
    }
    if (f) {
        return (proxied & WR_PROXIED_EXPIRED) != 0 && is_expired(r, f->value);
    }
    if (wr_hdrs_has(&r->out.hdrs, WR_HDR_CACHE_CONTROL)) {
        return has_cache_word(r, proxied);
    }
    if ((proxied & WR_PROXIED_NO_LAST_MODIFIED) != 0 && wr_req_mtime(r) != -1) {
        return false;
    }
    return (proxied & WR_PROXIED_NO_ETAG) == 0 || !wr_hdrs_has(&r->out.hdrs, WR_HDR_ETAG);
}

/* ---- Vary -------------------------------------------------------------------------------------
 */

static enum wr_status add_vary(struct wr_req *r)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->out.hdrs, WR_HDR_VARY);

    for (; f; f = wr_hdrs_next(&r->out.hdrs, f)) {
        if (wr_str_list_has(f->value, WR_STR("Accept-Encoding")) ||
            wr_str_list_has(f->value, WR_STR("*"))) {
            return WR_OK;
        }
    }
    return wr_hdrs_add_id(&r->out.hdrs, WR_HDR_VARY, WR_STR("Accept-Encoding"));
}

/* ---- gunzip -----------------------------------------------------------------------------------
 */

static bool is_gunzip_body(const struct wr_req *r)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->out.hdrs, WR_HDR_CONTENT_ENCODING);

    return f && wr_str_ieq(f->value, WR_STR("gzip")) && wr_stage_has_body(r) &&
           r->out.status != 206;
}

static bool takes_gzip(struct wr_req *r, const struct wr_compress_loc *lc)
{
    struct wr_codings c;

    wr_codings_read(&r->head->hdrs, &c);
    return c.q[WR_CODING_GZIP] > 0 && wr_compress_is_client_fit(r, lc) &&
           wr_compress_is_proxied_fit(r, lc->proxied);
}

static enum wr_status run_gunzip(struct wr_req *r)
{
    const struct wr_compress_loc *lc = wr_req_conf(r, &wr_compress_conf, WR_KIND_LOC);
    const struct wr_press_opts opts = {.size = UINT64_MAX};
    struct wr_press_stage *s;
    enum wr_status st = WR_OK;

    if (!lc || !lc->gunzip || !is_gunzip_body(r)) {
        return WR_OK;
    }
    if (lc->vary && add_vary(r) != WR_OK) {
        return WR_ENOMEM;
    }
    if (takes_gzip(r, lc)) {
        return WR_OK;
    }
    if (r->out_pipe) {
        st = wr_press_add(r, &wr_press_gunzip, &opts,
                          (size_t)lc->gunzip_buffers.num * lc->gunzip_buffers.size, &s);
    }
    if (st != WR_OK) {
        return WR_ENOMEM;
    }
    wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_CONTENT_ENCODING);
    return wr_stage_changes_body(r);
}

/* ---- compression ------------------------------------------------------------------------------
 */

/* The codings that the configuration lets this response have: bits 1 << coding. */
static unsigned get_usable(const struct wr_req *r, const struct wr_compress_loc *lc)
{
    struct wr_str type = wr_req_out_type(r);
    unsigned usable = 0;

    for (unsigned i = 0; i < WR_CODING_CNT; i++) {
        const struct wr_press_conf *p = &lc->by[i];

        if (p->on && r->out.content_length >= p->min_length && wr_mime_set_has(&p->types, type)) {
            usable |= 1u << i;
        }
    }
    return usable;
}

static unsigned bits_of(uint64_t window)
{
    unsigned bits = 0;

    while (window > 1) {
        window >>= 1;
        bits++;
    }
    return bits;
}

static enum wr_status compress_body(struct wr_req *r, const struct wr_press_conf *p,
                                    struct wr_compress_ctx *ctx)
{
    const struct wr_press_opts opts = {
        .level = (int)p->level, .window_bits = bits_of(p->window), .size = r->out.content_length};
    struct wr_press_stage *s = NULL;
    enum wr_status st = wr_press_add(r, wr_compress_codecs[ctx->coding], &opts,
                                     (size_t)p->buffers.num * p->buffers.size, &s);

    ctx->stage = s;
    return st;
}

static enum wr_status apply(struct wr_req *r, const struct wr_compress_loc *lc, unsigned usable)
{
    struct wr_compress_ctx *ctx;
    struct wr_codings c;
    enum wr_coding best;
    enum wr_status st = WR_OK;

    wr_codings_read(&r->head->hdrs, &c);
    best = wr_codings_choose(&c, usable);
    if (best == WR_CODING_CNT || !wr_compress_is_client_fit(r, lc) ||
        !wr_compress_is_proxied_fit(r, lc->proxied)) {
        return WR_OK;
    }
    ctx = wr_req_ctx(r, &wr_compress_module, sizeof(*ctx));
    if (!ctx) {
        return WR_ENOMEM;
    }
    ctx->coding = best;
    if (r->out_pipe) {
        st = compress_body(r, &lc->by[best], ctx);
    }
    if (st != WR_OK) {
        return st == WR_ELIMIT ? WR_OK : st;
    }
    st = wr_hdrs_set_id(&r->out.hdrs, WR_HDR_CONTENT_ENCODING, wr_coding_name(best));
    return st == WR_OK ? wr_stage_changes_body(r) : st;
}

static bool is_status_fit(unsigned status)
{
    return status == 200 || status == 403 || status == 404;
}

static enum wr_status run_compress(struct wr_req *r)
{
    const struct wr_compress_loc *lc = wr_req_conf(r, &wr_compress_conf, WR_KIND_LOC);
    const struct wr_compress_ctx *ctx;
    unsigned usable = 0;
    bool is_varied = false;

    if (!lc || (!lc->is_any_on && !lc->is_any_static)) {
        return WR_OK;
    }
    if (lc->is_any_static) {
        ctx = wr_req_ctx(r, &wr_compress_module, sizeof(*ctx));
        is_varied = ctx && ctx->is_static_varied;
    }
    if (lc->is_any_on && is_status_fit(r->out.status) &&
        !wr_hdrs_has(&r->out.hdrs, WR_HDR_CONTENT_ENCODING) && wr_stage_has_body(r)) {
        usable = get_usable(r, lc);
    }
    if (lc->vary && (usable != 0 || is_varied) && add_vary(r) != WR_OK) {
        return WR_ENOMEM;
    }
    return usable != 0 ? apply(r, lc, usable) : WR_OK;
}

/* ---- variables --------------------------------------------------------------------------------
 */

/* Bytes in by bytes out, "3.45". */
static enum wr_status get_ratio(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    const struct wr_compress_ctx *ctx = wr_req_ctx(r, &wr_compress_module, sizeof(*ctx));
    uint64_t in, out, hundredths;

    (void)rest;
    if (!ctx || !ctx->stage || ctx->coding != v->data || ctx->stage->stage.given == 0) {
        return WR_EOF;
    }
    in = ctx->stage->stage.taken;
    out = ctx->stage->stage.given;
    hundredths = (in % out * 1000 / out + 5) / 10 + in / out * 100;
    return wr_arena_printf(r->arena, ret, "%llu.%02llu", (unsigned long long)(hundredths / 100),
                           (unsigned long long)(hundredths % 100));
}

static const struct wr_var vars[] = {
    {"gzip_ratio",   get_ratio, WR_CODING_GZIP,   WR_VAR_NOCACHE},
    {"brotli_ratio", get_ratio, WR_CODING_BROTLI, WR_VAR_NOCACHE},
    {"zstd_ratio",   get_ratio, WR_CODING_ZSTD,   WR_VAR_NOCACHE},
};

/* ---- the module -------------------------------------------------------------------------------
 */

static enum wr_status adopt_thread(struct wr_gen *g)
{
    (void)g;
    wr_press_pool_enter();
    return WR_OK;
}

static void drop_thread(struct wr_gen *g)
{
    static void (*const ends[WR_PRESS_KINDS])(void *) = {
        wr_press_zlib_end,
        wr_press_zlib_end,
        wr_press_zlib_end,
        wr_press_zlib_end,
        [WR_PRESS_KIND_ZSTD] = wr_press_zstd_end,
    };

    (void)g;
    wr_press_pool_leave(ends);
}

static const struct wr_filter_row filters[] = {
    {WR_FILTER_DECOMPRESS, run_gunzip  },
    {WR_FILTER_COMPRESS,   run_compress},
};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_CONTENT, 800, wr_compress_run_static},
};

const struct wr_module wr_compress_module = {.conf = &wr_compress_conf,
                                             .is_quiet = true,
                                             .vars = vars,
                                             .var_cnt = WR_ARRAY_LEN(vars),
                                             .phases = phases,
                                             .phase_cnt = WR_ARRAY_LEN(phases),
                                             .filters = filters,
                                             .filter_cnt = WR_ARRAY_LEN(filters),
                                             .thread_adopt = adopt_thread,
                                             .thread_drop = drop_thread};
