/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror.c: `mirror URI` in PRECONTENT: a background subrequest for each, whose answer is dropped.
 * The client's body is read whole first (mirror_request_body), then each mirror and the request
 * itself read it by cursors of their own. A mirror keeps neither the client nor its connection
 * waiting. Request's task.
 */
#include "mod/mirror.h"

#include "conf/types.h"
#include "http/module.h"

#define MIRRORS_MAX 64u /* at a level */

struct mirror_loc {
    struct wr_conf_head head;
    struct wr_strs uris; /* one with ptr NULL: off */
    bool with_body;
};

struct mirror_ctx {
    bool is_done;
};

static struct wr_conf_module mirror_conf;

/* ---- run ------------------------------------------------------------------------------------- */

static enum wr_phase_result fail(struct wr_req *r, unsigned status)
{
    wr_req_fail(r, status);
    return WR_PHASE_DONE;
}

/* A mirror that cannot be is nothing that the client should hear of. */
static void send_copies(struct wr_req *r, const struct mirror_loc *conf)
{
    for (uint32_t i = 0; i < conf->uris.cnt; i++) {
        struct wr_sub_opts o = {.mode = WR_SUB_BACKGROUND,
                                .flags = WR_SUB_SAME_METHOD |
                                         (conf->with_body ? (unsigned)WR_SUB_SEND_BODY : 0)};

        wr_sub_split_uri(conf->uris.at[i], &o);
        if (wr_sub_open(r, &o, NULL) == WR_ENOMEM) {
            wr_log(&r->log, WR_LOG_ERROR, "no memory for the mirror \"%.*s\"", WR_STR_ARG(o.uri));
        }
    }
}

static enum wr_phase_result run(struct wr_req *r)
{
    const struct mirror_loc *conf = wr_req_conf(r, &mirror_conf, WR_KIND_LOC);
    struct mirror_ctx *c;
    enum wr_status st;

    if (conf->uris.cnt == 0 || !conf->uris.at[0].ptr || r->parent) {
        return WR_PHASE_NEXT;
    }
    c = wr_req_ctx(r, &wr_mirror_module, sizeof(*c));
    if (!c) {
        return fail(r, 500);
    }
    if (c->is_done) {
        return WR_PHASE_NEXT;
    }
    if (conf->with_body) {
        st = wr_req_body_read(r);
        if (st == WR_AGAIN) {
            return WR_PHASE_AGAIN;
        }
        if (st != WR_OK) {
            return fail(r, st == WR_EPROTO && r->body_status != 0 ? r->body_status : 500);
        }
    }
    c->is_done = true;
    send_copies(r, conf);
    return WR_PHASE_NEXT;
}

/* ---- directives ------------------------------------------------------------------------------ */

static enum wr_status set_mirror(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_strs *uris = &((struct mirror_loc *)conf)->uris;
    struct wr_str s = wr_node_arg(node, 0);
    bool is_off = wr_str_eq(s, WR_STR("off"));
    struct wr_str *to;

    (void)dir;
    if (uris->cnt > 0 && (is_off || !uris->at[0].ptr)) {
        return wr_conf_err_dir(cf, node, "is duplicate");
    }
    if (uris->cnt >= MIRRORS_MAX) {
        return wr_conf_err_dir(cf, node, "has more than %u mirrors", MIRRORS_MAX);
    }
    to = wr_array_push(cf->arena, uris);
    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = is_off ? WR_STR_NULL : s;
    return WR_OK;
}

static const struct wr_dir dirs[] = {
    {.name = "mirror",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .flags = WR_DIR_REPEAT,
     .set = set_mirror,
     WR_DIR_FIELD(LOC, struct mirror_loc, uris),
     .def = "off",
     .doc = "A location that gets each request, too; its answers are dropped."},
    {.name = "mirror_request_body",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC, struct mirror_loc, with_body),
     .def = "on",
     .doc = "Is the client's body sent to mirrors? Then it is read whole before anything goes on." },
    WR_DIR_END
};

static struct wr_conf_module mirror_conf = {
    .name = "mirror", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct mirror_loc)}};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_PRECONTENT, 20, run}
};

const struct wr_module wr_mirror_module = {
    .conf = &mirror_conf, .is_quiet = true, .phases = phases, .phase_cnt = WR_ARRAY_LEN(phases)};
