/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo_proto.c: a toy line protocol of the second kind (up/proto.h), to prove that one fits into a
 * page. Included by tests.
 *
 *   request   PATH?ARGS LENGTH\n  and LENGTH bytes
 *   response  STATUS LENGTH[ keep][ Name=value]...\n  and LENGTH bytes; "-": up to the close;
 *             "*": lines of "N bytes\n", "0 \n" ends them (the filter of echo_lines_table)
 */
#include "base/num.h"
#include "proto/simple.h"
#include "up/up.h"

/* What the calls did: one for each request, at q->ctx. left, is_open: state of the filter. */
struct echo_ctx {
    unsigned creates, reinits, heads, inits, aborts, finals, frames, status;
    bool is_body_left_out;
    uint64_t left;
    bool is_open, is_last;
};

static enum wr_status echo_create(struct wr_proto_req *q, struct wr_strbuf *out)
{
    struct echo_ctx *e = q->ctx;
    uint64_t len = 0;

    e->left = 0;
    e->is_open = e->is_last = false;
    q->no_body = e->is_body_left_out;
    if (q->req == NULL) { /* a test without an engine */
        wr_strbuf_add_z(out, "/test 0\n");
    } else {
        wr_strbuf_add_str(out, q->req->client_uri.raw);
        (void)wr_req_has_body(q->req, &len); /* false: len stays 0 */
        wr_strbuf_add_char(out, ' ');
        wr_strbuf_add_u64(out, q->no_body ? 0 : len);
        wr_strbuf_add_char(out, '\n');
    }
    e->creates += out->status == WR_OK;
    return out->status;
}

static enum wr_status echo_reinit(struct wr_proto_req *q)
{
    ((struct echo_ctx *)q->ctx)->reinits++;
    return WR_OK;
}

static enum wr_proto_result echo_word(struct wr_proto_req *q, struct wr_str w)
{
    size_t eq = wr_str_find(w, '=');

    if (wr_str_eq(w, WR_STR("keep"))) {
        q->keep = true;
        return WR_PROTO_DONE;
    }
    if (eq == w.len) {
        return WR_PROTO_INVALID;
    }
    return wr_hdrs_add(&q->head->hdrs, wr_str_sub(w, 0, eq), wr_str_sub(w, eq + 1, w.len)) == WR_OK
               ? WR_PROTO_DONE
               : WR_PROTO_FAILED;
}

static enum wr_proto_result echo_head(struct wr_proto_req *q, const char *p, size_t n,
                                      size_t *ret_used)
{
    struct echo_ctx *e = q->ctx;
    struct wr_str line = wr_str_sub(wr_str(p, n), 0, wr_str_find(wr_str(p, n), '\n')), status, len,
                  word;
    enum wr_proto_result res = WR_PROTO_DONE;
    uint64_t v = 0;

    e->heads++;
    if (line.len == n) {
        return WR_PROTO_AGAIN;
    }
    *ret_used = line.len + 1;
    if (!wr_str_split(&line, ' ', &status) || !wr_str_split(&line, ' ', &len) ||
        wr_num_parse_u64(status, 999, &v) != WR_OK) {
        return WR_PROTO_INVALID;
    }
    q->head->status = (uint16_t)v;
    if (!wr_str_eq(len, WR_STR("-")) && !wr_str_eq(len, WR_STR("*")) &&
        wr_num_parse_u64(len, UINT64_MAX - 1, &q->length) != WR_OK) {
        return WR_PROTO_INVALID;
    }
    while (res == WR_PROTO_DONE && wr_str_split(&line, ' ', &word)) {
        res = echo_word(q, word);
    }
    return v == 599 ? WR_PROTO_FAILED : res;
}

static enum wr_status echo_filter_init(struct wr_proto_req *q)
{
    ((struct echo_ctx *)q->ctx)->inits++;
    return WR_OK;
}

/* A byte of a size, what is here of a line, or a line's end. */
static enum wr_proto_result echo_filter(struct wr_proto_req *q, const char *p, size_t n,
                                        size_t *ret_used, struct wr_str *ret_data)
{
    struct echo_ctx *e = q->ctx;

    *ret_used = 1;
    if (!e->is_open) {
        e->is_open = *p == ' ';
        e->is_last = e->is_open && e->left == 0;
        if (!e->is_open && (*p < '0' || *p > '9' || e->left > 99999)) {
            return *p == 'F' ? WR_PROTO_FAILED : WR_PROTO_INVALID;
        }
        e->left = e->is_open ? e->left : e->left * 10 + (uint64_t)(*p - '0');
    } else if (e->left > 0) {
        *ret_used = (size_t)WR_MIN((uint64_t)n, e->left);
        *ret_data = wr_str(p, *ret_used);
        e->left -= *ret_used;
    } else {
        e->is_open = false;
        return *p != '\n' ? WR_PROTO_INVALID : e->is_last ? WR_PROTO_DONE : WR_PROTO_AGAIN;
    }
    return WR_PROTO_AGAIN;
}

static void echo_abort(struct wr_proto_req *q)
{
    ((struct echo_ctx *)q->ctx)->aborts++;
}

static void echo_finalize(struct wr_proto_req *q, unsigned status)
{
    struct echo_ctx *e = q->ctx;

    e->finals++;
    e->status = status;
}

#define ECHO_TABLE                                                                                 \
    .create_request = echo_create, .reinit_request = echo_reinit, .process_header = echo_head,     \
    .input_filter_init = echo_filter_init, .abort_request = echo_abort,                            \
    .finalize_request = echo_finalize

static const struct wr_proto_table echo_table = {.name = "echo", ECHO_TABLE};
static const struct wr_proto_table echo_lines_table = {
    .name = "echo lines", ECHO_TABLE, .input_filter = echo_filter};

WR_PROTO_SIMPLE(echo, echo_table);
WR_PROTO_SIMPLE(echo_lines, echo_lines_table);
