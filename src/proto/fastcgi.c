/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fastcgi.c: fastcgi_pass: a protocol table (up/proto.h) over the records of proto/fcgi_codec.h and
 * the heads of proto/cgi_codec.h. A request is BEGIN_REQUEST, PARAMS, and STDIN records made of the
 * client's body as it comes; an answer is STDOUT, with STDERR between, which goes to the error log.
 *
 *   process_header   records -> text, gathered in one piece -> cgi head
 *   input_filter     records -> body; DONE at END_REQUEST, or at the end of STDOUT when the
 *                    connection is not kept
 *
 * Thread of the request.
 */
#include "proto/fastcgi.h"

#include <string.h>

#include "base/log.h"
#include "http/regex.h"
#include "proto/cgi_codec.h"
#include "proto/fcgi_codec.h"
#include "proto/simple.h"

#define STDERR_MAX 4096 /* bytes of standard error in one line of the log */

/* Of one request, reset for each try. */
struct fastcgi_ctx {
    struct wr_fcgi_reader rd;
    struct wr_cgi_head head;
    size_t raw_off;          /* bytes of the head's records that were read */
    struct wr_strbuf text;   /* standard output so far, while it may be head */
    struct wr_strbuf errors; /* standard error that was not logged yet */
    uint64_t left;           /* of the body by Content-Length; WR_LENGTH_UNKNOWN: not told */
    bool has_more;           /* bytes behind that came */
    bool has_caught;         /* standard error had a text of fastcgi_catch_stderr */
};

/* --- the request --- */

/* Parameters of more than one record: they lie behind `at`, without headers, and are cut up. */
static void cut_params(struct wr_proto_req *q, struct wr_strbuf *b, size_t at)
{
    size_t len = b->len - at, off, n;
    char header[WR_FCGI_HEADER], *copy = wr_arena_bytes(q->arena, len);

    if (copy == NULL) {
        b->status = WR_ENOMEM;
        return;
    }
    memcpy(copy, b->ptr + at, len);
    b->len = at - WR_FCGI_HEADER;
    for (off = 0; off < len; off += n) {
        n = WR_MIN(len - off, (size_t)WR_FCGI_CONTENT_MAX);
        wr_fcgi_write_header(header, WR_FCGI_PARAMS, n);
        wr_strbuf_add(b, header, sizeof(header));
        wr_strbuf_add(b, copy + off, n);
    }
}

static enum wr_status add_pair(struct wr_strbuf *b, struct wr_str name, struct wr_str value)
{
    wr_fcgi_add_pair(b, name, value);
    return b->status;
}

static void reset_ctx(struct wr_proto_req *q)
{
    struct fastcgi_ctx *fx = q->ctx;

    *fx = (struct fastcgi_ctx){.left = WR_LENGTH_UNKNOWN};
    wr_fcgi_reader_init(&fx->rd);
    wr_cgi_head_init(&fx->head);
    wr_strbuf_init_arena(&fx->text, q->arena, WR_SIMPLE_REQUEST_MAX);
    wr_strbuf_init_arena(&fx->errors, q->arena, STDERR_MAX);
}

static enum wr_status create_request(struct wr_proto_req *q, struct wr_strbuf *out)
{
    const struct wr_fastcgi_loc *lc = q->conf;
    char header[WR_FCGI_HEADER] = {0};
    enum wr_status st;
    size_t at, len;

    reset_ctx(q);
    wr_fcgi_add_begin(out, lc->keep_conn);
    wr_strbuf_add(out, header, sizeof(header));
    at = out->len;
    st = wr_cgi_add_params(q->req, &lc->cgi, out, add_pair);
    if (st != WR_OK || out->status != WR_OK) {
        return st != WR_OK ? st : out->status;
    }
    len = out->len - at;
    if (len > WR_FCGI_CONTENT_MAX) {
        cut_params(q, out, at);
    } else if (len > 0) {
        wr_fcgi_write_header(out->ptr + at - WR_FCGI_HEADER, WR_FCGI_PARAMS, len);
    } else {
        out->len = at - WR_FCGI_HEADER;
    }
    wr_fcgi_write_header(header, WR_FCGI_PARAMS, 0);
    wr_strbuf_add(out, header, sizeof(header));
    return out->status;
}

static size_t frame_body(struct wr_proto_req *q, size_t n, char *buf)
{
    (void)q; /* a frame is its length, and no more */
    wr_fcgi_write_header(buf, WR_FCGI_STDIN, n);
    return WR_FCGI_HEADER;
}

/* --- standard error --- */

static bool has_text(struct wr_str s, struct wr_str what)
{
    size_t i;

    for (i = 0; i + what.len <= s.len; i++) {
        if (memcmp(s.ptr + i, what.ptr, what.len) == 0) {
            return true;
        }
    }
    return false;
}

/* What was gathered goes to the log, in one line without the line ends behind it. */
static void log_errors(struct wr_proto_req *q, const char *when)
{
    const struct wr_fastcgi_loc *lc = q->conf;
    struct fastcgi_ctx *fx = q->ctx;
    struct wr_str text = wr_strbuf_str(&fx->errors);
    uint32_t i;

    if (text.len == 0) {
        return;
    }
    for (i = 0; i < lc->catch_stderr.cnt && !fx->has_caught; i++) {
        fx->has_caught = has_text(text, lc->catch_stderr.at[i]);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r')) {
        text.len--;
    }
    if (text.len > 0) {
        wr_log(&q->req->log, WR_LOG_ERROR, "FastCGI sent in stderr: \"%.*s\" while %s",
               WR_STR_ARG(text), when);
    }
    wr_strbuf_reset(&fx->errors);
}

static void take_errors(struct wr_proto_req *q, struct wr_str s, const char *when)
{
    struct fastcgi_ctx *fx = q->ctx;
    size_t n;

    while (s.len > 0) {
        n = WR_MIN(s.len, STDERR_MAX - fx->errors.len);
        wr_strbuf_add(&fx->errors, s.ptr, n);
        s = wr_str_sub(s, n, s.len);
        if (fx->errors.len == STDERR_MAX || fx->errors.status != WR_OK) {
            log_errors(q, when);
        }
    }
}

#define IN_HEAD "reading response header from upstream"
#define IN_BODY "reading upstream"

/* --- the head --- */

static enum wr_proto_result say_bad(struct wr_proto_req *q)
{
    const struct fastcgi_ctx *fx = q->ctx;
    struct wr_strbuf b;

    wr_strbuf_init_arena(&b, q->arena, 256);
    wr_fcgi_bad_text(&fx->rd, &b);
    q->why = b.status == WR_OK ? wr_strbuf_str(&b) : WR_STR_NULL;
    return WR_PROTO_INVALID;
}

/* Text behind what is there; its slices in the message follow when it moves. */
static bool keep_text(struct wr_proto_req *q, struct wr_str data)
{
    struct fastcgi_ctx *fx = q->ctx;
    const char *old = fx->text.ptr;
    size_t len = fx->text.len;

    wr_strbuf_add_str(&fx->text, data);
    if (fx->text.ptr != old && old != NULL) {
        wr_msg_rebase(q->head, old, len, fx->text.ptr);
    }
    return fx->text.status == WR_OK;
}

/* A piece of standard output while the head is read. *ret_extra bytes at its end are body. */
static enum wr_proto_result feed_head(struct wr_proto_req *q, struct wr_str data, size_t *ret_extra)
{
    struct fastcgi_ctx *fx = q->ctx;
    size_t used;

    if (!keep_text(q, data)) {
        q->why = WR_STR("upstream sent too big header");
        return fx->text.status == WR_ELIMIT ? WR_PROTO_INVALID : WR_PROTO_FAILED;
    }
    switch (wr_cgi_head_parse(&fx->head, fx->text.ptr, fx->text.len, q->head, &used)) {
    case WR_CGI_DONE:
        *ret_extra = fx->text.len - used;
        q->length = fx->left = fx->head.length;
        return WR_PROTO_DONE;
    case WR_CGI_MORE:
        return WR_PROTO_AGAIN;
    case WR_CGI_BAD:
        q->why = wr_cgi_head_why(&fx->head, q->arena);
        return WR_PROTO_INVALID;
    case WR_CGI_NOMEM:
        return WR_PROTO_FAILED;
    }
    WR_UNREACHABLE();
}

/* An end before the head was whole. */
static enum wr_proto_result end_early(struct wr_proto_req *q)
{
    log_errors(q, IN_HEAD);
    q->why = WR_STR("upstream prematurely closed FastCGI stdout");
    return WR_PROTO_INVALID;
}

/* One event of the records. AGAIN: more of them. */
static enum wr_proto_result head_event(struct wr_proto_req *q, enum wr_fcgi_event ev,
                                       struct wr_str data, size_t *used)
{
    struct fastcgi_ctx *fx = q->ctx;
    enum wr_proto_result res;
    size_t extra = 0;

    if (ev != WR_FCGI_ERR && ev != WR_FCGI_MORE) {
        log_errors(q, IN_HEAD);
    }
    switch (ev) {
    case WR_FCGI_MORE:
        return WR_PROTO_AGAIN;
    case WR_FCGI_ERR:
        take_errors(q, data, IN_HEAD);
        return WR_PROTO_AGAIN;
    case WR_FCGI_OUT:
        if (fx->has_caught) {
            return WR_PROTO_INVALID;
        }
        res = feed_head(q, data, &extra);
        if (res == WR_PROTO_DONE) {
            wr_fcgi_unread(&fx->rd, extra);
            *used -= extra;
        }
        return res;
    case WR_FCGI_OUT_CLOSED:
    case WR_FCGI_ENDED:
        return end_early(q);
    case WR_FCGI_BAD:
        return say_bad(q);
    }
    WR_UNREACHABLE();
}

static enum wr_proto_result process_header(struct wr_proto_req *q, const char *p, size_t n,
                                           size_t *ret_used)
{
    struct fastcgi_ctx *fx = q->ctx;
    enum wr_proto_result res = WR_PROTO_AGAIN;

    while (res == WR_PROTO_AGAIN && fx->raw_off < n) {
        struct wr_str data = WR_STR_NULL;
        size_t used = 0;
        enum wr_fcgi_event ev =
            wr_fcgi_read(&fx->rd, p + fx->raw_off, n - fx->raw_off, &used, &data);

        res = head_event(q, ev, data, &used);
        fx->raw_off += used;
    }
    if (res == WR_PROTO_DONE) {
        *ret_used = fx->raw_off;
    }
    return res;
}

/* --- the body --- */

/* Bytes beyond Content-Length are dropped, and the connection is not used again. */
static struct wr_str clip(struct wr_proto_req *q, struct wr_str data)
{
    struct fastcgi_ctx *fx = q->ctx;

    if (fx->left == WR_LENGTH_UNKNOWN) {
        return data;
    }
    if (data.len > fx->left && !fx->has_more) {
        fx->has_more = true;
        wr_log(
            &q->req->log, WR_LOG_WARN,
            "upstream sent more data than specified in \"Content-Length\" header while " IN_BODY);
    }
    data.len = (size_t)WR_MIN((uint64_t)data.len, fx->left);
    fx->left -= data.len;
    return data;
}

static enum wr_proto_result end_body(struct wr_proto_req *q, bool is_kept)
{
    const struct wr_fastcgi_loc *lc = q->conf;
    const struct fastcgi_ctx *fx = q->ctx;

    log_errors(q, IN_BODY);
    if (fx->left != WR_LENGTH_UNKNOWN && fx->left > 0) {
        q->why = WR_STR("upstream prematurely closed FastCGI stdout");
        return WR_PROTO_INVALID;
    }
    q->keep = is_kept && lc->keep_conn && !fx->has_more;
    return WR_PROTO_DONE;
}

/* One event. AGAIN: more of them; with data, it is to be handed over first. */
static enum wr_proto_result body_event(struct wr_proto_req *q, enum wr_fcgi_event ev,
                                       struct wr_str data, struct wr_str *ret_data)
{
    const struct wr_fastcgi_loc *lc = q->conf;

    switch (ev) {
    case WR_FCGI_MORE:
        return WR_PROTO_AGAIN;
    case WR_FCGI_ERR:
        take_errors(q, data, IN_BODY);
        return WR_PROTO_AGAIN;
    case WR_FCGI_OUT:
        log_errors(q, IN_BODY);
        *ret_data = clip(q, data);
        return WR_PROTO_AGAIN;
    case WR_FCGI_OUT_CLOSED:
        return lc->keep_conn ? WR_PROTO_AGAIN : end_body(q, false);
    case WR_FCGI_ENDED:
        return end_body(q, true);
    case WR_FCGI_BAD:
        return say_bad(q);
    }
    WR_UNREACHABLE();
}

static enum wr_proto_result input_filter(struct wr_proto_req *q, const char *p, size_t n,
                                         size_t *ret_used, struct wr_str *ret_data)
{
    struct fastcgi_ctx *fx = q->ctx;
    enum wr_proto_result res = WR_PROTO_AGAIN;
    size_t used = 0;

    while (res == WR_PROTO_AGAIN && used < n && ret_data->len == 0) {
        struct wr_str data = WR_STR_NULL;
        size_t m = 0;
        enum wr_fcgi_event ev = wr_fcgi_read(&fx->rd, p + used, n - used, &m, &data);

        used += m;
        res = body_event(q, ev, data, ret_data);
    }
    *ret_used = used;
    return res;
}

static enum wr_status reinit_request(struct wr_proto_req *q)
{
    log_errors(q, IN_HEAD); /* of the try before */
    return WR_OK;
}

static void finalize_request(struct wr_proto_req *q, unsigned status)
{
    (void)status; /* nothing is held but memory of the arena */
    log_errors(q, IN_BODY);
}

static const struct wr_proto_table fastcgi_table = {
    .name = "fastcgi",
    .create_request = create_request,
    .reinit_request = reinit_request,
    .process_header = process_header,
    .input_filter = input_filter,
    .frame_body = frame_body,
    .frame_max = WR_FCGI_CONTENT_MAX,
    .finalize_request = finalize_request,
};

WR_PROTO_SIMPLE(fastcgi, fastcgi_table);

/* --- directives --- */

static const struct wr_pass_scheme schemes[] = {
    {WR_STR_INIT("fastcgi://"), false}
};

static const struct wr_cgi_kind fastcgi_kind = {
    .prefix = "fastcgi",
    .conf = &wr_fastcgi_conf,
    .proto = &fastcgi,
    .schemes = {schemes, WR_ARRAY_LEN(schemes)},
    .ctx_size = sizeof(struct fastcgi_ctx)
};

static enum wr_status set_split(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct wr_fastcgi_loc *lc = conf;
    struct wr_str err;
    enum wr_status st;

    (void)dir; /* the field is known */
    st = wr_regex_new(cf->arena, wr_node_arg(node, 0), WR_REGEX_CASE, &lc->split, &err);
    if (st == WR_ECONFIG) {
        return wr_conf_err(cf, node, "%.*s", WR_STR_ARG(err));
    }
    if (st != WR_OK) {
        return wr_conf_nomem(cf);
    }
    if (wr_regex_group_cnt(lc->split) != 2) {
        return wr_conf_err(cf, node, "pattern \"%.*s\" must have 2 captures",
                           WR_STR_ARG(wr_node_arg(node, 0)));
    }
    return WR_OK;
}

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    return kind == WR_KIND_LOC ? wr_cgi_merged(cf, s, &fastcgi_kind, parent, conf) : WR_OK;
}

#define ROW(nm, how, field, setter, dflt, text)                                                    \
    {                                                                                              \
        .name = "fastcgi_" nm, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .flags = how,      \
        WR_DIR_FIELD(LOC, struct wr_fastcgi_loc, field), .set = setter, .def = dflt, .doc = text   \
    }

static const struct wr_dir fastcgi_dirs[] = {
    WR_CGI_DIRS("fastcgi", struct wr_fastcgi_loc, cgi, &fastcgi_kind),
    WR_UP_DIRS_LOWAT("fastcgi", struct wr_fastcgi_loc, cgi.up),
    ROW("index", 0, index, wr_set_str, NULL,
        "Name behind a path that ends in \"/\", for $fastcgi_script_name."),
    ROW("split_path_info", WR_DIR_REPEAT, split, set_split, NULL,
        "Regular expression: its first part is $fastcgi_script_name, its second $fastcgi_path_info."),
    ROW("keep_conn", 0, keep_conn, wr_set_flag, "off", "Keeps connections to applications."),
    ROW("catch_stderr", WR_DIR_REPEAT, catch_stderr, wr_set_strs, NULL,
        "A text in the application's standard error that makes its answer invalid."),
    WR_DIR_END};

struct wr_conf_module wr_fastcgi_conf = {.name = "fastcgi",
                                         .dirs = fastcgi_dirs,
                                         .size = {[WR_KIND_LOC] = sizeof(struct wr_fastcgi_loc)},
                                         .merged = merged};

/* --- variables --- */

enum fastcgi_var {
    SCRIPT_NAME,
    PATH_INFO
};

/* Without a match of fastcgi_split_path_info the whole path is the script. */
static void split_path(const struct wr_req *r, const struct wr_fastcgi_loc *lc,
                       struct wr_str *ret_script, struct wr_str *ret_info)
{
    struct wr_str caps[3];
    uint32_t cnt;

    *ret_script = r->uri.path;
    *ret_info = WR_STR_NULL;
    if (lc->split != NULL && wr_regex_exec(lc->split, r->uri.path, caps, 3, &cnt) == WR_OK) {
        *ret_script = caps[1];
        *ret_info = caps[2];
    }
}

static enum wr_status get_part(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    const struct wr_fastcgi_loc *lc = wr_req_conf(r, &wr_fastcgi_conf, WR_KIND_LOC);
    struct wr_str script, info;

    (void)rest; /* no prefix */
    split_path(r, lc, &script, &info);
    if (v->data == PATH_INFO) {
        *ret = info;
        return WR_OK;
    }
    if (lc->index.len == 0 || script.len == 0 || script.ptr[script.len - 1] != '/') {
        *ret = script;
        return WR_OK;
    }
    return wr_arena_printf(r->arena, ret, "%.*s%.*s", WR_STR_ARG(script), WR_STR_ARG(lc->index));
}

static const struct wr_var fastcgi_vars[] = {
    {"fastcgi_script_name", get_part, SCRIPT_NAME, WR_VAR_NOCACHE},
    {"fastcgi_path_info",   get_part, PATH_INFO,   WR_VAR_NOCACHE},
};

const struct wr_module wr_fastcgi_module = {
    .conf = &wr_fastcgi_conf, .vars = fastcgi_vars, .var_cnt = WR_ARRAY_LEN(fastcgi_vars)};
