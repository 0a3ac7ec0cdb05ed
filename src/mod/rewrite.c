/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.c: `return`. The first one of a server is done in SERVER_REWRITE, the first one of a
 * location in REWRITE; a block that has none does not take that of the block around it.
 *
 *   return CODE            an error page for 400 and above, else an empty body
 *   return CODE TEXT       the text, with the type of the path
 *   return 30x URL, URL    Location; the last filter completes "/path"
 *   return 444             the connection ends without a word
 */
#include "mod/rewrite.h"

#include "base/num.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/h1_write.h"
#include "http/location.h"
#include "http/mime.h"
#include "http/module.h"
#include "http/reply.h"
#include "http/server.h"

struct rewrite_return {
    unsigned status;
    bool has_text;
    struct wr_template text;
};

struct rewrite_loc {
    struct wr_conf_head head;
    struct rewrite_return *ret; /* of this very block; NULL: none */
};

static struct wr_conf_module rewrite_conf;

/* ---- run ----------------------------------------------------------------------------------------
 */

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void send_redirect(struct wr_req *r, unsigned status, struct wr_str url)
{
    if (!wr_h1_value_is_safe(url)) { /* U14.1 */
        wr_log(&r->log, WR_LOG_ERROR, "the URL of \"return\" holds a line end or NUL");
        wr_req_fail(r, 400);
        return;
    }
    wr_reply_redirect(r, status, url);
}

static enum wr_phase_result run_return(struct wr_req *r, const struct rewrite_return *ret)
{
    struct wr_str text = WR_STR_NULL;

    /* Known to $status in the text. */
    r->out.status = (uint16_t)ret->status;
    if (ret->has_text && wr_template_eval(r, &ret->text, &text) != WR_OK) {
        wr_req_fail(r, 500);
        return WR_PHASE_DONE;
    }
    if (is_redirect(ret->status)) {
        send_redirect(r, ret->status, text);
    } else if (ret->status >= 400 && ret->text.source.len == 0) {
        wr_req_fail(r, ret->status);
    } else if (ret->status == 444) {
        wr_req_fail(r, 444);
    } else {
        wr_reply_text(r, ret->status, wr_mime_type_of(wr_core_loc_of(r), r->uri.path), text);
    }
    return WR_PHASE_DONE;
}

static enum wr_phase_result run_server(struct wr_req *r)
{
    const struct rewrite_loc *lc = wr_scope_get(r->server->scope, &rewrite_conf, WR_KIND_LOC);

    return lc->ret ? run_return(r, lc->ret) : WR_PHASE_NEXT;
}

static enum wr_phase_result run_location(struct wr_req *r)
{
    const struct rewrite_loc *lc = wr_req_conf(r, &rewrite_conf, WR_KIND_LOC);

    if (!lc->ret || r->scope == r->server->scope) {
        return WR_PHASE_NEXT; /* no location: the server's own was asked already */
    }
    return run_return(r, lc->ret);
}

/* ---- the directive ------------------------------------------------------------------------------
 */

static bool is_url(struct wr_str s)
{
    return wr_str_has_iprefix(s, WR_STR("http://")) || wr_str_has_iprefix(s, WR_STR("https://")) ||
           wr_str_has_iprefix(s, WR_STR("$scheme"));
}

static enum wr_status set_return(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct rewrite_loc *lc = conf;
    struct wr_str first = wr_node_arg(node, 0);
    struct rewrite_return *ret = wr_arena_zalloc(cf->arena, sizeof(*ret));
    uint32_t text_i = 1;
    uint64_t code = 0;
    enum wr_status st = WR_OK;

    (void)dir;
    if (!ret) {
        return wr_conf_nomem(cf);
    }
    if (wr_num_parse_u64(first, 999, &code) == WR_OK && code >= 200) {
        ret->status = (unsigned)code;
    } else if (node->arg_cnt == 1 && is_url(first)) {
        ret->status = 302;
        text_i = 0;
    } else {
        return wr_conf_err_arg(cf, node, 0, "invalid return code \"%.*s\"", WR_STR_ARG(first));
    }
    if (text_i < node->arg_cnt) {
        st = wr_arg_template(cf, node, text_i, wr_node_arg(node, text_i), &ret->text);
        ret->has_text = true;
    }
    if (st == WR_OK && !lc->ret) {
        lc->ret = ret; /* what stands behind it is never reached */
    }
    return st;
}

static const struct wr_dir dirs[] = {
    {.name = "return",
     .contexts = WR_CTX_SERVER | WR_CTX_LOCATION | WR_CTX_IF_SERVER | WR_CTX_IF_LOCATION,
     .min = 1,
     .max = 2,
     .flags = WR_DIR_REPEAT,
     .set = set_return,
     WR_DIR_FIELD(LOC, struct rewrite_loc, ret),
     .inherit = WR_NONE,
     .doc = "Answers at once: code, code and text, redirect code and URL, or URL (302)."},
    WR_DIR_END
};

static struct wr_conf_module rewrite_conf = {
    .name = "rewrite", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct rewrite_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_SERVER_REWRITE, 100, run_server  },
    {WR_PHASE_REWRITE,        100, run_location},
};

const struct wr_module wr_rewrite_module = {
    .conf = &rewrite_conf, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
