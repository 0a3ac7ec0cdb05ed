/* SPDX-License-Identifier: Apache-2.0 */
/*
 * question.c: see question.h. Words are separated by one blank; anything else is refused, so that
 * the grammar can grow.
 */
#include "main/question.h"

#include "base/num.h"

/* What follows `prefix` in line; false: it does not begin so. */
static bool has_word(struct wr_str line, const char *prefix, struct wr_str *ret_rest)
{
    struct wr_str p = wr_str_z(prefix);

    if (!wr_str_has_prefix(line, p)) {
        return false;
    }
    *ret_rest = wr_str_sub(line, p.len, line.len);
    return true;
}

static enum wr_status parse_trace(struct wr_str line, struct wr_question *q)
{
    struct wr_str rest;
    bool is_trimmed;

    if (has_word(line, "trace client ", &rest)) {
        q->kind = WR_ASK_TRACE_CLIENT;
        return wr_cidr_parse(rest, &q->client, &is_trimmed);
    }
    if (has_word(line, "trace connection ", &rest)) {
        q->kind = WR_ASK_TRACE_CONN;
    } else if (has_word(line, "trace request ", &rest)) {
        q->kind = WR_ASK_TRACE_REQ;
    } else {
        return WR_EPROTO;
    }
    return wr_num_parse_u64(rest, UINT64_MAX, &q->id);
}

enum wr_status wr_question_parse(struct wr_str line, struct wr_question *ret)
{
    struct wr_question q = {.kind = WR_ASK_STATUS};

    if (wr_str_eq_z(line, "reload") || wr_str_eq_z(line, "reload terminal")) {
        q.kind = WR_ASK_RELOAD;
        q.is_terminal = line.len > 6;
    } else if (!wr_str_eq_z(line, "status") && parse_trace(line, &q) != WR_OK) {
        return WR_EPROTO;
    }
    *ret = q;
    return WR_OK;
}
