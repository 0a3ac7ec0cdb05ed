/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.c: the rewrite module: the run of a block's operations (rewrite_int.h), `return`, `set`
 * and `break`; `rewrite` is in rewrite_uri.c, `if` in rewrite_if.c.
 *
 *   return CODE            an error page for 400 and above, else an empty body
 *   return CODE TEXT       the text, with the type of the path
 *   return 30x URL, URL    Location; the last filter completes "/path"
 *   return 444             the connection ends without a word
 *
 * The server's operations run once a request (and after an internal redirect), then a location is
 * found and its own run; when they changed the URI and did not end in `break`, a location is looked
 * for again, at most 10 times (http/phase.c).
 */
#include "mod/rewrite.h"

#include "base/num.h"
#include "conf/types.h"
#include "http/core_conf.h"
#include "http/h1_write.h"
#include "http/location.h"
#include "http/mime.h"
#include "http/phase.h"
#include "http/regex.h"
#include "http/reply.h"
#include "http/server.h"
#include "http/var_conf.h"
#include "http/vars_core.h"
#include "mod/rewrite_int.h"

/* ---- run ------------------------------------------------------------------------------------- */

enum wr_rewrite_next wr_rewrite_run_ops(struct wr_rewrite_run *run)
{
    enum wr_rewrite_next next = WR_REWRITE_NEXT;

    for (const struct wr_rewrite_op *op = run->conf->ops.first; op; op = op->next) {
        next = op->run(run, op);
        if (next != WR_REWRITE_NEXT) {
            break;
        }
    }
    return next;
}

enum wr_rewrite_next wr_rewrite_fail(struct wr_rewrite_run *run)
{
    wr_req_fail(run->r, 500);
    return WR_REWRITE_DONE;
}

enum wr_status wr_rewrite_match(struct wr_rewrite_run *run, const struct wr_regex *re,
                                struct wr_str s)
{
    struct wr_req *r = run->r;
    enum wr_status st = wr_regex_match(re, s, r);

    if (st == WR_EOF) {
        r->captures_cnt = 0;
    }
    if (run->conf->log && (st == WR_OK || st == WR_EOF)) {
        wr_log(&r->log, WR_LOG_NOTICE, "\"%.*s\" %s \"%.*s\"", WR_STR_ARG(wr_regex_text(re)),
               st == WR_OK ? "matches" : "does not match", WR_STR_ARG(s));
    }
    return st;
}

enum wr_status wr_rewrite_append(struct wr_req *r, const struct wr_template *t,
                                 const enum wr_escape *how, struct wr_strbuf *b)
{
    if (!how || wr_template_is_const(t)) {
        return wr_template_append(r, t, b);
    }
    for (uint32_t i = 0; i < t->part_cnt; i++) {
        const struct wr_part *p = &t->parts[i];
        const struct wr_template one = {.source = t->source, .parts = p, .part_cnt = 1};
        enum wr_status st;

        if (p->kind == WR_PART_CAPTURE) {
            if (p->index < r->captures_cnt) {
                wr_codec_escape(b, r->captures[p->index], *how);
            }
            continue;
        }
        st = wr_template_append(r, &one, b);
        if (st != WR_OK) {
            return st;
        }
    }
    return b->status;
}

bool wr_rewrite_is_escaped(const struct wr_req *r)
{
    struct wr_str path = wr_str_sub(r->client_uri.raw, 0, wr_str_find(r->client_uri.raw, '?'));

    return wr_str_find(path, '%') < path.len || wr_str_find(path, '+') < path.len;
}

enum wr_status wr_rewrite_eval(struct wr_rewrite_run *run, const struct wr_template *t,
                               struct wr_str *ret)
{
    static const enum wr_escape how = WR_ESCAPE_ARGS;
    struct wr_strbuf b;
    enum wr_status st;

    if (t->capture_max == 0 || run->is_rewritten || !wr_rewrite_is_escaped(run->r)) {
        return wr_template_eval(run->r, t, ret);
    }
    wr_strbuf_init_arena(&b, run->r->arena, WR_VAR_TEXT_MAX);
    st = wr_rewrite_append(run->r, t, &how, &b);
    if (st == WR_ELIMIT) {
        wr_log(&run->r->log, WR_LOG_ERROR, "the text of \"%.*s\" is longer than %u bytes",
               WR_STR_ARG(t->source), (unsigned)WR_VAR_TEXT_MAX);
    }
    if (st == WR_OK) {
        *ret = wr_strbuf_str(&b);
    }
    return st;
}

static enum wr_phase_result run_server(struct wr_req *r)
{
    struct wr_rewrite_run run = {
        .r = r, .conf = wr_scope_get(r->server->scope, &wr_rewrite_conf, WR_KIND_LOC)};

    return wr_rewrite_run_ops(&run) == WR_REWRITE_DONE ? WR_PHASE_DONE : WR_PHASE_NEXT;
}

static enum wr_phase_result run_location(struct wr_req *r)
{
    struct wr_rewrite_run run = {.r = r, .conf = wr_req_conf(r, &wr_rewrite_conf, WR_KIND_LOC)};

    if (!run.conf->ops.first || r->scope == r->server->scope) {
        return WR_PHASE_NEXT; /* no location: the server's own ran already */
    }
    if (r->scope->ctx == WR_CTX_LIMIT_EXCEPT) {
        return WR_PHASE_NEXT; /* a `return` must not be quicker than what limits the method */
    }
    switch (wr_rewrite_run_ops(&run)) {
    case WR_REWRITE_DONE:
        return WR_PHASE_DONE;
    case WR_REWRITE_BREAK:
        return WR_PHASE_NEXT;
    case WR_REWRITE_NEXT:
    case WR_REWRITE_LAST:
        if (run.is_moved) {
            wr_phase_relocate(r);
        }
        return WR_PHASE_NEXT;
    }
    WR_UNREACHABLE();
}

void *wr_rewrite_add(struct wr_conf *cf, void *conf, wr_rewrite_op_fn *run, size_t size)
{
    struct wr_rewrite_ops *ops = &((struct wr_rewrite_loc *)conf)->ops;
    struct wr_rewrite_op *op = wr_arena_zalloc(cf->arena, size);

    if (!op) {
        wr_conf_say_nomem(cf);
        return NULL;
    }
    op->run = run;
    if (ops->last) {
        ops->last->next = op;
    } else {
        ops->first = op;
    }
    ops->last = op;
    return op;
}

/* ---- return ---------------------------------------------------------------------------------- */

struct op_return {
    struct wr_rewrite_op op;
    unsigned status;
    bool has_text;
    struct wr_template text;
};

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

enum wr_rewrite_next wr_rewrite_redirect(struct wr_rewrite_run *run, unsigned status,
                                         struct wr_str url)
{
    struct wr_req *r = run->r;

    if (!wr_h1_value_is_safe(url)) { /* U14.1 */
        wr_log(&r->log, WR_LOG_ERROR, "the URL of a redirect holds a line end or NUL");
        wr_req_fail(r, 400);
    } else {
        wr_reply_redirect(r, status, url);
    }
    return WR_REWRITE_DONE;
}

static enum wr_rewrite_next run_return(struct wr_rewrite_run *run, const struct wr_rewrite_op *op)
{
    const struct op_return *ret = (const struct op_return *)(const void *)op;
    struct wr_req *r = run->r;
    struct wr_str text = WR_STR_NULL;

    /* Known to $status in the text. */
    r->out.status = (uint16_t)ret->status;
    if (ret->has_text && wr_template_eval(r, &ret->text, &text) != WR_OK) {
        return wr_rewrite_fail(run);
    }
    if (is_redirect(ret->status)) {
        return wr_rewrite_redirect(run, ret->status, text);
    }
    if ((ret->status >= 400 && ret->text.source.len == 0) || ret->status == 444) {
        wr_req_fail(r, ret->status);
    } else {
        wr_reply_text(r, ret->status, wr_mime_type_of(wr_core_loc_of(r), r->uri.path), text);
    }
    return WR_REWRITE_DONE;
}

static bool is_url(struct wr_str s)
{
    return wr_str_has_iprefix(s, WR_STR("http://")) || wr_str_has_iprefix(s, WR_STR("https://")) ||
           wr_str_has_iprefix(s, WR_STR("$scheme"));
}

static enum wr_status set_return(struct wr_conf *cf, const struct wr_dir *dir,
                                 const struct wr_node *node, void *conf)
{
    struct wr_str first = wr_node_arg(node, 0);
    struct op_return *ret = wr_rewrite_add(cf, conf, run_return, sizeof(*ret));
    uint32_t text_i = 1;
    uint64_t code = 0;
    enum wr_status st = WR_OK;

    (void)dir;
    if (!ret) {
        return WR_ENOMEM;
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
    return st;
}

/* ---- break ----------------------------------------------------------------------------------- */

static enum wr_rewrite_next run_break(struct wr_rewrite_run *run, const struct wr_rewrite_op *op)
{
    (void)op;
    run->is_moved = false;
    return WR_REWRITE_BREAK;
}

static enum wr_status set_break(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    (void)dir, (void)node;
    return wr_rewrite_add(cf, conf, run_break, sizeof(struct wr_rewrite_op)) ? WR_OK : WR_ENOMEM;
}

/* ---- set ------------------------------------------------------------------------------------- */

struct op_set {
    struct wr_rewrite_op op;
    struct wr_var unset;    /* what the variable is before a value was set */
    wr_var_store_fn *store; /* of a variable of ours that is more than a value; NULL: none */
    uint32_t no;
    struct wr_template value;
};

/* A variable that some block sets, in a request that did not come there. */
static enum wr_status get_unset(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    const struct wr_rewrite_loc *lc = wr_req_conf(r, &wr_rewrite_conf, WR_KIND_LOC);

    (void)rest;
    if (lc->warn_unset) {
        wr_log(&r->log, WR_LOG_WARN, "using uninitialized \"%s\" variable", v->name);
    }
    *ret = WR_STR("");
    return WR_OK;
}

static enum wr_rewrite_next run_set(struct wr_rewrite_run *run, const struct wr_rewrite_op *op)
{
    const struct op_set *set = (const struct op_set *)(const void *)op;
    struct wr_str value = WR_STR_NULL;
    enum wr_status st = wr_rewrite_eval(run, &set->value, &value);

    if (st == WR_OK) {
        st = set->store ? set->store(run->r, value) : wr_var_set(run->r, set->no, value);
    }
    return st == WR_OK ? WR_REWRITE_NEXT : wr_rewrite_fail(run);
}

static enum wr_status set_set(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct op_set *set = wr_rewrite_add(cf, conf, run_set, sizeof(*set));
    struct wr_str name = WR_STR_NULL;
    enum wr_status st;

    (void)dir;
    if (!set) {
        return WR_ENOMEM;
    }
    st = wr_var_conf_name(cf, node, 0, &name);
    if (st != WR_OK) {
        return st;
    }
    set->store = wr_vars_core_store(name);
    set->unset = (struct wr_var){.get = get_unset, .flags = WR_VAR_NOCACHE | WR_VAR_WEAK};
    st = wr_var_conf_define(cf, node, 0, &set->unset, &set->no);
    return st == WR_OK ? wr_arg_template(cf, node, 1, wr_node_arg(node, 1), &set->value) : st;
}

/* ---- directives ------------------------------------------------------------------------------ */

#define BLOCKS (WR_CTX_SERVER | WR_CTX_LOCATION | WR_CTX_IF_SERVER | WR_CTX_IF_LOCATION)

/* clang-format off */
static const struct wr_dir dirs[] = {
    {.name = "rewrite",
     .contexts = BLOCKS,
     .min = 2,
     .max = 3,
     .flags = WR_DIR_REPEAT,
     .set = wr_rewrite_set_rewrite,
     WR_DIR_CONF(LOC),
     .doc = "Changes the URI by a regex, or redirects: last, break, redirect, permanent."},
    {.name = "if",
     .contexts = WR_CTX_SERVER | WR_CTX_LOCATION,
     .min = 1,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_BLOCK | WR_DIR_REPEAT,
     .set = wr_rewrite_set_if,
     WR_DIR_CONF(LOC),
     .doc = "Settings and operations for requests that meet a condition."},
    {.name = "set",
     .contexts = BLOCKS,
     .min = 2,
     .max = 2,
     .flags = WR_DIR_REPEAT,
     .set = set_set,
     WR_DIR_CONF(LOC),
     .doc = "Gives a variable a value."},
    {.name = "break",
     .contexts = BLOCKS,
     .flags = WR_DIR_REPEAT,
     .set = set_break,
     WR_DIR_CONF(LOC),
     .doc = "Ends the operations of this block; the location stays."},
    {.name = "return",
     .contexts = BLOCKS,
     .min = 1,
     .max = 2,
     .flags = WR_DIR_REPEAT,
     .set = set_return,
     WR_DIR_CONF(LOC),
     .doc = "Answers at once: code, code and text, redirect code and URL, or URL (302)."},
    {.name = "rewrite_log",
     .contexts = WR_CTX_HTTP | BLOCKS,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC, struct wr_rewrite_loc, log),
     .def = "off",
     .doc = "Log what regexes are tried and how URIs change, as notices?"},
    {.name = "uninitialized_variable_warn",
     .contexts = WR_CTX_HTTP | BLOCKS,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC, struct wr_rewrite_loc, warn_unset),
     .def = "on",
     .doc = "Warn of variables that are used before they are set?"},
    WR_DIR_END
};

/* clang-format on */

struct wr_conf_module wr_rewrite_conf = {.name = "rewrite",
                                         .dirs = dirs,
                                         .size = {[WR_KIND_LOC] = sizeof(struct wr_rewrite_loc)},
                                         .own_kinds = 1u << WR_KIND_LOC};

static const struct wr_phase_row phases[] = {
    {WR_PHASE_SERVER_REWRITE, 100, run_server  },
    {WR_PHASE_REWRITE,        100, run_location},
};

const struct wr_module wr_rewrite_module = {.conf = &wr_rewrite_conf,
                                            .is_quiet = true,
                                            .phases = phases,
                                            .phase_cnt = WR_ARRAY_LEN(phases)};
