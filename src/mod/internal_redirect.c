/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal_redirect.c: `internal_redirect URI` or `@NAME`. Other than a rewrite it comes behind the
 * limits and the access checks of the location, in PRECONTENT; an empty text (of variables) is no
 * redirect. Redirects are bounded by http/reply.c.
 */
#include "mod/internal_redirect.h"

#include "conf/types.h"
#include "http/module.h"
#include "http/path.h"

struct redirect_loc {
    struct wr_conf_head head;
    struct wr_template *uri; /* NULL: none */
};

static struct wr_conf_module redirect_conf;

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

static enum wr_phase_result run(struct wr_req *r)
{
    const struct redirect_loc *lc = wr_req_conf(r, &redirect_conf, WR_KIND_LOC);
    struct wr_str uri = WR_STR_NULL, args;
    size_t mark;

    if (!lc->uri) {
        return WR_PHASE_NEXT;
    }
    if (wr_template_eval(r, lc->uri, &uri) != WR_OK) {
        return fail(r, 500);
    }
    if (uri.len == 0) {
        return WR_PHASE_NEXT;
    }
    if (uri.ptr[0] == '@') {
        wr_req_redirect(r, uri, r->uri.args);
        return WR_PHASE_DONE;
    }
    mark = wr_str_find(uri, '?');
    args = wr_str_sub(uri, mark + 1, uri.len);
    uri = wr_str_sub(uri, 0, mark);
    if (uri.len == 0 || uri.ptr[0] != '/' || wr_path_escapes(uri, lc->uri->source)) {
        wr_log(&r->log, WR_LOG_ERROR, "\"internal_redirect\" leads to \"%.*s\", which is no path",
               WR_STR_ARG(uri));
        return fail(r, 500);
    }
    wr_req_redirect(r, uri, args);
    return WR_PHASE_DONE;
}

static const struct wr_dir dirs[] = {
    {.name = "internal_redirect",
     .contexts = WR_CTX_SERVER | WR_CTX_LOCATION,
     .min = 1,
     .max = 1,
     .set = wr_set_template,
     WR_DIR_FIELD(LOC, struct redirect_loc, uri),
     .doc =
         "Where requests that passed limits and access checks go on: a URI or @name; empty: here."},
    WR_DIR_END
};

static struct wr_conf_module redirect_conf = {
    .name = "internal_redirect",
    .dirs = dirs,
    .size = {[WR_KIND_LOC] = sizeof(struct redirect_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_PRECONTENT, 50, run}
};

const struct wr_module wr_internal_redirect_module = {
    .conf = &redirect_conf, .is_quiet = true, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
