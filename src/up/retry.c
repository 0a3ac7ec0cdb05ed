/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry.c: what follows an attempt, as a pure function (up/retry.h).
 * Any thread.
 */
#include "up/retry.h"

#include "base/assert.h"
#include "up/conf.h"

uint32_t wr_retry_status_bit(unsigned status)
{
    switch (status) {
    case 500:
        return WR_UP_NEXT_HTTP_500;
    case 502:
        return WR_UP_NEXT_HTTP_502;
    case 503:
        return WR_UP_NEXT_HTTP_503;
    case 504:
        return WR_UP_NEXT_HTTP_504;
    case 403:
        return WR_UP_NEXT_HTTP_403;
    case 404:
        return WR_UP_NEXT_HTTP_404;
    case 429:
        return WR_UP_NEXT_HTTP_429;
    default:
        return 0;
    }
}

/* *_next_upstream bit of a cause; 0: never a reason for another try. */
static uint32_t cause_bit(const struct wr_retry_in *in)
{
    switch (in->cause) {
    case WR_CAUSE_REFUSED:
    case WR_CAUSE_TLS:
    case WR_CAUSE_CLOSED:
        return WR_UP_NEXT_ERROR;
    case WR_CAUSE_CONNECT_TIMEOUT:
    case WR_CAUSE_READ_TIMEOUT:
    case WR_CAUSE_SEND_TIMEOUT:
        return WR_UP_NEXT_TIMEOUT;
    case WR_CAUSE_BAD_HEAD:
    case WR_CAUSE_BIG_HEAD:
        return WR_UP_NEXT_INVALID_HEADER;
    case WR_CAUSE_DENIED:
        return WR_UP_NEXT_DENIED;
    case WR_CAUSE_STATUS:
        return wr_retry_status_bit(in->status);
    case WR_CAUSE_NONE:
    case WR_CAUSE_OK:
    case WR_CAUSE_TRUNCATED:
    case WR_CAUSE_CANCELED:
    case WR_CAUSE_OURS:
    case WR_CAUSE_CLIENT_BODY:
        return 0;
    }
    WR_UNREACHABLE();
}

static enum wr_outcome outcome_of(const struct wr_retry_in *in)
{
    switch (in->cause) {
    case WR_CAUSE_REFUSED:
    case WR_CAUSE_TLS:
    case WR_CAUSE_CLOSED:
    case WR_CAUSE_CONNECT_TIMEOUT:
    case WR_CAUSE_READ_TIMEOUT:
    case WR_CAUSE_SEND_TIMEOUT:
    case WR_CAUSE_BAD_HEAD:
    case WR_CAUSE_BIG_HEAD:
        return WR_OUTCOME_FAILED;
    case WR_CAUSE_STATUS:
        /* 403 and 404 never count (U2.2); the others are here because they are named. */
        return in->status == 403 || in->status == 404 ? WR_OUTCOME_OK : WR_OUTCOME_FAILED;
    case WR_CAUSE_TRUNCATED:
        return WR_OUTCOME_BROKE;
    case WR_CAUSE_OK:
        return WR_OUTCOME_OK;
    case WR_CAUSE_NONE:
    case WR_CAUSE_CANCELED:
    case WR_CAUSE_OURS:
    case WR_CAUSE_CLIENT_BODY:
    case WR_CAUSE_DENIED:
        return WR_OUTCOME_NEUTRAL;
    }
    WR_UNREACHABLE();
}

unsigned wr_retry_log_status(enum wr_cause cause)
{
    return cause == WR_CAUSE_CONNECT_TIMEOUT || cause == WR_CAUSE_READ_TIMEOUT ||
                   cause == WR_CAUSE_SEND_TIMEOUT
               ? 504
               : 502;
}

static uint16_t final_status(const struct wr_retry_in *in)
{
    if (in->cause == WR_CAUSE_STATUS) {
        return 0;
    }
    if (in->cause == WR_CAUSE_OURS) {
        return 500;
    }
    if (in->client_gone || in->cause == WR_CAUSE_CANCELED) {
        return 499;
    }
    return (uint16_t)wr_retry_log_status(in->cause);
}

/* U7.2; but not a request that met an idle connection that was gone, and so had no effect (U2.6).
 */
static bool may_have_acted(const struct wr_retry_in *in, bool is_stale)
{
    return in->sent && !in->is_idempotent && !(is_stale && in->is_unseen);
}

/* Why no further try may be made; WR_STOP_NONE: one may. */
static enum wr_retry_stop find_stop(const struct wr_retry_in *in, bool is_stale)
{
    uint32_t bit = cause_bit(in);

    if (bit == 0) {
        return WR_STOP_FINAL;
    }
    if (in->client_gone) {
        return WR_STOP_CLIENT;
    }
    if (in->body_lost) {
        return WR_STOP_BODY;
    }
    if (may_have_acted(in, is_stale) && (in->policy & WR_UP_NEXT_NON_IDEMPOTENT) == 0) {
        return WR_STOP_METHOD;
    }
    if (is_stale && (in->policy & WR_UP_NEXT_OFF) == 0) {
        return WR_STOP_NONE;
    }
    if ((in->policy & bit) == 0) {
        return WR_STOP_POLICY;
    }
    if (in->tries_left == 0) {
        return WR_STOP_TRIES;
    }
    return in->time_left ? WR_STOP_NONE : WR_STOP_TIME;
}

struct wr_retry_out wr_retry_decide(const struct wr_retry_in *in)
{
    bool is_stale = in->cause == WR_CAUSE_CLOSED && in->is_reused && !in->got_bytes;
    struct wr_retry_out out = {.action = WR_RETRY_GIVE_UP,
                               .stop = find_stop(in, is_stale),
                               .status = final_status(in),
                               .outcome = outcome_of(in)};

    if (is_stale) {
        out.outcome = WR_OUTCOME_NEUTRAL; /* U2.6 */
    }
    if (out.stop == WR_STOP_NONE) {
        out.action = is_stale && (in->policy & WR_UP_NEXT_OFF) == 0 ? WR_RETRY_SAME : WR_RETRY_NEXT;
    }
    return out;
}
