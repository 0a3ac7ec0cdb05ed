/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.c: response-head policy by table: each known field has a row of what happens to it, all
 * others pass unless hidden (U5.5, U5.7). Values stay slices of the peer's head, which lies in the
 * request's arena.
 */
#include "up/head.h"

#include "http/h1_write.h"
#include "up/up.h"

enum field_rule {
    RULE_PASS = 0,
    RULE_DROP,     /* hop-by-hop, or the codec's own */
    RULE_REDIRECT, /* Location: rewrite_redirect */
    RULE_REFRESH,  /* the URL of Refresh */
    RULE_COOKIE,   /* Set-Cookie: rewrite_cookie */
    RULE_UPGRADE,  /* passes with a 101 only */
    RULE_TRAILER,  /* passes with the trailers */
};

/* clang-format off */
#define FIELD_RULES                                                                                \
    X(CONNECTION, UPGRADE)                                                                         \
    X(UPGRADE, UPGRADE)                                                                            \
    X(KEEP_ALIVE, DROP)                                                                            \
    X(PROXY_CONNECTION, DROP)                                                                      \
    X(TRANSFER_ENCODING, DROP)                                                                     \
    X(CONTENT_LENGTH, DROP)                                                                        \
    X(TE, DROP)                                                                                    \
    X(TRAILER, TRAILER)                                                                            \
    X(LOCATION, REDIRECT)                                                                          \
    X(REFRESH, REFRESH)                                                                            \
    X(SET_COOKIE, COOKIE)

static const uint8_t rules[WR_HDR_ID_COUNT] = {
#define X(id, rule) [WR_HDR_##id] = RULE_##rule,
    FIELD_RULES
#undef X
};

#define BIT(id) (UINT64_C(1) << WR_HDR_##id)

/* Bit id: not RULE_PASS. */
static const uint64_t ruled_ids = 0
#define X(id, rule) | BIT(id)
    FIELD_RULES
#undef X
;
/* clang-format on */

static const uint64_t accel_ids =
    BIT(X_ACCEL_REDIRECT) | BIT(X_ACCEL_LIMIT_RATE) | BIT(X_ACCEL_BUFFERING) | BIT(X_ACCEL_CHARSET);

static struct wr_str value_of(const struct wr_msg *head, enum wr_hdr_id id)
{
    const struct wr_hdr *h = wr_hdrs_get(&head->hdrs, id);

    return h == NULL ? WR_STR_NULL : h->value;
}

void wr_up_accel_read(const struct wr_up *u, const struct wr_msg *head, struct wr_up_accel *ret)
{
    uint32_t ignore = u->start.conf->ignore_headers;

    *ret = (struct wr_up_accel){0};
    if ((head->hdrs.have & accel_ids) == 0) {
        return;
    }
    if ((ignore & WR_UP_IGNORE_ACCEL_REDIRECT) == 0) {
        ret->redirect = value_of(head, WR_HDR_X_ACCEL_REDIRECT);
    }
    if ((ignore & WR_UP_IGNORE_ACCEL_LIMIT_RATE) == 0) {
        ret->limit_rate = value_of(head, WR_HDR_X_ACCEL_LIMIT_RATE);
    }
    if ((ignore & WR_UP_IGNORE_ACCEL_BUFFERING) == 0 && !u->start.proto->ignores_accel_buffering) {
        ret->buffering = value_of(head, WR_HDR_X_ACCEL_BUFFERING);
    }
    if ((ignore & WR_UP_IGNORE_ACCEL_CHARSET) == 0) {
        ret->charset = value_of(head, WR_HDR_X_ACCEL_CHARSET);
    }
}

/* Types whose bytes somebody waits for: events, gRPC and its kin. */
static bool is_event_stream(const struct wr_msg *head)
{
    static const struct wr_str kinds[] = {WR_STR_INIT("text/event-stream"),
                                          WR_STR_INIT("application/grpc"),
                                          WR_STR_INIT("application/connect+")};
    struct wr_str type = value_of(head, WR_HDR_CONTENT_TYPE), rest;
    size_t i;

    /* Shorter than each of them, or text/html: most are. */
    if (type.len < kinds[1].len || (type.ptr[5] | 0x20) == 'h') {
        return false;
    }
    for (i = 0; i < WR_ARRAY_LEN(kinds); i++) {
        if (!wr_str_has_iprefix(type, kinds[i])) {
            continue;
        }
        /* "application/grpc", "application/grpc+proto", "application/grpc-web"; not "grpcx" */
        rest = wr_str_sub(type, kinds[i].len, type.len);
        if (rest.len == 0 || kinds[i].ptr[kinds[i].len - 1] == '+' ||
            wr_str_find(WR_STR("+-; \t"), rest.ptr[0]) < 5) {
            return true;
        }
    }
    return false;
}

static bool is_auto_stream(const struct wr_up *u, const struct wr_msg *head)
{
    return u->start.conf->buffering == WR_UP_BUFFERING_AUTO && is_event_stream(head);
}

bool wr_up_head_is_buffered(const struct wr_up *u, const struct wr_msg *head, struct wr_str accel)
{
    if (wr_str_ieq(accel, WR_STR("no"))) {
        return false;
    }
    if (wr_str_ieq(accel, WR_STR("yes"))) {
        return true;
    }
    return u->start.conf->buffering != WR_UP_BUFFERING_OFF && !is_auto_stream(u, head);
}

static enum wr_status rewrite_refresh(struct wr_up *u, struct wr_str v, struct wr_str *ret)
{
    static const char key[] = "url=";
    struct wr_str url, changed;
    enum wr_status st;
    size_t i;

    for (i = 0; i + 4 <= v.len; i++) {
        if (wr_str_ieq(wr_str_sub(v, i, 4), wr_str(key, 4))) {
            break;
        }
    }
    if (i + 4 > v.len) {
        return WR_EOF;
    }
    url = wr_str_sub(v, i + 4, v.len);
    st = u->start.proto->rewrite_redirect(u, url, &changed);
    if (st != WR_OK) {
        return st;
    }
    return wr_arena_printf(u->req->arena, ret, "%.*s%.*s", (int)(i + 4), v.ptr,
                           WR_STR_ARG(changed));
}

/* WR_EOF: unchanged. */
static enum wr_status rewrite(struct wr_up *u, enum field_rule rule, struct wr_str v,
                              struct wr_str *ret)
{
    const struct wr_proto *p = u->start.proto;

    if (rule == RULE_COOKIE) {
        return p->rewrite_cookie == NULL ? WR_EOF : p->rewrite_cookie(u, v, ret);
    }
    if (p->rewrite_redirect == NULL) {
        return WR_EOF;
    }
    return rule == RULE_REFRESH ? rewrite_refresh(u, v, ret) : p->rewrite_redirect(u, v, ret);
}

static bool is_hidden(const struct wr_up_conf *c, const struct wr_hdr *h)
{
    if (h->id != WR_HDR_OTHER) {
        return (c->hidden_ids >> h->id & 1) != 0;
    }
    return wr_map_get(&c->hidden, h->name) != NULL;
}

/* do_look: Connection names fields. */
static bool is_passed(const struct wr_up *u, const struct wr_msg *head, const struct wr_hdr *h,
                      bool do_look)
{
    enum field_rule rule = rules[h->id];

    if (rule == RULE_DROP || (rule == RULE_UPGRADE && head->status != 101)) {
        return false;
    }
    if (rule == RULE_TRAILER &&
        !(u->start.conf->pass_trailers && head->framing == WR_FRAMING_CHUNKED)) {
        return false;
    }
    if (is_hidden(u->start.conf, h)) {
        return false;
    }
    return rule != RULE_PASS || !do_look || !wr_msg_connection_has(head, h->name);
}

static enum wr_status copy_field(struct wr_up *u, const struct wr_msg *head, const struct wr_hdr *h,
                                 bool do_look)
{
    enum field_rule rule = rules[h->id];
    enum wr_status st = WR_EOF;
    struct wr_str v;

    if (!is_passed(u, head, h, do_look)) {
        return WR_OK;
    }
    if (rule >= RULE_REDIRECT && rule <= RULE_COOKIE) {
        st = rewrite(u, rule, h->value, &v);
    }
    if (st == WR_EOF) {
        return wr_hdrs_push_like(&u->req->out.hdrs, h);
    }
    if (st != WR_OK) {
        return st;
    }
    if (!wr_h1_value_is_safe(v)) {
        return WR_EPROTO; /* U14.1: a variable of the replacement must not end the line */
    }
    if (rule == RULE_REDIRECT) {
        u->req->is_location_ours = true;
    }
    return wr_hdrs_push(&u->req->out.hdrs, h->name, v, (enum wr_hdr_id)h->id);
}

/*
 * Server, Date: with *_pass_header what the peer sent, nothing if it sent none (U5.7); where a
 * protocol passes them by itself, ours if it sent none.
 */
static bool is_peers_own(const struct wr_up_conf *c, const struct wr_msg *head, enum wr_hdr_id id)
{
    if ((c->hidden_ids >> id & 1) != 0) {
        return false;
    }
    return (c->passed_ids >> id & 1) != 0 || wr_hdrs_has(&head->hdrs, id);
}

enum wr_status wr_up_head_copy(struct wr_up *u, const struct wr_msg *head)
{
    struct wr_req *r = u->req;
    const struct wr_up_conf *c = u->start.conf;
    bool do_look = wr_msg_connection_names(head);
    uint64_t plain_ids = do_look ? 0 : ~(ruled_ids | BIT(OTHER)); /* these pass unless hidden */
    const struct wr_hdr *h = head->hdrs.at, *end = h + head->hdrs.cnt;
    enum wr_status st;

    r->out.status = head->status;
    r->out.reason = head->reason;
    r->status = head->status;
    r->out.content_length =
        head->framing == WR_FRAMING_LENGTH ? head->content_length : WR_LENGTH_UNKNOWN;
    if (head->framing == WR_FRAMING_NONE) {
        /* HEAD and 304 keep the length that was announced. */
        r->out.content_length = head->content_length;
    }
    for (; h < end; h++) {
        uint64_t bit = UINT64_C(1) << h->id;

        if (h->is_removed || (c->hidden_ids & bit) != 0) {
            continue;
        }
        st = (plain_ids & bit) != 0 ? wr_hdrs_push_like(&r->out.hdrs, h)
                                    : copy_field(u, head, h, do_look);
        if (st != WR_OK) {
            return st;
        }
    }
    if (is_auto_stream(u, head) && !wr_hdrs_has(&r->out.hdrs, WR_HDR_X_ACCEL_BUFFERING) &&
        (c->ignore_headers & WR_UP_IGNORE_ACCEL_BUFFERING) == 0 &&
        !wr_str_ieq(value_of(head, WR_HDR_X_ACCEL_BUFFERING), WR_STR("yes"))) {
        /* Proxies between us and the client pass it on at once, too. */
        st = wr_hdrs_add_id(&r->out.hdrs, WR_HDR_X_ACCEL_BUFFERING, WR_STR("no"));
        if (st != WR_OK) {
            return st;
        }
    }
    r->no_server = is_peers_own(c, head, WR_HDR_SERVER);
    r->no_date = is_peers_own(c, head, WR_HDR_DATE);
    r->is_mtime_unread = true;
    r->is_proxied = true;
    r->can_range = c->force_ranges && head->status == 200;
    return WR_OK;
}

void wr_up_head_interim(struct wr_up *u, const struct wr_msg *head)
{
    struct wr_req *r = u->req;
    struct wr_msg m;
    const struct wr_hdr *h;

    wr_msg_init(&m, r->arena, head->hdrs.cnt);
    m.status = head->status;
    m.reason = head->reason;
    for (h = head->hdrs.at; h < head->hdrs.at + head->hdrs.cnt; h++) {
        if (h->is_removed || rules[h->id] != RULE_PASS || is_hidden(u->start.conf, h) ||
            wr_msg_connection_has(head, h->name)) {
            continue;
        }
        if (wr_hdrs_push(&m.hdrs, h->name, h->value, (enum wr_hdr_id)h->id) != WR_OK) {
            return; /* a hint may be lost */
        }
    }
    r->stream->ops->interim(r->stream, &m);
}

void wr_up_head_trailers(struct wr_up *u)
{
    const struct wr_stream *s = u->attempt.stream;
    struct wr_req *r = u->req;
    struct wr_hdrs *to;
    const struct wr_hdr *h;

    if (s == NULL || s->trailers_in == NULL || s->trailers_in->cnt == 0) {
        return;
    }
    to = wr_arena_alloc(r->arena, sizeof(*to));
    if (to == NULL) {
        return;
    }
    wr_hdrs_init(to, r->arena, s->trailers_in->cnt);
    for (h = s->trailers_in->at; h < s->trailers_in->at + s->trailers_in->cnt; h++) {
        if (wr_map_get(&u->start.conf->hidden, h->name) != NULL || !wr_h1_value_is_safe(h->value)) {
            continue;
        }
        if (wr_hdrs_push(to, h->name, h->value, (enum wr_hdr_id)h->id) != WR_OK) {
            return;
        }
    }
    r->stream->trailers_out = to;
}

enum wr_status wr_up_head_keep(struct wr_up *u, const struct wr_msg *head)
{
    static const enum wr_hdr_id kept[] = {WR_HDR_CONTENT_TYPE,  WR_HDR_CONTENT_DISPOSITION,
                                          WR_HDR_ACCEPT_RANGES, WR_HDR_SET_COOKIE,
                                          WR_HDR_CACHE_CONTROL, WR_HDR_EXPIRES};
    const struct wr_hdr *h;
    enum wr_status st;
    size_t i;

    for (i = 0; i < WR_ARRAY_LEN(kept); i++) {
        for (h = wr_hdrs_get(&head->hdrs, kept[i]); h != NULL; h = wr_hdrs_next(&head->hdrs, h)) {
            st = wr_hdrs_add_id(&u->req->out.hdrs, kept[i], h->value);
            if (st != WR_OK) {
                return st;
            }
        }
    }
    return WR_OK;
}
