/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.c: the thread's two cached clocks, the texts of the second (made when first asked for in a
 * second), and HTTP dates, for which the calendar is computed here: it knows neither time zones nor
 * locales. Only the local texts ask the C library.
 */
#include "base/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/chars.h"
#include "base/local_int.h"
#include "base/mem.h"

#define DAY_SEC 86400

struct wr_clock_cache {
    struct wr_clock_source source; /* functions NULL: the system */
    uint64_t wall_ms;
    int64_t text_sec; /* second of the texts; -1: none yet */
    char http[WR_HTTP_DATE_LEN], local[64], error[64], iso[64];
    size_t local_len, error_len, iso_len;
    int64_t east_sec; /* how far the local time is ahead, as of the texts */
};

/* A moment in UTC; Sunday is 0, January 0. */
struct utc {
    int64_t year;
    unsigned month, day, wday, hour, min, sec;
};

static const char day_names[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* localtime_r need not read the zone; once a process is enough, and no thread then changes it. */
static pthread_once_t zone_once = PTHREAD_ONCE_INIT;

static uint64_t read_system(clockid_t which)
{
    struct timespec ts;
    int rc = clock_gettime(which, &ts);

    WR_ASSERT(rc == 0); /* both clocks exist everywhere */
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void wr_clock_local_init(struct wr_local *l)
{
    l->_clock = wr_mem_alloc(sizeof(*l->_clock));
    l->_clock->text_sec = -1;
    (void)pthread_once(&zone_once, tzset); /* cannot fail for a static control */
    (void)wr_clock_update();
}

void wr_clock_local_fini(struct wr_local *l)
{
    wr_mem_free(l->_clock);
    l->_clock = NULL;
}

void wr_clock_set_source(const struct wr_clock_source *src)
{
    struct wr_clock_cache *c = wr_local_get()->_clock;

    c->source = src == NULL ? (struct wr_clock_source){0} : *src;
    (void)wr_clock_update();
}

uint64_t wr_clock_mono_us(void)
{
    const struct wr_clock_source *s = &wr_local_get()->_clock->source;

    return s->mono_us != NULL ? s->mono_us(s->data) : read_system(CLOCK_MONOTONIC);
}

void wr_clock_update_wall(void)
{
    struct wr_clock_cache *c = wr_local_get()->_clock;
    const struct wr_clock_source *s = &c->source;

    c->wall_ms = (s->wall_us != NULL ? s->wall_us(s->data) : read_system(CLOCK_REALTIME)) / 1000;
}

uint64_t wr_clock_update(void)
{
    struct wr_local *l = wr_local_get();

    l->now_ms = wr_clock_mono_us() / 1000;
    wr_clock_update_wall();
    return l->now_ms;
}

uint64_t wr_clock_wall_ms(void)
{
    return wr_local_get()->_clock->wall_ms;
}

/* printf into a text of the cache; returns its length, which always fits. */
WR_PRINTF(2, 3) static size_t put_text(char out[64], const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(out, 64, fmt, ap);
    va_end(ap);
    WR_ASSERT(n > 0 && n < 64);
    return (size_t)n;
}

static void make_texts(struct wr_clock_cache *c, int64_t sec)
{
    time_t t = (time_t)sec;
    struct tm tm = {0};
    long off, minutes;
    char sign;
    int year;

    if (localtime_r(&t, &tm) == NULL) {
        /* Only years beyond int fail: a source of nonsense. */
        tm = (struct tm){.tm_mday = 1, .tm_year = 70};
    }
    off = tm.tm_gmtoff;
    sign = off < 0 ? '-' : '+';
    minutes = (off < 0 ? -off : off) / 60;
    year = tm.tm_year + 1900;
    c->local_len = put_text(c->local, "%02d/%s/%d:%02d:%02d:%02d %c%02ld%02ld", tm.tm_mday,
                            month_names[tm.tm_mon], year, tm.tm_hour, tm.tm_min, tm.tm_sec, sign,
                            minutes / 60, minutes % 60);
    c->error_len = put_text(c->error, "%d/%02d/%02d %02d:%02d:%02d", year, tm.tm_mon + 1,
                            tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    c->iso_len =
        put_text(c->iso, "%d-%02d-%02dT%02d:%02d:%02d%c%02ld:%02ld", year, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, sign, minutes / 60, minutes % 60);
    wr_clock_write_http_date(c->http, sec);
    c->east_sec = off;
    c->text_sec = sec;
}

static const struct wr_clock_cache *texts(void)
{
    struct wr_clock_cache *c = wr_local_get()->_clock;
    int64_t sec = (int64_t)(c->wall_ms / 1000);

    if (WR_UNLIKELY(sec != c->text_sec)) {
        make_texts(c, sec);
    }
    return c;
}

struct wr_str wr_clock_http_date(void)
{
    return wr_str(texts()->http, WR_HTTP_DATE_LEN);
}

struct wr_str wr_clock_log_local(void)
{
    const struct wr_clock_cache *c = texts();

    return wr_str(c->local, c->local_len);
}

struct wr_str wr_clock_log_error(void)
{
    const struct wr_clock_cache *c = texts();

    return wr_str(c->error, c->error_len);
}

struct wr_str wr_clock_iso8601(void)
{
    const struct wr_clock_cache *c = texts();

    return wr_str(c->iso, c->iso_len);
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in(int64_t year, unsigned month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month] + (month == 1 && is_leap(year) ? 1u : 0u);
}

/* Days from 1 January of the year 1 to that of `year`. */
static int64_t days_before(int64_t year)
{
    int64_t y = year - 1;

    return y * 365 + y / 4 - y / 100 + y / 400;
}

/* Years 1 to 9999. */
static int64_t from_utc(const struct utc *u)
{
    int64_t days = days_before(u->year) - days_before(1970) + u->day - 1;

    for (unsigned m = 0; m < u->month; m++) {
        days += days_in(u->year, m);
    }
    return days * DAY_SEC + u->hour * INT64_C(3600) + u->min * INT64_C(60) + u->sec;
}

/* 0 <= t, up to the year 9999. */
static struct utc to_utc(int64_t t)
{
    int64_t days = t / DAY_SEC + days_before(1970);
    unsigned rest = (unsigned)(t % DAY_SEC);
    struct utc u = {.wday = (unsigned)((days + 1) % 7)}; /* 1 January 1 was a Monday */

    u.year = days * 400 / 146097 + 1; /* at most one too large or small */
    while (days < days_before(u.year)) {
        u.year--;
    }
    while (days >= days_before(u.year + 1)) {
        u.year++;
    }
    days -= days_before(u.year);
    while (days >= days_in(u.year, u.month)) {
        days -= days_in(u.year, u.month);
        u.month++;
    }
    u.day = (unsigned)days + 1;
    u.hour = rest / 3600;
    u.min = rest / 60 % 60;
    u.sec = rest % 60;
    return u;
}

static void put2(char *out, unsigned v)
{
    out[0] = (char)('0' + v / 10 % 10);
    out[1] = (char)('0' + v % 10);
}

void wr_clock_write_http_date(char *out, int64_t t)
{
    const int64_t last = 253402300799; /* the end of 9999 */
    struct utc u = to_utc(t < 0 ? 0 : WR_MIN(t, last));

    memcpy(out, "Ddd, 00 Mmm 0000 00:00:00 GMT", WR_HTTP_DATE_LEN);
    memcpy(out, day_names[u.wday], 3);
    put2(out + 5, u.day);
    memcpy(out + 8, month_names[u.month], 3);
    put2(out + 12, (unsigned)(u.year / 100));
    put2(out + 14, (unsigned)(u.year % 100));
    put2(out + 17, u.hour);
    put2(out + 20, u.min);
    put2(out + 23, u.sec);
}

void wr_clock_write_log_error(char *out)
{
    const struct wr_local *l = wr_local_ptr;
    int64_t east_sec = l != NULL && l->_clock != NULL ? l->_clock->east_sec : 0;
    struct utc u = to_utc((int64_t)(read_system(CLOCK_REALTIME) / 1000000) + east_sec);

    memcpy(out, "0000/00/00 00:00:00", WR_LOG_DATE_LEN);
    put2(out, (unsigned)(u.year / 100 % 100));
    put2(out + 2, (unsigned)(u.year % 100));
    put2(out + 5, u.month + 1);
    put2(out + 8, u.day);
    put2(out + 11, u.hour);
    put2(out + 14, u.min);
    put2(out + 17, u.sec);
}

/* A blank may stand for the first digit if blank_ok. */
static bool read_number(struct wr_str *s, size_t digits, bool blank_ok, unsigned *ret)
{
    unsigned v = 0;

    if (s->len < digits) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        unsigned char c = (unsigned char)s->ptr[i];

        if (!wr_char_is(c, WR_CH_DIGIT) && !(blank_ok && i == 0 && c == ' ')) {
            return false;
        }
        v = v * 10 + (c == ' ' ? 0 : c - (unsigned)'0');
    }
    *s = wr_str_sub(*s, digits, s->len);
    *ret = v;
    return true;
}

static bool read_month(struct wr_str *s, unsigned *ret)
{
    for (unsigned m = 0; m < 12; m++) {
        if (wr_str_has_prefix(*s, wr_str(month_names[m], 3))) {
            *s = wr_str_sub(*s, 3, s->len);
            *ret = m;
            return true;
        }
    }
    return false;
}

/*
 * Reads s by a pattern: D two digits of the day, d the same with a blank for 0, M month, Y four
 * digits, y two digits, h m s two digits each; other characters are themselves.
 */
static bool read_field(struct wr_str *s, char what, struct utc *u)
{
    unsigned v = 0;

    switch (what) {
    case 'D':
    case 'd':
        return read_number(s, 2, what == 'd', &u->day);
    case 'M':
        return read_month(s, &u->month);
    case 'Y':
    case 'y':
        if (!read_number(s, what == 'Y' ? 4 : 2, false, &v)) {
            return false;
        }
        u->year = v;
        return true;
    case 'h':
        return read_number(s, 2, false, &u->hour);
    case 'm':
        return read_number(s, 2, false, &u->min);
    case 's':
        return read_number(s, 2, false, &u->sec);
    default:
        if (s->len == 0 || s->ptr[0] != what) {
            return false;
        }
        *s = wr_str_sub(*s, 1, s->len);
        return true;
    }
}

static bool read_pattern(struct wr_str s, const char *pattern, struct utc *u)
{
    *u = (struct utc){0};
    for (; *pattern != '\0'; pattern++) {
        if (!read_field(&s, *pattern, u)) {
            return false;
        }
    }
    return s.len == 0;
}

/* RFC 9110 5.6.7: two digits that seem more than 50 years ahead are the past. */
static int64_t full_year(int64_t two)
{
    int64_t now = to_utc((int64_t)(wr_clock_wall_ms() / 1000)).year;
    int64_t year = now / 100 * 100 + two;

    return year > now + 50 ? year - 100 : year;
}

/* Cuts a name of a day, whole or its first three letters, off s. */
static bool cut_day(struct wr_str *s, bool is_long)
{
    for (unsigned d = 0; d < 7; d++) {
        struct wr_str name = wr_str(day_names[d], is_long ? strlen(day_names[d]) : 3);

        if (wr_str_has_prefix(*s, name)) {
            *s = wr_str_sub(*s, name.len, s->len);
            return true;
        }
    }
    return false;
}

static bool is_valid(const struct utc *u)
{
    /* 60: a leap second. */
    return u->year >= 1 && u->day >= 1 && u->day <= days_in(u->year, u->month) && u->hour < 24 &&
           u->min < 60 && u->sec <= 60;
}

enum wr_status wr_clock_parse_http_date(struct wr_str s, int64_t *ret_t)
{
    const struct wr_str gmt = WR_STR(" GMT");
    struct wr_str after = s;
    bool has_zone = wr_str_has_suffix(s, gmt);
    struct utc u;
    bool ok;

    if (has_zone) {
        after.len -= gmt.len;
    }
    if (has_zone && cut_day(&after, true)) {
        ok = read_pattern(after, ", D-M-y h:m:s", &u);
        u.year = ok ? full_year(u.year) : 0;
    } else if (cut_day(&after, false)) {
        ok = read_pattern(after, has_zone ? ", D M Y h:m:s" : " M d h:m:s Y", &u);
    } else {
        return WR_EPROTO;
    }
    if (!ok || !is_valid(&u)) {
        return WR_EPROTO;
    }
    *ret_t = from_utc(&u);
    return WR_OK;
}
