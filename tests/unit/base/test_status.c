/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_status.c: each status has its name, and a value that is none has one too.
 */
#include "unit/base/t.h"

#include "base/status.h"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(wr_status_name(WR_OK), "OK");
    assert_string_equal(wr_status_name(WR_AGAIN), "AGAIN");
    assert_string_equal(wr_status_name(WR_ESYS), "ESYS");
    assert_string_equal(wr_status_name((enum wr_status)(WR_ESYS + 1)), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
