/* SPDX-License-Identifier: Apache-2.0 */
/*
 * question.c: see question.h. Words are separated by one blank; anything else is refused, so that
 * the grammar can grow.
 */
#include "main/question.h"

#include "base/num.h"

enum wr_status wr_question_parse(struct wr_str line, struct wr_question *ret)
{
    static const struct wr_str id = WR_STR_INIT("trace id "), client = WR_STR_INIT("trace client ");
    struct wr_question q = {.kind = WR_ASK_STATUS};
    bool is_trimmed;

    if (wr_str_eq_z(line, "status")) {
        *ret = q;
        return WR_OK;
    }
    if (wr_str_eq_z(line, "reload") || wr_str_eq_z(line, "reload terminal")) {
        q.kind = WR_ASK_RELOAD;
        q.is_terminal = line.len > 6;
        *ret = q;
        return WR_OK;
    }
    if (wr_str_has_prefix(line, id) &&
        wr_num_parse_u64(wr_str_sub(line, id.len, line.len), UINT64_MAX, &q.id) == WR_OK) {
        q.kind = WR_ASK_TRACE_ID;
        *ret = q;
        return WR_OK;
    }
    if (wr_str_has_prefix(line, client) &&
        wr_cidr_parse(wr_str_sub(line, client.len, line.len), &q.client, &is_trimmed) == WR_OK) {
        q.kind = WR_ASK_TRACE_CLIENT;
        *ret = q;
        return WR_OK;
    }
    return WR_EPROTO;
}
