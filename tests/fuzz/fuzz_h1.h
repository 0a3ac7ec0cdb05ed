/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_h1.h: any bytes as a message head of FUZZ_ROLE. The first byte chooses options and the size
 * of the pieces. Whole and in pieces must give the same; what was parsed is written by FUZZ_WRITE
 * and read again. A target defines both and includes this.
 */
#ifndef WR_TESTS_FUZZ_FUZZ_H1_H
#define WR_TESTS_FUZZ_FUZZ_H1_H

#include "base/assert.h"
#include "base/mem.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wr_h1_limits limits = {512, 2048, 20};

static enum wr_h1_result parse(struct wr_h1_parser *p, struct wr_msg *m, unsigned how,
                               struct wr_str in, size_t step, char **keep)
{
    enum wr_h1_result res = WR_H1_MORE;

    wr_h1_parser_init(p, FUZZ_ROLE, &limits, how & 3, m);
    p->request_method = (how & 4) != 0 ? WR_METHOD_HEAD : WR_METHOD_GET;
    for (size_t n = WR_MIN(step, in.len);; n = WR_MIN(n + step, in.len)) {
        char *piece = wr_mem_alloc(n + 1);
        if (n > 0) {
            memcpy(piece, in.ptr, n);
        }
        wr_mem_free(*keep);
        *keep = piece;
        res = wr_h1_parse(p, piece, n);
        if (res != WR_H1_MORE || n == in.len) {
            return res;
        }
    }
}

static void compare(const struct wr_msg *x, const struct wr_msg *y)
{
    WR_ASSERT(x->method == y->method && x->status == y->status && x->version == y->version);
    WR_ASSERT(x->flags == y->flags && x->framing == y->framing);
    WR_ASSERT(x->content_length == y->content_length && x->hdrs.cnt == y->hdrs.cnt);
    WR_ASSERT(wr_str_eq(x->target, y->target) && wr_str_eq(x->authority, y->authority));
    WR_ASSERT(wr_str_eq(x->reason, y->reason));
    for (uint32_t i = 0; i < x->hdrs.cnt; i++) {
        WR_ASSERT(wr_str_eq(x->hdrs.at[i].name, y->hdrs.at[i].name));
        WR_ASSERT(wr_str_eq(x->hdrs.at[i].value, y->hdrs.at[i].value));
        WR_ASSERT(wr_h1_value_is_safe(x->hdrs.at[i].value));
    }
}

/* What was accepted can be written, and says the same when it is read again. */
static void write_again(const struct wr_msg *m, struct wr_arena *a, unsigned how, char **keep)
{
    struct wr_h1_parser p;
    struct wr_strbuf b;
    struct wr_msg again;

    wr_strbuf_init(&b, 8192);
    WR_ASSERT(FUZZ_WRITE(&b, m) == WR_OK);
    wr_msg_init(&again, a, 20);
    enum wr_h1_result res = parse(&p, &again, how, wr_strbuf_str(&b), b.len, keep);
    /* Blanks put in may push a line over its limit, and an absolute form lost its authority. */
    WR_ASSERT(res == WR_H1_DONE || p.bad >= WR_H1_BAD_LINE_TOO_LONG ||
              (m->flags & WR_MSG_ABSOLUTE) != 0);
    if (res == WR_H1_DONE) {
        WR_ASSERT(again.framing == m->framing && again.content_length == m->content_length);
    }
    wr_strbuf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_arena a;
    struct wr_h1_parser p1, p2;
    struct wr_msg m1, m2;
    char *k1 = NULL, *k2 = NULL, *k3 = NULL;

    if (size < 1 || size > 4096) {
        return 0;
    }
    wr_arena_init(&a, 1 << 20);
    struct wr_str in = wr_str((const char *)data + 1, size - 1);
    wr_msg_init(&m1, &a, 20);
    enum wr_h1_result r1 = parse(&p1, &m1, data[0], in, size, &k1);
    wr_msg_init(&m2, &a, 20);
    enum wr_h1_result r2 = parse(&p2, &m2, data[0], in, (data[0] >> 3) + 1u, &k2);
    WR_ASSERT(r1 == r2 && p1.bad == p2.bad && p1.head_len == p2.head_len);
    WR_ASSERT(r1 != WR_H1_NOMEM && p1.dropped_fields == p2.dropped_fields);
    if (r1 == WR_H1_DONE) {
        compare(&m1, &m2);
        if (m1.version == 11) {
            write_again(&m1, &a, data[0], &k3);
        }
    }
    wr_mem_free(k1);
    wr_mem_free(k2);
    wr_mem_free(k3);
    wr_arena_fini(&a);
    return 0;
}

#endif
