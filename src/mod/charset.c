/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset.c: the charset of a response: named in Content-Type, and made so by recoding.
 *
 *   wanted   `charset`, or what a peer asks for by X-Accel-Charset
 *   source   `source_charset`; with `override_charset` what the peer's Content-Type says
 *
 * Tables (mod/recode.h) are those of charset_map, in both directions, in one list of the
 * generation. A pair that is known when the configuration is read must have one; a pair that
 * variables make and that has none leaves the response as it is. One byte to one byte keeps the
 * length and the ranges. Request's thread.
 */
#include "mod/charset.h"

#include "base/chars.h"
#include "conf/gen.h"
#include "conf/types.h"
#include "http/mime_set.h"
#include "http/module.h"
#include "mod/recode.h"

#define DEFAULT_TYPES                                                                              \
    "text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml"

struct charset_map {
    struct wr_str a, b; /* a is of one byte */
    struct wr_recode to_b, to_a;
    struct charset_map *next;
};

struct charset_main {
    struct wr_conf_head head;
    struct charset_map *maps;
};

/* ptr NULL and no template: not set, or off */
struct charset_name {
    struct wr_str name;
    const struct wr_template *t; /* NULL: name holds */
    const struct wr_node *node;
};

struct charset_loc {
    struct wr_conf_head head;
    struct charset_name wanted, source;
    bool is_override;
    struct wr_mime_set types;
    const struct charset_main *main;
};

struct charset_stage {
    struct wr_stage stage; /* first */
    const struct wr_recode *table;
    struct wr_recode_state state;
};

static struct wr_conf_module charset_conf;

/* ---- the stage -------------------------------------------------------------------------------
 */

/* The last few bytes of room are less than what one byte may become. */
static enum wr_status take_few(struct charset_stage *s, const char *p, size_t n, size_t *ret_used)
{
    char out[2 * WR_RECODE_OUT_MAX];
    size_t len = wr_recode_run(s->table, &s->state, wr_str(p, n), out, sizeof(out), ret_used);

    return len > 0 ? wr_stage_give(&s->stage, out, len) : WR_OK;
}

static enum wr_status take_charset(struct wr_stage *g, const char *p, size_t n, size_t *ret_used)
{
    struct charset_stage *s = (struct charset_stage *)(void *)g;
    size_t off = 0, used, room;
    enum wr_status st = WR_OK;

    while (st == WR_OK && off < n && wr_stage_free(g) > 0) {
        char *out = wr_stage_room(g, WR_MAX(n - off, (size_t)4 * WR_RECODE_OUT_MAX), &room);

        if (!out) {
            return WR_ENOMEM;
        }
        if (room < WR_RECODE_OUT_MAX) {
            wr_stage_commit(g, 0);
            st = take_few(s, p + off, n - off, &used);
        } else {
            wr_stage_commit(
                g, wr_recode_run(s->table, &s->state, wr_str(p + off, n - off), out, room, &used));
        }
        off += used;
    }
    *ret_used = off;
    return st;
}

static enum wr_status finish_charset(struct wr_stage *g)
{
    struct charset_stage *s = (struct charset_stage *)(void *)g;
    char out[WR_RECODE_OUT_MAX];
    size_t n = wr_recode_end(&s->state, out);

    return n > 0 ? wr_stage_give(g, out, n) : WR_OK;
}

static const struct wr_stage_ops charset_ops = {
    .name = "charset", .take = take_charset, .finish = finish_charset};

/* ---- the filter ------------------------------------------------------------------------------
 */

static const struct wr_recode *find_table(const struct charset_main *m, struct wr_str from,
                                          struct wr_str to)
{
    for (const struct charset_map *c = m->maps; c; c = c->next) {
        if (wr_str_ieq(c->a, from) && wr_str_ieq(c->b, to)) {
            return &c->to_b;
        }
        if (wr_str_ieq(c->b, from) && wr_str_ieq(c->a, to)) {
            return &c->to_a;
        }
    }
    return NULL;
}

static enum wr_status eval_name(struct wr_req *r, const struct charset_name *c, struct wr_str *ret)
{
    *ret = c->name;
    return c->t ? wr_template_eval(r, c->t, ret) : WR_OK;
}

/* The value of "charset=" of a media type, without quotes; *ret_at: where its ';' is. */
static bool find_parameter(struct wr_str type, struct wr_str *ret_value, size_t *ret_at)
{
    size_t at = wr_str_find(type, ';');

    while (at < type.len) {
        struct wr_str rest = wr_str_sub(type, at + 1, SIZE_MAX);
        size_t len = wr_str_find(rest, ';');
        struct wr_str part = wr_str_trim(wr_str_sub(rest, 0, len));

        if (wr_str_has_iprefix(part, WR_STR("charset="))) {
            part = wr_str_sub(part, 8, SIZE_MAX);
            if (part.len >= 2 && part.ptr[0] == '"' && part.ptr[part.len - 1] == '"') {
                part = wr_str_sub(part, 1, part.len - 2);
            }
            *ret_value = part;
            *ret_at = at;
            return true;
        }
        at += 1 + len;
    }
    return false;
}

static enum wr_status set_type(struct wr_req *r, struct wr_str type, struct wr_str charset)
{
    struct wr_str text;
    enum wr_status st = wr_arena_printf(r->arena, &text, "%.*s; charset=%.*s", WR_STR_ARG(type),
                                        WR_STR_ARG(charset));

    if (st != WR_OK) {
        return st;
    }
    if (wr_hdrs_has(&r->out.hdrs, WR_HDR_CONTENT_TYPE)) {
        return wr_hdrs_set_id(&r->out.hdrs, WR_HDR_CONTENT_TYPE, text);
    }
    r->out_type = text;
    return WR_OK;
}

static enum wr_status add_stage(struct wr_req *r, const struct wr_recode *table)
{
    struct charset_stage *s;
    enum wr_status st = WR_OK;

    if (r->out_pipe) {
        s = wr_arena_zalloc(r->arena, sizeof(*s));
        if (!s) {
            return WR_ENOMEM;
        }
        s->table = table;
        st = wr_stage_add(r, &s->stage, &charset_ops, WR_STAGE_HIGH);
    }
    return st == WR_OK && table->kind != WR_RECODE_BYTES ? wr_stage_changes_body(r) : st;
}

/* Recodes where it must; *ret_named false: it cannot, and the type stays as it is. */
static enum wr_status recode(struct wr_req *r, const struct charset_loc *lc, struct wr_str source,
                             struct wr_str wanted, bool *ret_named)
{
    const struct wr_recode *table;

    *ret_named = true;
    if (source.len == 0 || wr_str_ieq(source, wanted) ||
        wr_hdrs_has(&r->out.hdrs, WR_HDR_CONTENT_ENCODING)) {
        return WR_OK;
    }
    table = r->out.status == 206 ? NULL : find_table(lc->main, source, wanted);
    if (!table) {
        *ret_named = false;
        return WR_OK;
    }
    return wr_stage_has_body(r) ? add_stage(r, table) : WR_OK;
}

static enum wr_status apply(struct wr_req *r, const struct charset_loc *lc, struct wr_str wanted)
{
    struct wr_str type = wr_req_out_type(r), source = WR_STR_NULL;
    bool is_named = false;
    size_t at;
    enum wr_status st;

    if (find_parameter(type, &source, &at)) {
        if (!lc->is_override || !r->is_proxied) {
            return WR_OK;
        }
        type = wr_str_sub(type, 0, at);
        st = recode(r, lc, source, wanted, &is_named);
    } else {
        st = eval_name(r, &lc->source, &source);
        if (st == WR_OK) {
            st = recode(r, lc, source, wanted, &is_named);
        }
    }
    return st == WR_OK && is_named ? set_type(r, type, wanted) : st;
}

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302;
}

static enum wr_status run_charset(struct wr_req *r)
{
    const struct charset_loc *lc = wr_req_conf(r, &charset_conf, WR_KIND_LOC);
    struct wr_str wanted = WR_STR_NULL;
    enum wr_status st;

    if (!lc || (!lc->wanted.t && lc->wanted.name.len == 0 && r->out_charset.len == 0) ||
        is_redirect(r->out.status) || !wr_mime_set_has(&lc->types, wr_req_out_type(r))) {
        return WR_OK;
    }
    wanted = r->out_charset;
    st = wanted.len > 0 ? WR_OK : eval_name(r, &lc->wanted, &wanted);
    return st == WR_OK && wanted.len > 0 ? apply(r, lc, wanted) : st;
}

/* ---- charset_map -----------------------------------------------------------------------------
 */

static struct charset_main *main_of(struct wr_conf *cf)
{
    return wr_scope_get(cf->gen->root, &charset_conf, WR_KIND_MAIN);
}

/* Hexadecimal text into bytes; false: it is not, or too long. */
static bool read_hex(struct wr_str s, char *out, size_t max, size_t *ret_n)
{
    size_t n = 0, i = 0;

    if (s.len == 0 || (s.len + 1) / 2 > max) {
        return false;
    }
    if (s.len % 2 == 1) { /* "8" is 08 */
        int v = wr_char_hex((unsigned char)s.ptr[0]);

        if (v < 0) {
            return false;
        }
        out[n++] = (char)v;
        i = 1;
    }
    for (; i < s.len; i += 2) {
        int high = wr_char_hex((unsigned char)s.ptr[i]);
        int low = wr_char_hex((unsigned char)s.ptr[i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        out[n++] = (char)(high << 4 | low);
    }
    *ret_n = n;
    return true;
}

static enum wr_status add_entry(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct charset_map *m = cf->block;
    char src[1], dst[4];
    size_t n;
    enum wr_status st;

    (void)dir, (void)conf;
    if (node->arg_cnt != 1) {
        return wr_conf_err(cf, node, "invalid parameters number");
    }
    if (!m) {
        return WR_ECONFIG;
    }
    if (!read_hex(node->name, src, sizeof(src), &n)) {
        return wr_conf_err(cf, node, "invalid value \"%.*s\"", WR_STR_ARG(node->name));
    }
    if (!read_hex(wr_node_arg(node, 0), dst, m->to_b.kind == WR_RECODE_BYTES ? 1 : 4, &n)) {
        return wr_conf_err(cf, node, "invalid value \"%.*s\"", WR_STR_ARG(wr_node_arg(node, 0)));
    }
    if (m->to_b.kind == WR_RECODE_BYTES) {
        return wr_recode_add_byte(&m->to_b, &m->to_a, (uint8_t)src[0], (uint8_t)dst[0]);
    }
    st = wr_recode_add_char(cf->arena, &m->to_b, &m->to_a, (uint8_t)src[0], wr_str(dst, n));
    return st == WR_EPROTO
               ? wr_conf_err(cf, node, "invalid value \"%.*s\"", WR_STR_ARG(wr_node_arg(node, 0)))
               : st;
}

static enum wr_status set_map(struct wr_conf *cf, const struct wr_dir *dir,
                              const struct wr_node *node, void *conf)
{
    struct charset_main *main = main_of(cf);
    struct wr_str a = wr_node_arg(node, 0), b = wr_node_arg(node, 1);
    struct charset_map *m;

    (void)dir, (void)conf;
    cf->block = NULL;
    if (wr_str_ieq(a, b)) {
        return wr_conf_err(cf, node,
                           "\"charset_map\" between the same charsets \"%.*s\" and \"%.*s\"",
                           WR_STR_ARG(a), WR_STR_ARG(b));
    }
    if (find_table(main, a, b)) {
        return wr_conf_err(cf, node, "duplicate \"charset_map\" between \"%.*s\" and \"%.*s\"",
                           WR_STR_ARG(a), WR_STR_ARG(b));
    }
    m = wr_arena_zalloc(cf->arena, sizeof(*m));
    if (!m ||
        wr_recode_init(cf->arena, wr_str_ieq(b, WR_STR("utf-8")), &m->to_b, &m->to_a) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    m->a = a;
    m->b = b;
    m->next = main->maps;
    main->maps = m;
    cf->block = m;
    return WR_OK;
}

/* ---- other directives ------------------------------------------------------------------------
 */

/* For `charset` "off" is none; for `source_charset` it is a name, as in nginx. */
static enum wr_status set_name(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    struct charset_name *c = (struct charset_name *)(void *)((char *)conf + dir->offset);
    struct wr_str s = wr_node_arg(node, 0);
    struct wr_template *t;

    *c = (struct charset_name){.node = node};
    if (dir->data == NULL && wr_str_eq(s, WR_STR("off"))) {
        return WR_OK;
    }
    if (!wr_template_has_vars(s)) {
        c->name = s;
        return WR_OK;
    }
    t = wr_arena_alloc(cf->arena, sizeof(*t));
    if (!t) {
        return wr_conf_nomem(cf);
    }
    c->t = t;
    return wr_arg_template(cf, node, 0, s, t);
}

/* clang-format off */

static const struct wr_dir dirs[] = {
    {.name = "charset", .contexts = WR_CTX_HTTP_ALL_IF, .min = 1, .max = 1, .set = set_name,
     WR_DIR_FIELD(LOC, struct charset_loc, wanted), .def = "off", .doc = "Names the charset in Content-Type, and recodes if source_charset is another."},
    {.name = "source_charset", .contexts = WR_CTX_HTTP_ALL_IF, .min = 1, .max = 1, .set = set_name, .data = "",
     WR_DIR_FIELD(LOC, struct charset_loc, source), .doc = "The charset that responses have by themselves."},
    {.name = "override_charset", .contexts = WR_CTX_HTTP_ALL_IF, .min = 1, .max = 1, .set = wr_set_flag,
     WR_DIR_FIELD(LOC, struct charset_loc, is_override), .def = "off", .doc = "Recodes also what a peer has named a charset for."},
    {.name = "charset_types", .contexts = WR_CTX_HTTP_ALL, .min = 1, .max = WR_ARGS_ANY, .flags = WR_DIR_REPEAT, .set = wr_set_mime_types,
     .data = "text/html", WR_DIR_FIELD(LOC, struct charset_loc, types),
     .def = DEFAULT_TYPES, .doc = "Media types beside text/html to which charset applies; * is every type."},
    {.name = "charset_map", .contexts = WR_CTX_HTTP, .min = 2, .max = 2, .flags = WR_DIR_BLOCK | WR_DIR_FREE | WR_DIR_REPEAT,
     .set = set_map, .child = add_entry, WR_DIR_CONF(NONE),
     .doc = "A table between a charset of one byte and another one, or utf-8, in both directions."},
    WR_DIR_END
};

/* clang-format on */

static enum wr_status merged(struct wr_conf *cf, struct wr_scope *s, enum wr_conf_kind kind,
                             const void *parent, void *conf)
{
    struct charset_loc *lc = conf;
    const struct charset_name *w = &lc->wanted, *c = &lc->source;

    (void)s, (void)parent;
    if (kind != WR_KIND_LOC) {
        return WR_OK;
    }
    lc->main = main_of(cf);
    if (w->t || c->t || w->name.len == 0 || c->name.len == 0 || wr_str_ieq(w->name, c->name) ||
        find_table(lc->main, c->name, w->name)) {
        return WR_OK;
    }
    return wr_conf_err(cf, w->node, "no \"charset_map\" between the charsets \"%.*s\" and \"%.*s\"",
                       WR_STR_ARG(c->name), WR_STR_ARG(w->name));
}

static struct wr_conf_module charset_conf = {
    .name = "charset",
    .dirs = dirs,
    .size =
        {[WR_KIND_MAIN] = sizeof(struct charset_main), [WR_KIND_LOC] = sizeof(struct charset_loc)},
    .merged = merged
};

static const struct wr_filter_row filters[] = {
    {WR_FILTER_CHARSET, run_charset},
};

const struct wr_module wr_charset_module = {
    .conf = &charset_conf, .filters = filters, .filter_cnt = WR_ARRAY_LEN(filters)};
