/* SPDX-License-Identifier: Apache-2.0 */
/* t.h: cmocka with the headers that it wants before it, and a comparison of slices. */
#ifndef WR_TESTS_UNIT_CONF_T_H
#define WR_TESTS_UNIT_CONF_T_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define assert_text(s, z)                                                                          \
    do {                                                                                           \
        struct wr_str _s = (s);                                                                    \
        if (!wr_str_eq_z(_s, (z))) {                                                               \
            print_error("got  %.*s\nwant %s\n", WR_STR_ARG(_s), (z));                              \
        }                                                                                          \
        assert_true(wr_str_eq_z(_s, (z)));                                                         \
    } while (0)

#endif
