/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_geo_range.c: ranges inside of each other, deleted, given twice, overlapping; against a list
 * that is walked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>

#include "mod/geo_range.c"

static struct wr_arena arena;
static struct wr_geo_ranges g;
static char said[512];

static int set_up(void **state)
{
    (void)state;
    wr_arena_init(&arena, 16 << 20);
    wr_geo_ranges_init(&g, &arena);
    said[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wr_arena_fini(&arena);
    return 0;
}

static void say(void *data, const struct wr_geo_range *r, enum wr_geo_fault fault,
                const struct wr_geo_range *other)
{
    static const char *const names[] = {"overlaps", "duplicate", "not there"};
    size_t n = strlen(said);

    assert_ptr_equal(data, &g);
    (void)snprintf(said + n, sizeof(said) - n, "%.*s %s %.*s;", WR_STR_ARG(r->text), names[fault],
                   WR_STR_ARG(other ? other->text : WR_STR_NULL));
}

static const char *find(const char *addr)
{
    struct wr_addr a;
    const char *s;

    assert_int_equal(wr_addr_parse_ip(wr_str_z(addr), 0, &a), WR_OK);
    s = wr_geo_ranges_find(&g, &a);
    return s ? s : "";
}

static void forms(void **state)
{
    static const struct {
        const char *text;
        enum wr_status st;
    } cases[] = {
        {"1.2.3.4-1.2.3.5",         WR_OK    },
        {"1.2.3.4-1.2.3.4",         WR_OK    },
        {"0.0.0.0-255.255.255.255", WR_OK    },
        {"1.2.3.5-1.2.3.4",         WR_EPROTO},
        {"1.2.3.4",                 WR_EPROTO},
        {"1.2.3.4-",                WR_EPROTO},
        {"-1.2.3.4",                WR_EPROTO},
        {"",                        WR_EPROTO},
        {"1.2.3.4 - 1.2.3.5",       WR_EPROTO},
        {"::1-::2",                 WR_EPROTO},
        {"1.2.3.4-1.2.3.5-1.2.3.6", WR_EPROTO},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        assert_int_equal(wr_geo_ranges_add(&g, wr_str_z(cases[i].text), &g, NULL), cases[i].st);
    }
}

/* "1.0.0.A-1.0.0.B=v": an addition; without a value a deletion. */
static void load(const char *const *lines)
{
    static char room[64][40];

    for (size_t i = 0; lines[i]; i++) {
        char *eq;

        (void)snprintf(room[i], sizeof(room[i]), "%s", lines[i]);
        eq = strchr(room[i], '=');
        if (eq) {
            *eq++ = '\0';
        }
        assert_int_equal(wr_geo_ranges_add(&g, wr_str_z(room[i]), eq, NULL), WR_OK);
    }
    assert_int_equal(wr_geo_ranges_build(&g, say, &g), WR_OK);
}

static void nested(void **state)
{
    static const char *const lines[] = {"1.0.0.0-2.0.0.0=a", "1.0.0.5-1.0.0.9=b",
                                        "1.0.0.7-1.0.0.7=c", "1.0.0.9-1.0.0.9=d",
                                        "3.0.0.0-3.0.0.0=e", NULL};
    static const char *const want[][2] = {
        {"0.255.255.255",   "" },
        {"1.0.0.0",         "a"},
        {"1.0.0.4",         "a"},
        {"1.0.0.5",         "b"},
        {"1.0.0.6",         "b"},
        {"1.0.0.7",         "c"},
        {"1.0.0.8",         "b"},
        {"1.0.0.9",         "d"},
        {"1.0.0.10",        "a"},
        {"1.9.9.9",         "a"},
        {"2.0.0.0",         "a"},
        {"2.0.0.1",         "" },
        {"3.0.0.0",         "e"},
        {"3.0.0.1",         "" },
        {"255.255.255.255", "" },
        {"::1",             "" },
        {"::ffff:1.0.0.7",  "c"},
    };

    (void)state;
    load(lines);
    assert_string_equal(said, "");
    for (size_t i = 0; i < WR_ARRAY_LEN(want); i++) {
        assert_string_equal(find(want[i][0]), want[i][1]);
    }
}

static void deleted(void **state)
{
    static const char *const lines[] = {
        "1.0.0.0-1.0.0.9=a", "1.0.0.3-1.0.0.4=b", "1.0.0.3-1.0.0.4",   "2.0.0.0-2.0.0.9",
        "3.0.0.0-3.0.0.9=c", "3.0.0.0-3.0.0.9",   "3.0.0.0-3.0.0.9=d", NULL};

    (void)state;
    load(lines);
    assert_string_equal(said, "2.0.0.0-2.0.0.9 not there ;");
    assert_string_equal(find("1.0.0.2"), "a");
    assert_string_equal(find("1.0.0.3"), "");
    assert_string_equal(find("1.0.0.5"), "a");
    assert_string_equal(find("3.0.0.5"), "d");
}

static void faults(void **state)
{
    static const struct {
        const char *const lines[4];
        const char *said;
    } cases[] = {
        {{"1.0.0.0-1.0.0.9=a", "1.0.0.0-1.0.0.9=b"},                         "1.0.0.0-1.0.0.9 duplicate 1.0.0.0-1.0.0.9;"},
        {{"1.0.0.0-1.0.0.9=a", "1.0.0.5-1.0.0.19=b"},                        "1.0.0.5-1.0.0.19 overlaps 1.0.0.0-1.0.0.9;"},
        {{"1.0.0.5-1.0.0.19=b", "1.0.0.0-1.0.0.9=a"},                        "1.0.0.0-1.0.0.9 overlaps 1.0.0.5-1.0.0.19;"},
        {{"1.0.0.5-1.0.0.6=b", "1.0.0.0-1.0.0.9=a"},                         "1.0.0.0-1.0.0.9 overlaps 1.0.0.5-1.0.0.6;" },
        {{"1.0.0.9-1.0.0.10=a", "1.0.0.0-1.0.0.8=b", "1.0.0.11-1.0.0.20=c"}, ""                                          },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        wr_geo_ranges_init(&g, &arena);
        said[0] = '\0';
        load(cases[i].lines);
        assert_string_equal(said, cases[i].said);
    }
}

static char texts[300][40];
static uint32_t first[300], last[300];
static char values[300];

/* Is it inside of one or beside all? */
static bool is_fine(size_t cnt, uint32_t a, uint32_t b)
{
    for (size_t i = 0; i < cnt; i++) {
        if (b >= first[i] && a <= last[i] && (a < first[i] || b > last[i])) {
            return false;
        }
    }
    return true;
}

/* Random ranges over a few small blocks. */
static size_t add_random(unsigned *seed)
{
    size_t cnt = 0;

    for (size_t i = 0; i < WR_ARRAY_LEN(values); i++) {
        uint32_t a = 0x0100ff00u + (uint32_t)rand_r(seed) % 0x300;
        uint32_t b = a + (uint32_t)rand_r(seed) % (rand_r(seed) % 3 == 0 ? 0x200 : 8);

        if (!is_fine(cnt, a, b)) {
            continue;
        }
        first[cnt] = a;
        last[cnt] = b;
        (void)snprintf(texts[cnt], sizeof(texts[cnt]), "%u.%u.%u.%u-%u.%u.%u.%u", a >> 24,
                       a >> 16 & 255, a >> 8 & 255, a & 255, b >> 24, b >> 16 & 255, b >> 8 & 255,
                       b & 255);
        assert_int_equal(wr_geo_ranges_add(&g, wr_str_z(texts[cnt]), &values[cnt], NULL), WR_OK);
        cnt++;
    }
    return cnt;
}

/* What a walk from the last line to the first finds is the truth. */
static void against_a_list(void **state)
{
    unsigned seed = 7;

    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        size_t cnt;

        wr_geo_ranges_init(&g, &arena);
        cnt = add_random(&seed);
        assert_int_equal(wr_geo_ranges_build(&g, say, &g), WR_OK);
        for (uint32_t v = 0x0100fe00u; v < 0x01020500u; v++) {
            struct wr_addr a = {.len = sizeof(a.u.in)};
            const void *want = NULL;

            a.u.in.sin_family = AF_INET;
            a.u.in.sin_addr.s_addr = htobe32(v);
            for (size_t i = cnt; i > 0 && !want; i--) {
                want = v >= first[i - 1] && v <= last[i - 1] ? &values[i - 1] : NULL;
            }
            assert_ptr_equal(wr_geo_ranges_find(&g, &a), want);
        }
        wr_arena_fini(&arena);
        wr_arena_init(&arena, 16 << 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nested, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(against_a_list, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("mod/geo_range", tests, NULL, NULL);
}
