/* SPDX-License-Identifier: Apache-2.0 */
/* test_reason.c: every reason has a name and a text of its own, and the status of the answer that
 * it calls for. */
#include "unit/base/t.h"

#include "base/compiler.h"
#include "base/reason.h"

static void test_each(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WR_REASON_COUNT; i++) {
        assert_true(strlen(wr_reason_name((enum wr_reason)i)) > 1);
        /* NONE has nothing to say. */
        assert_int_equal(wr_reason_text((enum wr_reason)i)[0] == '\0', i == WR_REASON_NONE);
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(wr_reason_name((enum wr_reason)i),
                                    wr_reason_name((enum wr_reason)k));
            assert_string_not_equal(wr_reason_text((enum wr_reason)i),
                                    wr_reason_text((enum wr_reason)k));
        }
    }
    /* None of ours, from a field that somebody wrote over: said, not read. */
    assert_string_equal(wr_reason_name(WR_REASON_COUNT), "?");
    assert_string_equal(wr_reason_text(WR_REASON_COUNT), "?");
    assert_int_equal(wr_reason_status(WR_REASON_COUNT), 500);
}

/* U4.4, U7.4: what the client is told. */
static void test_statuses(void **state)
{
    static const struct {
        enum wr_reason reason;
        unsigned status;
    } rows[] = {
        {WR_REASON_NONE,        0  },
        {WR_REASON_BAD_BODY,    400},
        {WR_REASON_BIG_BODY,    413},
        {WR_REASON_CLIENT_GONE, 499},
        {WR_REASON_NOMEM,       500},
        {WR_REASON_INTERNAL,    500},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        if (wr_reason_status(rows[i].reason) != rows[i].status) {
            fail_msg("%s: %u", wr_reason_name(rows[i].reason), wr_reason_status(rows[i].reason));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
