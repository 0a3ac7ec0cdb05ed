/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h: time. Monotonic milliseconds are cached once per loop turn in wr_local->now_ms; wall
 * time and its texts are cached per thread and made anew at most once a second (ms kept exact).
 */
#ifndef WR_BASE_CLOCK_H
#define WR_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "base/compiler.h"
#include "base/local.h"
#include "base/status.h"
#include "base/str.h"

/* Where time comes from: the system, or a simulator's. Per thread; NULL restores the system. */
struct wr_clock_source {
    uint64_t (*mono_us)(void *data);
    uint64_t (*wall_us)(void *data);
    void *data;
};

void wr_clock_set_source(const struct wr_clock_source *src);

/* Reads the clock now and refreshes wr_local->now_ms. */
uint64_t wr_clock_update(void);
/* Monotonic microseconds, read now. */
uint64_t wr_clock_mono_us(void);
/* Wall clock of this turn, milliseconds since 1970. */
uint64_t wr_clock_wall_ms(void);

/* Cached monotonic ms of this turn. */
static inline uint64_t wr_now_ms(void)
{
    return wr_local_get()->now_ms;
}

#define WR_HTTP_DATE_LEN 29

/* Texts of this second, per thread, valid until the next wr_clock_update. */
struct wr_str wr_clock_http_date(void); /* "Sun, 06 Nov 1994 08:49:37 GMT" */
struct wr_str wr_clock_log_local(void); /* "06/Nov/1994:08:49:37 +0000" */
struct wr_str wr_clock_log_error(void); /* "1994/11/06 08:49:37" */
struct wr_str wr_clock_iso8601(void);   /* "1994-11-06T08:49:37+00:00" */

/* out: WR_HTTP_DATE_LEN bytes. */
void wr_clock_write_http_date(char *out, int64_t t);
#define WR_LOG_DATE_LEN 19
/*
 * out: WR_LOG_DATE_LEN bytes, the time now as wr_clock_log_error has it, in the zone of this
 * thread's last text. Async-signal-safe.
 */
void wr_clock_write_log_error(char *out);
/* IMF-fixdate, RFC 850 and asctime forms (RFC 9110 5.6.7). */
enum wr_status wr_clock_parse_http_date(struct wr_str s, int64_t *ret_t) WR_MUST_CHECK;

#endif
