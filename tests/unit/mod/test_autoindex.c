/* SPDX-License-Identifier: Apache-2.0 */
/* test_autoindex.c: widths of names, sizes and segments of URIs in lists of folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#undef fail /* cmocka's; the module has one of its own */
#include "mod/autoindex.c"

/* n times the text. */
static struct wr_str times(const char *text, size_t n)
{
    static char room[1024];
    size_t len = strlen(text);

    assert_true(n * len < sizeof(room));
    for (size_t i = 0; i < n; i++) {
        memcpy(room + i * len, text, len);
    }
    return wr_str(room, n * len);
}

static void test_measure(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        bool is_utf8;
        size_t width, cut;
    } cases[] = {
        {"a",                100, true,  100, 47 },
        {"a",                3,   true,  3,   0  },
        {"\xc3\xa9",         50,  true,  50,  94 },
        {"\xc3\xa9",         51,  true,  51,  94 },
        {"\xc3\xa9",         50,  false, 100, 47 },
        {"\xe6\x97\xa5",     60,  true,  60,  141},
        {"\xf0\x9f\x98\x80", 60,  true,  60,  188},
        {"\xff",             60,  true,  60,  47 },
        {"\xc3",             60,  true,  60,  47 },
        {"\xc3\xa9\x80",     30,  true,  90,  47 },
        {"\xc0\x80",         30,  true,  60,  47 },
        {"\xf5\x80\x80\x80", 20,  true,  80,  47 },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        size_t cut = 99;

        assert_int_equal(measure(times(cases[i].text, cases[i].n), cases[i].is_utf8, &cut),
                         cases[i].width);
        assert_int_equal(cut, cases[i].cut);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        uint64_t size;
        const char *text;
    } cases[] = {
        {0,             "       0"},
        {9999,          "    9999"},
        {10000,         "     10K"},
        {10751,         "     10K"},
        {10752,         "     11K"},
        {1048575,       "   1024K"},
        {1048576,       "      1M"},
        {1572863,       "      1M"},
        {1572864,       "      2M"},
        {1073741823,    "   1024M"},
        {1073741824,    "      1G"},
        {5368709120,    "      5G"},
        {1099511627776, "   1024G"},
    };

    char room[64];

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_strbuf b;

        wr_strbuf_init_fixed(&b, room, sizeof(room));
        add_size(&b, cases[i].size, false);
        assert_true(wr_str_eq_z(wr_strbuf_str(&b), cases[i].text));
    }
}

static void test_segment(void **state)
{
    char room[1024];
    struct wr_strbuf b;

    (void)state;
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    add_segment(&b, WR_STR("aZ09-._~ /:?#%\xff\x01"));
    assert_true(wr_str_eq_z(wr_strbuf_str(&b), "aZ09-._~%20%2F%3A%3F%23%25%FF%01"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
