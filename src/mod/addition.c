/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addition.c: a stage that puts the body of a subrequest in front of a response's body and one
 * behind it. Only a 200 of the types of addition_types, and only that of the client's request.
 * Request's thread.
 */
#include "mod/addition.h"

#include "conf/types.h"
#include "http/mime_set.h"
#include "http/module.h"
#include "http/stage.h"
#include "io/pipe.h"

struct addition_loc {
    struct wr_conf_head head;
    struct wr_str before, after; /* empty: none */
    struct wr_mime_set types;
};

enum addition_part {
    PART_BEFORE,
    PART_BODY,
    PART_AFTER,
    PART_END
};

struct addition {
    struct wr_stage g; /* first */
    const struct addition_loc *conf;
    struct wr_sub *sub; /* of BEFORE and AFTER, once begun */
    enum addition_part part;
};

static struct wr_conf_module addition_conf;

/* ---- the stage ------------------------------------------------------------------------------- */

static struct addition *addition_of(struct wr_stage *g)
{
    return wr_container_of(g, struct addition, g);
}

/* WR_OK: all of it was given. */
static enum wr_status give_other(struct addition *a, struct wr_str uri)
{
    struct wr_sub_opts o = {.mode = WR_SUB_ORDER, .waiter = wr_stage_task(&a->g)};
    enum wr_status st = WR_OK;

    if (uri.len == 0) {
        return WR_OK;
    }
    if (!a->sub) {
        wr_sub_split_uri(uri, &o);
        st = wr_sub_open(a->g.req, &o, &a->sub);
    }
    if (st == WR_OK) {
        st = wr_sub_pass(a->sub, &a->g);
    }
    if (st == WR_OK) {
        wr_sub_leave(wr_take(&a->sub));
    }
    return st;
}

static enum wr_status pull(struct wr_stage *g)
{
    struct addition *a = addition_of(g);
    enum wr_status st = WR_OK;

    if (a->part == PART_BEFORE) {
        st = give_other(a, a->conf->before);
        a->part = st == WR_OK ? PART_BODY : PART_BEFORE;
    }
    return st;
}

static enum wr_status finish(struct wr_stage *g)
{
    struct addition *a = addition_of(g);
    enum wr_status st = WR_OK;

    if (a->part != PART_END) {
        a->part = PART_AFTER;
        st = give_other(a, a->conf->after);
        a->part = st == WR_OK ? PART_END : PART_AFTER;
    }
    return st;
}

static void close_addition(struct wr_stage *g)
{
    wr_sub_leave(wr_take(&addition_of(g)->sub));
}

static const struct wr_stage_ops addition_ops = {
    .name = "addition", .pull = pull, .finish = finish, .close = close_addition};

/* ---- the filter ------------------------------------------------------------------------------ */

/* For a body of no bytes: something may be put around it. */
static enum wr_status make_empty_body(struct wr_req *r)
{
    struct wr_pipe *p = wr_pipe_new(1, NULL, NULL);

    if (!p) {
        return WR_ENOMEM;
    }
    wr_pipe_eof(p);
    wr_pipe_leave_producer(p);
    r->out_pipe = p;
    return WR_OK;
}

static enum wr_status run(struct wr_req *r)
{
    const struct addition_loc *conf = wr_req_conf(r, &addition_conf, WR_KIND_LOC);
    struct addition *a;
    enum wr_status st;

    if ((conf->before.len == 0 && conf->after.len == 0) || r->out.status != 200 ||
        !wr_mime_set_has(&conf->types, wr_req_out_type(r))) {
        return WR_OK;
    }
    st = wr_stage_changes_body(r);
    if (st != WR_OK || r->head->method == WR_METHOD_HEAD) {
        return st;
    }
    a = wr_arena_zalloc(r->arena, sizeof(*a));
    st = a ? WR_OK : WR_ENOMEM;
    if (st == WR_OK && !r->out_pipe) {
        st = make_empty_body(r);
    }
    if (st != WR_OK) {
        return st;
    }
    a->conf = conf;
    return wr_stage_add(r, &a->g, &addition_ops, WR_STAGE_HIGH);
}

/* ---- directives ------------------------------------------------------------------------------ */

#define URI_ROW(n, field_, doc_)                                                                   \
    {                                                                                              \
        .name = n, .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = 1, .set = wr_set_str,             \
        WR_DIR_FIELD(LOC, struct addition_loc, field_), .doc = doc_                                \
    }

static const struct wr_dir dirs[] = {
    URI_ROW("add_before_body", before,
            "A location whose answer to a subrequest is put in front of the body; \"\": none."),
    URI_ROW("add_after_body", after,
            "A location whose answer to a subrequest is put behind the body; \"\": none."),
    {.name = "addition_types",
       .contexts = WR_CTX_HTTP_ALL,
       .min = 1,
       .max = WR_ARGS_ANY,
       .flags = WR_DIR_REPEAT,
       .set = wr_set_mime_types,
       WR_DIR_FIELD(LOC, struct addition_loc, types),
       .data = "text/html",
       .def = "text/html",
       .doc = "Types of responses that something is added to, beside text/html; * is all."},
    WR_DIR_END
};

static struct wr_conf_module addition_conf = {
    .name = "addition", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct addition_loc)}};

static const struct wr_filter_row filters[] = {
    {WR_FILTER_ADD, run}
};

const struct wr_module wr_addition_module = {.conf = &addition_conf,
                                             .is_quiet = true,
                                             .filters = filters,
                                             .filter_cnt = WR_ARRAY_LEN(filters)};
