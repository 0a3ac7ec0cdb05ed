/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_filters.c: what filters do with bytes from outside: Accept-Encoding, a body that says it is
 * gzip, UTF-8 to be recoded, a body in which texts are looked for. The first byte chooses; pieces
 * of any size must give what the whole gives.
 */
#include "base/assert.h"
#include "http/coding.h"
#include "mod/press.h"
#include "mod/recode.h"
#include "mod/sub_match.h"

#define OUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char one[OUT_MAX], two[OUT_MAX];

static void check_coding(struct wr_str in)
{
    struct wr_arena a;
    struct wr_hdrs h;
    struct wr_codings c;

    wr_arena_init(&a, 65536);
    wr_hdrs_init(&h, &a, 4);
    if (wr_hdrs_add(&h, WR_STR("Accept-Encoding"), in) == WR_OK) {
        wr_codings_read(&h, &c);
        for (int i = 0; i < WR_CODING_CNT; i++) {
            WR_ASSERT(c.q[i] >= 0 && c.q[i] <= 1000);
        }
        WR_ASSERT(c.identity >= -1 && c.identity <= 1000);
        WR_ASSERT(wr_codings_choose(&c, 0) == WR_CODING_CNT);
    }
    wr_arena_fini(&a);
}

/* Inflates with little or much room; stops when there is too much of it. */
static size_t inflate_all(struct wr_str in, size_t piece, size_t room, char *out,
                          enum wr_status *ret)
{
    struct wr_press_opts o = {.size = UINT64_MAX};
    void *s = wr_press_gunzip.open(&o);
    size_t len = 0, at = 0;
    enum wr_status st = WR_OK;

    WR_ASSERT(s);
    while (st == WR_OK && at <= in.len && len + room <= OUT_MAX) {
        bool is_last = at == in.len;
        struct wr_press_io io = {.in = in.ptr + at, .in_len = WR_MIN(piece, in.len - at)};

        at += is_last ? 1 : io.in_len;
        do {
            io.out = out + len;
            io.out_len = room;
            st = wr_press_gunzip.run(s, is_last ? WR_PRESS_END : WR_PRESS_RUN, &io);
            len += room - io.out_len;
        } while (st == WR_AGAIN && len + room <= OUT_MAX);
    }
    wr_press_gunzip.close(s);
    *ret = len + room > OUT_MAX ? WR_ELIMIT : st;
    return len;
}

static void check_gunzip(struct wr_str in, size_t piece)
{
    enum wr_status a, b;
    size_t n = inflate_all(in, SIZE_MAX, 4096, one, &a);
    size_t m = inflate_all(in, piece, 100, two, &b);

    if (a == WR_OK && b != WR_ELIMIT) {
        WR_ASSERT(b == WR_OK && n == m && memcmp(one, two, n) == 0);
    }
    WR_ASSERT(a == b || a == WR_ELIMIT || b == WR_ELIMIT);
}

static size_t recode_all(const struct wr_recode *t, struct wr_str in, size_t piece, char *out)
{
    struct wr_recode_state s = {0};
    size_t len = 0, used;

    for (size_t at = 0; at < in.len && len + 2 * WR_RECODE_OUT_MAX <= OUT_MAX; at += used) {
        len += wr_recode_run(t, &s, wr_str(in.ptr + at, WR_MIN(piece, in.len - at)), out + len,
                             OUT_MAX - len, &used);
    }
    return len + 1 <= OUT_MAX ? len + wr_recode_end(&s, out + len) : len;
}

static void check_recode(struct wr_str in, size_t piece)
{
    struct wr_arena a;
    struct wr_recode to, from;
    size_t n, m;

    wr_arena_init(&a, 1 << 20);
    if (in.len < 5000 && wr_recode_init(&a, true, &to, &from) == WR_OK &&
        wr_recode_add_char(&a, &to, &from, 0x80, WR_STR("\xd0\x9f")) == WR_OK) {
        n = recode_all(&from, in, SIZE_MAX, one);
        m = recode_all(&from, in, piece, two);
        WR_ASSERT(n == m && memcmp(one, two, n) == 0);
        n = recode_all(&to, in, SIZE_MAX, one);
        m = recode_all(&to, in, piece, two);
        WR_ASSERT(n == m && memcmp(one, two, n) == 0);
    }
    wr_arena_fini(&a);
}

/* The input is the texts, by commas, and the body behind a line end. */
static void check_sub(struct wr_str in)
{
    struct wr_str body = wr_str_sub(in, wr_str_find(in, '\n') + 1, SIZE_MAX);
    struct wr_str list = wr_str_sub(in, 0, WR_MIN(wr_str_find(in, '\n'), (size_t)200)), part;
    struct wr_str at[16];
    struct wr_sub_set set;
    uint32_t cnt = 0, which;
    size_t found;

    memcpy(one, list.ptr, list.len);
    wr_sub_lower(one, list.len);
    list.ptr = one;
    while (cnt < 16 && wr_str_split(&list, ',', &part)) {
        at[cnt++] = part;
    }
    wr_sub_set_init(&set, at, cnt);
    if (wr_sub_find(&set, body.ptr, body.len, WR_SUB_MORE, &found, &which)) {
        WR_ASSERT(found + at[which].len <= body.len);
        WR_ASSERT(wr_str_ieq(wr_str_sub(body, found, at[which].len), at[which]));
    } else {
        WR_ASSERT(body.len - found < WR_MAX(set.len_max, (size_t)1));
    }
    if (!wr_sub_find(&set, body.ptr, body.len, WR_SUB_LAST, &found, &which)) {
        WR_ASSERT(found == body.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_str in = wr_str((const char *)data + 2, size - 2);

    if (size < 2 || size > 20000) {
        return 0;
    }
    switch (data[0] % 4) {
    case 0:
        check_coding(in);
        break;
    case 1:
        check_gunzip(in, 1 + data[1] % 50u);
        break;
    case 2:
        check_recode(in, 1 + data[1] % 7u);
        break;
    case 3:
        check_sub(in);
        break;
    }
    return 0;
}
