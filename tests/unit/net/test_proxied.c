/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_proxied.c: what a PROXY header told lives as long as somebody holds it, whatever its size,
 * and needs memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "net/proxied.h"

static void is_a_copy_with_references(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 1700, 2000, WR_PROXY_HEAD_MAX};
    size_t before = wr_mem_in_use();

    (void)state;
    for (size_t i = 0; i < WR_ARRAY_LEN(sizes); i++) {
        char text[WR_PROXY_HEAD_MAX];
        struct wr_proxy_head h = {.version = 2, .tlvs = wr_str(text, sizes[i])};
        struct wr_proxied *p, *q;

        memset(text, 'x', sizeof(text));
        assert_int_equal(wr_addr_parse_ip(WR_STR("1.2.3.4"), 5, &h.client), WR_OK);
        p = wr_proxied_new(&h);
        assert_non_null(p);
        q = wr_proxied_ref(p);
        assert_ptr_equal(p, q);
        memset(text, 'y', sizeof(text));
        wr_proxied_unref(p);
        assert_int_equal(q->head.version, 2);
        assert_true(wr_addr_eq(&q->head.client, &h.client));
        assert_int_equal(q->head.tlvs.len, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++) {
            assert_int_equal(q->head.tlvs.ptr[k], 'x');
        }
        wr_proxied_unref(q);
    }
    wr_proxied_unref(NULL);
    assert_null(wr_proxied_ref(NULL));
    wr_mem_settle();
    assert_true(wr_mem_in_use() <= before + 8192);
}

static void no_memory(void **state)
{
    static char text[WR_PROXY_HEAD_MAX];
    struct wr_proxy_head h = {.version = 1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        wr_mem_fault_set(1);
        assert_null(wr_proxied_new(&h));
        wr_mem_fault_set(0);
        h.tlvs = wr_str(text, sizeof(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_a_copy_with_references),
                                       cmocka_unit_test(no_memory)};

    return cmocka_run_group_tests_name("net/proxied", tests, NULL, NULL);
}
