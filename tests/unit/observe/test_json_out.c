/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as it is written; a library reads it back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* allow(library): what we write must be JSON to somebody else */
#include <jansson.h>
#include <string.h>

#include "observe/json_out.h"

static void test_document(void **state)
{
    struct wr_strbuf b;
    struct wr_json j;

    (void)state;
    wr_strbuf_init(&b, 4096);
    wr_json_init(&j, &b);
    wr_json_object(&j, NULL);
    wr_json_num(&j, "a", UINT64_MAX);
    wr_json_milli(&j, "b", 1050);
    wr_json_array(&j, "c");
    wr_json_end(&j);
    wr_json_array(&j, "d");
    wr_json_bool(&j, NULL, true);
    wr_json_object(&j, NULL);
    wr_json_end(&j);
    wr_json_str(&j, NULL, WR_STR("x"));
    wr_json_end(&j);
    wr_json_raw(&j, "e", WR_STR("{\"f\":1}"));
    wr_json_bool(&j, "g", false);
    wr_json_end(&j);
    assert_string_equal(wr_strbuf_cstr(&b),
                        "{\"a\":18446744073709551615,\"b\":1.050,\"c\":[],\"d\":[true,{},\"x\"],"
                        "\"e\":{\"f\":1},\"g\":false}");
    wr_strbuf_fini(&b);
}

static void test_texts(void **state)
{
    static const struct {
        const char *text, *want; /* want: UTF-8 of what is read back */
        size_t len;              /* 0: strlen */
    } rows[] = {
        {"plain",                        "plain",                            0},
        {"a\"b\\c\n\x01",                "a\"b\\c\n\x01",                    0},
        {"b\xc3\xbc"
         "cher",                "b\xc3\xbc"
         "cher",                                    0},
        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80",     0},
        {"\xfc",                         "\xc3\xbc",                         0}, /* Latin-1 */
        {"\xc3\xbc\xff",                 "\xc3\x83\xc2\xbc\xc3\xbf",         0}, /* broken: all of it is Latin-1 */
        {"\xc0\x80",                     "\xc3\x80\xc2\x80",                 0}, /* overlong */
        {"\xed\xa0\x80",                 "\xc3\xad\xc2\xa0\xc2\x80",         0}, /* a surrogate */
        {"\xe2\x82",                     "\xc3\xa2\xc2\x82",                 0}, /* cut */
        {"\xf4\x90\x80\x80",             "\xc3\xb4\xc2\x90\xc2\x80\xc2\x80", 0}, /* beyond the last */
        {"",                             "",                                 0},
    };

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_strbuf b;
        struct wr_json j;
        json_t *v;

        wr_strbuf_init(&b, 4096);
        wr_json_init(&j, &b);
        wr_json_array(&j, NULL);
        wr_json_str(&j, NULL, wr_str_z(rows[i].text));
        wr_json_end(&j);
        v = json_loadb(b.ptr, b.len, 0, NULL);
        assert_non_null(v);
        assert_string_equal(json_string_value(json_array_get(v, 0)), rows[i].want);
        json_decref(v);
        wr_strbuf_fini(&b);
    }
}

/* The strbuf is the bound. */
static void test_limit(void **state)
{
    struct wr_strbuf b;
    struct wr_json j;

    (void)state;
    wr_strbuf_init(&b, 100);
    wr_json_init(&j, &b);
    wr_json_array(&j, NULL);
    for (int i = 0; i < 100; i++) {
        wr_json_num(&j, NULL, 1000);
    }
    wr_json_end(&j);
    assert_int_equal(b.status, WR_ELIMIT);
    wr_strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
