/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress_static.c: gzip_static, brotli_static, zstd_static: the file "NAME.gz", ".br" or ".zst"
 * in the place of NAME, in the order that the client likes. `always` sends it to anybody, behind
 * what was asked for. A handler of the content phase in front of the one for plain files: when
 * there is no such file, or none for this client, that one goes on. Request's thread.
 */
#include <errno.h>

#include "http/core_conf.h"
#include "http/mime.h"
#include "http/open_file.h"
#include "http/path.h"
#include "io/file.h"
#include "io/pipe.h"
#include "mod/compress_int.h"

static const struct wr_str suffixes[WR_CODING_CNT] = {
    [WR_CODING_GZIP] = WR_STR_INIT(".gz"),
    [WR_CODING_BROTLI] = WR_STR_INIT(".br"),
    [WR_CODING_ZSTD] = WR_STR_INIT(".zst"),
};

static enum wr_phase_result fail(struct wr_req *r)
{
    wr_req_fail(r, 500);
    return WR_PHASE_DONE;
}

/* The file of a coding, NULL: there is none, or it cannot be read. */
static enum wr_status open_file(struct wr_req *r, struct wr_str path, enum wr_coding coding,
                                struct wr_file **ret)
{
    struct wr_found found = {.file = NULL};
    struct wr_str name;
    int err = 0;
    enum wr_status st = wr_arena_printf(r->arena, &name, "%.*s%.*s", WR_STR_ARG(path),
                                        WR_STR_ARG(suffixes[coding]));

    if (st == WR_OK) {
        st = wr_open_file(r, name, WR_OPEN_READ, &found, &err);
    }
    if (st == WR_ESYS) {
        if (!wr_open_is_missing(err)) {
            wr_log_errno(&r->log, err == EACCES ? WR_LOG_ERROR : WR_LOG_CRIT, err,
                         "open() \"%.*s\" failed", WR_STR_ARG(name));
        }
        st = WR_OK;
    }
    if (st == WR_OK) {
        *ret = found.file;
    }
    return st;
}

/* The answer to a file that was asked for and not got. */
static enum wr_phase_result wait_or_fail(struct wr_req *r, enum wr_status st)
{
    return st == WR_AGAIN ? WR_PHASE_AGAIN : fail(r);
}

/* Takes the reference of f in every case. */
static enum wr_phase_result send_file(struct wr_req *r, struct wr_file *f, enum wr_coding coding)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wr_slice s = {.kind = WR_SLICE_FILE, .len = f->size};
    struct wr_str etag;
    enum wr_status st;

    r->out.status = 200;
    r->out.content_length = f->size;
    r->out_mtime = f->mtime;
    r->out_type = wr_mime_type_of(lc, r->uri.path);
    st = wr_hdrs_set_id(&r->out.hdrs, WR_HDR_CONTENT_ENCODING, wr_coding_name(coding));
    if (st == WR_OK && lc->etag) {
        st = wr_arena_printf(r->arena, &etag, "\"%llx-%llx\"", (unsigned long long)f->mtime,
                             (unsigned long long)f->size);
        if (st == WR_OK) {
            st = wr_hdrs_set_id(&r->out.hdrs, WR_HDR_ETAG, etag);
        }
    }
    if (st == WR_OK && f->size > 0 && r->head->method != WR_METHOD_HEAD) {
        r->out_pipe = wr_pipe_new(1, NULL, NULL);
        st = r->out_pipe ? WR_OK : WR_ENOMEM;
    }
    if (st == WR_OK && r->out_pipe) {
        s.u.file = wr_file_ref(f);
        st = wr_pipe_push(r->out_pipe, s);
        wr_pipe_eof(r->out_pipe);
        wr_pipe_leave_producer(r->out_pipe);
    }
    wr_file_unref(f);
    if (st != WR_OK) {
        return fail(r);
    }
    if (wr_req_respond(r) != WR_OK) {
        wr_req_cancel(r, WR_REASON_CLIENT_GONE); /* the first reason stays */
    }
    return WR_PHASE_DONE;
}

/* Bits of the codings whose directive has this value. */
static unsigned bits_with(const struct wr_compress_loc *lc, enum wr_press_static how)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < WR_CODING_CNT; i++) {
        bits |= lc->by[i].is_static == how ? 1u << i : 0;
    }
    return bits;
}

/* What this client may have, best first; the others of `always` behind it. CNT: no more. */
static enum wr_coding next_coding(struct wr_codings *c, unsigned *wanted, unsigned *always)
{
    enum wr_coding best = wr_codings_choose(c, *wanted | *always);

    if (best == WR_CODING_CNT && *always != 0) {
        best = (enum wr_coding)__builtin_ctz(*always);
    }
    if (best != WR_CODING_CNT) {
        *wanted &= ~(1u << best);
        *always &= ~(1u << best);
    }
    return best;
}

/* Is there a file that another client would have got? Only asked when Vary has to say so. */
static enum wr_status look_for_others(struct wr_req *r, struct wr_str path, unsigned bits)
{
    struct wr_compress_ctx *ctx = wr_req_ctx(r, &wr_compress_module, sizeof(*ctx));
    enum wr_status st = ctx ? WR_OK : WR_ENOMEM;

    for (unsigned i = 0; i < WR_CODING_CNT && st == WR_OK && !ctx->is_static_varied; i++) {
        struct wr_file *f = NULL;

        if ((bits >> i & 1) != 0) {
            st = open_file(r, path, (enum wr_coding)i, &f);
            ctx->is_static_varied = st == WR_OK && f != NULL;
            wr_file_unref(f);
        }
    }
    return st;
}

static enum wr_phase_result try_files(struct wr_req *r, const struct wr_compress_loc *lc,
                                      struct wr_str path)
{
    unsigned wanted = bits_with(lc, WR_PRESS_STATIC_ON), asked = wanted;
    unsigned always = bits_with(lc, WR_PRESS_STATIC_ALWAYS);
    struct wr_codings c;
    enum wr_coding coding;
    enum wr_status st = WR_OK;

    wr_codings_read(&r->head->hdrs, &c);
    if (!wr_compress_is_client_fit(r, lc) || !wr_compress_is_proxied_fit(r, lc->proxied)) {
        wanted = 0;
    }
    while ((coding = next_coding(&c, &wanted, &always)) != WR_CODING_CNT) {
        struct wr_file *f = NULL;

        st = open_file(r, path, coding, &f);
        if (st != WR_OK) {
            return wait_or_fail(r, st);
        }
        if (f) {
            struct wr_compress_ctx *ctx = wr_req_ctx(r, &wr_compress_module, sizeof(*ctx));

            if (!ctx) {
                wr_file_unref(f);
                return fail(r);
            }
            ctx->is_static_varied = lc->by[coding].is_static == WR_PRESS_STATIC_ON;
            return send_file(r, f, coding);
        }
    }
    if (lc->vary && asked != 0) {
        st = look_for_others(r, path, asked);
    }
    return st == WR_OK ? WR_PHASE_NEXT : wait_or_fail(r, st);
}

enum wr_phase_result wr_compress_run_static(struct wr_req *r)
{
    const struct wr_compress_loc *lc = wr_req_conf(r, &wr_compress_conf, WR_KIND_LOC);
    struct wr_str path = r->uri.path;

    if (!lc || !lc->is_any_static || (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD) ||
        path.len == 0 || path.ptr[path.len - 1] == '/') {
        return WR_PHASE_NEXT;
    }
    if (wr_path_map(r, path, &path) != WR_OK) {
        return WR_PHASE_NEXT; /* the handler behind says what is wrong */
    }
    return try_files(r, lc, path);
}
