/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_open_cache.c: open_file_cache as a table: uses, the oldest goes first, what was not asked
 * for goes, each generation has its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conf/gen.h"

#include "http/open_cache.c"

static uint64_t now_us = 1000000;

static uint64_t read_clock(void *data)
{
    (void)data;
    return now_us;
}

static struct wr_str name_of(unsigned i)
{
    static char text[32];

    (void)snprintf(text, sizeof(text), "/f%u", i);
    return wr_str_z(text);
}

static void pass(uint64_t ms)
{
    now_us += ms * 1000;
    (void)wr_clock_update();
}

static struct wr_open_cache *begin(uint32_t max, uint64_t inactive_ms)
{
    static struct wr_open_cache_conf conf;
    static const struct wr_clock_source source = {read_clock, read_clock, NULL};

    wr_clock_set_source(&source);
    pass(1000);
    conf = (struct wr_open_cache_conf){.max = max, .inactive_ms = inactive_ms};
    return make_cache(&conf);
}

static void end(struct wr_open_cache *c)
{
    while (c->cnt > 0) {
        remove_entry(c, oldest(c));
    }
    wr_mem_free(c);
    wr_clock_set_source(NULL);
}

static void test_uses(void **state)
{
    struct wr_open_cache *c = begin(10, 1000);
    struct wr_open_entry *e;

    (void)state;
    assert_null(wr_open_cache_find(c, name_of(1)));
    e = wr_open_cache_renew(c, name_of(1));
    assert_int_equal(e->uses, 1);
    e->err = 5;
    assert_ptr_equal(wr_open_cache_find(c, name_of(1)), e);
    assert_int_equal(e->uses, 2);
    assert_ptr_equal(wr_open_cache_renew(c, name_of(1)), e);
    assert_true(e->uses == 2 && e->err == 0);
    wr_open_cache_forget(c, name_of(2));
    wr_open_cache_forget(c, name_of(1));
    assert_null(wr_open_cache_find(c, name_of(1)));
    end(c);
}

static void test_oldest_goes(void **state)
{
    struct wr_open_cache *c = begin(3, 1000);

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_non_null(wr_open_cache_renew(c, name_of(i)));
    }
    assert_non_null(wr_open_cache_find(c, name_of(0)));
    assert_non_null(wr_open_cache_renew(c, name_of(3)));
    assert_int_equal(c->cnt, 3);
    assert_null(wr_open_cache_find(c, name_of(1)));
    assert_non_null(wr_open_cache_find(c, name_of(0)));
    for (unsigned i = 0; i < 1000; i++) {
        assert_non_null(wr_open_cache_renew(c, name_of(i)));
        assert_true(c->cnt <= 3);
    }
    end(c);
}

static void test_inactive(void **state)
{
    struct wr_open_cache *c = begin(1000, 1000);

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_non_null(wr_open_cache_renew(c, name_of(i)));
    }
    pass(600);
    assert_non_null(wr_open_cache_find(c, name_of(7)));
    pass(600);
    assert_null(wr_open_cache_find(c, name_of(8)));
    assert_non_null(wr_open_cache_find(c, name_of(7)));
    for (unsigned i = 0; i < 60; i++) {
        (void)wr_open_cache_find(c, name_of(7));
    }
    assert_int_equal(c->cnt, 1);
    end(c);
}

static void test_without_memory(void **state)
{
    struct wr_open_cache *c = begin(10, 1000);

    (void)state;
    wr_mem_fault_set(1);
    assert_null(wr_open_cache_renew(c, name_of(1)));
    wr_mem_fault_set(0);
    assert_int_equal(c->cnt, 0);
    end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_oldest_goes),
        cmocka_unit_test(test_inactive),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
