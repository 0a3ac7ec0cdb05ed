/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather.c: asks several locations at once and answers with the sum of what they say.
 *
 *   location = /total { gather /north?day=$arg_day /south; }
 *   location /north { proxy_pass http://north; }
 *   location /south { proxy_pass http://south; }
 *
 * Each part is a subrequest (http/sub.h) whose body, a number, is gathered in memory; it has the
 * whole mechanism to itself: peers, retries, timeouts, limits. All run side by side.
 */
#include <base/num.h>
#include <conf/types.h>
#include <http/loadable.h>
#include <http/reply.h>

#define PARTS_MAX 16

struct gather_loc {
    struct wr_conf_head head;
    struct wr_templates parts; /* URIs with variables */
};

/* The content of one request: http/req.h says when step and close are called. */
struct gather {
    struct wr_content content; /* first */
    struct wr_sub *subs[PARTS_MAX];
    uint32_t cnt;
};

static struct wr_conf_module gather_conf;

/* WR_AGAIN: it is not here yet. WR_EPROTO: it failed, or is no number. */
static enum wr_status read_part(const struct wr_sub *s, uint64_t *ret)
{
    struct wr_str line;

    switch (wr_sub_get_state(s)) {
    case WR_SUB_RUNNING:
    case WR_SUB_ANSWERED:
        return WR_AGAIN;
    case WR_SUB_FAILED:
        return WR_EPROTO;
    case WR_SUB_WHOLE:
        break;
    }
    line = wr_sub_body(s);
    line = wr_str_sub(line, 0, wr_str_find(line, '\n'));
    if (wr_sub_status(s) != 200 || wr_num_parse_u64(line, UINT32_MAX, ret) != WR_OK) {
        return WR_EPROTO;
    }
    return WR_OK;
}

/* At each wake of the request's task: some part has changed. */
static void gather_step(struct wr_content *c)
{
    struct gather *g = (struct gather *)c;
    struct wr_req *r = c->req;
    uint64_t sum = 0, n = 0;
    struct wr_str text;

    if (wr_req_is_left(r)) {
        wr_req_fail(r, 499); /* for the log */
        return;
    }
    for (uint32_t i = 0; i < g->cnt; i++) {
        enum wr_status st = read_part(g->subs[i], &n);

        if (st == WR_AGAIN) {
            return;
        }
        if (st != WR_OK) {
            wr_log(&r->log, WR_LOG_ERROR, "part %u of the sum is missing: %u", i + 1,
                   wr_sub_status(g->subs[i]));
            wr_req_fail(r, 502);
            return;
        }
        sum += n;
    }
    if (wr_arena_printf(r->arena, &text, "%llu\n", (unsigned long long)sum) != WR_OK) {
        wr_req_fail(r, 500);
        return;
    }
    wr_reply_text(r, 200, WR_STR("text/plain"), text);
    wr_req_end(r); /* else it would be stepped again */
}

/* Exactly once, whatever happened: what runs still is ended. */
static void gather_close(struct wr_content *c)
{
    struct gather *g = (struct gather *)c;

    for (uint32_t i = 0; i < g->cnt; i++) {
        wr_sub_leave(g->subs[i]);
    }
}

static const struct wr_content_ops gather_ops = {"gather", gather_step, gather_close};

static enum wr_status gather_start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    const struct gather_loc *lc = wr_req_conf(r, &gather_conf, WR_KIND_LOC);
    struct gather *g = wr_arena_zalloc(r->arena, sizeof(*g));
    enum wr_status st = g != NULL ? WR_OK : WR_ENOMEM;
    struct wr_str uri;

    (void)conf;
    for (uint32_t i = 0; i < lc->parts.cnt && st == WR_OK; i++) {
        struct wr_sub_opts o = {.mode = WR_SUB_MEMORY, .waiter = &r->task};

        st = wr_template_eval(r, &lc->parts.at[i], &uri);
        if (st == WR_OK) {
            wr_sub_split_uri(uri, &o);
            st = wr_sub_open(r, &o, &g->subs[g->cnt]);
        }
        g->cnt += st == WR_OK;
    }
    if (st != WR_OK) {
        if (g != NULL) {
            gather_close(&g->content);
        }
        return st; /* 500 */
    }
    g->content.ops = &gather_ops;
    *ret = &g->content;
    return WR_OK;
}

static enum wr_status set_gather(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    enum wr_status st = wr_set_templates(cf, dir, node, conf);

    if (st == WR_OK && node->arg_cnt > PARTS_MAX) {
        return wr_conf_err_dir(cf, node, "takes %d locations at most", PARTS_MAX);
    }
    return st == WR_OK ? wr_core_set_content(cf, node, gather_start, conf) : st;
}

static const struct wr_dir gather_dirs[] = {
    {.name = "gather",
     .contexts = WR_CTX_LOCATION,
     .min = 1,
     .max = WR_ARGS_ANY,
     .inherit = WR_NONE,
     WR_DIR_FIELD(LOC, struct gather_loc, parts),
     .set = set_gather,
     .doc = "The sum of what these locations say."},
    WR_DIR_END
};
static struct wr_conf_module gather_conf = {
    .name = "gather", .dirs = gather_dirs, .size = {[WR_KIND_LOC] = sizeof(struct gather_loc)}};
static const struct wr_module gather_module = {.conf = &gather_conf};
WR_MODULE_FILE(gather_module);
