/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached.c: memcached_pass: a protocol table (up/proto.h): one key is asked for, the value is
 * the body. The type of the answer comes from the URI; that there is no such key is a 404 of our
 * own. Thread of the request.
 */
#include "proto/memcached.h"

#include <string.h>

#include "base/log.h"
#include "conf/scope.h"
#include "http/core_conf.h"
#include "http/mime.h"
#include "proto/mc_codec.h"
#include "proto/simple.h"

/* Behind a value; of "END" alone its last byte is left for the filter. */
static const char trailer[] = "\r\nEND\r\n";
#define TRAILER_LEN (sizeof(trailer) - 1)

/* Of one request. */
struct memcached_ctx {
    struct wr_str key;   /* as configured */
    struct wr_str asked; /* as sent */
    uint64_t left;       /* bytes of the value */
    size_t trailer_off;  /* bytes of the trailer that came */
};

/* --- the table --- */

static enum wr_status create_request(struct wr_proto_req *q, struct wr_strbuf *out)
{
    struct memcached_ctx *mx = q->ctx;

    q->no_body = true;
    mx->left = 0;
    mx->trailer_off = 0;
    wr_mc_write_get(out, mx->key, &mx->asked);
    return out->status;
}

static enum wr_proto_result say_bad(struct wr_proto_req *q, const char *what, struct wr_str line)
{
    const struct memcached_ctx *mx = q->ctx;
    enum wr_status st;

    line = wr_str_sub(line, 0, 256);
    if (what == NULL) {
        st = wr_arena_printf(q->arena, &q->why, "memcached sent invalid response: \"%.*s\"",
                             WR_STR_ARG(line));
    } else {
        st = wr_arena_printf(q->arena, &q->why,
                             "memcached sent invalid %s in response \"%.*s\" for key \"%.*s\"",
                             what, WR_STR_ARG(line), WR_STR_ARG(mx->key));
    }
    return st == WR_OK ? WR_PROTO_INVALID : WR_PROTO_FAILED;
}

static enum wr_proto_result take_value(struct wr_proto_req *q, const struct wr_mc_head *m)
{
    const struct wr_memcached_loc *lc = q->conf;
    struct memcached_ctx *mx = q->ctx;
    struct wr_str type = wr_mime_type_of(wr_core_loc_of(q->req), q->req->uri.path);
    enum wr_status st = WR_OK;

    q->head->status = 200;
    q->head->reason = WR_STR("OK");
    q->length = mx->left = m->length;
    q->keep = true;
    if (type.len != 0) {
        st = wr_hdrs_add_id(&q->head->hdrs, WR_HDR_CONTENT_TYPE, type);
    }
    if (st == WR_OK && m->has_flags && (m->flags & lc->gzip_flag) != 0) {
        st = wr_hdrs_add(&q->head->hdrs, WR_STR("Content-Encoding"), WR_STR("gzip"));
    }
    return st == WR_OK ? WR_PROTO_DONE : WR_PROTO_FAILED;
}

static enum wr_proto_result take_none(struct wr_proto_req *q, size_t *used)
{
    struct memcached_ctx *mx = q->ctx;

    wr_log(&q->req->log, WR_LOG_INFO,
           "key: \"%.*s\" was not found by memcached while reading response header from upstream",
           WR_STR_ARG(mx->key));
    q->head->status = 404;
    q->head->reason = wr_status_reason(404);
    q->length = 0;
    q->keep = true;
    /* The filter ends the answer, and is asked only when there are bytes. */
    mx->trailer_off = TRAILER_LEN - 1;
    *used -= 1;
    return WR_PROTO_DONE;
}

static enum wr_proto_result process_header(struct wr_proto_req *q, const char *p, size_t n,
                                           size_t *ret_used)
{
    const struct memcached_ctx *mx = q->ctx;
    struct wr_mc_head m;

    switch (wr_mc_parse(p, n, mx->asked, &m, ret_used)) {
    case WR_MC_VALUE:
        return take_value(q, &m);
    case WR_MC_NONE:
        return take_none(q, ret_used);
    case WR_MC_MORE:
        return WR_PROTO_AGAIN;
    case WR_MC_BAD:
        return say_bad(q, NULL, m.line);
    case WR_MC_BAD_KEY:
        return say_bad(q, "key", m.line);
    case WR_MC_BAD_LENGTH:
        return say_bad(q, "length", m.line);
    }
    WR_UNREACHABLE();
}

/* The value is with the client when its trailer is wrong: the connection is not used again. */
static enum wr_proto_result end_broken(struct wr_proto_req *q)
{
    wr_log(&q->req->log, WR_LOG_ERROR,
           "memcached sent invalid trailer while reading response header from upstream");
    q->keep = false;
    return WR_PROTO_DONE;
}

static enum wr_proto_result input_filter(struct wr_proto_req *q, const char *p, size_t n,
                                         size_t *ret_used, struct wr_str *ret_data)
{
    struct memcached_ctx *mx = q->ctx;
    size_t m = (size_t)WR_MIN((uint64_t)n, mx->left), t;

    if (m > 0) {
        mx->left -= m;
        *ret_data = wr_str(p, m);
        *ret_used = m;
        return WR_PROTO_AGAIN;
    }
    t = WR_MIN(n, TRAILER_LEN - mx->trailer_off);
    *ret_used = t;
    if (memcmp(p, trailer + mx->trailer_off, t) != 0) {
        return end_broken(q);
    }
    mx->trailer_off += t;
    return mx->trailer_off == TRAILER_LEN ? WR_PROTO_DONE : WR_PROTO_AGAIN;
}

static void finalize_request(struct wr_proto_req *q, unsigned status)
{
    (void)q, (void)status; /* nothing is held but memory of the arena */
}

static const struct wr_proto_table memcached_table = {
    .name = "memcached",
    .create_request = create_request,
    .process_header = process_header,
    .input_filter = input_filter,
    .finalize_request = finalize_request,
};

static const struct wr_simple_codec memcached_codec = WR_SIMPLE_CODEC_INIT(memcached_table);
static const struct wr_proto memcached = {WR_SIMPLE_PROTO_FIELDS("memcached", memcached_codec),
                                          .has_own_404 = true};

/* --- the content --- */

static const struct wr_pass_scheme scheme_list[] = {
    {WR_STR_INIT("memcached://"), false}
};
static const struct wr_pass_schemes schemes = {scheme_list, WR_ARRAY_LEN(scheme_list)};

static enum wr_status find_key(struct wr_req *r, const struct wr_memcached_pass *p,
                               struct wr_str *ret)
{
    enum wr_status st = wr_template_eval(r, &p->key, ret);

    if (st == WR_OK && ret->len == 0) {
        wr_log(&r->log, WR_LOG_ERROR, "the \"$memcached_key\" variable is not set");
        st = WR_EPROTO;
    }
    return st;
}

static enum wr_status start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    const struct wr_memcached_pass *p = conf;
    struct wr_memcached_loc *lc = wr_req_conf(r, &wr_memcached_conf, WR_KIND_LOC);
    struct wr_up_start st_up = {
        .conf = &lc->up, .proto = &memcached, .proto_conf = lc, .drop_body = true};
    struct memcached_ctx *mx = wr_arena_zalloc(r->arena, sizeof(*mx));
    const struct wr_pass_scheme *scheme;
    struct wr_proto_req *q;
    struct wr_str host;
    struct wr_up *u;
    enum wr_status st;

    if (mx == NULL) {
        return WR_ENOMEM;
    }
    if (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD) {
        wr_req_fail(r, 405);
        return WR_ECANCELED;
    }
    st = find_key(r, p, &mx->key);
    if (st == WR_OK) {
        st = wr_pass_find(r, &p->to, &st_up, &scheme, &host);
    }
    if (st == WR_EPROTO) {
        wr_req_fail(r, 500);
        return WR_ECANCELED;
    }
    if (st == WR_OK) {
        st = wr_up_new(r, &st_up, &u);
    }
    if (st != WR_OK) {
        return st;
    }
    q = wr_simple_req(u);
    if (q == NULL) {
        return WR_ENOMEM;
    }
    q->ctx = mx;
    *ret = &u->content;
    return WR_OK;
}

/* --- directives --- */

static enum wr_status set_pass(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct wr_memcached_loc *lc = conf;
    struct wr_memcached_pass *p = wr_arena_zalloc(cf->arena, sizeof(*p));
    enum wr_status st;

    (void)dir; /* no field */
    if (p == NULL) {
        return wr_conf_nomem(cf);
    }
    st = wr_pass_set(cf, node, &schemes, &p->to);
    if (st == WR_OK) {
        st = wr_arg_template(cf, node, 0, WR_STR("$memcached_key"), &p->key);
    }
    if (st != WR_OK) {
        return st;
    }
    lc->pass = p;
    return wr_core_set_content(cf, node, start, p);
}

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    struct wr_memcached_loc *lc = conf;

    (void)parent; /* only the handler is inherited, by if{} */
    if (kind != WR_KIND_LOC) {
        return WR_OK;
    }
    lc->up.force_ranges = true; /* a value is a whole file */
    return wr_up_conf_merged(cf, s, &lc->up, "memcached", (struct wr_up_given){0},
                             (struct wr_up_hidden){NULL, 0});
}

static const struct wr_bounds flag_bounds = {.max = UINT32_MAX};

/* clang-format off */
static const struct wr_dir memcached_dirs[] = {
    {.name = "memcached_pass", .contexts = WR_CTX_LOCATION | WR_CTX_IF_LOCATION, .min = 1, .max = 1,
     .flags = WR_DIR_REPEAT, /* wr_core_set_content finds a second one, of any *_pass */
     WR_DIR_CONF(LOC), .set = set_pass,
     .doc = "Answers with the value of $memcached_key at a group, an address or a unix socket."},
    WR_UP_DIRS_PEER("memcached", struct wr_memcached_loc, up, wr_up_next_store_words),
    WR_UP_ROW_DATA("memcached", "_gzip_flag", 1, 1, struct wr_memcached_loc, gzip_flag, wr_set_num,
                   &flag_bounds, NULL, "Bits of a value's flags that mean Content-Encoding: gzip."),
    WR_DIR_END};
/* clang-format on */

struct wr_conf_module wr_memcached_conf = {
    .name = "memcached",
    .dirs = memcached_dirs,
    .size = {[WR_KIND_LOC] = sizeof(struct wr_memcached_loc)},
    .merged = merged};

const struct wr_module wr_memcached_module = {.conf = &wr_memcached_conf};
