/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub.c: `sub_filter TEXT REPLACEMENT`, several at once (mod/sub_match.h), as a body stage:
 *
 *   held: bytes that came last and may begin a text, fewer than the longest text has
 *
 * Both sides may have variables: the texts are evaluated when the head goes out, a replacement when
 * it is needed first. A body with a Content-Encoding is left alone: there are no texts in it. What
 * is held is bounded by twice the longest text. Request's thread.
 */
#include "mod/sub.h"

#include <string.h>

#include "conf/types.h"
#include "http/mime_set.h"
#include "http/module.h"
#include "mod/sub_match.h"

struct sub_pair {
    struct wr_template text, replacement; /* a constant text is in lower case already */
};

struct sub_pairs {
    struct sub_pair *at;
    uint32_t cnt, _cap;
};

struct sub_loc {
    struct wr_conf_head head;
    struct sub_pairs pairs;
    struct wr_mime_set types;
    bool once, last_modified;
};

struct sub_stage {
    struct wr_stage stage; /* first */
    const struct sub_loc *lc;
    struct wr_sub_set set;
    struct wr_str *replacements; /* by number; ptr NULL: not evaluated yet */
    char *held;
    size_t held_len, held_cap;
};

static struct wr_conf_module sub_conf;

static struct sub_stage *sub_of(struct wr_stage *g)
{
    return (struct sub_stage *)(void *)g;
}

/* ---- the stage --------------------------------------------------------------------------------
 */

static enum wr_status give_replacement(struct sub_stage *s, uint32_t which)
{
    struct wr_str *to = &s->replacements[which];
    enum wr_status st = WR_OK;

    if (!to->ptr) {
        st = wr_template_eval(s->stage.req, &s->lc->pairs.at[which].replacement, to);
        to->ptr = to->ptr ? to->ptr : "";
    }
    if (st == WR_OK && to->len > 0) {
        st = wr_stage_give(&s->stage, to->ptr, to->len);
    }
    if (s->lc->once) {
        wr_sub_set_drop(&s->set, which);
    }
    return st;
}

/*
 * The next text of p[0..n), with what is in front of it. *ret_used 0: what is left may begin a
 * text, or there is no room.
 */
static enum wr_status replace_next(struct sub_stage *s, const char *p, size_t n,
                                   enum wr_sub_more more, size_t room, size_t *ret_used)
{
    size_t at, give;
    uint32_t which;
    bool is_found = wr_sub_find(&s->set, p, n, more, &at, &which);
    enum wr_status st = WR_OK;

    give = WR_MIN(at, room);
    if (give > 0) {
        st = wr_stage_give(&s->stage, p, give);
    }
    *ret_used = give;
    if (st == WR_OK && is_found && give == at) {
        *ret_used = at + s->set.at[which].len; /* before it may be dropped */
        st = give_replacement(s, which);
    }
    return st;
}

/*
 * The held bytes together with some of p, which are few: as if there was room. *ret_used of p were
 * taken; held_len > 0 afterwards only if all were.
 */
static enum wr_status run_held(struct sub_stage *s, const char *p, size_t n, enum wr_sub_more more,
                               size_t *ret_used)
{
    size_t old = s->held_len, more_len = WR_MIN(n, s->held_cap - old), off = 0, used = 1;
    size_t len = old + more_len;
    enum wr_status st = WR_OK;

    if (more_len > 0) {
        memcpy(s->held + old, p, more_len);
    }
    while (st == WR_OK && used > 0 && (off < old || more == WR_SUB_LAST)) {
        st = replace_next(s, s->held + off, len - off, more, SIZE_MAX, &used);
        off += used;
    }
    if (off >= old) {
        s->held_len = 0; /* from here on p itself is looked at */
        *ret_used = off - old;
    } else {
        memmove(s->held, s->held + off, len - off);
        s->held_len = len - off;
        *ret_used = more_len;
    }
    return st;
}

static enum wr_status take_sub(struct wr_stage *g, const char *p, size_t n, size_t *ret_used)
{
    struct sub_stage *s = sub_of(g);
    enum wr_status st = WR_OK;
    size_t off = 0, used, room = wr_stage_free(g);

    if (room > 0 && s->held_len > 0) {
        st = run_held(s, p, n, WR_SUB_MORE, &off);
    }
    while (st == WR_OK && off < n && s->held_len == 0 && (room = wr_stage_free(g)) > 0) {
        st = replace_next(s, p + off, n - off, WR_SUB_MORE, room, &used);
        off += used;
        if (st == WR_OK && used == 0) {
            memcpy(s->held, p + off, n - off);
            s->held_len = n - off;
            off = n;
        }
    }
    *ret_used = off;
    return st;
}

static enum wr_status finish_sub(struct wr_stage *g)
{
    struct sub_stage *s = sub_of(g);
    size_t used;

    return s->held_len > 0 ? run_held(s, "", 0, WR_SUB_LAST, &used) : WR_OK;
}

static const struct wr_stage_ops sub_ops = {
    .name = "sub_filter", .take = take_sub, .finish = finish_sub};

/* ---- the filter -------------------------------------------------------------------------------
 */

static enum wr_status eval_text(struct wr_req *r, const struct wr_template *t, struct wr_str *ret)
{
    enum wr_status st = wr_template_eval(r, t, ret);
    char *copy;

    if (st != WR_OK || wr_template_is_const(t) || ret->len == 0) {
        return st;
    }
    copy = wr_arena_bytes(r->arena, ret->len);
    if (!copy) {
        return WR_ENOMEM;
    }
    memcpy(copy, ret->ptr, ret->len);
    wr_sub_lower(copy, ret->len);
    ret->ptr = copy;
    return WR_OK;
}

/* *ret NULL: no text is left to look for. */
static enum wr_status make_stage(struct wr_req *r, const struct sub_loc *lc, struct sub_stage **ret)
{
    struct sub_stage *s = wr_arena_zalloc(r->arena, sizeof(*s));
    struct wr_str *texts = wr_arena_zalloc(r->arena, 2 * lc->pairs.cnt * sizeof(*texts));

    if (!s || !texts) {
        return WR_ENOMEM;
    }
    for (uint32_t i = 0; i < lc->pairs.cnt; i++) {
        enum wr_status st = eval_text(r, &lc->pairs.at[i].text, &texts[i]);

        if (st != WR_OK) {
            return st;
        }
    }
    s->lc = lc;
    s->replacements = texts + lc->pairs.cnt;
    wr_sub_set_init(&s->set, texts, lc->pairs.cnt);
    if (s->set.live == 0) {
        *ret = NULL;
        return WR_OK;
    }
    s->held_cap = 2 * s->set.len_max;
    s->held = wr_arena_bytes(r->arena, s->held_cap);
    *ret = s;
    return s->held ? WR_OK : WR_ENOMEM;
}

static enum wr_status change_head(struct wr_req *r, const struct sub_loc *lc)
{
    if (!lc->last_modified) {
        r->out_mtime = -1;
        r->is_mtime_unread = false;
        wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_LAST_MODIFIED);
        wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_ETAG);
    }
    return wr_stage_changes_body(r);
}

static enum wr_status run_sub(struct wr_req *r)
{
    const struct sub_loc *lc = wr_req_conf(r, &sub_conf, WR_KIND_LOC);
    struct sub_stage *s = NULL;
    enum wr_status st;

    if (!lc || lc->pairs.cnt == 0 || r->out.status == 206 || !wr_stage_has_body(r) ||
        wr_hdrs_has(&r->out.hdrs, WR_HDR_CONTENT_ENCODING) ||
        !wr_mime_set_has(&lc->types, wr_req_out_type(r))) {
        return WR_OK;
    }
    st = make_stage(r, lc, &s);
    if (st != WR_OK || !s) {
        return st;
    }
    if (r->out_pipe) {
        st = wr_stage_add(r, &s->stage, &sub_ops, WR_STAGE_HIGH);
    }
    return st == WR_OK ? change_head(r, lc) : st;
}

/* ---- directives -------------------------------------------------------------------------------
 */

static enum wr_status set_sub(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct wr_str text = wr_node_arg(node, 0);
    struct sub_pair pair, *to;
    enum wr_status st;

    (void)dir; /* one row */
    if (text.len == 0) {
        return wr_conf_err(cf, node, "empty search pattern");
    }
    st = wr_arg_template(cf, node, 0, text, &pair.text);
    if (st == WR_OK && wr_template_is_const(&pair.text)) {
        char *copy = wr_arena_bytes(cf->arena, text.len);

        if (!copy) {
            return wr_conf_nomem(cf);
        }
        memcpy(copy, text.ptr, text.len);
        wr_sub_lower(copy, text.len);
        pair.text.source = wr_str(copy, text.len);
    }
    if (st == WR_OK) {
        st = wr_arg_template(cf, node, 1, wr_node_arg(node, 1), &pair.replacement);
    }
    if (st != WR_OK) {
        return st;
    }
    to = wr_array_push(cf->arena, &((struct sub_loc *)conf)->pairs);
    if (!to) {
        return wr_conf_nomem(cf);
    }
    *to = pair;
    return WR_OK;
}

static const struct wr_dir dirs[] = {
    {.name = "sub_filter",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 2,
     .max = 2,
     .flags = WR_DIR_REPEAT,
     .set = set_sub,
     WR_DIR_FIELD(LOC,                         struct sub_loc, pairs),
     .doc = "Replaces a text in the body of the response by another one; case does not count."},
    {.name = "sub_filter_once",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC,         struct sub_loc, once),
     .def = "on",
     .doc = "Each text is replaced where it stands first, and nowhere else."                  },
    {.name = "sub_filter_types",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = WR_ARGS_ANY,
     .flags = WR_DIR_REPEAT,
     .set = wr_set_mime_types,
     .data = "text/html",
     WR_DIR_FIELD(LOC,                                         struct sub_loc, types),
     .def = "text/html",
     .doc = "Media types beside text/html in which texts are replaced; * is every type."},
    {.name = "sub_filter_last_modified",
     .contexts = WR_CTX_HTTP_ALL,
     .min = 1,
     .max = 1,
     .set = wr_set_flag,
     WR_DIR_FIELD(LOC,                 struct sub_loc,                       last_modified),
     .def = "off",
     .doc = "Keeps Last-Modified, and ETag as a weak one, where texts are replaced."   },
    WR_DIR_END
};

static struct wr_conf_module sub_conf = {
    .name = "sub", .dirs = dirs, .size = {[WR_KIND_LOC] = sizeof(struct sub_loc)}};

static const struct wr_filter_row filters[] = {
    {WR_FILTER_REPLACE, run_sub},
};

const struct wr_module wr_sub_module = {
    .conf = &sub_conf, .is_quiet = true, .filters = filters, .filter_cnt = WR_ARRAY_LEN(filters)};
