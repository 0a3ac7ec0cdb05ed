/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite_uri.c: `rewrite REGEX REPLACEMENT [FLAG]`. The regex sees the decoded path. REPLACEMENT
 * is cut at its first '?', when the file is read:
 *
 *   "/b/$1?x=$2"   path "/b/$1", arguments "x=$2", and those of the request behind them
 *   "/b/$1?"       path, and no arguments: a '?' at the end keeps the request's own away
 *   "/b/$1"        path; the request's arguments stay
 *   "http://o/$1"  also "https://", "$scheme": a redirect, whatever the flag
 *
 * Captures come from a decoded path, so they are escaped where they go into something that is not:
 * a redirect, and arguments if the client had escaped anything in its path. What other variables
 * hold is taken as it is.
 */
#include "base/codec.h"
#include "conf/types.h"
#include "http/regex.h"
#include "mod/rewrite_int.h"

enum flag {
    FLAG_NONE,
    FLAG_LAST,
    FLAG_BREAK
};

struct op_rewrite {
    struct wr_rewrite_op op;
    struct wr_regex *re;
    struct wr_template path, args;
    bool has_args;   /* REPLACEMENT has a '?' that is not its end */
    bool drops_args; /* it ends in '?' */
    uint8_t flag;    /* enum flag */
    unsigned status; /* of a redirect; 0: none */
};

/* ---- run ------------------------------------------------------------------------------------- */

/* New arguments, and those of the request. */
static enum wr_status append_args(struct wr_req *r, const struct op_rewrite *op,
                                  struct wr_strbuf *b)
{
    static const enum wr_escape how = WR_ESCAPE_ARGS;

    if (op->has_args) {
        enum wr_status st =
            wr_rewrite_append(r, &op->args, wr_rewrite_is_escaped(r) ? &how : NULL, b);

        if (st != WR_OK) {
            return st;
        }
    }
    if (!op->drops_args && r->uri.args.len > 0) {
        if (op->has_args) {
            wr_strbuf_add_char(b, '&');
        }
        wr_strbuf_add_str(b, r->uri.args);
    }
    return b->status;
}

static enum wr_status make_url(struct wr_req *r, const struct op_rewrite *op, struct wr_str *ret)
{
    static const enum wr_escape how = WR_ESCAPE_URI;
    struct wr_strbuf b;
    enum wr_status st;
    size_t mark;

    wr_strbuf_init_arena(&b, r->arena, WR_VAR_TEXT_MAX);
    st = wr_rewrite_append(r, &op->path, &how, &b);
    mark = b.len;
    wr_strbuf_add_char(&b, '?');
    if (st == WR_OK) {
        st = append_args(r, op, &b);
    }
    if (st == WR_OK) {
        *ret = wr_strbuf_str(&b);
        if (ret->len == mark + 1 && !op->has_args) {
            ret->len = mark;
        }
    }
    return st;
}

static enum wr_rewrite_next fail(struct wr_rewrite_run *run, enum wr_status st)
{
    if (st == WR_ELIMIT) {
        wr_log(&run->r->log, WR_LOG_ERROR, "the rewritten URI is longer than %u bytes",
               (unsigned)WR_VAR_TEXT_MAX);
    }
    return wr_rewrite_fail(run);
}

static enum wr_rewrite_next redirect(struct wr_rewrite_run *run, const struct op_rewrite *op)
{
    struct wr_str url = WR_STR_NULL;

    enum wr_status st = make_url(run->r, op, &url);

    if (st != WR_OK) {
        return fail(run, st);
    }
    if (run->conf->log) {
        wr_log(&run->r->log, WR_LOG_NOTICE, "rewritten redirect: \"%.*s\"", WR_STR_ARG(url));
    }
    return wr_rewrite_redirect(run, op->status, url);
}

/* A path begins with '/', also where it was written without. */
static enum wr_status make_path(struct wr_req *r, const struct op_rewrite *op, struct wr_str *ret)
{
    struct wr_str s = WR_STR_NULL;
    enum wr_status st = wr_template_eval(r, &op->path, &s);

    if (st != WR_OK) {
        return st;
    }
    if (s.len == 0) {
        wr_log(&r->log, WR_LOG_ERROR, "the rewritten URI has a zero length");
        return WR_EPROTO;
    }
    if (memchr(s.ptr, '\0', s.len)) {
        wr_log(&r->log, WR_LOG_ERROR, "the rewritten URI holds a NUL");
        return WR_EPROTO;
    }
    if (s.ptr[0] != '/') {
        return wr_arena_printf(r->arena, ret, "/%.*s", WR_STR_ARG(s));
    }
    *ret = s;
    return WR_OK;
}

static enum wr_status change_uri(struct wr_rewrite_run *run, const struct op_rewrite *op)
{
    struct wr_req *r = run->r;
    struct wr_str path = WR_STR_NULL;
    struct wr_strbuf b;
    enum wr_status st = make_path(r, op, &path);

    wr_strbuf_init_arena(&b, r->arena, WR_VAR_TEXT_MAX);
    if (st == WR_OK) {
        st = append_args(r, op, &b);
    }
    if (st != WR_OK) {
        return st;
    }
    r->uri.path = path;
    r->uri.args = wr_strbuf_str(&b);
    r->uri.has_args = r->uri.args.len > 0;
    r->uri.is_plain = false;
    r->uri_changed = r->uri_in_place = r->is_internal = true;
    run->is_moved = run->is_rewritten = true;
    if (run->conf->log) {
        wr_log(&r->log, WR_LOG_NOTICE, "rewritten data: \"%.*s\", args: \"%.*s\"", WR_STR_ARG(path),
               WR_STR_ARG(r->uri.args));
    }
    return WR_OK;
}

static enum wr_rewrite_next run_rewrite(struct wr_rewrite_run *run, const struct wr_rewrite_op *o)
{
    const struct op_rewrite *op = (const struct op_rewrite *)(const void *)o;
    enum wr_status st = wr_rewrite_match(run, op->re, run->r->uri.path);

    if (st == WR_EOF) {
        return WR_REWRITE_NEXT;
    }
    if (st == WR_OK && op->status != 0) {
        return redirect(run, op);
    }
    if (st == WR_OK) {
        st = change_uri(run, op);
    }
    if (st != WR_OK) {
        return fail(run, st);
    }
    switch ((enum flag)op->flag) {
    case FLAG_NONE:
        return WR_REWRITE_NEXT;
    case FLAG_LAST:
        return WR_REWRITE_LAST;
    case FLAG_BREAK:
        run->is_moved = false;
        return WR_REWRITE_BREAK;
    }
    WR_UNREACHABLE();
}

/* ---- the directive --------------------------------------------------------------------------- */

static enum wr_status read_flag(struct wr_conf *cf, const struct wr_node *n, struct op_rewrite *op)
{
    struct wr_str s = wr_node_arg(n, 2);

    if (n->arg_cnt < 3) {
        return WR_OK;
    }
    if (wr_str_eq_z(s, "last")) {
        op->flag = FLAG_LAST;
    } else if (wr_str_eq_z(s, "break")) {
        op->flag = FLAG_BREAK;
    } else if (wr_str_eq_z(s, "redirect")) {
        op->status = 302;
    } else if (wr_str_eq_z(s, "permanent")) {
        op->status = 301;
    } else {
        return wr_conf_err_arg(cf, n, 2, "invalid parameter \"%.*s\"", WR_STR_ARG(s));
    }
    return WR_OK;
}

static enum wr_status read_replacement(struct wr_conf *cf, const struct wr_node *n,
                                       struct op_rewrite *op)
{
    struct wr_str s = wr_node_arg(n, 1);
    size_t mark;
    enum wr_status st;

    if (s.len == 0) {
        return wr_conf_err_arg(cf, n, 1, "empty replacement");
    }
    if (op->status == 0 &&
        (wr_str_has_prefix(s, WR_STR("http://")) || wr_str_has_prefix(s, WR_STR("https://")) ||
         wr_str_has_prefix(s, WR_STR("$scheme")))) {
        op->status = 302;
    }
    op->drops_args = s.ptr[s.len - 1] == '?';
    s.len -= op->drops_args;
    mark = wr_str_find(s, '?');
    op->has_args = mark < s.len;
    st = wr_arg_template(cf, n, 1, wr_str_sub(s, 0, mark), &op->path);
    if (st == WR_OK && op->has_args) {
        st = wr_arg_template(cf, n, 1, wr_str_sub(s, mark + 1, s.len), &op->args);
    }
    return st;
}

enum wr_status wr_rewrite_set_rewrite(struct wr_conf *cf, const struct wr_dir *dir,
                                      const struct wr_node *node, void *conf)
{
    struct op_rewrite *op = wr_rewrite_add(cf, conf, run_rewrite, sizeof(*op));
    enum wr_status st;

    (void)dir;
    if (!op) {
        return WR_ENOMEM;
    }
    st = wr_regex_compile(cf, node, wr_node_arg(node, 0), WR_REGEX_CASE, &op->re);
    if (st == WR_OK) {
        st = read_flag(cf, node, op);
    }
    return st == WR_OK ? read_replacement(cf, node, op) : st;
}
