/* SPDX-License-Identifier: Apache-2.0 */
/*
 * range.c: two header filters, see range.h.
 *
 *   NOT_MODIFIED  If-Match, If-Unmodified-Since -> 412; If-None-Match, If-Modified-Since -> 304, in
 * the order of RFC 9110 13.2.2. Only a 200 of our own: what a peer answered is never changed
 * (U5.10) RANGE         Range, If-Range -> 206, 416 for a 200 whose length is known and that
 * can_range
 *
 * A body that is in the pipe whole (a file's slice, a text) is cut without being read. One that
 * still comes (force_ranges) goes through a stage, which drops what is outside:
 *
 *   producer -> in -> struct range_stage {skip, left} -> out -> codec
 *
 * Several ranges (multipart/byteranges, RFC 9110 14.6) share the slices of a body that is here
 * whole; one that still comes is sent whole, which 14.2 allows. 412 and 416 are errors like any
 * other: error_page, or a page of ours. Request's thread.
 */
#include "http/range.h"

#include "base/clock.h"
#include "base/rng.h"
#include "http/core_conf.h"
#include "http/module.h"

/* ---- entity tags -------------------------------------------------------------------------------
 */

static struct wr_str strip_weak(struct wr_str tag)
{
    return wr_str_has_prefix(tag, WR_STR("W/")) ? wr_str_sub(tag, 2, SIZE_MAX) : tag;
}

enum tag_compare {
    TAG_STRONG,
    TAG_WEAK
};

/* RFC 9110 8.8.3.2 */
static bool are_tags_equal(struct wr_str a, struct wr_str b, enum tag_compare how)
{
    if (how == TAG_WEAK) {
        return wr_str_eq(strip_weak(a), strip_weak(b));
    }
    return !wr_str_has_prefix(a, WR_STR("W/")) && wr_str_eq(a, b);
}

/* The next entity tag of a list; a tag may hold commas. Empty: the list is spent or no list. */
static struct wr_str next_tag(struct wr_str *list)
{
    size_t i = 0, from;

    while (i < list->len && (list->ptr[i] == ' ' || list->ptr[i] == '\t' || list->ptr[i] == ',')) {
        i++;
    }
    from = i;
    if (wr_str_has_prefix(wr_str_sub(*list, i, SIZE_MAX), WR_STR("W/"))) {
        i += 2;
    }
    if (i >= list->len || list->ptr[i] != '"') {
        *list = WR_STR_NULL;
        return WR_STR_NULL;
    }
    i += 1 + wr_str_find(wr_str_sub(*list, i + 1, SIZE_MAX), '"');
    if (i >= list->len) {
        *list = WR_STR_NULL;
        return WR_STR_NULL;
    }
    i++;
    {
        struct wr_str tag = wr_str_sub(*list, from, i - from);

        *list = wr_str_sub(*list, i, SIZE_MAX);
        return tag;
    }
}

/* Does one of the fields with this id name the tag (empty: there is none), or "*"? */
static bool has_tag(const struct wr_req *r, enum wr_hdr_id id, struct wr_str etag,
                    enum tag_compare how)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, id);

    for (; h; h = wr_hdrs_next(&r->head->hdrs, h)) {
        struct wr_str list = h->value, tag;

        if (wr_str_eq(wr_str_trim(list), WR_STR("*"))) {
            return true;
        }
        for (tag = next_tag(&list); tag.len > 0; tag = next_tag(&list)) {
            if (etag.len > 0 && are_tags_equal(tag, etag, how)) {
                return true;
            }
        }
    }
    return false;
}

static struct wr_str etag_of(const struct wr_req *r)
{
    const struct wr_hdr *etag = wr_hdrs_get(&r->out.hdrs, WR_HDR_ETAG);

    return etag ? etag->value : WR_STR_NULL;
}

/* ---- conditionals ------------------------------------------------------------------------------
 */

/* The date in the field; false: none or no date (then the field counts for nothing). */
static bool get_date(const struct wr_req *r, enum wr_hdr_id id, int64_t *ret_t)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, id);

    return h && wr_clock_parse_http_date(h->value, ret_t) == WR_OK;
}

static bool is_precondition_failed(const struct wr_req *r)
{
    int64_t t;

    if (wr_hdrs_has(&r->head->hdrs, WR_HDR_IF_MATCH)) {
        return !has_tag(r, WR_HDR_IF_MATCH, etag_of(r), TAG_STRONG);
    }
    return r->out_mtime != -1 && get_date(r, WR_HDR_IF_UNMODIFIED_SINCE, &t) && r->out_mtime > t;
}

static bool is_not_modified(const struct wr_req *r)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    int64_t t;

    if (wr_hdrs_has(&r->head->hdrs, WR_HDR_IF_NONE_MATCH)) {
        return has_tag(r, WR_HDR_IF_NONE_MATCH, etag_of(r), TAG_WEAK);
    }
    if (r->out_mtime == -1 || lc->if_modified_since == WR_IMS_OFF ||
        !get_date(r, WR_HDR_IF_MODIFIED_SINCE, &t)) {
        return false;
    }
    return t == r->out_mtime || (lc->if_modified_since == WR_IMS_BEFORE && r->out_mtime < t);
}

bool wr_range_may_change(const struct wr_req *r, const struct wr_range_target *t)
{
    int64_t date;

    if (wr_hdrs_has(&r->head->hdrs, WR_HDR_IF_MATCH)) {
        if (!t->exists || !has_tag(r, WR_HDR_IF_MATCH, t->etag, TAG_STRONG)) {
            return false;
        }
    } else if (t->exists && get_date(r, WR_HDR_IF_UNMODIFIED_SINCE, &date) && t->mtime > date) {
        return false;
    }
    return !t->exists || !wr_hdrs_has(&r->head->hdrs, WR_HDR_IF_NONE_MATCH) ||
           !has_tag(r, WR_HDR_IF_NONE_MATCH, t->etag, TAG_WEAK);
}

/* An error in place of the response. */
static enum wr_status refuse(struct wr_req *r, unsigned status)
{
    r->out.status = (uint16_t)status;
    wr_req_fail(r, status);
    return WR_EOF;
}

static enum wr_status check_conditions(struct wr_req *r)
{
    static const uint64_t ids =
        UINT64_C(1) << WR_HDR_IF_MATCH | UINT64_C(1) << WR_HDR_IF_NONE_MATCH |
        UINT64_C(1) << WR_HDR_IF_MODIFIED_SINCE | UINT64_C(1) << WR_HDR_IF_UNMODIFIED_SINCE;

    if ((r->head->hdrs.have & ids) == 0 || r->out.status != 200 || r->is_proxied) {
        return WR_OK;
    }
    if (is_precondition_failed(r)) {
        return refuse(r, 412);
    }
    if (!is_not_modified(r)) {
        return WR_OK;
    }
    if (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD) {
        return refuse(r, 412); /* RFC 9110 13.1.2 */
    }
    wr_req_replace(r, 304);
    return WR_ECANCELED;
}

/* ---- the Range field ---------------------------------------------------------------------------
 */

#define UNIT_LEN 6 /* "bytes=" */

struct scan {
    struct wr_str s;
    size_t at;
};

static void skip_blanks(struct scan *c)
{
    while (c->at < c->s.len && c->s.ptr[c->at] == ' ') {
        c->at++;
    }
}

static bool is_at_end(const struct scan *c)
{
    return c->at == c->s.len || c->s.ptr[c->at] == ',';
}

/* A run of digits; false: none, or too large a number. */
static bool take_number(struct scan *c, uint64_t *ret)
{
    uint64_t n = 0;
    size_t from = c->at;

    for (; c->at < c->s.len && c->s.ptr[c->at] >= '0' && c->s.ptr[c->at] <= '9'; c->at++) {
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(c->s.ptr[c->at] - '0'), &n)) {
            return false;
        }
    }
    *ret = n;
    return c->at > from;
}

/* One of the list into [*from, *to), which is empty when it cannot be satisfied. False: no range.
 */
static bool take_range(struct scan *c, uint64_t len, uint64_t *from, uint64_t *to)
{
    bool is_suffix;
    uint64_t n;

    skip_blanks(c);
    is_suffix = c->at < c->s.len && c->s.ptr[c->at] == '-';
    *from = 0;
    if (!is_suffix && !take_number(c, from)) {
        return false;
    }
    skip_blanks(c);
    if (c->at >= c->s.len || c->s.ptr[c->at] != '-') {
        return false;
    }
    c->at++;
    skip_blanks(c);
    if (!is_suffix && is_at_end(c)) {
        *to = len;
        return true;
    }
    if (!take_number(c, &n)) {
        return false;
    }
    skip_blanks(c);
    if (!is_at_end(c)) {
        return false;
    }
    if (is_suffix) {
        *from = n < len ? len - n : 0;
        *to = n == 0 ? *from : len;
    } else {
        *to = n < len ? n + 1 : len;
    }
    return true;
}

enum wr_range_result wr_range_parse(struct wr_str value, uint64_t len, uint32_t max,
                                    uint64_t *ret_from, uint64_t *ret_to)
{
    struct scan c = {.s = value, .at = UNIT_LEN};
    uint64_t from, to, sum = 0;
    uint32_t cnt = 0;

    if (value.len <= UNIT_LEN || !wr_str_has_iprefix(value, WR_STR("bytes="))) {
        return WR_RANGE_NONE;
    }
    for (;;) {
        if (!take_range(&c, len, &from, &to)) {
            return WR_RANGE_UNSATISFIED;
        }
        if (from < to) {
            if (cnt == 0) {
                *ret_from = from;
                *ret_to = to;
            }
            if (cnt++ == max) {
                return WR_RANGE_NONE;
            }
            sum = to - from > UINT64_MAX - sum ? UINT64_MAX : sum + (to - from);
        } else if (from == 0) {
            return WR_RANGE_NONE; /* "0-" of an empty body */
        }
        if (c.at == c.s.len) {
            break;
        }
        c.at++; /* the comma */
    }
    if (cnt == 0) {
        return WR_RANGE_UNSATISFIED;
    }
    if (sum > len) {
        return WR_RANGE_NONE;
    }
    return cnt == 1 ? WR_RANGE_ONE : WR_RANGE_SEVERAL;
}

bool wr_range_next(struct wr_str value, uint64_t len, size_t *at, uint64_t *ret_from,
                   uint64_t *ret_to)
{
    struct scan c = {.s = value, .at = *at == 0 ? UNIT_LEN : *at};
    uint64_t from, to;

    while (c.at < c.s.len && take_range(&c, len, &from, &to)) {
        c.at++; /* the comma */
        if (from < to) {
            *at = c.at;
            *ret_from = from;
            *ret_to = to;
            return true;
        }
    }
    return false;
}

/* If-Range: a strong tag, or a date that is exactly that of the response. */
static bool is_if_range_met(struct wr_req *r)
{
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_IF_RANGE);
    const struct wr_hdr *etag = wr_hdrs_get(&r->out.hdrs, WR_HDR_ETAG);
    int64_t t;

    if (!h) {
        return true;
    }
    if (h->value.len >= 2 && h->value.ptr[h->value.len - 1] == '"') {
        return etag && are_tags_equal(h->value, etag->value, TAG_STRONG);
    }
    return wr_req_mtime(r) != -1 && wr_clock_parse_http_date(h->value, &t) == WR_OK &&
           t == r->out_mtime;
}

/* ---- cutting -----------------------------------------------------------------------------------
 */

struct range_stage {
    struct wr_task task;
    struct wr_pipe *in, *out; /* NULL: left */
    uint64_t skip, left;
};

/* Ends of both pipes; idempotent. */
static void leave_stage(struct range_stage *g)
{
    if (g->in) {
        wr_pipe_leave_consumer(g->in);
        g->in = NULL;
    }
    if (g->out) {
        wr_pipe_leave_producer(g->out);
        g->out = NULL;
    }
}

static void drop_front(struct range_stage *g)
{
    uint64_t n = WR_MIN(g->skip, wr_pipe_queued(g->in));

    if (n > 0) {
        wr_pipe_consume(g->in, n);
        g->skip -= n;
    }
}

/* What is behind the range is read and dropped, so that the producer's side ends as it would. */
static void drop_rest(struct range_stage *g)
{
    if (g->out) {
        wr_pipe_eof(g->out);
        wr_pipe_leave_producer(g->out);
        g->out = NULL;
    }
    wr_pipe_consume(g->in, wr_pipe_queued(g->in));
    if (g->in->state != WR_PIPE_OPEN) {
        leave_stage(g);
    }
}

static void run_stage(struct wr_task *t)
{
    struct range_stage *g = wr_container_of(t, struct range_stage, task);
    uint64_t before;
    enum wr_status st;

    if (!g->in) {
        return;
    }
    drop_front(g);
    if (g->out && wr_pipe_is_orphan(g->out)) {
        leave_stage(g);
        return;
    }
    if (g->out && g->skip == 0 && g->left > 0) {
        before = g->out->in_total;
        st = wr_pipe_move(g->out, g->in, g->left);
        g->left -= g->out->in_total - before;
        if (st == WR_EPEERGONE || st == WR_ENOMEM) {
            wr_pipe_fail(g->out, WR_REASON_NOMEM);
            leave_stage(g);
            return;
        }
    }
    if (g->left == 0) {
        drop_rest(g);
    } else if (wr_pipe_is_spent(g->in)) {
        /* It ended too early: the length was announced, so the codec breaks the response off. */
        wr_pipe_fail(g->out, g->in->reason != 0 ? g->in->reason : WR_REASON_TRUNCATED);
        leave_stage(g);
    }
}

static void end_stage(void *data)
{
    struct range_stage *g = data;

    wr_task_cancel(&g->task);
    leave_stage(g);
}

static enum wr_status insert_stage(struct wr_req *r, uint64_t from, uint64_t to)
{
    struct range_stage *g = wr_arena_zalloc(r->arena, sizeof(*g));

    if (!g) {
        return WR_ENOMEM;
    }
    wr_task_init(&g->task, run_stage, "range");
    g->skip = from;
    g->left = to - from;
    g->out = wr_pipe_new(r->out_pipe->high, &g->task, NULL);
    if (!g->out || wr_arena_on_fini(r->arena, end_stage, g) != WR_OK) {
        if (g->out) {
            wr_pipe_leave_producer(g->out);
            wr_pipe_leave_consumer(g->out);
        }
        return WR_ENOMEM;
    }
    g->in = r->out_pipe;
    wr_pipe_hand(g->in, WR_PIPE_CONSUMER, &g->task);
    r->out_pipe = g->out;
    wr_task_wake(&g->task);
    return WR_OK;
}

/* A body that is here whole: slices change pipes. */
static enum wr_status cut_pipe(struct wr_req *r, uint64_t from, uint64_t to)
{
    struct wr_pipe *p = wr_pipe_new(WR_MAX(r->out_pipe->high, (size_t)1), NULL, NULL);
    enum wr_status st;

    if (!p) {
        return WR_ENOMEM;
    }
    wr_pipe_set_marks(p, SIZE_MAX / 2, SIZE_MAX / 4);
    wr_pipe_consume(r->out_pipe, from);
    st = wr_pipe_move(p, r->out_pipe, to - from);
    if (st == WR_ENOMEM || p->in_total != to - from) {
        wr_pipe_leave_producer(p);
        wr_pipe_leave_consumer(p);
        return WR_ENOMEM;
    }
    wr_pipe_eof(p);
    wr_pipe_leave_producer(p);
    wr_pipe_leave_consumer(r->out_pipe);
    r->out_pipe = p;
    return WR_OK;
}

/* Can the body be had in any order? */
static bool is_body_whole(const struct wr_req *r, uint64_t len)
{
    const struct wr_pipe *p = r->out_pipe;

    return !p || (p->state == WR_PIPE_EOF && wr_pipe_queued(p) == len);
}

static enum wr_status cut(struct wr_req *r, uint64_t len, uint64_t from, uint64_t to)
{
    struct wr_pipe *p = r->out_pipe;
    enum wr_status st = WR_OK;
    struct wr_str text;

    if (p) {
        st = is_body_whole(r, len) ? cut_pipe(r, from, to) : insert_stage(r, from, to);
    }
    if (st == WR_OK) {
        st = wr_arena_printf(r->arena, &text, "bytes %llu-%llu/%llu", (unsigned long long)from,
                             (unsigned long long)(to - 1), (unsigned long long)len);
    }
    if (st == WR_OK) {
        st = wr_hdrs_set_id(&r->out.hdrs, WR_HDR_CONTENT_RANGE, text);
    }
    if (st == WR_OK) {
        r->out.status = 206;
        r->out.reason = WR_STR_NULL;
        r->out.content_length = to - from;
    }
    return st;
}

/* ---- several ------------------------------------------------------------------------------- */

/* What stands before the bytes of a part. */
static enum wr_status write_part_head(struct wr_req *r, uint64_t boundary, uint64_t from,
                                      uint64_t to, struct wr_str *ret)
{
    const char *name = r->out_type.len > 0 ? "Content-Type: " : "";

    return wr_arena_printf(r->arena, ret,
                           "\r\n--%020llu\r\n%s%.*s%sContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
                           (unsigned long long)boundary, name, WR_STR_ARG(r->out_type),
                           r->out_type.len > 0 ? "\r\n" : "", (unsigned long long)from,
                           (unsigned long long)(to - 1), (unsigned long long)r->out.content_length);
}

static enum wr_status push_text(struct wr_pipe *p, struct wr_str text)
{
    struct wr_slice s = {.kind = WR_SLICE_CONST, .off = 0, .len = text.len};

    s.u.text = text.ptr;
    return wr_pipe_push(p, s);
}

/* All parts into p (NULL: only their length is wanted). */
static enum wr_status write_parts(struct wr_req *r, struct wr_str value, uint64_t boundary,
                                  struct wr_pipe *p, uint64_t *ret_len)
{
    uint64_t from = 0, to = 0, sum = 0, n = 0;
    struct wr_str text;
    enum wr_status st;
    size_t at = 0;

    while (wr_range_next(value, r->out.content_length, &at, &from, &to)) {
        st = write_part_head(r, boundary, from, to, &text);
        if (st == WR_OK && p) {
            st = push_text(p, text);
        }
        if (st == WR_OK && p) {
            st = wr_pipe_share(p, r->out_pipe, from, to - from, &n);
            st = st == WR_OK && n != to - from ? WR_ENOMEM : st;
        }
        if (st != WR_OK) {
            return WR_ENOMEM;
        }
        sum += text.len + (to - from);
    }
    st = wr_arena_printf(r->arena, &text, "\r\n--%020llu--\r\n", (unsigned long long)boundary);
    if (st == WR_OK && p) {
        st = push_text(p, text);
    }
    if (st == WR_OK) {
        *ret_len = sum + text.len;
    }
    return st;
}

static enum wr_status send_parts(struct wr_req *r, struct wr_str value)
{
    uint64_t boundary = wr_rng_u64(), len = 0;
    struct wr_pipe *p = NULL;
    enum wr_status st;

    if (r->out_pipe) {
        p = wr_pipe_new(1, NULL, NULL);
        if (!p) {
            return WR_ENOMEM;
        }
        wr_pipe_set_marks(p, SIZE_MAX / 2, SIZE_MAX / 4);
    }
    st = write_parts(r, value, boundary, p, &len);
    if (st == WR_OK) {
        st = wr_arena_printf(r->arena, &r->out_type, "multipart/byteranges; boundary=%020llu",
                             (unsigned long long)boundary);
    }
    if (p) {
        wr_pipe_eof(p);
        wr_pipe_leave_producer(p);
    }
    if (st != WR_OK) {
        if (p) {
            wr_pipe_leave_consumer(p);
        }
        return st;
    }
    if (p) {
        wr_pipe_leave_consumer(r->out_pipe);
        r->out_pipe = p;
    }
    if (wr_hdrs_has(&r->out.hdrs, WR_HDR_CONTENT_TYPE)) {
        wr_hdrs_remove_id(&r->out.hdrs, WR_HDR_CONTENT_TYPE);
    }
    r->out.status = 206;
    r->out.reason = WR_STR_NULL;
    r->out.content_length = len;
    return WR_OK;
}

static enum wr_status refuse_range(struct wr_req *r, uint64_t len)
{
    struct wr_str text;
    enum wr_status st = wr_arena_printf(r->arena, &text, "bytes */%llu", (unsigned long long)len);

    if (st != WR_OK) {
        return st;
    }
    st = wr_hdrs_set_id(&r->out.hdrs, WR_HDR_CONTENT_RANGE, text);
    return st == WR_OK ? refuse(r, 416) : st;
}

static enum wr_status apply_range(struct wr_req *r)
{
    const struct wr_core_loc *lc = wr_core_loc_of(r);
    const struct wr_hdr *h = wr_hdrs_get(&r->head->hdrs, WR_HDR_RANGE);
    uint64_t len = r->out.content_length, from = 0, to = 0;

    if (!r->can_range || r->out.status != 200 || len == WR_LENGTH_UNKNOWN || lc->max_ranges == 0 ||
        r->head->version < 10) {
        return WR_OK;
    }
    if (h && is_if_range_met(r)) {
        switch (wr_range_parse(h->value, len, lc->max_ranges, &from, &to)) {
        case WR_RANGE_ONE:
            return cut(r, len, from, to);
        case WR_RANGE_UNSATISFIED:
            return refuse_range(r, len);
        case WR_RANGE_SEVERAL:
            if (is_body_whole(r, len)) {
                return send_parts(r, h->value);
            }
            break;
        case WR_RANGE_NONE:
            break;
        }
    }
    return wr_hdrs_set_id(&r->out.hdrs, WR_HDR_ACCEPT_RANGES, WR_STR("bytes"));
}

static const struct wr_filter_row filters[] = {
    {WR_FILTER_NOT_MODIFIED, check_conditions},
    {WR_FILTER_RANGE,        apply_range     },
};

const struct wr_module wr_range_module = {.filters = filters, .filter_cnt = WR_ARRAY_LEN(filters)};
