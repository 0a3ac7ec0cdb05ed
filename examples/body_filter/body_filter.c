/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body_filter.c: numbers the lines of texts, as they pass.
 *
 *   location /log/ { line_numbers on; }       "1 first\n2 second\n"
 *
 * A header filter decides whether a response gets a stage; the stage sees the bytes of its body in
 * pieces of any size, whoever made them, and never more than it has room for (http/stage.h).
 */
#include <conf/types.h>
#include <http/loadable.h>
#include <http/stage.h>
#include <stdio.h>
#include <string.h>

struct lines_loc {
    struct wr_conf_head head;
    bool on;
};

/* One response. */
struct lines {
    struct wr_stage stage; /* first */
    unsigned long no;      /* of the line that was begun last */
    bool is_inside;        /* its number is out */
};

static struct wr_conf_module lines_conf;

static enum wr_status take(struct wr_stage *g, const char *p, size_t n, size_t *ret_used)
{
    struct lines *l = (struct lines *)g;
    enum wr_status st = WR_OK;
    size_t used = 0;

    while (used < n && st == WR_OK && wr_stage_free(g) > 0) {
        const char *end = memchr(p + used, '\n', n - used);
        size_t len = WR_MIN(end ? (size_t)(end - p) + 1 - used : n - used, wr_stage_free(g));
        char text[32];

        if (!l->is_inside) {
            (void)snprintf(text, sizeof(text), "%lu ", ++l->no);
            st = wr_stage_give(g, text, strlen(text));
            l->is_inside = true;
            continue; /* there may be no room left for the line itself */
        }
        st = wr_stage_give(g, p + used, len);
        used += len;
        l->is_inside = p[used - 1] != '\n';
    }
    *ret_used = used;
    return st;
}

/* Nothing is kept back, so that neither flush nor finish have anything to do. */
static const struct wr_stage_ops lines_ops = {.name = "line_numbers", .take = take};

static enum wr_status add_lines(struct wr_req *r)
{
    const struct lines_loc *lc = wr_req_conf(r, &lines_conf, WR_KIND_LOC);
    struct lines *l;

    if (!lc->on || r->out.status != 200 || !wr_stage_has_body(r) ||
        !wr_str_has_prefix(wr_req_out_type(r), WR_STR("text/"))) {
        return WR_OK;
    }
    if (r->out_pipe != NULL) { /* HEAD has none: only its head is changed */
        l = wr_arena_zalloc(r->arena, sizeof(*l));
        if (l == NULL || wr_stage_add(r, &l->stage, &lines_ops, WR_STAGE_HIGH) != WR_OK) {
            return WR_ENOMEM;
        }
    }
    return wr_stage_changes_body(r);
}

static const struct wr_filter_row filters[] = {
    {WR_FILTER_REPLACE, add_lines}
};
static const struct wr_dir dirs[] = {
    {.name = "line_numbers",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     WR_DIR_FIELD(LOC, struct lines_loc, on),
     .set = wr_set_flag,
     .def = "off",
     .doc = "Numbers the lines of texts."},
    WR_DIR_END
};
static struct wr_conf_module lines_conf = {
    .name = "lines", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct lines_loc)}};
static const struct wr_module lines_module = {
    .conf = &lines_conf, .filters = filters, .filter_cnt = 1};
WR_MODULE_FILE(lines_module);
