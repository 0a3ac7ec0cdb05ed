/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_trie.c: random keys beside a search through all of them, the four kinds, the wanted
 * predicate from short to long, and 10,000 entries.
 */
#include "unit/base/t.h"

#include <stdio.h>

#include "base/chars.h"
#include "base/rng.h"
#include "base/trie.h"

#define KEYS 400

static unsigned char get(struct wr_str s, size_t i, unsigned flags)
{
    size_t at = (flags & WR_TRIE_REVERSE) != 0 ? s.len - 1 - i : i;
    unsigned char c = (unsigned char)s.ptr[at];

    return (flags & WR_TRIE_ICASE) != 0 ? wr_char_lower[c] : c;
}

static bool is_prefix(struct wr_str p, struct wr_str s, unsigned flags)
{
    size_t i = 0;

    while (i < p.len && i < s.len && get(p, i, flags) == get(s, i, flags)) {
        i++;
    }
    return i == p.len;
}

static struct wr_str make_key(char *out)
{
    size_t n = wr_rng_below(9);

    for (size_t i = 0; i < n; i++) {
        out[i] = "abAB/"[wr_rng_below(5)];
    }
    return wr_str(out, n);
}

static void run_random(unsigned flags)
{
    char texts[KEYS][8], probe_text[8];
    struct wr_str keys[KEYS];
    struct wr_trie t;
    struct wr_arena a;
    int cnt = 0;

    wr_arena_init(&a, 0);
    wr_trie_init(&t, &a, flags);
    for (int i = 0; i < KEYS; i++) {
        struct wr_str key = make_key(texts[cnt]);
        struct wr_str *same = NULL;

        for (int j = 0; j < cnt; j++) {
            same = keys[j].len == key.len && is_prefix(keys[j], key, flags) ? &keys[j] : same;
        }
        assert_ptr_equal(wr_trie_put(&t, key, &keys[cnt]), same);
        if (same == NULL) {
            keys[cnt++] = key;
        }
    }
    for (int i = 0; i < 5000; i++) {
        struct wr_str probe = make_key(probe_text);
        struct wr_str *exact = NULL, *best = NULL;
        size_t len = 99;

        for (int j = 0; j < cnt; j++) {
            if (is_prefix(keys[j], probe, flags)) {
                best = best == NULL || keys[j].len > best->len ? &keys[j] : best;
                exact = keys[j].len == probe.len ? &keys[j] : exact;
            }
        }
        assert_ptr_equal(wr_trie_get(&t, probe), exact);
        assert_ptr_equal(wr_trie_longest(&t, probe, NULL, NULL, &len), best);
        assert_int_equal(len, best == NULL ? 99 : best->len);
    }
    wr_arena_fini(&a);
}

static void test_random(void **state)
{
    (void)state;
    wr_rng_seed(17);
    for (unsigned flags = 0; flags < 4; flags++) {
        run_random(flags);
    }
}

/* Does not want the value "no"; writes the order of the questions. */
static bool want_yes(void *value, void *data, size_t matched, struct wr_str key)
{
    char *order = data;

    assert_int_equal(key.len, 7);
    order[strlen(order)] = (char)('0' + matched);
    return strcmp(value, "no") != 0;
}

static void test_want(void **state)
{
    static char yes[] = "yes", no[] = "no";
    char order[16] = {0};
    struct wr_trie t;
    struct wr_arena a;
    size_t len = 0;

    (void)state;
    wr_arena_init(&a, 4096);
    wr_trie_init(&t, &a, WR_TRIE_DEFAULT);
    assert_null(wr_trie_longest(&t, WR_STR("/a"), NULL, NULL, NULL));
    assert_null(wr_trie_put(&t, WR_STR("/api/v1"), no));
    assert_null(wr_trie_put(&t, WR_STR("/api"), yes));
    assert_null(wr_trie_put(&t, WR_STR("/"), yes));
    assert_null(wr_trie_put(&t, WR_STR("/apix"), yes));
    assert_ptr_equal(wr_trie_longest(&t, WR_STR("/api/v1"), want_yes, order, &len), yes);
    assert_int_equal(len, 4);
    assert_string_equal(order, "147");
    assert_null(wr_trie_longest(&t, WR_STR("x"), NULL, NULL, &len));
    assert_null(wr_trie_get(&t, WR_STR("/ap")));
    wr_arena_fini(&a);
}

static void test_many(void **state)
{
    static char names[10000][40];
    struct wr_trie t;
    struct wr_arena a;
    size_t len;

    (void)state;
    wr_arena_init(&a, 0);
    wr_trie_init(&t, &a, WR_TRIE_REVERSE | WR_TRIE_ICASE);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(names[i], sizeof(names[i]), ".host-%d.example%d.org", i, i % 97);
        assert_null(wr_trie_put(&t, wr_str_z(names[i]), names[i]));
    }
    for (int i = 0; i < 10000; i++) {
        char probe[48] = "www";

        memcpy(probe + 3, names[i], sizeof(names[i]));
        assert_ptr_equal(wr_trie_longest(&t, wr_str_z(probe), NULL, NULL, &len), names[i]);
        assert_int_equal(len, strlen(names[i]));
        assert_ptr_equal(wr_trie_get(&t, wr_str_z(names[i])), names[i]);
    }
    wr_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_want),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
