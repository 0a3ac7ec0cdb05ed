/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_out.c: see json_out.h. Keys are constant texts of ours and need no escape.
 */
#include "observe/json_out.h"

#include "base/assert.h"
#include "base/codec.h"

void wr_json_init(struct wr_json *j, struct wr_strbuf *b)
{
    *j = (struct wr_json){.b = b};
}

/* Comma and key of the next value. */
static void begin(struct wr_json *j, const char *key)
{
    if (j->_has_more[j->_depth]) {
        wr_strbuf_add_char(j->b, ',');
    }
    j->_has_more[j->_depth] = true;
    if (key != NULL) {
        wr_strbuf_add_char(j->b, '"');
        wr_strbuf_add_z(j->b, key);
        wr_strbuf_add(j->b, "\":", 2);
    }
}

static void open_level(struct wr_json *j, const char *key, bool is_array)
{
    begin(j, key);
    WR_ASSERT(j->_depth + 1 < WR_JSON_DEPTH_MAX);
    j->_depth++;
    j->_has_more[j->_depth] = false;
    j->_is_array[j->_depth] = is_array;
    wr_strbuf_add_char(j->b, is_array ? '[' : '{');
}

void wr_json_object(struct wr_json *j, const char *key)
{
    open_level(j, key, false);
}

void wr_json_array(struct wr_json *j, const char *key)
{
    open_level(j, key, true);
}

void wr_json_end(struct wr_json *j)
{
    WR_ASSERT(j->_depth > 0);
    wr_strbuf_add_char(j->b, j->_is_array[j->_depth] ? ']' : '}');
    j->_depth--;
}

void wr_json_num(struct wr_json *j, const char *key, uint64_t v)
{
    begin(j, key);
    wr_strbuf_add_u64(j->b, v);
}

void wr_json_milli(struct wr_json *j, const char *key, uint64_t v)
{
    begin(j, key);
    wr_strbuf_printf(j->b, "%llu.%03u", (unsigned long long)(v / 1000), (unsigned)(v % 1000));
}

void wr_json_bool(struct wr_json *j, const char *key, bool v)
{
    begin(j, key);
    wr_strbuf_add_z(j->b, v ? "true" : "false");
}

void wr_json_raw(struct wr_json *j, const char *key, struct wr_str json)
{
    begin(j, key);
    wr_strbuf_add_str(j->b, json);
}

static bool is_utf8(struct wr_str s)
{
    while (s.len > 0) {
        size_t n = (unsigned char)s.ptr[0] < 0x80 ? 1 : wr_codec_utf8_len(s);

        if (n == 0) {
            return false;
        }
        s = wr_str_sub(s, n, s.len);
    }
    return true;
}

void wr_json_str(struct wr_json *j, const char *key, struct wr_str s)
{
    begin(j, key);
    wr_strbuf_add_char(j->b, '"');
    if (is_utf8(s)) {
        wr_codec_escape(j->b, s, WR_ESCAPE_JSON);
    } else {
        for (size_t i = 0; i < s.len; i++) {
            unsigned char c = (unsigned char)s.ptr[i];

            if (c < 0x80) {
                wr_codec_escape(j->b, wr_str_sub(s, i, 1), WR_ESCAPE_JSON);
            } else {
                wr_strbuf_printf(j->b, "\\u%04x", c);
            }
        }
    }
    wr_strbuf_add_char(j->b, '"');
}
