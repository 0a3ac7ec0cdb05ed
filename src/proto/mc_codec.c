/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mc_codec.c: lines of memcached. Any thread.
 */
#include "proto/mc_codec.h"

#include <string.h>

#include "base/num.h"

void wr_mc_write_get(struct wr_strbuf *b, struct wr_str key, struct wr_str *ret_key)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at, i;

    wr_strbuf_add_z(b, "get ");
    at = b->len;
    for (i = 0; i < key.len; i++) {
        unsigned char c = (unsigned char)key.ptr[i];

        if (c > ' ' && c != '%') {
            wr_strbuf_add_char(b, (char)c);
        } else {
            wr_strbuf_add_char(b, '%');
            wr_strbuf_add_char(b, digits[c >> 4]);
            wr_strbuf_add_char(b, digits[c & 15]);
        }
    }
    wr_strbuf_add_z(b, "\r\n");
    if (b->status == WR_OK) {
        *ret_key = wr_str(b->ptr + at, b->len - at - 2);
    }
}

/* "VALUE KEY FLAGS LENGTH" */
static enum wr_mc_result parse_value(struct wr_str rest, struct wr_str key, struct wr_mc_head *ret)
{
    struct wr_str flags;
    uint64_t v = 0;

    if (!wr_str_has_prefix(rest, key) || rest.len == key.len || rest.ptr[key.len] != ' ') {
        return WR_MC_BAD_KEY;
    }
    rest = wr_str_sub(rest, key.len + 1, rest.len);
    if (!wr_str_split(&rest, ' ', &flags) ||
        wr_num_parse_u64(rest, INT64_MAX, &ret->length) != WR_OK) {
        return WR_MC_BAD_LENGTH;
    }
    ret->has_flags = wr_num_parse_u64(flags, UINT32_MAX, &v) == WR_OK;
    ret->flags = (uint32_t)v;
    return WR_MC_VALUE;
}

enum wr_mc_result wr_mc_parse(const char *p, size_t n, struct wr_str key, struct wr_mc_head *ret,
                              size_t *ret_used)
{
    const char *lf = memchr(p, '\n', n);
    struct wr_str line;

    if (lf == NULL) {
        return WR_MC_MORE;
    }
    *ret = (struct wr_mc_head){.line = wr_str(p, (size_t)(lf - p))};
    if (ret->line.len == 0 || ret->line.ptr[ret->line.len - 1] != '\r') {
        return WR_MC_BAD;
    }
    line = wr_str_sub(ret->line, 0, ret->line.len - 1);
    ret->line = line;
    *ret_used = (size_t)(lf - p) + 1;
    if (wr_str_eq(line, WR_STR("END"))) {
        return WR_MC_NONE;
    }
    if (!wr_str_has_prefix(line, WR_STR("VALUE "))) {
        return WR_MC_BAD;
    }
    return parse_value(wr_str_sub(line, 6, line.len), key, ret);
}
