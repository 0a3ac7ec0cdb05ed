/* SPDX-License-Identifier: Apache-2.0 */
/* test_forwarded.c: lists of X-Forwarded-For; watched at nginx 1.22 through `geo`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/forwarded.h"

static bool is_ten(const struct wr_addr *a, const void *data)
{
    return wr_cidr_has(data, a);
}

static void lists(void **state)
{
    static const struct {
        const char *list, *last, *client;
    } cases[] = {
        {"",                                "9.9.9.9:0",  "9.9.9.9:0" },
        {" , ,",                            "9.9.9.9:0",  "9.9.9.9:0" },
        {"1.1.1.1",                         "1.1.1.1:0",  "1.1.1.1:0" },
        {"1.1.1.1:80",                      "1.1.1.1:80", "1.1.1.1:80"},
        {"::5",                             "[::5]:0",    "[::5]:0"   },
        {"[::5]",                           "[::5]:0",    "[::5]:0"   },
        {"[::5]:9",                         "[::5]:9",    "[::5]:9"   },
        {"1.1.1.1, 2.2.2.2",                "2.2.2.2:0",  "2.2.2.2:0" },
        {"1.1.1.1,2.2.2.2 ,",               "2.2.2.2:0",  "2.2.2.2:0" },
        {"1.1.1.1 2.2.2.2",                 "2.2.2.2:0",  "2.2.2.2:0" },
        {"1.1.1.1,\t10.0.0.1",              "10.0.0.1:0", "1.1.1.1:0" },
        {"1.1.1.1, 2.2.2.2, 10.1.1.1",      "10.1.1.1:0", "2.2.2.2:0" },
        {"10.0.0.2, 10.0.0.1",              "10.0.0.1:0", "10.0.0.2:0"},
        {"1.1.1.1, foo, 10.0.0.1",          "10.0.0.1:0", "10.0.0.1:0"},
        {"1.1.1.1, foo",                    "9.9.9.9:0",  "9.9.9.9:0" },
        {"1.1.1.1, 1.1.1.1.1",              "9.9.9.9:0",  "9.9.9.9:0" },
        {"unix:/x",                         "9.9.9.9:0",  "9.9.9.9:0" },
        {"1.1.1.1:99999",                   "9.9.9.9:0",  "9.9.9.9:0" },
        {"1.1.1.1/x",                       "9.9.9.9:0",  "9.9.9.9:0" },
        {"1.1.1.1, 10.0.0.1:1, 10.0.0.1:2", "10.0.0.1:2", "1.1.1.1:0" },
    };

    struct wr_cidr ten;
    bool is_trimmed;

    (void)state;
    assert_int_equal(wr_cidr_parse(WR_STR("10.0.0.0/8"), &ten, &is_trimmed), WR_OK);
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        for (int is_recursive = 0; is_recursive < 2; is_recursive++) {
            struct wr_addr a;
            char text[WR_ADDR_TEXT_MAX] = "";

            assert_int_equal(wr_addr_parse_ip(WR_STR("9.9.9.9"), 0, &a), WR_OK);
            wr_forwarded_client(wr_str_z(cases[i].list), is_recursive == 1, is_ten, &ten, &a);
            text[wr_addr_write(&a, text)] = '\0';
            assert_string_equal(text, is_recursive == 1 ? cases[i].client : cases[i].last);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists)};

    return cmocka_run_group_tests_name("http/forwarded", tests, NULL, NULL);
}
