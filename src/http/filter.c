/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.c: runs the header filters, see filter.h. The fields that every response has are put in
 * front of the others, where users of nginx look for them.
 */
#include "http/filter.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conf/gen.h"
#include "http/core_conf.h"
#include "http/h1_conn.h"
#include "http/req_int.h"
#include "http/server.h"
#include "http/stage.h"
#include "net/conn.h"

#ifndef WR_VERSION
#    define WR_VERSION "0"
#endif

#define FRONT_MAX 3

struct filter {
    wr_filter_fn *fn;
    const struct wr_conf_module
        *quiet; /* left out where its directives are not; NULL: always asked */
};

/* Of one generation; NULL ends a list. */
struct wr_filter_plan {
    wr_filter_fn *const *all, *const *subs;
};

/* While the lists are made. */
struct filter_source {
    const struct wr_filter_row *row;
    const struct wr_module *module;
};

/* Rule zero: written once at boot by wr_filters_build, then only read. */
static struct filter *filters;
static size_t filter_cnt;

/* Likewise: those of subrequests, which concern the text of the body and nothing else. */
static struct filter *sub_filters;
static size_t sub_filter_cnt;

/* ---- at boot -------------------------------------------------------------------------------- */

static wr_filter_fn final_filter;

static bool is_for_subs(int slot)
{
    return slot == WR_FILTER_DECOMPRESS || slot == WR_FILTER_REPLACE || slot == WR_FILTER_CHARSET ||
           slot == WR_FILTER_INCLUDE;
}

static struct filter filter_of(const struct filter_source *s)
{
    return (struct filter){s->row->fn, s->module->is_quiet ? s->module->conf : NULL};
}

static void build_sub_filters(const struct filter_source *rows, size_t n)
{
    wr_mem_free(sub_filters);
    sub_filters = wr_mem_alloc((n + 1) * sizeof(*sub_filters));
    sub_filter_cnt = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_for_subs(rows[i].row->slot)) {
            sub_filters[sub_filter_cnt++] = filter_of(&rows[i]);
        }
    }
}

enum wr_status wr_filters_build(const struct wr_module *const *modules, size_t cnt,
                                const char **ret_err)
{
    struct filter_source *rows;
    size_t total = 0, n = 0;

    for (size_t i = 0; i < cnt; i++) {
        total += modules[i]->filter_cnt;
    }
    rows = wr_mem_alloc((total + 1) * sizeof(*rows));
    for (size_t i = 0; i < cnt; i++) {
        for (size_t k = 0; k < modules[i]->filter_cnt; k++) {
            const struct wr_filter_row *row = &modules[i]->filters[k];
            size_t at = n;

            if (row->slot >= WR_FILTER_FINAL) {
                wr_mem_free(rows);
                *ret_err = "a module has a header filter behind the last slot";
                return WR_ECONFIG;
            }
            while (at > 0 && rows[at - 1].row->slot > row->slot) {
                rows[at] = rows[at - 1];
                at--;
            }
            rows[at] = (struct filter_source){row, modules[i]};
            n++;
        }
    }
    wr_mem_free(filters);
    filters = wr_mem_alloc((n + 1) * sizeof(*filters));
    for (size_t i = 0; i < n; i++) {
        filters[i] = filter_of(&rows[i]);
    }
    filters[n] = (struct filter){final_filter, NULL};
    filter_cnt = n + 1;
    build_sub_filters(rows, n);
    wr_mem_free(rows);
    return WR_OK;
}

/* ---- while a generation is made -------------------------------------------------------------- */

static wr_filter_fn *const *pick_filters(struct wr_gen *g, const struct filter *from, size_t cnt)
{
    wr_filter_fn **at = wr_arena_alloc(&g->arena, (cnt + 1) * sizeof(*at));
    size_t n = 0;

    if (at == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < cnt; i++) {
        if (from[i].quiet == NULL || wr_gen_uses(g, from[i].quiet->_no)) {
            at[n++] = from[i].fn;
        }
    }
    at[n] = NULL;
    return at;
}

enum wr_status wr_filters_plan(struct wr_gen *g, const struct wr_filter_plan **ret)
{
    struct wr_filter_plan *plan = wr_arena_zalloc(&g->arena, sizeof(*plan));

    if (plan == NULL) {
        return WR_ENOMEM;
    }
    plan->all = pick_filters(g, filters, filter_cnt);
    plan->subs = pick_filters(g, sub_filters, sub_filter_cnt);
    *ret = plan;
    return plan->all && plan->subs ? WR_OK : WR_ENOMEM;
}

/* ---- the last filter --------------------------------------------------------------------------
 */

struct wr_str wr_filter_server_name(const struct wr_req *r)
{
    switch ((enum wr_tokens)wr_core_loc_of(r)->server_tokens) {
    case WR_TOKENS_OFF:
        return WR_STR("weir");
    case WR_TOKENS_ON:
    case WR_TOKENS_BUILD:
        return WR_STR("weir/" WR_VERSION);
    }
    WR_UNREACHABLE();
}

/* The n last fields become the first ones. */
static void move_to_front(struct wr_hdrs *h, uint32_t n)
{
    struct wr_hdr front[FRONT_MAX];
    uint32_t old = h->cnt - n;

    if (n == 0 || old == 0) {
        return;
    }
    memcpy(front, h->at + old, n * sizeof(front[0]));
    memmove(h->at + n, h->at, old * sizeof(front[0]));
    memcpy(h->at, front, n * sizeof(front[0]));
}

static enum wr_status add_date(struct wr_req *r)
{
    struct wr_str now = wr_clock_http_date(), copy;
    enum wr_status st = wr_arena_dup(r->arena, now, &copy); /* the thread's text changes */

    return st == WR_OK ? wr_hdrs_push(&r->out.hdrs, WR_STR("Date"), copy, WR_HDR_DATE) : st;
}

/* Both, as lines one behind the other, which are written in one piece. */
static enum wr_status add_server_and_date(struct wr_req *r)
{
    static const char server[] = "Server: ", date[] = "\r\nDate: ";
    const size_t server_len = sizeof(server) - 1, date_len = sizeof(date) - 1;
    struct wr_str name = wr_filter_server_name(r), now = wr_clock_http_date();
    char *p = wr_arena_bytes(r->arena, server_len + name.len + date_len + now.len);
    enum wr_status st;

    if (p == NULL) {
        return WR_ENOMEM;
    }
    char *at_name = p + server_len, *at_date = at_name + name.len;
    memcpy(p, server, server_len);
    memcpy(at_name, name.ptr, name.len);
    memcpy(at_date, date, date_len);
    memcpy(at_date + date_len, now.ptr, now.len);
    st = wr_hdrs_push_line(&r->out.hdrs, wr_str(p, server_len - 2), wr_str(at_name, name.len),
                           WR_HDR_SERVER, true);
    if (st == WR_OK) {
        st = wr_hdrs_push_line(&r->out.hdrs, wr_str(at_date + 2, date_len - 4),
                               wr_str(at_date + date_len, now.len), WR_HDR_DATE, true);
    }
    return st;
}

static enum wr_status add_front(struct wr_req *r)
{
    struct wr_hdrs *h = &r->out.hdrs;
    uint32_t before = h->cnt;
    bool is_ours = !r->no_server && !wr_hdrs_has(h, WR_HDR_SERVER);
    bool is_now = !r->no_date && !wr_hdrs_has(h, WR_HDR_DATE);
    enum wr_status st = WR_OK;

    if (is_ours && is_now) {
        st = add_server_and_date(r); /* nearly always */
    } else if (is_ours) {
        st = wr_hdrs_push(h, WR_STR("Server"), wr_filter_server_name(r), WR_HDR_SERVER);
    } else if (is_now) {
        st = add_date(r);
    }
    if (st == WR_OK && r->out_type.len > 0 && !wr_hdrs_has(h, WR_HDR_CONTENT_TYPE)) {
        st = wr_hdrs_push(h, WR_STR("Content-Type"), r->out_type, WR_HDR_CONTENT_TYPE);
    }
    if (st == WR_OK) {
        move_to_front(h, h->cnt - before);
    }
    return st;
}

static enum wr_status add_last_modified(struct wr_req *r)
{
    char *p;

    if (r->out_mtime == -1 || wr_hdrs_has(&r->out.hdrs, WR_HDR_LAST_MODIFIED)) {
        return WR_OK;
    }
    p = wr_arena_bytes(r->arena, WR_HTTP_DATE_LEN);
    if (!p) {
        return WR_ENOMEM;
    }
    wr_clock_write_http_date(p, r->out_mtime);
    return wr_hdrs_push(&r->out.hdrs, WR_STR("Last-Modified"), wr_str(p, WR_HTTP_DATE_LEN),
                        WR_HDR_LAST_MODIFIED);
}

/* Host of the client's view, or the name or address of ours. */
static struct wr_str redirect_host(struct wr_req *r, const struct wr_core_loc *lc, char *room)
{
    struct wr_addr local;

    if (lc->server_name_in_redirect && r->server->name.len > 0) {
        return r->server->name;
    }
    if (!lc->server_name_in_redirect && r->host.len > 0) {
        return r->host;
    }
    if (!wr_req_conn(r)) {
        return WR_STR("localhost");
    }
    wr_conn_local_addr(wr_req_conn(r), &local);
    if (local.len == 0 || local.u.sa.sa_family == AF_UNIX) {
        return WR_STR("localhost");
    }
    return wr_str(room, wr_addr_write_host(&local, room));
}

static unsigned local_port(struct wr_req *r)
{
    struct wr_addr local;

    if (!wr_req_conn(r)) {
        return 0;
    }
    wr_conn_local_addr(wr_req_conn(r), &local);
    return local.len == 0 ? 0 : wr_addr_port(&local);
}

static enum wr_status write_location(struct wr_req *r, struct wr_hdr *f, struct wr_str host,
                                     unsigned port)
{
    bool is_v6 = host.len > 0 && host.ptr[0] != '[' && wr_str_find(host, ':') < host.len;
    const char *open = is_v6 ? "[" : "", *end = is_v6 ? "]" : "";
    const char *scheme = r->tls ? "https" : "http";

    if (port == 0 || port == (r->tls ? 443 : 80)) {
        return wr_arena_printf(r->arena, &f->value, "%s://%s%.*s%s%.*s", scheme, open,
                               WR_STR_ARG(host), end, WR_STR_ARG(f->value));
    }
    return wr_arena_printf(r->arena, &f->value, "%s://%s%.*s%s:%u%.*s", scheme, open,
                           WR_STR_ARG(host), end, port, WR_STR_ARG(f->value));
}

/* absolute_redirect: "/x" becomes "http://host:port/x". Only for answers of ours. */
static enum wr_status complete_location(struct wr_req *r)
{
    struct wr_hdr *f = wr_hdrs_get(&r->out.hdrs, WR_HDR_LOCATION);
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    char room[WR_ADDR_TEXT_MAX];
    unsigned port = 0;
    struct wr_str host;

    if (!f || (r->is_proxied && !r->is_location_ours) || !lc->absolute_redirect ||
        f->value.len == 0 || f->value.ptr[0] != '/') {
        return WR_OK;
    }
    host = redirect_host(r, lc, room);
    if (lc->port_in_redirect) {
        port = local_port(r);
    }
    return write_location(r, f, host, port);
}

static enum wr_status final_filter(struct wr_req *r)
{
    enum wr_status st;

    unsigned status = r->out.status;

    if (status == 204 && !r->is_proxied) {
        r->out_type = WR_STR_NULL;
    }
    if (status != 200 && status != 206 && status != 304) {
        r->is_mtime_unread = false;
        r->out_mtime = -1; /* that of an error page's file says nothing of what was asked for */
    }
    if (!r->is_proxied && status != 206 && status != 416 &&
        wr_hdrs_has(&r->out.hdrs, WR_HDR_CONTENT_RANGE)) {
        wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_CONTENT_RANGE); /* error_page made it another */
    }
    st = add_front(r);
    if (st == WR_OK) {
        st = add_last_modified(r);
    }
    return st == WR_OK ? complete_location(r) : st;
}

/* ---- the run -------------------------------------------------------------------------------- */

enum wr_status wr_filters_run(struct wr_req *r)
{
    const struct wr_filter_plan *plan = wr_http_of(r->gen)->filters;

    for (wr_filter_fn *const *fn = r->parent ? plan->subs : plan->all; *fn != NULL; fn++) {
        enum wr_status st = (*fn)(r);

        if (st != WR_OK && st != WR_ECANCELED) {
            return st;
        }
    }
    return WR_OK;
}

struct wr_str wr_req_out_type(const struct wr_req *r)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->out.hdrs, WR_HDR_CONTENT_TYPE);

    return f ? f->value : r->out_type;
}

void wr_req_replace(struct wr_req *r, unsigned status)
{
    static const enum wr_hdr_id gone[] = {
        WR_HDR_CONTENT_LENGTH,   WR_HDR_CONTENT_TYPE,  WR_HDR_CONTENT_RANGE,
        WR_HDR_CONTENT_ENCODING, WR_HDR_ACCEPT_RANGES,
    };

    for (size_t i = 0; i < WR_ARRAY_LEN(gone); i++) {
        if (wr_hdrs_has(&r->out.hdrs, gone[i])) {
            wr_hdrs_remove_id(&r->out.hdrs, gone[i]);
        }
    }
    if (r->out_pipe && !wr_reqx_of(r)->is_out_given) {
        wr_pipe_leave_consumer(r->out_pipe);
    }
    wr_stages_drop(r);
    r->out_pipe = NULL;
    r->out.status = (uint16_t)status;
    r->out.reason = WR_STR_NULL;
    r->out.content_length = WR_LENGTH_UNKNOWN;
    r->out_type = WR_STR_NULL;
    r->can_range = false;
}
