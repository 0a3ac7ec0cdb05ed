/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expires.c: see expires.h. The words and numbers are those of nginx's documentation: a negative
 * time is "no-cache", `max` is ten years and the end of 2037, `epoch` is one second after 1970.
 */
#include "mod/expires.h"

#include <stdio.h>
#include <time.h>

#include "base/num.h"

#define DAY_SEC    86400
#define MAX_AT     2145916555 /* Thu, 31 Dec 2037 23:55:55 GMT */
#define MAX_AGE    315360000  /* 10 years */
#define ACCESS_MAX ((int64_t)INT32_MAX)

static enum wr_status refuse(const char **ret_err, const char *why)
{
    *ret_err = why;
    return WR_ECONFIG;
}

static bool parse_word(struct wr_str s, struct wr_expires *ret)
{
    if (wr_str_eq(s, WR_STR("epoch"))) {
        ret->how = WR_EXPIRES_EPOCH;
    } else if (wr_str_eq(s, WR_STR("max"))) {
        ret->how = WR_EXPIRES_MAX;
    } else if (wr_str_eq(s, WR_STR("off"))) {
        ret->how = WR_EXPIRES_OFF;
    } else {
        return false;
    }
    return true;
}

enum wr_status wr_expires_parse(struct wr_str s, enum wr_expires_from from, struct wr_expires *ret,
                                const char **ret_err)
{
    struct wr_expires e = {.how = WR_EXPIRES_ACCESS};
    bool is_minus = false;
    uint64_t sec;

    if (from == WR_EXPIRES_FROM_MODIFIED) {
        e.how = WR_EXPIRES_MODIFIED;
    } else if (parse_word(s, &e)) {
        *ret = e;
        return WR_OK;
    }
    if (s.len > 0 && s.ptr[0] == '@') {
        if (from == WR_EXPIRES_FROM_MODIFIED) {
            return refuse(ret_err, "daily time cannot be used with \"modified\" parameter");
        }
        e.how = WR_EXPIRES_DAILY;
        s = wr_str_sub(s, 1, SIZE_MAX);
    } else if (s.len > 0 && (s.ptr[0] == '+' || s.ptr[0] == '-')) {
        is_minus = s.ptr[0] == '-';
        s = wr_str_sub(s, 1, SIZE_MAX);
    }
    if (s.len == 0 || wr_num_parse_sec(s, &sec) != WR_OK || sec > (uint64_t)ACCESS_MAX) {
        return refuse(ret_err, "invalid value");
    }
    if (e.how == WR_EXPIRES_DAILY && sec > DAY_SEC) {
        return refuse(ret_err, "daily time value must be less than 24 hours");
    }
    e.sec = is_minus ? -(int64_t)sec : (int64_t)sec;
    *ret = e;
    return WR_OK;
}

/* Seconds until the next time of day `at`. */
static int64_t until_daily(int64_t now, int64_t at)
{
    time_t t = (time_t)now;
    struct tm tm;
    int64_t left;

    if (localtime_r(&t, &tm) == NULL) {
        return at;
    }
    left = at - (tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
    return left < 0 ? left + DAY_SEC : left;
}

void wr_expires_eval(const struct wr_expires *e, int64_t now, int64_t mtime, int64_t *ret_at,
                     char text[WR_EXPIRES_AGE_MAX], uint32_t *ret_len)
{
    int64_t at = now, age = 0;

    switch ((enum wr_expires_how)e->how) {
    case WR_EXPIRES_OFF:
    case WR_EXPIRES_EPOCH:
        at = 1;
        age = -1;
        break;
    case WR_EXPIRES_MAX:
        at = MAX_AT;
        age = MAX_AGE;
        break;
    case WR_EXPIRES_ACCESS:
        at = now + e->sec;
        break;
    case WR_EXPIRES_MODIFIED:
        at = (mtime == -1 ? now : mtime) + e->sec;
        break;
    case WR_EXPIRES_DAILY:
        at = now + until_daily(now, e->sec);
        break;
    }
    if (e->how >= WR_EXPIRES_ACCESS) {
        age = at - now;
    }
    *ret_at = at;
    *ret_len = age < 0
                   ? (uint32_t)snprintf(text, WR_EXPIRES_AGE_MAX, "no-cache")
                   : (uint32_t)snprintf(text, WR_EXPIRES_AGE_MAX, "max-age=%lld", (long long)age);
}
