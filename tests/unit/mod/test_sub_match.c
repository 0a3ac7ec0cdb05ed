/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sub_match.c: the stage of sub_filter against a search that has the whole text: split at
 * every byte, and random texts over a small alphabet in random pieces, with little room.
 */
#include "unit/event/looptest.h"

#include "base/rng.h"
#include "mod/sub.c"

#define TEXTS_MAX 4
#define BODY_MAX  64
#define OUT_MAX   4096

struct sample {
    const char *texts[TEXTS_MAX], *replacements[TEXTS_MAX];
    bool once;
};

/* What should come out, by looking at each place of the whole. */
static size_t replace_all(const struct sample *m, const char *body, size_t n, char *out)
{
    bool is_gone[TEXTS_MAX] = {false};
    size_t len = 0;

    for (size_t i = 0; i < n;) {
        unsigned k;

        for (k = 0; k < TEXTS_MAX; k++) {
            size_t t = m->texts[k] ? strlen(m->texts[k]) : 0;

            if (t > 0 && !is_gone[k] && t <= n - i && strncasecmp(body + i, m->texts[k], t) == 0) {
                memcpy(out + len, m->replacements[k], strlen(m->replacements[k]));
                len += strlen(m->replacements[k]);
                is_gone[k] = m->once;
                i += t;
                break;
            }
        }
        if (k == TEXTS_MAX) {
            out[len++] = body[i++];
        }
    }
    return len;
}

struct rig {
    struct sub_stage s;
    struct sub_loc lc;
    struct sub_pair pairs[TEXTS_MAX];
    struct wr_str texts[TEXTS_MAX], replacements[TEXTS_MAX];
    char lower[TEXTS_MAX][BODY_MAX], held[2 * BODY_MAX];
    char out[OUT_MAX];
    size_t out_len;
};

static void make(struct rig *g, const struct sample *m, size_t high)
{
    uint32_t cnt = 0;

    memset(g, 0, sizeof(*g));
    for (; cnt < TEXTS_MAX && m->texts[cnt]; cnt++) {
        size_t n = strlen(m->texts[cnt]);

        memcpy(g->lower[cnt], m->texts[cnt], n);
        wr_sub_lower(g->lower[cnt], n);
        g->texts[cnt] = wr_str(g->lower[cnt], n);
        g->replacements[cnt] = wr_str_z(m->replacements[cnt]);
    }
    g->lc = (struct sub_loc){
        .once = m->once, .pairs = {.at = g->pairs, .cnt = cnt}
    };
    g->s.lc = &g->lc;
    g->s.replacements = g->replacements;
    wr_sub_set_init(&g->s.set, g->texts, cnt);
    g->s.held = g->held;
    g->s.held_cap = 2 * g->s.set.len_max;
    g->s.stage._out = wr_pipe_new(high, NULL, NULL);
    assert_non_null(g->s.stage._out);
}

static void drain(struct rig *g)
{
    struct wr_pipe *p = g->s.stage._out;
    struct iovec iov;
    size_t n;

    while (wr_pipe_peek(p, &iov, 1, SIZE_MAX, &n) > 0) {
        assert_true(g->out_len + n <= OUT_MAX);
        memcpy(g->out + g->out_len, iov.iov_base, n);
        g->out_len += n;
        wr_pipe_consume(p, n);
    }
}

static void feed(struct rig *g, const char *p, size_t n)
{
    while (n > 0) {
        size_t used = 0;

        assert_int_equal(take_sub(&g->s.stage, p, n, &used), WR_OK);
        assert_true(used <= n);
        assert_true(g->s.held_len == 0 || g->s.held_len < g->s.set.len_max ||
                    g->s.set.live < g->s.set.cnt);
        assert_true(used > 0 || wr_pipe_queued(g->s.stage._out) > 0);
        p += used;
        n -= used;
        drain(g);
    }
}

static void finish(struct rig *g, const struct sample *m, const char *body, size_t n)
{
    char want[OUT_MAX];
    size_t len = replace_all(m, body, n, want);

    assert_int_equal(finish_sub(&g->s.stage), WR_OK);
    drain(g);
    if (g->out_len != len || memcmp(g->out, want, len) != 0) {
        fail_msg("body \"%.*s\" (%s %s %s %s%s): \"%.*s\", not \"%.*s\"", (int)n, body, m->texts[0],
                 m->texts[1], m->texts[2], m->texts[3], m->once ? " once" : "", (int)g->out_len,
                 g->out, (int)len, want);
    }
    wr_pipe_leave_producer(g->s.stage._out);
    wr_pipe_leave_consumer(g->s.stage._out);
}

static const struct sample samples[] = {
    {{"hello"},              {"bye"},         false},
    {{"aab"},                {"Q"},           false},
    {{"abc", "ab", "a"},     {"1", "2", "3"}, false},
    {{"a", "ab", "abc"},     {"3", "2", "1"}, false},
    {{"bcabcabd", "abcabd"}, {"Q", "W"},      false},
    {{"b", "abcabd", "c"},   {"22", "", "4"}, false},
    {{"a", "b", "ab"},       {"1", "2", "3"}, true },
    {{"aa", "aaa"},          {"xaax", "y"},   false},
    {{"aaa", "aa"},          {"", "aaaa"},    true },
};

static const char *const bodies[] = {
    "",           "a",    "hello", "HeLLo hello hell", "aaaaab abcabcabd xyz",
    "aaaaaaaaaa", "abab", "aab",   "xaabaabx",         "bcabcabcabdabcab"};

static void split_at_every_byte(void **state)
{
    static struct rig g;

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(samples); i++) {
        for (size_t k = 0; k < WR_ARRAY_LEN(bodies); k++) {
            size_t n = strlen(bodies[k]);

            for (size_t a = 0; a <= n; a++) {
                for (size_t b = a; b <= n; b++) {
                    make(&g, &samples[i], 4096);
                    feed(&g, bodies[k], a);
                    feed(&g, bodies[k] + a, b - a);
                    feed(&g, bodies[k] + b, n - b);
                    finish(&g, &samples[i], bodies[k], n);
                }
            }
        }
    }
}

static void random_pieces(void **state)
{
    static struct rig g;
    char texts[TEXTS_MAX][8], body[BODY_MAX];

    (void)state;
    wr_rng_seed(42);
    for (int round = 0; round < 20000; round++) {
        struct sample m = {.once = wr_rng_below(2) == 0};
        size_t n = wr_rng_below(BODY_MAX);

        for (uint32_t k = 0; k < 1 + (uint32_t)round % TEXTS_MAX; k++) {
            size_t len = 1 + wr_rng_below(6);

            for (size_t i = 0; i < len; i++) {
                texts[k][i] = (char)("aAbB"[wr_rng_below(4)]);
            }
            texts[k][len] = '\0';
            m.texts[k] = texts[k];
            m.replacements[k] = &"wxyz"[wr_rng_below(4)];
        }
        for (size_t i = 0; i < n; i++) {
            body[i] = (char)("aabbABc"[wr_rng_below(7)]);
        }
        make(&g, &m, 1 + wr_rng_below(20));
        for (size_t at = 0; at < n;) {
            size_t most = 1 + wr_rng_below(9), piece = WR_MIN(most, n - at);

            feed(&g, body + at, piece);
            at += piece;
        }
        finish(&g, &m, body, n);
    }
}

/* Bytes that begin no text are not kept. */
static void holds_only_what_may_begin_a_text(void **state)
{
    static struct rig g;

    (void)state;
    make(&g, &samples[0], 4096);
    feed(&g, "data: x\n\n", 9);
    assert_int_equal(g.out_len, 9);
    feed(&g, "hel", 3);
    assert_int_equal(g.out_len, 9);
    feed(&g, "p", 1);
    assert_int_equal(g.out_len, 13);
    finish(&g, &samples[0], "data: x\n\nhelp", 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(split_at_every_byte),
                                       cmocka_unit_test(random_pieces),
                                       cmocka_unit_test(holds_only_what_may_begin_a_text)};

    return cmocka_run_group_tests(tests, setup_loop, teardown_loop);
}
