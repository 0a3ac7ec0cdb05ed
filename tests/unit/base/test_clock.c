/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_clock.c: a source of the test's own drives both clocks and the texts; HTTP dates in all
 * three forms and many bad ones; the calendar beside the C library's over 400 years.
 */
#include "unit/base/t.h"

#include <stdlib.h>

#include "base/clock.h"

struct fake {
    uint64_t mono_us, wall_us;
};

static uint64_t fake_mono(void *data)
{
    return ((struct fake *)data)->mono_us;
}

static uint64_t fake_wall(void *data)
{
    return ((struct fake *)data)->wall_us;
}

static struct fake fake = {5000999, 784111777999999ull}; /* 1994-11-06 08:49:37 */
static const struct wr_clock_source source = {fake_mono, fake_wall, &fake};

static void test_cached(void **state)
{
    (void)state;
    wr_clock_set_source(&source);
    assert_int_equal(wr_clock_update(), 5000);
    assert_int_equal(wr_clock_wall_ms(), 784111777999ull);
    fake.mono_us += 2000;
    fake.wall_us += 1;
    assert_int_equal(wr_now_ms(), 5000);
    assert_int_equal(wr_clock_mono_us(), 5002999);
    assert_int_equal(wr_clock_wall_ms(), 784111777999ull);
    assert_str(wr_clock_http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(wr_clock_update(), 5002);
    assert_int_equal(wr_clock_wall_ms(), 784111778000ull);
    assert_str(wr_clock_http_date(), "Sun, 06 Nov 1994 08:49:38 GMT");
    fake.wall_us -= 1;
    (void)wr_clock_update(); /* the wall clock may go back */
    assert_str(wr_clock_http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
    wr_clock_set_source(NULL);
    assert_true(wr_clock_wall_ms() > 1600000000000ull);
    assert_true(wr_now_ms() <= wr_clock_mono_us() / 1000);
}

static void test_texts(void **state)
{
    static const struct {
        const char *tz, *local, *error, *iso;
    } rows[] = {
        {"UTC0",     "06/Nov/1994:08:49:37 +0000", "1994/11/06 08:49:37", "1994-11-06T08:49:37+00:00"},
        {"XXX-5:30", "06/Nov/1994:14:19:37 +0530", "1994/11/06 14:19:37",
         "1994-11-06T14:19:37+05:30"                                                                 },
        {"YYY+9:30", "05/Nov/1994:23:19:37 -0930", "1994/11/05 23:19:37",
         "1994-11-05T23:19:37-09:30"                                                                 },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        setenv("TZ", rows[i].tz, 1);
        tzset();         /* weir itself reads the zone once a process */
        wr_local_fini(); /* no text of the zone before stays */
        wr_local_start();
        wr_clock_set_source(&source);
        assert_str(wr_clock_log_local(), rows[i].local);
        assert_str(wr_clock_log_error(), rows[i].error);
        assert_str(wr_clock_iso8601(), rows[i].iso);
        assert_str(wr_clock_http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
    wr_clock_set_source(NULL);
}

static void test_calendar(void **state)
{
    char out[WR_HTTP_DATE_LEN], want[64];
    int64_t t, back;

    (void)state;
    for (t = 0; t < 400ll * 366 * 86400; t += 86400 * 3 + 3601) {
        time_t tt = (time_t)t;
        struct tm tm;

        wr_clock_write_http_date(out, t);
        assert_non_null(gmtime_r(&tt, &tm));
        assert_int_equal(strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm), 29);
        assert_memory_equal(out, want, WR_HTTP_DATE_LEN);
        assert_int_equal(wr_clock_parse_http_date(wr_str(out, sizeof(out)), &back), WR_OK);
        assert_int_equal(back, t);
    }
    wr_clock_write_http_date(out, -5);
    assert_memory_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT", WR_HTTP_DATE_LEN);
    wr_clock_write_http_date(out, INT64_MAX);
    assert_memory_equal(out, "Fri, 31 Dec 9999 23:59:59 GMT", WR_HTTP_DATE_LEN);
}

static void test_parse(void **state)
{
    static const struct {
        const char *in;
        int64_t t;
    } good[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT",  784111777         },
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777         },
        {"Sun Nov  6 08:49:37 1994",       784111777         },
        {"Sun Nov 16 08:49:37 1994",       784111777 + 864000},
        {"Sat, 31 Dec 2016 23:59:60 GMT",  1483228800        },
        {"Tue, 29 Feb 2000 00:00:00 GMT",  951782400         },
        {"Wed, 31 Dec 1969 23:59:59 GMT",  -1                },
    };

    static const char *const bad[] = {
        "",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Tue, 29 Feb 1900 00:00:00 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        " GMT",
        "Sun GMT",
    };

    (void)state;
    wr_clock_set_source(&source);
    for (size_t i = 0; i < WR_ARRAY_LEN(good); i++) {
        int64_t t = 4711;

        assert_int_equal(wr_clock_parse_http_date(wr_str_z(good[i].in), &t), WR_OK);
        assert_int_equal(t, good[i].t);
    }
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        int64_t t = 4711;

        assert_int_equal(wr_clock_parse_http_date(wr_str_z(bad[i]), &t), WR_EPROTO);
        assert_int_equal(t, 4711);
    }
    wr_clock_set_source(NULL);
}

/* RFC 9110 5.6.7: at most 50 years ahead of now, which is 1994. */
static void test_two_digits(void **state)
{
    int64_t t;

    (void)state;
    wr_clock_set_source(&source);
    assert_int_equal(wr_clock_parse_http_date(WR_STR("Sunday, 06-Nov-44 00:00:00 GMT"), &t), WR_OK);
    assert_true(t < 0); /* 1944 of 1994's century; 2044 would need the next */
    wr_clock_set_source(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cached),     cmocka_unit_test(test_texts),
        cmocka_unit_test(test_calendar),   cmocka_unit_test(test_parse),
        cmocka_unit_test(test_two_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
