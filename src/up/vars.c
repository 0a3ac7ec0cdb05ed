/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars.c: $upstream_*: what the tries of a request did, one value a try, ", " between them and " :
 * " behind an internal redirect (U7.5). The list lives at r->up_log in the request's arena.
 */
#include "http/var.h"

#include "base/strbuf.h"
#include "http/uri.h"
#include "up/up.h"

#define VALUE_MAX 8192 /* bytes of one variable over all tries */

enum try_field {
    TRY_ADDR,
    TRY_STATUS,
    TRY_CONNECT,
    TRY_HEADER,
    TRY_RESPONSE,
    TRY_SENT,
    TRY_RECEIVED,
    TRY_LENGTH,
    TRY_QUEUE,
};

static void add_ms(struct wr_strbuf *b, uint32_t ms)
{
    if (ms == UINT32_MAX) {
        wr_strbuf_add_char(b, '-');
    } else {
        wr_strbuf_printf(b, "%u.%03u", (unsigned)(ms / 1000), (unsigned)(ms % 1000));
    }
}

static void add_field(struct wr_strbuf *b, const struct wr_up_try *t, enum try_field f)
{
    switch (f) {
    case TRY_ADDR:
        wr_strbuf_add_str(b, t->addr);
        break;
    case TRY_STATUS:
        if (t->status == 0) {
            wr_strbuf_add_char(b, '-');
        } else {
            wr_strbuf_add_u64(b, t->status);
        }
        break;
    case TRY_CONNECT:
        add_ms(b, t->connect_ms);
        break;
    case TRY_HEADER:
        add_ms(b, t->header_ms);
        break;
    case TRY_RESPONSE:
        add_ms(b, t->response_ms);
        break;
    case TRY_QUEUE:
        add_ms(b, t->queue_ms);
        break;
    case TRY_SENT:
        wr_strbuf_add_u64(b, t->bytes_sent);
        break;
    case TRY_RECEIVED:
        wr_strbuf_add_u64(b, t->bytes_received);
        break;
    case TRY_LENGTH:
        wr_strbuf_add_u64(b, t->response_length);
        break;
    }
}

static enum wr_status get_tries(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                struct wr_str *ret)
{
    const struct wr_up_log *l = r->up_log;
    const struct wr_up_try *t;
    struct wr_strbuf b;

    (void)rest; /* no prefix */
    if (l == NULL || l->first == NULL) {
        return WR_EOF;
    }
    wr_strbuf_init_arena(&b, r->arena, VALUE_MAX);
    for (t = l->first; t != NULL; t = t->next) {
        if (t != l->first) {
            wr_strbuf_add_z(&b, t->after_redirect ? " : " : ", ");
        }
        add_field(&b, t, (enum try_field)v->data);
    }
    *ret = wr_strbuf_str(&b);
    return b.status == WR_ENOMEM ? WR_ENOMEM : WR_OK;
}

static enum wr_status get_why(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                              struct wr_str *ret)
{
    const struct wr_up_log *l = r->up_log;

    (void)v; /* nothing of the row is needed */
    (void)rest;
    if (l == NULL || l->first == NULL) {
        return WR_EOF;
    }
    *ret = wr_up_why_text(r, VALUE_MAX);
    return WR_OK;
}

enum last_field {
    LAST_ADDR,
    LAST_SERVER,
};

/* Of the peer that was chosen last: for what is evaluated for each try. */
static enum wr_status get_last(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    const struct wr_up_log *l = r->up_log;
    const struct wr_up_try *t;

    (void)rest; /* no prefix */
    if (l == NULL || l->first == NULL) {
        return WR_EOF;
    }
    t = wr_container_of(l->tail, struct wr_up_try, next);
    if (t->server.len == 0) {
        return WR_EOF;
    }
    *ret = v->data == LAST_ADDR ? t->addr : t->server;
    return WR_OK;
}

/* "content_type" of $upstream_http_content_type names the field Content-Type. */
static const struct wr_hdr *find_field(const struct wr_hdrs *h, struct wr_str var)
{
    char name[128];
    size_t i;

    if (h == NULL || var.len > sizeof(name)) {
        return NULL;
    }
    for (i = 0; i < var.len; i++) {
        name[i] = var.ptr[i] == '_' ? '-' : var.ptr[i];
    }
    return wr_hdrs_find(h, wr_str(name, var.len), NULL);
}

static enum wr_status get_http(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                               struct wr_str *ret)
{
    const struct wr_up_log *l = r->up_log;
    const struct wr_hdr *h;

    (void)v; /* nothing of the row is needed */
    h = l == NULL || l->head == NULL ? NULL : find_field(&l->head->hdrs, rest);
    if (h == NULL) {
        return WR_EOF;
    }
    *ret = h->value;
    return WR_OK;
}

static enum wr_status get_trailer(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                  struct wr_str *ret)
{
    const struct wr_up_log *l = r->up_log;
    const struct wr_hdr *h = l == NULL ? NULL : find_field(l->trailers, rest);

    (void)v; /* nothing of the row is needed */
    if (h == NULL) {
        return WR_EOF;
    }
    *ret = h->value;
    return WR_OK;
}

static enum wr_status get_cookie(struct wr_req *r, const struct wr_var *v, struct wr_str rest,
                                 struct wr_str *ret)
{
    const struct wr_up_log *l = r->up_log;
    const struct wr_hdr *h;
    struct wr_str pair;
    size_t eq;

    (void)v; /* nothing of the row is needed */
    if (l == NULL || l->head == NULL) {
        return WR_EOF;
    }
    h = wr_hdrs_get(&l->head->hdrs, WR_HDR_SET_COOKIE);
    for (; h != NULL; h = wr_hdrs_next(&l->head->hdrs, h)) {
        pair = wr_str_sub(h->value, 0, wr_str_find(h->value, ';'));
        eq = wr_str_find(pair, '=');
        if (eq < pair.len && wr_str_eq(wr_str_trim(wr_str_sub(pair, 0, eq)), rest)) {
            *ret = wr_str_trim(wr_str_sub(pair, eq + 1, pair.len));
            return WR_OK;
        }
    }
    return WR_EOF;
}

const struct wr_var wr_up_vars[] = {
    {"upstream_addr",             get_tries,   TRY_ADDR,     WR_VAR_NOCACHE                },
    {"upstream_status",           get_tries,   TRY_STATUS,   WR_VAR_NOCACHE                },
    {"upstream_connect_time",     get_tries,   TRY_CONNECT,  WR_VAR_NOCACHE                },
    {"upstream_header_time",      get_tries,   TRY_HEADER,   WR_VAR_NOCACHE                },
    {"upstream_response_time",    get_tries,   TRY_RESPONSE, WR_VAR_NOCACHE                },
    {"upstream_bytes_sent",       get_tries,   TRY_SENT,     WR_VAR_NOCACHE                },
    {"upstream_bytes_received",   get_tries,   TRY_RECEIVED, WR_VAR_NOCACHE                },
    {"upstream_response_length",  get_tries,   TRY_LENGTH,   WR_VAR_NOCACHE                },
    {"upstream_queue_time",       get_tries,   TRY_QUEUE,    WR_VAR_NOCACHE                },
    {"upstream_last_addr",        get_last,    LAST_ADDR,    WR_VAR_NOCACHE                },
    {"upstream_last_server_name", get_last,    LAST_SERVER,  WR_VAR_NOCACHE                },
    {"upstream_why",              get_why,     0,            WR_VAR_NOCACHE | WR_VAR_RECORD},
    {"upstream_http_",            get_http,    0,            WR_VAR_PREFIX | WR_VAR_NOCACHE},
    {"upstream_trailer_",         get_trailer, 0,            WR_VAR_PREFIX | WR_VAR_NOCACHE},
    {"upstream_cookie_",          get_cookie,  0,            WR_VAR_PREFIX | WR_VAR_NOCACHE},
};

const size_t wr_up_vars_cnt = WR_ARRAY_LEN(wr_up_vars);
