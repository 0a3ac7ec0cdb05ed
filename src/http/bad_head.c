/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_head.c: the error log's line about a refused head. The codec tells its status and the
 * parser's reason; what the reason leaves open (which of the Host rules was broken?) is read off
 * the fields that were taken before. At info, as nginx: whoever can connect can cause it. Request's
 * thread.
 */
#include "http/bad_head.h"

#include <errno.h>

#include "http/h1_parse.h"
#include "http/req.h"

#define LINE "while reading client request line"
#define HEAD "while reading client request headers"

#define SHOWN_MAX 128u /* bytes of a bad field that are shown */

static void log_duplicate(const struct wr_req *r, const struct wr_hdr *first, const char *what)
{
    const struct wr_hdr *next = wr_hdrs_next(&r->head->hdrs, first);
    struct wr_str now = wr_str_sub(next->value, 0, SHOWN_MAX);
    struct wr_str before = wr_str_sub(first->value, 0, SHOWN_MAX);

    wr_log(&r->log, WR_LOG_INFO,
           "client sent duplicate %s: \"%.*s: %.*s\", previous value: \"%.*s: %.*s\" " HEAD, what,
           WR_STR_ARG(next->name), WR_STR_ARG(now), WR_STR_ARG(first->name), WR_STR_ARG(before));
}

static bool has_two(const struct wr_req *r, const struct wr_hdr *first)
{
    return first && wr_hdrs_next(&r->head->hdrs, first) != NULL;
}

static void log_host(const struct wr_req *r)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->head->hdrs, WR_HDR_HOST);

    if (!f) {
        wr_log(&r->log, WR_LOG_INFO, "client sent HTTP/1.1 request without \"Host\" header " HEAD);
    } else if (has_two(r, f)) {
        log_duplicate(r, f, "host header");
    } else {
        wr_log(&r->log, WR_LOG_INFO, "client sent invalid host header " HEAD);
    }
}

static void log_framing(const struct wr_req *r)
{
    const struct wr_hdr *coding = wr_hdrs_get(&r->head->hdrs, WR_HDR_TRANSFER_ENCODING);
    const struct wr_hdr *length = wr_hdrs_get(&r->head->hdrs, WR_HDR_CONTENT_LENGTH);

    if (coding && length) {
        wr_log(&r->log, WR_LOG_INFO,
               "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same "
               "time " HEAD);
    } else if (has_two(r, coding)) {
        log_duplicate(r, coding, "header line");
    } else if (has_two(r, length)) {
        log_duplicate(r, length, "header line");
    } else {
        wr_log(&r->log, WR_LOG_INFO,
               "client sent HTTP/1.0 request with \"Transfer-Encoding\" header " HEAD);
    }
}

static void log_coding(const struct wr_req *r)
{
    const struct wr_hdr *f = wr_hdrs_get(&r->head->hdrs, WR_HDR_TRANSFER_ENCODING);
    struct wr_str v = f ? wr_str_sub(f->value, 0, SHOWN_MAX) : WR_STR_NULL;

    wr_log(&r->log, WR_LOG_INFO, "client sent unknown \"Transfer-Encoding\": \"%.*s\" " HEAD,
           WR_STR_ARG(v));
}

/* The field line that was refused. */
static void log_field(const struct wr_req *r, const char *what)
{
    struct wr_str s = wr_str_sub(r->head->dropped, 0, SHOWN_MAX);
    const char *end = s.len < r->head->dropped.len ? "..." : "";
    size_t nul = wr_str_find(s, '\0');

    if (nul < s.len) { /* the format would end there without a word */
        s.len = nul;
        end = "\\x00...";
    }
    wr_log(&r->log, WR_LOG_INFO, "client sent %s header line: \"%.*s%s\" " HEAD, what,
           WR_STR_ARG(s), end);
}

static void log_timeout(const struct wr_req *r)
{
    if (r->stream->bad_why == WR_H1_BAD_LINE) {
        wr_log_errno(&r->log, WR_LOG_INFO, 0, "client timed out (%d: %s) " LINE, ETIMEDOUT,
                     wr_log_errno_text(ETIMEDOUT));
    } else {
        wr_log_errno(&r->log, WR_LOG_INFO, 0, "client timed out (%d: %s) " HEAD, ETIMEDOUT,
                     wr_log_errno_text(ETIMEDOUT));
    }
}

static void log_reason(const struct wr_req *r, enum wr_h1_bad why)
{
    const struct wr_log *log = &r->log;

    switch (why) {
    case WR_H1_BAD_NONE:
        wr_log(log, WR_LOG_ERROR, "no memory for the request " HEAD);
        return;
    case WR_H1_BAD_LINE:
    case WR_H1_BAD_TARGET:
    case WR_H1_BAD_VERSION:
    case WR_H1_BAD_NOT_HTTP:
        wr_log(log, WR_LOG_INFO, "client sent invalid request " LINE);
        return;
    case WR_H1_BAD_METHOD:
        wr_log(log, WR_LOG_INFO, "client sent invalid method " LINE);
        return;
    case WR_H1_BAD_MAJOR:
        wr_log(log, WR_LOG_INFO, "client sent invalid version " LINE);
        return;
    case WR_H1_BAD_LINE_TOO_LONG:
        wr_log(log, WR_LOG_INFO, "client sent too long URI " LINE);
        return;
    case WR_H1_BAD_EMPTY_LINES:
        wr_log(log, WR_LOG_INFO, "client sent too many empty lines before the request " LINE);
        return;
    case WR_H1_BAD_FIELD:
        log_field(r, "invalid");
        return;
    case WR_H1_BAD_FIELD_TOO_LONG:
        log_field(r, "too long");
        return;
    case WR_H1_BAD_HEAD_TOO_LONG:
        wr_log(log, WR_LOG_INFO, "client sent too large request " HEAD);
        return;
    case WR_H1_BAD_FIELDS:
        wr_log(log, WR_LOG_INFO, "client sent too many header lines " HEAD);
        return;
    case WR_H1_BAD_HOST:
        log_host(r);
        return;
    case WR_H1_BAD_FRAMING:
        log_framing(r);
        return;
    case WR_H1_BAD_LENGTH:
        wr_log(log, WR_LOG_INFO, "client sent invalid \"Content-Length\" header " HEAD);
        return;
    case WR_H1_BAD_CODING:
        log_coding(r);
        return;
    }
    WR_UNREACHABLE();
}

void wr_bad_head_log(const struct wr_req *r)
{
    if (r->stream->bad == 408) {
        log_timeout(r);
    } else {
        log_reason(r, (enum wr_h1_bad)r->stream->bad_why);
    }
}
