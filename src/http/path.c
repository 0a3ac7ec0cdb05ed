/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.c: file names of requests, see path.h. One pass appends root (or alias) and what is left of
 * the path; the whole name is looked at afterwards, so it does not matter from which part a ".."
 * came.
 */
#include "http/path.h"

#include <string.h>

#include "base/strbuf.h"
#include "http/core_conf.h"
#include "http/req.h"
#include "http/var.h"

static size_t count_dotdot(struct wr_str s)
{
    size_t cnt = 0, from = 0;

    while (from < s.len) {
        size_t len = wr_str_find(wr_str(s.ptr + from, s.len - from), '/');

        cnt += len == 2 && s.ptr[from] == '.' && s.ptr[from + 1] == '.';
        from += len + 1;
    }
    return cnt;
}

bool wr_path_escapes(struct wr_str built, struct wr_str source)
{
    size_t cnt;

    if (built.len == 0) {
        return false;
    }
    if (memchr(built.ptr, '\0', built.len)) {
        return true;
    }
    if (wr_str_find_str(built, WR_STR("..")) == built.len) {
        return false; /* nearly always */
    }
    cnt = count_dotdot(built);
    return cnt > 0 && cnt > count_dotdot(source);
}

static enum wr_status append_root(struct wr_req *r, const struct wr_core_loc *lc,
                                  struct wr_strbuf *b)
{
    struct wr_str root;
    enum wr_status st = wr_template_eval(r, lc->root, &root);

    if (st != WR_OK) {
        return st;
    }
    if (root.len == 0 || root.ptr[0] != '/') {
        wr_strbuf_add_str(b, lc->prefix);
    }
    wr_strbuf_add_str(b, root);
    return b->status;
}

static enum wr_status finish(struct wr_req *r, const struct wr_core_loc *lc, struct wr_strbuf *b,
                             struct wr_str *ret)
{
    struct wr_str s;

    wr_strbuf_add_char(b, '\0');
    if (b->status != WR_OK) {
        return b->status;
    }
    s = wr_str(b->ptr, b->len - 1);
    if (wr_path_escapes(s, lc->root->source)) {
        wr_log(&r->log, WR_LOG_ERROR, "the file name \"%.*s\" leads outside of \"%.*s\", refused",
               WR_STR_ARG(s), WR_STR_ARG(lc->root->source));
        return WR_EPROTO;
    }
    *ret = s;
    return WR_OK;
}

enum wr_status wr_path_root(struct wr_req *r, struct wr_str *ret)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wr_strbuf b;
    enum wr_status st;

    if (wr_template_is_const(lc->root)) {
        *ret = lc->root->source; /* made absolute when it was read */
        return WR_OK;
    }
    wr_strbuf_init_arena(&b, r->arena, WR_PATH_TEXT_MAX);
    st = append_root(r, lc, &b);
    return st == WR_OK ? finish(r, lc, &b, ret) : st;
}

enum wr_status wr_path_map(struct wr_req *r, struct wr_str path, struct wr_str *ret)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    struct wr_strbuf b;
    enum wr_status st;

    wr_strbuf_init_arena(&b, r->arena, WR_PATH_TEXT_MAX);
    st = append_root(r, lc, &b);
    if (st != WR_OK) {
        return st;
    }
    wr_strbuf_add_str(&b, lc->is_alias ? wr_str_sub(path, lc->alias_len, SIZE_MAX) : path);
    return finish(r, lc, &b, ret);
}
