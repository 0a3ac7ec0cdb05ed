/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headers.c: `add_header`, `add_trailer`, their _inherit, and `expires`.
 *
 *   slot HEADERS   expires, then the fields in their order: before any stage, so that values see
 *                  the response as its source made it
 *   slot TRAILER   a stage without a take in front of the client: at the end of the body the values
 *                  are evaluated and become what the codec sends behind the last chunk
 *
 * Fields without `always` go out with the statuses that the documents name. A block that has one of
 * these directives has those of no other block, but for `*_inherit merge`. The fields that end a
 * message (Content-Length, Transfer-Encoding, Connection) are the codec's: they are left out, with
 * a word when the configuration is read. So are fields whose value would end the line. Request's
 * thread.
 */
#include "mod/headers.h"

#include "base/chars.h"
#include "base/clock.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/h1_write.h"
#include "http/module.h"
#include "io/pipe.h"
#include "mod/expires.h"

struct add_row {
    struct wr_str name;
    struct wr_template value;
    uint8_t id; /* enum wr_hdr_id */
    bool is_always;
};

struct add_rows {
    struct add_row *at;
    uint32_t cnt, _cap;
};

enum inherit_how {
    INHERIT_ON,
    INHERIT_OFF,
    INHERIT_MERGE
};

struct expires_conf {
    struct wr_expires value;        /* with a text: only whether it counts from the modification */
    const struct wr_template *text; /* NULL: value holds */
};

struct headers_loc {
    struct wr_conf_head head;
    struct add_rows headers, trailers;
    uint32_t headers_how, trailers_how; /* enum inherit_how */
    struct expires_conf expires;        /* zero: off */
};

struct trailer_stage {
    struct wr_stage stage; /* first */
    const struct add_rows *rows;
};

static struct wr_conf_module headers_conf;

/* ---- expires ----------------------------------------------------------------------------------
 */

/* The statuses that the documentation of add_header and expires names. */
static bool is_usual_status(unsigned status)
{
    switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}

/* What the text says now; one that says nothing of use is as `off`. */
static enum wr_status read_expires(struct wr_req *r, const struct headers_loc *lc,
                                   struct wr_expires *ret)
{
    struct wr_str s;
    const char *why;
    enum wr_status st;

    *ret = lc->expires.value;
    if (!lc->expires.text) {
        return WR_OK;
    }
    st = wr_template_eval(r, lc->expires.text, &s);
    if (st == WR_OK && wr_expires_parse(s,
                                        ret->how == WR_EXPIRES_MODIFIED ? WR_EXPIRES_FROM_MODIFIED
                                                                        : WR_EXPIRES_FROM_NOW,
                                        ret, &why) != WR_OK) {
        *ret = (struct wr_expires){.how = WR_EXPIRES_OFF};
    }
    return st;
}

static enum wr_status set_expires_fields(struct wr_req *r, const struct wr_expires *e)
{
    char text[WR_EXPIRES_AGE_MAX];
    char *date = wr_arena_bytes(r->arena, WR_HTTP_DATE_LEN);
    struct wr_str age;
    uint32_t len;
    int64_t at, mtime = e->how == WR_EXPIRES_MODIFIED ? wr_req_mtime(r) : -1;
    enum wr_status st;

    if (!date) {
        return WR_ENOMEM;
    }
    wr_expires_eval(e, (int64_t)(wr_clock_wall_ms() / 1000), mtime, &at, text, &len);
    wr_clock_write_http_date(date, at);
    st = wr_arena_dup(r->arena, wr_str(text, len), &age);
    if (st == WR_OK) {
        st = wr_hdrs_set_id(&r->out.hdrs, WR_HDR_EXPIRES, wr_str(date, WR_HTTP_DATE_LEN));
    }
    return st == WR_OK ? wr_hdrs_set_id(&r->out.hdrs, WR_HDR_CACHE_CONTROL, age) : st;
}

static enum wr_status apply_expires(struct wr_req *r, const struct headers_loc *lc)
{
    struct wr_expires e;
    enum wr_status st;

    if (lc->expires.value.how == WR_EXPIRES_OFF || !is_usual_status(r->out.status)) {
        return WR_OK;
    }
    st = read_expires(r, lc, &e);
    return st == WR_OK && e.how != WR_EXPIRES_OFF ? set_expires_fields(r, &e) : st;
}

/* ---- add_header -------------------------------------------------------------------------------
 */

/* Last-Modified: "" takes it away; a date is what conditions and `expires` see from now on. */
static enum wr_status set_last_modified(struct wr_req *r, struct wr_str value)
{
    int64_t t;

    if (wr_hdrs_has(&r->out.hdrs, WR_HDR_LAST_MODIFIED)) {
        wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_LAST_MODIFIED);
    }
    r->out_mtime = -1;
    r->is_mtime_unread = false;
    if (value.len == 0) {
        return WR_OK;
    }
    if (wr_clock_parse_http_date(value, &t) == WR_OK) {
        r->out_mtime = t;
    }
    return wr_hdrs_push(&r->out.hdrs, WR_STR("Last-Modified"), value, WR_HDR_LAST_MODIFIED);
}

/* Of these a response has one or none: ours replaces it. */
static bool is_single(enum wr_hdr_id id)
{
    return id == WR_HDR_ETAG || id == WR_HDR_CONTENT_TYPE || id == WR_HDR_LOCATION ||
           id == WR_HDR_SERVER || id == WR_HDR_DATE;
}

static enum wr_status add_field(struct wr_req *r, const struct add_row *row, struct wr_str value)
{
    enum wr_hdr_id id = (enum wr_hdr_id)row->id;

    if (id == WR_HDR_LAST_MODIFIED) {
        return set_last_modified(r, value);
    }
    if (value.len == 0) {
        if (id == WR_HDR_ETAG) {
            wr_hdrs_remove_id(&r->out.hdrs, id); /* as documented for Last-Modified */
        }
        return WR_OK;
    }
    return is_single(id) ? wr_hdrs_set_id(&r->out.hdrs, id, value)
                         : wr_hdrs_push(&r->out.hdrs, row->name, value, id);
}

/* U14.1: a variable of the value must not end the line. WR_EPROTO: it would. */
static enum wr_status eval_row(struct wr_req *r, const struct add_row *row, const char *what,
                               struct wr_str *ret)
{
    enum wr_status st = wr_template_eval(r, &row->value, ret);

    if (st == WR_OK && !wr_h1_value_is_safe(*ret)) {
        wr_log(&r->log, WR_LOG_ERROR,
               "the value of \"%s %.*s\" has CR, LF or NUL, the field is left out", what,
               WR_STR_ARG(row->name));
        return WR_EPROTO;
    }
    return st;
}

static enum wr_status add_headers(struct wr_req *r, const struct add_rows *rows)
{
    bool is_usual = is_usual_status(r->out.status);

    for (uint32_t i = 0; i < rows->cnt; i++) {
        const struct add_row *row = &rows->at[i];
        struct wr_str value;
        enum wr_status st;

        if (!is_usual && !row->is_always) {
            continue;
        }
        st = eval_row(r, row, "add_header", &value);
        if (st == WR_OK) {
            st = add_field(r, row, value);
        }
        if (st != WR_OK && st != WR_EPROTO) {
            return st;
        }
    }
    return WR_OK;
}

static enum wr_status run_headers(struct wr_req *r)
{
    const struct headers_loc *lc = wr_req_conf(r, &headers_conf, WR_KIND_LOC);
    enum wr_status st;

    if (!lc) {
        return WR_OK;
    }
    st = apply_expires(r, lc);
    return st == WR_OK ? add_headers(r, &lc->headers) : st;
}

/* ---- add_trailer ------------------------------------------------------------------------------
 */

static bool is_row_wanted(const struct add_row *row, unsigned status)
{
    return row->is_always || (is_usual_status(status) && status != 204 && status != 304);
}

static bool wants_trailers(const struct wr_req *r, const struct add_rows *rows)
{
    for (uint32_t i = 0; i < rows->cnt; i++) {
        if (is_row_wanted(&rows->at[i], r->out.status)) {
            return true;
        }
    }
    return false;
}

/* Those that a peer sent, in a list that has room for ours. */
static struct wr_hdrs *make_list(struct wr_req *r, uint32_t more)
{
    const struct wr_hdrs *old = r->stream->trailers_out;
    struct wr_hdrs *h = wr_arena_alloc(r->arena, sizeof(*h));
    uint32_t cnt = old ? old->cnt : 0;

    if (!h) {
        return NULL;
    }
    wr_hdrs_init(h, r->arena, cnt + more);
    for (uint32_t i = 0; i < cnt; i++) {
        const struct wr_hdr *f = &old->at[i];

        if (!f->is_removed && wr_hdrs_push(h, f->name, f->value, (enum wr_hdr_id)f->id) != WR_OK) {
            return NULL;
        }
    }
    return h;
}

/* The body is whole: the codec has not seen its end yet. */
static enum wr_status finish_trailers(struct wr_stage *g)
{
    const struct add_rows *rows = ((const struct trailer_stage *)(const void *)g)->rows;
    struct wr_req *r = g->req;
    struct wr_hdrs *h = make_list(r, rows->cnt);

    if (!h) {
        return WR_ENOMEM;
    }
    for (uint32_t i = 0; i < rows->cnt; i++) {
        const struct add_row *row = &rows->at[i];
        struct wr_str value;
        enum wr_status st;

        if (!is_row_wanted(row, r->out.status)) {
            continue;
        }
        st = eval_row(r, row, "add_trailer", &value);
        if (st == WR_OK && value.len > 0) {
            st = wr_hdrs_push(h, row->name, value, (enum wr_hdr_id)row->id);
        }
        if (st != WR_OK && st != WR_EPROTO) {
            return st;
        }
    }
    r->stream->trailers_out = h;
    return WR_OK;
}

static const struct wr_stage_ops trailer_ops = {.name = "trailers", .finish = finish_trailers};

/* A response without a body has a place for trailers all the same. */
static enum wr_status ensure_pipe(struct wr_req *r)
{
    if (!r->out_pipe) {
        r->out_pipe = wr_pipe_new(1, NULL, NULL);
        if (!r->out_pipe) {
            return WR_ENOMEM;
        }
        wr_pipe_eof(r->out_pipe);
        wr_pipe_leave_producer(r->out_pipe);
    }
    return WR_OK;
}

static enum wr_status run_trailers(struct wr_req *r)
{
    const struct headers_loc *lc = wr_req_conf(r, &headers_conf, WR_KIND_LOC);
    struct trailer_stage *g;
    enum wr_status st;

    if (!lc || lc->trailers.cnt == 0 || r->stream->version != 11 || !wr_core_loc_of(r)->chunked ||
        r->out.status < 200 || wr_status_is_bodyless(r->out.status, r->head->method) ||
        !wants_trailers(r, &lc->trailers)) {
        return WR_OK;
    }
    g = wr_arena_zalloc(r->arena, sizeof(*g));
    st = g ? ensure_pipe(r) : WR_ENOMEM;
    if (st == WR_OK) {
        g->rows = &lc->trailers;
        st = wr_stage_add(r, &g->stage, &trailer_ops, WR_STAGE_HIGH);
    }
    if (st == WR_OK) {
        r->out.content_length = WR_LENGTH_UNKNOWN;
    }
    return st;
}

/* ---- directives -------------------------------------------------------------------------------
 */

enum row_kind {
    ROW_HEADER,
    ROW_TRAILER
};

/* Fields that are the codec's (RFC 9112 6), or that must not come behind a body (RFC 9110 6.5.1).
 */
static bool is_refused_id(enum wr_hdr_id id, enum row_kind kind)
{
    if (id == WR_HDR_CONTENT_LENGTH || id == WR_HDR_TRANSFER_ENCODING || id == WR_HDR_CONNECTION ||
        id == WR_HDR_KEEP_ALIVE) {
        return true;
    }
    return kind == ROW_TRAILER &&
           (id == WR_HDR_CONTENT_ENCODING || id == WR_HDR_CONTENT_TYPE ||
            id == WR_HDR_CONTENT_RANGE || id == WR_HDR_TRAILER || id == WR_HDR_TE ||
            id == WR_HDR_HOST || id == WR_HDR_SET_COOKIE || id == WR_HDR_CACHE_CONTROL);
}

static bool is_name(struct wr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!wr_char_is((unsigned char)s.ptr[i], WR_CH_TOKEN)) {
            return false;
        }
    }
    return s.len > 0;
}

static enum wr_status set_row(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct add_rows *rows = (struct add_rows *)(void *)((char *)conf + dir->offset);
    enum row_kind kind =
        dir->offset == offsetof(struct headers_loc, headers) ? ROW_HEADER : ROW_TRAILER;
    struct add_row row = {.name = wr_node_arg(node, 0)};
    struct add_row *to;
    enum wr_status st = wr_arg_template(cf, node, 1, wr_node_arg(node, 1), &row.value);

    if (st != WR_OK) {
        return st;
    }
    if (node->arg_cnt == 3 && !wr_str_eq(wr_node_arg(node, 2), WR_STR("always"))) {
        return wr_arg_invalid(cf, node, 2);
    }
    row.is_always = node->arg_cnt == 3;
    row.id = (uint8_t)wr_hdr_id_of(row.name);
    if (!is_name(row.name) || is_refused_id((enum wr_hdr_id)row.id, kind)) {
        wr_conf_warn(cf, node, "\"%.*s\" cannot be added to a response, \"%s\" is ignored",
                     WR_STR_ARG(row.name), dir->name);
        return WR_OK;
    }
    to = wr_array_push(cf->arena, rows);
    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = row;
    return WR_OK;
}

static enum wr_status set_expires(struct wr_conf *cf, const struct wr_dir *dir,
                                  const struct wr_node *node, void *conf)
{
    struct expires_conf *e = &((struct headers_loc *)conf)->expires;
    enum wr_expires_from from = WR_EXPIRES_FROM_NOW;
    struct wr_str s = wr_node_arg(node, node->arg_cnt - 1);
    const char *why = NULL;
    struct wr_template *t;

    (void)dir; /* one row */
    if (node->arg_cnt == 2) {
        if (!wr_str_eq(wr_node_arg(node, 0), WR_STR("modified"))) {
            return wr_conf_err_dir(cf, node, "invalid value");
        }
        from = WR_EXPIRES_FROM_MODIFIED;
    }
    if (!wr_template_has_vars(s)) {
        return wr_expires_parse(s, from, &e->value, &why) == WR_OK
                   ? WR_OK
                   : wr_conf_err_dir(cf, node, "%s", why);
    }
    t = wr_arena_alloc(cf->arena, sizeof(*t));
    if (!t) {
        return wr_conf_nomem(cf);
    }
    e->value.how = from == WR_EXPIRES_FROM_MODIFIED ? WR_EXPIRES_MODIFIED : WR_EXPIRES_ACCESS;
    e->text = t;
    return wr_arg_template(cf, node, node->arg_cnt - 1, s, t);
}

static const struct wr_word inherit_words[] = {
    {"on",    INHERIT_ON   },
    {"off",   INHERIT_OFF  },
    {"merge", INHERIT_MERGE},
    WR_WORDS_END
};

/* clang-format off */

static const struct wr_dir dirs[] = {
    {.name = "add_header", .contexts = WR_CTX_HTTP_ALL_IF, .min = 2, .max = 3, .flags = WR_DIR_REPEAT, .set = set_row,
     WR_DIR_FIELD(LOC, struct headers_loc, headers),
     .doc = "A field of the response head; without always only with the statuses 200, 201, 204, 206, 301 - 304, 307 and 308."},
    {.name = "add_header_inherit", .contexts = WR_CTX_HTTP_ALL_IF, .min = 1, .max = 1, .set = wr_set_enum,
     .data = inherit_words, WR_DIR_FIELD(LOC, struct headers_loc, headers_how), .def = "on",
     .doc = "Whether add_header of the block around holds where there is none (on), never (off), or always (merge)."},
    {.name = "add_trailer", .contexts = WR_CTX_HTTP_ALL_IF, .min = 2, .max = 3, .flags = WR_DIR_REPEAT, .set = set_row,
     WR_DIR_FIELD(LOC, struct headers_loc, trailers),
     .doc = "A field behind the body of the response, evaluated then; makes it chunked."},
    {.name = "add_trailer_inherit", .contexts = WR_CTX_HTTP_ALL_IF, .min = 1, .max = 1, .set = wr_set_enum,
     .data = inherit_words, WR_DIR_FIELD(LOC, struct headers_loc, trailers_how), .def = "on",
     .doc = "As add_header_inherit, for add_trailer."},
    {.name = "expires", .contexts = WR_CTX_HTTP_ALL_IF, .min = 1, .max = 2, .set = set_expires,
     WR_DIR_FIELD(LOC, struct headers_loc, expires), .def = "off",
     .doc = "Sets Expires and Cache-Control: [modified] time, @time of day, epoch, max, off, or a variable."},
    WR_DIR_END
};

/* clang-format on */

/* What holds in this block, when the rule is not the usual one. */
static enum wr_status merge_rows(struct wr_conf *cf, enum inherit_how how, bool is_set,
                                 const struct add_rows *outer, struct add_rows *rows)
{
    struct add_rows all = {NULL, 0, 0};

    if (how == INHERIT_ON || (how == INHERIT_MERGE && (!is_set || !outer || outer->cnt == 0))) {
        return WR_OK;
    }
    if (how == INHERIT_OFF) {
        if (!is_set) {
            *rows = all;
        }
        return WR_OK;
    }
    for (uint32_t i = 0; i < rows->cnt + outer->cnt; i++) {
        struct add_row *to = wr_array_push(cf->arena, &all);

        if (!to) {
            return wr_conf_nomem(cf);
        }
        *to = i < rows->cnt ? rows->at[i] : outer->at[i - rows->cnt];
    }
    *rows = all;
    return WR_OK;
}

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    const struct headers_loc *outer = parent;
    struct headers_loc *lc = conf;
    bool has_headers = wr_conf_is_set(&headers_conf, kind, cf->registry, conf,
                                      offsetof(struct headers_loc, headers));
    bool has_trailers = wr_conf_is_set(&headers_conf, kind, cf->registry, conf,
                                       offsetof(struct headers_loc, trailers));
    enum wr_status st;

    (void)s;
    st = merge_rows(cf, (enum inherit_how)lc->headers_how, has_headers,
                    outer ? &outer->headers : NULL, &lc->headers);
    return st == WR_OK ? merge_rows(cf, (enum inherit_how)lc->trailers_how, has_trailers,
                                    outer ? &outer->trailers : NULL, &lc->trailers)
                       : st;
}

/* own_kinds: `*_inherit off` also takes away from a block that has no directive of ours. */
static struct wr_conf_module headers_conf = {.name = "headers",
                                             .dirs = dirs,
                                             .size = {[WR_KIND_LOC] = sizeof(struct headers_loc)},
                                             .own_kinds = 1u << WR_KIND_LOC,
                                             .merged = merged};

static const struct wr_filter_row filters[] = {
    {WR_FILTER_HEADERS, run_headers },
    {WR_FILTER_TRAILER, run_trailers},
};

const struct wr_module wr_headers_module = {.conf = &headers_conf,
                                            .is_quiet = true,
                                            .filters = filters,
                                            .filter_cnt = WR_ARRAY_LEN(filters)};
