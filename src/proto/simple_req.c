/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simple_req.c: a table between the engine and the codec of simple.c: one struct wr_proto_req a
 * request, in its arena for all tries (u->ctx); what the engine calls is handed on under the
 * contract of U12.1: create at each try, reinit before each but the first, abort before finalize,
 * finalize once if create ever succeeded. Thread of the request.
 */
#include "base/obj.h"
#include "proto/simple_int.h"
#include "up/up.h"

struct simple_req {
    struct wr_proto_req q; /* first */
    enum wr_status reinit_status;
};

static const struct wr_proto_table *table_of(const struct wr_up *u)
{
    return ((const struct wr_simple_codec *)(const void *)u->start.proto->codec)->table;
}

struct wr_proto_req *wr_simple_req(struct wr_up *u)
{
    struct simple_req *sr = u->ctx;

    if (sr == NULL) {
        sr = wr_arena_zalloc(u->req->arena, sizeof(*sr));
        if (sr == NULL) {
            return NULL;
        }
        sr->q.req = u->req;
        sr->q.arena = u->req->arena;
        sr->q.conf = u->start.proto_conf;
        sr->q.length = WR_LENGTH_UNKNOWN;
        u->ctx = sr;
    }
    return &sr->q;
}

enum wr_status wr_simple_attach(struct wr_stream *s, struct wr_proto_req *q, struct wr_str bytes)
{
    struct simple_xchg *x = wr_container_of(s, struct simple_xchg, s);
    struct wr_msg *head;

    wr_obj_check(s, WR_STREAM_MAGIC);
    head = wr_arena_alloc(s->arena, sizeof(*head));
    if (head == NULL) {
        return WR_ENOMEM;
    }
    /* Anew for each try: the last one's is what the log tells. */
    wr_msg_init(head, s->arena, SIMPLE_FIELDS_MAX);
    head->content_length = WR_LENGTH_UNKNOWN;
    q->head = head;
    q->length = WR_LENGTH_UNKNOWN;
    q->keep = false;
    q->why = WR_STR_NULL;
    x->q = q;
    x->head_out = bytes;
    return WR_OK;
}

/* Whether the client's body follows raw; only its presence matters to the codec, the length is the
 * pipe's. */
static struct wr_msg *make_head_out(struct wr_up *u, const struct wr_proto_req *q)
{
    struct wr_req *r = u->req;
    struct wr_msg *m = wr_arena_alloc(r->arena, sizeof(*m));
    uint64_t len;

    if (m == NULL) {
        return NULL;
    }
    wr_msg_init(m, r->arena, 1);
    m->method = r->method;
    m->method_name = r->method_name;
    m->framing = WR_FRAMING_NONE;
    if (!q->no_body && u->start.conf->pass_request_body && wr_req_has_body(r, &len)) {
        m->framing = WR_FRAMING_LENGTH;
        m->content_length = u->body_src == NULL ? r->body_len : len;
    }
    return m;
}

enum wr_status wr_simple_create(struct wr_up *u, struct wr_stream *s)
{
    const struct wr_proto_table *t = table_of(u);
    struct wr_proto_req *q = wr_simple_req(u);
    struct simple_req *sr = u->ctx;
    struct wr_strbuf b;
    enum wr_status st;

    if (q == NULL) {
        return WR_ENOMEM;
    }
    if (sr->reinit_status != WR_OK) {
        return sr->reinit_status;
    }
    q->no_body = false;
    wr_strbuf_init_arena(&b, q->arena, WR_SIMPLE_REQUEST_MAX);
    st = t->create_request(q, &b);
    if (st != WR_OK) {
        return st;
    }
    st = b.status;
    s->head_out = make_head_out(u, q);
    if (st == WR_OK) {
        st = s->head_out != NULL ? wr_simple_attach(s, q, wr_strbuf_str(&b)) : WR_ENOMEM;
    }
    if (st != WR_OK && !u->is_created) {
        /* The engine will take it for a failed create, and never finalize. */
        t->finalize_request(q, 500);
    }
    return st;
}

void wr_simple_reinit(struct wr_up *u)
{
    const struct wr_proto_table *t = table_of(u);
    struct simple_req *sr = u->ctx;

    sr->reinit_status = t->reinit_request != NULL ? t->reinit_request(&sr->q) : WR_OK;
}

void wr_simple_abort(struct wr_up *u)
{
    const struct wr_proto_table *t = table_of(u);

    if (u->is_created && t->abort_request != NULL) {
        t->abort_request(wr_simple_req(u));
    }
}

void wr_simple_finalize(struct wr_up *u, unsigned status)
{
    table_of(u)->finalize_request(wr_simple_req(u), status);
}

enum wr_status wr_simple_redirect(struct wr_up *u, struct wr_str value, struct wr_str *ret)
{
    const struct wr_proto_table *t = table_of(u);

    return t->rewrite_redirect != NULL ? t->rewrite_redirect(wr_simple_req(u), value, ret) : WR_EOF;
}

enum wr_status wr_simple_cookie(struct wr_up *u, struct wr_str value, struct wr_str *ret)
{
    const struct wr_proto_table *t = table_of(u);

    return t->rewrite_cookie != NULL ? t->rewrite_cookie(wr_simple_req(u), value, ret) : WR_EOF;
}
