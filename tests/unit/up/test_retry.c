/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_retry.c: what follows an attempt, as one table: every cause under every policy that matters
 * to it, with the facts that forbid another try. Proves U2.2, U2.6, U4.4, U7.1 to U7.4.
 */
#include "unit/up/t.h"

#include "up/conf.h"
#include "up/retry.h"

enum fact {
    SENT = 1, /* sending began */
    LOST = 2, /* of a streamed body */
    REUSED = 4,
    BYTES = 8,    /* of an answer */
    POST = 16,    /* not idempotent */
    GONE = 32,    /* the client */
    LAST = 64,    /* no try is left */
    LATE = 128,   /* no time is left */
    UNSEEN = 256, /* nobody at the peer can have read it */
    LOST_POST = REUSED | SENT | POST | UNSEEN,
};

enum policy {
    P_ERROR = WR_UP_NEXT_ERROR,
    P_TIMEOUT = WR_UP_NEXT_TIMEOUT,
    P_HEADER = WR_UP_NEXT_INVALID_HEADER,
    P_NONIDEM = WR_UP_NEXT_NON_IDEMPOTENT,
    P_OFF = WR_UP_NEXT_OFF,
    P_STATUS = WR_UP_NEXT_HTTP_500 | WR_UP_NEXT_HTTP_502 | WR_UP_NEXT_HTTP_503 |
               WR_UP_NEXT_HTTP_504 | WR_UP_NEXT_HTTP_403 | WR_UP_NEXT_HTTP_404 |
               WR_UP_NEXT_HTTP_429,
    P_ALL = P_ERROR | P_TIMEOUT | P_HEADER | P_STATUS | P_NONIDEM,
};

struct row {
    enum wr_cause cause;
    uint16_t status;
    uint32_t policy;
    unsigned facts;
    enum wr_retry_action action;
    uint16_t final; /* with GIVE_UP */
    enum wr_outcome outcome;
};

#define NEXT WR_RETRY_NEXT
#define SAME WR_RETRY_SAME
#define STOP WR_RETRY_GIVE_UP

#define FAILED  WR_OUTCOME_FAILED
#define NEUTRAL WR_OUTCOME_NEUTRAL

/* Every rule of U7 for a cause that its own word of *_next_upstream governs; `final` is the
 * client's status. */
#define GOVERNED(c, word, others, final)                                                           \
    {c, 0, word, 0, NEXT, 0, FAILED}, {c, 0, word, SENT, NEXT, 0, FAILED},                         \
        {c, 0, word | others, SENT | REUSED | BYTES, NEXT, 0, FAILED},                             \
        {c, 0, others, 0, STOP, final, FAILED}, {c, 0, P_OFF, 0, STOP, final, FAILED},             \
        {c, 0, word, LAST, STOP, final, FAILED}, {c, 0, word, LATE, STOP, final, FAILED},          \
        {c, 0, word, GONE, STOP, 499, FAILED}, {c, 0, word, SENT | LOST, STOP, final, FAILED},     \
        {c, 0, word | P_NONIDEM, SENT | LOST, STOP, final, FAILED},                                \
        {c, 0, word, POST, NEXT, 0, FAILED}, {c, 0, word, POST | SENT, STOP, final, FAILED},       \
        {c, 0, word | P_NONIDEM, POST | SENT, NEXT, 0, FAILED},                                    \
    {                                                                                              \
        c, 0, word | P_NONIDEM, POST | SENT | LAST, STOP, final, FAILED                            \
    }

/* A status that is named: 403 and 404 never count against the peer (U2.2). The peer's own answer is
 * the last word. */
#define STATUS(n, bit, outcome)                                                                    \
    {WR_CAUSE_STATUS, n, bit, SENT | BYTES, NEXT, 0, outcome},                                     \
        {WR_CAUSE_STATUS, n, P_ALL, SENT | BYTES | POST, NEXT, 0, outcome},                        \
        {WR_CAUSE_STATUS, n, bit, SENT | BYTES | POST, STOP, 0, outcome},                          \
        {WR_CAUSE_STATUS, n, bit, SENT | BYTES | LAST, STOP, 0, outcome},                          \
        {WR_CAUSE_STATUS, n, bit, SENT | BYTES | LATE, STOP, 0, outcome},                          \
        {WR_CAUSE_STATUS, n, bit, SENT | BYTES | LOST, STOP, 0, outcome},                          \
        {WR_CAUSE_STATUS, n, bit, SENT | BYTES | GONE, STOP, 0, outcome},                          \
    {                                                                                              \
        WR_CAUSE_STATUS, n, P_ERROR | P_TIMEOUT, SENT | BYTES, STOP, 0, outcome                    \
    }

/* Nothing makes another try of these. */
#define NEVER(c, final, outcome)                                                                   \
    {c, 0, P_ALL, 0, STOP, final, outcome}, {c, 0, P_ALL, SENT | REUSED, STOP, final, outcome},    \
    {                                                                                              \
        c, 0, P_OFF, SENT | BYTES, STOP, final, outcome                                            \
    }

static const struct row rows[] = {
    GOVERNED(WR_CAUSE_REFUSED, P_ERROR, P_TIMEOUT | P_HEADER | P_STATUS, 502),
    GOVERNED(WR_CAUSE_TLS, P_ERROR, P_TIMEOUT | P_HEADER | P_STATUS, 502),
    GOVERNED(WR_CAUSE_CLOSED, P_ERROR, P_TIMEOUT | P_HEADER | P_STATUS, 502),
    GOVERNED(WR_CAUSE_CONNECT_TIMEOUT, P_TIMEOUT, P_ERROR | P_HEADER | P_STATUS, 504),
    GOVERNED(WR_CAUSE_READ_TIMEOUT, P_TIMEOUT, P_ERROR | P_HEADER | P_STATUS, 504),
    GOVERNED(WR_CAUSE_SEND_TIMEOUT, P_TIMEOUT, P_ERROR | P_HEADER | P_STATUS, 504),
    GOVERNED(WR_CAUSE_BAD_HEAD, P_HEADER, P_ERROR | P_TIMEOUT | P_STATUS, 502),
    GOVERNED(WR_CAUSE_BIG_HEAD, P_HEADER, P_ERROR | P_TIMEOUT | P_STATUS, 502),
    STATUS(500, WR_UP_NEXT_HTTP_500, FAILED),
    STATUS(502, WR_UP_NEXT_HTTP_502, FAILED),
    STATUS(503, WR_UP_NEXT_HTTP_503, FAILED),
    STATUS(504, WR_UP_NEXT_HTTP_504, FAILED),
    STATUS(429, WR_UP_NEXT_HTTP_429, FAILED),
    STATUS(403, WR_UP_NEXT_HTTP_403, WR_OUTCOME_OK),
    STATUS(404, WR_UP_NEXT_HTTP_404, WR_OUTCOME_OK),
    NEVER(WR_CAUSE_OK, 502, WR_OUTCOME_OK),
    NEVER(WR_CAUSE_TRUNCATED, 502, WR_OUTCOME_BROKE),
    NEVER(WR_CAUSE_CANCELED, 499, NEUTRAL),
    NEVER(WR_CAUSE_OURS, 500, NEUTRAL),
    NEVER(WR_CAUSE_CLIENT_BODY, 502, NEUTRAL),
    NEVER(WR_CAUSE_NONE, 502, NEUTRAL),
    {WR_CAUSE_OURS,         0, P_ALL,               GONE,                  STOP, 500, NEUTRAL},
 /* U2.6: a stale idle connection. No try is used up, nobody is charged, the same peer gets it
  again. */
    {WR_CAUSE_CLOSED,       0, P_ERROR,             REUSED | SENT,         SAME, 0,   NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             REUSED | SENT | LAST,  SAME, 0,   NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_TIMEOUT,           REUSED | SENT,         SAME, 0,   NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_OFF,               REUSED | SENT,         STOP, 502, NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             REUSED,                SAME, 0,   NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             REUSED | POST,         SAME, 0,   NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             REUSED | SENT | POST,  STOP, 502, NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR | P_NONIDEM, REUSED | SENT | POST,  SAME, 0,   NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             LOST_POST,             SAME, 0,   NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             LOST_POST | LAST,      SAME, 0,   NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_OFF,               LOST_POST,             STOP, 502, NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             LOST_POST | GONE,      STOP, 499, NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             LOST_POST | LOST,      STOP, 502, NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             SENT | POST | UNSEEN,  STOP, 502, FAILED },
    {WR_CAUSE_CLOSED,       0, P_ERROR,             REUSED | SENT | GONE,  STOP, 499, NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             REUSED | SENT | LOST,  STOP, 502, NEUTRAL},
    {WR_CAUSE_CLOSED,       0, P_ERROR,             REUSED | SENT | BYTES, NEXT, 0,   FAILED },
    {WR_CAUSE_DENIED,       0, WR_UP_NEXT_DENIED,   POST,                  NEXT, 0,   NEUTRAL},
    {WR_CAUSE_DENIED,       0, WR_UP_NEXT_DENIED,   LAST,                  STOP, 502, NEUTRAL},
    {WR_CAUSE_DENIED,       0, P_ALL,               0,                     STOP, 502, NEUTRAL},
    {WR_CAUSE_READ_TIMEOUT, 0, P_TIMEOUT,           REUSED | SENT,         NEXT, 0,   FAILED },
    {WR_CAUSE_BAD_HEAD,     0, P_HEADER,            REUSED | SENT | BYTES, NEXT, 0,   FAILED },
};

static void table_holds(void **state)
{
    (void)state;
    assert_true(WR_ARRAY_LEN(rows) >= 180);
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct wr_retry_in in = {.cause = r->cause,
                                 .status = r->status,
                                 .policy = r->policy,
                                 .sent = (r->facts & SENT) != 0,
                                 .body_lost = (r->facts & LOST) != 0,
                                 .is_reused = (r->facts & REUSED) != 0,
                                 .got_bytes = (r->facts & BYTES) != 0,
                                 .is_idempotent = (r->facts & POST) == 0,
                                 .client_gone = (r->facts & GONE) != 0,
                                 .tries_left = (r->facts & LAST) != 0 ? 0 : 1,
                                 .is_unseen = (r->facts & UNSEEN) != 0,
                                 .time_left = (r->facts & LATE) == 0};
        struct wr_retry_out out = wr_retry_decide(&in);

        if (out.action != r->action || out.outcome != r->outcome ||
            (r->action == STOP && out.status != r->final)) {
            print_error(
                "row %zu: cause %d status %u policy %#x facts %#x: action %d status %u outcome %d\n",
                i, (int)r->cause, r->status, (unsigned)r->policy, r->facts, (int)out.action,
                out.status, (int)out.outcome);
        }
        assert_int_equal(out.action, r->action);
        assert_int_equal(out.outcome, r->outcome);
        if (r->action == STOP) {
            assert_int_equal(out.status, r->final);
        }
    }
}

static void statuses_have_their_bits(void **state)
{
    (void)state;
    for (unsigned s = 0; s < 1000; s++) {
        uint32_t want = s == 500   ? WR_UP_NEXT_HTTP_500
                        : s == 502 ? WR_UP_NEXT_HTTP_502
                        : s == 503 ? WR_UP_NEXT_HTTP_503
                        : s == 504 ? WR_UP_NEXT_HTTP_504
                        : s == 403 ? WR_UP_NEXT_HTTP_403
                        : s == 404 ? WR_UP_NEXT_HTTP_404
                        : s == 429 ? WR_UP_NEXT_HTTP_429
                                   : 0;

        assert_int_equal(wr_retry_status_bit(s), want);
    }
}

/* U7.5 */
static void log_statuses(void **state)
{
    (void)state;
    for (int c = WR_CAUSE_NONE; c <= WR_CAUSE_CLIENT_BODY; c++) {
        bool is_timeout = c == WR_CAUSE_CONNECT_TIMEOUT || c == WR_CAUSE_READ_TIMEOUT ||
                          c == WR_CAUSE_SEND_TIMEOUT;

        assert_int_equal(wr_retry_log_status((enum wr_cause)c), is_timeout ? 504 : 502);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_holds),
        cmocka_unit_test(statuses_have_their_bits),
        cmocka_unit_test(log_statuses),
    };

    return cmocka_run_group_tests_name("up/retry", tests, NULL, NULL);
}
