/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.c: a gateway to a search engine, as a module in a file of its own.
 *
 *   location /test { search_pass 127.0.0.1:9000; }
 *
 * turns "GET /test?lumia" into "GET /s?wd=lumia" for the peers of search_pass and relays what they
 * answer. All directives of proxy_* that are about peers exist as search_*: search_next_upstream,
 * search_connect_timeout ...
 */
#include <http/h1_parse.h>
#include <http/loadable.h>
#include <proto/simple.h>
#include <up/up.h>

struct search_loc {
    struct wr_conf_head head; /* first in every conf struct */
    struct wr_up_conf up;     /* search_connect_timeout and all others of that family */
    struct wr_members *members;
    struct wr_str host;   /* as it was written */
    struct wr_str prefix; /* search_prefix */
};

/* One request; lives in its arena. */
struct search_ctx {
    struct wr_h1_parser parser;
    bool is_begun; /* the parser, for this try */
};

static struct wr_conf_module search_conf;

/* ---- the protocol: how a request is written, how an answer is read --------------------------- */

static enum wr_status search_create(struct wr_proto_req *q, struct wr_strbuf *out)
{
    const struct search_loc *lc = q->conf;

    q->no_body = true; /* whatever body the client sent stays here */
    wr_strbuf_printf(out, "GET %.*s%.*s HTTP/1.0\r\nHost: %.*s\r\n\r\n", WR_STR_ARG(lc->prefix),
                     WR_STR_ARG(q->req->uri.args), WR_STR_ARG(lc->host));
    ((struct search_ctx *)q->ctx)->is_begun = false; /* this is called for each try */
    return out->status;
}

/* Called with all bytes of the head so far, until it is DONE. */
static enum wr_proto_result search_head(struct wr_proto_req *q, const char *p, size_t n,
                                        size_t *ret_used)
{
    static const struct wr_h1_limits limits = {65536, 65536, 1000};
    struct search_ctx *ctx = q->ctx;

    if (!ctx->is_begun) {
        wr_h1_parser_init(&ctx->parser, WR_H1_RESPONSE, &limits, 0, q->head);
        ctx->is_begun = true;
    }
    switch (wr_h1_parse(&ctx->parser, p, n)) {
    case WR_H1_MORE:
        return WR_PROTO_AGAIN;
    case WR_H1_BAD:
        return WR_PROTO_INVALID; /* the next peer, or 502 */
    case WR_H1_NOMEM:
        return WR_PROTO_FAILED;
    case WR_H1_DONE:
        break;
    }
    *ret_used = ctx->parser.head_len;
    if (q->head->framing == WR_FRAMING_LENGTH) {
        q->length = q->head->content_length; /* else: up to the close */
    }
    return WR_PROTO_DONE;
}

static void search_finalize(struct wr_proto_req *q, unsigned status)
{
    wr_log(&q->req->log, WR_LOG_INFO, "search for \"%.*s\" ended with %u",
           WR_STR_ARG(q->req->uri.args), status);
}

static const struct wr_proto_table search_table = {.name = "search",
                                                   .create_request = search_create,
                                                   .process_header = search_head,
                                                   .finalize_request = search_finalize};

WR_PROTO_SIMPLE(search, search_table);

/* ---- the content handler --------------------------------------------------------------------- */

static enum wr_status search_start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    struct search_loc *lc = wr_req_conf(r, &search_conf, WR_KIND_LOC);
    struct wr_up_start start = {.conf = &lc->up,
                                .proto = &search,
                                .proto_conf = lc,
                                .members = lc->members,
                                .url_prefix = WR_STR("search://"),
                                .uri = r->client_uri.raw};
    struct wr_proto_req *q;
    struct wr_up *u;

    (void)conf;
    if (wr_up_new(r, &start, &u) != WR_OK) {
        return WR_ENOMEM;
    }
    q = wr_simple_req(u);
    if (q == NULL || (q->ctx = wr_arena_zalloc(r->arena, sizeof(struct search_ctx))) == NULL) {
        return WR_ENOMEM;
    }
    *ret = &u->content;
    return WR_OK;
}

/* ---- directives ------------------------------------------------------------------------------ */

static enum wr_status set_search_pass(struct wr_conf *cf, const struct wr_dir *dir,
                                      const struct wr_node *node, void *conf)
{
    struct search_loc *lc = conf;

    (void)dir;
    lc->host = wr_node_arg(node, 0);
    if (wr_group_refer(cf, node, lc->host, 80, &lc->members) != WR_OK) {
        return WR_ECONFIG; /* it has said why */
    }
    return wr_core_set_content(cf, node, search_start, lc);
}

/* Behind inheritance: search_prefix of the block around is here, too. */
static enum wr_status search_merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                                    const void *parent, void *conf)
{
    struct search_loc *lc = conf;

    (void)kind, (void)parent; /* there is only LOC */
    return wr_up_conf_merged(cf, s, &lc->up, "search", (struct wr_up_given){0},
                             (struct wr_up_hidden){NULL, 0});
}

static const struct wr_dir search_dirs[] = {
    {.name = "search_pass",
     .contexts = WR_CTX_LOCATION,
     .min = 1,
     .max = 1,
     WR_DIR_CONF(LOC),
     .set = set_search_pass,
     .doc = "Passes searches to this group or address."},
    { .name = "search_prefix",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     WR_DIR_FIELD(LOC, struct search_loc,        prefix),
     .set = wr_set_str,
     .def = "/s?wd=",
     .doc = "What stands before the words."},
    WR_UP_DIRS("search", struct search_loc, up),
    WR_DIR_END
};

static struct wr_conf_module search_conf = {.name = "search",
                                            .dirs = search_dirs,
                                            .size = {[WR_KIND_LOC] = sizeof(struct search_loc)},
                                            .merged = search_merged};

static const struct wr_module search_module = {.conf = &search_conf};
WR_MODULE_FILE(search_module);
