/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coding.c: see coding.h. One pass over the list; a member whose weight is malformed counts as not
 * acceptable. "x-gzip" is gzip (RFC 9110 8.4.1.3).
 */
#include "http/coding.h"

#include <stdbool.h>

#include "base/compiler.h"

#define Q_ONE 1000

static const struct wr_str names[WR_CODING_CNT] = {
    [WR_CODING_GZIP] = WR_STR_INIT("gzip"),
    [WR_CODING_BROTLI] = WR_STR_INIT("br"),
    [WR_CODING_ZSTD] = WR_STR_INIT("zstd"),
};

struct wr_str wr_coding_name(enum wr_coding c)
{
    return names[c];
}

/* "0", "0.5", "1.000"; malformed: 0. */
static int16_t read_weight(struct wr_str s)
{
    int v, unit = Q_ONE / 10;

    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1')) {
        return 0;
    }
    v = s.ptr[0] == '1' ? Q_ONE : 0;
    if (s.len > 1 && s.ptr[1] != '.') {
        return 0;
    }
    for (size_t i = 2; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return 0;
        }
        v += (s.ptr[i] - '0') * unit;
        unit /= 10;
    }
    return (int16_t)WR_MIN(v, Q_ONE);
}

/* "gzip ; q=0.5": the name stays in *s. */
static int16_t split_weight(struct wr_str *s)
{
    struct wr_str rest = *s, part;
    int16_t q = Q_ONE;

    (void)wr_str_split(&rest, ';', &part); /* there is always one */
    *s = wr_str_trim(part);
    while (wr_str_split(&rest, ';', &part)) {
        part = wr_str_trim(part);
        if (wr_str_has_iprefix(part, WR_STR("q="))) {
            q = read_weight(wr_str_sub(part, 2, SIZE_MAX));
        }
    }
    return q;
}

static void read_member(struct wr_str s, struct wr_codings *c, int16_t *star)
{
    int16_t q = split_weight(&s);

    if (wr_str_eq(s, WR_STR("*"))) {
        *star = q;
    } else if (wr_str_ieq(s, WR_STR("identity"))) {
        c->identity = q;
    } else if (wr_str_ieq(s, WR_STR("x-gzip"))) {
        c->q[WR_CODING_GZIP] = q;
    } else {
        for (int i = 0; i < WR_CODING_CNT; i++) {
            if (wr_str_ieq(s, names[i])) {
                c->q[i] = q;
            }
        }
    }
}

void wr_codings_read(const struct wr_hdrs *h, struct wr_codings *ret)
{
    const struct wr_hdr *f = wr_hdrs_get(h, WR_HDR_ACCEPT_ENCODING);
    struct wr_codings c = {
        .q = {-1, -1, -1},
          .identity = -1
    };
    int16_t star = 0;

    for (; f; f = wr_hdrs_next(h, f)) {
        struct wr_str list = f->value, member;

        while (wr_str_split(&list, ',', &member)) {
            read_member(member, &c, &star);
        }
    }
    for (int i = 0; i < WR_CODING_CNT; i++) {
        if (c.q[i] == -1) {
            c.q[i] = star;
        }
    }
    *ret = c;
}

enum wr_coding wr_codings_choose(const struct wr_codings *c, unsigned usable)
{
    static const enum wr_coding order[] = {WR_CODING_BROTLI, WR_CODING_ZSTD, WR_CODING_GZIP};
    enum wr_coding best = WR_CODING_CNT;
    int16_t q = 0;

    for (size_t i = 0; i < WR_ARRAY_LEN(order); i++) {
        if ((usable >> order[i] & 1) != 0 && c->q[order[i]] > q) {
            best = order[i];
            q = c->q[best];
        }
    }
    return c->identity > q ? WR_CODING_CNT : best;
}
