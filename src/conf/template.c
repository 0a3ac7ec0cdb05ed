/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.c: the compiler of texts with variables. Two passes: the first counts parts (an upper
 * bound: one a '$' and one a piece of text), the second fills them.
 */
#include "conf/template.h"

#include <string.h>

#include "base/assert.h"

struct compile {
    struct wr_arena *arena;
    const struct wr_template_opts *opts;
    struct wr_str src;
    size_t at;
    struct wr_part *parts;
    uint32_t cnt, capture_max;
    struct wr_str err;
};

bool wr_template_has_vars(struct wr_str src)
{
    return wr_str_find(src, '$') < src.len;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static enum wr_status fail(struct compile *c, const char *fmt, struct wr_str name)
{
    enum wr_status st;

    /* Names may be long (a word has a limit), the message is cut by the diagnostics if need be. */
    if (fmt[0] == 'u') {
        st = wr_arena_printf(c->arena, &c->err, "unknown \"%.*s\" variable", WR_STR_ARG(name));
    } else if (fmt[0] == 't') {
        st = wr_arena_printf(c->arena, &c->err,
                             "the closing bracket in \"%.*s\" variable is missing",
                             WR_STR_ARG(name));
    } else {
        st = wr_arena_printf(c->arena, &c->err, "%s", fmt);
    }
    return st != WR_OK ? st : WR_ECONFIG;
}

static void add_text(struct compile *c, size_t from, size_t to)
{
    if (to > from) {
        c->parts[c->cnt++] =
            (struct wr_part){.kind = WR_PART_TEXT, .text = wr_str(c->src.ptr + from, to - from)};
    }
}

static enum wr_status add_var(struct compile *c, struct wr_str name)
{
    const struct wr_template_env *env = c->opts->env;
    uint32_t index = 0;
    enum wr_status st = WR_ECONFIG;

    if (env != NULL && env->lookup != NULL) {
        st = env->lookup(env, name, c->opts->pos, &index);
    }
    if (st == WR_ECONFIG) {
        return fail(c, "unknown", name);
    }
    if (st != WR_OK) {
        return st;
    }
    c->parts[c->cnt++] = (struct wr_part){WR_PART_VAR, index, name};
    return WR_OK;
}

static enum wr_status add_capture(struct compile *c)
{
    struct wr_str name = wr_str(c->src.ptr + c->at, 1);
    uint32_t n = (uint32_t)(c->src.ptr[c->at] - '0');

    if ((c->opts->flags & WR_TEMPLATE_NO_CAPTURES) != 0) {
        return fail(c, "unknown", name);
    }
    c->parts[c->cnt++] = (struct wr_part){WR_PART_CAPTURE, n, name};
    c->capture_max = WR_MAX(c->capture_max, n);
    c->at++;
    return WR_OK;
}

/* c->at is behind the '$'. */
static enum wr_status take_var(struct compile *c)
{
    struct wr_str src = c->src;
    bool braced = c->at < src.len && src.ptr[c->at] == '{';
    size_t start;
    struct wr_str name;

    if (!braced && c->at < src.len && src.ptr[c->at] >= '1' && src.ptr[c->at] <= '9') {
        return add_capture(c);
    }
    if (braced) {
        c->at++;
    }
    start = c->at;
    while (c->at < src.len && is_name_char(src.ptr[c->at])) {
        c->at++;
    }
    name = wr_str_sub(src, start, c->at - start);
    if (braced && c->at < src.len && src.ptr[c->at] == '}') {
        c->at++;
    } else if (braced && name.len > 0) {
        return fail(c, "the closing bracket", name);
    }
    if (name.len == 0) {
        return fail(c, "invalid variable name", name);
    }
    return add_var(c, name);
}

static enum wr_status fill_parts(struct compile *c)
{
    size_t text_from = 0;

    while (c->at < c->src.len) {
        const char *p = memchr(c->src.ptr + c->at, '$', c->src.len - c->at);
        size_t dollar = p == NULL ? c->src.len : (size_t)(p - c->src.ptr);
        enum wr_status st;

        if (p == NULL ||
            (dollar + 1 == c->src.len && (c->opts->flags & WR_TEMPLATE_TAIL_DOLLAR) != 0)) {
            break;
        }
        add_text(c, text_from, dollar);
        c->at = dollar + 1;
        st = take_var(c);
        if (st != WR_OK) {
            return st;
        }
        text_from = c->at;
    }
    add_text(c, text_from, c->src.len);
    return WR_OK;
}

enum wr_status wr_template_compile_opts(struct wr_arena *a, const struct wr_template_opts *o,
                                        struct wr_str src, struct wr_template *ret_t,
                                        struct wr_str *ret_err)
{
    struct compile c = {.arena = a, .opts = o};
    size_t dollars = 0;
    enum wr_status st = wr_arena_dup(a, src, &c.src);

    if (st != WR_OK) {
        return st;
    }
    for (size_t i = 0; i < src.len; i++) {
        dollars += src.ptr[i] == '$';
    }
    if (dollars == 0) {
        *ret_t = (struct wr_template){.source = c.src};
        return WR_OK;
    }
    if (dollars > WR_TEMPLATE_PARTS_MAX / 2) {
        *ret_err = WR_STR("too many variables");
        return WR_ECONFIG;
    }
    c.parts = wr_arena_alloc(a, (2 * dollars + 1) * sizeof(*c.parts));
    if (!c.parts) {
        return WR_ENOMEM;
    }
    st = fill_parts(&c);
    if (st == WR_ECONFIG) {
        *ret_err = c.err;
    }
    if (st != WR_OK) {
        return st;
    }
    if (c.cnt == 1 && c.parts[0].kind == WR_PART_TEXT) {
        c.cnt = 0; /* only a '$' at the end */
    }
    *ret_t = (struct wr_template){c.src, c.cnt == 0 ? NULL : c.parts, c.cnt, c.capture_max};
    return WR_OK;
}

enum wr_status wr_template_compile(struct wr_arena *a, const struct wr_template_env *env,
                                   struct wr_str src, const struct wr_pos *pos,
                                   struct wr_template *ret_t, struct wr_str *ret_err)
{
    const struct wr_template_opts o = {.env = env, .pos = pos};

    return wr_template_compile_opts(a, &o, src, ret_t, ret_err);
}
