/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssl_lazy.c: see ssl_lazy.h. What a client says (its server name) may become a part of a file's
 * name: it must not lead out of the folder that the configuration names. Connection's thread.
 */
#include "http/ssl_lazy.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/obj.h"
#include "http/path.h"
#include "http/req_int.h"
#include "http/server.h"
#include "http/ssl_conf.h"
#include "http/var.h"
#include "net/conn.h"

#define ARENA_MAX ((size_t)4 << 20)

static bool is_name_safe(struct wr_str s)
{
    return s.len > 0 && s.ptr[0] != '.' && wr_str_find(s, '/') == s.len;
}

enum wr_status wr_ssl_eval_name(struct wr_req *r, const struct wr_ssl_path *p, struct wr_strbuf *b,
                                struct wr_strbuf *err)
{
    struct wr_str v;
    enum wr_status st;

    if (!p->tmpl) {
        wr_strbuf_add_str(b, p->path);
        return b->status != WR_OK ? WR_ENOMEM : p->path.len > 0 ? WR_OK : WR_EOF;
    }
    if (p->has_name && (!r->tls || !is_name_safe(wr_tls_server_name(r->tls)))) {
        wr_strbuf_add_z(err, "no certificate without a server name that can be a file's");
        return WR_EPROTO;
    }
    st = wr_template_eval(r, p->tmpl, &v);
    if (st != WR_OK) {
        return WR_ENOMEM;
    }
    if (v.len == 0) {
        return WR_EOF;
    }
    if (!wr_str_has_prefix(v, WR_STR("data:"))) {
        if (wr_path_escapes(v, p->tmpl->source)) {
            wr_strbuf_printf(err, "the name of a certificate leads outside of \"%.*s\", refused",
                             WR_STR_ARG(p->tmpl->source));
            return WR_EPROTO;
        }
        wr_strbuf_add_str(b, v.ptr[0] == '/' ? WR_STR_NULL : p->base);
    }
    wr_strbuf_add_str(b, v);
    return b->status == WR_OK ? WR_OK : WR_ENOMEM;
}

/* ---- without a request ----------------------------------------------------------------------- */

struct stand_in {
    struct wr_reqx x; /* first */
    struct wr_stream stream;
    struct wr_msg head;
    struct wr_arena arena;
};

static void run_nothing(struct wr_task *t)
{
    (void)t; /* a wake finds nobody */
}

static void fill(struct stand_in *s, const struct wr_ssl_stage *at)
{
    struct wr_req *r = &s->x.r;

    wr_arena_init(&s->arena, ARENA_MAX);
    wr_obj_init(r, WR_REQ_MAGIC);
    wr_task_init(&r->task, run_nothing, "handshake");
    wr_timer_init(&r->timer, &r->task);
    wr_list_init(&r->node);
    wr_list_init(&s->x.subs);
    wr_msg_init(&s->head, &s->arena, 1);
    s->stream.magic = WR_STREAM_MAGIC;
    s->stream.is_server = true;
    s->stream.conn = at->conn;
    s->stream.arena = &s->arena;
    s->stream.user = &r->task;
    s->stream.head_in = &s->head;
    s->stream.began_us = at->conn->since_ms * 1000;
    r->stream = &s->stream;
    r->arena = &s->arena;
    r->head = &s->head;
    r->main = r;
    r->out_mtime = -1;
    wr_msg_init(&r->out, &s->arena, 1);
    r->out.content_length = WR_LENGTH_UNKNOWN;
    r->start_wall_ms = wr_clock_wall_ms();
    wr_conn_peer_addr(at->conn, &r->peer);
    if (r->peer.len == 0) {
        r->peer.u.sa.sa_family = AF_UNIX;
        r->peer.len = sizeof(r->peer.u.sa.sa_family);
    }
    r->log = at->log;
    r->tls = at->tls;
    wr_server_lend(&s->x, at->listen);
    r->server = at->server;
    r->server_name = at->server->name;
    r->scope = at->server->scope;
}

static void fini(struct stand_in *s)
{
    wr_task_cancel(&s->x.r.task);
    wr_timer_fini(&s->x.r.timer);
    wr_arena_fini(&s->arena);
    wr_mem_free(s);
}

/* The pair of the directives that is number `no` of those with variables. */
static bool find_pair(const struct wr_ssl_srv *c, uint32_t no, uint32_t *ret)
{
    for (uint32_t i = 0; i < c->certs.cnt && i < c->keys.cnt; i++) {
        if ((c->certs.at[i].tmpl || c->keys.at[i].tmpl) && no-- == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

bool wr_ssl_name_of_shake(const struct wr_ssl_stage *at, uint32_t no, bool is_key,
                          struct wr_strbuf *b, struct wr_strbuf *err)
{
    const struct wr_ssl_srv *c = wr_ssl_srv_of(at->server);
    struct stand_in *s;
    enum wr_status st;
    uint32_t i = 0;

    if (!find_pair(c, no, &i)) {
        wr_strbuf_add_z(err, "the configuration has changed");
        return false;
    }
    s = wr_run_zalloc(sizeof(*s));
    if (!s) {
        wr_strbuf_add_z(err, "no memory for the name of a certificate");
        return false;
    }
    fill(s, at);
    st = wr_ssl_eval_name(&s->x.r, is_key ? &c->keys.at[i] : &c->certs.at[i], b, err);
    fini(s);
    if (st == WR_EOF) {
        wr_strbuf_printf(err, "the name of the certificate%s \"%.*s\" is empty",
                         is_key ? " key" : "",
                         WR_STR_ARG((is_key ? &c->keys.at[i] : &c->certs.at[i])->tmpl->source));
    } else if (st == WR_ENOMEM) {
        wr_strbuf_add_z(err, "no memory for the name of a certificate");
    }
    return st == WR_OK;
}
