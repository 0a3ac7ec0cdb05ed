/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgi.c: directives and variables of the protocols that carry CGI (cgi.h), and their content
 * handler. The setters and the merge run on the control thread, while a generation is built; the
 * rest on the request's.
 */
#include "proto/cgi.h"

#include "base/hash.h"
#include "proto/simple.h"

#define NAME_MAX_LEN 256 /* bytes of a field name that is told; longer ones are left out */

/* --- directives --- */

enum wr_status wr_cgi_set_pass(struct wr_conf *cf, const struct wr_dir *dir,
                               const struct wr_node *node, void *conf)
{
    const struct wr_cgi_kind *kind = dir->data;
    struct wr_cgi_loc *lc = conf;
    struct wr_cgi_pass *p = wr_arena_zalloc(cf->arena, sizeof(*p));
    enum wr_status st;

    if (p == NULL) {
        return wr_conf_nomem(cf);
    }
    p->kind = kind;
    st = wr_pass_set(cf, node, &kind->schemes, &p->to);
    if (st != WR_OK) {
        return st;
    }
    lc->pass = p;
    return wr_core_set_content(cf, node, wr_cgi_start, p);
}

enum wr_status wr_cgi_set_param(struct wr_conf *cf, const struct wr_dir *dir,
                                const struct wr_node *node, void *conf)
{
    struct wr_cgi_params *ps = (struct wr_cgi_params *)(void *)((char *)conf + dir->offset);
    struct wr_cgi_param *p;

    if (node->arg_cnt == 3 && !wr_str_eq(wr_node_arg(node, 2), WR_STR("if_not_empty"))) {
        return wr_arg_invalid(cf, node, 2);
    }
    p = wr_array_push(cf->arena, ps);
    if (p == NULL) {
        return wr_conf_nomem(cf);
    }
    p->name = wr_node_arg(node, 0);
    p->if_not_empty = node->arg_cnt == 3;
    return wr_arg_template(cf, node, 1, wr_node_arg(node, 1), &p->value);
}

/* Names that a client's fields could also make. */
static enum wr_status note_own(struct wr_conf *cf, struct wr_cgi_loc *lc)
{
    static const char yes[] = "own"; /* the map is asked for presence only */
    struct wr_str err;
    uint32_t i;

    wr_map_init_arena(&lc->own, 0, cf->arena);
    for (i = 0; i < lc->params.cnt; i++) {
        struct wr_cgi_param *p = &lc->params.at[i];

        if (wr_str_has_prefix(p->name, WR_STR("HTTP_"))) {
            p->is_never = wr_template_is_const(&p->value) && p->value.source.len == 0;
            wr_map_put(&lc->own, p->name, (void *)(uintptr_t)yes);
        }
    }
    lc->has_host = lc->up.pass_request_headers && wr_map_get(&lc->own, WR_STR("HTTP_HOST")) == NULL;
    if (lc->has_host &&
        wr_template_compile(cf->arena, &cf->vars, WR_STR("$host$is_request_port$request_port"),
                            NULL, &lc->host, &err) != WR_OK) {
        return wr_conf_nomem(cf);
    }
    return WR_OK;
}

enum wr_status wr_cgi_merged(struct wr_conf *cf, struct wr_scope *s, const struct wr_cgi_kind *kind,
                             const void *parent, void *conf)
{
    static const struct wr_str hidden[] = {WR_STR_INIT("Status"),
                                           WR_STR_INIT("X-Accel-Expires"),
                                           WR_STR_INIT("X-Accel-Redirect"),
                                           WR_STR_INIT("X-Accel-Limit-Rate"),
                                           WR_STR_INIT("X-Accel-Buffering"),
                                           WR_STR_INIT("X-Accel-Charset")};
    struct wr_cgi_loc *lc = conf;
    const struct wr_cgi_loc *pl = parent;
    enum wr_status st;

    if (pl != NULL && lc->pass == NULL &&
        (s->ctx == WR_CTX_IF_LOCATION || s->ctx == WR_CTX_LIMIT_EXCEPT)) {
        lc->pass = pl->pass;
    }
    st = wr_up_conf_merged(cf, s, &lc->up, kind->prefix,
                           wr_up_given_of(cf, kind->conf, conf, offsetof(struct wr_cgi_loc, up)),
                           (struct wr_up_hidden){hidden, WR_ARRAY_LEN(hidden)});
    return st == WR_OK ? note_own(cf, lc) : st;
}

/* --- the content --- */

enum wr_status wr_cgi_start(struct wr_req *r, void *conf, struct wr_content **ret)
{
    const struct wr_cgi_pass *p = conf;
    const struct wr_cgi_kind *kind = p->kind;
    struct wr_cgi_loc *lc = wr_req_conf(r, kind->conf, WR_KIND_LOC);
    struct wr_up_start start = {.conf = &lc->up, .proto = kind->proto, .proto_conf = lc};
    const struct wr_pass_scheme *scheme;
    struct wr_proto_req *q;
    struct wr_str host;
    struct wr_up *u;
    enum wr_status st;

    st = wr_pass_find(r, &p->to, &start, &scheme, &host);
    if (st == WR_EPROTO) {
        wr_req_fail(r, 500);
        return WR_ECANCELED;
    }
    if (st == WR_OK && scheme->is_tls) {
        st = kind->start_tls(r, lc, host, &start);
    }
    start.gather_body =
        !lc->up.pass_request_body || (kind->needs_length && r->head->framing == WR_FRAMING_CHUNKED);
    if (st == WR_OK) {
        st = wr_up_new(r, &start, &u);
    }
    if (st != WR_OK) {
        return st;
    }
    q = wr_simple_req(u);
    if (q == NULL) {
        return WR_ENOMEM;
    }
    q->ctx = wr_arena_zalloc(r->arena, kind->ctx_size);
    if (q->ctx == NULL) {
        return WR_ENOMEM;
    }
    *ret = &u->content;
    return WR_OK;
}

uint64_t wr_cgi_body_len(struct wr_req *r, const struct wr_cgi_loc *lc)
{
    uint64_t len;

    if (!lc->up.pass_request_body || !wr_req_has_body(r, &len)) {
        return 0;
    }
    return r->body_state == WR_BODY_WHOLE ? r->body_len : len;
}

/* --- the client's fields --- */

#define SEEN_BITS 1024

/* Which names come more than once, about: bits of hashes. */
struct field_set {
    uint64_t seen[SEEN_BITS / 64], again[SEEN_BITS / 64];
};

static unsigned bit_of(struct wr_str name)
{
    unsigned h = (unsigned)name.len;
    size_t i;

    for (i = 0; i < name.len; i++) {
        h = h * 31 + ((unsigned char)name.ptr[i] | 0x20u);
    }
    return (h ^ h >> 12) % SEEN_BITS;
}

static void note_names(const struct wr_hdrs *h, struct field_set *set)
{
    uint32_t i;
    unsigned b;

    *set = (struct field_set){.seen = {0}};
    for (i = 0; i < h->cnt; i++) {
        b = bit_of(h->at[i].name);
        if ((set->seen[b / 64] >> b % 64 & 1) != 0) {
            set->again[b / 64] |= UINT64_C(1) << b % 64;
        }
        set->seen[b / 64] |= UINT64_C(1) << b % 64;
    }
}

/* HTTP_ACCEPT_ENCODING; to[5 + name.len]. */
static void make_name(struct wr_str name, char *to)
{
    size_t i;

    for (i = 0; i < 5; i++) {
        to[i] = "HTTP_"[i];
    }
    for (i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        to[5 + i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
}

/* The value of a field that may come again: all of them joined, at the first. WR_EOF: not the
 * first. */
static enum wr_status join_again(const struct wr_hdrs *hs, const struct wr_hdr *h,
                                 struct wr_str *ret)
{
    if (wr_hdrs_find(hs, h->name, NULL) != h) {
        return WR_EOF;
    }
    if (wr_hdrs_find(hs, h->name, h) == NULL) {
        return WR_OK;
    }
    return wr_hdrs_join(hs, h->name, h->id == WR_HDR_COOKIE ? WR_STR("; ") : WR_STR(", "), ret);
}

/*
 * Host is told by the configuration or by what weir made of it; a field named Proxy would be
 * HTTP_PROXY, which programs take for their own setting ("httpoxy").
 */
static bool is_left_out(const struct wr_hdr *h)
{
    return h->is_removed || h->id == WR_HDR_HOST || h->name.len > NAME_MAX_LEN ||
           (h->id == WR_HDR_OTHER && wr_str_ieq(h->name, WR_STR("Proxy")));
}

static enum wr_status add_fields(struct wr_req *r, const struct wr_cgi_loc *lc, struct wr_strbuf *b,
                                 wr_cgi_pair_fn *add)
{
    const struct wr_hdrs *hs = &r->head->hdrs;
    char text[5 + NAME_MAX_LEN];
    struct field_set set;
    enum wr_status st = WR_OK;
    uint32_t i;

    note_names(hs, &set);
    for (i = 0; i < hs->cnt && st == WR_OK; i++) {
        const struct wr_hdr *h = &hs->at[i];
        unsigned bit = bit_of(h->name);
        struct wr_str value = h->value, name;

        if (is_left_out(h)) {
            continue;
        }
        make_name(h->name, text);
        name = wr_str(text, 5 + h->name.len);
        if (lc->own.cnt != 0 && wr_map_get(&lc->own, name) != NULL) {
            continue;
        }
        if ((set.again[bit / 64] >> bit % 64 & 1) != 0) {
            st = join_again(hs, h, &value);
        }
        if (st == WR_OK) {
            st = add(b, name, value);
        }
        st = st == WR_EOF ? WR_OK : st;
    }
    return st;
}

/* --- all variables --- */

static enum wr_status add_value(struct wr_req *r, const struct wr_template *t, bool if_not_empty,
                                struct wr_str name, struct wr_strbuf *b, wr_cgi_pair_fn *add)
{
    struct wr_str value;
    enum wr_status st = wr_template_eval(r, t, &value);

    if (st != WR_OK || (if_not_empty && value.len == 0)) {
        return st;
    }
    return add(b, name, value);
}

enum wr_status wr_cgi_add_params(struct wr_req *r, const struct wr_cgi_loc *lc, struct wr_strbuf *b,
                                 wr_cgi_pair_fn *add)
{
    enum wr_status st = WR_OK;
    uint32_t i;

    for (i = 0; i < lc->params.cnt && st == WR_OK; i++) {
        const struct wr_cgi_param *p = &lc->params.at[i];

        st = p->is_never ? WR_OK : add_value(r, &p->value, p->if_not_empty, p->name, b, add);
    }
    if (st == WR_OK && lc->has_host) {
        st = add_value(r, &lc->host, true, WR_STR("HTTP_HOST"), b, add);
    }
    if (st == WR_OK && lc->up.pass_request_headers) {
        st = add_fields(r, lc, b, add);
    }
    return st != WR_OK ? st : b->status;
}
