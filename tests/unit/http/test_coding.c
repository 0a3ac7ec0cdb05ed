/* SPDX-License-Identifier: Apache-2.0 */
/* test_coding.c: Accept-Encoding by table: weights, "*", identity, several fields, malformed ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/coding.h"
#include "http/mime_set.h"

#define ALL 7u
#define NO  WR_CODING_CNT

static void table(void **state)
{
    static const struct {
        const char *a, *b; /* two fields; b NULL: one */
        int gzip, br, zstd, identity;
        unsigned usable;
        enum wr_coding best;
    } cases[] = {
        {NULL,                         NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"",                           NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"gzip",                       NULL,       1000, 0,    0,    -1,   ALL, WR_CODING_GZIP  },
        {"gzip, deflate, br, zstd",    NULL,       1000, 1000, 1000, -1,   ALL, WR_CODING_BROTLI},
        {"gzip, deflate, br, zstd",    NULL,       1000, 1000, 1000, -1,   5,   WR_CODING_ZSTD  },
        {"gzip, deflate, br, zstd",    NULL,       1000, 1000, 1000, -1,   1,   WR_CODING_GZIP  },
        {"gzip, br",                   NULL,       1000, 1000, 0,    -1,   4,   NO              },
        {"gzip",                       "br;q=0.5", 1000, 500,  0,    -1,   ALL, WR_CODING_GZIP  },
        {"GZip;Q=0.25 , BR ; q=0.251", NULL,       250,  251,  0,    -1,   ALL, WR_CODING_BROTLI},
        {"x-gzip",                     NULL,       1000, 0,    0,    -1,   ALL, WR_CODING_GZIP  },
        {"*",                          NULL,       1000, 1000, 1000, -1,   ALL, WR_CODING_BROTLI},
        {"*;q=0.1, gzip;q=0.2",        NULL,       200,  100,  100,  -1,   ALL, WR_CODING_GZIP  },
        {"br;q=0, *",                  NULL,       1000, 0,    1000, -1,   ALL, WR_CODING_ZSTD  },
        {"*;q=0",                      NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"identity",                   NULL,       0,    0,    0,    1000, ALL, NO              },
        {"identity, gzip",             NULL,       1000, 0,    0,    1000, ALL, WR_CODING_GZIP  },
        {"identity, gzip;q=0.999",     NULL,       999,  0,    0,    1000, ALL, NO              },
        {"identity;q=0, gzip;q=0.001", NULL,       1,    0,    0,    0,    ALL, WR_CODING_GZIP  },
        {"gzip;q=0",                   NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"gzip;q=0.",                  NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"gzip;q=1.000",               NULL,       1000, 0,    0,    -1,   ALL, WR_CODING_GZIP  },
        {"gzip;q=1.5",                 NULL,       1000, 0,    0,    -1,   ALL, WR_CODING_GZIP  },
        {"gzip;q=2",                   NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"gzip;q=-1",                  NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"gzip;q=0,5",                 NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"gzip;q=0.1234",              NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"gzip;q=",                    NULL,       0,    0,    0,    -1,   ALL, NO              },
        {"gzip;x=1;q=0.5",             NULL,       500,  0,    0,    -1,   ALL, WR_CODING_GZIP  },
        {"gzipped, notgzip, brx",      NULL,       0,    0,    0,    -1,   ALL, NO              },
        {",,gzip,,",                   NULL,       1000, 0,    0,    -1,   ALL, WR_CODING_GZIP  },
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        struct wr_arena a;
        struct wr_hdrs h;
        struct wr_codings c;

        wr_arena_init(&a, 65536);
        wr_hdrs_init(&h, &a, 10);
        if (cases[i].a) {
            assert_int_equal(wr_hdrs_add(&h, WR_STR("accept-encoding"), wr_str_z(cases[i].a)),
                             WR_OK);
        }
        if (cases[i].b) {
            assert_int_equal(wr_hdrs_add(&h, WR_STR("Accept-Encoding"), wr_str_z(cases[i].b)),
                             WR_OK);
        }
        wr_codings_read(&h, &c);
        if (c.q[WR_CODING_GZIP] != cases[i].gzip || c.q[WR_CODING_BROTLI] != cases[i].br ||
            c.q[WR_CODING_ZSTD] != cases[i].zstd || c.identity != cases[i].identity ||
            wr_codings_choose(&c, cases[i].usable) != cases[i].best) {
            fail_msg("row %zu: %s: %d %d %d %d", i, cases[i].a, c.q[0], c.q[1], c.q[2], c.identity);
        }
        wr_arena_fini(&a);
    }
}

static void media_types(void **state)
{
    struct wr_str types[] = {WR_STR_INIT("text/html"), WR_STR_INIT("application/json")};
    struct wr_mime_set set = {.at = types, .cnt = 2}, any = {.is_any = true};

    (void)state;
    assert_true(wr_mime_set_has(&set, WR_STR("text/html")));
    assert_true(wr_mime_set_has(&set, WR_STR("Text/HTML ; charset=utf-8")));
    assert_true(wr_mime_set_has(&set, WR_STR("application/json;x")));
    assert_false(wr_mime_set_has(&set, WR_STR("text/htm")));
    assert_false(wr_mime_set_has(&set, WR_STR("text/plain")));
    assert_false(wr_mime_set_has(&set, WR_STR("")));
    assert_true(wr_mime_set_has(&any, WR_STR("x/y")));
    assert_false(wr_mime_set_has(&any, WR_STR("")));
    assert_false(wr_mime_set_has(&any, WR_STR(" ;charset=x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(media_types)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
