/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sticky.c: `sticky cookie`, `sticky route`, `sticky learn`: requests that belong to a peer (U2.7).
 *
 *   cookie   a cookie of ours names the member: its route=, else the MD5 of its address
 *   route    the first of some variables that is not empty names it likewise
 *   learn    sessions are what the peers hand out: create= of an answer is entered in a table, by
 *            lookup= of a request its peer is found again (lb/sessions.c)
 *
 * The names of the members are made once, at build: a map to the first member of a name, and the
 * next one of the same name behind each. Immutable; the table of sessions has its lock.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/md5.h"
#include "base/strbuf.h"
#include "conf/types.h"
#include "http/h1_write.h"
#include "http/req.h"
#include "http/uri.h"
#include "http/var.h"
#include "lb/lb_int.h"
#include "lb/sessions.h"

#define NOBODY     UINT32_MAX
#define COOKIE_MAX 4096

struct sticky_names {
    struct wr_map by_name; /* -> &next[first member of the name] */
    struct wr_str *name;   /* by member */
    uint32_t *next;        /* by member: the next of the same name; NOBODY */
};

struct peer_index {
    uint64_t id;
    uint32_t i;
};

/* --- names of members --- */

static enum wr_status write_name(struct wr_arena *a, const struct wr_member *m, struct wr_str *ret)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t d[WR_MD5_LEN];
    char hex[2 * WR_MD5_LEN];
    unsigned i;

    if (m->route.len != 0) {
        *ret = m->route;
        return WR_OK;
    }
    wr_md5(m->peer->text, m->peer->text_len, d);
    for (i = 0; i < WR_MD5_LEN; i++) {
        hex[2 * i] = digits[d[i] >> 4];
        hex[2 * i + 1] = digits[d[i] & 15];
    }
    return wr_arena_dup(a, wr_str(hex, sizeof(hex)), ret);
}

static void end_names(void *data)
{
    wr_map_fini(data);
}

static enum wr_status init_names(struct wr_members *m, void **ret_state)
{
    struct sticky_names *n = wr_arena_zalloc(m->arena, sizeof(*n));
    uint32_t i, *first;

    if (n == NULL) {
        return WR_ENOMEM;
    }
    n->name = wr_arena_zalloc(m->arena, m->cnt * sizeof(*n->name));
    n->next = wr_arena_alloc(m->arena, m->cnt * sizeof(*n->next));
    wr_map_init(&n->by_name, WR_MAP_CASE);
    if (n->name == NULL || n->next == NULL ||
        wr_arena_on_fini(m->arena, end_names, &n->by_name) != WR_OK) {
        return WR_ENOMEM;
    }
    /* From the last one: the chain of a name is in the order of the file. */
    for (i = m->cnt; i-- > 0;) {
        if (write_name(m->arena, &m->at[i], &n->name[i]) != WR_OK) {
            return WR_ENOMEM;
        }
        first = wr_map_put(&n->by_name, n->name[i], &n->next[i]);
        n->next[i] = first == NULL ? NOBODY : (uint32_t)(first - n->next);
    }
    *ret_state = n;
    return WR_OK;
}

static bool is_free(const struct wr_lb_ctx *ctx, uint32_t i)
{
    struct wr_lb_ctx c = *ctx;

    c.tier = ctx->members->at[i].is_backup;
    return wr_peer_ok(&c, i);
}

static enum wr_status find_by_name(const struct wr_lb_ctx *ctx, struct wr_str name, uint32_t *ret_i)
{
    const struct sticky_names *n = ctx->members->sticky_state;
    const uint32_t *first = wr_map_get(&n->by_name, name);
    uint32_t i = first == NULL ? NOBODY : (uint32_t)(first - n->next);

    while (i != NOBODY && !is_free(ctx, i)) {
        i = n->next[i];
    }
    if (i == NOBODY) {
        return WR_EOF;
    }
    *ret_i = i;
    return WR_OK;
}

/* --- sticky cookie --- */

static bool get_cookie(const struct wr_req *r, struct wr_str name, struct wr_str *ret)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_COOKIE);

    for (; h != NULL; h = wr_hdrs_next(&r->head->hdrs, h)) {
        if (wr_uri_cookie(h->value, name, ret)) {
            return true;
        }
    }
    return false;
}

static enum wr_status find_by_cookie(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_lb_sticky_conf *c = ctx->members->sticky_conf;
    struct wr_str value;

    if (ctx->req == NULL || !get_cookie(ctx->req, c->name, &value)) {
        return WR_EOF;
    }
    return find_by_name(ctx, value, ret_i);
}

static enum wr_status add_part(struct wr_strbuf *b, struct wr_req *r, const char *key,
                               const struct wr_template *t)
{
    struct wr_str v;
    enum wr_status st;

    if (t == NULL) {
        return WR_OK;
    }
    st = wr_template_eval(r, t, &v);
    if (st != WR_OK || v.len == 0) {
        return st;
    }
    if (!wr_h1_value_is_safe(v)) { /* U14.1 */
        wr_log(&r->log, WR_LOG_ERROR, "a value of \"sticky cookie\" would end the header line");
        return WR_EPROTO;
    }
    wr_strbuf_add_z(b, key);
    wr_strbuf_add_str(b, v);
    return WR_OK;
}

static enum wr_status write_cookie(struct wr_req *r, const struct wr_lb_sticky_conf *c,
                                   struct wr_str value, struct wr_str *ret)
{
    struct wr_strbuf b;
    char date[WR_HTTP_DATE_LEN];
    int64_t now = (int64_t)(wr_clock_wall_ms() / 1000);
    enum wr_status st;

    wr_strbuf_init_arena(&b, r->arena, COOKIE_MAX);
    wr_strbuf_add_str(&b, c->name);
    wr_strbuf_add_char(&b, '=');
    wr_strbuf_add_str(&b, value);
    if (c->has_expires) {
        wr_clock_write_http_date(date, c->expires_s == WR_LB_EXPIRES_MAX ? WR_LB_EXPIRES_MAX
                                                                         : now + c->expires_s);
        wr_strbuf_add_z(&b, "; expires=");
        wr_strbuf_add(&b, date, sizeof(date));
    }
    st = add_part(&b, r, "; domain=", c->domain);
    wr_strbuf_add_z(&b, c->is_http_only ? "; httponly" : "");
    if (st == WR_OK) {
        st = add_part(&b, r, "; samesite=", c->same_site);
    }
    wr_strbuf_add_z(&b, c->is_secure ? "; secure" : "");
    if (st == WR_OK) {
        st = add_part(&b, r, "; path=", c->path);
    }
    *ret = wr_strbuf_str(&b);
    return st == WR_OK ? b.status : st;
}

/* A client that has the right cookie keeps it. */
static enum wr_status set_cookie(const struct wr_members *m, struct wr_req *r, uint32_t i,
                                 enum wr_sticky_when when)
{
    const struct wr_lb_sticky_conf *c = m->sticky_conf;
    const struct sticky_names *n = m->sticky_state;
    struct wr_str has, value;
    enum wr_status st;

    if (when != WR_STICKY_HEAD || (get_cookie(r, c->name, &has) && wr_str_eq(has, n->name[i]))) {
        return WR_OK;
    }
    st = write_cookie(r, c, n->name[i], &value);
    return st == WR_OK ? wr_hdrs_add_id(&r->out.hdrs, WR_HDR_SET_COOKIE, value) : st;
}

/* --- sticky route --- */

/* The first of these that is not empty; WR_EOF: none. */
static enum wr_status first_value(struct wr_req *r, const struct wr_lb_values *v,
                                  struct wr_str *ret)
{
    enum wr_status st;
    uint32_t k;

    for (k = 0; r != NULL && k < v->cnt; k++) {
        st = wr_template_eval(r, v->at[k], ret);
        if (st != WR_OK || ret->len != 0) {
            return st;
        }
    }
    return WR_EOF;
}

static enum wr_status find_by_route(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_lb_sticky_conf *c = ctx->members->sticky_conf;
    struct wr_str value;
    enum wr_status st = first_value(ctx->req, &c->lookup, &value);

    return st == WR_OK ? find_by_name(ctx, value, ret_i) : st;
}

static enum wr_status note_nothing(const struct wr_members *m, struct wr_req *r, uint32_t i,
                                   enum wr_sticky_when when)
{
    (void)m, (void)r, (void)i, (void)when; /* the peer names itself */
    return WR_OK;
}

/* --- sticky learn --- */

static int compare_ids(const void *a, const void *b)
{
    const struct peer_index *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static enum wr_status init_ids(struct wr_members *m, void **ret_state)
{
    struct peer_index *ids = wr_arena_alloc(m->arena, m->cnt * sizeof(*ids));
    uint32_t i;

    if (ids == NULL) {
        return WR_ENOMEM;
    }
    for (i = 0; i < m->cnt; i++) {
        ids[i] = (struct peer_index){m->at[i].peer->id, i};
    }
    qsort(ids, m->cnt, sizeof(*ids), compare_ids);
    *ret_state = ids;
    return WR_OK;
}

static enum wr_status find_session(struct wr_lb_ctx *ctx, uint32_t *ret_i)
{
    const struct wr_members *m = ctx->members;
    const struct wr_lb_sticky_conf *c = m->sticky_conf;
    const struct peer_index *found;
    struct peer_index key;
    struct wr_str name;
    enum wr_status st = first_value(ctx->req, &c->lookup, &name);

    if (st != WR_OK || c->sessions == NULL) {
        return st == WR_OK ? WR_EOF : st;
    }
    key.id =
        wr_sessions_find(c->sessions, wr_session_key(m->name, name), c->timeout_ms, ctx->now_ms);
    found = key.id == 0 ? NULL : bsearch(&key, m->sticky_state, m->cnt, sizeof(key), compare_ids);
    if (found == NULL || !is_free(ctx, found->i)) {
        return WR_EOF;
    }
    *ret_i = found->i;
    return WR_OK;
}

static enum wr_status learn(const struct wr_members *m, struct wr_req *r, uint32_t i,
                            enum wr_sticky_when when)
{
    const struct wr_lb_sticky_conf *c = m->sticky_conf;
    struct wr_str name;
    enum wr_status st;

    if (when != (c->at_header ? WR_STICKY_HEAD : WR_STICKY_END) || c->sessions == NULL) {
        return WR_OK;
    }
    st = first_value(r, &c->create, &name);
    if (st == WR_OK) {
        wr_sessions_put(c->sessions, wr_session_key(m->name, name), m->at[i].peer->id, wr_now_ms());
    }
    return st == WR_EOF ? WR_OK : st;
}

const struct wr_sticky wr_lb_sticky_cookie = {
    .name = "cookie", .init = init_names, .find = find_by_cookie, .answered = set_cookie};
const struct wr_sticky wr_lb_sticky_route = {
    .name = "route", .init = init_names, .find = find_by_route, .answered = note_nothing};
const struct wr_sticky wr_lb_sticky_learn = {
    .name = "learn", .init = init_ids, .find = find_session, .answered = learn};
