/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply.c: answers of our own (reply.h): texts, redirects, error_page and the built-in pages, and
 * internal redirects. The shape of a page is the one that users of nginx know; codes 494 to 497 are
 * shown as 400 with a line that says more.
 */
#include "http/reply.h"

#include "http/core_conf.h"
#include "http/filter.h"
#include "http/location.h"
#include "http/module.h"
#include "http/req_int.h"

#define PAGE_MAX 4096

struct page {
    uint16_t status;
    uint16_t shown;    /* status of the response */
    const char *title; /* NULL: number and reason */
    const char *more;  /* a further line */
};

/* clang-format off */
static const struct page pages[] = {
    {301, 301, NULL, NULL},
    {302, 302, "302 Found", NULL},
    {303, 303, NULL, NULL},
    {307, 307, NULL, NULL},
    {308, 308, NULL, NULL},
    {400, 400, NULL, NULL},
    {401, 401, "401 Authorization Required", NULL},
    {402, 402, NULL, NULL},
    {403, 403, NULL, NULL},
    {404, 404, NULL, NULL},
    {405, 405, NULL, NULL},
    {406, 406, NULL, NULL},
    {409, 409, NULL, NULL},
    {410, 410, NULL, NULL},
    {411, 411, NULL, NULL},
    {412, 412, NULL, NULL},
    {413, 413, NULL, NULL},
    {414, 414, NULL, NULL},
    {415, 415, NULL, NULL},
    {416, 416, NULL, NULL},
    {417, 417, NULL, NULL},
    {421, 421, NULL, NULL},
    {429, 429, NULL, NULL},
    {431, 431, NULL, NULL},
    {494, 400, "400 Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large"},
    {495, 400, "400 The SSL certificate error", "The SSL certificate error"},
    {496, 400, "400 No required SSL certificate was sent", "No required SSL certificate was sent"},
    {497, 400, "400 The plain HTTP request was sent to HTTPS port",
     "The plain HTTP request was sent to HTTPS port"},
    {500, 500, NULL, NULL},
    {501, 501, NULL, NULL},
    {502, 502, NULL, NULL},
    {503, 503, NULL, NULL},
    {504, 504, NULL, NULL},
    {505, 505, NULL, NULL},
    {507, 507, NULL, NULL},
};

/* clang-format on */

static const struct page *find_page(unsigned status)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(pages); i++) {
        if (pages[i].status == status) {
            return &pages[i];
        }
    }
    return NULL;
}

/* What an nginx log shows for the four that are ours alone. */
static unsigned shown_status(unsigned status)
{
    const struct page *p = find_page(status);

    return p ? p->shown : status;
}

/* ---- sending -------------------------------------------------------------------------------- */

static void drop_pipe(struct wr_req *r)
{
    if (r->out_pipe && !wr_reqx_of(r)->is_out_given) {
        wr_pipe_leave_consumer(r->out_pipe);
    }
    r->out_pipe = NULL;
}

/* A whole body as a pipe. NULL: memory. */
static struct wr_pipe *pipe_of_text(struct wr_str body)
{
    struct wr_pipe *p = wr_pipe_new(body.len + 1, NULL, NULL);
    struct wr_slice s = {.kind = WR_SLICE_CONST, .off = 0, .len = body.len};

    if (!p) {
        return NULL;
    }
    s.u.text = body.ptr;
    if (wr_pipe_push(p, s) != WR_OK) {
        wr_pipe_leave_producer(p);
        wr_pipe_leave_consumer(p);
        return NULL;
    }
    wr_pipe_eof(p);
    wr_pipe_leave_producer(p);
    return p;
}

static void reply(struct wr_req *r, unsigned status, struct wr_str type, struct wr_str body)
{
    r->out.status = (uint16_t)status;
    r->out.reason = WR_STR_NULL;
    r->out_type = type;
    r->out.content_length = body.len;
    drop_pipe(r);
    if (body.len > 0) {
        r->out_pipe = pipe_of_text(body);
        if (!r->out_pipe) {
            wr_req_cancel(r, WR_REASON_NOMEM);
            return;
        }
    }
    if (wr_req_respond(r) != WR_OK) {
        /* The client is gone, or memory: wr_req_respond has seen to the end. */
        wr_req_cancel(r, WR_REASON_CLIENT_GONE);
    }
}

void wr_reply_text(struct wr_req *r, unsigned status, struct wr_str type, struct wr_str body)
{
    reply(r, status, type.len > 0 ? type : wr_core_loc_of(r)->default_type, body);
}

static enum wr_status write_page(struct wr_req *r, const struct page *p, struct wr_str *ret)
{
    struct wr_str reason = wr_status_reason(p->shown);
    struct wr_strbuf b;
    char title[96];
    struct wr_strbuf t;

    wr_strbuf_init_fixed(&t, title, sizeof(title));
    if (p->title) {
        wr_strbuf_add_z(&t, p->title);
    } else {
        wr_strbuf_printf(&t, "%u %.*s", p->shown, WR_STR_ARG(reason));
    }
    wr_strbuf_init_arena(&b, r->arena, PAGE_MAX);
    wr_strbuf_printf(&b, "<html>\r\n<head><title>%.*s</title></head>\r\n<body>\r\n<center><h1>",
                     WR_STR_ARG(wr_strbuf_str(&t)));
    if (p->more) {
        wr_strbuf_printf(&b, "%u %.*s</h1></center>\r\n<center>%s</center>\r\n", p->shown,
                         WR_STR_ARG(reason), p->more);
    } else {
        wr_strbuf_printf(&b, "%.*s</h1></center>\r\n", WR_STR_ARG(wr_strbuf_str(&t)));
    }
    wr_strbuf_printf(&b, "<hr><center>%.*s</center>\r\n</body>\r\n</html>\r\n",
                     WR_STR_ARG(wr_filter_server_name(r)));
    if (b.status != WR_OK) {
        return b.status;
    }
    *ret = wr_strbuf_str(&b);
    return WR_OK;
}

void wr_reply_page(struct wr_req *r, unsigned status)
{
    const struct page *p = find_page(status);
    struct wr_str body = WR_STR_NULL;

    if (p && write_page(r, p, &body) != WR_OK) {
        wr_req_cancel(r, WR_REASON_NOMEM);
        return;
    }
    if (p) {
        wr_reply_text(r, p->shown, WR_STR("text/html"), body);
    } else {
        reply(r, status, WR_STR_NULL, WR_STR_NULL);
    }
}

void wr_reply_redirect(struct wr_req *r, unsigned status, struct wr_str location)
{
    struct wr_hdrs *h = &r->out.hdrs;

    if (wr_hdrs_set_id(h, WR_HDR_LOCATION, location) != WR_OK) {
        wr_req_cancel(r, WR_REASON_NOMEM);
        return;
    }
    r->err_status = 0; /* also where an error page leads elsewhere */
    wr_reply_page(r, status);
}

/* ---- internal redirects ---------------------------------------------------------------------- */

static enum wr_replied end_cycle(struct wr_req *r, struct wr_str to)
{
    bool is_named = to.len > 0 && to.ptr[0] == '@';

    wr_log(&r->log, WR_LOG_ERROR, "rewrite or internal redirection cycle while %s \"%.*s\"",
           is_named ? "redirect to named location" : "internally redirecting to", WR_STR_ARG(to));
    r->err_status = 0;
    wr_reqx_of(r)->is_keepable = false;
    wr_req_reset_out(r);
    wr_reply_page(r, 500);
    return WR_REPLIED;
}

static enum wr_replied go_to_named(struct wr_req *r, struct wr_str name)
{
    const struct wr_location *l = wr_locations_named(r->server->locations, name);

    if (!l) {
        wr_log(&r->log, WR_LOG_ERROR, "could not find named location \"%.*s\"", WR_STR_ARG(name));
        r->err_status = 0;
        wr_reqx_of(r)->is_keepable = false;
        wr_req_reset_out(r);
        wr_reply_page(r, 500);
        return WR_REPLIED;
    }
    wr_req_use_location(r, l);
    r->phase = WR_PHASE_REWRITE;
    return WR_REPLY_REDIRECTED;
}

enum wr_replied wr_reply_internal(struct wr_req *r, struct wr_str uri, struct wr_str args)
{
    if (r->redirects >= WR_REQ_REDIRECTS_MAX) {
        return end_cycle(r, uri);
    }
    r->redirects++;
    r->is_internal = true;
    r->ctx = NULL; /* contexts of modules are fresh (U12.3) */
    wr_subs_cancel(wr_reqx_of(r), WR_SUBS_AWAITED);
    wr_reqx_of(r)->access_status = 0;
    wr_reqx_of(r)->access_at_ms = 0;
    r->phase_next = 0;
    r->out.content_length = WR_LENGTH_UNKNOWN;
    drop_pipe(r);
    if (uri.len > 0 && uri.ptr[0] == '@') {
        return go_to_named(r, uri);
    }
    r->uri = (struct wr_uri){.raw = uri, .path = uri, .args = args, .has_args = args.len > 0};
    r->uri_changed = true;
    r->phase = WR_PHASE_SERVER_REWRITE;
    wr_req_use_location(r, NULL);
    return WR_REPLY_REDIRECTED;
}

/* ---- error_page ----------------------------------------------------------------------------- */

/* Errors behind which the connection cannot be trusted, or where we would rather not go on. */
static bool ends_connection(unsigned status)
{
    switch (status) {
    case 400:
    case 413:
    case 414:
    case 494:
    case 495:
    case 496:
    case 497:
    case 500:
    case 501:
    case 505:
        return true;
    default: /* statuses are numbers from anywhere */
        return false;
    }
}

static const struct wr_error_page *find_error_page(struct wr_req *r, unsigned status)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);

    if (wr_reqx_of(r)->is_last_page) {
        return NULL;
    }
    for (uint32_t i = 0; i < lc->error_pages.cnt; i++) {
        if (lc->error_pages.at[i].status == status) {
            return &lc->error_pages.at[i];
        }
    }
    return NULL;
}

static bool has_controls(struct wr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* A page elsewhere: the client is sent there. */
static enum wr_replied redirect_client(struct wr_req *r, const struct wr_error_page *ep,
                                       struct wr_str uri)
{
    unsigned status = 302;

    if (ep->overwrite == 301 || ep->overwrite == 303 || ep->overwrite == 307 ||
        ep->overwrite == 308) {
        status = (unsigned)ep->overwrite;
    }
    r->err_status = 0;
    if (has_controls(uri)) { /* U14.1: what a variable holds must not end a line */
        wr_log(&r->log, WR_LOG_ERROR, "the error page's URL holds control characters");
        wr_reply_page(r, 400);
    } else {
        wr_reply_redirect(r, status, uri);
    }
    return WR_REPLIED;
}

static enum wr_replied send_error_page(struct wr_req *r, const struct wr_error_page *ep,
                                       unsigned status)
{
    struct wr_str uri = WR_STR_NULL, args = WR_STR_NULL;
    size_t q;

    /* Known to $status in the URI. */
    r->err_status = (uint16_t)(ep->overwrite < 0 ? shown_status(status) : (unsigned)ep->overwrite);
    if (wr_template_eval(r, ep->uri, &uri) != WR_OK) {
        r->err_status = 0;
        wr_reply_page(r, 500);
        return WR_REPLIED;
    }
    r->is_error_page = true;
    wr_reqx_of(r)->is_last_page = !wr_core_loc_of(r)->recursive_error_pages;
    if (uri.len == 0 || (uri.ptr[0] != '/' && uri.ptr[0] != '@')) {
        return redirect_client(r, ep, uri);
    }
    if (uri.ptr[0] == '@') {
        r->keep_method = true;
        return wr_reply_internal(r, uri, WR_STR_NULL);
    }
    if (r->method != WR_METHOD_HEAD) {
        r->method = WR_METHOD_GET;
        r->method_name = wr_method_name(WR_METHOD_GET);
    }
    /* The page is asked for without the client's body. */
    wr_req_body_release(r);
    r->body_state = WR_BODY_NONE;
    q = wr_str_find(uri, '?');
    if (q < uri.len) {
        args = wr_str_sub(uri, q + 1, uri.len);
        uri = wr_str_sub(uri, 0, q);
    }
    return wr_reply_internal(r, uri, args);
}

enum wr_replied wr_reply_error(struct wr_req *r, unsigned status)
{
    struct wr_reqx *x = wr_reqx_of(r);
    const struct wr_error_page *ep;

    if (status == 408 || status == 444 || status == 499) {
        r->status = (uint16_t)status;
        x->is_silent = true;
        return WR_REPLY_SILENT;
    }
    if (ends_connection(status)) {
        x->is_keepable = false;
    }
    wr_req_reset_out(r);
    ep = find_error_page(r, status);
    if (ep) {
        return send_error_page(r, ep, status);
    }
    r->err_status = 0;
    wr_reply_page(r, status);
    return WR_REPLIED;
}
