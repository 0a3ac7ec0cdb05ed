/* SPDX-License-Identifier: Apache-2.0 */
/*
 * num.c: numbers from text with every overflow seen, and back. The grammar of sizes and times is
 * that of nginx's documentation ("Configuration file measurement units"). Results are written only
 * on success; bad text is WR_EPROTO, a value out of range WR_ELIMIT. Bad text wins over range.
 */
#include "base/num.h"

#include <stddef.h>

#include "base/chars.h"

/* Reads digits of `base` from s[*pos] on; saturates at UINT64_MAX with *ret_over set. */
static uint64_t read_digits(struct wr_str s, size_t *pos, unsigned base, bool *ret_over)
{
    unsigned cls = base == 16 ? WR_CH_HEX : WR_CH_DIGIT;
    uint64_t v = 0;

    for (; *pos < s.len && wr_char_is((unsigned char)s.ptr[*pos], cls); (*pos)++) {
        uint64_t d = (uint64_t)wr_char_hex((unsigned char)s.ptr[*pos]);

        if (!wr_mul_ok(v, base, &v) || !wr_add_ok(v, d, &v)) {
            *ret_over = true;
            v = UINT64_MAX;
        }
    }
    return v;
}

static enum wr_status parse_base(struct wr_str s, unsigned base, uint64_t max, uint64_t *ret_v)
{
    bool over = false;
    size_t pos = 0;
    uint64_t v = read_digits(s, &pos, base, &over);

    if (s.len == 0 || pos != s.len) {
        return WR_EPROTO;
    }
    if (over || v > max) {
        return WR_ELIMIT;
    }
    *ret_v = v;
    return WR_OK;
}

enum wr_status wr_num_parse_u64(struct wr_str s, uint64_t max, uint64_t *ret_v)
{
    return parse_base(s, 10, max, ret_v);
}

enum wr_status wr_num_parse_hex(struct wr_str s, uint64_t max, uint64_t *ret_v)
{
    return parse_base(s, 16, max, ret_v);
}

/* units: "km" or "kmg", each 1024 times the one before. */
static enum wr_status parse_scaled(struct wr_str s, const char *units, uint64_t max,
                                   uint64_t *ret_v)
{
    bool over = false;
    size_t pos = 0;
    uint64_t v = read_digits(s, &pos, 10, &over);
    uint64_t scale = 1;

    if (pos == 0 || s.len - pos > 1) {
        return WR_EPROTO;
    }
    if (pos < s.len) {
        char unit = (char)wr_char_lower[(unsigned char)s.ptr[pos]];

        scale = 1024;
        while (*units != '\0' && *units != unit) {
            scale *= 1024;
            units++;
        }
        if (*units == '\0') {
            return WR_EPROTO;
        }
    }
    if (over || !wr_mul_ok(v, scale, &v) || v > max) {
        return WR_ELIMIT;
    }
    *ret_v = v;
    return WR_OK;
}

enum wr_status wr_num_parse_size(struct wr_str s, uint64_t max, uint64_t *ret_v)
{
    return parse_scaled(s, "km", max, ret_v);
}

enum wr_status wr_num_parse_offset(struct wr_str s, uint64_t max, uint64_t *ret_v)
{
    return parse_scaled(s, "kmg", max, ret_v);
}

static const struct unit {
    const char *name;
    uint64_t ms;
} units[] = {
    {"y",  365ull * 86400 * 1000},
    {"M",  30ull * 86400 * 1000 },
    {"w",  7ull * 86400 * 1000  },
    {"d",  86400ull * 1000      },
    {"h",  3600ull * 1000       },
    {"m",  60ull * 1000         },
    {"s",  1000                 },
    {"ms", 1                    },
};

#define UNIT_S  6u
#define UNIT_MS 7u

/* The unit at s[*pos]; a number at the end of the text has seconds. WR_ARRAY_LEN(units): none. */
static size_t read_unit(struct wr_str s, size_t *pos)
{
    struct wr_str rest = wr_str_sub(s, *pos, s.len);

    if (rest.len == 0) {
        return UNIT_S;
    }
    if (wr_str_has_prefix(rest, WR_STR("ms"))) {
        *pos += 2;
        return UNIT_MS;
    }
    for (size_t i = 0; i < UNIT_MS; i++) {
        if (rest.ptr[0] == units[i].name[0]) {
            *pos += 1;
            return i;
        }
    }
    return WR_ARRAY_LEN(units);
}

/* One "12h" at s[*pos], and the blanks before the next one; units *next .. last are allowed. */
static enum wr_status read_part(struct wr_str s, size_t *pos, size_t *next, size_t last,
                                uint64_t *ret_ms)
{
    size_t from = *pos;
    bool over = false;
    uint64_t v = read_digits(s, pos, 10, &over);
    size_t unit = read_unit(s, pos);

    if (!wr_char_is((unsigned char)s.ptr[from], WR_CH_DIGIT) || unit < *next || unit > last) {
        return WR_EPROTO;
    }
    *next = unit + 1;
    from = *pos;
    while (*pos < s.len && s.ptr[*pos] == ' ') {
        (*pos)++;
    }
    if (*pos == s.len && *pos != from) {
        return WR_EPROTO; /* blanks at the end */
    }
    if (over || !wr_mul_ok(v, units[unit].ms, &v)) {
        return WR_ELIMIT;
    }
    *ret_ms = v;
    return WR_OK;
}

/* last: the smallest unit that is allowed. The result is in milliseconds. */
static enum wr_status parse_time(struct wr_str s, size_t last, uint64_t *ret_ms)
{
    size_t pos = 0, next = 0; /* next: largest unit that may still come */
    uint64_t sum = 0;
    bool over = false;

    if (s.len == 0) {
        return WR_EPROTO;
    }
    while (pos < s.len) {
        uint64_t ms = 0;
        enum wr_status status = read_part(s, &pos, &next, last, &ms);

        if (status == WR_EPROTO) {
            return status;
        }
        over |= status != WR_OK || !wr_add_ok(sum, ms, &sum);
    }
    if (over || sum > INT64_MAX) {
        return WR_ELIMIT;
    }
    *ret_ms = sum;
    return WR_OK;
}

enum wr_status wr_num_parse_ms(struct wr_str s, uint64_t *ret_ms)
{
    return parse_time(s, UNIT_MS, ret_ms);
}

enum wr_status wr_num_parse_sec(struct wr_str s, uint64_t *ret_sec)
{
    uint64_t ms;
    enum wr_status status = parse_time(s, UNIT_S, &ms);

    if (status == WR_OK) {
        *ret_sec = ms / 1000;
    }
    return status;
}

enum wr_status wr_num_parse_fixed(struct wr_str s, unsigned digits, uint64_t *ret_v)
{
    bool over = false;
    size_t pos = 0;
    uint64_t v = read_digits(s, &pos, 10, &over);
    unsigned seen = 0;

    if (pos == 0) {
        return WR_EPROTO;
    }
    if (pos < s.len) {
        uint64_t part;
        size_t from = ++pos;

        part = read_digits(s, &pos, 10, &over);
        if (s.ptr[from - 1] != '.' || pos == from || pos != s.len || pos - from > digits) {
            return WR_EPROTO;
        }
        for (seen = 0; seen < pos - from; seen++) {
            over |= !wr_mul_ok(v, 10, &v);
        }
        over |= !wr_add_ok(v, part, &v);
    }
    for (; seen < digits; seen++) {
        over |= !wr_mul_ok(v, 10, &v);
    }
    if (over) {
        return WR_ELIMIT;
    }
    *ret_v = v;
    return WR_OK;
}

size_t wr_num_write_u64(char *out, uint64_t v)
{
    size_t n = 1;

    for (uint64_t more = 10; n < 20 && v >= more; n++) {
        more *= 10; /* beyond 10^19 it is not looked at */
    }
    for (size_t i = n; i-- > 0; v /= 10) {
        out[i] = (char)('0' + (int)(v % 10));
    }
    return n;
}

size_t wr_num_write_hex(char *out, uint64_t v)
{
    size_t n = 1;

    while (n < 16 && v >> (4 * n) != 0) {
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = "0123456789abcdef"[v >> (4 * (n - 1 - i)) & 15];
    }
    return n;
}
