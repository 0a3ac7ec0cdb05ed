/* SPDX-License-Identifier: Apache-2.0 */
/* test_expires.c: the forms of `expires` and what they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mod/expires.c"

#define NOW 1700000000 /* Tue, 14 Nov 2023 22:13:20 GMT */

static void table(void **state)
{
    static const struct {
        const char *text;
        bool is_modified;
        const char *age; /* NULL: refused */
        int64_t at;
        const char *why;
    } cases[] = {
        {"1h",            false, "max-age=3600",      NOW + 3600,        NULL                                                   },
        {"+1h",           false, "max-age=3600",      NOW + 3600,        NULL                                                   },
        {"90",            false, "max-age=90",        NOW + 90,          NULL                                                   },
        {"0",             false, "max-age=0",         NOW,               NULL                                                   },
        {"-0",            false, "max-age=0",         NOW,               NULL                                                   },
        {"-1",            false, "no-cache",          NOW - 1,           NULL                                                   },
        {"-1d12h",        false, "no-cache",          NOW - 129600,      NULL                                                   },
        {"epoch",         false, "no-cache",          1,                 NULL                                                   },
        {"max",           false, "max-age=315360000", 2145916555,        NULL                                                   },
        {"1h",            true,  "no-cache",          NOW - 7200 + 3600, NULL                                                   },
        {"3h",            true,  "max-age=3600",      NOW + 3600,        NULL                                                   },
        {"@23h",          false, "max-age=2800",      NOW + 2800,        NULL                                                   },
        {"@22h",          false, "max-age=85600",     NOW + 85600,       NULL                                                   },
        {"@22h13m20s",    false, "max-age=0",         NOW,               NULL                                                   },
        {"@24h",          false, "max-age=6400",      NOW + 6400,        NULL                                                   },
        {"@25h",          false, NULL,                0,                 "daily time value must be less than 24 hours"          },
        {"@1h",           true,  NULL,                0,                 "daily time cannot be used with \"modified\" parameter"},
        {"max",           true,  NULL,                0,                 "invalid value"                                        },
        {"",              false, NULL,                0,                 "invalid value"                                        },
        {"-",             false, NULL,                0,                 "invalid value"                                        },
        {"@",             false, NULL,                0,                 "invalid value"                                        },
        {"@-1h",          false, NULL,                0,                 "invalid value"                                        },
        {"--1",           false, NULL,                0,                 "invalid value"                                        },
        {"1x",            false, NULL,                0,                 "invalid value"                                        },
        {"9999999999999", false, NULL,                0,                 "invalid value"                                        },
    };

    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_expires e = {0};
        const char *why = "";
        char text[WR_EXPIRES_AGE_MAX];
        uint32_t len = 0;
        int64_t at = 0;
        enum wr_status st = wr_expires_parse(
            wr_str_z(cases[i].text),
            cases[i].is_modified ? WR_EXPIRES_FROM_MODIFIED : WR_EXPIRES_FROM_NOW, &e, &why);

        if (!cases[i].age) {
            assert_int_equal(st, WR_ECONFIG);
            assert_string_equal(why, cases[i].why);
            continue;
        }
        assert_int_equal(st, WR_OK);
        wr_expires_eval(&e, NOW, NOW - 7200, &at, text, &len);
        if (at != cases[i].at || len != strlen(cases[i].age) ||
            memcmp(text, cases[i].age, len) != 0) {
            fail_msg("%s: %.*s %lld", cases[i].text, (int)len, text, (long long)at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
