/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header_filter.c: a field for each response, whoever made it.
 *
 *   served_by "edge 7, $server_name";      X-Served-By: edge 7, example.com
 *   served_by "";                          none, also where a block around says otherwise
 *
 * A filter edits the head that is about to be sent (r->out); it runs for files, answers of peers
 * and errors alike, in the order of the slots (http/module.h).
 */
#include <conf/types.h>
#include <http/loadable.h>

struct served_loc {
    struct wr_conf_head head;
    struct wr_template *text; /* NULL: not set */
};

static struct wr_conf_module served_conf;

static enum wr_status add_served_by(struct wr_req *r)
{
    const struct served_loc *lc = wr_req_conf(r, &served_conf, WR_KIND_LOC);
    struct wr_str text;
    enum wr_status st;

    if (lc->text == NULL) {
        return WR_OK;
    }
    st = wr_template_eval(r, lc->text, &text);
    if (st != WR_OK || text.len == 0) {
        return st;
    }
    return wr_hdrs_add(&r->out.hdrs, WR_STR("X-Served-By"), text);
}

static const struct wr_filter_row filters[] = {
    {WR_FILTER_HEADERS, add_served_by}
};

static const struct wr_dir served_dirs[] = {
    {.name = "served_by",
     .contexts = WR_CTX_HTTP_ALL_IF,
     .min = 1,
     .max = 1,
     WR_DIR_FIELD(LOC, struct served_loc, text),
     .set = wr_set_template,
     .doc = "Value of X-Served-By; empty: no such field."},
    WR_DIR_END
};

static struct wr_conf_module served_conf = {
    .name = "served_by", .dirs = served_dirs, .size = {[WR_KIND_LOC] = sizeof(struct served_loc)}};

static const struct wr_module served_module = {
    .conf = &served_conf, .filters = filters, .filter_cnt = 1};
WR_MODULE_FILE(served_module);
