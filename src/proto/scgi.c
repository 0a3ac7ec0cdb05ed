/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scgi.c: scgi_pass: a protocol table (up/proto.h): a netstring of variables, the body, and a CGI
 * answer up to its length or the close. Thread of the request.
 */
#include "proto/scgi.h"

#include "proto/cgi_plain.h"
#include "proto/packet_codec.h"
#include "proto/simple.h"

static enum wr_status create_request(struct wr_proto_req *q, struct wr_strbuf *out)
{
    const struct wr_scgi_loc *lc = q->conf;
    enum wr_status st;
    size_t at;

    wr_cgi_plain_reset(q);
    wr_scgi_begin(out, wr_cgi_body_len(q->req, &lc->cgi), &at);
    st = wr_cgi_add_params(q->req, &lc->cgi, out, wr_scgi_add);
    if (st != WR_OK) {
        return st;
    }
    wr_scgi_end(out, at);
    return out->status;
}

static const struct wr_proto_table scgi_table = {
    .name = "scgi",
    .create_request = create_request,
    .process_header = wr_cgi_plain_header,
    .finalize_request = wr_cgi_plain_finalize,
};

WR_PROTO_SIMPLE(scgi, scgi_table);

static const struct wr_pass_scheme schemes[] = {
    {WR_STR_INIT("scgi://"), false}
};

static const struct wr_cgi_kind scgi_kind = {
    .prefix = "scgi",
    .conf = &wr_scgi_conf,
    .proto = &scgi,
    .schemes = {schemes, WR_ARRAY_LEN(schemes)},
    .needs_length = true,
    .ctx_size = sizeof(struct wr_cgi_plain)
};

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    return kind == WR_KIND_LOC ? wr_cgi_merged(cf, s, &scgi_kind, parent, conf) : WR_OK;
}

static const struct wr_dir scgi_dirs[] = {WR_CGI_DIRS("scgi", struct wr_scgi_loc, cgi, &scgi_kind),
                                          WR_DIR_END};

struct wr_conf_module wr_scgi_conf = {.name = "scgi",
                                      .dirs = scgi_dirs,
                                      .size = {[WR_KIND_LOC] = sizeof(struct wr_scgi_loc)},
                                      .merged = merged};

const struct wr_module wr_scgi_module = {.conf = &wr_scgi_conf};
