/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uwsgi.c: uwsgi_pass: a protocol table (up/proto.h): a packet of variables, the body, and a CGI or
 * HTTP answer up to its length or the close; over TLS to suwsgi://. Thread of the request.
 */
#include "proto/uwsgi.h"

#include "base/log.h"
#include "conf/gen.h"
#include "conf/scope.h"
#include "proto/cgi_plain.h"
#include "proto/packet_codec.h"
#include "proto/simple.h"

static enum wr_status create_request(struct wr_proto_req *q, struct wr_strbuf *out)
{
    const struct wr_uwsgi_loc *lc = q->conf;
    enum wr_status st;
    size_t at, len = 0;

    wr_cgi_plain_reset(q);
    wr_uwsgi_begin(out, &at);
    st = wr_cgi_add_params(q->req, &lc->cgi, out, wr_uwsgi_add);
    if (st == WR_OK) {
        st = wr_uwsgi_end(out, at, lc->modifier1, lc->modifier2, &len);
    }
    if (st == WR_ELIMIT) {
        wr_log(&q->req->log, WR_LOG_ERROR, "uwsgi request is too big: more than 65535 bytes");
    }
    return st;
}

static const struct wr_proto_table uwsgi_table = {
    .name = "uwsgi",
    .create_request = create_request,
    .process_header = wr_cgi_plain_header,
    .finalize_request = wr_cgi_plain_finalize,
};

WR_PROTO_SIMPLE(uwsgi, uwsgi_table);

/* The peer's identity is part of the connection's (U10.4). */
static enum wr_status start_tls(struct wr_req *r, void *loc, struct wr_str host,
                                struct wr_up_start *start)
{
    const struct wr_uwsgi_loc *lc = loc;

    return wr_up_tls_start(r, &lc->tls, lc->made_tls, host, &start->identity, &start->tls);
}

static const struct wr_pass_scheme schemes[] = {
    {WR_STR_INIT("uwsgi://"),  false},
    {WR_STR_INIT("suwsgi://"), true }
};

static const struct wr_cgi_kind uwsgi_kind = {
    .prefix = "uwsgi",
    .conf = &wr_uwsgi_conf,
    .proto = &uwsgi,
    .schemes = {schemes, WR_ARRAY_LEN(schemes)},
    .needs_length = true,
    .ctx_size = sizeof(struct wr_cgi_plain),
    .start_tls = start_tls
};

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    struct wr_uwsgi_loc *lc = conf;
    enum wr_status st;

    if (kind != WR_KIND_LOC) {
        return WR_OK;
    }
    st = wr_cgi_merged(cf, s, &uwsgi_kind, parent, conf);
    if (st == WR_OK && lc->cgi.pass != NULL &&
        (lc->cgi.pass->to.t != NULL || lc->cgi.pass->to.scheme->is_tls)) {
        struct wr_uwsgi_main *um = wr_scope_get(cf->gen->root, &wr_uwsgi_conf, WR_KIND_MAIN);

        st = wr_up_tls_make(cf, &lc->tls, &um->made, "uwsgi", &lc->made_tls);
    }
    return st;
}

static const struct wr_bounds byte_bounds = {.max = 255};

#define MODIFIER(nm, field)                                                                        \
    {                                                                                              \
        .name = nm, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1,                               \
        WR_DIR_FIELD(LOC, struct wr_uwsgi_loc, field), .set = wr_set_num, .data = &byte_bounds,    \
        .def = "0", .doc = "That number in the head of each packet."                               \
    }

static const struct wr_dir uwsgi_dirs[] = {
    WR_CGI_DIRS("uwsgi", struct wr_uwsgi_loc, cgi, &uwsgi_kind),
    WR_UP_TLS_DIRS("uwsgi", struct wr_uwsgi_loc, tls), MODIFIER("uwsgi_modifier1", modifier1),
    MODIFIER("uwsgi_modifier2", modifier2), WR_DIR_END};

struct wr_conf_module wr_uwsgi_conf = {
    .name = "uwsgi",
    .dirs = uwsgi_dirs,
    .size = {[WR_KIND_MAIN] = sizeof(struct wr_uwsgi_main),
             [WR_KIND_LOC] = sizeof(struct wr_uwsgi_loc)},
    .merged = merged
};

const struct wr_module wr_uwsgi_module = {.conf = &wr_uwsgi_conf};
