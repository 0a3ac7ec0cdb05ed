/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body_filter.c: the text of responses in capital letters.
 *
 *   upper on;      text/html and text/plain; their bytes pass through a stage (http/stage.h)
 *
 * A stage takes bytes and gives bytes; marks, slow clients, broken peers and the end of the request
 * are the caller's business. Letters stand for each other, so that the length stays and nothing is
 * kept back: no flush, no finish, no close.
 */
#include <conf/types.h>
#include <http/loadable.h>

struct upper_loc {
    struct wr_conf_head head;
    bool on;
};

static struct wr_conf_module upper_conf;

static enum wr_status take_upper(struct wr_stage *g, const char *p, size_t n, size_t *ret_used)
{
    size_t off = 0, room = 0;
    char *out;

    while (off < n && (out = wr_stage_room(g, n - off, &room)) != NULL) {
        size_t len = WR_MIN(room, n - off);

        for (size_t i = 0; i < len; i++) {
            char c = p[off + i];

            out[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        }
        wr_stage_commit(g, len);
        off += len;
    }
    *ret_used = off; /* less than n: it is called again when the client has taken some */
    return off < n && wr_stage_free(g) > 0 ? WR_ENOMEM : WR_OK;
}

static const struct wr_stage_ops upper_ops = {.name = "upper", .take = take_upper};

static enum wr_status add_upper(struct wr_req *r)
{
    const struct upper_loc *lc = wr_req_conf(r, &upper_conf, WR_KIND_LOC);
    struct wr_str type = wr_req_out_type(r);
    struct wr_stage *g;

    if (!lc->on || !r->out_pipe || wr_hdrs_has(&r->out.hdrs, WR_HDR_CONTENT_ENCODING) ||
        !(wr_str_has_iprefix(type, WR_STR("text/html")) ||
          wr_str_has_iprefix(type, WR_STR("text/plain")))) {
        return WR_OK;
    }
    g = wr_arena_zalloc(r->arena, sizeof(*g));
    return g ? wr_stage_add(r, g, &upper_ops, WR_STAGE_HIGH) : WR_ENOMEM;
}

static const struct wr_filter_row filters[] = {
    {WR_FILTER_REPLACE, add_upper}
};

static const struct wr_dir upper_dirs[] = {
    {.name = "upper",
     .contexts = WR_CTX_HTTP_ALL_IF,
     .min = 1,
     .max = 1,
     WR_DIR_FIELD(LOC, struct upper_loc, on),
     .set = wr_set_flag,
     .def = "off",
     .doc = "Text in capital letters."},
    WR_DIR_END
};

static struct wr_conf_module upper_conf = {
    .name = "upper", .dirs = upper_dirs, .size = {[WR_KIND_LOC] = sizeof(struct upper_loc)}};

static const struct wr_module upper_module = {
    .conf = &upper_conf, .filters = filters, .filter_cnt = 1};
WR_MODULE_FILE(upper_module);
