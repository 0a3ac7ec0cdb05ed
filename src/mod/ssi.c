/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssi.c: the stage that puts a page together (ssi_int.h): text and commands from the scanner, items
 * while an include is awaited, the directives, and $date_local and $date_gmt. Request's thread.
 */
#include "mod/ssi.h"

#include "conf/types.h"
#include "http/var.h"
#include "io/pipe.h"
#include "mod/ssi_int.h"

#define COMMAND_ROOM 8192u /* bytes of a command beside its longest value */

static struct wr_conf_module ssi_conf;

static struct ssi_page *page_of(struct wr_stage *g)
{
    return wr_container_of(g, struct ssi_page, g);
}

/* ---- items ----------------------------------------------------------------------------------- */

static void push_item(struct ssi_page *p, struct ssi_item *it)
{
    it->next = NULL;
    if (p->last) {
        p->last->next = it;
    } else {
        p->first = it;
    }
    p->last = it;
}

enum wr_status wr_ssi_add_item(struct ssi_page *p, struct ssi_item **ret)
{
    struct ssi_item *it = wr_arena_zalloc(p->g.req->arena, sizeof(*it));

    if (!it) {
        return WR_ENOMEM;
    }
    push_item(p, it);
    *ret = it;
    return WR_OK;
}

static void free_text(struct ssi_item *it)
{
    if (it->text) {
        wr_pipe_leave_consumer(it->text);
        wr_pipe_leave_producer(wr_take(&it->text));
    }
}

static void pop_item(struct ssi_page *p)
{
    struct ssi_item *it = p->first;

    p->first = it->next;
    if (!p->first) {
        p->last = NULL;
    }
    if (p->awaited == it) {
        p->awaited = NULL;
    }
    if (it->sub) {
        p->sub_cnt--;
        wr_sub_leave(wr_take(&it->sub));
    }
    free_text(it);
}

/* The last item takes text. */
static enum wr_status want_text(struct ssi_page *p)
{
    struct ssi_item *it = p->last;
    struct wr_pipe *pipe;
    enum wr_status st;

    if (it && it->text) {
        return WR_OK;
    }
    pipe = wr_pipe_new(SSI_AHEAD_MAX, NULL, NULL);
    st = pipe ? wr_ssi_add_item(p, &it) : WR_ENOMEM;
    if (st == WR_OK) {
        it->text = pipe;
    } else if (pipe) {
        wr_pipe_leave_consumer(pipe);
        wr_pipe_leave_producer(pipe);
    }
    return st;
}

enum wr_status wr_ssi_emit(struct ssi_page *p, struct wr_str s)
{
    enum wr_status st;

    if (s.len == 0) {
        return WR_OK;
    }
    if (!p->first && !p->is_stub) {
        return wr_stage_give(&p->g, s.ptr, s.len);
    }
    st = want_text(p);
    if (st == WR_OK) {
        st = wr_pipe_push_copy(p->last->text, s.ptr, s.len);
        p->ahead += s.len;
    }
    return st;
}

/* ---- a run over text --------------------------------------------------------------------------
 */

static enum wr_status take_text(struct ssi_page *p, struct ssi_run *run, struct wr_str s)
{
    if (run->is_block) {
        wr_strbuf_add_str(&run->block, s);
        return WR_OK; /* what is wrong with it is said at its end */
    }
    return wr_ssi_is_shown(run) ? wr_ssi_emit(p, s) : WR_OK;
}

/* One event of at most n bytes. */
static enum wr_status step_run(struct ssi_page *p, struct ssi_run *run, struct wr_str in,
                               size_t *ret_used)
{
    struct wr_str text = WR_STR_NULL;

    switch (wr_ssi_scan(&run->scan, in.ptr, in.len, ret_used, &text)) {
    case WR_SSI_MORE:
        return WR_OK;
    case WR_SSI_TEXT:
        return take_text(p, run, text);
    case WR_SSI_COMMAND:
        return wr_ssi_execute(p, run);
    case WR_SSI_TOO_LONG:
        return run->is_block || !wr_ssi_is_shown(run)
                   ? WR_OK
                   : wr_ssi_complain(p, "an SSI command is longer than %zu bytes",
                                     run->scan.raw.max);
    }
    WR_UNREACHABLE();
}

static void init_run(struct ssi_page *p, struct ssi_run *run)
{
    run->depth = 0;
    run->is_block = false;
    wr_ssi_scan_init(&run->scan, p->g.req->arena, (size_t)p->conf->value_max * 2 + COMMAND_ROOM);
}

/* ---- what is awaited ---------------------------------------------------------------------------
 */

/* The source of a stub takes the place of the first item. */
static enum wr_status put_stub(struct ssi_page *p, struct wr_str source)
{
    struct ssi_item *rest = p->first->next, *last = p->last;
    struct ssi_run *run = wr_arena_zalloc(p->g.req->arena, sizeof(*run));
    enum wr_status st = run ? WR_OK : WR_ENOMEM;
    size_t used = 0;

    p->first->next = NULL;
    p->last = p->first;
    pop_item(p);
    p->is_stub = true;
    if (run) {
        init_run(p, run);
    }
    while (st == WR_OK && source.len > 0) {
        st = step_run(p, run, source, &used);
        source = wr_str_sub(source, used, source.len);
    }
    p->is_stub = false;
    if (rest) {
        if (p->last) {
            p->last->next = rest;
        } else {
            p->first = rest;
        }
        p->last = last;
    }
    return st;
}

static enum wr_status put_error(struct ssi_page *p)
{
    return p->conf->is_silent ? put_stub(p, WR_STR("")) : put_stub(p, p->errmsg);
}

/* include set="x". WR_AGAIN: it is not there. */
static enum wr_status end_set(struct ssi_page *p, struct ssi_item *it)
{
    enum wr_sub_state state = wr_sub_get_state(it->sub);
    bool is_good = wr_sub_head(it->sub) != NULL && wr_sub_status(it->sub) < 300;
    struct wr_str body = WR_STR("");
    enum wr_status st;

    if (state == WR_SUB_RUNNING || (state == WR_SUB_ANSWERED && is_good)) {
        return WR_AGAIN;
    }
    if (state == WR_SUB_WHOLE && is_good) {
        body = wr_sub_body(it->sub);
    }
    st = wr_ssi_set_var(p, it->set_to, body);
    if (st == WR_ELIMIT) {
        return put_error(p);
    }
    if (st == WR_OK) {
        pop_item(p);
    }
    return st;
}

/* Nothing of it was passed yet: has it something for the page? */
static bool wants_stub(const struct ssi_item *it)
{
    return wr_sub_get_state(it->sub) == WR_SUB_FAILED || wr_sub_status(it->sub) >= 300;
}

static enum wr_status pass_include(struct ssi_page *p, struct ssi_item *it)
{
    enum wr_status st;

    if (it->is_set) {
        return end_set(p, it);
    }
    if (!it->is_begun && wr_sub_get_state(it->sub) == WR_SUB_RUNNING) {
        return WR_AGAIN;
    }
    if (!it->is_begun && it->has_stub && wants_stub(it)) {
        return put_stub(p, it->stub);
    }
    if (!it->is_begun && wr_sub_get_state(it->sub) == WR_SUB_FAILED && !wr_sub_head(it->sub)) {
        return put_error(p);
    }
    it->is_begun = it->is_begun || wr_sub_has_bytes(it->sub);
    st = wr_sub_pass(it->sub, &p->g);
    if (st == WR_OK && !it->is_begun && it->has_stub) {
        return put_stub(p, it->stub);
    }
    if (st == WR_OK) {
        pop_item(p);
    }
    return st;
}

static enum wr_status pass_text(struct ssi_page *p, struct ssi_item *it)
{
    uint64_t before = it->text->out_total;
    enum wr_status st = wr_stage_pass(&p->g, it->text);

    p->ahead -= (size_t)(it->text->out_total - before);
    if (st == WR_OK) {
        pop_item(p);
    }
    return st;
}

/* Is there enough behind what is awaited? */
static bool is_full(const struct ssi_page *p)
{
    return p->awaited || p->sub_cnt >= SSI_SUBS_MAX || p->ahead >= SSI_AHEAD_MAX;
}

static enum wr_status pull(struct wr_stage *g)
{
    struct ssi_page *p = page_of(g);

    while (p->first) {
        enum wr_status st = p->first->text ? pass_text(p, p->first) : pass_include(p, p->first);

        if (st == WR_AGAIN) {
            return is_full(p) ? WR_AGAIN : WR_OK;
        }
        if (st != WR_OK) {
            return st;
        }
    }
    return WR_OK;
}

/* ---- the stage ------------------------------------------------------------------------------- */

static enum wr_status take(struct wr_stage *g, const char *bytes, size_t n, size_t *ret_used)
{
    struct ssi_page *p = page_of(g);
    size_t at = 0;

    while (at < n && !is_full(p)) {
        size_t room = p->first ? SSI_AHEAD_MAX - p->ahead : wr_stage_free(g), used = 0;
        enum wr_status st;

        if (room == 0) {
            break;
        }
        st = step_run(p, &p->run, wr_str(bytes + at, WR_MIN(n - at, room)), &used);
        if (st != WR_OK) {
            return st;
        }
        at += used;
    }
    *ret_used = at;
    return WR_OK;
}

static enum wr_status finish(struct wr_stage *g)
{
    struct ssi_page *p = page_of(g);
    enum wr_status st = WR_OK;

    if (!p->is_ended) {
        p->is_ended = true;
        if (wr_ssi_scan_is_open(&p->run.scan)) {
            wr_log(&g->req->log, WR_LOG_ERROR, "an SSI command has no end");
        } else {
            st = take_text(p, &p->run, wr_ssi_scan_end(&p->run.scan));
        }
    }
    if (st == WR_OK) {
        st = pull(g);
    }
    return st == WR_OK && p->first ? WR_AGAIN : st;
}

static void close_page(struct wr_stage *g)
{
    struct ssi_page *p = page_of(g);

    while (p->first) {
        pop_item(p);
    }
}

static const struct wr_stage_ops ssi_ops = {
    .name = "ssi", .pull = pull, .take = take, .finish = finish, .close = close_page};

/* ---- the filter ------------------------------------------------------------------------------ */

static enum wr_status change_head(struct wr_req *r, const struct ssi_loc *conf)
{
    if (!conf->keep_modified) {
        r->out_mtime = -1;
        if (wr_hdrs_has(&r->out.hdrs, WR_HDR_LAST_MODIFIED)) {
            wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_LAST_MODIFIED);
        }
        if (wr_hdrs_has(&r->out.hdrs, WR_HDR_ETAG)) {
            wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_ETAG);
        }
    }
    return wr_stage_changes_body(r);
}

static struct ssi_page *make_page(struct wr_req *r, const struct ssi_loc *conf)
{
    struct ssi_page *p = wr_arena_zalloc(r->arena, sizeof(*p));
    struct ssi_ctx *c = wr_req_ctx(r, &wr_ssi_module, sizeof(*c));
    struct ssi_ctx *m = wr_req_ctx(r->main, &wr_ssi_module, sizeof(*m));

    if (!p || !c || !m) {
        return NULL;
    }
    p->conf = conf;
    p->shared = &m->shared;
    p->errmsg = WR_STR("[an error occurred while processing the directive]");
    p->timefmt = WR_STR_NULL;
    p->g.req = r;
    init_run(p, &p->run);
    c->page = p;
    return p;
}

static enum wr_status run_filter(struct wr_req *r)
{
    const struct ssi_loc *conf = wr_req_conf(r, &ssi_conf, WR_KIND_LOC);
    struct ssi_page *p;
    enum wr_status st;

    if (!conf->is_on || r->out.content_length == 0 || !wr_stage_has_body(r) ||
        !wr_mime_set_has(&conf->types, wr_req_out_type(r))) {
        return WR_OK;
    }
    st = change_head(r, conf);
    if (st != WR_OK || !r->out_pipe) {
        return st;
    }
    p = make_page(r, conf);
    return p ? wr_stage_add(r, &p->g, &ssi_ops, WR_STAGE_HIGH) : WR_ENOMEM;
}

/* ---- variables ------------------------------------------------------------------------------- */

enum date_kind {
    DATE_LOCAL,
    DATE_GMT
};

static enum wr_status get_date(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    const struct ssi_ctx *c = wr_req_ctx(r, &wr_ssi_module, sizeof(*c));
    struct wr_str format = c && c->page ? c->page->timefmt : WR_STR_NULL;

    (void)rest;
    if (!c) {
        return WR_ENOMEM;
    }
    if (!format.ptr) {
        format = WR_STR("%A, %d-%b-%Y %H:%M:%S %Z");
    }
    return wr_ssi_write_date(r, format, v->data == DATE_GMT, ret);
}

static const struct wr_var vars[] = {
    {"date_local", get_date, DATE_LOCAL, WR_VAR_NOCACHE},
    {"date_gmt",   get_date, DATE_GMT,   WR_VAR_NOCACHE},
};

/* ---- directives ------------------------------------------------------------------------------ */

#define ROW(n, field_, set_, def_, doc_)                                                           \
    {                                                                                              \
        .name = n, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = set_,                   \
        WR_DIR_FIELD(LOC, struct ssi_loc, field_), .def = def_, .doc = doc_                        \
    }

static const struct wr_dir dirs[] = {
    {.name = "ssi",
     .contexts = WR_CTX_HTTP_ALL_IF,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC,                 struct ssi_loc, is_on),
     .def = "off",
     .doc = "Are commands in pages (server-side includes) executed?"   },
    ROW("ssi_silent_errors", is_silent, wr_set_flag, "off",
        "Is nothing shown in the place of a command that is wrong?"),
    ROW("ssi_last_modified", keep_modified, wr_set_flag, "off",
        "Do Last-Modified and ETag of the page itself stay?"),
    ROW("ssi_min_file_chunk", min_file_chunk, wr_set_size, "1k",
        "Accepted without effect: parts of files are sent as they are."),
    ROW("ssi_value_length", value_max, wr_set_size, "256",
        "Longest value of a command's parameter."),
    { .name = "ssi_types",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT,
     .set = wr_set_mime_types,
     WR_DIR_FIELD(LOC,         struct ssi_loc,                                      types),
     .data = "text/html",
     .def = "text/html",
     .doc = "Types of pages with commands, beside text/html; * is all."},
    WR_DIR_END
};

static struct wr_conf_module ssi_conf = {
    .name = "ssi", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct ssi_loc)}};

static const struct wr_filter_row filters[] = {
    {WR_FILTER_INCLUDE, run_filter}
};

const struct wr_module wr_ssi_module = {.conf = &ssi_conf,
                                        .is_quiet = true,
                                        .vars = vars,
                                        .var_cnt = WR_ARRAY_LEN(vars),
                                        .filters = filters,
                                        .filter_cnt = WR_ARRAY_LEN(filters)};
