/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.c: HTTP/1.x peers (proxy_pass): where a request goes, what its line and fields are, and the
 * variables about it. The engine does all else. create_request runs once a try, in the request's
 * arena (U4.1, U4.2, U7.3).
 */
#include <stdio.h>

#include "base/chars.h"
#include "base/codec.h"
#include "base/strbuf.h"
#include "http/core_conf.h"
#include "http/h1_conn.h"
#include "http/h1_write.h"
#include "proto/http_int.h"

#define URI_MAX 65536 /* bytes of a request target after escaping */

/* --- where to --- */

static enum wr_status join_args(struct wr_req *r, struct wr_strbuf *b)
{
    if (r->uri.has_args) {
        wr_strbuf_add_char(b, '?');
        wr_strbuf_add_str(b, r->uri.args);
    }
    return b->status;
}

/* The location's part of the path is replaced by the URI of proxy_pass, the rest escaped anew. */
static enum wr_status make_uri(struct wr_req *r, struct wr_str uri, size_t location_len,
                               struct wr_str *ret)
{
    struct wr_strbuf b;
    struct wr_str tail = wr_str_sub(r->uri.path, location_len, r->uri.path.len);

    wr_strbuf_init_arena(&b, r->arena, URI_MAX);
    wr_strbuf_add_str(&b, uri);
    wr_codec_escape(&b, tail, WR_ESCAPE_URI);
    if (join_args(r, &b) != WR_OK) {
        return b.status;
    }
    *ret = wr_strbuf_str(&b);
    return WR_OK;
}

/* The client's own target byte for byte, unless a rewrite or redirect changed it (U4.1). */
static enum wr_status whole_uri(struct wr_req *r, struct wr_str *ret)
{
    if (r->uri_changed) {
        return make_uri(r, WR_STR(""), 0, ret);
    }
    *ret = r->client_uri.raw;
    return WR_OK;
}

static enum wr_status target_uri(struct wr_req *r, const struct proxy_pass *p, struct wr_str *ret)
{
    return p->has_uri && !r->uri_in_place ? make_uri(r, p->uri, p->location_len, ret)
                                          : whole_uri(r, ret);
}

/* A group's name, an address; WR_EOF: a name that only a resolver could tell. */
static enum wr_status find_members(struct wr_req *r, const struct wr_hostport *hp, uint16_t usual,
                                   struct wr_str host, const struct wr_members **ret)
{
    uint16_t port = hp->has_port ? hp->port : usual;
    const struct wr_members *m = wr_group_find(r->gen, hp->host, port, hp->has_port);
    struct wr_addr addr;

    if (m != NULL) {
        *ret = m;
        return WR_OK;
    }
    if (wr_addr_parse_ip(hp->host, port, &addr) != WR_OK) {
        return WR_EOF;
    }
    return wr_group_literal(r->gen, r->arena, host, &addr, ret);
}

/* A URL made of variables (U1.5): a group, an address; names need a resolver. status: what to
 * answer. */
static enum wr_status eval_pass(struct wr_req *r, const struct proxy_pass *p, struct proxy_ctx *px,
                                struct wr_up_start *start, unsigned *ret_status)
{
    struct wr_str url, rest, host;
    struct wr_hostport hp;
    const struct proxy_scheme *sc;
    const char *err = NULL;
    enum wr_status st;
    size_t n;

    *ret_status = 500;
    if (wr_template_eval(r, p->t, &url) != WR_OK) {
        return WR_ENOMEM;
    }
    sc = px->scheme = wr_proxy_scheme_of(url);
    if (!sc) {
        wr_log(&r->log, WR_LOG_ERROR, "invalid URL prefix in \"%.*s\"", WR_STR_ARG(url));
        return WR_EPROTO;
    }
    rest = wr_str_sub(url, sc->prefix.len, url.len);
    n = WR_MIN(wr_str_find(rest, '/'), wr_str_find(rest, '?'));
    host = wr_str_sub(rest, 0, n);
    rest = wr_str_sub(rest, n, rest.len);
    if (wr_hostport_parse(host, &hp, &err) != WR_OK || hp.is_unix) {
        wr_log(&r->log, WR_LOG_ERROR, "%s in upstream \"%.*s\"", err != NULL ? err : "invalid host",
               WR_STR_ARG(host));
        return WR_EPROTO;
    }
    st = find_members(r, &hp, sc->port, host, &start->members);
    if (st != WR_OK && st != WR_EOF) {
        return st;
    }
    if (st == WR_EOF) {
        start->host = hp.host;
        start->host_text = host;
        start->port = hp.has_port ? hp.port : sc->port;
    }
    px->host = hp.has_port && hp.port == sc->port ? hp.host : host;
    px->port =
        hp.has_port ? wr_str_sub(host, wr_str_rfind(host, ':') + 1, host.len) : sc->port_text;
    px->uri = rest; /* used as it is */
    return rest.len != 0 ? WR_OK : whole_uri(r, &px->uri);
}

static enum wr_status find_target(struct wr_req *r, const struct proxy_pass *p,
                                  struct proxy_ctx *px, struct wr_up_start *start,
                                  unsigned *ret_status)
{
    px->pass = p;
    px->scheme = p->scheme;
    if (p->t != NULL) {
        return eval_pass(r, p, px, start, ret_status);
    }
    *ret_status = 500;
    start->members = p->members;
    px->host = p->host;
    px->port = p->port;
    return target_uri(r, p, &px->uri);
}

/* The peer's identity is part of the connection's (U10.4). */
static enum wr_status set_tls(struct wr_req *r, const struct wr_proxy_loc *lc,
                              const struct proxy_ctx *px, struct wr_up_start *start)
{
    return px->scheme->is_tls
               ? wr_up_tls_start(r, &lc->tls, lc->made_tls, px->host, &start->identity, &start->tls)
               : WR_OK;
}

enum wr_status wr_proxy_start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    const struct proxy_pass *p = conf;
    struct wr_proxy_loc *lc = wr_req_conf(r, &wr_proxy_conf, WR_KIND_LOC);
    struct proxy_ctx *px = wr_req_ctx(r, &wr_proxy_module, sizeof(*px));
    struct wr_up_start start = {.conf = &lc->up, .proto = &wr_proxy_proto, .proto_conf = lc};
    struct wr_up *u;
    unsigned status;
    enum wr_status st;

    if (px == NULL) {
        return WR_ENOMEM;
    }
    st = find_target(r, p, px, &start, &status);
    if (st == WR_EPROTO) {
        wr_req_fail(r, status);
        return WR_ECANCELED;
    }
    if (st != WR_OK) {
        return st;
    }
    if (lc->set_body != NULL) {
        px->has_body = true;
        st = wr_template_eval(r, lc->set_body, &px->body);
        if (st != WR_OK) {
            return st;
        }
    }
    start.url_prefix = px->scheme->prefix;
    start.uri = px->uri;
    start.gather_body = px->has_body || !lc->up.pass_request_body ||
                        (lc->http_version == 10 && r->head->framing == WR_FRAMING_CHUNKED);
    st = set_tls(r, lc, px, &start);
    if (st == WR_OK) {
        st = wr_up_new(r, &start, &u);
    }
    if (st != WR_OK) {
        return st;
    }
    u->ctx = px;
    *ret = &u->content;
    return WR_OK;
}

/* --- the request --- */

static bool is_target_safe(struct wr_str uri)
{
    size_t i;

    for (i = 0; i < uri.len; i++) {
        if (!wr_char_is((unsigned char)uri.ptr[i], WR_CH_TARGET)) {
            return false;
        }
    }
    return true;
}

static enum wr_status set_line(struct wr_up *u, const struct wr_proxy_loc *lc, struct wr_msg *m)
{
    struct wr_req *r = u->req;
    const struct proxy_ctx *px = u->ctx;

    /* Escaped or raw targets are safe; one out of variables may hold anything (U14.1). */
    if (px->pass->t != NULL && !is_target_safe(px->uri)) {
        return WR_EPROTO;
    }
    m->version = (uint16_t)lc->http_version;
    m->target = px->uri;
    m->method = r->method;
    m->method_name = r->method_name;
    if (lc->method != NULL) {
        if (wr_template_eval(r, lc->method, &m->method_name) != WR_OK) {
            return WR_ENOMEM;
        }
        if (!wr_h1_value_is_safe(m->method_name)) {
            return WR_EPROTO;
        }
        m->method = wr_method_of(m->method_name);
    }
    return WR_OK;
}

static void set_framing(struct wr_up *u, const struct wr_proxy_loc *lc, struct wr_msg *m)
{
    const struct proxy_ctx *px = u->ctx;
    uint64_t len;

    m->framing = WR_FRAMING_NONE;
    m->content_length = 0;
    if (px->has_body) {
        m->framing = WR_FRAMING_LENGTH;
        m->content_length = px->body.len;
    } else if (lc->up.pass_request_body && wr_req_has_body(u->req, &len)) {
        if (u->body_src == NULL) {
            len = u->req->body_len;
        }
        m->framing = len == WR_LENGTH_UNKNOWN ? WR_FRAMING_CHUNKED : WR_FRAMING_LENGTH;
        m->content_length = len;
    } else if (lc->up.pass_request_body && u->req->head->framing == WR_FRAMING_LENGTH) {
        m->framing = WR_FRAMING_LENGTH; /* Content-Length: 0 stays said */
    }
}

/* One whose value is known only now; WR_EOF: it is not sent. */
static enum wr_status make_field(struct wr_up *u, const struct proxy_field *f, struct wr_hdr *ret)
{
    const struct proxy_ctx *px = u->ctx;
    enum wr_status st = WR_OK;

    *ret = f->ready;
    if (f->kind == FIELD_VALUE) {
        st = wr_template_eval(u->req, &f->value, &ret->value);
    } else if (f->kind == FIELD_HOST) {
        ret->value = px->host;
    }
    if (st != WR_OK) {
        return st;
    }
    if (!wr_h1_value_is_safe(ret->value)) {
        return WR_EPROTO;
    }
    return ret->value.len == 0 ? WR_EOF : WR_OK;
}

/* The field where it is constant, else NULL. */
static const struct wr_hdr *ready_field(const struct proxy_ctx *px, const struct proxy_field *f)
{
    if (f->kind == FIELD_READY) {
        return &f->ready;
    }
    return f->kind == FIELD_HOST && px->pass->t == NULL ? &px->pass->host_field : NULL;
}

static enum wr_status add_own_fields(struct wr_up *u, const struct wr_proxy_loc *lc,
                                     struct wr_msg *m)
{
    struct proxy_ctx *px = u->ctx;
    const struct proxy_field *f;
    struct wr_str connection = WR_STR_NULL;
    struct wr_hdr made;
    enum wr_status st;

    px->asked_upgrade = WR_STR_NULL;
    for (f = lc->fields; f < lc->fields + lc->field_cnt; f++) {
        const struct wr_hdr *h = ready_field(px, f);

        if (h == NULL) {
            st = make_field(u, f, &made);
            if (st == WR_EOF) {
                continue;
            }
            if (st != WR_OK) {
                return st;
            }
            h = &made;
        }
        st = wr_hdrs_push_like(&m->hdrs, h);
        if (st != WR_OK) {
            return st;
        }
        if (h->id == WR_HDR_UPGRADE) {
            px->asked_upgrade = h->value;
        } else if (h->id == WR_HDR_CONNECTION) {
            connection = h->value;
        }
    }
    /* U14.3: a 101 is taken only if the client asked for this very protocol and we say so. */
    if (px->asked_upgrade.len != 0 && (u->req->head->flags & WR_MSG_UPGRADE) != 0 &&
        wr_str_list_has(connection, WR_STR("upgrade"))) {
        m->flags |= WR_MSG_UPGRADE;
        u->wants_upgrade = true;
    }
    return WR_OK;
}

static enum wr_status add_client_fields(struct wr_up *u, const struct wr_proxy_loc *lc,
                                        struct wr_msg *m)
{
    const struct wr_msg *head = u->req->head;
    bool do_look = wr_msg_connection_names(head);
    const struct wr_hdr *h;
    enum wr_status st;

    for (h = head->hdrs.at; h < head->hdrs.at + head->hdrs.cnt; h++) {
        if (h->is_removed || (lc->own_ids & (UINT64_C(1) << h->id)) != 0) {
            continue;
        }
        if (h->id == WR_HDR_OTHER && lc->own_names.cnt != 0 &&
            wr_map_get(&lc->own_names, h->name) != NULL) {
            continue;
        }
        if (do_look && wr_msg_connection_has(head, h->name)) {
            continue;
        }
        st = wr_hdrs_push_like(&m->hdrs, h);
        if (st != WR_OK) {
            return st;
        }
    }
    return WR_OK;
}

static enum wr_status create_request(struct wr_up *u, struct wr_stream *s)
{
    const struct wr_proxy_loc *lc = u->start.proto_conf;
    const struct proxy_ctx *px = u->ctx;
    struct wr_msg *m = wr_arena_alloc(u->req->arena, sizeof(*m));
    enum wr_status st;

    if (m == NULL) {
        return WR_ENOMEM;
    }
    wr_msg_init(m, u->req->arena, u->req->head->hdrs.cnt + lc->field_cnt + 4);
    set_framing(u, lc, m);
    st = set_line(u, lc, m);
    if (st == WR_OK) {
        st = add_own_fields(u, lc, m);
    }
    if (st == WR_OK && lc->up.pass_request_headers) {
        st = add_client_fields(u, lc, m);
    }
    if (st != WR_OK) {
        return st;
    }
    s->head_out = m;
    if (px->has_body && px->body.len != 0) {
        s->out = wr_pipe_new(px->body.len, NULL, NULL);
        if (s->out == NULL || wr_pipe_push_copy(s->out, px->body.ptr, px->body.len) != WR_OK) {
            return WR_ENOMEM;
        }
        wr_pipe_eof(s->out);
    }
    return WR_OK;
}

const struct wr_proto wr_proxy_proto = {.name = "http",
                                        .codec = &wr_h1_codec,
                                        .create_request = create_request,
                                        .rewrite_redirect = wr_proxy_rewrite_redirect,
                                        .rewrite_cookie = wr_proxy_rewrite_cookie};

/* --- variables --- */

enum proxy_var {
    PROXY_HOST,
    PROXY_PORT
};

static enum wr_status get_part(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    const struct proxy_ctx *px = wr_req_ctx(r, &wr_proxy_module, sizeof(*px));

    (void)rest; /* no prefix */
    if (px == NULL) {
        return WR_ENOMEM;
    }
    if (px->pass == NULL) {
        return WR_EOF;
    }
    *ret = v->data == PROXY_HOST ? px->host : px->port;
    return WR_OK;
}

static enum wr_status get_forwarded_for(struct wr_req *r, const struct wr_var *v,
                                        struct wr_str rest, struct wr_str *ret)
{
    struct wr_str had = WR_STR_NULL, addr;
    char text[WR_ADDR_TEXT_MAX];
    enum wr_status st;

    (void)v, (void)rest; /* one variable, no prefix */
    addr = wr_str(text, wr_addr_write_host(&r->peer, text));
    if (wr_hdrs_has(&r->head->hdrs, WR_HDR_X_FORWARDED_FOR)) {
        st = wr_hdrs_join(&r->head->hdrs, WR_STR("X-Forwarded-For"), WR_STR(", "), &had);
        if (st != WR_OK) {
            return st;
        }
    }
    if (had.len == 0) {
        return wr_arena_dup(r->arena, addr, ret);
    }
    return wr_arena_printf(r->arena, ret, "%.*s, %.*s", WR_STR_ARG(had), WR_STR_ARG(addr));
}

static const struct wr_var proxy_vars[] = {
    {"proxy_host",                get_part,          PROXY_HOST, WR_VAR_NOCACHE},
    {"proxy_port",                get_part,          PROXY_PORT, WR_VAR_NOCACHE},
    {"proxy_add_x_forwarded_for", get_forwarded_for, 0,          0             },
};

const struct wr_module wr_proxy_module = {
    .conf = &wr_proxy_conf, .vars = proxy_vars, .var_cnt = WR_ARRAY_LEN(proxy_vars)};
