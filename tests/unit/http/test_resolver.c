/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_resolver.c: what the directive `resolver` reads (U1.6): servers of resolv.conf(5), all its
 * parameters, and by what two directives are equal. Errors: tests/func/test_resolver.py.
 */
#include "req_kit.h"

#include "http/resolver.c"

static void reads_the_systems_file(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        {"",                                                        ""                                 },
        {"nameserver 10.0.0.1\n",                                   "10.0.0.1:53 "                     },
        {"nameserver 10.0.0.1",                                     "10.0.0.1:53 "                     },
        {"# x\nnameserver\t10.0.0.1 \t# y\r\nsearch a b\n",         "10.0.0.1:53 "                     },
        {"nameserver ::1\nnameserver 10.0.0.2\n",                   "[::1]:53 10.0.0.2:53 "            },
        {"nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver "
         "3.3.3.3\nnameserver 4.4.4.4\n",                  "1.1.1.1:53 2.2.2.2:53 3.3.3.3:53 "},
        {"nameserver fe80::1%eth0\nnameserver a.test\nnameserver ", ""                                 },
        {"nameservers 10.0.0.1\nxnameserver 10.0.0.1\n",            ""                                 },
    };

    size_t i, k;

    (void)state;
    for (i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_addr at[SYSTEM_SERVERS_MAX];
        size_t cnt = read_nameservers(wr_str_z(rows[i].text), at);
        char got[256], text[WR_ADDR_TEXT_MAX];
        struct wr_strbuf b;

        wr_strbuf_init_fixed(&b, got, sizeof(got));
        for (k = 0; k < cnt; k++) {
            wr_strbuf_add(&b, text, wr_addr_write(&at[k], text));
            wr_strbuf_add_char(&b, ' ');
        }
        if (!wr_str_eq(wr_strbuf_str(&b), wr_str_z(rows[i].want))) {
            fail_msg("row %zu: \"%.*s\"", i, WR_STR_ARG(wr_strbuf_str(&b)));
        }
    }
}

static void names_what_must_be_equal(void **state)
{
    struct wr_dns_conf c = {.server_cnt = 2, .valid_ms = 5000, .ipv4 = true};
    char room[NAME_MAX_BYTES];
    struct wr_strbuf b;

    (void)state;
    assert_int_equal(wr_addr_parse_ip(WR_STR("10.0.0.1"), 53, &c.servers[0]), WR_OK);
    assert_int_equal(wr_addr_parse_ip(WR_STR("::1"), 5353, &c.servers[1]), WR_OK);
    wr_strbuf_init_fixed(&b, room, sizeof(room));
    write_name(&c, &b);
    assert_true(wr_str_eq(wr_strbuf_str(&b), WR_STR("10.0.0.1:53 [::1]:5353 valid=5000 4")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_systems_file),
        cmocka_unit_test(names_what_must_be_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
